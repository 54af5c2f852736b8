//! The bounded queue from the hook to the store: never waits, counts what it drops.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::SessionRecord;
use crate::observe::Counters;

/// The end that the hook writes to.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: SyncSender<SessionRecord>,
    counters: Arc<Counters>,
}

impl Journal {
    /// A queue of at most `sessions_max` records, and the end that the store's recorder reads.
    #[must_use]
    pub fn new(sessions_max: usize, counters: Arc<Counters>) -> (Self, Receiver<SessionRecord>) {
        let (queue, records) = sync_channel(sessions_max);
        (Self { queue, counters }, records)
    }

    /// Puts a record into the queue, or drops and counts it when the queue is full.
    pub fn push(&self, record: SessionRecord) {
        if self.queue.try_send(record).is_err() {
            self.counters.sessions_dropped.count();
        }
    }
}
