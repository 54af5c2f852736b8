//! DANE-TA: whether a server's certificate comes from an authority that the domain names.
//!
//! The authority is one of the certificates that the server sent, in whatever order, or it is published
//! whole and need not be sent. From it down to the server's certificate everything must hold; what
//! stands above it does not matter, and the public authorities play no part (RFC 7672 s3.1.2). Paths are
//! found and signatures checked by rustls-webpki.

use std::{ptr, time::Duration};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    TlsaPolicy, TlsaRecord,
    certificate::{Authority, CERTIFICATE_OCTETS_MAX, Dates, EXPIRED, NOT_YET_VALID},
    names::carries_one,
    tlsa::Published,
    verdict::{Match, Matched, NAME_MISMATCH, NO_MATCH, Trouble, matching},
};
use crate::clock::Timestamp;

/// How many certificates behind the server's own are looked at. Some servers send a whole bundle of
/// roots; the library takes no path longer than six.
const SENT_MAX: usize = 16;

/// How many authorities are tried. A key that is published without a name is one for each name that it
/// could have.
const AUTHORITIES_MAX: usize = 64;

/// An authority that a record names.
struct Candidate<'a, 'c> {
    record: &'a TlsaRecord,
    matched: Matched,
    authority: Authority<'c>,
}

/// Looks for a way from the server's certificate to an authority of a record of usage 2.
pub(super) fn verify<'a>(
    policy: &'a TlsaPolicy,
    leaf: &[u8],
    others: &[&[u8]],
    at: Timestamp,
) -> Result<Match<'a>, Vec<Trouble>> {
    let no_match = || vec![NO_MATCH];
    if !policy.set.usable().any(|record| record.usage == 2) {
        return Err(no_match());
    }
    let leaf = CertificateDer::from(leaf);
    let end_entity = EndEntityCert::try_from(&leaf).map_err(|_| no_match())?;
    let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|_| no_match())?;
    let sent = sent(&leaf, others);
    let issuers = issuers(end_entity.issuer(), &sent);
    let candidates = candidates(policy, &sent, &issuers);
    if candidates.is_empty() {
        return Err(no_match());
    }
    let search = Search {
        anchors: candidates
            .iter()
            .map(|candidate| candidate.authority.anchor.clone())
            .collect(),
        intermediates: sent.iter().map(|(_, der)| der.clone()).collect(),
        end_entity,
        candidates,
    };
    let mut troubles = Vec::new();
    if !carries_one(&parsed, &policy.reference_names) {
        troubles.push(NAME_MISMATCH);
    }
    match search.path(at) {
        Ok((candidate, _)) if troubles.is_empty() => Ok(Match {
            record: candidate.record,
            matched: candidate.matched,
        }),
        Ok(_) => Err(troubles),
        Err(error) => match search.out_of_date(&error, Dates::of(&parsed), at) {
            dates if dates.is_empty() => Err(no_match()),
            dates => {
                troubles.extend(dates);
                Err(troubles)
            }
        },
    }
}

/// What was sent behind the server's own certificate, each with its number.
// RFC 7671 s5.2: usage 2 names an authority, which the server's own certificate is not, though it be
// self-signed and sent twice. OpenSSL sees it so too.
fn sent<'c>(leaf: &[u8], others: &[&'c [u8]]) -> Vec<(usize, CertificateDer<'c>)> {
    let all = (1..).zip(others).take(SENT_MAX);
    all.filter(|(_, der)| der.len() <= CERTIFICATE_OCTETS_MAX && **der != leaf)
        .map(|(number, der)| (number, CertificateDer::from(*der)))
        .collect()
}

/// By what names the issuers of the certificates go, each once.
fn issuers(of_leaf: &[u8], sent: &[(usize, CertificateDer<'_>)]) -> Vec<Vec<u8>> {
    let mut names = vec![of_leaf.to_vec()];
    for (_, der) in sent {
        if let Ok(certificate) = EndEntityCert::try_from(der)
            && !names.iter().any(|name| name == certificate.issuer())
        {
            names.push(certificate.issuer().to_vec());
        }
    }
    names
}

/// The authorities that a path may end at.
fn candidates<'a: 'c, 'c>(
    policy: &'a TlsaPolicy,
    sent: &'c [(usize, CertificateDer<'_>)],
    issuers: &'c [Vec<u8>],
) -> Vec<Candidate<'a, 'c>> {
    let mut candidates = Vec::new();
    for (number, der) in sent {
        let record = matching(policy, 2, der);
        candidates.extend(record.and_then(|record| {
            Some(Candidate {
                record,
                matched: Matched::Sent(*number),
                authority: Authority::from_certificate(der)?,
            })
        }));
    }
    for (record, published) in policy.set.published() {
        match published {
            Published::Authority(authority) => {
                if !sent.iter().any(|(_, der)| **der == *record.association) {
                    candidates.push(Candidate {
                        record,
                        matched: Matched::PublishedCertificate,
                        authority: authority.lend(),
                    });
                }
            }
            Published::Key => {
                let named = issuers
                    .iter()
                    .filter_map(|name| Authority::from_key(&record.association, name));
                let nameless = named.filter(|authority| !has_certificate(authority, policy, sent));
                candidates.extend(nameless.map(|authority| Candidate {
                    record,
                    matched: Matched::PublishedKey,
                    authority,
                }));
            }
        }
    }
    candidates.truncate(AUTHORITIES_MAX);
    candidates
}

/// Whether a key goes by its name in a certificate that was sent or is published.
// OURS: it is then held to the dates and constraints of that certificate, as it is by OpenSSL.
fn has_certificate(
    key: &Authority<'_>,
    policy: &TlsaPolicy,
    sent: &[(usize, CertificateDer<'_>)],
) -> bool {
    let published = policy.set.published().any(|(_, of)| match of {
        Published::Authority(authority) => authority.has_key_of(&key.anchor),
        Published::Key => false,
    });
    published
        || sent.iter().any(|(_, der)| {
            anchor_from_trusted_cert(der).is_ok_and(|anchor| key.has_key_of(&anchor))
        })
}

/// All that a path is looked for in.
struct Search<'a, 'c> {
    end_entity: EndEntityCert<'c>,
    intermediates: Vec<CertificateDer<'c>>,
    /// Those of the candidates, in their order.
    anchors: Vec<TrustAnchor<'c>>,
    candidates: Vec<Candidate<'a, 'c>>,
}

impl<'a, 'c> Search<'a, 'c> {
    /// A path that holds at this moment, and the dates of all that stands on it.
    fn path(&self, at: Timestamp) -> Result<(&Candidate<'a, 'c>, Vec<Dates>), Error> {
        let time = unix_time(at);
        let path = self.end_entity.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &self.anchors,
            &self.intermediates,
            time,
            KeyUsage::server_auth(),
            None,
            Some(&|path| self.authority_holds(path, at)),
        )?;
        let candidate = self.candidate(&path).ok_or(Error::UnknownIssuer)?;
        let between = path
            .intermediate_certificates()
            .filter_map(|certificate| Dates::from_der(&certificate.der()));
        let dates = between.chain(candidate.authority.dates).collect();
        Ok((candidate, dates))
    }

    /// What the library takes for granted of an authority, and the domain has only said of its name and
    /// key.
    fn authority_holds(&self, path: &VerifiedPath<'_>, at: Timestamp) -> Result<(), Error> {
        let candidate = self.candidate(path).ok_or(Error::UnknownIssuer)?;
        let between = path.intermediate_certificates().count();
        let authority = &candidate.authority;
        if let Some(longest) = authority.path_length
            && usize::try_from(longest).is_ok_and(|longest| between > longest)
        {
            return Err(Error::PathLenConstraintViolated);
        }
        let time = unix_time(at);
        let Some(dates) = authority.dates else {
            return Ok(());
        };
        match dates.trouble(at) {
            None => Ok(()),
            Some(EXPIRED) => Err(Error::CertExpired {
                time,
                not_after: unix_time(dates.not_after),
            }),
            Some(_) => Err(Error::CertNotValidYet {
                time,
                not_before: unix_time(dates.not_before),
            }),
        }
    }

    fn candidate(&self, path: &VerifiedPath<'_>) -> Option<&Candidate<'a, 'c>> {
        let mut all = self.anchors.iter().zip(&self.candidates);
        let found = all.find(|(anchor, _)| ptr::eq(*anchor, path.anchor()));
        found.map(|(_, candidate)| candidate)
    }

    /// Which dates keep a path from holding, where it is nothing but dates. The library looks at dates
    /// before signatures; a path that holds at another moment shows that the rest is in order.
    fn out_of_date(&self, error: &Error, leaf: Dates, at: Timestamp) -> Vec<Trouble> {
        let by_library = match error {
            Error::CertExpired { .. } => EXPIRED,
            Error::CertNotValidYet { .. } => NOT_YET_VALID,
            _ => return Vec::new(),
        };
        let sent = self
            .intermediates
            .iter()
            .filter_map(|der| Dates::from_der(der));
        let named = self.candidates.iter().filter_map(|of| of.authority.dates);
        let all = sent.chain(named).fold(leaf, Dates::and);
        let Some(when) = all.nearest(at).or_else(|| leaf.nearest(at)) else {
            return Vec::new();
        };
        match self.path(when) {
            Ok((_, dates)) => {
                let all = std::iter::once(leaf).chain(dates);
                let mut troubles: Vec<Trouble> = all.filter_map(|of| of.trouble(at)).collect();
                troubles.sort_unstable();
                troubles.dedup();
                troubles
            }
            // No moment suits them all; then no signature was looked at.
            Err(Error::CertExpired { .. } | Error::CertNotValidYet { .. }) => vec![by_library],
            Err(_) => Vec::new(),
        }
    }
}

fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.0).unwrap_or(0)))
}
