//! What the operator decided otherwise for single recipient domains.

use std::collections::HashMap;

use crate::{
    clock::UtcDay,
    config::{Override, OverrideMode},
    policy::PolicyDomain,
};

/// The overrides of the configuration, by domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides(HashMap<PolicyDomain, Override>);

impl Overrides {
    /// The one for a domain, if it has not run out. It holds through its last day, UTC. A parent's
    /// override says nothing of its subdomains, as a parent's policy does not (RFC 8461 s3.4).
    #[must_use]
    pub fn mode(&self, domain: &PolicyDomain, today: UtcDay) -> Option<OverrideMode> {
        self.mode_by_name(domain.as_str(), today)
    }

    /// The same for the domain of this name, lower case A-labels.
    #[must_use]
    pub fn mode_by_name(&self, domain: &str, today: UtcDay) -> Option<OverrideMode> {
        let found = self.0.get(domain)?;
        found
            .until
            .is_none_or(|last_day| today <= last_day)
            .then_some(found.mode)
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        Self(
            overrides
                .into_iter()
                .map(|one| (one.domain.clone(), one))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_holds_through_its_last_day_and_for_no_subdomain() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let last_day: UtcDay = "2026-12-31".parse().unwrap();
        let overrides: Overrides = [Override {
            domain: domain.clone(),
            mode: OverrideMode::Audit,
            until: Some(last_day),
        }]
        .into_iter()
        .collect();
        assert_eq!(overrides.mode(&domain, last_day), Some(OverrideMode::Audit));
        assert_eq!(overrides.mode(&domain, last_day.next()), None);
        assert_eq!(
            overrides.mode(&"mail.example.org".parse().unwrap(), last_day),
            None
        );
    }
}
