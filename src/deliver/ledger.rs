//! The delivery states as the courier works with them: those on the disk, and what the disk still
//! owes.
//!
//! Two rules make a report leave once. Before the world can see a step, it is on the disk
//! ([`Ledger::write`]): a disk that refuses stops the step. After the world has seen one, it is true
//! whether the disk takes it or not ([`Ledger::record`]): a full disk then costs a second copy only
//! if the process ends before the disk takes it.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{DeliveryKey, DeliveryState, agenda::Errand, scribe::Scribe};
use crate::{
    clock::UtcDay,
    policy::{Destination, PolicyDomain},
    store::{Store, StoreError},
};

/// The states of one domain's report for one day.
pub(super) type States = BTreeMap<Destination, DeliveryState>;

/// The delivery states of every day that was loaded. Only the courier writes delivery states, so
/// what is here is what holds.
pub(super) struct Ledger {
    store: Arc<dyn Store>,
    scribe: Scribe,
    held: Mutex<Held>,
}

/// The same as it is held: most domains have one destination, and there may be a hundred thousand domains, for
/// each of which a map would take the room of eleven states.
type HeldStates = Vec<(Destination, DeliveryState)>;

#[derive(Default)]
struct Held {
    days: BTreeMap<UtcDay, BTreeMap<PolicyDomain, HeldStates>>,
    /// How many reports of a day each destination host gets, whatever became of them.
    hosts: BTreeMap<UtcDay, BTreeMap<String, usize>>,
    /// States that hold and that the disk has refused so far.
    owed: BTreeSet<DeliveryKey>,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            scribe: Scribe::new(Arc::clone(&store)),
            store,
            held: Mutex::default(),
        }
    }

    /// Reads a day's states, unless that was done before.
    pub(super) async fn load(&self, day: UtcDay) -> Result<(), StoreError> {
        if self.held().days.contains_key(&day) {
            return Ok(());
        }
        let stored = on_disk(&self.store, move |store| store.deliveries(day)).await?;
        let mut by_domain: BTreeMap<PolicyDomain, HeldStates> = BTreeMap::new();
        let mut by_host: BTreeMap<String, usize> = BTreeMap::new();
        for (key, state) in stored {
            *by_host.entry(key.destination.host()).or_default() += 1;
            // The store has each delivery once.
            let states = by_domain.entry(key.domain).or_default();
            states.reserve_exact(1);
            states.push((key.destination, state));
        }
        // Whoever loaded the day meanwhile may have gone on from there: the first one counts.
        let mut held = self.held();
        if let Entry::Vacant(place) = held.days.entry(day) {
            place.insert(by_domain);
            held.hosts.insert(day, by_host);
        }
        Ok(())
    }

    /// The states of one errand.
    pub(super) fn states(&self, errand: &Errand) -> States {
        let held = self.held();
        let of_day = held.days.get(&errand.day);
        of_day
            .and_then(|domains| domains.get(&errand.domain))
            .map(|states| states.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// How many reports of a loaded day this destination host gets.
    pub(super) fn reports_to(&self, host: &str, day: UtcDay) -> usize {
        let held = self.held();
        let of_day = held.hosts.get(&day);
        of_day
            .and_then(|hosts| hosts.get(host))
            .copied()
            .unwrap_or(0)
    }

    /// What is made of each domain of a loaded day that has states, one after the other: all of them at once
    /// would be a copy of the day.
    pub(super) fn of_day<T>(
        &self,
        day: UtcDay,
        mut made: impl FnMut(&PolicyDomain, &States) -> Option<T>,
    ) -> Vec<T> {
        let held = self.held();
        let domains = held.days.get(&day).into_iter().flatten();
        domains
            .filter_map(|(domain, states)| made(domain, &states.iter().cloned().collect()))
            .collect()
    }

    /// Every domain of a loaded day that has states.
    pub(super) fn domains(&self, day: UtcDay) -> Vec<PolicyDomain> {
        let held = self.held();
        let domains = held.days.get(&day).into_iter().flatten();
        domains.map(|(domain, _)| domain.clone()).collect()
    }

    /// Writes a state that the world has not seen yet. It holds once this returns `Ok`.
    pub(super) async fn write(
        &self,
        key: &DeliveryKey,
        state: &DeliveryState,
    ) -> Result<(), StoreError> {
        self.scribe.write(key, state).await?;
        let mut held = self.held();
        held.owed.remove(key);
        held.hold(key, state);
        Ok(())
    }

    /// Takes down what has happened. It holds in any case; an error says that the disk has yet to
    /// take it, by [`pay`](Self::pay).
    pub(super) async fn record(
        &self,
        key: &DeliveryKey,
        state: &DeliveryState,
    ) -> Result<(), StoreError> {
        {
            let mut held = self.held();
            held.hold(key, state);
            held.owed.insert(key.clone());
        }
        self.scribe.write(key, state).await?;
        self.held().owed.remove(key);
        Ok(())
    }

    /// Writes what the disk still owes, of one errand or of all.
    pub(super) async fn pay(&self, errand: Option<&Errand>) -> Result<(), StoreError> {
        let owed: Vec<(DeliveryKey, DeliveryState)> = {
            let held = self.held();
            let concerned = held.owed.iter().filter(|key| {
                errand.is_none_or(|errand| key.day == errand.day && key.domain == errand.domain)
            });
            concerned
                .filter_map(|key| held.state(key).map(|state| (key.clone(), state.clone())))
                .collect()
        };
        for (key, state) in owed {
            self.scribe.write(&key, &state).await?;
            self.held().owed.remove(&key);
        }
        Ok(())
    }

    /// Lets go of a day that the store has forgotten.
    pub(super) fn forget(&self, day: UtcDay) {
        let mut held = self.held();
        held.days.remove(&day);
        held.hosts.remove(&day);
        held.owed.retain(|key| key.day != day);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn hold(&mut self, key: &DeliveryKey, state: &DeliveryState) {
        let domains = self.days.entry(key.day).or_default();
        let states = domains.entry(key.domain.clone()).or_default();
        if let Some((_, before)) = states.iter_mut().find(|(to, _)| *to == key.destination) {
            before.clone_from(state);
            return;
        }
        states.reserve_exact(1);
        states.push((key.destination.clone(), state.clone()));
        let hosts = self.hosts.entry(key.day).or_default();
        *hosts.entry(key.destination.host()).or_default() += 1;
    }

    fn state(&self, key: &DeliveryKey) -> Option<&DeliveryState> {
        let states = self.days.get(&key.day)?.get(&key.domain)?;
        let mut of_destination = states.iter().filter(|(to, _)| *to == key.destination);
        of_destination.next().map(|(_, state)| state)
    }
}

/// Asks the store on a thread that may block.
pub(crate) async fn on_disk<T: Send + 'static>(
    store: &Arc<dyn Store>,
    question: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = Arc::clone(store);
    match tokio::task::spawn_blocking(move || question(&*store)).await {
        Ok(answer) => answer,
        // The engine panicked over its files, or the process is ending: the store answers nothing.
        Err(trouble) => Err(StoreError::Damaged {
            path: "(unknown)".to_owned(),
            reason: trouble.to_string(),
        }),
    }
}
