//! What the DNS said, kept as long as it lets it be, in bounded memory.

use std::{borrow::Borrow, hash::Hash, sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    engine::memory::Memory,
    policy::dane::{DomainDane, HostFound},
};

use super::{
    desk::Said,
    lookups::{ExchangesFound, HostLookup},
};

/// A value, and how long it may be relied on.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    /// When it was learned.
    pub(super) since: Timestamp,
    /// From when on the DNS is to be asked again.
    pub(super) until: Timestamp,
}

impl<T> Kept<T> {
    /// Whether it may be relied on. Not where the clock was set back since.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        (self.since..self.until).contains(&now)
    }
}

/// How long answers are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    seconds_max: i64,
}

/// However short a time to live, so long one answer serves all who ask.
const SECONDS_MIN: i64 = 5;

/// A lookup that failed is tried again after so long: mail waits for it.
const FAILED_SECONDS: i64 = 30;

impl Lives {
    pub(super) fn new(seconds_max: i64) -> Self {
        Self {
            seconds_max: seconds_max.max(1),
        }
    }

    /// Until when an answer of now may be kept.
    pub(super) fn of_answer(self, now: Timestamp, time_to_live: Duration) -> Timestamp {
        let seconds = i64::try_from(time_to_live.as_secs()).unwrap_or(i64::MAX);
        now.plus_seconds(seconds.max(SECONDS_MIN).min(self.seconds_max))
    }

    /// Until when a failure of now is not tried again.
    pub(super) fn of_failure(self, now: Timestamp) -> Timestamp {
        now.plus_seconds(FAILED_SECONDS.min(self.seconds_max))
    }
}

/// Values by their keys, bounded in number, and where values are large in a far smaller number: a domain
/// may publish as many and as large records as go into a message of the DNS.
#[derive(Debug)]
pub(super) struct Shelf<K, V> {
    light: Memory<K, V>,
    heavy: Memory<K, V>,
}

/// How many values there are of a kind.
const LIGHT_MAX: usize = 20_000;
const HEAVY_MAX: usize = 128;
/// From so many octets on a value is heavy: a hundred digests are not.
const HEAVY_OCTETS: usize = 4_096;

impl<K: Clone + Eq + Hash, V: Weight> Shelf<K, V> {
    pub(super) fn new() -> Self {
        Self {
            light: Memory::new(LIGHT_MAX),
            heavy: Memory::new(HEAVY_MAX),
        }
    }

    pub(super) fn recall<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.light.recall(key).or_else(|| self.heavy.recall(key))
    }

    pub(super) fn remember(&self, key: &K, value: Arc<V>) {
        let (to, other) = if value.octets() >= HEAVY_OCTETS {
            (&self.heavy, &self.light)
        } else {
            (&self.light, &self.heavy)
        };
        to.remember(key, value);
        other.forget(key);
    }
}

/// How much of the memory a value takes that others chose the size of.
pub(super) trait Weight {
    /// About so many octets.
    fn octets(&self) -> usize;
}

/// What a name, with what belongs to it, takes.
const NAME_OCTETS: usize = 32;

impl Weight for Kept<ExchangesFound> {
    fn octets(&self) -> usize {
        let Ok(exchanges) = &self.value else {
            return 0;
        };
        exchanges
            .published()
            .iter()
            .map(|exchange| exchange.host.as_str().len() + NAME_OCTETS)
            .sum()
    }
}

impl Weight for Kept<HostLookup> {
    fn octets(&self) -> usize {
        match &self.value.found {
            HostFound::Records(records) => records.octets(),
            HostFound::Nothing(_) | HostFound::NoAddress(_) | HostFound::Unreachable(_) => 0,
        }
    }
}

impl Weight for Kept<Said> {
    fn octets(&self) -> usize {
        self.value.dane.octets()
    }
}

impl Weight for Kept<Arc<DomainDane>> {
    fn octets(&self) -> usize {
        DomainDane::octets(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Heavy(usize);

    impl Weight for Heavy {
        fn octets(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn g6_few_large_values_are_kept_and_they_crowd_out_no_small_ones() {
        let shelf: Shelf<usize, Heavy> = Shelf::new();
        for key in 0..1_000 {
            shelf.remember(&key, Arc::new(Heavy(10)));
        }
        for key in 1_000..5_000 {
            shelf.remember(&key, Arc::new(Heavy(60_000)));
        }
        let held = |keys: std::ops::Range<usize>| keys.filter(|key| shelf.recall(key).is_some());
        assert_eq!(held(0..1_000).count(), 1_000);
        assert!(held(1_000..5_000).count() <= HEAVY_MAX);
        // One that grows or shrinks is there once.
        shelf.remember(&1, Arc::new(Heavy(60_000)));
        assert!(shelf.light.recall(&1).is_none());
        shelf.remember(&1, Arc::new(Heavy(1)));
        assert!(shelf.heavy.recall(&1).is_none());
        assert_eq!(shelf.recall(&1).unwrap().0, 1);
    }

    #[test]
    fn a_time_to_live_is_bounded_on_both_sides() {
        let now = Timestamp(1_000);
        for (seconds_max, time_to_live, expected) in [
            (3_600, 300, 300),
            (3_600, 0, 5),
            (3_600, 86_400, 3_600),
            (3_600, u64::MAX, 3_600),
            (2, 0, 2),
            (0, 300, 1),
        ] {
            let until = Lives::new(seconds_max).of_answer(now, Duration::from_secs(time_to_live));
            assert_eq!(
                until.seconds_since(now),
                expected,
                "{seconds_max} {time_to_live}"
            );
        }
        assert_eq!(Lives::new(3_600).of_failure(now), Timestamp(1_030));
        assert_eq!(Lives::new(10).of_failure(now), Timestamp(1_010));
    }
}
