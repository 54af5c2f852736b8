//! Real Postfix, of Debian 13 and of Debian 12: the ground that everything else with Postfix stands on.

mod dane;
mod earlier;
mod edges;
mod loop_trial;
mod matrix;
mod setup;
mod silence;
mod typed;

use std::{os::unix::net::UnixDatagram, time::Duration};

use sealpost_kit::Delivery;
use serde_json::Value;

use crate::mta::{
    SENDER,
    laboratory::Counted,
    postfix::{Message, PostfixHost, Status, Version},
};

/// Does this with each Postfix that the machine has.
fn with_each_version(settings: &[(&str, &str)], test: impl Fn(Version, &PostfixHost)) {
    for version in Version::ALL {
        if let Some(host) = PostfixHost::start(version, settings) {
            // Shown where the test fails.
            println!("{version:?}");
            test(version, &host);
        }
    }
}

/// What these Postfixes do of themselves.
#[test]
fn without_a_policy_server_postfix_takes_whatever_tls_there_is() {
    with_each_version(&[("smtp_tls_policy_maps", "")], |_, host| {
        let fates = host.send_to_each(&["plain.test", "sts-enforce.test", "plain-nostarttls.test"]);
        let seen: Vec<_> = fates
            .iter()
            .map(|fate| (fate.status, fate.delivered, fate.mx.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                (Status::Sent, Delivery::Tls, Some("mx.plain.test")),
                (Status::Sent, Delivery::Tls, Some("mx.sts-enforce.test")),
                (
                    Status::Sent,
                    Delivery::Plain,
                    Some("mx.plain-nostarttls.test")
                ),
            ],
            "{}",
            host.mail_log()
        );
        let fate = host.send("down.test");
        assert_eq!((fate.status, &fate.mx), (Status::Deferred, &None));
        assert!(fate.text.contains("refused"), "{}", fate.line);
    });
}

/// A message of several recipients, one of whom has to wait; then other settings, and Postfix anew.
#[test]
fn what_postfix_cannot_send_waits_until_it_is_asked_for() {
    with_each_version(&[("smtp_tls_policy_maps", "")], |_, host| {
        host.ask("behave mx.plain.test closes-at-handshake");
        let message = host.submit(Message {
            sender: SENDER,
            headers: "From: someone@sender.test\n",
            recipients: &["someone@plain.test", "other@sts-enforce.test"],
        });
        let fates = host.fates(&message, 2);
        let of = |recipient: &str| fates.iter().find(|fate| fate.recipient == recipient);
        let delivered = of("other@sts-enforce.test").unwrap();
        assert_eq!(delivered.delivered, Delivery::Tls, "{}", delivered.line);
        let deferred = of("someone@plain.test").unwrap();
        assert_eq!(deferred.status, Status::Deferred, "{}", deferred.line);
        assert!(deferred.text.contains("TLS"), "{}", deferred.line);

        host.ask("behave mx.plain.test correct");
        host.flush();
        assert_eq!(host.fates(&message, 3)[2].delivered, Delivery::Tls);

        host.reload(&[
            ("smtp_tls_policy_maps", ""),
            ("smtp_tls_security_level", "encrypt"),
        ]);
        let fate = host.send("plain-nostarttls.test");
        assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
        host.restart();
        host.ask("behave mx.plain.test refuses-recipients");
        let fate = host.send("plain.test");
        assert_eq!(fate.status, Status::Bounced, "{}", fate.line);
    });
}

/// A policy server that is gone defers, whatever the domain. Only Postfix 3.10 knows that report mail is
/// to go all the same (RFC 8460 s5.3, RFC 8689).
#[test]
fn g10_f10_without_the_daemon_nothing_leaves_but_reports() {
    with_each_version(&[], |version, host| {
        for fate in host.send_to_each(&["plain.test", "sts-enforce.test"]) {
            assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
        }
        assert_eq!(host.ask("messages"), Value::Array(Vec::new()));
        let fate = host.send_report("sts-badcert.test");
        let expected = match version {
            Version::V3_10 => Delivery::Tls,
            Version::V3_7 => Delivery::Deferred,
        };
        assert_eq!(fate.delivered, expected, "{}", fate.line);
    });
}

/// What the datagram door is there for: Postfix 3.10 tells each session to a socket below its queue
/// directory.
#[test]
fn postfix_3_10_tells_outcomes_to_a_socket() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[("smtp_tls_policy_maps", "")]) else {
        return;
    };
    let path = host.socket("tlsrpt");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(&path, mode).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let fate = host.send("plain.test");
    assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).unwrap();
    let told: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    assert_eq!(told["d"], "plain.test", "{told}");
    assert_eq!(told["policies"][0]["f"], 0, "{told}");
}

/// Policy, outcome and report by one daemon: the whole way round once.
#[test]
fn a_policy_is_enforced_and_its_report_leaves_through_the_same_postfix() {
    with_each_version(&[], |version, host| {
        let daemon = host.start_daemon();
        let fates = host.send_to_each(&["sts-enforce.test", "sts-badcert.test"]);
        assert_eq!(
            [fates[0].delivered, fates[1].delivered],
            [Delivery::TlsVerified, Delivery::Deferred],
            "{}",
            host.mail_log()
        );
        if version == Version::V3_7 {
            return;
        }
        assert_eq!(
            daemon.counted("sts-enforce.test", 1),
            [Counted::good("sts", 1)]
        );
        daemon.counted("sts-badcert.test", 1);
        let sent = daemon.end_day();
        assert!(sent.status.success(), "{sent:?}\n{}", host.daemon_log());
        host.ask("wait 2");
        let inbox = host.ask("inbox");
        let mut reports: Vec<_> = inbox
            .as_array()
            .unwrap()
            .iter()
            .map(|landed| (landed["domain"].as_str(), landed["dkim"].as_str()))
            .collect();
        reports.sort_unstable();
        assert_eq!(
            reports,
            [
                (Some("sts-badcert.test"), Some("pass")),
                (Some("sts-enforce.test"), Some("pass")),
            ]
        );
        // D6: what the reports travelled by is not counted.
        assert_eq!(daemon.counted_in_all(), 2);
    });
}
