//! What is known of a domain's policy at one moment.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{AppliedPolicy, Fingerprint, KeptPolicy, Mode, PolicyDomain};
use crate::clock::Timestamp;

/// Everything the hook needs to answer for one recipient domain. Made once when something new is
/// learned, and cheap to clone for each delivery.
// DANE is decided for each MX host and stands beside this (`hook::joint`), not within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The domain.
    pub domain: PolicyDomain,
    /// What MTA-STS says of it.
    pub sts: StsStanding,
    applied: Arc<AppliedPolicy>,
    fingerprint: Fingerprint,
}

/// What MTA-STS says of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsStanding {
    /// No valid `_mta-sts` record and no unexpired policy (RFC 8461 s3.1): as if there were no
    /// MTA-STS.
    NotAnnounced,
    /// A policy was fetched and has not expired (RFC 8461 s3.3), whatever DNS or HTTPS say now.
    InForce {
        /// The policy.
        kept: Arc<KeptPolicy>,
        /// Why the last attempt to fetch a newer one failed, if it did.
        trouble: Option<FetchTrouble>,
    },
    /// The domain announces a policy, it could not be had, and none is kept: deliver as without
    /// MTA-STS (RFC 8461 s3.3), and report it.
    Unfetched(FetchTrouble),
}

/// Why a policy could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTrouble {
    /// `sts-policy-fetch-error`, `sts-policy-invalid` or `sts-webpki-invalid`.
    pub result: ResultType,
    /// A short stable code for the report, such as `http-status-404`.
    pub reason: String,
    /// The `id` of the record that prompted the fetch.
    pub id: String,
    /// When it failed. For five minutes the same id is not fetched again (RFC 8461 s3.3).
    pub at: Timestamp,
}

impl StsStanding {
    /// The policy that sessions are held to: enforced or only reported, it is evaluated alike (D9).
    // RFC 8461 s5: mode "none" is as if there were no policy.
    // OURS: and is counted as none (D8).
    #[must_use]
    pub fn held_to(&self) -> Option<&Arc<KeptPolicy>> {
        match self {
            Self::InForce { kept, .. } => Some(kept).filter(|kept| kept.policy.mode != Mode::None),
            Self::NotAnnounced | Self::Unfetched(_) => None,
        }
    }
}

impl Standing {
    /// What is known of a domain.
    #[must_use]
    pub fn new(domain: PolicyDomain, sts: StsStanding) -> Self {
        let applied = match &sts {
            StsStanding::NotAnnounced => AppliedPolicy::no_policy_found(domain.clone()),
            StsStanding::InForce { kept, .. } => kept.policy.applied(&domain),
            StsStanding::Unfetched(_) => AppliedPolicy::sts_unfetched(domain.clone()),
        };
        Self {
            domain,
            sts,
            fingerprint: applied.fingerprint(),
            applied: Arc::new(applied),
        }
    }

    /// No policy was found for the domain, or none is to be applied.
    #[must_use]
    pub fn without_policy(domain: PolicyDomain) -> Self {
        Self::new(domain, StsStanding::NotAnnounced)
    }

    /// The policy that sessions of this domain are held to and counted under.
    #[must_use]
    pub const fn applied(&self) -> &Arc<AppliedPolicy> {
        &self.applied
    }

    /// Its short name.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

#[cfg(test)]
impl Standing {
    /// `example.org` announces a policy that could not be had: its policy host said 404 in 1970.
    pub(crate) fn unfetched_for_test() -> Self {
        let trouble = FetchTrouble {
            result: ResultType::StsPolicyFetchError,
            reason: "http-status-404".to_owned(),
            id: "1".to_owned(),
            at: Timestamp(0),
        };
        Self::new(
            "example.org".parse().unwrap(),
            StsStanding::Unfetched(trouble),
        )
    }

    /// What holds for `example.org`: a policy of this mode and these `mx`, kept since 1970.
    pub(crate) fn for_test(mode: Mode, mx: &[&str]) -> Self {
        let policy = super::StsPolicy {
            mode,
            max_age_seconds: 86_400,
            mx: mx.iter().map(|pattern| pattern.parse().unwrap()).collect(),
            lines: mx.iter().map(|pattern| format!("mx: {pattern}")).collect(),
        };
        let kept = KeptPolicy {
            policy,
            id: mx.concat().replace(['.', '*'], ""),
            fetched_at: Timestamp(0),
            tried_at: Timestamp(0),
        };
        let kept = Arc::new(kept);
        let sts = StsStanding::InForce {
            kept,
            trouble: None,
        };
        Self::new("example.org".parse().unwrap(), sts)
    }
}
