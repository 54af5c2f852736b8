use sealpost_kit::{CertificateKey, Certified, Tlsa, Wish};

use super::*;
use crate::policy::dane::TlsaSet;

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOST: &str = "mx1.example.org";

fn policy(records: &[Tlsa]) -> TlsaPolicy {
    let records = records.iter().map(|record| TlsaRecord {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: record.data.clone(),
    });
    let set = TlsaSet::new(records.collect());
    TlsaPolicy::new(HOST.parse().unwrap(), set, &[])
}

fn authority(name: &str, by: Option<&Certified>) -> Certified {
    let (wish, key) = (Wish::authority(name), CertificateKey::ecdsa().unwrap());
    match by {
        Some(issuer) => issuer.issue(&wish, &key).unwrap(),
        None => Certified::self_signed(&wish, &key).unwrap(),
    }
}

fn server(by: &Certified) -> Certified {
    let key = CertificateKey::ecdsa().unwrap();
    by.issue(&Wish::server(&[HOST]), &key).unwrap()
}

/// Judges a chain, and says what it cost.
fn effort(records: &[Tlsa], chain: &[&Certified]) -> (Result<Matched, NoWay>, Effort) {
    let policy = policy(records);
    let chain: Vec<&[u8]> = chain.iter().map(|of| of.der()).collect();
    let mut effort = Effort::default();
    let found = search(&policy, chain[0], &chain[1..], NOW, &mut effort);
    (found.map(|found| found.matched), effort)
}

#[test]
fn g3_a_crowd_of_one_name_costs_nothing_where_no_way_leads_to_an_authority() {
    let crowd: Vec<Certified> = (0..15).map(|_| authority("X", None)).collect();
    let anchor = authority("Y", None);
    let leaf = server(&crowd[0]);
    let mut sent = vec![&leaf, &anchor];
    sent.extend(&crowd);
    for records in [[anchor.tlsa(2, 0, 1)], [anchor.tlsa(2, 0, 0)]] {
        let (found, effort) = effort(&records, &sent);
        // Eleven of that name are left out, so nothing is said against the chain.
        assert_eq!(found, Err(NoWay::NotJudged(NotJudged::Crowd)));
        assert_eq!(effort.signatures, 0, "{effort:?}");
        assert!(effort.ways <= 64, "{effort:?}");
    }
    let leaf = server(&crowd[3]);
    let (found, effort) = effort(&[crowd[3].tlsa(2, 1, 1)], &[&leaf, &crowd[0], &crowd[3]]);
    assert_eq!(found, Ok(Matched::Sent(2)));
    assert!(effort.ways <= 4, "{effort:?}");
}

#[test]
fn g3_rings_of_names_are_left_after_a_bounded_number_of_ways_and_signatures() {
    let ring = ["A", "B", "C", "D"];
    let tops: Vec<Certified> = ring.iter().map(|name| authority(name, None)).collect();
    let mut all = Vec::new();
    for (at, name) in ring.iter().enumerate() {
        all.extend((0..4).map(|_| authority(name, Some(&tops[(at + 1) % 4]))));
    }
    let leaf = server(&tops[0]);
    let mut sent = vec![&leaf];
    sent.extend(&all);
    // An authority that no key of the ring belongs to, and keys that any name could have.
    let stranger = authority("A", None);
    let keys: Vec<Tlsa> = (0..20)
        .map(|_| authority("key", None).tlsa(2, 1, 0))
        .collect();
    for records in [&[stranger.tlsa(2, 0, 0)][..], &keys] {
        let (found, effort) = effort(records, &sent);
        assert!(matches!(found, Err(NoWay::NotJudged(_))), "{found:?}");
        assert!(effort.ways <= WAYS_MAX, "{effort:?}");
        assert!(effort.signatures <= SIGNATURES_MAX, "{effort:?}");
    }
}
