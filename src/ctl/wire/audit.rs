//! The log of decisions.

use serde::{Deserialize, Serialize};

use super::hexadecimal;
use crate::store::AuditRecord;

/// The decisions that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The oldest first.
    pub entries: Vec<AuditView>,
    /// How many older ones that were asked for too are left out.
    pub earlier: u64,
    /// How the whole log stands.
    pub chain: ChainView,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    /// Its number in the log, from 1.
    pub number: u64,
    /// When.
    pub at: String,
    /// Of what kind.
    pub kind: String,
    /// About which recipient domain.
    pub domain: Option<String>,
    /// Who decided it.
    pub author: Option<String>,
    /// What.
    pub words: String,
    /// Its digest: over its number, its words and the digest of the entry before.
    pub sha256: String,
}

/// Whether each entry of the log follows from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainView {
    /// It does.
    pub whole: bool,
    /// The first entry that does not.
    pub broken_at: Option<u64>,
    /// How many are held.
    pub entries: u64,
    /// The number of the first that is held; earlier ones were forgotten in time.
    pub first: Option<u64>,
    /// The number of the last.
    pub last: u64,
    /// The digest of the last.
    pub sha256: String,
}

impl AuditView {
    /// An entry as the store has it.
    #[must_use]
    pub fn of(record: &AuditRecord) -> Self {
        let entry = &record.entry;
        Self {
            number: record.number,
            at: entry.at.to_string(),
            kind: entry.kind.name().to_owned(),
            domain: entry.domain.as_ref().map(ToString::to_string),
            author: entry.author.clone(),
            words: entry.words.clone(),
            sha256: hexadecimal(&record.hash),
        }
    }
}
