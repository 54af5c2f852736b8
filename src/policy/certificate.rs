//! The parts of a certificate as they stand there, however odd the rest of it is.
//!
//! Only the way to them is looked at. It is held to DER and to its tags, so that whatever TLS library
//! reads the same certificate finds the same parts in it.

use x509_parser::{
    asn1_rs::{Any, Class, Tag},
    prelude::{FromDer as _, SubjectPublicKeyInfo},
};

/// The longest certificate that is looked at, in octets of DER.
pub const CERTIFICATE_OCTETS_MAX: usize = 32_768;

/// What a certificate is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Who signed it: the content of the `Name`.
    pub issuer: &'a [u8],
    /// Whose it is: the content of the `Name`.
    pub subject: &'a [u8],
    /// Its `SubjectPublicKeyInfo`, whole.
    pub public_key: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Finds them. What stands behind the key may be anything.
    #[must_use]
    pub fn of(certificate: &'a [u8]) -> Option<Self> {
        let signed = Element::tagged(
            Element::tagged(certificate, Tag::Sequence)?.content,
            Tag::Sequence,
        )?;
        let first = Element::first_of(signed.content)?;
        let is_version = first.class == Class::ContextSpecific && first.tag == Tag(0);
        let rest = if is_version {
            first.rest
        } else {
            signed.content
        };
        let serial = Element::tagged(rest, Tag::Integer)?;
        let algorithm = Element::tagged(serial.rest, Tag::Sequence)?;
        let issuer = Element::tagged(algorithm.rest, Tag::Sequence)?;
        let validity = Element::tagged(issuer.rest, Tag::Sequence)?;
        let subject = Element::tagged(validity.rest, Tag::Sequence)?;
        let key = Element::tagged(subject.rest, Tag::Sequence)?;
        Some(Self {
            issuer: issuer.content,
            subject: subject.content,
            public_key: key.whole,
        })
    }
}

/// The `SubjectPublicKeyInfo` of a certificate.
// RFC 7671 s5.1: of a DANE-EE certificate nothing counts but what the record is compared with.
#[must_use]
pub fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    Parts::of(certificate).map(|parts| parts.public_key)
}

/// Whether octets are one certificate and nothing else, as far as [`Parts`] looks.
#[must_use]
pub fn is_certificate(octets: &[u8]) -> bool {
    octets.len() <= CERTIFICATE_OCTETS_MAX
        && Element::tagged(octets, Tag::Sequence).is_some_and(|whole| whole.rest.is_empty())
        && Parts::of(octets).is_some()
}

/// Whether octets are one `SubjectPublicKeyInfo` and nothing else.
#[must_use]
pub fn is_public_key(octets: &[u8]) -> bool {
    octets.len() <= CERTIFICATE_OCTETS_MAX
        && SubjectPublicKeyInfo::from_der(octets).is_ok_and(|(rest, _)| rest.is_empty())
}

/// What is within a `SEQUENCE`.
#[must_use]
pub fn sequence_content(der: &[u8]) -> Option<&[u8]> {
    Element::tagged(der, Tag::Sequence).map(|element| element.content)
}

/// One element of DER.
struct Element<'a> {
    class: Class,
    tag: Tag,
    whole: &'a [u8],
    content: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first_of(octets: &'a [u8]) -> Option<Self> {
        let (rest, any) = Any::from_der(octets).ok()?;
        let whole = octets.get(..octets.len().checked_sub(rest.len())?)?;
        Some(Self {
            class: any.class(),
            tag: any.tag(),
            whole,
            content: any.data,
            rest,
        })
    }

    fn tagged(octets: &'a [u8], tag: Tag) -> Option<Self> {
        Self::first_of(octets)
            .filter(|element| element.class == Class::Universal && element.tag == tag)
    }
}
