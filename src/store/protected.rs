//! How the sessions of a day were protected: what `sealpost status --security` shows.

use std::collections::BTreeMap;

use crate::{policy::PolicyDomain, record::protection::Protection};

/// How many sessions had each protection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protected([u64; Protection::ALL.len()]);

impl Protected {
    /// The sessions that were protected so.
    #[must_use]
    pub fn sessions(&self, protection: Protection) -> u64 {
        let found = Protection::ALL.iter().zip(self.0);
        found
            .filter(|(each, _)| **each == protection)
            .map(|(_, sessions)| sessions)
            .sum()
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, sessions| sum.saturating_add(*sessions))
    }

    /// Counts sessions that were protected so.
    pub fn add(&mut self, protection: Protection, sessions: u64) {
        for (each, sum) in Protection::ALL.iter().zip(&mut self.0) {
            if *each == protection {
                *sum = sum.saturating_add(sessions);
            }
        }
    }

    /// Adds what was counted elsewhere, or on another day.
    pub fn merge(&mut self, other: &Self) {
        for (sum, sessions) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(sessions);
        }
    }
}

/// Adds up rows by domain.
pub(super) fn by_domain(
    rows: impl Iterator<Item = (PolicyDomain, Protection, u64)>,
) -> Vec<(PolicyDomain, Protected)> {
    let mut domains: BTreeMap<PolicyDomain, Protected> = BTreeMap::new();
    for (domain, protection, sessions) in rows {
        domains.entry(domain).or_default().add(protection, sessions);
    }
    domains.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_found_under_its_own_name() {
        let mut one = Protected::default();
        for (protection, sessions) in Protection::ALL.into_iter().zip([1, 20, 300, 4_000, 50_000]) {
            one.add(protection, sessions);
        }
        let mut two = one;
        two.merge(&one);
        let seen = Protection::ALL.map(|protection| two.sessions(protection));
        assert_eq!(seen, [2, 40, 600, 8_000, 100_000]);
        assert_eq!(two.total(), 2 * one.total());
    }
}
