//! Domains whose policy is to be looked up anew before it is applied once more.
//!
//! A session that failed under a policy may have failed because the domain has moved and published
//! another. The mail is tried again, and before it is, the DNS is asked past every cache; so mail that
//! waits because of an old policy waits no longer than until its next try (RFC 8461 s5.1, B30).

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::policy::PolicyDomain;

/// More domains than this are not remembered; theirs are looked up when their record's time to live
/// is over.
const DOMAINS_MAX: usize = 10_000;

/// The domains in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    domains: Mutex<HashSet<PolicyDomain>>,
    /// How many there are, to be seen without waiting. As a rule there are none.
    number: AtomicUsize,
}

impl Doubts {
    /// A session failed under this domain's policy.
    pub(super) fn raise(&self, domain: &PolicyDomain) {
        let mut domains = self.domains();
        if domains.len() < DOMAINS_MAX {
            domains.insert(domain.clone());
            self.number.store(domains.len(), Ordering::Release);
        }
    }

    /// Is the domain of this name, lower case A-labels, in doubt? It stays so.
    pub(super) fn hold(&self, domain: &str) -> bool {
        self.number.load(Ordering::Acquire) > 0 && self.domains().contains(domain)
    }

    /// Is the domain in doubt? From now on it is not.
    pub(super) fn settle(&self, domain: &PolicyDomain) -> bool {
        let mut domains = self.domains();
        let was_in_doubt = domains.remove(domain);
        self.number.store(domains.len(), Ordering::Release);
        was_in_doubt
    }

    fn domains(&self) -> MutexGuard<'_, HashSet<PolicyDomain>> {
        self.domains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
