//! The sixteen domains of the demo, which any MTA can be held to.

use super::{
    Blueprint, Delivery, Publishes, Rua,
    blueprint::Outcome,
    words::{behaving, failed, flawed, good},
};
use crate::{authority::Flaw, mx::MxBehaviour};

/// Every case, in the order of the demo's table.
pub(super) fn blueprints() -> Vec<Blueprint> {
    let mut all = vec![Blueprint::verified(
        "correct.test",
        "nothing is wrong",
        "mx.correct.test",
        &["mx.correct.test"],
    )];
    all.extend(bad_mail_hosts());
    all.extend(bad_policy_hosts());
    all.extend(other_policies());
    all.extend([
        Blueprint {
            mail_hosts: vec![
                flawed("mx1.two-mx.test", Flaw::Expired),
                good("mx2.two-mx.test"),
            ],
            outcome: Outcome::taken(Delivery::TlsVerified, "mx2.two-mx.test")
                .after(failed("certificate-expired", "mx1.two-mx.test")),
            ..Blueprint::verified(
                "two-mx.test",
                "the first of two MX has an expired certificate",
                "mx2.two-mx.test",
                &["mx1.two-mx.test", "mx2.two-mx.test"],
            )
        },
        Blueprint::verified(
            "wildcard.test",
            "the policy names its MX by a wildcard",
            "mail.wildcard.test",
            &["*.wildcard.test"],
        ),
        Blueprint {
            rua: Rua::AsksNot,
            ..Blueprint::verified(
                "no-rua.test",
                "nobody asks for a report",
                "mx.no-rua.test",
                &["mx.no-rua.test"],
            )
        },
    ]);
    all
}

fn bad_mail_hosts() -> Vec<Blueprint> {
    vec![
        Blueprint::refused(
            "expired.test",
            "the MX certificate has expired",
            flawed("mx.expired.test", Flaw::Expired),
            &["mx.expired.test"],
            failed("certificate-expired", "mx.expired.test"),
        ),
        Blueprint::refused(
            "self-signed.test",
            "the MX certificate is self-signed",
            flawed("mx.self-signed.test", Flaw::SelfSigned),
            &["mx.self-signed.test"],
            failed("certificate-not-trusted", "mx.self-signed.test"),
        ),
        Blueprint::refused(
            "wrong-name.test",
            "the MX certificate is for another name",
            flawed("mx.wrong-name.test", Flaw::WrongName),
            &["mx.wrong-name.test"],
            failed("certificate-host-mismatch", "mx.wrong-name.test"),
        ),
        Blueprint::refused(
            "unknown-ca.test",
            "the MX certificate is from an unknown CA",
            flawed("mx.unknown-ca.test", Flaw::UnknownAuthority),
            &["mx.unknown-ca.test"],
            failed("certificate-not-trusted", "mx.unknown-ca.test"),
        ),
        Blueprint::refused(
            "no-starttls.test",
            "the MX offers no STARTTLS",
            behaving("mx.no-starttls.test", MxBehaviour::NoStartTls),
            &["mx.no-starttls.test"],
            failed("starttls-not-supported", "mx.no-starttls.test"),
        ),
        Blueprint::refused(
            "other-mx.test",
            "the MX is not one that the policy names",
            good("mx.elsewhere.test"),
            &["mx.other-mx.test"],
            failed("validation-failure", "mx.elsewhere.test"),
        ),
    ]
}

fn bad_policy_hosts() -> Vec<Blueprint> {
    vec![
        Blueprint::without_its_policy(
            "policy-down.test",
            "nobody listens at the policy host",
            Publishes::HostDown,
            "mx.policy-down.test",
            "sts-policy-fetch-error",
        ),
        Blueprint::without_its_policy(
            "policy-certificate.test",
            "the policy host's certificate is for another name",
            Publishes::HostCertificateWrong,
            "mx.policy-certificate.test",
            "sts-webpki-invalid",
        ),
        Blueprint::without_its_policy(
            "policy-rubbish.test",
            "the policy host serves a web page",
            Publishes::HostTalksRubbish,
            "mx.policy-rubbish.test",
            "sts-policy-invalid",
        ),
    ]
}

fn other_policies() -> Vec<Blueprint> {
    vec![
        Blueprint::new(
            "testing.test",
            "testing mode, and the MX certificate has expired",
            Publishes::policy("testing", &["mx.testing.test"]),
            vec![flawed("mx.testing.test", Flaw::Expired)],
            Outcome::taken_despite(
                Delivery::Tls,
                "mx.testing.test",
                failed("certificate-expired", "mx.testing.test"),
            ),
        ),
        Blueprint::opportunistic(
            "none.test",
            "the policy says none",
            Publishes::policy("none", &[]),
            "mx.none.test",
        ),
        Blueprint::opportunistic(
            "no-policy.test",
            "nothing is published",
            Publishes::Nothing,
            "mx.no-policy.test",
        ),
    ]
}
