//! Outcomes told while the daemon is restarted again and again, on a datagram socket that systemd
//! holds: each one that the kernel took is counted, once (D14).

use std::{
    io::ErrorKind,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{
    activation::Systemd,
    host::{Host, is_root, until},
};

/// How often the daemon is restarted in the test that always runs, and in the trial.
const RESTARTS: u64 = 10;
const RESTARTS_OF_THE_TRIAL: u64 = 100;

/// How many senders tell at once, as Postfix's smtp(8) processes do. What waits is also charged to
/// the sender's own buffer: of one alone the kernel keeps some 200, whatever the queue's length.
const SENDERS: u64 = 8;

/// What is told in a second in the trial, by all senders together.
const TOLD_PER_SECOND: u64 = 1_000;

/// Set where the trial runs in a network of its own.
const INSIDE: &str = "SEALPOST_TRIAL_INSIDE";

/// An outcome as libtlsrpt 0.5 sends it; every tenth is a failure.
fn outcome(number: u64) -> String {
    let failed = number.is_multiple_of(10);
    let details = if failed {
        r#","failure-details":[{"c":204,"s":"192.0.2.1","n":"mx.correct.test","r":"192.0.2.2"}]"#
    } else {
        ""
    };
    let (total, end) = if failed { (1, 1) } else { (0, 0) };
    format!(
        r#"{{"dpv":"1","d":"correct.test","pr":"v=TLSRPTv1; rua=mailto:tlsrpt@correct.test","policies":[{{"policy-type":2,"policy-domain":"correct.test","policy-string":["version: STSv1","mode: enforce","mx: mx.correct.test","max_age: 604800"],"mx-host":["mx.correct.test"]{details},"t":{total},"f":{end}}}]}}"#
    )
}

/// What the senders have done so far.
#[derive(Default)]
struct Told {
    /// Successes and failures that the kernel took.
    good: AtomicU64,
    bad: AtomicU64,
    /// What it did not take.
    refused: AtomicU64,
    ended: AtomicBool,
}

impl Told {
    fn count(&self, number: u64) {
        let counter = if number.is_multiple_of(10) {
            &self.bad
        } else {
            &self.good
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the senders, also when the test fails.
    fn ended_by_drop(&self) -> impl Drop {
        struct End<'a>(&'a Told);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.ended.store(true, Ordering::Relaxed);
            }
        }
        End(self)
    }

    fn taken(&self) -> (u64, u64) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (value(&self.good), value(&self.bad))
    }
}

/// Tells as fast as the kernel takes it, and waits where it takes no more.
fn tell_all(path: &Path, told: &Told) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    // Only to see that the test is over.
    socket
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut number = 0;
    while !told.ended.load(Ordering::Relaxed) {
        match socket.send(outcome(number).as_bytes()) {
            Ok(_) => {
                told.count(number);
                number += 1;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Tells at an even pace and waits for nothing, as libtlsrpt does (`MSG_DONTWAIT`).
fn tell_evenly(path: &Path, told: &Told) {
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let pause = Duration::from_secs(1) * u32::try_from(SENDERS).unwrap()
        / u32::try_from(TOLD_PER_SECOND).unwrap();
    for number in 0.. {
        if told.ended.load(Ordering::Relaxed) {
            return;
        }
        match socket.send(outcome(number).as_bytes()) {
            Ok(_) => told.count(number),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                told.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
        // The pace of the load; nothing is waited for.
        std::thread::sleep(pause);
    }
}

/// Restarts the daemon under what `tell` tells, and compares what was counted in the end.
fn restart_under_load(restarts: u64, tell: fn(&Path, &Told)) -> Told {
    let mut host = Host::new();
    host.set("tlsrpt_socket.path", "tlsrpt.sock");
    let systemd = Systemd::of(&host);
    let path = host.file("tlsrpt.sock");
    let datagrams = UnixDatagram::bind(&path).unwrap();
    let start = || {
        let passed: OwnedFd = datagrams.try_clone().unwrap().into();
        host.start_activated(systemd.passed_with(passed))
    };
    let told = Told::default();
    let (mut longest, mut between) = (Duration::ZERO, 0);
    let daemon = std::thread::scope(|scope| {
        let end = told.ended_by_drop();
        let mut daemon = start();
        for _ in 0..SENDERS {
            scope.spawn(|| tell(&path, &told));
        }
        for _ in 0..restarts {
            let before = told.taken().0;
            until("the load goes on", || {
                (told.taken().0 > before).then_some(())
            });
            #[expect(
                clippy::disallowed_methods,
                reason = "how long nobody reads is measured"
            )]
            let begun = Instant::now();
            assert!(daemon.stop().success());
            let stopped = told.taken();
            daemon = start();
            between += told.taken().0 - stopped.0;
            longest = longest.max(begun.elapsed());
        }
        drop(end);
        daemon
    });
    // What is still in the kernel is read by the next daemon, if not by this one.
    let (good, bad) = told.taken();
    until("all is counted", || {
        let counted = host.counted(host.day, None);
        assert!(counted.0 <= good && counted.1 <= bad, "{counted:?}");
        (counted == (good, bad)).then_some(())
    });
    assert!(daemon.stop().success());
    println!(
        "{restarts} restarts: {} outcomes taken by the kernel, all counted; {} refused by it; {between} \
         of them told between the end of a daemon and the readiness of the next; longest from SIGTERM to ready {} ms",
        good + bad,
        told.refused.load(Ordering::Relaxed),
        longest.as_millis()
    );
    told
}

#[test]
fn d14_no_outcome_is_lost_while_the_daemon_is_restarted() {
    let told = restart_under_load(RESTARTS, tell_all);
    let (good, bad) = told.taken();
    assert!(good > RESTARTS && bad > 0);
}

#[test]
#[ignore = "a minute, root: 100 restarts"]
fn d14_no_outcome_is_lost_over_a_hundred_restarts() {
    restart_under_load(RESTARTS_OF_THE_TRIAL, tell_all);
}

#[test]
#[ignore = "a minute, root: 100 restarts in a network of its own"]
fn d14_a_sender_that_does_not_wait_loses_nothing_over_a_hundred_restarts() {
    if std::env::var_os(INSIDE).is_some() {
        let told = restart_under_load(RESTARTS_OF_THE_TRIAL, tell_evenly);
        assert_eq!(told.refused.load(Ordering::Relaxed), 0);
        return;
    }
    assert!(is_root(), "only root can make a network of its own");
    // How much the kernel keeps is the network's; the machine's is left alone.
    let script = "ip link set lo up && echo 512 > /proc/sys/net/unix/max_dgram_qlen && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--nocapture", "--exact"]);
    command.arg(concat!(
        "scenarios::daemon::restarts::",
        "d14_a_sender_that_does_not_wait_loses_nothing_over_a_hundred_restarts"
    ));
    let output = command.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
