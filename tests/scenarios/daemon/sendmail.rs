//! A host whose reports leave through the `sendmail` program of its MTA.

use std::fs;

use sealpost_kit::ReportMail;

use super::{
    days::{deliver_well, set_clock_after_night_of, standings},
    host::{Host, until},
};
use crate::mta::stand_in_program::write_program;

/// A `sendmail` that keeps each mail in the host's directory.
fn keeps_mail(host: &Host) {
    let directory = host.directory().display();
    let script = format!(
        "echo \"$@\" >> {directory}/calls\ncat > {directory}/mail.new && mv {directory}/mail.new {directory}/mail.eml"
    );
    write_program(&host.file("sendmail"), &script);
}

#[test]
fn f17_f18_reports_leave_through_the_program_once_it_can_be_run() {
    let mut host = Host::new();
    host.set("deliver.via", "sendmail");
    host.set("deliver.sendmail", "sendmail");
    host.set("deliver.retry_seconds", 60);
    let daemon = host.start();
    // It is missing, and whoever looks is told.
    for arguments in [&["status"][..], &["config", "check"]] {
        let output = host.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            said.contains("no report can be sent: deliver.sendmail: "),
            "{said}"
        );
    }
    host.wait_for_log("no report can be sent: deliver.sendmail: ");
    deliver_well(&host, "correct.test");
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    set_clock_after_night_of(&host, host.day);
    let is = |state: &str| ("correct.test".to_owned(), state.to_owned());
    until("the attempt fails", || {
        standings(&host, host.day)
            .contains(&is("retry"))
            .then_some(())
    });
    let day = host.day.to_string();
    let listed = host.shown(&["report", "list", "--day", &day]);
    assert!(listed.contains("cannot be started"), "{listed}");
    // A failure of ours is no refusal of theirs.
    let suppressed = host.json(&["suppression", "list"]);
    assert_eq!(suppressed["suppressions"].as_array().map(Vec::len), Some(0));

    keeps_mail(&host);
    assert!(
        !host
            .shown(&["config", "check"])
            .contains("no report can be sent")
    );
    host.run(&["report", "send", "--day", &day, "--domain", "correct.test"]);
    until("it is sent", || {
        standings(&host, host.day)
            .contains(&is("sent"))
            .then_some(())
    });
    host.wait_for_log("channel=\"program\"");
    let call = "-i -oep -f tlsrpt@sender.test -- tlsrpt@reports.test\n";
    assert_eq!(fs::read_to_string(host.file("calls")).unwrap(), call);
    let mail = fs::read_to_string(host.file("mail.eml")).unwrap();
    assert!(!mail.contains('\r'));
    // As an MTA sends it on.
    let mail = ReportMail::parse(mail.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(mail.field("TLS-Report-Domain"), Some("correct.test"));
    assert_eq!(host.internet.inbox.messages(), []);
    assert!(daemon.stop().success());
}

#[test]
fn g9_a_daemon_that_stops_leaves_no_program_behind() {
    let mut host = Host::new();
    host.set("deliver.via", "sendmail");
    host.set("deliver.sendmail", "sendmail");
    let (new, pid) = (host.file("pid.new"), host.file("pid"));
    let script = format!(
        "echo $$ > {new}\nmv {new} {pid}\ntrap '' TERM\nwhile :; do sleep 1; done",
        new = new.display(),
        pid = pid.display()
    );
    write_program(&host.file("sendmail"), &script);
    let daemon = host.start();
    deliver_well(&host, "correct.test");
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    set_clock_after_night_of(&host, host.day);
    let pid = until("the program runs", || fs::read_to_string(&pid).ok());
    assert!(daemon.stop().success());
    let entry = format!("/proc/{}", pid.trim());
    until("the program is gone", || {
        (!fs::exists(&entry).unwrap_or(true)).then_some(())
    });
    // The report is sent by the next daemon.
    keeps_mail(&host);
    let daemon = host.start();
    until("it is sent", || {
        host.file("mail.eml").exists().then_some(())
    });
    assert!(daemon.stop().success());
}
