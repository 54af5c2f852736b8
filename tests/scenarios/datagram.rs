//! The datagram door over a real unix socket, with a hook that takes down what it is told.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use sealpost::{
    clock::BoxFuture,
    config::TlsrptSocketConfig,
    doors::{
        datagram::{DatagramDoor, DatagramDoorError},
        tlsrpt_datagram::DATAGRAM_OCTETS_MAX,
    },
    hook::{Answer, Asker, AsyncHook, basis::DaneUse},
    net::{activation::Activated, datagram_socket::SocketError},
    observe::Counters,
    record::told::{Ending, Told},
};
use sealpost_plugin_api::{Query, Session};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

/// Adds up what it is told; can be held, so that nothing more is counted.
#[derive(Debug, Default)]
struct Ear {
    state: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// Sessions, good and bad, by domain.
    sessions: BTreeMap<String, (u64, u64)>,
    held: bool,
    waits: bool,
}

impl Ear {
    fn hold(&self) {
        self.state.lock().unwrap().held = true;
    }

    fn let_go(&self) {
        self.state.lock().unwrap().held = false;
        self.changed.notify_all();
    }

    /// Waits until the door stands at it, held.
    fn wait_until_it_waits(&self) {
        let state = self.state.lock().unwrap();
        let held = |state: &mut Heard| !state.waits;
        let patience = Duration::from_secs(60);
        let (state, result) = self
            .changed
            .wait_timeout_while(state, patience, held)
            .unwrap();
        assert!(!result.timed_out());
        drop(state);
    }

    /// Waits for so many sessions in all.
    fn wait_for(&self, count: u64) {
        let state = self.state.lock().unwrap();
        let fewer = |state: &mut Heard| total(&state.sessions) < count;
        let patience = Duration::from_secs(60);
        let (state, result) = self
            .changed
            .wait_timeout_while(state, patience, fewer)
            .unwrap();
        assert!(!result.timed_out(), "{} of {count}", total(&state.sessions));
    }

    fn of(&self, domain: &str) -> (u64, u64) {
        let state = self.state.lock().unwrap();
        state.sessions.get(domain).copied().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        total(&self.state.lock().unwrap().sessions)
    }
}

fn total(sessions: &BTreeMap<String, (u64, u64)>) -> u64 {
    sessions.values().map(|(good, bad)| good + bad).sum()
}

impl AsyncHook for Ear {
    fn policy<'a>(&'a self, _query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        panic!("nobody can ask here")
    }

    fn policy_at_once(&self, _query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
        panic!("nobody can ask here")
    }

    fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {
        panic!("nobody can ask here")
    }

    fn session(&self, _session: &Session<'_>) {
        panic!("everything is told with its policy")
    }

    fn told(&self, told: &Told, sessions: u32) {
        let mut state = self.state.lock().unwrap();
        while state.held {
            state.waits = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.waits = false;
        let counted = state.sessions.entry(told.domain.to_string()).or_default();
        match told.ending {
            Ending::Success => counted.0 += u64::from(sessions),
            Ending::Failure(_) => counted.1 += u64::from(sessions),
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// A door that is being served.
struct Door {
    ear: Arc<Ear>,
    counters: Arc<Counters>,
    path: PathBuf,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

impl Door {
    fn open() -> Self {
        Self::with_room_mib(64)
    }

    fn with_room_mib(waiting_mib_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = TlsrptSocketConfig {
            waiting_mib_max,
            ..config(&directory)
        };
        let counters = Arc::new(Counters::default());
        let door = DatagramDoor::open(&config, &mut Activated::none(), Arc::clone(&counters));
        let ear = Arc::new(Ear::default());
        let (shutdown, stop) = watch::channel(false);
        let serving = tokio::spawn(door.unwrap().unwrap().serve(Arc::clone(&ear) as _, stop));
        Self {
            ear,
            counters,
            path: config.path,
            shutdown,
            serving,
            _directory: directory,
        }
    }

    /// Sends; waits where the kernel's queue is full.
    fn send(&self, datagram: &[u8]) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(datagram, &self.path).unwrap();
    }

    async fn stop(self) -> (Arc<Ear>, Arc<Counters>) {
        self.shutdown.send_replace(true);
        self.serving.await.unwrap();
        assert!(!self.path.exists());
        (self.ear, self.counters)
    }
}

fn config(directory: &TempDir) -> TlsrptSocketConfig {
    TlsrptSocketConfig {
        path: directory.path().join("sealpost/tlsrpt.sock"),
        group: String::new(),
        ..TlsrptSocketConfig::default()
    }
}

fn good(domain: &str) -> String {
    format!(
        r#"{{"dpv": "1","d": "{domain}","pr": "v=TLSRPTv1; rua=mailto:a@{domain}","policies":[{{"policy-type":2,"policy-domain": "{domain}","policy-string":["version: STSv1","mode: enforce","mx: mx.{domain}","max_age: 604800"],"mx-host":["mx.{domain}"],"t":0,"f":0}}]}}"#
    )
}

fn bad(domain: &str, mx: u32) -> String {
    format!(
        r#"{{"d": "{domain}","pr": "v=TLSRPTv1; rua=mailto:a@{domain}","policies":[{{"policy-type":9,"failure-details":[{{"c":201,"s": "192.0.2.1","n": "mx{mx}.{domain}","h": "250-mx{mx}.{domain}\r\n250 SIZE","r": "198.51.100.7"}}],"t":1,"f":1}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_senders_tell_at_once_is_counted_each() {
    let door = Door::open();
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let door = &door;
            scope.spawn(move || {
                for number in 0..500 {
                    door.send(good("one.example").as_bytes());
                    door.send(good(&format!("d{number}.example")).as_bytes());
                    door.send(bad("two.example", sender * 1_000 + number).as_bytes());
                }
            });
        }
    });
    door.ear.wait_for(6_000);
    assert_eq!(door.ear.of("one.example"), (2_000, 0));
    assert_eq!(door.ear.of("d7.example"), (4, 0));
    assert_eq!(door.ear.of("two.example"), (0, 2_000));
    let (_, counters) = door.stop().await;
    assert_eq!(counters.datagrams.value(), 6_000);
    assert_eq!(counters.datagrams_dropped.value(), 0);
    assert_eq!(counters.datagrams_malformed.value(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_rubbish_between_datagrams_disturbs_none_of_them() {
    let door = Door::open();
    let sample = bad("one.example", 1);
    let rubbish = sealpost_kit::mutations(41, &[sample.as_bytes()]);
    for (index, text) in rubbish.iter().enumerate() {
        door.send(text);
        if index % 10 == 0 {
            door.send(good("two.example").as_bytes());
        }
    }
    door.send(b"");
    let long = UnixDatagram::unbound().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&long, 2 << 20).unwrap();
    let octets = vec![b' '; DATAGRAM_OCTETS_MAX + 1];
    // Who may not send as much as that cannot disturb anybody with it.
    let sent = long.send_to(&octets, &door.path).is_ok();
    if !sent {
        crate::skipped::left_out("net.core.wmem_max allows no datagram that is too long");
    }
    let (ear, counters) = door.stop().await;
    assert_eq!(ear.of("two.example"), (100, 0));
    assert_eq!(counters.datagrams.value(), 1_101 + u64::from(sent));
    assert_eq!(
        counters.datagrams_malformed_too_large.value(),
        u64::from(sent)
    );
    let list = counters.list();
    let kinds = list
        .iter()
        .filter(|(name, _)| name.starts_with("datagrams_malformed_"));
    let by_kind: u64 = kinds.map(|(_, count)| count).sum();
    assert!(by_kind > 500);
    assert_eq!(by_kind, counters.datagrams_malformed.value());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_policy_in_a_long_datagram_is_read() {
    let door = Door::open();
    let patterns: Vec<String> = (0..700)
        .map(|number| format!("\"mx{number}.{}.example\"", "long".repeat(10)))
        .collect();
    let patterns = patterns.join(",");
    let mut text = good("one.example");
    text = text.replace("\"mx.one.example\"", &patterns);
    let padding = "x".repeat(DATAGRAM_OCTETS_MAX - 4_096 - text.len());
    let text = text.replacen("v=TLSRPTv1", &padding, 1);
    assert!(text.len() > 200_000);
    door.send(text.as_bytes());
    door.send(text.as_bytes());
    let (ear, _) = door.stop().await;
    assert_eq!(ear.of("one.example"), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_takes_what_was_sent_before_and_turns_away_what_comes_after() {
    let door = Door::open();
    // As many as wait neither in the kernel nor to be counted when the stop comes.
    door.ear.hold();
    door.send(good("one.example").as_bytes());
    door.ear.wait_until_it_waits();
    for _ in 0..1_000 {
        door.send(good("one.example").as_bytes());
    }
    let path = door.path.clone();
    // Connected before, so that it finds the socket without its file.
    let late = UnixDatagram::unbound().unwrap();
    late.connect(&path).unwrap();
    late.set_nonblocking(true).unwrap();
    let ear = Arc::clone(&door.ear);
    let stopping = tokio::spawn(door.stop());
    let mut sent = 0;
    let refused = loop {
        match late.send(good("late.example").as_bytes()) {
            Ok(_) => sent += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    ear.let_go();
    let (ear, counters) = stopping.await.unwrap();
    // While the last are read, or afterwards.
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionRefused];
    assert!(kinds.contains(&refused.kind()), "{refused}");
    assert_eq!(ear.of("one.example"), (1_001, 0));
    assert_eq!(
        ear.of("late.example"),
        (sent, 0),
        "what was taken is counted"
    );
    assert_eq!(counters.datagrams_dropped.value(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_dropped_and_counted_and_no_sender_waits() {
    let door = Door::with_room_mib(1);
    door.ear.hold();
    door.send(good("first.example").as_bytes());
    door.ear.wait_until_it_waits();
    let one = good("one.example");
    // Three times as much as may wait.
    let count = u64::try_from((3 << 20) / one.len()).unwrap();
    for _ in 0..count {
        door.send(one.as_bytes());
    }
    let ear = Arc::clone(&door.ear);
    let stopping = tokio::spawn(door.stop());
    tokio::task::yield_now().await;
    ear.let_go();
    let (ear, counters) = stopping.await.unwrap();
    let dropped = counters.datagrams_dropped.value();
    assert!(
        dropped > count / 2 && dropped < count,
        "{dropped} of {count}"
    );
    assert_eq!(ear.total() + dropped, count + 1);
    assert_eq!(counters.datagrams.value(), count + 1);
}

#[tokio::test]
async fn the_socket_is_where_and_as_the_settings_say() {
    let directory = tempfile::tempdir().unwrap();
    let open = |config: &TlsrptSocketConfig| {
        DatagramDoor::open(config, &mut Activated::none(), Arc::default())
    };
    let config = TlsrptSocketConfig {
        mode: "0620".to_owned(),
        ..config(&directory)
    };
    let door = open(&config).unwrap().unwrap();
    let mode = std::fs::metadata(&config.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o620);
    assert!(matches!(
        open(&config),
        Err(DatagramDoorError::Socket(SocketError::InUse(_)))
    ));
    drop(door);
    assert!(!config.path.exists());
    let no_mode = TlsrptSocketConfig {
        mode: "rw".to_owned(),
        ..config.clone()
    };
    let error = open(&no_mode).unwrap_err().to_string();
    assert!(error.starts_with("tlsrpt_socket.mode: "), "{error}");
    for path in [
        PathBuf::new(),
        directory.path().join("no/postfix/here.sock"),
    ] {
        let config = TlsrptSocketConfig {
            path,
            ..config.clone()
        };
        assert!(open(&config).unwrap().is_none());
    }
}
