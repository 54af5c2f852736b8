//! What is known of each domain, held in memory, bounded, and read on every delivery.
//!
//! Mail goes to few domains often and to many domains once, and spam to domains without end (G6).
//! Two generations hold it: what is asked for moves to the younger one, and when that is half of the
//! bound the older one is dropped. That forgets the least recently asked without a list to keep in
//! order at each question.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::Timestamp,
    engine::Ready,
    policy::{Known, PolicyDomain, Standing, StsStanding},
};

/// What is remembered of one domain.
#[derive(Debug)]
pub(super) struct Remembered {
    /// The facts.
    pub(super) known: Known,
    /// What they came to when they were learned.
    pub(super) ready: Arc<Ready>,
    /// When the TXT record was last looked up.
    pub(super) looked_up_at: Timestamp,
    /// From when on it is to be looked up again.
    pub(super) stale_from: Timestamp,
    /// Whether the store had its say; if not, it may hold a policy that is not in `known`.
    pub(super) store_was_read: bool,
    /// The store did not take the policy in `known`: after a restart it would be lost.
    pub(super) unwritten: bool,
    /// When the record was last looked up against what was remembered.
    pub(super) rechecked_at: Option<Timestamp>,
}

impl Remembered {
    /// Whether it may be relied on without asking anybody. Not where the clock was set back since.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        (self.looked_up_at..self.stale_from).contains(&now)
    }

    /// The standing for lack of a newer look; `None` where a policy expired or the store was not
    /// read, because then it is not known.
    pub(super) fn standing_at(&self, now: Timestamp) -> Option<Standing> {
        let expired = match &self.standing().sts {
            StsStanding::InForce { kept, .. } => !kept.holds_at(now),
            StsStanding::NotAnnounced | StsStanding::Unfetched(_) => !self.store_was_read,
        };
        (!expired).then(|| self.standing().clone())
    }

    /// What the facts came to when they were learned.
    pub(super) fn standing(&self) -> &Standing {
        self.ready.standing()
    }
}

/// The memory of all domains.
#[derive(Debug)]
pub(super) struct Memory {
    /// Several, so that deliveries at once do not wait for each other.
    shards: Vec<Mutex<Generations>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<PolicyDomain, Arc<Remembered>>,
    old: HashMap<PolicyDomain, Arc<Remembered>>,
    /// How many the young one may hold.
    young_max: usize,
}

/// How many parts the memory has.
const SHARDS: usize = 16;

impl Memory {
    /// Room for so many domains.
    pub(super) fn new(domains_max: usize) -> Self {
        let young_max = domains_max.div_ceil(SHARDS).div_ceil(2).max(1);
        let shard = || {
            Mutex::new(Generations {
                young_max,
                ..Generations::default()
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
        }
    }

    /// By name: lower case A-labels, as a domain has it.
    pub(super) fn recall(&self, domain: &str) -> Option<Arc<Remembered>> {
        self.shard(domain)?.recall(domain)
    }

    pub(super) fn remember(&self, domain: &PolicyDomain, remembered: Arc<Remembered>) {
        if let Some(mut shard) = self.shard(domain.as_str()) {
            shard.remember(domain.clone(), remembered);
        }
    }

    pub(super) fn forget(&self, domain: &PolicyDomain) {
        if let Some(mut shard) = self.shard(domain.as_str()) {
            shard.young.remove(domain);
            shard.old.remove(domain);
        }
    }

    fn shard(&self, domain: &str) -> Option<MutexGuard<'_, Generations>> {
        let number = usize::try_from(self.hasher.hash_one(domain) % SHARDS as u64).ok()?;
        // A panic of another thread while it held the lock leaves maps that are still whole.
        let shard = self.shards.get(number)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Generations {
    fn recall(&mut self, domain: &str) -> Option<Arc<Remembered>> {
        if let Some(remembered) = self.young.get(domain) {
            return Some(Arc::clone(remembered));
        }
        let (domain, remembered) = self.old.remove_entry(domain)?;
        self.remember(domain, Arc::clone(&remembered));
        Some(remembered)
    }

    fn remember(&mut self, domain: PolicyDomain, remembered: Arc<Remembered>) {
        if self.young.len() >= self.young_max && !self.young.contains_key(&domain) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&domain);
        self.young.insert(domain, remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Announcement;

    fn remembered(domain: &PolicyDomain) -> Arc<Remembered> {
        Arc::new(Remembered {
            known: Known {
                announcement: Announcement::Nothing,
                kept: None,
                trouble: None,
            },
            ready: Arc::new(Ready::new(Standing::without_policy(domain.clone()))),
            looked_up_at: Timestamp(100),
            stale_from: Timestamp(200),
            store_was_read: true,
            unwritten: false,
            rechecked_at: None,
        })
    }

    fn domain(number: usize) -> PolicyDomain {
        format!("{number}.example").parse().unwrap()
    }

    #[test]
    fn g6_memory_is_bounded_and_keeps_what_is_asked_for() {
        let memory = Memory::new(1_600);
        let favourite = domain(0);
        for number in 0..20_000 {
            let domain = domain(number);
            memory.remember(&domain, remembered(&domain));
            assert!(
                memory.recall(favourite.as_str()).is_some(),
                "lost after {number}"
            );
        }
        let held = |shard: &Mutex<Generations>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        let held: usize = memory.shards.iter().map(held).sum();
        assert!(held <= 1_600, "{held}");
        memory.forget(&favourite);
        assert!(memory.recall(favourite.as_str()).is_none());
    }

    #[test]
    fn what_was_learned_later_than_now_is_not_fresh() {
        let remembered = remembered(&domain(0));
        for (now, expected) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(remembered.is_fresh(Timestamp(now)), expected, "{now}");
        }
    }
}
