//! Locks of the store, taken while its trees are held.

use std::{
    sync::{Mutex, MutexGuard, TryLockError},
    time::Duration,
};

use super::{StoreError, trees::Trees};

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
