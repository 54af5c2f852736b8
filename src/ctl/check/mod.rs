//! `sealpost check DOMAIN`: what would happen to mail to this domain now, and why?

use std::{fmt::Write as _, sync::Arc};

use clap::Args;

use super::{
    Context, Format,
    client::{Client, ClientError},
    exit::{Exit, Failure},
    exit_when,
    explain::hints,
    policy::policy_as_text,
    protocol::Request,
    screen::{Table, set_in, shown},
    wire::{CheckResult, DocumentFinding, MxFinding, RecordFinding, RuaFinding, SocketmapReply},
};
use crate::{
    clock::{Clock, SystemClock},
    config::{Config, Loaded, TellsDane},
    daemon::parts,
    doors::socketmap_reply::{DaneOnly, SignedAnswers},
    net::{
        dns::Dns,
        hickory::HickoryDns,
        policy_host::HttpsPolicyHost,
        trust,
        validation::{By, Outcome, SystemList, SystemResolvers, Validation},
    },
    observe::Counters,
    policy::PolicyDomain,
};

use dane::dane_as_text;
use history::history_as_text;
use live::live_as_text;

mod certificate;
mod dane;
mod history;
mod live;
mod look;
mod turns;
mod verdict;

pub use live::Look;
pub use look::{Means, check};

/// What would happen to mail to a domain now, and why
///
/// Shows its MTA-STS record and policy, what signed DNS says of its mail hosts (DANE), what the MTA would be
/// told of each, where reports go, and what this host saw of it in the last fourteen days.
///
/// Asks the daemon, which knows the policy it keeps; without a daemon everything is looked up here.
/// Nothing is changed or counted. Ends with 1 when mail could go to no host now, with --probe also for what a look at
/// them shows.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost check example.org\n  sealpost check example.org --probe\n  \
                        sealpost check example.org --no-daemon --json"
)]
pub(super) struct Arguments {
    /// The recipient domain
    domain: PolicyDomain,
    /// Look at the mail hosts too, up to the TLS handshake: which TLSA record the certificate matches, and
    /// what a policy would say of it. No message is sent
    #[arg(long)]
    probe: bool,
    /// Look everything up here, whether or not a daemon runs
    #[arg(long)]
    no_daemon: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let loaded = context.load()?;
    let result = if arguments.no_daemon {
        look_up_here(arguments, &loaded)?
    } else {
        match ask_daemon(arguments, &loaded) {
            Err(error @ (ClientError::NotRunning { .. } | ClientError::NotPermitted { .. })) => {
                let instead = "looked up without it; what it keeps is not known here";
                context
                    .screen
                    .complain(&format!("{error}\nsealpost: {instead}"));
                look_up_here(arguments, &loaded)?
            }
            answer => answer?,
        }
    };
    context.show(arguments.format, &result, as_text)?;
    Ok(exit_when(result.outcome.deliverable))
}

fn ask_daemon(arguments: &Arguments, loaded: &Loaded) -> Result<CheckResult, ClientError> {
    let client = Client::connect(&loaded.config.control_socket.path)?;
    client.ask(Request::Check {
        domain: arguments.domain.to_string(),
        probe: arguments.probe,
    })
}

/// Who validates at this moment.
///
/// # Errors
/// Why nobody does, in words.
pub fn validation(validation: &Validation) -> Result<By, String> {
    match (validation.by(), validation.outcome()) {
        (Some(by), _) => Ok(by),
        (None, Some(Outcome::Off)) => Err("dane.validation is off".to_owned()),
        (None, Some(Outcome::NotYet(tried) | Outcome::Nobody(tried))) => {
            let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
            Err(tried.join("; "))
        }
        (None, _) => Err("it is not known yet".to_owned()),
    }
}

/// Whether Postfix may be told that a domain goes by DANE alone, by the setting and by what the resolvers
/// of this machine do now.
async fn dane_only(config: &Config) -> DaneOnly {
    let resolvers = match config.socketmap.dane_only {
        TellsDane::Auto => match SystemResolvers::look(&SystemList::default(), &config.dns).await {
            SystemResolvers::Mark => SignedAnswers::Marked,
            _ => SignedAnswers::NotSeen,
        },
        TellsDane::Always | TellsDane::Never => SignedAnswers::NotSeen,
    };
    DaneOnly::of(config.socketmap.dane_only, resolvers)
}

/// The check of a daemon that keeps nothing.
fn look_up_here(arguments: &Arguments, loaded: &Loaded) -> Result<CheckResult, Failure> {
    let config = &loaded.config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(error.to_string()))?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dns =
            HickoryDns::new(&config.dns).map_err(|error| Failure::Setup(error.to_string()))?;
        let dns: Arc<dyn Dns> = Arc::new(dns);
        let policy_host =
            HttpsPolicyHost::new(Arc::clone(&dns), Arc::clone(&clock), &config.policy)
                .map_err(|error| Failure::Setup(error.to_string()))?;
        let setup = |error: &dyn std::fmt::Display| Failure::Setup(error.to_string());
        let counters = Arc::new(Counters::default());
        let (validating, dane) =
            parts::dane(config, &clock, &counters).map_err(|error| setup(&error))?;
        validating.look().await;
        let prober = parts::prober(config, &dns).map_err(|error| setup(&error))?;
        let roots = trust::roots(&config.policy.extra_roots).map_err(|error| setup(&error))?;
        let means = Means {
            suppressed: &|_| None,
            dane: &*dane,
            validation: validation(&validating),
            dane_only: dane_only(config).await,
            look: arguments.probe.then_some(Look {
                prober: &prober,
                roots: &roots,
            }),
            dns: &*dns,
            policy_host: &policy_host,
            config,
            overrides: &loaded.overrides,
            commanded: None,
            now: clock.now(),
            kept: None,
            trouble: None,
        };
        Ok(check(&arguments.domain, &means).await)
    })
}

fn as_text(result: &CheckResult) -> String {
    let mut text = format!("{}\n\n", shown(&result.domain));
    if let Some(each) = &result.overridden {
        let until = each
            .until
            .as_ref()
            .map(|until| format!(" until {}", shown(until)));
        let reason = each.reason.as_ref().map(|why| format!(": {}", shown(why)));
        let signed = each.author.as_ref().zip(each.since.as_ref());
        let signed =
            signed.map(|(author, since)| format!(" (set by {}, {})", shown(author), shown(since)));
        let _ = writeln!(
            text,
            "Override  {}{}{}{}",
            shown(&each.mode),
            until.unwrap_or_default(),
            reason.unwrap_or_default(),
            signed.unwrap_or_default()
        );
    }
    record_as_text(&mut text, &result.record);
    document_as_text(&mut text, &result.document);
    if let Some(kept) = &result.kept {
        let _ = write!(text, "Kept\n{}", set_in(&policy_as_text(kept)));
    }
    rua_as_text(&mut text, &result.rua);
    socketmap_as_text(&mut text, &result.socketmap);
    plugin_socket_as_text(&mut text, result);
    dane_as_text(&mut text, &result.dane, &result.mx.hosts);
    live_as_text(&mut text, &result.mx.hosts);
    mx_as_text(&mut text, &result.mx);
    history_as_text(&mut text, result.history.as_ref());
    let _ = writeln!(text, "\n{}", shown(&result.outcome.text));
    text.push_str(&hints(failures_found(result)));
    text
}

/// The result types and reason codes that a check found.
fn failures_found(result: &CheckResult) -> impl Iterator<Item = &str> {
    let of_policy = result.document.result_type.as_deref();
    let lives = result.mx.hosts.iter().filter_map(|host| host.live.as_ref());
    let of_hosts = lives.flat_map(|live| {
        let by_records = live
            .dane
            .as_deref()
            .filter(|_| live.dane_matches == Some(false));
        let by_records = by_records.into_iter().flat_map(|words| words.split(", "));
        live.sts.iter().map(String::as_str).chain(by_records)
    });
    // A failure is told as "result-type: reason-code"; the reason says more.
    let of_hosts = of_hosts.map(|words| words.rsplit_once(": ").map_or(words, |(_, code)| code));
    let history = result.history.iter().flat_map(|history| &history.failures);
    let of_history = history.map(|failure| failure.result_type.as_str());
    of_policy.into_iter().chain(of_hosts).chain(of_history)
}

fn record_as_text(text: &mut String, record: &RecordFinding) {
    heading(
        text,
        "Record",
        record.state.name(),
        &record.name,
        record.reason.as_deref(),
    );
    if let Some(id) = &record.id {
        let _ = writeln!(text, "  id {}", shown(id));
    }
    for each in &record.texts {
        let _ = writeln!(text, "  \"{}\"", shown(each));
    }
}

fn document_as_text(text: &mut String, document: &DocumentFinding) {
    let reason = match (&document.result_type, &document.reason) {
        (Some(result), Some(reason)) => Some(format!("{result}: {reason}")),
        (_, reason) => reason.clone(),
    };
    let (state, url) = (document.state.name(), &document.url);
    heading(text, "Policy", state, url, reason.as_deref());
    if document.faults.is_empty() {
        for line in &document.lines {
            let _ = writeln!(text, "  {}", shown(line));
        }
        return;
    }
    faults_as_text(text, document);
}

/// Of a document that is no policy no more is shown than up to a few lines behind the last fault.
const LINES_BEHIND_FAULT: usize = 2;

/// A document with what is wrong below the line that it is wrong with.
fn faults_as_text(text: &mut String, document: &DocumentFinding) {
    let last = document.faults.iter().filter_map(|fault| fault.line).max();
    let end = match last {
        Some(last) => last.saturating_add(LINES_BEHIND_FAULT),
        None => usize::MAX,
    };
    for (line, number) in document.lines.iter().zip(1..=end) {
        let _ = writeln!(text, "  {number:>3}  {}", shown(line));
        let of_line = document.faults.iter();
        for fault in of_line.filter(|fault| fault.line == Some(number)) {
            let _ = writeln!(text, "       ^ {}", shown(&fault.text));
        }
    }
    for fault in document.faults.iter().filter(|fault| fault.line.is_none()) {
        let _ = writeln!(text, "       {}", shown(&fault.text));
    }
}

/// What Exim, or another client of the plugin socket, would be told.
fn plugin_socket_as_text(text: &mut String, result: &CheckResult) {
    let line = |line: &str| {
        let members: Vec<String> = line.split('\t').map(shown).collect();
        members.join("  ")
    };
    let Some(reply) = &result.plugin_socket else {
        return;
    };
    text.push_str("Exim      is told on the plugin socket\n");
    let _ = writeln!(text, "  POLICY: {}", line(reply));
    for host in &result.mx.hosts {
        if let Some(reply) = &host.plugin_socket {
            let _ = writeln!(text, "  MX {}: {}", shown(&host.host), line(reply));
        }
    }
}

fn rua_as_text(text: &mut String, rua: &RuaFinding) {
    heading(
        text,
        "Reports",
        rua.state.name(),
        &rua.name,
        rua.reason.as_deref(),
    );
    for each in &rua.texts {
        let _ = writeln!(text, "  \"{}\"", shown(each));
    }
    for each in &rua.destinations {
        let _ = writeln!(text, "  to {}", shown(each));
    }
    for each in &rua.skipped {
        let _ = writeln!(text, "  passed over: {}", shown(each));
    }
}

/// Of a longer reply no more is shown; `--json` has all of it.
const REPLY_CHARACTERS_MAX: usize = 2_000;

fn socketmap_as_text(text: &mut String, replies: &[SocketmapReply]) {
    let _ = writeln!(text, "Postfix   is told on the socketmap");
    for each in replies {
        let reply = match each.reply.char_indices().nth(REPLY_CHARACTERS_MAX) {
            Some((end, _)) => format!("{}...", each.reply.get(..end).unwrap_or_default()),
            None => each.reply.clone(),
        };
        let _ = writeln!(text, "  {}: {}", shown(&each.map), shown(reply.trim_end()));
    }
}

fn mx_as_text(text: &mut String, mx: &MxFinding) {
    if let Some(reason) = &mx.reason {
        let _ = writeln!(text, "MX        {}: {}", mx.state.name(), shown(reason));
    }
    if mx.hosts.is_empty() {
        return;
    }
    let mut table = Table::new(["MX", "HOST", "TOLD", "BY", "WHY"]);
    for host in &mx.hosts {
        let audited = if host.audit { " (audit)" } else { "" };
        table.row([
            host.preference
                .map_or_else(|| "-".to_owned(), |preference| preference.to_string()),
            host.host.clone(),
            format!("{}{audited}", host.level),
            decided_by(&host.decided_by).to_owned(),
            host.reason.clone(),
        ]);
    }
    let _ = write!(text, "\n{table}");
}

fn decided_by(word: &str) -> &str {
    match word {
        "dane" => "DANE",
        "sts" => "MTA-STS",
        _ => "-",
    }
}

/// `Record    valid: _mta-sts.example.org (reason)`
fn heading(text: &mut String, what: &str, state: &str, place: &str, reason: Option<&str>) {
    let reason = reason.map(|reason| format!(" ({})", shown(reason)));
    let place = shown(place);
    let _ = writeln!(
        text,
        "{what:<10}{state}: {place}{}",
        reason.unwrap_or_default()
    );
}

#[cfg(test)]
mod tests;
