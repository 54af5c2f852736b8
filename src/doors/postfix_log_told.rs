//! From a session of the log to what the hook is told.

use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::postfix_log_sessions::{How, LogSession};
use crate::{
    config::PostfixLogTake,
    hook::{AsyncHook, decide::STS_MX_MISMATCH},
    policy::{AppliedPolicy, PolicyDomain, PolicyType},
    record::{
        Failure,
        told::{Ending, Told},
    },
};

/// The reason code of a session in the clear of which the log does not say whether TLS was offered.
pub const IN_THE_CLEAR: &str = "in-the-clear";

/// The reason code of a mail host that was passed over for its TLSA records.
pub const TLSA_LOOKUP_FAILED: &str = "tlsa-lookup-failed";

/// The reason code of a certificate that no TLSA record matches.
pub const DANE_NO_MATCH: &str = "dane-no-match";

/// Whether a session that went like this is to be told: all are, or those only that Postfix does not
/// tell through libtlsrpt.
#[must_use]
pub const fn is_wanted(how: &How, take: PostfixLogTake) -> bool {
    match (take, how) {
        (PostfixLogTake::All, _) => true,
        // RFC 8460 s4.3: Postfix 3.10 counts a handshake and what TLS is demanded and missing; no more.
        (
            PostfixLogTake::Silent,
            How::InTheClear | How::NotListed | How::TlsaLookupFailed | How::LostInStartTls,
        ) => true,
        (PostfixLogTake::Silent, _) => false,
    }
}

/// Tells the hook of a session.
pub fn tell(hook: &dyn AsyncHook, session: &LogSession) {
    // What failed by a mail host's TLSA records did not fail by the domain's own policy.
    let of_tlsa = match &session.how {
        How::TlsaLookupFailed => Some((ResultType::DnssecInvalid, TLSA_LOOKUP_FAILED)),
        // OpenSSL's "no matching DANE TLSA records".
        How::NotVerified(words) if words.contains("DANE TLSA") => {
            Some((ResultType::ValidationFailure, DANE_NO_MATCH))
        }
        _ => None,
    };
    if let Some((result, reason)) = of_tlsa {
        if let Some(told) = told_of_tlsa(session, result, reason) {
            hook.told(&told, 1);
        }
        return;
    }
    let mut told = Session::new(&session.domain, outcome(&session.how));
    told.mx = session.mx.as_deref();
    told.receiving_ip = session.receiving_ip;
    told.at_unix_seconds = Some(session.at.0);
    hook.session(&told);
}

fn outcome(how: &How) -> Outcome<'_> {
    let failure = |result, reason| Outcome::Failure {
        result,
        reason: Some(reason),
    };
    let established = Facts::new(StartTls::Established);
    let handshake_failed = Facts::new(StartTls::HandshakeFailed);
    match how {
        How::Verified => Outcome::Success,
        How::Established => Outcome::Facts(established),
        How::Untrusted => Outcome::Facts(established.with_verification(Verification::Failed)),
        How::NotVerified(words) => Outcome::Facts(with_words(
            established.with_verification(Verification::Failed),
            words,
        )),
        How::HandshakeFailed(words) => Outcome::Facts(with_words(handshake_failed, words)),
        How::LostInStartTls => Outcome::Facts(handshake_failed),
        How::NotOffered => Outcome::Facts(Facts::new(StartTls::NotOffered)),
        How::Refused => Outcome::Facts(Facts::new(StartTls::Refused)),
        How::InTheClear => failure(ResultType::StarttlsNotSupported, IN_THE_CLEAR),
        How::NotListed => failure(ResultType::ValidationFailure, STS_MX_MISMATCH),
        How::TlsaLookupFailed => failure(ResultType::DnssecInvalid, TLSA_LOOKUP_FAILED),
    }
}

fn with_words<'a>(facts: Facts<'a>, words: &'a str) -> Facts<'a> {
    if words.is_empty() {
        facts
    } else {
        facts.with_error(words)
    }
}

/// A session under the TLSA records of its mail host, which the log does not have; `None` where a name
/// of the log is no name.
// RFC 8460 s1.1: the policy domain of TLSA records is the TLSA base domain, here the MX host's name.
fn told_of_tlsa(session: &LogSession, result: ResultType, reason: &str) -> Option<Told> {
    let domain: PolicyDomain = session.domain.parse().ok()?;
    let base: PolicyDomain = session.mx.as_ref()?.parse().ok()?;
    let failure = Failure {
        mx: Some(base.to_string()),
        receiving_ip: session.receiving_ip,
        ..Failure::of_policy(result, reason)
    };
    let policy = AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_domain: base,
        policy_string: Vec::new(),
        mx_host: Vec::new(),
    };
    Some(Told::new(domain, policy, Ending::Failure(vec![failure])))
}

#[cfg(test)]
mod tests;
