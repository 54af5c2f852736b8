//! One record set and the signatures over it (RFC 4035 s5.3).
//!
//! The cryptography is hickory's. What is signed we write down ourselves: hickory sorts records as they are
//! spelt, and the signature is over lower case (RFC 4034 s6.3).

use std::{collections::BTreeSet, sync::OnceLock};

use hickory_proto::{
    dnssec::{
        PublicKey as _, Verifier as _,
        rdata::{DNSKEY, DNSSECRData, RRSIG, sig::SigInput},
    },
    rr::{Name, RData, Record, RecordType, SerialNumber},
    serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding},
};

use super::work::{Exhausted, Work};
use crate::{clock::Timestamp, net::dnssec::reading::of};

/// A record set and what claims to sign it.
pub(super) struct SignedSet<'a> {
    pub(super) owner: &'a Name,
    pub(super) kind: RecordType,
    pub(super) records: Vec<&'a Record>,
    pub(super) signatures: Vec<&'a RRSIG>,
    /// Its data in canonical form and order; nothing where it has none. Made once, for all signatures.
    canonical: OnceLock<Option<BTreeSet<Vec<u8>>>>,
}

/// A zone whose keys are proven.
#[derive(Clone, Debug)]
pub(super) struct SecureZone {
    pub(super) apex: Name,
    pub(super) keys: Vec<ZoneKey>,
    /// How long they may be relied on, when they were proven.
    pub(super) seconds: u32,
}

/// A key, and its tag (RFC 4034 appendix B), which is a sum over all of its octets.
#[derive(Clone, Debug)]
pub(super) struct ZoneKey {
    pub(super) key: DNSKEY,
    pub(super) tag: u16,
}

impl ZoneKey {
    /// A key with its tag; nothing where it has none.
    pub(super) fn of(key: DNSKEY) -> Option<Self> {
        let tag = key.calculate_key_tag().ok()?;
        Some(Self { key, tag })
    }
}

impl SecureZone {
    /// What it takes of memory, about.
    pub(super) fn octets(&self) -> usize {
        let keys = self.keys.iter().map(|key| {
            let octets = key.key.public_key().public_bytes().len();
            size_of::<ZoneKey>() + octets
        });
        size_of::<Self>() + self.apex.len() + keys.sum::<usize>()
    }
}

/// A signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// How many labels the signed name has: fewer than the owner where it was made from a wildcard.
    pub(super) labels: u8,
    /// How long the set may be relied on (RFC 4035 s5.3.3).
    pub(super) seconds: u32,
}

/// Why no signature holds. In the order in which they say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flaw {
    /// There is none of the zone.
    Unsigned,
    /// None by a key of the zone in an algorithm that is known.
    NoKey,
    /// It begins later.
    NotYetValid,
    /// It has ended.
    Expired,
    /// It does not fit.
    Wrong,
}

impl Flaw {
    /// For people, after the type of the records.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Unsigned => "are not signed by the zone, which is",
            Self::NoKey => "are signed by no key of the zone",
            Self::NotYetValid => NOT_YET_VALID,
            Self::Expired => EXPIRED,
            Self::Wrong => "have a signature that does not hold",
        }
    }
}

/// What is said where a signature begins later than now.
pub const NOT_YET_VALID: &str = "have a signature that is not yet valid";

/// What is said where a signature has ended.
pub const EXPIRED: &str = "have a signature that has expired";

/// More signatures over one set are not looked at. A zone that changes its algorithm has four.
const SIGNATURES_MAX: usize = 8;

/// More keys that fit one signature by their tag are not tried: such zones are made to keep us busy.
const KEYS_FOR_ONE_TAG_MAX: usize = 3;

impl<'a> SignedSet<'a> {
    /// The set of one owner and type in a section, with its signatures.
    pub(super) fn of(section: &'a [Record], owner: &'a Name, kind: RecordType) -> Self {
        let signatures = section.iter().filter_map(|record| {
            let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else {
                return None;
            };
            let covers = signature.input().type_covered == kind && record.name == *owner;
            covers.then_some(signature)
        });
        Self {
            owner,
            kind,
            records: of(section, owner, kind).collect(),
            signatures: signatures.take(SIGNATURES_MAX).collect(),
            canonical: OnceLock::new(),
        }
    }

    /// The zones that claim to have signed it, that could have: each is the owner or above it (RFC 4035 s5.3.1).
    pub(super) fn signers(&self) -> Vec<&'a Name> {
        let mut signers: Vec<&Name> = Vec::new();
        for signature in &self.signatures {
            let signer = &signature.input().signer_name;
            if self.may_be_signed_by(signer) && !signers.contains(&signer) {
                signers.push(signer);
            }
        }
        signers
    }

    fn may_be_signed_by(&self, signer: &Name) -> bool {
        // RFC 4035 s2.4: a DS record belongs to the zone above.
        let from_above = self.kind == RecordType::DS && signer == self.owner;
        signer.zone_of(self.owner) && !from_above
    }

    /// The signature by a zone that holds.
    ///
    /// # Errors
    /// None does, and why; or there is more to compute than a lookup may.
    pub(super) fn verify(
        &self,
        zone: &SecureZone,
        now: Timestamp,
        work: &Work,
    ) -> Result<Result<Signed, Flaw>, Exhausted> {
        let mut flaw = Flaw::Unsigned;
        for signature in &self.signatures {
            let input = signature.input();
            if input.signer_name != zone.apex || !self.may_be_signed_by(&zone.apex) {
                continue;
            }
            match self.verify_one(signature, zone, now, work)? {
                Ok(signed) => return Ok(Ok(signed)),
                Err(other) => flaw = flaw.max(other),
            }
        }
        Ok(Err(flaw))
    }

    fn verify_one(
        &self,
        signature: &RRSIG,
        zone: &SecureZone,
        now: Timestamp,
        work: &Work,
    ) -> Result<Result<Signed, Flaw>, Exhausted> {
        let input = signature.input();
        if let Err(flaw) = valid_at(input, now) {
            return Ok(Err(flaw));
        }
        if input.num_labels > self.owner.num_labels() {
            return Ok(Err(Flaw::Wrong));
        }
        let fitting = zone
            .keys
            .iter()
            .filter(|key| key.tag == input.key_tag && key.key.algorithm() == input.algorithm);
        let mut fitting = fitting.take(KEYS_FOR_ONE_TAG_MAX).peekable();
        if fitting.peek().is_none() {
            return Ok(Err(Flaw::NoKey));
        }
        let Some(octets) = self.signed_octets(input) else {
            return Ok(Err(Flaw::Wrong));
        };
        work.write_octets(octets.len())?;
        for fitting in fitting {
            work.check_a_signature()?;
            if fitting.key.verify(&octets, signature.sig()).is_ok() {
                return Ok(Ok(Signed {
                    labels: input.num_labels,
                    seconds: self.seconds(input, now),
                }));
            }
        }
        Ok(Err(Flaw::Wrong))
    }

    /// RFC 4035 s5.3.3: what the record says, what was signed, and no longer than the signature holds.
    fn seconds(&self, input: &SigInput, now: Timestamp) -> u32 {
        let stated = self.records.iter().map(|record| record.ttl).min();
        let left = input.sig_expiration.get().wrapping_sub(serial(now).get());
        stated.unwrap_or(0).min(input.original_ttl).min(left)
    }

    /// What the signature is over (RFC 4034 s3.1.8.1).
    fn signed_octets(&self, input: &SigInput) -> Option<Vec<u8>> {
        let mut octets = Vec::new();
        {
            let mut encoder = BinEncoder::new(&mut octets);
            encoder.set_canonical_form(true);
            encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
            input.emit(&mut encoder).ok()?;
        }
        let owner = lower_case_octets(&signed_name(self.owner, input.num_labels)?)?;
        for data in self.canonical()? {
            octets.extend_from_slice(&owner);
            octets.extend_from_slice(&u16::from(input.type_covered).to_be_bytes());
            // IN: every record that is not was left out.
            octets.extend_from_slice(&1_u16.to_be_bytes());
            octets.extend_from_slice(&input.original_ttl.to_be_bytes());
            octets.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
            octets.extend_from_slice(data);
        }
        Some(octets)
    }

    /// RFC 4034 s6.3: in the order of their octets, each once.
    fn canonical(&self) -> Option<&BTreeSet<Vec<u8>>> {
        let write_down = || {
            let records = self.records.iter();
            records.map(|record| canonical_data(&record.data)).collect()
        };
        self.canonical.get_or_init(write_down).as_ref()
    }
}

/// RFC 4034 s3.1.5: times of signatures are serial numbers.
fn serial(now: Timestamp) -> SerialNumber {
    let wrapped = now.0.rem_euclid(1 << 32);
    SerialNumber::new(u32::try_from(wrapped).unwrap_or(0))
}

/// OURS: a signature may begin so much later than now. A zone is signed by a clock of its own, and ours may be late. An
/// end is an end.
const INCEPTION_AHEAD_SECONDS_MAX: i64 = 300;

fn valid_at(input: &SigInput, now: Timestamp) -> Result<(), Flaw> {
    let soon = serial(now.plus_seconds(INCEPTION_AHEAD_SECONDS_MAX));
    let now = serial(now);
    if soon < input.sig_inception {
        Err(Flaw::NotYetValid)
    } else if now <= input.sig_expiration && input.sig_inception <= input.sig_expiration {
        Ok(())
    } else {
        Err(Flaw::Expired)
    }
}

/// The owner, or the wildcard that it was made from.
fn signed_name(owner: &Name, labels: u8) -> Option<Name> {
    if labels == owner.num_labels() {
        return Some(owner.clone());
    }
    let closest = owner.trim_to(usize::from(labels));
    closest.prepend_label("*").ok()
}

fn lower_case_octets(name: &Name) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    name.emit(&mut encoder).ok()?;
    Some(octets)
}

/// The data in canonical form (RFC 4034 s6.2, RFC 6840 s5.1).
fn canonical_data(data: &RData) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    {
        let mut encoder = BinEncoder::new(&mut octets);
        encoder.set_canonical_form(true);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        data.emit(&mut encoder).ok()?;
    }
    if data.record_type() == RecordType::DNAME {
        // hickory takes it as octets. It is one name; the octets of lengths are no letters.
        octets.make_ascii_lowercase();
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::{
        dnssec::{Algorithm, PublicKeyBuf},
        rr::rdata::TXT,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn input(inception_ahead: i64, expiration_ahead: i64, key_tag: u16) -> SigInput {
        SigInput {
            type_covered: RecordType::TXT,
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: 2,
            original_ttl: 60,
            sig_expiration: serial(NOW.plus_seconds(expiration_ahead)),
            sig_inception: serial(NOW.plus_seconds(inception_ahead)),
            key_tag,
            signer_name: Name::from_str("a.test.").unwrap(),
        }
    }

    #[test]
    fn c1_a_signature_may_begin_by_a_clock_that_is_a_little_ahead_and_never_end_by_one_that_is_behind()
     {
        for (inception, expiration, expected) in [
            (-60, 60, Ok(())),
            (0, 0, Ok(())),
            (300, 600, Ok(())),
            (301, 600, Err(Flaw::NotYetValid)),
            (-60, -1, Err(Flaw::Expired)),
            (-600, -300, Err(Flaw::Expired)),
            // It ends before it begins.
            (60, 30, Err(Flaw::Expired)),
        ] {
            let verdict = valid_at(&input(inception, expiration, 0), NOW);
            assert_eq!(verdict, expected, "{inception}, {expiration}");
        }
    }

    #[test]
    fn g6_a_set_that_fills_a_message_is_written_down_once_for_each_signature_that_a_key_fits() {
        let owner = Name::from_str("a.test.").unwrap();
        let mut keys = Vec::new();
        // Keys that differ and have one tag: it is a sum, so two octets may change places.
        for number in 0_u8..32 {
            let mut octets = vec![0; 64];
            octets[0] = number;
            octets[2] = 255 - number;
            let key = PublicKeyBuf::new(octets, Algorithm::ECDSAP256SHA256);
            keys.extend(ZoneKey::of(DNSKEY::with_flags(256, key)));
        }
        let tag = keys[0].tag;
        assert!(keys.iter().all(|key| key.tag == tag) && keys.len() == 32);
        let zone = SecureZone {
            apex: owner.clone(),
            keys,
            seconds: 60,
        };
        let mut section: Vec<Record> = (0..250)
            .map(|number| {
                let text = format!("{number} {}", "x".repeat(240));
                Record::from_rdata(owner.clone(), 60, RData::TXT(TXT::new(vec![text])))
            })
            .collect();
        for number in 0..200 {
            // Every second is by a key that the zone does not have.
            let tag = if number % 2 == 0 { tag } else { !tag };
            let signature = RRSIG::from_sig(input(-60, 60, tag), vec![7; 64]);
            let data = RData::DNSSEC(DNSSECRData::RRSIG(signature));
            section.push(Record::from_rdata(owner.clone(), 60, data));
        }
        let set = SignedSet::of(&section, &owner, RecordType::TXT);
        let work = Work::of_one_lookup();
        assert_eq!(set.verify(&zone, NOW, &work), Ok(Err(Flaw::Wrong)));
        let one = set.signed_octets(&input(-60, 60, tag)).unwrap().len();
        assert!(one > 60_000, "{one}");
        // Four of eight signatures, and three keys for each.
        let (octets, signatures) = work.spent();
        assert_eq!(octets, 4 * one);
        assert_eq!(signatures, 12);
        // Four such sets are more than one lookup may read.
        for expected in [
            Ok(Err(Flaw::Wrong)),
            Ok(Err(Flaw::Wrong)),
            Err(Exhausted::Octets),
        ] {
            assert_eq!(set.verify(&zone, NOW, &work), expected);
        }
    }
}
