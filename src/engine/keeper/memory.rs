//! What is known of each domain's policy, held in memory.

use std::sync::Arc;

use crate::{
    clock::Timestamp,
    engine::{Ready, memory},
    policy::{Known, PolicyDomain, Standing, StsStanding},
};

/// The memory of all domains.
pub(super) type Memory = memory::Memory<PolicyDomain, Remembered>;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Announcement;

    #[test]
    fn what_was_learned_later_than_now_is_not_fresh() {
        let remembered = Remembered {
            known: Known {
                announcement: Announcement::Nothing,
                kept: None,
                trouble: None,
            },
            ready: Arc::new(Ready::new(Standing::without_policy(
                "example.org".parse().unwrap(),
            ))),
            looked_up_at: Timestamp(100),
            stale_from: Timestamp(200),
            store_was_read: true,
            unwritten: false,
            rechecked_at: None,
        };
        for (now, expected) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(remembered.is_fresh(Timestamp(now)), expected, "{now}");
        }
    }
}
