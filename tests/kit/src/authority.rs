//! A private certificate authority, and the certificates a sender must not trust.
//!
//! No validity depends on today's date: what is valid is so from 1975 to 4096, what has expired did
//! so in 2001, and what is not yet valid begins in 4000.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use crate::Certified;

/// A certificate authority that whoever is tested is told to trust, and a second one that nobody
/// trusts.
pub struct Authority {
    trusted: Root,
    unknown: Root,
}

/// The machine gave no random numbers, or the caller named a host that is no DNS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate could be made: {0}")]
pub struct AuthorityError(String);

impl AuthorityError {
    pub(crate) fn new(error: &dyn std::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rustls::Error> for AuthorityError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It was valid from 1975 to 2001.
    Expired,
    /// It is valid from 4000 on.
    NotYetValid,
    /// It is signed by its own key.
    SelfSigned,
    /// It is signed by an authority that nobody trusts.
    UnknownAuthority,
    /// The name stands in the subject's common name only, and there is no subjectAltName.
    CommonNameOnly,
    /// It is good, but for `wrong-name.invalid`.
    WrongName,
}

/// A server's certificate and key.
#[derive(Clone)]
pub struct Leaf {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    private_key_pem: String,
    public_key_sha256: [u8; 32],
    server_config: Arc<ServerConfig>,
    /// The same for a host that speaks one version of TLS only.
    one_version: [Arc<ServerConfig>; 2],
}

impl fmt::Debug for Leaf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leaf").finish_non_exhaustive()
    }
}

impl Leaf {
    /// A certificate of whatever shape, shown alone: also one that rustls would not take from a server of its
    /// own.
    ///
    /// # Errors
    /// rustls takes no such key.
    pub fn of(certified: &Certified) -> Result<Self, AuthorityError> {
        let provider = rustls::crypto::ring::default_provider();
        let private_key = certified.key().private_der();
        let private_key_pem = pem("PRIVATE KEY", private_key.secret_der());
        let key = provider.key_provider.load_private_key(private_key)?;
        let certificate = CertificateDer::from(certified.der().to_vec());
        let shown = CertifiedKey::new(vec![certificate.clone()], key);
        let mut public_key_sha256 = [0; 32];
        let digested = digest(&SHA256, &certified.key().public_der());
        public_key_sha256.copy_from_slice(digested.as_ref());
        let provider = Arc::new(provider);
        let resolver = Arc::new(SingleCertAndKey::from(shown));
        let config = |versions: &[&'static SupportedProtocolVersion]| {
            let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(&resolver) as _);
            Ok::<_, AuthorityError>(Arc::new(server))
        };
        Ok(Self {
            certificate_pem: pem("CERTIFICATE", &certificate),
            certificate,
            private_key_pem,
            public_key_sha256,
            server_config: config(&[&TLS12, &TLS13])?,
            one_version: [config(&[&TLS12])?, config(&[&TLS13])?],
        })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate and its private key (PKCS #8), PEM, one behind the other: what a mail server
    /// of the test's own is given.
    #[must_use]
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.private_key_pem)
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo`: what a TLSA record `3 1 1` holds.
    #[must_use]
    pub fn public_key_sha256(&self) -> [u8; 32] {
        self.public_key_sha256
    }

    /// The same certificate on a host that speaks TLS 1.2 only.
    #[must_use]
    pub fn by_tls_1_2(mut self) -> Self {
        self.server_config = Arc::clone(&self.one_version[0]);
        self
    }

    /// The same certificate on a host that speaks TLS 1.3 only.
    #[must_use]
    pub fn by_tls_1_3(mut self) -> Self {
        self.server_config = Arc::clone(&self.one_version[1]);
        self
    }

    /// The setting of a TLS server (1.2 and 1.3, unless it was told one) that shows this certificate whatever SNI says.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
        STANDARD.encode(der)
    )
}

impl Authority {
    /// A new authority with new keys.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn new() -> Result<Self, AuthorityError> {
        Ok(Self {
            trusted: Root::new("Sealpost Kit Root")?,
            unknown: Root::new("Unknown Root")?,
        })
    }

    /// The root that is to be trusted, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.trusted.certificate.pem()
    }

    /// The root that is to be trusted, DER.
    #[must_use]
    pub fn ca_der(&self) -> CertificateDer<'static> {
        self.trusted.certificate.der().clone()
    }

    /// A good certificate for these names; `*.` at the front of one makes it a wildcard.
    ///
    /// # Errors
    /// A name is no DNS name.
    pub fn issue(&self, names: &[&str]) -> Result<Leaf, AuthorityError> {
        self.trusted.sign(&leaf_parameters(names)?)
    }

    /// A certificate for these names with one flaw, and otherwise good.
    ///
    /// # Errors
    /// A name is no DNS name.
    pub fn issue_flawed(&self, names: &[&str], flaw: Flaw) -> Result<Leaf, AuthorityError> {
        let mut parameters = leaf_parameters(names)?;
        match flaw {
            Flaw::Expired => parameters.not_after = date_time_ymd(2001, 1, 1),
            Flaw::NotYetValid => parameters.not_before = date_time_ymd(4000, 1, 1),
            Flaw::CommonNameOnly => parameters.subject_alt_names.clear(),
            Flaw::WrongName => parameters = leaf_parameters(&["wrong-name.invalid"])?,
            Flaw::UnknownAuthority => return self.unknown.sign(&parameters),
            Flaw::SelfSigned => {
                let key = KeyPair::generate()?;
                let certificate = parameters.self_signed(&key)?;
                return leaf(&certificate, &key, &[]);
            }
        }
        self.trusted.sign(&parameters)
    }
}

struct Root {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    fn new(common_name: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = distinguished_name(common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_wide_validity(&mut parameters);
        let certificate = parameters.self_signed(&key)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(parameters, key),
        })
    }

    fn sign(&self, parameters: &CertificateParams) -> Result<Leaf, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        // As many servers do, though nobody needs the root from them; DANE-TA does.
        leaf(&certificate, &key, &[self.certificate.der().clone()])
    }
}

fn leaf_parameters(names: &[&str]) -> Result<CertificateParams, AuthorityError> {
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(owned)?;
    parameters.distinguished_name = distinguished_name(names.first().unwrap_or(&"nobody"));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    set_wide_validity(&mut parameters);
    Ok(parameters)
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_wide_validity(parameters: &mut CertificateParams) {
    parameters.not_before = date_time_ymd(1975, 1, 1);
    parameters.not_after = date_time_ymd(4096, 1, 1);
}

fn leaf(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    above: &[CertificateDer<'static>],
) -> Result<Leaf, AuthorityError> {
    let der = certificate.der().clone();
    let private_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut public_key_sha256 = [0; 32];
    let computed = digest(&SHA256, &key.subject_public_key_info());
    for (octet, computed) in public_key_sha256.iter_mut().zip(computed.as_ref()) {
        *octet = *computed;
    }
    let chain = [std::slice::from_ref(&der), above].concat();
    let config = |versions: &[&'static SupportedProtocolVersion]| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), private_key.clone_key())
            .map(Arc::new)
    };
    let server_config = config(&[&TLS12, &TLS13])?;
    let one_version = [config(&[&TLS12])?, config(&[&TLS13])?];
    Ok(Leaf {
        certificate: der,
        certificate_pem: certificate.pem(),
        private_key_pem: key.serialize_pem(),
        public_key_sha256,
        server_config,
        one_version,
    })
}

#[cfg(test)]
impl Authority {
    /// A TLS client that trusts this authority and nobody else.
    pub(crate) fn client(&self) -> tokio_rustls::TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config).into()
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        CertificateError, Error, RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        pki_types::{ServerName, UnixTime},
    };

    use super::*;

    /// 2033-05-18, so that the test does not depend on today's date.
    const NOW: u64 = 2_000_000_000;

    fn verify(authority: &Authority, leaf: &Leaf, name: &str) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.ca_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
        verifier
            .verify_server_cert(&leaf.certificate, &[], &name, &[], now)
            .map(|_| ())
    }

    #[test]
    fn good_certificates_verify() {
        let authority = Authority::new().unwrap();
        let leaf = authority.issue(&["mx.a.test", "*.b.test"]).unwrap();
        assert_eq!(verify(&authority, &leaf, "mx.a.test"), Ok(()));
        assert_eq!(verify(&authority, &leaf, "mx.b.test"), Ok(()));
        assert!(verify(&authority, &leaf, "mx.c.test").is_err());
    }

    #[test]
    fn the_key_that_a_record_names_is_the_one_in_the_certificate() {
        let authority = Authority::new().unwrap();
        let leaf = authority.issue(&["mx.a.test"]).unwrap();
        // ecPublicKey, prime256v1, and a BIT STRING: how every such key begins in DER.
        let header = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let der = leaf.der();
        let start = der
            .windows(header.len())
            .position(|window| window == header)
            .unwrap();
        let computed = digest(&SHA256, &der[start..start + header.len() + 65]);
        assert_eq!(leaf.public_key_sha256(), computed.as_ref());
        let pem = leaf.pem();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
        assert!(pem.contains("-----BEGIN PRIVATE KEY-----"), "{pem}");
    }

    #[test]
    fn each_flaw_is_seen_for_what_it_is() {
        let authority = Authority::new().unwrap();
        let error_of = |flaw| {
            let leaf = authority.issue_flawed(&["mx.a.test"], flaw).unwrap();
            match verify(&authority, &leaf, "mx.a.test") {
                Err(Error::InvalidCertificate(error)) => error,
                other => panic!("{flaw:?}: {other:?}"),
            }
        };
        assert!(matches!(
            error_of(Flaw::Expired),
            CertificateError::ExpiredContext { .. }
        ));
        assert!(matches!(
            error_of(Flaw::NotYetValid),
            CertificateError::NotValidYetContext { .. }
        ));
        assert_eq!(error_of(Flaw::SelfSigned), CertificateError::UnknownIssuer);
        assert_eq!(
            error_of(Flaw::UnknownAuthority),
            CertificateError::UnknownIssuer
        );
        for flaw in [Flaw::CommonNameOnly, Flaw::WrongName] {
            assert!(
                matches!(
                    error_of(flaw),
                    CertificateError::NotValidForNameContext { .. }
                ),
                "{flaw:?}"
            );
        }
    }
}
