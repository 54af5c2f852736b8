//! `sealpost report`: how the reports stand, what they say (ours, and those of others in files), and sending
//! them now.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
    protocol::Request,
    screen::{Table, counted, set_in, shown},
    wire::{Deliveries, DeliveryView, ReportView, ReportsSent, SendOutcome},
};
use crate::{clock::UtcDay, policy::PolicyDomain};

mod files;
mod show;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// How the reports of a day stand
    #[command(after_help = "Example:\n  sealpost report list --day 2026-11-24")]
    List(OfADay),
    Show(show::Arguments),
    /// A report as it would be if the day ended now; sends nothing
    #[command(after_help = "Example:\n  sealpost report preview example.org --json | jq .report")]
    Preview(OfADomain),
    /// Send the reports of a day at once, whatever the schedule
    ///
    /// What was sent before is not sent again. The day must be over: a report covers a whole UTC
    /// day. What waits for another try or was given up is tried once more. Ends with 1 when a report
    /// could not be sent, or none was to be sent.
    ///
    /// An MX host's report leaves out what its recipient domains' own reports tell the same address. With its
    /// name as DOMAIN it counts on those that are still to go, and says which.
    #[command(
        after_help = "Example:\n  sealpost report send --day 2026-11-24 --domain example.org"
    )]
    Send(OfADay),
}

#[derive(Debug, Args)]
pub(super) struct OfADay {
    /// The UTC day that the reports cover, as 2026-11-24 [default: yesterday]
    #[arg(long, value_name = "DAY")]
    day: Option<UtcDay>,
    /// Of this recipient domain, or MX host, only
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<PolicyDomain>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct OfADomain {
    /// The recipient domain
    domain: PolicyDomain,
    /// The UTC day that the report covers, as 2026-11-24 [default: today]
    #[arg(long, value_name = "DAY")]
    day: Option<UtcDay>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::List(OfADay {
            day,
            domain,
            format,
        }) => {
            let deliveries: Deliveries = context.ask(Request::Deliveries {
                day: day.map(|day| day.to_string()),
                domain: domain.map(|domain| domain.to_string()),
            })?;
            context.show(format, &deliveries, list_as_text)?;
            Ok(Exit::Ok)
        }
        Command::Show(arguments) => show::run(&arguments, context),
        Command::Preview(OfADomain {
            day,
            domain,
            format,
        }) => {
            let report: ReportView = context.ask(Request::ReportPreview {
                day: day.map(|day| day.to_string()),
                domain: domain.to_string(),
            })?;
            context.show(format, &report, report_as_text)?;
            Ok(Exit::Ok)
        }
        Command::Send(OfADay {
            day,
            domain,
            format,
        }) => {
            let sent: ReportsSent = context.ask(Request::ReportSend {
                day: day.map(|day| day.to_string()),
                domain: domain.map(|domain| domain.to_string()),
            })?;
            context.show(format, &sent, sent_as_text)?;
            Ok(exit_when(all_went(&sent)))
        }
    }
}

fn list_as_text(deliveries: &Deliveries) -> String {
    let mut table = deliveries_table(&deliveries.deliveries);
    for each in &deliveries.undelivered {
        let (state, at) = match &each.due_at {
            Some(due_at) => ("waiting", due_at.as_str()),
            None => ("none", "-"),
        };
        let reason = each.reason.clone().unwrap_or_default();
        table.row([&*each.domain, "-", state, at, "0", &reason].map(str::to_owned));
    }
    if table.is_empty() {
        return format!("No reports of {}.\n", shown(&deliveries.day));
    }
    table.to_string()
}

fn deliveries_table(deliveries: &[DeliveryView]) -> Table {
    let mut table = Table::new(["DOMAIN", "DESTINATION", "STATE", "AT", "ATTEMPTS", "REASON"]);
    for each in deliveries {
        table.row([
            each.domain.clone(),
            each.destination.clone(),
            each.state.name().to_owned(),
            each.at.clone(),
            each.attempts.to_string(),
            each.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn report_as_text(report: &ReportView) -> String {
    let mut text = format!(
        "Report of {} for {}, {}\n",
        shown(&report.domain),
        shown(&report.day),
        counted(report.sessions, "session")
    );
    if !report.day_over {
        text.push_str("The day is not over; these are the sessions so far.\n");
    }
    for note in &report.notes {
        let _ = writeln!(text, "Note: {}", shown(note));
    }
    for destination in &report.destinations {
        let _ = writeln!(text, "To: {}", shown(destination));
    }
    if !report.deliveries.is_empty() {
        let _ = write!(text, "\n{}", deliveries_table(&report.deliveries));
    }
    let _ = write!(text, "\nText of the mail:\n{}", set_in(&report.text));
    let json = serde_json::to_string_pretty(&report.report).unwrap_or_default();
    let _ = write!(text, "\nReport:\n{}", set_in(&json));
    text
}

fn sent_as_text(sent: &ReportsSent) -> String {
    if sent.reports.is_empty() {
        return format!("No reports of {} to send.\n", shown(&sent.day));
    }
    let mut table = Table::new(["DOMAIN", "DESTINATION", "OUTCOME", "REPORT ID", "REASON"]);
    for each in &sent.reports {
        table.row([
            each.domain.clone(),
            each.destination.clone().unwrap_or_else(|| "-".to_owned()),
            each.outcome.name().to_owned(),
            each.report_id.clone().unwrap_or_else(|| "-".to_owned()),
            each.reason.clone().unwrap_or_default(),
        ]);
    }
    let mut text = table.to_string();
    for note in &sent.notes {
        let _ = writeln!(text, "Note: {}", shown(note));
    }
    text
}

/// Something was to be sent, and nothing failed.
fn all_went(sent: &ReportsSent) -> bool {
    let failed =
        |outcome: SendOutcome| matches!(outcome, SendOutcome::Failed | SendOutcome::GivenUp);
    !sent.reports.is_empty() && !sent.reports.iter().any(|each| failed(each.outcome))
}
