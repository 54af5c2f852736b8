//! The store on disk. `docs/store-format.md` describes what lies where.
//!
//! Everything that is written is on the disk when the call returns. A store whose engine gave up
//! (the disk was full in spite of the mark, or it failed) is opened again by the next call, so
//! that recording recovers by itself when the disk does.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use super::{
    AuditShown, Batch, Copied, DayPart, FailureRecord, Holdings, Protected, Store, StoreError,
    TallyKey, TlsaHosts, codec,
    copying::{self, Touched},
    engine::{LOG_FILE, Tidying, Walk, forget_cached_pages},
    key,
    let_go::let_go,
    locks::wait_for,
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
    /// While a copy is made: what commits have changed since.
    touched: Mutex<Option<Touched>>,
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
            touched: Mutex::default(),
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

    fn touched(&self) -> MutexGuard<'_, Option<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
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
        let committed = self.write(|trees| {
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
        });
        // Also one of which only a part is there.
        if let Some(touched) = &mut *self.touched() {
            touched.note(batch);
        }
        committed
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
                        let _changing = wait_for(&self.changing, trees)?;
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

    fn copy_to(&self, directory: &Path) -> Result<Copied, StoreError> {
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        *self.touched() = Some(Touched::default());
        let copied = self.read(|trees| {
            let hold = || {
                let changing = wait_for(&self.changing, trees)?;
                let held = (changing, wait_for(&self.auditing, trees)?);
                Ok((held, self.touched().take().unwrap_or_default()))
            };
            let mark_mib = self.config.free_space_min_mib;
            copying::copy(trees, &self.config.path, directory, mark_mib, hold)
        });
        *self.touched() = None;
        copied
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

/// How many MiB ordinary users may still fill on the disk that holds a directory.
pub(super) fn free_mib(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) / (1024 * 1024))
}

#[cfg(test)]
mod tests;
