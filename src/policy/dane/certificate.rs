//! What DANE reads of one certificate: its public key, its dates, and whether it may sign others.

use rustls::pki_types::{CertificateDer, TrustAnchor};
use sealpost_plugin_api::ResultType;
use webpki::anchor_from_trusted_cert;
use x509_parser::{
    asn1_rs::{Any, Class, FromBer as _, Tag},
    certificate::X509Certificate,
    prelude::{FromDer as _, SubjectPublicKeyInfo},
    x509::X509Version,
};

use super::verdict::Trouble;
use crate::clock::Timestamp;

/// The longest certificate that is looked at, in octets of DER.
pub(super) const CERTIFICATE_OCTETS_MAX: usize = 32_768;

/// The `SubjectPublicKeyInfo` of a certificate, as it stands there.
///
/// Only the way to it is looked at. A server's own certificate that matches a record by its key may be
/// odd in everything else.
// RFC 7671 s5.1: of a DANE-EE certificate nothing counts but what the record is compared with.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let signed = Element::first_of(Element::sequence(certificate)?.content)?;
    let first = Element::first_of(signed.content)?;
    let is_version = first.class == Class::ContextSpecific && first.tag == Tag(0);
    let mut rest = if is_version {
        first.rest
    } else {
        signed.content
    };
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        rest = Element::first_of(rest)?.rest;
    }
    Element::sequence(rest).map(|key| key.whole)
}

/// Whether octets are one certificate and nothing else, as far as [`public_key`] looks.
pub(super) fn is_certificate(octets: &[u8]) -> bool {
    octets.len() <= CERTIFICATE_OCTETS_MAX
        && Element::sequence(octets).is_some_and(|whole| whole.rest.is_empty())
        && public_key(octets).is_some()
}

/// Whether octets are one `SubjectPublicKeyInfo` and nothing else.
pub(super) fn is_public_key(octets: &[u8]) -> bool {
    octets.len() <= CERTIFICATE_OCTETS_MAX
        && SubjectPublicKeyInfo::from_der(octets).is_ok_and(|(rest, _)| rest.is_empty())
}

/// One element of DER, or of the BER that lenient software takes for it.
struct Element<'a> {
    class: Class,
    tag: Tag,
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first_of(octets: &'a [u8]) -> Option<Self> {
        let (rest, any) = Any::from_ber(octets).ok()?;
        let whole = octets.get(..octets.len().checked_sub(rest.len())?)?;
        Some(Self {
            class: any.class(),
            tag: any.tag(),
            whole,
            content: any.data,
            rest,
        })
    }

    fn sequence(octets: &'a [u8]) -> Option<Self> {
        Self::first_of(octets)
            .filter(|element| element.class == Class::Universal && element.tag == Tag::Sequence)
    }
}

/// From when to when a certificate is valid, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Dates {
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Dates {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self {
            not_before: Timestamp(validity.not_before.timestamp()),
            not_after: Timestamp(validity.not_after.timestamp()),
        }
    }

    pub(super) fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self::of(&certificate))
    }

    /// What is wrong with them at a moment.
    pub(super) fn trouble(self, at: Timestamp) -> Option<Trouble> {
        if at > self.not_after {
            Some(EXPIRED)
        } else if at < self.not_before {
            Some(NOT_YET_VALID)
        } else {
            None
        }
    }

    /// The moments that are within both; none where the result ends before it begins.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    /// The moment nearest to this one that is within them.
    pub(super) fn nearest(self, at: Timestamp) -> Option<Timestamp> {
        (self.not_before <= self.not_after).then(|| at.clamp(self.not_before, self.not_after))
    }
}

pub(super) const EXPIRED: Trouble = (ResultType::CertificateExpired, None);
pub(super) const NOT_YET_VALID: Trouble =
    (ResultType::CertificateNotTrusted, Some("not-yet-valid"));

/// An authority that a record of usage 2 names: what a chain may end at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Authority<'a> {
    /// Its name and its key, in the library's terms.
    pub(super) anchor: TrustAnchor<'a>,
    /// The dates of its certificate; a bare key has none.
    pub(super) dates: Option<Dates>,
    /// How many further authorities may stand between it and the server's certificate.
    pub(super) path_length: Option<u32>,
}

impl<'a> Authority<'a> {
    /// Reads a certificate; nothing where it is none, or where it may not sign others.
    pub(super) fn from_certificate(der: &'a [u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut path_length = None;
        match certificate.basic_constraints().ok()? {
            Some(constraints) if constraints.value.ca => {
                path_length = constraints.value.path_len_constraint;
            }
            // RFC 5280 s4.2.1.9: without the extension it is none. Roots from before there were
            // extensions are.
            None if certificate.version() == X509Version::V1 && is_self_issued(&certificate) => {}
            Some(_) | None => return None,
        }
        let may_sign = match certificate.key_usage().ok()? {
            Some(usage) => usage.value.key_cert_sign(),
            None => true,
        };
        // As rustls-webpki has it of every other certificate of the chain.
        let for_servers = match certificate.extended_key_usage().ok()? {
            Some(usage) => usage.value.server_auth,
            None => true,
        };
        if !may_sign || !for_servers {
            return None;
        }
        Some(Self {
            anchor: anchor_of(der)?,
            dates: Some(Dates::of(&certificate)),
            path_length,
        })
    }

    /// A key that goes by this name, which is the content of a `Name`.
    pub(super) fn from_key(public_key: &'a [u8], name: &'a [u8]) -> Option<Self> {
        let anchor = TrustAnchor {
            subject: name.into(),
            subject_public_key_info: Element::sequence(public_key)?.content.into(),
            name_constraints: None,
        };
        Some(Self {
            anchor,
            dates: None,
            path_length: None,
        })
    }

    /// Whether it has this name and this key.
    pub(super) fn has_key_of(&self, other: &TrustAnchor<'_>) -> bool {
        self.anchor.subject == other.subject
            && self.anchor.subject_public_key_info == other.subject_public_key_info
    }

    /// The same, kept.
    pub(super) fn to_owned(&self) -> Authority<'static> {
        Authority {
            anchor: self.anchor.to_owned(),
            dates: self.dates,
            path_length: self.path_length,
        }
    }

    /// The same, lent.
    pub(super) fn lend(&self) -> Authority<'_> {
        let anchor = &self.anchor;
        Authority {
            anchor: TrustAnchor {
                subject: anchor.subject.as_ref().into(),
                subject_public_key_info: anchor.subject_public_key_info.as_ref().into(),
                name_constraints: anchor
                    .name_constraints
                    .as_ref()
                    .map(|constraints| constraints.as_ref().into()),
            },
            dates: self.dates,
            path_length: self.path_length,
        }
    }
}

fn is_self_issued(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

/// The library's view of a certificate that is trusted because the DNS says so. It borrows from the
/// certificate, which the library's own function does not let out.
fn anchor_of(der: &[u8]) -> Option<TrustAnchor<'static>> {
    let der = CertificateDer::from(der);
    anchor_from_trusted_cert(&der)
        .ok()
        .map(|anchor| anchor.to_owned())
}
