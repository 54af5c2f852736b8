//! What every bench needs to measure and to show: the time, and a place for a line of figures.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Where a line of figures goes.
#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
