//! The one file that calls sled: rows in named trees, and a sync that means it.
//!
//! Five things about sled 0.34 are dealt with here (docs/decisions/0004-sled.md):
//! its `flush` starts the write but does not ask the disk to keep it, so every sync ends in an
//! `fdatasync` of our own; between two of these it writes over what has moved elsewhere, so the
//! filesystem is asked to keep each write before the next; it may panic where it meets damage, so
//! every call is caught; after an error of the operating system it refuses everything until it
//! is opened again, so the first error is remembered in [`Engine::has_failed`]; and only its own thread
//! moves pages out of segments that are mostly dead, so it is let run ([`Tidying`]).

use std::{
    fs::File,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::fs::{Advice, IFlags, fadvise, ioctl_getflags, ioctl_setflags};

use super::{StoreError, locks::is_taken};

/// The file that holds sled's log, within the store's directory.
pub(crate) const LOG_FILE: &str = "db";
/// The file that holds sled's own parameters.
pub(crate) const PARAMETER_FILE: &str = "conf";

/// An open database.
pub(crate) struct Engine {
    database: sled::Db,
    log: File,
    mood: Arc<Mood>,
}

/// What an engine and its trees share: where they are, and whether they can still be used.
struct Mood {
    path: String,
    failed: AtomicBool,
}

/// One tree of rows, ordered by their keys' octets.
#[derive(Clone)]
pub(crate) struct Rows {
    tree: sled::Tree,
    mood: Arc<Mood>,
}

/// A key and its value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// Whether a walk over rows goes on.
pub(crate) enum Walk {
    On,
    Enough,
}

/// Whether sled's own thread moves what lives out of segments that are mostly dead, so that they are used again. Without it
/// the file grew to six times what it held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tidying {
    /// Never: what is looked at may be damaged, and must not be moved.
    Never,
    /// So often, and for half of that time at most.
    Every(Duration),
}

impl Tidying {
    /// Each look ends in an `fsync`, which a host where nothing happens should be spared; and what a busy one writes
    /// in that time is little beside its store.
    pub(crate) const USUAL: Self = Self::Every(Duration::from_secs(10));

    fn every_ms(self) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Every(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

impl Engine {
    /// Opens the database in a directory, or makes a new one.
    pub(crate) fn open(
        directory: &Path,
        cache_bytes: u64,
        tidying: Tidying,
    ) -> Result<Self, StoreError> {
        let mood = Arc::new(Mood {
            path: directory.display().to_string(),
            failed: AtomicBool::new(false),
        });
        let config = sled::Config::new()
            .path(directory)
            .cache_capacity(cache_bytes)
            // The thread that tidies up also writes what waits, as any full buffer is written. Nothing is acknowledged for that:
            // a batch is flushed, synced by us on a descriptor of our own, and then acknowledged.
            .flush_every_ms(tidying.every_ms());
        wait_for_old_threads(directory)?;
        let log = ordered_log(directory).map_err(|error| mood.io(&error))?;
        let database = mood.guard(|| config.open())?;
        let open = |name: &str| File::open(directory.join(name)).map_err(|error| mood.io(&error));
        // sled renames its snapshot into place and writes its parameters without asking the disk
        // to keep either; and a new directory is itself only an entry in its parent.
        for file in [&open(PARAMETER_FILE)?, &open(".")?, &open("..")?] {
            file.sync_all().map_err(|error| mood.io(&error))?;
        }
        Ok(Self {
            database,
            log,
            mood,
        })
    }

    /// The tree of this name; made when it is missing.
    pub(crate) fn rows(&self, name: &str) -> Result<Rows, StoreError> {
        Ok(Rows {
            tree: self.mood.guard(|| self.database.open_tree(name))?,
            mood: Arc::clone(&self.mood),
        })
    }

    /// Returns when everything put and removed so far would survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.mood.guard(|| self.database.flush())?;
        // sled asks for sync_file_range, which leaves the file's size and the drive's own cache
        // out: power cut trials lost everything without this line.
        self.log.sync_data().map_err(|error| self.mood.io(&error))
    }

    /// Did the operating system or sled itself give up on this database? Then it must be opened
    /// again.
    pub(crate) fn has_failed(&self) -> bool {
        self.mood.failed.load(Ordering::Relaxed)
    }

    /// The same as an error, for who would wait for somebody else's work on it.
    pub(crate) fn is_usable(&self) -> Result<(), StoreError> {
        if self.has_failed() {
            return Err(self.mood.refusal("it must be opened again".to_owned()));
        }
        Ok(())
    }
}

impl Rows {
    /// The value at a key.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.mood
            .guard(|| Ok(self.tree.get(key)?.map(|value| value.to_vec())))
    }

    /// Writes one row. Never several together: sled's `apply_batch` holds on to memory for good.
    pub(crate) fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.mood
            .guard(|| self.tree.insert(key, value).map(|_before| ()))
    }

    /// Removes one row, if it is there.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.mood.guard(|| self.tree.remove(key).map(|_before| ()))
    }

    /// Removes one row if it still has this value.
    pub(crate) fn remove_unchanged(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.mood.guard(|| {
            let nothing: Option<&[u8]> = None;
            self.tree
                .compare_and_swap(key, Some(value), nothing)
                .map(|_changed_meanwhile| ())
        })
    }

    /// The first row from a key on, below another.
    pub(crate) fn first(
        &self,
        from: &[u8],
        below: Option<&[u8]>,
    ) -> Result<Option<Row>, StoreError> {
        let mut found = None;
        self.walk(from, below, |key, value| {
            found = Some((key.to_vec(), value.to_vec()));
            Ok(Walk::Enough)
        })?;
        Ok(found)
    }

    /// The last row from a key on, below another.
    pub(crate) fn last(
        &self,
        from: &[u8],
        below: Option<&[u8]>,
    ) -> Result<Option<Row>, StoreError> {
        self.mood.guard(|| {
            let row = self.tree.range::<&[u8], _>(bounds(from, below)).next_back();
            Ok(row
                .transpose()?
                .map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    /// Shows every row from a key on, below another, in order.
    pub(crate) fn walk(
        &self,
        from: &[u8],
        below: Option<&[u8]>,
        mut show: impl FnMut(&[u8], &[u8]) -> Result<Walk, StoreError>,
    ) -> Result<(), StoreError> {
        let mut refused = Ok(());
        self.mood.guard(|| {
            for row in self.tree.range::<&[u8], _>(bounds(from, below)) {
                let (key, value) = row?;
                match show(&key, &value) {
                    Ok(Walk::On) => {}
                    Ok(Walk::Enough) => break,
                    Err(error) => {
                        refused = Err(error);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        refused
    }
}

/// sled locks its log, and threads of a database that was just closed may hold it a moment longer.
/// The store's own lock keeps others out, so what holds the log now is about to let go of it.
pub(crate) fn wait_for_old_threads(directory: &Path) -> Result<(), StoreError> {
    let Ok(log) = File::open(directory.join(LOG_FILE)) else {
        return Ok(());
    };
    match is_taken(&log, LOCK_TRIES) {
        Ok(false) => Err(StoreError::Held {
            path: directory.display().to_string(),
        }),
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Opens sled's log, or makes an empty one, and asks its filesystem to have each write on the disk before it returns
/// (`FS_SYNC_FL`, `chattr +S`).
///
/// sled moves pages into new segments at the end of its log, and writes over the old ones as soon as `sync_file_range`
/// has returned; that brings octets to the disk, but not the file's growth, so that a power cut before the next
/// `fdatasync` kept the new segments and lost what had moved to the end.
fn ordered_log(directory: &Path) -> std::io::Result<File> {
    let log = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(directory.join(LOG_FILE))?;
    let asked = ioctl_getflags(&log).and_then(|flags| {
        if flags.contains(IFlags::SYNC) {
            return Ok(());
        }
        ioctl_setflags(&log, flags | IFlags::SYNC)
    });
    if let Err(error) = asked {
        tracing::warn!(
            path = %directory.display(), %error,
            "the filesystem of the store does not take the attribute S (`man chattr`), by which each write is kept \
             before the next; a power cut while much is written may damage the store"
        );
    }
    Ok(log)
}

/// After a sync that failed, the system's memory may hold pages that the disk never got. Reading
/// the file again must show what the disk has.
pub(crate) fn forget_cached_pages(directory: &Path) {
    if let Ok(log) = File::open(directory.join(LOG_FILE)) {
        // Advice that is not taken changes nothing we could mend.
        let _taken = fadvise(&log, 0, None, Advice::DontNeed).is_ok();
    }
}

/// Two seconds in all.
const LOCK_TRIES: u32 = 200;

fn bounds<'a>(from: &'a [u8], below: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let end = below.map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(from), end)
}

impl Mood {
    /// Runs a call into sled, and turns its errors and panics into ours.
    fn guard<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        // After a panic the engine is not used again (`has_failed`), so that nothing half done
        // behind the unwinding is seen.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(sled::Error::Io(error))) => Err(self.io(&error)),
            // sled says so of a file that another release of it, or other parameters, made.
            Ok(Err(sled::Error::Unsupported(reason))) => Err(self.refusal(reason)),
            Ok(Err(error)) => Err(self.damage(error.to_string())),
            Err(panic) => Err(self.damage(format!("sled panicked: {}", words_of(&*panic)))),
        }
    }

    fn io(&self, error: &std::io::Error) -> StoreError {
        self.refusal(error.to_string())
    }

    fn refusal(&self, reason: String) -> StoreError {
        self.failed.store(true, Ordering::Relaxed);
        StoreError::Io {
            path: self.path.clone(),
            reason,
        }
    }

    fn damage(&self, reason: String) -> StoreError {
        self.failed.store(true, Ordering::Relaxed);
        StoreError::Damaged {
            path: self.path.clone(),
            reason,
        }
    }
}

/// The text of a panic, as far as it has one.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
        .to_owned()
}
