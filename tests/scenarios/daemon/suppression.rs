//! Destinations that refuse reports, and bounces that come back to the envelope sender.

use std::{
    fs,
    io::Write as _,
    process::{Command, Output, Stdio},
};

use sealpost::clock::UtcDay;
use sealpost_kit::{Message, MxBehaviour};

use super::{
    days::{deliver_well, set_clock_after_night_of, standings, wait_until_sent},
    host::{Host, until},
};

const MAILBOX: &str = "tlsrpt@reports.test";

/// One session with `correct.test` on the day that it is, and the night after it.
pub(super) fn report_of_a_day(host: &Host, day: UtcDay) {
    deliver_well(host, "correct.test");
    assert_eq!(host.counted(day, Some("correct.test")), (1, 0));
    set_clock_after_night_of(host, day);
}

fn suppressed(host: &Host) -> Vec<String> {
    let listed = host.json(&["suppression", "list"]);
    let listed = listed["suppressions"].as_array().unwrap().iter();
    listed
        .map(|each| each["destination"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn f9_a_mailbox_that_refuses_is_left_out_and_named_until_the_operator_lifts_it() {
    let host = Host::new();
    let daemon = host.start();
    let mx = &host.internet.mx_hosts;
    assert!(
        host.shown(&["status"])
            .contains("suppressed      0 destinations\n")
    );
    let refuses = MxBehaviour::RefusesRecipients(550);
    mx.set_behaviour("mx.reports.test", refuses);
    report_of_a_day(&host, host.day);
    until("the report is given up", || {
        let given_up = ("correct.test".to_owned(), "given-up".to_owned());
        standings(&host, host.day).contains(&given_up).then_some(())
    });
    until("it is suppressed", || {
        (!suppressed(&host).is_empty()).then_some(())
    });
    mx.set_behaviour("mx.reports.test", MxBehaviour::Correct);
    // It outlives the daemon,
    daemon.kill();
    let daemon = host.start();
    assert_eq!(suppressed(&host), [format!("mailto:{MAILBOX}")]);
    assert!(
        host.shown(&["status"])
            .contains("suppressed      1 destination\n")
    );
    let next = host.day.next();
    report_of_a_day(&host, next);
    // and the next day's report is left out, where an operator looks for it.
    let day = next.to_string();
    let why = until("it is known why there is none", || {
        let shown = host.shown(&["report", "list", "--day", &day]);
        shown.contains("suppressed until").then_some(shown)
    });
    assert!(why.contains("550 This recipient is refused"), "{why}");
    for arguments in [
        &["report", "preview", "correct.test"][..],
        &["check", "correct.test"],
    ] {
        // Of today there is nothing yet to preview.
        let arguments = match arguments[0] {
            "report" => &[arguments, &["--day", &day]].concat(),
            _ => arguments,
        };
        let shown = host.json(arguments).to_string();
        assert!(shown.contains("suppressed until"), "{arguments:?}: {shown}");
    }
    let explained = host.shown(&["suppression", "explain", MAILBOX]);
    for words in [
        "1 refusal in a row",
        "550 This recipient is refused",
        "correct.test.",
    ] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
    assert_eq!(host.internet.inbox.messages(), []);
    host.shown(&["suppression", "lift", &format!("mailto:{MAILBOX}")]);
    assert_eq!(suppressed(&host), [""; 0]);
    let again = host.run(&["suppression", "lift", MAILBOX]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    report_of_a_day(&host, next.next());
    host.wait_for_reports(1);
    assert!(daemon.stop().success());
}

#[test]
fn f9_the_operator_suppresses_a_destination_until_a_day_and_by_name() {
    let host = Host::new();
    let daemon = host.start();
    let add = |arguments: &[&str]| host.run(&[&["suppression", "add"], arguments].concat());
    let day = host.day.next().to_string();
    for (arguments, code) in [
        (
            &["a@x.test", "--reason", "asked us to", "--until", &day][..],
            0,
        ),
        (&["https://x.test/r", "--reason", "asked us to"], 0),
        (&["mailto:a@x.test,b@x.test", "--reason", "two"], 64),
        (&["x.test", "--reason", "no destination"], 64),
        (&["c@x.test", "--reason", " "], 64),
        (
            &["c@x.test", "--reason", "over", "--until", "2020-01-01"],
            64,
        ),
    ] {
        let output = add(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
    let shown = host.shown(&["suppression", "list"]);
    for line in [
        "mailto:a@x.test",
        "https://x.test/r  it is lifted",
        "asked us to",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let end = host.day.next().next().first_second().to_string();
    assert!(shown.contains(&end), "to the end of the day: {shown}");
    let unknown = host.run(&["suppression", "explain", "z@x.test"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(daemon.stop().success());
}

/// A notification that returns this mail, as Postfix writes one.
fn bounce_of(message: &Message, mailbox: &str) -> String {
    let returned = String::from_utf8(message.data.clone()).unwrap();
    format!(
        "From: MAILER-DAEMON@mx.reports.test\r\nTo: tlsrpt@sender.test\r\nAuto-Submitted: auto-replied\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\r\n\r\n--B\r\n\
         Content-Type: text/plain\r\n\r\nI'm sorry.\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.reports.test\r\n\r\nFinal-Recipient: rfc822; {mailbox}\r\nAction: failed\r\n\
         Status: 5.1.1\r\nDiagnostic-Code: X-Unix; the mailbox is gone\r\n\r\n--B\r\n\
         Content-Type: message/rfc822\r\n\r\n{returned}\r\n--B--\r\n"
    )
}

/// `sealpost bounce` as an MTA's pipe runs it.
fn pipe(host: &Host, mail: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost"));
    command
        .arg("bounce")
        .arg("--config")
        .arg(host.file("sealpost.toml"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(mail.as_bytes()).unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

/// What it says, with this exit code and nothing on standard output.
#[track_caller]
fn says(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{words}: {said}");
    // Whoever runs a pipe mails what it prints.
    assert!(output.stdout.is_empty());
}

#[test]
fn f9_g11_a_bounce_of_a_report_that_left_suppresses_and_nothing_else_does() {
    let host = Host::new();
    let daemon = host.start();
    report_of_a_day(&host, host.day);
    let report = host.wait_for_reports(1).remove(0);
    wait_until_sent(&host, host.day, "correct.test");
    let bounce = bounce_of(&report, "TLSrpt@Reports.test");

    let elsewhere = bounce_of(&report, "victim@reports.test");
    says(&pipe(&host, &elsewhere), 0, "not believed");
    // Another report, of a domain that had none.
    let forged = bounce.replace("correct.test", "none.test");
    says(&pipe(&host, &forged), 0, "not believed");
    let day = host.day.to_string();
    let of_old = bounce.replace(&day, "2020-01-01");
    says(&pipe(&host, &of_old), 0, "not believed");
    let vacation =
        "From: a@b.test\r\nAuto-Submitted: auto-replied\r\nSubject: Away\r\n\r\nAway.\r\n";
    says(&pipe(&host, vacation), 0, "passed over: it is no bounce");
    says(
        &pipe(&host, &"x".repeat(11 << 20)),
        0,
        "passed over: it is longer than 10 MiB",
    );
    assert_eq!(suppressed(&host), [""; 0]);

    says(
        &pipe(&host, &bounce),
        0,
        "mailto:tlsrpt@reports.test is suppressed until",
    );
    assert_eq!(suppressed(&host), [format!("mailto:{MAILBOX}")]);
    let explained = host.shown(&["suppression", "explain", MAILBOX]);
    assert!(explained.contains("the mailbox is gone"), "{explained}");
    // The same once more, from a file, makes it no longer.
    fs::write(host.file("returned.eml"), &bounce).unwrap();
    let file = host.file("returned.eml");
    let output = host.run(&["bounce", file.to_str().unwrap()]);
    says(&output, 0, "says nothing new");
    assert_eq!(host.counter("destinations_suppressed"), 1);

    assert!(daemon.stop().success());
    says(&pipe(&host, &bounce), 75, "the daemon is not running");
    let output = host.run(&["bounce", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert_eq!(
        host.internet.inbox.messages().len(),
        1,
        "nothing is ever sent"
    );
}
