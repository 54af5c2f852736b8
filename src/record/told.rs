//! What an MTA tells of sessions together with the policy it says they were held to.
//!
//! Postfix does so through libtlsrpt: one datagram for one session, with the policy's own lines, and
//! no name for the answer it went by. What it tells is not all of the truth
//! (`docs/decisions/0010-postfix.md`); the engine holds it against what it knows itself.

use std::sync::Arc;

use super::Failure;
use crate::policy::{AppliedPolicy, Fingerprint, PolicyDomain};

/// What is told of one policy in one session, normalised: names are lower case A-labels, TLSA records
/// sorted, result types those of RFC 8460 s4.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// The domain whose report it enters: the recipient domain, or the smart host's domain.
    pub domain: PolicyDomain,
    /// The policy as the MTA names it. `no-policy-found` says only that the MTA applied none.
    pub policy: Arc<AppliedPolicy>,
    /// That policy's short name, made once.
    pub fingerprint: Fingerprint,
    /// How it went.
    pub ending: Ending,
}

/// How a told session ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// TLS was up, and what the MTA's own level demands was met. At an opportunistic level that says
    /// nothing of the certificate.
    Success,
    /// It failed in these ways; never empty.
    Failure(Vec<Failure>),
}

impl Told {
    /// What was told, with the policy's short name.
    #[must_use]
    pub fn new(domain: PolicyDomain, policy: AppliedPolicy, ending: Ending) -> Self {
        Self {
            domain,
            fingerprint: policy.fingerprint(),
            policy: Arc::new(policy),
            ending,
        }
    }
}
