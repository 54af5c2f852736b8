//! `sealpost evidence`: a statement of what protected the mail, for auditors.
// docs/decisions/0020-evidence-and-overrides.md

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{
    Context,
    exit::{Exit, Failure},
    protocol::Request,
    wire::Evidence,
};
use crate::{clock::UtcDay, policy::PolicyDomain};

mod csv;
mod html;
mod json;
mod share;
mod text;

/// A statement for auditors: what protected the mail of many days, by recipient domain
///
/// For all recipient domains and for each: how many sessions there were, how many of them went by DANE,
/// by MTA-STS, by TLS alone and in the clear, how many were refused, and the shares in percent. It says whose
/// mail it is, when it was made, and of which days nothing or not all is known. A SHA-256 over the rows is
/// the same in every format: kept elsewhere, it shows that none was changed since.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost evidence --from 2026-11-01 --to 2026-11-30\n  sealpost evidence --from \
                        2026-11-01 --to 2026-11-30 --output november.html\n  sealpost evidence --from \
                        2026-11-23 --domain example.org --format json"
)]
pub(super) struct Arguments {
    /// The first UTC day, as 2026-11-01
    #[arg(long, value_name = "DAY")]
    from: UtcDay,
    /// The last UTC day [default: yesterday, the newest that is over]
    #[arg(long, value_name = "DAY")]
    to: Option<UtcDay>,
    /// About this recipient domain only
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<PolicyDomain>,
    /// How it is written [default: as the name of --output ends, text otherwise]
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write it to this file, which only its owner may read; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What a statement is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people, at a terminal
    Text,
    /// For spreadsheets (RFC 4180)
    Csv,
    /// For programs
    Json,
    /// For people, one file to print or to pass on
    Html,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let output = arguments.output.as_deref();
    let form = arguments.json.then_some(Form::Json).or(arguments.format);
    let form = form.or(output.and_then(form_of)).unwrap_or(Form::Text);
    let evidence: Evidence = context.ask(Request::Evidence {
        from: arguments.from.to_string(),
        to: arguments.to.map(|day| day.to_string()),
        domain: arguments.domain.as_ref().map(ToString::to_string),
    })?;
    let written = match form {
        Form::Text => text::text(&evidence),
        Form::Csv => csv::csv(&evidence),
        Form::Json => json::json(&evidence)?,
        Form::Html => html::html(&evidence)?,
    };
    match output {
        Some(file) => write(file, &written)?,
        None => context.screen.file(written.as_bytes()),
    }
    Ok(Exit::Ok)
}

/// What the name of a file says that it is.
fn form_of(file: &Path) -> Option<Form> {
    let ending = file.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "csv" => Some(Form::Csv),
        "json" => Some(Form::Json),
        "html" | "htm" => Some(Form::Html),
        _ => None,
    }
}

/// Puts a file in its place whole, or not at all.
fn write(file: &Path, written: &str) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::Setup(format!("{}: {error}", file.display()));
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let made = PathBuf::from(name);
    // Who was mailed is nobody else's business, as in the store.
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&made);
    let mut opened = opened.map_err(|error| failed(&error))?;
    let placed = opened
        .write_all(written.as_bytes())
        .and_then(|()| opened.sync_all())
        .and_then(|()| fs::rename(&made, file));
    placed.map_err(|error| {
        // What is half written serves nobody; the first error is what must be seen.
        let _removed = fs::remove_file(&made).is_ok();
        failed(&error)
    })
}

/// What each column counts, for whoever reads the statement and not this program's pages.
const MEANINGS: [(&str, &str); 5] = [
    (
        "DANE",
        "The certificate of the mail server matched a TLSA record that DNSSEC vouches for (RFC 7672).",
    ),
    (
        "MTA-STS",
        "The mail server and its certificate satisfied the policy that the recipient domain publishes (RFC 8461).",
    ),
    (
        "TLS",
        "The connection was encrypted, but nothing vouched for the mail server: no policy and no TLSA record that it satisfied.",
    ),
    ("clear", "The connection was not encrypted."),
    (
        "refused",
        "A policy or TLSA records demanded more than the mail server offered, so no mail was given to it. The message \
         stayed in the queue: it went later or to another mail server, or it was returned to its sender.",
    ),
];

/// What a session is, and what the shares are.
const COUNTED: &str = "Counted are TLS sessions, that is connections to mail servers and attempts at them, by the \
                       domain of the recipients; one may carry several messages, or none. Each is in one column. Shares are \
                       cut to two places, not rounded: what is there is at least 0.01 %, and what is not all at most \
                       99.99 %.";

/// What must be known of the days to read the numbers rightly, in sentences.
fn reservations(evidence: &Evidence) -> Vec<String> {
    let mut said = Vec::new();
    match &evidence.held_since {
        Some(day) if *day > evidence.from => said.push(format!(
            "Nothing is held of the days before {day}: there was no mail, or what was counted is kept no longer."
        )),
        None => said.push("The store holds nothing of any day.".to_owned()),
        Some(_) => {}
    }
    if let Some(day) = evidence
        .cut_until
        .as_ref()
        .filter(|day| **day >= evidence.from)
    {
        said.push(format!(
            "What was counted up to {day} was forgotten before its time, for the store may not grow further \
             (store.size_max_mib). Of the days after it nothing was."
        ));
    }
    if !evidence.not_noted.is_empty() {
        said.push(format!(
            "More sessions were counted, but an earlier release did not note what protected them, on {}.",
            evidence.not_noted.join(", ")
        ));
    }
    if evidence.last_day_runs {
        said.push(format!(
            "{} was not over when this was made; its later sessions are missing.",
            evidence.to
        ));
    }
    said
}

/// The facts that stand above a statement, in order.
fn facts(evidence: &Evidence) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(organization) = &evidence.organization {
        facts.push(("organization", organization.clone()));
    }
    facts.extend([
        ("host", evidence.host.clone()),
        ("from", evidence.from.clone()),
        ("to", evidence.to.clone()),
        ("days_with_sessions", evidence.days.len().to_string()),
        (
            "recipient_domains",
            match &evidence.domain {
                Some(domain) => domain.clone(),
                None => format!("all ({})", evidence.domains.len()),
            },
        ),
        ("made_at", evidence.made_at.clone()),
        ("program", evidence.program.clone()),
        ("sha256", evidence.sha256.clone()),
    ]);
    facts
}

/// What a fact is called where people read it.
fn fact_name(name: &str) -> &str {
    match name {
        "organization" => "Organization",
        "host" => "Sending host",
        "from" => "First day (UTC)",
        "to" => "Last day (UTC)",
        "days_with_sessions" => "Days with sessions",
        "recipient_domains" => "Recipient domains",
        "made_at" => "Made at",
        "program" => "Made by",
        "sha256" => "SHA-256 of the rows",
        other => other,
    }
}

#[cfg(test)]
mod tests;
