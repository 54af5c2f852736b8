//! What the MTA-STS policy says of a session that the MTA held to TLSA records.
//!
//! RFC 8460 s4: a session is counted under each policy that applied to it (D7). Postfix goes by one, and
//! tells that one. Each is judged by its own rules: what matches a TLSA record may be of no public
//! authority. What kept TLS from coming up fails both; of the certificate our own look at the host tells.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{Answered, Certainty, Counted, faults, with_mx_mismatch};
use crate::{
    policy::{AppliedPolicy, StsStanding},
    record::{
        Failure, Source, Verdict,
        finding::{DomainFindings, HostFinding},
        told::{Ending, Told},
    },
};

/// The reason code of a certificate that no TLSA record matches.
const DANE_NO_MATCH: &str = "dane-no-match";

/// Whether an MTA-STS policy has something to say of a session beside the TLSA records.
#[must_use]
pub fn has_policy(answered: &Answered) -> bool {
    let sts = &answered.standing.sts;
    sts.held_to().is_some() || matches!(sts, StsStanding::Unfetched(_))
}

/// What the policy says of a session that was told under TLSA records, and that [`has_policy`]; `None`
/// where that is not known.
#[must_use]
pub fn beside_tlsa(
    told: &Told,
    answered: &Answered,
    findings: Option<&DomainFindings>,
) -> Option<Counted> {
    let counted = |verdict, source| Counted {
        policy: Arc::clone(answered.standing.applied()),
        verdict,
        source,
        certainty: Certainty::Checked,
    };
    let kept = match &answered.standing.sts {
        StsStanding::NotAnnounced => return None,
        // RFC 8460 s4.3.2.2: a policy that could not be had fails each session of the domain.
        StsStanding::Unfetched(trouble) => {
            let verdict = Verdict::Failure(vec![trouble.into()]);
            return Some(counted(verdict, Source::Policy));
        }
        StsStanding::InForce { kept, .. } => kept,
    };
    if let Ending::Failure(failures) = &told.ending
        && failures.iter().all(is_without_tls)
    {
        let failures = with_mx_mismatch(failures.clone(), answered.standing.applied());
        return Some(counted(Verdict::Failure(failures), Source::Mta));
    }
    let findings = findings?;
    let mut outcomes = Vec::new();
    for host in met(told, answered, findings) {
        outcomes.push(faults(host, kept, findings)?);
    }
    let first = outcomes.first()?.clone();
    // Several hosts may lead to one name with TLSA records.
    let alike = |faults: &Vec<Failure>| faults.is_empty() == first.is_empty();
    if !outcomes.iter().all(alike) {
        return None;
    }
    let verdict = match first.is_empty() {
        true => Verdict::Success,
        false => Verdict::Failure(first),
    };
    Some(counted(verdict, Source::Probe))
}

/// Whether TLS did not come up, which no policy is content with.
fn is_without_tls(failure: &Failure) -> bool {
    match failure.result {
        ResultType::StarttlsNotSupported => true,
        ResultType::ValidationFailure => failure.reason.as_deref() != Some(DANE_NO_MATCH),
        _ => false,
    }
}

/// The hosts that the session can have been with: that which failed, or those whose records it was held to.
fn met<'a>(told: &Told, answered: &Answered, findings: &'a DomainFindings) -> Vec<&'a HostFinding> {
    let named = match &told.ending {
        Ending::Failure(failures) => failures.iter().find_map(|failure| failure.mx.as_deref()),
        Ending::Success => None,
    };
    let leads_to = |host: &HostFinding, base: &AppliedPolicy| {
        let dane = answered
            .dane
            .as_deref()
            .and_then(|dane| dane.host(&host.host));
        match dane.and_then(|dane| dane.records()) {
            Some(records) => records.applied().policy_domain == base.policy_domain,
            None => host.host.as_str() == base.policy_domain.as_str(),
        }
    };
    let is_met = |host: &&HostFinding| match named {
        Some(mx) => host.host.as_str() == mx,
        None => leads_to(host, &told.policy),
    };
    findings.hosts.iter().filter(is_met).collect()
}
