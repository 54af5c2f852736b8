//! What answers were made from, by the name each answer carried.
//!
//! An MTA gets an answer, connects, and tells the outcome minutes later, when the domain may have
//! published another policy or other TLSA records. The answer carries a name; the session echoes it, and
//! is counted under what it was really held to (D10). What is remembered is bounded: two generations, the older
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
    policy::{
        Fingerprint, PolicyDomain, Standing,
        dane::{DaneFinding, HostDane, LookupTrouble, MxSecurity},
    },
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
    young: HashMap<Fingerprint, Given>,
    old: HashMap<Fingerprint, Given>,
}

/// What an answer was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// How the domain stood.
    pub standing: Standing,
    /// What DANE said of the MX host, in an answer about one; also that it said nothing.
    pub dane: Option<Arc<HostDane>>,
}

impl Given {
    /// An answer about a domain as a whole, or about what is no host name.
    #[must_use]
    pub const fn of(standing: Standing) -> Self {
        Self {
            standing,
            dane: None,
        }
    }

    /// Whether it is about an MX host of which DANE said something.
    #[must_use]
    pub fn says_of_host(&self) -> bool {
        let says = |dane: &Arc<HostDane>| !matches!(dane.finding, DaneFinding::Nothing(_));
        self.dane.as_ref().is_some_and(says)
    }

    /// Its short name: the policy's own, or one for it and the records of the host together.
    #[must_use]
    pub fn name(&self) -> Fingerprint {
        let policy = self.standing.fingerprint();
        let Some(dane) = &self.dane else {
            return policy;
        };
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&policy.0);
        context.update(match dane.mx {
            MxSecurity::Secure => b"secure ",
            MxSecurity::Insecure => b"insecure ",
        });
        context.update(dane.host.as_str().as_bytes());
        match &dane.finding {
            DaneFinding::Nothing(_) => context.update(b" nothing"),
            DaneFinding::Records(records) => {
                context.update(b" records ");
                context.update(&records.fingerprint().0);
                for name in &records.reference_names {
                    context.update(name.as_str().as_bytes());
                    context.update(b" ");
                }
            }
            DaneFinding::Unreachable(LookupTrouble::Mx(_)) => context.update(b" exchanges"),
            DaneFinding::Unreachable(LookupTrouble::Addresses(_)) => context.update(b" addresses"),
            DaneFinding::Unreachable(LookupTrouble::Tlsa { base, code, .. }) => {
                context.update(b" failed ");
                context.update(base.as_str().as_bytes());
                context.update(code.as_bytes());
            }
        }
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Fingerprint(first)
    }
}

impl Answers {
    /// Remembers what an answer is made from and gives its name.
    #[must_use]
    pub fn give(&self, given: &Given) -> String {
        let name = given.name();
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_POLICIES_MAX {
            generations.old = mem::take(&mut generations.young);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // G6: of a host with very many records what holds is known to the resolver; it is not held here for
        // every domain.
        let is_heavy = given.dane.as_ref().is_some_and(|dane| dane.is_heavy());
        let light = is_heavy.then(|| Given::of(given.standing.clone()));
        let given = light.as_ref().unwrap_or(given);
        // Policies that could not be had share a name, and why they could not is reported: the newest
        // reason counts. Otherwise there is nothing to be copied.
        if generations.young.get(&name) != Some(given) {
            generations.young.insert(name, given.clone());
        }
        name.to_string()
    }

    /// An answer that carries the name of what it is made from.
    #[must_use]
    pub fn answer(&self, requirement: Requirement, given: &Given) -> Answer {
        let basis = Basis::of_policy(&requirement.level);
        Answer {
            requirement: requirement.under_policy(self.give(given)),
            applied: Some(Arc::clone(given.standing.applied())),
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

    /// What the answer of this name was made from, if it is remembered and was about the domain.
    #[must_use]
    pub fn find(&self, domain: &PolicyDomain, name: &str) -> Option<Given> {
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
        (found.standing.domain == *domain).then(|| found.clone())
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
            let given = Given::of(standing);
            let name = answers.give(&given);
            assert_eq!(answers.find(&domain, &name), Some(given));
            assert_eq!(answers.find(&"example.net".parse().unwrap(), &name), None);
        }
    }
}
