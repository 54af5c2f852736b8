//! The store on disk. `docs/store-format.md` describes what lies where.
//!
//! Everything that is written is on the disk when the call returns. A store whose engine gave up
//! (the disk was full in spite of the mark, or it failed) is opened again by the next call, so
//! that recording recovers by itself when the disk does.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::File,
    io,
    path::Path,
    sync::{Mutex, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use super::{
    AuditShown, Batch, DayPart, FailureRecord, Holdings, Protected, Store, StoreError, TallyKey,
    TlsaHosts, codec,
    engine::{LOG_FILE, Tidying, Walk},
    key,
    let_go::let_go,
    protected,
    recorder::monotonic,
    trees::{Saved, Trees, days_of, remove_under},
};
use crate::{
    clock::{Timestamp, UtcDay},
    config::StoreConfig,
    deliver::{DeliveryKey, DeliveryState, suppression::Suppression},
    hook::overrides::CommandOverride,
    observe::audit::AuditEntry,
    policy::{AppliedPolicy, Destination, Fingerprint, KeptPolicy, PolicyDomain},
};

/// A store in a directory of its own, held by one process at a time.
pub struct SledStore {
    config: StoreConfig,
    state: RwLock<State>,
    /// Held while policies and the rows that name them are written, and while policies that no
    /// row names are removed: a commit between the two would lose its policy.
    changing: Mutex<()>,
    /// Held while a day is packed or forgotten.
    upkeep: Mutex<()>,
    /// Held while the audit log is written: an entry names the one before.
    auditing: Mutex<()>,
    free_mib: FreeSpace,
    tidying: Tidying,
}

/// How many MiB are left on the disk that holds a directory.
type FreeSpace = Box<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

enum State {
    Open(Box<Trees>),
    /// Why it is not open, and when that was last tried.
    Closed(StoreError, Instant),
    /// It failed, and its engine does not let go of the files. Only another process can open them.
    Stuck(StoreError),
}

/// How long after a failed opening reads are refused without another try. Writes always try: the
/// recorder, which writes again and again, waits longer by itself.
const READS_REFUSED: Duration = Duration::from_secs(1);

/// Who asks for an open store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

impl SledStore {
    /// Opens the store, or makes a new one.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it, [`StoreError::FromTheFuture`] when a
    /// later release wrote it, [`StoreError::Damaged`] when it cannot be read, [`StoreError::Io`]
    /// when the system refuses.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Self::open_tidied(config, Tidying::USUAL)
    }

    /// The same, tidied up more often than every ten seconds: for laboratories in which a day takes less.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_tidied_every(config: &StoreConfig, time: Duration) -> Result<Self, StoreError> {
        Self::open_tidied(config, Tidying::Every(time))
    }

    fn open_tidied(config: &StoreConfig, tidying: Tidying) -> Result<Self, StoreError> {
        let trees = Trees::open(config, tidying)?;
        let state = State::Open(Box::new(trees));
        Ok(Self::in_state(config, state, tidying))
    }

    /// A store that could not be opened because of its disk: later calls try to open it.
    pub(super) fn closed_for_now(config: &StoreConfig, error: StoreError) -> Self {
        let state = State::Closed(error, monotonic());
        Self::in_state(config, state, Tidying::USUAL)
    }

    fn in_state(config: &StoreConfig, state: State, tidying: Tidying) -> Self {
        Self {
            config: config.clone(),
            state: RwLock::new(state),
            changing: Mutex::new(()),
            upkeep: Mutex::new(()),
            auditing: Mutex::new(()),
            free_mib: Box::new(free_mib),
            tidying,
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
    pub(super) fn take_over(&self, saved: &Saved) -> Result<(), StoreError> {
        self.write(|trees| {
            for (domain, kept) in &saved.kept {
                trees.put_kept(domain, kept)?;
            }
            for (key, state) in &saved.deliveries {
                trees.put_delivery(key, state)?;
            }
            for (destination, suppression) in &saved.suppressed {
                trees.put_suppression(destination, suppression)?;
            }
            for set in &saved.overrides {
                trees.put_override(set)?;
            }
            trees.take_over_audit(&saved.audit, saved.audit_begins)?;
            trees.engine.sync()
        })
    }

    fn read<T>(
        &self,
        action: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.open_again_if_needed(Use::Read)?;
        self.with_trees(action)
    }

    fn write<T>(
        &self,
        action: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check_space()?;
        self.open_again_if_needed(Use::Write)?;
        self.with_trees(action)
    }

    fn with_trees<T>(
        &self,
        action: impl FnOnce(&Trees) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.state() {
            State::Open(trees) => action(trees),
            State::Closed(error, _) | State::Stuck(error) => Err(error.clone()),
        }
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

    fn open_again_if_needed(&self, purpose: Use) -> Result<(), StoreError> {
        if self.state().is_usable() {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(trees) if !trees.engine.has_failed() => return Ok(()),
            State::Stuck(error) => return Err(error.clone()),
            State::Closed(error, tried)
                if purpose == Use::Read && tried.elapsed() < READS_REFUSED =>
            {
                return Err(error.clone());
            }
            _ => {}
        }
        let for_now = |reason: &str| StoreError::Io {
            path: self.config.path.display().to_string(),
            reason: reason.to_owned(),
        };
        let closed = State::Closed(for_now("it is being opened again"), monotonic());
        let before = std::mem::replace(&mut *state, closed);
        // The old engine must let go of its files first.
        if !let_go(before) {
            let error = for_now("its engine failed and does not let go of it; restart sealpost");
            *state = State::Stuck(error.clone());
            return Err(error);
        }
        forget_cached_pages(&self.config.path);
        match Trees::open(&self.config, self.tidying) {
            Ok(trees) => {
                tracing::info!(path = %self.config.path.display(), "the store is open again");
                *state = State::Open(Box::new(trees));
                Ok(())
            }
            Err(error) => {
                *state = State::Closed(error.clone(), monotonic());
                Err(error)
            }
        }
    }

    /// A panic of another thread while it held the lock leaves a state that is still whole.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let closed = StoreError::Io {
            path: self.config.path.display().to_string(),
            reason: "it is closed".to_owned(),
        };
        let before = std::mem::replace(state, State::Stuck(closed));
        // What was acknowledged is on the disk, whether it is let go of or not.
        let _in_time = let_go(before);
    }
}

impl State {
    fn is_usable(&self) -> bool {
        matches!(self, Self::Open(trees) if !trees.engine.has_failed())
    }
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

    fn days_of(&self, part: DayPart) -> Result<Vec<UtcDay>, StoreError> {
        self.read(|trees| match part {
            DayPart::Failures => days_of(&trees.failures),
            DayPart::Counts => {
                let mut days = days_of(&trees.tallies)?;
                // Where forgetting was cut off, blocks are left that no head names.
                days.extend(days_of(trees.sealed.heads())?);
                days.extend(days_of(trees.sealed.blocks())?);
                days.sort_unstable();
                days.dedup();
                Ok(days)
            }
            DayPart::Reports => days_of(trees.deliveries.heads()),
        })
    }

    fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError> {
        self.read(Trees::unnoted_until)
    }

    fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        self.read(|trees| {
            let found = RefCell::new((BTreeSet::new(), None));
            let note = |key: &[u8]| {
                let (domains, last) = &mut *found.borrow_mut();
                // Rows come by domain: most are of the last one.
                if !last.as_ref().is_some_and(|last| key::is_of(key, last)) {
                    *last = key::domain_of(key);
                    domains.extend(last.clone());
                }
                // The rows themselves would be a copy of the day.
                false
            };
            trees.rows_where(day, &key::day(day), &note)?;
            Ok(found.into_inner().0.into_iter().collect())
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

    fn each_tally(
        &self,
        day: UtcDay,
        show: &mut dyn FnMut(TallyKey, u64),
    ) -> Result<(), StoreError> {
        self.read(|trees| {
            for (key, value) in trees.rows(day, &key::day(day))? {
                let (key, total) = trees.readable(codec::read_tally(&key, &value))?;
                show(key, total);
            }
            Ok(())
        })
    }

    fn protected(&self, day: UtcDay) -> Result<Vec<(PolicyDomain, Protected)>, StoreError> {
        self.read(|trees| {
            let rows = trees.rows_where(day, &key::day(day), &key::is_protected)?;
            let read = |(key, value): (&Vec<u8>, &Vec<u8>)| {
                let named = key::read_tally(key).and_then(|name| match name.kind {
                    key::Kind::Protected(protection) => Some((name.domain, protection)),
                    _ => None,
                });
                let (domain, protection) = trees.readable(named.ok_or(codec::NO_TALLY))?;
                Ok((
                    domain,
                    protection,
                    trees.readable(codec::read_total(value))?,
                ))
            };
            let rows = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            Ok(protected::by_domain(rows.into_iter()))
        })
    }

    fn tlsa_hosts(&self, day: UtcDay) -> Result<TlsaHosts, StoreError> {
        self.read(|trees| {
            let bases = trees.tlsa_policies()?;
            let base_of = |key: &[u8]| key::policy_of(key).and_then(|policy| bases.get(&policy));
            let wanted = |key: &[u8]| base_of(key).is_some();
            let mut hosts = TlsaHosts::default();
            let mut recipient: Option<PolicyDomain> = None;
            for key in trees.rows_where(day, &key::day(day), &wanted)?.keys() {
                // Rows come by domain: one name serves all of a domain's.
                if !recipient.as_ref().is_some_and(|it| key::is_of(key, it)) {
                    recipient = key::domain_of(key);
                }
                if let Some((host, recipient)) = base_of(key).zip(recipient.as_ref()) {
                    hosts.note(host, recipient);
                }
            }
            Ok(hosts)
        })
    }

    fn seal(&self, day: UtcDay) -> Result<(), StoreError> {
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| {
            let live = trees.live_rows(&key::day(day), &|_| true)?;
            if live.is_empty() {
                return Ok(());
            }
            let packed = trees.sealed.rows(day, &key::day(day), &|_| true);
            let mut rows = trees.plain(packed, "a sealed day")?;
            rows.extend(live);
            trees.sealed.replace(&trees.engine, day, &rows)?;
            // A row that a commit changed meanwhile stays, and wins. Of those that were packed before, none lies singly.
            for (key, value) in &rows {
                trees.tallies.remove_unchanged(key, value)?;
            }
            trees.engine.sync()
        })
    }

    fn forget_part(&self, day: UtcDay, part: DayPart) -> Result<(), StoreError> {
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| {
            match part {
                DayPart::Failures => remove_under(&trees.failures, &key::day(day))?,
                DayPart::Counts => {
                    trees.sealed.forget(&trees.engine, day)?;
                    remove_under(&trees.tallies, &key::day(day))?;
                    let mut unused = trees.unused_policies()?;
                    if !unused.is_empty() {
                        let _changing =
                            self.changing.lock().unwrap_or_else(PoisonError::into_inner);
                        trees.keep_those_used_since(&mut unused)?;
                        trees.forget_policies(&unused)?;
                    }
                }
                DayPart::Reports => {
                    for key in trees.deliveries.keys(&key::day(day))? {
                        trees.deliveries.remove(&trees.engine, &key)?;
                    }
                }
            }
            trees.engine.sync()
        })
    }

    fn holdings(&self) -> Result<Holdings, StoreError> {
        self.read(Trees::holdings)
    }

    fn file_octets(&self) -> Result<u64, StoreError> {
        let about = self.config.path.join(LOG_FILE).metadata();
        about
            .map(|about| about.len())
            .map_err(|error| StoreError::Io {
                path: self.config.path.display().to_string(),
                reason: error.to_string(),
            })
    }

    fn note_cut(&self, part: DayPart, day: UtcDay) -> Result<(), StoreError> {
        self.write(|trees| {
            trees.note_cut(part, day)?;
            trees.engine.sync()
        })
    }

    fn cut_until(&self, part: DayPart) -> Result<Option<UtcDay>, StoreError> {
        self.read(|trees| trees.cut_until(part))
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
        self.put_deliveries(&[(key.clone(), state.clone())])
    }

    fn put_deliveries(&self, states: &[(DeliveryKey, DeliveryState)]) -> Result<(), StoreError> {
        self.write(|trees| {
            for (key, state) in states {
                trees.put_delivery(key, state)?;
            }
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
        self.read(|trees| trees.deliveries_under(&key::day(day)))
    }

    fn deliveries_of(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        self.read(|trees| trees.deliveries_under(&key::day_domain(day, domain)))
    }

    fn put_suppression(
        &self,
        destination: &Destination,
        suppression: &Suppression,
    ) -> Result<(), StoreError> {
        self.write(|trees| {
            trees.put_suppression(destination, suppression)?;
            trees.engine.sync()
        })
    }

    fn remove_suppression(&self, destination: &Destination) -> Result<(), StoreError> {
        self.write(|trees| {
            let key = key::destination(destination);
            trees.suppressed.remove(&trees.engine, &key)?;
            trees.engine.sync()
        })
    }

    fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        self.read(Trees::suppressions)
    }

    fn put_override(&self, set: &CommandOverride) -> Result<(), StoreError> {
        self.write(|trees| {
            trees.put_override(set)?;
            trees.engine.sync()
        })
    }

    fn remove_override(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.write(|trees| {
            let key = domain.as_str().as_bytes();
            trees.overrides.remove(&trees.engine, key)?;
            trees.engine.sync()
        })
    }

    fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError> {
        self.read(Trees::overrides)
    }

    fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let _auditing = self.auditing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| {
            trees.append_audit(entries)?;
            trees.engine.sync()
        })
    }

    fn audit(&self, show: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError> {
        self.read(|trees| trees.show_audit(show))
    }

    fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError> {
        let _auditing = self.auditing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(|trees| trees.forget_audit(before))
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

/// How many MiB ordinary users may still fill on the disk that holds a directory.
pub(super) fn free_mib(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

    use super::*;
    use crate::{
        clock::Timestamp,
        store::{engine::Engine, open_or_put_aside, parted, trees::FORMAT},
    };

    /// What it is for, only the trial of power cuts shows.
    #[test]
    fn d14_each_write_is_kept_before_the_next_also_in_a_store_of_an_earlier_release() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            ..StoreConfig::default()
        };
        drop(SledStore::open(&config).unwrap());
        let log = File::open(config.path.join(LOG_FILE)).unwrap();
        let flags = || ioctl_getflags(&log).unwrap();
        if let Err(error) = ioctl_setflags(tempfile::tempfile().unwrap(), IFlags::SYNC) {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            println!("\n##### SKIPPED: the attribute S of the store's log: {error} #####\n");
            return;
        }
        assert!(flags().contains(IFlags::SYNC));
        ioctl_setflags(&log, flags() - IFlags::SYNC).unwrap();
        drop(SledStore::open(&config).unwrap());
        assert!(flags().contains(IFlags::SYNC));
    }

    #[test]
    fn a_store_from_the_future_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            ..StoreConfig::default()
        };
        drop(SledStore::open(&config).unwrap());
        let engine = Engine::open(&config.path, 1024 * 1024, Tidying::Never).unwrap();
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

    #[test]
    fn a_store_of_format_1_is_read_on_and_noted_as_ours() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            free_space_min_mib: 0,
            ..StoreConfig::default()
        };
        let policy = AppliedPolicy::no_policy_found("a.example".parse().unwrap());
        let key = TallyKey {
            day: UtcDay(20_000),
            domain: policy.policy_domain.clone(),
            policy: policy.fingerprint(),
            counted: crate::store::Counted::Successes,
        };
        let batch = Batch {
            totals: [(key.clone(), 3)].into(),
            ..Batch::default()
        };
        let store = SledStore::open(&config).unwrap();
        store.commit(&batch).unwrap();
        assert_eq!(store.unnoted_until(), Ok(None));
        drop(store);
        let format = || {
            let engine = Engine::open(&config.path, 1024 * 1024, Tidying::Never).unwrap();
            let about = engine.rows("about").unwrap();
            (about, engine)
        };
        let (about, engine) = format();
        about.put(b"format", &1_u32.to_be_bytes()).unwrap();
        engine.sync().unwrap();
        drop((about, engine));
        let store = SledStore::open(&config).unwrap();
        assert_eq!(store.total(&key), Ok(3));
        assert_eq!(store.protected(key.day), Ok(Vec::new()));
        assert_eq!(store.unnoted_until(), Ok(Some(key.day)));
        // What is counted later is nothing to it.
        let later = TallyKey {
            day: key.day.next(),
            ..key.clone()
        };
        let batch = Batch {
            totals: [(later, 3)].into(),
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        drop(store);
        let store = SledStore::open(&config).unwrap();
        assert_eq!(store.unnoted_until(), Ok(Some(key.day)));
        drop(store);
        let (about, _engine) = format();
        let found = about.value(b"format").unwrap().unwrap();
        assert_eq!(found, FORMAT.to_be_bytes());
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

    /// F16: a delivery state that the disk has no room for is refused, and then nothing is sent.
    #[test]
    fn f16_below_the_mark_no_delivery_state_is_written_and_all_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            path: directory.path().join("store"),
            free_space_min_mib: 256,
            ..StoreConfig::default()
        };
        let key = DeliveryKey {
            day: UtcDay(20_000),
            domain: "a.example".parse().unwrap(),
            destination: Destination::Mail("r@a.example".to_owned()),
        };
        let state = |step| DeliveryState {
            report_id: "id@sender.example".to_owned(),
            attempts: 0,
            first_attempt_at: None,
            step,
        };
        let due = state(crate::deliver::Step::Due(Timestamp(1)));
        let store = SledStore::open(&config)
            .unwrap()
            .with_free_space(|_| Ok(256));
        store.put_delivery(&key, &due).unwrap();
        drop(store);
        let store = SledStore::open(&config)
            .unwrap()
            .with_free_space(|_| Ok(255));
        let sending = state(crate::deliver::Step::Sending(Timestamp(2)));
        assert!(matches!(
            store.put_delivery(&key, &sending),
            Err(StoreError::DiskFull { free_mib: 255, .. })
        ));
        assert_eq!(store.delivery(&key), Ok(Some(due)));
    }
}
