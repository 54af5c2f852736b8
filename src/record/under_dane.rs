//! What an MTA told of a session, held against the TLSA records of the host.
//!
//! Names and dates that a policy minds may be nothing to a TLSA record, and the other way round: each is
//! judged by its own rules. `docs/decisions/0011-dane.md` has the table.

use std::sync::Arc;

use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::{
    classify::{Observed, classify},
    untrusted::reason_code,
};
use crate::{
    clock::Timestamp,
    hook::{decide::STS_MX_MISMATCH, hold::DaneHold, joint::DANE_REQUIRED},
    policy::{
        AppliedPolicy,
        dane::{
            TlsaPolicy,
            verdict::{NO_MATCH, NONE_USABLE, Verdict, verify},
        },
    },
};

/// A result type and its reason code.
type Trouble = (ResultType, Option<String>);

/// What a session comes to under the TLSA records of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderDane {
    /// What it is counted under.
    pub(super) policy: Arc<AppliedPolicy>,
    /// How it failed; empty where it did not.
    pub(super) troubles: Vec<Trouble>,
    /// Whether its certificate was vouched for by a record, if it did not fail.
    pub(super) vouched_for: bool,
}

/// Judges a session; nothing where no TLSA records apply to it.
pub(super) fn under_dane(
    session: &Session<'_>,
    hold: &DaneHold,
    at: Timestamp,
) -> Option<UnderDane> {
    let failed = |policy: &Arc<AppliedPolicy>, result, code: &str| UnderDane {
        policy: Arc::clone(policy),
        troubles: vec![(result, Some(code.to_owned()))],
        vouched_for: false,
    };
    Some(match hold {
        DaneHold::Nothing => return None,
        DaneHold::LookupFailed { policy, code } => failed(policy, ResultType::DnssecInvalid, code),
        DaneHold::Required(policy) => failed(policy, ResultType::DaneRequired, DANE_REQUIRED),
        DaneHold::AnyCertificate(records) => UnderDane {
            policy: Arc::clone(records.applied()),
            troubles: without_tls(session, at),
            vouched_for: false,
        },
        DaneHold::Records(records) if !records.set.has_usable() => {
            let mut troubles = without_tls(session, at);
            if troubles.is_empty() {
                // RFC 7672 s2.2: TLS was all that could be demanded, and the records are to be mended.
                troubles.push(owned(NONE_USABLE));
            }
            UnderDane {
                policy: Arc::clone(records.applied()),
                troubles,
                vouched_for: false,
            }
        }
        DaneHold::Records(records) => UnderDane {
            policy: Arc::clone(records.applied()),
            troubles: under_records(session, records, at),
            vouched_for: true,
        },
    })
}

/// Whether a failure that an MTA named is one of the TLSA records alone.
fn concerns_dane(result: ResultType, reason: Option<&str>) -> bool {
    let of_records = matches!(
        result,
        ResultType::TlsaInvalid | ResultType::DnssecInvalid | ResultType::DaneRequired
    );
    of_records || reason.is_some_and(|reason| reason.starts_with("dane-"))
}

fn under_records(session: &Session<'_>, records: &TlsaPolicy, at: Timestamp) -> Vec<Trouble> {
    let Outcome::Facts(facts) = &session.outcome else {
        return without_tls(session, at);
    };
    match judged(facts, records, at) {
        Judged::Fails(troubles) => troubles,
        Judged::NotKnown if facts.verification == Verification::Failed => vec![owned(NO_MATCH)],
        Judged::NotKnown => without_tls(session, at),
        // Whatever it broke off for, the records are satisfied.
        Judged::Matches => without_tls(session, at)
            .into_iter()
            .map(|trouble| match trouble == owned(NO_MATCH) {
                true => (
                    ResultType::ValidationFailure,
                    Some("handshake-failed".to_owned()),
                ),
                false => trouble,
            })
            .collect(),
    }
}

/// What the records say of the certificates that were told of.
enum Judged {
    Matches,
    Fails(Vec<Trouble>),
    NotKnown,
}

fn judged(facts: &Facts<'_>, records: &TlsaPolicy, at: Timestamp) -> Judged {
    let only_leaf = records.set.usable().all(|record| record.usage == 3);
    if let Some(leaf) = facts.leaf_der {
        let mut chain = vec![leaf];
        chain.extend(facts.chain_der.into_iter().flatten().copied());
        match verify(records, &chain, at) {
            Verdict::Matched(_) => return Judged::Matches,
            Verdict::Failed(troubles) if facts.chain_der.is_some() || only_leaf => {
                return Judged::Fails(troubles.into_iter().map(owned).collect());
            }
            // An authority may be among the certificates that we were not told of.
            Verdict::Failed(_) | Verdict::NoneUsable => {}
        }
    }
    match facts.dane {
        Verification::Passed => Judged::Matches,
        Verification::Failed => Judged::Fails(vec![owned(NO_MATCH)]),
        _ => Judged::NotKnown,
    }
}

/// What kept TLS from coming up, whatever the certificate.
fn without_tls(session: &Session<'_>, at: Timestamp) -> Vec<Trouble> {
    match &session.outcome {
        Outcome::Failure { result, reason } => {
            let reason = reason.and_then(reason_code);
            // What only the policy minds is no failure of the records.
            let of_policy = result.concerns_policy() || reason.as_deref() == Some(STS_MX_MISMATCH);
            match of_policy && !concerns_dane(*result, reason.as_deref()) {
                true => Vec::new(),
                false => vec![(*result, reason)],
            }
        }
        Outcome::Facts(facts) => {
            let mut bare = *facts;
            bare.starttls = step(facts);
            bare.verification = Verification::Unknown;
            bare.leaf_der = None;
            bare.chain_der = None;
            match classify(&bare, None, at) {
                Observed::Failed(troubles) => troubles.into_iter().map(of_tls).collect(),
                Observed::Established { .. } | Observed::NoSession => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// How far STARTTLS went: a certificate that was seen says that it was under way.
fn step(facts: &Facts<'_>) -> StartTls {
    match facts.starttls {
        StartTls::Unknown if facts.leaf_der.is_some() => StartTls::HandshakeFailed,
        StartTls::Unknown => match (facts.dane, facts.verification) {
            (Verification::Passed, _) | (_, Verification::Passed) => StartTls::Established,
            (Verification::Failed, _) | (_, Verification::Failed) => StartTls::HandshakeFailed,
            _ => StartTls::Unknown,
        },
        known => known,
    }
}

/// An MTA that holds a session to TLSA records says of a certificate that matches none what it would say
/// of one that nobody vouches for.
// RFC 7672 s3.1.1: names and dates are nothing to a record of usage 3.
fn of_tls((result, reason): (ResultType, Option<&'static str>)) -> Trouble {
    match result {
        ResultType::CertificateExpired
        | ResultType::CertificateHostMismatch
        | ResultType::CertificateNotTrusted => owned(NO_MATCH),
        _ => (result, reason.map(str::to_owned)),
    }
}

fn owned((result, reason): (ResultType, Option<&'static str>)) -> Trouble {
    (result, reason.map(str::to_owned))
}
