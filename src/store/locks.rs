//! Who has the store: the directory, against other processes; and a lock within it, while its trees are held.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{Mutex, MutexGuard, TryLockError},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::{StoreError, trees::Trees};

/// Makes the directory when it is missing, and holds it against other processes.
pub(super) fn lock(directory: &Path) -> Result<File, StoreError> {
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
    match is_taken(&file, HELD_TRIES) {
        Ok(true) => Ok(file),
        Ok(false) => Err(StoreError::Held { path: path() }),
        Err(error) => Err(io(error.into())),
    }
}

/// A fifth of a second in all. Whoever has just closed the store may be starting a program: until that runs, it has the lock
/// as its parent had it.
const HELD_TRIES: u32 = 20;
const HELD_PAUSE: Duration = Duration::from_millis(10);

/// Takes the lock of a file, which is given back when the file is closed; false where somebody else has it at each of so many
/// tries, ten milliseconds apart.
pub(super) fn is_taken(file: &File, tries: u32) -> rustix::io::Result<bool> {
    for _ in 0..tries {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(HELD_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Takes a lock while the trees are held. Whoever has it may be about to open them again, and waits for us to let go of
/// them: then there is nothing to wait for.
pub(super) fn wait_for<'a>(
    lock: &'a Mutex<()>,
    trees: &Trees,
) -> Result<MutexGuard<'a, ()>, StoreError> {
    loop {
        match lock.try_lock() {
            Ok(held) => return Ok(held),
            Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) => trees.engine.is_usable()?,
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// How often it is tried to take such a lock. It is held for as long as a commit takes.
const LOCK_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_directory_is_one_holders_and_waited_for_while_a_program_is_started() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path()).unwrap();
        let path = directory.path().display().to_string();
        let refused = lock(directory.path()).unwrap_err();
        assert_eq!(refused, StoreError::Held { path });
        // As a child has it that is not yet its program.
        let of_child = held.try_clone().unwrap();
        drop(held);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(HELD_PAUSE);
                drop(of_child);
            });
            assert!(lock(directory.path()).is_ok());
        });
    }
}
