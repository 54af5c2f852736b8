//! How a zone proves what it has not: which NSEC or NSEC3 records go with an answer (RFC 4035 s3.1.3,
//! RFC 5155 s7.2).

use std::ops::Bound;

use hickory_proto::rr::{Name, Record, RecordType};

use super::{
    served::{RecordSet, ServedZone, hash},
    zone::{Denial, ZoneError},
};

/// What there is to prove of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is there, and the type is not.
    NoType,
    /// It is not there, and no wildcard stands for it.
    NoName,
    /// It is not there, and a wildcard has answered for it.
    Wildcard,
    /// It is not there, and the wildcard that stands for it does not have the type.
    WildcardWithoutType,
}

impl ServedZone {
    /// The records that prove it, with their signatures.
    pub(super) fn proof(&self, name: &Name, claim: Claim) -> Result<Vec<Record>, ZoneError> {
        let mut proof = Proof::default();
        match self.denial {
            Some(Denial::Nsec) => self.by_names(&mut proof, name, claim),
            Some(denial) => {
                if let Some(iterations) = denial.iterations() {
                    self.by_hashes(&mut proof, name, claim, iterations)?;
                }
            }
            None => {}
        }
        Ok(proof.0)
    }

    /// A name exists that has records, or has a name below it that has (RFC 8020).
    pub(super) fn exists(&self, name: &Name) -> bool {
        let from = (Bound::Included(name), Bound::Unbounded);
        self.names
            .range::<Name, _>(from)
            .next()
            .is_some_and(|(next, _)| name.zone_of(next))
    }

    /// The nearest name above that exists.
    pub(super) fn closest_encloser(&self, name: &Name) -> Name {
        let mut encloser = name.clone();
        while encloser != self.apex && !self.exists(&encloser) {
            encloser = encloser.base_name();
        }
        encloser
    }

    fn by_names(&self, proof: &mut Proof, name: &Name, claim: Claim) {
        // Of a name that exists it is its own or, where it has nothing, the one that passes over it;
        // of one that does not exist, the one that passes over it.
        proof.add(self.at_or_before(name));
        if matches!(claim, Claim::NoName | Claim::WildcardWithoutType) {
            proof.add(self.at_or_before(&wildcard(&self.closest_encloser(name))));
        }
    }

    fn at_or_before(&self, name: &Name) -> Option<&RecordSet> {
        let until = (Bound::Unbounded, Bound::Included(name));
        let mut before = self.names.range::<Name, _>(until).rev();
        before.find_map(|(_, sets)| sets.get(&RecordType::NSEC))
    }

    fn by_hashes(
        &self,
        proof: &mut Proof,
        name: &Name,
        claim: Claim,
        iterations: u16,
    ) -> Result<(), ZoneError> {
        let hash = |name: &Name| hash(name, iterations);
        if claim == Claim::NoType
            && let Some(own) = self.hashes.get(&hash(name)?)
        {
            proof.add(Some(own));
            return Ok(());
        }
        // RFC 5155 s7.2.1: the nearest name above that is known, and that the one below it is not. That
        // is also how a delegation which was left out is told of (s7.2.4).
        let mut next_closer = name.clone();
        let mut encloser = name.base_name();
        while encloser != self.apex && !self.hashes.contains_key(&hash(&encloser)?) {
            next_closer = encloser.clone();
            encloser = encloser.base_name();
        }
        let wildcard = hash(&wildcard(&encloser))?;
        if claim != Claim::Wildcard {
            proof.add(self.hashes.get(&hash(&encloser)?));
        }
        proof.add(self.passing_over(&hash(&next_closer)?));
        match claim {
            Claim::NoName => proof.add(self.passing_over(&wildcard)),
            Claim::WildcardWithoutType => proof.add(self.hashes.get(&wildcard)),
            Claim::NoType | Claim::Wildcard => {}
        }
        Ok(())
    }

    /// The record whose own hash comes before this one and whose next comes after it; the last goes
    /// round to the first.
    fn passing_over(&self, hash: &[u8]) -> Option<&RecordSet> {
        let mut before = self.hashes.range(..=hash.to_owned());
        before
            .next_back()
            .or_else(|| self.hashes.last_key_value())
            .map(|(_, set)| set)
    }
}

/// The records so far, each once.
#[derive(Default)]
struct Proof(Vec<Record>);

impl Proof {
    fn add(&mut self, set: Option<&RecordSet>) {
        for record in set.into_iter().flat_map(RecordSet::all) {
            if !self.0.contains(record) {
                self.0.push(record.clone());
            }
        }
    }
}

/// The name that stands for all that do not exist below this one.
pub(super) fn wildcard(encloser: &Name) -> Name {
    // Only a name of 254 octets or more cannot have one.
    encloser
        .prepend_label("*")
        .unwrap_or_else(|_| encloser.clone())
}
