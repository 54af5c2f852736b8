//! Writes delivery states to the disk, together: one sync for all that came while the last one ran.
//!
//! Each step of each delivery must be on the disk before the world sees it, and a sync costs the same
//! for one step as for sixteen. So whoever comes while another's sync runs waits for the next, which is
//! for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{DeliveryKey, DeliveryState, ledger::on_disk};
use crate::store::{Store, StoreError};

/// The one that writes.
pub(super) struct Scribe {
    store: Arc<dyn Store>,
    desk: Arc<Mutex<Desk>>,
}

/// What lies before it.
#[derive(Default)]
struct Desk {
    waiting: Vec<Waiting>,
    /// A sync is running, and who comes now is seen to after it.
    is_writing: bool,
}

struct Waiting {
    key: DeliveryKey,
    state: DeliveryState,
    written: oneshot::Sender<Result<(), StoreError>>,
}

impl Scribe {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            desk: Arc::default(),
        }
    }

    /// Returns when the state is on the disk. States of one delivery are written in the order in which
    /// they come, for each comes after the one before is written.
    ///
    /// # Errors
    /// When it is not surely there; so are all that were written together with it.
    pub(super) async fn write(
        &self,
        key: &DeliveryKey,
        state: &DeliveryState,
    ) -> Result<(), StoreError> {
        let (written, answer) = oneshot::channel();
        let begins = {
            let mut desk = held(&self.desk);
            desk.waiting.push(Waiting {
                key: key.clone(),
                state: state.clone(),
                written,
            });
            !std::mem::replace(&mut desk.is_writing, true)
        };
        if begins {
            // A task of its own: the others wait for it, whatever becomes of this caller.
            tokio::spawn(write_all(Arc::clone(&self.store), Arc::clone(&self.desk)));
        }
        answer.await.unwrap_or_else(|_| {
            // The process is ending.
            Err(StoreError::Damaged {
                path: "(unknown)".to_owned(),
                reason: "the state was not written".to_owned(),
            })
        })
    }
}

/// Writes until nothing waits.
async fn write_all(store: Arc<dyn Store>, desk: Arc<Mutex<Desk>>) {
    loop {
        let batch = {
            let mut desk = held(&desk);
            if desk.waiting.is_empty() {
                desk.is_writing = false;
                return;
            }
            std::mem::take(&mut desk.waiting)
        };
        let (states, callers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|waiting| ((waiting.key, waiting.state), waiting.written))
            .unzip();
        let result = on_disk(&store, move |store| store.put_deliveries(&states)).await;
        for caller in callers {
            // One that has gone away does not want to know.
            let _heard = caller.send(result.clone());
        }
    }
}

fn held(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
