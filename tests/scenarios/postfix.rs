//! Real Postfix, of Debian 13 and of Debian 12.

use std::{os::unix::net::UnixDatagram, time::Duration};

use sealpost_kit::Delivery;
use serde_json::Value;

use crate::mta::postfix::{Message, PostfixHost, Status, Version};

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

/// The ground that the tests with the daemon stand on: what these Postfixes do of themselves.
#[test]
fn without_a_policy_server_postfix_takes_whatever_tls_there_is() {
    with_each_version(&[("smtp_tls_policy_maps", "")], |_, host| {
        let domains = ["no-policy.test", "expired.test", "no-starttls.test"];
        let fates = host.send_to_each(&domains);
        let seen: Vec<_> = fates
            .iter()
            .map(|fate| (fate.status, fate.delivered, fate.mx.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                (Status::Sent, Delivery::Tls, Some("mx.no-policy.test")),
                (Status::Sent, Delivery::Tls, Some("mx.expired.test")),
                (Status::Sent, Delivery::Plain, Some("mx.no-starttls.test")),
            ],
            "{}",
            host.mail_log()
        );
        // What cannot be sent waits, and goes when it is asked to.
        host.ask("behave mx.no-policy.test closes-at-handshake");
        let message = host.submit(Message {
            sender: "someone@sender.test",
            headers: "From: someone@sender.test\n",
            recipients: &["someone@no-policy.test", "other@correct.test"],
        });
        let fates = host.fates(&message, 2);
        let of = |recipient: &str| fates.iter().find(|fate| fate.recipient == recipient);
        assert_eq!(of("other@correct.test").unwrap().delivered, Delivery::Tls);
        let deferred = of("someone@no-policy.test").unwrap();
        assert_eq!(deferred.status, Status::Deferred, "{}", deferred.line);
        assert!(deferred.text.contains("TLS"), "{}", deferred.line);
        host.ask("behave mx.no-policy.test correct");
        host.flush();
        assert_eq!(host.fates(&message, 3)[2].delivered, Delivery::Tls);
        // By other settings.
        host.reload(&[
            ("smtp_tls_policy_maps", ""),
            ("smtp_tls_security_level", "encrypt"),
        ]);
        let fate = host.send("no-starttls.test");
        assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
        host.restart();
        host.ask("behave mx.no-policy.test refuses-recipients");
        let fate = host.send("no-policy.test");
        assert_eq!(fate.status, Status::Bounced, "{}", fate.line);
    });
}

/// G10: a policy server that is not there defers.
#[test]
fn g10_without_the_daemon_nothing_leaves() {
    with_each_version(&[], |_, host| {
        for fate in host.send_to_each(&["no-policy.test", "correct.test"]) {
            assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
        }
        assert_eq!(host.ask("messages"), Value::Array(Vec::new()));
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
    let fate = host.send("no-policy.test");
    assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).unwrap();
    let told: Value = serde_json::from_slice(&buffer[..length]).unwrap();
    assert_eq!(told["d"], "no-policy.test", "{told}");
    assert_eq!(told["policies"][0]["f"], 0, "{told}");
}
