//! Outcomes told by datagram, as Postfix tells them through libtlsrpt, from the socket to what an
//! operator sees.

use std::{
    io::ErrorKind,
    os::unix::net::{UnixDatagram, UnixListener},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::host::{Daemon, Host, is_root, until};
use crate::skipped::skipped;

const GOOD: &str = r#"{"d": "Correct.test.","pr": "v=TLSRPTv1; rua=mailto:tlsrpt@correct.test","policies":[{"policy-type":2,"policy-domain": "correct.test","policy-string":["version: STSv1","mode: enforce","mx: mx.correct.test","max_age: 604800"],"mx-host":["mx.correct.test"],"t":0,"f":0}]}"#;

const BAD: &str = r#"{"d": "correct.test","pr": "v=TLSRPTv1; rua=mailto:tlsrpt@correct.test","policies":[{"policy-type":2,"policy-domain": "correct.test","policy-string":["version: STSv1","mode: enforce","mx: mx.correct.test","max_age: 604800"],"mx-host":["mx.correct.test"],"failure-details":[{"c":205,"s": "192.0.2.1","n": "mx.correct.test","h": "250-mx.correct.test greets you\r\n250-STARTTLS\r\n250 SMTPUTF8","r": "198.51.100.7","f": "self-signed_certificate"}],"t":1,"f":1}]}"#;

/// A host with the door.
fn host() -> Host {
    let mut host = Host::new();
    host.set("tlsrpt_socket.path", "spool/tlsrpt.sock");
    host.set("tlsrpt_socket.group", "");
    // Only what the daemon's end writes is on the disk.
    host.set("store.commit_interval_ms", 60_000);
    host
}

fn socket(host: &Host) -> PathBuf {
    host.file("spool/tlsrpt.sock")
}

/// As libtlsrpt does: a socket for each, one try.
fn tell(path: &Path, datagram: &str) -> std::io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(datagram.as_bytes(), path).map(|_| ())
}

/// Tells it once the kernel has room.
#[track_caller]
fn tell_surely(path: &Path, datagram: &str) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(datagram.as_bytes(), path).unwrap();
}

/// Starts the daemon where the kernel keeps so many datagrams. That is a number of the network
/// namespace in which the socket is made; its file is found from any.
#[track_caller]
fn start_with_queue_of(length: u32, host: &Host) -> Daemon {
    host.write_config();
    let serve = host.serve();
    let script = format!("echo {length} > /proc/sys/net/unix/max_dgram_qlen && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script, "sh"]);
    command.arg(serve.get_program()).args(serve.get_args());
    host.start_as(command)
}

#[test]
fn d10_what_is_told_by_datagram_is_seen_with_its_policy() {
    let host = host();
    let daemon = host.start();
    tell_surely(&socket(&host), GOOD);
    tell_surely(&socket(&host), GOOD);
    tell_surely(&socket(&host), BAD);
    until("three sessions are counted", || {
        (host.counted(host.day, Some("correct.test")) == (2, 1)).then_some(())
    });
    let sessions = host.json(&["sessions", "--domain", "correct.test"]);
    let policy = &sessions["domains"][0]["policies"][0];
    assert_eq!(policy["policy"]["policy_type"], "sts");
    assert_eq!(policy["policy"]["policy_string"][1], "mode: enforce");
    let detail = &policy["details"][0];
    for (member, expected) in [
        ("result_type", "certificate-not-trusted"),
        ("reason", "self-signed_certificate"),
        ("mx", "mx.correct.test"),
        ("mx_helo", "mx.correct.test"),
        ("receiving_ip", "198.51.100.7"),
        ("sending_ip", "192.0.2.1"),
    ] {
        assert_eq!(detail[member], expected, "{member} of {detail}");
    }
    assert_eq!(host.counter("datagrams"), 3);
    assert!(daemon.stop().success());
    assert!(!socket(&host).exists());
}

#[test]
fn g3_what_is_not_understood_is_counted_by_kind_and_shown_harmless_and_not_often() {
    let host = host();
    let daemon = host.start();
    for number in 0..200 {
        tell_surely(&socket(&host), &format!("\u{1b}[2J\r\nforged {number}"));
        tell_surely(&socket(&host), &BAD.replace("205", "207"));
        tell_surely(&socket(&host), GOOD);
    }
    until("the good ones are counted", || {
        (host.counted(host.day, None) == (200, 0)).then_some(())
    });
    for (counter, expected) in [
        ("datagrams", 600),
        ("datagrams_malformed", 400),
        ("datagrams_malformed_not_json", 200),
        ("datagrams_malformed_failure_code", 200),
        ("datagrams_malformed_shape", 0),
    ] {
        assert_eq!(host.counter(counter), expected, "{counter}");
    }
    assert!(daemon.stop().success());
    let log = host.log();
    assert_eq!(
        log.matches("a datagram is not understood").count(),
        2,
        "{log}"
    );
    assert!(log.contains("the failure code \"c\" is 207"), "{log}");
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("forged")));
}

#[test]
fn d14_sigterm_loses_nothing_that_was_sent() {
    let host = host();
    let mut told = 0;
    for _ in 0..5 {
        let daemon = host.start();
        told += told_until_the_end(&host, daemon);
    }
    let daemon = host.start();
    assert_eq!(host.counted(host.day, None), (told, 0));
    assert_eq!(host.counter("datagrams"), 0);
    assert!(daemon.stop().success());
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

/// Tells while the daemon is stopped, until nobody hears it; how many were taken.
fn told_until_the_end(host: &Host, daemon: Daemon) -> u64 {
    let told = AtomicU64::new(0);
    let path = socket(host);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    match tell(&path, GOOD) {
                        Ok(()) => drop(told.fetch_add(1, Ordering::SeqCst)),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            std::thread::yield_now();
                        }
                        Err(_) => return,
                    }
                }
            });
        }
        until("it is well under way", || {
            (told.load(Ordering::SeqCst) > 2_000).then_some(())
        });
        assert!(daemon.stop().success());
    });
    told.into_inner()
}

#[test]
fn d14_over_restarts_on_systemds_socket_nothing_is_lost_while_mail_goes_on() {
    let host = host();
    std::fs::create_dir(host.file("spool")).unwrap();
    let systemd = UnixDatagram::bind(socket(&host)).unwrap();
    let plugin = UnixListener::bind(host.plugin_socket()).unwrap();
    let start = || {
        host.start_activated(vec![
            systemd.try_clone().unwrap().into(),
            plugin.try_clone().unwrap().into(),
        ])
    };
    let (ended, told) = (AtomicBool::new(false), AtomicU64::new(0));
    let path = socket(&host);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It waits while the kernel's queue is full, as it soon is when no daemon runs.
            while !ended.load(Ordering::SeqCst) {
                tell_surely(&path, GOOD);
                told.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..10 {
            let daemon = start();
            let before = told.load(Ordering::SeqCst);
            until("it is well under way", || {
                (told.load(Ordering::SeqCst) > before + 100).then_some(())
            });
            assert!(daemon.stop().success());
        }
        ended.store(true, Ordering::SeqCst);
        // Its last one may wait for room.
        assert!(start().stop().success());
    });
    let daemon = start();
    let told = told.into_inner();
    until("all are counted", || {
        let counted = host.counted(host.day, None);
        assert!(counted.0 <= told);
        (counted == (told, 0)).then_some(())
    });
    assert!(daemon.stop().success());
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

#[test]
fn a_burst_of_400_at_a_queue_of_512_loses_nothing() {
    if !is_root() {
        skipped("only root can make a namespace with another net.unix.max_dgram_qlen");
        return;
    }
    let host = host();
    let daemon = start_with_queue_of(512, &host);
    assert!(!host.log().contains("max_dgram_qlen"), "{}", host.log());
    let path = socket(&host);
    for burst in 1..=10 {
        for number in 0..400 {
            if let Err(error) = tell(&path, GOOD) {
                panic!("{number} of burst {burst}: {error}");
            }
        }
        until("the burst is counted", || {
            (host.counter("datagrams") == burst * 400).then_some(())
        });
    }
    assert_eq!(host.counter("datagrams_dropped"), 0);
    assert!(daemon.stop().success());
    let daemon = host.start();
    assert_eq!(host.counted(host.day, None), (4_000, 0));
    assert!(daemon.stop().success());
}

#[test]
fn a_short_queue_of_the_kernel_is_warned_of_with_what_to_do() {
    if !is_root() {
        skipped("only root can make a namespace with another net.unix.max_dgram_qlen");
        return;
    }
    let host = host();
    let daemon = start_with_queue_of(10, &host);
    let log = host.log();
    for words in [
        "net.unix.max_dgram_qlen is 10",
        "sysctl -w net.unix.max_dgram_qlen=512",
        "/etc/sysctl.d/",
        "restart sealpost",
    ] {
        assert!(log.contains(words), "{words} is not in\n{log}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn without_postfix_the_door_stays_closed_and_the_log_says_so() {
    let mut host = host();
    host.set("tlsrpt_socket.path", "no/postfix/tlsrpt.sock");
    let daemon = host.start();
    let missing = host.file("no").display().to_string();
    let log = host.log();
    assert!(
        log.contains(&format!(
            "tlsrpt_socket.path: not opened, for there is no {missing}"
        )),
        "{log}"
    );
    assert!(!Path::new(&missing).exists());
    assert!(daemon.stop().success());
}
