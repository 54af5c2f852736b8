//! Debian's promtool, which reads what Prometheus is given: a scrape, and the alert rules.
//!
//! It is unpacked into `TARGET/test-tools/prometheus`; no service is installed or started.

use std::{path::Path, process::ExitCode};

use crate::{
    tools::{no_arguments, tools_directory},
    unpacked::{Unpacked, unpack},
};

/// `cargo xtask promtool`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    prepare(&tools_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Unpacks it into the directory of the tests' tools. What is there already is left as it is.
///
/// # Errors
/// The machine: it is no Debian, the package cannot be had, or the disk is full. In words.
pub(crate) fn prepare(tools: &Path) -> Result<(), String> {
    unpack(
        tools,
        &Unpacked {
            package: "prometheus",
            folder: "prometheus",
            program: "usr/bin/promtool",
        },
    )
}
