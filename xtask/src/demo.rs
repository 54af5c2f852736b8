//! `cargo demo`: builds the program, the library and the toy MTA in release mode, then becomes
//! `sealpost demo`.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

/// What the demo needs beside one another.
const PACKAGES: [&str; 3] = ["sealpost", "sealpost-capi", "sealpost-toy-mta"];

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    build()?;
    let program = super::target_directory()?.join("release").join("sealpost");
    // Only comes back when it cannot.
    let error = Command::new(&program).arg("demo").args(arguments).exec();
    Err(format!("{}: {error}", program.display()))
}

/// Builds them in release mode.
///
/// # Errors
/// When something does not build.
pub(crate) fn build() -> Result<(), String> {
    let cargo = env!("CARGO");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let mut build = Command::new(cargo);
    build
        .args(["build", "--release", "--manifest-path"])
        .arg(&manifest);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    let status = build
        .status()
        .map_err(|error| format!("{cargo}: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}"));
    }
    Ok(())
}
