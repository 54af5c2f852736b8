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

#[cfg(test)]
impl Told {
    /// Of `example.org`: a session under what is named `none`, `tlsa`, or MX patterns of a policy. It
    /// went well, or failed as told: `certificate-expired - mx1.example.org`.
    pub(crate) fn for_test(policy: &str, ending: &str) -> Self {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let policy = match policy {
            "none" => AppliedPolicy::no_policy_found(domain.clone()),
            "tlsa" => AppliedPolicy {
                policy_type: crate::policy::PolicyType::Tlsa,
                policy_domain: "mx1.example.org".parse().unwrap(),
                policy_string: vec!["3 1 1 00ff".to_owned()],
                mx_host: vec![],
            },
            patterns => {
                let mx: Vec<&str> = patterns.split(' ').collect();
                let mode = crate::policy::Mode::Enforce;
                let standing = crate::policy::Standing::for_test(mode, &mx);
                standing.applied().as_ref().clone()
            }
        };
        let failure = |words: &str| {
            let words: Vec<Option<&str>> = words
                .split(' ')
                .map(|word| (word != "-").then_some(word))
                .collect();
            Failure {
                mx: words[2].map(str::to_owned),
                reason: words[1].map(str::to_owned),
                ..Failure::of_policy(words[0].unwrap().parse().unwrap(), "")
            }
        };
        let ending = match ending {
            "success" => Ending::Success,
            failures => Ending::Failure(failures.split(", ").map(failure).collect()),
        };
        Self::new(domain, policy, ending)
    }
}
