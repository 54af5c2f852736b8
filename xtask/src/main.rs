//! Repository chores: `cargo xtask CHORE`. One file holds one chore.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

mod cargo_deb;
mod consumers;
mod demo;
mod exim;
mod name_servers;
mod package;
mod postfix;
mod prometheus;
mod roots;
mod sources;
mod test;
mod tidy;
mod tools;
mod unpacked;

/// One chore.
struct Chore {
    name: &'static str,
    /// What it does.
    text: &'static str,
    /// Does it, with the arguments that are left.
    run: fn(&[String]) -> Result<ExitCode, String>,
}

const CHORES: &[Chore] = &[
    Chore {
        name: "demo",
        text: "build everything in release mode and run `sealpost demo` with the arguments given",
        run: demo::run,
    },
    Chore {
        name: "exim",
        text: "unpack Debian's two builds of Exim for the tests, into the target directory",
        run: exim::run,
    },
    Chore {
        name: "name-servers",
        text: "unpack Debian's Unbound and NSD for the tests, into the target directory",
        run: name_servers::run,
    },
    Chore {
        name: "package",
        text: "build everything in release mode and make the Debian package of it, in TARGET/package",
        run: package::run_chore,
    },
    Chore {
        name: "postfix",
        text: "fetch Debian's Postfix 3.10 and 3.7 for the tests, into the target directory",
        run: postfix::run,
    },
    Chore {
        name: "promtool",
        text: "unpack Debian's promtool for the tests, into the target directory",
        run: prometheus::run,
    },
    Chore {
        name: "roots",
        text: "make clean roots of Debian 12 and 13 for the tests of the package, into the target directory",
        run: roots::run,
    },
    Chore {
        name: "tools",
        text: "install what the tests need besides Rust: Debian's packages, both Exims, both Postfixes, name servers, promtool, clean Debians, a Python venv",
        run: tools::run_chore,
    },
    Chore {
        name: "test",
        text: "install what the tests need and run everything, or the parts named by a word",
        run: test::run_all,
    },
    Chore {
        name: "tidy",
        text: "check what neither the compiler nor clippy knows: stages, citations, pages, links",
        run: tidy::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("", [].as_slice()),
    };
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        complain(&usage());
        return ExitCode::from(64);
    };
    (chore.run)(rest).unwrap_or_else(|error| {
        complain(&format!("{name}: {error}\n"));
        ExitCode::FAILURE
    })
}

/// The directory that this program was built into, which is where cargo builds the others:
/// `TARGET/debug/xtask`.
fn target_directory() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = this.parent().and_then(Path::parent).map(Path::to_owned);
    target.ok_or_else(|| format!("{} is not in a target directory", this.display()))
}

fn usage() -> String {
    let mut text = "cargo xtask CHORE [ARGUMENTS]\n".to_owned();
    for chore in CHORES {
        text.push_str(&format!("  {:10} {}\n", chore.name, chore.text));
    }
    text
}

fn complain(text: &str) {
    let _said = write!(io::stderr(), "{text}");
}
