//! Certificate chains of every shape: authorities below authorities, any of them out of date, misnamed
//! or with a key of its own kind.
//!
//! No validity depends on today's date; see [`Validity`].

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
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
        let der = parameters.self_signed(&*key.0)?.der().to_vec();
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
        let der = parameters.signed_by(&*key.0, &issuer)?.der().to_vec();
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
