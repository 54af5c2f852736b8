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
    sync::{Mutex, PoisonError},
};

use crate::policy::{Fingerprint, PolicyDomain, Standing};

/// How many policies one generation holds.
const GENERATION_POLICIES_MAX: usize = 50_000;

/// The policies that answers were made from.
#[derive(Debug, Default)]
pub struct Answers {
    generations: Mutex<Generations>,
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
        }
        // What has a name already is the same policy: nothing to be copied.
        generations
            .young
            .entry(name)
            .or_insert_with(|| standing.clone());
        name.to_string()
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
