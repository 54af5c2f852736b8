//! What a day comes to, in all and domain by domain, with the policies not kept apart: for whoever
//! looks at many days of many domains.

use std::collections::BTreeMap;

use sealpost_plugin_api::ResultType;

use crate::{
    policy::PolicyDomain,
    record::Failure,
    store::{Counted, Protected, TallyKey},
};

/// How many causes are kept apart of a day. Of further ones the result type alone is known.
// OURS: reason codes come from mail servers; nobody keeps them from having thousands.
const CAUSES_MAX: usize = 2_000;

/// What was counted of one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainSums {
    /// Sessions that satisfied a policy. One that was held to two policies is in here for each.
    pub successes: u64,
    /// Sessions that did not.
    pub failures: u64,
    /// What protected the sessions; each is in here once.
    pub protected: Protected,
}

/// What sessions failed by, as far as it can be the same for many domains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The result type.
    pub result: ResultType,
    /// The reason code.
    pub reason: Option<String>,
}

/// What was counted of one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CauseSums {
    /// The sessions that failed by it.
    pub sessions: u64,
    /// The domain that most of them were with, and how many.
    pub most: Option<(PolicyDomain, u64)>,
    /// The domain whose rows come just now.
    current: Option<(PolicyDomain, u64)>,
}

/// What a day comes to, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaySums {
    /// All domains together.
    pub total: DomainSums,
    /// Each by itself.
    pub domains: BTreeMap<PolicyDomain, DomainSums>,
    /// How sessions failed. A session can be in several.
    pub causes: BTreeMap<Cause, CauseSums>,
}

impl DomainSums {
    fn add(&mut self, counted: &Counted, sessions: u64) {
        match counted {
            Counted::Successes => self.successes = self.successes.saturating_add(sessions),
            Counted::Failures => self.failures = self.failures.saturating_add(sessions),
            Counted::Protected(protection) => self.protected.add(*protection, sessions),
            Counted::Detail(_) => {}
        }
    }

    /// Adds what was counted on another day.
    pub fn merge(&mut self, other: &Self) {
        self.successes = self.successes.saturating_add(other.successes);
        self.failures = self.failures.saturating_add(other.failures);
        self.protected.merge(&other.protected);
    }

    /// The sessions. Those that an earlier release counted without what protected them are known by
    /// their outcome alone.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        match self.protected.total() {
            0 => self.successes.saturating_add(self.failures),
            sessions => sessions,
        }
    }
}

impl CauseSums {
    fn add(&mut self, domain: &PolicyDomain, sessions: u64) {
        self.sessions = self.sessions.saturating_add(sessions);
        let current = match self.current.take() {
            Some((last, sum)) if last == *domain => (last, sum.saturating_add(sessions)),
            _ => (domain.clone(), sessions),
        };
        self.rise_to(&current);
        self.current = Some(current);
    }

    fn rise_to(&mut self, candidate: &(PolicyDomain, u64)) {
        if self.most.as_ref().is_none_or(|most| most.1 < candidate.1) {
            self.most = Some(candidate.clone());
        }
    }
}

impl DaySums {
    /// Adds a row. The rows of a domain are to come one after the other.
    pub fn add(&mut self, key: &TallyKey, sessions: u64) {
        if let Counted::Detail(failure) = &key.counted {
            self.cause_of(failure).add(&key.domain, sessions);
            return;
        }
        self.total.add(&key.counted, sessions);
        match self.domains.get_mut(&key.domain) {
            Some(sums) => sums.add(&key.counted, sessions),
            None => self
                .domains
                .entry(key.domain.clone())
                .or_default()
                .add(&key.counted, sessions),
        }
    }

    fn cause_of(&mut self, failure: &Failure) -> &mut CauseSums {
        let mut cause = Cause {
            result: failure.result,
            reason: failure.reason.clone(),
        };
        if self.causes.len() >= CAUSES_MAX && !self.causes.contains_key(&cause) {
            cause.reason = None;
        }
        self.causes.entry(cause).or_default()
    }

    /// Adds another day. The domain that most sessions of a cause were with is then that of one day.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        for (domain, sums) in &other.domains {
            self.domains.entry(domain.clone()).or_default().merge(sums);
        }
        self.merge_causes(other);
    }

    /// The same of the causes alone.
    pub fn merge_causes(&mut self, other: &Self) {
        for (cause, sums) in &other.causes {
            let of_cause = self.causes.entry(cause.clone()).or_default();
            of_cause.sessions = of_cause.sessions.saturating_add(sums.sessions);
            if let Some(most) = &sums.most {
                of_cause.rise_to(most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::UtcDay, policy::Fingerprint, record::protection::Protection};

    fn row(domain: &str, counted: Counted) -> TallyKey {
        TallyKey {
            day: UtcDay(1),
            domain: domain.parse().unwrap(),
            policy: Fingerprint([0; 16]),
            counted,
        }
    }

    fn failed(mx: &str, reason: &str) -> Counted {
        Counted::Detail(Failure {
            mx: Some(mx.to_owned()),
            ..Failure::of_policy(ResultType::CertificateExpired, reason)
        })
    }

    #[test]
    fn rows_add_up_by_domain_and_by_cause_over_the_hosts() {
        let mut sums = DaySums::default();
        for (key, sessions) in [
            (row("a.test", Counted::Successes), 5),
            (row("a.test", Counted::Failures), 3),
            (row("a.test", failed("mx1.a.test", "r")), 2),
            (row("a.test", failed("mx2.a.test", "r")), 2),
            (row("a.test", Counted::Protected(Protection::Sts)), 8),
            (row("b.test", failed("mx.b.test", "r")), 3),
            (row("b.test", failed("mx.b.test", "other")), 9),
            (row("b.test", Counted::Failures), 9),
        ] {
            sums.add(&key, sessions);
        }
        let a = sums.domains[&"a.test".parse::<PolicyDomain>().unwrap()];
        assert_eq!((a.successes, a.failures, a.sessions()), (5, 3, 8));
        // Of an earlier release's sessions no protection is known.
        let b = sums.domains[&"b.test".parse::<PolicyDomain>().unwrap()];
        assert_eq!((b.protected.total(), b.sessions()), (0, 9));
        assert_eq!((sums.total.successes, sums.total.failures), (5, 12));
        let cause = |reason: &str| Cause {
            result: ResultType::CertificateExpired,
            reason: Some(reason.to_owned()),
        };
        assert_eq!(sums.causes[&cause("r")].sessions, 7);
        let most = sums.causes[&cause("r")].most.clone().unwrap();
        assert_eq!((most.0.as_str(), most.1), ("a.test", 4));

        let mut two = sums.clone();
        two.merge(&sums);
        assert_eq!(two.total.failures, 24);
        assert_eq!(two.causes[&cause("other")].sessions, 18);
        assert_eq!(two.causes[&cause("other")].most.clone().unwrap().1, 9);
    }

    #[test]
    fn d3_a_mail_server_with_a_new_reason_each_time_fills_no_memory() {
        let mut sums = DaySums::default();
        for number in 0..3_000 {
            sums.add(&row("a.test", failed("mx.a.test", &number.to_string())), 1);
        }
        assert_eq!(sums.causes.len(), CAUSES_MAX + 1);
        let all: u64 = sums.causes.values().map(|sums| sums.sessions).sum();
        assert_eq!(all, 3_000);
    }
}
