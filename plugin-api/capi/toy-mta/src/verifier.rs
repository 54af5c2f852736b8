//! The check of a mail host's certificate, which looks at it in any case and enforces it on demand.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// The certificates to trust mail hosts by.
pub(crate) struct Roots {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// Is a certificate that does not verify the end of the session?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// It is (MTA-STS `enforce`).
    Enforce,
    /// It is not, and is only noted.
    Observe,
}

/// What was seen of the server's certificate during a handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The server's own certificate, DER.
    pub(crate) leaf_der: Option<Vec<u8>>,
    /// What the check said; nothing where the handshake did not come so far.
    pub(crate) verdict: Option<Result<(), String>>,
}

/// One handshake's setting, and where what it sees is left.
pub(crate) struct Check {
    pub(crate) config: Arc<ClientConfig>,
    seen: Arc<Mutex<Seen>>,
}

impl Check {
    pub(crate) fn seen(&self) -> Seen {
        hold(&self.seen).clone()
    }
}

impl Roots {
    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let pem = fs::read(file).map_err(|error: io::Error| named(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|error| named(&error))?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| named(&error))?;
        Ok(Self { verifier, provider })
    }

    /// A check for one handshake. TLS 1.2 and 1.3 (RFC 8461 s7.2).
    pub(crate) fn check(&self, strictness: Strictness) -> Result<Check, Error> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noting = NotingVerifier {
            verifier: Arc::clone(&self.verifier),
            strictness,
            seen: Arc::clone(&seen),
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(noting))
            .with_no_client_auth();
        Ok(Check {
            config: Arc::new(config),
            seen,
        })
    }
}

#[derive(Debug)]
struct NotingVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    strictness: Strictness,
    seen: Arc<Mutex<Seen>>,
}

impl ServerCertVerifier for NotingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let mut seen = hold(&self.seen);
        seen.leaf_der = Some(end_entity.to_vec());
        let noted = verdict.as_ref().map(|_| ()).map_err(ToString::to_string);
        seen.verdict = Some(noted);
        match self.strictness {
            Strictness::Enforce => verdict,
            Strictness::Observe => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
