//! What protected the sessions of a day, for `sealpost status --security`.

use serde::{Deserialize, Serialize};

use crate::{record::protection::Protection, store::Protected};

/// What protected the sessions of a range of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// The first UTC day asked for.
    pub since: String,
    /// The last.
    pub until: String,
    /// The days among them that have such sessions, in order.
    pub days: Vec<SecurityOfDay>,
    /// Days on which sessions were counted by a release that did not note what protected them: all of them, or
    /// for a day that is among [`days`](Self::days) those from before an update.
    pub not_noted: Vec<String>,
    /// All of the days together.
    pub total: ProtectedSessions,
    /// By recipient domain, the one with the most sessions first.
    pub domains: Vec<SecurityOfDomain>,
    /// How many more recipient domains there are: those with the fewest sessions.
    pub further_domains: u64,
    /// Theirs together.
    pub further: ProtectedSessions,
}

/// What protected the sessions of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOfDay {
    /// The UTC day.
    pub day: String,
    /// All of its sessions.
    #[serde(flatten)]
    pub protected: ProtectedSessions,
}

/// What protected the sessions with one recipient domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityOfDomain {
    /// The recipient domain.
    pub domain: String,
    /// All sessions with it.
    #[serde(flatten)]
    pub protected: ProtectedSessions,
}

/// Sessions by what protected them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedSessions {
    /// All of them.
    pub sessions: u64,
    /// The certificate matched a secure TLSA record.
    pub dane: u64,
    /// The host and its certificate satisfied an MTA-STS policy.
    pub sts: u64,
    /// TLS, with a certificate that no policy vouches for.
    pub tls: u64,
    /// In the clear.
    pub clear: u64,
    /// A policy kept the mail from going there.
    pub refused: u64,
}

impl From<&Protected> for ProtectedSessions {
    fn from(protected: &Protected) -> Self {
        Self {
            sessions: protected.total(),
            dane: protected.sessions(Protection::Dane),
            sts: protected.sessions(Protection::Sts),
            tls: protected.sessions(Protection::Tls),
            clear: protected.sessions(Protection::Clear),
            refused: protected.sessions(Protection::Refused),
        }
    }
}

impl ProtectedSessions {
    /// These and others.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            dane: self.dane.saturating_add(other.dane),
            sts: self.sts.saturating_add(other.sts),
            tls: self.tls.saturating_add(other.tls),
            clear: self.clear.saturating_add(other.clear),
            refused: self.refused.saturating_add(other.refused),
        }
    }

    /// Every number, all of the sessions first, then in the order of [`Protection::ALL`].
    #[must_use]
    pub const fn numbers(&self) -> [u64; 6] {
        [
            self.sessions,
            self.dane,
            self.sts,
            self.tls,
            self.clear,
            self.refused,
        ]
    }
}
