//! What is kept of which day, for how long, and what goes first where the store may not grow.
//!
//! Pure: what is held and the day are given, and what is to go comes back. The courier forgets by age
//! (`deliver/calendar.rs`), the daemon by the quota (`daemon/quota.rs`).
// OURS: docs/decisions/0021-keeping.md.

use std::collections::BTreeMap;

use crate::{clock::UtcDay, config::StoreConfig, deliver::schedule::CATCH_UP_DAYS};

/// For how many days after its own a report may still be made: while it is caught up on, and a day more for
/// the last attempt's retries, which may end on the next.
pub const UNDER_WAY_DAYS: u32 = CATCH_UP_DAYS + 2;

/// Where there is a quota, reports look back so many days for since when something fails.
// A day that the quota takes between two attempts must not make other octets of the second.
pub const LOOK_BACK_DAYS_MAX: u32 = 2;

/// The quota takes nothing of so many days before today: of what may be reported, and of what such a report
/// looks back to.
pub const UNTOUCHED_DAYS: u32 = UNDER_WAY_DAYS + LOOK_BACK_DAYS_MAX;

/// What is held of a day, in the order in which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DayPart {
    /// Failures kept singly, with times and addresses.
    Failures,
    /// Tallies.
    Counts,
    /// How the delivery of its reports stands. Last: without its tallies a day is not reported again,
    /// whatever is forgotten of what was sent.
    Reports,
}

impl DayPart {
    /// Every part, in that order.
    pub const ALL: [Self; 3] = [Self::Failures, Self::Counts, Self::Reports];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Counts => "counts",
            Self::Reports => "reports",
        }
    }
}

/// For how many days each part is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    failures_days: u32,
    counts_days: u32,
    reports_days: u32,
}

impl Keeping {
    /// As the operator set it. What may be reported stays all the same, and what was sent is known at least as
    /// long as there is something to send.
    #[must_use]
    pub fn of(config: &StoreConfig) -> Self {
        let counts_days = config.keep_days.max(UNDER_WAY_DAYS);
        let set = |days: u32| Some(days).filter(|days| *days > 0);
        Self {
            failures_days: set(config.keep_failures_days)
                .map_or(counts_days, |days| days.clamp(UNDER_WAY_DAYS, counts_days)),
            counts_days,
            reports_days: set(config.keep_reports_days)
                .map_or(counts_days, |days| days.max(counts_days)),
        }
    }

    /// For how many days after its own this part of a day is kept.
    #[must_use]
    pub const fn days(&self, part: DayPart) -> u32 {
        match part {
            DayPart::Failures => self.failures_days,
            DayPart::Counts => self.counts_days,
            DayPart::Reports => self.reports_days,
        }
    }

    /// Is the time of this part of a day over?
    #[must_use]
    pub const fn is_over(&self, part: DayPart, day: UtcDay, today: UtcDay) -> bool {
        day.0.saturating_add(self.days(part)) < today.0
    }
}

/// What a store holds, in octets of keys and values as they lie in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// By day.
    pub days: BTreeMap<UtcDay, DayHoldings>,
    /// What belongs to no day: policies, overrides, suppressions, the audit log.
    pub rest: u64,
}

/// What it holds of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayHoldings {
    /// Single failures.
    pub failures: u64,
    /// Tallies.
    pub counts: u64,
    /// Delivery states.
    pub reports: u64,
    /// A delivery has not come to its end, or it cannot be read whether it has.
    pub has_open_report: bool,
}

impl DayHoldings {
    /// Of this part.
    #[must_use]
    pub const fn of(&self, part: DayPart) -> u64 {
        match part {
            DayPart::Failures => self.failures,
            DayPart::Counts => self.counts,
            DayPart::Reports => self.reports,
        }
    }
}

impl Holdings {
    /// All of it.
    #[must_use]
    pub fn octets(&self) -> u64 {
        let days = self.days.values();
        let days = days.map(|day| DayPart::ALL.map(|part| day.of(part)).iter().sum::<u64>());
        days.sum::<u64>().saturating_add(self.rest)
    }
}

/// How much a store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// In octets.
    pub octets_max: u64,
}

/// What is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In this order.
    pub parts: Vec<(UtcDay, DayPart)>,
    /// What is held before.
    pub octets_before: u64,
    /// What is held then. More than the quota where nothing more may go.
    pub octets_after: u64,
}

impl Quota {
    /// The quota that the operator set, if he did.
    #[must_use]
    pub fn of(config: &StoreConfig) -> Option<Self> {
        let octets_max = config.size_max_mib.saturating_mul(1024 * 1024);
        (octets_max > 0).then_some(Self { octets_max })
    }

    /// What goes where more is held than may be: a tenth more than must, so that it is not one day every hour.
    #[must_use]
    pub fn cut(&self, held: &Holdings, today: UtcDay) -> Cut {
        let octets_before = held.octets();
        let mut cut = Cut {
            parts: Vec::new(),
            octets_before,
            octets_after: octets_before,
        };
        if octets_before <= self.octets_max {
            return cut;
        }
        let goal = self.octets_max - self.octets_max / 10;
        let is_touched = |day: UtcDay| day.0.saturating_add(UNTOUCHED_DAYS) < today.0;
        let old = || held.days.iter().filter(|(day, _)| is_touched(**day));
        // A report that is still to come tells at which times its failures were seen.
        let failures = old().filter(|(_, of)| !of.has_open_report);
        // No day is left out: what is held of tallies has no gap, so that one day says since when it is whole.
        let counts = old().take_while(|(_, of)| of.counts == 0 || !of.has_open_report);
        let last_without_counts = counts.clone().map(|(day, _)| *day).last();
        let reports = old().filter(|(day, of)| {
            let are_alone = of.counts == 0 || last_without_counts.is_some_and(|last| **day <= last);
            are_alone && !of.has_open_report
        });
        let candidates = failures
            .map(|(day, of)| (*day, DayPart::Failures, of))
            .chain(counts.map(|(day, of)| (*day, DayPart::Counts, of)))
            .chain(reports.map(|(day, of)| (*day, DayPart::Reports, of)));
        for (day, part, of) in candidates {
            if cut.octets_after <= goal {
                break;
            }
            if of.of(part) > 0 {
                cut.octets_after = cut.octets_after.saturating_sub(of.of(part));
                cut.parts.push((day, part));
            }
        }
        cut
    }

    /// Is this more than may be held?
    #[must_use]
    pub const fn is_exceeded_by(&self, octets: u64) -> bool {
        octets > self.octets_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: UtcDay = UtcDay(20_800);

    const fn ago(days: u32) -> UtcDay {
        UtcDay(TODAY.0 - days)
    }

    fn keeping(counts: u32, failures: u32, reports: u32) -> Keeping {
        Keeping::of(&StoreConfig {
            keep_days: counts,
            keep_failures_days: failures,
            keep_reports_days: reports,
            ..StoreConfig::default()
        })
    }

    #[test]
    fn each_part_is_kept_for_its_time_and_what_may_be_reported_in_any_case() {
        for (set, expected) in [
            // Nothing is said of the others: as it has been.
            ((30, 0, 0), [30, 30, 30]),
            ((60, 0, 0), [60, 60, 60]),
            ((30, 7, 400), [7, 30, 400]),
            // A report may be under way for five days.
            ((3, 0, 0), [5, 5, 5]),
            ((3, 3, 3), [5, 5, 5]),
            ((30, 1, 0), [5, 30, 30]),
            // Failures without their tallies, and reports that could be sent again.
            ((30, 60, 10), [30, 30, 30]),
        ] {
            let keeping = keeping(set.0, set.1, set.2);
            assert_eq!(
                DayPart::ALL.map(|part| keeping.days(part)),
                expected,
                "{set:?}"
            );
            for part in DayPart::ALL {
                let days = keeping.days(part);
                assert!(!keeping.is_over(part, ago(days), TODAY));
                assert!(keeping.is_over(part, ago(days + 1), TODAY));
            }
        }
    }

    /// Days ago; failures, counts, reports; whether one is open.
    type Day = (u32, [u64; 3], bool);

    fn held(days: &[Day], rest: u64) -> Holdings {
        let day = |(days, [failures, counts, reports], has_open_report): &Day| {
            let of = DayHoldings {
                failures: *failures,
                counts: *counts,
                reports: *reports,
                has_open_report: *has_open_report,
            };
            (ago(*days), of)
        };
        Holdings {
            days: days.iter().map(day).collect(),
            rest,
        }
    }

    #[test]
    fn what_goes_first_goes_first_and_what_must_stay_stays() {
        use DayPart::{Counts, Failures, Reports};
        let days: [Day; 4] = [
            (30, [30, 100, 20], false),
            (20, [30, 100, 20], false),
            (8, [30, 100, 20], false),
            (7, [30, 100, 20], false),
        ];
        let open = |which: u32| days.map(|(ago, of, _)| (ago, of, ago == which));
        let failures = [(30, Failures), (20, Failures), (8, Failures)];
        let counts = [(30, Counts), (20, Counts), (8, Counts)];
        let reports = [(30, Reports), (20, Reports), (8, Reports)];
        let all = [failures, counts, reports].concat();
        for (what, octets_max, days, expected, octets_after) in [
            ("within", 640, &days, vec![], 640),
            ("failures suffice", 639, &days, failures.to_vec(), 550),
            (
                "a tenth more than must",
                600,
                &days,
                [&failures[..], &counts[..1]].concat(),
                450,
            ),
            (
                "the oldest tallies",
                400,
                &days,
                [&failures[..], &counts[..2]].concat(),
                350,
            ),
            (
                "what was sent, of days without tallies",
                250,
                &days,
                all[..8].to_vec(),
                210,
            ),
            ("all that may", 1, &days, all.clone(), 190),
            // The days before it go; it and all behind it keep their tallies.
            (
                "a report is open",
                1,
                &open(20),
                vec![(30, Failures), (8, Failures), (30, Counts), (30, Reports)],
                460,
            ),
            (
                "a report of the oldest day is open",
                1,
                &open(30),
                vec![(20, Failures), (8, Failures)],
                580,
            ),
        ] {
            let cut = Quota { octets_max }.cut(&held(days, 40), TODAY);
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(days, part)| (ago(days), part))
                .collect();
            assert_eq!(cut.parts, expected, "{what}");
            assert_eq!(
                (cut.octets_before, cut.octets_after),
                (640, octets_after),
                "{what}"
            );
        }
    }

    #[test]
    fn what_was_cut_is_not_cut_again_and_what_is_no_days_is_never_cut() {
        let quota = Quota { octets_max: 1_000 };
        let reports_alone = held(&[(300, [0, 0, 30], false), (6, [0, 9_000, 0], false)], 7);
        let cut = quota.cut(&reports_alone, TODAY);
        assert_eq!(cut.parts, [(ago(300), DayPart::Reports)]);
        assert!(quota.is_exceeded_by(cut.octets_after));
        let nothing_left = held(&[(6, [0, 9_000, 0], false)], 7_000);
        assert_eq!(quota.cut(&nothing_left, TODAY).parts, []);
        // A clock that was set back: days to come are none that is over.
        let to_come = Holdings {
            days: [(
                TODAY.next(),
                DayHoldings {
                    counts: 5_000,
                    ..DayHoldings::default()
                },
            )]
            .into(),
            rest: 0,
        };
        assert_eq!(quota.cut(&to_come, TODAY).parts, []);
    }

    #[test]
    fn a_quota_of_nothing_is_none() {
        let of = |size_max_mib| {
            Quota::of(&StoreConfig {
                size_max_mib,
                ..StoreConfig::default()
            })
        };
        assert_eq!(of(0), None);
        assert_eq!(
            of(2),
            Some(Quota {
                octets_max: 2_097_152
            })
        );
    }
}
