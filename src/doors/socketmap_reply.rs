//! How an answer is worded for Postfix's `smtp_tls_policy_maps` (`docs/socketmap.md`).
//!
//! What a recipient domain wrote goes into a reply that Postfix reads as configuration, so it is data:
//! names are names already, and a line of the policy that Postfix could read as anything else than
//! that line is left out.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sealpost_plugin_api::Level;

pub use super::socketmap_whole::Asked;
use super::{
    socketmap_request::MapName,
    socketmap_whole::{Says, says},
};
use crate::{
    config::TellsDane,
    hook::{Answer, Asker, Said},
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
    /// The same for some of the hosts that it lists.
    PolicyForSome,
    /// The policy alone.
    Policy,
    /// DANE or no mail.
    DaneOnly,
    /// That nothing is demanded, whatever Postfix's own level.
    NothingDemanded,
    /// Nothing: Postfix goes by its own settings.
    NothingFound,
    /// To try again later.
    ToWait,
}

/// Whether Postfix is told that a domain goes by DANE alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DaneOnly {
    /// It is.
    Told,
    /// It is not: it could not do as it is told, or the operator does not want it.
    Untold,
}

/// Whether the resolvers that Postfix asks can be seen to mark signed answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedAnswers {
    /// They do, and they are on this machine.
    Marked,
    /// They do not, or it is not known.
    NotSeen,
}

/// What is known of those resolvers at this moment. Shared with who looks at them.
#[derive(Debug, Default)]
pub struct Resolvers(AtomicBool);

impl Resolvers {
    /// This was seen of them.
    pub fn saw(&self, answers: SignedAnswers) {
        self.0
            .store(answers == SignedAnswers::Marked, Ordering::Relaxed);
    }

    /// What was seen of them last.
    #[must_use]
    pub fn answers(&self) -> SignedAnswers {
        if self.0.load(Ordering::Relaxed) {
            SignedAnswers::Marked
        } else {
            SignedAnswers::NotSeen
        }
    }
}

/// What decides whether Postfix is told `dane-only`: the setting that the door was opened with, and what is
/// seen of the resolvers.
#[derive(Clone, Debug)]
pub struct TellingDane {
    setting: TellsDane,
    resolvers: Arc<Resolvers>,
}

impl TellingDane {
    /// By this setting, and by what is seen there.
    #[must_use]
    pub const fn new(setting: TellsDane, resolvers: Arc<Resolvers>) -> Self {
        Self { setting, resolvers }
    }

    /// The same setting, with what is seen there.
    #[must_use]
    pub fn by(self, resolvers: Arc<Resolvers>) -> Self {
        Self { resolvers, ..self }
    }

    /// Whether a Postfix on this machine is told at this moment.
    #[must_use]
    pub fn now(&self) -> DaneOnly {
        DaneOnly::of(self.setting, self.resolvers.answers())
    }

    /// Whether one on another machine is: what its resolvers do is not seen here.
    #[must_use]
    pub const fn elsewhere(&self) -> DaneOnly {
        DaneOnly::of(self.setting, SignedAnswers::NotSeen)
    }
}

impl DaneOnly {
    /// What the operator's setting comes to.
    #[must_use]
    pub const fn of(setting: TellsDane, resolvers: SignedAnswers) -> Self {
        match (setting, resolvers) {
            (TellsDane::Always, _) | (TellsDane::Auto, SignedAnswers::Marked) => Self::Told,
            (TellsDane::Never, _) | (TellsDane::Auto, SignedAnswers::NotSeen) => Self::Untold,
        }
    }
}

impl Reply {
    /// Who was given this reply, if anything is to be expected of them.
    #[must_use]
    pub const fn asker(&self, map: MapName) -> Option<Asker> {
        match (map, self.told) {
            // sendmail tells nothing, and of a reply to wait no session comes.
            (MapName::Sts, _) | (_, TellsPostfix::ToWait) => None,
            (_, TellsPostfix::Policy) => Some(Asker::Telling(Said::Policy)),
            // Also a Postfix that tells nothing goes to no other host.
            (_, TellsPostfix::DaneOnly) => Some(Asker::Telling(Said::DaneOnly)),
            (_, TellsPostfix::PolicyByName) => Some(Asker::Telling(Said::PolicyByName)),
            (_, TellsPostfix::PolicyForSome) => Some(Asker::Telling(Said::PolicyForSome)),
            (MapName::QueryWithTlsrpt, TellsPostfix::NothingFound) => {
                Some(Asker::Telling(Said::Nothing))
            }
            (MapName::QueryWithTlsrpt, TellsPostfix::NothingDemanded) => {
                Some(Asker::Telling(Said::NothingDemanded))
            }
            // Postfix before 3.10: nothing that it leaves unsaid means anything.
            (MapName::Query, TellsPostfix::NothingFound | TellsPostfix::NothingDemanded) => None,
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
pub fn reply(answer: &Answer, asked: Asked) -> Reply {
    let requirement = &answer.requirement;
    if requirement.level == Level::Defer {
        return wait(&requirement.reason);
    }
    let applied = answer.applied.as_deref();
    let listed = || match &requirement.level {
        Level::Verify { mx_patterns, .. } => mx_patterns,
        _ => applied.map_or(&[][..], |applied| &applied.mx_host),
    };
    match says(answer, asked) {
        Says::DaneOnly => dane_only(),
        Says::Policy => secure(listed(), applied, asked.map),
        Says::PolicyFor(hosts) => {
            let hosts: Vec<String> = hosts.into_iter().map(ToString::to_string).collect();
            let reply = secure(&hosts, applied, asked.map);
            match reply.told {
                TellsPostfix::PolicyByName => Reply {
                    told: TellsPostfix::PolicyForSome,
                    ..reply
                },
                _ => reply,
            }
        }
        Says::Wait(why) => wait(&why),
        Says::Opportunistic => opportunistic(),
        // OURS: the operator's own level stays (docs/decisions/0010-postfix.md).
        Says::Nothing => not_found(),
    }
}

/// RFC 7672 s6: TLSA records that the certificate matches, or no mail. Postfix looks them up itself, and
/// takes no attribute for its reports with them.
fn dane_only() -> Reply {
    Reply {
        text: "OK dane-only".to_owned(),
        told: TellsPostfix::DaneOnly,
    }
}

/// TLS wherever it is offered, and no DANE. Attributes for reports would have Postfix call every handshake a
/// success under a policy that it did not check.
fn opportunistic() -> Reply {
    Reply {
        text: "OK may".to_owned(),
        told: TellsPostfix::NothingDemanded,
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
        && let Some(attributes) = attributes(applied, mx_patterns)
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

/// What Postfix repeats of a policy when it tells how a session went, and these patterns, by which 3.10.5
/// and later choose the MX hosts.
fn attributes(applied: &AppliedPolicy, mx_patterns: &[String]) -> Option<String> {
    let domain = applied.policy_domain.as_str();
    // Postfix would find the whole reply in error, and all mail of the domain would wait.
    if applied.policy_type != PolicyType::Sts || mx_patterns.is_empty() || !is_host_name(domain) {
        return None;
    }
    let mut text = format!(" policy_type=sts policy_domain={domain}");
    for pattern in mx_patterns {
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
