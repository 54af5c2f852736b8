//! What DANE reads of an authority's certificate: its name and key, its dates, and what it may sign.

use rustls::pki_types::{CertificateDer, TrustAnchor};
use sealpost_plugin_api::ResultType;
use webpki::{EndEntityCert, Error, anchor_from_trusted_cert};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, x509::X509Version};

use super::{constraints::Constraints, verdict::Trouble};
use crate::{clock::Timestamp, policy::certificate::sequence_content};

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
    /// What names it may speak for; any where there are none.
    pub(super) constraints: Option<Constraints>,
    /// Whether its certificate has a critical extension that rustls-webpki does not know, which of an
    /// authority it does not mind.
    pub(super) has_unknown_extension: bool,
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
        // As rustls-webpki has it of every other certificate of the chain.
        let for_servers = match certificate.extended_key_usage().ok()? {
            Some(usage) => usage.value.server_auth,
            None => true,
        };
        if !may_sign(&certificate) || !for_servers {
            return None;
        }
        Some(Self {
            anchor: anchor_of(der)?,
            dates: Some(Dates::of(&certificate)),
            path_length,
            constraints: Constraints::of(&certificate),
            has_unknown_extension: has_unknown_extension(der),
        })
    }

    /// A key that goes by this name, which is the content of a `Name`.
    pub(super) fn from_key(public_key: &'a [u8], name: &'a [u8]) -> Option<Self> {
        let anchor = TrustAnchor {
            subject: name.into(),
            subject_public_key_info: sequence_content(public_key)?.into(),
            name_constraints: None,
        };
        Some(Self {
            anchor,
            dates: None,
            path_length: None,
            constraints: None,
            has_unknown_extension: false,
        })
    }

    /// The same, kept.
    pub(super) fn to_owned(&self) -> Authority<'static> {
        Authority {
            anchor: self.anchor.to_owned(),
            dates: self.dates,
            path_length: self.path_length,
            constraints: self.constraints.clone(),
            has_unknown_extension: self.has_unknown_extension,
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
            constraints: self.constraints.clone(),
            has_unknown_extension: self.has_unknown_extension,
        }
    }
}

/// Whether a certificate's key may sign others, by what its own extension says.
// RFC 5280 s6.1.4(n): where there is a key usage, it must say so. rustls-webpki does not look at it.
pub(super) fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    }
}

// RFC 5280 s4.2: a certificate with a critical extension that is not known must not be used.
fn has_unknown_extension(der: &[u8]) -> bool {
    let der = CertificateDer::from(der);
    let read = EndEntityCert::try_from(&der);
    matches!(read, Err(Error::UnsupportedCriticalExtension))
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
