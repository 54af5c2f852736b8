//! Writes what is noted into the audit log, and forgets what is older than it is kept.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, task::JoinHandle};

use super::parts::Parts;
use crate::{
    clock::{Clock, UtcDay},
    observe::{
        Counters,
        audit::{AuditEntry, AuditQueue, Noted},
    },
    store::{Store, StoreError},
};

/// How many entries are written together.
const TOGETHER_MAX: usize = 256;

/// How many wait here for a disk that takes none; beyond that the newest are lost and counted.
const WAITING_MAX: usize = 10_000;

/// How long a disk that took nothing is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The writer at work.
pub(super) struct Auditing {
    stop: oneshot::Sender<()>,
    /// Absent where another has the queue.
    writing: Option<JoinHandle<()>>,
}

impl Auditing {
    /// Begins to write what is noted.
    pub(super) fn begin(parts: &mut Parts, keep_days: u32) -> Self {
        let (stop, stopping) = oneshot::channel();
        let writer = Writer {
            store: Arc::clone(&parts.store.store),
            clock: Arc::clone(&parts.clock),
            counters: Arc::clone(&parts.counters),
            keep_days,
            waiting: Vec::new(),
            forgotten_on: None,
        };
        let queue = parts.audit_queue.take();
        let writing = queue.map(|queue| tokio::spawn(writer.run(queue, stopping)));
        Self { stop, writing }
    }

    /// Returns when what was noted before is written, or the disk does not take it.
    pub(super) async fn end(self) {
        if self.stop.send(()).is_ok()
            && let Some(writing) = self.writing
            && let Err(error) = writing.await
        {
            tracing::error!(%error, "what writes the audit log died");
        }
    }
}

/// What writes.
struct Writer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    keep_days: u32,
    waiting: Vec<AuditEntry>,
    forgotten_on: Option<UtcDay>,
}

impl Writer {
    /// Writes until `stop` is told; then what was noted before, if the disk takes it.
    async fn run(mut self, mut queue: AuditQueue, mut stop: oneshot::Receiver<()>) {
        loop {
            let mut synced = Vec::new();
            let mut is_last = false;
            tokio::select! {
                biased;
                noted = queue.recv() => match noted {
                    Some(noted) => self.take(noted, &mut synced),
                    None => return,
                },
                () = tokio::time::sleep(TRY_AGAIN), if !self.waiting.is_empty() => {}
                _ = &mut stop => is_last = true,
            }
            while self.waiting.len() < TOGETHER_MAX
                && let Ok(noted) = queue.try_recv()
            {
                self.take(noted, &mut synced);
            }
            self.write().await;
            for done in synced {
                // Whoever waited may be gone.
                let _told = done.send(()).is_ok();
            }
            if is_last {
                return;
            }
            self.forget_old().await;
        }
    }

    fn take(&mut self, noted: Noted, synced: &mut Vec<oneshot::Sender<()>>) {
        match noted {
            Noted::Sync(done) => synced.push(done),
            Noted::Entry(entry) if self.waiting.len() < WAITING_MAX => self.waiting.push(entry),
            Noted::Entry(_) => self.counters.audit_dropped.count(),
        }
    }

    async fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.waiting);
        let store = Arc::clone(&self.store);
        let written = tokio::task::spawn_blocking(move || {
            let written = store.append_audit(&entries);
            (written, entries)
        });
        match written.await {
            Ok((Ok(()), _)) => {}
            Ok((Err(error), entries)) => {
                say(&error);
                self.waiting = entries;
            }
            Err(error) => tracing::error!(%error, "the audit log could not be written"),
        }
    }

    /// Once a day.
    async fn forget_old(&mut self) {
        let today = self.clock.now().day();
        if self.forgotten_on == Some(today) {
            return;
        }
        self.forgotten_on = Some(today);
        let first_kept = UtcDay(today.0.saturating_sub(self.keep_days));
        let store = Arc::clone(&self.store);
        let forget = move || store.forget_audit(first_kept.first_second());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(forget).await {
            tracing::warn!(%error, "old entries of the audit log are not forgotten; it is tried again tomorrow");
        }
    }
}

fn say(error: &StoreError) {
    tracing::error!(%error, "the audit log is not written; it is tried again");
}
