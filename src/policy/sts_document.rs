//! The policy document `mta-sts.txt` (RFC 8461 s3.2).

use super::{AppliedPolicy, MxPattern, PolicyDomain, PolicyType};
use crate::clock::Timestamp;

/// What a policy asks to be done (RFC 8461 s5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Deliver only to MX hosts that satisfy the policy.
    Enforce,
    /// Deliver as if there were no policy, evaluate and report as if it were enforced.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    /// The word in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A valid policy. There is no way to hold an invalid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    /// What it asks to be done.
    pub mode: Mode,
    /// How long it may be kept, in seconds, at most [`MAX_AGE_SECONDS_MAX`].
    pub max_age_seconds: u32,
    /// Which MX host names it allows. Empty only where `mode` is `none`.
    pub mx: Vec<MxPattern>,
    /// Its lines as published, without line ends: a report repeats them (RFC 8460 s4.4).
    pub lines: Vec<String>,
}

/// RFC 8461 s3.2: "max_age" is at most 31557600 seconds, about one year.
pub const MAX_AGE_SECONDS_MAX: u32 = 31_557_600;

impl StsPolicy {
    /// The policy as a report names it. Mode `none` counts as no policy (D8).
    #[must_use]
    pub fn applied(&self, domain: &PolicyDomain) -> AppliedPolicy {
        if self.mode == Mode::None {
            return AppliedPolicy::no_policy_found(domain.clone());
        }
        AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain.clone(),
            policy_string: self.lines.clone(),
            mx_host: self.mx.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A policy with what must be known to keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The policy.
    pub policy: StsPolicy,
    /// The `id` of the TXT record that was read **before** the document was fetched (B33).
    pub id: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// When a fetch last confirmed it or last failed to; the daily refresh counts from here.
    pub tried_at: Timestamp,
}

impl KeptPolicy {
    /// The moment from which it no longer holds (RFC 8461 s3.3).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.fetched_at
            .plus_seconds(i64::from(self.policy.max_age_seconds))
    }
}
