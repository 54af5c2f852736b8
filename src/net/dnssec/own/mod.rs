//! By validating ourselves, up to the root's keys (RFC 4035 s5). The resolvers may be anywhere, and need only
//! pass on what is signed.
//!
//! hickory's own validator is not used: see `docs/decisions/0011-dane.md`. Of hickory are the messages, the
//! digests and the verification of one signature.
//!
//! ```text
//! chain      the zone that a name lies in, from the root down: signed, or proven to be unsigned
//! signature  one record set under the keys of one zone
//! denial     what NSEC records prove; nsec3: what NSEC3 records prove
//! look       whether the resolvers pass on what is signed
//! ```

mod anchors;
mod chain;
mod cuts;
mod denial;
mod look;
mod nsec3;
mod signature;
mod work;

use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::{
    op::Message,
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
    serialize::binary::{BinDecodable as _, BinDecoder},
};

pub use self::{
    anchors::{Anchors, BadAnchors},
    signature::{EXPIRED, NOT_YET_VALID},
};
use self::{
    chain::{Claim, Zone, denials},
    cuts::Cuts,
    denial::Denial,
    signature::{Flaw, SignedSet},
    work::{Exhausted, Work},
};
use super::{
    exchange::{Exchange, shown},
    reading::{ALIASES_MAX, absence_is_said, absence_seconds, found_at, target, too_many_aliases},
};
use crate::{
    clock::Clock,
    net::dns::{DnsError, Lookup},
};

/// A validator.
pub(super) struct Validator {
    exchange: Exchange,
    anchors: ArcSwap<Anchors>,
    clock: Arc<dyn Clock>,
    cuts: Cuts,
}

/// Why a lookup says nothing.
enum Trouble {
    Bogus(String),
    Failed(DnsError),
}

/// What a record set, or that there is none, is worth.
struct Worth {
    security: Security,
    seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Secure,
    Unsigned,
}

/// What one answer says of one name.
enum Step {
    Values(Vec<RData>, Worth),
    Alias(Name, Worth),
    Nothing(Worth),
}

/// A lookup may take as long as so many questions that nobody answers.
const SLOW_QUESTIONS_MAX: u32 = 3;

impl Validator {
    /// A validator that goes by these anchors.
    pub(super) fn new(exchange: Exchange, anchors: Anchors, clock: Arc<dyn Clock>) -> Self {
        Self {
            exchange,
            anchors: ArcSwap::from_pointee(anchors),
            clock,
            cuts: Cuts::default(),
        }
    }

    /// What a name has, its aliases followed, and what that is worth.
    pub(super) async fn lookup(&self, name: &Name, kind: RecordType) -> Lookup<RData> {
        let limit = self.exchange.limit() * SLOW_QUESTIONS_MAX + Exchange::queue_limit();
        let mut bogus = None;
        let looking = self.look_up(name, kind, &mut bogus);
        let looked_up = tokio::time::timeout(limit, looking).await;
        match (looked_up, bogus) {
            (Ok(Ok(lookup)), _) => lookup,
            (Ok(Err(Trouble::Bogus(reason))), None) | (_, Some(reason)) => Lookup::Bogus(reason),
            (Ok(Err(Trouble::Failed(error))), None) => Lookup::Failed(error),
            (Err(_), None) => Lookup::Failed(DnsError::Timeout {
                name: shown(name),
                timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    /// Looks up, and where that is bogus once more by another server: the first may have lost what was signed.
    /// `bogus` is why it was.
    async fn look_up(
        &self,
        name: &Name,
        kind: RecordType,
        bogus: &mut Option<String>,
    ) -> Result<Lookup<RData>, Trouble> {
        let mut work = Work::of_one_lookup();
        let first = self.follow(name, kind, &work).await;
        let Err(Trouble::Bogus(reason)) = first else {
            return first;
        };
        if self.exchange.has_another(work.answered_by()) {
            *bogus = Some(reason);
            work.turn_away();
            self.follow(name, kind, &work).await
        } else {
            Err(Trouble::Bogus(reason))
        }
    }

    /// Goes by these anchors from now on. What was proven by others is forgotten.
    pub(super) fn trust(&self, anchors: Anchors) {
        if **self.anchors.load() != anchors {
            self.anchors.store(Arc::new(anchors));
            self.cuts.forget_all();
        }
    }

    async fn follow(
        &self,
        name: &Name,
        kind: RecordType,
        work: &Work,
    ) -> Result<Lookup<RData>, Trouble> {
        let mut owner = name.clone();
        let mut security = Security::Secure;
        let mut seconds = u32::MAX;
        let mut message = self.ask(&owner, kind, work).await?;
        for _ in 0..=ALIASES_MAX {
            let (values, worth) = match self.step(&message, &owner, kind, work).await? {
                Step::Values(values, worth) => (Some(values), worth),
                Step::Nothing(worth) => (Some(Vec::new()), worth),
                Step::Alias(target, worth) if kind == RecordType::CNAME => {
                    (Some(vec![RData::CNAME(CNAME(target))]), worth)
                }
                Step::Alias(target, worth) => {
                    owner = target;
                    (None, worth)
                }
            };
            seconds = seconds.min(worth.seconds);
            if worth.security == Security::Unsigned {
                security = Security::Unsigned;
            }
            if let Some(values) = values {
                let found = found_at(name, &owner, values, seconds);
                return Ok(match security {
                    Security::Secure => Lookup::Secure(found),
                    Security::Unsigned => Lookup::Insecure(found),
                });
            }
            // What the resolver found of the target stands in the same answer. Where nothing is, the proof of that
            // comes with an answer of its own.
            let goes_on = message.answers.iter().any(|record| {
                record.name == owner && matches!(record.record_type(), found if found == kind || found == RecordType::CNAME)
            });
            if !goes_on {
                message = self.ask(&owner, kind, work).await?;
            }
        }
        Err(Trouble::Failed(too_many_aliases(name)))
    }

    async fn step(
        &self,
        message: &Message,
        owner: &Name,
        kind: RecordType,
        work: &Work,
    ) -> Result<Step, Trouble> {
        if kind != RecordType::CNAME {
            let set = SignedSet::of(&message.answers, owner, kind);
            if !set.records.is_empty() {
                let values = set.records.iter().map(|record| record.data.clone());
                let values = values.collect();
                return Ok(Step::Values(values, self.worth(&set, message, work).await?));
            }
        }
        let alias = SignedSet::of(&message.answers, owner, RecordType::CNAME);
        if alias.signatures.is_empty()
            && let Some((above, target)) = renamed(&message.answers, owner)
        {
            // RFC 6672 s5.3.1: the CNAME that a DNAME makes is not signed; the DNAME is.
            let set = SignedSet::of(&message.answers, above, RecordType::DNAME);
            let worth = self.worth(&set, message, work).await?;
            return Ok(Step::Alias(target, worth));
        }
        match alias.records.as_slice() {
            [] => {
                absence_is_said(message, owner).map_err(Trouble::Failed)?;
                let worth = self.worth_of_absence(message, owner, kind, work).await?;
                Ok(Step::Nothing(worth))
            }
            [only] => match target(only) {
                Some((target, _)) => {
                    let worth = self.worth(&alias, message, work).await?;
                    Ok(Step::Alias(target, worth))
                }
                None => Err(Trouble::Failed(too_many_aliases(owner))),
            },
            _ => Err(Trouble::Failed(DnsError::Server {
                name: shown(owner),
                code: "with two aliases for one name".to_owned(),
            })),
        }
    }

    /// What a record set is worth.
    async fn worth(
        &self,
        set: &SignedSet<'_>,
        message: &Message,
        work: &Work,
    ) -> Result<Worth, Trouble> {
        let mut flaw = Flaw::Unsigned;
        for signer in set.signers() {
            let zone = match self.zone_of(signer, work).await? {
                Zone::Unsigned => return Ok(Worth::unsigned(set)),
                Zone::Secure(zone) => zone,
            };
            let verified = set.verify(&zone, self.clock.now(), work);
            match verified.map_err(|error| Trouble::exhausted(set.owner, error))? {
                Ok(signed) if signed.labels < set.owner.num_labels() => {
                    let claim = Claim::NothingCloser(signed.labels);
                    let denied = self.denied(message, &zone, set.owner, claim, work)?;
                    let security = match denied.denial {
                        Denial::Proven => Security::Secure,
                        Denial::PerhapsUnsigned => Security::Unsigned,
                        Denial::UnsignedDelegation | Denial::NotProven => {
                            return Err(Trouble::Bogus(format!(
                                "{}: its {} records are a wildcard's, and that it has none of its own is \
                                 not proven",
                                shown(set.owner),
                                set.kind
                            )));
                        }
                    };
                    let seconds = signed.seconds.min(denied.seconds);
                    return Ok(Worth { security, seconds });
                }
                Ok(signed) => {
                    return Ok(Worth {
                        security: Security::Secure,
                        seconds: signed.seconds,
                    });
                }
                Err(other) => flaw = flaw.max(other),
            }
        }
        match self.zone_of(set.owner, work).await? {
            Zone::Unsigned => Ok(Worth::unsigned(set)),
            Zone::Secure(zone) => Err(Trouble::Bogus(format!(
                "{}: its {} records {} (zone {})",
                shown(set.owner),
                set.kind,
                flaw.words(),
                shown(&zone.apex)
            ))),
        }
    }

    /// What it is worth that a name has no record of a type.
    async fn worth_of_absence(
        &self,
        message: &Message,
        owner: &Name,
        kind: RecordType,
        work: &Work,
    ) -> Result<Worth, Trouble> {
        let unsigned = || Worth {
            security: Security::Unsigned,
            seconds: absence_seconds(message),
        };
        let denials = denials(&message.authorities);
        let mut tried: Vec<&Name> = Vec::new();
        for signer in denials.iter().flat_map(SignedSet::signers) {
            if tried.contains(&signer) || !signer.zone_of(owner) {
                continue;
            }
            tried.push(signer);
            let zone = match self.zone_of(signer, work).await? {
                Zone::Unsigned => return Ok(unsigned()),
                Zone::Secure(zone) if zone.apex == *signer => zone,
                Zone::Secure(_) => continue,
            };
            let denied = self.denied(message, &zone, owner, Claim::Absent(kind), work)?;
            let security = match denied.denial {
                Denial::Proven => Security::Secure,
                Denial::PerhapsUnsigned => Security::Unsigned,
                Denial::UnsignedDelegation | Denial::NotProven => continue,
            };
            return Ok(Worth {
                security,
                seconds: denied.seconds,
            });
        }
        match self.zone_of(owner, work).await? {
            Zone::Unsigned => Ok(unsigned()),
            Zone::Secure(zone) => Err(Trouble::Bogus(format!(
                "{}: that it has no {kind} records is not proven by the zone {}",
                shown(owner),
                shown(&zone.apex)
            ))),
        }
    }
}

impl Worth {
    fn unsigned(set: &SignedSet<'_>) -> Self {
        let seconds = set.records.iter().map(|record| record.ttl).min();
        Self {
            security: Security::Unsigned,
            seconds: seconds.unwrap_or(0),
        }
    }
}

impl Trouble {
    fn exhausted(name: &Name, exhausted: Exhausted) -> Self {
        Self::Failed(DnsError::Server {
            name: shown(name),
            code: exhausted.words().to_owned(),
        })
    }
}

/// The DNAME above a name, and where it leads the name (RFC 6672 s2.2).
fn renamed<'a>(section: &'a [Record], owner: &Name) -> Option<(&'a Name, Name)> {
    let record = section.iter().find(|record| {
        record.record_type() == RecordType::DNAME
            && record.name.zone_of(owner)
            && record.name != *owner
    })?;
    let RData::Unknown { rdata, .. } = &record.data else {
        return None;
    };
    let target = Name::read(&mut BinDecoder::new(&rdata.anything)).ok()?;
    let kept = owner.iter().count() - record.name.iter().count();
    let kept = Name::from_labels(owner.iter().take(kept)).ok()?;
    Some((&record.name, kept.append_domain(&target).ok()?))
}
