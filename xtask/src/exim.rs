//! Debian's two builds of Exim, for the tests with a real MTA.
//!
//! They are unpacked into `TARGET/test-tools/exim-light` and `exim-heavy`. The tests run Exim in a mount
//! namespace whose loader knows the libraries beside it.

use std::{path::Path, process::ExitCode};

use crate::{
    tools::{no_arguments, tools_directory},
    unpacked::{Unpacked, unpack},
};

const BUILDS: [Unpacked; 2] = [
    Unpacked {
        package: "exim4-daemon-light",
        folder: "exim-light",
        program: "usr/sbin/exim4",
    },
    Unpacked {
        package: "exim4-daemon-heavy",
        folder: "exim-heavy",
        program: "usr/sbin/exim4",
    },
];

/// `cargo xtask exim`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    prepare(&tools_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Unpacks both builds into the directory of the tests' tools. What is there already is left as it is.
///
/// # Errors
/// The machine: it is no Debian, the packages cannot be had, or the disk is full. In words.
pub(crate) fn prepare(tools: &Path) -> Result<(), String> {
    BUILDS.iter().try_for_each(|build| unpack(tools, build))
}
