//! One zone as it is served: all its records, each set of them with its signature, and the chain that
//! proves what is not there.

use std::collections::BTreeMap;

use hickory_proto::{
    dnssec::{
        Nsec3HashAlgorithm,
        rdata::{DNSSECRData, NSEC, NSEC3, NSEC3PARAM},
    },
    rr::{
        Name, RData, Record, RecordType,
        rdata::{NS, SOA},
    },
};

use super::{
    key::ZoneKey,
    zone::{Denial, SignatureFault, Zone, ZoneError, kind, name},
};
use crate::dns::DnsFault;

/// The records of one name and type, and the signature over them.
#[derive(Clone)]
pub(super) struct RecordSet {
    pub(super) records: Vec<Record>,
    pub(super) signature: Option<Record>,
}

/// What one name has, by type.
pub(super) type Sets = BTreeMap<RecordType, RecordSet>;

/// A zone, ready to be asked.
pub(super) struct ServedZone {
    pub(super) apex: Name,
    /// In the canonical order of names (RFC 4034 s6.1), which NSEC goes by: a name's descendants follow it.
    pub(super) names: BTreeMap<Name, Sets>,
    /// By hash; empty where the zone denies in another way.
    pub(super) hashes: BTreeMap<Vec<u8>, RecordSet>,
    pub(super) failing: BTreeMap<(Name, RecordType), DnsFault>,
    pub(super) denial: Option<Denial>,
}

/// What is said of a zone from outside.
pub(super) struct Surroundings<'a> {
    pub(super) key: &'a ZoneKey,
    /// The zones that begin in this one, and their DS records.
    pub(super) children: Vec<(Name, Option<RData>)>,
    /// The name server of all zones.
    pub(super) name_server: &'a Name,
    pub(super) time_to_live_seconds: u32,
}

impl ServedZone {
    /// Makes and signs it.
    pub(super) fn new(
        apex: &Name,
        zone: &Zone,
        around: &Surroundings<'_>,
    ) -> Result<Self, ZoneError> {
        let mut served = Self {
            apex: apex.clone(),
            names: BTreeMap::new(),
            hashes: BTreeMap::new(),
            failing: BTreeMap::new(),
            denial: zone.denial,
        };
        served.write(zone, around)?;
        if zone.denial.is_some() {
            served.write_keys(around);
            let faults = Faults::new(zone)?;
            served.write_chain(&faults, around)?;
            for sets in served.names.values_mut() {
                let is_cut = is_cut(sets);
                for (kind, set) in sets {
                    // RFC 4035 s2.2: the name servers of a zone below are its own to sign.
                    if !(is_cut && *kind == RecordType::NS) {
                        set.sign(apex, &faults, around.key)?;
                    }
                }
            }
        }
        Ok(served)
    }

    /// Its records, as its owner and its children give them.
    fn write(&mut self, zone: &Zone, around: &Surroundings<'_>) -> Result<(), ZoneError> {
        let seconds = around.time_to_live_seconds;
        let apex = self.apex.clone();
        let name_server = around.name_server.clone();
        let soa = SOA::new(
            name_server.clone(),
            apex.clone(),
            1,
            3600,
            600,
            86_400,
            seconds,
        );
        self.add(&apex, seconds, RData::SOA(soa));
        self.add(&apex, seconds, RData::NS(NS(name_server.clone())));
        for (child, delegation_signer) in &around.children {
            self.add(child, seconds, RData::NS(NS(name_server.clone())));
            if let Some(data) = delegation_signer {
                self.add(child, seconds, data.clone());
            }
        }
        for (owner, value) in &zone.records {
            let owner = self.own(owner, around)?;
            self.add(&owner, seconds, value.data()?);
        }
        for (owner, of_type, fault) in &zone.failing {
            let owner = name(owner)?;
            self.failing.insert((owner, kind(of_type)?), *fault);
        }
        Ok(())
    }

    /// The name, if it is one of this zone.
    fn own(&self, owner: &str, around: &Surroundings<'_>) -> Result<Name, ZoneError> {
        let owner = name(owner)?;
        let is_below = around
            .children
            .iter()
            .any(|(child, _)| child.zone_of(&owner));
        if !self.apex.zone_of(&owner) || is_below {
            return Err(ZoneError::Elsewhere {
                name: owner.to_ascii(),
                zone: self.apex.to_ascii(),
            });
        }
        Ok(owner)
    }

    fn write_keys(&mut self, around: &Surroundings<'_>) {
        let seconds = around.time_to_live_seconds;
        let apex = self.apex.clone();
        let key = DNSSECRData::DNSKEY(around.key.public.clone());
        self.add(&apex, seconds, RData::DNSSEC(key));
        if let Some(times) = self.denial.and_then(Denial::iterations) {
            // RFC 5155 s4.1.2: the flag is never set here.
            let parameters = NSEC3PARAM::new(Nsec3HashAlgorithm::SHA1, false, times, Vec::new());
            let parameters = DNSSECRData::NSEC3PARAM(parameters);
            self.add(&apex, 0, RData::DNSSEC(parameters));
        }
    }

    fn add(&mut self, owner: &Name, seconds: u32, data: RData) {
        let sets = self.names.entry(owner.clone()).or_default();
        let set = sets.entry(data.record_type()).or_insert(RecordSet {
            records: Vec::new(),
            signature: None,
        });
        let record = Record::from_rdata(owner.clone(), seconds, data);
        set.records.push(record);
    }

    fn write_chain(&mut self, faults: &Faults, around: &Surroundings<'_>) -> Result<(), ZoneError> {
        match self.denial {
            Some(Denial::Nsec) => self.write_nsec(around.time_to_live_seconds),
            Some(denial) => {
                if let Some(iterations) = denial.iterations() {
                    return self.write_nsec3(faults, around, iterations);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// RFC 4035 s2.3: each name tells what it has and which name comes next, the last one the first.
    fn write_nsec(&mut self, seconds: u32) {
        let owners: Vec<Name> = self.names.keys().cloned().collect();
        let following = owners.iter().cycle().skip(1);
        for (owner, next) in owners.iter().zip(following) {
            let kinds: Vec<_> = self.names.get(owner).into_iter().flat_map(types).collect();
            let data = DNSSECRData::NSEC(NSEC::new_cover_self(next.clone(), kinds));
            self.add(owner, seconds, RData::DNSSEC(data));
        }
    }

    /// RFC 5155 s7.1: the same with hashes, and with the names between that have nothing themselves.
    fn write_nsec3(
        &mut self,
        faults: &Faults,
        around: &Surroundings<'_>,
        iterations: u16,
    ) -> Result<(), ZoneError> {
        let opts_out = self.denial == Some(Denial::Nsec3OptOut);
        let mut kinds_of: BTreeMap<Vec<u8>, Vec<RecordType>> = BTreeMap::new();
        for (owner, sets) in &self.names {
            let is_unsigned_cut = is_cut(sets) && !sets.contains_key(&RecordType::DS);
            if opts_out && is_unsigned_cut {
                continue;
            }
            let mut kinds: Vec<_> = types(sets).collect();
            if !is_unsigned_cut {
                kinds.push(RecordType::RRSIG);
            }
            kinds_of.insert(hash(owner, iterations)?, kinds);
            let mut above = owner.clone();
            while above != self.apex && !above.is_root() {
                kinds_of.entry(hash(&above, iterations)?).or_default();
                above = above.base_name();
            }
        }
        let hashes: Vec<_> = kinds_of.keys().cloned().collect();
        let following = hashes.iter().cycle().skip(1);
        for ((hash, kinds), next) in kinds_of.into_iter().zip(following) {
            let data = NSEC3::new(
                Nsec3HashAlgorithm::SHA1,
                opts_out,
                iterations,
                Vec::new(),
                next.clone(),
                kinds,
            );
            let owner = self.apex.prepend_label(base32(&hash).as_str())?;
            let seconds = around.time_to_live_seconds;
            let data = RData::DNSSEC(DNSSECRData::NSEC3(data));
            let mut set = RecordSet {
                records: vec![Record::from_rdata(owner, seconds, data)],
                signature: None,
            };
            set.sign(&self.apex, faults, around.key)?;
            self.hashes.insert(hash, set);
        }
        Ok(())
    }
}

impl RecordSet {
    fn sign(&mut self, apex: &Name, faults: &Faults, key: &ZoneKey) -> Result<(), ZoneError> {
        let fault = self.records.first().and_then(|record| faults.of(record));
        self.signature = key.sign(apex, &self.records, fault)?;
        Ok(())
    }

    /// The records and their signature.
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().chain(&self.signature)
    }
}

/// What is wrong with the signatures of a zone.
struct Faults {
    of_all: Option<SignatureFault>,
    of_sets: BTreeMap<(Name, RecordType), SignatureFault>,
}

impl Faults {
    fn new(zone: &Zone) -> Result<Self, ZoneError> {
        let mut of_sets = BTreeMap::new();
        for (owner, of_type, fault) in &zone.spoilt {
            of_sets.insert((name(owner)?, kind(of_type)?), *fault);
        }
        Ok(Self {
            of_all: zone.spoilt_zone,
            of_sets,
        })
    }

    fn of(&self, record: &Record) -> Option<SignatureFault> {
        let key = (record.name.clone(), record.record_type());
        self.of_sets.get(&key).copied().or(self.of_all)
    }
}

/// Another zone begins here.
fn is_cut(sets: &Sets) -> bool {
    sets.contains_key(&RecordType::NS) && !sets.contains_key(&RecordType::SOA)
}

fn types(sets: &Sets) -> impl Iterator<Item = RecordType> {
    sets.keys().copied()
}

/// A name's hash, as NSEC3 has it.
pub(super) fn hash(name: &Name, iterations: u16) -> Result<Vec<u8>, ZoneError> {
    let digest = Nsec3HashAlgorithm::SHA1.hash(&[], name, iterations)?;
    Ok(digest.as_ref().to_vec())
}

/// Base 32 with the extended hexadecimal alphabet, in lower case (RFC 4648 s7). A hash of 20 octets needs
/// no padding.
fn base32(hash: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = String::new();
    for five_octets in hash.chunks(5) {
        let bits = five_octets
            .iter()
            .fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        for shift in (0..40).step_by(5).rev() {
            let digit = usize::try_from(bits >> shift & 31).unwrap_or_default();
            text.extend(ALPHABET.get(digit).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_as_the_rfc_writes_it() {
        // RFC 4648 s10, in lower case.
        assert_eq!(base32(b"fooba"), "cpnmuoj1");
        assert_eq!(base32(b"foobafooba"), "cpnmuoj1cpnmuoj1");
        let hash = hash(&Name::root(), 0).unwrap();
        assert_eq!(base32(&hash).len(), 32);
    }
}
