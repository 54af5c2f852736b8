//! A test that was not made must never look like one that went well.

use std::io::Write as _;

/// Says that something is not tested, and why. Where `CI` is set that is a failure: nothing is skipped
/// there.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    left_out(why);
}

/// Says that a part of a test was left out which this machine's settings forbid.
pub(crate) fn left_out(why: &str) {
    // Not `eprintln`, which is shown only where a test fails.
    let _said = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
