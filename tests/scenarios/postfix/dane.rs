//! What the operator makes of DANE, with real Postfix: demanded, not told, told to a Postfix of any level.

use sealpost_kit::Delivery;

use super::with_each_version;
use crate::mta::{
    laboratory::Counted,
    postfix::{PostfixHost, Status, Version},
};

const DEMANDED: &str = "[probe]\nsilent_seconds = 3\n\
    [domain.\"plain.test\"]\nmode = \"dane-only\"\n\
    [domain.\"dane-ok.test\"]\nmode = \"dane-only\"\n";

/// An unsigned domain that the operator demands DANE of waits, and its report says why.
#[test]
fn c17_mandatory_dane_keeps_mail_from_a_host_without_tlsa_records() {
    let Some(host) = PostfixHost::start(Version::V3_10, &[]) else {
        return;
    };
    let daemon = host.start_daemon_with(DEMANDED);
    let fates = host.send_to_each(&["plain.test", "dane-ok.test"]);
    assert_eq!(fates[0].status, Status::Deferred, "{}", fates[0].line);
    assert!(fates[0].text.contains("DNSSEC"), "{}", fates[0].line);
    assert_eq!(
        fates[1].delivered,
        Delivery::TlsVerified,
        "{}",
        fates[1].line
    );
    assert_eq!(
        daemon.counted("plain.test", 1),
        [Counted::bad(
            "tlsa",
            "mx.plain.test",
            &["dane-required policy:no-usable-tlsa-records"]
        )],
        "{}",
        host.daemon_log()
    );
    assert_eq!(
        daemon.counted("dane-ok.test", 1),
        [Counted::good("tlsa", 1)]
    );
}

/// Where Postfix may not be told, what is demanded waits with a reason, and the rest goes by the policy.
#[test]
fn c17_what_postfix_may_not_be_told_waits_only_where_it_is_demanded() {
    with_each_version(&[], |_, host| {
        let _daemon = host.start_daemon_with(&format!("dane_only = \"never\"\n{DEMANDED}"));
        let fates = host.send_to_each(&["dane-ok.test", "both.test", "both-bad-sts.test"]);
        assert_eq!(fates[0].status, Status::Deferred, "{}", fates[0].line);
        let log = host.mail_log();
        assert!(log.contains("socketmap.dane_only"), "{log}");
        assert_eq!(fates[1].delivered, Delivery::TlsVerified, "{log}");
        assert_eq!(fates[2].status, Status::Deferred, "{log}");
    });
}

/// B36: what DANE refuses the policy does not let in, and what DANE vouches for it does not keep out,
/// whatever Postfix's own level. C3: a host whose TLSA records cannot be looked up is passed over.
#[test]
fn b36_c3_dane_decides_where_there_is_a_policy_too() {
    with_each_version(&[], |_, host| {
        host.ask("fault _25._tcp.mx1.dane-twomx.test servfail");
        let _daemon = host.start_daemon();
        let fates = host.send_to_each(&[
            "both-bad-dane.test",
            "both-bad-sts.test",
            "dane-better-bad.test",
            "dane-worse.test",
            "dane-twomx.test",
        ]);
        let log = host.mail_log();
        assert_eq!(fates[0].status, Status::Deferred, "{log}");
        assert_eq!(fates[1].delivered, Delivery::TlsVerified, "{log}");
        assert_eq!(fates[2].status, Status::Deferred, "{log}");
        assert_eq!(fates[3].mx.as_deref(), Some("mx1.dane-worse.test"), "{log}");
        assert_eq!(fates[4].mx.as_deref(), Some("mx2.dane-twomx.test"), "{log}");
        assert_eq!(fates[4].delivered, Delivery::TlsVerified, "{log}");
        let tried = host.ask("sessions").to_string();
        assert!(!tried.contains("mx1.dane-twomx.test"), "{tried}");
    });
}
