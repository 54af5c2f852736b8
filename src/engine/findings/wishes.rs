//! Which domains are to be looked at: each once, however often it is wished for, and bounded in number.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Look;
use crate::policy::PolicyDomain;

/// More domains than this do not wait. Whoever wishes for one more is told so.
const DOMAINS_MAX: usize = 10_000;

/// The domains that wait, and those that are being looked at.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<PolicyDomain>,
    /// Waiting or under way, and how closely they are to be looked at.
    pending: HashMap<PolicyDomain, Look>,
}

/// There is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Wishes {
    /// Wishes for a look. One that is waiting or under way becomes as close as the closest wish.
    pub(super) fn add(&self, domain: &PolicyDomain, look: Look) -> Result<(), Full> {
        let mut state = self.state();
        let room = state.pending.len() < DOMAINS_MAX;
        match state.pending.entry(domain.clone()) {
            Entry::Occupied(mut pending) => {
                let closest = look.max(*pending.get());
                pending.insert(closest);
                return Ok(());
            }
            Entry::Vacant(vacant) if room => {
                vacant.insert(look);
            }
            Entry::Vacant(_) => return Err(Full),
        }
        state.waiting.push_back(domain.clone());
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Whether a domain waits or is being looked at.
    pub(super) fn is_pending(&self, domain: &PolicyDomain) -> bool {
        self.state().pending.contains_key(domain)
    }

    /// The domain that has waited longest. For one taker.
    pub(super) async fn next(&self) -> PolicyDomain {
        loop {
            let next = self.state().waiting.pop_front();
            match next {
                Some(domain) => return domain,
                None => self.arrived.notified().await,
            }
        }
    }

    /// How closely a domain is to be looked at, as far as it has been wished for.
    pub(super) fn look(&self, domain: &PolicyDomain) -> Look {
        let look = self.state().pending.get(domain).copied();
        look.unwrap_or(Look::HostsOnly)
    }

    /// The domain was looked at so closely. Gives whether that is all that was wished for; if not, the
    /// domain is still pending.
    pub(super) fn fulfil(&self, domain: &PolicyDomain, look: Look) -> bool {
        let mut state = self.state();
        let all = state
            .pending
            .get(domain)
            .is_none_or(|wished| *wished <= look);
        if all {
            state.pending.remove(domain);
        }
        all
    }

    /// The domain is not looked at any more, whatever was wished for.
    pub(super) fn drop_wish(&self, domain: &PolicyDomain) {
        self.state().pending.remove(domain);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another thread while it held the lock leaves collections that are still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(number: usize) -> PolicyDomain {
        format!("{number}.example").parse().unwrap()
    }

    #[tokio::test]
    async fn g6_each_domain_waits_once_and_no_more_than_there_is_room_for() {
        let wishes = Wishes::default();
        for number in 0..DOMAINS_MAX {
            for _ in 0..2 {
                assert_eq!(wishes.add(&domain(number), Look::HostsOnly), Ok(()));
            }
        }
        assert_eq!(wishes.add(&domain(DOMAINS_MAX), Look::Probe), Err(Full));
        assert!(!wishes.is_pending(&domain(DOMAINS_MAX)));
        for number in 0..DOMAINS_MAX {
            assert_eq!(wishes.next().await, domain(number));
        }
        assert!(wishes.is_pending(&domain(0)), "it is under way");
        assert!(wishes.fulfil(&domain(0), Look::HostsOnly));
        assert!(!wishes.is_pending(&domain(0)));
        assert_eq!(wishes.add(&domain(DOMAINS_MAX), Look::Probe), Ok(()));
    }

    #[tokio::test]
    async fn a_closer_look_wished_for_on_the_way_is_still_to_come() {
        let wishes = Wishes::default();
        let domain = domain(1);
        wishes.add(&domain, Look::HostsOnly).unwrap();
        assert_eq!(wishes.next().await, domain);
        assert_eq!(wishes.look(&domain), Look::HostsOnly);
        wishes.add(&domain, Look::Probe).unwrap();
        wishes.add(&domain, Look::HostsOnly).unwrap();
        assert!(!wishes.fulfil(&domain, Look::HostsOnly));
        assert_eq!(wishes.look(&domain), Look::Probe);
        assert!(wishes.fulfil(&domain, Look::Probe));
    }
}
