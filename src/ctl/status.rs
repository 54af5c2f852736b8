//! `sealpost status`: how is the daemon? `--security`: what protected the mail?

use std::fmt::Write as _;

use clap::Args;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when, overrides,
    protocol::Request,
    screen::{Table, counted, shown},
    security,
    wire::{Metrics, QuotaView, Security, Status, StoreState},
};
use crate::clock::UtcDay;

/// How the daemon is: alarms, today's sessions, counters; or what protected the mail
///
/// Shows the store and overrides too.
///
/// Ends with 1 while there is an alarm, so that a monitor can run it.
///
/// With --security: what protected the sessions of a UTC day, in all and by recipient domain, the one
/// with the most sessions first. DANE: the certificate matched a secure TLSA record. MTA-STS: the host
/// and its certificate satisfied the policy, enforced or tested. TLS: encrypted, with a certificate that
/// no policy vouches for. CLEAR: not encrypted. REFUSED: a policy kept the mail from going there. Each
/// session is in one of them. Ends with 0 whatever it shows, also where there are no sessions.
///
/// With --metrics: the numbers that Prometheus reads, in its text format, for a textfile collector.
/// Ends with 0.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost status\n  sealpost status --json | jq .alarms\n  sealpost \
                        status --security --day 2026-11-24\n  sealpost status --security --since \
                        2026-11-01 --all --json\n  sealpost status --metrics > \
                  /var/lib/prometheus/node-exporter/sealpost.prom"
)]
pub(super) struct Arguments {
    /// Show what protected the sessions instead
    #[arg(long)]
    security: bool,
    /// With --security: the UTC day, as 2026-11-24 [default: today so far]
    #[arg(long, value_name = "DAY", requires = "security")]
    day: Option<UtcDay>,
    /// With --security: this UTC day and every later one, today so far included
    #[arg(
        long,
        value_name = "DAY",
        requires = "security",
        conflicts_with = "day"
    )]
    since: Option<UtcDay>,
    /// With --security: every recipient domain, not only the 20 with the most sessions
    #[arg(long, requires = "security")]
    all: bool,
    /// Show the metrics in Prometheus's text format instead
    #[arg(long, conflicts_with_all = ["security", "json"])]
    metrics: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    if arguments.security {
        let security: Security = context.ask(Request::Security {
            day: arguments.day.map(|day| day.to_string()),
            since: arguments.since.map(|day| day.to_string()),
            domains_max: (!arguments.all).then_some(security::DOMAINS_SHOWN),
        })?;
        context.show(arguments.format, &security, security::as_text)?;
        return Ok(Exit::Ok);
    }
    if arguments.metrics {
        let metrics: Metrics = context.ask(Request::Metrics)?;
        context.show(arguments.format, &metrics, |metrics| metrics.text.clone())?;
        return Ok(Exit::Ok);
    }
    let status: Status = context.ask(Request::Status)?;
    context.show(arguments.format, &status, as_text)?;
    Ok(exit_when(status.alarms.is_empty()))
}

fn as_text(status: &Status) -> String {
    let mut text = format!(
        "{}, process {}, since {}\n",
        shown(&status.program),
        status.pid,
        shown(&status.started_at)
    );
    let config = status.config.as_deref().unwrap_or("built-in defaults");
    let _ = writeln!(text, "configuration   {}", shown(config));
    let _ = writeln!(text, "today           {}", today_as_text(status));
    let policies = status.policies_kept.map(|count| count.to_string());
    let policies = policies.as_deref().unwrap_or(UNREADABLE);
    let _ = writeln!(text, "policies kept   {policies}");
    let suppressed = status.suppressed.map(|count| counted(count, "destination"));
    let suppressed = suppressed.as_deref().unwrap_or(UNREADABLE);
    let _ = writeln!(text, "suppressed      {suppressed}");
    let store = match status.store.state {
        StoreState::Recording => "recording".to_owned(),
        StoreState::Waiting => format!(
            "NOT ON THE DISK, {} in memory",
            counted(status.store.waiting_rows, "row")
        ),
        StoreState::PutAside => "NOT ON THE DISK, put aside".to_owned(),
    };
    let _ = write!(
        text,
        "store           {}: {store}",
        shown(&status.store.path)
    );
    if let Some(reason) = &status.store.reason {
        let _ = write!(text, " ({})", shown(reason));
    }
    text.push('\n');
    if let Some(quota) = &status.store.quota {
        let _ = writeln!(text, "quota           {}", quota_as_text(quota));
    }
    for alarm in &status.alarms {
        let _ = writeln!(text, "ALARM           {}", shown(alarm));
    }
    if !status.overrides.is_empty() {
        let _ = write!(text, "\n{}", overrides::table(&status.overrides));
    }
    let mut table = Table::new(["COUNTER", "SINCE THE START"]);
    for counter in &status.counters {
        table.row([counter.name.clone(), counter.value.to_string()]);
    }
    let _ = write!(text, "\n{table}");
    text
}

/// Stands for what the store does not give.
const UNREADABLE: &str = "cannot be read";

fn quota_as_text(quota: &QuotaView) -> String {
    let mib = |octets: u64| octets.div_ceil(1024 * 1024);
    let file = mib(quota.file_octets);
    let mut text = match quota.held_octets {
        None => format!("the file has {file} MiB of {}", quota.max_mib),
        Some(held) => format!(
            "{} MiB of {} are held, the file has {file}",
            mib(held),
            quota.max_mib
        ),
    };
    for forgotten in &quota.forgotten {
        let (part, until) = (shown(&forgotten.part), shown(&forgotten.until));
        let _ = write!(text, "; {part} forgotten up to {until}");
    }
    text
}

fn today_as_text(status: &Status) -> String {
    let Some(today) = &status.today else {
        return UNREADABLE.to_owned();
    };
    format!(
        "{}: {} satisfied their policy, {} did not, {}",
        shown(&today.day),
        counted(today.successes, "session"),
        today.failures,
        counted(today.domains, "domain")
    )
}
