//! What the operator decided otherwise for single recipient domains.

use std::collections::HashMap;

use crate::{
    clock::{Timestamp, UtcDay},
    config::{Override, OverrideMode},
    policy::PolicyDomain,
};

/// The overrides that hold or will have held, by domain: those of the configuration, and those set by command.
// OURS: where both name a domain the configuration decides, for as long as its override has not run out. What
// stands in a file that is kept under version control must not be undone by a command that nobody sees there.
// docs/decisions/0020-evidence-and-overrides.md
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    of_file: HashMap<PolicyDomain, Override>,
    by_command: HashMap<PolicyDomain, Override>,
}

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
        let holding = |all: &HashMap<PolicyDomain, Override>| {
            let found = all.get(domain).filter(|found| holds(found.until, today));
            found.map(|found| found.mode)
        };
        holding(&self.of_file).or_else(|| holding(&self.by_command))
    }

    /// The same with those that were set by command.
    #[must_use]
    pub fn with_commands(self, overrides: impl IntoIterator<Item = Override>) -> Self {
        Self {
            by_command: by_domain(overrides),
            ..self
        }
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        Self {
            of_file: by_domain(overrides),
            by_command: HashMap::new(),
        }
    }
}

fn by_domain(overrides: impl IntoIterator<Item = Override>) -> HashMap<PolicyDomain, Override> {
    let named = overrides.into_iter().map(|one| (one.domain.clone(), one));
    named.collect()
}

/// Whether what has this last day has not run out.
#[must_use]
pub fn holds(until: Option<UtcDay>, today: UtcDay) -> bool {
    until.is_none_or(|last_day| today <= last_day)
}

/// An override that an operator set by command, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOverride {
    /// The domain.
    pub domain: PolicyDomain,
    /// What is done.
    pub mode: OverrideMode,
    /// The last day of it, UTC; absent: until it is ended.
    pub until: Option<UtcDay>,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub author: String,
    /// When.
    pub set_at: Timestamp,
    /// Who ended it before its time.
    pub ended: Option<EndedOverride>,
}

/// How an override ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedOverride {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl CommandOverride {
    /// Whether it was neither ended nor has run out.
    #[must_use]
    pub fn holds(&self, today: UtcDay) -> bool {
        self.ended.is_none() && holds(self.until, today)
    }

    /// What the hook needs of it.
    #[must_use]
    pub fn to_override(&self) -> Override {
        Override {
            domain: self.domain.clone(),
            mode: self.mode,
            until: self.until,
        }
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

    #[test]
    fn the_file_decides_until_its_override_has_run_out() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let day = |text: &str| Some(text.parse::<UtcDay>().unwrap());
        let one = |mode, until: Option<UtcDay>| Override {
            domain: domain.clone(),
            mode,
            until,
        };
        let (off, audit) = (OverrideMode::Off, OverrideMode::Audit);
        let (early, late) = (day("2026-11-20"), day("2026-11-30"));
        for (file, command, expected) in [
            (None, None, None),
            (None, Some(one(audit, None)), Some(audit)),
            (None, Some(one(audit, early)), None),
            (Some(one(off, None)), Some(one(audit, None)), Some(off)),
            (Some(one(off, late)), Some(one(audit, None)), Some(off)),
            (Some(one(off, early)), Some(one(audit, late)), Some(audit)),
            (Some(one(off, early)), Some(one(audit, early)), None),
        ] {
            let of_file: Overrides = file.clone().into_iter().collect();
            let overrides = of_file.with_commands(command.clone());
            let today = "2026-11-24".parse().unwrap();
            let found = overrides.mode(&domain, today);
            assert_eq!(found, expected, "{file:?} {command:?}");
        }
    }
}
