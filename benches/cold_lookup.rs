//! What the first mail to a domain waits for: `cargo bench --bench cold_lookup [-- DOMAINS]`.
//!
//! Everything is real: blocking clients ask over the unix socket for domains that nothing is known of;
//! the resolver asks the kit's DNS server over UDP, and the policy comes from the kit's policy hosts
//! over TLS. The kit runs in a process of its own. CPU is that of our runtime's threads alone, from
//! /proc. The ceiling, in the same run, is the fetch by itself: addresses, TLS, one GET. What DANE asks
//! is measured apart, over a DNS whose answers take a fixed time (`cold_dane`).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::SystemClock,
    config::{DnsConfig, PolicyConfig, SocketmapConfig, WhenUnknown},
    doors::socketmap::Socketmap,
    engine::{
        Engine, EngineSettings,
        keeper::{Keeper, KeeperParts},
    },
    hook::{joint::DaneSettings, overrides::Overrides},
    net::{
        activation::Activated, hickory::HickoryDns, https::PolicyHost as _,
        policy_host::HttpsPolicyHost,
    },
    policy::PolicyDomain,
    record::journal::Journal,
    store::MemoryStore,
};
use sealpost_kit::{Answer, Authority, DnsServer, PolicyHost, PolicyHosts};
use tokio::{runtime::Runtime, sync::watch};

mod cold_dane;
mod figures;
mod threads;

use figures::{now, say};
use threads::cpu_of;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How many clients ask at once.
const CLIENTS: [usize; 3] = [1, 16, 64];

/// Our runtime's threads, by their name in /proc.
const THREADS: &str = "served";

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("internet") {
        let domains = arguments.next().unwrap_or_default().parse()?;
        let root = PathBuf::from(arguments.next().unwrap_or_default());
        return serve_internet(domains, &root);
    }
    let domains = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let domains: usize = domains.unwrap_or(1_000);
    let directory = tempfile::tempdir()?;
    let root = directory.path().join("root.pem");
    let mut internet = Internet::start(domains, &root)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name(THREADS)
        .enable_all()
        .build()?;
    let policy = PolicyConfig {
        https_port: internet.https_port,
        extra_roots: vec![root],
        allow_private_addresses: true,
        ..PolicyConfig::default()
    };
    let clock = Arc::new(SystemClock);
    let dns = DnsConfig {
        servers: vec![([127, 0, 0, 1], internet.dns_port).into()],
        ..DnsConfig::default()
    };
    let dns = Arc::new(runtime.block_on(async { HickoryDns::new(&dns) })?);
    let host = Arc::new(HttpsPolicyHost::new(dns.clone(), clock.clone(), &policy)?);
    cold_dane::measure(&runtime)?;
    fetch_alone(&runtime, &host, domains)?;

    let (journal, _reader) = Journal::new(1_000, Arc::default());
    let keeper = Keeper::new(KeeperParts {
        dns,
        policy_host: host,
        store: Arc::new(MemoryStore::default()),
        clock: clock.clone(),
        journal: journal.clone(),
        counters: Arc::default(),
        auditor: Default::default(),
        config: policy,
    });
    let settings = EngineSettings {
        overrides: Overrides::default(),
        when_unknown: WhenUnknown::Defer,
        dane: DaneSettings::default(),
    };
    let engine = Engine::new(Arc::new(keeper), journal, clock, Arc::default(), settings);
    let config = SocketmapConfig {
        path: directory.path().join("socketmap.sock"),
        group: String::new(),
        ..SocketmapConfig::default()
    };
    let mut none = Activated::none();
    let door = runtime.block_on(async { Socketmap::open(&config, &mut none, Arc::default()) })?;
    let (stop, stopping) = watch::channel(false);
    let serving = runtime.spawn(door.serve(Arc::new(engine), stopping));
    for clients in CLIENTS {
        let names = (0..domains).map(|number| cold_domain(clients, number));
        ask_for_all(&config.path, clients, names.collect())?;
    }
    ask_for_one(&config.path, &mut internet)?;
    stop.send_replace(true);
    runtime.block_on(serving)?;
    Ok(())
}

/// A domain that one measurement asks for.
fn cold_domain(clients: usize, number: usize) -> String {
    format!("d{number}.c{clients}.test")
}

/// The domain that everybody asks for at once.
const POPULAR: &str = "popular.test";

/// The kit's side: publishes all domains, says where it listens, and then for each name that it is
/// told how often that host was asked.
fn serve_internet(domains: usize, root: &Path) -> Outcome {
    let runtime = Runtime::new()?;
    let dns = runtime.block_on(DnsServer::start())?;
    let hosts = runtime.block_on(PolicyHosts::start())?;
    let authority = Authority::new()?;
    fs::write(root, authority.ca_pem())?;
    let cold = CLIENTS
        .iter()
        .chain([&0])
        .flat_map(|clients| (0..domains).map(move |number| cold_domain(*clients, number)));
    for domain in cold.chain([POPULAR.to_owned()]) {
        let host = format!("mta-sts.{domain}");
        dns.set_txt(&format!("_mta-sts.{domain}"), &["v=STSv1; id=1;"]);
        dns.set_addresses(&host, &[[127, 0, 0, 1].into()]);
        let text = format!("version: STSv1\nmode: enforce\nmx: mx.{domain}\nmax_age: 604800\n");
        let served = PolicyHost {
            certificate: authority.issue(&[&host])?,
            answer: Answer::document(&text),
        };
        hosts.set(&host, served);
    }
    say(&format!(
        "{} {}",
        dns.address().port(),
        hosts.address().port()
    ));
    for name in std::io::stdin().lines() {
        say(&hosts.times_requested(&name?).to_string());
    }
    Ok(())
}

/// The kit in its process. It ends when its input does.
struct Internet {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    dns_port: u16,
    https_port: u16,
}

impl Internet {
    fn start(domains: usize, root: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["internet", &domains.to_string()])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or("the kit has no input or output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let (dns, https) = line.trim_end().split_once(' ').ok_or("no ports")?;
        Ok(Self {
            dns_port: dns.parse()?,
            https_port: https.parse()?,
            child,
            input,
            output,
        })
    }

    fn times_requested(&mut self, host: &str) -> Outcome<usize> {
        writeln!(self.input, "{host}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().parse()?)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait().map(drop)) {
            say(&format!("the kit goes on: {error}"));
        }
    }
}

/// The ceiling: documents, 16 at a time, by the same client.
fn fetch_alone(runtime: &Runtime, host: &Arc<HttpsPolicyHost>, domains: usize) -> Outcome {
    let cpu = cpu_of(THREADS)?;
    let begun = now();
    let fetching: Vec<_> = (0..16)
        .map(|worker| {
            let host = Arc::clone(host);
            runtime.spawn(async move {
                for number in (worker..domains).step_by(16) {
                    let domain: PolicyDomain = cold_domain(0, number).parse()?;
                    host.fetch(&domain).await?;
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for task in fetching {
        runtime.block_on(task)??;
    }
    show("the fetch alone, 16 at once", domains, begun.elapsed(), cpu)
}

fn ask_for_all(path: &Path, clients: usize, domains: Vec<String>) -> Outcome {
    let cpu = cpu_of(THREADS)?;
    let begun = now();
    let number = domains.len();
    let domains: Arc<[String]> = domains.into();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (path, domains) = (path.to_owned(), Arc::clone(&domains));
            std::thread::spawn(move || {
                let mut stream = UnixStream::connect(path)?;
                domains
                    .iter()
                    .skip(client)
                    .step_by(clients)
                    .try_for_each(|domain| ask(&mut stream, domain))
            })
        })
        .collect();
    for thread in asking {
        thread.join().map_err(|_| "a client died")??;
    }
    show(
        &format!("cold, {clients} connections"),
        number,
        begun.elapsed(),
        cpu,
    )
}

fn ask_for_one(path: &Path, internet: &mut Internet) -> Outcome {
    let begun = now();
    let asking: Vec<_> = (0..64)
        .map(|_| {
            let path = path.to_owned();
            std::thread::spawn(move || ask(&mut UnixStream::connect(path)?, POPULAR))
        })
        .collect();
    for thread in asking {
        thread.join().map_err(|_| "a client died")??;
    }
    let took = begun.elapsed();
    let fetches = internet.times_requested(&format!("mta-sts.{POPULAR}"))?;
    say(&format!(
        "64 askers for one cold domain: {fetches} fetch, all answered in {took:.1?}"
    ));
    Ok(())
}

/// One question, and the reply that it must have.
fn ask(stream: &mut UnixStream, domain: &str) -> Outcome {
    let request = format!("QUERY {domain}");
    write!(stream, "{}:{request},", request.len())?;
    let expected = format!("OK secure match=mx.{domain} servername=hostname");
    let expected = format!("{}:{expected},", expected.len());
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply)?;
    if reply != expected.as_bytes() {
        return Err(format!("answered {:?}", String::from_utf8_lossy(&reply)).into());
    }
    Ok(())
}

fn show(what: &str, domains: usize, took: Duration, cpu_before: Duration) -> Outcome {
    let cpu = cpu_of(THREADS)?.saturating_sub(cpu_before);
    let each = cpu / u32::try_from(domains)?;
    let rate = domains as f64 / took.as_secs_f64();
    say(&format!(
        "{what:28} {rate:>6.0} domains/s, CPU {each:>8.1?} a domain"
    ));
    Ok(())
}
