//! What Postfix is silent about: it cannot tell, it is not asked to, or we did not look. Mail goes on,
//! and nothing is invented.

use std::fs;

use sealpost_kit::Delivery;
use serde_json::Value;

use super::edges::{SOON, assert_verified, counter, let_pass};
use crate::mta::{
    laboratory::Counted,
    postfix::{PostfixHost, Status, Version},
    truth::by_domain,
    wait_until,
};

/// What Postfix says where nobody takes what it tells.
const NOT_TOLD: &str = "Could not report TLS handshake result";

/// Postfix tells once and does not try again: what nobody heard is lost, the mail is not.
#[test]
fn while_the_socket_for_outcomes_is_gone_mail_goes_on_and_nothing_is_invented() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let (socket, away) = (host.socket("tlsrpt"), host.path("away.sock"));
    fs::rename(&socket, &away).unwrap();
    let fates = host.send_to_each(&["sts-enforce.test", "sts-badcert.test", "testing-good.test"]);
    assert_verified(&host, &fates[0]);
    assert_eq!(fates[1].status, Status::Deferred, "{}", fates[1].line);
    assert_eq!(fates[2].delivered, Delivery::Tls, "{}", fates[2].line);
    let log = host.mail_log();
    assert_eq!(log.matches(NOT_TOLD).count(), 3, "{log}");
    // This one is inferred, which needs no socket.
    let_pass(&host, &daemon);
    assert_eq!(daemon.counted_in_all(), 1);

    fs::rename(&away, &socket).unwrap();
    assert_verified(&host, &host.send("sts-enforce.test"));
    let counted = daemon.counted("sts-enforce.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);
    assert_eq!(daemon.counted_in_all(), 2);
    assert_eq!(host.mail_log().matches(NOT_TOLD).count(), 3);
}

/// A policy that lists none of the domain's MX hosts: one failed session for an attempt, with the best of
/// them. And a policy of 700 MX hosts stands in its report whole.
#[test]
fn where_no_mx_is_listed_the_best_is_reported_and_long_policies_are_reported_whole() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let (excluding, long) = ("sts-enforce.test", "many-mx.test");
    host.ask(&format!(
        "mx {excluding} mx1.mixed-mx.test mx2.mixed-mx.test"
    ));
    let fates = host.send_to_each(&[excluding, long]);
    assert_eq!(fates[0].status, Status::Deferred, "{}", fates[0].line);
    assert_eq!(fates[0].relay, None, "{}", fates[0].line);
    assert_verified(&host, &fates[1]);
    let (best, why) = (
        "mx1.mixed-mx.test",
        "validation-failure policy:sts-mx-mismatch",
    );
    let counted = daemon.counted(excluding, 1);
    assert_eq!(counted, [Counted::bad("sts", best, &[why])]);
    daemon.counted(long, 1);

    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", host.daemon_log());
    host.ask("wait 2");
    let reports = by_domain(&host.ask("inbox"));
    let policies = |domain: &str| reports[domain][0]["report"]["policies"].clone();
    let cases = host.cases();
    let case = cases.iter().find(|case| case.domain == long).unwrap();
    let expected = &case.report.as_ref().unwrap().policy_string;
    assert_eq!(expected.len(), 703);
    let said = policies(long)[0]["policy"]["policy-string"].clone();
    assert_eq!(said, serde_json::to_value(expected).unwrap());
    let said = policies(excluding);
    assert_eq!(said.as_array().unwrap().len(), 1);
    let failures = &said[0]["failure-details"];
    assert_eq!(failures.as_array().unwrap().len(), 1);
    assert_eq!(failures[0]["receiving-mx-hostname"], best);
    assert_eq!(failures[0]["failure-reason-code"], "policy:sts-mx-mismatch");
}

/// A mail host is looked at once in `probe.interval_seconds`, however much mail goes to it, and a look
/// never offers a message.
#[test]
fn mail_within_the_hour_causes_no_second_look() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    // One whose sessions are told, and one whose are inferred.
    let (told, silent) = ("sts-testing.test", "plain-nostarttls.test");
    let seconds = [("at first", 0), ("within", 3000), ("after", 900)];
    for ((when, seconds), (mails, looked)) in seconds.into_iter().zip([(1, 1), (2, 1), (3, 2)]) {
        set_on(&host, seconds);
        // New processes of Postfix ask anew.
        host.restart();
        for domain in [told, silent] {
            let fate = host.send(domain);
            assert_eq!(fate.status, Status::Sent, "{}", fate.line);
            let counted = daemon.counted(domain, mails);
            let [counted] = counted.as_slice() else {
                panic!("{when}, {domain}: {counted:?}");
            };
            let sums = (counted.successes, counted.failures);
            assert_eq!(sums, (0, mails), "{when}, {domain}: {counted:?}");
        }
        for domain in [told, silent] {
            let mx = format!("mx.{domain}");
            wait_until("the look", || looks(&host, &mx) >= looked);
            assert_eq!(looks(&host, &mx), looked, "{when}, {domain}");
        }
    }
    assert_eq!(counter(&daemon, "probes"), 4);
}

/// Sets the daemon's clock on.
fn set_on(host: &PostfixHost, seconds: i64) {
    let (file, new) = (host.path("clock"), host.path("clock.new"));
    let offset: i64 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    fs::write(&new, (offset + seconds).to_string()).unwrap();
    fs::rename(new, file).unwrap();
}

/// How many connections a mail host had on which no mail was offered.
fn looks(host: &PostfixHost, mx: &str) -> usize {
    let sessions = host.ask("sessions");
    let all = sessions.as_array().unwrap().iter();
    all.filter(|session| session["mx"] == mx && session["mail"] == Value::Bool(false))
        .count()
}
