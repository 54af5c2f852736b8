//! What an MTA told of a session, held against what it was held to: the records that are counted.

use std::{net::IpAddr, sync::Arc};

use rustls::{RootCertStore, pki_types::CertificateDer};
use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::{
    Certainty, Failure, SessionRecord, Source, Verdict,
    classify::{self, HANDSHAKE_FAILED, NOT_TRUSTED, Observed, classify, concerns_certificate},
    look::established,
    protection::{Met, Protection, protection},
    under_dane::{UnderDane, concerns_dane, step, under_dane},
    untrusted::{harmless, reason_code},
};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    hook::{
        decide::STS_MX_MISMATCH,
        hold::{DaneHold, Demanded},
    },
    policy::{
        AppliedPolicy, KeptPolicy, MxHost, PolicyDomain, PolicyType, Standing, StsStanding,
        dane::verdict::NO_MATCH,
    },
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

/// What a session comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// One record for each policy that applied (D7) and under which it is known how the session went. None
    /// when it was no TLS session and is not counted (RFC 8460 s4.3.4).
    pub records: Vec<SessionRecord>,
    /// Whether a policy applied of which that is not known.
    pub certainty: Certainty,
}

impl Evaluated {
    /// It is not counted.
    const NOTHING: Self = Self {
        records: Vec::new(),
        certainty: Certainty::Checked,
    };
}

/// Evaluates a session.
#[must_use]
pub fn evaluate(session: &Session<'_>, held: &HeldTo<'_>, now: Timestamp) -> Evaluated {
    let at = session_time(session.at_unix_seconds, now);
    let host: Option<MxHost> = session.mx.and_then(|mx| mx.parse().ok());
    let standing = held.standing;
    let passed_over = was_passed_over(session);
    // OURS: an answer for several hosts leaves out those on which DANE decides, which the policy lists.
    // There was no session, and it is nobody's failure.
    if passed_over && *held.dane != DaneHold::Nothing && lists(standing, host.as_ref()) {
        return Evaluated::NOTHING;
    }
    let by_dane = match passed_over {
        true => None,
        false => under_dane(session, held.dane, held.demanded, at),
    };
    let Some(tls) = tls(session, held, by_dane.as_ref(), host.as_ref(), at) else {
        return Evaluated::NOTHING;
    };
    let met = met(session, host.as_ref());
    let sts_applies = match (&by_dane, tls.step) {
        (None, _) => true,
        // What DANE forbade nobody tried, and under the policy there was no session.
        (Some(_), Step::NotTried) => false,
        // RFC 8460 s4.4: "no-policy-found" is said where neither was found (D8).
        _ => standing.applied().policy_type == PolicyType::Sts,
    };
    let by_sts = sts_applies.then(|| under_sts(session, standing, host.as_ref(), &tls, &met));
    let checked = tls.checked || held.demanded == Demanded::Sts;
    let is_content = by_sts.as_ref().is_some_and(Vec::is_empty);
    let holds = standing.sts.held_to().is_some();
    let protection = protection(&Met {
        tls_is_up: tls.step == Step::Up,
        vouched_for_by_dane: by_dane.as_ref().is_some_and(|dane| dane.vouched_for),
        satisfies_sts: checked && holds && is_content,
        demanded: held.demanded,
    });
    // OURS: that nobody checked what a policy asks is no success under it.
    let is_held_to_it = held.demanded == Demanded::Sts && !tls.is_told;
    let sts_is_known = tls.checked || is_held_to_it || !holds || !is_content;
    let of_sts = by_sts.map(|failures| UnderPolicy {
        policy: Arc::clone(standing.applied()),
        failures,
        is_known: sts_is_known,
    });
    let of_dane = by_dane.map(|dane| UnderPolicy::of_dane(dane, &met));
    let (mut known, unknown): (Vec<_>, Vec<_>) = of_dane
        .into_iter()
        .chain(of_sts)
        .partition(|under| under.is_known);
    // As what Postfix tells without having checked it (docs/decisions/0010-postfix.md): whether TLS was up
    // is all there is to say.
    if known.is_empty() {
        let without = Standing::without_policy(standing.domain.clone());
        known.push(UnderPolicy {
            policy: Arc::clone(without.applied()),
            failures: under_sts(session, &without, host.as_ref(), &tls, &met),
            is_known: true,
        });
    }
    let certainty = match unknown.is_empty() {
        true => Certainty::Checked,
        false => Certainty::Unchecked,
    };
    let mut protection = Some(protection);
    let record = |under: UnderPolicy| under.record(&standing.domain, at, protection.take());
    Evaluated {
        records: known.into_iter().map(record).collect(),
        certainty,
    }
}

/// What a session comes to under one policy.
struct UnderPolicy {
    policy: Arc<AppliedPolicy>,
    /// Empty for a success.
    failures: Vec<Failure>,
    /// Whether anybody knows.
    is_known: bool,
}

impl UnderPolicy {
    fn of_dane(dane: UnderDane, met: &Failure) -> Self {
        let failures = dane.troubles.into_iter();
        Self {
            policy: dane.policy,
            failures: failures.map(|trouble| met_with(met, trouble)).collect(),
            is_known: dane.certainty == Certainty::Checked,
        }
    }

    fn record(
        self,
        domain: &PolicyDomain,
        at: Timestamp,
        protection: Option<Protection>,
    ) -> SessionRecord {
        SessionRecord {
            at,
            domain: domain.clone(),
            policy: self.policy,
            source: Source::Mta,
            verdict: match self.failures.is_empty() {
                true => Verdict::Success,
                false => Verdict::Failure(self.failures),
            },
            protection,
            sessions: 1,
        }
    }
}

/// Whether the MTA says that it did not go to the host, because a policy does not list it.
#[must_use]
pub fn was_passed_over(session: &Session<'_>) -> bool {
    matches!(
        session.outcome,
        Outcome::Failure {
            reason: Some(STS_MX_MISMATCH),
            ..
        }
    )
}

fn lists(standing: &Standing, host: Option<&MxHost>) -> bool {
    let kept = standing.sts.held_to();
    kept.is_some_and(|kept| host.is_some_and(|host| kept.policy.allows(host)))
}

/// A result type and its reason code.
type Trouble = (ResultType, Option<String>);

/// What became of TLS, and what a policy would have against the certificate.
struct Tls {
    step: Step,
    troubles: Vec<Trouble>,
    /// RFC 8460 s4.3.2: the MTA says that the policy failed; that is a failure whatever TLS did.
    is_told: bool,
    /// Whether somebody checked all that a policy asks of the certificate.
    checked: bool,
}

/// How far a session came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Up,
    Down,
    /// The MTA did not connect.
    NotTried,
}

/// What became of TLS; nothing when there was no session.
fn tls(
    session: &Session<'_>,
    held: &HeldTo<'_>,
    by_dane: Option<&UnderDane>,
    host: Option<&MxHost>,
    at: Timestamp,
) -> Option<Tls> {
    match &session.outcome {
        // It satisfies what the MTA was told to demand; where that was nothing, it judged by itself.
        Outcome::Success => Some(Tls {
            step: Step::Up,
            troubles: Vec::new(),
            is_told: false,
            checked: matches!(held.demanded, Demanded::Sts | Demanded::Nothing),
        }),
        Outcome::Failure { result, reason } => Some(told_failure(
            *result,
            reason.and_then(reason_code),
            held.dane,
        )),
        Outcome::Facts(facts) => tls_of_facts(facts, held, by_dane, host, at),
        _ => None,
    }
}

fn told_failure(result: ResultType, reason: Option<String>, dane: &DaneHold) -> Tls {
    let of_dane = *dane != DaneHold::Nothing && concerns_dane(result, reason.as_deref());
    let of_policy = reason.as_deref() == Some(STS_MX_MISMATCH);
    let step = match result {
        ResultType::DnssecInvalid | ResultType::DaneRequired => Step::NotTried,
        // RFC 7672 s2.2: what only the records are to blame for leaves TLS up.
        _ if of_dane || of_policy || concerns_certificate(result) => Step::Up,
        _ => Step::Down,
    };
    Tls {
        step,
        troubles: if of_dane {
            Vec::new()
        } else {
            vec![(result, reason)]
        },
        is_told: true,
        checked: false,
    }
}

fn tls_of_facts(
    facts: &Facts<'_>,
    held: &HeldTo<'_>,
    by_dane: Option<&UnderDane>,
    host: Option<&MxHost>,
    at: Timestamp,
) -> Option<Tls> {
    // What an MTA that was to hold the session to the records says of the certificate it says of these,
    // unless it tells of both.
    let tells_of_both =
        facts.dane != Verification::Unknown && facts.verification != Verification::Unknown;
    let of_records = held.demanded == Demanded::Dane && !tells_of_both;
    let own = own_check(facts, held, of_records, host, at);
    let checked = own.is_some() || (facts.verification == Verification::Passed && !of_records);
    let own_is_content = own.as_ref().is_some_and(Vec::is_empty);
    let observed = match (own, step(facts)) {
        (Some(troubles), StartTls::Established) => Observed::Established { troubles },
        (Some(troubles), StartTls::HandshakeFailed) if !troubles.is_empty() => {
            Observed::Failed(troubles)
        }
        // What broke off a handshake with a certificate that the policy is content with the MTA says.
        _ => {
            let mut facts = *facts;
            if *held.dane != DaneHold::Nothing {
                facts.starttls = step(&facts);
            }
            if of_records {
                facts.verification = Verification::Unknown;
            }
            classify(&facts, host, at)
        }
    };
    let (is_up, troubles) = match observed {
        Observed::NoSession => return None,
        Observed::Established { troubles } => (true, troubles),
        Observed::Failed(troubles) => (false, troubles),
    };
    let mismatched = by_dane.is_some_and(UnderDane::minds_certificate);
    let by_records = |trouble: &classify::Trouble| {
        let minds_certificate =
            *trouble == NOT_TRUSTED || (own_is_content && concerns_certificate(trouble.0));
        *trouble == NO_MATCH
            || (of_records && minds_certificate)
            || (mismatched && *trouble == HANDSHAKE_FAILED)
    };
    let left: Vec<Trouble> = match held.dane {
        DaneHold::Nothing => owned(troubles),
        _ => owned(troubles.into_iter().filter(|trouble| !by_records(trouble))),
    };
    // Who broke off for the records alone had seen a certificate.
    let is_up = is_up || left.is_empty();
    Some(Tls {
        step: if is_up { Step::Up } else { Step::Down },
        troubles: left,
        is_told: false,
        checked,
    })
}

/// What our own check of the whole chain has against it, where the MTA handed it over and did not check it
/// for the policy itself.
fn own_check(
    facts: &Facts<'_>,
    held: &HeldTo<'_>,
    of_records: bool,
    host: Option<&MxHost>,
    at: Timestamp,
) -> Option<Vec<classify::Trouble>> {
    let (leaf, others) = (facts.leaf_der?, facts.chain_der?);
    let unchecked = facts.verification == Verification::Unknown || of_records;
    if !unchecked || held.standing.sts.held_to().is_none() {
        return None;
    }
    let chain: Vec<CertificateDer<'_>> = std::iter::once(leaf)
        .chain(others.iter().copied())
        .map(CertificateDer::from)
        .collect();
    match established(&chain, host?, held.roots, at) {
        Observed::Established { troubles } => Some(troubles),
        Observed::Failed(_) | Observed::NoSession => None,
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
    let is_up = tls.step == Step::Up && !tls.is_told;
    let mut failures: Vec<Failure> = if held_to.is_none() && is_up {
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

fn owned(troubles: impl IntoIterator<Item = classify::Trouble>) -> Vec<Trouble> {
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
    let mut records = evaluate(session, &held, now).records;
    assert!(records.len() < 2, "{records:?}");
    records.pop()
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::{Facts, StartTls, Verification};

    use super::*;
    use crate::policy::{Mode, dane::DomainDane};

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
    fn b36_a_host_left_out_of_an_answer_for_its_records_is_no_session() {
        let records = DomainDane::for_test(&["10 mx1.mail.example.org records"]);
        let records = records.ranked()[0].dane.records().unwrap().clone();
        let standing = sts(Mode::Enforce);
        let told = Outcome::Failure {
            result: ResultType::ValidationFailure,
            reason: Some(STS_MX_MISMATCH),
        };
        for (mx, dane, expected) in [
            (
                "mx1.mail.example.org",
                DaneHold::Records(records.clone()),
                0,
            ),
            ("mx1.mail.example.org", DaneHold::Nothing, 1),
            // The policy does not list it, and what it would have shown is not known.
            ("mx.elsewhere.example", DaneHold::Records(records), 1),
        ] {
            let mut session = Session::new("example.org", told);
            session.mx = Some(mx);
            let held = HeldTo {
                standing: &standing,
                dane: &dane,
                demanded: Demanded::Sts,
                roots: &RootCertStore::empty(),
            };
            let records = evaluate(&session, &held, NOW).records;
            assert_eq!(records.len(), expected, "{mx} {dane:?}");
            let of_policy = |record: &SessionRecord| &record.policy == standing.applied();
            assert!(records.iter().all(of_policy));
        }
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
