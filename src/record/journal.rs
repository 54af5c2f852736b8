//! The bounded queue from the hook to the store: never waits, counts what it drops.
//!
//! The hook pushes and goes on; the store's [`Recorder`](crate::store::Recorder) reads. Whoever
//! must know that what was pushed is on the disk (the end of the daemon, a report sent by hand)
//! asks [`Journal::synced`].

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use super::SessionRecord;
use crate::{observe::Counters, store::StoreError};

/// The end that the hook writes to.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: SyncSender<Entry>,
    /// How many records are in it, and how many there may be.
    queued: Arc<AtomicUsize>,
    sessions_max: usize,
    requests: Arc<Requests>,
    counters: Arc<Counters>,
}

/// The end that the store's recorder reads.
#[derive(Debug)]
pub struct JournalReader {
    queue: Receiver<Entry>,
    /// What came together with what was read last.
    together: RefCell<VecDeque<SessionRecord>>,
    queued: Arc<AtomicUsize>,
    requests: Arc<Requests>,
    sessions_max: usize,
}

#[derive(Debug)]
enum Entry {
    /// The records of one session, or of equal ones. Not in the slot itself: that is reserved at its full
    /// size from the start.
    Session(Vec<SessionRecord>),
    /// Someone waits for a sync.
    Wake,
}

/// Those who wait for a sync. Nothing when the reader has gone.
#[derive(Debug)]
struct Requests(Mutex<Option<Vec<SyncRequest>>>);

/// One who waits until everything pushed before is on the disk.
#[derive(Debug)]
pub struct SyncRequest(oneshot::Sender<Result<(), StoreError>>);

/// Why it cannot be said that everything pushed is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSynced {
    /// The store did not take it. It waits in memory and is tried again.
    #[error("not everything recorded is on the disk: {0}")]
    Store(#[from] StoreError),
    /// The recorder has ended.
    #[error("nothing is recorded any more: the recorder has ended")]
    Ended,
}

impl Journal {
    /// A queue of at most `sessions_max` records, and the end that the store's recorder reads.
    #[must_use]
    pub fn new(sessions_max: usize, counters: Arc<Counters>) -> (Self, JournalReader) {
        let (queue, entries) = sync_channel(sessions_max);
        let requests = Arc::new(Requests(Mutex::new(Some(Vec::new()))));
        let queued = Arc::new(AtomicUsize::new(0));
        let reader = JournalReader {
            queue: entries,
            together: RefCell::default(),
            queued: Arc::clone(&queued),
            requests: Arc::clone(&requests),
            sessions_max,
        };
        let journal = Self {
            queue,
            queued,
            sessions_max,
            requests,
            counters,
        };
        (journal, reader)
    }

    /// Puts a record into the queue, or drops and counts it when the queue is full.
    pub fn push(&self, record: SessionRecord) {
        self.push_all(vec![record]);
    }

    /// Puts the records of one session into the queue, one for each policy that it is counted under; all of
    /// them or none.
    pub fn push_all(&self, records: Vec<SessionRecord>) {
        let Some(first) = records.first() else {
            return;
        };
        let (sessions, number) = (first.sessions, records.len());
        let with_these = |queued: usize| {
            let queued = queued.saturating_add(number);
            (queued <= self.sessions_max).then_some(queued)
        };
        let has_room = self
            .queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_these)
            .is_ok();
        if has_room && self.queue.try_send(Entry::Session(records)).is_ok() {
            return;
        }
        if has_room {
            self.queued.fetch_sub(number, Ordering::Relaxed);
        }
        self.counters.sessions_dropped.add(sessions.into());
    }

    /// Is it more than three quarters full? Who can wait with what it has should.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.queued.load(Ordering::Relaxed) > self.sessions_max / 4 * 3
    }

    /// Waits until everything that was pushed before this call is on the disk, or the store has
    /// said that it cannot be.
    ///
    /// # Errors
    /// [`NotSynced`] says why that is not so.
    pub fn synced(&self) -> impl Future<Output = Result<(), NotSynced>> + Send + use<> {
        let answer = self.request();
        async move {
            let answer = answer.ok_or(NotSynced::Ended)?;
            answer
                .await
                .map_err(|_| NotSynced::Ended)?
                .map_err(Into::into)
        }
    }

    /// As [`synced`](Self::synced), for a thread that may block. Not for async code.
    ///
    /// # Errors
    /// [`NotSynced`] says why that is not so.
    pub fn sync(&self) -> Result<(), NotSynced> {
        let answer = self.request().ok_or(NotSynced::Ended)?;
        answer
            .blocking_recv()
            .map_err(|_| NotSynced::Ended)?
            .map_err(Into::into)
    }

    fn request(&self) -> Option<oneshot::Receiver<Result<(), StoreError>>> {
        let (asked, answer) = oneshot::channel();
        self.requests.lock().as_mut()?.push(SyncRequest(asked));
        // When the queue is full the reader is awake and looks by itself.
        let _woken = self.queue.try_send(Entry::Wake).is_ok();
        Some(answer)
    }
}

/// What [`JournalReader::next`] met.
#[derive(Debug)]
pub enum Next {
    /// A record.
    Session(Box<SessionRecord>),
    /// Someone waits for a sync.
    Wake,
    /// Nothing came in the time given.
    Nothing,
    /// Every [`Journal`] is gone, and the queue is empty.
    End,
}

impl JournalReader {
    /// The next thing in the queue, waited for at most so long.
    pub fn next(&self, wait: Duration) -> Next {
        if let Some(record) = self.of_together() {
            return Next::Session(record.into());
        }
        match self.queue.recv_timeout(wait) {
            Ok(Entry::Session(records)) => self
                .first_of(records)
                .map_or(Next::Nothing, |record| Next::Session(record.into())),
            Ok(Entry::Wake) => Next::Wake,
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// The next record that is there already.
    ///
    /// # Errors
    /// When there is none, or there will be none any more.
    pub fn try_recv(&self) -> Result<SessionRecord, TryRecvError> {
        if let Some(record) = self.of_together() {
            return Ok(record);
        }
        loop {
            if let Entry::Session(records) = self.queue.try_recv()?
                && let Some(record) = self.first_of(records)
            {
                return Ok(record);
            }
        }
    }

    /// The first of records that came together; the others are what is read next.
    fn first_of(&self, records: Vec<SessionRecord>) -> Option<SessionRecord> {
        let mut records = records.into_iter();
        let first = records.next()?;
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.together.borrow_mut().extend(records);
        Some(first)
    }

    /// What came together with what was read before.
    fn of_together(&self) -> Option<SessionRecord> {
        let record = self.together.borrow_mut().pop_front()?;
        self.queued.fetch_sub(1, Ordering::Relaxed);
        Some(record)
    }

    /// Those who wait for a sync. Everything they pushed is among the next `sessions_max` records
    /// that [`try_recv`](Self::try_recv) gives, or was read before.
    #[must_use]
    pub fn take_requests(&self) -> Vec<SyncRequest> {
        self.requests
            .lock()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// How many records the queue holds at most.
    #[must_use]
    pub const fn sessions_max(&self) -> usize {
        self.sessions_max
    }
}

impl Drop for JournalReader {
    /// Nobody waits for a sync that will never be.
    fn drop(&mut self) {
        drop(self.requests.lock().take());
    }
}

impl SyncRequest {
    /// Tells the one who waits.
    pub fn answer(self, result: Result<(), StoreError>) {
        // Who asked may have stopped waiting.
        let _heard = self.0.send(result).is_ok();
    }
}

impl Requests {
    /// A list is whole at every moment, whatever another thread died of.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<SyncRequest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        policy::AppliedPolicy,
        record::{Source, Verdict},
    };

    fn record(at: i64) -> SessionRecord {
        let domain: crate::policy::PolicyDomain = "example.org".parse().unwrap();
        SessionRecord {
            at: Timestamp(at),
            policy: Arc::new(AppliedPolicy::no_policy_found(domain.clone())),
            domain,
            source: Source::Mta,
            verdict: Verdict::Success,
            protection: None,
            sessions: 1,
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let counters = Arc::new(Counters::default());
        let (journal, reader) = Journal::new(2, Arc::clone(&counters));
        (0..5).for_each(|at| journal.push(record(at)));
        assert_eq!(counters.sessions_dropped.value(), 3);
        assert_eq!(reader.try_recv().unwrap().at, Timestamp(0));
        assert_eq!(reader.try_recv().unwrap().at, Timestamp(1));
        assert_eq!(reader.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn a_full_queue_takes_all_records_of_a_session_or_none() {
        let counters = Arc::new(Counters::default());
        let (journal, reader) = Journal::new(3, Arc::clone(&counters));
        let read = || reader.try_recv().map(|record| record.at.0);
        journal.push_all(vec![record(0), record(1)]);
        journal.push_all(vec![record(2), record(3)]);
        // It is one session, whatever number of policies it is counted under.
        assert_eq!(counters.sessions_dropped.value(), 1);
        assert_eq!(read(), Ok(0));
        // Half of it still takes its room.
        journal.push_all(vec![record(4), record(5)]);
        journal.push_all(vec![record(6)]);
        assert_eq!(counters.sessions_dropped.value(), 2);
        assert!(matches!(reader.next(Duration::ZERO), Next::Session(one) if one.at.0 == 1));
        assert_eq!((read(), read()), (Ok(4), Ok(5)));
        assert_eq!(read(), Err(TryRecvError::Empty));
        journal.push_all(Vec::new());
        assert!(matches!(reader.next(Duration::ZERO), Next::Nothing));
    }

    #[test]
    fn it_says_when_who_can_wait_should() {
        let (journal, reader) = Journal::new(8, Arc::default());
        (0..6).for_each(|at| journal.push(record(at)));
        assert!(!journal.is_pressed());
        (6..20).for_each(|at| journal.push(record(at)));
        assert!(journal.is_pressed());
        reader.try_recv().unwrap();
        assert!(matches!(reader.next(Duration::ZERO), Next::Session(_)));
        assert!(!journal.is_pressed());
    }

    #[test]
    fn who_waits_for_a_sync_is_told_even_when_the_reader_goes() {
        let (journal, reader) = Journal::new(1, Arc::default());
        let asking = journal.clone();
        let waiting = std::thread::spawn(move || asking.sync());
        while !matches!(reader.next(Duration::from_secs(60)), Next::Wake) {}
        drop(reader);
        assert_eq!(waiting.join().unwrap(), Err(NotSynced::Ended));
        assert_eq!(journal.sync(), Err(NotSynced::Ended));
    }
}
