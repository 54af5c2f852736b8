//! One lookup at a time for each name, for any number of those who ask.
//!
//! A lookup is a task of its own: whoever waits for it may give up at a deadline, and it goes on, so that
//! the next one to ask finds its result.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The lookups under way.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    in_the_air: InTheAir<K, V>,
}

/// A lookup under way, as one of those who wait for it sees it.
#[derive(Debug)]
pub(super) struct Flight<V> {
    outcome: watch::Receiver<Option<V>>,
}

type InTheAir<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

/// Nothing was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Grounded {
    /// More is being looked up than this host will do at once.
    #[error("too much is being looked up at once")]
    Busy,
    /// The program is stopping, or the lookup died.
    #[error("the lookup was stopped")]
    Stopped,
}

/// How many lookups of a kind may be under way.
const FLIGHTS_MAX: usize = 16_384;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            in_the_air: Arc::default(),
        }
    }

    /// Begins the work, unless the same work is under way.
    pub(super) fn board<Work>(
        &self,
        key: &K,
        work: impl FnOnce() -> Work,
    ) -> Result<Flight<V>, Grounded>
    where
        Work: Future<Output = V> + Send + 'static,
    {
        let mut in_the_air = hold(&self.in_the_air);
        if let Some(outcome) = in_the_air.get(key) {
            let outcome = outcome.clone();
            return Ok(Flight { outcome });
        }
        if in_the_air.len() >= FLIGHTS_MAX {
            return Err(Grounded::Busy);
        }
        let (sender, outcome) = watch::channel(None);
        in_the_air.insert(key.clone(), outcome.clone());
        let landing = Landing {
            in_the_air: Arc::clone(&self.in_the_air),
            key: key.clone(),
        };
        let work = work();
        tokio::spawn(async move {
            let outcome = work.await;
            // Off the list first: who comes now finds the result in memory.
            drop(landing);
            sender.send_replace(Some(outcome));
        });
        Ok(Flight { outcome })
    }
}

impl<V: Clone> Flight<V> {
    /// Waits for what comes of it.
    pub(super) async fn landed(mut self) -> Result<V, Grounded> {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().ok_or(Grounded::Stopped),
            Err(_) => Err(Grounded::Stopped),
        }
    }
}

/// Takes the lookup off the list, also when its task panics or is stopped.
struct Landing<K: Eq + Hash, V> {
    in_the_air: InTheAir<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        hold(&self.in_the_air).remove(&self.key);
    }
}

fn hold<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another thread while it held the lock leaves a map that is still whole.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lookup_that_dies_leaves_no_flight_behind() {
        let flights: Flights<u8, u8> = Flights::new();
        let flight = flights.board(&1, || async { panic!("on purpose") });
        assert_eq!(flight.unwrap().landed().await, Err(Grounded::Stopped));
        let flight = flights.board(&1, || async { 7 });
        assert_eq!(flight.unwrap().landed().await, Ok(7));
    }

    #[tokio::test]
    async fn a_lookup_goes_on_when_nobody_waits_any_more() {
        let flights: Flights<u8, u8> = Flights::new();
        let (done, mut is_done) = watch::channel(false);
        let flight = flights.board(&1, || async move {
            done.send_replace(true);
            7
        });
        drop(flight);
        assert!(is_done.wait_for(|done| *done).await.is_ok());
    }
}
