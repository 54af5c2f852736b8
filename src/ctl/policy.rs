//! `sealpost policy`: what is kept of recipient domains' MTA-STS policies.

use std::{fmt::Write as _, iter};

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
    explain::hints,
    protocol::Request,
    screen::{Table, shown},
    wire::{Policies, PolicyView, Purged, RefreshOutcome, Refreshed},
};
use crate::policy::PolicyDomain;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every policy that is kept
    List {
        #[command(flatten)]
        format: Format,
    },
    /// The policy kept for a domain
    Show(OneDomain),
    /// Look up and fetch a domain's policy now, whatever is kept
    ///
    /// Ends with 1 when it could not be had. A policy that is kept then still holds until it
    /// expires.
    Refresh(OneDomain),
    /// Forget the policy kept for a domain
    ///
    /// The domain is then as unknown: its policy is looked up at the next delivery. To leave a
    /// domain's policy out for a while, set `mode = "off"` for it in the configuration instead.
    Purge(OneDomain),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost policy show example.org\n  sealpost policy refresh example.org --json"
)]
pub(super) struct OneDomain {
    /// The recipient domain
    domain: PolicyDomain,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::List { format } => {
            let policies: Policies = context.ask(Request::Policies)?;
            context.show(format, &policies, list_as_text)?;
            Ok(Exit::Ok)
        }
        Command::Show(OneDomain { domain, format }) => {
            let domain = domain.to_string();
            let policy: PolicyView = context.ask(Request::Policy { domain })?;
            context.show(format, &policy, policy_as_text)?;
            Ok(Exit::Ok)
        }
        Command::Refresh(OneDomain { domain, format }) => {
            let domain = domain.to_string();
            let refreshed: Refreshed = context.ask(Request::Refresh { domain })?;
            context.show(format, &refreshed, refreshed_as_text)?;
            Ok(exit_when(refreshed.outcome != RefreshOutcome::Failed))
        }
        Command::Purge(OneDomain { domain, format }) => {
            let domain = domain.to_string();
            let purged: Purged = context.ask(Request::Purge { domain })?;
            context.show(format, &purged, purged_as_text)?;
            Ok(exit_when(purged.purged))
        }
    }
}

fn list_as_text(policies: &Policies) -> String {
    if policies.policies.is_empty() {
        return "No policy is kept.\n".to_owned();
    }
    let mut table = Table::new(["DOMAIN", "MODE", "ID", "FETCHED", "EXPIRES", "MX"]);
    for policy in &policies.policies {
        let expires = if policy.expired {
            format!("{} (expired)", policy.expires_at)
        } else {
            policy.expires_at.clone()
        };
        table.row([
            policy.domain.clone(),
            policy.mode.clone(),
            policy.id.clone(),
            policy.fetched_at.clone(),
            expires,
            if policy.mx.is_empty() {
                "-".to_owned()
            } else {
                policy.mx.join(" ")
            },
        ]);
    }
    table.to_string()
}

/// One policy in full; `sealpost check` shows it too.
pub(super) fn policy_as_text(policy: &PolicyView) -> String {
    let mut text = String::new();
    let expired = if policy.expired { " (expired)" } else { "" };
    for (name, value) in [
        ("domain", &policy.domain),
        ("mode", &policy.mode),
        ("id", &policy.id),
        ("mx", &policy.mx.join(" ")),
        ("fetched", &policy.fetched_at),
        ("tried", &policy.tried_at),
        ("expires", &format!("{}{expired}", policy.expires_at)),
    ] {
        let value = if value.is_empty() { "-" } else { value };
        let _ = writeln!(text, "{name:<10}{}", shown(value));
    }
    if let Some(trouble) = &policy.trouble {
        let _ = writeln!(
            text,
            "{:<10}{}: {} (id {}, {})",
            "trouble",
            shown(&trouble.result_type),
            shown(&trouble.reason),
            shown(&trouble.id),
            shown(&trouble.at)
        );
        text.push_str(&hints(iter::once(&*trouble.reason)));
    }
    text.push_str("as published:\n");
    for line in &policy.lines {
        let _ = writeln!(text, "  {}", shown(line));
    }
    text
}

fn refreshed_as_text(refreshed: &Refreshed) -> String {
    let what = match refreshed.outcome {
        RefreshOutcome::New => "a new policy was fetched",
        RefreshOutcome::Confirmed => "the same policy was fetched again",
        RefreshOutcome::Failed => "the policy could not be had",
        RefreshOutcome::NotAnnounced => "the domain announces no policy",
    };
    let mut text = format!("{}: {what}", shown(&refreshed.domain));
    if let Some(reason) = &refreshed.reason {
        let _ = write!(text, ": {}", shown(reason));
    }
    text.push('\n');
    if let Some(policy) = &refreshed.policy {
        let _ = write!(text, "\n{}", policy_as_text(policy));
    }
    text
}

fn purged_as_text(purged: &Purged) -> String {
    let domain = shown(&purged.domain);
    if purged.purged {
        format!("{domain}: the policy is forgotten\n")
    } else {
        format!("{domain}: no policy was kept\n")
    }
}
