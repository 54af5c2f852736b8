//! The domains that real Postfix is held to: MTA-STS and DANE side by side (those with DANE are in
//! `dane.rs`), what its own events do not tell or tell wrongly, and what only shows with a real MTA.

use super::{
    Blueprint, Delivery, MailHost, Place, Preferences, Publishes, Rua,
    blueprint::{Failed, Outcome},
    dane,
    words::{behaving, failed, flawed, good, mx_mismatch},
};
use crate::{authority::Flaw, mx::MxBehaviour};

/// How many MX patterns the longest policy has.
const PATTERNS_MANY: usize = 700;

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    let groups = [
        good_under_enforce(),
        bad_certificates(),
        bad_mail_hosts(),
        several_mail_hosts(),
        testing(),
        policies_not_had(),
        without_policy(),
        dane::blueprints(),
    ];
    groups.into_iter().flatten().collect()
}

fn good_under_enforce() -> Vec<Blueprint> {
    vec![
        Blueprint::verified(
            "sts-enforce.test",
            "nothing is wrong",
            "mx.sts-enforce.test",
            &["mx.sts-enforce.test"],
        ),
        Blueprint::verified(
            "sts-wildcard.test",
            "the policy names its MX by a wildcard",
            "mx.sts-wildcard.test",
            &["*.sts-wildcard.test", "backup.sts-wildcard.test"],
        ),
        Blueprint {
            rua: Rua::AsksNot,
            ..Blueprint::verified(
                "norpt.test",
                "nobody asks for a report",
                "mx.norpt.test",
                &["mx.norpt.test"],
            )
        },
        Blueprint {
            u_label: Some("bücher.test"),
            ..Blueprint::verified(
                "xn--bcher-kva.test",
                "the domain is not ASCII",
                "mx.xn--bcher-kva.test",
                &["mx.xn--bcher-kva.test"],
            )
        },
        Blueprint::verified(
            "relay.test",
            "a smart host, to be used as [relay.test] too",
            "relay.test",
            &["relay.test"],
        ),
        Blueprint {
            publishes: Publishes::Policy("enforce", many_patterns()),
            ..Blueprint::verified(
                "many-mx.test",
                "the policy names 700 MX",
                "mx001.many-mx.test",
                &[],
            )
        },
        Blueprint {
            mail_hosts: vec![MailHost {
                place: Place::Ipv6Only,
                ..good("mx.ipv6.test")
            }],
            ..Blueprint::verified(
                "ipv6.test",
                "the MX has an IPv6 address only",
                "mx.ipv6.test",
                &["mx.ipv6.test"],
            )
        },
    ]
}

fn many_patterns() -> Vec<String> {
    (1..=PATTERNS_MANY)
        .map(|number| format!("mx{number:03}.many-mx.test"))
        .collect()
}

fn bad_certificates() -> Vec<Blueprint> {
    vec![
        Blueprint::refused(
            "sts-badcert.test",
            "the MX certificate has expired",
            flawed("mx.sts-badcert.test", Flaw::Expired),
            &["mx.sts-badcert.test"],
            failed("certificate-expired", "mx.sts-badcert.test"),
        ),
        Blueprint::refused(
            "sts-mismatch.test",
            "the MX certificate is for another name",
            flawed("mx.sts-mismatch.test", Flaw::WrongName),
            &["mx.sts-mismatch.test"],
            failed("certificate-host-mismatch", "mx.sts-mismatch.test"),
        ),
        Blueprint::refused(
            "sts-selfsigned.test",
            "the MX certificate is self-signed",
            flawed("mx.sts-selfsigned.test", Flaw::SelfSigned),
            &["mx.sts-selfsigned.test"],
            failed("certificate-not-trusted", "mx.sts-selfsigned.test"),
        ),
        Blueprint::refused(
            "sts-untrusted.test",
            "the MX certificate is from an unknown CA",
            flawed("mx.sts-untrusted.test", Flaw::UnknownAuthority),
            &["mx.sts-untrusted.test"],
            failed("certificate-not-trusted", "mx.sts-untrusted.test"),
        ),
        Blueprint::refused(
            "sts-notyet.test",
            "the MX certificate is not valid yet",
            flawed("mx.sts-notyet.test", Flaw::NotYetValid),
            &["mx.sts-notyet.test"],
            failed("certificate-not-trusted", "mx.sts-notyet.test"),
        ),
        Blueprint::refused(
            "sts-ehlobig.test",
            "the EHLO reply is long, and the MX certificate has expired",
            MailHost {
                behaviour: MxBehaviour::BigEhlo,
                ..flawed("mx.sts-ehlobig.test", Flaw::Expired)
            },
            &["mx.sts-ehlobig.test"],
            failed("certificate-expired", "mx.sts-ehlobig.test"),
        ),
    ]
}

fn bad_mail_hosts() -> Vec<Blueprint> {
    vec![
        Blueprint::refused(
            "sts-nostarttls.test",
            "the MX offers no STARTTLS",
            behaving("mx.sts-nostarttls.test", MxBehaviour::NoStartTls),
            &["mx.sts-nostarttls.test"],
            failed("starttls-not-supported", "mx.sts-nostarttls.test"),
        ),
        Blueprint::refused(
            "sts-hsfail.test",
            "the MX answers the TLS handshake with something else",
            behaving("mx.sts-hsfail.test", MxBehaviour::HandshakeRubbish),
            &["mx.sts-hsfail.test"],
            failed("validation-failure", "mx.sts-hsfail.test"),
        ),
        Blueprint::refused(
            "sts-wrongmx.test",
            "the MX is not one that the policy names",
            good("mx.elsewhere.test"),
            &["mx.sts-wrongmx.test"],
            mx_mismatch("mx.elsewhere.test"),
        ),
        Blueprint::new(
            "down.test",
            "nobody listens at the MX, so there is no session",
            Publishes::policy("enforce", &["mx.down.test"]),
            vec![MailHost {
                place: Place::NobodyListens,
                ..good("mx.down.test")
            }],
            Outcome::without_session(),
        ),
    ]
}

fn several_mail_hosts() -> Vec<Blueprint> {
    vec![
        Blueprint {
            mail_hosts: vec![
                flawed("mx.sts-twomx.test", Flaw::Expired),
                good("mx2.sts-twomx.test"),
            ],
            outcome: Outcome::taken(Delivery::TlsVerified, "mx2.sts-twomx.test")
                .after(failed("certificate-expired", "mx.sts-twomx.test")),
            ..Blueprint::verified(
                "sts-twomx.test",
                "the first of two MX has an expired certificate",
                "mx2.sts-twomx.test",
                &["mx.sts-twomx.test", "mx2.sts-twomx.test"],
            )
        },
        Blueprint {
            mail_hosts: vec![good("mx1.mixed-mx.test"), good("mx2.mixed-mx.test")],
            outcome: Outcome::taken(Delivery::TlsVerified, "mx2.mixed-mx.test")
                .after(mx_mismatch("mx1.mixed-mx.test")),
            ..Blueprint::verified(
                "mixed-mx.test",
                "the policy names the second of two MX only",
                "mx2.mixed-mx.test",
                &["mx2.mixed-mx.test"],
            )
        },
    ]
}

/// Testing mode is evaluated as enforce, and the message is delivered all the same.
fn testing() -> Vec<Blueprint> {
    let case = |domain, story, host: MailHost, patterns: &[&str], outcome| {
        let publishes = Publishes::policy("testing", patterns);
        Blueprint::new(domain, story, publishes, vec![host], outcome)
    };
    let despite = |delivered, failure, mx| Outcome::taken_despite(delivered, mx, failure);
    let (tls, plain) = (Delivery::Tls, Delivery::Plain);
    vec![
        case(
            "sts-testing.test",
            "testing mode, and the MX certificate has expired",
            flawed("mx.sts-testing.test", Flaw::Expired),
            &["mx.sts-testing.test"],
            despite(
                tls,
                failed("certificate-expired", "mx.sts-testing.test"),
                "mx.sts-testing.test",
            ),
        ),
        case(
            "testing-good.test",
            "testing mode, and nothing is wrong",
            good("mx.testing-good.test"),
            &["mx.testing-good.test"],
            Outcome::taken(tls, "mx.testing-good.test"),
        ),
        case(
            "testing-nostarttls.test",
            "testing mode, and the MX offers no STARTTLS",
            behaving("mx.testing-nostarttls.test", MxBehaviour::NoStartTls),
            &["mx.testing-nostarttls.test"],
            despite(
                plain,
                failed("starttls-not-supported", "mx.testing-nostarttls.test"),
                "mx.testing-nostarttls.test",
            ),
        ),
        case(
            "testing-wrongmx.test",
            "testing mode, and the MX is not one that the policy names",
            good("mx.testing-elsewhere.test"),
            &["mx.testing-wrongmx.test"],
            despite(
                tls,
                mx_mismatch("mx.testing-elsewhere.test"),
                "mx.testing-elsewhere.test",
            ),
        ),
        testing_by_chance(),
    ]
}

fn testing_by_chance() -> Blueprint {
    let (fine, expired) = ("mx1.testing-twomx.test", "mx2.testing-twomx.test");
    let failure = failed("certificate-expired", expired);
    Blueprint {
        preferences: Preferences::Equal,
        otherwise: Some(Outcome::taken_despite(Delivery::Tls, expired, failure)),
        ..Blueprint::new(
            "testing-twomx.test",
            "testing mode, and one of two equal MX has an expired certificate",
            Publishes::policy("testing", &["*.testing-twomx.test"]),
            vec![good(fine), flawed(expired, Flaw::Expired)],
            Outcome::taken(Delivery::Tls, fine),
        )
    }
}

fn policies_not_had() -> Vec<Blueprint> {
    vec![
        Blueprint::without_its_policy(
            "sts-fetcherr.test",
            "the policy host has no such file",
            Publishes::HostHasNone,
            "mx.sts-fetcherr.test",
            "sts-policy-fetch-error",
        ),
        Blueprint::without_its_policy(
            "sts-webpki.test",
            "the policy host's certificate is for another name",
            Publishes::HostCertificateWrong,
            "mx.sts-webpki.test",
            "sts-webpki-invalid",
        ),
        Blueprint::without_its_policy(
            "sts-invalid.test",
            "the policy host serves a web page",
            Publishes::HostTalksRubbish,
            "mx.sts-invalid.test",
            "sts-policy-invalid",
        ),
    ]
}

fn without_policy() -> Vec<Blueprint> {
    let case = |domain, story, host, outcome| {
        Blueprint::new(domain, story, Publishes::Nothing, vec![host], outcome)
    };
    let no_starttls = |mx| {
        let failure: Failed = failed("starttls-not-supported", mx);
        Outcome::taken_despite(Delivery::Plain, mx, failure)
    };
    vec![
        Blueprint::opportunistic(
            "sts-none.test",
            "the policy says none",
            Publishes::policy("none", &[]),
            "mx.sts-none.test",
        ),
        case(
            "plain.test",
            "nothing is published, and the MX certificate is self-signed",
            flawed("mx.plain.test", Flaw::SelfSigned),
            Outcome::taken(Delivery::Tls, "mx.plain.test"),
        ),
        case(
            "plain-nostarttls.test",
            "nothing is published, and the MX offers no STARTTLS",
            behaving("mx.plain-nostarttls.test", MxBehaviour::NoStartTls),
            no_starttls("mx.plain-nostarttls.test"),
        ),
        case(
            "plain-454.test",
            "nothing is published, and the MX refuses STARTTLS",
            behaving("mx.plain-454.test", MxBehaviour::RefusesStartTls),
            no_starttls("mx.plain-454.test"),
        ),
        // The first try is deferred; a later one is made in the clear.
        case(
            "plain-hsfail.test",
            "nothing is published, and the MX answers the TLS handshake with something else",
            behaving("mx.plain-hsfail.test", MxBehaviour::HandshakeRubbish),
            Outcome::deferred(failed("validation-failure", "mx.plain-hsfail.test")),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table of a trial with real Postfix was made of.
    const TABLE: [&str; 26] = [
        "both.test",
        "dane-bad.test",
        "dane-bogus.test",
        "dane-nostarttls.test",
        "dane-ok.test",
        "dane-unusable.test",
        "down.test",
        "norpt.test",
        "plain-454.test",
        "plain-hsfail.test",
        "plain-nostarttls.test",
        "plain.test",
        "sts-badcert.test",
        "sts-ehlobig.test",
        "sts-enforce.test",
        "sts-fetcherr.test",
        "sts-hsfail.test",
        "sts-mismatch.test",
        "sts-nostarttls.test",
        "sts-notyet.test",
        "sts-selfsigned.test",
        "sts-testing.test",
        "sts-twomx.test",
        "sts-untrusted.test",
        "sts-wildcard.test",
        "sts-wrongmx.test",
    ];

    #[test]
    fn the_table_is_whole() {
        let domains: Vec<_> = blueprints()
            .iter()
            .map(|blueprint| blueprint.domain)
            .collect();
        for domain in TABLE {
            assert!(domains.contains(&domain), "{domain}");
        }
    }

    #[test]
    fn the_longest_policy_still_fits_into_a_policy_document() {
        let publishes = Publishes::Policy("enforce", many_patterns());
        let lines = publishes.document();
        assert_eq!(lines.len(), 703);
        assert!(lines.join("\r\n").len() < 65_536);
        assert!(lines.contains(&"mx: mx001.many-mx.test".to_owned()));
    }
}
