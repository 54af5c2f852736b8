//! From the root's keys down to the zone that a name lies in (RFC 4035 s5).
//!
//! We go down, name by name, and ask at each what the zone above says of it: signed delegation, unsigned
//! delegation, or no delegation. What is unsigned is so by a proof of the zone above, and by nothing that is said
//! of the name itself: who could say that would turn off DANE.

use std::sync::Arc;

use hickory_proto::{
    dnssec::{
        DigestType, PublicKey as _, Verifier as _,
        rdata::{DNSSECRData, DS},
    },
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use super::{
    Trouble, Validator,
    cuts::{Cut, SECONDS_MIN},
    denial::{self, Denial, NsecProof},
    nsec3::{Nsec3Proof, Nsec3Proofs},
    signature::{SecureZone, SignedSet, ZoneKey},
    work::Work,
};
use crate::net::dnssec::{
    exchange::{Answered, Checking, shown},
    reading::{absence_seconds, of, server_error},
};

/// Where a name lies.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// In a signed zone.
    Secure(Arc<SecureZone>),
    /// Below a delegation that is not signed.
    Unsigned,
}

/// What the denials of an answer come to, and how long that holds.
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) seconds: u32,
}

/// More keys of one zone, or digests of them, are not looked at.
const KEYS_MAX: usize = 32;

/// A longer key is not looked at. RSA with 8,192 bits, more than which is not verified, takes 1,028 octets (RFC 3110 s2).
const KEY_OCTETS_MAX: usize = 1_100;

/// More records of denial in one answer are not looked at: a proof takes three.
const DENIALS_MAX: usize = 8;

/// What is to be proven by records of denial.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    /// That there is no record of this type.
    Absent(RecordType),
    /// That no name comes before the wildcard of so many labels.
    NothingCloser(u8),
}

impl Validator {
    /// The zone that a name lies in.
    pub(super) async fn zone_of(&self, name: &Name, work: &Work) -> Result<Zone, Trouble> {
        let mut zone = self.root(work).await?;
        for labels in 1..=name.iter().count() {
            match self.cut(&zone, &name.trim_to(labels), work).await? {
                Cut::None | Cut::NotProven => {}
                Cut::Secure(below) => zone = below,
                Cut::Unsigned => return Ok(Zone::Unsigned),
            }
        }
        Ok(Zone::Secure(zone))
    }

    /// The root, by the trust anchors.
    pub(super) async fn root(&self, work: &Work) -> Result<Arc<SecureZone>, Trouble> {
        let root = Name::root();
        let turn = self.cuts.turn(&root);
        let _held = turn.lock().await;
        if let Some(Cut::Secure(zone)) = self.cuts.known(&root, &*self.clock) {
            return Ok(zone);
        }
        let zone = self.root_anew(work).await?;
        self.keep_root(&zone);
        Ok(zone)
    }

    /// The root as it is now, whatever is known of it.
    pub(super) async fn root_anew(&self, work: &Work) -> Result<Arc<SecureZone>, Trouble> {
        let root = Name::root();
        let message = self.ask(&root, RecordType::DNSKEY, work).await?;
        let keys = keys_of(&message.answers, &root);
        let anchors = self.anchors.load();
        let trusted = keys.iter().filter(|key| anchors.hold(&key.key)).cloned();
        let trusted = trusted.collect();
        let zone = self.with_keys(&message, &root, keys, trusted, work)?;
        Ok(Arc::new(zone))
    }

    pub(super) fn keep_root(&self, zone: &Arc<SecureZone>) {
        let cut = Cut::Secure(Arc::clone(zone));
        self.cuts
            .keep(&Name::root(), &cut, zone.seconds, &*self.clock);
    }

    /// What a zone says of a name in it.
    async fn cut(&self, zone: &SecureZone, name: &Name, work: &Work) -> Result<Cut, Trouble> {
        let turn = self.cuts.turn(name);
        let _held = turn.lock().await;
        match self.cuts.known(name, &*self.clock) {
            // By what another server passed on.
            Some(Cut::NotProven) if work.is_second_try() => {}
            Some(cut) => return Ok(cut),
            None => {}
        }
        let message = self.ask(name, RecordType::DS, work).await?;
        let delegation = SignedSet::of(&message.answers, name, RecordType::DS);
        if !delegation.records.is_empty() {
            let (cut, seconds) = self.signed_delegation(zone, &delegation, work).await?;
            self.cuts.keep(name, &cut, seconds, &*self.clock);
            return Ok(cut);
        }
        let denied = self.denied(&message, zone, name, Claim::Absent(RecordType::DS), work)?;
        let (cut, seconds) = match denied.denial {
            Denial::UnsignedDelegation | Denial::PerhapsUnsigned => (Cut::Unsigned, denied.seconds),
            Denial::Proven => (Cut::None, denied.seconds),
            // An alias, say; or a server that loses proofs. Kept for a moment: the next name below would have all of
            // it asked for and computed again.
            Denial::NotProven => (Cut::NotProven, SECONDS_MIN),
        };
        self.cuts.keep(name, &cut, seconds, &*self.clock);
        Ok(cut)
    }

    /// A zone below another that publishes a digest of its keys.
    async fn signed_delegation(
        &self,
        above: &SecureZone,
        delegation: &SignedSet<'_>,
        work: &Work,
    ) -> Result<(Cut, u32), Trouble> {
        let name = delegation.owner;
        let verified = delegation.verify(above, self.clock.now(), work);
        let signed = match verified.map_err(|error| Trouble::exhausted(name, error))? {
            Ok(signed) if signed.labels == name.num_labels() => signed,
            Ok(_) => return Err(bogus(name, "has DS records made from a wildcard")),
            Err(flaw) => {
                let words = format!("its DS records {}", flaw.words());
                return Err(bogus(name, &words));
            }
        };
        let digests = usable_digests(&delegation.records);
        if digests.is_empty() {
            // RFC 4035 s5.2: signed in ways that are not known here is as unsigned.
            return Ok((Cut::Unsigned, signed.seconds));
        }
        let message = self.ask(name, RecordType::DNSKEY, work).await?;
        let keys = keys_of(&message.answers, name);
        let mut trusted = Vec::new();
        for key in &keys {
            for digest in &digests {
                if digest.key_tag() != key.tag || digest.algorithm() != key.key.algorithm() {
                    continue;
                }
                work.compute_a_digest()
                    .map_err(|error| Trouble::exhausted(name, error))?;
                if digest.covers(name, &key.key).unwrap_or(false) {
                    trusted.push(key.clone());
                    break;
                }
            }
        }
        let zone = self.with_keys(&message, name, keys, trusted, work)?;
        let seconds = zone.seconds.min(signed.seconds);
        Ok((Cut::Secure(Arc::new(zone)), seconds))
    }

    /// A zone, by those of its keys that are trusted: one of them must have signed them all.
    fn with_keys(
        &self,
        message: &Message,
        apex: &Name,
        keys: Vec<ZoneKey>,
        trusted: Vec<ZoneKey>,
        work: &Work,
    ) -> Result<SecureZone, Trouble> {
        let set = SignedSet::of(&message.answers, apex, RecordType::DNSKEY);
        if set.records.is_empty() {
            return Err(bogus(apex, "has no keys, though it is signed"));
        }
        if trusted.is_empty() {
            let words = if apex.is_root() {
                "none of its keys is a trust anchor"
            } else {
                "none of its keys is the one that the zone above names"
            };
            return Err(bogus(apex, words));
        }
        let by_trusted = SecureZone {
            apex: apex.clone(),
            keys: trusted,
            seconds: 0,
        };
        let verified = set.verify(&by_trusted, self.clock.now(), work);
        match verified.map_err(|error| Trouble::exhausted(apex, error))? {
            Ok(signed) => Ok(SecureZone {
                apex: apex.clone(),
                keys,
                seconds: signed.seconds,
            }),
            Err(flaw) => Err(bogus(apex, &format!("its keys {}", flaw.words()))),
        }
    }

    /// What the records of denial of an answer prove, of those that a zone has signed.
    pub(super) fn denied(
        &self,
        message: &Message,
        zone: &SecureZone,
        name: &Name,
        claim: Claim,
        work: &Work,
    ) -> Result<Denied, Trouble> {
        let exhausted = |error| Trouble::exhausted(name, error);
        let mut seconds = absence_seconds(message);
        let mut plain = Vec::new();
        let mut hashed = Vec::new();
        for set in denials(&message.authorities) {
            let verified = set.verify(zone, self.clock.now(), work);
            // RFC 4035 s5.4: such a record made from a wildcard proves nothing.
            let Some(signed) = verified
                .map_err(exhausted)?
                .ok()
                .filter(|signed| signed.labels == set.owner.num_labels())
            else {
                continue;
            };
            seconds = seconds.min(signed.seconds);
            for record in &set.records {
                match &record.data {
                    RData::DNSSEC(DNSSECRData::NSEC(data)) => plain.push(NsecProof {
                        owner: set.owner,
                        data,
                    }),
                    RData::DNSSEC(DNSSECRData::NSEC3(data)) => hashed.push(Nsec3Proof {
                        owner: set.owner,
                        data,
                    }),
                    _ => {}
                }
            }
        }
        let by_plain = match claim {
            Claim::Absent(kind) => denial::absence(&plain, &zone.apex, name, kind),
            Claim::NothingCloser(labels) => {
                denial::nothing_closer(&plain, &zone.apex, name, labels)
            }
        };
        let denial = if by_plain == Denial::NotProven && !hashed.is_empty() {
            let proofs = Nsec3Proofs::of(&hashed, &zone.apex, work);
            match claim {
                Claim::Absent(kind) => proofs.absence(name, kind),
                Claim::NothingCloser(labels) => proofs.nothing_closer(name, labels),
            }
            .map_err(exhausted)?
        } else {
            by_plain
        };
        Ok(Denied { denial, seconds })
    }

    /// One question, past every validation but our own (RFC 6840 s5.9).
    pub(super) async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        work: &Work,
    ) -> Result<Message, Trouble> {
        work.ask_a_question()
            .map_err(|error| Trouble::exhausted(name, error))?;
        let asking = self
            .exchange
            .ask(name, kind, Checking::Disabled, work.whom());
        let Answered { message, by } = asking.await.map_err(Trouble::Failed)?;
        work.was_answered_by(by);
        match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(message),
            code => Err(Trouble::Failed(server_error(name, code))),
        }
    }
}

/// The sets of denial in a section.
pub(super) fn denials(section: &[Record]) -> Vec<SignedSet<'_>> {
    let mut seen: Vec<(&Name, RecordType)> = Vec::new();
    for record in section {
        let kind = record.record_type();
        let is_denial = matches!(kind, RecordType::NSEC | RecordType::NSEC3);
        if is_denial && !seen.contains(&(&record.name, kind)) && seen.len() < DENIALS_MAX {
            seen.push((&record.name, kind));
        }
    }
    seen.into_iter()
        .map(|(owner, kind)| SignedSet::of(section, owner, kind))
        .collect()
}

/// The keys of a zone that may sign it.
fn keys_of(section: &[Record], apex: &Name) -> Vec<ZoneKey> {
    let keys = of(section, apex, RecordType::DNSKEY);
    keys.filter_map(|record| match &record.data {
        // RFC 4034 s2.1.1, RFC 5011 s2.1.
        RData::DNSSEC(DNSSECRData::DNSKEY(key))
            if key.zone_key()
                && !key.revoke()
                && key.algorithm().is_supported()
                && key.public_key().public_bytes().len() <= KEY_OCTETS_MAX =>
        {
            ZoneKey::of(key.clone())
        }
        _ => None,
    })
    .take(KEYS_MAX)
    .collect()
}

/// The digests that say something here. RFC 4509 s3: SHA-1 only where there is nothing better.
fn usable_digests(records: &[&Record]) -> Vec<DS> {
    let known: Vec<&DS> = records
        .iter()
        .filter_map(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::DS(digest))
                if digest.algorithm().is_supported() && digest.digest_type().is_supported() =>
            {
                Some(digest)
            }
            _ => None,
        })
        .collect();
    let is_strong = |digest: &&&DS| digest.digest_type() != DigestType::SHA1;
    let any_strong = known.iter().any(|digest| is_strong(&digest));
    known
        .iter()
        .filter(|digest| is_strong(digest) || !any_strong)
        .map(|digest| (*digest).clone())
        .take(KEYS_MAX)
        .collect()
}

fn bogus(name: &Name, words: &str) -> Trouble {
    Trouble::Bogus(format!("{}: {words}", shown(name)))
}
