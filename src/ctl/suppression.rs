//! `sealpost suppression`: destinations to which nothing is sent.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    protocol::Request,
    screen::{Table, counted, shown},
    wire::{SuppressedBy, SuppressionView, Suppressions},
};
use crate::{clock::UtcDay, policy::Destination};

/// A destination that refuses reports for good, or that bounces them, is left out for 3 days, then for 7,
/// 14, 30 and 90. A report that is taken lifts that. A domain whose mailbox is suppressed gets its report by
/// HTTPS where its record names a URI too.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The destinations to which nothing is sent now
    #[command(
        after_help = "Example:\n  sealpost suppression list --json | jq '.suppressions[].destination'"
    )]
    List(Format),
    /// How one destination stands: since when, until when, how often it refused which report, in its words
    ///
    /// Also of one that is suppressed no more, for half a year. Ends with 1 where nothing is known of it.
    #[command(after_help = "Example:\n  sealpost suppression explain tlsrpt@example.org")]
    Explain(Named),
    /// Send to a destination again
    ///
    /// Its next refusal is a first one again. Bounces of what was sent before count no more. Ends with 1 where
    /// it is not suppressed.
    #[command(after_help = "Example:\n  sealpost suppression lift mailto:tlsrpt@example.org")]
    Lift(Named),
    /// Send nothing to a destination, whatever records name it
    ///
    /// It stays so until the day is over or it is lifted, whatever is sent there meanwhile. In the configuration
    /// a [[destination]] section with discard does it for whole domains.
    #[command(
        after_help = "Example:\n  sealpost suppression add tlsrpt@example.org --until 2026-12-31 --reason \
                      \"they asked us to\""
    )]
    Add(Added),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// mailto:USER@DOMAIN, a mailbox alone, or an https: URI, as the record has it
    #[arg(value_parser = Destination::one)]
    destination: Destination,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Added {
    #[command(flatten)]
    named: Named,
    /// The last UTC day of it, as 2026-12-31 [default: until it is lifted]
    #[arg(long, value_name = "DAY")]
    until: Option<UtcDay>,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::List(format) => {
            let found: Suppressions = context.ask(Request::Suppressions)?;
            context.show(format, &found, list_as_text)?;
        }
        Command::Explain(Named {
            destination,
            format,
        }) => {
            let destination = destination.to_string();
            let view: SuppressionView = context.ask(Request::Suppression { destination })?;
            context.show(format, &view, as_text)?;
        }
        Command::Lift(Named {
            destination,
            format,
        }) => {
            let destination = destination.to_string();
            let view: SuppressionView = context.ask(Request::SuppressionLift { destination })?;
            context.show(format, &view, |view| {
                format!("Lifted. It stood so:\n{}", as_text(view))
            })?;
        }
        Command::Add(Added {
            named,
            until,
            reason,
        }) => {
            let view: SuppressionView = context.ask(Request::SuppressionAdd {
                destination: named.destination.to_string(),
                until: until.map(|day| day.to_string()),
                reason,
            })?;
            context.show(named.format, &view, as_text)?;
        }
    }
    Ok(Exit::Ok)
}

fn list_as_text(found: &Suppressions) -> String {
    if found.suppressions.is_empty() {
        return "No destination is suppressed.\n".to_owned();
    }
    let mut table = Table::new(["DESTINATION", "UNTIL", "BY", "TIMES", "WHY"]);
    for each in &found.suppressions {
        let last = each.refusals.last().map(|refusal| refusal.words.clone());
        table.row([
            each.destination.clone(),
            end_of(each).to_owned(),
            each.by.name().to_owned(),
            each.times.to_string(),
            each.reason.clone().or(last).unwrap_or_default(),
        ]);
    }
    table.to_string()
}

fn end_of(view: &SuppressionView) -> &str {
    view.until.as_deref().unwrap_or("it is lifted")
}

fn as_text(view: &SuppressionView) -> String {
    let state = match view.suppressed {
        true => "suppressed",
        false => "not suppressed any more",
    };
    let mut text = format!("{}: {state}\n", shown(&view.destination));
    let by = match view.by {
        SuppressedBy::Refusals => format!("{} in a row", counted(u64::from(view.times), "refusal")),
        SuppressedBy::Operator => "the operator".to_owned(),
    };
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<8}{}", shown(value));
    };
    line("by", &by);
    if let Some(reason) = &view.reason {
        line("reason", reason);
    }
    line("since", &view.since);
    line("until", end_of(view));
    if let Some(at) = &view.taken_at {
        line(
            "taken",
            &format!("{at}, the first report after the last refusal"),
        );
    }
    if let Some(at) = &view.lifted_at {
        line("lifted", at);
    }
    if view.refusals.is_empty() {
        return text;
    }
    let mut table = Table::new(["REFUSED", "BY", "REPORT ID", "WORDS"]);
    for each in &view.refusals {
        let by = each.how.clone();
        table.row([
            each.at.clone(),
            by,
            each.report_id.clone(),
            each.words.clone(),
        ]);
    }
    let _ = write!(text, "\n{table}");
    text
}
