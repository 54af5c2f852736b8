//! What an MTA told of a session, held against the policy: the record that is counted.

use std::{net::IpAddr, sync::Arc};

use sealpost_plugin_api::{Outcome, ResultType, Session};

use super::{
    Failure, SessionRecord, Source, Verdict,
    classify::{Observed, classify},
    untrusted::{harmless, reason_code},
};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    hook::decide::STS_MX_MISMATCH,
    policy::{AppliedPolicy, Mode, MxHost, MxPattern, PolicyDomain, Standing, StsStanding},
};

/// The policy that a session is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTo {
    /// As the report names it.
    pub applied: Arc<AppliedPolicy>,
    /// What it demands.
    pub demand: Demand,
}

/// What a policy demands of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// TLS, with any certificate: no policy was found (D8).
    Tls,
    /// MTA-STS in mode `enforce` or `testing`; both are evaluated alike (D9).
    Sts(Vec<MxPattern>),
    /// An announced policy that could not be had: every session of the domain fails in this way
    /// besides what else may fail (D12).
    Unfetched {
        /// `sts-policy-fetch-error`, `sts-policy-invalid` or `sts-webpki-invalid`.
        result: ResultType,
        /// The reason code of the fetch.
        reason: String,
    },
}

impl HeldTo {
    /// No policy was found for the domain.
    #[must_use]
    pub fn no_policy(domain: &PolicyDomain) -> Self {
        let applied = AppliedPolicy::no_policy_found(domain.clone());
        Self {
            applied: Arc::new(applied),
            demand: Demand::Tls,
        }
    }
}

impl From<&Standing> for HeldTo {
    fn from(standing: &Standing) -> Self {
        let demand = match &standing.sts {
            StsStanding::InForce { kept, .. } if kept.policy.mode != Mode::None => {
                Demand::Sts(kept.policy.mx.clone())
            }
            // OURS: mode "none" is counted as no policy (D8).
            StsStanding::InForce { .. } | StsStanding::NotAnnounced => Demand::Tls,
            StsStanding::Unfetched(trouble) => Demand::Unfetched {
                result: trouble.result,
                reason: trouble.reason.clone(),
            },
        };
        Self {
            applied: Arc::new(standing.applied()),
            demand,
        }
    }
}

/// Evaluates a session; `None` when it was no TLS session and is not counted (RFC 8460 s4.3.4).
#[must_use]
pub fn evaluate(
    domain: &PolicyDomain,
    session: &Session<'_>,
    held_to: &HeldTo,
    now: Timestamp,
) -> Option<SessionRecord> {
    let at = session_time(session.at_unix_seconds, now);
    let host: Option<MxHost> = session.mx.and_then(|mx| mx.parse().ok());
    let (established, troubles) = match session.outcome {
        Outcome::Success => (true, Vec::new()),
        // RFC 8460 s4.3.2: the MTA says the policy failed; that is a failure whatever TLS did.
        Outcome::Failure { result, reason } => {
            (false, vec![(result, reason.and_then(reason_code))])
        }
        Outcome::Facts(facts) => match classify(&facts, host.as_ref(), at) {
            Observed::NoSession => return None,
            Observed::Established { troubles } => (true, owned(troubles)),
            Observed::Failed(troubles) => (false, owned(troubles)),
        },
        _ => return None,
    };
    let met = met(session, host.as_ref());
    let of_session = |(result, reason): (ResultType, Option<String>)| Failure {
        result,
        reason,
        ..met.clone()
    };
    let mut failures: Vec<Failure> = match &held_to.demand {
        // RFC 8460 s4.2.1: without a policy a session succeeds when TLS is up.
        Demand::Tls | Demand::Unfetched { .. } if established => Vec::new(),
        _ => troubles.into_iter().map(of_session).collect(),
    };
    match &held_to.demand {
        Demand::Tls => {}
        Demand::Sts(patterns) => {
            // RFC 8461 s4.1: a good certificate does not make a wrong MX right.
            let listed = session.mx.is_none()
                || host.is_some_and(|host| patterns.iter().any(|pattern| pattern.matches(&host)));
            if !listed {
                let mismatch = Some(STS_MX_MISMATCH.to_owned());
                failures.push(of_session((ResultType::ValidationFailure, mismatch)));
            }
        }
        Demand::Unfetched { result, reason } => {
            failures.push(Failure::of_policy(*result, reason.clone()));
        }
    }
    let verdict = if failures.is_empty() {
        Verdict::Success
    } else {
        Verdict::Failure(failures)
    };
    Some(SessionRecord {
        at,
        domain: domain.clone(),
        policy: Arc::clone(&held_to.applied),
        source: Source::Mta,
        verdict,
    })
}

fn owned(troubles: Vec<(ResultType, Option<&'static str>)>) -> Vec<(ResultType, Option<String>)> {
    troubles
        .into_iter()
        .map(|(result, reason)| (result, reason.map(str::to_owned)))
        .collect()
}

/// Whom the session was with; the result is filled in for each failure.
fn met(session: &Session<'_>, host: Option<&MxHost>) -> Failure {
    let plain = |address: Option<IpAddr>| address.map(|address| address.to_canonical());
    Failure {
        result: ResultType::ValidationFailure,
        mx: host.map_or_else(
            || session.mx.and_then(harmless),
            |host| Some(host.to_string()),
        ),
        mx_helo: session.mx_helo.and_then(harmless),
        receiving_ip: plain(session.receiving_ip),
        sending_ip: plain(session.sending_ip),
        reason: None,
    }
}

/// When the session ended. An MTA may tell late, but not of another age: outside the last two days
/// and the next five minutes its clock or the caller is wrong, and ours holds.
fn session_time(told: Option<i64>, now: Timestamp) -> Timestamp {
    let told = told.map(Timestamp);
    let age = told.map_or(0, |at| now.seconds_since(at));
    told.filter(|_| (-300..=2 * SECONDS_PER_DAY).contains(&age))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::{Facts, StartTls, Verification};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn sts() -> Demand {
        Demand::Sts(vec![MxPattern {
            wildcard: true,
            name: "mail.example.org".parse().unwrap(),
        }])
    }

    fn unfetched() -> Demand {
        let reason = "http-status-404".to_owned();
        Demand::Unfetched {
            result: ResultType::StsPolicyFetchError,
            reason,
        }
    }

    fn check(demand: Demand, mx: &str, outcome: Outcome<'_>, expected: &[&str]) {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let held_to = HeldTo {
            demand,
            ..HeldTo::no_policy(&domain)
        };
        let session = Session::new("example.org", outcome).with_mx(mx);
        let record = evaluate(&domain, &session, &held_to, NOW).unwrap();
        let found: Vec<String> = match record.verdict {
            Verdict::Success => Vec::new(),
            Verdict::Failure(failures) => {
                let show = |failure: &Failure| {
                    assert_eq!(failure.mx.is_none(), failure.result.concerns_policy());
                    failure.result.to_string()
                };
                failures.iter().map(show).collect()
            }
            Verdict::Note(_) => panic!("a session is not a note"),
        };
        assert_eq!(found, expected, "{held_to:?} {session:?}");
    }

    #[test]
    fn d1_d8_d9_d12_what_counts_as_success() {
        let up = |verification| {
            Outcome::Facts(Facts::new(StartTls::Established).with_verification(verification))
        };
        let (good, bad) = (up(Verification::Passed), up(Verification::Failed));
        let clear = Outcome::Facts(Facts::new(StartTls::NotOffered));
        let (listed, unlisted) = ("mx1.mail.example.org", "mx.elsewhere.example");
        check(sts(), listed, good, &[]);
        check(sts(), listed, Outcome::Success, &[]);
        check(sts(), listed, bad, &["certificate-not-trusted"]);
        check(sts(), listed, clear, &["starttls-not-supported"]);
        check(sts(), unlisted, good, &["validation-failure"]);
        check(sts(), unlisted, Outcome::Success, &["validation-failure"]);
        check(
            sts(),
            unlisted,
            clear,
            &["starttls-not-supported", "validation-failure"],
        );
        check(Demand::Tls, unlisted, good, &[]);
        check(Demand::Tls, unlisted, bad, &[]);
        check(Demand::Tls, unlisted, clear, &["starttls-not-supported"]);
        check(unfetched(), listed, good, &["sts-policy-fetch-error"]);
        check(
            unfetched(),
            listed,
            clear,
            &["starttls-not-supported", "sts-policy-fetch-error"],
        );
    }

    #[test]
    fn d4_a_connection_without_tls_trouble_is_no_session() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let facts = Facts::default().with_error("Connection timed out");
        let session = Session::new("example.org", Outcome::Facts(facts));
        assert_eq!(
            evaluate(&domain, &session, &HeldTo::no_policy(&domain), NOW),
            None
        );
    }

    #[test]
    fn e2_a_session_is_counted_when_it_ended_unless_that_cannot_be() {
        for (told, expected) in [
            (None, NOW.0),
            (Some(NOW.0 - 3_600), NOW.0 - 3_600),
            (Some(NOW.0 - 3 * SECONDS_PER_DAY), NOW.0),
            (Some(NOW.0 + 3_600), NOW.0),
            (Some(i64::MIN), NOW.0),
            (Some(i64::MAX), NOW.0),
        ] {
            assert_eq!(session_time(told, NOW), Timestamp(expected), "{told:?}");
        }
    }

    #[test]
    fn g3_what_the_peer_chose_is_made_harmless() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let outcome = Outcome::Failure {
            result: ResultType::ValidationFailure,
            reason: Some("broken\r\nX: y"),
        };
        let mut session = Session::new("example.org", outcome).with_mx("mx\u{1b}[1m");
        session.mx_helo = Some("mx\r\nBcc: x");
        let record = evaluate(&domain, &session, &HeldTo::no_policy(&domain), NOW).unwrap();
        let Verdict::Failure(failures) = record.verdict else {
            panic!()
        };
        assert_eq!(failures[0].mx.as_deref(), Some("mx[1m"));
        assert_eq!(failures[0].mx_helo.as_deref(), Some("mxBcc: x"));
        assert_eq!(failures[0].reason.as_deref(), Some("broken-X:-y"));
    }
}
