use sealpost_kit::{CertificateKey, Certified, Tlsa, Wish, mutations};

use super::*;

fn record(record: &Tlsa) -> TlsaRecord {
    TlsaRecord {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: record.data.clone(),
    }
}

fn plain(usage: u8, selector: u8, matching: u8, octets: usize) -> TlsaRecord {
    TlsaRecord {
        usage,
        selector,
        matching,
        association: vec![0xAB; octets],
    }
}

fn certificate() -> Certified {
    let key = CertificateKey::ecdsa().unwrap();
    Certified::self_signed(&Wish::authority("An authority"), &key).unwrap()
}

fn usability(record: TlsaRecord) -> Usability {
    let set = TlsaSet::new(vec![record]);
    set.judged().next().unwrap().1
}

#[test]
fn c10_a_record_that_a_mail_client_cannot_use_is_told_with_its_reason() {
    let unusable = Usability::Unusable;
    let length = |expected, found| unusable(Unusable::DigestLength { expected, found });
    for (record, expected) in [
        (plain(0, 1, 1, 32), unusable(Unusable::Usage(0))),
        (plain(1, 1, 1, 32), unusable(Unusable::Usage(1))),
        (plain(4, 1, 1, 32), unusable(Unusable::Usage(4))),
        (plain(255, 1, 1, 32), unusable(Unusable::Usage(255))),
        (plain(2, 0, 1, 32), Usability::Usable),
        (plain(2, 1, 2, 64), Usability::Usable),
        (plain(3, 0, 2, 64), Usability::Usable),
        (plain(3, 1, 1, 32), Usability::Usable),
        (plain(3, 2, 1, 32), unusable(Unusable::Selector(2))),
        (plain(3, 255, 1, 32), unusable(Unusable::Selector(255))),
        (plain(3, 1, 3, 48), unusable(Unusable::Matching(3))),
        (plain(3, 1, 255, 32), unusable(Unusable::Matching(255))),
        (plain(3, 1, 1, 0), length(32, 0)),
        (plain(3, 1, 1, 31), length(32, 31)),
        (plain(3, 1, 1, 33), length(32, 33)),
        (plain(3, 1, 1, 64), length(32, 64)),
        (plain(3, 1, 2, 32), length(64, 32)),
        (plain(3, 0, 0, 0), unusable(Unusable::NotACertificate)),
        (plain(3, 0, 0, 32), unusable(Unusable::NotACertificate)),
        (plain(2, 0, 0, 500), unusable(Unusable::NotACertificate)),
        (plain(3, 1, 0, 0), unusable(Unusable::NotAKey)),
        (plain(2, 1, 0, 91), unusable(Unusable::NotAKey)),
    ] {
        let shown = record.to_string();
        assert_eq!(usability(record), expected, "{shown}");
    }
}

#[test]
fn c10_what_is_published_whole_must_be_a_certificate_or_a_key_and_nothing_else() {
    let certificate = certificate();
    for usage in [2, 3] {
        for selector in [0, 1] {
            let whole = record(&certificate.tlsa(usage, selector, 0));
            let not = Usability::Unusable(match selector {
                0 => Unusable::NotACertificate,
                _ => Unusable::NotAKey,
            });
            assert_eq!(usability(whole.clone()), Usability::Usable, "{whole}");
            let mut longer = whole.clone();
            longer.association.push(0);
            assert_eq!(usability(longer), not, "{usage} {selector} and an octet");
            let mut shorter = whole.clone();
            shorter.association.pop();
            assert_eq!(usability(shorter), not, "{usage} {selector} cut");
            // The one where the other is meant.
            let other = record(&certificate.tlsa(usage, 1 - selector, 0));
            let swapped = TlsaRecord { selector, ..other };
            assert_eq!(usability(swapped), not, "{usage} {selector} swapped");
        }
    }
    let huge = plain(3, 0, 0, 40_000);
    assert_eq!(
        usability(huge),
        Usability::Unusable(Unusable::NotACertificate)
    );
}

#[test]
fn c15_of_digests_the_strongest_of_a_usage_and_selector_counts() {
    let certificate = certificate();
    let whole = record(&certificate.tlsa(3, 1, 0));
    // What is passed over, by number.
    for (records, expected) in [
        (vec![plain(3, 1, 1, 32), plain(3, 1, 2, 64)], vec![0]),
        (vec![plain(3, 1, 2, 64), plain(3, 1, 1, 32)], vec![1]),
        (vec![whole.clone(), plain(3, 1, 1, 32)], vec![]),
        (vec![whole, plain(3, 1, 1, 32), plain(3, 1, 2, 64)], vec![1]),
        // Each usage and each selector by itself.
        (vec![plain(3, 0, 1, 32), plain(3, 1, 2, 64)], vec![]),
        (vec![plain(2, 1, 1, 32), plain(3, 1, 2, 64)], vec![]),
        // What cannot be used passes nothing over.
        (vec![plain(3, 1, 1, 32), plain(3, 1, 2, 63)], vec![]),
        (vec![plain(3, 1, 1, 32), plain(3, 1, 3, 64)], vec![]),
        (vec![plain(1, 1, 2, 64), plain(3, 1, 1, 32)], vec![]),
    ] {
        let set = TlsaSet::new(records.clone());
        let passed_over: Vec<usize> = (0..)
            .zip(&records)
            .filter(|(_, record)| {
                let mut judged = set.judged();
                judged.any(|(of, usability)| of == *record && usability == Usability::PassedOver)
            })
            .map(|(number, _)| number)
            .collect();
        assert_eq!(passed_over, expected, "{:?}", set.strings());
    }
}

#[test]
fn c21_order_and_repetition_make_no_difference() {
    let certificate = certificate();
    let mut records = vec![
        plain(3, 1, 1, 32),
        plain(3, 1, 2, 64),
        plain(2, 1, 1, 32),
        plain(1, 1, 1, 32),
        plain(10, 1, 1, 4),
        record(&certificate.tlsa(2, 0, 0)),
        record(&certificate.tlsa(2, 1, 0)),
    ];
    let set = TlsaSet::new(records.clone());
    let strings = set.strings();
    assert!(strings.is_sorted(), "{strings:?}");
    assert_eq!(strings.len(), records.len(), "none is left out");
    for _ in 0..records.len() {
        records.rotate_left(1);
        assert_eq!(TlsaSet::new(records.clone()), set);
        let twice = [records.clone(), records.clone()].concat();
        assert_eq!(TlsaSet::new(twice), set);
        records.swap(0, 3);
    }
    assert_eq!(set.usable().count(), 4);
    assert!(!TlsaSet::new(vec![]).has_usable());
    assert!(!TlsaSet::new(vec![plain(1, 1, 1, 32)]).has_usable());
}

#[test]
fn c21_a_record_is_written_as_a_report_has_it() {
    let record = TlsaRecord {
        usage: 3,
        selector: 0,
        matching: 1,
        association: vec![0x1f, 0x84, 0x00, 0xbb],
    };
    assert_eq!(record.to_string(), "3 0 1 1F8400BB");
}

#[test]
fn g3_no_record_makes_a_panic() {
    let certificate = certificate();
    let mut usable = 0;
    let key = certificate.key().public_der();
    for association in mutations(29, &[certificate.der(), &key]) {
        let kinds = [(2, 0), (2, 1), (3, 0), (3, 1)];
        let set = TlsaSet::new(
            kinds
                .map(|(usage, selector)| TlsaRecord {
                    usage,
                    selector,
                    matching: 0,
                    association: association.clone(),
                })
                .to_vec(),
        );
        usable += set.usable().count();
    }
    assert!(usable > 0, "every change was refused");
}
