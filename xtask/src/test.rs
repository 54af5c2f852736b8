//! `cargo xtask test`: everything that can be tested, in one command.
//!
//! It installs what it needs, then runs the checks from the quickest to the longest, and stops at
//! the first that fails.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    package, tidy,
    tools::{self, cargo, run},
};

/// One part of the whole.
struct Part {
    name: &'static str,
    /// Does it.
    run: fn() -> Result<(), String>,
}

const PARTS: &[Part] = &[
    Part {
        name: "tools: what the tests need besides Rust",
        run: || tools::install(&tools::root()),
    },
    Part {
        name: "format",
        run: || run(cargo().args(["fmt", "--all", "--check"])),
    },
    Part {
        name: "tidiness",
        run: tidy::check,
    },
    Part {
        name: "lints",
        run: || {
            run(cargo()
                .args(["clippy", "--workspace", "--all-targets", "--quiet", "--"])
                .args(["-D", "warnings"]))
        },
    },
    Part {
        name: "documentation",
        run: || {
            run(cargo()
                .args(["doc", "--workspace", "--no-deps", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"))
        },
    },
    // The tests run programs and the library that cargo does not build for a test by itself, and install
    // the package.
    Part {
        name: "build",
        run: || run(cargo().args(["build", "--workspace", "--quiet"])),
    },
    Part {
        name: "package: built, packed, and as Debian wants it",
        run: package::check,
    },
    Part {
        name: "tests",
        run: || run(cargo().args(["test", "--workspace"])),
    },
    Part {
        name: "trials of the store: kill -9 and power cuts",
        run: || {
            run(cargo()
                .args(["test", "--release", "--test", "trials", "--"])
                .args(["--ignored", "--nocapture", "--test-threads=1"]))
        },
    },
    Part {
        name: "trials of the sockets that systemd holds: restarts",
        run: || {
            run(cargo()
                .args(["test", "--test", "all", "--", "daemon::restarts"])
                .args(["--ignored", "--nocapture", "--test-threads=1"]))
        },
    },
    Part {
        name: "trials of the reports: kills in the middle of sending",
        run: || {
            run(cargo()
                .args(["test", "--test", "all", "--", "daemon::kills"])
                .args(["--ignored", "--nocapture", "--test-threads=1"]))
        },
    },
    Part {
        name: "demo",
        run: || run(cargo().args(["demo", "--json"])),
    },
];

/// Runs every part, or those whose names contain one of the words given.
///
/// # Errors
/// In words, at the first part that fails.
pub(crate) fn run_all(words: &[String]) -> Result<ExitCode, String> {
    let chosen: Vec<&Part> = PARTS
        .iter()
        .filter(|part| {
            words.is_empty() || words.iter().any(|word| part.name.contains(word.as_str()))
        })
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!(
            "no part is called so; there are: {}",
            names.join("; ")
        ));
    }
    for part in &chosen {
        say(&format!("\n=== {}\n", part.name));
        (part.run)().map_err(|error| format!("{}: {error}", part.name))?;
    }
    say(&format!("\nall {} parts passed\n", chosen.len()));
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) {
    let _said = io::stderr().write_all(text.as_bytes());
}
