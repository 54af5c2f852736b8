//! The domains with DANE (RFC 7672): a signed zone, and TLSA records of the mail hosts.

use super::{
    Blueprint, Delivery, Dnssec, MailHost, Publishes, TlsaPlan,
    blueprint::{Outcome, Sessions, Under},
    words::{failed, no_match, with_tlsa},
};
use crate::mx::MxBehaviour;

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    let mut all = one_mail_host();
    all.extend([bogus(), two_mail_hosts(), both()]);
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

/// RFC 7672 s2.1.1: whoever cannot be told whether there are TLSA records must not go on.
fn bogus() -> Blueprint {
    let mx = "mx.dane-bogus.test";
    let outcome = || Outcome::deferred(failed("dnssec-invalid", mx));
    Blueprint {
        outcome: outcome().under(Under::TlsaNotHad(mx)),
        ..Blueprint::dane(
            "dane-bogus.test",
            "the TLSA lookup fails",
            with_tlsa(mx, TlsaPlan::LookupFails),
            outcome(),
        )
    }
}

fn two_mail_hosts() -> Blueprint {
    let (first, second) = ("mx1.dane-twomx.test", "mx2.dane-twomx.test");
    let outcome = Outcome {
        delivered: Delivery::TlsVerified,
        taken_by: Some(second),
        sessions: vec![
            Sessions::bad(Under::Tlsa(first), no_match(first)),
            Sessions::good(Under::Tlsa(second)),
        ],
    };
    Blueprint {
        dnssec: Dnssec::Signed,
        ..Blueprint::new(
            "dane-twomx.test",
            "the first of two MX matches none of its TLSA records",
            Publishes::Nothing,
            vec![
                with_tlsa(first, TlsaPlan::MatchesNothing),
                with_tlsa(second, TlsaPlan::Matches),
            ],
            outcome,
        )
    }
}

/// OURS: where a domain has both, MTA-STS is applied.
fn both() -> Blueprint {
    let mx = "mx.both.test";
    Blueprint {
        dnssec: Dnssec::Signed,
        mail_hosts: vec![MailHost {
            flaw: None,
            ..with_tlsa(mx, TlsaPlan::Matches)
        }],
        ..Blueprint::verified(
            "both.test",
            "there is an MTA-STS policy and a TLSA record, and nothing is wrong",
            mx,
            &[mx],
        )
    }
}
