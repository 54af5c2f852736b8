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
const SOON: &str = "[probe]\nsilent_seconds = 3\n";

/// Sends a message to these, and says what became of it for each.
fn send_with(host: &PostfixHost, headers: &str, recipients: &[&str]) -> Vec<Fate> {
    let submitted = host.submit(Message {
        sender: SENDER,
        headers,
        recipients,
    });
    host.fates(&submitted, recipients.len())
}

/// It went by TLS with all that a policy demands.
fn assert_verified(host: &PostfixHost, fate: &Fate) {
    let seen = fate.delivered;
    let log = host.mail_log();
    assert_eq!(seen, Delivery::TlsVerified, "{}\n{log}", fate.line);
}

/// Everything of before is counted when this is: what is told is read in its order, and what is
/// inferred is due in the order of the attempts.
fn let_pass(host: &PostfixHost, daemon: &Daemon<'_>) {
    let domain = "plain-nostarttls.test";
    assert_eq!(host.send(domain).delivered, Delivery::Plain);
    daemon.counted(domain, 1);
}

fn counter(daemon: &Daemon<'_>, name: &str) -> u64 {
    let status = daemon.json(&["status", "--json"]);
    let counters = status["counters"].as_array().unwrap();
    let found = counters.iter().find(|each| each["name"] == name);
    found.unwrap_or_else(|| panic!("no counter {name}"))["value"]
        .as_u64()
        .unwrap()
}

/// How many connections a mail host had on which mail was offered.
fn connections(host: &PostfixHost, mx: &str) -> usize {
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
    let recipients = ["one@sts-wildcard.test", "two@ipv4.sts-wildcard.test"];
    let fates = send_with(&host, "", &["one@sts-wildcard.test", "two@relay.test"]);
    for fate in &fates {
        assert_verified(&host, fate);
    }
    let _ = recipients;

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
