//! One way from a server's certificate to an authority that a record names, and whether it holds.
//!
//! Signatures, extensions and the constraints on alternative names are checked by rustls-webpki, which is
//! given this one way and no other. What it does not look at is looked at here: the dates and the path
//! length of the authority, what the keys between may be used for, and common names.

use std::{ops::RangeInclusive, time::Duration};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, spki_for_anchor};
use x509_parser::{
    certificate::X509Certificate,
    prelude::{FromDer as _, SubjectPublicKeyInfo},
    public_key::PublicKey,
};

use super::{
    certificate::{Authority, Dates, may_sign},
    constraints::Constraints,
    names::CountedNames,
    verdict::{NotJudged, Trouble},
};
use crate::{
    clock::Timestamp,
    policy::bundle::{BETWEEN_MAX, Sent},
};

/// The server's own certificate.
pub(super) struct Leaf<'c> {
    /// DER.
    pub(super) der: CertificateDer<'c>,
    /// The same, read.
    pub(super) read: X509Certificate<'c>,
}

/// A certificate between the server's own and the authority.
pub(super) struct Between<'c> {
    /// What was sent.
    pub(super) sent: Sent<'c>,
    /// The same, read; nothing where it cannot be.
    pub(super) read: Option<X509Certificate<'c>>,
    /// What names it may speak for.
    constraints: Option<Constraints>,
}

impl<'c> Between<'c> {
    pub(super) fn new(sent: Sent<'c>, read: Option<X509Certificate<'c>>) -> Self {
        let constraints = read.as_ref().and_then(Constraints::of);
        Self {
            sent,
            read,
            constraints,
        }
    }
}

/// A way by names: each certificate bears the name that the one below it has for its issuer.
pub(super) struct Path<'p, 'c> {
    /// Where it begins.
    pub(super) leaf: &'p Leaf<'c>,
    /// The lowest first.
    pub(super) between: &'p [&'p Between<'c>],
    /// Where it ends.
    pub(super) authority: &'p Authority<'c>,
}

/// What a path is worth.
pub(super) enum Worth {
    /// All of it holds.
    Holds,
    /// All of it but dates; each trouble once.
    OutOfDate(Vec<Trouble>),
    /// It may hold for another library.
    NotJudged(NotJudged),
    /// It does not hold.
    Broken,
}

/// What a path with name constraints costs more than one without, in signatures: each name is compared with
/// each constraint.
const CONSTRAINTS_COST: usize = 5;

impl Path<'_, '_> {
    /// What it takes to judge it, in signatures.
    pub(super) fn cost(&self) -> usize {
        let constraints = usize::from(self.constraints().next().is_some());
        1 + self.between.len() + CONSTRAINTS_COST * constraints
    }

    /// Judges it.
    pub(super) fn worth(&self, at: Timestamp) -> Worth {
        if self.between.len() > BETWEEN_MAX {
            return Worth::NotJudged(NotJudged::Length);
        }
        if self.authority.has_unknown_extension {
            return Worth::NotJudged(NotJudged::Extension);
        }
        let mut read = Vec::with_capacity(self.between.len());
        for between in self.between {
            match &between.read {
                Some(certificate) => read.push(certificate),
                None => return Worth::NotJudged(NotJudged::Encoding),
            }
        }
        if !self.may_run(&read) {
            return Worth::Broken;
        }
        let between = read.iter().map(|certificate| Dates::of(certificate));
        let all: Vec<Dates> = std::iter::once(Dates::of(&self.leaf.read))
            .chain(between)
            .chain(self.authority.dates)
            .collect();
        let mut troubles: Vec<Trouble> = all.iter().filter_map(|of| of.trouble(at)).collect();
        let Some(first) = troubles.first().copied() else {
            return match self.verify(at) {
                Ok(()) => Worth::Holds,
                Err(error) => self.why_not(&error),
            };
        };
        // That it holds at another moment shows that the rest is in order.
        match all
            .into_iter()
            .reduce(Dates::and)
            .and_then(|of| of.nearest(at))
        {
            Some(when) => match self.verify(when) {
                Ok(()) => {
                    troubles.sort_unstable();
                    troubles.dedup();
                    Worth::OutOfDate(troubles)
                }
                Err(error) => self.why_not(&error),
            },
            // No moment suits them all; then no signature is looked at.
            None => Worth::OutOfDate(vec![first]),
        }
    }

    /// Whether those who sign may, for all that rustls-webpki does not look at.
    fn may_run(&self, between: &[&X509Certificate<'_>]) -> bool {
        let is_too_long = self
            .authority
            .path_length
            .is_some_and(|longest| usize::try_from(longest).is_ok_and(|most| between.len() > most));
        let constraints: Vec<&Constraints> = self.constraints().collect();
        !is_too_long
            && between.iter().all(|certificate| may_sign(certificate))
            && serves_tls(&self.leaf.read)
            && CountedNames::of(&self.leaf.read).are_within(&constraints)
    }

    fn constraints(&self) -> impl Iterator<Item = &Constraints> {
        let between = self.between.iter().filter_map(|of| of.constraints.as_ref());
        between.chain(&self.authority.constraints)
    }

    fn verify(&self, at: Timestamp) -> Result<(), Error> {
        let end_entity = EndEntityCert::try_from(&self.leaf.der)?;
        let anchors = [self.authority.anchor.clone()];
        let between: Vec<CertificateDer<'_>> = self
            .between
            .iter()
            .map(|of| CertificateDer::from(of.sent.der))
            .collect();
        let seconds = u64::try_from(at.0).unwrap_or(0);
        let verified = end_entity.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            KeyUsage::server_auth(),
            None,
            // A shorter way among the same certificates is another one.
            Some(
                &|path| match path.intermediate_certificates().count() == between.len() {
                    true => Ok(()),
                    false => Err(Error::UnknownIssuer),
                },
            ),
        );
        verified.map(|_path| ())
    }

    /// What it means that rustls-webpki does not take it: that it does not hold, or that only another library
    /// can tell.
    fn why_not(&self, error: &Error) -> Worth {
        let why = match error {
            Error::UnsupportedSignatureAlgorithmContext(_) => NotJudged::Algorithm,
            // A key and a signature of two kinds that are both known do not go together.
            Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
                let key = context.public_key_algorithm_id.as_slice();
                let mut known = ALL_VERIFICATION_ALGS.iter();
                if known.any(|algorithm| algorithm.public_key_alg_id().as_ref() == key) {
                    return Worth::Broken;
                }
                NotJudged::Key
            }
            Error::InvalidSignatureForPublicKey if self.has_rsa_key_of_odd_size() => NotJudged::Key,
            Error::NameConstraintViolation
                if self
                    .constraints()
                    .any(|constraints| constraints.of_other_kinds) =>
            {
                NotJudged::Constraint
            }
            Error::MalformedNameConstraint
            | Error::MalformedDnsIdentifier
            | Error::MaximumNameConstraintComparisonsExceeded => NotJudged::Constraint,
            Error::UnsupportedCriticalExtension => NotJudged::Extension,
            Error::UnsupportedCertVersion => NotJudged::Version,
            Error::CaUsedAsEndEntity => NotJudged::AuthorityAsServer,
            Error::BadDer
            | Error::BadDerTime
            | Error::TrailingData(_)
            | Error::ExtensionValueInvalid
            | Error::MalformedExtensions => NotJudged::Encoding,
            _ => return Worth::Broken,
        };
        Worth::NotJudged(why)
    }

    /// Whether one of those who sign has an RSA key that ring does not take: there a signature that is in
    /// order looks like one that is not.
    fn has_rsa_key_of_odd_size(&self) -> bool {
        let anchor = spki_for_anchor(&self.authority.anchor);
        let mut between = self.between.iter().map(|of| of.sent.parts.public_key);
        is_rsa_of_odd_size(&anchor) || between.any(is_rsa_of_odd_size)
    }
}

/// The sizes of RSA keys that ring verifies with, in bits.
const RSA_BITS: RangeInclusive<usize> = 2_048..=8_192;
/// The longest public exponent that it takes, in bits.
const RSA_EXPONENT_BITS_MAX: usize = 33;

fn is_rsa_of_odd_size(public_key: &[u8]) -> bool {
    let Ok((_, read)) = SubjectPublicKeyInfo::from_der(public_key) else {
        return false;
    };
    match read.parsed() {
        Ok(PublicKey::RSA(key)) => {
            !RSA_BITS.contains(&bits(key.modulus)) || bits(key.exponent) > RSA_EXPONENT_BITS_MAX
        }
        _ => false,
    }
}

/// How many bits a number has, the most significant octet first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let rest = number.get(zeros..).unwrap_or_default();
    let leading = rest.first().map_or(0, |octet| octet.leading_zeros());
    (rest.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// Whether a server may use its certificate's key in a handshake, by what its own extension says.
// RFC 5280 s4.2.1.3, RFC 8446 s4.4.2.2: rustls-webpki does not look at it. OURS: one of the usages that any
// handshake needs will do, as it does for OpenSSL.
fn serves_tls(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(Some(usage)) => {
            let usage = usage.value;
            usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
        }
        Ok(None) => true,
        Err(_) => false,
    }
}
