//! What a day's reports cost, from the rows of the store to signed mails:
//! `cargo bench --bench daily [-- DOMAINS...]`, and to a real SMTP server:
//! `cargo bench --bench daily -- smtp [MAILS]`.
//!
//! The measured way is the product's: a store in a temporary directory of the working directory's disk, a
//! finished day of it, the courier with its states on the disk, reports that are added up, composed,
//! gzipped and signed with both kinds of key; only the next hop is one that takes everything at once. The
//! ceiling, in the same run, is the same reports made one after the other, which nothing is written down
//! of. Each size runs in a process of its own, and the day is filled by another, so that
//! its peak of memory is its own.
//!
//! With `smtp` the next hop is smtp-sink of Debian's postfix, through a relay as most hosts have it;
//! the ceiling is what smtp-source, of the same package, brings to it over as many connections.

use std::{
    collections::BTreeSet,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use sealpost::{
    clock::{BoxFuture, StoppedClock, Timestamp, UtcDay},
    config::{Config, ReportConfig, StoreConfig},
    daemon::reports::{Publisher, StoredReports},
    deliver::{
        HostLimits,
        courier::{Courier, Parts, Reporting, Settings},
        destinations::Rules,
        retry::Retry,
        schedule::Schedule,
        sources::{ReportSource as _, RuaSource},
        suppression::NextHop,
    },
    net::{
        dns::DnsError,
        handover::{Accepted, Channel, SendError},
        report_host::ReportHost,
        smtp::{Envelope, RelayTransport, Transport},
    },
    observe::Counters,
    policy::{AppliedPolicy, Destination, PolicyDomain, PolicyType, RuaRecord},
    record::Failure,
    report::{DkimKey, Submitter},
    store::{Batch, Counted, Keeping, SledStore, Store, TallyKey},
};
use sealpost_plugin_api::ResultType;

mod child;
mod figures;
mod memory;
mod random;

use child::run_child;
use figures::{now, say};
use memory::megabytes;
use random::mixed;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DAY: UtcDay = UtcDay(20_781);

/// Sessions of the day, whatever the number of domains.
const SESSIONS: u64 = 1_000_000;

const HOST: &str = "mta1.sender.example";

/// `deliver.concurrent_max` as it is by default.
const CONCURRENT: usize = 16;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", domains, directory] => fill(Path::new(directory), domains.parse()?),
        ["child", domains, directory] => day(Path::new(directory), domains.parse()?, None),
        ["child", domains, directory, relay] => {
            day(Path::new(directory), domains.parse()?, Some(relay))
        }
        ["smtp"] => smtp(10_000),
        ["smtp", mails] => smtp(mails.parse()?),
        [] => sizes(&[1_000, 10_000, 100_000]),
        sizes_asked => {
            let asked: Result<Vec<u32>, _> = sizes_asked.iter().map(|text| text.parse()).collect();
            sizes(&asked?)
        }
    }
}

/// Each size in a process of its own.
fn sizes(all: &[u32]) -> Outcome {
    say(&format!(
        "a day of {SESSIONS} sessions by zipf, a tenth of the domains under two policies, a twentieth with \
         failures; signed with RSA of 2048 bits and Ed25519"
    ));
    for domains in all {
        day_in_processes(*domains, &[])?;
    }
    Ok(())
}

/// Fills a day in one process and sends its reports in another.
fn day_in_processes(domains: u32, relay: &[&str]) -> Outcome {
    let directory = tempfile::tempdir_in(".")?;
    let path = directory.path().to_str().ok_or("a path of other letters")?;
    let domains = domains.to_string();
    run_child(&["fill", &domains, path])?;
    run_child(&[&["child", &domains, path], relay].concat())
}

/// Sends a day's reports, and says what that took.
fn day(directory: &Path, domains: u32, relay: Option<&str>) -> Outcome {
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&store_config(directory))?);
    let reports = Arc::new(StoredReports::new(
        Arc::clone(&store),
        publisher()?,
        &StoreConfig::default(),
    ));
    let sink = Arc::new(Sink::default());
    let transport: Arc<dyn Transport> = match relay {
        Some(relay) => Arc::new(RelayTransport::new(relay, HOST, 60)?),
        None => Arc::clone(&sink) as _,
    };
    let settings = settings();
    // Every turn has come, and the day is not packed yet: the most that can be due at once.
    let clock = StoppedClock::at(settings.schedule.closes_at(DAY).plus_seconds(-1));
    let counters = Arc::new(Counters::default());
    let courier = Courier::new(
        Parts {
            store: Arc::clone(&store),
            clock: Arc::new(clock.clone()),
            transport,
            report_host: Arc::clone(&sink) as _,
            rua: Arc::new(Postmaster),
            reports: Arc::clone(&reports) as _,
            counters: Arc::clone(&counters),
        },
        settings,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (begun, cpu) = (now(), cpu());
    // The daily loop itself, until every recipient domain has its report.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    runtime.block_on(async {
        let all_sent = async {
            while counters.reports_sent.value() < u64::from(domains) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let _stopped = stop.send(());
        };
        tokio::join!(
            Arc::clone(&courier).run(async { drop(stopped.await) }),
            all_sent
        );
    });
    let (took, cpu) = (begun.elapsed(), cpu_since(cpu));
    let sent = counters.reports_sent.value();
    if sent != u64::from(domains) {
        return Err(format!("{sent} reports of {domains} domains were sent").into());
    }
    let per_second = f64::from(domains) / took.as_secs_f64();
    let mails = match relay {
        Some(_) => String::new(),
        None => format!(
            ", {:.1} kB a mail",
            sink.octets.load(Ordering::Relaxed) as f64 / sent as f64 / 1e3
        ),
    };
    say(&format!(
        "{domains:>7} domains: {:>7.2} s, {per_second:>6.0} reports/s, {:>6.2} s of CPU, peak {:>4.0} MB{mails}",
        took.as_secs_f64(),
        cpu.as_secs_f64(),
        megabytes("VmHWM"),
    ));
    if relay.is_none() {
        let alone = made_alone(&*store, &reports, domains.min(2_000))?;
        say(&format!(
            "         one after the other, nothing written: {:.0} reports/s; of that the signatures alone: {:.0}/s",
            alone.made, alone.signed
        ));
    }
    Ok(())
}

/// Reports a second, without courier and disk.
struct Alone {
    made: f64,
    signed: f64,
}

fn made_alone(store: &dyn Store, reports: &StoredReports, count: u32) -> Outcome<Alone> {
    let some: Vec<PolicyDomain> = store
        .domains(DAY)?
        .into_iter()
        .take(count as usize)
        .collect();
    let date = DAY.next().first_second();
    let begun = now();
    for domain in &some {
        let report = reports
            .compose(domain, DAY, &[])?
            .ok_or("nothing to report")?;
        report.mail(&format!("tls@{domain}"), date, 1)?;
    }
    let made = f64::from(count) / begun.elapsed().as_secs_f64();
    let first = some.first().ok_or("no domain")?;
    let report = reports
        .compose(first, DAY, &[])?
        .ok_or("nothing to report")?;
    let begun = now();
    for _ in 0..count {
        report.mail("tls@recipient.example", date, 1)?;
    }
    let signed = f64::from(count) / begun.elapsed().as_secs_f64();
    Ok(Alone { made, signed })
}

fn store_config(directory: &Path) -> StoreConfig {
    StoreConfig {
        path: directory.join("store"),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    }
}

/// Makes a store with a finished day in it.
fn fill(directory: &Path, domains: u32) -> Outcome {
    let store = SledStore::open(&store_config(directory))?;
    let weight = |place: u32| 1_000_000_000 / u64::from(place);
    let weights: u64 = (1..=domains).map(weight).sum();
    let mut batch = Batch::default();
    for number in 0..domains {
        let domain: PolicyDomain = format!("recipient-{number}.example").parse()?;
        let sessions = (SESSIONS * weight(number + 1) / weights).max(1);
        let failures = if number % 20 == 0 {
            sessions.div_ceil(20)
        } else {
            0
        };
        let mut policies = vec![sts(&domain)];
        if number % 10 == 0 {
            policies.push(tlsa(&domain)?);
        }
        for policy in policies {
            add(&mut batch, &domain, policy, sessions - failures, failures);
        }
        if number % 4_096 == 4_095 {
            store.commit(&std::mem::take(&mut batch))?;
        }
    }
    store.commit(&batch)?;
    Ok(())
}

fn add(
    batch: &mut Batch,
    domain: &PolicyDomain,
    policy: AppliedPolicy,
    successes: u64,
    failures: u64,
) {
    let key = |counted| TallyKey {
        day: DAY,
        domain: domain.clone(),
        policy: policy.fingerprint(),
        counted,
    };
    if successes > 0 {
        batch.totals.insert(key(Counted::Successes), successes);
    }
    if failures > 0 {
        batch.totals.insert(key(Counted::Failures), failures);
        // As many kinds of failure as a domain with trouble has.
        for (number, result) in [
            ResultType::CertificateExpired,
            ResultType::CertificateHostMismatch,
            ResultType::StarttlsNotSupported,
        ]
        .into_iter()
        .enumerate()
        {
            let detail = Failure {
                mx: Some(format!("mx{number}.{domain}")),
                receiving_ip: Some([192, 0, 2, (mixed(number as u64) % 250) as u8].into()),
                sending_ip: Some([198, 51, 100, 1].into()),
                ..Failure::of_policy(result, "")
            };
            batch
                .totals
                .insert(key(Counted::Detail(detail)), failures.div_ceil(3));
        }
    }
    batch.policies.insert(policy.fingerprint(), policy);
}

fn sts(domain: &PolicyDomain) -> AppliedPolicy {
    AppliedPolicy {
        policy_type: PolicyType::Sts,
        policy_string: vec![
            "version: STSv1".to_owned(),
            "mode: enforce".to_owned(),
            format!("mx: mx0.{domain}"),
            format!("mx: *.{domain}"),
            "max_age: 604800".to_owned(),
        ],
        mx_host: vec![format!("mx0.{domain}"), format!("*.{domain}")],
        ..AppliedPolicy::no_policy_found(domain.clone())
    }
}

fn tlsa(domain: &PolicyDomain) -> Outcome<AppliedPolicy> {
    Ok(AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_string: vec![format!("3 1 1 {}", "AB".repeat(32))],
        ..AppliedPolicy::no_policy_found(format!("mx0.{domain}").parse()?)
    })
}

fn publisher() -> Outcome<Publisher> {
    let keys = [
        ("rsa", sealpost_kit::DkimKey::rsa()?),
        ("ed25519", sealpost_kit::DkimKey::ed25519()?),
    ];
    let keys = keys.map(|(selector, key)| DkimKey::from_pem(selector, &key.private_pem));
    Ok(Publisher {
        submitter: Some(Submitter::new(
            "Example Sender",
            "tls-reports@sender.example",
            "",
            HOST,
        )?),
        keys: keys.into_iter().collect::<Result<_, _>>()?,
        config: ReportConfig::default(),
    })
}

fn settings() -> Settings {
    Settings {
        reporting: Reporting::On,
        never: BTreeSet::new(),
        envelope_from: "tls-reports@sender.example".to_owned(),
        next_hop: NextHop::Relay,
        schedule: Schedule {
            settle_seconds: 1_800,
            spread_seconds: 12_600,
            host_name: HOST.to_owned(),
        },
        retry: Retry {
            retry_seconds: 600,
            give_up_seconds: 86_400,
        },
        rules: Rules::from(&Config::default()),
        concurrent_max: CONCURRENT,
        host_limits: HostLimits {
            at_once_max: 2,
            per_minute_max: 600,
        },
        keeping: Keeping::of(&StoreConfig::default()),
    }
}

/// Every recipient domain wants its reports at a mailbox of its own, and no MX host does.
struct Postmaster;

impl RuaSource for Postmaster {
    fn rua<'a>(
        &'a self,
        domain: &'a PolicyDomain,
    ) -> BoxFuture<'a, Result<Option<RuaRecord>, DnsError>> {
        let is_host = domain.as_str().starts_with("mx0.");
        let record = (!is_host).then(|| RuaRecord {
            destinations: vec![Destination::Mail(format!("tls@{domain}"))],
            skipped: Vec::new(),
        });
        Box::pin(std::future::ready(Ok(record)))
    }

    fn learnt(&self, _domain: &PolicyDomain, _since: Timestamp) -> Option<RuaRecord> {
        None
    }
}

/// Takes everything at once.
#[derive(Default)]
struct Sink {
    octets: AtomicU64,
}

impl Transport for Sink {
    fn send<'a>(
        &'a self,
        _envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        self.octets
            .fetch_add(message.len() as u64, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Accepted {
            by: "sink".to_owned(),
            reply: "250 taken".to_owned(),
            channel: Channel::Clear,
        })))
    }
}

impl ReportHost for Sink {
    fn post<'a>(
        &'a self,
        uri: &'a str,
        _gzip: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(std::future::ready(Err(SendError::Permanent {
            code: None,
            reason: format!("no domain of this bench names {uri}"),
        })))
    }
}

/// The courier next to smtp-source, both against smtp-sink.
fn smtp(mails: u32) -> Outcome {
    let Some(root) = postfix_root() else {
        say(
            "SKIPPED: smtp-sink and smtp-source need root and a Postfix that `cargo xtask postfix` unpacks",
        );
        return Ok(());
    };
    let relay = format!("127.0.0.1:{}", free_port()?);
    let sink = within(&root, "/usr/sbin/smtp-sink")
        .args(["-u", "nobody", &relay, "1024"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut sink = Ended(sink);
    while TcpStream::connect(&relay).is_err() {
        if let Some(status) = sink.0.try_wait()? {
            return Err(format!("smtp-sink: {status}").into());
        }
        std::thread::yield_now();
    }
    say(&format!(
        "{mails} mails to smtp-sink over {CONCURRENT} connections at once"
    ));
    day_in_processes(mails, &[&relay])?;
    let begun = now();
    let status = within(&root, "/usr/sbin/smtp-source")
        .args(["-l", "5000"])
        .args(["-s", &CONCURRENT.to_string(), "-m", &mails.to_string()])
        .args([
            "-f",
            "a@sender.example",
            "-t",
            "tls@recipient.example",
            &relay,
        ])
        .status()?;
    let took = begun.elapsed();
    if !status.success() {
        return Err(format!("smtp-source: {status}").into());
    }
    say(&format!(
        "ceiling, smtp-source with a connection for each mail: {:.2} s, {:.0} mails/s",
        took.as_secs_f64(),
        f64::from(mails) / took.as_secs_f64()
    ));
    Ok(())
}

/// The root of the Postfix that `cargo xtask postfix` unpacks, where we may go there.
fn postfix_root() -> Option<PathBuf> {
    let target = std::env::current_exe().ok()?;
    let mut places = target
        .ancestors()
        .map(|above| above.join("test-tools/postfix-3.10"));
    let root = places.find(|place| place.join("usr/sbin/smtp-sink").exists())?;
    rustix::process::geteuid().is_root().then_some(root)
}

/// A program within a root of its own; on the loopback interface it is with everybody else.
fn within(root: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg(program);
    command
}

fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

/// A program that ends with the bench.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or(0),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
}

fn cpu_since(before: Duration) -> Duration {
    cpu().saturating_sub(before)
}
