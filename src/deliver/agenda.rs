//! Which domain's report is looked at next. Pure: it holds moments and is told the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    clock::{Timestamp, UtcDay},
    policy::PolicyDomain,
};

/// One domain's report for one day, with all its destinations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errand {
    /// The UTC day.
    pub day: UtcDay,
    /// The domain.
    pub domain: PolicyDomain,
}

/// The errands that are still to be run, each with its moment or with what it waits for.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    queue: BTreeMap<Timestamp, BTreeSet<Errand>>,
    moments: BTreeMap<Errand, Timestamp>,
    /// By destination host: errands that wait until fewer reports are on their way there.
    parked: BTreeMap<String, VecDeque<Errand>>,
}

impl Agenda {
    /// Notes an errand for a moment, in place of any moment noted for it before.
    pub fn put(&mut self, at: Timestamp, errand: Errand) {
        if let Some(before) = self.moments.insert(errand.clone(), at) {
            self.strike(before, &errand);
        }
        self.queue.entry(at).or_default().insert(errand);
    }

    /// Takes an errand whose moment has come, the longest due first.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Errand> {
        let (at, errands) = self.queue.first_key_value()?;
        if *at > now {
            return None;
        }
        let (at, errand) = (*at, errands.first()?.clone());
        self.strike(at, &errand);
        self.moments.remove(&errand);
        Some(errand)
    }

    /// The first moment after `now` at which an errand falls due.
    #[must_use]
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let mut later = self.queue.range(now.plus_seconds(1)..);
        later.next().map(|(at, _)| *at)
    }

    /// Lets an errand wait until there is room on the way to a host.
    pub fn park(&mut self, host: &str, errand: Errand) {
        self.parked
            .entry(host.to_owned())
            .or_default()
            .push_back(errand);
    }

    /// Makes parked errands due now, as many for each host as `room` says there is on the way to it.
    pub fn unpark(&mut self, now: Timestamp, room: impl Fn(&str) -> usize) {
        let mut freed = Vec::new();
        self.parked.retain(|host, waiting| {
            let count = room(host).min(waiting.len());
            freed.extend(waiting.drain(..count));
            !waiting.is_empty()
        });
        for errand in freed {
            self.put(now, errand);
        }
    }

    /// Is nothing due, now or later, and nothing parked?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.parked.is_empty()
    }

    /// Takes an errand off its moment, and the moment away when nothing is left of it.
    fn strike(&mut self, at: Timestamp, errand: &Errand) {
        if let Some(errands) = self.queue.get_mut(&at) {
            errands.remove(errand);
            if errands.is_empty() {
                self.queue.remove(&at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(domain: &str) -> Errand {
        Errand {
            day: UtcDay(20_780),
            domain: domain.parse().unwrap(),
        }
    }

    #[test]
    fn errands_come_in_the_order_of_their_moments_and_once() {
        let mut agenda = Agenda::default();
        agenda.put(Timestamp(30), errand("c.example"));
        agenda.put(Timestamp(10), errand("b.example"));
        agenda.put(Timestamp(10), errand("a.example"));
        agenda.put(Timestamp(20), errand("a.example"));
        assert_eq!(agenda.take_due(Timestamp(9)), None);
        assert_eq!(agenda.take_due(Timestamp(20)), Some(errand("b.example")));
        assert_eq!(agenda.next_after(Timestamp(20)), Some(Timestamp(30)));
        assert_eq!(agenda.take_due(Timestamp(20)), Some(errand("a.example")));
        assert_eq!(agenda.take_due(Timestamp(20)), None);
        assert!(!agenda.is_empty());
        assert_eq!(agenda.take_due(Timestamp(30)), Some(errand("c.example")));
        assert!(agenda.is_empty());
        assert_eq!(agenda.next_after(Timestamp(0)), None);
    }

    #[test]
    fn a_busy_host_holds_up_only_its_own_errands() {
        let mut agenda = Agenda::default();
        for domain in ["a.example", "b.example", "c.example"] {
            agenda.park("busy.example", errand(domain));
        }
        agenda.park("free.example", errand("d.example"));
        let now = Timestamp(5);
        agenda.unpark(now, |host| if host == "free.example" { 2 } else { 0 });
        assert_eq!(agenda.take_due(now), Some(errand("d.example")));
        assert_eq!(agenda.take_due(now), None);
        agenda.unpark(now, |_| 2);
        assert_eq!(agenda.take_due(now), Some(errand("a.example")));
        assert_eq!(agenda.take_due(now), Some(errand("b.example")));
        assert!(!agenda.is_empty());
        agenda.unpark(now, |_| 2);
        assert_eq!(agenda.take_due(now), Some(errand("c.example")));
        assert!(agenda.is_empty());
    }
}
