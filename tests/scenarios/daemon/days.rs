//! Days: what MTAs tell becomes counts, at night the counts become reports, and each report leaves
//! once, by itself, whatever happens to the daemon.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::{Value, json};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealpost::clock::UtcDay;
use sealpost_kit::{Answer, Case, Flaw, Message, PolicyHost, ReportMail};

use super::host::{Host, field, level, until};

/// When every report of a day has had its turn, by the default settings.
const NIGHT_SECONDS: i64 = 1_800 + 12_600 + 60;

pub(super) fn set_clock_after_night_of(host: &Host, day: UtcDay) {
    host.set_clock(day.next().first_second().plus_seconds(NIGHT_SECONDS));
}

/// The report that a mail carries, and whether its signatures hold.
fn read(host: &Host, message: &Message) -> Value {
    assert_eq!(host.internet.dkim_verdict(message), Ok(()));
    let mail = ReportMail::parse(&message.data).unwrap();
    serde_json::from_slice(&mail.json).unwrap()
}

fn policy_domain(report: &Value) -> &str {
    report["policies"][0]["policy"]["policy-domain"]
        .as_str()
        .unwrap()
}

/// How the reports of a day stand: domain and state.
pub(super) fn standings(host: &Host, day: UtcDay) -> Vec<(String, String)> {
    let listed = host.json(&["report", "list", "--day", &day.to_string()]);
    let text = |each: &Value, name: &str| each[name].as_str().unwrap().to_owned();
    let deliveries = listed["deliveries"].as_array().unwrap().iter();
    deliveries
        .map(|each| (text(each, "domain"), text(each, "state")))
        .collect()
}

pub(super) fn wait_until_sent(host: &Host, day: UtcDay, domain: &str) {
    let sent = (domain.to_owned(), "sent".to_owned());
    until("the delivery is noted", || {
        standings(host, day).contains(&sent).then_some(())
    });
}

/// Asks and tells as an MTA does that delivers one message to a good domain.
pub(super) fn deliver_well(host: &Host, domain: &str) {
    let answer = host.say(&format!("MX\t{domain}\tmx.{domain}"));
    let policy = field(&answer, "policy");
    let told = host.say(&format!(
        "SESSION\t{domain}\tpolicy={policy}\tmx=mx.{domain}\toutcome=success"
    ));
    assert_eq!(told, "OK");
}

/// A good session and a bad one, from the MTA's questions to the operator's tables.
fn tell_two_sessions_and_preview(host: &Host) -> Value {
    let policy = host.say("POLICY\tCorrect.test.");
    assert_eq!(level(&policy), "verify");
    assert_eq!(field(&policy, "mx"), "mx.correct.test");
    assert_eq!(field(&policy, "audit"), "no");
    let mx = host.say("MX\tcorrect.test\tmx.correct.test");
    assert_eq!(
        (level(&mx), field(&mx, "name")),
        ("verify", "mx.correct.test")
    );
    // By the one answer's name or the other's, it is the same policy.
    for (answer, how) in [
        (&policy, "verified=yes\tstarttls=established"),
        (&mx, "result=certificate-expired\treason=it ended in 2001"),
    ] {
        let token = field(answer, "policy");
        let told = host.say(&format!(
            "SESSION\tcorrect.test\tpolicy={token}\tmx=mx.correct.test\treceiving-ip=192.0.2.7\
             \tsending-ip=192.0.2.1\t{how}"
        ));
        assert_eq!(told, "OK");
    }
    let shown = host.shown(&["sessions"]);
    for line in [
        &format!("{} (UTC)", host.day),
        "DOMAIN        POLICY  SUCCESSES  FAILURES",
        "correct.test  sts     1          1",
        "correct.test  1         certificate-expired  mx.correct.test  192.0.2.7  it-ended-in-2001",
    ] {
        assert!(shown.lines().any(|each| each == line), "{line}\n{shown}");
    }
    let shown = host.shown(&["sessions", "--failures", "--domain", "correct.test"]);
    assert!(
        shown.contains("T12:00:") && shown.contains("mta"),
        "{shown}"
    );
    let preview = host.json(&["report", "preview", "correct.test"]);
    assert_eq!(preview["sessions"], 2);
    assert_eq!(
        preview["destinations"],
        json!(["mailto:tlsrpt@reports.test"])
    );
    preview
}

#[test]
fn one_session_is_followed_from_the_question_to_the_inbox_and_the_report_leaves_once() {
    let host = Host::new();
    let first = host.day;
    let daemon = host.start();
    let preview = tell_two_sessions_and_preview(&host);

    // Midnight alone sends nothing: the day is left to settle.
    host.set_clock(first.next().first_second().plus_seconds(60));
    until("it is tomorrow", || {
        let status = host.json(&["status"]);
        (status["today"]["day"] == first.next().to_string()).then_some(())
    });
    assert_eq!(standings(&host, first), []);
    let shown = host.shown(&["report", "list"]);
    let turn = format!("correct.test  -            waiting  {}T0", first.next());
    assert!(shown.contains(&turn), "{turn}\n{shown}");
    set_clock_after_night_of(&host, first);
    let arrived = host.wait_for_reports(1);
    assert_eq!(read(&host, &arrived[0]), preview["report"]);
    wait_until_sent(&host, first, "correct.test");

    // The next day's round does not send it again,
    deliver_well(&host, "no-policy.test");
    deliver_well(&host, "no-rua.test");
    assert_eq!(host.counted(first.next(), None), (2, 0));
    set_clock_after_night_of(&host, first.next());
    let arrived = host.wait_for_reports(2);
    assert_eq!(policy_domain(&read(&host, &arrived[1])), "no-policy.test");
    wait_until_sent(&host, first.next(), "no-policy.test");
    until("it is known who asks for nothing", || {
        let shown = host.shown(&["report", "list"]);
        let line = shown.lines().find(|line| line.starts_with("no-rua.test"))?;
        (line.contains("  none   ") && line.ends_with("the domain asks for no reports"))
            .then_some(())
    });

    // nor does a daemon that was killed, when it starts and when a day ends.
    daemon.kill();
    let daemon = host.start();
    deliver_well(&host, "none.test");
    assert_eq!(host.counted(first.next().next(), None), (1, 0));
    set_clock_after_night_of(&host, first.next().next());
    let arrived = host.wait_for_reports(3);
    assert_eq!(policy_domain(&read(&host, &arrived[2])), "none.test");
    let again = host.json(&["report", "send", "--day", &first.to_string()]);
    assert_eq!(again["reports"][0]["outcome"], "already-sent");
    assert!(daemon.stop().success());
    assert_eq!(host.internet.inbox.messages().len(), 3);
}

/// What an MTA sees of a mail host that fails in this way.
fn facts(host: &Host, case: &Case, mx: &str, result_type: Option<&str>) -> String {
    let certificate = |flaw: Option<Flaw>| {
        let authority = &host.internet.authority;
        let leaf = flaw.map_or_else(
            || authority.issue(&[mx]),
            |flaw| authority.issue_flawed(&[mx], flaw),
        );
        STANDARD.encode(leaf.unwrap().der())
    };
    let testing = case.policy == "testing";
    let step = if testing {
        "established"
    } else {
        "handshake-failed"
    };
    let bad = |flaw| {
        format!(
            "starttls={step}\tverified=no\tcert={}",
            certificate(Some(flaw))
        )
    };
    match result_type {
        Some("certificate-expired") => bad(Flaw::Expired),
        Some("certificate-host-mismatch") => bad(Flaw::WrongName),
        Some("certificate-not-trusted") if case.domain == "self-signed.test" => {
            bad(Flaw::SelfSigned)
        }
        Some("certificate-not-trusted") => bad(Flaw::UnknownAuthority),
        Some("starttls-not-supported") => "starttls=not-offered".to_owned(),
        _ => format!(
            "starttls=established\tverified=yes\tcert={}",
            certificate(None)
        ),
    }
}

/// Delivers one message to a case's domain as far as Sealpost is concerned: asks, walks the mail
/// hosts in their order, tells.
fn walk(host: &Host, case: &Case) {
    let policy = host.say(&format!("POLICY\t{}", case.domain));
    assert!(matches!(level(&policy), "may" | "verify"), "{policy}");
    let failures = case.report.iter().flat_map(|report| &report.failures);
    let mut hosts: Vec<(&str, Option<&str>)> = failures
        .filter_map(|failure| Some((failure.mx.as_deref()?, Some(&*failure.result_type))))
        .collect();
    if let Some(mx) = &case.mx
        && hosts.iter().all(|(failing, _)| failing != mx)
    {
        hosts.push((mx, None));
    }
    for (mx, result_type) in hosts {
        let answer = host.say(&format!("MX\t{}\t{mx}", case.domain));
        assert_eq!(
            level(&answer) == "refuse",
            result_type == Some("validation-failure"),
            "{answer}"
        );
        if level(&answer) == "refuse" {
            continue;
        }
        let (token, facts) = (field(&answer, "policy"), facts(host, case, mx, result_type));
        let told = host.say(&format!(
            "SESSION\t{}\tpolicy={token}\tmx={mx}\t{facts}",
            case.domain
        ));
        assert_eq!(told, "OK");
    }
}

/// The part of a report that the truth of a case speaks of.
fn essence(report: &Value) -> Value {
    let policies = report["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1, "{report}");
    let (policy, summary) = (&policies[0]["policy"], &policies[0]["summary"]);
    let details = policies[0]["failure-details"].as_array();
    let details = details.into_iter().flatten().map(|detail| {
        json!([
            detail["result-type"],
            detail["receiving-mx-hostname"],
            detail["failed-session-count"]
        ])
    });
    json!({
        "type": policy["policy-type"],
        "string": policy.get("policy-string").cloned().unwrap_or(json!([])),
        "success": summary["total-successful-session-count"],
        "failure": summary["total-failure-session-count"],
        "failures": details.collect::<Vec<_>>(),
    })
}

#[test]
fn d5_d9_every_case_told_by_plain_lines_comes_to_its_true_report() {
    let host = Host::new();
    let daemon = host.start();
    let cases = host.internet.cases();
    for case in cases {
        walk(&host, case);
    }
    for case in cases {
        let preview = host.json(&["report", "preview", &case.domain]);
        assert_eq!(preview["sessions"], case.sessions, "{}", case.domain);
        let Some(expected) = &case.report else {
            assert_eq!(preview["destinations"], json!([]));
            let notes = preview["notes"].to_string();
            assert!(notes.contains("asks for no reports"), "{notes}");
            continue;
        };
        let failures = expected.failures.iter();
        let failures: Vec<Value> = failures
            .map(|failure| json!([failure.result_type, failure.mx, failure.sessions]))
            .collect();
        let expected = json!({
            "type": expected.policy_type,
            "string": expected.policy_string,
            "success": expected.success,
            "failure": expected.failure,
            "failures": failures,
        });
        assert_eq!(essence(&preview["report"]), expected, "{}", case.domain);
    }
    let refused = "other-mx.test";
    assert_eq!(host.counted(host.day, Some(refused)), (0, 1));
    assert_eq!(host.counter("mx_refused"), 1);
    assert!(daemon.stop().success());
}

#[test]
fn d6_f10_f12_report_mail_is_no_session_and_travels_despite_bad_tls() {
    for via in ["mx", "relay"] {
        let mut host = Host::new();
        let inbox = host.internet.mx_hosts.address_of("mx.reports.test");
        host.set("deliver.via", via);
        host.set("deliver.relay", inbox.unwrap().to_string());
        publish_a_policy_that_the_mailbox_breaks(&host);
        let daemon = host.start();
        deliver_well(&host, "correct.test");
        assert_eq!(host.counted(host.day, None), (1, 0));
        set_clock_after_night_of(&host, host.day);
        host.wait_for_reports(1);
        wait_until_sent(&host, host.day, "correct.test");
        assert_eq!(host.counted(host.day, None), (1, 0), "{via}");
        assert_eq!(host.counted(host.day.next(), None), (0, 0), "{via}");
        assert_eq!(host.counter("sessions"), 1, "{via}");
        assert_eq!(host.counter("reports_sent"), 1, "{via}");
        // With nothing of its own to tell of, the next night is silent (F13).
        set_clock_after_night_of(&host, host.day.next());
        until("the next night is over", || {
            let day = host.day.next().next().to_string();
            (host.json(&["status"])["today"]["day"] == day).then_some(())
        });
        assert!(daemon.stop().success());
        assert_eq!(host.internet.inbox.messages().len(), 1, "{via}");
    }
}

/// Takes one message and says nothing to it. Gives its text, and the connection, still open.
fn take_and_say_nothing(relay: &TcpListener) -> (String, TcpStream) {
    relay.set_nonblocking(true).unwrap();
    let (stream, _) = until("the report is on its way", || relay.accept().ok());
    stream.set_nonblocking(false).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let say = |reply: &str| (&stream).write_all(reply.as_bytes()).unwrap();
    say("220 relay.test\r\n");
    let mut line = String::new();
    while line != "DATA\r\n" {
        line.clear();
        lines.read_line(&mut line).unwrap();
        say(if line == "DATA\r\n" {
            "354 go on\r\n"
        } else {
            "250 relay.test\r\n"
        });
    }
    let mut text = String::new();
    while !text.ends_with("\r\n.\r\n") {
        assert!(lines.read_line(&mut text).unwrap() > 0, "{text}");
    }
    (text, stream)
}

#[test]
fn f16_killed_before_the_answer_was_written_down_it_sends_again_under_the_same_id() {
    let mut host = Host::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set("deliver.via", "relay");
    host.set("deliver.relay", silent.local_addr().unwrap().to_string());
    let daemon = host.start();
    deliver_well(&host, "correct.test");
    // Asked for, it is on the disk before the night.
    assert_eq!(host.counted(host.day, None), (1, 0));
    set_clock_after_night_of(&host, host.day);
    let (first, _open) = take_and_say_nothing(&silent);
    daemon.kill();
    let inbox = host.internet.mx_hosts.address_of("mx.reports.test");
    host.set("deliver.relay", inbox.unwrap().to_string());
    let daemon = host.start();
    let arrived = host.wait_for_reports(1);
    wait_until_sent(&host, host.day, "correct.test");
    let second = String::from_utf8(arrived[0].data.clone()).unwrap();
    let id = |text: &str, from: &str| {
        let behind = text.split_once(from).unwrap().1;
        behind.split_once('>').unwrap().0.to_owned()
    };
    assert_eq!(id(&first, "Report-ID: <"), id(&second, "Report-ID: <"));
    assert_ne!(
        id(&first, "\nMessage-ID: <"),
        id(&second, "\nMessage-ID: <")
    );
    let day = host.day.to_string();
    let listed = host.json(&["report", "list", "--day", &day]);
    assert_eq!(listed["deliveries"][0]["attempts"], 2, "{listed}");
    assert!(daemon.stop().success());
    assert_eq!(host.internet.inbox.messages().len(), 1);
}

/// Enforce for an MX that is not there, and an expired certificate at the one that is.
fn publish_a_policy_that_the_mailbox_breaks(host: &Host) {
    let internet = &host.internet;
    let name = "mta-sts.reports.test";
    internet
        .dns
        .set_txt("_mta-sts.reports.test", &["v=STSv1; id=1"]);
    internet
        .dns
        .set_addresses(name, &[internet.policy_hosts.address().ip()]);
    let document = "version: STSv1\nmode: enforce\nmx: other.test\nmax_age: 86400\n";
    internet.policy_hosts.set(
        name,
        PolicyHost {
            certificate: internet.authority.issue(&[name]).unwrap(),
            answer: Answer::document(document),
        },
    );
    internet.dns.set_txt(
        "_smtp._tls.reports.test",
        &["v=TLSRPTv1; rua=mailto:tlsrpt@reports.test"],
    );
    let expired = internet
        .authority
        .issue_flawed(&["mx.reports.test"], Flaw::Expired);
    internet
        .mx_hosts
        .set_certificate("mx.reports.test", expired.unwrap());
}
