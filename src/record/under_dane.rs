//! What an MTA told of a session, held against the TLSA records of the host.
//!
//! Names and dates that a policy minds may be nothing to a TLSA record, and the other way round: each is
//! judged by its own rules. `docs/decisions/0011-dane.md` has the table.

use std::sync::Arc;

use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::{
    Certainty,
    classify::{
        self, EXPIRED, HANDSHAKE_FAILED, NOT_YET_VALID, Observed, classify, concerns_certificate,
    },
    untrusted::reason_code,
};
use crate::{
    clock::Timestamp,
    hook::{
        decide::STS_MX_MISMATCH,
        hold::{DaneHold, Demanded},
        joint::DANE_REQUIRED,
    },
    policy::{
        AppliedPolicy,
        dane::{
            TlsaPolicy,
            verdict::{NAME_MISMATCH, NO_MATCH, NONE_USABLE, Verdict, verify},
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
    /// Whether its certificate matched a record, for all that is known.
    pub(super) vouched_for: bool,
    /// Whether it is known what it comes to.
    pub(super) certainty: Certainty,
}

impl UnderDane {
    /// Whether the records had something against the certificate: then TLS was under way.
    pub(super) fn minds_certificate(&self) -> bool {
        self.troubles.iter().any(|(result, reason)| {
            let code = reason.as_deref().unwrap_or_default();
            concerns_certificate(*result) || code.starts_with(OF_CERTIFICATE)
        })
    }
}

/// How the reason codes begin of what TLSA records have against a certificate.
const OF_CERTIFICATE: &str = "dane-";

/// Judges a session; nothing where no TLSA records apply to it. `demanded` is what the MTA was to check.
pub(super) fn under_dane(
    session: &Session<'_>,
    hold: &DaneHold,
    demanded: Demanded,
    at: Timestamp,
) -> Option<UnderDane> {
    let under = |policy: &Arc<AppliedPolicy>, troubles| UnderDane {
        policy: Arc::clone(policy),
        troubles,
        vouched_for: false,
        certainty: Certainty::Checked,
    };
    let failed = |result, code: &str| vec![(result, Some(code.to_owned()))];
    Some(match hold {
        DaneHold::Nothing => return None,
        DaneHold::LookupFailed { policy, code } => {
            under(policy, failed(ResultType::DnssecInvalid, code))
        }
        DaneHold::Required(policy) => {
            under(policy, failed(ResultType::DaneRequired, DANE_REQUIRED))
        }
        DaneHold::AnyCertificate(records) => {
            under(records.applied(), without_tls(session, Blame::Policy, at))
        }
        DaneHold::Records(records) if !records.set.has_usable() => {
            let mut troubles = without_tls(session, Blame::Policy, at);
            if troubles.is_empty() {
                // RFC 7672 s2.2: TLS was all that could be demanded, and the records are to be mended.
                troubles.push(owned(NONE_USABLE));
            }
            under(records.applied(), troubles)
        }
        DaneHold::Records(records) => {
            let blame = match demanded {
                Demanded::Dane => Blame::Records(records),
                _ => Blame::Policy,
            };
            let (troubles, vouched_for) = under_records(session, records, blame, at);
            UnderDane {
                policy: Arc::clone(records.applied()),
                vouched_for: vouched_for && troubles.is_empty(),
                // OURS: that nothing is known of a certificate is no success.
                certainty: match vouched_for || !troubles.is_empty() {
                    true => Certainty::Checked,
                    false => Certainty::Unchecked,
                },
                troubles,
            }
        }
    })
}

/// What an MTA had against a certificate, where it does not say by what it checked it.
#[derive(Clone, Copy, Debug)]
enum Blame<'a> {
    /// The records: it was told to hold the session to them.
    Records(&'a TlsaPolicy),
    /// The policy, or nothing that matters: the records were not its business.
    Policy,
}

/// Whether a failure that an MTA named is one of the TLSA records alone.
pub(super) fn concerns_dane(result: ResultType, reason: Option<&str>) -> bool {
    let of_records = matches!(
        result,
        ResultType::TlsaInvalid | ResultType::DnssecInvalid | ResultType::DaneRequired
    );
    of_records || reason.is_some_and(|reason| reason.starts_with(OF_CERTIFICATE))
}

/// How far STARTTLS went, also where only a check's answer says so.
pub(super) fn step(facts: &Facts<'_>) -> StartTls {
    match (facts.starttls, facts.dane, facts.verification) {
        (StartTls::Unknown, Verification::Passed, _)
        | (StartTls::Unknown, _, Verification::Passed) => StartTls::Established,
        (StartTls::Unknown, Verification::Failed, _)
        | (StartTls::Unknown, _, Verification::Failed) => StartTls::HandshakeFailed,
        // The certificate was seen, so TLS was under way.
        (StartTls::Unknown, ..) if facts.leaf_der.is_some() => StartTls::HandshakeFailed,
        (known, ..) => known,
    }
}

/// How the session failed, and whether it is known that a record vouches for its certificate.
fn under_records(
    session: &Session<'_>,
    records: &TlsaPolicy,
    blame: Blame<'_>,
    at: Timestamp,
) -> (Vec<Trouble>, bool) {
    let is_held_to_them = matches!(blame, Blame::Records(_));
    let facts = match &session.outcome {
        Outcome::Facts(facts) => facts,
        outcome => {
            // What satisfies a policy says nothing of records that nobody was held to.
            let satisfied = matches!(outcome, Outcome::Success) && is_held_to_them;
            return (without_tls(session, blame, at), satisfied);
        }
    };
    match judged(facts, records, at) {
        Judged::Fails(troubles) => {
            // Where TLS was not even begun the certificate is of another session.
            let down = without_tls(session, Blame::Policy, at);
            let begun = !matches!(step(facts), StartTls::NotOffered | StartTls::Refused);
            (if begun { troubles } else { down }, false)
        }
        Judged::NotKnown if is_held_to_them && facts.verification == Verification::Failed => {
            (vec![minded_in(facts, records, at)], false)
        }
        // Who was to hold the session to the records and tells of no trouble has done so.
        Judged::NotKnown => (without_tls(session, blame, at), is_held_to_them),
        // Whatever it broke off for, the records are satisfied.
        Judged::Matches => {
            let troubles = without_tls(session, blame, at);
            let mismatch = owned(NO_MATCH);
            let troubles = troubles.into_iter().map(|trouble| {
                if trouble == mismatch || concerns_certificate(trouble.0) {
                    owned(HANDSHAKE_FAILED)
                } else {
                    trouble
                }
            });
            (troubles.collect(), true)
        }
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
            // An authority may be among the certificates that we were not told of; or the MTA's library
            // knows what ours does not.
            Verdict::Failed(_) | Verdict::NotJudged(_) | Verdict::NoneUsable => {}
        }
    }
    match facts.dane {
        Verification::Passed => Judged::Matches,
        Verification::Failed => Judged::Fails(vec![owned(NO_MATCH)]),
        _ => Judged::NotKnown,
    }
}

/// What an MTA that held a session to the records has against its certificate, by its own words.
fn minded_in(facts: &Facts<'_>, records: &TlsaPolicy, at: Timestamp) -> Trouble {
    let mut words_alone = *facts;
    words_alone.starttls = StartTls::Established;
    words_alone.leaf_der = None;
    words_alone.chain_der = None;
    let first = match classify(&words_alone, None, at) {
        Observed::Established { troubles } => troubles.into_iter().next(),
        Observed::Failed(_) | Observed::NoSession => None,
    };
    owned(first.map_or(NO_MATCH, |trouble| minded(trouble, records)))
}

/// What the records have against a certificate, by what an MTA that held it to them says of it.
// RFC 7672 s3.1.1: names and dates are nothing to a record of usage 3; s3.1.2: below an authority that
// matches one of usage 2 they count, and who minds them has found it. Else an MTA says of a certificate
// that matches no record what it would say of one that nobody vouches for.
fn minded(trouble: classify::Trouble, records: &TlsaPolicy) -> classify::Trouble {
    let names_authority = records.set.usable().any(|record| record.usage == 2);
    match trouble {
        (ResultType::CertificateHostMismatch, _) if names_authority => NAME_MISMATCH,
        EXPIRED | NOT_YET_VALID if names_authority => trouble,
        _ => NO_MATCH,
    }
}

/// What kept TLS from coming up. A certificate that the MTA did not like counts where it was the records
/// that it disliked it for.
fn without_tls(session: &Session<'_>, blame: Blame<'_>, at: Timestamp) -> Vec<Trouble> {
    match &session.outcome {
        Outcome::Failure { result, reason } => {
            let reason = reason.and_then(reason_code);
            let of_records = concerns_dane(*result, reason.as_deref());
            // What only the policy minds is no failure of the records.
            let of_policy = result.concerns_policy()
                || reason.as_deref() == Some(STS_MX_MISMATCH)
                || (concerns_certificate(*result) && matches!(blame, Blame::Policy));
            match of_policy && !of_records {
                true => Vec::new(),
                false => vec![(*result, reason)],
            }
        }
        Outcome::Facts(facts) => {
            let mut bare = *facts;
            bare.starttls = step(facts);
            bare.leaf_der = None;
            bare.chain_der = None;
            let Observed::Failed(troubles) = classify(&bare, None, at) else {
                return Vec::new();
            };
            let troubles = troubles.into_iter().filter_map(|trouble| {
                match (concerns_certificate(trouble.0), blame) {
                    (false, _) => Some(owned(trouble)),
                    (true, Blame::Records(records)) => Some(owned(minded(trouble, records))),
                    (true, Blame::Policy) => None,
                }
            });
            troubles.collect()
        }
        _ => Vec::new(),
    }
}

fn owned((result, reason): (ResultType, Option<&'static str>)) -> Trouble {
    (result, reason.map(str::to_owned))
}

#[cfg(test)]
mod tests;
