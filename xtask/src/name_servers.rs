//! Debian's Unbound and NSD, for the tests with a resolver that validates: the one asks the other, which has
//! the kit's signed zones.
//!
//! They are unpacked into `TARGET/test-tools/unbound` and `nsd`. The tests run them on ports of their own.

use std::{path::Path, process::ExitCode};

use crate::{
    tools::{no_arguments, tools_directory},
    unpacked::{Unpacked, unpack},
};

const PROGRAMS: [Unpacked; 2] = [
    Unpacked {
        package: "unbound",
        folder: "unbound",
        program: "usr/sbin/unbound",
    },
    Unpacked {
        package: "nsd",
        folder: "nsd",
        program: "usr/sbin/nsd",
    },
];

/// `cargo xtask name-servers`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    prepare(&tools_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Unpacks both into the directory of the tests' tools. What is there already is left as it is.
///
/// # Errors
/// The machine: it is no Debian, the packages cannot be had, or the disk is full. In words.
pub(crate) fn prepare(tools: &Path) -> Result<(), String> {
    PROGRAMS
        .iter()
        .try_for_each(|program| unpack(tools, program))
}
