//! The policies that answers were made from, by the name each answer carried.
//!
//! An MTA gets an answer, connects, and tells the outcome minutes later, when the domain may have
//! published another policy. The answer carries a name; the session echoes it, and is counted under
//! the policy it was really held to (D10). What is remembered is bounded: two generations, the older
//! forgotten when the younger is full. A session whose policy was forgotten is counted under the one
//! that holds now.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sealpost_plugin_api::Requirement;

use crate::{
    hook::{Answer, basis::Basis},
    policy::{Fingerprint, PolicyDomain, Standing},
};

/// How many policies one generation holds.
const GENERATION_POLICIES_MAX: usize = 50_000;

/// The policies that answers were made from.
#[derive(Debug, Default)]
pub struct Answers {
    generations: Mutex<Generations>,
    /// How often one was dropped.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fingerprint, Standing>,
    old: HashMap<Fingerprint, Standing>,
}

impl Answers {
    /// Remembers what an answer is made from and gives its name.
    #[must_use]
    pub fn give(&self, standing: &Standing) -> String {
        let name = standing.fingerprint();
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_POLICIES_MAX {
            generations.old = mem::take(&mut generations.young);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Policies that could not be had share a name, and why they could not is reported: the newest
        // reason counts. Otherwise there is nothing to be copied.
        if generations.young.get(&name) != Some(standing) {
            generations.young.insert(name, standing.clone());
        }
        name.to_string()
    }

    /// An answer that carries the name of what it is made from.
    #[must_use]
    pub fn answer(&self, requirement: Requirement, standing: &Standing) -> Answer {
        let basis = Basis::of_policy(&requirement.level);
        Answer {
            requirement: requirement.under_policy(self.give(standing)),
            applied: Some(Arc::clone(standing.applied())),
            dane: None,
            basis,
        }
    }

    /// A number that changes when something is forgotten. What was given before the last change may
    /// be forgotten at the next one, unless it is given again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The policy of this name, if it is remembered and is the domain's.
    #[must_use]
    pub fn find(&self, domain: &PolicyDomain, name: &str) -> Option<Standing> {
        let name: Fingerprint = name.parse().ok()?;
        let generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = generations
            .young
            .get(&name)
            .or_else(|| generations.old.get(&name))?;
        // A caller that mixes up two domains' answers must not put one's session into the other's.
        (found.domain == *domain).then(|| found.clone())
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{
        clock::Timestamp,
        policy::{FetchTrouble, StsStanding},
    };

    #[test]
    fn d12_the_newest_reason_why_a_policy_could_not_be_had_is_the_one_that_is_found() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let answers = Answers::default();
        for result in [
            ResultType::StsPolicyFetchError,
            ResultType::StsWebpkiInvalid,
        ] {
            let trouble = FetchTrouble {
                result,
                reason: "a reason".to_owned(),
                id: "1".to_owned(),
                at: Timestamp(0),
            };
            let standing = Standing::new(domain.clone(), StsStanding::Unfetched(trouble));
            let name = answers.give(&standing);
            assert_eq!(answers.find(&domain, &name), Some(standing));
            assert_eq!(answers.find(&"example.net".parse().unwrap(), &name), None);
        }
    }
}
