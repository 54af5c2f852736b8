//! The domains with DANE (RFC 7672): a signed zone, and TLSA records of the mail hosts.

use super::{
    Blueprint, Delivery, Dnssec, MailHost, Publishes, TlsaPlan,
    blueprint::{Outcome, Sessions, Under},
    words::{failed, flawed, good, good_with_tlsa, mx_mismatch, no_match, with_tlsa},
};
use crate::{authority::Flaw, mx::MxBehaviour};

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    let mut all = one_mail_host();
    all.extend([bogus(), two_mail_hosts(), alias()]);
    all.extend(insecure_mx());
    all.extend(both());
    all.extend(one_of_two());
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

/// DANE decides on a host with TLSA records, whatever an enforced policy says; the session is counted
/// under both (RFC 8460 s4).
fn both() -> Vec<Blueprint> {
    let case = |domain, story, host: MailHost, patterns: &[&str], outcome| Blueprint {
        dnssec: Dnssec::Signed,
        ..Blueprint::new(
            domain,
            story,
            Publishes::policy("enforce", patterns),
            vec![host],
            outcome,
        )
    };
    let by_dane = |mx| {
        let taken = Outcome::taken(Delivery::TlsVerified, mx);
        taken.under(Under::Tlsa(mx))
    };
    let (mx, bad_dane, bad_sts, unlisted) = (
        "mx.both.test",
        "mx.both-bad-dane.test",
        "mx.both-bad-sts.test",
        "mx.both-unlisted.test",
    );
    vec![
        case(
            "both.test",
            "there is an MTA-STS policy and a TLSA record, and nothing is wrong",
            good_with_tlsa(mx, TlsaPlan::Matches),
            &[mx],
            by_dane(mx).and(Sessions::good(Under::Published)),
        ),
        case(
            "both-bad-dane.test",
            "the policy is content with the MX certificate, and no TLSA record matches",
            good_with_tlsa(bad_dane, TlsaPlan::MatchesNothing),
            &[bad_dane],
            Outcome::deferred(no_match(bad_dane))
                .under(Under::Tlsa(bad_dane))
                .and(Sessions::good(Under::Published)),
        ),
        case(
            "both-bad-sts.test",
            "a TLSA record matches, and no CA vouches for the MX certificate",
            with_tlsa(bad_sts, TlsaPlan::Matches),
            &[bad_sts],
            by_dane(bad_sts).and(Sessions::bad(
                Under::Published,
                failed("certificate-not-trusted", bad_sts),
            )),
        ),
        case(
            "both-unlisted.test",
            "a TLSA record matches, and the policy does not name the MX",
            good_with_tlsa(unlisted, TlsaPlan::Matches),
            &["mx.elsewhere.test"],
            by_dane(unlisted).and(Sessions::bad(Under::Published, mx_mismatch(unlisted))),
        ),
    ]
}

/// A policy is enforced, and one of two MX has TLSA records. The better one says by what the mail goes.
fn one_of_two() -> Vec<Blueprint> {
    let case = |domain, story, hosts: [MailHost; 2], outcome| Blueprint {
        dnssec: Dnssec::Signed,
        ..Blueprint::new(
            domain,
            story,
            Publishes::policy("enforce", &[hosts[0].name, hosts[1].name]),
            hosts.to_vec(),
            outcome,
        )
    };
    let (first, second) = ("mx1.dane-better.test", "mx2.dane-better.test");
    let (bad_first, bad_second) = ("mx1.dane-better-bad.test", "mx2.dane-better-bad.test");
    let (plain, worse) = ("mx1.dane-worse.test", "mx2.dane-worse.test");
    let (bad_plain, bad_worse) = ("mx1.dane-worse-bad.test", "mx2.dane-worse-bad.test");
    vec![
        case(
            "dane-better.test",
            "enforce, and the better of two MX has a TLSA record",
            [good_with_tlsa(first, TlsaPlan::Matches), good(second)],
            Outcome::taken(Delivery::TlsVerified, first)
                .under(Under::Tlsa(first))
                .and(Sessions::good(Under::Published)),
        ),
        case(
            "dane-better-bad.test",
            "enforce, and the better of two MX matches none of its TLSA records",
            [
                good_with_tlsa(bad_first, TlsaPlan::MatchesNothing),
                good(bad_second),
            ],
            Outcome::deferred(no_match(bad_first))
                .under(Under::Tlsa(bad_first))
                .and(Sessions::good(Under::Published)),
        ),
        case(
            "dane-worse.test",
            "enforce, and the worse of two MX has a TLSA record",
            [good(plain), with_tlsa(worse, TlsaPlan::Matches)],
            Outcome::taken(Delivery::TlsVerified, plain),
        ),
        case(
            "dane-worse-bad.test",
            "enforce, the better of two MX has an expired certificate, and the worse a TLSA record",
            [
                flawed(bad_plain, Flaw::Expired),
                with_tlsa(bad_worse, TlsaPlan::Matches),
            ],
            Outcome::deferred(failed("certificate-expired", bad_plain)),
        ),
    ]
}
