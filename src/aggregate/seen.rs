//! Since when a domain's sessions fail as they do.
//!
//! A report covers a day, and who reads it wants to know whether what it names is new. The rows of earlier
//! days tell; within the day the failures that are kept singly do.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_plugin_api::ResultType;

use super::DomainDay;
use crate::{
    clock::{Timestamp, UtcDay},
    policy::Fingerprint,
    record::Failure,
    store::{Counted, FailureRecord, TallyKey},
};

/// A way to fail, whatever host showed it: the result type and the reason code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FailureKind {
    /// The result type.
    pub result: ResultType,
    /// The reason code.
    pub reason: Option<String>,
}

impl From<&Failure> for FailureKind {
    fn from(failure: &Failure) -> Self {
        Self {
            result: failure.result,
            // A reason without words is none, in reports too.
            reason: failure.reason.clone().filter(|reason| !reason.is_empty()),
        }
    }
}

/// When a kind of failure was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first time on the day; absent where an earlier one may have given way.
    pub first_at: Option<Timestamp>,
    /// The last time on the day, where it is known.
    pub last_at: Option<Timestamp>,
    /// Since when days bring it.
    pub since: Since,
}

/// Since when days bring a kind of failure, without one in between that did not. Days on which the domain
/// had no sessions do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// No earlier day with sessions is known.
    #[default]
    Unknown,
    /// The last earlier day with sessions was without it.
    ThisDay,
    /// So many earlier days had it, and the one before them had not.
    Day {
        /// The earliest.
        first_day: UtcDay,
        /// How many.
        days_before: u32,
    },
    /// So many earlier days had it, and it may go back further than was looked.
    DayOrBefore {
        /// The earliest.
        first_day: UtcDay,
        /// How many.
        days_before: u32,
    },
}

impl Since {
    /// One more earlier day had it.
    const fn back_to(self, first_day: UtcDay) -> Self {
        let days_before = match self {
            Self::Day { days_before, .. } | Self::DayOrBefore { days_before, .. } => days_before,
            Self::Unknown | Self::ThisDay => 0,
        };
        Self::DayOrBefore {
            first_day,
            days_before: days_before.saturating_add(1),
        }
    }

    /// The day before had sessions and not this.
    const fn begun(self) -> Self {
        match self {
            Self::Unknown | Self::ThisDay => Self::ThisDay,
            Self::Day {
                first_day,
                days_before,
            }
            | Self::DayOrBefore {
                first_day,
                days_before,
            } => Self::Day {
                first_day,
                days_before,
            },
        }
    }
}

/// How many days before a report's own are looked at.
// OURS: two weeks tell what is new from what was never mended; each costs a read of the domain's rows.
pub const DAYS_BEFORE_MAX: u32 = 14;

/// Follows the kinds of failure of a day back through the days before it.
#[derive(Clone, Debug)]
pub struct LookBack {
    open: BTreeMap<FailureKind, Since>,
    closed: BTreeMap<FailureKind, Since>,
}

impl LookBack {
    /// Begins with what is reported of the day itself.
    #[must_use]
    pub fn from_day(day: &DomainDay) -> Self {
        let details = day.policies.iter().flat_map(|totals| &totals.details);
        Self::from_kinds(details.map(|(failure, _)| FailureKind::from(failure)))
    }

    fn from_kinds(kinds: impl Iterator<Item = FailureKind>) -> Self {
        Self {
            open: kinds.map(|kind| (kind, Since::Unknown)).collect(),
            closed: BTreeMap::new(),
        }
    }

    /// Is there nothing to look for on earlier days?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Looks at the day before the last one looked at: at its rows in parts, as many as it takes. The rest is not
    /// asked for.
    ///
    /// # Errors
    /// That of a part.
    pub fn look_at<E>(
        &mut self,
        day: UtcDay,
        parts: impl Iterator<Item = Result<Vec<(TallyKey, u64)>, E>>,
    ) -> Result<(), E> {
        let mut missing: BTreeSet<FailureKind> = self.open.keys().cloned().collect();
        let mut had_sessions = false;
        for rows in parts {
            let rows = rows?;
            had_sessions |= rows.iter().any(|(key, count)| is_of_report(key, *count));
            for kind in kinds(&rows) {
                missing.remove(&kind);
            }
            if missing.is_empty() {
                break;
            }
        }
        // A day without sessions says nothing.
        if !had_sessions {
            return Ok(());
        }
        for (kind, since) in std::mem::take(&mut self.open) {
            if missing.contains(&kind) {
                self.closed.insert(kind, since.begun());
            } else {
                self.open.insert(kind, since.back_to(day));
            }
        }
        Ok(())
    }

    /// What was found, with the times of the day.
    #[must_use]
    pub fn seen(self, times: &Times) -> BTreeMap<FailureKind, Seen> {
        let seen = self.closed.into_iter().chain(self.open);
        seen.map(|(kind, since)| {
            let times_of = times.of.get(&kind);
            let first_at = times_of.map(|(first, _)| *first);
            let seen = Seen {
                // The oldest give way: where some may have, the first that is left is not surely the first.
                first_at: first_at.filter(|_| !times.may_lack_first),
                last_at: times_of.map(|(_, last)| *last),
                since,
            };
            (kind, seen)
        })
        .collect()
    }
}

/// At which times of a day sessions failed, from the failures of it that are kept singly.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The first and the last that is kept of each kind.
    of: BTreeMap<FailureKind, (Timestamp, Timestamp)>,
    /// An earlier one may have given way.
    may_lack_first: bool,
}

impl Times {
    /// Adds those that are kept of a recipient domain: at most `kept_max`, the newest. Under other policies they are of
    /// another report.
    pub fn add(
        &mut self,
        singly: &[FailureRecord],
        kept_max: usize,
        is_of_report: impl Fn(Fingerprint) -> bool,
    ) {
        self.may_lack_first |= singly.len() >= kept_max;
        for record in singly.iter().filter(|record| is_of_report(record.policy)) {
            let kind = FailureKind::from(&record.failure);
            let (first, last) = self.of.entry(kind).or_insert((record.at, record.at));
            *first = record.at.min(*first);
            *last = record.at.max(*last);
        }
    }
}

/// Every kind of failure in rows; some several times.
fn kinds(rows: &[(TallyKey, u64)]) -> impl Iterator<Item = FailureKind> {
    rows.iter().filter_map(|(key, count)| match &key.counted {
        Counted::Detail(failure) if *count > 0 => Some(FailureKind::from(failure)),
        _ => None,
    })
}

const fn is_of_report(key: &TallyKey, count: u64) -> bool {
    count > 0 && !matches!(key.counted, Counted::Protected(_))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::record::Source;

    const DAY: UtcDay = UtcDay(19_858);

    fn failure(reason: &str) -> Failure {
        Failure::of_policy(ResultType::CertificateExpired, reason)
    }

    /// Rows of a day with these reasons; "well" is a session that went well.
    fn rows(day: UtcDay, reasons: &str) -> Vec<(TallyKey, u64)> {
        let counted = |reason| match reason {
            "well" => Counted::Successes,
            reason => Counted::Detail(failure(reason)),
        };
        let row = |reason| TallyKey {
            day,
            domain: "example.org".parse().unwrap(),
            policy: Fingerprint([0; 16]),
            counted: counted(reason),
        };
        reasons.split_whitespace().map(|it| (row(it), 1)).collect()
    }

    #[test]
    fn a_run_of_days_goes_back_to_the_last_day_without_and_over_days_without_sessions() {
        let begun = |ago, days_before| Since::Day {
            first_day: UtcDay(DAY.0 - ago),
            days_before,
        };
        let at_least = |ago, days_before| Since::DayOrBefore {
            first_day: UtcDay(DAY.0 - ago),
            days_before,
        };
        // From the day itself backwards; "|" separates days.
        for (days, expected) in [
            ("a", Since::Unknown),
            ("a | |", Since::Unknown),
            ("a | well", Since::ThisDay),
            ("a | b", Since::ThisDay),
            ("a | a | well", begun(1, 1)),
            ("a | a b | a | well | a", begun(2, 2)),
            ("a | | a | | well", begun(2, 1)),
            ("a | | | a", at_least(3, 1)),
            ("a | well a | a", at_least(2, 2)),
        ] {
            let mut days = days.split('|');
            let mut back = LookBack::from_kinds(kinds(&rows(DAY, days.next().unwrap())));
            let mut day = DAY;
            for reasons in days {
                day = day.previous();
                if !back.is_done() {
                    let part = Ok::<_, Infallible>(rows(day, reasons));
                    back.look_at(day, [part].into_iter()).unwrap();
                }
            }
            let seen = back.seen(&Times::default());
            let since = seen[&FailureKind::from(&failure("a"))].since;
            assert_eq!(since, expected, "{day}");
        }
        assert!(LookBack::from_kinds(kinds(&rows(DAY, "well"))).is_done());
    }

    /// An MX host's day is its recipient domains' together; what fails with the first need not be looked for with all.
    #[test]
    fn a_day_is_read_in_parts_and_no_further_than_it_takes() {
        let day = DAY.previous();
        let since = |days_before| Since::DayOrBefore {
            first_day: day,
            days_before,
        };
        // The parts; how many of them are read; what comes of "a" and "b".
        for (parts, read, a, b) in [
            (&["a b", "well"][..], 1, since(1), since(1)),
            (&["", "well", "b", "a", "a"], 4, since(1), since(1)),
            (&["a", "well", "c"], 3, since(1), Since::ThisDay),
            (&["", ""], 2, Since::Unknown, Since::Unknown),
        ] {
            let mut back = LookBack::from_kinds(kinds(&rows(DAY, "a b")));
            let mut asked = 0;
            let all = parts.iter().map(|reasons| {
                asked += 1;
                Ok::<_, Infallible>(rows(day, reasons))
            });
            back.look_at(day, all).unwrap();
            assert_eq!(asked, read, "{parts:?}");
            let seen = back.seen(&Times::default());
            let since_of = |reason| seen[&FailureKind::from(&failure(reason))].since;
            assert_eq!((since_of("a"), since_of("b")), (a, b), "{parts:?}");
        }
    }

    #[test]
    fn the_first_time_of_a_day_is_told_only_where_no_earlier_one_can_have_given_way() {
        let at = |second| FailureRecord {
            at: DAY.first_second().plus_seconds(second),
            domain: "example.org".parse().unwrap(),
            policy: Fingerprint([0; 16]),
            source: Source::Mta,
            failure: failure("a"),
        };
        let other = FailureRecord {
            failure: failure("elsewhere"),
            ..at(1)
        };
        let of_another_policy = FailureRecord {
            policy: Fingerprint([1; 16]),
            ..at(50)
        };
        let singly = [other, at(30), at(20), at(40), of_another_policy];
        let seen = |kept_max| {
            let back = LookBack::from_kinds(kinds(&rows(DAY, "a")));
            let mut times = Times::default();
            // Of another recipient domain.
            times.add(&[at(35)], kept_max, |_| true);
            times.add(&singly, kept_max, |policy| policy == Fingerprint([0; 16]));
            let seen = back.seen(&times);
            assert_eq!(seen.len(), 1);
            let seen = seen[&FailureKind::from(&failure("a"))];
            let second = |at: Timestamp| at.seconds_since(DAY.first_second());
            (seen.first_at.map(second), seen.last_at.map(second))
        };
        assert_eq!(seen(6), (Some(20), Some(40)));
        assert_eq!(seen(5), (None, Some(40)));
    }
}
