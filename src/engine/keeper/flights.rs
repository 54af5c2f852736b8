//! One errand at a time for each domain, for any number of those who ask (B17).
//!
//! An errand is a task of its own: whoever waits for it may give up at a deadline, and it goes on,
//! so that the next one to ask finds its result.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::Unknown;
use crate::policy::{PolicyDomain, Standing};

/// What is to be done for a domain. Of the first four each does all that those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// Answer from memory, or look the record up and fetch what is new.
    Ask,
    /// Look the record up, whatever memory says.
    Recheck,
    /// Fetch the policy again, whatever the record says.
    Refresh,
    /// The same at the operator's wish, not minding that a fetch has just failed.
    Order,
    /// Drop the kept policy if it has expired.
    DropExpired,
    /// Drop the kept policy.
    Purge,
}

impl Errand {
    /// Whether this one in the air does what `wanted` would.
    fn covers(self, wanted: Self) -> bool {
        self == wanted || (self <= Self::Order && wanted <= self)
    }
}

/// What comes of an errand.
pub(super) type Outcome = Result<Standing, Unknown>;

/// The errands under way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    in_the_air: Arc<Mutex<HashMap<PolicyDomain, Flight>>>,
}

#[derive(Clone, Debug)]
struct Flight {
    errand: Errand,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// How many errands may be under way; whoever asks for one more is told that nothing is known.
const FLIGHTS_MAX: usize = 16_384;

impl Flights {
    /// Runs an errand, or waits for one that does the same. An errand of another kind is waited for
    /// first, because two at once would overwrite each other's result.
    pub(super) async fn fly<Work>(
        &self,
        domain: &PolicyDomain,
        errand: Errand,
        work: impl Fn() -> Work,
    ) -> Outcome
    where
        Work: Future<Output = Outcome> + Send + 'static,
    {
        loop {
            let mut flight = self.board(domain, errand, &work)?;
            let outcome = match flight.outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            };
            if flight.errand.covers(errand) {
                return outcome.unwrap_or(Err(Unknown::Stopped));
            }
        }
    }

    fn board<Work>(
        &self,
        domain: &PolicyDomain,
        errand: Errand,
        work: &impl Fn() -> Work,
    ) -> Result<Flight, Unknown>
    where
        Work: Future<Output = Outcome> + Send + 'static,
    {
        let mut in_the_air = hold(&self.in_the_air);
        if let Some(flight) = in_the_air.get(domain) {
            return Ok(flight.clone());
        }
        if in_the_air.len() >= FLIGHTS_MAX {
            return Err(Unknown::Busy);
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight { errand, outcome };
        in_the_air.insert(domain.clone(), flight.clone());
        let landing = Landing {
            in_the_air: Arc::clone(&self.in_the_air),
            domain: domain.clone(),
        };
        let work = work();
        tokio::spawn(async move {
            let outcome = work.await;
            // Off the list first: who comes now finds the result in memory.
            drop(landing);
            sender.send_replace(Some(outcome));
        });
        Ok(flight)
    }
}

/// Takes the errand off the list, also when its task panics or is stopped.
struct Landing {
    in_the_air: Arc<Mutex<HashMap<PolicyDomain, Flight>>>,
    domain: PolicyDomain,
}

impl Drop for Landing {
    fn drop(&mut self) {
        hold(&self.in_the_air).remove(&self.domain);
    }
}

fn hold(
    map: &Mutex<HashMap<PolicyDomain, Flight>>,
) -> MutexGuard<'_, HashMap<PolicyDomain, Flight>> {
    // A panic of another thread while it held the lock leaves a map that is still whole.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn standing(domain: &PolicyDomain) -> Standing {
        Standing::without_policy(domain.clone())
    }

    #[tokio::test]
    async fn a_task_that_dies_leaves_no_flight_behind() {
        let flights = Flights::default();
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let outcome = flights
            .fly(&domain, Errand::Ask, || async { panic!("on purpose") })
            .await;
        assert_eq!(outcome, Err(Unknown::Stopped));
        let expected = standing(&domain);
        let answer = expected.clone();
        let outcome = flights.fly(&domain, Errand::Ask, move || {
            let answer = answer.clone();
            async move { Ok(answer) }
        });
        assert_eq!(outcome.await, Ok(expected));
    }

    #[tokio::test]
    async fn an_errand_that_does_more_waits_for_one_that_does_less() {
        let flights = Flights::default();
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let (open, gate) = watch::channel(false);
        let flown = Arc::new(AtomicUsize::new(0));
        let work = || {
            let (mut gate, answer, flown) = (gate.clone(), standing(&domain), Arc::clone(&flown));
            async move {
                flown.fetch_add(1, Ordering::Relaxed);
                let _opened = gate.wait_for(|open| *open).await.is_ok();
                Ok(answer)
            }
        };
        let opener = async {
            tokio::task::yield_now().await;
            open.send_replace(true);
        };
        let (first, same, more, ()) = tokio::join!(
            flights.fly(&domain, Errand::Recheck, work),
            flights.fly(&domain, Errand::Ask, work),
            flights.fly(&domain, Errand::Order, work),
            opener,
        );
        assert!(first.is_ok() && same.is_ok() && more.is_ok());
        assert_eq!(flown.load(Ordering::Relaxed), 2);
    }
}
