//! DANE on one or more of several mail hosts: each has its own records, or none.

use super::super::{
    Blueprint, Delivery, Dnssec, MailHost, Preferences, Publishes, TlsaPlan,
    blueprint::{Outcome, Sessions, Under},
    words::{bogus, failed, flawed, good, good_with_tlsa, mx_mismatch, no_match, with_tlsa},
};
use crate::authority::Flaw;

/// Every case.
pub(super) fn blueprints() -> Vec<Blueprint> {
    [
        without_policy(),
        vec![testing()],
        one_of_two(),
        equal(),
        beside_a_listed_one(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A domain in a signed zone.
fn case(
    domain: &'static str,
    story: &'static str,
    publishes: Publishes,
    hosts: [MailHost; 2],
    outcome: Outcome,
) -> Blueprint {
    Blueprint {
        dnssec: Dnssec::Signed,
        ..Blueprint::new(domain, story, publishes, hosts.to_vec(), outcome)
    }
}

/// Its policy is enforced, and lists both hosts.
fn enforced(
    domain: &'static str,
    story: &'static str,
    hosts: [MailHost; 2],
    outcome: Outcome,
) -> Blueprint {
    let patterns = [hosts[0].name, hosts[1].name];
    let publishes = Publishes::policy("enforce", &patterns);
    case(domain, story, publishes, hosts, outcome)
}

/// Taken by a host with a certificate that its TLSA records vouch for.
fn by_dane(mx: &'static str) -> Outcome {
    Outcome::taken(Delivery::TlsVerified, mx).under(Under::Tlsa(mx))
}

/// Taken by the second host, after the first one failed under its TLSA records.
fn second_after(
    first: Sessions,
    delivered: Delivery,
    second: &'static str,
    under: Under,
) -> Outcome {
    Outcome {
        delivered,
        taken_by: Some(second),
        sessions: vec![first, Sessions::good(under)],
    }
}

fn without_policy() -> Vec<Blueprint> {
    let case =
        |domain, story, hosts, outcome| case(domain, story, Publishes::Nothing, hosts, outcome);
    let mismatch = |mx| Sessions::bad(Under::Tlsa(mx), no_match(mx));
    let (first, second) = ("mx1.dane-twomx.test", "mx2.dane-twomx.test");
    let (lost, good_one) = ("mx1.dane-first-bogus.test", "mx2.dane-first-bogus.test");
    let (only, other) = ("mx1.dane-one.test", "mx2.dane-one.test");
    let (bad, free) = ("mx1.dane-one-bad.test", "mx2.dane-one-bad.test");
    vec![
        case(
            "dane-twomx.test",
            "the first of two MX matches none of its TLSA records",
            [
                with_tlsa(first, TlsaPlan::MatchesNothing),
                with_tlsa(second, TlsaPlan::Matches),
            ],
            second_after(
                mismatch(first),
                Delivery::TlsVerified,
                second,
                Under::Tlsa(second),
            ),
        ),
        // RFC 7672 s2.2.3: the first counts as one that cannot be reached.
        case(
            "dane-first-bogus.test",
            "the signature of the TLSA record of the first of two MX does not hold",
            [
                with_tlsa(lost, TlsaPlan::Bogus),
                with_tlsa(good_one, TlsaPlan::Matches),
            ],
            second_after(
                Sessions::bad(Under::TlsaNotHad(lost), bogus(lost)),
                Delivery::TlsVerified,
                good_one,
                Under::Tlsa(good_one),
            ),
        ),
        case(
            "dane-one.test",
            "the first of two MX has a TLSA record",
            [
                with_tlsa(only, TlsaPlan::Matches),
                flawed(other, Flaw::SelfSigned),
            ],
            by_dane(only),
        ),
        case(
            "dane-one-bad.test",
            "the first of two MX matches none of its TLSA records, and the second has none",
            [
                with_tlsa(bad, TlsaPlan::MatchesNothing),
                flawed(free, Flaw::SelfSigned),
            ],
            second_after(mismatch(bad), Delivery::Tls, free, Under::Published),
        ),
    ]
}

/// The policy is content with both, and demands nothing.
fn testing() -> Blueprint {
    let (bad, free) = ("mx1.testing-dane-one.test", "mx2.testing-dane-one.test");
    let under_policy = Sessions {
        success: 2,
        ..Sessions::good(Under::Published)
    };
    case(
        "testing-dane-one.test",
        "testing mode, the first of two MX matches none of its TLSA records, and the second has none",
        Publishes::policy("testing", &[bad, free]),
        [good_with_tlsa(bad, TlsaPlan::MatchesNothing), good(free)],
        Outcome {
            delivered: Delivery::Tls,
            taken_by: Some(free),
            sessions: vec![Sessions::bad(Under::Tlsa(bad), no_match(bad)), under_policy],
        },
    )
}

/// A policy is enforced, and one of two MX has TLSA records. The better one says by what the mail goes.
fn one_of_two() -> Vec<Blueprint> {
    let (first, second) = ("mx1.dane-better.test", "mx2.dane-better.test");
    let (bad_first, bad_second) = ("mx1.dane-better-bad.test", "mx2.dane-better-bad.test");
    let (plain, worse) = ("mx1.dane-worse.test", "mx2.dane-worse.test");
    let (bad_plain, bad_worse) = ("mx1.dane-worse-bad.test", "mx2.dane-worse-bad.test");
    vec![
        enforced(
            "dane-better.test",
            "enforce, and the better of two MX has a TLSA record",
            [good_with_tlsa(first, TlsaPlan::Matches), good(second)],
            by_dane(first).and(Sessions::good(Under::Published)),
        ),
        enforced(
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
        enforced(
            "dane-worse.test",
            "enforce, and the worse of two MX has a TLSA record",
            [good(plain), with_tlsa(worse, TlsaPlan::Matches)],
            Outcome::taken(Delivery::TlsVerified, plain),
        ),
        enforced(
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

/// One of two MX of the same preference has a TLSA record, and chance says which is tried.
fn equal() -> Vec<Blueprint> {
    let (mx, free) = ("mx1.dane-one-equal.test", "mx2.dane-one-equal.test");
    let (listed_mx, listed) = ("mx1.dane-equal.test", "mx2.dane-equal.test");
    vec![
        Blueprint {
            preferences: Preferences::Equal,
            otherwise: Some(Outcome::taken(Delivery::Tls, free)),
            ..case(
                "dane-one-equal.test",
                "one of two equal MX has a TLSA record",
                Publishes::Nothing,
                [
                    with_tlsa(mx, TlsaPlan::Matches),
                    flawed(free, Flaw::SelfSigned),
                ],
                by_dane(mx),
            )
        },
        Blueprint {
            preferences: Preferences::Equal,
            otherwise: Some(Outcome::taken(Delivery::TlsVerified, listed)),
            ..enforced(
                "dane-equal.test",
                "enforce, and one of two equal MX has a TLSA record",
                [good_with_tlsa(listed_mx, TlsaPlan::Matches), good(listed)],
                by_dane(listed_mx).and(Sessions::good(Under::Published)),
            )
        },
    ]
}

/// A policy is enforced that is content with the second MX, which has no TLSA records. The first has some.
fn beside_a_listed_one() -> Vec<Blueprint> {
    let (lost, after_lost) = ("mx1.dane-bogus-beside.test", "mx2.dane-bogus-beside.test");
    let (useless, after_useless) = (
        "mx1.dane-unusable-beside.test",
        "mx2.dane-unusable-beside.test",
    );
    let (unlisted, listed) = (
        "mx1.dane-unlisted-beside.test",
        "mx2.dane-unlisted-beside.test",
    );
    let untrusted = failed("certificate-not-trusted", useless);
    vec![
        enforced(
            "dane-bogus-beside.test",
            "enforce, and the signature of the TLSA record of the better of two MX does not hold",
            [good_with_tlsa(lost, TlsaPlan::Bogus), good(after_lost)],
            second_after(
                Sessions::bad(Under::TlsaNotHad(lost), bogus(lost)),
                Delivery::TlsVerified,
                after_lost,
                Under::Published,
            ),
        ),
        enforced(
            "dane-unusable-beside.test",
            "enforce, and the better of two MX has a TLSA record of a kind that does not exist, and no CA",
            [with_tlsa(useless, TlsaPlan::Unusable), good(after_useless)],
            Outcome::taken(Delivery::TlsVerified, after_useless)
                .after(untrusted)
                .and(Sessions::bad(
                    Under::Tlsa(useless),
                    failed("tlsa-invalid", useless),
                )),
        ),
        case(
            "dane-unlisted-beside.test",
            "enforce, and the policy does not name the better of two MX, which has a TLSA record",
            Publishes::policy("enforce", &[listed]),
            [good_with_tlsa(unlisted, TlsaPlan::Matches), good(listed)],
            by_dane(unlisted).and(Sessions::bad(Under::Published, mx_mismatch(unlisted))),
        ),
    ]
}
