//! Alerts: the real daemon, a mail host and a web host that are told, and a clock that is moved.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use sealpost::{clock::UtcDay, record::protection::Protection, store::Counted};
use sealpost_kit::{Answer, Message};
use serde_json::Value;

use super::host::{Before, Host, level, until};

const HOUR: i64 = 3_600;

/// A host whose alerts go to the kit's mailbox, by mail.
fn mailed_host() -> Host {
    let mut host = Host::new();
    let mailbox = host.internet.inbox.mailbox().to_owned();
    host.set("alert.mail_to", mailbox);
    // No report comes between.
    host.set("report.enabled", false);
    host
}

fn count(host: &Host, rows: &[(UtcDay, &str, Protection, u64)]) {
    host.counted_before(rows.iter().map(|(day, domain, protection, sessions)| {
        Before::without_policy(*day, domain, Counted::Protected(*protection), *sessions)
    }));
}

fn days_before(day: UtcDay, days: u32) -> UtcDay {
    (0..days).fold(day, |day, _| day.previous())
}

fn subject(mail: &Message) -> String {
    mail.field("Subject").unwrap_or_default()
}

/// What holds: `rule subject`.
fn holding(host: &Host) -> Vec<String> {
    let shown = host.json(&["alert", "list"]);
    let alerts = shown["alerts"].as_array().unwrap().iter();
    let word = |alert: &Value, name: &str| alert[name].as_str().unwrap().to_owned();
    alerts
        .map(|alert| format!("{} {}", word(alert, "rule"), word(alert, "subject")))
        .collect()
}

#[track_caller]
fn wait_until_holding(host: &Host, expected: &[&str]) {
    until(&format!("{expected:?}"), || {
        (holding(host) == expected).then_some(())
    });
}

/// The mailbox has so many mails, and a look later it has no more.
#[track_caller]
fn mails(host: &Host, expected: usize) -> Vec<Message> {
    let mails = host.wait_for_reports(expected);
    assert_eq!(
        mails.len(),
        expected,
        "{:?}",
        mails.iter().map(subject).collect::<Vec<_>>()
    );
    mails
}

#[test]
fn a_domain_whose_mail_is_refused_is_told_once_and_when_it_is_over() {
    let host = mailed_host();
    let refused = Protection::Refused;
    count(
        &host,
        &[
            (host.day, "bad.test", refused, 9),
            (host.day, "good.test", Protection::Sts, 9),
        ],
    );
    let daemon = host.start();
    wait_until_holding(&host, &["enforce-failures bad.test"]);
    let mail = mails(&host, 1).remove(0);
    assert_eq!(
        subject(&mail),
        "Sealpost on mail.sender.test: new: enforce-failures bad.test"
    );
    let text = String::from_utf8_lossy(&mail.data).into_owned();
    assert!(
        text.contains("9 of 9 sessions today were refused"),
        "{text}"
    );
    assert_eq!(text.matches("DKIM-Signature:").count(), 2, "{text}");
    assert!(
        host.log().contains("alert=\"enforce-failures\""),
        "{}",
        host.log()
    );
    let listed = host.run(&["alert", "list"]);
    assert_eq!(listed.status.code(), Some(1));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let row = listed.lines().find(|line| line.contains("bad.test"));
    assert!(row.unwrap().contains("  mail, journal  "), "{listed}");
    let mailbox = host.internet.inbox.mailbox();
    let told = format!(
        "Told are, and again after 24 hours:\n  mail     {mailbox}\n  webhook  nobody: alert.webhook_url is not set\n  \
         journal  the daemon's log, always\n"
    );
    assert!(listed.ends_with(&told), "{listed}");
    assert!(
        host.shown(&["status", "--metrics"])
            .contains("sealpost_alerts{rule=\"enforce-failures\"} 1")
    );
    assert!(daemon.stop().success());

    // It is not told again by a daemon that is started again.
    let daemon = host.start();
    wait_until_holding(&host, &["enforce-failures bad.test"]);
    mails(&host, 1);
    assert!(daemon.stop().success());

    // Mail flows again, and half an hour later it is over.
    count(&host, &[(host.day, "bad.test", Protection::Sts, 999)]);
    host.advance_clock_seconds(HOUR);
    let daemon = host.start();
    wait_until_holding(&host, &[]);
    let over = mails(&host, 2).remove(1);
    assert_eq!(
        subject(&over),
        "Sealpost on mail.sender.test: over: enforce-failures bad.test"
    );
    let listed = host.shown(&["alert", "list"]);
    assert!(listed.starts_with("There is no alert.\n"), "{listed}");
    assert!(listed.ends_with(&told), "{listed}");
    assert!(daemon.stop().success());
}

/// `alert.repeat_hours` after an alert was told it is told again, if it still holds, and each alert for itself.
#[test]
fn what_still_holds_is_told_again_after_the_hours_that_are_set_and_not_before() {
    let mut host = mailed_host();
    host.set("alert.repeat_hours", 2);
    count(&host, &[(host.day, "bad.test", Protection::Refused, 9)]);
    let daemon = host.start();
    mails(&host, 1);

    for _ in 0..5 {
        let told = host.say("MX\tcorrect.test\tmx.stranger.test");
        assert_eq!(level(&told), "refuse", "{told}");
    }
    until("they are counted", || {
        (host.counted(host.day, Some("correct.test")) == (0, 5)).then_some(())
    });
    // Five minutes before, another one begins, and is told alone.
    host.advance_clock_seconds(2 * HOUR - 300);
    wait_until_holding(
        &host,
        &["enforce-failures bad.test", "enforce-failures correct.test"],
    );
    let other = mails(&host, 2).remove(1);
    assert_eq!(
        subject(&other),
        "Sealpost on mail.sender.test: new: enforce-failures correct.test"
    );

    host.advance_clock_seconds(360);
    let again = mails(&host, 3).remove(2);
    assert_eq!(
        subject(&again),
        "Sealpost on mail.sender.test: still: enforce-failures bad.test"
    );
    let text = String::from_utf8_lossy(&again.data).into_owned();
    assert!(text.contains("Still so:"), "{text}");
    assert!(daemon.stop().success());
}

#[test]
fn a_thousand_domains_that_fail_at_once_are_one_mail() {
    let host = mailed_host();
    let names: Vec<String> = (0..1_000)
        .map(|number| format!("d{number:03}.test"))
        .collect();
    let rows: Vec<_> = names
        .iter()
        .map(|name| (host.day, name.as_str(), Protection::Refused, 5))
        .collect();
    count(&host, &rows);
    let daemon = host.start();
    let mail = mails(&host, 1).remove(0);
    assert_eq!(
        subject(&mail),
        "Sealpost on mail.sender.test: new: 1000 alerts"
    );
    assert!(mail.data.len() < 10_000, "{}", mail.data.len());
    for _ in 0..3 {
        host.advance_clock_seconds(120);
        assert_eq!(holding(&host).len(), 1_000);
    }
    mails(&host, 1);
    assert!(daemon.stop().success());
}

#[test]
fn nobody_is_woken_in_quiet_hours_and_what_still_holds_is_told_after_them() {
    let mut host = mailed_host();
    host.set("alert.quiet", "11:00-13:30");
    count(&host, &[(host.day, "bad.test", Protection::Refused, 9)]);
    let daemon = host.start();
    wait_until_holding(&host, &["enforce-failures bad.test"]);
    assert!(host.internet.inbox.messages().is_empty());
    let listed = host.run(&["alert", "list"]).stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("  journal  9 of 9 "), "{listed}");
    assert!(
        listed.contains("\nNothing is sent from 11:00-13:30 UTC; "),
        "{listed}"
    );
    host.advance_clock_seconds(2 * HOUR);
    mails(&host, 1);
    assert!(daemon.stop().success());
}

#[test]
fn starttls_that_was_there_for_weeks_and_is_gone_is_told() {
    let host = mailed_host();
    let (tls, clear) = (Protection::Tls, Protection::Clear);
    let old = |days| days_before(host.day, days);
    count(
        &host,
        &[
            (old(9), "was.test", tls, 4),
            (old(5), "was.test", tls, 4),
            (old(1), "was.test", tls, 4),
            (host.day, "was.test", clear, 3),
            (old(9), "never.test", clear, 4),
            (old(5), "never.test", clear, 4),
            (old(1), "never.test", clear, 4),
            (host.day, "never.test", clear, 3),
        ],
    );
    let daemon = host.start();
    wait_until_holding(&host, &["starttls-vanished was.test"]);
    let mail = mails(&host, 1).remove(0);
    let text = String::from_utf8_lossy(&mail.data).into_owned();
    assert!(text.contains("on all 3 days with mail"), "{text}");
    assert!(daemon.stop().success());
}

#[test]
fn a_damaged_day_silences_no_alert() {
    let host = mailed_host();
    let old = |days| days_before(host.day, days);
    let mut rows: Vec<_> = [9, 7, 5, 1]
        .iter()
        .map(|days| (old(*days), "was.test", Protection::Tls, 4))
        .collect();
    rows.push((host.day, "was.test", Protection::Clear, 3));
    rows.push((host.day, "bad.test", Protection::Refused, 9));
    count(&host, &rows);
    host.damage("tallies", old(5));
    let daemon = host.start();
    let expected = ["enforce-failures bad.test", "starttls-vanished was.test"];
    wait_until_holding(&host, &expected);
    let mail = mails(&host, 1).remove(0);
    let text = String::from_utf8_lossy(&mail.data).into_owned();
    assert!(text.contains("on all 3 days with mail"), "{text}");
    assert!(daemon.stop().success());
}

#[test]
fn that_today_is_damaged_is_told_where_no_other_rule_can_be_gone_by() {
    let host = mailed_host();
    count(&host, &[(host.day, "bad.test", Protection::Refused, 9)]);
    host.damage("tallies", host.day);
    let daemon = host.start();
    wait_until_holding(&host, &["alarm daemon"]);
    let mail = mails(&host, 1).remove(0);
    let text = String::from_utf8_lossy(&mail.data).into_owned();
    let alarm = "[alarm] what was counted cannot be read: the store at ";
    assert!(text.contains(alarm), "{text}");
    let alarms = host.json(&["status"])["alarms"].to_string();
    assert!(
        alarms.contains("what was counted cannot be read: "),
        "{alarms}"
    );
    assert!(daemon.stop().success());
}

#[test]
fn a_policy_that_cannot_be_fetched_any_more_is_told_before_it_expires() {
    let host = mailed_host();
    let daemon = host.start();
    let _policy = host.say("MX\tcorrect.test\tmx.correct.test");
    let hosts = &host.internet.policy_hosts;
    hosts.set_answer("mta-sts.correct.test", Answer::status(500));
    // It is kept for a week.
    host.advance_clock_seconds(6 * 86_400);
    until("an alert", || {
        // The next look is a minute away.
        host.advance_clock_seconds(60);
        (holding(&host) == ["policy-expiring correct.test"]).then_some(())
    });
    mails(&host, 1);
    assert!(daemon.stop().success());
}

/// A web host on loopback that takes what is posted, and remembers it.
fn receiver() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let posted = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&posted);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut octets = [0; 4_096];
            let body = loop {
                let read = stream.read(&mut octets).unwrap();
                request.extend_from_slice(&octets[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                    break body.to_owned();
                }
            };
            taken.lock().unwrap().push(body);
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).unwrap();
        }
    });
    (address, posted)
}

/// Yesterday's reports have their turn between half past midnight and four o'clock: at noon none is twelve hours late, and
/// at four in the afternoon each is.
#[test]
fn a_report_that_cannot_leave_is_told_after_twelve_hours_and_when_it_has_left() {
    let (address, posted) = receiver();
    let last = || {
        let posted = posted.lock().unwrap();
        let last = posted.last().map_or("{}", String::as_str);
        serde_json::from_str::<Value>(last).unwrap()
    };
    let mut host = Host::new();
    host.set("alert.webhook_url", format!("http://{address}/hook"));
    host.set("deliver.via", "relay");
    // Nobody takes mail there.
    host.set("deliver.relay", "127.0.66.1:9");
    let yesterday = host.day.previous();
    host.counted_before(
        [Counted::Successes, Counted::Protected(Protection::Tls)]
            .into_iter()
            .map(|counted| Before::without_policy(yesterday, "correct.test", counted, 3)),
    );
    let daemon = host.start();
    until("an attempt has failed", || {
        (host.counter("report_attempts_failed") > 0).then_some(())
    });
    host.advance_clock_seconds(60);
    assert_eq!(holding(&host), [""; 0]);
    host.advance_clock_seconds(4 * HOUR);
    wait_until_holding(&host, &["reports-stuck reports"]);
    until("it is told", || (last()["new"]["count"] == 1).then_some(()));
    let alert = &last()["new"]["alerts"][0];
    assert_eq!(alert["rule"], "reports-stuck");
    let words = alert["words"].as_str().unwrap();
    let hours = words.strip_prefix("a report has been due for ").unwrap();
    let hours: u32 = hours.split(' ').next().unwrap().parse().unwrap();
    assert!((12..=15).contains(&hours), "{words}");
    let since = alert["since"].as_str().unwrap();
    assert!(since.contains("T16:"), "not before it was late: {since}");
    assert!(daemon.stop().success());

    host.set("deliver.via", "mx");
    let daemon = host.start();
    until("the report leaves", || {
        // The next attempt is some minutes or hours away.
        host.advance_clock_seconds(600);
        (host.internet.inbox.messages().len() == 1).then_some(())
    });
    until("the alert is over", || {
        host.advance_clock_seconds(60);
        holding(&host).is_empty().then_some(())
    });
    until("that is told", || {
        (last()["over"]["count"] == 1).then_some(())
    });
    assert_eq!(last()["over"]["alerts"][0]["rule"], "reports-stuck");
    assert!(daemon.stop().success());
}

#[test]
fn each_way_can_be_tried_and_the_webhook_gets_json() {
    let (address, posted) = receiver();
    let mut host = mailed_host();
    host.set("alert.webhook_url", format!("http://{address}/hook"));
    let daemon = host.start();
    let shown = host.shown(&["alert", "test", "--to", "webhook", "reports-stuck"]);
    assert!(shown.contains("answers 204"), "{shown}");
    let body: Value = serde_json::from_str(&posted.lock().unwrap()[0]).unwrap();
    assert_eq!(body["version"], 1);
    assert_eq!(body["new"]["count"], 1);
    assert_eq!(body["new"]["alerts"][0]["rule"], "reports-stuck");
    let shown = host.shown(&["alert", "test", "--to", "mail"]);
    assert_eq!(shown.matches("yes").count(), 5, "{shown}");
    mails(&host, 5);
    let shown = host.shown(&["alert", "test", "--to", "journal", "alarm"]);
    assert!(shown.contains("written to the log"), "{shown}");
    host.wait_for_log("this is a test: nothing is the matter");
    assert!(daemon.stop().success());

    // What is not set or does not answer is said, and the command ends with 1.
    host.set("alert.mail_to", "");
    host.set("alert.webhook_url", "http://127.0.0.1:9/hook");
    let _daemon = host.start();
    for (way, said) in [
        ("mail", "alert.mail_to is not set"),
        ("webhook", "127.0.0.1"),
    ] {
        let output = host.run(&["alert", "test", "--to", way, "alarm"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("NO") && shown.contains(said), "{shown}");
    }
}

#[test]
fn what_alerts_cannot_go_by_is_found_before_the_start() {
    let mut host = mailed_host();
    host.set("alert.quiet", "22-7");
    host.set("alert.webhook_url", "http://hooks.example.org/");
    let output = host.start_in_vain();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("alert.quiet") && said.contains("alert.webhook_url"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(78), "{said}");
}
