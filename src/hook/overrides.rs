//! What the operator decided otherwise for single recipient domains.

use std::collections::HashMap;

use crate::{
    clock::{Timestamp, UtcDay},
    config::{Override, OverrideMode, OverrideScope},
    policy::PolicyDomain,
};

/// The overrides that hold or will have held, by domain: those of the configuration, and those set by command; and the one
/// for every domain that has none.
// OURS: where both name a domain the configuration decides, for as long as its override has not run out. What
// stands in a file that is kept under version control must not be undone by a command that nobody sees there.
// docs/decisions/0020-evidence-and-overrides.md
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    of_file: HashMap<PolicyDomain, Override>,
    by_command: HashMap<PolicyDomain, Override>,
    every_other: Option<Override>,
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
        let holding = |found: Option<&Override>| {
            let found = found.filter(|found| holds(found.until, today));
            found.map(|found| found.mode)
        };
        holding(self.of_file.get(domain))
            .or_else(|| holding(self.by_command.get(domain)))
            .or_else(|| holding(self.every_other.as_ref()))
    }

    /// The same with those that were set by command.
    #[must_use]
    pub fn with_commands<'a>(
        self,
        overrides: impl IntoIterator<Item = &'a CommandOverride>,
    ) -> Self {
        let named = overrides
            .into_iter()
            .map(|set| (set.domain.clone(), set.to_override()));
        Self {
            by_command: named.collect(),
            ..self
        }
    }
}

impl FromIterator<Override> for Overrides {
    fn from_iter<I: IntoIterator<Item = Override>>(overrides: I) -> Self {
        let mut found = Self::default();
        for one in overrides {
            match &one.scope {
                OverrideScope::EveryOther => found.every_other = Some(one),
                OverrideScope::Domain(domain) => {
                    found.of_file.insert(domain.clone(), one);
                }
            }
        }
        found
    }
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
    fn to_override(&self) -> Override {
        Override {
            scope: OverrideScope::Domain(self.domain.clone()),
            mode: self.mode,
            until: self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-24";

    fn day(text: &str) -> Option<UtcDay> {
        Some(text.parse().unwrap())
    }

    fn of_file(scope: &str, mode: OverrideMode, until: Option<UtcDay>) -> Override {
        Override {
            scope: scope.parse().unwrap(),
            mode,
            until,
        }
    }

    #[test]
    fn an_override_holds_through_its_last_day_and_for_no_subdomain() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let last_day: UtcDay = "2026-12-31".parse().unwrap();
        let audit = of_file("example.org", OverrideMode::Audit, Some(last_day));
        let overrides: Overrides = [audit].into_iter().collect();
        assert_eq!(overrides.mode(&domain, last_day), Some(OverrideMode::Audit));
        assert_eq!(overrides.mode(&domain, last_day.next()), None);
        assert_eq!(
            overrides.mode(&"mail.example.org".parse().unwrap(), last_day),
            None
        );
    }

    #[test]
    fn the_file_decides_until_its_override_has_run_out_and_what_is_for_all_comes_last() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let (off, audit) = (OverrideMode::Off, OverrideMode::Audit);
        let (early, late) = (day("2026-11-20"), day("2026-11-30"));
        let own = |until| Some(of_file("example.org", off, until));
        let all = |until| Some(of_file("*", audit, until));
        let set = |mode, until| {
            Some(CommandOverride {
                domain: domain.clone(),
                mode,
                until,
                reason: String::new(),
                author: String::new(),
                set_at: TODAY.parse::<UtcDay>().unwrap().first_second(),
                ended: None,
            })
        };
        for (file, command, every_other, expected) in [
            (None, None, None, None),
            (None, set(audit, None), None, Some(audit)),
            (None, set(audit, early), None, None),
            (own(None), set(audit, None), None, Some(off)),
            (own(late), set(audit, None), None, Some(off)),
            (own(early), set(audit, late), None, Some(audit)),
            (own(early), set(audit, early), None, None),
            (None, None, all(late), Some(audit)),
            (None, None, all(early), None),
            (own(late), None, all(None), Some(off)),
            (None, set(off, None), all(None), Some(off)),
            (own(early), set(off, early), all(None), Some(audit)),
        ] {
            let in_file = file.iter().chain(&every_other).cloned();
            let overrides: Overrides = in_file.collect();
            let overrides = overrides.with_commands(&command);
            let found = overrides.mode(&domain, TODAY.parse().unwrap());
            assert_eq!(found, expected, "{file:?} {command:?} {every_other:?}");
        }
    }
}
