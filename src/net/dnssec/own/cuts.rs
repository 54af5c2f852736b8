//! Which names are zones of their own, as it was proven lately.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hickory_proto::rr::Name;

use super::signature::SecureZone;
use crate::clock::{Clock, Timestamp};

/// What the zone above says of a name.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// It is a name of that zone, or none at all.
    None,
    /// Nobody has proven anything. The strict way: as if it were a name of that zone, which is signed.
    NotProven,
    /// It is a zone, signed.
    Secure(Arc<SecureZone>),
    /// It is a zone, and proven not to be signed; or that is not to be had, and such counts as unsigned.
    Unsigned,
}

/// The cuts, in bounded memory.
#[derive(Default)]
pub(super) struct Cuts {
    known: Mutex<Known>,
    /// Names that are being asked about: who comes later waits.
    turns: Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Default)]
struct Known {
    by_name: HashMap<Name, Kept>,
    /// What all of it takes.
    octets: usize,
    swept: Option<Timestamp>,
}

struct Kept {
    cut: Cut,
    /// A clock that was set back says nothing of what came later by the old one.
    since: Timestamp,
    until: Timestamp,
    octets: usize,
}

/// How many names.
const CUTS_MAX: usize = 16_384;

/// What they may take. A signed zone with two keys takes about a thousand octets.
const OCTETS_MAX: usize = 16 << 20;

/// An entry without its name and its keys, about.
const OCTETS_OF_ONE: usize = 200;

/// How often what has run out is thrown away.
const SECONDS_BETWEEN_SWEEPS: i64 = 60;

/// However long a zone says: its keys may be withdrawn.
const SECONDS_MAX: u32 = 3_600;

/// A time to live of nothing would have one lookup ask for the same keys again and again.
pub(super) const SECONDS_MIN: u32 = 5;

impl Cuts {
    /// What is known of a name.
    pub(super) fn known(&self, name: &Name, clock: &dyn Clock) -> Option<Cut> {
        let known = hold(&self.known);
        let kept = known.by_name.get(name)?;
        kept.holds_at(clock.now()).then(|| kept.cut.clone())
    }

    /// Keeps what was proven of a name.
    pub(super) fn keep(&self, name: &Name, cut: &Cut, seconds: u32, clock: &dyn Clock) {
        let now = clock.now();
        let seconds = i64::from(seconds.clamp(SECONDS_MIN, SECONDS_MAX));
        let kept = Kept {
            cut: cut.clone(),
            since: now,
            until: now.plus_seconds(seconds),
            octets: OCTETS_OF_ONE + name.len() + cut.octets(),
        };
        hold(&self.known).insert(name, kept, now);
    }

    /// Forgets what is known of a name.
    pub(super) fn forget(&self, name: &Name) {
        hold(&self.known).remove(name);
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        *hold(&self.known) = Known::default();
    }

    /// Whoever holds its lock asks about the name.
    pub(super) fn turn(&self, name: &Name) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = hold(&self.turns);
        // Nobody waits any more for those that only we hold.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(name.clone()).or_default())
    }
}

impl Known {
    fn insert(&mut self, name: &Name, kept: Kept, now: Timestamp) {
        let since_swept = self.swept.map(|swept| now.seconds_since(swept));
        let is_time =
            since_swept.is_none_or(|seconds| !(0..SECONDS_BETWEEN_SWEEPS).contains(&seconds));
        if is_time || !self.has_room_for(&kept) {
            self.sweep(now);
        }
        if !self.has_room_for(&kept) {
            // Thousands of zones that hold: whoever made them has asked for each. All can be asked for again.
            self.by_name.clear();
            self.octets = 0;
        }
        self.remove(name);
        self.octets += kept.octets;
        self.by_name.insert(name.clone(), kept);
    }

    fn remove(&mut self, name: &Name) {
        if let Some(before) = self.by_name.remove(name) {
            self.octets -= before.octets;
        }
    }

    fn has_room_for(&self, kept: &Kept) -> bool {
        self.by_name.len() < CUTS_MAX && self.octets + kept.octets <= OCTETS_MAX
    }

    fn sweep(&mut self, now: Timestamp) {
        self.by_name.retain(|_, kept| kept.holds_at(now));
        self.octets = self.by_name.values().map(|kept| kept.octets).sum();
        self.swept = Some(now);
    }
}

impl Kept {
    fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

impl Cut {
    /// What its keys take.
    fn octets(&self) -> usize {
        match self {
            Self::Secure(zone) => zone.octets(),
            Self::None | Self::NotProven | Self::Unsigned => 0,
        }
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::dnssec::{Algorithm, PublicKeyBuf, rdata::DNSKEY};

    use super::*;
    use crate::{clock::StoppedClock, net::dnssec::own::signature::ZoneKey};

    const START: Timestamp = Timestamp(1_800_000_000);

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    /// A zone with as many and as long keys as are looked at.
    fn heavy(apex: &Name) -> Cut {
        let key = PublicKeyBuf::new(vec![7; 1_100], Algorithm::RSASHA256);
        let key = ZoneKey::of(DNSKEY::with_flags(256, key)).unwrap();
        Cut::Secure(Arc::new(SecureZone {
            apex: apex.clone(),
            keys: vec![key; 32],
            seconds: 60,
        }))
    }

    #[test]
    fn g6_zones_that_are_made_heavy_take_no_more_than_there_is() {
        let clock = StoppedClock::at(START);
        let cuts = Cuts::default();
        let octets_of_one = heavy(&name("a.test.")).octets();
        assert!(octets_of_one > 32 * 1_100);
        for number in 0..1_000 {
            let apex = name(&format!("d{number}.test."));
            cuts.keep(&apex, &heavy(&apex), 60, &clock);
            let known = hold(&cuts.known);
            assert!(known.octets <= OCTETS_MAX);
            let taken: usize = known.by_name.values().map(|kept| kept.octets).sum();
            assert_eq!(known.octets, taken);
            assert!(known.by_name.contains_key(&apex));
        }
        cuts.forget(&name("d999.test."));
        cuts.keep(&name("d998.test."), &Cut::Unsigned, 60, &clock);
        let known = hold(&cuts.known);
        let taken: usize = known.by_name.values().map(|kept| kept.octets).sum();
        assert_eq!(known.octets, taken);
    }

    #[test]
    fn g6_what_has_run_out_does_not_stay() {
        let clock = StoppedClock::at(START);
        let cuts = Cuts::default();
        for number in 0..100 {
            cuts.keep(&name(&format!("d{number}.test.")), &Cut::None, 10, &clock);
        }
        clock.advance_seconds(SECONDS_BETWEEN_SWEEPS);
        cuts.keep(&name("a.test."), &Cut::None, 10, &clock);
        assert_eq!(hold(&cuts.known).by_name.len(), 1);
    }

    #[test]
    fn what_is_known_holds_for_its_time_and_not_before_it() {
        let clock = StoppedClock::at(START);
        let cuts = Cuts::default();
        let apex = name("a.test.");
        cuts.keep(&apex, &Cut::Unsigned, 10, &clock);
        for (after_seconds, expected) in [(0, true), (9, true), (10, false), (-1, false)] {
            clock.set(START.plus_seconds(after_seconds));
            let known = cuts.known(&apex, &clock).is_some();
            assert_eq!(known, expected, "{after_seconds}");
        }
    }
}
