//! What mail to one domain each does not show: relays, several recipients, connections used again,
//! names, overrides, changes, and what goes wrong on our side.

use sealpost_kit::Delivery;
use serde_json::Value;

use crate::mta::{
    SENDER,
    laboratory::{Counted, Daemon},
    postfix::{Fate, Message, PostfixHost, Status, Version},
};

/// What Postfix does not tell is inferred soon.
pub(super) const SOON: &str = "[probe]\nsilent_seconds = 3\n";

/// Sends a message to these, and says what became of it for each.
pub(super) fn send_with(host: &PostfixHost, headers: &str, recipients: &[&str]) -> Vec<Fate> {
    let submitted = host.submit(Message {
        sender: SENDER,
        headers,
        recipients,
    });
    host.fates(&submitted, recipients.len())
}

/// It went by TLS with all that a policy demands.
pub(super) fn assert_verified(host: &PostfixHost, fate: &Fate) {
    let seen = fate.delivered;
    let log = host.mail_log();
    assert_eq!(seen, Delivery::TlsVerified, "{}\n{log}", fate.line);
}

/// Everything of before is counted when this is: what is told is read in its order, and what is
/// inferred is due in the order of the attempts.
pub(super) fn let_pass(host: &PostfixHost, daemon: &Daemon<'_>) {
    let domain = "plain-nostarttls.test";
    assert_eq!(host.send(domain).delivered, Delivery::Plain);
    daemon.counted(domain, 1);
}

pub(super) fn counter(daemon: &Daemon<'_>, name: &str) -> u64 {
    let status = daemon.json(&["status", "--json"]);
    let counters = status["counters"].as_array().unwrap();
    let found = counters.iter().find(|each| each["name"] == name);
    found.unwrap_or_else(|| panic!("no counter {name}"))["value"]
        .as_u64()
        .unwrap()
}

/// How many connections a mail host had on which mail was offered.
pub(super) fn connections(host: &PostfixHost, mx: &str) -> usize {
    let sessions = host.ask("sessions");
    let all = sessions.as_array().unwrap().iter();
    all.filter(|session| session["mx"] == mx && session["mail"] == Value::Bool(true))
        .count()
}

/// The relay is who Postfix speaks to, however it is named; whose mail it is does not count.
#[test]
fn relays_are_held_to_their_own_policy() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    for (number, relay) in (1..).zip(["[relay.test]", "[relay.test]:25", "relay.test"]) {
        host.reload(&[("relayhost", relay)]);
        let fate = host.send("plain.test");
        assert_verified(&host, &fate);
        assert_eq!(fate.mx.as_deref(), Some("relay.test"), "{relay}");
        let counted = daemon.counted("relay.test", number);
        assert_eq!(counted, [Counted::good("sts", number)], "{relay}");
    }
    host.ask("certificate relay.test relay.test expired");
    let fate = host.send("plain.test");
    assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
    let counted = daemon.counted("relay.test", 4);
    assert_eq!((counted[0].successes, counted[0].failures), (3, 1));
    assert_eq!(counted.len(), 1);
    let (kind, mx, sessions) = &counted[0].details[0];
    assert!(kind.starts_with("certificate-expired"), "{kind}");
    assert_eq!((mx.as_str(), *sessions), ("relay.test", 1));
    assert_eq!(daemon.counted_in_all(), 4);
}

/// RFC 8460 s4.2 counts connections, not messages and not recipients.
#[test]
fn recipients_of_one_domain_are_one_session_and_tls_required_no_is_none() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let recipients = ["one@sts-enforce.test", "two@sts-enforce.test"];
    for fate in send_with(&host, "", &recipients) {
        assert_verified(&host, &fate);
    }
    for fate in send_with(&host, "", &["one@sts-wildcard.test", "two@relay.test"]) {
        assert_verified(&host, &fate);
    }

    // RFC 8689 s4.1: whoever asks for delivery at any price gets it, and no policy is asked for.
    for (domain, delivered) in [
        ("sts-badcert.test", Delivery::Tls),
        ("testing-nostarttls.test", Delivery::Plain),
        ("sts-wrongmx.test", Delivery::Tls),
    ] {
        let recipient = format!("someone@{domain}");
        let fate = send_with(&host, "TLS-Required: no\n", &[&recipient]).remove(0);
        assert_eq!(fate.delivered, delivered, "{}", fate.line);
    }
    let_pass(&host, &daemon);
    for domain in ["sts-enforce.test", "sts-wildcard.test", "relay.test"] {
        let counted = daemon.counted(domain, 1);
        assert_eq!(counted, [Counted::good("sts", 1)], "{domain}");
    }
    // These and the one that let the others pass.
    assert_eq!(daemon.counted_in_all(), 4);
}

/// A connection is one session, however many messages go down it; a TLS session that is resumed is a
/// connection of its own.
#[test]
fn connections_used_again_are_one_session_and_resumed_tls_sessions_are_each_one() {
    let domain = "sts-enforce.test";
    let caches = "btree:/var/lib/postfix/smtp_scache";
    let usual = ("smtp_tls_session_cache_database", caches);
    let Some(host) = PostfixHost::start(
        Version::V3_10,
        &[
            ("smtp_tls_connection_reuse", "yes"),
            ("smtp_connection_cache_destinations", domain),
        ],
    ) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let send_three = || {
        for _ in 0..3 {
            assert_verified(&host, &host.send(domain));
        }
    };
    send_three();
    assert_eq!(connections(&host, "mx.sts-enforce.test"), 1);
    let_pass(&host, &daemon);
    assert_eq!(daemon.counted_now(domain), [Counted::good("sts", 1)]);

    // 3.10 does not tell of resumed sessions unless it is told to.
    host.reload(&[usual]);
    send_three();
    assert_eq!(connections(&host, "mx.sts-enforce.test"), 4);
    assert_verified(&host, &host.send("sts-wildcard.test"));
    daemon.counted("sts-wildcard.test", 1);
    assert_eq!(daemon.counted_now(domain), [Counted::good("sts", 2)]);

    host.reload(&[usual, ("smtp_tlsrpt_skip_reused_handshakes", "no")]);
    send_three();
    assert_eq!(daemon.counted(domain, 5), [Counted::good("sts", 5)]);
}

/// A domain is one, by whichever of its names; and the operator's word goes before the policy's.
#[test]
fn u_labels_and_overrides_come_out_as_they_should() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let overrides = [
        ("sts-badcert.test", "off"),
        ("sts-mismatch.test", "audit"),
        ("sts-testing.test", "enforce"),
        ("testing-good.test", "enforce"),
    ]
    .map(|(domain, mode)| format!("[domain.\"{domain}\"]\nmode = \"{mode}\"\n"));
    let daemon = host.start_daemon_with(&format!("{SOON}{}", overrides.concat()));

    assert_verified(&host, &host.send("bücher.test"));
    let counted = daemon.counted("xn--bcher-kva.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);

    let fates = host.send_to_each(&[
        "sts-badcert.test",
        "sts-mismatch.test",
        "sts-testing.test",
        "testing-good.test",
    ]);
    let delivered: Vec<_> = fates.iter().map(|fate| fate.delivered).collect();
    let expected = [
        Delivery::Tls,
        Delivery::Tls,
        Delivery::Deferred,
        Delivery::TlsVerified,
    ];
    assert_eq!(delivered, expected, "{}", host.mail_log());
    let counted = daemon.counted("sts-badcert.test", 1);
    assert_eq!(counted, [Counted::good("no-policy-found", 1)]);
    assert_one_failure(&daemon, "sts-mismatch.test", "certificate-host-mismatch");
    assert_one_failure(&daemon, "sts-testing.test", "certificate-expired");
    let counted = daemon.counted("testing-good.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);
}

/// Of the domain, one session is counted: a failure of this type under its MTA-STS policy.
fn assert_one_failure(daemon: &Daemon<'_>, domain: &str, result_type: &str) {
    let counted = daemon.counted(domain, 1);
    let [counted] = counted.as_slice() else {
        panic!("{domain}: {counted:?}");
    };
    let sums = (counted.successes, counted.failures);
    assert_eq!((counted.policy_type.as_str(), sums), ("sts", (0, 1)));
    let [(kind, _, 1)] = counted.details.as_slice() else {
        panic!("{domain}: {counted:?}");
    };
    assert_eq!(kind.split(' ').next(), Some(result_type), "{domain}");
}

/// A Postfix that is told no names tells none, and what it tells is counted under the policy it was
/// held to all the same.
#[test]
fn by_the_map_of_earlier_versions_sessions_are_counted_under_their_policy() {
    let query = "socketmap:unix:sealpost/socketmap.sock:QUERY";
    let Some(host) = PostfixHost::start(Version::V3_10, &[("smtp_tls_policy_maps", query)]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let fates = host.send_to_each(&["sts-enforce.test", "sts-badcert.test", "mixed-mx.test"]);
    assert_verified(&host, &fates[0]);
    assert_eq!(fates[1].status, Status::Deferred, "{}", fates[1].line);
    assert_verified(&host, &fates[2]);
    let counted = daemon.counted("sts-enforce.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);
    assert_one_failure(&daemon, "sts-badcert.test", "certificate-expired");
    // It is not told the patterns, and so it speaks to the MX that they exclude.
    let counted = daemon.counted("mixed-mx.test", 2);
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!(counted[0].policy_type, "sts");
    assert_eq!((counted[0].successes, counted[0].failures), (1, 1));
    let mut types: Vec<_> = counted[0]
        .details
        .iter()
        .map(|(kind, mx, _)| (kind.split(' ').next().unwrap(), mx.as_str()))
        .collect();
    types.sort_unstable();
    let mx = "mx1.mixed-mx.test";
    let expected = [
        ("certificate-host-mismatch", mx),
        ("validation-failure", mx),
    ];
    assert_eq!(types, expected, "{counted:?}");
}

/// Postfix asks anew for each delivery, so a new policy holds from the next one on, and each session is
/// counted under the policy that it was held to.
#[test]
fn d10_sessions_before_and_after_a_new_policy_are_counted_each_under_its_own() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    let domain = "sts-enforce.test";
    let mx = "mx.sts-enforce.test";
    assert_verified(&host, &host.send(domain));
    daemon.counted(domain, 1);
    host.ask(&format!(
        "policy {domain} 20260102 enforce {mx} mx2.{domain}"
    ));
    let refreshed = daemon.command(&["policy", "refresh", domain]);
    assert!(refreshed.status.success(), "{refreshed:?}");
    // By the smtp(8) that sent the first: it has not been idle for long.
    assert_verified(&host, &host.send(domain));
    let expected = [Counted::good("sts", 1), Counted::good("sts", 1)];
    assert_eq!(daemon.counted(domain, 2), expected);

    host.ask(&format!("policy {domain} 20260103 testing {mx}"));
    let refreshed = daemon.command(&["policy", "refresh", domain]);
    assert!(refreshed.status.success(), "{refreshed:?}");
    assert_eq!(host.send(domain).delivered, Delivery::Tls);
    let expected = [(); 3].map(|()| Counted::good("sts", 1));
    assert_eq!(daemon.counted(domain, 3), expected);
}

/// D14: what was counted outlives the daemon, and Postfix finds the next one by itself.
#[test]
fn d14_a_daemon_that_is_killed_loses_nothing_that_it_counted() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    assert_verified(&host, &host.send("sts-enforce.test"));
    daemon.counted("sts-enforce.test", 1);
    daemon.kill();
    let message = host.submit(Message {
        sender: SENDER,
        headers: "",
        recipients: &["someone@sts-wildcard.test"],
    });
    let fate = host.fates(&message, 1).remove(0);
    assert_eq!(fate.status, Status::Deferred, "{}", fate.line);

    let daemon = host.start_daemon_with(SOON);
    host.flush();
    assert_verified(&host, &host.fates(&message, 2)[1]);
    assert_verified(&host, &host.send("sts-enforce.test"));
    let counted = daemon.counted("sts-wildcard.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);
    let counted = daemon.counted("sts-enforce.test", 2);
    assert_eq!(counted, [Counted::good("sts", 2)]);
}

/// G10: mail waits where nobody can know in time what the domain demands, and whoever looks for the
/// reason finds it.
#[test]
fn g10_mail_that_waits_for_an_unknown_policy_says_why() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let slow = "deadline_ms = 200\n[dns]\ntimeout_ms = 1000\nattempts = 1\n";
    let daemon = host.start_daemon_with(&format!("{slow}{SOON}"));
    host.ask("fault _mta-sts.sts-enforce.test silence");
    let message = host.submit(Message {
        sender: SENDER,
        headers: "",
        recipients: &["someone@sts-enforce.test"],
    });
    let fate = host.fates(&message, 1).remove(0);
    assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
    let log = host.daemon_log();
    let reason = "the policy of sts-enforce.test is not known: no answer from DNS";
    assert!(log.contains(reason), "{log}");
    assert_eq!(counter(&daemon, "socketmap_deferred"), 1);
    let checked = daemon.command(&["check", "sts-enforce.test"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    let why = "_mta-sts.sts-enforce.test: no answer within 1000 ms";
    assert!(said.contains(why), "{said}");
    assert_eq!(daemon.counted_in_all(), 0);

    host.ask("fault _mta-sts.sts-enforce.test none");
    let refreshed = daemon.command(&["policy", "refresh", "sts-enforce.test"]);
    assert!(refreshed.status.success(), "{refreshed:?}");
    host.flush();
    assert_verified(&host, &host.fates(&message, 2)[1]);
    let counted = daemon.counted("sts-enforce.test", 1);
    assert_eq!(counted, [Counted::good("sts", 1)]);
}

/// Without our own looks nothing is inferred from them, and what Postfix did not check is counted as it
/// told it.
#[test]
fn without_looks_what_nobody_checked_is_counted_as_told() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with("[probe]\nenabled = false\nsilent_seconds = 1\n");
    let silent = [
        "testing-nostarttls.test",
        "plain-nostarttls.test",
        "plain-454.test",
    ];
    for fate in host.send_to_each(&silent) {
        assert_eq!(fate.delivered, Delivery::Plain, "{}", fate.line);
    }
    let told = [
        "sts-testing.test",
        "testing-wrongmx.test",
        "testing-good.test",
    ];
    for fate in host.send_to_each(&told) {
        assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
    }
    host.send("sts-fetcherr.test");
    for domain in told {
        let counted = daemon.counted(domain, 1);
        assert_eq!(counted, [Counted::good("no-policy-found", 1)], "{domain}");
    }
    assert_eq!(counter(&daemon, "sessions_unchecked"), 3);
    assert_one_failure(&daemon, "sts-fetcherr.test", "sts-policy-fetch-error");
    for domain in silent {
        assert_eq!(daemon.counted_now(domain), [], "{domain}");
    }
}

/// One smtp process sends them all: it asks for each, on one connection to the socketmap.
#[test]
fn each_session_in_the_clear_is_inferred_where_there_is_one_mx() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(SOON);
    for _ in 0..3 {
        assert_eq!(
            host.send("plain-nostarttls.test").delivered,
            Delivery::Plain
        );
        assert_eq!(host.send("sts-wrongmx.test").status, Status::Deferred);
    }
    let clear = daemon.counted("plain-nostarttls.test", 3);
    assert_eq!((clear[0].successes, clear[0].failures), (0, 3), "{clear:?}");
    let excluded = daemon.counted("sts-wrongmx.test", 3);
    assert_eq!(
        (excluded[0].successes, excluded[0].failures),
        (0, 3),
        "{excluded:?}"
    );
}
