//! Told sessions that wait for what they come to: for a look at the mail hosts, or for what holds for
//! their domain.
//!
//! Equal ones wait as one. Bounded; what finds no room does not wait.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::Timestamp,
    policy::PolicyDomain,
    record::{reconcile::Answered, told::Told},
};

/// How many different told sessions wait at most.
pub(super) const WAITING_MAX: usize = 10_000;

/// How many of one domain.
pub(super) const OF_DOMAIN_MAX: usize = 64;

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    domains: HashMap<PolicyDomain, Vec<Waits>>,
    held: usize,
}

/// Equal sessions of one day that wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// When the first was told.
    pub(super) at: Timestamp,
    /// What was told.
    pub(super) told: Told,
    /// How many times.
    pub(super) sessions: u32,
    /// How the MTA was answered; absent where it is not known what holds for the domain.
    pub(super) answered: Option<Arc<Answered>>,
    /// What of them waits.
    pub(super) part: Part,
}

/// What of told sessions waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All: they are not counted.
    All,
    /// What the domain's policy says of them: they are counted under TLSA records already.
    BesideTlsa,
    /// What TLSA records that cannot be used say of them: they are counted under the policy already.
    BesideSts,
    /// All, since what the domain's policy says of them says what protected them: the TLSA records under which
    /// they are told cannot be used.
    TlsaInvalid,
}

/// There was no room.
#[derive(Debug)]
pub(super) struct NoRoom(pub(super) Waits);

impl Waiting {
    /// Lets sessions wait.
    pub(super) fn add(&self, waits: Waits) -> Result<(), NoRoom> {
        self.queue().add(waits)
    }

    /// Whether sessions of the domain wait for what holds for it, so that more can be added.
    pub(super) fn wants_standing(&self, domain: &PolicyDomain) -> bool {
        self.any(domain, |waits| waits.answered.is_none())
    }

    /// The domains of which it is not known what holds, at most so many.
    pub(super) fn unknown(&self, most: usize) -> Vec<PolicyDomain> {
        let queue = self.queue();
        let unknown = queue
            .domains
            .iter()
            .filter(|(_, waiting)| waiting.iter().any(|waits| waits.answered.is_none()));
        unknown
            .map(|(domain, _)| domain.clone())
            .take(most)
            .collect()
    }

    /// Whether such sessions of the domain wait.
    pub(super) fn any(&self, domain: &PolicyDomain, is_such: impl Fn(&Waits) -> bool) -> bool {
        let queue = self.queue();
        let of_domain = queue.domains.get(domain);
        of_domain.is_some_and(|waiting| waiting.iter().any(is_such))
    }

    /// It is known now how the MTA was answered for the domain.
    pub(super) fn answered(&self, domain: &PolicyDomain, answered: &Arc<Answered>) {
        if let Some(waiting) = self.queue().domains.get_mut(domain) {
            for waits in waiting {
                waits.answered.get_or_insert_with(|| Arc::clone(answered));
            }
        }
    }

    /// Everything that waits. What still has to is to be added again.
    pub(super) fn take_all(&self) -> Vec<Waits> {
        let queue = mem::take(&mut *self.queue());
        queue.domains.into_values().flatten().collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whole at every moment, whatever another thread died of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn add(&mut self, waits: Waits) -> Result<(), NoRoom> {
        let of_domain = self.domains.get_mut(&waits.told.domain);
        if let Some(equal) = of_domain
            .into_iter()
            .flatten()
            .find(|other| other.is_like(&waits))
        {
            equal.sessions = equal.sessions.saturating_add(waits.sessions);
            return Ok(());
        }
        let of_domain = self.domains.get(&waits.told.domain).map_or(0, Vec::len);
        if self.held >= WAITING_MAX || of_domain >= OF_DOMAIN_MAX {
            return Err(NoRoom(waits));
        }
        self.held += 1;
        let domain = waits.told.domain.clone();
        self.domains.entry(domain).or_default().push(waits);
        Ok(())
    }
}

impl Waits {
    fn is_like(&self, other: &Self) -> bool {
        let same_answer = match (&self.answered, &other.answered) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (None, None) => true,
            _ => false,
        };
        same_answer
            && self.part == other.part
            && self.at.day() == other.at.day()
            && self.told == other.told
    }
}
