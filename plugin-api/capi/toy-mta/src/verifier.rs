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

#[cfg(test)]
mod tests {
    use sealpost_kit::{Authority, Flaw, Leaf};
    use tokio::io::duplex;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    async fn handshake(roots: &Roots, strictness: Strictness, leaf: &Leaf) -> (bool, Seen) {
        let (server, client) = duplex(65_536);
        let check = roots.check(strictness).unwrap();
        let connector = TlsConnector::from(Arc::clone(&check.config));
        let acceptor = TlsAcceptor::from(leaf.server_config());
        let name = ServerName::try_from("mx.a.test").unwrap();
        let (client, _server) =
            tokio::join!(connector.connect(name, client), acceptor.accept(server));
        (client.is_ok(), check.seen())
    }

    #[tokio::test]
    async fn a_certificate_is_looked_at_in_any_case_and_enforced_on_demand() {
        let authority = Authority::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        fs::write(&file, authority.ca_pem()).unwrap();
        let roots = Roots::read(&file).unwrap();
        let good = authority.issue(&["mx.a.test"]).unwrap();
        let bad = authority
            .issue_flawed(&["mx.a.test"], Flaw::Expired)
            .unwrap();
        for (strictness, leaf, connected, passed) in [
            (Strictness::Enforce, &good, true, true),
            (Strictness::Observe, &good, true, true),
            (Strictness::Enforce, &bad, false, false),
            (Strictness::Observe, &bad, true, false),
        ] {
            let (is_up, seen) = handshake(&roots, strictness, leaf).await;
            assert_eq!(is_up, connected, "{strictness:?}");
            assert_eq!(seen.leaf_der.as_deref(), Some(leaf.der()));
            assert_eq!(seen.verdict.unwrap().is_ok(), passed, "{strictness:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        assert!(Roots::read(&file).is_err());
        fs::write(&file, "nothing of the kind").unwrap();
        let error = Roots::read(&file).err().unwrap().to_string();
        assert!(error.contains("ca.pem"), "{error}");
    }
}
