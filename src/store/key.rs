//! Where a row lies: keys as bytes, ordered so that a day, and within it a domain, is one run.
//!
//! A tally's key is `day (u32 BE) | domain | 0 | policy fingerprint (16) | kind`, and behind that for
//! a failure detail its digest (16), for a protection its number (1).
//! A domain never contains an octet 0, so the runs of two domains cannot mix, and octets sort as
//! [`PolicyDomain`] does. A failure detail is named by a digest; its text stands in the value.
// Why not the text: sled keeps up to 256 keys together in one index page and moves a page of
// more than 128 KiB out into a file of its own, which it never brings to the disk
// (docs/decisions/0004-sled.md). Keys must therefore stay well under 512 octets.

use super::{Counted, TallyKey};
use crate::{
    clock::UtcDay,
    deliver::DeliveryKey,
    policy::{Destination, Fingerprint, PolicyDomain},
    record::{Failure, protection::Protection},
};

/// The longest key that any function here makes: day, domain, fingerprint, kind and digest.
#[cfg(test)]
pub(crate) const KEY_BYTES_MAX: usize = 4 + 253 + 1 + 16 + 1 + 16;

/// The octet that tells what a row counts.
const SUCCESSES: u8 = 1;
const FAILURES: u8 = 2;
const DETAIL: u8 = 3;
const PROTECTED: u8 = 4;

/// What the bytes of a tally's key name. The detail itself stands in the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TallyName {
    pub(crate) day: UtcDay,
    pub(crate) domain: PolicyDomain,
    pub(crate) policy: Fingerprint,
    pub(crate) kind: Kind,
}

/// What a row counts, as its key says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Successes,
    Failures,
    Detail,
    Protected(Protection),
}

/// The day alone: the prefix of everything held of it.
pub(crate) fn day(day: UtcDay) -> Vec<u8> {
    day.0.to_be_bytes().to_vec()
}

/// Day and domain: the prefix of everything held of a domain on a day.
pub(crate) fn day_domain(day: UtcDay, domain: &PolicyDomain) -> Vec<u8> {
    let mut key = Vec::with_capacity(4 + domain.as_str().len() + 34);
    key.extend_from_slice(&day.0.to_be_bytes());
    key.extend_from_slice(domain.as_str().as_bytes());
    key.push(0);
    key
}

/// The key of a tally.
pub(crate) fn tally(key: &TallyKey) -> Vec<u8> {
    let mut bytes = day_domain(key.day, &key.domain);
    bytes.extend_from_slice(&key.policy.0);
    match &key.counted {
        Counted::Successes => bytes.push(SUCCESSES),
        Counted::Failures => bytes.push(FAILURES),
        Counted::Detail(failure) => {
            bytes.push(DETAIL);
            bytes.extend_from_slice(&failure_digest(failure));
        }
        Counted::Protected(protection) => {
            bytes.extend_from_slice(&[PROTECTED, protection_number(*protection)]);
        }
    }
    bytes
}

/// The key of a failure kept singly: it counts on from 0 within its domain and day.
pub(crate) fn failure(day: UtcDay, domain: &PolicyDomain, sequence: u64) -> Vec<u8> {
    let mut key = day_domain(day, domain);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The number at the end of a failure's key.
pub(crate) fn failure_sequence(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|octets| u64::from_be_bytes(*octets))
}

/// The key of a delivery. A destination may be long; its digest stands for it.
pub(crate) fn delivery(key: &DeliveryKey) -> Vec<u8> {
    let mut bytes = day_domain(key.day, &key.domain);
    bytes.extend_from_slice(&destination(&key.destination));
    bytes
}

/// The digest that stands for a destination.
pub(crate) fn destination(destination: &Destination) -> [u8; 16] {
    let (kind, text) = match destination {
        Destination::Mail(mailbox) => ("mail", mailbox),
        Destination::Https(uri) => ("https", uri),
    };
    digest(&[kind.as_bytes(), text.as_bytes()])
}

/// The key of a sealed block: the day, which sealing of it, and its first row's key.
pub(crate) fn block(day: UtcDay, generation: u32, first_row: &[u8]) -> Vec<u8> {
    let mut key = day.0.to_be_bytes().to_vec();
    key.extend_from_slice(&generation.to_be_bytes());
    key.extend_from_slice(first_row.get(4..).unwrap_or_default());
    key
}

/// The day that a key begins with.
pub(crate) fn day_of(key: &[u8]) -> Option<UtcDay> {
    key.first_chunk()
        .map(|octets| UtcDay(u32::from_be_bytes(*octets)))
}

/// The domain that stands behind the day.
pub(crate) fn domain_of(key: &[u8]) -> Option<PolicyDomain> {
    let behind = key.get(4..)?;
    let end = behind.iter().position(|octet| *octet == 0)?;
    domain(behind.get(..end)?)
}

/// A domain from its own bytes, when they are one.
pub(crate) fn domain(bytes: &[u8]) -> Option<PolicyDomain> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.parse().ok()
}

/// Reads the key of a tally.
pub(crate) fn read_tally(key: &[u8]) -> Option<TallyName> {
    let day = day_of(key)?;
    let domain = domain_of(key)?;
    let behind = key.get(4 + domain.as_str().len() + 1..)?;
    let (policy, behind) = behind.split_first_chunk::<16>()?;
    let kind = match behind {
        [SUCCESSES] => Kind::Successes,
        [FAILURES] => Kind::Failures,
        [DETAIL, digest @ ..] if digest.len() == 16 => Kind::Detail,
        [PROTECTED, number] => Kind::Protected(protection_of(*number)?),
        _ => return None,
    };
    Some(TallyName {
        day,
        domain,
        policy: Fingerprint(*policy),
        kind,
    })
}

/// Whether a tally's key counts sessions by their protection, as far as its end tells.
pub(crate) fn is_protected(key: &[u8]) -> bool {
    let kind = behind_the_domain(key).and_then(|behind| behind.get(16));
    kind == Some(&PROTECTED)
}

/// Whether a key is of this domain, on whatever day.
pub(crate) fn is_of(key: &[u8], domain: &PolicyDomain) -> bool {
    let behind = key
        .get(4..)
        .and_then(|key| key.strip_prefix(domain.as_str().as_bytes()));
    behind.is_some_and(|behind| behind.first() == Some(&0))
}

/// The policy that a tally's key names.
pub(crate) fn policy_of(key: &[u8]) -> Option<Fingerprint> {
    behind_the_domain(key)?
        .first_chunk()
        .copied()
        .map(Fingerprint)
}

fn behind_the_domain(key: &[u8]) -> Option<&[u8]> {
    let behind = key.get(4..)?;
    let end = behind.iter().position(|octet| *octet == 0)?;
    behind.get(end + 1..)
}

/// The octet that a protection has on the disk.
const fn protection_number(protection: Protection) -> u8 {
    match protection {
        Protection::Dane => 1,
        Protection::Sts => 2,
        Protection::Tls => 3,
        Protection::Clear => 4,
        Protection::Refused => 5,
    }
}

fn protection_of(number: u8) -> Option<Protection> {
    Protection::ALL
        .into_iter()
        .find(|each| protection_number(*each) == number)
}

/// The first key behind every key that begins so; nothing when there is none.
pub(crate) fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(greater) = last.checked_add(1) {
            next.push(greater);
            return Some(next);
        }
    }
    None
}

/// The first 16 octets of SHA-256 over texts; their lengths go in, so that no two lists run into
/// the same bytes.
pub(crate) fn digest(texts: &[&[u8]]) -> [u8; 16] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    }
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    first
}

/// Tells details apart.
fn failure_digest(failure: &Failure) -> [u8; 16] {
    let text = |member: &Option<String>| member.clone().unwrap_or_default();
    let present = [
        failure.mx.is_some(),
        failure.mx_helo.is_some(),
        failure.reason.is_some(),
    ]
    .map(u8::from);
    let address = |ip: Option<std::net::IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    digest(&[
        failure.result.name().as_bytes(),
        &present,
        text(&failure.mx).as_bytes(),
        text(&failure.mx_helo).as_bytes(),
        address(failure.receiving_ip).as_bytes(),
        address(failure.sending_ip).as_bytes(),
        text(&failure.reason).as_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;

    fn tally_key(day: u32, domain: &str, counted: Counted) -> TallyKey {
        TallyKey {
            day: UtcDay(day),
            domain: domain.parse().unwrap(),
            policy: Fingerprint([7; 16]),
            counted,
        }
    }

    #[test]
    fn keys_sort_by_day_then_domain_and_read_back() {
        let detail = Failure::of_policy(ResultType::StsPolicyInvalid, "no-mode");
        let keys = [
            tally_key(1, "zz.example", Counted::Successes),
            tally_key(2, "a.example", Counted::Successes),
            tally_key(2, "a.example", Counted::Failures),
            tally_key(2, "a.example", Counted::Detail(detail)),
            tally_key(2, "a.example", Counted::Protected(Protection::Dane)),
            tally_key(2, "a.example", Counted::Protected(Protection::Refused)),
            tally_key(2, "a.example.com", Counted::Successes),
            tally_key(2, "ab.example", Counted::Successes),
            tally_key(256, "a.example", Counted::Successes),
        ];
        let bytes: Vec<_> = keys.iter().map(tally).collect();
        assert!(bytes.is_sorted());
        for (key, bytes) in keys.iter().zip(&bytes) {
            let name = read_tally(bytes).unwrap();
            assert_eq!(
                (name.day, &name.domain, name.policy),
                (key.day, &key.domain, key.policy)
            );
            assert_eq!(
                is_protected(bytes),
                matches!(key.counted, Counted::Protected(_))
            );
        }
    }

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        for (prefix, next) in [
            (vec![1, 2], Some(vec![1, 3])),
            (vec![1, 255], Some(vec![2])),
            (vec![255, 255], None),
            (vec![], None),
        ] {
            assert_eq!(behind(&prefix), next, "{prefix:?}");
        }
    }

    #[test]
    fn d3_details_that_differ_in_one_member_have_different_keys() {
        let plain = Failure::of_policy(ResultType::ValidationFailure, "x");
        let variants = [
            Failure {
                reason: None,
                ..plain.clone()
            },
            Failure {
                reason: Some(String::new()),
                ..plain.clone()
            },
            Failure {
                mx: Some("x".into()),
                ..plain.clone()
            },
            Failure {
                mx_helo: Some("x".into()),
                ..plain.clone()
            },
            Failure {
                receiving_ip: Some([192, 0, 2, 1].into()),
                ..plain.clone()
            },
            Failure {
                sending_ip: Some([192, 0, 2, 1].into()),
                ..plain.clone()
            },
            Failure {
                result: ResultType::CertificateExpired,
                ..plain.clone()
            },
            plain,
        ];
        let mut digests: Vec<_> = variants.iter().map(failure_digest).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), variants.len());
    }

    #[test]
    fn the_longest_key_is_short_enough_for_the_engine() {
        let longest = [
            &"a".repeat(63),
            &"b".repeat(63),
            &"c".repeat(63),
            &"d".repeat(61),
        ]
        .map(String::as_str)
        .join(".");
        let detail = Failure {
            reason: Some("r".repeat(10_000)),
            ..Failure::of_policy(ResultType::ValidationFailure, "")
        };
        let key = tally(&tally_key(9, &longest, Counted::Detail(detail)));
        assert_eq!(key.len(), KEY_BYTES_MAX);
        // 256 of them and what belongs to them, well under a page of 128 KiB.
        const { assert!(KEY_BYTES_MAX * 300 < 128 * 1024) };
    }
}
