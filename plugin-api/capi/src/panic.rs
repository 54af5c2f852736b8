//! The border: no panic leaves this library, and none is printed into a host's file descriptors.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what an entry does. When it panics, which is a defect of ours, the host gets `otherwise`.
///
/// What a call changes outside itself is one atomic slot for a connection, which is swapped whole,
/// so a call that was cut short leaves nothing half done.
pub(crate) fn guard<T>(otherwise: T, entry: impl FnOnce() -> T) -> T {
    be_quiet();
    match catch_unwind(AssertUnwindSafe(entry)) {
        Ok(result) => result,
        Err(payload) => {
            // Its destructor could panic in turn.
            std::mem::forget(payload);
            otherwise
        }
    }
}

/// The message of a panic goes to file descriptor 2, which in an MTA may be anything, a mail
/// connection included. This hook is the library's own: each shared object has its copy of std.
#[cfg(not(test))]
fn be_quiet() {
    use std::sync::atomic::{AtomicBool, Ordering};

    static QUIET: AtomicBool = AtomicBool::new(false);
    if !QUIET.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

/// A failing test must say why.
#[cfg(test)]
fn be_quiet() {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Code;

    extern "C" fn entry(text: u32) -> i32 {
        guard(Code::Internal, || {
            assert!(text != 7, "a defect");
            Code::Ok
        }) as i32
    }

    #[test]
    fn a_panic_becomes_a_code_and_the_next_call_works() {
        assert_eq!(entry(7), 7);
        assert_eq!(entry(1), 0);
    }

    #[test]
    fn a_panic_whose_payload_panics_when_dropped_is_caught_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let code = guard(Code::Internal, || std::panic::panic_any(Bomb));
        assert_eq!(code, Code::Internal);
    }
}
