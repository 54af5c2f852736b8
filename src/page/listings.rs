//! How the reports of a day stand, held for a moment: with very many domains the list takes longer to make
//! than a page may take.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::source::Source;
use crate::{
    clock::UtcDay,
    ctl::{control::Replied, protocol::Refusal, wire::Deliveries},
};

/// What is older than this is made anew when somebody looks.
const FRESH: Duration = Duration::from_secs(1);

/// Making it takes no more than this part of the time.
const REST: u32 = 10;

/// How long a page waits for what is made anew.
const WAIT: Duration = Duration::from_millis(25);

/// A list that nobody has looked at for so long is let go; so is the oldest of more than so many.
const HELD: Duration = Duration::from_secs(120);
const LISTS_MAX: usize = 2;

/// The lists that are held.
pub(super) struct Listings {
    source: Arc<dyn Source>,
    held: Mutex<BTreeMap<UtcDay, Listing>>,
    making: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Listing {
    deliveries: Arc<Deliveries>,
    made_at: Instant,
    took: Duration,
    asked_at: Instant,
}

impl Listing {
    fn is_due(&self) -> bool {
        self.made_at.elapsed() >= self.took.saturating_mul(REST).max(FRESH)
    }
}

impl Listings {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            held: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// How the reports of a day stand, as new as it can be had while a page is waited for.
    pub(super) async fn of(self: &Arc<Self>, day: UtcDay) -> Replied<Arc<Deliveries>> {
        let known = self.asked(day);
        if let Some(listing) = known.as_ref().filter(|listing| !listing.is_due()) {
            return Ok(Arc::clone(&listing.deliveries));
        }
        let this = Arc::clone(self);
        let making = tokio::spawn(async move { this.make(day).await });
        let Some(known) = known else {
            let made = making.await;
            return made.map_err(|error| Refusal::trouble(error.to_string()))?;
        };
        match timeout(WAIT, making).await {
            Ok(Ok(made)) => made,
            Ok(Err(error)) => Err(Refusal::trouble(error.to_string())),
            Err(_) => Ok(known.deliveries),
        }
    }

    /// Lets go of what is held: something was done that changes it.
    pub(super) fn forget(&self) {
        self.held().clear();
    }

    fn asked(&self, day: UtcDay) -> Option<Listing> {
        let mut held = self.held();
        let listing = held.get_mut(&day)?;
        listing.asked_at = Instant::now();
        Some(listing.clone())
    }

    async fn make(self: Arc<Self>, day: UtcDay) -> Replied<Arc<Deliveries>> {
        // Whoever comes meanwhile waits for the same.
        let _alone = self.making.lock().await;
        if let Some(listing) = self.asked(day).filter(|listing| !listing.is_due()) {
            return Ok(listing.deliveries);
        }
        let began = Instant::now();
        let deliveries = Arc::new(self.source.deliveries(Some(day), None).await?);
        let listing = Listing {
            deliveries: Arc::clone(&deliveries),
            made_at: Instant::now(),
            took: began.elapsed(),
            asked_at: Instant::now(),
        };
        self.hold(day, listing);
        let this = Arc::clone(&self);
        tokio::spawn(async move {
            // It is asked for a little longer without being made anew.
            tokio::time::sleep(HELD + HELD).await;
            this.held()
                .retain(|_, listing| listing.asked_at.elapsed() < HELD);
        });
        Ok(deliveries)
    }

    fn hold(&self, day: UtcDay, listing: Listing) {
        let mut held = self.held();
        held.insert(day, listing);
        if held.len() > LISTS_MAX {
            let oldest = held.iter().min_by_key(|(_, listing)| listing.asked_at);
            if let Some(oldest) = oldest.map(|(day, _)| *day) {
                held.remove(&oldest);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<UtcDay, Listing>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
