//! What is under way at this moment, and how much more may be.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::agenda::Errand;
use crate::clock::Timestamp;

/// What one destination host is spared.
// OURS: thousands of domains may name one provider's mailbox; its hosts are neither struck with all
// of them together, nor may they, when slow, hold up the reports to everybody else (G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// How many reports are on their way to it at once; at least one.
    pub at_once_max: usize,
    /// How many attempts begin within a minute; 0: any number.
    pub per_minute_max: usize,
}

/// The minute of [`HostLimits::per_minute_max`].
const MINUTE_SECONDS: i64 = 60;

/// As many hosts are held before those that nothing goes to any longer are looked for.
const HOSTS_HELD: usize = 1_024;

/// The errands being run and the places taken on the way to each host.
#[derive(Debug)]
pub(super) struct UnderWay {
    errands_max: usize,
    limits: HostLimits,
    held: Mutex<Held>,
    freed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Held {
    errands: BTreeSet<Errand>,
    hosts: BTreeMap<String, Traffic>,
    /// With so many hosts, those of the past are let go of.
    hosts_full: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            errands: BTreeSet::new(),
            hosts: BTreeMap::new(),
            hosts_full: HOSTS_HELD,
        }
    }
}

impl Held {
    /// Lets go of the hosts of the past when there are many.
    fn pass_time(&mut self, now: Timestamp) {
        if self.hosts.len() < self.hosts_full {
            return;
        }
        self.hosts.retain(|_, traffic| {
            traffic.pass_time(now);
            !traffic.is_none()
        });
        // Of a busy minute all are of the present. Twice as many may come until they are looked through
        // again, so that each costs a few looks, however many there are.
        self.hosts_full = HOSTS_HELD.max(self.hosts.len().saturating_mul(2));
    }
}

/// What goes to one host.
#[derive(Debug, Default)]
struct Traffic {
    /// How many reports are on their way.
    at_once: usize,
    /// When the attempts of the last minute began, the oldest first.
    begun: VecDeque<Timestamp>,
}

impl Traffic {
    /// Lets go of what began more than a minute ago, or in a future that a wrong clock saw.
    fn pass_time(&mut self, now: Timestamp) {
        self.begun
            .retain(|at| (0..MINUTE_SECONDS).contains(&now.seconds_since(*at)));
    }

    fn is_none(&self) -> bool {
        self.at_once == 0 && self.begun.is_empty()
    }
}

/// Why there is no place on the way to a host now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Enough are on their way.
    AtOnce,
    /// Enough began within a minute; the next may begin then.
    Until(Timestamp),
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
    pub(super) fn new(errands_max: usize, limits: HostLimits) -> Arc<Self> {
        Arc::new(Self {
            errands_max: errands_max.max(1),
            limits,
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

    /// Takes a place on the way to a host, for an attempt that begins now.
    pub(super) fn take_host(self: &Arc<Self>, host: &str, now: Timestamp) -> Result<Place, Busy> {
        let mut held = self.held();
        held.pass_time(now);
        let traffic = held.hosts.entry(host.to_owned()).or_default();
        traffic.pass_time(now);
        if traffic.at_once >= self.limits.at_once_max.max(1) {
            return Err(Busy::AtOnce);
        }
        let per_minute_max = self.limits.per_minute_max;
        if per_minute_max > 0 {
            if let Some(oldest) = traffic.begun.front()
                && traffic.begun.len() >= per_minute_max
            {
                return Err(Busy::Until(oldest.plus_seconds(MINUTE_SECONDS)));
            }
            traffic.begun.push_back(now);
        }
        traffic.at_once += 1;
        Ok(Place {
            from: Arc::clone(self),
            what: What::Host(host.to_owned()),
        })
    }

    /// How many more may be on their way to a host.
    pub(super) fn room_for(&self, host: &str) -> usize {
        let held = self.held();
        let taken = held.hosts.get(host).map_or(0, |traffic| traffic.at_once);
        self.limits.at_once_max.max(1).saturating_sub(taken)
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
                if let Some(traffic) = held.hosts.get_mut(host) {
                    traffic.at_once = traffic.at_once.saturating_sub(1);
                    if traffic.is_none() {
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
        let limits = HostLimits {
            at_once_max: 2,
            per_minute_max: 0,
        };
        let under_way = UnderWay::new(2, limits);
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

        let now = Timestamp(1_000);
        let take = || under_way.take_host("mx", now);
        let places = [take().unwrap(), take().unwrap()];
        assert_eq!(take().unwrap_err(), Busy::AtOnce);
        assert_eq!(under_way.room_for("mx"), 0);
        assert_eq!(under_way.room_for("other"), 2);
        drop(places);
        assert_eq!(under_way.room_for("mx"), 2);
    }

    #[test]
    fn g2_so_many_attempts_begin_within_a_minute_and_the_next_waits_its_turn() {
        let limits = HostLimits {
            at_once_max: 10,
            per_minute_max: 2,
        };
        let under_way = UnderWay::new(2, limits);
        let take = |host: &str, at| under_way.take_host(host, Timestamp(at)).map(drop);
        assert_eq!(take("mx", 1_000), Ok(()));
        assert_eq!(take("mx", 1_030), Ok(()));
        assert_eq!(take("mx", 1_031), Err(Busy::Until(Timestamp(1_060))));
        assert_eq!(take("other", 1_031), Ok(()), "each host by itself");
        assert_eq!(take("mx", 1_060), Ok(()));
        assert_eq!(take("mx", 1_089), Err(Busy::Until(Timestamp(1_090))));
        assert_eq!(take("mx", 500), Ok(()), "the clock was set back");
        for number in 0..HOSTS_HELD {
            assert_eq!(take(&format!("h{number}"), 2_000), Ok(()));
        }
        assert!(
            under_way.held().hosts.len() <= HOSTS_HELD,
            "the past is let go of"
        );
    }
}
