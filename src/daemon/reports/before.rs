//! Since when a domain's sessions fail as they do: what the days before have of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::StoredReports;
use crate::{
    aggregate::{
        self, DomainDay,
        seen::{FailureKind, LookBack, Seen, Times},
    },
    clock::UtcDay,
    policy::{AppliedPolicy, Fingerprint, PolicyDomain},
    store::{StoreError, TallyKey},
};

/// What was read for a report of its domain's past; nothing where that is damaged, which is said.
// OURS: a damaged day stays so. It costs the later reports what they would tell of it, and not themselves.
fn unless_damaged<T>(
    counted: &DomainDay,
    read: Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::error!(
                domain = %counted.domain,
                day = %counted.day,
                %error,
                "the report does not tell in full since when sessions fail"
            );
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// How many domains' rows of a day are read for one report.
// OURS: an MX host may have ten thousand recipient domains, and what fails there mostly fails with the first of
// them. Where it does not, the report is not held up for a line of it.
const READS_MAX: usize = 10_000;

impl StoredReports {
    /// Since when the sessions of a day fail as they do. `recipients` are those whose sessions with the domain, as
    /// their MX host, are among them. Reads nothing where none fails.
    pub(super) fn seen(
        &self,
        counted: &DomainDay,
        recipients: &[PolicyDomain],
    ) -> Result<BTreeMap<FailureKind, Seen>, StoreError> {
        let mut back = LookBack::from_day(counted);
        if back.is_done() {
            return Ok(BTreeMap::new());
        }
        let host = &counted.domain;
        let others = recipients.iter().filter(|recipient| *recipient != host);
        let names: Vec<&PolicyDomain> = iter::once(host).chain(others).collect();
        let mut reads_left = READS_MAX;
        let mut policies = BTreeMap::new();
        let mut before = counted.day;
        for _ in 0..self.days_before_max {
            // A day of which only a part was looked at would seem to be without what the rest has.
            if back.is_done() || reads_left < names.len() {
                break;
            }
            before = before.previous();
            let rows = names.iter().map(|name| {
                reads_left = reads_left.saturating_sub(1);
                self.rows_before(before, host, name, &mut policies)
            });
            // Looked at no further: what goes back so far may go back further.
            if unless_damaged(counted, back.look_at(before, rows))?.is_none() {
                break;
            }
        }
        let times = unless_damaged(counted, self.times(counted, &names))?;
        Ok(back.seen(&times.unwrap_or_default()))
    }

    /// What a name adds to the report of a domain on a day: its own rows, or those with it as its MX host.
    fn rows_before(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        name: &PolicyDomain,
        policies: &mut BTreeMap<Fingerprint, AppliedPolicy>,
    ) -> Result<Vec<(TallyKey, u64)>, StoreError> {
        let rows = self.store.tallies(day, name)?;
        if name == domain {
            return Ok(rows);
        }
        self.add_policies(&rows, policies)?;
        Ok(aggregate::rows_of_host(domain, rows, policies).collect())
    }

    /// At which times of the day they failed so.
    fn times(&self, counted: &DomainDay, names: &[&PolicyDomain]) -> Result<Times, StoreError> {
        let mut times = Times::default();
        if names.len() > READS_MAX {
            return Ok(times);
        }
        let policies = counted.policies.iter().map(|it| it.policy.fingerprint());
        let policies: BTreeSet<Fingerprint> = policies.collect();
        for name in names {
            let singly = self.store.failures(counted.day, Some(name))?;
            let is_of_report = |policy| **name == counted.domain || policies.contains(&policy);
            times.add(&singly, self.failures_kept_max, is_of_report);
        }
        Ok(times)
    }
}
