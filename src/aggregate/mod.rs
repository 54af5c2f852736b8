//! Stage 5 of 7: aggregate.
//! Takes: the rows of one domain on one UTC day, from the store.
//! Gives: a [`DomainDay`] to report.
//! Never: reads the store or the clock itself; the same rows give the same totals.
//! Specified by: RFC 8460 s4.2 and s4.4.
//!
//! A row says "so many sessions, under this policy, ended so". Adding them up means: one element for
//! each exact policy, because a recipient who replaced the policy at noon wants to see both halves
//! of the day apart, and within an element one count for each distinct way to fail.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    clock::UtcDay,
    policy::{AppliedPolicy, Fingerprint, PolicyDomain, PolicyType},
    record::Failure,
    store::{Counted, TallyKey},
};

pub mod seen;
pub mod sums;

use seen::{FailureKind, Seen};

/// What is reported of one domain for one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainDay {
    /// The domain.
    pub domain: PolicyDomain,
    /// The UTC day.
    pub day: UtcDay,
    /// How many other recipient domains' sessions with it, as their MX host, are among these
    /// ([`rows_of_host`]).
    pub recipients: usize,
    /// One element for each exact policy, in the order of [`AppliedPolicy`]. Never empty.
    pub policies: Vec<PolicyTotals>,
    /// Since when its sessions fail as they do, as far as that was looked for.
    pub seen: BTreeMap<FailureKind, Seen>,
}

/// The totals under one exact policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTotals {
    /// The policy.
    pub policy: AppliedPolicy,
    /// Sessions that satisfied it.
    pub successes: u64,
    /// Sessions that did not.
    pub failures: u64,
    /// How they failed, in order of [`Failure`], with the number of sessions. Details may overlap.
    pub details: Vec<(Failure, u64)>,
}

/// Adds up the rows of one domain on one day; `None` when they count nothing.
///
/// `rows` are what [`Store::tallies`](crate::store::Store::tallies) gave and `policies` what the
/// store has for the fingerprints in them. Rows of another domain or day are left aside. A row whose
/// policy is not in `policies` is not lost: it is counted as under no policy. Call
/// [`unknown_policies`] first and log what it finds, for then the store has lost something.
#[must_use]
pub fn aggregate(
    day: UtcDay,
    domain: &PolicyDomain,
    rows: Vec<(TallyKey, u64)>,
    policies: &BTreeMap<Fingerprint, AppliedPolicy>,
) -> Option<DomainDay> {
    let mut totals: BTreeMap<AppliedPolicy, Sums> = BTreeMap::new();
    for (key, count) in rows {
        let is_of_report = !matches!(key.counted, Counted::Protected(_));
        if count == 0 || !is_of_report || key.day != day || key.domain != *domain {
            continue;
        }
        // OURS: a session whose policy is no longer known is still a session. It is reported under
        // no-policy-found, the only type that claims nothing about what was published.
        let policy = policies
            .get(&key.policy)
            .cloned()
            .unwrap_or_else(|| AppliedPolicy::no_policy_found(domain.clone()));
        totals.entry(policy).or_default().add(key.counted, count);
    }
    if totals.is_empty() {
        return None;
    }
    // RFC 8460 s4.4: "policies" holds one element for each policy; the order is ours, so that the
    // same rows in any order make the same report.
    let policies = totals
        .into_iter()
        .map(|(policy, sums)| PolicyTotals {
            policy,
            successes: sums.successes,
            failures: sums.failures,
            details: sums.details.into_iter().collect(),
        })
        .collect();
    Some(DomainDay {
        domain: domain.clone(),
        day,
        recipients: 0,
        policies,
        seen: BTreeMap::new(),
    })
}

/// The rows, of a recipient domain, that tell of sessions held to the TLSA records of an MX host: as rows
/// of that host, to be [`aggregate`]d with those of its other recipient domains and its own.
// RFC 8460 s1.1: the policy domain of DANE is the TLSA base domain.
pub fn rows_of_host(
    host: &PolicyDomain,
    rows: Vec<(TallyKey, u64)>,
    policies: &BTreeMap<Fingerprint, AppliedPolicy>,
) -> impl Iterator<Item = (TallyKey, u64)> {
    let is_of_host = |key: &TallyKey| {
        policies.get(&key.policy).is_some_and(|policy| {
            policy.policy_type == PolicyType::Tlsa && policy.policy_domain == *host
        })
    };
    rows.into_iter()
        .filter(move |(key, _)| is_of_host(key))
        .map(|(key, count)| {
            let domain = host.clone();
            (TallyKey { domain, ..key }, count)
        })
}

/// The policies that rows name and the store does not have. Never so unless the store was damaged.
#[must_use]
pub fn unknown_policies(
    rows: &[(TallyKey, u64)],
    policies: &BTreeMap<Fingerprint, AppliedPolicy>,
) -> BTreeSet<Fingerprint> {
    rows.iter()
        .map(|(key, _)| key.policy)
        .filter(|policy| !policies.contains_key(policy))
        .collect()
}

impl DomainDay {
    /// Sessions of the day that satisfied the policy they were held to; one that was held to two counts
    /// under each (D7).
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.policies
            .iter()
            .fold(0, |sum, totals| totals.successes.saturating_add(sum))
    }

    /// Sessions of the day that did not, likewise.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.policies
            .iter()
            .fold(0, |sum, totals| totals.failures.saturating_add(sum))
    }
}

#[derive(Default)]
struct Sums {
    successes: u64,
    failures: u64,
    details: BTreeMap<Failure, u64>,
}

impl Sums {
    fn add(&mut self, counted: Counted, count: u64) {
        let sum = match counted {
            Counted::Successes => &mut self.successes,
            Counted::Failures => &mut self.failures,
            // RFC 8460 s4.4: details that are equal but for their count are one detail.
            Counted::Detail(failure) => self.details.entry(failure).or_default(),
            // What protected a session is the operator's business and no part of a report.
            Counted::Protected(_) => return,
        };
        *sum = sum.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;

    const DAY: UtcDay = UtcDay(19_858);

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn sts(line: &str) -> AppliedPolicy {
        AppliedPolicy {
            policy_string: vec![line.to_owned()],
            ..AppliedPolicy::sts_unfetched(domain())
        }
    }

    fn row(policy: &AppliedPolicy, counted: Counted, count: u64) -> (TallyKey, u64) {
        let key = TallyKey {
            day: DAY,
            domain: domain(),
            policy: policy.fingerprint(),
            counted,
        };
        (key, count)
    }

    fn known(policies: &[&AppliedPolicy]) -> BTreeMap<Fingerprint, AppliedPolicy> {
        policies
            .iter()
            .map(|policy| (policy.fingerprint(), (*policy).clone()))
            .collect()
    }

    fn expired() -> Failure {
        Failure::of_policy(ResultType::CertificateExpired, "over")
    }

    #[test]
    fn d7_d10_each_exact_policy_is_one_element_in_any_order_of_rows() {
        let (old, new) = (sts("mode: testing"), sts("mode: enforce"));
        let none = AppliedPolicy::no_policy_found(domain());
        let mut rows = vec![
            row(&new, Counted::Successes, 7),
            row(&old, Counted::Failures, 2),
            row(&none, Counted::Successes, 1),
            row(&old, Counted::Successes, 5),
            row(&old, Counted::Detail(expired()), 2),
        ];
        let policies = known(&[&old, &new, &none]);
        let day = aggregate(DAY, &domain(), rows.clone(), &policies).unwrap();
        let seen: Vec<_> = day
            .policies
            .iter()
            .map(|totals| (&totals.policy, totals.successes, totals.failures))
            .collect();
        assert_eq!(seen, [(&new, 7, 0), (&old, 5, 2), (&none, 1, 0)]);
        assert_eq!(day.policies[1].details, [(expired(), 2)]);
        assert_eq!((day.successes(), day.failures()), (13, 2));

        rows.reverse();
        assert_eq!(aggregate(DAY, &domain(), rows, &policies), Some(day));
    }

    #[test]
    fn e4_equal_details_are_one() {
        let policy = sts("mode: enforce");
        let rows = vec![
            row(&policy, Counted::Detail(expired()), 2),
            row(&policy, Counted::Detail(expired()), 3),
        ];
        let day = aggregate(DAY, &domain(), rows, &known(&[&policy])).unwrap();
        assert_eq!(day.policies[0].details, [(expired(), 5)]);
    }

    #[test]
    fn d14_a_row_whose_policy_is_unknown_is_counted_and_named() {
        let lost = sts("mode: enforce");
        let none = AppliedPolicy::no_policy_found(domain());
        let rows = vec![
            row(&lost, Counted::Failures, 4),
            row(&none, Counted::Failures, 1),
        ];
        let policies = known(&[&none]);
        assert_eq!(
            unknown_policies(&rows, &policies),
            BTreeSet::from([lost.fingerprint()])
        );
        let day = aggregate(DAY, &domain(), rows, &policies).unwrap();
        assert_eq!(day.policies.len(), 1);
        assert_eq!(day.policies[0].policy, none);
        assert_eq!(day.failures(), 5);
    }

    #[test]
    fn e2_other_days_other_domains_and_zeros_count_nothing() {
        let policy = sts("mode: enforce");
        let policies = known(&[&policy]);
        let mut other_day = row(&policy, Counted::Successes, 1);
        other_day.0.day = DAY.next();
        let mut other_domain = row(&policy, Counted::Successes, 1);
        other_domain.0.domain = "example.net".parse().unwrap();
        let zero = row(&policy, Counted::Successes, 0);
        let rows = vec![other_day, other_domain, zero];
        assert_eq!(aggregate(DAY, &domain(), rows, &policies), None);
        assert_eq!(aggregate(DAY, &domain(), Vec::new(), &policies), None);
    }
}
