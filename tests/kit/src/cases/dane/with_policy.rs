//! DANE and an MTA-STS policy, and one mail host.
//!
//! DANE decides on a host with TLSA records that can be used, whatever the policy says; the session is
//! counted under both (RFC 8460 s4), and each is judged by its own rules.

use super::super::{
    Blueprint, Delivery, Dnssec, MailHost, Publishes, TlsaPlan,
    blueprint::{Failed, Outcome, Sessions, Under},
    words::{bogus, failed, good_with_tlsa, mx_mismatch, no_match, with_tlsa},
};

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    [
        records_match(),
        records_do_not_match(),
        lookup_fails(),
        records_cannot_be_used(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A domain in a signed zone whose policy lists these.
fn case(
    domain: &'static str,
    story: &'static str,
    mode: &'static str,
    host: MailHost,
    patterns: &[&str],
    outcome: Outcome,
) -> Blueprint {
    Blueprint {
        dnssec: Dnssec::Signed,
        ..Blueprint::new(
            domain,
            story,
            Publishes::policy(mode, patterns),
            vec![host],
            outcome,
        )
    }
}

/// No CA vouches for the certificate.
const fn untrusted(mx: &'static str) -> Failed {
    failed("certificate-not-trusted", mx)
}

fn records_match() -> Vec<Blueprint> {
    let by_dane = |mx, of_policy| {
        let taken = Outcome::taken(Delivery::TlsVerified, mx);
        taken.under(Under::Tlsa(mx)).and(of_policy)
    };
    let good = || Sessions::good(Under::Published);
    let bad = |failure| Sessions::bad(Under::Published, failure);
    let (mx, bad_sts, unlisted) = (
        "mx.both.test",
        "mx.both-bad-sts.test",
        "mx.both-unlisted.test",
    );
    let (testing, testing_bad_sts) = ("mx.testing-dane.test", "mx.testing-dane-bad-sts.test");
    vec![
        case(
            "both.test",
            "there is an MTA-STS policy and a TLSA record, and nothing is wrong",
            "enforce",
            good_with_tlsa(mx, TlsaPlan::Matches),
            &[mx],
            by_dane(mx, good()),
        ),
        case(
            "both-bad-sts.test",
            "a TLSA record matches, and no CA vouches for the MX certificate",
            "enforce",
            with_tlsa(bad_sts, TlsaPlan::Matches),
            &[bad_sts],
            by_dane(bad_sts, bad(untrusted(bad_sts))),
        ),
        case(
            "both-unlisted.test",
            "a TLSA record matches, and the policy does not name the MX",
            "enforce",
            good_with_tlsa(unlisted, TlsaPlan::Matches),
            &["mx.elsewhere.test"],
            by_dane(unlisted, bad(mx_mismatch(unlisted))),
        ),
        case(
            "testing-dane.test",
            "testing mode, a TLSA record matches, and nothing is wrong",
            "testing",
            good_with_tlsa(testing, TlsaPlan::Matches),
            &[testing],
            by_dane(testing, good()),
        ),
        case(
            "testing-dane-bad-sts.test",
            "testing mode, a TLSA record matches, and no CA vouches for the MX certificate",
            "testing",
            with_tlsa(testing_bad_sts, TlsaPlan::Matches),
            &[testing_bad_sts],
            by_dane(testing_bad_sts, bad(untrusted(testing_bad_sts))),
        ),
    ]
}

/// What no TLSA record matches is refused, and is no failure of the policy.
fn records_do_not_match() -> Vec<Blueprint> {
    let refused = |mx, of_policy| {
        let deferred = Outcome::deferred(no_match(mx));
        deferred.under(Under::Tlsa(mx)).and(of_policy)
    };
    let good = || Sessions::good(Under::Published);
    let (bad_dane, bad, testing) = (
        "mx.both-bad-dane.test",
        "mx.both-bad.test",
        "mx.testing-dane-bad.test",
    );
    vec![
        case(
            "both-bad-dane.test",
            "the policy is content with the MX certificate, and no TLSA record matches",
            "enforce",
            good_with_tlsa(bad_dane, TlsaPlan::MatchesNothing),
            &[bad_dane],
            refused(bad_dane, good()),
        ),
        case(
            "both-bad.test",
            "neither a CA nor a TLSA record vouches for the MX certificate, and a policy is enforced",
            "enforce",
            with_tlsa(bad, TlsaPlan::MatchesNothing),
            &[bad],
            refused(bad, Sessions::bad(Under::Published, untrusted(bad))),
        ),
        case(
            "testing-dane-bad.test",
            "testing mode, and no TLSA record matches",
            "testing",
            good_with_tlsa(testing, TlsaPlan::MatchesNothing),
            &[testing],
            refused(testing, good()),
        ),
    ]
}

/// RFC 7672 s2.1.1: the host is not connected to, whatever the policy says; so under the policy there is
/// no session.
fn lookup_fails() -> Vec<Blueprint> {
    let (mx, bad_sts, testing) = (
        "mx.both-bogus.test",
        "mx.both-bogus-bad-sts.test",
        "mx.testing-dane-bogus.test",
    );
    let refused = |mx| Outcome::deferred(bogus(mx)).under(Under::TlsaNotHad(mx));
    vec![
        case(
            "both-bogus.test",
            "the signature of the TLSA record does not hold, and the policy is content with the MX",
            "enforce",
            good_with_tlsa(mx, TlsaPlan::Bogus),
            &[mx],
            refused(mx),
        ),
        case(
            "both-bogus-bad-sts.test",
            "the signature of the TLSA record does not hold, and no CA vouches for the MX certificate",
            "enforce",
            with_tlsa(bad_sts, TlsaPlan::Bogus),
            &[bad_sts],
            refused(bad_sts),
        ),
        case(
            "testing-dane-bogus.test",
            "testing mode, and the signature of the TLSA record does not hold",
            "testing",
            good_with_tlsa(testing, TlsaPlan::Bogus),
            &[testing],
            refused(testing),
        ),
    ]
}

/// RFC 7672 s2.2: TLS is demanded, and nothing of the certificate; an enforced policy demands more. The
/// domain is told that its records are to be mended.
fn records_cannot_be_used() -> Vec<Blueprint> {
    let (mx, bad_sts, testing) = (
        "mx.both-unusable.test",
        "mx.both-unusable-bad-sts.test",
        "mx.testing-dane-unusable.test",
    );
    let invalid = |mx| Sessions::bad(Under::Tlsa(mx), failed("tlsa-invalid", mx));
    vec![
        case(
            "both-unusable.test",
            "the only TLSA record is of a kind that does not exist, and the policy is content with the MX",
            "enforce",
            good_with_tlsa(mx, TlsaPlan::Unusable),
            &[mx],
            Outcome::taken(Delivery::TlsVerified, mx).and(invalid(mx)),
        ),
        case(
            "both-unusable-bad-sts.test",
            "the only TLSA record is of a kind that does not exist, and no CA vouches for the MX certificate",
            "enforce",
            with_tlsa(bad_sts, TlsaPlan::Unusable),
            &[bad_sts],
            Outcome::deferred(untrusted(bad_sts)).and(invalid(bad_sts)),
        ),
        case(
            "testing-dane-unusable.test",
            "testing mode, and the only TLSA record is of a kind that does not exist",
            "testing",
            good_with_tlsa(testing, TlsaPlan::Unusable),
            &[testing],
            Outcome::taken(Delivery::Tls, testing).and(invalid(testing)),
        ),
    ]
}
