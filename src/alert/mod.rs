//! Alerts: what an operator should hear of without asking.
//!
//! ```text
//! rules  what holds now, of values that the daemon read; pure
//! board  since when, who was told, what is over; pure
//! words  one mail or one JSON for all that is to be told; pure
//! ```
//!
//! `daemon::alerts` reads the values, has the board decide, and tells. `docs/decisions/0019-metrics-and-alerts.md`
//! has the reasons.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

pub mod board;
pub mod notebook;
pub mod quiet;
pub mod rules;
pub mod words;

/// What can be alerted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A policy keeps mail to a domain from being delivered.
    EnforceFailures,
    /// A kept policy cannot be fetched any more and is about to expire.
    PolicyExpiring,
    /// A domain whose sessions were encrypted for weeks offers no STARTTLS any more.
    StarttlsVanished,
    /// Reports do not leave.
    ReportsStuck,
    /// `sealpost status` shows an alarm.
    Alarm,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 5] = [
        Self::EnforceFailures,
        Self::PolicyExpiring,
        Self::StarttlsVanished,
        Self::ReportsStuck,
        Self::Alarm,
    ];

    /// Its name on the command line, in the journal, and in what is sent.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EnforceFailures => "enforce-failures",
            Self::PolicyExpiring => "policy-expiring",
            Self::StarttlsVanished => "starttls-vanished",
            Self::ReportsStuck => "reports-stuck",
            Self::Alarm => "alarm",
        }
    }

    /// The rule of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// What an operator does about it.
    #[must_use]
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Self::EnforceFailures => {
                "See `sealpost check DOMAIN --probe` and `sealpost sessions --failures`. Where the domain \
                 itself is at fault, tell its postmaster; where mail cannot wait, an override with \
                 mode = \"audit\" and an end lets it through."
            }
            Self::PolicyExpiring => {
                "See `sealpost policy refresh DOMAIN`. After the policy has expired mail goes to the domain \
                 without it. Where the domain has given its policy up, `sealpost policy purge DOMAIN` ends \
                 this."
            }
            Self::StarttlsVanished => {
                "See `sealpost check DOMAIN --probe`. Somebody on the way may be taking STARTTLS out of the \
                 sessions; ask the domain's postmaster by another way than mail."
            }
            Self::ReportsStuck => {
                "See `sealpost report list` for the reasons. Does the relay of `deliver.relay` take mail, and \
                 does the resolver answer?"
            }
            Self::Alarm => "See `sealpost status`.",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What an alert is of: a rule, and the domain or part that it holds for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct About {
    /// The rule.
    pub rule: Rule,
    /// A domain; `reports` or `daemon` where the rule is of none.
    pub subject: String,
}

/// An alert that holds, or held until just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What of.
    #[serde(flatten)]
    pub about: About,
    /// What is the matter, in one sentence, as it was last seen.
    pub words: String,
    /// Since when.
    #[serde(with = "seconds")]
    pub since: Timestamp,
    /// When it was last seen to hold.
    #[serde(with = "seconds")]
    pub seen_at: Timestamp,
    /// Since when it does not hold any more.
    #[serde(with = "maybe_seconds", default)]
    pub over_since: Option<Timestamp>,
    /// When a mail last told it.
    #[serde(with = "maybe_seconds", default)]
    pub mailed_at: Option<Timestamp>,
    /// When the webhook was last told it.
    #[serde(with = "maybe_seconds", default)]
    pub posted_at: Option<Timestamp>,
}

/// Moments in the notebook: seconds since 1970.
mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::clock::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp)
    }
}

/// The same where there may be none.
mod maybe_seconds {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::clock::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(|at| at.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.map(Timestamp))
    }
}
