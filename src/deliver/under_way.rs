//! What is under way at this moment, and how much more may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::agenda::Errand;

/// How many reports are on their way to one destination host at once.
// OURS: thousands of domains may name one provider's mailbox; its hosts are neither struck with all
// of them together, nor may they, when slow, hold up the reports to everybody else.
pub(super) const PER_HOST_MAX: usize = 2;

/// The errands being run and the places taken on the way to each host.
#[derive(Debug)]
pub(super) struct UnderWay {
    errands_max: usize,
    held: Mutex<Held>,
    freed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Held {
    errands: BTreeSet<Errand>,
    hosts: BTreeMap<String, usize>,
}

/// Whether an errand may be run now.
pub(super) enum Admission {
    /// Yes, until this is dropped.
    Granted(Place),
    /// Somebody runs it already.
    Running,
    /// Enough others are being run.
    Full,
}

/// Something taken; dropping it gives it back and wakes those who wait.
#[derive(Debug)]
pub(super) struct Place {
    from: Arc<UnderWay>,
    what: What,
}

#[derive(Debug)]
enum What {
    Errand(Errand),
    Host(String),
}

impl UnderWay {
    /// Nothing is under way; at most `errands_max` errands, and at least one, will be.
    pub(super) fn new(errands_max: usize) -> Arc<Self> {
        Arc::new(Self {
            errands_max: errands_max.max(1),
            held: Mutex::default(),
            freed: watch::Sender::new(0),
        })
    }

    /// Asks to run an errand.
    pub(super) fn admit(self: &Arc<Self>, errand: &Errand) -> Admission {
        let mut held = self.held();
        if held.errands.contains(errand) {
            return Admission::Running;
        }
        if held.errands.len() >= self.errands_max {
            return Admission::Full;
        }
        held.errands.insert(errand.clone());
        Admission::Granted(Place {
            from: Arc::clone(self),
            what: What::Errand(errand.clone()),
        })
    }

    /// Takes a place on the way to a host, if there is one.
    pub(super) fn take_host(self: &Arc<Self>, host: &str) -> Option<Place> {
        let mut held = self.held();
        let taken = held.hosts.entry(host.to_owned()).or_insert(0);
        if *taken >= PER_HOST_MAX {
            return None;
        }
        *taken += 1;
        Some(Place {
            from: Arc::clone(self),
            what: What::Host(host.to_owned()),
        })
    }

    /// How many more may go to a host.
    pub(super) fn room_for(&self, host: &str) -> usize {
        PER_HOST_MAX.saturating_sub(self.held().hosts.get(host).copied().unwrap_or(0))
    }

    /// Changes whenever something was given back.
    pub(super) fn freed(&self) -> watch::Receiver<u64> {
        self.freed.subscribe()
    }

    /// Wakes those who wait, as if something had been given back.
    pub(super) fn wake(&self) {
        self.freed
            .send_modify(|times| *times = times.wrapping_add(1));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.from.held();
        match &self.what {
            What::Errand(errand) => {
                held.errands.remove(errand);
            }
            What::Host(host) => {
                if let Some(taken) = held.hosts.get_mut(host) {
                    *taken = taken.saturating_sub(1);
                    if *taken == 0 {
                        held.hosts.remove(host);
                    }
                }
            }
        }
        drop(held);
        self.from.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UtcDay;

    #[test]
    fn an_errand_is_run_once_at_a_time_and_places_come_back() {
        let under_way = UnderWay::new(2);
        let errand = |domain: &str| Errand {
            day: UtcDay(1),
            domain: domain.parse().unwrap(),
        };
        let first = under_way.admit(&errand("a.example"));
        assert!(matches!(first, Admission::Granted(_)));
        assert!(matches!(
            under_way.admit(&errand("a.example")),
            Admission::Running
        ));
        let second = under_way.admit(&errand("b.example"));
        assert!(matches!(
            under_way.admit(&errand("c.example")),
            Admission::Full
        ));
        let mut freed = under_way.freed();
        freed.borrow_and_update();
        drop(second);
        assert!(freed.has_changed().unwrap());
        assert!(matches!(
            under_way.admit(&errand("c.example")),
            Admission::Granted(_)
        ));

        let places: Vec<_> = (0..PER_HOST_MAX)
            .map(|_| under_way.take_host("mx").unwrap())
            .collect();
        assert!(under_way.take_host("mx").is_none());
        assert_eq!(under_way.room_for("mx"), 0);
        assert_eq!(under_way.room_for("other"), PER_HOST_MAX);
        drop(places);
        assert_eq!(under_way.room_for("mx"), PER_HOST_MAX);
    }
}
