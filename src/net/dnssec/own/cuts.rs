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
    /// It is a zone, signed.
    Secure(Arc<SecureZone>),
    /// It is a zone, and proven not to be signed; or that is not to be had, and such counts as unsigned.
    Unsigned,
}

/// The cuts, in bounded memory.
#[derive(Default)]
pub(super) struct Cuts {
    known: Mutex<HashMap<Name, (Timestamp, Cut)>>,
    /// Names that are being asked about: who comes later waits.
    turns: Mutex<HashMap<Name, Arc<tokio::sync::Mutex<()>>>>,
}

/// Some hundred octets for each, and a thousand where it is signed.
const CUTS_MAX: usize = 16_384;

/// However long a zone says: its keys may be withdrawn.
const SECONDS_MAX: u32 = 3_600;

/// A time to live of nothing would have one lookup ask for the same keys again and again.
const SECONDS_MIN: u32 = 5;

impl Cuts {
    /// What is known of a name.
    pub(super) fn known(&self, name: &Name, clock: &dyn Clock) -> Option<Cut> {
        let known = hold(&self.known);
        let (until, cut) = known.get(name)?;
        (clock.now() < *until).then(|| cut.clone())
    }

    /// Keeps what was proven of a name.
    pub(super) fn keep(&self, name: &Name, cut: &Cut, seconds: u32, clock: &dyn Clock) {
        let now = clock.now();
        let seconds = i64::from(seconds.clamp(SECONDS_MIN, SECONDS_MAX));
        let mut known = hold(&self.known);
        if known.len() >= CUTS_MAX {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= CUTS_MAX {
            known.clear();
        }
        known.insert(name.clone(), (now.plus_seconds(seconds), cut.clone()));
    }

    /// Forgets what is known of a name.
    pub(super) fn forget(&self, name: &Name) {
        hold(&self.known).remove(name);
    }

    /// Whoever holds its lock asks about the name.
    pub(super) fn turn(&self, name: &Name) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = hold(&self.turns);
        // Nobody waits any more for those that only we hold.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(name.clone()).or_default())
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
