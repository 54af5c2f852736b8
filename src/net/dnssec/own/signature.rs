//! One record set and the signatures over it (RFC 4035 s5.3).
//!
//! The cryptography is hickory's. What is signed we write down ourselves: hickory sorts records as they are
//! spelt, and the signature is over lower case (RFC 4034 s6.3).

use std::collections::BTreeSet;

use hickory_proto::{
    dnssec::{
        Verifier as _,
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
}

/// A zone whose keys are proven.
#[derive(Clone, Debug)]
pub(super) struct SecureZone {
    pub(super) apex: Name,
    pub(super) keys: Vec<DNSKEY>,
    /// How long they may be relied on, when they were proven.
    pub(super) seconds: u32,
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
            Self::NotYetValid => "have a signature that is not yet valid",
            Self::Expired => "have a signature that has expired",
            Self::Wrong => "have a signature that does not hold",
        }
    }
}

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
        let fitting = zone.keys.iter().filter(|key| {
            key.algorithm() == input.algorithm
                && key
                    .calculate_key_tag()
                    .is_ok_and(|tag| tag == input.key_tag)
        });
        let mut flaw = Flaw::NoKey;
        for key in fitting.take(KEYS_FOR_ONE_TAG_MAX) {
            work.check_a_signature()?;
            let Some(octets) = signed_octets(input, self.owner, &self.records) else {
                return Ok(Err(Flaw::Wrong));
            };
            if key.verify(&octets, signature.sig()).is_ok() {
                return Ok(Ok(Signed {
                    labels: input.num_labels,
                    seconds: self.seconds(input, now),
                }));
            }
            flaw = Flaw::Wrong;
        }
        Ok(Err(flaw))
    }

    /// RFC 4035 s5.3.3: what the record says, what was signed, and no longer than the signature holds.
    fn seconds(&self, input: &SigInput, now: Timestamp) -> u32 {
        let stated = self.records.iter().map(|record| record.ttl).min();
        let left = input.sig_expiration.get().wrapping_sub(serial(now).get());
        stated.unwrap_or(0).min(input.original_ttl).min(left)
    }
}

/// RFC 4034 s3.1.5: times of signatures are serial numbers.
fn serial(now: Timestamp) -> SerialNumber {
    let wrapped = now.0.rem_euclid(1 << 32);
    SerialNumber::new(u32::try_from(wrapped).unwrap_or(0))
}

fn valid_at(input: &SigInput, now: Timestamp) -> Result<(), Flaw> {
    let now = serial(now);
    if now < input.sig_inception {
        Err(Flaw::NotYetValid)
    } else if now <= input.sig_expiration && input.sig_inception <= input.sig_expiration {
        Ok(())
    } else {
        Err(Flaw::Expired)
    }
}

/// What the signature is over (RFC 4034 s3.1.8.1).
fn signed_octets(input: &SigInput, owner: &Name, records: &[&Record]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    {
        let mut encoder = BinEncoder::new(&mut octets);
        encoder.set_canonical_form(true);
        encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
        input.emit(&mut encoder).ok()?;
    }
    let owner = lower_case_octets(&signed_name(owner, input.num_labels)?)?;
    // RFC 4034 s6.3: in the order of their octets, each once.
    let data: Option<BTreeSet<Vec<u8>>> = records
        .iter()
        .map(|record| canonical_data(&record.data))
        .collect();
    for data in data? {
        octets.extend_from_slice(&owner);
        octets.extend_from_slice(&u16::from(input.type_covered).to_be_bytes());
        // IN: every record that is not was left out.
        octets.extend_from_slice(&1_u16.to_be_bytes());
        octets.extend_from_slice(&input.original_ttl.to_be_bytes());
        octets.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        octets.extend_from_slice(&data);
    }
    Some(octets)
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
