//! The store is copied as `docs/guide/backup.md` says, is lost, and comes back.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sealpost_kit::ReportMail;

use super::{
    super::pages::{block, line_of_root, page},
    days::{deliver_well, set_clock_after_night_of, standings, wait_until_sent},
    documents::typed_in_a_shell,
    host::{Daemon, Host, Waited, until},
    suppression::report_of_a_day,
};

/// The copy of a store that nobody writes to.
const STOPPED: &str = "tar -czf /root/sealpost.tar.gz -C / etc/sealpost";

/// The same of one that was copied by command.
const COPIED: &str = "tar -czf /root/sealpost.tar.gz -C / --exclude";

/// A host whose files lie below a root of their own, where the page has `/`.
fn host_below_a_root() -> Host {
    let mut host = Host::new();
    let root = host.file("root");
    fs::create_dir_all(root.join("root")).unwrap();
    fs::create_dir_all(root.join("etc/sealpost")).unwrap();
    fs::create_dir_all(root.join("var/lib/sealpost")).unwrap();
    fs::copy(host.file("rsa.pem"), root.join("etc/sealpost/rsa.pem")).unwrap();
    let store = root.join("var/lib/sealpost/store");
    host.set("store.path", store.to_str().unwrap());
    host
}

/// Types the line of the page that begins so, below that root.
fn type_line(host: &Host, start: &str) {
    let line = line_of_root(&page("guide/backup.md"), start);
    let root = host.file("root");
    let root = root.to_str().unwrap();
    let typed = line
        .replace("-C /", &format!("-C {root}/"))
        .replace(" /root/", &format!(" {root}/root/"))
        .replace(" /var/", &format!(" {root}/var/"));
    let output = typed_in_a_shell(host, &typed);
    assert!(output.status.success(), "{typed}: {output:?}");
}

/// Tells sessions of a domain without a policy until it is told to stop, and gives how many were taken.
fn tell_on(host: &Host, stop: &AtomicBool) -> u64 {
    let mut told = 0;
    while !stop.load(Ordering::Relaxed) {
        let line = "SESSION\tno-policy.test\tmx=mx.no-policy.test\toutcome=success";
        assert_eq!(host.say(line), "OK");
        told += 1;
    }
    told
}

#[test]
fn f16_a_store_is_copied_while_its_daemon_counts_and_comes_back_whole() {
    let host = host_below_a_root();
    let daemon = host.start();
    let set = ["override", "set", "elsewhere.test", "--mode", "audit"];
    host.shown(&[&set[..], &["--reason", "their MX moves"]].concat());
    deliver_well(&host, "correct.test");
    let digest = host.json(&["audit", "--verify"]);
    let stop = AtomicBool::default();
    let told = thread::scope(|scope| {
        let telling = scope.spawn(|| tell_on(&host, &stop));
        until("some are counted", || {
            (host.counted(host.day, Some("no-policy.test")).0 > 100).then_some(())
        });
        type_line(&host, "sealpost store copy");
        stop.store(true, Ordering::Relaxed);
        telling.join().unwrap()
    });
    // Nothing was held up or lost for it, and nobody else may read it.
    assert_eq!(host.counted(host.day, Some("no-policy.test")), (told, 0));
    host.wait_for_log("the store was copied");
    let copy = host.file("root/var/lib/sealpost/copy");
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // A second one writes over nothing, and says where it may be.
    let refused = host.run(&["store", "copy", copy.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains("it is there already"), "{said}");

    type_line(&host, COPIED);
    type_line(&host, "rm -rf /var/lib/sealpost/copy");
    assert!(!copy.exists());
    assert!(daemon.stop().success());
    type_line(&host, "rm -rf /var/lib/sealpost/store");
    type_line(&host, "tar -xzpf");
    let daemon = host.start();
    assert!(!host.log().contains("damaged"), "{}", host.log());
    let (sessions, failures) = host.counted(host.day, Some("no-policy.test"));
    assert!(
        sessions > 100 && sessions <= told && failures == 0,
        "{sessions} of {told}"
    );
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    // What protected them is of the same moment.
    let protected = host.json(&["status", "--security"]);
    let domains = protected["domains"].as_array().unwrap().iter();
    let mut of_domain = domains.filter(|each| each["domain"] == "no-policy.test");
    assert_eq!(of_domain.next().unwrap()["tls"], sessions, "{protected}");
    assert!(host.shown(&["override", "list"]).contains("elsewhere.test"));
    let known = digest["sha256"].as_str().unwrap();
    let verified = host.run(&["audit", "--verify", "--contains", known]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(daemon.stop().success());
}

fn ids_in_the_inbox(host: &Host) -> Vec<String> {
    let messages = host.internet.inbox.messages();
    let id = |message: &sealpost_kit::Message| {
        let mail = ReportMail::parse(&message.data).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&mail.json).unwrap();
        report["report-id"].as_str().unwrap().to_owned()
    };
    messages.iter().map(id).collect()
}

#[test]
fn f16_a_store_that_was_copied_after_the_night_comes_back_whole_and_sends_nothing_twice() {
    let host = host_below_a_root();
    let daemon = host.start();
    let set = ["override", "set", "elsewhere.test", "--mode", "audit"];
    host.shown(&[&set[..], &["--reason", "their MX moves"]].concat());
    report_of_a_day(&host, host.day);
    wait_until_sent(&host, host.day, "correct.test");
    let digest = host.json(&["audit", "--verify"]);
    assert!(daemon.stop().success());
    type_line(&host, STOPPED);
    type_line(&host, "rm -rf /var/lib/sealpost/store");
    fs::remove_dir_all(host.file("root/etc/sealpost")).unwrap();
    type_line(&host, "tar -xzpf");
    assert!(host.file("root/etc/sealpost/rsa.pem").exists());

    let daemon = host.start();
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    let kept = &host.json(&["policy", "list"])["policies"];
    assert!(kept.to_string().contains("correct.test"), "{kept}");
    assert!(host.shown(&["override", "list"]).contains("elsewhere.test"));
    let known = digest["sha256"].as_str().unwrap();
    let verified = host.run(&["audit", "--verify", "--contains", known]);
    assert!(verified.status.success(), "{verified:?}");
    let sent = ("correct.test".to_owned(), "sent".to_owned());
    assert!(standings(&host, host.day).contains(&sent));
    host.run(&["report", "send", "--day", &host.day.to_string()]);
    assert_eq!(ids_in_the_inbox(&host).len(), 1);
    assert!(daemon.stop().success());
}

/// A day's session is counted and copied, and then its report leaves. Gives the daemon that runs on.
fn copied_and_then_reported(host: &Host) -> Daemon {
    let daemon = host.start();
    deliver_well(host, "correct.test");
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    assert!(daemon.stop().success());
    type_line(host, STOPPED);
    let daemon = host.start();
    set_clock_after_night_of(host, host.day);
    wait_until_sent(host, host.day, "correct.test");
    daemon
}

#[test]
fn f16_a_report_that_left_after_the_copy_leaves_again_under_its_id_unless_reports_are_off() {
    let mut host = host_below_a_root();
    let daemon = copied_and_then_reported(&host);
    assert!(daemon.stop().success());
    type_line(&host, "rm -rf /var/lib/sealpost/store");
    type_line(&host, "tar -xzpf");

    host.set("report.enabled", false);
    let daemon = host.start();
    host.run(&["report", "send", "--day", &host.day.to_string()]);
    assert!(daemon.stop().success());
    assert_eq!(ids_in_the_inbox(&host).len(), 1);

    // Where they are on, it is sent once more, and receivers know it.
    host.set("report.enabled", true);
    let daemon = host.start();
    let ids = until("the second copy is there", || {
        let ids = ids_in_the_inbox(&host);
        (ids.len() == 2).then_some(ids)
    });
    assert_eq!(ids[0], ids[1]);
    wait_until_sent(&host, host.day, "correct.test");
    assert!(daemon.stop().success());
}

#[test]
fn a_copy_is_looked_at_by_a_second_daemon_that_sends_nothing_and_answers_nobody() {
    let host = host_below_a_root();
    let daemon = copied_and_then_reported(&host);

    let look = host.file("look");
    fs::create_dir(&look).unwrap();
    let unpacked = typed_in_a_shell(&host, "tar -xzpf root/root/sealpost.tar.gz -C look");
    assert!(unpacked.status.success(), "{unpacked:?}");
    let lines = block(&page("guide/backup.md"), "[report]");
    fs::write(look.join("look.toml"), lines).unwrap();
    let program = host.serve().get_program().to_owned();
    let clock = host.file("clock");
    let config = look.join("look.toml");
    let look_at = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).arg("--config").arg(&config);
        command
    };
    let mut second = look_at(&["serve", "--laboratory-clock", clock.to_str().unwrap()]);
    let second = Waited(second.stderr(Stdio::null()).spawn().unwrap());
    until("the second daemon answers", || {
        let status = look_at(&["status"]).output().unwrap();
        status.status.success().then_some(())
    });
    let day = host.day.to_string();
    let counted = look_at(&["sessions", "--day", &day]).output().unwrap();
    let counted = String::from_utf8(counted.stdout).unwrap();
    assert!(counted.contains("correct.test"), "{counted}");
    let kept = look_at(&["policy", "list"]).output().unwrap();
    assert!(
        String::from_utf8(kept.stdout)
            .unwrap()
            .contains("correct.test")
    );
    // The first is as it was, and of the copy's report there is no second one.
    let sent = look_at(&["report", "send", "--day", &day])
        .output()
        .unwrap();
    assert!(!sent.status.success(), "{sent:?}");
    drop(second);
    assert_eq!(ids_in_the_inbox(&host).len(), 1);
    assert!(daemon.stop().success());
}
