//! `sealpost explain`: what does a failure mean, and what is to be done?

use std::collections::BTreeSet;

use clap::Args;

use super::{
    Context, Format,
    exit::{Exit, Failure},
};
use crate::report::explain::pages;

/// What a result type or reason code means, and what to do
///
/// What a result type of a report (RFC 8460) or its reason code means, and what to do; or what a policy
/// makes of a failure. Reports tell their readers the same. Needs neither a daemon nor a configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost explain\n  sealpost explain certificate-not-trusted\n  \
                  sealpost explain probe:starttls-refused\n  sealpost explain testing --json"
)]
pub(super) struct Arguments {
    /// The result type, reason code or policy [default: list them all]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print all of it as docs/failures.md has it
    #[arg(long, conflicts_with_all = ["name", "json"])]
    markdown: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let name = arguments.name.as_deref();
    let usage = |error: pages::NoSuchFailure| Failure::Usage(error.to_string());
    if arguments.format.json {
        let described = pages::described(name).map_err(usage)?;
        context.screen.json(&described)?;
        return Ok(Exit::Ok);
    }
    let text = match name {
        Some(name) => pages::one(name).map_err(usage)?,
        None if arguments.markdown => pages::markdown(),
        None => pages::list(),
    };
    context.screen.text(&text);
    Ok(Exit::Ok)
}

/// What a command says below a table of failures.
pub(super) const HINT: &str =
    "`sealpost explain NAME` says what a result type or reason code means, and what to do.";

/// A line for each of these names of which the table says something.
pub(super) fn hints<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let known: BTreeSet<&str> = names
        .filter(|name| pages::described(Some(name)).is_ok())
        .collect();
    let line = |name| format!("`sealpost explain {name}` says what that means, and what to do.\n");
    known.into_iter().map(line).collect()
}
