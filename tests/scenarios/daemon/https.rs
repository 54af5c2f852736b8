//! Reports that are posted: from the MTA's word to the host that a domain's `https:` URI names, and what the
//! operator is shown of each answer.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

use sealpost_kit::{Answer, Request};

use super::{
    days::{deliver_well, set_clock_after_night_of},
    host::{Host, until},
};

/// What was posted to a host so far.
fn posted(host: &Host, to: &str) -> Vec<Request> {
    let mut requests = host.internet.policy_hosts.requests();
    requests.retain(|request| request.host == to);
    requests
}

/// The report that a request carries.
pub(super) fn report(request: &Request) -> Value {
    let mut text = String::new();
    let mut unpacking = GzDecoder::new(&*request.body);
    unpacking.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// How the report about a domain stands, once it has come to this.
#[track_caller]
fn delivery(host: &Host, domain: &str, state: &str) -> Value {
    until(&format!("the report about {domain} is {state}"), || {
        let listed = host.json(&["report", "list", "--day", &host.day.to_string()]);
        let mut deliveries = listed["deliveries"].as_array().unwrap().iter();
        let found = deliveries.find(|each| each["domain"] == domain)?;
        (found["state"] == state).then(|| found.clone())
    })
}

/// A host of which one domain asks for its reports at `reports.DOMAIN`, which answers so, and was sent mail.
fn host_with_report_host(domain: &str, answer: Answer) -> (Host, String) {
    let mut host = Host::new();
    let name = format!("reports.{domain}");
    let uri = host.put_up_report_host(&name) + "/tlsrpt?key=1";
    host.internet.policy_hosts.set_answer(&name, answer);
    host.publish_rua(domain, &uri);
    (host, name)
}

#[test]
fn f20_f22_a_report_is_posted_once_as_the_operator_saw_it_before() {
    let (host, name) = host_with_report_host("correct.test", Answer::taken());
    let daemon = host.start();
    deliver_well(&host, "correct.test");
    assert_eq!(host.counted(host.day, None), (1, 0));
    let preview = host.json(&["report", "preview", "correct.test"]);
    set_clock_after_night_of(&host, host.day);
    let listed = delivery(&host, "correct.test", "sent");
    assert_eq!(listed["attempts"], 1);
    let requests = posted(&host, &name);
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!(report(request), preview["report"]);
    assert_eq!(report(request)["report-id"], listed["report_id"]);
    assert_eq!(
        (&*request.method, &*request.path),
        ("POST", "/tlsrpt?key=1")
    );
    let media_type = request.header("Content-Type");
    assert_eq!(media_type, Some("application/tlsrpt+gzip"));
    assert_eq!(request.header("Content-Encoding"), None);
    assert_eq!(host.counter("reports_sent"), 1);

    // Neither the next daemon nor the operator sends it again.
    assert!(daemon.stop().success());
    let daemon = host.start();
    let again = host.json(&["report", "send", "--day", &host.day.to_string()]);
    assert_eq!(again["reports"][0]["outcome"], "already-sent");
    assert!(daemon.stop().success());
    assert_eq!(posted(&host, &name).len(), 1);
    assert_eq!(host.internet.inbox.messages(), []);
}

#[test]
fn f20_a_report_host_that_is_busy_gets_the_same_report_when_it_said() {
    let later = |seconds: &str| Answer::retry_after(503, seconds);
    let (mut host, late) = host_with_report_host("correct.test", later("7200"));
    let early = "reports.no-policy.test";
    let uri = host.put_up_report_host(early);
    host.internet.policy_hosts.set_answer(early, later("3600"));
    host.publish_rua("no-policy.test", &uri);
    let daemon = host.start();
    for domain in ["correct.test", "no-policy.test"] {
        deliver_well(&host, domain);
    }
    assert_eq!(host.counted(host.day, None), (2, 0));
    set_clock_after_night_of(&host, host.day);
    for (domain, name) in [("correct.test", &*late), ("no-policy.test", early)] {
        let waits = delivery(&host, domain, "retry");
        let reason = waits["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("503 ") && reason.contains(name),
            "{reason}"
        );
        host.internet.policy_hosts.set_answer(name, Answer::taken());
    }
    // The wait that is usual after a first failure is over long ago.
    host.advance_clock_seconds(3_700);
    delivery(&host, "no-policy.test", "sent");
    assert_eq!(delivery(&host, "correct.test", "retry")["attempts"], 1);
    assert_eq!(posted(&host, &late).len(), 1);
    host.advance_clock_seconds(3_600);
    assert_eq!(delivery(&host, "correct.test", "sent")["attempts"], 2);
    for name in [&*late, early] {
        let bodies = posted(&host, name).into_iter().map(|request| request.body);
        let bodies: Vec<_> = bodies.collect();
        assert_eq!(bodies.len(), 2, "{name}");
        assert_eq!(bodies[0], bodies[1], "{name}");
    }
    assert_eq!(host.counter("report_attempts_failed"), 2);
    assert!(daemon.stop().success());
}

#[test]
fn f20_a_final_answer_is_shown_and_a_redirect_not_followed() {
    let (mut host, gone) = host_with_report_host("correct.test", Answer::status(410));
    let elsewhere = host.put_up_report_host("elsewhere.test") + "/reports";
    let moved = "reports.no-policy.test";
    let uri = host.put_up_report_host(moved);
    host.internet
        .policy_hosts
        .set_answer(moved, Answer::redirect(&elsewhere));
    host.publish_rua("no-policy.test", &uri);
    let daemon = host.start();
    for domain in ["correct.test", "no-policy.test"] {
        deliver_well(&host, domain);
    }
    assert_eq!(host.counted(host.day, None), (2, 0));
    set_clock_after_night_of(&host, host.day);
    for (domain, words) in [
        ("correct.test", ["410 Gone", &gone]),
        ("no-policy.test", ["it redirects to", &elsewhere]),
    ] {
        let listed = delivery(&host, domain, "given-up");
        let reason = listed["reason"].as_str().unwrap();
        for each in words {
            assert!(reason.contains(each), "{each}: {reason}");
        }
        let shown = host.shown(&["report", "list"]);
        let mut lines = shown.lines().filter(|line| line.contains(domain));
        assert!(lines.any(|line| line.contains(words[0])), "{shown}");
    }
    assert_eq!(host.counter("reports_given_up"), 2);
    assert_eq!(host.counter("report_attempts_failed"), 0);
    // Not even after the time in which what failed would be tried again.
    host.advance_clock_seconds(7_200);
    delivery(&host, "no-policy.test", "given-up");
    assert!(daemon.stop().success());
    assert_eq!(
        host.internet.policy_hosts.times_connected("elsewhere.test"),
        0
    );
    for name in [&*gone, moved] {
        assert_eq!(posted(&host, name).len(), 1, "{name}");
    }
}
