//! How fast outcomes are counted that Postfix tells by datagram:
//! `cargo bench --bench datagram [-- DATAGRAMS]`.
//!
//! The measured way is the product's: a unix datagram socket, the real door, engine and recorder, a store
//! in a temporary directory of the working directory's disk. The ceiling, in the same run, is a loop
//! that receives and discards. Who sends is another process, so that its work is not counted, and it
//! waits where the kernel has no room, so that nothing is lost and the rate is what the receiver
//! takes. Bursts are sent as libtlsrpt does: a socket for each datagram, one try, no waiting.
//!
//! As root it runs in a network namespace of its own with `net.unix.max_dgram_qlen` at 512.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::{net::UnixDatagram, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use sealpost::{
    clock::{BoxFuture, Clock as _, SystemClock},
    config::{StoreConfig, TlsrptSocketConfig},
    doors::{datagram::DatagramDoor, tlsrpt_datagram},
    engine::Engine,
    hook::{Answer, Asker, AsyncHook, Said, basis::DaneUse},
    net::activation::Activated,
    observe::Counters,
    record::told::Told,
    store::{Counted, Recorder, SledStore, Store},
};
use sealpost_plugin_api::{Query, Session};
use tokio::sync::watch;

mod figures;
mod random;
mod world;

use figures::{now, say};
use random::mixed;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DOMAINS: u64 = 10_000;
const FAILURE_PERCENT: u64 = 5;
const QUEUE_LENGTH: &str = "/proc/sys/net/unix/max_dgram_qlen";
const BURST: usize = 400;
const BURSTS: usize = 100;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["send", path, count, per_second] => {
            return send(Path::new(path), count.parse()?, per_second.parse()?);
        }
        ["inside", ..] => {}
        _ => {
            // Where it cannot be had, the bench says what it ran with.
            let script = format!("echo 512 > {QUEUE_LENGTH} && exec \"$@\"");
            let mut command = Command::new("unshare");
            command.args(["--net", "sh", "-c", &script, "sh"]);
            command.arg(std::env::current_exe()?).arg("inside");
            if Command::new("unshare")
                .args(["--net", "true"])
                .output()
                .is_ok_and(|made| made.status.success())
            {
                return Err(command.args(&arguments).exec().into());
            }
        }
    }
    let count = words
        .iter()
        .find_map(|word| word.parse().ok())
        .unwrap_or(1_000_000);
    let datagrams = traffic();
    let octets: usize = datagrams.iter().map(Vec::len).sum();
    say(&format!(
        "{count} datagrams of {} octets on average, {DOMAINS} domains, {FAILURE_PERCENT} % failures, \
         net.unix.max_dgram_qlen {}",
        octets / datagrams.len(),
        std::fs::read_to_string(QUEUE_LENGTH)
            .unwrap_or_default()
            .trim(),
    ));
    parse_alone(&datagrams)?;
    say("received and discarded");
    discard(count)?;
    say("door, engine, recorder and store");
    counted(count)
}

/// Datagrams as Postfix sends them, every one that is sent: what comes often and what comes seldom.
fn traffic() -> Vec<Vec<u8>> {
    (0..1 << 17)
        .map(|number| datagram(mixed(number)).into_bytes())
        .collect()
}

/// A domain's name; those without a policy begin with `plain-`.
fn domain(number: u64) -> String {
    let kind = if number % 10 < 5 { "plain" } else { "sts" };
    format!("{kind}-recipient-{number}.example")
}

fn datagram(random: u64) -> String {
    let domain = domain(random % DOMAINS);
    let policy = match random % DOMAINS % 10 {
        0..4 => format!(r#""policy-type":9,"policy-domain": "{domain}""#),
        4 => format!(
            r#""policy-type":1,"policy-domain": "mx1.{domain}","policy-string":["3 1 1 8D02536C887482BC34FF54E41D2BA659BF85B341A0A20AFADB5813DCFBCF286D","2 1 1 1F850A337E6DB9C609C522D136A475638CC43E1ED424F8EEC8513D747D1D085D"]"#
        ),
        _ => format!(
            r#""policy-type":2,"policy-domain": "{domain}","policy-string":["version: STSv1","mode: enforce","mx: mx1.{domain}","mx: mx2.{domain}","mx: mx3.{domain}","mx: mx4.{domain}","mx: *.backup.{domain}","max_age: 604800"],"mx-host":["mx1.{domain}","mx2.{domain}","mx3.{domain}","mx4.{domain}","*.backup.{domain}"]"#
        ),
    };
    let chance = (random >> 32) % 100;
    let ending = if chance < FAILURE_PERCENT {
        let mx = (random >> 40) % 3;
        let octet = (random >> 48) % 7;
        format!(
            r#","failure-details":[{{"c":205,"s": "192.0.2.10","n": "mx{mx}.{domain}","h": "250-mx{mx}.{domain} greets you\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250 SMTPUTF8","r": "198.51.100.{octet}","f": "self-signed_certificate"}}],"t":1,"f":1}}"#
        )
    } else {
        r#","t":0,"f":0}"#.to_owned()
    };
    format!(
        r#"{{"dpv": "1","d": "{domain}","pr": "v=TLSRPTv1; rua=mailto:tls-reports@{domain},https://tls-reports.{domain}/v1/tlsrpt","policies":[{{{policy}{ending}]}}"#
    )
}

/// What it takes to read one that is not remembered.
fn parse_alone(datagrams: &[Vec<u8>]) -> Outcome {
    let begun = now();
    let mut sessions = 0;
    for datagram in datagrams {
        sessions += tlsrpt_datagram::read(datagram)?.told.len();
    }
    let took = begun.elapsed();
    let of_each = took.as_secs_f64() * 1e6 / datagrams.len() as f64;
    say(&format!(
        "read alone, none remembered: {of_each:.2} us each, {sessions} sessions"
    ));
    Ok(())
}

/// The process that sends, so many a second. It begins when it is told to.
fn send(path: &Path, count: usize, per_second: f64) -> Outcome {
    let datagrams = traffic();
    // The kernel bounds what one socket has under way, as well as what waits.
    let sockets: Vec<UnixDatagram> = (0..8)
        .map(|_| {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(socket)
        })
        .collect::<std::io::Result<_>>()?;
    say("ready");
    let _told = std::io::stdin().read(&mut [0])?;
    let begun = now();
    let each = sockets.iter().cycle().zip(datagrams.iter().cycle());
    for (number, (socket, datagram)) in each.take(count).enumerate() {
        let due = Duration::from_secs_f64(number as f64 / per_second);
        if number % 64 == 0
            && let Some(early) = due.checked_sub(begun.elapsed())
        {
            std::thread::sleep(early);
        }
        socket.send(datagram)?;
    }
    Ok(())
}

/// Another process that is ready to send.
struct Sender(Child);

impl Sender {
    fn start(path: &Path, count: usize, per_second: f64) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("send")
            .arg(path)
            .args([count.to_string(), per_second.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.as_mut().ok_or("it has no output")?;
        let _ready = said.read(&mut [0; 64])?;
        Ok(Self(child))
    }

    fn begin(&mut self) -> Outcome {
        self.0
            .stdin
            .as_mut()
            .ok_or("it has no input")?
            .write_all(b"\n")?;
        Ok(())
    }

    fn wait(mut self) -> Outcome {
        let status = self.0.wait()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| "the sender has failed".into())
    }
}

/// The ceiling.
fn discard(count: usize) -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("discard.sock");
    let socket = UnixDatagram::bind(&path)?;
    let received = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let receiving = {
        let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut buffer = vec![0; tlsrpt_datagram::DATAGRAM_OCTETS_MAX];
            while !stop.load(Ordering::Relaxed) && socket.recv(&mut buffer).is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let receiver = Receiver {
        path: &path,
        read: &|| received.load(Ordering::Relaxed),
        lost: &|| 0,
        finish: &|| Ok(()),
    };
    receiver.rates(count)?;
    receiver.bursts()?;
    stop.store(true, Ordering::Relaxed);
    UnixDatagram::unbound()?.send_to(b"end", &path)?;
    receiving.join().map_err(|_| "the receiver died")?;
    Ok(())
}

/// The door and all behind it.
fn counted(count: usize) -> Outcome {
    let directory = tempfile::tempdir_in(".")?;
    let config = TlsrptSocketConfig {
        path: directory.path().join("tlsrpt.sock"),
        group: String::new(),
        ..TlsrptSocketConfig::default()
    };
    let store_config = StoreConfig {
        path: directory.path().join("store"),
        ..StoreConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    // One for the door and the engine, as in the daemon.
    let counters = Arc::new(Counters::default());
    let (engine, journal, reader) = world::engine(store_config.queue_sessions_max, &counters);
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&store_config)?);
    let recorder = Recorder::start(
        Arc::clone(&store),
        reader,
        &store_config,
        Arc::clone(&counters),
        Arc::new(SystemClock),
    )?;
    let door = DatagramDoor::open(&config, &mut Activated::none(), Arc::clone(&counters))?;
    let door = door.ok_or("the door stays closed")?;
    let (stop, stopping) = watch::channel(false);
    runtime.block_on(ask_for_all(&engine));
    let hook = Arc::new(Passing {
        engine,
        told: AtomicU64::new(0),
    });
    let serving = runtime.spawn(door.serve(Arc::clone(&hook) as _, stopping));
    let lost = || {
        counters.datagrams_dropped.value()
            + counters.datagrams_malformed.value()
            + counters.sessions_dropped.value()
            + counters.sessions_dropped_disk.value()
    };
    let receiver = Receiver {
        path: &config.path,
        read: &|| counters.datagrams.value(),
        lost: &lost,
        finish: &|| {
            // What the door has read it may not have told yet; each tells of one session here.
            let (dropped, malformed) = (&counters.datagrams_dropped, &counters.datagrams_malformed);
            let told = || hook.told.load(Ordering::Relaxed) + dropped.value() + malformed.value();
            wait_for(counters.datagrams.value(), &told)?;
            Ok(journal.sync()?)
        },
    };
    receiver.rates(count)?;
    receiver.bursts()?;
    stop.send_replace(true);
    runtime.block_on(serving)?;
    hook.engine.settle_all();
    journal.sync()?;
    recorder.stop();
    let sessions = in_store(&*store)?;
    say(&format!(
        "  of {} received {} dropped before the hook, {} before the store, {} malformed; {sessions} \
         sessions in the store, {} commits",
        counters.datagrams.value(),
        counters.datagrams_dropped.value(),
        counters.sessions_dropped.value() + counters.sessions_dropped_disk.value(),
        counters.datagrams_malformed.value(),
        counters.store_commits.value(),
    ));
    Ok(())
}

/// Asks for the policy of every domain, as Postfix does before it tells of a session.
async fn ask_for_all(engine: &Engine) {
    for number in 0..DOMAINS {
        let answer = engine.policy(Query::new(&domain(number))).await;
        engine.answered(&answer, Asker::Telling(Said::PolicyByName));
    }
}

/// How many sessions the store has.
fn in_store(store: &dyn Store) -> Outcome<u64> {
    let mut sessions = 0;
    let day = SystemClock.now().day();
    for domain in store.domains(day)? {
        for (key, total) in store.tallies(day, &domain)? {
            if matches!(key.counted, Counted::Successes | Counted::Failures) {
                sessions += total;
            }
        }
    }
    Ok(sessions)
}

/// What stands at the other end of the socket.
struct Receiver<'a> {
    path: &'a Path,
    /// How many it has read.
    read: &'a dyn Fn() -> u64,
    /// How many it has lost since.
    lost: &'a dyn Fn() -> u64,
    /// Returns when all that was read is done with.
    finish: &'a dyn Fn() -> Outcome,
}

impl Receiver<'_> {
    /// Sends so many at each rate, and says how fast they were taken and what that took.
    fn rates(&self, count: usize) -> Outcome {
        for (offered, per_second) in [
            ("150,000 a second", 150_000.0),
            ("250,000 a second", 250_000.0),
            ("350,000 a second", 350_000.0),
            ("as fast as they go", f64::INFINITY),
        ] {
            let mut sender = Sender::start(self.path, count, per_second)?;
            let (expected, lost) = ((self.read)() + u64::try_from(count)?, (self.lost)());
            let (begun, cpu, threads) = (now(), cpu_time(), by_thread()?);
            sender.begin()?;
            wait_for(expected, self.read)?;
            let read = begun.elapsed();
            (self.finish)()?;
            let (took, cpu) = (begun.elapsed(), cpu_time() - cpu);
            sender.wait()?;
            say(&format!(
                "  {offered:18}: {:>8.0} datagrams/s read, all done after {:>5} ms, {} lost, {:.3} CPU s \
                 per 100k",
                count as f64 / read.as_secs_f64(),
                took.as_millis(),
                (self.lost)() - lost,
                cpu.as_secs_f64() * 1e5 / count as f64,
            ));
            let shares = by_thread()?.into_iter().filter_map(|(name, seconds)| {
                let before = threads.get(&name).copied().unwrap_or_default();
                let share = (seconds - before) * 1e5 / count as f64;
                (share > 0.005).then(|| format!("{name} {share:.3}"))
            });
            say(&format!(
                "    of that {}",
                shares.collect::<Vec<_>>().join(", ")
            ));
        }
        Ok(())
    }

    /// Bursts as of many smtp processes at once, with time to recover after each.
    fn bursts(&self) -> Outcome {
        let datagrams = traffic();
        let (mut refused, lost) = (0_u64, (self.lost)());
        let mut each = datagrams.iter().cycle();
        for _ in 0..BURSTS {
            let before = (self.read)();
            let mut sent = 0;
            for datagram in each.by_ref().take(BURST) {
                let socket = UnixDatagram::unbound()?;
                socket.set_nonblocking(true)?;
                match socket.send_to(datagram, self.path) {
                    Ok(_) => sent += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            wait_for(before + sent, self.read)?;
        }
        (self.finish)()?;
        say(&format!(
            "  {BURSTS} bursts of {BURST}: {} of {} lost",
            refused + (self.lost)() - lost,
            BURST * BURSTS
        ));
        Ok(())
    }
}

fn wait_for(expected: u64, so_far: &dyn Fn() -> u64) -> Outcome {
    let begun = now();
    while so_far() < expected {
        if begun.elapsed() > Duration::from_secs(120) {
            return Err(format!("{} of {expected}", so_far()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The engine, and how many sessions it was told.
struct Passing {
    engine: Engine,
    told: AtomicU64,
}

impl AsyncHook for Passing {
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        self.engine.policy(query)
    }

    fn policy_at_once(&self, query: &Query<'_>, dane: DaneUse) -> Option<Arc<Answer>> {
        self.engine.policy_at_once(query, dane)
    }

    fn answered(&self, answer: &Arc<Answer>, asker: Asker) {
        self.engine.answered(answer, asker);
    }

    fn session(&self, session: &Session<'_>) {
        self.engine.session(session);
    }

    fn is_pressed(&self) -> bool {
        self.engine.is_pressed()
    }

    fn told(&self, told: &Told, sessions: u32) {
        self.engine.told(told, sessions);
        self.told.fetch_add(sessions.into(), Ordering::Relaxed);
    }
}

/// How many seconds of CPU time each thread has used so far.
fn by_thread() -> Outcome<BTreeMap<String, f64>> {
    let mut seconds = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let task = entry?.path();
        let name = std::fs::read_to_string(task.join("comm"))?;
        let times = std::fs::read_to_string(task.join("schedstat"))?;
        let nanoseconds = times.split(' ').next().unwrap_or_default();
        *seconds.entry(name.trim().to_owned()).or_default() += nanoseconds.parse::<f64>()? / 1e9;
    }
    Ok(seconds)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}
