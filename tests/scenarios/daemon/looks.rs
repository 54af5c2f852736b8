//! The daemon looks at the mail hosts of domains that Postfix asks about.

use std::collections::BTreeSet;

use super::{
    host::{Host, until},
    socketmap::{ask, connect, host},
};

/// Postfix asks about these domains, twice each.
fn ask_about(host: &Host, domains: &[&str]) {
    let mut client = connect(&host.file("socketmap.sock"));
    for domain in [domains, domains].concat() {
        ask(&mut client, "QUERYwithTLSRPT", domain);
    }
}

#[test]
fn mail_hosts_are_looked_at_once_where_postfix_checks_nothing_and_never_sent_a_message() {
    let host = host();
    let daemon = host.start();
    // An enforced policy Postfix checks itself.
    ask_about(&host, &["correct.test", "testing.test", "no-policy.test"]);
    until("two looks", || (host.counter("probes") >= 2).then_some(()));
    until("their ends", || {
        let sessions = host.internet.mx_hosts.sessions();
        let ended = sessions.iter().filter(|session| {
            let last = session.commands.last();
            last.is_some_and(|command| command == "QUIT")
        });
        (ended.count() >= 2).then_some(())
    });
    ask_about(&host, &["correct.test", "testing.test", "no-policy.test"]);
    assert!(daemon.stop().success());
    let sessions = host.internet.mx_hosts.sessions();
    let met: BTreeSet<&str> = sessions.iter().map(|session| session.mx.as_str()).collect();
    assert_eq!(
        met,
        BTreeSet::from(["mx.no-policy.test", "mx.testing.test"])
    );
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| !session.offers_mail()));
    assert!(host.internet.mx_hosts.messages().is_empty());
}

#[test]
fn an_operator_who_turned_looking_off_sees_no_connection() {
    let mut host = host();
    host.set("probe.enabled", false);
    let daemon = host.start();
    ask_about(&host, &["testing.test", "no-policy.test"]);
    // The DNS is asked, and then nobody.
    until("the MX records to be asked for", || {
        let asked = |name| host.internet.dns.times_asked(name, "MX") > 0;
        (asked("testing.test") && asked("no-policy.test")).then_some(())
    });
    assert_eq!(host.counter("probes"), 0);
    assert!(daemon.stop().success());
    assert!(host.internet.mx_hosts.sessions().is_empty());
}
