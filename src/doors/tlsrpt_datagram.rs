//! One datagram of libtlsrpt: how a session went, in JSON, as Postfix 3.10 and later tell it. Pure.
//!
//! ```text
//! {"d": "example.org","pr": "v=TLSRPTv1; ...","policies":[{"policy-type":2,
//!  "policy-domain": "example.org","policy-string":["version: STSv1", ...],"mx-host":["mx.example.org"],
//!  "failure-details":[{"c":205,"s": "192.0.2.1","n": "mx.example.org",
//!  "h": "250-mx.example.org greets you\r\n250-STARTTLS\r\n250 SMTPUTF8","r": "198.51.100.7",
//!  "f": "self-signed_certificate"}],"t":1,"f":1}]}
//! ```
//!
//! `d` is the recipient domain; `policy-type` 1 is `tlsa`, 2 `sts` and 9 `no-policy-found`; `f` of a
//! policy is 0 where the delivery came to succeed and 1 where it failed, and `f` of a failure its
//! reason. `t` repeats how many failures there are. `pr` is the domain's TLSRPT record: where
//! reports go is looked up when they leave, so it is skipped, as is every member not known here.
//!
//! What comes out is in the words of RFC 8460 and in one form, so that equal policies and equal
//! failures are equal values, whatever the MTA's spelling.

use std::borrow::Cow;

use sealpost_plugin_api::ResultType;
use serde::Deserialize;

use super::tlsrpt_failure::{Met, NO_DETAIL, WireFailure};
use crate::{
    observe::printable::excerpt,
    policy::{AppliedPolicy, MxPattern, NameError, PolicyDomain, PolicyType},
    record::Failure,
    record::told::{Ending, Told},
    record::untrusted::harmless,
};

/// The longest datagram that is read: what a sender's socket holds at most by Linux's default.
pub const DATAGRAM_OCTETS_MAX: usize = 212_992;

/// How many policies one datagram may tell of. A delivery has one for each MX host at most.
const POLICIES_MAX: usize = 64;

/// How many failures may be told under one policy.
const FAILURES_MAX: usize = 64;

/// How many lines, TLSA records or MX patterns a policy may have. RFC 8461 s3.2 names no bound; real
/// policies of 700 MX hosts are known.
const LINES_MAX: usize = 4_096;

/// What a datagram tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// One for each session under each policy, in the datagram's order; never empty.
    pub told: Vec<Told>,
    /// The version of the format. What another than ours adds or means otherwise is not known.
    pub version: Version,
}

/// The version of a datagram's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1, named or left out.
    One,
    /// Another.
    Other,
}

/// Why a datagram tells nothing. All are for whoever makes the MTA, or sends other things to the
/// socket; the operator sees them counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is longer than [`DATAGRAM_OCTETS_MAX`].
    #[error("it is longer than {DATAGRAM_OCTETS_MAX} octets")]
    TooLarge,
    /// A name or a policy is not UTF-8.
    #[error("a name or a policy in it is not UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is JSON of another shape.
    #[error("it is JSON of another shape: {0}")]
    Shape(String),
    /// The recipient domain is missing or no domain name.
    #[error("\"d\" is no recipient domain: {0}")]
    Domain(NameError),
    /// There are no policies in it.
    #[error("it tells of no policy")]
    NoPolicies,
    /// `policy-domain` is no domain name.
    #[error("\"policy-domain\" is no domain: {0}")]
    PolicyDomain(NameError),
    /// `policy-type` is not known.
    #[error("\"policy-type\" is {0}, not 1, 2 or 9")]
    PolicyType(u64),
    /// The final result, `f`, is not known.
    #[error("the final result \"f\" is {0}, not 0 or 1")]
    FinalResult(u64),
    /// The code of a failure, `c`, is not known.
    #[error("the failure code \"c\" is {0}, which is none of RFC 8460's result types")]
    FailureCode(u64),
    /// More policies, failures or lines than a delivery can have.
    #[error("it tells of too many policies, failures or policy lines")]
    TooMany,
}

impl Malformed {
    /// The kind, as logs name it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::NotUtf8 => "not-utf8",
            Self::NotJson(_) => "not-json",
            Self::Shape(_) => "shape",
            Self::Domain(_) => "domain",
            Self::NoPolicies => "no-policies",
            Self::PolicyDomain(_) => "policy-domain",
            Self::PolicyType(_) => "policy-type",
            Self::FinalResult(_) => "final-result",
            Self::FailureCode(_) => "failure-code",
            Self::TooMany => "too-many",
        }
    }
}

/// Reads a datagram.
///
/// # Errors
/// When it is none of libtlsrpt's, or tells what cannot be.
pub fn read(datagram: &[u8]) -> Result<Reading, Malformed> {
    if datagram.len() > DATAGRAM_OCTETS_MAX {
        return Err(Malformed::TooLarge);
    }
    match serde_json::from_slice::<Wire<'_>>(datagram) {
        Ok(wire) => wire.read(),
        Err(error) => match String::from_utf8_lossy(datagram) {
            Cow::Borrowed(_) => Err(unreadable(&error)),
            Cow::Owned(text) => read_lossy(&text),
        },
    }
}

/// Reads what holds octets that are no UTF-8: libtlsrpt passes on what a peer sent. In the words of a
/// failure they do no harm; a name or a policy with them is another one than it was.
fn read_lossy(text: &str) -> Result<Reading, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let harmed = |text: &Text<'_>| text.0.contains(char::REPLACEMENT_CHARACTER);
    let of_policy = |policy: &WirePolicy<'_>| {
        policy.policy_domain.as_ref().is_some_and(harmed)
            || policy.policy_string.iter().any(harmed)
            || policy.mx_host.iter().any(harmed)
    };
    if wire.d.as_ref().is_some_and(harmed) || wire.policies.iter().any(of_policy) {
        return Err(Malformed::NotUtf8);
    }
    wire.read()
}

fn unreadable(error: &serde_json::Error) -> Malformed {
    let words = excerpt(&error.to_string());
    if error.is_data() {
        Malformed::Shape(words)
    } else {
        Malformed::NotJson(words)
    }
}

/// A text, borrowed from the datagram where it holds no escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The datagram.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    dpv: Option<Text<'a>>,
    #[serde(borrow)]
    d: Option<Text<'a>>,
    #[serde(borrow, default)]
    policies: Vec<WirePolicy<'a>>,
}

/// An element of its `policies`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WirePolicy<'a> {
    policy_type: u64,
    #[serde(borrow)]
    policy_domain: Option<Text<'a>>,
    #[serde(borrow, default)]
    policy_string: Vec<Text<'a>>,
    #[serde(borrow, default)]
    mx_host: Vec<Text<'a>>,
    #[serde(borrow, default)]
    failure_details: Vec<WireFailure<'a>>,
    /// The final result.
    f: u64,
}

impl Wire<'_> {
    fn read(&self) -> Result<Reading, Malformed> {
        let named = self.d.as_ref().map_or("", |name| &*name.0);
        let domain: PolicyDomain = named.parse().map_err(Malformed::Domain)?;
        if self.policies.is_empty() {
            return Err(Malformed::NoPolicies);
        }
        if self.policies.len() > POLICIES_MAX {
            return Err(Malformed::TooMany);
        }
        let mut told = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            policy.read(&domain, &mut told)?;
        }
        Ok(Reading {
            told,
            version: match self.dpv.as_ref().map(|version| &*version.0) {
                None | Some("1") => Version::One,
                Some(_) => Version::Other,
            },
        })
    }
}

impl WirePolicy<'_> {
    /// Adds the sessions under this policy.
    fn read(&self, domain: &PolicyDomain, told: &mut Vec<Told>) -> Result<(), Malformed> {
        if self.failure_details.len() > FAILURES_MAX
            || self.policy_string.len() > LINES_MAX
            || self.mx_host.len() > LINES_MAX
        {
            return Err(Malformed::TooMany);
        }
        let policy = self.applied(domain)?;
        let mut sessions = self.failed_sessions(policy.policy_type)?;
        match (self.f, sessions.is_empty()) {
            // OURS: RFC 8460 s4.2 counts connections, not deliveries. Where an MX host failed and the
            // delivery came to succeed, with the next one, that is a session that failed and one that
            // did not.
            (0, _) => sessions.push(Ending::Success),
            (1, true) => sessions.push(Ending::Failure(vec![Failure::of_policy(
                ResultType::ValidationFailure,
                NO_DETAIL,
            )])),
            (1, false) => {}
            (other, _) => return Err(Malformed::FinalResult(other)),
        }
        let one = Told::new(domain.clone(), policy, Ending::Success);
        told.extend(sessions.into_iter().map(|ending| Told {
            ending,
            ..one.clone()
        }));
        Ok(())
    }

    /// The policy, in the one form that it has everywhere here.
    fn applied(&self, domain: &PolicyDomain) -> Result<AppliedPolicy, Malformed> {
        let policy_type = match self.policy_type {
            1 => PolicyType::Tlsa,
            2 => PolicyType::Sts,
            9 => PolicyType::NoPolicyFound,
            other => return Err(Malformed::PolicyType(other)),
        };
        // Some releases of Postfix name no domain where there is no policy.
        let policy_domain = match self.policy_domain.as_ref().map(|name| &*name.0) {
            None | Some("") => domain.clone(),
            Some(name) => name.parse().map_err(Malformed::PolicyDomain)?,
        };
        let (policy_string, mx_host) = match policy_type {
            PolicyType::Tlsa => {
                let mut records: Vec<String> = self.policy_string.iter().map(tlsa).collect();
                // The order of a record set means nothing, and Postfix tells it as the DNS gave it.
                records.sort_unstable();
                (records, Vec::new())
            }
            PolicyType::Sts => (
                self.policy_string.iter().map(line).collect(),
                self.mx_host.iter().map(pattern).collect(),
            ),
            PolicyType::NoPolicyFound => (Vec::new(), Vec::new()),
        };
        Ok(AppliedPolicy {
            policy_type,
            policy_domain,
            policy_string,
            mx_host,
        })
    }

    /// The sessions that failed. A session is a connection to one MX host: failures with one host
    /// and address are of one session, those of a policy alone belong to the first.
    fn failed_sessions(&self, policy_type: PolicyType) -> Result<Vec<Ending>, Malformed> {
        let mut sessions: Vec<(Met, Vec<Failure>)> = Vec::new();
        for wire in &self.failure_details {
            let (met, failure) = wire.read(policy_type)?;
            match sessions.iter_mut().find(|(other, _)| *other == met) {
                Some((_, failures)) => add(failures, failure),
                None => sessions.push((met, vec![failure])),
            }
        }
        let of_none = sessions.iter().position(|(met, _)| met.is_nobody());
        if let Some(index) = of_none
            && sessions.len() > 1
        {
            let (_, of_policy) = sessions.remove(index);
            if let Some((_, failures)) = sessions.first_mut() {
                of_policy.into_iter().for_each(|each| add(failures, each));
            }
        }
        let endings = sessions.into_iter().map(|(_, failures)| failures);
        Ok(endings.map(Ending::Failure).collect())
    }
}

/// Adds a way in which one session failed. D3: it counts once in each.
fn add(failures: &mut Vec<Failure>, failure: Failure) {
    if !failures.contains(&failure) {
        failures.push(failure);
    }
}

/// A line of an MTA-STS policy, as published.
fn line(text: &Text<'_>) -> String {
    text.0
        .chars()
        .filter(|character| !character.is_control())
        .collect()
}

/// An MX pattern of an MTA-STS policy. One that is none stays to be seen in the report.
fn pattern(text: &Text<'_>) -> String {
    text.0.parse::<MxPattern>().map_or_else(
        |_| harmless(&text.0).unwrap_or_default(),
        |pattern| pattern.to_string(),
    )
}

/// A TLSA record: usage, selector and matching type as numbers, the data in upper case hexadecimal
/// digits (RFC 6698 s2.2 allows spaces between these). What is none stays to be seen in the report.
fn tlsa(text: &Text<'_>) -> String {
    let mut words = text.0.split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u8>().ok());
    let numbers = (number(), number(), number());
    let data: String = words.collect();
    match numbers {
        (Some(usage), Some(selector), Some(matching))
            if !data.is_empty() && data.bytes().all(|octet| octet.is_ascii_hexdigit()) =>
        {
            let data = data.to_ascii_uppercase();
            format!("{usage} {selector} {matching} {data}")
        }
        _ => harmless(&text.0).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
