//! How an answer is worded for Postfix's `smtp_tls_policy_maps` (`docs/socketmap.md`).
//!
//! What a recipient domain wrote goes into a reply that Postfix reads as configuration, so it is data:
//! names are names already, and a line of the policy that Postfix could read as anything else than
//! that line is left out.

use std::collections::HashSet;

use sealpost_plugin_api::Level;

use super::socketmap_request::MapName;
use crate::{
    hook::{Answer, Asker},
    policy::{AppliedPolicy, PolicyType},
};

/// What is sent for one question, before it becomes a netstring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The words.
    pub text: String,
    /// What they come to.
    pub told: TellsPostfix,
}

/// What a reply makes of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TellsPostfix {
    /// The policy, and what Postfix needs to name it in what it tells of its sessions.
    PolicyByName,
    /// The policy alone.
    Policy,
    /// Nothing: Postfix goes by its own settings.
    NothingFound,
    /// To try again later.
    ToWait,
}

impl Reply {
    /// Who was given this reply, if anything is to be expected of them.
    #[must_use]
    pub const fn asker(&self, map: MapName) -> Option<Asker> {
        match (map, self.told) {
            // No session comes of it.
            (_, TellsPostfix::ToWait) => None,
            (_, TellsPostfix::Policy) => Some(Asker::TellingUnnamed),
            (MapName::QueryWithTlsrpt, _) => Some(Asker::Telling),
            // Postfix before 3.10, or sendmail: nothing that it leaves unsaid means anything.
            (MapName::Query, _) => None,
        }
    }
}

/// The longest reply that Postfix takes.
const REPLY_OCTETS_MAX: usize = 100_000;

/// Postfix logs no more of a reason.
const REASON_OCTETS_MAX: usize = 200;

/// Names that mean something else in `match=`, all of them of a single label. No MX host has one.
const WORDS_OF_MATCH: [&str; 3] = ["hostname", "nexthop", "dot-nexthop"];

/// Words the answer for one domain.
#[must_use]
pub fn reply(answer: &Answer, map: MapName) -> Reply {
    let requirement = &answer.requirement;
    match &requirement.level {
        Level::Verify { mx_patterns, .. } => secure(mx_patterns, answer.applied.as_deref(), map),
        Level::Defer => wait(&requirement.reason),
        // OURS: the operator's own level stays (docs/decisions/0010-postfix.md).
        _ => not_found(),
    }
}

/// There is no policy to be told.
#[must_use]
pub fn not_found() -> Reply {
    Reply {
        text: "NOTFOUND ".to_owned(),
        told: TellsPostfix::NothingFound,
    }
}

/// The mail must wait. Postfix logs the reason.
pub(super) fn wait(reason: &str) -> Reply {
    Reply {
        text: format!("TEMP {}", words(reason)),
        told: TellsPostfix::ToWait,
    }
}

/// The operator must change the configuration of Postfix; the mail waits.
pub(super) fn misconfigured(reason: &str) -> Reply {
    Reply {
        text: format!("PERM {}", words(reason)),
        told: TellsPostfix::ToWait,
    }
}

/// One line of ASCII.
fn words(reason: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_graphic() || character == ' ' {
            character
        } else {
            '?'
        }
    };
    reason.chars().take(REASON_OCTETS_MAX).map(plain).collect()
}

/// RFC 8461 s4.1 and s4.2: TLS with a trusted certificate for the name of the MX host, which one of
/// the patterns must match.
fn secure(mx_patterns: &[String], applied: Option<&AppliedPolicy>, map: MapName) -> Reply {
    let mut seen = HashSet::new();
    let names: Vec<&str> = mx_patterns
        .iter()
        .map(String::as_str)
        .filter(|pattern| !WORDS_OF_MATCH.contains(pattern))
        // OURS: Postfix's ".x" takes more than one label (docs/decisions/0010-postfix.md).
        .map(|pattern| pattern.strip_prefix('*').unwrap_or(pattern))
        .filter(|name| !name.is_empty() && seen.insert(*name))
        .collect();
    if names.is_empty() {
        return wait("the domain's policy names no MX host that there can be");
    }
    // RFC 8461 s7.1: SNI is the MX host's name.
    let mut text = format!("OK secure match={} servername=hostname", names.join(":"));
    if map == MapName::QueryWithTlsrpt
        && let Some(applied) = applied
        && let Some(attributes) = attributes(applied)
        && text.len() + attributes.len() <= REPLY_OCTETS_MAX
    {
        text.push_str(&attributes);
        let told = TellsPostfix::PolicyByName;
        return Reply { text, told };
    }
    if text.len() > REPLY_OCTETS_MAX {
        return wait("the domain's policy names more MX hosts than Postfix takes");
    }
    let told = TellsPostfix::Policy;
    Reply { text, told }
}

/// What Postfix repeats of a policy when it tells how a session went, and by which 3.10.5 and later
/// choose the MX hosts.
fn attributes(applied: &AppliedPolicy) -> Option<String> {
    let domain = applied.policy_domain.as_str();
    // Postfix would find the whole reply in error, and all mail of the domain would wait.
    if applied.policy_type != PolicyType::Sts || applied.mx_host.is_empty() || !is_host_name(domain)
    {
        return None;
    }
    let mut text = format!(" policy_type=sts policy_domain={domain}");
    for pattern in &applied.mx_host {
        text.push_str(" mx_host_pattern=");
        text.push_str(pattern);
    }
    for line in applied.policy_string.iter().filter_map(|line| told(line)) {
        text.push_str(" { policy_string = ");
        text.push_str(line);
        text.push_str(" }");
    }
    Some(text)
}

/// A line of the policy as Postfix is told it: without the blanks around it, which Postfix drops. None
/// where Postfix would not read the line that it was.
#[must_use]
pub fn told(line: &str) -> Option<&str> {
    let line = line.trim_ascii();
    // Braces count wherever they stand. Postfix makes blanks of some control characters.
    let means_more = |character: char| matches!(character, '{' | '}') || character.is_control();
    (!line.is_empty() && !line.chars().any(means_more)).then_some(line)
}

/// Whether Postfix takes it for a host name. It is one by our own rules already, but those let
/// everything in that the DNS has.
fn is_host_name(name: &str) -> bool {
    let no_hyphen_around = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    let has_letter = name
        .bytes()
        .any(|octet| !octet.is_ascii_digit() && octet != b'.');
    has_letter && name.split('.').all(no_hyphen_around)
}

#[cfg(test)]
mod tests;
