//! The daemon as Postfix asks it, and what an operator finds of a mail that had to wait.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sealpost_kit::DnsFault;

use super::host::Host;

/// A connection of Postfix's, whose waits end with an error.
pub(super) fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    let patience = Duration::from_secs(60);
    stream.set_read_timeout(Some(patience)).unwrap();
    stream
}

pub(super) fn ask(client: &mut UnixStream, map: &str, key: &str) -> String {
    let request = format!("{map} {key}");
    write!(client, "{}:{request},", request.len()).unwrap();
    let mut length = 0;
    loop {
        let mut digit = [0];
        client.read_exact(&mut digit).unwrap();
        if digit == *b":" {
            break;
        }
        length = length * 10 + usize::from(digit[0] - b'0');
    }
    let mut reply = vec![0; length + 1];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(reply.pop(), Some(b','));
    String::from_utf8(reply).unwrap()
}

/// A host that Postfix can ask.
pub(super) fn host() -> Host {
    let mut host = Host::new();
    host.set("socketmap.path", "socketmap.sock");
    host.set("socketmap.group", "");
    host
}

#[test]
fn postfix_is_told_what_the_operator_is_shown() {
    let mut host = host();
    host.set_override("turned-off.test", "off");
    host.set_override("testing.test", "enforce");
    host.set_override("policy-none.test", "enforce");
    let daemon = host.start();
    let mut client = connect(&host.file("socketmap.sock"));
    for domain in [
        "correct.test",
        "testing.test",
        "no-policy.test",
        "turned-off.test",
    ] {
        // As it was asked for, and as it is kept.
        for _ in 0..2 {
            let told = ["QUERY", "QUERYwithTLSRPT"].map(|map| ask(&mut client, map, domain));
            let shown = host.json(&["check", domain]);
            let shown = [0, 1].map(|index| &shown["socketmap"][index]["reply"]);
            assert_eq!(shown, [&told[0][..], &told[1]], "{domain}");
        }
    }
    assert_eq!(
        ask(&mut client, "QUERY", "correct.test"),
        "OK secure match=mx.correct.test servername=hostname"
    );
    assert!(ask(&mut client, "QUERYwithTLSRPT", "testing.test").contains("policy_type=sts"));
    assert!(daemon.stop().success());
    assert!(!host.file("socketmap.sock").exists());
}

#[test]
fn g10_why_a_mail_waits_is_in_the_reply_the_log_and_a_counter() {
    let mut host = host();
    host.set("socketmap.deadline_ms", 50);
    host.set("dns.timeout_ms", 60_000);
    let name = "_mta-sts.correct.test";
    host.internet.dns.fail(name, DnsFault::Silence);
    let daemon = host.start();
    let mut client = connect(&host.file("socketmap.sock"));
    let reason = "the policy of correct.test is not known: no answer from DNS or the policy host \
                  in time";
    for map in ["QUERY", "QUERYwithTLSRPT"] {
        assert_eq!(
            ask(&mut client, map, "correct.test"),
            format!("TEMP {reason}")
        );
    }
    assert_eq!(host.counter("socketmap_deferred"), 2);
    assert_eq!(host.counter("socketmap_queries"), 2);
    let log = host.log();
    let line = log
        .lines()
        .find(|line| line.contains("a client TLS configuration problem"))
        .unwrap_or_else(|| panic!("the log does not tell of it:\n{log}"));
    for part in ["WARN", "domain=correct.test", reason] {
        assert!(line.contains(part), "{part}: {line}");
    }
    drop(daemon);
}

const CLIENTS: usize = 10_000;

/// What an idle client may cost the daemon in memory. Most of it is tokio's.
const CLIENT_KIB: usize = 4;

#[test]
fn ten_thousand_idle_clients_do_not_stop_service() {
    let files = CLIENTS as u64 + 1_000;
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.is_none_or(|maximum| maximum >= files);
    assert!(enough, "this test needs {files} open files (ulimit -Hn)");
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let host = host();
    let daemon = host.start();
    let path = host.file("socketmap.sock");
    let correct = "OK secure match=mx.correct.test servername=hostname";
    let mut first = connect(&path);
    assert_eq!(ask(&mut first, "QUERY", "correct.test"), correct);
    let before = resident_kib(daemon.pid());
    // Each is let in and served.
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(&path)).collect();
    for client in &mut clients {
        assert_eq!(ask(client, "QUERY", "correct.test"), correct);
    }
    let each = resident_kib(daemon.pid()).saturating_sub(before) / CLIENTS;
    assert!(each < CLIENT_KIB, "{each} KiB for each");
    let mut late = connect(&path);
    for _ in 0..1_000 {
        assert_eq!(
            ask(&mut late, "QUERYwithTLSRPT", "no-policy.test"),
            "NOTFOUND "
        );
    }
    // And each is still there.
    for client in &mut clients {
        assert_eq!(ask(client, "QUERY", "correct.test"), correct);
    }
    assert_eq!(host.counter("socketmap_clients_refused"), 0);
    assert!(daemon.stop().success());
}

fn resident_kib(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}
