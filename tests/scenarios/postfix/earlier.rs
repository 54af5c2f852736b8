//! The edges with a Postfix that tells its sessions in its log alone.

use super::edges::{assert_verified, connections, let_pass, send_with};
use crate::mta::{
    laboratory::Counted,
    postfix::{PostfixHost, Version},
};

/// RFC 8460 s4.2 counts connections: not recipients, not messages, and each TLS session that is resumed
/// is a connection of its own.
#[test]
fn by_the_log_alone_connections_are_counted_and_not_recipients_or_messages() {
    let domain = "sts-enforce.test";
    let Some(host) = PostfixHost::start(Version::V3_7, &[]) else {
        return;
    };
    let sections = "[probe]\nsilent_seconds = 3\n\
                    [postfix_log]\npath = \"log/mail.log\"\ntake = \"all\"\n";
    let daemon = host.start_daemon_with(sections);
    for fate in send_with(&host, "", &["one@sts-wildcard.test", "two@relay.test"]) {
        assert_verified(&host, &fate);
    }
    assert_verified(&host, &host.send("bücher.test"));
    for domain in ["sts-wildcard.test", "relay.test", "xn--bcher-kva.test"] {
        let counted = daemon.counted(domain, 1);
        assert_eq!(counted, [Counted::good("sts", 1)], "{domain}");
    }
    for fate in send_with(&host, "", &["one@sts-enforce.test", "two@sts-enforce.test"]) {
        assert_verified(&host, &fate);
    }
    assert_eq!(connections(&host, "mx.sts-enforce.test"), 1);
    let_pass(&host, &daemon);
    assert_eq!(daemon.counted_now(domain), [Counted::good("sts", 1)]);

    let send_three = || {
        for _ in 0..3 {
            assert_verified(&host, &host.send(domain));
        }
    };
    host.reload(&[
        ("smtp_tls_connection_reuse", "yes"),
        ("smtp_connection_cache_destinations", domain),
    ]);
    send_three();
    assert_eq!(connections(&host, "mx.sts-enforce.test"), 2);
    assert_verified(&host, &host.send("many-mx.test"));
    daemon.counted("many-mx.test", 1);
    assert_eq!(daemon.counted_now(domain), [Counted::good("sts", 2)]);

    let cache = "btree:/var/lib/postfix/smtp_scache";
    host.reload(&[("smtp_tls_session_cache_database", cache)]);
    send_three();
    assert_eq!(connections(&host, "mx.sts-enforce.test"), 5);
    assert_eq!(daemon.counted(domain, 5), [Counted::good("sts", 5)]);
}
