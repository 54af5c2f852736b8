//! `sealpost override`: what is done otherwise for single domains.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    protocol::Request,
    screen::{Table, shown},
    wire::{OverrideSource, OverrideView, Overrides},
};
use crate::{clock::UtcDay, config::OverrideMode, policy::PolicyDomain};

/// What is done for a recipient domain instead of what it publishes. It holds from the next question of the
/// MTA on, over restarts, through its last day (UTC). Where the configuration has a [domain."..."] section for a
/// domain, that decides, and is changed there.
///
/// Modes: off (no policy and no DANE), audit (evaluated and reported, not enforced), enforce (a testing policy
/// is enforced), dane-only (DANE or nothing), without-dane (the MTA-STS policy alone).
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Do otherwise for a domain from now on, in the place of what was set for it before
    #[command(
        after_help = "Example:\n  sealpost override set example.org --mode audit --until 2026-12-31 --reason \
                      \"their MX moves, ticket 4711\""
    )]
    Set(Set),
    /// The overrides that hold, of the configuration and by command
    #[command(
        after_help = "Examples:\n  sealpost override list\n  sealpost override list --all --json"
    )]
    List(List),
    /// What is or was set for one domain: by whom, when, why
    ///
    /// Ends with 1 where nothing ever was.
    #[command(after_help = "Example:\n  sealpost override show example.org")]
    Show(Show),
    /// End an override that was set by command
    ///
    /// Ends with 1 where none holds.
    #[command(
        after_help = "Example:\n  sealpost override expire example.org --reason \"their MX has moved\""
    )]
    Expire(Expire),
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The recipient domain
    domain: PolicyDomain,
    /// What is done: off, audit, enforce, dane-only or without-dane
    #[arg(long, value_name = "MODE", value_parser = mode)]
    mode: OverrideMode,
    /// The last UTC day of it, as 2026-12-31 [default: until it is ended]
    #[arg(long, value_name = "DAY")]
    until: Option<UtcDay>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Also those that ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The recipient domain
    domain: PolicyDomain,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Expire {
    /// The recipient domain
    domain: PolicyDomain,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// Who says why.
#[derive(Debug, Args)]
struct Signed {
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decided it [default: the user who runs this command]; that user is noted beside it
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

fn mode(text: &str) -> Result<OverrideMode, String> {
    OverrideMode::of_name(text).ok_or_else(|| {
        let names = OverrideMode::ALL.map(OverrideMode::name);
        format!("a mode is one of {}", names.join(", "))
    })
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Set(asked) => {
            let view: OverrideView = context.ask(Request::OverrideSet {
                domain: asked.domain.to_string(),
                mode: asked.mode.name().to_owned(),
                until: asked.until.map(|day| day.to_string()),
                reason: asked.signed.reason,
                author: asked.signed.author,
            })?;
            context.show(asked.format, &view, one_as_text)?;
        }
        Command::List(asked) => {
            let found: Overrides = context.ask(Request::Overrides { all: asked.all })?;
            context.show(asked.format, &found, |found| {
                if found.overrides.is_empty() {
                    return "No override holds.\n".to_owned();
                }
                table(&found.overrides).to_string()
            })?;
        }
        Command::Show(asked) => {
            let domain = asked.domain.to_string();
            let found: Overrides = context.ask(Request::Override { domain })?;
            context.show(asked.format, &found, |found| {
                found.overrides.iter().map(one_as_text).collect()
            })?;
        }
        Command::Expire(asked) => {
            let view: OverrideView = context.ask(Request::OverrideExpire {
                domain: asked.domain.to_string(),
                reason: asked.signed.reason,
                author: asked.signed.author,
            })?;
            context.show(asked.format, &view, one_as_text)?;
        }
    }
    Ok(Exit::Ok)
}

/// One line for each, as `status` has it too.
pub(super) fn table(overrides: &[OverrideView]) -> Table {
    let mut table = Table::new(["DOMAIN", "OVERRIDE", "UNTIL", "SET BY", "SINCE", "REASON"]);
    for each in overrides {
        let until = each.until.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            each.domain.clone(),
            each.mode.clone(),
            match state(each) {
                "holds" => until,
                state => format!("{until} ({state})"),
            },
            author(each).to_owned(),
            each.since.clone().unwrap_or_else(|| "-".to_owned()),
            each.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn author(view: &OverrideView) -> &str {
    match view.source {
        OverrideSource::File => "the configuration",
        OverrideSource::Command => view.author.as_deref().unwrap_or("-"),
    }
}

fn state(view: &OverrideView) -> &'static str {
    match (view.ended, view.passed_over) {
        (true, _) => "ended",
        (false, true) => "the configuration decides",
        (false, false) => "holds",
    }
}

fn one_as_text(view: &OverrideView) -> String {
    let mut text = format!("{}: {}\n", shown(&view.domain), shown(&view.mode));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<8}{}", shown(value));
    };
    line("state", state(view));
    line("set by", author(view));
    if let Some(since) = &view.since {
        line("since", since);
    }
    line("until", view.until.as_deref().unwrap_or("it is ended"));
    if let Some(reason) = &view.reason {
        line("reason", reason);
    }
    if let Some(ending) = &view.ending {
        line("ended", &ending.at);
        line("by", &ending.author);
        line("reason", &ending.reason);
    }
    text
}
