//! What an MTA sees of the plugin socket: `cargo bench --bench plugin_socket [-- LINES]`.
//!
//! Blocking clients, as MTAs are, speak over a real unix socket to the real door and engine, with
//! every policy known. Three ways to ask: one line after another on a connection, many lines sent
//! before their answers are read, and a connection for each line as Exim's `${readsocket}` makes.
//! The ceiling, in the same run, is a server on the same runtime that sends each line back.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::SystemClock,
    config::{PluginSocketConfig, StoreConfig},
    doors::plugin_socket::PluginSocket,
    store::{MemoryStore, Recorder, Store},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
    sync::watch,
};

mod figures;
mod world;

use figures::{now, say};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const DOMAINS: usize = 1_000;

/// How many lines a client that does not wait sends at once.
const LINES_AT_ONCE: usize = 100;

/// How a client asks.
#[derive(Clone, Copy, Debug)]
enum Way {
    OneByOne,
    ManyAtOnce,
    ConnectionEach,
}

fn main() -> Outcome {
    let lines = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let lines: usize = lines.unwrap_or(100_000);
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let echo = directory.path().join("echo.sock");
    let listener = runtime.block_on(async { UnixListener::bind(&echo) })?;
    runtime.spawn(send_back(listener));

    let config = PluginSocketConfig {
        path: directory.path().join("plugin.sock"),
        ..PluginSocketConfig::default()
    };
    let (engine, _journal, reader) =
        world::engine(StoreConfig::default().queue_sessions_max, &Arc::default());
    let recorder = Recorder::start(
        Arc::new(MemoryStore::default()) as Arc<dyn Store>,
        reader,
        &StoreConfig::default(),
        Arc::default(),
        Arc::new(SystemClock),
    )?;
    let socket = runtime.block_on(async { PluginSocket::bind(&config, Arc::default()) })?;
    let (stop, stopping) = watch::channel(false);
    let serving = runtime.spawn(socket.serve(Arc::new(engine), stopping));

    let policy = |number| format!("POLICY\td{number}.example\n");
    let mx = |number| format!("MX\td{number}.example\tmx.d{number}.example\n");
    let session = |number| {
        format!(
            "SESSION\td{number}.example\tmx=mx.d{number}.example\treceiving-ip=192.0.2.7\t\
             starttls=established\tverified=yes\n"
        )
    };
    // Every domain is asked for once, so that its policy is known.
    measure("warm", &config.path, Way::ManyAtOnce, 1, DOMAINS, policy)?;
    for way in [Way::OneByOne, Way::ManyAtOnce, Way::ConnectionEach] {
        for clients in [1, 16] {
            say(&format!("{way:?}, {clients} clients"));
            measure("ceiling, sent back", &echo, way, clients, lines, mx)?;
            measure("POLICY", &config.path, way, clients, lines, policy)?;
            measure("MX", &config.path, way, clients, lines, mx)?;
            measure("SESSION", &config.path, way, clients, lines, session)?;
        }
    }
    stop.send_replace(true);
    runtime.block_on(serving)?;
    recorder.stop();
    Ok(())
}

/// The ceiling: each line goes back as it came.
async fn send_back(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (reader, mut writer) = stream.into_split();
            let mut reader = tokio::io::BufReader::new(reader);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
                if writer.write_all(&line).await.is_err() {
                    return;
                }
                line.clear();
            }
        });
    }
}

/// Lets clients ask so many lines together, and says how it went.
fn measure(
    what: &str,
    path: &Path,
    way: Way,
    clients: usize,
    lines: usize,
    line: impl Fn(usize) -> String,
) -> Outcome {
    let of_each: Arc<[String]> = (0..DOMAINS).map(line).collect();
    let begun = now();
    let asking: Vec<_> = (0..clients)
        .map(|client| {
            let (path, of_each) = (PathBuf::from(path), Arc::clone(&of_each));
            std::thread::spawn(move || ask(&path, way, client * 61, lines / clients, &of_each))
        })
        .collect();
    let mut waits = Vec::new();
    for thread in asking {
        waits.extend(thread.join().map_err(|_| "a client died")??);
    }
    let took = begun.elapsed();
    waits.sort_unstable();
    let part = |percent| waits.get(waits.len() * percent / 100).copied();
    say(&format!(
        "  {what:20} {:>8.0} lines/s, answered after {:>9.1?} (p50) {:>9.1?} (p99)",
        lines as f64 / took.as_secs_f64(),
        part(50).unwrap_or_default(),
        part(99).unwrap_or_default(),
    ));
    Ok(())
}

/// One client; how long it waited for each answer, or for the answers to a handful of lines.
fn ask(
    path: &Path,
    way: Way,
    first: usize,
    count: usize,
    of_each: &[String],
) -> Outcome<Vec<Duration>> {
    let at_once = match way {
        Way::ManyAtOnce => LINES_AT_ONCE,
        Way::OneByOne | Way::ConnectionEach => 1,
    };
    let mut lines = of_each.iter().cycle().skip(first);
    let mut stream = BufReader::new(UnixStream::connect(path)?);
    let (mut waits, mut answer, mut asked) = (Vec::new(), String::new(), 0);
    while asked < count {
        let text: String = lines.by_ref().take(at_once).map(String::as_str).collect();
        let begun = now();
        if matches!(way, Way::ConnectionEach) {
            stream = BufReader::new(UnixStream::connect(path)?);
        }
        stream.get_mut().write_all(text.as_bytes())?;
        for _ in 0..at_once {
            answer.clear();
            stream.read_line(&mut answer)?;
            if answer.is_empty() || answer.starts_with("ERROR") {
                return Err(format!("answered {answer:?}").into());
            }
        }
        waits.push(begun.elapsed());
        asked += at_once;
    }
    Ok(waits)
}
