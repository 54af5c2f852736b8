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

/// Postfix goes past no TLSA record because we could not say in time, or look at all hosts. Told the policy, it
/// would do no DANE.
#[test]
fn b36_what_is_not_known_of_dane_does_not_put_the_policy_in_its_place() {
    with_each_version(&[("smtp_tls_security_level", "dane")], |_, host| {
        let settings = "deadline_ms = 4000\n[dane]\nhosts_max = 1\n";
        let _daemon = host.start_daemon_with(settings);
        host.ask("fault _25._tcp.mx.both-bad-dane.test silence");
        // The policy is content with each of these certificates.
        let fates = host.send_to_each(&["both-bad-dane.test", "dane-better-bad.test"]);
        let log = host.mail_log();
        for fate in &fates {
            assert_eq!(fate.status, Status::Deferred, "{}\n{log}", fate.line);
        }
        assert!(log.contains("the DNS did not say in time"), "{log}");
        assert!(
            log.contains("2 MX hosts are more than dane.hosts_max"),
            "{log}"
        );
    });
}

/// Who is not told of DANE does not wait for it.
#[test]
fn what_nobody_would_be_told_is_no_reason_to_wait() {
    with_each_version(&[], |_, host| {
        let _daemon = host.start_daemon_with("dane_only = \"never\"\ndeadline_ms = 4000\n");
        host.ask("fault _25._tcp.mx.dane-ok.test silence");
        host.ask("fault _25._tcp.mx.both.test silence");
        let fates = host.send_to_each(&["dane-ok.test", "both.test"]);
        let log = host.mail_log();
        assert_eq!(fates[0].delivered, Delivery::Tls, "{log}");
        assert_eq!(fates[1].delivered, Delivery::TlsVerified, "{log}");
    });
}

/// Domains whose TLSA records keep mail from them, at a level that does DANE by itself.
const BROKEN: [(&str, Delivery); 3] = [
    ("dane-bad.test", Delivery::Tls),
    ("dane-bogus.test", Delivery::Tls),
    ("dane-nostarttls.test", Delivery::Plain),
];

/// An operator who passes over the TLSA records of a domain, or only audits them, has its mail delivered.
#[test]
fn c18_what_the_operator_does_not_enforce_postfix_does_not_enforce_by_itself() {
    with_each_version(&[("smtp_tls_security_level", "dane")], |version, host| {
        for (sent, modes) in (1..).zip([
            ["off", "without-dane", "audit"],
            ["audit", "off", "without-dane"],
            ["without-dane", "audit", "off"],
        ]) {
            let overrides: Vec<String> = BROKEN
                .iter()
                .zip(modes)
                .map(|((domain, _), mode)| format!("[domain.\"{domain}\"]\nmode = \"{mode}\"\n"))
                .collect();
            let daemon = host.start_daemon_with(&overrides.concat());
            goes_through(host);
            // What nobody spoke of is left to Postfix.
            let fate = host.send("dane-twomx.test");
            assert_eq!(
                fate.mx.as_deref(),
                Some("mx2.dane-twomx.test"),
                "{}",
                fate.line
            );
            if version == Version::V3_10 {
                let counted = daemon.counted("dane-bad.test", sent);
                let expected = [Counted::good("no-policy-found", sent)];
                assert_eq!(counted, expected, "{modes:?}");
            }
        }
    });
}

/// The first weeks: nothing is enforced, and what a policy demands still is.
#[test]
fn c18_audited_dane_is_enforced_by_nobody() {
    with_each_version(&[("smtp_tls_security_level", "dane")], |_, host| {
        let _daemon = host.start_daemon_with("[dane]\naudit = true\n");
        goes_through(host);
        let fates = host.send_to_each(&["both-bad-dane.test", "both-bad-sts.test"]);
        let log = host.mail_log();
        assert_eq!(fates[0].delivered, Delivery::TlsVerified, "{log}");
        assert_eq!(fates[1].status, Status::Deferred, "{log}");
    });
}

fn goes_through(host: &PostfixHost) {
    let domains = BROKEN.map(|(domain, _)| domain);
    for (fate, (domain, delivered)) in host.send_to_each(&domains).iter().zip(BROKEN) {
        assert_eq!(fate.delivered, delivered, "{domain}: {}", host.mail_log());
    }
}

/// Where the log is read, it tells of each host that mandatory DANE keeps mail from; where DANE is not
/// mandatory, such a host is only passed over.
#[test]
fn c17_the_log_tells_of_each_host_that_mandatory_dane_keeps_mail_from() {
    with_each_version(&[], |version, host| {
        let take = match version {
            Version::V3_10 => "silent",
            Version::V3_7 => "all",
        };
        let log = format!("[postfix_log]\npath = \"log/mail.log\"\ntake = \"{take}\"\n");
        let daemon = host.start_daemon_with(&format!(
            "{log}[domain.\"plain.test\"]\nmode = \"dane-only\"\n\
             [domain.\"dane-unusable.test\"]\nmode = \"dane-only\"\n"
        ));
        let demanded = ["plain.test", "dane-unusable.test"];
        for _ in 0..2 {
            for fate in host.send_to_each(&demanded) {
                assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
            }
        }
        for domain in demanded {
            let counted = daemon.counted(domain, 2);
            let [counted] = counted.as_slice() else {
                panic!("{counted:?}\n{}", host.mail_log());
            };
            let (failures, kind) = (counted.failures, &counted.details[0].0);
            assert_eq!((counted.policy_type.as_str(), failures), ("tlsa", 2));
            // 3.10 tells this one itself, and is believed.
            let expected = match (version, domain) {
                (Version::V3_10, "dane-unusable.test") => "tlsa-invalid",
                _ => "dane-required no-usable-tlsa-records",
            };
            assert!(kind.starts_with(expected), "{kind}");
        }
        // Its second MX has no TLSA records, and nobody demands that it has.
        let fate = host.send("dane-better-bad.test");
        assert_eq!(fate.status, Status::Deferred, "{}", fate.line);
        assert!(host.mail_log().contains("no TLSA records found"));
        let counted = daemon.counted("dane-better-bad.test", 1);
        let kinds = counted.iter().flat_map(|counted| &counted.details);
        let required: Vec<_> = kinds
            .filter(|(kind, ..)| kind.contains("dane-required"))
            .collect();
        assert!(required.is_empty(), "{required:?}");
    });
}
