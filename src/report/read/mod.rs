//! Reports that others made, read as they meant them: of any sender, as a file or as a mail.
//!
//! Takes the bytes of one file ([`open()`]). Gives every report in it as a [`ReceivedReport`], with what it
//! breaks of RFC 8460 as [`Finding`]s. Nothing is refused whose meaning is clear: senders have written
//! times without a zone, numbers as strings, strings for arrays and `null` for what they did not know.
//! What cannot be read is a [`ReadError`] of its own and stops nothing else.
//!
//! It is the check of our own reports too: they have no findings. `docs/decisions/0013-reading-reports.md`.

use std::{collections::BTreeMap, net::IpAddr};

use sealpost_plugin_api::ResultType;

use crate::{
    clock::{Timestamp, UtcDay},
    policy::PolicyType,
};

mod authentic;
mod conform;
mod finding;
mod json;
mod mail;
mod mailbox;
mod members;
mod open;
mod time;
mod tree;
mod unpack;
mod zip;

pub use authentic::{Authenticity, KeyRecord};
pub use finding::{Finding, Rule};
pub use json::read;
pub use mail::MailFacts;
pub(crate) use mail::media_type;
pub use mailbox::Mailbox;
pub use open::{Opened, Received, Unread, open};
pub use unpack::Content;

/// The longest report that is read, unpacked. Receivers commonly take 10 MB, mox takes 20.
pub const REPORT_BYTES_MAX: usize = 20 << 20;

/// The longest mail that is read. It carries a packed report, and base64 makes that a third longer.
pub const MAIL_BYTES_MAX: usize = 30 << 20;

/// What the DNS says of the keys that signatures name, by the name of the record. A name that is not in it
/// was not asked for.
pub type KeyRecords = BTreeMap<String, KeyRecord>;

/// A report of RFC 8460 s4.4, of any sender. What is absent, empty or makes no sense is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedReport {
    /// `organization-name`.
    pub organization: Option<String>,
    /// `date-range.start-datetime`.
    pub begin: Option<Timestamp>,
    /// `date-range.end-datetime`.
    pub end: Option<Timestamp>,
    /// `contact-info`.
    pub contact: Option<String>,
    /// `report-id`.
    pub id: Option<String>,
    /// `policies`.
    pub policies: Vec<ReceivedPolicy>,
}

impl ReceivedReport {
    /// The UTC day that most of it covers.
    #[must_use]
    pub fn day(&self) -> Option<UtcDay> {
        self.begin.or(self.end).map(Timestamp::day)
    }
}

/// One element of `policies`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedPolicy {
    /// `policy-type`.
    pub policy_type: Option<Registered<PolicyType>>,
    /// `policy-domain`: lower-case A-labels where it is a name at all, else what stands there.
    pub domain: Option<String>,
    /// `policy-string`.
    pub policy_string: Vec<String>,
    /// `mx-host`.
    pub mx_host: Vec<String>,
    /// `total-successful-session-count`.
    pub successes: u64,
    /// `total-failure-session-count`.
    pub failures: u64,
    /// `failure-details`.
    pub details: Vec<ReceivedDetail>,
}

/// One element of `failure-details`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceivedDetail {
    /// `result-type`.
    pub result: Option<Registered<ResultType>>,
    /// `sending-mta-ip`.
    pub sending_ip: Option<IpAddr>,
    /// `receiving-mx-hostname`.
    pub mx: Option<String>,
    /// `receiving-mx-helo`.
    pub mx_helo: Option<String>,
    /// `receiving-ip`.
    pub receiving_ip: Option<IpAddr>,
    /// `failed-session-count`.
    pub sessions: u64,
    /// `additional-information`.
    pub additional_information: Option<String>,
    /// `failure-reason-code`.
    pub reason: Option<String>,
}

/// A word that should be one of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registered<T> {
    /// It is.
    Known(T),
    /// It is not: the word itself.
    // RFC 8460 s6.6: the result types are a registry that may grow.
    Other(String),
}

impl<T: Copy> Registered<T> {
    fn word(&self, name: fn(T) -> &'static str) -> &str {
        match self {
            Self::Known(known) => name(*known),
            Self::Other(word) => word,
        }
    }
}

impl Registered<PolicyType> {
    /// The word of the report.
    #[must_use]
    pub fn name(&self) -> &str {
        self.word(PolicyType::name)
    }
}

impl Registered<ResultType> {
    /// The word of the report.
    #[must_use]
    pub fn name(&self) -> &str {
        self.word(ResultType::name)
    }
}

/// Why a file, or a part of one, could not be read. Its sender must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no JSON text.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// It is JSON, and not a report.
    #[error("it is JSON and not a TLS report: {0}")]
    NotAReport(&'static str),
    /// It unpacks to more than a report may have, or has more parts.
    #[error("it is longer than {0}, which no report is")]
    TooLong(String),
    /// It is an archive of very many files.
    #[error("it is a ZIP archive of more than {0} files; those after them are not read")]
    TooMany(usize),
    /// It is packed, and damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is packed in a way that RFC 8460 does not know, nor do we.
    #[error("it is in a ZIP archive and cannot be unpacked here: {0}")]
    Zip(&'static str),
    /// It is an archive, and none of its files is a report.
    #[error("the ZIP archive holds no TLS report")]
    NoReportInZip,
    /// It is a mail, and none of its parts is a report.
    #[error("the mail holds no TLS report")]
    NoReport,
    /// It is nothing that reports come as.
    #[error("it is neither JSON nor gzip nor ZIP nor a mail")]
    Unknown,
}

impl ReadError {
    /// May it be something else that lies in the same mailbox or directory, and no report at all?
    #[must_use]
    pub const fn is_something_else(&self) -> bool {
        matches!(
            self,
            Self::NotAReport(_) | Self::NoReport | Self::NoReportInZip | Self::Unknown
        )
    }
}

#[cfg(test)]
mod tests;
