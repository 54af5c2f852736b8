//! `sealpost audit`: which decisions changed mail, when, and by whom.

use std::fmt::Write as _;

use clap::Args;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
    protocol::Request,
    screen::{Table, counted, shown},
    wire::{Audit, ChainView},
};
use crate::{clock::UtcDay, observe::audit::AuditKind, policy::PolicyDomain};

/// How many entries are shown unless all are asked for.
const ENTRIES_SHOWN: u64 = 1_000;

/// Which decisions changed mail, when, and by whom
///
/// The decisions that changed which mail goes and how, the oldest first: overrides that were set, ended or ran out;
/// policies that changed, expired, or that an operator had looked up or forgotten; mail that was refused, by domain and day;
/// DANE turned off and on as a whole; suppressed destinations; starts, stops and reloads.
///
/// Each entry carries the SHA-256 of the one before. With --verify: whether each follows from the one before, and the
/// digest of the last. Ends with 1 where one does not. A digest that was kept elsewhere is given with --contains: then it
/// ends with 1 too where no entry has it, so that an end that was cut off is seen.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost audit --since 2026-11-01\n  sealpost audit --domain example.org --json\n  sealpost \
                        audit --verify"
)]
pub(super) struct Arguments {
    /// Decisions of this UTC day and later, as 2026-11-01 [default: as far back as they are kept]
    #[arg(long, value_name = "DAY")]
    since: Option<UtcDay>,
    /// Decisions about this recipient domain only
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<PolicyDomain>,
    /// Decisions of this kind only: its word under WHAT, as policy-changed
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<AuditKind>,
    /// Every one, not only the newest 1,000
    #[arg(long)]
    all: bool,
    /// Whether the log is whole, instead of what it says
    #[arg(long, conflicts_with_all = ["since", "domain", "kind", "all"])]
    verify: bool,
    /// With --verify: whether an entry has this SHA-256
    #[arg(long, value_name = "SHA256", requires = "verify")]
    contains: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let looks_for = arguments.contains.as_deref();
    let entries_max = match (arguments.verify, looks_for) {
        (true, None) => Some(0),
        (true, Some(_)) => None,
        (false, _) => (!arguments.all).then_some(ENTRIES_SHOWN),
    };
    let audit: Audit = context.ask(Request::Audit {
        since: arguments.since.map(|day| day.to_string()),
        domain: arguments.domain.as_ref().map(ToString::to_string),
        kind: arguments.kind.map(|kind| kind.name().to_owned()),
        before: None,
        entries_max,
    })?;
    if !arguments.verify {
        context.show(arguments.format, &audit, as_text)?;
        return Ok(Exit::Ok);
    }
    let found = looks_for.map(|digest| {
        let digest = digest.to_ascii_lowercase();
        let mut entries = audit.entries.iter();
        entries
            .find(|each| each.sha256 == digest)
            .map(|each| each.number)
    });
    context.show(arguments.format, &audit.chain, |chain| {
        let mut text = chain_as_text(chain);
        match found {
            Some(Some(number)) => {
                let _ = writeln!(text, "Entry {number} has the digest that was given.");
            }
            Some(None) => text.push_str("NO ENTRY has the digest that was given.\n"),
            None => {}
        }
        text
    })?;
    Ok(exit_when(audit.chain.whole && found != Some(None)))
}

fn kind(text: &str) -> Result<AuditKind, String> {
    let known = || AuditKind::ALL.iter().map(|kind| kind.name());
    AuditKind::of_name(text)
        .ok_or_else(|| format!("there are {}", known().collect::<Vec<_>>().join(", ")))
}

fn as_text(audit: &Audit) -> String {
    let mut text = String::new();
    if audit.entries.is_empty() {
        text.push_str("No such decisions.\n");
    } else {
        let mut table = Table::new(["AT", "WHAT", "DOMAIN", "BY", "IN WORDS"]);
        for each in &audit.entries {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            table.row([
                each.at.clone(),
                each.kind.clone(),
                or_none(&each.domain),
                or_none(&each.author),
                each.words.clone(),
            ]);
        }
        let _ = write!(text, "{table}");
    }
    if audit.earlier > 0 {
        let earlier = counted(audit.earlier, "earlier decision");
        let _ = writeln!(text, "\n{earlier} not shown; --all shows every one.");
    }
    if !audit.chain.whole {
        let _ = write!(text, "\n{}", chain_as_text(&audit.chain));
    }
    text
}

fn chain_as_text(chain: &ChainView) -> String {
    let mut text = match (chain.first, chain.broken_at) {
        (None, _) => return "The log holds nothing.\n".to_owned(),
        (Some(first), None) => format!(
            "The log is whole: {}, number {first} to {}, each follows from the one before.\n",
            counted(chain.entries, "entry").replace("entrys", "entries"),
            chain.last
        ),
        (Some(_), Some(at)) => format!(
            "THE LOG IS BROKEN: entry {at} does not follow from the one before. It was changed, or something before it was taken out.\n"
        ),
    };
    if chain.first.is_some_and(|first| first > 1) && chain.whole {
        text.push_str("Earlier entries were forgotten in time (store.keep_audit_days).\n");
    }
    let _ = writeln!(text, "SHA-256 of the last  {}", shown(&chain.sha256));
    text
}
