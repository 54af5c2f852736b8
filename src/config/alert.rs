//! `[alert]`: what an operator is told without asking.

use serde::{Deserialize, Serialize};

/// `[alert]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertConfig {
    /// The mailbox that gets mails; empty: none.
    pub mail_to: String,
    /// The URL that gets JSON; empty: none.
    pub webhook_url: String,
    /// How many refused sessions of a domain and day.
    pub enforce_failures_min: u64,
    /// And how many of a hundred.
    pub enforce_failures_percent: u64,
    /// How long before a policy expires that cannot be fetched.
    pub policy_expiry_hours: i64,
    /// How many days back STARTTLS is looked for.
    pub starttls_seen_days: u32,
    /// How long a report may wait.
    pub reports_stuck_hours: i64,
    /// The hours, UTC, in which nobody is told; empty: none.
    pub quiet: String,
    /// After how long an alert that still holds is told again.
    pub repeat_hours: i64,
    /// How many mails, and how many posts, an hour.
    pub messages_per_hour_max: usize,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            mail_to: String::new(),
            webhook_url: String::new(),
            enforce_failures_min: 5,
            enforce_failures_percent: 10,
            policy_expiry_hours: 48,
            starttls_seen_days: 14,
            reports_stuck_hours: 12,
            quiet: String::new(),
            repeat_hours: 24,
            messages_per_hour_max: 6,
        }
    }
}
