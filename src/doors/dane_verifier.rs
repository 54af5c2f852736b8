//! For Rust MTAs that use rustls: the certificate check of a handshake, by what was demanded.
//!
//! A host asks for the requirement of an MX host, makes a verifier of it and connects. A server whose
//! certificates do not satisfy the requirement is turned away within the handshake, and
//! [`DaneVerifier::why`] finds the reason in the error.
//!
//! ```no_run
//! use std::sync::Arc;
//! use sealpost::doors::dane_verifier::DaneVerifier;
//! # fn connect(requirement: &sealpost_plugin_api::Requirement) -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Arc::new(DaneVerifier::for_requirement(requirement)?);
//! let name = verifier.server_name().ok_or("no name to ask for")?;
//! let connection = rustls::ClientConnection::new(Arc::new(verifier.client_config()?), name)?;
//! # Ok(()) }
//! ```

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sealpost_plugin_api::{Level, Requirement, ResultType};

use crate::{
    clock::Timestamp,
    policy::{
        MxHost, NameError,
        dane::{NotJudged, TlsaPolicy, TlsaRecord, TlsaSet, Verdict, verify},
        handshake_signature,
    },
};

/// Checks a server's certificates by the TLSA records that were demanded of it.
///
/// A resumed session is not checked again: a [`ClientConfig`] is for one verifier, and is not to be
/// used on when the requirement is another.
#[derive(Debug)]
pub struct DaneVerifier {
    demand: Demand,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Demand {
    /// TLS, and nothing of the certificate.
    Any,
    /// A certificate that matches a record.
    Records(Arc<TlsaPolicy>),
}

/// Why no verifier can be made of a requirement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotForDane {
    /// It demands a public authority's certificate (MTA-STS): rustls' own verifier is for that.
    #[error("a certificate of a public authority is demanded, not DANE")]
    PublicAuthority,
    /// Nothing may be delivered there now.
    #[error("nothing may be delivered there")]
    NoDelivery,
    /// The host asked about a domain and must ask about its MX host.
    #[error("the answer is about a domain: ask about the MX host")]
    NoHost,
    /// A name in it is none, or there is none: it does not come from Sealpost.
    #[error("a name to check for cannot be used: {0}")]
    Name(#[from] NameError),
    /// None of its records can be used: it does not come from Sealpost.
    #[error("none of the TLSA records can be used")]
    NoneUsable,
}

/// The server's certificates match no TLSA record as they must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DANE: the certificates do not satisfy the TLSA records of {base}: {}", self.in_words())]
pub struct Mismatch {
    /// The TLSA base domain.
    pub base: MxHost,
    /// The result types and reason codes, as the report will have them; at least one.
    pub troubles: Vec<(ResultType, Option<&'static str>)>,
}

/// Whether the server's certificates match a TLSA record cannot be told here; so they do not count as ones
/// that do. Nothing is known against the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("DANE: the certificates cannot be held against the TLSA records of {base}: {why}")]
pub struct Unjudged {
    /// The TLSA base domain.
    pub base: MxHost,
    /// What is not known here.
    pub why: NotJudged,
}

impl Mismatch {
    fn in_words(&self) -> String {
        let troubles = self.troubles.iter();
        let words = troubles.map(|(result, reason)| match reason {
            Some(reason) => format!("{result} ({reason})"),
            None => result.to_string(),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

impl DaneVerifier {
    /// A verifier of what was demanded of an MX host. Where TLS is all that is demanded, or what is found
    /// is only to be reported ([`Requirement::audit`]), it takes any certificate.
    ///
    /// # Errors
    /// When something else than DANE is demanded.
    pub fn for_requirement(requirement: &Requirement) -> Result<Self, NotForDane> {
        let (tlsa, name, names) = match &requirement.level {
            Level::RefuseMx | Level::Defer => return Err(NotForDane::NoDelivery),
            _ if requirement.audit => return Ok(Self::of(Demand::Any)),
            Level::May | Level::Encrypt => return Ok(Self::of(Demand::Any)),
            Level::Dane { tlsa, name, names } => (tlsa, name, names),
            // RFC 8461 s4.2; and what a later release may demand is not ours to lower.
            _ => return Err(NotForDane::PublicAuthority),
        };
        if tlsa.is_empty() && name.is_none() {
            return Err(NotForDane::NoHost);
        }
        let base = name.as_deref().unwrap_or_default().parse()?;
        let names = names.iter().map(|name| name.parse());
        let names = names.collect::<Result<Vec<MxHost>, NameError>>()?;
        let records = tlsa.iter().map(|record| TlsaRecord {
            usage: record.usage,
            selector: record.selector,
            matching: record.matching,
            association: record.data.clone(),
        });
        let policy = TlsaPolicy::new(base, TlsaSet::new(records.collect()), &names);
        if policy.set.has_usable() {
            Ok(Self::for_records(Arc::new(policy)))
        } else {
            Err(NotForDane::NoneUsable)
        }
    }

    /// A verifier of secure TLSA records. Where none of them can be used it takes any certificate (RFC
    /// 7672 s2.2).
    #[must_use]
    pub fn for_records(records: Arc<TlsaPolicy>) -> Self {
        Self::of(Demand::Records(records))
    }

    fn of(demand: Demand) -> Self {
        Self {
            demand,
            provider: Arc::new(ring::default_provider()),
        }
    }

    /// The name to connect with: the TLSA base domain (RFC 7672 s8.1). None where any certificate will
    /// do; then it is the MX host.
    #[must_use]
    pub fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.demand {
            Demand::Any => None,
            Demand::Records(records) => ServerName::try_from(records.base.to_string()).ok(),
        }
    }

    /// A client's settings with this verifier: TLS 1.2 and 1.3, no certificate of our own.
    ///
    /// # Errors
    /// When the TLS library refuses its own defaults.
    pub fn client_config(self: Arc<Self>) -> Result<ClientConfig, Error> {
        let provider = Arc::clone(&self.provider);
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self)
            .with_no_client_auth())
    }

    /// Why a handshake failed, where it was this check that found against the server: found in the error of
    /// rustls, or in that of the stream which carries it. An [`Unjudged`] handshake fails too, and says
    /// nothing against the server.
    #[must_use]
    pub fn why<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Mismatch> {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let within: &(dyn StdError + 'static) = error.get_ref()?;
            return Self::why(within);
        }
        match error.downcast_ref::<Error>() {
            Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other)))) => {
                other.downcast_ref()
            }
            Some(_) => None,
            None => error.source().and_then(Self::why),
        }
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Demand::Records(records) = &self.demand else {
            return Ok(ServerCertVerified::assertion());
        };
        let chain: Vec<&[u8]> = std::iter::once(own)
            .chain(others)
            .map(AsRef::as_ref)
            .collect();
        let at = Timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        match verify(records, &chain, at) {
            Verdict::Matched(_) | Verdict::NoneUsable => Ok(ServerCertVerified::assertion()),
            Verdict::Failed(troubles) => {
                let mismatch = Mismatch {
                    base: records.base.clone(),
                    troubles,
                };
                let other = OtherError(Arc::new(mismatch));
                Err(CertificateError::Other(other).into())
            }
            Verdict::NotJudged(why) => {
                let unjudged = Unjudged {
                    base: records.base.clone(),
                    why,
                };
                let other = OtherError(Arc::new(unjudged));
                Err(CertificateError::Other(other).into())
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        handshake_signature::verify_tls12(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        handshake_signature::verify_tls13(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
