//! A copy of a store that goes on being written to.
//!
//! sled has no view of one moment, and from under it its file cannot be copied. So rows are read, tree by tree, and put
//! into a fresh store, while sessions are counted and committed; each commit notes which rows it changed. Then commits
//! and the audit log are held up for as long as it takes to put these in: tallies, single failures, the policies that
//! these name and the audit log are those of that one moment. What is whole by itself is read row by row
//! (docs/decisions/0004-sled.md).

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    Batch, FailureRecord, StoreError,
    engine::{Engine, LOG_FILE, Rows, Tidying, Walk, wait_for_old_threads},
    key,
    let_go::let_go,
    locks::lock,
    parted::{Parted, Trouble},
    sled::free_mib,
    trees::Trees,
};

/// What a copy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Rows, and values that are kept whole.
    pub rows: u64,
    /// How large the copy's file is, in octets.
    pub octets: u64,
}

/// What lies beside the engine's own files and belongs to the store: who was told of which alert.
const BESIDE: [&str; 1] = ["alerts.json"];

/// sled's memory for the copy, in octets. It is written once, in order.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// After how many rows it is looked how much room the disk has left.
const ROWS_PER_LOOK: u64 = 1_024;

/// What commits have changed since a copy was begun, by its keys.
#[derive(Debug, Default)]
pub(super) struct Touched {
    tallies: BTreeSet<Vec<u8>>,
    /// How the keys of single failures begin: a day and a domain.
    failures: BTreeSet<Vec<u8>>,
    applied: BTreeSet<[u8; 16]>,
}

impl Touched {
    pub(super) fn note(&mut self, batch: &Batch) {
        self.tallies.extend(batch.totals.keys().map(key::tally));
        let of_domain =
            |failure: &FailureRecord| key::day_domain(failure.at.day(), &failure.domain);
        self.failures.extend(batch.failures.iter().map(of_domain));
        self.applied
            .extend(batch.policies.keys().map(|policy| policy.0));
    }
}

/// Copies a store that is in use into a new directory, which is there whole or not at all. `hold` keeps everybody else
/// from committing and from writing the audit log, and says what commits have changed since before the call; that nothing
/// is packed or forgotten meanwhile is the caller's business. So many MiB stay free.
pub(super) fn copy<G>(
    from: &Trees,
    store: &Path,
    directory: &Path,
    free_space_min_mib: u64,
    hold: impl FnOnce() -> Result<(G, Touched), StoreError>,
) -> Result<Copied, StoreError> {
    let place = Place::make(store, directory)?;
    let copying = Copying {
        place: &place,
        free_space_min_mib,
        rows: Cell::default(),
    };
    let copied = copying.fill(from, hold).and_then(|rows| {
        place.take_what_lies_beside(store)?;
        place.finish(rows)
    });
    if copied.is_err()
        && let Err(error) = fs::remove_dir_all(&place.partial)
    {
        tracing::warn!(%error, path = %place.partial.display(), "a copy that was not finished could not be removed");
    }
    copied
}

/// Where a copy is made: beside where it is to be, until it is whole.
struct Place {
    directory: PathBuf,
    partial: PathBuf,
}

impl Place {
    fn make(store: &Path, directory: &Path) -> Result<Self, StoreError> {
        let refused = |reason: String| refusal(directory, reason);
        if fs::symlink_metadata(directory).is_ok() {
            return Err(refused("it is there already".to_owned()));
        }
        let (Some(above), Some(name)) = (directory.parent(), directory.file_name()) else {
            return Err(refused("it is no name of a new directory".to_owned()));
        };
        let above = fs::canonicalize(above)
            .map_err(|error| refused(format!("{}: {error}", above.display())))?;
        if fs::canonicalize(store).is_ok_and(|store| above.starts_with(store)) {
            return Err(refused("it is within the store".to_owned()));
        }
        let mut partial = name.to_owned();
        partial.push(".partial");
        let partial = above.join(partial);
        // Who was mailed, and how that went, is nobody else's business.
        let made = DirBuilder::new().mode(0o700).create(&partial);
        made.map_err(|error| refused(not_made(&error, &partial, store)))?;
        Ok(Self {
            directory: above.join(name),
            partial,
        })
    }

    /// The files that are not the engine's. Each is written anew by its owner, and never in place.
    fn take_what_lies_beside(&self, store: &Path) -> Result<(), StoreError> {
        for name in BESIDE {
            match fs::copy(store.join(name), self.partial.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.io(&error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Brings all of it to the disk, and only then gives it its name.
    fn finish(&self, rows: u64) -> Result<Copied, StoreError> {
        // Threads of the engine may be at it a moment longer.
        wait_for_old_threads(&self.partial)?;
        let io = |error: io::Error| self.io(&error);
        for entry in fs::read_dir(&self.partial).map_err(io)? {
            let file = File::open(entry.map_err(io)?.path()).map_err(io)?;
            file.sync_all().map_err(io)?;
        }
        let log = fs::metadata(self.partial.join(LOG_FILE)).map_err(io)?;
        let synced = |path: &Path| File::open(path).and_then(|directory| directory.sync_all());
        synced(&self.partial).map_err(io)?;
        renameat_with(
            CWD,
            &self.partial,
            CWD,
            &self.directory,
            RenameFlags::NOREPLACE,
        )
        .map_err(|error| self.io(&error.into()))?;
        let above = self.directory.parent().unwrap_or(Path::new("/"));
        synced(above).map_err(io)?;
        Ok(Copied {
            rows,
            octets: log.len(),
        })
    }

    fn io(&self, error: &io::Error) -> StoreError {
        refusal(&self.directory, error.to_string())
    }
}

fn refusal(directory: &Path, reason: String) -> StoreError {
    StoreError::NoCopy {
        path: directory.display().to_string(),
        reason,
    }
}

/// Why no directory can be made, and what to do.
fn not_made(error: &io::Error, partial: &Path, store: &Path) -> String {
    let partial = partial.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => format!(
            "{partial} is there already: another copy is being made, or one was cut off; remove it in that case"
        ),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let beside = store.parent().unwrap_or(store).display();
            format!(
                "{partial}: {error}; the daemon itself writes the copy and may surely do so in {beside}, \
                 from where you can move it"
            )
        }
        _ => format!("{partial}: {error}"),
    }
}

/// A copy under way.
struct Copying<'a> {
    place: &'a Place,
    free_space_min_mib: u64,
    rows: Cell<u64>,
}

impl Copying<'_> {
    /// Fills a fresh store, and closes it. Gives how many rows it has.
    fn fill<G>(
        &self,
        from: &Trees,
        hold: impl FnOnce() -> Result<(G, Touched), StoreError>,
    ) -> Result<u64, StoreError> {
        let partial = &self.place.partial;
        let engine = Engine::open(partial, CACHE_BYTES, Tidying::Never)?;
        let to = Trees::of_engine(engine, partial, lock(partial)?)?;
        // A packed day stays as it is; what is told of it later lies singly.
        self.rows(from.sealed.heads(), to.sealed.heads())?;
        self.rows(from.sealed.blocks(), to.sealed.blocks())?;
        self.rows(&from.tallies, &to.tallies)?;
        self.rows(&from.failures, &to.failures)?;
        self.values(&from.applied, &to.applied, &to.engine)?;
        self.rows(&from.audit, &to.audit)?;
        to.engine.sync()?;

        let (held, touched) = hold()?;
        self.catch_up(from, &to, &touched)?;
        drop(held);

        // Last: a report that left while we were at it is known as sent.
        for (from, to_tree) in [
            (&from.kept, &to.kept),
            (&from.overrides, &to.overrides),
            (&from.suppressed, &to.suppressed),
            (&from.deliveries, &to.deliveries),
        ] {
            self.values(from, to_tree, &to.engine)?;
        }
        to.engine.sync()?;
        if !let_go(to) {
            return Err(refusal(
                &self.place.directory,
                "its engine does not let go of it".to_owned(),
            ));
        }
        Ok(self.rows.get())
    }

    fn rows(&self, from: &Rows, to: &Rows) -> Result<(), StoreError> {
        from.walk(&[], None, |key, value| {
            self.count()?;
            to.put(key, value)?;
            Ok(Walk::On)
        })
    }

    /// Puts in what has changed since it was read.
    fn catch_up(&self, from: &Trees, to: &Trees, touched: &Touched) -> Result<(), StoreError> {
        for key in &touched.tallies {
            if let Some(total) = from.tallies.value(key)? {
                self.put(&to.tallies, key, &total)?;
            }
        }
        for prefix in &touched.failures {
            let below = key::behind(prefix);
            // Of more than may be, the oldest have gone.
            let first = from.failures.first(prefix, below.as_deref())?;
            let mut gone = Vec::new();
            to.failures.walk(prefix, below.as_deref(), |key, _| {
                if first
                    .as_ref()
                    .is_none_or(|(first, _)| key < first.as_slice())
                {
                    gone.push(key.to_vec());
                }
                Ok(Walk::On)
            })?;
            gone.iter().try_for_each(|key| to.failures.remove(key))?;
            from.failures
                .walk(prefix, below.as_deref(), |key, failure| {
                    self.put(&to.failures, key, failure)?;
                    Ok(Walk::On)
                })?;
        }
        for key in &touched.applied {
            let value = from.plain(from.applied.value(key), "an applied policy")?;
            if let Some(value) = value {
                to.applied.put(&to.engine, key, &value)?;
            }
        }
        // It is written at its end alone. What was forgotten of its beginning counts as forgotten by where it begins.
        let last = to.audit.last(&[], None)?;
        let last = last.map_or_else(Vec::new, |(key, _)| key);
        from.audit.walk(&last, None, |key, entry| {
            self.put(&to.audit, key, entry)?;
            Ok(Walk::On)
        })?;
        self.rows(&from.about, &to.about)
    }

    /// Puts a row that may be there already.
    fn put(&self, to: &Rows, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if to.value(key)?.is_none() {
            self.count()?;
        }
        to.put(key, value)
    }

    /// One that is damaged is said and left out, as it is wherever it is read.
    fn values(&self, from: &Parted, to: &Parted, engine: &Engine) -> Result<(), StoreError> {
        from.walk(&[], |key, value| match value {
            Ok(value) => {
                self.count()?;
                to.put(engine, key, &value)
            }
            Err(Trouble::Store(error)) => Err(error),
            Err(Trouble::Torn) => {
                tracing::error!(key = %key.escape_ascii(), "a value is damaged; the copy of the store is without it");
                Ok(())
            }
        })
    }

    fn count(&self) -> Result<(), StoreError> {
        let rows = self.rows.get() + 1;
        self.rows.set(rows);
        let mark_mib = self.free_space_min_mib;
        if mark_mib == 0 || rows % ROWS_PER_LOOK != 1 {
            return Ok(());
        }
        let partial = &self.place.partial;
        let free_mib = free_mib(partial).map_err(|error| self.place.io(&error))?;
        if free_mib >= mark_mib {
            return Ok(());
        }
        Err(StoreError::DiskFull {
            path: partial.display().to_string(),
            free_mib,
            mark_mib,
        })
    }
}
