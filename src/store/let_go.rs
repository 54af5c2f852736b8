//! Letting go of an engine, in bounded time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

/// It has nothing to do but to write its last buffer and to end its thread.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Drops what holds an engine, and says whether that came to an end.
///
/// sled waits for its own thread for as long as that takes, which is for ever where the thread has died over damage; and it
/// may panic over closing its files.
pub(super) fn let_go(held: impl Send + 'static) -> bool {
    let_go_within(held, TIME_MAX)
}

fn let_go_within(held: impl Send + 'static, time_max: Duration) -> bool {
    let (ended, has_ended) = mpsc::channel();
    let letting_go = thread::Builder::new().name("letting go".to_owned());
    let begun = letting_go.spawn(move || {
        let _dropped = catch_unwind(AssertUnwindSafe(move || drop(held))).is_ok();
        // Nobody may wait any more.
        let _told = ended.send(()).is_ok();
    });
    // Where no thread can be had it was dropped on this one.
    begun.is_err() || has_ended.recv_timeout(time_max).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that takes this long to go, or panics.
    struct Goes(Option<mpsc::Receiver<()>>);

    impl Drop for Goes {
        fn drop(&mut self) {
            match self.0.take() {
                Some(never) => drop(never.recv()),
                None => panic!("it cannot be closed"),
            }
        }
    }

    #[test]
    fn what_panics_has_gone_and_what_hangs_is_left_behind() {
        assert!(let_go(Goes(None)));
        let (release, never) = mpsc::channel();
        assert!(!let_go_within(Goes(Some(never)), Duration::ZERO));
        drop(release);
    }
}
