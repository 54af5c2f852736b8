//! Reads the journal, adds up, and writes what changed together.
//!
//! One thread of its own. Between two commits it only counts, in memory (`Running`); every
//! `commit_interval_ms` it hands the changed rows with their absolute totals to the store, which
//! returns when they are on the disk, and answers those who wait for that. While the disk takes
//! nothing the rows wait in memory, up to a bound, and mail goes on.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    Batch, Store, StoreError,
    running::{Room, Running},
};
use crate::{
    clock::{Clock, Timestamp},
    config::StoreConfig,
    observe::{Counters, stopwatch::Stopwatch, words::Written},
    record::{
        SessionRecord,
        journal::{JournalReader, Next},
    },
};

/// The recorder's thread. It ends when every [`Journal`](crate::record::journal::Journal) is gone,
/// or by [`stop`](Self::stop).
#[derive(Debug)]
pub struct Recorder {
    thread: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    health: Arc<Mutex<Health>>,
}

/// How the recorder is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When something was last brought to the disk.
    pub last_commit_at: Option<Timestamp>,
    /// Since when the store has been taking nothing; absent when it takes everything.
    pub failing_since: Option<Timestamp>,
    /// Why the last commit failed, if it did.
    pub last_error: Option<StoreError>,
    /// Changed rows that are not on the disk yet.
    pub waiting_rows: usize,
    /// Rows held in memory, changed or not.
    pub rows_in_memory: usize,
}

/// How long a failing store is left alone between two tries, at most.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How much longer than a commit took the recorder gathers before the next.
const PAUSE_FOR_COMMIT: u32 = 9;

/// The longest that it gathers for that reason. `store.commit_interval_ms` may say more.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How often a failing store is said to be failing.
const ALARM_SECONDS: i64 = 60;

/// How long the journal is waited for before it is looked whether the recorder shall stop.
const LOOK_WAIT_MAX: Duration = Duration::from_millis(100);

/// How many records are taken from the journal before the time is looked at.
const RECORDS_PER_LOOK: usize = 1_024;

impl Recorder {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        store: Arc<dyn Store>,
        journal: JournalReader,
        config: &StoreConfig,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let health = Arc::new(Mutex::new(Health::default()));
        let work = Work {
            store,
            journal,
            interval: Duration::from_millis(config.commit_interval_ms.max(1)),
            running: Running::new(config),
            counters,
            clock,
            stopping: Arc::clone(&stopping),
            health: Arc::clone(&health),
            said_failing_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || work.run())?;
        Ok(Self {
            thread,
            stopping,
            health,
        })
    }

    /// How it is, now.
    #[must_use]
    pub fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    /// How it is, for one who asks later and does not hold the recorder.
    #[must_use]
    pub fn watch(&self) -> Box<dyn Fn() -> Health + Send + Sync> {
        let health = Arc::clone(&self.health);
        Box::new(move || lock(&health).clone())
    }

    /// Writes what is in the journal and in memory once more, and ends. What an MTA tells from
    /// then on is dropped and counted. Blocks for a tenth of a second and a commit at most.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!("the recorder died of a panic; what it held is lost");
        }
    }
}

/// What the thread works with.
struct Work {
    store: Arc<dyn Store>,
    journal: JournalReader,
    interval: Duration,
    running: Running,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    stopping: Arc<AtomicBool>,
    health: Arc<Mutex<Health>>,
    said_failing_at: Option<Timestamp>,
}

impl Work {
    fn run(mut self) {
        let mut pause = self.interval;
        let mut last_try = monotonic();
        loop {
            let left = pause.saturating_sub(last_try.elapsed());
            let met = self.take_some(left);
            let ends = met == Met::End || self.stopping.load(Ordering::Relaxed);
            let asked = self.journal.take_requests();
            if !ends && asked.is_empty() && last_try.elapsed() < pause {
                continue;
            }
            if ends || !asked.is_empty() {
                self.take_all();
            }
            let began = monotonic();
            let result = self.commit();
            last_try = monotonic();
            pause = match &result {
                // A commit that costs much is made less often: what changes in between is written once.
                Ok(()) => last_try
                    .duration_since(began)
                    .saturating_mul(PAUSE_FOR_COMMIT)
                    .min(PAUSE_MAX)
                    .max(self.interval),
                Err(_) => pause
                    .saturating_mul(2)
                    .min(RETRY_WAIT_MAX.max(self.interval)),
            };
            for request in asked {
                request.answer(result.clone());
            }
            if ends {
                return;
            }
        }
    }

    /// Takes what comes, at most so long and at most so many.
    fn take_some(&mut self, wait: Duration) -> Met {
        match self.journal.next(wait.min(LOOK_WAIT_MAX)) {
            Next::Session(record) => self.count(&record),
            Next::Wake | Next::Nothing => return Met::Nothing,
            Next::End => return Met::End,
        }
        for _ in 0..RECORDS_PER_LOOK {
            match self.journal.try_recv() {
                Ok(record) => self.count(&record),
                Err(_) => break,
            }
        }
        Met::Something
    }

    /// Takes everything that was in the journal when this was called.
    fn take_all(&mut self) {
        for _ in 0..self.journal.sessions_max() {
            match self.journal.try_recv() {
                Ok(record) => self.count(&record),
                Err(_) => return,
            }
        }
    }

    /// Counts a session. Where it finds no room the disk is asked first; where that does not help
    /// the session is dropped, and that is counted.
    fn count(&mut self, record: &SessionRecord) {
        let mut is_counted = self.running.add(record) == Room::Found;
        if !is_counted && self.said_failing_at.is_none() && self.commit().is_ok() {
            is_counted = self.running.add(record) == Room::Found;
        }
        if is_counted {
            self.counters.measured.counted(record);
        } else {
            let dropped = &self.counters.sessions_dropped_disk;
            dropped.add(record.sessions.into());
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        if !self.running.has_changed() {
            self.running.forget_before(now.day());
            self.note(now, None);
            return Ok(());
        }
        let store = &*self.store;
        let watch = Stopwatch::start();
        let mut batch = self.running.batch(store);
        if batch.is_err() {
            // The totals so far cannot be read. Only a write opens a store again that is closed.
            batch = store
                .commit(&Batch::default())
                .and_then(|()| self.running.batch(store));
        }
        let result = batch.and_then(|batch| store.commit(&batch));
        let written = match &result {
            Ok(()) => Written::Written,
            Err(_) => Written::Failed,
        };
        let times = &self.counters.measured.commit_times;
        times.took(written, watch.elapsed());
        match &result {
            Ok(()) => {
                self.counters.store_commits.count();
                self.running.committed();
                self.running.forget_before(now.day());
                if self.said_failing_at.take().is_some() {
                    tracing::info!("the store takes sessions again; what waited is on the disk");
                }
                self.note(now, Some(&Ok(())));
            }
            Err(error) => {
                self.counters.store_commits_failed.count();
                self.alarm(now, error);
                self.note(now, Some(&Err(error.clone())));
            }
        }
        result
    }

    fn alarm(&mut self, now: Timestamp, error: &StoreError) {
        let due = self
            .said_failing_at
            .is_none_or(|said| now.seconds_since(said) >= ALARM_SECONDS);
        if due {
            tracing::error!(
                %error,
                waiting_rows = self.running.changed_rows(),
                dropped_sessions = self.counters.sessions_dropped_disk.value(),
                "sessions are counted in memory only: the store takes nothing; mail goes on"
            );
            self.said_failing_at = Some(now);
        }
    }

    fn note(&self, now: Timestamp, tried: Option<&Result<(), StoreError>>) {
        let mut health = lock(&self.health);
        health.waiting_rows = self.running.changed_rows();
        health.rows_in_memory = self.running.rows();
        match tried {
            None => {}
            Some(Ok(())) => {
                health.last_commit_at = Some(now);
                health.failing_since = None;
                health.last_error = None;
            }
            Some(Err(error)) => {
                health.failing_since.get_or_insert(now);
                health.last_error = Some(error.clone());
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Met {
    Something,
    Nothing,
    End,
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures pauses between tries; no decision that a test would want to stop"
)]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

/// Plain values: whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{
        clock::{StoppedClock, UtcDay},
        policy::{AppliedPolicy, PolicyDomain},
        record::{
            Failure, Source, Verdict,
            journal::{Journal, NotSynced},
        },
        store::{Counted, MemoryStore, SledStore, TallyKey},
    };

    const NOW: Timestamp = Timestamp(1_790_000_000);

    struct Bench {
        journal: Journal,
        recorder: Recorder,
        counters: Arc<Counters>,
        clock: StoppedClock,
    }

    fn start(store: Arc<dyn Store>, change: impl FnOnce(&mut StoreConfig)) -> Bench {
        let mut config = StoreConfig {
            commit_interval_ms: 3_600_000,
            ..StoreConfig::default()
        };
        change(&mut config);
        let counters = Arc::new(Counters::default());
        let clock = StoppedClock::at(NOW);
        let (journal, reader) = Journal::new(config.queue_sessions_max, Arc::clone(&counters));
        let recorder = Recorder::start(
            store,
            reader,
            &config,
            Arc::clone(&counters),
            Arc::new(clock.clone()),
        )
        .unwrap();
        Bench {
            journal,
            recorder,
            counters,
            clock,
        }
    }

    fn domain(name: &str) -> PolicyDomain {
        name.parse().unwrap()
    }

    fn session(at: Timestamp, name: &str, verdict: Verdict) -> SessionRecord {
        let domain = domain(name);
        SessionRecord {
            at,
            policy: Arc::new(AppliedPolicy::no_policy_found(domain.clone())),
            domain,
            source: Source::Mta,
            verdict,
            protection: None,
            sessions: 1,
        }
    }

    fn totals(store: &dyn Store, day: UtcDay, name: &str) -> Vec<(Counted, u64)> {
        let tallies = store.tallies(day, &domain(name)).unwrap();
        tallies
            .into_iter()
            .map(|(key, total)| (key.counted, total))
            .collect()
    }

    #[test]
    fn d3_a_session_counts_once_and_once_for_each_different_detail() {
        let store = Arc::new(MemoryStore::default());
        let bench = start(store.clone(), |_| {});
        let expired = Failure::of_policy(ResultType::CertificateExpired, "mx1");
        let mismatch = Failure::of_policy(ResultType::CertificateHostMismatch, "mx1");
        let note = Failure::of_policy(ResultType::StsPolicyFetchError, "http-status-404");
        for verdict in [
            Verdict::Success,
            Verdict::Success,
            Verdict::Failure(vec![expired.clone(), mismatch.clone(), expired.clone()]),
            Verdict::Failure(vec![expired.clone()]),
            Verdict::Note(note.clone()),
        ] {
            bench.journal.push(session(NOW, "a.example", verdict));
        }
        bench.journal.sync().unwrap();
        assert_eq!(
            totals(&*store, NOW.day(), "a.example"),
            [
                (Counted::Successes, 2),
                (Counted::Failures, 2),
                (Counted::Detail(mismatch), 1),
                (Counted::Detail(expired), 2),
                (Counted::Detail(note), 1),
            ]
        );
        // Singly too, with the policy they name.
        let singly = store.failures(NOW.day(), None).unwrap();
        assert_eq!(singly.len(), 4);
        assert!(store.applied_policy(singly[0].policy).unwrap().is_some());
        assert_eq!(bench.recorder.health().waiting_rows, 0);
        assert_eq!(bench.recorder.health().last_commit_at, Some(NOW));
    }

    #[test]
    fn d14_totals_go_on_where_an_earlier_process_ended_and_late_sessions_find_their_day() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        for _ in 0..3 {
            let bench = start(Arc::clone(&store), |_| {});
            for _ in 0..2 {
                bench
                    .journal
                    .push(session(NOW, "a.example", Verdict::Success));
                bench.journal.sync().unwrap();
                // The day ends: its rows leave memory, and come back when a late session names it.
                bench.clock.advance_seconds(86_400);
                bench.journal.sync().unwrap();
                assert_eq!(bench.recorder.health().rows_in_memory, 0);
            }
            bench.recorder.stop();
        }
        assert_eq!(
            totals(&*store, NOW.day(), "a.example"),
            [(Counted::Successes, 6)]
        );
    }

    #[test]
    fn stopping_brings_what_is_under_way_to_the_store() {
        let store = Arc::new(MemoryStore::default());
        let bench = start(store.clone(), |config| config.commit_interval_ms = 50);
        for _ in 0..1_000 {
            bench
                .journal
                .push(session(NOW, "a.example", Verdict::Success));
        }
        bench.recorder.stop();
        assert_eq!(
            totals(&*store, NOW.day(), "a.example"),
            [(Counted::Successes, 1_000)]
        );
        bench
            .journal
            .push(session(NOW, "a.example", Verdict::Success));
        assert_eq!(bench.counters.sessions_dropped.value(), 1);
        assert_eq!(bench.journal.sync(), Err(NotSynced::Ended));
    }

    /// The disk is full: mail goes on, rows wait up to their bound, the rest is dropped and
    /// counted, and all that waited is there when space returns.
    #[test]
    fn a_full_disk_stops_recording_not_mail_and_recovers_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let free_mib = Arc::new(AtomicUsize::new(10_000));
        let config = StoreConfig {
            path: directory.path().join("store"),
            free_space_min_mib: 256,
            ..StoreConfig::default()
        };
        let measured = Arc::clone(&free_mib);
        let store = SledStore::open(&config)
            .unwrap()
            .with_free_space(move |_| Ok(u64::try_from(measured.load(Ordering::SeqCst)).unwrap()));
        let store: Arc<dyn Store> = Arc::new(store);
        let bench = start(Arc::clone(&store), |config| config.waiting_rows_max = 3);
        let names = [
            "a.example",
            "b.example",
            "c.example",
            "d.example",
            "e.example",
        ];

        free_mib.store(255, Ordering::SeqCst);
        for _ in 0..10 {
            for name in names {
                bench.journal.push(session(NOW, name, Verdict::Success));
            }
        }
        let refused = StoreError::DiskFull {
            path: config.path.display().to_string(),
            free_mib: 255,
            mark_mib: 256,
        };
        assert_eq!(bench.journal.sync(), Err(NotSynced::Store(refused.clone())));
        assert_eq!(store.days().unwrap(), []);
        let health = bench.recorder.health();
        assert_eq!((health.waiting_rows, health.failing_since), (3, Some(NOW)));
        assert_eq!(health.last_error, Some(refused));
        // Three domains wait with all their sessions; two found no room.
        assert_eq!(bench.counters.sessions_dropped_disk.value(), 20);
        assert!(bench.counters.store_commits_failed.value() >= 1);

        free_mib.store(256, Ordering::SeqCst);
        bench
            .journal
            .push(session(NOW, "e.example", Verdict::Success));
        bench.journal.sync().unwrap();
        bench
            .journal
            .push(session(NOW, "e.example", Verdict::Success));
        bench.journal.sync().unwrap();
        for name in &names[..3] {
            assert_eq!(totals(&*store, NOW.day(), name), [(Counted::Successes, 10)]);
        }
        assert_eq!(
            totals(&*store, NOW.day(), "e.example"),
            [(Counted::Successes, 1)]
        );
        assert_eq!(bench.recorder.health().failing_since, None);
        assert_eq!(bench.recorder.health().last_error, None);
    }

    #[test]
    fn commits_come_by_themselves() {
        let store = Arc::new(MemoryStore::default());
        let bench = start(store.clone(), |config| config.commit_interval_ms = 1);
        bench
            .journal
            .push(session(NOW, "a.example", Verdict::Success));
        let key = TallyKey {
            day: NOW.day(),
            domain: domain("a.example"),
            policy: AppliedPolicy::no_policy_found(domain("a.example")).fingerprint(),
            counted: Counted::Successes,
        };
        while store.total(&key).unwrap() == 0 {
            std::thread::yield_now();
        }
        drop(bench.journal);
    }
}
