//! The trees of the store on disk, and what is done in more than one of them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::Path,
};

use super::{
    AuditLink, AuditShown, DayPart, FailureRecord, StoreError, audit, codec,
    engine::{Engine, Rows, Tidying, Walk},
    key,
    let_go::let_go,
    locks::lock,
    octets::Unreadable,
    parted::{self, Parted, Trouble},
    sealed::{RowMap, Sealed},
};
use crate::{
    clock::{Timestamp, UtcDay},
    config::StoreConfig,
    deliver::{DeliveryKey, DeliveryState, suppression::Suppression},
    hook::overrides::CommandOverride,
    observe::audit::AuditEntry,
    policy::{Destination, Fingerprint, KeptPolicy, PolicyDomain},
};

/// The format of the whole: which trees there are and what their keys are.
// 2: tallies by protection. A release that knows 1 only would take such a row for damage.
pub(super) const FORMAT: u32 = 2;

/// In the tree `about`: the newest day that has rows of format 1.
const UNNOTED_UNTIL: &[u8] = b"unnoted-until";

/// In the tree `about`: number and digest of the last entry of the audit log that was forgotten.
const AUDIT_BEGINS: &[u8] = b"audit-begins";

/// In the tree `about`: the newest day of which the quota took this part.
const fn cut_key(part: DayPart) -> &'static [u8] {
    match part {
        DayPart::Failures => b"quota-failures-until",
        DayPart::Counts => b"quota-counts-until",
        DayPart::Reports => b"quota-reports-until",
    }
}

/// An open database and its trees.
pub(super) struct Trees {
    path: String,
    pub(super) about: Rows,
    pub(super) tallies: Rows,
    pub(super) sealed: Sealed,
    pub(super) failures: Rows,
    pub(super) applied: Parted,
    pub(super) kept: Parted,
    pub(super) deliveries: Parted,
    // A later comer: a store that lacks it gets it, and a release that does not know it leaves it alone.
    pub(super) suppressed: Parted,
    // Another; an earlier release goes by the overrides of its file alone.
    pub(super) overrides: Parted,
    pub(super) audit: Rows,
    // Behind the trees, so that it is dropped after them.
    pub(super) engine: Engine,
    _lock: File,
}

impl Trees {
    /// Opens a store, or makes a new one, and reads all of it once.
    pub(super) fn open(config: &StoreConfig, tidying: Tidying) -> Result<Self, StoreError> {
        let lock = lock(&config.path)?;
        // sled counts what its pages take on the disk, where keys that begin alike share their beginnings. In memory
        // they take three to four times as much, and the setting speaks of memory.
        let cache_bytes = config.cache_mib.saturating_mul(1024 * 1024) / 4;
        let engine = Engine::open(&config.path, cache_bytes, tidying)?;
        let trees = Self::of_engine(engine, &config.path, lock)?;
        match trees.look_at_all() {
            Ok(()) => Ok(trees),
            Err(error) => {
                // Where it cannot be let go of it is put aside all the same.
                let _in_time = let_go(trees);
                Err(error)
            }
        }
    }

    fn look_at_all(&self) -> Result<(), StoreError> {
        parted::sweep(
            &self.engine,
            &[
                &self.applied,
                &self.kept,
                &self.deliveries,
                &self.suppressed,
                &self.overrides,
            ],
        )?;
        self.look_at_everything()
    }

    /// sled finds damage where it meets it. Better now, when the store can be put aside, than in
    /// the middle of the day.
    fn look_at_everything(&self) -> Result<(), StoreError> {
        let sealed = [self.sealed.heads(), self.sealed.blocks()];
        let parted = [
            &self.applied,
            &self.kept,
            &self.deliveries,
            &self.suppressed,
            &self.overrides,
        ]
        .map(Parted::heads);
        let rows = [
            &self.tallies,
            &self.failures,
            &self.audit,
            self.kept.parts(),
        ];
        for rows in rows.into_iter().chain(sealed).chain(parted) {
            rows.walk(&[], None, |_, _| Ok(Walk::On))?;
        }
        Ok(())
    }

    /// The trees of an engine, when it has the format we know.
    pub(super) fn of_engine(
        engine: Engine,
        directory: &Path,
        lock: File,
    ) -> Result<Self, StoreError> {
        let trees = Self {
            path: directory.display().to_string(),
            about: engine.rows("about")?,
            tallies: engine.rows("tallies")?,
            sealed: Sealed::open(&engine)?,
            failures: engine.rows("failures")?,
            applied: Parted::open(&engine, "applied")?,
            kept: Parted::open(&engine, "kept")?,
            deliveries: Parted::open(&engine, "deliveries")?,
            suppressed: Parted::open(&engine, "suppressed")?,
            overrides: Parted::open(&engine, "overrides")?,
            audit: engine.rows("audit")?,
            engine,
            _lock: lock,
        };
        trees.check_format()?;
        Ok(trees)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        const KEY: &[u8] = b"format";
        let about = &self.about;
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
        if found < FORMAT {
            // What an earlier release wrote reads as it did. From now on there may be more.
            let mut days = days_of(&self.tallies)?;
            days.extend(days_of(self.sealed.heads())?);
            if let Some(newest) = days.into_iter().max() {
                about.put(UNNOTED_UNTIL, &newest.0.to_be_bytes())?;
            }
            // Before the number: a crash between the two must not lose it.
            self.engine.sync()?;
            about.put(KEY, &FORMAT.to_be_bytes())?;
            self.engine.sync()?;
        }
        Ok(())
    }

    /// The newest day of which a release counted sessions that did not note what protected them.
    pub(super) fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError> {
        self.day_about(UNNOTED_UNTIL)
    }

    /// The newest day of which this part was forgotten before its time.
    pub(super) fn cut_until(&self, part: DayPart) -> Result<Option<UtcDay>, StoreError> {
        self.day_about(cut_key(part))
    }

    pub(super) fn note_cut(&self, part: DayPart, day: UtcDay) -> Result<(), StoreError> {
        let until = self.cut_until(part)?.map_or(day, |until| until.max(day));
        self.about.put(cut_key(part), &until.0.to_be_bytes())
    }

    fn day_about(&self, key: &[u8]) -> Result<Option<UtcDay>, StoreError> {
        let value = self.about.value(key)?;
        let day = |octets: Vec<u8>| {
            let octets = octets.first_chunk().copied();
            octets.map(|octets| UtcDay(u32::from_be_bytes(octets)))
        };
        Ok(value.and_then(day))
    }

    /// The rows of tallies under a prefix, whether they lie singly or packed.
    pub(super) fn rows(&self, day: UtcDay, prefix: &[u8]) -> Result<RowMap, StoreError> {
        self.rows_where(day, prefix, &|_| true)
    }

    /// As [`rows`](Self::rows), those alone whose keys are wanted: the others take up no memory.
    pub(super) fn rows_where(
        &self,
        day: UtcDay,
        prefix: &[u8],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<RowMap, StoreError> {
        // In this order: a row that is packed between the two is then seen packed. A row that lies
        // singly is newer than what was packed.
        let live = self.live_rows(prefix, wanted)?;
        let packed = self.sealed.rows(day, prefix, wanted);
        let mut rows = self.plain(packed, "a sealed day")?;
        rows.extend(live);
        Ok(rows)
    }

    pub(super) fn live_rows(
        &self,
        prefix: &[u8],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<RowMap, StoreError> {
        let mut live = RowMap::new();
        let below = key::behind(prefix);
        self.tallies.walk(prefix, below.as_deref(), |key, value| {
            if wanted(key) {
                live.insert(key.to_vec(), value.to_vec());
            }
            Ok(Walk::On)
        })?;
        Ok(live)
    }

    /// Appends failures, and drops the oldest of each domain and day beyond the bound.
    pub(super) fn put_failures(
        &self,
        failures: &[FailureRecord],
        keep_max: usize,
    ) -> Result<(), StoreError> {
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

    pub(super) fn put_kept(
        &self,
        domain: &PolicyDomain,
        kept: &KeptPolicy,
    ) -> Result<(), StoreError> {
        let key = domain.as_str().as_bytes();
        self.kept.put(&self.engine, key, &codec::write_kept(kept))
    }

    pub(super) fn put_delivery(
        &self,
        key: &DeliveryKey,
        state: &DeliveryState,
    ) -> Result<(), StoreError> {
        let value = codec::write_delivery(key, state);
        self.deliveries
            .put(&self.engine, &key::delivery(key), &value)
    }

    /// The deliveries whose key begins so, in order.
    pub(super) fn deliveries_under(
        &self,
        prefix: &[u8],
    ) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        let mut deliveries = Vec::new();
        self.deliveries.walk(prefix, |key, value| {
            let value = self.plain(value, "a delivery")?;
            deliveries.push(self.readable(codec::read_delivery(key, &value))?);
            Ok(())
        })?;
        deliveries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(deliveries)
    }

    pub(super) fn put_suppression(
        &self,
        destination: &Destination,
        suppression: &Suppression,
    ) -> Result<(), StoreError> {
        let value = codec::write_suppression(destination, suppression);
        self.suppressed
            .put(&self.engine, &key::destination(destination), &value)
    }

    /// One that is damaged is said and left out: its destination is asked once more.
    // An earlier release, which does not know the tree, sweeps the parts of its long values.
    pub(super) fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        let mut found = Vec::new();
        self.suppressed.walk(&[], |key, value| {
            let read = value
                .ok()
                .and_then(|value| codec::read_suppression(&value).ok());
            if read.is_none() {
                tracing::error!(
                    key = %key.escape_ascii(),
                    "a suppressed destination is damaged; it gets reports again"
                );
            }
            found.extend(read);
            Ok(())
        })?;
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    pub(super) fn put_override(&self, set: &CommandOverride) -> Result<(), StoreError> {
        let key = set.domain.as_str().as_bytes();
        self.overrides
            .put(&self.engine, key, &codec::write_override(set))
    }

    /// One that is damaged is said and left out: its domain's policies hold again as they are published.
    pub(super) fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError> {
        let mut found = Vec::new();
        self.overrides.walk(&[], |key, value| {
            let read = key::domain(key).zip(value.ok());
            let read = read.and_then(|(domain, value)| codec::read_override(domain, &value).ok());
            if read.is_none() {
                tracing::error!(
                    domain = %key.escape_ascii(),
                    "the override that was set for this domain is damaged; it holds no more"
                );
            }
            found.extend(read);
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut link = match self.audit.last(&[], None)? {
            Some((key, value)) => AuditLink::of(audit_number(&key), &value),
            None => self.audit_begins()?,
        };
        for entry in entries {
            let (next, value) = link.followed_by(entry);
            self.audit.put(&next.number.to_be_bytes(), &value)?;
            link = next;
        }
        Ok(())
    }

    pub(super) fn show_audit(&self, show: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError> {
        show(AuditShown::Begins(self.audit_begins()?));
        self.audit.walk(&[], None, |key, value| {
            show(audit::shown(audit_number(key), value));
            Ok(Walk::On)
        })
    }

    /// Where the log begins is on the disk before its entries go: cut off between the two they are passed over.
    pub(super) fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError> {
        let newest = self.audit.last(&[], None)?.map(|(key, _)| key);
        let mut old = Vec::new();
        let mut begins = None;
        self.audit.walk(&[], None, |key, value| {
            let is_old = codec::read_audit(value).is_ok_and(|(_, entry)| entry.at < before);
            if !is_old || newest.as_deref() == Some(key) {
                return Ok(Walk::Enough);
            }
            begins = Some(AuditLink::of(audit_number(key), value));
            old.push(key.to_vec());
            Ok(Walk::On)
        })?;
        let Some(begins) = begins else {
            return Ok(());
        };
        self.put_audit_begins(begins)?;
        self.engine.sync()?;
        old.iter().try_for_each(|key| self.audit.remove(key))?;
        self.engine.sync()
    }

    fn audit_begins(&self) -> Result<AuditLink, StoreError> {
        let value = self.about.value(AUDIT_BEGINS)?;
        let link = |octets: Vec<u8>| {
            let (number, hash) = octets.split_first_chunk::<8>()?;
            Some(AuditLink {
                number: u64::from_be_bytes(*number),
                hash: *hash.first_chunk()?,
            })
        };
        Ok(value.and_then(link).unwrap_or_default())
    }

    fn put_audit_begins(&self, begins: AuditLink) -> Result<(), StoreError> {
        let value = [&begins.number.to_be_bytes()[..], &begins.hash[..]].concat();
        self.about.put(AUDIT_BEGINS, &value)
    }

    /// The log of another store, octet by octet: what was broken in it stays so, and what was not goes on.
    pub(super) fn take_over_audit(
        &self,
        rows: &[(Vec<u8>, Vec<u8>)],
        begins: AuditLink,
    ) -> Result<(), StoreError> {
        self.put_audit_begins(begins)?;
        rows.iter()
            .try_for_each(|(key, value)| self.audit.put(key, value))
    }

    /// One domain's damaged policy is its own trouble: it is said, and left out.
    pub(super) fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
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

    /// The TLSA records that sessions of any day were held to: their TLSA base domains.
    // A policy that cannot be read is left out: its sessions are still in the recipient domains' own
    // reports, and one damaged row must not cost every MX host its report.
    pub(super) fn tlsa_policies(&self) -> Result<HashMap<Fingerprint, PolicyDomain>, StoreError> {
        let mut found = HashMap::new();
        self.applied.walk(&[], |key, value| {
            let base = value.ok().and_then(|value| codec::tlsa_base(&value));
            let fingerprint = key.first_chunk().copied().map(Fingerprint);
            found.extend(fingerprint.zip(base));
            Ok(())
        })?;
        Ok(found)
    }

    /// Everything of another store that can be put into a new one, for what cannot be read is left.
    pub(super) fn saved(&self) -> Saved {
        let mut saved = Saved {
            kept: self.kept_policies().unwrap_or_default(),
            deliveries: Vec::new(),
            suppressed: self.suppressions().unwrap_or_default(),
            overrides: self.overrides().unwrap_or_default(),
            audit: Vec::new(),
            audit_begins: self.audit_begins().unwrap_or_default(),
        };
        let walked = self.audit.walk(&[], None, |key, value| {
            saved.audit.push((key.to_vec(), value.to_vec()));
            Ok(Walk::On)
        });
        if let Err(error) = walked {
            tracing::error!(%error, "not every entry of the audit log could be read");
        }
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

    /// The applied policies that no row of any day names. Reading all days takes seconds; what is
    /// committed meanwhile is looked at by [`keep_those_used_since`](Self::keep_those_used_since).
    pub(super) fn unused_policies(&self) -> Result<HashSet<Vec<u8>>, StoreError> {
        let mut unused: HashSet<_> = self.applied.keys(&[])?.into_iter().collect();
        for day in days_of(self.sealed.heads())? {
            match self.sealed.rows(day, &key::day(day), &|_| true) {
                Ok(rows) => rows.keys().for_each(|key| note_use(key, &mut unused)),
                Err(Trouble::Store(error)) => return Err(error),
                // What a damaged day needs cannot be told: everything stays.
                Err(Trouble::Torn) => return Ok(HashSet::new()),
            }
        }
        self.keep_those_used_since(&mut unused)?;
        Ok(unused)
    }

    /// Takes those out that a row of a day not packed yet names: every commit writes such rows.
    pub(super) fn keep_those_used_since(
        &self,
        unused: &mut HashSet<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.tallies.walk(&[], None, |key, _| {
            note_use(key, unused);
            Ok(Walk::On)
        })
    }

    pub(super) fn forget_policies(&self, unused: &HashSet<Vec<u8>>) -> Result<(), StoreError> {
        unused
            .iter()
            .try_for_each(|key| self.applied.remove(&self.engine, key))
    }

    pub(super) fn plain<T>(&self, found: Result<T, Trouble>, what: &str) -> Result<T, StoreError> {
        found.map_err(|trouble| match trouble {
            Trouble::Store(error) => error,
            Trouble::Torn => self.damaged(&format!("{what} cannot be read")),
        })
    }

    pub(super) fn readable<T>(&self, read: Result<T, Unreadable>) -> Result<T, StoreError> {
        read.map_err(|unreadable| self.damaged(&unreadable.to_string()))
    }

    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// What [`SledStore::take_over`](super::SledStore::take_over) puts in.
#[derive(Debug, Default)]
pub(super) struct Saved {
    pub(super) kept: Vec<(PolicyDomain, KeptPolicy)>,
    pub(super) deliveries: Vec<(DeliveryKey, DeliveryState)>,
    pub(super) suppressed: Vec<(Destination, Suppression)>,
    pub(super) overrides: Vec<CommandOverride>,
    pub(super) audit: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) audit_begins: AuditLink,
}

/// The days that keys of a tree begin with, found without looking at every key.
pub(super) fn days_of(rows: &Rows) -> Result<Vec<UtcDay>, StoreError> {
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

pub(super) fn remove_under(rows: &Rows, prefix: &[u8]) -> Result<(), StoreError> {
    let mut keys = Vec::new();
    let below = key::behind(prefix);
    rows.walk(prefix, below.as_deref(), |key, _| {
        keys.push(key.to_vec());
        Ok(Walk::On)
    })?;
    keys.iter().try_for_each(|key| rows.remove(key))
}

/// The number of an entry of the audit log.
fn audit_number(key: &[u8]) -> u64 {
    key.first_chunk()
        .map_or(0, |octets| u64::from_be_bytes(*octets))
}

/// Takes the policy that a row names out of those that are unused.
fn note_use(key: &[u8], unused: &mut HashSet<Vec<u8>>) {
    if let Some(name) = key::read_tally(key) {
        unused.remove(name.policy.0.as_slice());
    }
}
