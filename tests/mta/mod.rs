//! Real MTAs, each on a host of its own: a network and mount namespace in which the kit's small
//! Internet has the ports that an MTA expects, and the MTA has the files it expects.
//!
//! This needs root, the tools that make namespaces, and the MTA, which `cargo xtask exim` unpacks.
//! Where one of them is missing the tests say so and pass; under `CI=true` they fail.

pub(crate) mod exim;
pub(crate) mod namespace;
pub(crate) mod stand_in;
pub(crate) mod world;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

/// What the tests run, found.
pub(crate) struct Tools {
    /// Where Exim is unpacked.
    pub(crate) exim: PathBuf,
    /// The kit's program.
    pub(crate) small_internet: PathBuf,
    /// `libsealpost.so`.
    pub(crate) library: PathBuf,
}

/// Everything that the tests with this build need, or nothing where the machine cannot run them.
pub(crate) fn tools(build: exim::Build) -> Option<Tools> {
    let program = Path::new(env!("CARGO_BIN_EXE_sealpost"));
    let beside = |name: &str| program.with_file_name(name);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let tools = Tools {
        exim: target.join("test-tools").join(build.folder()),
        small_internet: beside("small-internet"),
        library: beside("libsealpost.so"),
    };
    let mut lacking = Vec::new();
    if !rustix::process::geteuid().is_root() {
        lacking.push("root".to_owned());
    }
    for tool in ["unshare", "nsenter", "mount", "ip", "ldconfig"] {
        let found = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
            .iter()
            .any(|directory| Path::new(directory).join(tool).is_file());
        if !found {
            lacking.push(format!("the program {tool}"));
        }
    }
    for (file, remedy) in [
        (
            tools.exim.join("library-directories"),
            "cargo xtask exim unpacks it",
        ),
        (
            tools.small_internet.clone(),
            "cargo build -p sealpost-kit makes it",
        ),
        (
            tools.library.clone(),
            "cargo build -p sealpost-capi makes it",
        ),
    ] {
        if !file.is_file() {
            lacking.push(format!("{} ({remedy})", file.display()));
        }
    }
    if lacking.is_empty() {
        return Some(tools);
    }
    let complaint = format!(
        "{} is not tested: this machine lacks {}",
        build.folder(),
        lacking.join(", ")
    );
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{complaint}");
    // Not `eprintln`, which is shown only where a test fails.
    let _said = writeln!(std::io::stderr(), "SKIPPED: {complaint}");
    None
}
