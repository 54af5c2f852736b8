//! Trouble with the store: mail goes on, the operator is told, nothing is lost that need not be.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::host::{Daemon, Host, field, is_root, level, until};

fn tell_good(host: &Host, domain: &str) {
    let told = host.say(&format!(
        "SESSION\t{domain}\tmx=mx.{domain}\toutcome=success"
    ));
    assert_eq!(told, "OK");
}

fn alarms(host: &Host) -> Vec<String> {
    let status = host.json(&["status"]);
    let alarms = status["alarms"].as_array().unwrap().iter();
    alarms
        .map(|alarm| alarm.as_str().unwrap().to_owned())
        .collect()
}

/// What stands beside the store with its name at the front.
fn put_aside(host: &Host) -> Vec<PathBuf> {
    let entries = fs::read_dir(host.directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("store.damaged-")
        })
        .collect()
}

#[test]
fn a_damaged_store_is_put_aside_loudly_and_mail_goes_on() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    tell_good(&host, "correct.test");
    assert_eq!(host.counted(host.day, None), (1, 0));
    assert!(daemon.stop().success());
    for entry in fs::read_dir(host.file("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name().unwrap() != "lock" {
            fs::write(&path, "garbage ".repeat(10_000)).unwrap();
        }
    }

    let daemon = host.start();
    let aside = put_aside(&host);
    assert_eq!(aside.len(), 1, "{aside:?}");
    let aside = aside[0].display().to_string();
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    tell_good(&host, "correct.test");
    assert_eq!(host.counted(host.day, None), (1, 0));
    let output = host.run(&["status"]);
    assert_eq!(output.status.code(), Some(1), "an alarm ends it with 1");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("ALARM") && shown.contains(&aside) && shown.contains("recording"),
        "{shown}"
    );
    assert!(
        host.log()
            .contains("the store is damaged; it was put aside")
    );
    assert!(daemon.stop().success());

    // The fresh store is a store: at the next start all is well.
    let daemon = host.start();
    assert_eq!(host.counted(host.day, None), (1, 0));
    assert_eq!(alarms(&host), Vec::<String>::new());
    assert!(daemon.stop().success());
}

#[test]
fn a_store_that_cannot_be_opened_yet_holds_up_no_mail_and_is_taken_up_when_it_can() {
    let host = Host::new();
    // A directory stands where the store's log is to be: the system refuses.
    fs::create_dir_all(host.file("store/db")).unwrap();
    let daemon = host.start();
    // Whether a policy is kept cannot be read, but the newest one was had.
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    assert_eq!(level(&host.say("POLICY\tno-policy.test")), "may");
    tell_good(&host, "correct.test");
    let output = host.run(&["status"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("today           cannot be read")
            && shown.contains("ALARM           nothing is written to the disk: the store at "),
        "{shown}"
    );
    fs::remove_dir(host.file("store/db")).unwrap();
    until("the store is taken up", || {
        alarms(&host).is_empty().then_some(())
    });
    assert_eq!(host.counted(host.day, None), (1, 0));
    assert!(daemon.stop().success());
}

#[test]
fn a_store_of_a_later_release_stops_the_start_and_is_left_alone() {
    let host = Host::new();
    let daemon = host.start();
    tell_good(&host, "correct.test");
    assert!(daemon.stop().success());
    make_it_of_a_later_release(&host.file("store"));
    let output = host.start_in_vain();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let expected = format!(
        "sealpost: the store at {} has format 99; this release reads up to 2",
        host.file("store").display()
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(put_aside(&host), Vec::<PathBuf>::new());
}

fn make_it_of_a_later_release(store: &Path) {
    let database = sled::open(store).unwrap();
    let about = database.open_tree("about").unwrap();
    about.insert("format", &99_u32.to_be_bytes()).unwrap();
    database.flush().unwrap();
}

/// A daemon whose store lies on a disk of its own, of 48 MiB, that nobody else sees.
fn start_on_a_small_disk(host: &Host) -> Option<Daemon> {
    let disk = host.file("disk");
    fs::create_dir(&disk).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=48m sealpost-test '{}' && exec \"$@\"",
        disk.display()
    );
    let probe = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh", "true"])
        .output();
    if !is_root() || !probe.is_ok_and(|probe| probe.status.success()) {
        crate::skipped::skipped("only root with mount namespaces can fill a disk of its own");
        return None;
    }
    host.write_config();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    let serve = host.serve();
    command.arg(serve.get_program()).args(serve.get_args());
    Some(host.start_as(command))
}

#[test]
fn a_full_disk_stops_recording_not_mail_and_what_waited_is_written_when_space_returns() {
    let mut host = Host::new();
    host.set("store.path", "disk/store");
    host.set("store.free_space_min_mib", 16);
    let Some(daemon) = start_on_a_small_disk(&host) else {
        return;
    };
    tell_good(&host, "correct.test");
    assert_eq!(host.counted(host.day, None), (1, 0));
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");

    // As the daemon sees the disk.
    let root = PathBuf::from(format!("/proc/{}/root", daemon.pid()));
    let inside = host.file("disk").strip_prefix("/").unwrap().join("filler");
    let filler = root.join(inside);
    let mut file = fs::File::create(&filler).unwrap();
    let chunk = vec![0; 1 << 20];
    while file.write_all(&chunk).is_ok() {}
    drop(file);

    for _ in 0..50 {
        tell_good(&host, "correct.test");
        tell_good(&host, "no-policy.test");
    }
    let refused = host.say("MX\tcorrect.test\tmx.elsewhere.test");
    assert_eq!(level(&refused), "refuse");
    let raised = until("the alarm", || {
        let alarms = alarms(&host);
        (!alarms.is_empty()).then_some(alarms)
    });
    assert!(
        raised[0].contains("nothing is written to the disk: ")
            && raised[0].contains("MiB left, less than the mark of 16 MiB"),
        "{raised:?}"
    );
    let status = host.json(&["status"]);
    assert_eq!(status["store"]["state"], "waiting");
    assert!(status["store"]["waiting_rows"].as_u64().unwrap() >= 3);
    // Known and unknown domains are answered as on any day.
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    let fresh = host.say("POLICY\twildcard.test");
    assert_eq!(
        (level(&fresh), field(&fresh, "mx")),
        ("verify", "*.wildcard.test")
    );
    assert_eq!(level(&host.say("POLICY\tno-policy.test")), "may");

    fs::remove_file(&filler).unwrap();
    until("recording goes on", || {
        alarms(&host).is_empty().then_some(())
    });
    assert_eq!(host.counted(host.day, Some("correct.test")), (51, 1));
    assert_eq!(host.counted(host.day, Some("no-policy.test")), (50, 0));
    host.wait_for_log("the store takes sessions again");
    assert!(daemon.stop().success());
}
