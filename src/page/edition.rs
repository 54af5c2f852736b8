//! What is shown until the next reading: every domain over all days, in each of its orders, and what is found of them by a
//! part of their name.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    almanac::{OPEN_DAYS, first_of},
    source::KeptMode,
};
use crate::{
    aggregate::sums::{Cause, CauseSums, DaySums, DomainSums},
    clock::UtcDay,
    ctl::wire::ProtectedSessions,
    policy::{self, PolicyDomain},
};

/// One domain over all days.
#[derive(Clone, Debug)]
pub(super) struct DomainLine {
    pub(super) name: PolicyDomain,
    pub(super) sums: DomainSums,
    /// The mode of the policy that is kept.
    pub(super) mode: Option<Mode>,
}

/// The mode of a kept policy, or that it no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Enforce,
    Testing,
    None,
    Expired,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Enforce, Self::Testing, Self::None, Self::Expired];

    const fn of(kept: &KeptMode) -> Self {
        match kept.mode {
            _ if kept.expired => Self::Expired,
            policy::Mode::Enforce => Self::Enforce,
            policy::Mode::Testing => Self::Testing,
            policy::Mode::None => Self::None,
        }
    }

    /// The word of RFC 8461, or `expired`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
            Self::Expired => "expired",
        }
    }
}

/// What domains can be sorted by. Equal ones are in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Those with the most failures first.
    Failures,
    /// Those with the most sessions first.
    Sessions,
    /// Those that most mail went to in the clear first.
    Clear,
    /// By name.
    Name,
}

impl Order {
    fn places(self, domains: &[DomainLine]) -> Vec<usize> {
        let mut places: Vec<_> = domains.iter().enumerate().collect();
        places.sort_by_cached_key(|(_, line)| {
            let sums = &line.sums;
            Reverse(match self {
                Self::Failures => (sums.failures, sums.sessions()),
                Self::Sessions => (sums.sessions(), 0),
                Self::Clear => (protected(sums).clear, 0),
                Self::Name => (0, 0),
            })
        });
        places.into_iter().map(|(place, _)| place).collect()
    }
}

/// What is shown until the next reading.
#[derive(Debug)]
pub(super) struct Edition {
    /// The first day and today.
    pub(super) first: UtcDay,
    pub(super) today: UtcDay,
    /// The days that have sessions, in order.
    pub(super) days: Vec<(UtcDay, ProtectedSessions)>,
    pub(super) total: DomainSums,
    /// By name.
    pub(super) domains: Vec<DomainLine>,
    names: Names,
    /// Their places in each order but that of their names.
    orders: BTreeMap<Order, Vec<usize>>,
    /// The one with the most sessions first.
    pub(super) causes: Vec<(Cause, CauseSums)>,
    /// How many domains have failures.
    pub(super) with_failures: usize,
    /// How many of how many days were read.
    pub(super) read: (usize, usize),
}

/// The days that change no more, added up.
#[derive(Default)]
pub(super) struct Closed {
    /// Those before this day.
    pub(super) before: Option<UtcDay>,
    pub(super) sums: DaySums,
    pub(super) days: BTreeMap<UtcDay, ProtectedSessions>,
    pub(super) left: Vec<UtcDay>,
    pub(super) of: usize,
}

/// Which domains were found.
#[derive(Debug)]
pub(super) struct Found {
    /// For each domain, in the order of their names.
    marks: Vec<bool>,
    pub(super) count: usize,
}

impl Found {
    /// Those of them of which this is so too.
    pub(super) fn only(
        mut self,
        edition: &Edition,
        is_wanted: impl Fn(&DomainLine) -> bool,
    ) -> Self {
        for (mark, line) in self.marks.iter_mut().zip(&edition.domains) {
            if *mark && !is_wanted(line) {
                *mark = false;
                self.count = self.count.saturating_sub(1);
            }
        }
        self
    }

    fn has(&self, place: usize) -> bool {
        self.marks.get(place).copied().unwrap_or(false)
    }
}

impl Edition {
    pub(super) fn of(
        closed: &Closed,
        open: &BTreeMap<UtcDay, DaySums>,
        modes: &[KeptMode],
        today: UtcDay,
    ) -> Self {
        let mut total = closed.sums.total;
        let mut days = closed.days.clone();
        let mut failed = DaySums {
            causes: closed.sums.causes.clone(),
            ..DaySums::default()
        };
        for (day, sums) in open {
            total.merge(&sums.total);
            days.insert(*day, protected(&sums.total));
            failed.merge_causes(sums);
        }
        let mut causes: Vec<_> = failed.causes.into_iter().collect();
        causes.sort_by_key(|(_, sums)| Reverse(sums.sessions));
        let sums = std::iter::once(&closed.sums).chain(open.values());
        let domains = lines(sums, modes);
        Self {
            first: first_of(today),
            today,
            days: days
                .into_iter()
                .filter(|(_, sessions)| sessions.sessions > 0)
                .collect(),
            total,
            orders: [Order::Failures, Order::Sessions, Order::Clear]
                .into_iter()
                .map(|order| (order, order.places(&domains)))
                .collect(),
            with_failures: domains.iter().filter(|line| line.sums.failures > 0).count(),
            names: Names::of(&domains),
            domains,
            causes,
            read: (
                closed.of - closed.left.len() + open.len(),
                closed.of + OPEN_DAYS,
            ),
        }
    }

    /// What is shown before anything was read.
    pub(super) fn unread(today: UtcDay) -> Self {
        Self::of(&Closed::default(), &BTreeMap::new(), &[], today)
    }

    /// What protected all sessions together.
    pub(super) fn protected(&self) -> ProtectedSessions {
        protected(&self.total)
    }

    /// So many domains in this order, the first `from` of them left out.
    pub(super) fn ordered(&self, order: Order, from: usize, count: usize) -> Vec<&DomainLine> {
        match self.orders.get(&order) {
            Some(places) => {
                let places = places.iter().skip(from).take(count);
                places
                    .filter_map(|place| self.domains.get(*place))
                    .collect()
            }
            None => self.domains.iter().skip(from).take(count).collect(),
        }
    }

    /// The same of those that were found.
    pub(super) fn ordered_of(
        &self,
        found: &Found,
        order: Order,
        from: usize,
        count: usize,
    ) -> Vec<&DomainLine> {
        let line = |place: usize| self.domains.get(place).filter(|_| found.has(place));
        match self.orders.get(&order) {
            Some(places) => {
                let lines = places.iter().filter_map(|place| line(*place));
                lines.skip(from).take(count).collect()
            }
            None => {
                let lines = (0..self.domains.len()).filter_map(line);
                lines.skip(from).take(count).collect()
            }
        }
    }

    /// The domains whose name has this in it; all of them where it is empty.
    pub(super) fn found(&self, needle: &str) -> Found {
        self.names.found(needle)
    }

    /// The domain of this name.
    pub(super) fn domain(&self, name: &str) -> Option<&DomainLine> {
        let place = self
            .domains
            .binary_search_by(|line| line.name.as_str().cmp(name));
        self.domains.get(place.ok()?)
    }
}

/// Every name in one text: it is searched through in one go, which is quicker than name by name.
#[derive(Debug, Default)]
struct Names {
    /// Each ended by [`END`](Self::END).
    text: String,
    /// Where each begins in it.
    starts: Vec<usize>,
}

impl Names {
    /// It is in no name.
    const END: char = '\n';

    fn of(domains: &[DomainLine]) -> Self {
        let octets = domains.iter().map(|line| line.name.as_str().len() + 1);
        let mut names = Self {
            text: String::with_capacity(octets.sum()),
            starts: Vec::with_capacity(domains.len()),
        };
        for line in domains {
            names.starts.push(names.text.len());
            names.text.push_str(line.name.as_str());
            names.text.push(Self::END);
        }
        names
    }

    fn found(&self, needle: &str) -> Found {
        let all = needle.is_empty();
        let mut found = Found {
            marks: vec![all; self.starts.len()],
            count: if all { self.starts.len() } else { 0 },
        };
        if all || needle.contains(Self::END) {
            return found;
        }
        // Matches and names come in the same order, so each is passed once.
        let mut ends = self.starts.iter().skip(1).copied().chain([self.text.len()]);
        let mut marks = found.marks.iter_mut();
        let mut current = ends.next().zip(marks.next());
        for (at, _) in self.text.match_indices(needle) {
            while current.as_ref().is_some_and(|(end, _)| *end <= at) {
                current = ends.next().zip(marks.next());
            }
            if let Some((_, mark)) = &mut current
                && !**mark
            {
                **mark = true;
                found.count += 1;
            }
        }
        found
    }
}

/// The sessions of these sums as the wire has them.
pub(super) fn protected(sums: &DomainSums) -> ProtectedSessions {
    ProtectedSessions::from(&sums.protected)
}

/// A line for each domain that has sessions or a policy, by name. A policy may be kept of a domain that no mail goes to
/// any more.
fn lines<'a>(days: impl Iterator<Item = &'a DaySums>, modes: &'a [KeptMode]) -> Vec<DomainLine> {
    let mut known: Vec<(&PolicyDomain, Option<&DomainSums>, Option<Mode>)> = Vec::new();
    for sums in days {
        let domains = sums.domains.iter();
        known.extend(domains.map(|(name, sums)| (name, Some(sums), None)));
    }
    let kept = modes.iter();
    known.extend(kept.map(|kept| (&kept.domain, None, Some(Mode::of(kept)))));
    // What comes is in order, each by itself: to sort it is to merge it.
    known.sort_by_key(|(name, ..)| *name);
    let mut lines: Vec<DomainLine> = Vec::new();
    for (name, sums, mode) in known {
        match lines.last_mut().filter(|line| line.name == *name) {
            Some(line) => {
                if let Some(sums) = sums {
                    line.sums.merge(sums);
                }
                line.mode = line.mode.or(mode);
            }
            None => lines.push(DomainLine {
                name: name.clone(),
                sums: sums.copied().unwrap_or_default(),
                mode,
            }),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::Fingerprint,
        record::protection::Protection,
        store::{Counted, TallyKey},
    };

    const TODAY: UtcDay = UtcDay(20_000);

    fn sums(rows: &[(&str, Counted, u64)]) -> DaySums {
        let mut sums = DaySums::default();
        for (domain, counted, sessions) in rows {
            let key = TallyKey {
                day: TODAY,
                domain: domain.parse().unwrap(),
                policy: Fingerprint([0; 16]),
                counted: counted.clone(),
            };
            sums.add(&key, *sessions);
        }
        sums
    }

    fn edition() -> Edition {
        let well = Counted::Protected(Protection::Sts);
        let clear = Counted::Protected(Protection::Clear);
        let closed = Closed {
            sums: sums(&[("b.test", well.clone(), 5), ("mail.b.test", clear, 9)]),
            ..Closed::default()
        };
        let today = sums(&[
            ("a.test", well.clone(), 1),
            ("b.test", well, 2),
            ("b.test", Counted::Failures, 2),
        ]);
        let kept = |domain: &str, mode, expired| KeptMode {
            domain: domain.parse().unwrap(),
            mode,
            expired,
        };
        let modes = [
            kept("b.test", policy::Mode::Enforce, false),
            kept("c.test", policy::Mode::Testing, true),
        ];
        Edition::of(&closed, &BTreeMap::from([(TODAY, today)]), &modes, TODAY)
    }

    fn names(lines: &[&DomainLine]) -> String {
        let names = lines.iter().map(|line| line.name.as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn days_and_policies_come_to_one_line_for_each_domain() {
        let edition = edition();
        let told: Vec<_> = edition
            .domains
            .iter()
            .map(|line| {
                let mode = line.mode.map_or("-", Mode::name);
                format!("{} {} {mode}", line.name, line.sums.sessions())
            })
            .collect();
        assert_eq!(
            told,
            [
                "a.test 1 -",
                "b.test 7 enforce",
                "c.test 0 expired",
                "mail.b.test 9 -"
            ]
        );
        assert_eq!(edition.domain("b.test").unwrap().sums.failures, 2);
        assert!(edition.domain("d.test").is_none());
        assert_eq!(edition.with_failures, 1);
        assert_eq!(edition.protected().sessions, 17);
    }

    #[test]
    fn domains_are_found_by_a_part_of_their_name_in_every_order() {
        let edition = edition();
        for (needle, expected) in [
            ("", "a.test b.test c.test mail.b.test"),
            ("b.test", "b.test mail.b.test"),
            ("a", "a.test mail.b.test"),
            ("t", "a.test b.test c.test mail.b.test"),
            ("mail.b.test", "mail.b.test"),
            ("x", ""),
            // A line end is in no name, and parts of two names are no name.
            ("test\nb", ""),
            ("\n", ""),
            ("testb", ""),
        ] {
            let found = edition.found(needle);
            let lines = edition.ordered_of(&found, Order::Name, 0, 50);
            assert_eq!(names(&lines), expected, "{needle:?}");
            assert_eq!(found.count, lines.len(), "{needle:?}");
        }
        let found = edition.found("b.test");
        for (order, expected) in [
            (Order::Failures, "b.test mail.b.test"),
            (Order::Sessions, "mail.b.test b.test"),
            (Order::Clear, "mail.b.test b.test"),
        ] {
            assert_eq!(names(&edition.ordered_of(&found, order, 0, 50)), expected);
        }
        let second = edition.ordered_of(&found, Order::Sessions, 1, 1);
        assert_eq!(names(&second), "b.test");
        assert_eq!(
            names(&edition.ordered(Order::Sessions, 1, 2)),
            "b.test a.test"
        );
        let kept = edition.found("test");
        let kept = kept.only(&edition, |line| line.mode.is_some());
        assert_eq!(kept.count, 2);
        assert_eq!(
            names(&edition.ordered_of(&kept, Order::Name, 0, 9)),
            "b.test c.test"
        );
    }
}
