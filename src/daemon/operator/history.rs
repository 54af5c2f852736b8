//! What this host saw of a domain in the last days.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Operator, page::day_of_domain};
use crate::{
    aggregate::seen::FailureKind,
    clock::{Timestamp, UtcDay},
    ctl::{
        protocol::Refusal,
        wire::{
            DeliveryView, FailureSeen, History, ProtectedSessions, SecurityOfDay, UnreadableDay,
        },
    },
    page::source::DayOfDomain,
    policy::PolicyDomain,
    store::{DayPart, FailureRecord, StoreError},
};

/// How many days are looked at, today included.
const DAYS: u32 = 14;

impl Operator {
    /// What is held of the last days of a domain. Whatever of it cannot be read it says, and tells the rest.
    pub(super) async fn history(&self, domain: &PolicyDomain) -> History {
        let until = self.today();
        let since = UtcDay(until.0.saturating_sub(DAYS - 1));
        let kept_max = self.loaded.load().config.store.failures_per_domain_day_max;
        let asked = domain.clone();
        let read = self.read_newest(move |store, reports| {
            let counted = store.days_of(DayPart::Counts)?;
            let days = days_of(since, until).map(|day| {
                let of_domain = day_of_domain(store, reports, day, &asked);
                if counted.binary_search(&day).is_err() {
                    return (day, Held::without_counts(of_domain));
                }
                let singly = store.failures(day, Some(&asked));
                (day, Held::of(of_domain, singly))
            });
            Ok(days.collect::<Vec<_>>())
        });
        let days = read.await.unwrap_or_else(|Refusal { message, .. }| {
            let days = days_of(since, until);
            days.map(|day| (day, Held::Unreadable(message.clone())))
                .collect()
        });
        history(since, until, days, kept_max)
    }
}

fn days_of(since: UtcDay, until: UtcDay) -> impl Iterator<Item = UtcDay> {
    (since.0..=until.0).map(UtcDay)
}

/// What is held of a domain on one day.
enum Held {
    /// Of no domain anything that was counted. How reports stand can be kept longer (`store.keep_reports_days`).
    NoCounts(Vec<DeliveryView>),
    /// It cannot be read.
    Unreadable(String),
    /// What was counted, the failures that are kept singly, and why these are not known.
    Day(DayOfDomain, Vec<FailureRecord>, Option<String>),
}

impl Held {
    fn without_counts(day: Result<DayOfDomain, StoreError>) -> Self {
        match day {
            Err(error) => Self::Unreadable(error.to_string()),
            Ok(day) => Self::NoCounts(day.deliveries),
        }
    }

    fn of(
        day: Result<DayOfDomain, StoreError>,
        singly: Result<Vec<FailureRecord>, StoreError>,
    ) -> Self {
        match (day, singly) {
            (Err(error), _) => Self::Unreadable(error.to_string()),
            (Ok(day), Ok(singly)) => Self::Day(day, singly, None),
            (Ok(day), Err(error)) => Self::Day(day, Vec::new(), Some(error.to_string())),
        }
    }
}

/// A way to fail over all days.
struct Sums {
    sessions: u64,
    first: (UtcDay, Option<Timestamp>),
    last: (UtcDay, Option<Timestamp>),
}

/// What the days come to. Of the failures of a day no more than `kept_max` are kept singly, the newest.
fn history(since: UtcDay, until: UtcDay, days: Vec<(UtcDay, Held)>, kept_max: usize) -> History {
    let mut history = History {
        since: since.to_string(),
        until: until.to_string(),
        days: Vec::new(),
        total: ProtectedSessions::default(),
        failures: Vec::new(),
        deliveries: Vec::new(),
        not_noted: Vec::new(),
        not_held: Vec::new(),
        unreadable: Vec::new(),
    };
    let mut failures: BTreeMap<FailureKind, Sums> = BTreeMap::new();
    for (day, held) in days {
        let unreadable = |reason| UnreadableDay {
            day: day.to_string(),
            reason,
        };
        let (of_domain, singly) = match held {
            Held::NoCounts(deliveries) => {
                history.deliveries.extend(deliveries);
                // While the day runs nobody may have sent anything yet.
                if day != until {
                    history.not_held.push(day.to_string());
                }
                continue;
            }
            Held::Unreadable(reason) => {
                history.unreadable.push(unreadable(reason));
                continue;
            }
            Held::Day(of_domain, singly, trouble) => {
                history.unreadable.extend(trouble.map(unreadable));
                (of_domain, singly)
            }
        };
        add_failures(&mut failures, &of_domain, &singly, singly.len() >= kept_max);
        let counted = of_domain.counted.as_ref();
        let counted = counted.map_or(0, |day| day.successes().saturating_add(day.failures()));
        let protected = of_domain.protected;
        if protected.sessions > 0 {
            history.total = history.total.plus(&protected);
            let day = day.to_string();
            history.days.push(SecurityOfDay { day, protected });
        } else if counted > 0 {
            history.not_noted.push(day.to_string());
        }
        history.deliveries.extend(of_domain.deliveries);
    }
    let mut failures: Vec<_> = failures.into_iter().collect();
    failures.sort_by_key(|(_, sums)| Reverse((sums.last, sums.sessions)));
    history.failures = failures.into_iter().map(failure_seen).collect();
    history
}

fn add_failures(
    failures: &mut BTreeMap<FailureKind, Sums>,
    of_domain: &DayOfDomain,
    singly: &[FailureRecord],
    may_lack_first: bool,
) {
    let day = of_domain.day;
    let policies = of_domain.counted.iter().flat_map(|day| &day.policies);
    for (failure, sessions) in policies.flat_map(|totals| &totals.details) {
        let kind = FailureKind::from(failure);
        let sums = failures.entry(kind).or_insert(Sums {
            sessions: 0,
            first: (day, None),
            last: (day, None),
        });
        sums.sessions = sums.sessions.saturating_add(*sessions);
        if sums.last.0 != day {
            sums.last = (day, None);
        }
    }
    for record in singly {
        let Some(sums) = failures.get_mut(&FailureKind::from(&record.failure)) else {
            continue;
        };
        if sums.first.0 == day && !may_lack_first {
            let earlier = sums.first.1.map_or(record.at, |at| at.min(record.at));
            sums.first.1 = Some(earlier);
        }
        if sums.last.0 == day {
            sums.last.1 = sums.last.1.max(Some(record.at));
        }
    }
}

fn failure_seen((kind, sums): (FailureKind, Sums)) -> FailureSeen {
    FailureSeen {
        result_type: kind.result.name().to_owned(),
        reason: kind.reason,
        sessions: sums.sessions,
        first_day: sums.first.0.to_string(),
        last_day: sums.last.0.to_string(),
        first_at: sums.first.1.map(|at| at.to_string()),
        last_at: sums.last.1.map(|at| at.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{
        aggregate::{DomainDay, PolicyTotals},
        deliver::{DeliveryKey, DeliveryState, Step},
        policy::{AppliedPolicy, Destination},
        record::{Failure, Source},
    };

    const TODAY: UtcDay = UtcDay(20_000);

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn before(days: u32) -> UtcDay {
        UtcDay(TODAY.0 - days)
    }

    fn failure(reason: &str) -> Failure {
        Failure::of_policy(ResultType::CertificateExpired, reason)
    }

    /// A day with so many sessions by TLS, and these failures.
    fn day(day: UtcDay, tls: u64, details: &[(&str, u64)]) -> DayOfDomain {
        let totals = PolicyTotals {
            policy: AppliedPolicy::no_policy_found(domain()),
            successes: 1,
            failures: details.iter().map(|(_, sessions)| sessions).sum(),
            details: details
                .iter()
                .map(|(reason, sessions)| (failure(reason), *sessions))
                .collect(),
        };
        DayOfDomain {
            day,
            protected: ProtectedSessions {
                sessions: tls,
                tls,
                ..ProtectedSessions::default()
            },
            counted: Some(DomainDay {
                domain: domain(),
                day,
                recipients: 0,
                policies: vec![totals],
                seen: BTreeMap::new(),
            }),
            deliveries: Vec::new(),
        }
    }

    fn at(day: UtcDay, seconds: i64, reason: &str) -> FailureRecord {
        FailureRecord {
            at: day.first_second().plus_seconds(seconds),
            domain: domain(),
            policy: AppliedPolicy::no_policy_found(domain()).fingerprint(),
            source: Source::Mta,
            failure: failure(reason),
        }
    }

    #[test]
    fn days_are_told_by_what_protected_them_and_those_that_are_missing_or_damaged_by_why() {
        let days = vec![
            (before(4), Held::NoCounts(Vec::new())),
            (before(3), Held::Unreadable("it is damaged".to_owned())),
            (
                before(2),
                Held::Day(day(before(2), 0, &[]), Vec::new(), None),
            ),
            (
                before(1),
                Held::Day(day(before(1), 5, &[]), Vec::new(), Some("torn".to_owned())),
            ),
            (TODAY, Held::NoCounts(Vec::new())),
        ];
        let history = history(before(4), TODAY, days, 100);
        assert_eq!(history.since, before(4).to_string());
        assert_eq!(history.until, TODAY.to_string());
        assert_eq!(history.not_held, [before(4).to_string()]);
        let unreadable: Vec<_> = history
            .unreadable
            .iter()
            .map(|each| (each.day.as_str(), each.reason.as_str()))
            .collect();
        let (three, one) = (before(3).to_string(), before(1).to_string());
        assert_eq!(
            unreadable,
            [(three.as_str(), "it is damaged"), (one.as_str(), "torn")]
        );
        assert_eq!(history.not_noted, [before(2).to_string()]);
        assert_eq!(history.days.len(), 1);
        assert_eq!((history.total.sessions, history.total.tls), (5, 5));
    }

    #[test]
    fn a_day_of_which_only_reports_are_kept_shows_them_and_is_not_held() {
        let key = DeliveryKey {
            day: before(1),
            domain: domain(),
            destination: Destination::Mail("tlsrpt@example.org".to_owned()),
        };
        let state = DeliveryState {
            report_id: "1@sender.example".to_owned(),
            attempts: 1,
            first_attempt_at: None,
            step: Step::Sent(TODAY.first_second()),
        };
        let sent = DeliveryView::of(&key, &state);
        let days = vec![(before(1), Held::NoCounts(vec![sent.clone()]))];
        let history = history(before(1), TODAY, days, 100);
        assert_eq!(history.deliveries, [sent]);
        assert_eq!(history.not_held, [before(1).to_string()]);
        assert_eq!(history.not_noted, Vec::<String>::new());
    }

    #[test]
    fn a_way_to_fail_is_told_with_its_first_and_last_time() {
        let first = day(before(3), 4, &[("old", 2), ("both", 1)]);
        let last = day(before(1), 4, &[("both", 3)]);
        let singly = |list: &[(u32, i64, &str)]| -> Vec<_> {
            list.iter()
                .map(|(days, seconds, reason)| at(before(*days), *seconds, reason))
                .collect()
        };
        let held = |kept_max| {
            let days = vec![
                (
                    before(3),
                    Held::Day(
                        first.clone(),
                        singly(&[(3, 60, "both"), (3, 90, "both"), (3, 70, "old")]),
                        None,
                    ),
                ),
                (
                    before(1),
                    Held::Day(
                        last.clone(),
                        singly(&[(1, 10, "both"), (1, 30, "both")]),
                        None,
                    ),
                ),
            ];
            history(before(3), TODAY, days, kept_max).failures
        };
        let failures = held(100);
        let told: Vec<_> = failures
            .iter()
            .map(|each| (each.reason.as_deref().unwrap(), each.sessions))
            .collect();
        // What was seen last comes first.
        assert_eq!(told, [("both", 4), ("old", 2)]);
        let both = failures.first().unwrap();
        let moment = |days, seconds| {
            Some(
                before(days)
                    .first_second()
                    .plus_seconds(seconds)
                    .to_string(),
            )
        };
        assert_eq!(both.first_at, moment(3, 60));
        assert_eq!(both.last_at, moment(1, 30));
        assert_eq!(
            (&both.first_day, &both.last_day),
            (&before(3).to_string(), &before(1).to_string())
        );
        // Where earlier ones may have given way, the first that is left is not surely the first.
        let both = held(3).remove(0);
        assert_eq!((both.first_at, both.last_at), (None, moment(1, 30)));
    }
}
