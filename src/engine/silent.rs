//! Attempts at delivery that nothing has been told of yet.
//!
//! A policy question of an MTA that tells its sessions is an attempt. A told session answers for the
//! attempts of its domain before it; what nothing was told of in time is what
//! [`infer`](crate::record::infer) decides about. Attempts of one domain at about one time wait
//! together. Bounded; an attempt that finds no room is not inferred from.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, policy::PolicyDomain, record::reconcile::Answered};

/// How many groups of attempts wait at most.
const GROUPS_MAX: usize = 200_000;

/// How long a group stays open is this part of the time that an MTA has to tell.
const OPEN_SHARE: i64 = 16;

/// The attempts of all domains.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    domains: HashMap<PolicyDomain, Vec<Group>>,
    /// Each group's domain, in the order in which they were begun.
    order: VecDeque<PolicyDomain>,
}

/// Attempts that were answered alike, at about one time of one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// When the group was begun.
    begun_at: Timestamp,
    /// When the last attempt was made that waits its full time.
    last_at: Timestamp,
    /// When the first was made of those that nothing was told of.
    pub(super) at: Timestamp,
    /// How they were answered.
    pub(super) answered: Arc<Answered>,
    /// How many there are that nothing was told of.
    pub(super) silent: u32,
    /// How many questions more there are that nothing was told of, each for another MX host of such an
    /// attempt or for another attempt.
    pub(super) further: u32,
    /// How many more, which a told session followed.
    pub(super) followed: u32,
    /// In how many of these the MTA met a host that it was held to pass over.
    pub(super) excluded_met: u32,
}

/// What a policy question begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An attempt.
    First,
    /// Another attempt, or the next MX host of one.
    Further,
}

impl Group {
    fn count(&mut self, step: Step, now: Timestamp) {
        if self.silent == 0 && self.further == 0 {
            self.at = now;
        }
        let counted = match step {
            Step::First => &mut self.silent,
            Step::Further => &mut self.further,
        };
        *counted = counted.saturating_add(1);
    }
}

impl Pending {
    /// An attempt, or what may be one, answered so.
    pub(super) fn add(
        &self,
        domain: &PolicyDomain,
        answered: &Arc<Answered>,
        step: Step,
        now: Timestamp,
        silent_seconds: i64,
    ) {
        let mut queue = self.queue();
        let has_room = queue.order.len() < GROUPS_MAX;
        let groups = match queue.domains.get_mut(domain) {
            Some(groups) => groups,
            None if has_room => queue.domains.entry(domain.clone()).or_default(),
            None => return,
        };
        let open_seconds = (silent_seconds / OPEN_SHARE).max(1);
        let last = groups.last_mut().filter(|group| {
            group.begun_at.day() == now.day() && Arc::ptr_eq(&group.answered, answered)
        });
        let is_open = |group: &Group| {
            let age = now.seconds_since(group.begun_at);
            (0..open_seconds).contains(&age)
        };
        match last {
            // Where there is no room for another, it may wait less.
            Some(group) if !has_room || is_open(group) => {
                if is_open(group) {
                    group.last_at = now;
                }
                group.count(step, now);
            }
            _ if has_room => {
                let mut group = Group {
                    begun_at: now,
                    last_at: now,
                    at: now,
                    answered: Arc::clone(answered),
                    silent: 0,
                    further: 0,
                    followed: 0,
                    excluded_met: 0,
                };
                group.count(step, now);
                groups.push(group);
                queue.order.push_back(domain.clone());
            }
            _ => {}
        }
    }

    /// So many sessions of the domain are told. `met_excluded` says whether they were with a host that an MTA
    /// that was answered so is held to pass over.
    pub(super) fn told(
        &self,
        domain: &PolicyDomain,
        sessions: u32,
        met_excluded: impl Fn(&Answered) -> bool,
    ) {
        let mut excluded_met = sessions;
        let mut queue = self.queue();
        let Some(groups) = queue.domains.get_mut(domain) else {
            return;
        };
        for group in groups {
            group.followed = group.followed.saturating_add(group.silent);
            group.silent = 0;
            group.further = 0;
            if !met_excluded(&group.answered) {
                continue;
            }
            let met = excluded_met.min(group.followed.saturating_sub(group.excluded_met));
            group.excluded_met += met;
            excluded_met -= met;
        }
    }

    /// What is due `now`, taken out: for longer than `silent_seconds` nothing was told of it, or the
    /// clock was set back as far.
    pub(super) fn take_due(
        &self,
        now: Timestamp,
        silent_seconds: i64,
    ) -> Vec<(PolicyDomain, Group)> {
        let mut queue = self.queue();
        let mut due = Vec::new();
        while let Some(first) = queue.first() {
            let age = now.seconds_since(first.last_at);
            if age < silent_seconds && age > -silent_seconds {
                break;
            }
            due.extend(queue.take_first());
        }
        due
    }

    /// Everything.
    pub(super) fn take_all(&self) -> Vec<(PolicyDomain, Group)> {
        let mut queue = self.queue();
        std::iter::from_fn(|| queue.take_first()).collect()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whole at every moment, whatever another thread died of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The group that was begun first.
    fn first(&self) -> Option<&Group> {
        self.domains.get(self.order.front()?)?.first()
    }

    fn take_first(&mut self) -> Option<(PolicyDomain, Group)> {
        let domain = self.order.pop_front()?;
        let groups = self.domains.get_mut(&domain)?;
        let group = (!groups.is_empty()).then(|| groups.remove(0));
        if groups.is_empty() {
            self.domains.remove(&domain);
        }
        Some((domain, group?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::Standing, record::reconcile::Demand};

    const SILENT: i64 = 160;

    fn answered() -> Arc<Answered> {
        Arc::new(Answered {
            standing: Standing::without_policy("example.org".parse().unwrap()),
            demand: Demand::Nothing,
            dane: None,
        })
    }

    fn domain(number: usize) -> PolicyDomain {
        format!("{number}.example").parse().unwrap()
    }

    /// `at silent+followed-excluded_met` of each group that is due.
    fn due(pending: &Pending, now: i64) -> Vec<String> {
        let due = pending.take_due(Timestamp(now), SILENT);
        let words = |(_, group): &(_, Group)| {
            let Group {
                at,
                silent,
                followed,
                excluded_met,
                ..
            } = group;
            format!("{} {silent}+{followed}-{excluded_met}", at.0)
        };
        due.iter().map(words).collect()
    }

    #[test]
    fn attempts_at_about_one_time_wait_together() {
        let (pending, answered) = (Pending::default(), answered());
        for at in [1_000, 1_009, 1_010, 1_030] {
            pending.add(&domain(0), &answered, Step::First, Timestamp(at), SILENT);
        }
        pending.add(&domain(1), &answered, Step::First, Timestamp(1_040), SILENT);
        assert!(
            due(&pending, 1_168).is_empty(),
            "the second has waited 159 seconds"
        );
        assert_eq!(due(&pending, 1_169), ["1000 2+0-0"]);
        assert_eq!(
            due(&pending, 1_200),
            ["1010 1+0-0", "1030 1+0-0", "1040 1+0-0"]
        );
        assert!(due(&pending, 9_999).is_empty());
        let queue = pending.queue();
        assert!(queue.domains.is_empty() && queue.order.is_empty());
    }

    #[test]
    fn told_sessions_answer_for_those_before_them() {
        let (pending, answered) = (Pending::default(), answered());
        for at in [1_000, 1_000, 1_020] {
            pending.add(&domain(0), &answered, Step::First, Timestamp(at), SILENT);
        }
        pending.told(&domain(0), 3, |_| false);
        pending.add(&domain(0), &answered, Step::First, Timestamp(1_025), SILENT);
        pending.told(&domain(1), 5, |_| true);
        pending.told(&domain(0), 3, |_| true);
        pending.add(&domain(0), &answered, Step::First, Timestamp(1_026), SILENT);
        assert_eq!(due(&pending, 2_000), ["1000 0+2-2", "1026 1+2-1"]);
    }

    #[test]
    fn a_clock_set_back_keeps_nothing_waiting_for_ever() {
        let (pending, answered) = (Pending::default(), answered());
        pending.add(
            &domain(0),
            &answered,
            Step::First,
            Timestamp(10_000),
            SILENT,
        );
        assert!(due(&pending, 9_990).is_empty());
        assert_eq!(due(&pending, 5_000), ["10000 1+0-0"]);
    }

    #[test]
    fn g6_groups_are_bounded_and_nothing_waits_longer_for_it() {
        let (pending, answered) = (Pending::default(), answered());
        for number in 0..GROUPS_MAX + 5 {
            pending.add(
                &domain(number),
                &answered,
                Step::First,
                Timestamp(1_000),
                SILENT,
            );
        }
        // For these there is a group, though its time is over.
        for at in [1_009, 1_100] {
            pending.add(&domain(0), &answered, Step::First, Timestamp(at), SILENT);
        }
        assert_eq!(pending.queue().domains.len(), GROUPS_MAX);
        let first = due(&pending, 1_169);
        assert_eq!((first.len(), &first[0][..]), (GROUPS_MAX, "1000 3+0-0"));
    }
}
