use sealpost_kit::{CertificateKey, Certified, Oddity, Purpose, Tlsa, Validity, Wish, mutations};

use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::*;
use crate::policy::dane::{TlsaSet, names::CountedNames};

mod fixed;

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOST: &str = "mx1.example.org";
const NO_MATCH_SHOWN: &str = "validation-failure/dane-no-match";
const NAME_SHOWN: &str = "certificate-host-mismatch/dane-name-mismatch";
const EXPIRED_SHOWN: &str = "certificate-expired/-";
const NOT_YET_SHOWN: &str = "certificate-not-trusted/not-yet-valid";

fn policy(records: &[Tlsa], names: &[&str]) -> TlsaPolicy {
    let records = records.iter().map(|record| TlsaRecord {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: record.data.clone(),
    });
    let names: Vec<crate::policy::MxHost> =
        names.iter().map(|name| name.parse().unwrap()).collect();
    TlsaPolicy::new(names[0].clone(), TlsaSet::new(records.collect()), &names)
}

fn shown(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::Matched(found) => {
            let TlsaRecord {
                usage,
                selector,
                matching,
                ..
            } = found.record;
            format!("{usage}{selector}{matching} {:?}", found.matched)
        }
        Verdict::Failed(troubles) => troubles
            .iter()
            .map(|(result, reason)| format!("{result}/{}", reason.unwrap_or("-")))
            .collect::<Vec<_>>()
            .join(" "),
        Verdict::NotJudged(why) => format!("not judged: {why:?}"),
        Verdict::NoneUsable => "none usable".to_owned(),
    }
}

#[track_caller]
fn check(records: &[Tlsa], names: &[&str], chain: &[&Certified], expected: &str) {
    let policy = policy(records, names);
    let chain: Vec<&[u8]> = chain.iter().map(|certificate| certificate.der()).collect();
    let verdict = verify(&policy, &chain, NOW);
    assert_eq!(shown(&verdict), expected, "{:?}", policy.set.strings());
}

fn key() -> CertificateKey {
    CertificateKey::ecdsa().unwrap()
}

fn wrong(tlsa: Tlsa) -> Tlsa {
    let mut tlsa = tlsa;
    tlsa.data[0] ^= 1;
    tlsa
}

/// A root, an authority below it, and a server's certificate below that.
struct Chain {
    root: Certified,
    middle: Certified,
    leaf: Certified,
}

impl Chain {
    fn of(root: &Wish, middle: &Wish, leaf: &Wish) -> Self {
        let root = Certified::self_signed(root, &key()).unwrap();
        let middle = root.issue(middle, &key()).unwrap();
        let leaf = middle.issue(leaf, &key()).unwrap();
        Self { root, middle, leaf }
    }

    fn good() -> Self {
        Self::of(&root(), &middle(), &Wish::server(&[HOST]))
    }

    fn all(&self) -> [&Certified; 3] {
        [&self.leaf, &self.middle, &self.root]
    }
}

fn root() -> Wish {
    Wish::authority("A root")
}

fn middle() -> Wish {
    Wish::authority("An authority")
}

const KINDS: [(u8, u8); 6] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];

#[test]
fn c11_dane_ee_looks_at_the_certificate_itself_and_at_neither_names_nor_dates() {
    let wish = Wish::server(&["wrong-name.invalid"]).valid(Validity::Past);
    let expired = Certified::self_signed(&wish, &key()).unwrap();
    let other = Certified::self_signed(&wish, &key()).unwrap();
    for (selector, matching) in KINDS {
        let tlsa = [expired.tlsa(3, selector, matching)];
        let expected = format!("3{selector}{matching} Leaf");
        check(&tlsa, &[HOST], &[&expired], &expected);
        check(&tlsa, &[HOST], &[&other], NO_MATCH_SHOWN);
        // Its place is the first.
        check(&tlsa, &[HOST], &[&other, &expired], NO_MATCH_SHOWN);
    }
    let wish = Wish::server(&[]).valid(Validity::Future);
    let future = Certified::self_signed(&wish, &key()).unwrap();
    check(&[future.tlsa(3, 1, 1)], &[HOST], &[&future], "311 Leaf");
    // The key lives on in a new certificate, the certificate does not.
    let renewed = Certified::self_signed(&Wish::server(&[HOST]), expired.key()).unwrap();
    check(&[expired.tlsa(3, 1, 1)], &[HOST], &[&renewed], "311 Leaf");
    check(
        &[expired.tlsa(3, 0, 1)],
        &[HOST],
        &[&renewed],
        NO_MATCH_SHOWN,
    );
}

#[test]
fn c11_a_certificate_that_is_odd_in_all_but_its_key_matches_by_its_key() {
    let chain = Chain::good();
    let tlsa = chain.leaf.tlsa(3, 1, 1);
    let good = chain.leaf.der();
    // Another version, and a signature that is none.
    let version = good.windows(3).position(|at| at == [0x02, 0x01, 0x02]);
    let mut odd = good.to_vec();
    odd[version.unwrap() + 2] = 0x7F;
    let last = odd.len() - 1;
    odd[last] ^= 1;
    let policy = policy(&[tlsa], &[HOST]);
    assert_eq!(shown(&verify(&policy, &[&odd], NOW)), "311 Leaf");
    // Nothing behind the key is needed either.
    let key = chain.leaf.key().public_der();
    let begins = odd.windows(key.len()).position(|at| at == key).unwrap();
    let mut bent = odd.clone();
    bent[begins + key.len()..].fill(0xFF);
    assert_eq!(shown(&verify(&policy, &[&bent], NOW)), "311 Leaf");
}

#[test]
fn c11_a_key_is_not_looked_for_where_no_tls_library_would_find_it() {
    let chain = Chain::good();
    let policy = policy(&[chain.leaf.tlsa(3, 1, 1)], &[HOST]);
    let good = chain.leaf.der();
    let version = good.windows(5).position(|at| at == [0xA0, 3, 2, 1, 2]);
    let serial = version.unwrap() + 5;
    assert_eq!(good[serial], 2, "an INTEGER");
    // The serial number is another thing; or its length is not as DER has it.
    for (at, octet) in [(serial, 4), (serial, 0x30), (serial + 1, 0x80)] {
        let mut odd = good.to_vec();
        odd[at] = octet;
        let verdict = verify(&policy, &[&odd], NOW);
        assert_eq!(shown(&verdict), NO_MATCH_SHOWN, "{at} {octet}");
    }
}

#[test]
fn c12_an_authority_counts_wherever_it_stands_in_the_chain() {
    let chain = Chain::good();
    for (selector, matching) in KINDS {
        for (authority, number) in [(&chain.middle, 1), (&chain.root, 2)] {
            let tlsa = [authority.tlsa(2, selector, matching)];
            let expected = format!("2{selector}{matching} Sent({number})");
            check(&tlsa, &[HOST], &chain.all(), &expected);
            let wrong = [wrong_digest(&tlsa[0])];
            check(&wrong, &[HOST], &chain.all(), NO_MATCH_SHOWN);
        }
    }
    // In no order, with a stranger between, and more than once.
    let stranger = Certified::self_signed(&root(), &key()).unwrap();
    let Chain { root, middle, leaf } = &chain;
    let tlsa = [root.tlsa(2, 1, 1)];
    check(&tlsa, &[HOST], &[leaf, root, middle], "211 Sent(1)");
    check(
        &tlsa,
        &[HOST],
        &[leaf, &stranger, root, middle],
        "211 Sent(2)",
    );
    check(&tlsa, &[HOST], &[leaf, middle, middle, root], "211 Sent(3)");
    // What stands above it need not be there, or be in date.
    check(
        &[middle.tlsa(2, 0, 1)],
        &[HOST],
        &[leaf, middle],
        "201 Sent(1)",
    );
    let old = Chain::of(
        &Wish::authority("A root").valid(Validity::Past),
        &Wish::authority("An authority"),
        &Wish::server(&[HOST]),
    );
    check(
        &[old.middle.tlsa(2, 0, 1)],
        &[HOST],
        &old.all(),
        "201 Sent(1)",
    );
}

/// The same record about something else.
fn wrong_digest(tlsa: &Tlsa) -> Tlsa {
    let other = Chain::good();
    match tlsa.matching {
        0 => other.root.tlsa(tlsa.usage, tlsa.selector, 0),
        _ => wrong(tlsa.clone()),
    }
}

#[test]
fn c12_an_authority_that_is_not_sent_counts_only_where_it_is_published_whole() {
    let chain = Chain::good();
    let Chain { root, middle, leaf } = &chain;
    for (selector, matching) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        let tlsa = [root.tlsa(2, selector, matching)];
        check(&tlsa, &[HOST], &[leaf, middle], NO_MATCH_SHOWN);
    }
    for (selector, expected) in [(0, "200 PublishedCertificate"), (1, "210 PublishedKey")] {
        check(
            &[root.tlsa(2, selector, 0)],
            &[HOST],
            &[leaf, middle],
            expected,
        );
        check(&[middle.tlsa(2, selector, 0)], &[HOST], &[leaf], expected);
        // The one between is missing.
        check(
            &[root.tlsa(2, selector, 0)],
            &[HOST],
            &[leaf],
            NO_MATCH_SHOWN,
        );
        let other = Chain::good();
        check(
            &[other.root.tlsa(2, selector, 0)],
            &[HOST],
            &[leaf, middle],
            NO_MATCH_SHOWN,
        );
        check(
            &[root.tlsa(2, selector, 0)],
            &["mx9.example.org"],
            &[leaf, middle],
            NAME_SHOWN,
        );
    }
}

#[test]
fn c12_usage_2_does_not_name_the_servers_own_certificate() {
    let alone = Certified::self_signed(&Wish::server(&[HOST]), &key()).unwrap();
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2)] {
        let tlsa = [alone.tlsa(2, selector, matching)];
        check(&tlsa, &[HOST], &[&alone], NO_MATCH_SHOWN);
        check(&tlsa, &[HOST], &[&alone, &alone], NO_MATCH_SHOWN);
    }
    // A key that is published whole is one that signs, and it signed this.
    check(
        &[alone.tlsa(2, 1, 0)],
        &[HOST],
        &[&alone],
        "210 PublishedKey",
    );
    let chain = Chain::good();
    for (selector, matching) in KINDS {
        let tlsa = [chain.leaf.tlsa(2, selector, matching)];
        check(&tlsa, &[HOST], &chain.all(), NO_MATCH_SHOWN);
    }
}

/// Holds the chain to its root by records of each kind, sent and not sent.
#[track_caller]
fn anchored(chain: &Chain, expected: &str) {
    for (selector, matching) in KINDS {
        let tlsa = [chain.root.tlsa(2, selector, matching)];
        check(&tlsa, &[HOST], &chain.all(), expected);
    }
    for selector in [0, 1] {
        let tlsa = [chain.root.tlsa(2, selector, 0)];
        check(&tlsa, &[HOST], &chain.all()[..2], expected);
    }
}

#[test]
fn c12_below_the_authority_dates_hold() {
    let leaf = || Wish::server(&[HOST]);
    let (past, future) = (Validity::Past, Validity::Future);
    anchored(
        &Chain::of(&root(), &middle(), &leaf().valid(past)),
        EXPIRED_SHOWN,
    );
    anchored(
        &Chain::of(&root(), &middle(), &leaf().valid(future)),
        NOT_YET_SHOWN,
    );
    anchored(
        &Chain::of(&root(), &middle().valid(past), &leaf()),
        EXPIRED_SHOWN,
    );
    anchored(
        &Chain::of(&root(), &middle().valid(future), &leaf()),
        NOT_YET_SHOWN,
    );
    // The authority's own certificate.
    for (validity, expected) in [(past, EXPIRED_SHOWN), (future, NOT_YET_SHOWN)] {
        let chain = Chain::of(&root().valid(validity), &middle(), &leaf());
        for (selector, matching) in KINDS {
            let tlsa = [chain.root.tlsa(2, selector, matching)];
            check(&tlsa, &[HOST], &chain.all(), expected);
        }
        let sent = [&chain.leaf, &chain.middle];
        check(&[chain.root.tlsa(2, 0, 0)], &[HOST], &sent, expected);
        let both = [chain.root.tlsa(2, 0, 0), chain.root.tlsa(2, 1, 0)];
        check(&both, &[HOST], &sent, expected);
        // A bare key that comes without a certificate has no dates.
        check(
            &[chain.root.tlsa(2, 1, 0)],
            &[HOST],
            &sent,
            "210 PublishedKey",
        );
    }
}

#[test]
fn c12_below_the_authority_signatures_and_constraints_hold() {
    let good = Chain::good();
    let leaf = || Wish::server(&[HOST]);
    // What may not sign.
    let server = Purpose::Server;
    anchored(
        &Chain::of(&root(), &middle().purpose(server), &leaf()),
        NO_MATCH_SHOWN,
    );
    let chain = Chain::of(&root().purpose(server), &middle(), &leaf());
    check(
        &[chain.root.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        NO_MATCH_SHOWN,
    );
    // No authority may stand below one of path length 0.
    let short = Purpose::Authority(Some(0));
    let chain = Chain::of(&root().purpose(short), &middle(), &leaf());
    check(
        &[chain.root.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        NO_MATCH_SHOWN,
    );
    check(
        &[chain.root.tlsa(2, 0, 0)],
        &[HOST],
        &chain.all()[..2],
        NO_MATCH_SHOWN,
    );
    check(
        &[chain.middle.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        "211 Sent(1)",
    );
    let chain = Chain::of(&root(), &middle().purpose(short), &leaf());
    check(
        &[chain.root.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        "211 Sent(2)",
    );
    // The same names, other keys.
    let forged = Chain::good();
    let sent = [&forged.leaf, &forged.middle, &good.root];
    check(&[good.root.tlsa(2, 1, 1)], &[HOST], &sent, NO_MATCH_SHOWN);
    let sent = [&forged.leaf, &good.middle, &good.root];
    check(&[good.root.tlsa(2, 1, 1)], &[HOST], &sent, NO_MATCH_SHOWN);
    check(&[good.middle.tlsa(2, 1, 1)], &[HOST], &sent, NO_MATCH_SHOWN);
}

#[test]
fn c12_a_certificate_out_of_date_that_no_authority_signed_is_no_more_than_no_match() {
    let good = Chain::good();
    let wish = Wish::server(&[HOST]).valid(Validity::Past);
    let forged = Chain::of(&root(), &middle(), &wish);
    let sent = [&forged.leaf, &good.middle, &good.root];
    check(&[good.middle.tlsa(2, 1, 1)], &[HOST], &sent, NO_MATCH_SHOWN);
    check(&[good.root.tlsa(2, 1, 1)], &[HOST], &sent, NO_MATCH_SHOWN);
}

#[test]
fn d3_a_chain_that_fails_in_several_ways_is_told_with_all() {
    let chain = Chain::of(
        &root(),
        &middle().valid(Validity::Past),
        &Wish::server(&["mx9.example.org"]).valid(Validity::Past),
    );
    let both = format!("{NAME_SHOWN} {EXPIRED_SHOWN}");
    check(&[chain.root.tlsa(2, 1, 1)], &[HOST], &chain.all(), &both);
    // No moment suits all of them; the dates are told all the same.
    let chain = Chain::of(
        &root(),
        &middle().valid(Validity::Future),
        &Wish::server(&[HOST]).valid(Validity::Past),
    );
    check(
        &[chain.root.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        EXPIRED_SHOWN,
    );
    // A stranger's dates say nothing.
    let good = Chain::good();
    let wish = root().valid(Validity::Future);
    let stranger = Certified::self_signed(&wish, &key()).unwrap();
    let wish = Wish::server(&[HOST]).valid(Validity::Past);
    let leaf = good.middle.issue(&wish, &key()).unwrap();
    let sent = [&leaf, &good.middle, &stranger];
    check(&[good.middle.tlsa(2, 1, 1)], &[HOST], &sent, EXPIRED_SHOWN);
}

#[test]
fn c13_the_common_name_counts_only_without_dns_names() {
    let named = |wish: Wish, names: &[&str], expected: &str| {
        let chain = Chain::of(&root(), &middle(), &wish);
        check(&[chain.root.tlsa(2, 1, 1)], names, &chain.all(), expected);
    };
    let good = "211 Sent(2)";
    named(Wish::server(&[HOST]), &[HOST], good);
    named(Wish::server(&["MX1.Example.Org"]), &[HOST], good);
    named(Wish::server(&["*.example.org"]), &[HOST], good);
    named(
        Wish::server(&["*.example.org"]),
        &["a.mx.example.org"],
        NAME_SHOWN,
    );
    named(Wish::server(&["mx9.example.org", HOST]), &[HOST], good);
    named(Wish::server(&[]).common_name_only(HOST), &[HOST], good);
    named(
        Wish::server(&[]).common_name_only("*.example.org"),
        &[HOST],
        good,
    );
    named(
        Wish::server(&[]).common_name_only("mx9.example.org"),
        &[HOST],
        NAME_SHOWN,
    );
    let mut both = Wish::server(&["mx9.example.org"]);
    both.common_name = HOST.to_owned();
    named(both, &[HOST], NAME_SHOWN);
    // An address is no DNS name.
    let mut address = Wish::server(&["192.0.2.1"]);
    address.common_name = HOST.to_owned();
    named(address, &[HOST], good);
}

#[test]
fn c13_a_name_that_is_no_text_is_a_dns_name_and_nobodys() {
    let chain = Chain::of(
        &root(),
        &middle(),
        &Wish {
            common_name: HOST.to_owned(),
            ..Wish::server(&["mx9.example.org"])
        },
    );
    // An octet of the only DNS name is made to be of no text. The signature is then another, so the names
    // are looked at by themselves.
    let mut der = chain.leaf.der().to_vec();
    let name = b"mx9.example.org";
    let at = der.windows(name.len()).position(|part| part == name);
    der[at.unwrap()] = 0xFF;
    let (_, read) = X509Certificate::from_der(&der).unwrap();
    let names = CountedNames::of(&read);
    assert_eq!(names, CountedNames::Dns(vec![]));
    assert!(!names.include_one_of(&[HOST.parse().unwrap()]));
}

#[test]
fn c13_a_common_name_is_held_to_the_constraints_of_the_authorities_above_it() {
    let by_common_name = || Wish::server(&[]).common_name_only(HOST);
    let good = "2{}{} Sent(2)";
    for (permitted, excluded, expected) in [
        (Some("example.org"), None, good),
        (Some("example.net"), None, NO_MATCH_SHOWN),
        (None, Some("example.net"), good),
        (None, Some("example.org"), NO_MATCH_SHOWN),
        (Some("example.org"), Some(HOST), NO_MATCH_SHOWN),
    ] {
        let mut constrained = root();
        if let Some(name) = permitted {
            constrained = constrained.permitting(name);
        }
        if let Some(name) = excluded {
            constrained = constrained.excluding(name);
        }
        let above = Chain::of(&constrained, &middle(), &by_common_name());
        constrained.common_name = middle().common_name;
        let between = Chain::of(&root(), &constrained, &by_common_name());
        for chain in [above, between] {
            for (selector, matching) in KINDS {
                let tlsa = [chain.root.tlsa(2, selector, matching)];
                let expected = expected.replacen("{}", &selector.to_string(), 1).replacen(
                    "{}",
                    &matching.to_string(),
                    1,
                );
                check(&tlsa, &[HOST], &chain.all(), &expected);
            }
        }
    }
    // A wildcard stands for what is excluded.
    let wildcard = Wish::server(&[]).common_name_only("*.example.org");
    let chain = Chain::of(&root().excluding(HOST), &middle(), &wildcard);
    let tlsa = [chain.root.tlsa(2, 1, 1)];
    check(&tlsa, &[HOST], &chain.all(), NO_MATCH_SHOWN);
    // What stands above the authority that a record names does not matter.
    let chain = Chain::of(
        &root().permitting("example.net"),
        &middle(),
        &by_common_name(),
    );
    check(
        &[chain.middle.tlsa(2, 1, 1)],
        &[HOST],
        &chain.all(),
        "211 Sent(1)",
    );
}

#[test]
fn c12_a_key_that_is_published_whole_is_held_to_its_certificate_beside_it() {
    let leaf = || Wish::server(&[HOST]);
    for authority in [
        root().purpose(Purpose::Server),
        root().odd(Oddity::OnlySigns),
        root().odd(Oddity::ForClients),
    ] {
        let chain = Chain::of(&authority, &middle(), &leaf());
        let key = chain.root.tlsa(2, 1, 0);
        let sent = [&chain.leaf, &chain.middle];
        let good = "210 PublishedKey";
        check(std::slice::from_ref(&key), &[HOST], &sent, good);
        let both = [key.clone(), chain.root.tlsa(2, 0, 0)];
        check(&both, &[HOST], &sent, NO_MATCH_SHOWN);
        check(&[key], &[HOST], &chain.all(), NO_MATCH_SHOWN);
    }
}

#[test]
fn d11_a_critical_extension_that_nobody_knows_counts_wherever_it_stands() {
    let odd = |wish: Wish| wish.odd(Oddity::CriticalExtension);
    let leaf = || Wish::server(&[HOST]);
    for chain in [
        Chain::of(&odd(root()), &middle(), &leaf()),
        Chain::of(&root(), &odd(middle()), &leaf()),
        Chain::of(&root(), &middle(), &odd(leaf())),
    ] {
        for (selector, matching) in KINDS {
            let tlsa = [chain.root.tlsa(2, selector, matching)];
            check(&tlsa, &[HOST], &chain.all(), "not judged: Extension");
        }
    }
    // What stands above the authority does not matter.
    let chain = Chain::of(&odd(root()), &middle(), &leaf());
    let tlsa = [chain.middle.tlsa(2, 1, 1)];
    check(&tlsa, &[HOST], &chain.all(), "211 Sent(1)");
}

#[test]
fn d3_who_carries_none_of_the_names_has_failed_whatever_cannot_be_judged() {
    let wish = Wish::server(&["mx9.example.org"]).odd(Oddity::CriticalExtension);
    let chain = Chain::of(&root(), &middle(), &wish);
    let tlsa = [chain.root.tlsa(2, 1, 1)];
    check(&tlsa, &[HOST], &chain.all(), NAME_SHOWN);
    let right = &["mx9.example.org"];
    check(&tlsa, right, &chain.all(), "not judged: Extension");
}

#[test]
fn c12_whose_key_may_not_sign_is_no_authority_wherever_it_stands() {
    let leaf = || Wish::server(&[HOST]);
    anchored(
        &Chain::of(&root(), &middle().odd(Oddity::OnlySigns), &leaf()),
        NO_MATCH_SHOWN,
    );
    let chain = Chain::of(&root().odd(Oddity::OnlySigns), &middle(), &leaf());
    let tlsa = [chain.root.tlsa(2, 1, 1)];
    check(&tlsa, &[HOST], &chain.all(), NO_MATCH_SHOWN);
    for oddity in [Oddity::NoKeyUsage, Oddity::ForServers] {
        let chain = Chain::of(&root().odd(oddity), &middle().odd(oddity), &leaf());
        let tlsa = [chain.root.tlsa(2, 1, 1)];
        check(&tlsa, &[HOST], &chain.all(), "211 Sent(2)");
    }
    anchored(
        &Chain::of(&root(), &middle().odd(Oddity::ForClients), &leaf()),
        NO_MATCH_SHOWN,
    );
    // The server's own key must be one for handshakes.
    for oddity in [Oddity::OnlyCertifies, Oddity::ForClients] {
        let chain = Chain::of(&root(), &middle(), &leaf().odd(oddity));
        anchored(&chain, NO_MATCH_SHOWN);
        check(
            &[chain.leaf.tlsa(3, 1, 1)],
            &[HOST],
            &chain.all(),
            "311 Leaf",
        );
    }
}

#[test]
fn c12_any_reference_name_will_do() {
    let chain = Chain::of(&root(), &middle(), &Wish::server(&["example.org"]));
    let tlsa = [chain.root.tlsa(2, 0, 1)];
    check(&tlsa, &[HOST, "example.org"], &chain.all(), "201 Sent(2)");
    check(
        &tlsa,
        &[HOST, "a.test", "example.org"],
        &chain.all(),
        "201 Sent(2)",
    );
    check(&tlsa, &[HOST], &chain.all(), NAME_SHOWN);
}

#[test]
fn c14_one_record_that_matches_is_enough() {
    let chain = Chain::good();
    let stale = Chain::good();
    let (own, authority) = (chain.leaf.tlsa(3, 1, 1), chain.root.tlsa(2, 1, 1));
    check(
        &[stale.leaf.tlsa(3, 1, 1), own.clone()],
        &[HOST],
        &chain.all(),
        "311 Leaf",
    );
    check(&[authority.clone(), own], &[HOST], &chain.all(), "311 Leaf");
    let records = [stale.leaf.tlsa(3, 1, 1), authority];
    check(&records, &[HOST], &chain.all(), "211 Sent(2)");
    // A record of the key of an expired authority beside one of the authority below it.
    let chain = Chain::of(
        &root().valid(Validity::Past),
        &middle(),
        &Wish::server(&[HOST]),
    );
    let records = [chain.root.tlsa(2, 1, 1), chain.middle.tlsa(2, 1, 1)];
    check(&records, &[HOST], &chain.all(), "211 Sent(1)");
    check(&[stale.leaf.tlsa(3, 1, 1)], &[HOST], &[], NO_MATCH_SHOWN);
}

#[test]
fn c15_a_weaker_digest_does_not_make_up_for_a_stronger_that_is_wrong() {
    let chain = Chain::good();
    let leaf = &chain.leaf;
    let stronger = wrong(leaf.tlsa(3, 1, 2));
    let agile = |other: Tlsa, expected: &str| {
        check(&[stronger.clone(), other], &[HOST], &chain.all(), expected);
    };
    agile(leaf.tlsa(3, 1, 1), NO_MATCH_SHOWN);
    agile(leaf.tlsa(3, 1, 0), "310 Leaf");
    agile(leaf.tlsa(3, 0, 1), "301 Leaf");
    agile(chain.root.tlsa(2, 1, 1), "211 Sent(2)");
    let records = [wrong(chain.root.tlsa(2, 1, 2)), chain.root.tlsa(2, 1, 1)];
    check(&records, &[HOST], &chain.all(), NO_MATCH_SHOWN);
}

#[test]
fn c10_records_that_cannot_be_used_are_no_failure_of_the_certificate() {
    let chain = Chain::good();
    let pkix = chain.leaf.tlsa(1, 1, 1);
    check(&[], &[HOST], &chain.all(), "none usable");
    check(
        &[pkix.clone(), Tlsa::unusable()],
        &[HOST],
        &chain.all(),
        "none usable",
    );
    check(
        &[pkix, chain.leaf.tlsa(3, 1, 1)],
        &[HOST],
        &chain.all(),
        "311 Leaf",
    );
}

#[test]
fn c12_rsa_keys_are_taken_like_others() {
    let rsa = CertificateKey::rsa().unwrap();
    let root = Certified::self_signed(&root(), &rsa).unwrap();
    let middle = root.issue(&middle(), &key()).unwrap();
    let leaf = middle.issue(&Wish::server(&[HOST]), &rsa).unwrap();
    for (selector, matching) in KINDS {
        let tlsa = [root.tlsa(2, selector, matching)];
        let expected = format!("2{selector}{matching} Sent(2)");
        check(&tlsa, &[HOST], &[&leaf, &middle, &root], &expected);
        let tlsa = [leaf.tlsa(3, selector, matching)];
        let expected = format!("3{selector}{matching} Leaf");
        check(&tlsa, &[HOST], &[&leaf], &expected);
    }
}

#[test]
fn c10_usages_of_public_authorities_cannot_be_used_whatever_stands_beside_them() {
    let chain = Chain::good();
    for usage in [0, 1] {
        for certificate in chain.all() {
            for (selector, matching) in KINDS {
                let tlsa = [certificate.tlsa(usage, selector, matching)];
                check(&tlsa, &[HOST], &chain.all(), "none usable");
            }
        }
    }
}

#[test]
fn g3_no_chain_makes_a_panic_or_takes_long() {
    let chain = Chain::good();
    let records = [
        chain.root.tlsa(2, 0, 0),
        chain.middle.tlsa(2, 1, 0),
        wrong(chain.leaf.tlsa(3, 1, 1)),
    ];
    let policy = policy(&records, &[HOST]);
    let mut matched = 0;
    let parts = chain.all().map(Certified::der);
    let mutated = mutations(31, &parts);
    for of in mutated.chunks(3) {
        let one = of[0].as_slice();
        let all: Vec<&[u8]> = of.iter().map(Vec::as_slice).collect();
        for chain in [
            all,
            vec![one, parts[1], parts[2]],
            vec![parts[0], one, parts[2]],
        ] {
            matched += usize::from(matches!(verify(&policy, &chain, NOW), Verdict::Matched(_)));
        }
    }
    assert!(
        matched > 0,
        "a changed authority that is published whole need not be sent"
    );
    // A thousand certificates, and a large one.
    let mut many = vec![parts[0]];
    many.resize(1_000, parts[2]);
    assert_eq!(shown(&verify(&policy, &many, NOW)), "210 PublishedKey");
    let huge = vec![0x30; 100_000];
    assert_eq!(
        shown(&verify(&policy, &[&huge, parts[1]], NOW)),
        NO_MATCH_SHOWN
    );
    assert_eq!(
        shown(&verify(&policy, &[parts[0], &huge], NOW)),
        "210 PublishedKey"
    );
}

#[test]
fn a_match_is_told_in_a_line() {
    let chain = Chain::good();
    let records = [chain.root.tlsa(2, 1, 1)];
    let policy = policy(&records, &[HOST]);
    let parts = chain.all().map(Certified::der);
    let Verdict::Matched(found) = verify(&policy, &parts, NOW) else {
        panic!("no match");
    };
    let expected = format!("{} is authority 2 of the chain", found.record);
    assert_eq!(found.to_string(), expected);
}
