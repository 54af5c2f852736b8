//! What this host saw of a domain in the last days, for `sealpost check`.

use serde::{Deserialize, Serialize};

use super::{DeliveryView, ProtectedSessions, SecurityOfDay};

/// What this host saw of a domain in the last days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The first UTC day that was looked at.
    pub since: String,
    /// The last: today.
    pub until: String,
    /// The days among them with sessions of which it is known what protected them, in order.
    pub days: Vec<SecurityOfDay>,
    /// All of these days together.
    pub total: ProtectedSessions,
    /// The ways in which sessions failed, the one that was seen last first. A session that was held to two policies may be in
    /// several.
    pub failures: Vec<FailureSeen>,
    /// How the reports of these days to the domain stand, by day and destination.
    pub deliveries: Vec<DeliveryView>,
    /// Days on which sessions were counted by a release that did not note what protected them.
    pub not_noted: Vec<String>,
    /// Days of which nothing is held that was counted, of any domain: nothing was, or it is kept no more. Today is never one.
    pub not_held: Vec<String>,
    /// Days that could not be read, or not in full.
    pub unreadable: Vec<UnreadableDay>,
}

/// A way in which sessions failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureSeen {
    /// `result-type`.
    pub result_type: String,
    /// `failure-reason-code`.
    pub reason: Option<String>,
    /// How many sessions.
    pub sessions: u64,
    /// The first UTC day that has it.
    pub first_day: String,
    /// The last.
    pub last_day: String,
    /// When on the first day it was seen first; absent where an earlier one may have given way.
    pub first_at: Option<String>,
    /// When on the last day it was seen last, where that is known.
    pub last_at: Option<String>,
}

/// A day that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableDay {
    /// The UTC day.
    pub day: String,
    /// Why.
    pub reason: String,
}
