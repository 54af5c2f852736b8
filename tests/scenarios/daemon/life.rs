//! How the daemon starts, stops and takes up changes, as systemd and an operator see it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    sync::atomic::{AtomicU64, Ordering},
};

use super::host::{Host, level, until};

/// A line that tells of a good session.
const GOOD: &str = "SESSION\tcorrect.test\tmx=mx.correct.test\toutcome=success";

#[test]
fn what_was_told_just_before_sigterm_is_on_the_disk() {
    let mut host = Host::new();
    // The clock writes nothing: what is on the disk was written by the daemon's end.
    host.set("store.commit_interval_ms", 60_000);
    let daemon = host.start();
    let idle = UnixStream::connect(host.plugin_socket()).unwrap();
    let answers = host.say_all(&vec![GOOD; 500]);
    assert!(answers.iter().all(|answer| answer == "OK"));
    assert!(daemon.stop().success());
    drop(idle);
    assert!(!host.plugin_socket().exists() && !host.file("control.sock").exists());
    let daemon = host.start();
    assert_eq!(host.counted(host.day, None), (500, 0));
    assert!(daemon.stop().success());
    let log = host.log();
    assert_eq!(log.matches("sealpost is ready").count(), 2, "{log}");
    assert!(
        !log.contains("ERROR"),
        "a quiet life is not logged as one:\n{log}"
    );
}

#[test]
fn a_changed_file_is_taken_up_by_sighup() {
    let mut host = Host::new();
    let mut daemon = host.start();
    let question = "POLICY\tcorrect.test";
    assert_eq!(level(&host.say(question)), "verify");

    host.set_override("correct.test", "off");
    host.set("log.level", "error");
    host.write_config();
    daemon.reload();
    let off = host.say(question);
    assert_eq!(level(&off), "may", "{off}");
    let overrides = host.json(&["status"])["overrides"].clone();
    assert_eq!(overrides[0]["domain"], "correct.test");
    assert_eq!(overrides[0]["mode"], "off");
    // Of the reload itself the new level lets nothing through.
    assert!(!host.log().contains("the configuration is read again"));

    // A wrong file: it is said where and why, and what holds goes on holding.
    let right = fs::read_to_string(host.file("sealpost.toml")).unwrap();
    fs::write(
        host.file("sealpost.toml"),
        "[domain.\"correct.test\"]\nmode = \"enforced\"\n",
    )
    .unwrap();
    daemon.reload();
    let log = host.log();
    let place = format!("{}:2:8: ", host.file("sealpost.toml").display());
    assert!(
        log.contains("the configuration is not taken up") && log.contains(&place),
        "{place} is not in\n{log}"
    );
    assert_eq!(level(&host.say(question)), "may");
    fs::write(host.file("sealpost.toml"), right).unwrap();

    // What only a restart takes up is named: as long as it differs, and not when it is put back.
    host.set("log.level", "info");
    host.set("store.keep_days", 31);
    host.write_config();
    daemon.reload();
    let said = "[store] has changed; that is taken up at the next start";
    assert_eq!(host.log().matches(said).count(), 1, "{}", host.log());
    daemon.reload();
    assert_eq!(host.log().matches(said).count(), 2, "{}", host.log());
    host.set("store.keep_days", 30);
    host.write_config();
    daemon.reload();
    let log = host.log();
    assert_eq!(log.matches(said).count(), 2, "{log}");
    assert_eq!(log.matches("the configuration is read again").count(), 3);
    assert!(daemon.stop().success());
}

#[test]
fn a_status_names_the_store_in_use_not_the_one_of_the_next_start() {
    let mut host = Host::new();
    let mut daemon = host.start();
    host.set("store.path", "elsewhere");
    host.write_config();
    daemon.reload();
    let status = host.json(&["status"]);
    let used = host.file("store");
    assert_eq!(status["store"]["path"], used.to_str().unwrap());
}

#[test]
fn d14_kill_9_loses_nothing_that_was_seen_on_the_disk_and_makes_nothing_up() {
    let host = Host::new();
    let told = AtomicU64::new(0);
    let mut acknowledged = 0;
    for _ in 0..3 {
        let daemon = host.start();
        let before = host.counted(host.day, None);
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| tell_until_the_end(&host, &told));
            // Each look brings what was told so far to the disk first.
            let seen = until("sessions are counted", || {
                let (good, _) = host.counted(host.day, None);
                (good >= acknowledged + 1_000).then_some(good)
            });
            daemon.kill();
            seen
        });
        assert_eq!(before.1, 0);
        acknowledged = seen;
        let daemon = host.start();
        let (good, bad) = host.counted(host.day, None);
        let told = told.load(Ordering::SeqCst);
        assert!(
            (acknowledged..=told).contains(&good) && bad == 0,
            "{good} of {told} told, {acknowledged} seen on the disk; {bad} bad"
        );
        let preview = host.json(&["report", "preview", "correct.test"]);
        assert_eq!(preview["sessions"], good);
        acknowledged = good;
        assert!(daemon.stop().success());
    }
}

/// Tells of sessions until the daemon is gone, each counted before it is told.
fn tell_until_the_end(host: &Host, told: &AtomicU64) {
    let mut stream = UnixStream::connect(host.plugin_socket()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    loop {
        told.fetch_add(1, Ordering::SeqCst);
        let mut answer = String::new();
        let written = stream.write_all(format!("{GOOD}\n").as_bytes());
        if written.is_err() || !matches!(answers.read_line(&mut answer), Ok(1..)) {
            return;
        }
        assert_eq!(answer, "OK\n");
    }
}
