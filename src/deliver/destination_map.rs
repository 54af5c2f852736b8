//! The operator's own word on where reports go: the `[[destination]]` sections. Pure.
//!
//! A record may name a mailbox that bounces for ever, a provider that the operator has left, or the
//! operator's own laboratory. The map changes what the record names; it never makes a report for a domain
//! that asks for none (docs/decisions/0012-destinations.md).

use crate::policy::{Destination, NamePattern, PolicyDomain};

/// One section, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// The policy domains it is for; absent: all.
    pub policy_domain: Option<NamePattern>,
    /// The destination hosts it is for: a mailbox's domain, the host of a URI; absent: all.
    pub rua_domain: Option<NamePattern>,
    /// What is done with a destination that it is for.
    pub action: MapAction,
}

/// What is done with a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapAction {
    /// It gets the report, whatever later sections say.
    Accept,
    /// It gets none.
    Discard,
    /// These get it instead.
    Replace(Vec<Destination>),
    /// It gets the report, and so do these.
    Add(Vec<Destination>),
}

/// What a record's destinations have become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Where the report may go, in the order of the record, without doubles.
    pub destinations: Vec<Destination>,
    /// What the record names and the map takes away.
    pub taken_away: Vec<TakenAway>,
}

/// A destination that the map takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenAway {
    /// What the record names.
    pub destination: Destination,
    /// The section that does it, counted from 1 in the order of the file.
    pub section: usize,
    /// What gets the report instead; none where it is discarded.
    pub instead: Vec<Destination>,
}

/// Applies the map to what the record of a domain names: for each destination the first section that is
/// for it holds. What a section puts there is not mapped again.
#[must_use]
pub fn mapped(map: &[MapRule], domain: &PolicyDomain, named: &[Destination]) -> Mapped {
    let mut mapped = Mapped::default();
    for destination in named {
        let host = destination.host();
        let mut sections = (1..).zip(map);
        let first = sections.find(|(_, rule)| rule.is_for(domain, &host));
        match first.map(|(section, rule)| (section, &rule.action)) {
            None | Some((_, MapAction::Accept)) => mapped.put(destination),
            Some((section, MapAction::Discard)) => mapped.take_away(destination, section, &[]),
            Some((section, MapAction::Replace(instead))) => {
                instead.iter().for_each(|one| mapped.put(one));
                // One that is put back in its own place is not gone.
                if !instead.contains(destination) {
                    mapped.take_away(destination, section, instead);
                }
            }
            Some((_, MapAction::Add(more))) => {
                mapped.put(destination);
                more.iter().for_each(|one| mapped.put(one));
            }
        }
    }
    mapped
}

impl MapRule {
    fn is_for(&self, domain: &PolicyDomain, host: &str) -> bool {
        let fits = |pattern: &Option<NamePattern>, name: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
        };
        fits(&self.policy_domain, domain.as_str()) && fits(&self.rua_domain, host)
    }
}

impl Mapped {
    fn put(&mut self, destination: &Destination) {
        if !self.destinations.contains(destination) {
            self.destinations.push(destination.clone());
        }
    }

    fn take_away(&mut self, destination: &Destination, section: usize, instead: &[Destination]) {
        self.taken_away.push(TakenAway {
            destination: destination.clone(),
            section,
            instead: instead.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The destinations of URIs with spaces between.
    fn destinations(uris: &str) -> Vec<Destination> {
        let read = uris.split_whitespace().map(Destination::read);
        read.flat_map(Result::unwrap).collect()
    }

    /// A section of a file's words; empty: it is not said.
    fn rule(policy_domain: &str, rua_domain: &str, action: MapAction) -> MapRule {
        MapRule {
            policy_domain: policy_domain.parse().ok(),
            rua_domain: rua_domain.parse().ok(),
            action,
        }
    }

    fn map() -> Vec<MapRule> {
        let replace = |uri| MapAction::Replace(destinations(uri));
        vec![
            rule("vip.test", "", MapAction::Accept),
            rule("", "dead.test", MapAction::Discard),
            rule(
                "a.test",
                "*.big.test",
                MapAction::Add(destinations("mailto:copy@us.test")),
            ),
            rule("*.ours.test", "", replace("mailto:all@us.test")),
            rule("", "old.test", replace("https://new.test/r")),
            rule("", "dead.test", MapAction::Accept),
        ]
    }

    #[test]
    fn the_first_section_that_is_for_a_destination_holds() {
        for (domain, named, expected, taken_away) in [
            ("x.test", "mailto:a@x.test", "mailto:a@x.test", &[][..]),
            ("vip.test", "mailto:a@dead.test", "mailto:a@dead.test", &[]),
            (
                "x.test",
                "mailto:a@dead.test mailto:b@x.test",
                "mailto:b@x.test",
                &[2],
            ),
            ("x.test", "https://dead.test:8443/r", "", &[2]),
            (
                "a.test",
                "mailto:a@in.big.test",
                "mailto:a@in.big.test mailto:copy@us.test",
                &[],
            ),
            ("a.test", "mailto:a@big.test", "mailto:a@big.test", &[]),
            (
                "b.test",
                "mailto:a@in.big.test",
                "mailto:a@in.big.test",
                &[],
            ),
            (
                "c.ours.test",
                "mailto:a@x.test https://y.test/",
                "mailto:all@us.test",
                &[4, 4],
            ),
            (
                "c.ours.test",
                "mailto:all@us.test",
                "mailto:all@us.test",
                &[],
            ),
            ("x.test", "mailto:a@old.test", "https://new.test/r", &[5]),
            ("x.test", "", "", &[]),
        ] {
            let mapped = mapped(&map(), &domain.parse().unwrap(), &destinations(named));
            assert_eq!(
                mapped.destinations,
                destinations(expected),
                "{domain} {named}"
            );
            let sections: Vec<_> = mapped.taken_away.iter().map(|one| one.section).collect();
            assert_eq!(sections, taken_away, "{domain} {named}");
        }
    }
}
