//! The settings of alerts.

use super::first;
use crate::config::{
    kind::Kind,
    setting::{Section, Shape},
};

/// `[alert]`
pub(super) const ALERT: Section = Section {
    name: "alert",
    shape: Shape::Single,
    text: "What you are told without asking. Alerts are always in the log, and `sealpost alert list` shows \
           them; `mail_to` and `webhook_url` have them told. Everything that is due at once is one message. \
           `docs/guide/monitoring.md` describes the rules; `sealpost alert test` tries the ways.",
    settings: &[
        first(
            "mail_to",
            Kind::Mailbox,
            "\"\"",
            "",
            "Who gets alerts by mail, from `sender.contact`, the way that reports go. Empty: nobody.",
        ),
        first(
            "webhook_url",
            Kind::Text,
            "\"\"",
            "",
            "A URL that alerts are posted to as JSON, `https://hooks.example.org/sealpost` say. It may be in \
             your own network; without TLS only on this machine. Empty: none.",
        ),
        first(
            "enforce_failures_min",
            Kind::Number(1, 1_000_000_000),
            "5",
            "sessions",
            "So many sessions of a domain and day must have been refused by its policy,",
        ),
        first(
            "enforce_failures_percent",
            Kind::Number(1, 100),
            "10",
            "percent",
            "and this share of all its sessions.",
        ),
        first(
            "policy_expiry_hours",
            Kind::Number(1, 8_760),
            "48",
            "hours",
            "How long before it expires you hear of a policy that cannot be fetched any more. Of one that is \
             kept for less than twice as long: when half its time is over.",
        ),
        first(
            "starttls_seen_days",
            Kind::Number(2, 399),
            "14",
            "days",
            "How many days back every session of a domain must have been encrypted, as far as there was mail, so \
             that you hear of a day on which none is. At most `store.keep_days` are known.",
        ),
        first(
            "reports_stuck_hours",
            Kind::Number(1, 48),
            "12",
            "hours",
            "How long after its turn a report may not have left.",
        ),
        first(
            "quiet",
            Kind::Text,
            "\"\"",
            "",
            "The hours in which no mail leaves and nothing is posted, UTC, `\"22:00-07:00\"` say. What still \
             holds after them is told then. Empty: none.",
        ),
        first(
            "repeat_hours",
            Kind::Number(1, 8_760),
            "24",
            "hours",
            "After how long an alert that still holds is told again.",
        ),
        first(
            "messages_per_hour_max",
            Kind::Number(1, 1_000),
            "6",
            "",
            "How many mails leave within an hour, and how often the URL is posted to. What comes meanwhile \
             waits and is told together.",
        ),
    ],
};
