//! What a certificate chain is worth under TLSA records.
//!
//! One matching record is enough. A record of usage 3 names the server's own certificate, and then
//! nothing else of it counts. One of usage 2 names an authority: `chain` says whether the server's
//! certificate comes from it and carries the right name. `docs/decisions/0011-dane.md` has the rules.

use std::fmt;

use ring::digest::{Digest, SHA256, SHA512, digest};
use sealpost_plugin_api::ResultType;

use super::{
    TlsaPolicy, TlsaRecord,
    chain::{self, NoWay},
};
use crate::{
    clock::Timestamp,
    policy::certificate::{CERTIFICATE_OCTETS_MAX, public_key},
};

/// A result type and its reason code, as a report has them.
pub type Trouble = (ResultType, Option<&'static str>);

/// No record matches.
pub const NO_MATCH: Trouble = (ResultType::ValidationFailure, Some("dane-no-match"));
/// A record matches an authority, and the server's certificate carries none of the reference names.
pub const NAME_MISMATCH: Trouble = (
    ResultType::CertificateHostMismatch,
    Some("dane-name-mismatch"),
);
/// No record can be used.
pub const NONE_USABLE: Trouble = (ResultType::TlsaInvalid, Some("all-tlsa-records-unusable"));

/// What a certificate chain is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It matches a record.
    Matched(Match<'a>),
    /// It matches none. Why, as the report will say it: at least one trouble.
    Failed(Vec<Trouble>),
    /// Another library may find that it matches one. Nothing is known against the domain, so nothing is
    /// reported of it; and nothing vouches for the chain, so nothing is delivered by it.
    NotJudged(NotJudged),
    /// No record can be used (RFC 7672 s2.2): TLS is demanded, and no certificate is looked at.
    NoneUsable,
}

/// Why a chain cannot be judged: it has something that our libraries do not know, on the way to an
/// authority that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotJudged {
    /// A signature by an algorithm that ring does not verify: SHA-1, ECDSA with SHA-512, Ed448.
    #[error("a certificate of the chain is signed by an algorithm that is not known here")]
    Algorithm,
    /// An authority's key that ring does not take: P-521, DSA, RSA-PSS, RSA below 2048 or above 8192 bits.
    #[error("an authority of the chain has a key of a kind or size that is not known here")]
    Key,
    /// A critical extension that rustls-webpki does not know.
    #[error("a certificate of the chain has a critical extension that is not known here")]
    Extension,
    /// Name constraints of a kind that rustls-webpki does not compare: directory names, URIs, mail addresses.
    #[error("an authority of the chain has name constraints of a kind that is not known here")]
    Constraint,
    /// X.509 before version 3, but for an authority that signed itself.
    #[error("a certificate of the chain is of an old version of X.509")]
    Version,
    /// The server's own certificate says that it is an authority's.
    #[error("the server's certificate is an authority's")]
    AuthorityAsServer,
    /// More than six certificates stand between the server's and the authority.
    #[error("the chain is longer than is followed")]
    Length,
    /// More certificates were sent, or more ways lead through them, than are tried.
    #[error("there are more certificates, or more ways through them, than are tried")]
    Crowd,
    /// One cannot be read, though another library may.
    #[error("a certificate of the chain cannot be read")]
    Encoding,
}

/// A record, and what it matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The record.
    pub record: &'a TlsaRecord,
    /// What it matched.
    pub matched: Matched,
}

/// What a record matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The server's own certificate.
    Leaf,
    /// An authority that was sent: the so-many-eth certificate of what the server sent, its own being
    /// number 0.
    Sent(usize),
    /// An authority that was not sent: its certificate is published whole.
    PublishedCertificate,
    /// An authority that was not sent: its key is published whole.
    PublishedKey,
}

impl fmt::Display for Match<'_> {
    /// For a log: `3 1 1 8C75F00D... is the server's certificate`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record;
        match self.matched {
            Matched::Leaf => write!(formatter, "{record} is the server's certificate"),
            Matched::Sent(number) => {
                write!(formatter, "{record} is authority {number} of the chain")
            }
            Matched::PublishedCertificate => write!(formatter, "{record} is the chain's authority"),
            Matched::PublishedKey => {
                write!(formatter, "{record} is the key of the chain's authority")
            }
        }
    }
}

/// Judges a chain. `chain_der` are the certificates as the server sent them, its own first, DER; `at`
/// is now. A chain without a certificate matches nothing.
#[must_use]
pub fn verify<'a>(policy: &'a TlsaPolicy, chain_der: &[&[u8]], at: Timestamp) -> Verdict<'a> {
    if !policy.set.has_usable() {
        return Verdict::NoneUsable;
    }
    let Some((leaf, others)) = chain_der.split_first() else {
        return Verdict::Failed(vec![NO_MATCH]);
    };
    if leaf.len() > CERTIFICATE_OCTETS_MAX {
        return Verdict::Failed(vec![NO_MATCH]);
    }
    // RFC 7671 s5.1: the certificate alone; its names and dates do not matter.
    if let Some(record) = matching(policy, 3, leaf) {
        return Verdict::Matched(Match {
            record,
            matched: Matched::Leaf,
        });
    }
    match chain::verify(policy, leaf, others, at) {
        Ok(found) => Verdict::Matched(found),
        Err(NoWay::Failed(troubles)) => Verdict::Failed(troubles),
        Err(NoWay::NotJudged(why)) => Verdict::NotJudged(why),
    }
}

/// The first record of a usage that a certificate matches.
pub(super) fn matching<'a>(
    policy: &'a TlsaPolicy,
    usage: u8,
    certificate: &[u8],
) -> Option<&'a TlsaRecord> {
    // The records are in order, so that each part is digested once.
    let mut digested: Option<((u8, u8), Digest)> = None;
    let mut key = None;
    let mut of_usage = policy.set.usable().filter(|record| record.usage == usage);
    of_usage.find(|record| {
        let part = match record.selector {
            0 => Some(certificate),
            _ => *key.get_or_insert_with(|| public_key(certificate)),
        };
        let Some(part) = part else {
            return false;
        };
        let algorithm = match record.matching {
            0 => return record.association == part,
            1 => &SHA256,
            _ => &SHA512,
        };
        let kind = (record.selector, record.matching);
        let digest = match digested {
            Some((of, digest)) if of == kind => digest,
            _ => digest(algorithm, part),
        };
        digested = Some((kind, digest));
        digest.as_ref() == record.association
    })
}

#[cfg(test)]
mod tests;
