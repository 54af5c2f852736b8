//! What a client sees of the door, with a hook that answers by heart.

use std::{os::unix::fs::PermissionsExt as _, sync::Mutex};

use sealpost::{
    clock::BoxFuture,
    doors::socketmap::SocketmapError,
    hook::{
        Answer, Asker,
        basis::{Basis, DaneUse},
    },
    policy::{AppliedPolicy, PolicyType},
    record::told::Told,
};
use sealpost_plugin_api::{Level, Query, Requirement, Session};
use tokio::sync::Semaphore;

use super::*;

/// Answers by the domain's first label, at once but for `slow` and `held`.
pub(super) struct FakeHook {
    queries: Mutex<Vec<String>>,
    answered: Mutex<Vec<String>>,
    /// One more for each question that had to wait.
    waited: Semaphore,
    /// Lets go of one question about `held.*`.
    release: Semaphore,
}

impl FakeHook {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            queries: Mutex::default(),
            answered: Mutex::default(),
            waited: Semaphore::new(0),
            release: Semaphore::new(0),
        })
    }
}

fn answer(domain: &str) -> Arc<Answer> {
    let mx: Vec<String> = match domain.split('.').next() {
        Some("long") => (0..3_000)
            .map(|number| format!("mx{number}.a.test"))
            .collect(),
        _ => vec!["mx1.a.test".to_owned(), "*.b.test".to_owned()],
    };
    let level = match domain.split('.').next() {
        Some("enforce" | "slow" | "held" | "long") => Level::Verify {
            mx_patterns: mx.clone(),
            name: None,
        },
        Some("defer") => Level::Defer,
        _ => Level::May,
    };
    Arc::new(Answer {
        basis: Basis::of_policy(&level),
        requirement: Requirement::new(level, format!("a reason for {domain}")),
        applied: Some(Arc::new(AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain.parse().unwrap(),
            policy_string: vec!["version: STSv1".to_owned()],
            mx_host: mx,
        })),
        dane: None,
    })
}

impl AsyncHook for FakeHook {
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(async move {
            let asked = format!("{} {:?}", query.domain, query.deadline);
            self.queries.lock().unwrap().push(asked);
            self.waited.add_permits(1);
            if query.domain.starts_with("held.") {
                self.release.acquire().await.unwrap().forget();
            } else {
                tokio::task::yield_now().await;
            }
            answer(query.domain)
        })
    }

    fn policy_at_once(&self, query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
        assert_eq!(query.mx, None);
        let waits = ["slow.", "held."]
            .iter()
            .any(|label| query.domain.starts_with(label));
        (!waits).then(|| answer(query.domain))
    }

    fn answered(&self, answer: &Arc<Answer>, asker: Asker) {
        let domain = &answer.applied.as_ref().unwrap().policy_domain;
        self.answered
            .lock()
            .unwrap()
            .push(format!("{domain} {asker:?}"));
    }

    fn session(&self, _session: &Session<'_>) {
        panic!("no session is told here");
    }

    fn told(&self, _told: &Told, _sessions: u32) {
        panic!("no session is told here");
    }
}

const PLAIN: &str = "OK secure match=mx1.a.test:.b.test servername=hostname";

fn named(domain: &str) -> String {
    format!(
        "{PLAIN} policy_type=sts policy_domain={domain} mx_host_pattern=mx1.a.test \
         mx_host_pattern=*.b.test {{ policy_string = version: STSv1 }}"
    )
}

/// Many kinds of requests, and what each is answered.
fn requests() -> Vec<(Vec<u8>, String)> {
    let no_map = "PERM there is no map of this name; the maps are QUERY, QUERYwithTLSRPT and sts";
    let table: [(&[u8], String); 17] = [
        (b"QUERY enforce.test", PLAIN.to_owned()),
        (b"QUERYwithTLSRPT enforce.test", named("enforce.test")),
        (b"querywithtlsrpt [Enforce.TEST.]:25", named("enforce.test")),
        (b"QUERY plain.test", "NOTFOUND ".to_owned()),
        (b"QUERYwithTLSRPT plain.test", "NOTFOUND ".to_owned()),
        (b"QUERYwithTLSRPT slow.test", named("slow.test")),
        (
            b"QUERYwithTLSRPT defer.test",
            "TEMP a reason for defer.test".to_owned(),
        ),
        (b"sts enforce.test", PLAIN.to_owned()),
        (b"sts plain.test", "NOTFOUND ".to_owned()),
        (b"QUERY [192.0.2.1]", "NOTFOUND ".to_owned()),
        (b"QUERY .enforce.test", "NOTFOUND ".to_owned()),
        (b"QUERY", "NOTFOUND ".to_owned()),
        (b"QUERY ", "NOTFOUND ".to_owned()),
        (b"QUERY \xff\xfe.test", "NOTFOUND ".to_owned()),
        (b"", no_map.to_owned()),
        (b"JSON enforce.test", no_map.to_owned()),
        (b"QUERY   enforce.test  ", PLAIN.to_owned()),
    ];
    table
        .map(|(request, reply)| (request.to_vec(), reply))
        .into()
}

#[tokio::test]
async fn every_request_has_its_reply_over_both_kinds_of_socket() {
    let directory = TempDir::new().unwrap();
    let hook = FakeHook::new();
    let config = SocketmapConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..config(&directory)
    };
    let door = Door::open(&config, Arc::clone(&hook) as _);
    let mut client = door.client().await;
    let mut tcp_client = door.tcp_client().await;
    let requests = requests();
    for (request, expected) in &requests {
        let shown = String::from_utf8_lossy(request);
        assert_eq!(client.ask(request).await, *expected, "{shown}");
        assert_eq!(tcp_client.ask(request).await, *expected, "{shown}");
    }
    let asked = 2 * requests.len() as u64;
    assert_eq!(door.counters.socketmap_queries.value(), asked);
    // Two names that are no map, and a deferral.
    assert_eq!(door.counters.socketmap_deferred.value(), 2 * 3);
    assert_eq!(door.counters.socketmap_malformed.value(), 0);
    assert_eq!(*hook.queries.lock().unwrap(), ["slow.test 20s"; 2]);
}

#[tokio::test]
async fn a_key_of_the_greatest_length_is_no_name_and_a_longer_one_no_request() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let mut client = door.client().await;
    let longest = format!("QUERYwithTLSRPT {}", "x".repeat(10_000));
    assert_eq!(client.ask(&longest).await, "NOTFOUND ");
    client.send(netstring(format!("{longest}x"))).await;
    assert_eq!(client.rest().await, "");
    assert_eq!(door.counters.socketmap_malformed.value(), 1);
}

#[tokio::test]
async fn requests_may_arrive_in_pieces_of_any_size_and_all_at_once() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let mut client = door.client().await;
    let requests = requests();
    let octets: Vec<u8> = requests
        .iter()
        .flat_map(|(request, _)| netstring(request))
        .collect();
    for size in (1..=32).chain([64, 100, octets.len()]) {
        for piece in octets.chunks(size) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        for (_, expected) in &requests {
            assert_eq!(client.reply().await, *expected, "{size}");
        }
    }
}

#[tokio::test]
async fn many_requests_at_once_are_answered_in_order() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let mut client = door.client().await;
    let domain = |number: usize| match number % 7 {
        0 => format!("slow.{number}.test"),
        1 => format!("plain.{number}.test"),
        _ => format!("enforce.{number}.test"),
    };
    let (mut reader, mut writer) = tokio::io::split(client.0.into_inner());
    let asking = async {
        for number in 0..5_000 {
            let request = format!("QUERYwithTLSRPT {}", domain(number));
            writer.write_all(&netstring(request)).await.unwrap();
        }
    };
    let answering = async {
        let mut octets = Vec::new();
        let mut expected = Vec::new();
        for number in 0..5_000 {
            let reply = match number % 7 {
                1 => "NOTFOUND ".to_owned(),
                _ => named(&domain(number)),
            };
            expected.extend(netstring(reply));
        }
        octets.resize(expected.len(), 0);
        reader.read_exact(&mut octets).await.unwrap();
        assert!(octets == expected);
    };
    tokio::join!(asking, answering);
    client = door.client().await;
    assert_eq!(client.ask("QUERY plain.test").await, "NOTFOUND ");
}

#[tokio::test]
async fn a_reply_as_long_as_postfix_takes_comes_whole() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let mut client = door.client().await;
    // All of them before one is read.
    let request = netstring("QUERYwithTLSRPT long.test");
    client.send(request.repeat(20)).await;
    for _ in 0..20 {
        let reply = client.reply().await;
        assert!(reply.starts_with("OK secure match=mx0.a.test:mx1.a.test:"));
        assert!(
            reply.len() > 30_000 && reply.len() <= 100_000,
            "{}",
            reply.len()
        );
    }
}

#[tokio::test]
async fn g3_after_what_is_no_netstring_nothing_is_believed() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let good = netstring("QUERYwithTLSRPT slow.test");
    let reply = String::from_utf8(netstring(named("slow.test"))).unwrap();
    let bad: [&[u8]; 9] = [
        b"05:QUERY,",
        b"GET / HTTP/1.1\r\n\r\n",
        b"-1:,",
        b":",
        b"5:QUERY;",
        b"99999999999999999999:",
        b"10017:",
        b"\x16\x03\x01\x02\x00",
        b"\n",
    ];
    for (number, bad) in (1..).zip(bad) {
        let mut client = door.client().await;
        client.send([&good, bad, &good].concat()).await;
        assert_eq!(client.rest().await, reply, "{bad:?}");
        assert_eq!(door.counters.socketmap_malformed.value(), number);
    }
}

#[tokio::test]
async fn d10_each_client_is_expected_to_tell_once_of_each_domain() {
    let directory = TempDir::new().unwrap();
    let hook = FakeHook::new();
    let door = Door::open(&config(&directory), Arc::clone(&hook) as _);
    for _ in 0..2 {
        let mut client = door.client().await;
        for _ in 0..2 {
            for domain in [
                "enforce.test",
                "plain.test",
                "defer.test",
                "slow.test",
                "long.test",
            ] {
                client.ask(format!("QUERYwithTLSRPT {domain}")).await;
            }
        }
        let mut client = door.client().await;
        for _ in 0..2 {
            for domain in ["enforce.test", "plain.test", "defer.test"] {
                client.ask(format!("QUERY {domain}")).await;
            }
        }
    }
    let expected = [
        "enforce.test Telling(PolicyByName)",
        "plain.test Telling(Nothing)",
        "slow.test Telling(PolicyByName)",
        "long.test Telling(Policy)",
        "enforce.test TellingAgain(PolicyByName)",
        "plain.test TellingAgain(Nothing)",
        "slow.test TellingAgain(PolicyByName)",
        "enforce.test Telling(Policy)",
    ];
    let expected: Vec<_> = expected.iter().chain(&expected).copied().collect();
    assert_eq!(*hook.answered.lock().unwrap(), expected);
}

#[tokio::test]
async fn clients_past_the_limit_are_told_to_try_again_and_counted() {
    let directory = TempDir::new().unwrap();
    let config = SocketmapConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        clients_max: 1,
        ..config(&directory)
    };
    let door = Door::open(&config, FakeHook::new());
    let mut first = door.client().await;
    assert_eq!(first.ask("QUERY plain.test").await, "NOTFOUND ");
    let said = "TEMP sealpost has too many clients (socketmap.clients_max)";
    // Over all sockets.
    assert_eq!(door.client().await.reply().await, said);
    assert_eq!(door.tcp_client().await.reply().await, said);
    assert_eq!(door.counters.socketmap_clients_refused.value(), 2);
    assert_eq!(first.ask("QUERY plain.test").await, "NOTFOUND ");
    // When the first has left there is room again.
    drop(first);
    loop {
        let mut next = door.client().await;
        drop(next.0.write_all(&netstring("QUERY plain.test")).await);
        if next.reply().await == "NOTFOUND " {
            break;
        }
    }
}

#[tokio::test]
async fn an_idle_client_is_let_go_and_one_that_never_ends_a_request_too() {
    let directory = TempDir::new().unwrap();
    let config = SocketmapConfig {
        idle_seconds: 0,
        ..config(&directory)
    };
    let door = Door::open(&config, FakeHook::new());
    let mut client = door.client().await;
    assert_eq!(client.rest().await, "");
    let mut client = door.client().await;
    for octet in b"10000:QUERY ".iter().chain(&[b'x'; 9_000]) {
        if client.0.write_all(&[*octet]).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_shuts_down_its_side_gets_all_replies_and_the_end() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&config(&directory), FakeHook::new());
    let mut client = door.client().await;
    client
        .send("16:QUERY plain.test,15:QUERY slow.test,9:QUERY")
        .await;
    client.0.shutdown().await.unwrap();
    assert_eq!(
        client.rest().await,
        format!("9:NOTFOUND ,{}:{PLAIN},", PLAIN.len())
    );
}

#[tokio::test]
async fn a_client_that_leaves_while_its_question_is_open_disturbs_nobody() {
    let directory = TempDir::new().unwrap();
    let hook = FakeHook::new();
    let door = Door::open(&config(&directory), Arc::clone(&hook) as _);
    let mut leaving = door.client().await;
    leaving.send(netstring("QUERY held.test").repeat(2)).await;
    hook.waited.acquire().await.unwrap().forget();
    drop(leaving);
    hook.release.add_permits(2);
    let mut client = door.client().await;
    assert_eq!(client.ask("QUERY plain.test").await, "NOTFOUND ");
    assert_eq!(client.ask("QUERY slow.test").await, PLAIN);
}

#[tokio::test]
async fn at_shutdown_what_was_received_is_answered() {
    let directory = TempDir::new().unwrap();
    let hook = FakeHook::new();
    let door = Door::open(&config(&directory), Arc::clone(&hook) as _);
    let path = door.path().to_owned();
    let mut idle = door.client().await;
    assert_eq!(idle.ask("QUERY plain.test").await, "NOTFOUND ");
    let mut half = door.client().await;
    half.send("16:QUERY pla").await;
    let mut busy = door.client().await;
    let open = netstring("QUERYwithTLSRPT held.test");
    let more = netstring("QUERY slow.test");
    busy.send([&open[..], &more, &more, b"5:QU"].concat()).await;
    // Reads nothing: its replies never leave as a whole.
    let mut hanging = door.client().await;
    hanging.send(netstring("QUERY long.test").repeat(50)).await;
    hook.waited.acquire().await.unwrap().forget();

    let stopping = tokio::spawn(door.stop());
    assert_eq!(idle.rest().await, "");
    assert_eq!(half.rest().await, "");
    hook.release.add_permits(1);
    let (held, slow) = (netstring(named("held.test")), netstring(PLAIN));
    let expected = String::from_utf8([held, slow.clone(), slow].concat()).unwrap();
    assert_eq!(busy.rest().await, expected);
    // Long before the 20 seconds that a question may take.
    stopping.await.unwrap();
    assert!(!path.exists());
    assert!(UnixStream::connect(&path).await.is_err());
    drop(hanging);
}

#[tokio::test]
async fn sent_just_before_the_end_is_received() {
    let directory = TempDir::new().unwrap();
    for _ in 0..50 {
        let door = Door::open(&config(&directory), FakeHook::new());
        let mut client = door.client().await;
        assert_eq!(client.ask("QUERY plain.test").await, "NOTFOUND ");
        // No turn of the runtime lies between the two.
        let sent = client.0.get_mut().try_write(&netstring("QUERY slow.test"));
        door.shutdown.send(true).unwrap();
        sent.unwrap();
        assert_eq!(client.reply().await, PLAIN);
        assert_eq!(client.reply().await, "end");
        door.serving.await.unwrap();
    }
}

#[tokio::test]
async fn the_socket_has_its_mode_and_a_host_without_postfix_has_none() {
    let directory = TempDir::new().unwrap();
    let queue = directory.path().join("spool/postfix");
    let config = SocketmapConfig {
        path: queue.join("sealpost/socketmap.sock"),
        mode: "0606".to_owned(),
        ..config(&directory)
    };
    let open = || Socketmap::open(&config, &mut Activated::none(), Arc::default());
    drop(open().unwrap());
    assert!(!queue.exists());
    // It is served all the same: a door ends when it is told to.
    let door = Door::open(&config, FakeHook::new());
    door.stop().await;
    std::fs::create_dir_all(&queue).unwrap();
    let door = open().unwrap();
    let mode = std::fs::metadata(&config.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o606);
    let error = open().unwrap_err();
    let expected = format!(
        "socketmap.path: another process listens on {}",
        config.path.display()
    );
    assert_eq!(error.to_string(), expected);
    drop(door);
    assert!(!config.path.exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (config, expected) in [
        (
            SocketmapConfig {
                mode: "rw".to_owned(),
                ..config.clone()
            },
            "socketmap.mode: ",
        ),
        (
            SocketmapConfig {
                listen: vec![address],
                ..config.clone()
            },
            "socketmap.listen: cannot listen on 127.0.0.1:",
        ),
    ] {
        let error: SocketmapError =
            Socketmap::open(&config, &mut Activated::none(), Arc::default()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
