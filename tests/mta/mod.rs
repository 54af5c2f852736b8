//! Real MTAs, each on a host of its own: network, mount and process namespaces in which the kit's small
//! Internet has the ports that an MTA expects, and the MTA has the files it expects.
//!
//! This needs root, the tools that make namespaces, and the MTA, which `cargo xtask tools` fetches.
//! Where one of them is missing the tests say so and pass; under `CI=true` they fail.

pub(crate) mod booted;
pub(crate) mod exim;
pub(crate) mod laboratory;
pub(crate) mod namespace;
pub(crate) mod postfix;
pub(crate) mod protected;
pub(crate) mod stand_in;
pub(crate) mod stand_in_program;
pub(crate) mod terminal;
pub(crate) mod truth;
pub(crate) mod world;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::skipped::skipped;

/// Who sends the mail of these tests.
pub(crate) const SENDER: &str = "someone@sender.test";

/// Who sends the reports.
pub(crate) const REPORT_SENDER: &str = "tlsrpt@sender.test";

/// A program or a library that the tests' own build has made.
pub(crate) fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_sealpost")).with_file_name(name)
}

/// A folder that `cargo xtask tools` makes.
pub(crate) fn test_tools(folder: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("test-tools").join(folder)
}

/// Can this machine run an MTA? It needs root, some programs, and some files, each of which comes with
/// how it is made.
pub(crate) fn can_run(mta: &str, programs: &[&str], files: &[(&Path, &str)]) -> bool {
    let mut lacking = Vec::new();
    if !rustix::process::geteuid().is_root() {
        lacking.push("root".to_owned());
    }
    for program in ["unshare", "nsenter", "mount", "ip"].iter().chain(programs) {
        let found = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
            .iter()
            .any(|directory| Path::new(directory).join(program).is_file());
        if !found {
            lacking.push(format!("the program {program}"));
        }
    }
    for (file, remedy) in files {
        if !file.is_file() {
            lacking.push(format!("{} ({remedy})", file.display()));
        }
    }
    if lacking.is_empty() {
        return true;
    }
    let complaint = format!(
        "{mta} is not tested: this machine lacks {}",
        lacking.join(", ")
    );
    skipped(&complaint);
    false
}

/// Looks again and again until it is so.
pub(crate) fn wait_until(what: &str, so: impl FnMut() -> bool) {
    assert!(comes_true(so), "waited in vain: {what}");
}

/// Does it come true within half a minute?
pub(crate) fn comes_true(mut so: impl FnMut() -> bool) -> bool {
    for _ in 0..600 {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
