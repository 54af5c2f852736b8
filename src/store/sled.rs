//! The store on disk. `docs/store-format.md` describes what lies where.
//!
//! Everything that is written is on the disk when the call returns. A store whose engine gave up
//! (the disk was full in spite of the mark, or it failed) is opened again by the next write, so
//! that recording recovers by itself when the disk does.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use super::{
    Batch, FailureRecord, Store, StoreError, TallyKey, codec,
    engine::{Engine, LOG_FILE, Rows, Walk},
    key,
    parted::{self, Parted, Trouble},
    sealed::{RowMap, Sealed},
};
use crate::{
    clock::UtcDay,
    config::StoreConfig,
    deliver::{DeliveryKey, DeliveryState},
    policy::{AppliedPolicy, Fingerprint, KeptPolicy, PolicyDomain},
};

/// The format of the whole: which trees there are and what their keys are.
pub const FORMAT: u32 = 1;

/// A store in a directory of its own, held by one process at a time.
pub struct SledStore {
    config: StoreConfig,
    state: RwLock<State>,
    /// Held while policies and the rows that name them are written, and while policies that no
    /// row names are looked for: a commit between the two would lose its policy.
    changing: Mutex<()>,
    free_mib: FreeSpace,
}

/// How many MiB are left on the disk that holds a directory.
type FreeSpace = Box<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

enum State {
    Open(Box<Trees>),
    /// Why it is not open. The next write tries again.
    Closed(StoreError),
}

impl SledStore {
    /// Opens the store, or makes a new one.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, [`StoreError::FromTheFuture`] when a
    /// later release wrote it, [`StoreError::Damaged`] when it cannot be read, [`StoreError::Io`]
    /// when the system refuses.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let trees = Trees::open(config)?;
        Ok(Self::in_state(config, State::Open(Box::new(trees))))
    }

    /// A store that could not be opened because of its disk: each write tries to open it.
    pub(crate) fn closed_for_now(config: &StoreConfig, error: StoreError) -> Self {
        Self::in_state(config, State::Closed(error))
    }

    fn in_state(config: &StoreConfig, state: State) -> Self {
        Self {
            config: config.clone(),
            state: RwLock::new(state),
            changing: Mutex::new(()),
            free_mib: Box::new(free_mib),
        }
    }

    /// The same store with another measure of free space, for tests.
    #[cfg(test)]
    pub(crate) fn with_free_space(
        mut self,
        free_mib: impl Fn(&Path) -> io::Result<u64> + Send + Sync + 'static,
    ) -> Self {
        self.free_mib = Box::new(free_mib);
        self
    }

    /// Puts in what was saved from a store that was put aside, with one sync.
    pub(crate) fn take_over(&self, saved: &Saved) -> Result<(), StoreError> {
        self.write(|trees| {
            for (domain, kept) in &saved.kept {
                trees.put_kept(domain, kept)?;
            }
            for (key, state) in &saved.deliveries {
                trees.put_delivery(key, state)?;
            }
            trees.engine.sync()
        })
    }

    fn read<T>(
        &self,
        action: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.state() {
            State::Open(trees) => action(trees),
            State::Closed(error) => Err(error.clone()),
        }
    }

    fn write<T>(
        &self,
        action: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check_space()?;
        if !self.state().is_usable() {
            self.open_again()?;
        }
        self.read(action)
    }

    /// A full disk may damage sled's files beyond opening: we stop well before.
    fn check_space(&self) -> Result<(), StoreError> {
        let mark_mib = self.config.free_space_min_mib;
        if mark_mib == 0 {
            return Ok(());
        }
        let Ok(free_mib) = (self.free_mib)(&self.config.path) else {
            // It is not there yet, or it cannot be asked: the write itself will tell.
            return Ok(());
        };
        if free_mib >= mark_mib {
            return Ok(());
        }
        Err(StoreError::DiskFull {
            path: self.config.path.display().to_string(),
            free_mib,
            mark_mib,
        })
    }

    fn open_again(&self) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.is_usable() {
            return Ok(());
        }
        let path = self.config.path.display().to_string();
        let reason = "it is being opened again".to_owned();
        let before = std::mem::replace(&mut *state, State::Closed(StoreError::Io { path, reason }));
        // The old engine must let go of its files first, and it may panic over doing so.
        let _dropped = catch_unwind(AssertUnwindSafe(move || drop(before))).is_ok();
        forget_cached_pages(&self.config.path);
        match Trees::open(&self.config) {
            Ok(trees) => {
                tracing::info!(path = %self.config.path.display(), "the store is open again");
                *state = State::Open(Box::new(trees));
                Ok(())
            }
            Err(error) => {
                *state = State::Closed(error.clone());
                Err(error)
            }
        }
    }

    /// A panic of another thread while it held the lock leaves a state that is still whole.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_usable(&self) -> bool {
        matches!(self, Self::Open(trees) if !trees.engine.has_failed())
    }
}

/// What [`SledStore::take_over`] puts in.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) kept: Vec<(PolicyDomain, KeptPolicy)>,
    pub(crate) deliveries: Vec<(DeliveryKey, DeliveryState)>,
}

impl Store for SledStore {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| {
            for (fingerprint, policy) in &batch.policies {
                let value = codec::write_applied(policy);
                trees.applied.put(&trees.engine, &fingerprint.0, &value)?;
            }
            for (key, total) in &batch.totals {
                trees
                    .tallies
                    .put(&key::tally(key), &codec::write_tally(key, *total))?;
            }
            trees.put_failures(&batch.failures, self.config.failures_per_domain_day_max)?;
            trees.engine.sync()
        })
    }

    fn total(&self, key: &TallyKey) -> Result<u64, StoreError> {
        self.read(|trees| {
            let key = key::tally(key);
            // Rows that lie singly first: see `Trees::rows`.
            let value = match trees.tallies.value(&key)? {
                Some(value) => Some(value),
                None => trees.plain(trees.sealed.value(&key), "a sealed day")?,
            };
            value.map_or(Ok(0), |value| trees.readable(codec::read_total(&value)))
        })
    }

    fn days(&self) -> Result<Vec<UtcDay>, StoreError> {
        self.read(|trees| {
            let mut days = BTreeSet::new();
            for rows in [
                &trees.tallies,
                trees.sealed.heads(),
                &trees.failures,
                trees.deliveries.heads(),
            ] {
                days.extend(days_of(rows)?);
            }
            Ok(days.into_iter().collect())
        })
    }

    fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        self.read(|trees| {
            let rows = trees.rows(day, &key::day(day))?;
            let mut domains: Vec<_> = rows.keys().filter_map(|key| key::domain_of(key)).collect();
            domains.dedup();
            Ok(domains)
        })
    }

    fn tallies(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(TallyKey, u64)>, StoreError> {
        self.read(|trees| {
            let rows = trees.rows(day, &key::day_domain(day, domain))?;
            let mut tallies = rows
                .iter()
                .map(|(key, value)| trees.readable(codec::read_tally(key, value)))
                .collect::<Result<Vec<_>, _>>()?;
            // Details lie in the order of their digests.
            tallies.sort();
            Ok(tallies)
        })
    }

    fn seal(&self, day: UtcDay) -> Result<(), StoreError> {
        self.write(|trees| {
            let live = trees.live_rows(&key::day(day))?;
            if live.is_empty() {
                return Ok(());
            }
            let packed = trees.sealed.rows(day, &key::day(day));
            let mut rows = trees.plain(packed, "a sealed day")?;
            rows.extend(live.clone());
            trees.sealed.replace(&trees.engine, day, &rows)?;
            // A row that a commit changed meanwhile stays, and wins.
            for (key, value) in &live {
                trees.tallies.remove_unchanged(key, value)?;
            }
            trees.engine.sync()
        })
    }

    fn forget(&self, day: UtcDay) -> Result<(), StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| {
            trees.sealed.forget(&trees.engine, day)?;
            remove_under(&trees.tallies, &key::day(day))?;
            remove_under(&trees.failures, &key::day(day))?;
            trees.forget_unused_policies()?;
            // Last: without its rows a day is not reported again, whatever is forgotten of it.
            trees.engine.sync()?;
            for key in trees.deliveries.keys(&key::day(day))? {
                trees.deliveries.remove(&trees.engine, &key)?;
            }
            trees.engine.sync()
        })
    }

    fn failures(
        &self,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Result<Vec<FailureRecord>, StoreError> {
        self.read(|trees| {
            let prefix =
                domain.map_or_else(|| key::day(day), |domain| key::day_domain(day, domain));
            let mut failures = Vec::new();
            let below = key::behind(&prefix);
            trees
                .failures
                .walk(&prefix, below.as_deref(), |key, value| {
                    failures.push(trees.readable(codec::read_failure(key, value))?);
                    Ok(Walk::On)
                })?;
            failures.sort_by_key(|failure| failure.at);
            Ok(failures)
        })
    }

    fn applied_policy(&self, policy: Fingerprint) -> Result<Option<AppliedPolicy>, StoreError> {
        self.read(|trees| {
            let value = trees.plain(trees.applied.value(&policy.0), "an applied policy")?;
            value
                .map(|value| trees.readable(codec::read_applied(&value)))
                .transpose()
        })
    }

    fn keep_policy(&self, domain: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError> {
        self.write(|trees| {
            trees.put_kept(domain, kept)?;
            trees.engine.sync()
        })
    }

    fn kept_policy(&self, domain: &PolicyDomain) -> Result<Option<KeptPolicy>, StoreError> {
        self.read(|trees| {
            let value = trees.kept.value(domain.as_str().as_bytes());
            trees
                .plain(value, "a kept policy")?
                .map(|value| trees.readable(codec::read_kept(&value)))
                .transpose()
        })
    }

    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
        self.read(Trees::kept_policies)
    }

    fn purge_policy(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.write(|trees| {
            let key = domain.as_str().as_bytes();
            trees.kept.remove(&trees.engine, key)?;
            trees.engine.sync()
        })
    }

    fn put_delivery(&self, key: &DeliveryKey, state: &DeliveryState) -> Result<(), StoreError> {
        self.write(|trees| {
            trees.put_delivery(key, state)?;
            trees.engine.sync()
        })
    }

    fn delivery(&self, key: &DeliveryKey) -> Result<Option<DeliveryState>, StoreError> {
        self.read(|trees| {
            let row = key::delivery(key);
            let value = trees.plain(trees.deliveries.value(&row), "a delivery")?;
            value
                .map(|value| trees.readable(codec::read_delivery(&row, &value)))
                .transpose()
                .map(|found| found.map(|(_, state)| state))
        })
    }

    fn deliveries(&self, day: UtcDay) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        self.read(|trees| {
            let mut deliveries = Vec::new();
            trees.deliveries.walk(&key::day(day), |key, value| {
                let value = trees.plain(value, "a delivery")?;
                deliveries.push(trees.readable(codec::read_delivery(key, &value))?);
                Ok(())
            })?;
            deliveries.sort_by(|(one, _), (other, _)| one.cmp(other));
            Ok(deliveries)
        })
    }
}

/// An open database and its trees.
pub(crate) struct Trees {
    path: String,
    tallies: Rows,
    sealed: Sealed,
    failures: Rows,
    applied: Parted,
    kept: Parted,
    deliveries: Parted,
    // Behind the trees, so that it is dropped after them.
    engine: Engine,
    _lock: File,
}

impl Trees {
    fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let lock = lock(&config.path)?;
        let cache_bytes = config.cache_mib.saturating_mul(1024 * 1024);
        let trees = Self::of_engine(Engine::open(&config.path, cache_bytes)?, &config.path, lock)?;
        parted::sweep(
            &trees.engine,
            &[&trees.applied, &trees.kept, &trees.deliveries],
        )?;
        trees.look_at_everything()?;
        Ok(trees)
    }

    /// sled finds damage where it meets it. Better now, when the store can be put aside, than in
    /// the middle of the day.
    fn look_at_everything(&self) -> Result<(), StoreError> {
        let sealed = [self.sealed.heads(), self.sealed.blocks()];
        let parted = [&self.applied, &self.kept, &self.deliveries].map(Parted::heads);
        let rows = [&self.tallies, &self.failures, self.kept.parts()];
        for rows in rows.into_iter().chain(sealed).chain(parted) {
            rows.walk(&[], None, |_, _| Ok(Walk::On))?;
        }
        Ok(())
    }

    /// The trees of an engine, when it has the format we know.
    pub(crate) fn of_engine(
        engine: Engine,
        directory: &Path,
        lock: File,
    ) -> Result<Self, StoreError> {
        let about = engine.rows("about")?;
        let trees = Self {
            path: directory.display().to_string(),
            tallies: engine.rows("tallies")?,
            sealed: Sealed::open(&engine)?,
            failures: engine.rows("failures")?,
            applied: Parted::open(&engine, "applied")?,
            kept: Parted::open(&engine, "kept")?,
            deliveries: Parted::open(&engine, "deliveries")?,
            engine,
            _lock: lock,
        };
        trees.check_format(&about)?;
        Ok(trees)
    }

    fn check_format(&self, about: &Rows) -> Result<(), StoreError> {
        const KEY: &[u8] = b"format";
        let Some(value) = about.value(KEY)? else {
            // New, or it died before its first batch.
            about.put(KEY, &FORMAT.to_be_bytes())?;
            return self.engine.sync();
        };
        let found = value
            .first_chunk()
            .map(|octets| u32::from_be_bytes(*octets))
            .filter(|found| *found > 0)
            .ok_or_else(|| self.damaged("its format number cannot be read"))?;
        if found > FORMAT {
            return Err(StoreError::FromTheFuture {
                path: self.path.clone(),
                found,
                known: FORMAT,
            });
        }
        Ok(())
    }

    /// The rows of tallies under a prefix, whether they lie singly or packed.
    fn rows(&self, day: UtcDay, prefix: &[u8]) -> Result<RowMap, StoreError> {
        // In this order: a row that is packed between the two is then seen packed. A row that lies
        // singly is newer than what was packed.
        let live = self.live_rows(prefix)?;
        let mut rows = self.plain(self.sealed.rows(day, prefix), "a sealed day")?;
        rows.extend(live);
        Ok(rows)
    }

    fn live_rows(&self, prefix: &[u8]) -> Result<RowMap, StoreError> {
        let mut live = RowMap::new();
        let below = key::behind(prefix);
        self.tallies.walk(prefix, below.as_deref(), |key, value| {
            live.insert(key.to_vec(), value.to_vec());
            Ok(Walk::On)
        })?;
        Ok(live)
    }

    /// Appends failures, and drops the oldest of each domain and day beyond the bound.
    fn put_failures(&self, failures: &[FailureRecord], keep_max: usize) -> Result<(), StoreError> {
        let mut groups: BTreeMap<(UtcDay, &PolicyDomain), Vec<&FailureRecord>> = BTreeMap::new();
        for failure in failures {
            groups
                .entry((failure.at.day(), &failure.domain))
                .or_default()
                .push(failure);
        }
        for ((day, domain), group) in groups {
            let prefix = key::day_domain(day, domain);
            let below = key::behind(&prefix);
            let number = |row: Option<(Vec<u8>, Vec<u8>)>| {
                row.and_then(|(key, _)| key::failure_sequence(&key))
            };
            let last = number(self.failures.last(&prefix, below.as_deref())?);
            let first = number(self.failures.first(&prefix, below.as_deref())?);
            let mut next = last.map_or(0, |last| last.saturating_add(1));
            for failure in group.iter().skip(group.len().saturating_sub(keep_max)) {
                let key = key::failure(day, domain, next);
                self.failures.put(&key, &codec::write_failure(failure))?;
                next = next.saturating_add(1);
            }
            let keep_from = next.saturating_sub(u64::try_from(keep_max).unwrap_or(u64::MAX));
            for sequence in first.unwrap_or(next)..keep_from {
                self.failures.remove(&key::failure(day, domain, sequence))?;
            }
        }
        Ok(())
    }

    fn put_kept(&self, domain: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError> {
        let key = domain.as_str().as_bytes();
        self.kept.put(&self.engine, key, &codec::write_kept(kept))
    }

    fn put_delivery(&self, key: &DeliveryKey, state: &DeliveryState) -> Result<(), StoreError> {
        let value = codec::write_delivery(key, state);
        self.deliveries
            .put(&self.engine, &key::delivery(key), &value)
    }

    /// One domain's damaged policy is its own trouble: it is said, and left out.
    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
        let mut policies = Vec::new();
        self.kept.walk(&[], |key, value| {
            let read = value
                .ok()
                .and_then(|value| codec::read_kept(&value).ok())
                .zip(key::domain(key));
            match read {
                Some((kept, domain)) => policies.push((domain, kept)),
                None => tracing::error!(
                    domain = %key.escape_ascii(),
                    "the policy kept for this domain is damaged; it will be fetched again"
                ),
            }
            Ok(())
        })?;
        Ok(policies)
    }

    /// Everything of another store that can be put into a new one, for what cannot be read is left.
    pub(crate) fn saved(&self) -> Saved {
        let mut saved = Saved {
            kept: self.kept_policies().unwrap_or_default(),
            deliveries: Vec::new(),
        };
        let walked = self.deliveries.walk(&[], |key, value| {
            let read = value
                .ok()
                .and_then(|value| codec::read_delivery(key, &value).ok());
            saved.deliveries.extend(read);
            Ok(())
        });
        if let Err(error) = walked {
            tracing::error!(%error, "not every delivery state could be read");
        }
        saved
    }

    /// Removes the applied policies that no row of any day names.
    fn forget_unused_policies(&self) -> Result<(), StoreError> {
        let mut used = HashSet::new();
        let mut note = |key: &[u8]| {
            used.extend(key::read_tally(key).map(|name| name.policy.0.to_vec()));
        };
        self.tallies.walk(&[], None, |key, _| {
            note(key);
            Ok(Walk::On)
        })?;
        for day in days_of(self.sealed.heads())? {
            match self.sealed.rows(day, &key::day(day)) {
                Ok(rows) => rows.keys().for_each(|key| note(key)),
                Err(Trouble::Store(error)) => return Err(error),
                // What a damaged day needs cannot be told: everything stays.
                Err(Trouble::Torn) => return Ok(()),
            }
        }
        for key in self.applied.keys(&[])? {
            if !used.contains(&key) {
                self.applied.remove(&self.engine, &key)?;
            }
        }
        Ok(())
    }

    fn plain<T>(&self, found: Result<T, Trouble>, what: &str) -> Result<T, StoreError> {
        found.map_err(|trouble| match trouble {
            Trouble::Store(error) => error,
            Trouble::Torn => self.damaged(&format!("{what} cannot be read")),
        })
    }

    fn readable<T>(&self, read: Result<T, codec::Unreadable>) -> Result<T, StoreError> {
        read.map_err(|unreadable| self.damaged(&unreadable.to_string()))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Makes the directory when it is missing, and holds it against other processes.
pub(crate) fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = || directory.display().to_string();
    let io = |error: io::Error| StoreError::Io {
        path: path(),
        reason: error.to_string(),
    };
    // Who was mailed, and how that went, is nobody else's business.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join("lock"))
        .map_err(io)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Held { path: path() }),
        Err(error) => Err(io(error.into())),
    }
}

/// After a sync that failed, the system's memory may hold pages that the disk never got. Reading
/// the file again must show what the disk has.
fn forget_cached_pages(directory: &Path) {
    if let Ok(log) = File::open(directory.join(LOG_FILE)) {
        // Advice that is not taken changes nothing we could mend.
        let _taken = rustix::fs::fadvise(&log, 0, None, rustix::fs::Advice::DontNeed).is_ok();
    }
}

fn free_mib(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024))
}

/// The days that keys of a tree begin with, found without looking at every key.
fn days_of(rows: &Rows) -> Result<Vec<UtcDay>, StoreError> {
    let mut days = Vec::new();
    let mut from = Vec::new();
    while let Some((key, _)) = rows.first(&from, None)? {
        let Some(day) = key::day_of(&key) else { break };
        days.push(day);
        match key::behind(&key::day(day)) {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(days)
}

fn remove_under(rows: &Rows, prefix: &[u8]) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    let below = key::behind(prefix);
    rows.walk(prefix, below.as_deref(), |key, _| {
        keys.push(key.to_vec());
        Ok(Walk::On)
    })?;
    keys.iter().try_for_each(|key| rows.remove(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, store::open_or_put_aside};

    #[test]
    fn a_store_from_the_future_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            ..StoreConfig::default()
        };
        drop(SledStore::open(&config).unwrap());
        let engine = Engine::open(&config.path, 1024 * 1024).unwrap();
        let about = engine.rows("about").unwrap();
        about.put(b"format", &(FORMAT + 1).to_be_bytes()).unwrap();
        engine.sync().unwrap();
        drop((about, engine));
        let expected = StoreError::FromTheFuture {
            path: config.path.display().to_string(),
            found: FORMAT + 1,
            known: FORMAT,
        };
        assert_eq!(SledStore::open(&config).err(), Some(expected.clone()));
        assert_eq!(
            open_or_put_aside(&config, Timestamp(0)).err(),
            Some(expected)
        );
        assert!(config.path.join(LOG_FILE).exists());
    }

    /// A crash between the parts of a long value and the row that names them.
    #[test]
    fn parts_that_nothing_names_are_swept_when_the_store_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            free_space_min_mib: 0,
            ..StoreConfig::default()
        };
        let parts = |store: &SledStore| {
            store.read(|trees| Ok(trees.kept.parts().first(&[], None)?.is_some()))
        };
        let store = SledStore::open(&config).unwrap();
        store
            .read(|trees| {
                let long = vec![7; 3 * parted::ROW_BYTES_MAX];
                trees.kept.put(&trees.engine, b"a.example", &long)?;
                trees.kept.heads().remove(b"a.example")?;
                trees.engine.sync()
            })
            .unwrap();
        assert_eq!(parts(&store), Ok(true));
        drop(store);
        assert_eq!(parts(&SledStore::open(&config).unwrap()), Ok(false));
    }
}
