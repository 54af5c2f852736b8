//! Stage 3 of 7: record.
//! Takes: a session as an MTA tells it, and the policy it was held to, from the hook.
//! Gives: [`SessionRecord`]s to the store, through a bounded queue.
//! Never: waits, touches the disk, or fails a delivery.
//! Specified by: RFC 8460 s4.2 and s4.3.

use std::{net::IpAddr, sync::Arc};

use sealpost_plugin_api::ResultType;

use crate::{
    clock::Timestamp,
    policy::{AppliedPolicy, FetchTrouble, PolicyDomain},
};

pub mod certificate;
pub mod classify;
pub mod evaluate;
pub mod finding;
pub mod infer;
pub mod journal;
pub mod look;
pub mod protection;
pub mod reconcile;
pub mod report_sessions;
pub mod told;
mod under_dane;
pub mod untrusted;

use protection::Protection;

/// Equal sessions under one policy, or a note of a fetch. Written once, never edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// When it ended, or the fetch failed; its UTC day is the day it is counted under.
    pub at: Timestamp,
    /// The domain whose report it enters: the recipient domain or the smart host's domain.
    pub domain: PolicyDomain,
    /// The exact policy it was held to.
    pub policy: Arc<AppliedPolicy>,
    /// Who saw it.
    pub source: Source,
    /// How it went.
    pub verdict: Verdict,
    /// What protected it. A session that is counted under several policies has one in the first of its
    /// records only; a note has none.
    pub protection: Option<Protection>,
    /// How many sessions this stands for, for sources that see many alike at once; one of a note.
    pub sessions: u32,
}

/// Whether what is counted is all that there is to say of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It was held to each policy that applied to it, and how it went is known.
    Checked,
    /// A policy applied, nobody checked it, and nothing could be found out.
    Unchecked,
}

/// How a session went under one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// RFC 8460 s4.2.1: a policy-compliant TLS connection was negotiated.
    Success,
    /// RFC 8460 s4.2.2: it was not. The session adds one to the failures, and one to each of these
    /// details (D3: details may overlap). Never empty.
    Failure(Vec<Failure>),
    /// Not a session: a policy fetch that failed while a kept policy held. It adds to the details
    /// and to no count of sessions (`docs/decisions/0006-fetch-failures.md`).
    Note(Failure),
}

/// One way in which a session failed: a `failure-details` element without its count
/// (RFC 8460 s4.4). Two failures with equal members are one element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Failure {
    /// `result-type`.
    pub result: ResultType,
    /// `receiving-mx-hostname`.
    pub mx: Option<String>,
    /// `receiving-mx-helo`. From the peer: sanitised and capped, not trusted.
    pub mx_helo: Option<String>,
    /// `receiving-ip`.
    pub receiving_ip: Option<IpAddr>,
    /// `sending-mta-ip`.
    pub sending_ip: Option<IpAddr>,
    /// `failure-reason-code`.
    pub reason: Option<String>,
}

impl Failure {
    /// A failure of which only the type and reason are known, as of a policy that no MX was
    /// involved in (D12).
    #[must_use]
    pub fn of_policy(result: ResultType, reason: impl Into<String>) -> Self {
        Self {
            result,
            mx: None,
            mx_helo: None,
            receiving_ip: None,
            sending_ip: None,
            reason: Some(reason.into()),
        }
    }
}

impl From<&FetchTrouble> for Failure {
    // RFC 8460 s4.3.2.2: an announced policy that could not be had fails every session of the
    // domain, besides what else may fail (D12).
    fn from(trouble: &FetchTrouble) -> Self {
        Self::of_policy(trouble.result, trouble.reason.clone())
    }
}

/// Who saw what a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The MTA told it.
    Mta,
    /// Sealpost's own knowledge of the policy.
    Policy,
    /// Sealpost's own probe of an MX.
    Probe,
}

impl Source {
    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mta => "mta",
            Self::Policy => "policy",
            Self::Probe => "probe",
        }
    }

    /// The reason code of something inferred from what this source knows: `probe:starttls-refused`.
    #[must_use]
    pub fn mark(self, reason: &str) -> String {
        format!("{}:{reason}", self.name())
    }

    /// A reason code without the mark that says what it was inferred from.
    #[must_use]
    pub fn unmark(reason: &str) -> &str {
        [Self::Policy, Self::Probe]
            .iter()
            .find_map(|source| reason.strip_prefix(source.name())?.strip_prefix(':'))
            .unwrap_or(reason)
    }
}

#[cfg(test)]
impl Failure {
    /// `result-type reason mx`, for tables of cases.
    pub(crate) fn in_words(&self) -> String {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        format!("{} {} {}", self.result, word(&self.reason), word(&self.mx))
    }
}

#[cfg(test)]
impl Verdict {
    /// `success`, or the failures in words, for tables of cases.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Success => "success".to_owned(),
            Self::Failure(failures) => {
                let words: Vec<String> = failures.iter().map(Failure::in_words).collect();
                words.join(", ")
            }
            Self::Note(failure) => format!("note {}", failure.in_words()),
        }
    }
}
