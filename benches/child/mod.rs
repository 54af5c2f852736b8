//! A part of a bench in a process of its own, whose memory is then its own too.

use std::process::Command;

/// Runs the bench itself with these arguments, and waits for it.
///
/// # Errors
/// It cannot be started, or did not end well.
pub(crate) fn run_child(arguments: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let status = Command::new(std::env::current_exe()?)
        .args(arguments)
        // As `packaging/systemd/sealpost.service` has it.
        .env("MALLOC_ARENA_MAX", "2")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{arguments:?}: {status}").into())
}
