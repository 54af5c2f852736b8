//! Opening the store when the daemon starts, whatever state it is in.
//!
//! Mail comes first: a store that is damaged is put aside, what can be saved of it is saved, and a
//! fresh one takes its place. A store whose disk refuses is tried again by every write. Only what
//! an operator must decide stops the start: a store that another process holds, and one that a
//! later release wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    MemoryStore, SledStore, Store, StoreError,
    engine::{Engine, LOG_FILE, PARAMETER_FILE, Tidying},
    locks::lock,
    sled::free_mib,
    trees::{Saved, Trees},
};
use crate::{clock::Timestamp, config::StoreConfig};

/// A store to work with.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where a damaged one was put, and what was wrong with it.
    pub put_aside: Option<(PathBuf, StoreError)>,
    /// Where what is recorded from now on is kept.
    pub kept_in: KeptIn,
}

/// Where what is recorded is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptIn {
    /// On the disk.
    Disk,
    /// On the disk as soon as it can be opened; until then it waits in memory, and nothing that
    /// lies on the disk can be read.
    DiskLater,
    /// In memory: it is lost when the process ends.
    Memory,
}

/// Opens the store. A damaged one is renamed aside, with `now` in its name.
///
/// # Errors
/// [`StoreError::Held`] and [`StoreError::FromTheFuture`]: the operator must act. Everything else
/// is said loudly, and mail goes on.
pub fn open_or_put_aside(config: &StoreConfig, now: Timestamp) -> Result<Opened, StoreError> {
    match SledStore::open(config) {
        Ok(store) => Ok(opened(store, KeptIn::Disk, None)),
        Err(error @ (StoreError::Held { .. } | StoreError::FromTheFuture { .. })) => Err(error),
        Err(error @ StoreError::Damaged { .. }) => Ok(put_aside(config, now, error)),
        Err(error) => {
            tracing::error!(
                %error,
                "the store cannot be opened; what is recorded waits in memory, and every commit \
                 tries again"
            );
            let store = SledStore::closed_for_now(config, error);
            Ok(opened(store, KeptIn::DiskLater, None))
        }
    }
}

fn opened(
    store: impl Store + 'static,
    kept_in: KeptIn,
    put_aside: Option<(PathBuf, StoreError)>,
) -> Opened {
    Opened {
        store: Arc::new(store),
        put_aside,
        kept_in,
    }
}

fn put_aside(config: &StoreConfig, now: Timestamp, damage: StoreError) -> Opened {
    let aside = match rename_aside(&config.path, now) {
        Ok(aside) => aside,
        Err(error) => {
            tracing::error!(
                %damage, %error,
                "the store is damaged and cannot be put aside; what is recorded is kept in memory \
                 only and will be lost when the daemon ends"
            );
            return opened(MemoryStore::default(), KeptIn::Memory, None);
        }
    };
    tracing::error!(%damage, aside = %aside.display(), "the store is damaged; it was put aside");
    let saved = save(config, &aside, now);
    let fresh = SledStore::open(config).and_then(|store| {
        store.take_over(&saved)?;
        Ok(store)
    });
    let put_aside = Some((aside, damage));
    match fresh {
        Ok(store) => {
            tracing::error!(
                policies = saved.kept.len(),
                deliveries = saved.deliveries.len(),
                suppressed = saved.suppressed.len(),
                overrides = saved.overrides.len(),
                "a fresh store is in its place; sessions that were counted in the old one and not \
                 reported yet will not be"
            );
            opened(store, KeptIn::Disk, put_aside)
        }
        Err(error) => {
            tracing::error!(
                %error,
                "no fresh store can be made; what is recorded is kept in memory only and will be \
                 lost when the daemon ends"
            );
            opened(MemoryStore::default(), KeptIn::Memory, put_aside)
        }
    }
}

/// Renames `store` to `store.damaged-2026-11-24T00:00:00Z`, or with a number behind it.
fn rename_aside(path: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{now}"));
    let mut aside = PathBuf::from(&name);
    for number in 2..100 {
        if !aside.exists() {
            break;
        }
        let mut numbered = name.clone();
        numbered.push(format!("-{number}"));
        aside = numbered.into();
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Reads the policies and delivery states of a damaged store, from a copy of it: what was put
/// aside stays as it was found.
fn save(config: &StoreConfig, aside: &Path, now: Timestamp) -> Saved {
    let mut copy = config.path.as_os_str().to_owned();
    copy.push(format!(".saving-{now}"));
    let copy = PathBuf::from(copy);
    let saved = copy_log(config, aside, &copy).and_then(|()| {
        let lock = lock(&copy)?;
        let engine = Engine::open(&copy, 16 * 1024 * 1024, Tidying::Never)?;
        Ok(Trees::of_engine(engine, &copy, lock)?.saved())
    });
    if let Err(error) = fs::remove_dir_all(&copy) {
        tracing::warn!(%error, path = %copy.display(), "a working copy could not be removed");
    }
    saved.unwrap_or_else(|error| {
        tracing::error!(%error, "nothing could be saved from the damaged store");
        Saved::default()
    })
}

/// Copies sled's log without its snapshot, for a snapshot may be all that is damaged: the log says
/// everything that the snapshot does.
fn copy_log(config: &StoreConfig, from: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::Io {
        path: from.display().to_string(),
        reason: error.to_string(),
    };
    let _held = lock(to)?;
    let log_mib = fs::metadata(from.join(LOG_FILE)).map_err(io)?.len() / (1024 * 1024);
    let free_mib = free_mib(to).map_err(io)?;
    if free_mib < log_mib.saturating_add(config.free_space_min_mib) {
        return Err(StoreError::DiskFull {
            path: to.display().to_string(),
            free_mib,
            mark_mib: log_mib.saturating_add(config.free_space_min_mib),
        });
    }
    for name in [LOG_FILE, PARAMETER_FILE] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).map_err(io)?;
        }
    }
    Ok(())
}
