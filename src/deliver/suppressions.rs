//! The suppressed destinations of a running daemon: all of them in memory, each change on the disk.
//!
//! What a refusal means is decided in [`suppression`](super::suppression).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    ledger::on_disk,
    suppression::{self, Refusal, Suppression, folded},
};
use crate::{
    clock::Timestamp,
    policy::Destination,
    store::{Store, StoreError},
};

/// More are not held. Whoever publishes records can name any number of mailboxes that refuse; where one too
/// many is forgotten, it costs an attempt.
const HELD_MAX: usize = 20_000;

/// Every destination that has refused, or that the operator suppressed.
pub(super) struct Suppressions {
    store: Arc<dyn Store>,
    /// `None` until the store was read.
    held: Mutex<Option<BTreeMap<Destination, Suppression>>>,
    /// One change after the other, so that the disk has the last one last.
    changing: tokio::sync::Mutex<()>,
}

impl Suppressions {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            held: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Reads them from the store, unless that was done before.
    pub(super) async fn load(&self) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        if self.held().is_some() {
            return Ok(());
        }
        let stored = on_disk(&self.store, |store| store.suppressions()).await?;
        *self.held() = Some(stored.into_iter().collect());
        Ok(())
    }

    /// How a destination stands, whether or not it is suppressed at this moment.
    pub(super) fn of(&self, destination: &Destination) -> Option<Suppression> {
        let held = self.held();
        held.as_ref()?.get(&folded(destination)).cloned()
    }

    /// All of them, by destination.
    pub(super) fn all(&self) -> Vec<(Destination, Suppression)> {
        let held = self.held();
        let all = held.iter().flatten();
        all.map(|(destination, suppression)| (destination.clone(), suppression.clone()))
            .collect()
    }

    /// Takes down that a destination refused a report. Returns how it stands, where that is news.
    // It holds whether the disk takes it or not: at worst the destination is asked once more after a restart.
    pub(super) async fn refused(
        &self,
        destination: &Destination,
        refusal: Refusal,
    ) -> Option<Suppression> {
        let _changing = self.changing.lock().await;
        let next = suppression::refused(self.of(destination).as_ref(), refusal)?;
        self.hold_and_put(destination, &next).await;
        Some(next)
    }

    /// Takes down that a destination took a report.
    pub(super) async fn taken(&self, destination: &Destination, at: Timestamp) {
        let _changing = self.changing.lock().await;
        let before = self.of(destination);
        if let Some(next) = before.and_then(|before| suppression::taken(&before, at)) {
            self.hold_and_put(destination, &next).await;
        }
    }

    /// Does the operator's word: what `change` makes of how the destination stands, once the disk has it.
    pub(super) async fn change(
        &self,
        destination: &Destination,
        change: impl FnOnce(Option<&Suppression>) -> Option<Suppression>,
    ) -> Result<Option<Suppression>, StoreError> {
        self.load().await?;
        let _changing = self.changing.lock().await;
        let Some(next) = change(self.of(destination).as_ref()) else {
            return Ok(None);
        };
        self.put(destination, &next).await?;
        self.hold(destination, &next);
        Ok(Some(next))
    }

    /// Forgets those of long ago, and those that are too many.
    pub(super) async fn tidy(&self, now: Timestamp) -> Result<(), StoreError> {
        self.load().await?;
        let _changing = self.changing.lock().await;
        let all = self.all();
        let (mut gone, mut kept): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(_, suppression)| suppression.is_forgotten(now));
        let beyond = kept.len().saturating_sub(HELD_MAX);
        // The operator's stay; of the others those go that end first.
        kept.sort_by_key(|(_, suppression)| {
            let is_operators = suppression.holds_by_operator(now);
            (is_operators, suppression.until)
        });
        gone.extend(kept.drain(..beyond));
        for (destination, _) in gone {
            let of_store = destination.clone();
            on_disk(&self.store, move |store| {
                store.remove_suppression(&of_store)
            })
            .await?;
            if let Some(held) = &mut *self.held() {
                held.remove(&destination);
            }
        }
        Ok(())
    }

    async fn hold_and_put(&self, destination: &Destination, next: &Suppression) {
        self.hold(destination, next);
        if let Err(error) = self.put(destination, next).await {
            tracing::error!(%destination, %error, "that a destination is suppressed is not on the disk");
        }
    }

    fn hold(&self, destination: &Destination, next: &Suppression) {
        if let Some(held) = &mut *self.held() {
            held.insert(folded(destination), next.clone());
        }
    }

    async fn put(&self, destination: &Destination, next: &Suppression) -> Result<(), StoreError> {
        let (destination, next) = (folded(destination), next.clone());
        let put = move |store: &dyn Store| store.put_suppression(&destination, &next);
        on_disk(&self.store, put).await
    }

    fn held(&self) -> MutexGuard<'_, Option<BTreeMap<Destination, Suppression>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
