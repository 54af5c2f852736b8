//! Repository chores: `cargo xtask CHORE`. One file holds one chore.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

mod demo;

/// One chore.
struct Chore {
    name: &'static str,
    /// What it does.
    text: &'static str,
    /// Does it, with the arguments that are left.
    run: fn(&[String]) -> Result<ExitCode, String>,
}

const CHORES: &[Chore] = &[Chore {
    name: "demo",
    text: "build everything in release mode and run `sealpost demo` with the arguments given",
    run: demo::run,
}];

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
