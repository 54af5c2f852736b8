//! What an MTA told of a session, held against what it was held to: the records that are counted.

use std::{net::IpAddr, sync::Arc};

use rustls::{RootCertStore, pki_types::CertificateDer};
use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::{
    Failure, SessionRecord, Source, Verdict,
    classify::{Observed, classify},
    look::established,
    protection::{Met, protection},
    under_dane::{UnderDane, under_dane},
    untrusted::{harmless, reason_code},
};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    hook::{
        decide::STS_MX_MISMATCH,
        hold::{DaneHold, Demanded},
    },
    policy::{KeptPolicy, MxHost, Standing, StsStanding},
};

/// What a session was held to.
#[derive(Clone, Copy, Debug)]
pub struct HeldTo<'a> {
    /// What MTA-STS said of the domain.
    pub standing: &'a Standing,
    /// What DANE said of the host.
    pub dane: &'a DaneHold,
    /// What was demanded of the MTA.
    pub demanded: Demanded,
    /// Who is trusted to vouch for certificates, where an MTA hands over all of them.
    pub roots: &'a RootCertStore,
}

/// Evaluates a session: one record for each policy that applied (D7), none when it was no TLS session
/// and is not counted (RFC 8460 s4.3.4).
#[must_use]
pub fn evaluate(session: &Session<'_>, held: &HeldTo<'_>, now: Timestamp) -> Vec<SessionRecord> {
    let at = session_time(session.at_unix_seconds, now);
    let host: Option<MxHost> = session.mx.and_then(|mx| mx.parse().ok());
    let Some(tls) = tls(session, held, host.as_ref(), at) else {
        return Vec::new();
    };
    let met = met(session, host.as_ref());
    let by_dane = under_dane(session, held.dane, at);
    let standing = held.standing;
    // RFC 8460 s4.4: "no-policy-found" is said where neither was found (D8).
    let sts_applies = standing.sts.held_to().is_some()
        || matches!(standing.sts, StsStanding::Unfetched(_))
        || by_dane.is_none();
    let by_sts = sts_applies.then(|| under_sts(session, standing, host.as_ref(), &tls, &met));
    let protection = protection(&Met {
        tls_is_up: tls.is_up,
        vouched_for_by_dane: by_dane
            .as_ref()
            .is_some_and(|dane| dane.vouched_for && dane.troubles.is_empty()),
        satisfies_sts: standing.sts.held_to().is_some()
            && by_sts.as_ref().is_some_and(Vec::is_empty),
        demanded: held.demanded,
    });
    let of_dane = by_dane.map(
        |UnderDane {
             policy, troubles, ..
         }| {
            let failures: Vec<Failure> = troubles
                .into_iter()
                .map(|trouble| met_with(&met, trouble))
                .collect();
            (policy, failures)
        },
    );
    let of_sts = by_sts.map(|failures| (Arc::clone(standing.applied()), failures));
    let mut protection = Some(protection);
    of_dane
        .into_iter()
        .chain(of_sts)
        .map(|(policy, failures)| SessionRecord {
            at,
            domain: standing.domain.clone(),
            policy,
            source: Source::Mta,
            verdict: if failures.is_empty() {
                Verdict::Success
            } else {
                Verdict::Failure(failures)
            },
            protection: protection.take(),
            sessions: 1,
        })
        .collect()
}

/// A result type and its reason code.
type Trouble = (ResultType, Option<String>);

/// What became of TLS, and what a policy would have against the certificate.
struct Tls {
    is_up: bool,
    troubles: Vec<Trouble>,
}

/// What became of TLS; nothing when there was no session.
fn tls(
    session: &Session<'_>,
    held: &HeldTo<'_>,
    host: Option<&MxHost>,
    at: Timestamp,
) -> Option<Tls> {
    let under_records = *held.dane != DaneHold::Nothing;
    let facts = match &session.outcome {
        Outcome::Success => {
            return Some(Tls {
                is_up: true,
                troubles: Vec::new(),
            });
        }
        Outcome::Failure { result, reason } => {
            let reason = reason.and_then(reason_code);
            // RFC 7672 s2.2: what only the records are to blame for leaves TLS up.
            let is_up = under_records && *result == ResultType::TlsaInvalid;
            // RFC 8460 s4.3.2: the MTA says the policy failed; that is a failure whatever TLS did.
            let troubles = match is_up {
                true => Vec::new(),
                false => vec![(*result, reason)],
            };
            return Some(Tls { is_up, troubles });
        }
        Outcome::Facts(facts) => facts,
        _ => return None,
    };
    let observed = match own_check(facts, held, host, at) {
        Some(observed) => observed,
        // Under TLSA records the MTA's check was of those.
        None if under_records => {
            let mut facts = *facts;
            facts.starttls = under_way(&facts);
            facts.verification = Verification::Unknown;
            classify(&facts, host, at)
        }
        None => classify(facts, host, at),
    };
    match observed {
        Observed::NoSession => None,
        Observed::Established { troubles } => Some(Tls {
            is_up: true,
            troubles: owned(troubles),
        }),
        Observed::Failed(troubles) => Some(Tls {
            is_up: false,
            troubles: owned(troubles),
        }),
    }
}

/// What our own check of the whole chain says, where the MTA handed it over and did not check it for the
/// policy itself.
fn own_check(
    facts: &Facts<'_>,
    held: &HeldTo<'_>,
    host: Option<&MxHost>,
    at: Timestamp,
) -> Option<Observed> {
    let (leaf, others) = (facts.leaf_der?, facts.chain_der?);
    let unchecked = facts.verification == Verification::Unknown || *held.dane != DaneHold::Nothing;
    if !unchecked || held.standing.sts.held_to().is_none() {
        return None;
    }
    let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf)
        .chain(others.iter().copied())
        .map(CertificateDer::from)
        .collect();
    let observed = established(&chain, host?, held.roots, at);
    let Observed::Established { troubles } = &observed else {
        return None;
    };
    match (facts.starttls, troubles.is_empty()) {
        (StartTls::Established, _) => Some(observed),
        (StartTls::NotOffered | StartTls::Refused, _) => None,
        // The policy had nothing against it: who broke off went by the TLSA records.
        (_, true) if facts.dane == Verification::Failed => Some(observed),
        (_, true) => None,
        (_, false) => Some(Observed::Failed(troubles.clone())),
    }
}

/// How far STARTTLS went, also where only the check's answer says so.
fn under_way(facts: &Facts<'_>) -> StartTls {
    let passed = facts.dane == Verification::Passed || facts.verification == Verification::Passed;
    match facts.starttls {
        StartTls::Unknown if passed => StartTls::Established,
        known => known,
    }
}

/// How a session fails by what MTA-STS says of the domain.
fn under_sts(
    session: &Session<'_>,
    standing: &Standing,
    host: Option<&MxHost>,
    tls: &Tls,
    met: &Failure,
) -> Vec<Failure> {
    let held_to = standing.sts.held_to();
    // RFC 8460 s4.2.1: without a policy that was had, a session succeeds when TLS is up, whatever
    // the certificate.
    let mut failures: Vec<Failure> = if held_to.is_none() && tls.is_up {
        Vec::new()
    } else {
        tls.troubles
            .iter()
            .map(|trouble| met_with(met, trouble.clone()))
            .collect()
    };
    // RFC 8461 s4.1: a good certificate does not make a wrong MX right. Modes "enforce" and
    // "testing" are evaluated alike (D9).
    let listed = |kept: &KeptPolicy| {
        session.mx.is_none() || host.is_some_and(|host| kept.policy.allows(host))
    };
    if held_to.is_some_and(|kept| !listed(kept)) {
        // OURS: Postfix looks for the policy's names in the certificate, not for the host's. That they
        // are not there is the same failure; of the certificate itself nothing is known.
        if !leaf_is_known(&session.outcome) {
            failures.retain(|failure| failure.result != ResultType::CertificateHostMismatch);
        }
        let mismatch = Some(STS_MX_MISMATCH.to_owned());
        let mismatch = met_with(met, (ResultType::ValidationFailure, mismatch));
        // The MTA may have said so itself.
        if !failures.contains(&mismatch) {
            failures.push(mismatch);
        }
    }
    if let StsStanding::Unfetched(trouble) = &standing.sts {
        failures.push(trouble.into());
    }
    failures
}

/// A trouble that was met with this host.
fn met_with(met: &Failure, (result, reason): Trouble) -> Failure {
    Failure {
        result,
        reason,
        ..met.clone()
    }
}

const fn leaf_is_known(outcome: &Outcome<'_>) -> bool {
    matches!(outcome, Outcome::Facts(facts) if facts.leaf_der.is_some())
}

fn owned(troubles: Vec<(ResultType, Option<&'static str>)>) -> Vec<Trouble> {
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

/// The one record of a session of a domain without TLSA records.
#[cfg(test)]
pub(crate) fn evaluate_without_dane(
    session: &Session<'_>,
    standing: &Standing,
    now: Timestamp,
) -> Option<SessionRecord> {
    let held = HeldTo {
        standing,
        dane: &DaneHold::Nothing,
        demanded: Demanded::Nothing,
        roots: &RootCertStore::empty(),
    };
    let mut records = evaluate(session, &held, now);
    assert!(records.len() < 2, "{records:?}");
    records.pop()
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::{Facts, StartTls, Verification};

    use super::*;
    use crate::policy::Mode;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn sts(mode: Mode) -> Standing {
        Standing::for_test(mode, &["*.mail.example.org"])
    }

    fn none() -> Standing {
        Standing::without_policy("example.org".parse().unwrap())
    }

    fn check(standing: &Standing, mx: &str, outcome: Outcome<'_>, expected: &[&str]) {
        let session = Session::new("example.org", outcome).with_mx(mx);
        let record = evaluate_without_dane(&session, standing, NOW).unwrap();
        assert_eq!(&record.policy, standing.applied());
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
        assert_eq!(found, expected, "{standing:?} {session:?}");
    }

    #[test]
    fn d1_d8_d9_d12_what_counts_as_success() {
        let up = |verification| {
            Outcome::Facts(Facts::new(StartTls::Established).with_verification(verification))
        };
        let (good, bad) = (up(Verification::Passed), up(Verification::Failed));
        let clear = Outcome::Facts(Facts::new(StartTls::NotOffered));
        let (listed, unlisted) = ("mx1.mail.example.org", "mx.elsewhere.example");
        for mode in [Mode::Enforce, Mode::Testing] {
            let sts = sts(mode);
            check(&sts, listed, good, &[]);
            check(&sts, listed, Outcome::Success, &[]);
            check(&sts, listed, bad, &["certificate-not-trusted"]);
            check(&sts, listed, clear, &["starttls-not-supported"]);
            check(&sts, unlisted, good, &["validation-failure"]);
            check(&sts, unlisted, Outcome::Success, &["validation-failure"]);
            check(
                &sts,
                unlisted,
                clear,
                &["starttls-not-supported", "validation-failure"],
            );
        }
        for without in [none(), sts(Mode::None)] {
            check(&without, unlisted, good, &[]);
            check(&without, unlisted, bad, &[]);
            check(&without, unlisted, clear, &["starttls-not-supported"]);
        }
        let (unfetched, error) = (Standing::unfetched_for_test(), "sts-policy-fetch-error");
        check(&unfetched, listed, good, &[error]);
        check(&unfetched, listed, bad, &[error]);
        check(
            &unfetched,
            listed,
            clear,
            &["starttls-not-supported", error],
        );
    }

    #[test]
    fn d1_a_host_that_is_not_listed_fails_once_for_that() {
        let words = |words| {
            let facts = Facts::new(StartTls::Established).with_verification(Verification::Failed);
            Outcome::Facts(facts.with_error(words))
        };
        let (listed, unlisted) = ("mx1.mail.example.org", "mx.elsewhere.example");
        let wrong_name = words("num=62:hostname mismatch");
        let sts = sts(Mode::Enforce);
        check(&sts, listed, wrong_name, &["certificate-host-mismatch"]);
        check(&sts, unlisted, wrong_name, &["validation-failure"]);
        let expired = words("certificate has expired");
        let both = ["certificate-expired", "validation-failure"];
        check(&sts, unlisted, expired, &both);
        let told = Outcome::Failure {
            result: ResultType::ValidationFailure,
            reason: Some(STS_MX_MISMATCH),
        };
        check(&sts, unlisted, told, &["validation-failure"]);
    }

    #[test]
    fn d4_a_connection_without_tls_trouble_is_no_session() {
        let facts = Facts::default().with_error("Connection timed out");
        let session = Session::new("example.org", Outcome::Facts(facts));
        assert_eq!(evaluate_without_dane(&session, &none(), NOW), None);
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
        let outcome = Outcome::Failure {
            result: ResultType::ValidationFailure,
            reason: Some("broken\r\nX: y"),
        };
        let mut session = Session::new("example.org", outcome).with_mx("mx\u{1b}[1m");
        session.mx_helo = Some("mx\r\nBcc: x");
        let record = evaluate_without_dane(&session, &none(), NOW).unwrap();
        let Verdict::Failure(failures) = record.verdict else {
            panic!()
        };
        assert_eq!(failures[0].mx.as_deref(), Some("mx[1m"));
        assert_eq!(failures[0].mx_helo.as_deref(), Some("mxBcc: x"));
        assert_eq!(failures[0].reason.as_deref(), Some("broken-X:-y"));
    }
}
