//! Certificate chains of every shape: authorities below authorities, any of them out of date, misnamed
//! or with a key of its own kind.
//!
//! No validity depends on today's date; see [`Validity`].

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P384_SHA384, PublicKeyData as _, SigningKey as _, date_time_ymd,
};
use ring::digest::{SHA256, SHA512, digest};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{AuthorityError, Tlsa};

/// A private key, which may be that of many certificates.
#[derive(Clone, Debug)]
pub struct CertificateKey(Arc<KeyPair>);

impl CertificateKey {
    /// A new key: ECDSA over P-256.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn ecdsa() -> Result<Self, AuthorityError> {
        Ok(Self(Arc::new(KeyPair::generate()?)))
    }

    /// A new key: ECDSA over P-384.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn ecdsa_p384() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        Ok(Self(Arc::new(key)))
    }

    /// A new key: RSA of 2048 bits. It takes a while.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn rsa() -> Result<Self, AuthorityError> {
        let failed = |error: &dyn std::error::Error| AuthorityError::new(error);
        let key =
            RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|error| failed(&error))?;
        let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(KeyPair::try_from(der.as_bytes())?)))
    }

    /// PKCS #8.
    #[must_use]
    pub fn private_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der()).into()
    }

    /// Its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }
}

/// What is to stand in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The common name of its subject.
    pub common_name: String,
    /// The DNS names among its alternative names.
    pub dns_names: Vec<String>,
    /// What it may be used for.
    pub purpose: Purpose,
    /// When it is valid.
    pub validity: Validity,
    /// The DNS names below which it may speak, as an authority; any where there are none.
    pub permitted: Vec<String>,
    /// The DNS names below which it may not.
    pub excluded: Vec<String>,
    /// What its extensions say otherwise than its purpose.
    pub oddity: Option<Oddity>,
}

/// An extension that does not go with a certificate's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// No key usage at all.
    NoKeyUsage,
    /// A key usage of digital signatures only.
    OnlySigns,
    /// A key usage of the signing of certificates only.
    OnlyCertifies,
    /// An extended key usage of TLS servers only.
    ForServers,
    /// An extended key usage of TLS clients only.
    ForClients,
    /// A critical extension that nobody knows.
    CriticalExtension,
    /// No version and no extensions: X.509 version 1.
    VersionOne,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// By a server.
    Server,
    /// To sign others, with no more than so many further authorities below it.
    Authority(Option<u8>),
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From 1975 to 4096.
    Now,
    /// From 1975 to 2001.
    Past,
    /// From 4000 to 4096.
    Future,
}

impl Wish {
    /// A server's certificate with these names. The first is the common name too.
    #[must_use]
    pub fn server(dns_names: &[&str]) -> Self {
        Self {
            common_name: (*dns_names.first().unwrap_or(&"nobody")).to_owned(),
            dns_names: dns_names.iter().map(|name| (*name).to_owned()).collect(),
            purpose: Purpose::Server,
            validity: Validity::Now,
            permitted: Vec::new(),
            excluded: Vec::new(),
            oddity: None,
        }
    }

    /// An authority's certificate.
    #[must_use]
    pub fn authority(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            dns_names: Vec::new(),
            purpose: Purpose::Authority(None),
            validity: Validity::Now,
            permitted: Vec::new(),
            excluded: Vec::new(),
            oddity: None,
        }
    }

    /// The same, valid at another time.
    #[must_use]
    pub const fn valid(mut self, validity: Validity) -> Self {
        self.validity = validity;
        self
    }

    /// The same, for another purpose.
    #[must_use]
    pub const fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// The same, with an oddity.
    #[must_use]
    pub const fn odd(mut self, oddity: Oddity) -> Self {
        self.oddity = Some(oddity);
        self
    }

    /// The same, of an authority that may speak below this name only.
    #[must_use]
    pub fn permitting(mut self, name: &str) -> Self {
        self.permitted.push(name.to_owned());
        self
    }

    /// The same, of an authority that may not speak below this name.
    #[must_use]
    pub fn excluding(mut self, name: &str) -> Self {
        self.excluded.push(name.to_owned());
        self
    }

    /// The same, with a common name and no alternative names.
    #[must_use]
    pub fn common_name_only(mut self, name: &str) -> Self {
        name.clone_into(&mut self.common_name);
        self.dns_names.clear();
        self
    }

    fn parameters(&self) -> Result<CertificateParams, AuthorityError> {
        let mut parameters = CertificateParams::new(self.dns_names.clone())?;
        parameters.distinguished_name = DistinguishedName::new();
        let name = self.common_name.as_str();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.use_authority_key_identifier_extension = true;
        match self.purpose {
            Purpose::Server => {
                parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Purpose::Authority(path_length) => {
                let constraints = match path_length {
                    None => BasicConstraints::Unconstrained,
                    Some(length) => BasicConstraints::Constrained(length),
                };
                parameters.is_ca = IsCa::Ca(constraints);
                parameters.key_usages = vec![
                    KeyUsagePurpose::DigitalSignature,
                    KeyUsagePurpose::KeyCertSign,
                ];
            }
        }
        if !self.permitted.is_empty() || !self.excluded.is_empty() {
            let subtrees = |names: &[String]| {
                let names = names.iter().cloned();
                names.map(GeneralSubtree::DnsName).collect()
            };
            parameters.name_constraints = Some(NameConstraints {
                permitted_subtrees: subtrees(&self.permitted),
                excluded_subtrees: subtrees(&self.excluded),
            });
        }
        if let Some(oddity) = self.oddity {
            oddity.apply(&mut parameters);
        }
        let (from, to) = match self.validity {
            Validity::Now => (1975, 4096),
            Validity::Past => (1975, 2001),
            Validity::Future => (4000, 4096),
        };
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        Ok(parameters)
    }
}

impl Oddity {
    fn apply(self, parameters: &mut CertificateParams) {
        match self {
            Self::NoKeyUsage => parameters.key_usages.clear(),
            Self::OnlySigns => parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature],
            Self::OnlyCertifies => parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign],
            Self::ForServers => {
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Self::ForClients => {
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
            Self::CriticalExtension => {
                // NULL, below an arc that is for examples (RFC 5612 has 32473).
                let identifier = [1, 3, 6, 1, 4, 1, 32_473, 1];
                let mut extension =
                    CustomExtension::from_oid_content(&identifier, vec![0x05, 0x00]);
                extension.set_criticality(true);
                parameters.custom_extensions.push(extension);
            }
            // Made of the whole certificate.
            Self::VersionOne => {}
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Certified {
    parameters: CertificateParams,
    common_name: String,
    der: Vec<u8>,
    key: CertificateKey,
}

impl Certified {
    /// A certificate that is signed by its own key.
    ///
    /// # Errors
    /// A name is no DNS name.
    pub fn self_signed(wish: &Wish, key: &CertificateKey) -> Result<Self, AuthorityError> {
        let parameters = wish.parameters()?;
        let mut der = parameters.self_signed(&*key.0)?.der().to_vec();
        if wish.oddity == Some(Oddity::VersionOne) {
            der = version_one(&der, &key.0)?;
        }
        Ok(Self {
            parameters,
            common_name: wish.common_name.clone(),
            der,
            key: key.clone(),
        })
    }

    /// A certificate that this one signs, whether or not it may.
    ///
    /// # Errors
    /// A name is no DNS name.
    pub fn issue(&self, wish: &Wish, key: &CertificateKey) -> Result<Self, AuthorityError> {
        let parameters = wish.parameters()?;
        let issuer = Issuer::from_params(&self.parameters, &*self.key.0);
        let mut der = parameters.signed_by(&*key.0, &issuer)?.der().to_vec();
        if wish.oddity == Some(Oddity::VersionOne) {
            der = version_one(&der, &self.key.0)?;
        }
        Ok(Self {
            parameters,
            common_name: wish.common_name.clone(),
            der,
            key: key.clone(),
        })
    }

    /// DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The common name of its subject.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> &CertificateKey {
        &self.key
    }

    /// The same certificate in the hands of who has another key.
    #[must_use]
    pub fn with_another_key(&self, key: &CertificateKey) -> Self {
        Self {
            key: key.clone(),
            ..self.clone()
        }
    }

    /// The TLSA record of this kind that it matches. A matching type that does not exist is as 0.
    #[must_use]
    pub fn tlsa(&self, usage: u8, selector: u8, matching: u8) -> Tlsa {
        let part = match selector {
            0 => self.der.clone(),
            _ => self.key.public_der(),
        };
        let data = match matching {
            1 => digest(&SHA256, &part).as_ref().to_vec(),
            2 => digest(&SHA512, &part).as_ref().to_vec(),
            _ => part,
        };
        Tlsa {
            usage,
            selector,
            matching,
            data,
        }
    }
}

/// The same certificate without its version and its extensions, signed anew.
fn version_one(der: &[u8], signer: &KeyPair) -> Result<Vec<u8>, AuthorityError> {
    let read = || {
        let [signed, algorithm, _signature] = elements(content(der)?)?.try_into().ok()?;
        let parts = elements(content(signed)?)?;
        let (_version, parts) = parts.split_first()?;
        let (_extensions, parts) = parts.split_last()?;
        Some((sequence(&parts.concat()), algorithm.to_vec()))
    };
    let (signed, algorithm) =
        read().ok_or_else(|| AuthorityError::new(&io::Error::other("no certificate")))?;
    let mut bits = vec![0];
    bits.extend(signer.sign(&signed)?);
    Ok(sequence(&[signed, algorithm, tagged(0x03, &bits)].concat()))
}

/// The elements of DER that stand one after the other.
fn elements(mut octets: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        let (header, length) = header(octets)?;
        let (element, rest) = octets.split_at_checked(header + length)?;
        found.push(element);
        octets = rest;
    }
    Some(found)
}

fn content(element: &[u8]) -> Option<&[u8]> {
    let (header, length) = header(element)?;
    element.get(header..header + length)
}

/// How long an element's header is, and how long its content.
fn header(element: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*element.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let octets = element.get(2..2 + (first & 0x7F))?;
    let length = octets
        .iter()
        .fold(0, |length, octet| length << 8 | usize::from(*octet));
    Some((2 + octets.len(), length))
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|octet| **octet == 0).count();
    let length = length.get(zeros..).unwrap_or_default();
    let mut element = vec![tag];
    match content.len() {
        short @ ..0x80 => element.push(u8::try_from(short).unwrap_or(0)),
        _ => {
            element.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            element.extend_from_slice(length);
        }
    }
    element.extend_from_slice(content);
    element
}
