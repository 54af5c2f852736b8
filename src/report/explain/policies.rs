//! What a policy makes of a failure, and what to do where nothing failed.

use super::DOMAIN;
use crate::policy::{AppliedPolicy, PolicyType};

/// What a session was held to, as far as a reader minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstance {
    /// TLSA records of which one may be matched.
    TlsaRecords,
    /// TLSA records that could not be had, or of which none can be used.
    NoUsableTlsaRecords,
    /// An MTA-STS policy in mode `enforce`.
    Enforce,
    /// An MTA-STS policy in mode `testing`.
    Testing,
    /// An MTA-STS policy in mode `none`, or told without its mode.
    OtherMode,
    /// An MTA-STS policy that is announced and could not be had.
    NotHad,
    /// Neither a policy nor TLSA records.
    NoPolicyFound,
}

/// What is said of a circumstance. Plain ASCII sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyWords {
    /// A heading; [`DOMAIN`] stands for the policy domain.
    pub title: &'static str,
    /// What a failure does to the mail; may be empty.
    pub effect: &'static str,
    /// What to do where no session failed; may be empty.
    pub all_well: &'static str,
}

impl Circumstance {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::TlsaRecords,
        Self::NoUsableTlsaRecords,
        Self::Enforce,
        Self::Testing,
        Self::OtherMode,
        Self::NotHad,
        Self::NoPolicyFound,
    ];

    /// That of a policy.
    #[must_use]
    pub fn of(policy: &AppliedPolicy) -> Self {
        match policy.policy_type {
            // RFC 7672 s3.1: of the usages only 2 and 3 count for mail.
            PolicyType::Tlsa
                if policy
                    .policy_string
                    .iter()
                    .any(|record| record.starts_with(['2', '3'])) =>
            {
                Self::TlsaRecords
            }
            PolicyType::Tlsa => Self::NoUsableTlsaRecords,
            PolicyType::NoPolicyFound => Self::NoPolicyFound,
            PolicyType::Sts => match mode(policy) {
                Some("enforce") => Self::Enforce,
                Some("testing") => Self::Testing,
                Some(_) => Self::OtherMode,
                None => Self::NotHad,
            },
        }
    }

    /// The word by which `sealpost explain` finds it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsaRecords => "tlsa",
            Self::NoUsableTlsaRecords => "tlsa-unusable",
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::OtherMode => "sts",
            Self::NotHad => "sts-not-fetched",
            Self::NoPolicyFound => "no-policy-found",
        }
    }

    /// What is said of it.
    #[must_use]
    pub const fn words(self) -> PolicyWords {
        match self {
            Self::TlsaRecords => PolicyWords {
                title: "DANE: the TLSA records of DOMAIN",
                effect: "They ask that no mail goes to a host that fails them.",
                all_well: "Nothing is to be done. When the certificate is to change, publish the record \
                           of the new one before.",
            },
            Self::NoUsableTlsaRecords => PolicyWords {
                title: "DANE: the TLSA records of DOMAIN",
                // Records that mean nothing in mail stop none; the failure says so.
                effect: "",
                all_well: "",
            },
            Self::Enforce => PolicyWords {
                title: "MTA-STS policy, mode enforce",
                effect: "It asks that no mail goes to a host that fails it.",
                all_well: "Nothing is to be done.",
            },
            Self::Testing => PolicyWords {
                title: "MTA-STS policy, mode testing",
                effect: "Mail is delivered even to a host that fails it. With mode enforce it would \
                         not be.",
                all_well: "No mail would have been held up by mode enforce. When that is so in the \
                           reports of all senders for some weeks, change the mode to enforce and the id \
                           in the _mta-sts record: only then does the policy protect mail.",
            },
            Self::OtherMode => PolicyWords {
                title: "MTA-STS policy",
                effect: "",
                all_well: "",
            },
            Self::NotHad => PolicyWords {
                title: "MTA-STS policy, announced but not to be had",
                effect: "Mail is delivered as if there were no policy.",
                all_well: "",
            },
            Self::NoPolicyFound => PolicyWords {
                title: "No policy was found",
                effect: "Without MTA-STS or DANE, mail is delivered even where TLS fails, readable on \
                         its way.",
                all_well: "TLS was used, and an attacker on the way could have switched it off unseen. \
                           An MTA-STS policy (RFC 8461) or TLSA records (RFC 7672) prevent that.",
            },
        }
    }

    /// Its heading for one policy.
    #[must_use]
    pub fn title(self, policy: &AppliedPolicy) -> String {
        let title = self.words().title;
        title.replace(DOMAIN, policy.policy_domain.as_str())
    }
}

/// The mode that a policy's own lines declare; the first `mode:` counts (RFC 8461 s3.2).
fn mode(policy: &AppliedPolicy) -> Option<&str> {
    policy
        .policy_string
        .iter()
        .find_map(|line| line.strip_prefix("mode:"))
        .map(str::trim)
        .or_else(|| policy.policy_string.first().map(|_| ""))
}
