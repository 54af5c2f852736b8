//! The TXT record `_smtp._tls` (RFC 8460 s3): does a domain want reports, and where?

/// Where a report is to go: one URI of a record's `rua`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// `mailto:`: one mailbox, percent-decoded, its domain as A-labels.
    Mail(String),
    /// `https:`: the URI as published.
    Https(String),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mail(mailbox) => write!(formatter, "mailto:{mailbox}"),
            Self::Https(uri) => formatter.write_str(uri),
        }
    }
}

/// A valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuaRecord {
    /// The destinations, in the order of the record, without doubles.
    pub destinations: Vec<Destination>,
    /// What was skipped, in words for the log.
    pub skipped: Vec<String>,
}
