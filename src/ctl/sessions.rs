//! `sealpost sessions`: what was counted?

use std::fmt::Write as _;

use clap::Args;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    explain::HINT,
    protocol::Request,
    screen::{Table, shown},
    wire::{DomainSessions, FailureMembers, FailureView, Sessions},
};
use crate::{clock::UtcDay, policy::PolicyDomain};

/// What was counted on a day, by domain and policy
///
/// For each domain and exact policy how many TLS sessions satisfied
/// it, how many did not, and how they failed. It is what the report of that day says.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost sessions\n  sealpost sessions --domain example.org \
                        --failures\n  sealpost sessions --day 2026-11-24 --json"
)]
pub(super) struct Arguments {
    /// Of this recipient domain only
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<PolicyDomain>,
    /// Show the failures one by one, with time and addresses, as far as they are kept
    #[arg(long)]
    failures: bool,
    /// The UTC day, as 2026-11-24 [default: today]
    #[arg(long, value_name = "DAY")]
    day: Option<UtcDay>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let sessions: Sessions = context.ask(Request::Sessions {
        day: arguments.day.map(|day| day.to_string()),
        domain: arguments.domain.map(|domain| domain.to_string()),
        failures: arguments.failures,
    })?;
    context.show(arguments.format, &sessions, as_text)?;
    Ok(Exit::Ok)
}

fn as_text(sessions: &Sessions) -> String {
    let day = shown(&sessions.day);
    if let Some(failures) = &sessions.failures {
        if failures.is_empty() {
            return format!("No failures are kept of {day}.\n");
        }
        return format!("{}\n{HINT}\n", failures_table(failures));
    }
    if sessions.domains.is_empty() {
        return format!("No sessions on {day}.\n");
    }
    let mut table = Table::new(["DOMAIN", "POLICY", "SUCCESSES", "FAILURES"]);
    for (domain, policy) in each_policy(&sessions.domains) {
        table.row([
            domain.domain.clone(),
            policy.policy.policy_type.clone(),
            policy.successes.to_string(),
            policy.failures.to_string(),
        ]);
    }
    let mut text = format!("{day} (UTC)\n\n{table}");
    let details = details_table(&sessions.domains);
    if !details.is_empty() {
        let _ = write!(text, "\n{details}\n{HINT}\n");
    }
    text
}

/// Every policy of every domain.
fn each_policy(
    domains: &[DomainSessions],
) -> impl Iterator<Item = (&DomainSessions, &super::wire::PolicySessions)> {
    domains
        .iter()
        .flat_map(|domain| domain.policies.iter().map(move |policy| (domain, policy)))
}

fn details_table(domains: &[DomainSessions]) -> Table {
    let mut table = Table::new([
        "DOMAIN",
        "SESSIONS",
        "RESULT TYPE",
        "MX",
        "ADDRESS",
        "REASON",
    ]);
    for (domain, policy) in each_policy(domains) {
        for detail in &policy.details {
            let [result, mx, address, reason] = members(&detail.failure);
            let sessions = detail.sessions.to_string();
            table.row([domain.domain.clone(), sessions, result, mx, address, reason]);
        }
    }
    table
}

fn failures_table(failures: &[FailureView]) -> Table {
    let mut table = Table::new([
        "TIME",
        "DOMAIN",
        "SEEN BY",
        "RESULT TYPE",
        "MX",
        "ADDRESS",
        "REASON",
    ]);
    for failure in failures {
        let [result, mx, address, reason] = members(&failure.failure);
        table.row([
            failure.at.clone(),
            failure.domain.clone(),
            failure.source.clone(),
            result,
            mx,
            address,
            reason,
        ]);
    }
    table
}

/// Result type, MX, address and reason.
fn members(failure: &FailureMembers) -> [String; 4] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        failure.result_type.clone(),
        or_dash(&failure.mx),
        or_dash(&failure.receiving_ip),
        failure.reason.clone().unwrap_or_default(),
    ]
}
