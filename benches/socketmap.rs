//! What Postfix sees of the socketmap: `cargo bench --bench socketmap [-- LOOKUPS [ROUNDS]]`.
//! With the word `door` or `ceiling` one of the two runs alone, for a profile.
//!
//! Blocking clients, as Postfix's are, ask one question after another over the real unix socket of the
//! real door and engine, with every policy known. The ceiling, in the same run and on the same
//! runtime, is a server that reads as much and writes as much, the same reply to everything. The two
//! take turns. CPU is that of the runtime's threads alone, from /proc.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost::{
    config::{SocketmapConfig, StoreConfig},
    doors::socketmap::Socketmap,
    net::activation::Activated,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
    sync::watch,
};

mod figures;
mod threads;
mod world;

use figures::{now, say};
use threads::cpu_of;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DOMAINS: usize = 1_000;

/// The runtime's threads, by their name in /proc.
const THREADS: &str = "served";

/// How one run went.
#[derive(Clone, Copy)]
struct Run {
    lookups_per_second: f64,
    /// For 100,000 lookups.
    cpu_seconds: f64,
    middle: Duration,
    slow: Duration,
}

fn main() -> Outcome {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let lookups: usize = numbers.next().unwrap_or(60_000);
    let rounds = numbers.next().unwrap_or(5);
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name(THREADS)
        .enable_all()
        .build()?;
    let config = SocketmapConfig {
        path: directory.path().join("socketmap.sock"),
        group: String::new(),
        ..SocketmapConfig::default()
    };
    let sessions_max = StoreConfig::default().queue_sessions_max;
    let (engine, _journal, _reader) = world::engine(sessions_max, &Arc::default());
    let (stop, stopping) = watch::channel(false);
    let mut activated = Activated::none();
    let door =
        runtime.block_on(async { Socketmap::open(&config, &mut activated, Arc::default()) })?;
    let serving = runtime.spawn(door.serve(Arc::new(engine), stopping));

    let requests: Arc<[Vec<u8>]> = (0..DOMAINS)
        .map(|number| netstring(&format!("QUERYwithTLSRPT d{number}.example")))
        .collect();
    // Every domain is asked for once, so that its policy is known. The replies differ by digits.
    let reply = ask(&config.path, 0, DOMAINS, &requests, None)?.1;
    let fixed = directory.path().join("fixed.sock");
    let listener = runtime.block_on(async { UnixListener::bind(&fixed) })?;
    runtime.spawn(always_the_same(listener, reply.clone()));
    say(&format!("replies of {} octets", reply.len()));
    let alone = std::env::args().find_map(|word| match &*word {
        "door" => Some(config.path.clone()),
        "ceiling" => Some(fixed.clone()),
        _ => None,
    });
    for clients in [1, 16, 64] {
        if let Some(path) = &alone {
            let run = measure(path, clients, lookups, &requests)?;
            show(clients, &[(run, run)]);
            continue;
        }
        let mut both = Vec::new();
        for _ in 0..rounds {
            let ceiling = measure(&fixed, clients, lookups, &requests)?;
            both.push((ceiling, measure(&config.path, clients, lookups, &requests)?));
        }
        show(clients, &both);
    }
    stop.send_replace(true);
    runtime.block_on(serving)?;
    Ok(())
}

/// The ceiling.
async fn always_the_same(listener: UnixListener, reply: Vec<u8>) {
    let reply: Arc<[u8]> = reply.into();
    while let Ok((mut stream, _)) = listener.accept().await {
        let reply = Arc::clone(&reply);
        tokio::spawn(async move {
            let mut request = [0; 1_024];
            while matches!(stream.read(&mut request).await, Ok(1..)) {
                if stream.write_all(&reply).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Lets clients ask so many questions together.
fn measure(path: &Path, clients: usize, lookups: usize, requests: &Arc<[Vec<u8>]>) -> Outcome<Run> {
    let cpu = cpu_of(THREADS)?;
    let begun = now();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (path, requests) = (PathBuf::from(path), Arc::clone(requests));
            let mut waits = Vec::with_capacity(lookups / clients);
            std::thread::spawn(move || {
                ask(
                    &path,
                    client * 61,
                    lookups / clients,
                    &requests,
                    Some(&mut waits),
                )?;
                Outcome::Ok(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for thread in asking {
        waits.extend(thread.join().map_err(|_| "a client died")??);
    }
    let (took, cpu) = (begun.elapsed(), cpu_of(THREADS)? - cpu);
    waits.sort_unstable();
    let part = |percent| waits.get(waits.len() * percent / 100).copied();
    Ok(Run {
        lookups_per_second: waits.len() as f64 / took.as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64() * 100_000.0 / waits.len() as f64,
        middle: part(50).unwrap_or_default(),
        slow: part(99).unwrap_or_default(),
    })
}

/// One client; gives its connection and the last reply.
fn ask(
    path: &Path,
    first: usize,
    count: usize,
    requests: &[Vec<u8>],
    mut waits: Option<&mut Vec<Duration>>,
) -> Outcome<(UnixStream, Vec<u8>)> {
    let mut stream = UnixStream::connect(path)?;
    let mut reply = vec![0; 4_096];
    let mut length = 0;
    for request in requests.iter().cycle().skip(first).take(count) {
        let begun = now();
        stream.write_all(request)?;
        length = 0;
        // A reply is written at once, and ends with a comma that stands nowhere else.
        while reply.get(..length).is_none_or(|read| !read.ends_with(b",")) {
            let read = stream.read(reply.get_mut(length..).unwrap_or_default())?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            length += read;
        }
        if let Some(waits) = waits.as_deref_mut() {
            waits.push(begun.elapsed());
        }
    }
    reply.truncate(length);
    if !reply.starts_with(b"3") {
        return Err(format!("answered {:?}", String::from_utf8_lossy(&reply)).into());
    }
    Ok((stream, reply))
}

fn netstring(content: &str) -> Vec<u8> {
    format!("{}:{content},", content.len()).into_bytes()
}

/// The middle of the rounds, and the door against the ceiling of its own round.
fn show(clients: usize, both: &[(Run, Run)]) {
    let line = |what: &str, run: &dyn Fn(&(Run, Run)) -> Run| {
        let of = |value: &dyn Fn(Run) -> f64| middle(both.iter().map(|each| value(run(each))));
        let micro = |value: f64| value * 1e6;
        say(&format!(
            "  {what:8} {:>8.0} lookups/s, CPU {:.2} s for 100,000, answered after {:>7.1} us \
             (p50) {:>7.1} us (p99)",
            of(&|run| run.lookups_per_second),
            of(&|run| run.cpu_seconds),
            micro(of(&|run| run.middle.as_secs_f64())),
            micro(of(&|run| run.slow.as_secs_f64())),
        ));
    };
    say(&format!("{clients} connections"));
    line("ceiling", &|each| each.0);
    line("door", &|each| each.1);
    let ratio = |of: fn(&Run) -> f64| middle(both.iter().map(|(one, two)| of(two) / of(one)));
    say(&format!(
        "  door by ceiling: rate {:.3}, CPU {:.3}",
        ratio(|run| run.lookups_per_second),
        ratio(|run| run.cpu_seconds),
    ));
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
