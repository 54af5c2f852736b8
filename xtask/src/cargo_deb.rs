//! cargo-deb, which makes the Debian package: found where it is of our version, else compiled once into
//! `TARGET/test-tools/cargo-deb`.

use std::{path::PathBuf, process::Command};

use crate::tools::{cargo, output_of, run, tools_directory};

/// The version that the package is made with.
const VERSION: &str = "3.8.0";

/// Where it is, installed if need be.
///
/// # Errors
/// In words, when it cannot be installed.
pub(crate) fn prepare() -> Result<PathBuf, String> {
    let is_right = |program: &PathBuf| {
        let said = output_of(Command::new(program).arg("--version"));
        said.is_ok_and(|said| said.trim().ends_with(VERSION))
    };
    let of_the_user = PathBuf::from("cargo-deb");
    if is_right(&of_the_user) {
        return Ok(of_the_user);
    }
    let folder = tools_directory()?.join("cargo-deb");
    let ours = folder.join("bin/cargo-deb");
    if !is_right(&ours) {
        // Without its defaults, which compress by a C library of their own: xz does it.
        run(cargo()
            .args(["install", "cargo-deb", "--locked", "--quiet"])
            .args(["--version", VERSION, "--no-default-features", "--root"])
            .arg(&folder))?;
    }
    Ok(ours)
}
