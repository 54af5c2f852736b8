//! The domains with DANE (RFC 7672): a signed zone, and TLSA records of the mail hosts.

mod several_hosts;
mod with_policy;

use super::{
    Blueprint, Delivery, Dnssec, MailHost, Publishes, TlsaPlan,
    blueprint::{Outcome, Under},
    words::{bogus, failed, flawed, good_with_tlsa, no_match, with_tlsa},
};
use crate::{authority::Flaw, dns::DnsFault, mx::MxBehaviour};

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    let mut all = one_mail_host();
    all.extend(authorities());
    all.extend([lookup_fails(), alias()]);
    all.extend(insecure_mx());
    all.extend(mx_not_had());
    all.extend(with_policy::blueprints());
    all.extend(several_hosts::blueprints());
    all
}

fn one_mail_host() -> Vec<Blueprint> {
    vec![
        Blueprint::dane(
            "dane-ok.test",
            "the MX certificate matches its TLSA record",
            with_tlsa("mx.dane-ok.test", TlsaPlan::Matches),
            Outcome::taken(Delivery::TlsVerified, "mx.dane-ok.test"),
        ),
        Blueprint::dane(
            "dane-bad.test",
            "the MX certificate matches none of its TLSA records",
            with_tlsa("mx.dane-bad.test", TlsaPlan::MatchesNothing),
            Outcome::deferred(no_match("mx.dane-bad.test")),
        ),
        // RFC 7672 s8.1: while a certificate is replaced the records of both are there.
        Blueprint::dane(
            "dane-rollover.test",
            "the MX certificate matches one of its TLSA records, and another is stale",
            with_tlsa("mx.dane-rollover.test", TlsaPlan::RollsOver),
            Outcome::taken(Delivery::TlsVerified, "mx.dane-rollover.test"),
        ),
        // RFC 7672 s2.2: TLS is demanded, and nothing of the certificate.
        Blueprint::dane(
            "dane-unusable.test",
            "the only TLSA record is of a kind that does not exist",
            with_tlsa("mx.dane-unusable.test", TlsaPlan::Unusable),
            Outcome::taken_despite(
                Delivery::Tls,
                "mx.dane-unusable.test",
                failed("tlsa-invalid", "mx.dane-unusable.test"),
            ),
        ),
        Blueprint::dane(
            "dane-nostarttls.test",
            "there is a TLSA record, and the MX offers no STARTTLS",
            MailHost {
                behaviour: MxBehaviour::NoStartTls,
                ..with_tlsa("mx.dane-nostarttls.test", TlsaPlan::Matches)
            },
            Outcome::deferred(failed("starttls-not-supported", "mx.dane-nostarttls.test")),
        ),
    ]
}

/// RFC 7672 s3.1.2: the TLSA record names an authority, which vouches for the certificate if the name is
/// right.
fn authorities() -> Vec<Blueprint> {
    let (mx, wrong) = ("mx.dane-ta.test", "mx.dane-ta-wrong.test");
    vec![
        Blueprint::dane(
            "dane-ta.test",
            "the TLSA record names the authority that issued the MX certificate",
            good_with_tlsa(mx, TlsaPlan::Authority),
            Outcome::taken(Delivery::TlsVerified, mx),
        ),
        Blueprint::dane(
            "dane-ta-wrong.test",
            "the TLSA record names the authority that issued the MX certificate, for another name",
            MailHost {
                tlsa: TlsaPlan::Authority,
                ..flawed(wrong, Flaw::WrongName)
            },
            Outcome::deferred(failed("certificate-host-mismatch", wrong)),
        ),
    ]
}

/// RFC 7672 s2.1.1: whoever cannot be told whether there are TLSA records must not go on.
fn lookup_fails() -> Blueprint {
    let mx = "mx.dane-bogus.test";
    Blueprint {
        outcome: Outcome::deferred(bogus(mx)).under(Under::TlsaNotHad(mx)),
        ..Blueprint::dane(
            "dane-bogus.test",
            "the TLSA lookup fails",
            with_tlsa(mx, TlsaPlan::LookupFails),
            Outcome::deferred(bogus(mx)),
        )
    }
}

/// RFC 7672 s2.2.3: the records are those of the name that the MX host's leads to.
fn alias() -> Blueprint {
    let mx = "mx.dane-alias.test";
    Blueprint::dane(
        "dane-alias.test",
        "the MX host is an alias, and has its TLSA record at the other name",
        MailHost {
            alias_of: Some("host.dane-alias.test"),
            ..with_tlsa(mx, TlsaPlan::Matches)
        },
        Outcome::taken(Delivery::TlsVerified, mx),
    )
}

/// RFC 7672 s2.2.1: whoever forges the MX records may have named the host; nobody may say that the delivery
/// was safe.
fn insecure_mx() -> Vec<Blueprint> {
    let (mx, enforced) = ("mx.insecure-mx.test", "mx.both-insecure-mx.test");
    vec![
        Blueprint {
            dnssec: Dnssec::HostsSigned,
            ..Blueprint::dane(
                "insecure-mx.test",
                "the MX has a TLSA record that matches, and the MX records are not signed",
                with_tlsa(mx, TlsaPlan::Matches),
                Outcome::taken(Delivery::Tls, mx),
            )
        },
        // OURS: the policy decides.
        Blueprint {
            dnssec: Dnssec::HostsSigned,
            mail_hosts: vec![good_with_tlsa(enforced, TlsaPlan::MatchesNothing)],
            ..Blueprint::verified(
                "both-insecure-mx.test",
                "the MX records are not signed, and a policy is enforced",
                enforced,
                &[enforced],
            )
        },
    ]
}

/// RFC 7672 s2.1.2: whoever cannot be told which the mail hosts are must not go on. There is no session.
fn mx_not_had() -> Vec<Blueprint> {
    let case = |domain, story, mx, publishes, fault| Blueprint {
        dnssec: Dnssec::MxNotHad(fault),
        ..Blueprint::new(
            domain,
            story,
            publishes,
            vec![good_with_tlsa(mx, TlsaPlan::Matches)],
            Outcome::without_session(),
        )
    };
    let (lost, forged) = ("mx.dane-mx-lost.test", "mx.dane-mx-bogus.test");
    vec![
        case(
            "dane-mx-lost.test",
            "the MX lookup fails",
            lost,
            Publishes::Nothing,
            DnsFault::ServFail,
        ),
        case(
            "dane-mx-bogus.test",
            "the signatures of the MX records do not hold, and a policy is enforced",
            forged,
            Publishes::policy("enforce", &[forged]),
            DnsFault::Bogus,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{super::postfix, *};

    /// What DANE says of a mail host; nothing where that is not all there is to it.
    fn dane_says(blueprint: &Blueprint, host: &MailHost) -> Option<&'static str> {
        let is_secure = blueprint.dnssec == Dnssec::Signed;
        match host.tlsa {
            TlsaPlan::Absent => Some("nothing"),
            _ if !is_secure || host.behaviour != MxBehaviour::Correct => None,
            TlsaPlan::Matches => Some("a match"),
            TlsaPlan::MatchesNothing => Some("no match"),
            TlsaPlan::LookupFails | TlsaPlan::Bogus => Some("a failed lookup"),
            TlsaPlan::Unusable => Some("records that cannot be used"),
            TlsaPlan::RollsOver | TlsaPlan::Authority => None,
        }
    }

    /// What MTA-STS says of it.
    fn policy_says(blueprint: &Blueprint, host: &MailHost) -> Option<&'static str> {
        let Publishes::Policy(mode, patterns) = &blueprint.publishes else {
            return matches!(blueprint.publishes, Publishes::Nothing).then_some("nothing");
        };
        let is_content = host.flaw.is_none() && patterns.iter().any(|name| name == host.name);
        match (*mode, is_content) {
            ("testing", _) => Some("testing"),
            ("enforce", true) => Some("enforce, content"),
            ("enforce", false) => Some("enforce, not content"),
            _ => None,
        }
    }

    #[test]
    fn c5_b36_no_cell_of_the_matrix_is_empty() {
        let all = postfix::blueprints();
        let pairs: BTreeSet<_> = all
            .iter()
            .filter_map(|blueprint| match blueprint.mail_hosts.as_slice() {
                [host] => Some((dane_says(blueprint, host)?, policy_says(blueprint, host)?)),
                _ => None,
            })
            .collect();
        let count = |of: fn(&(&'static str, &'static str)) -> &'static str| {
            pairs.iter().map(of).collect::<BTreeSet<_>>().len()
        };
        assert_eq!((count(|pair| pair.0), count(|pair| pair.1)), (5, 4));
        assert_eq!(pairs.len(), 5 * 4, "{pairs:#?}");
    }
}
