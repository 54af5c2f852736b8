//! The check of a mail host's certificate, which looks at it in any case and enforces on demand: what
//! the roots say of it, or what a judge says of it by TLSA records.

use std::{
    fmt, fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

use crate::library::NotPassed;

/// The certificates to trust mail hosts by.
pub(crate) struct Roots {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// Whoever knows the TLSA records.
pub(crate) trait Judge: Send + Sync {
    /// What the certificates satisfy, the server's own first; or why they do not.
    fn judge(&self, chain_der: &[&[u8]]) -> Result<String, NotPassed>;
}

/// Is a certificate that does not verify the end of the session?
#[derive(Clone)]
pub(crate) enum Strictness {
    /// It is (MTA-STS `enforce`).
    Enforce,
    /// It is where this judge says so (DANE); the roots play no part.
    Dane(Arc<dyn Judge>),
    /// It is not, and is only noted.
    Observe,
}

impl fmt::Debug for Strictness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Enforce => "Enforce",
            Self::Dane(_) => "Dane",
            Self::Observe => "Observe",
        })
    }
}

/// What was seen of the server's certificate during a handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The server's certificates, DER, its own first; none where the handshake did not come so far.
    pub(crate) chain_der: Vec<Vec<u8>>,
    /// What the check against the roots said.
    pub(crate) verdict: Option<Result<(), String>>,
    /// What the judge said, where there is one.
    pub(crate) dane: Option<Result<String, NotPassed>>,
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
        let named = |error: &dyn fmt::Display| format!("{}: {error}", file.display());
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
        let chain: Vec<&[u8]> = std::iter::once(end_entity)
            .chain(intermediates)
            .map(AsRef::as_ref)
            .collect();
        let dane = match &self.strictness {
            Strictness::Dane(judge) => Some(judge.judge(&chain)),
            Strictness::Enforce | Strictness::Observe => None,
        };
        let mut seen = hold(&self.seen);
        seen.chain_der = chain.iter().map(|der| der.to_vec()).collect();
        let noted = verdict.as_ref().map(|_| ()).map_err(ToString::to_string);
        seen.verdict = Some(noted);
        seen.dane.clone_from(&dane);
        match (&self.strictness, dane) {
            (Strictness::Enforce, _) => verdict,
            (Strictness::Dane(_), Some(Ok(_))) | (Strictness::Observe, _) => {
                Ok(ServerCertVerified::assertion())
            }
            (Strictness::Dane(_), _) => Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
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
            let (is_up, seen) = handshake(&roots, strictness.clone(), leaf).await;
            assert_eq!(is_up, connected, "{strictness:?}");
            assert_eq!(seen.chain_der[0], leaf.der());
            assert_eq!(seen.verdict.unwrap().is_ok(), passed, "{strictness:?}");
            assert_eq!(seen.dane, None);
        }
    }

    struct Only(Vec<u8>);

    impl Judge for Only {
        fn judge(&self, chain_der: &[&[u8]]) -> Result<String, NotPassed> {
            match chain_der {
                [leaf, ..] if *leaf == self.0 => Ok("3 0 0".to_owned()),
                _ => Err(NotPassed::Failed("dane-no-match".to_owned())),
            }
        }
    }

    #[tokio::test]
    async fn c12_under_dane_the_judge_decides_and_the_roots_do_not() {
        let (ours, strangers) = (Authority::new().unwrap(), Authority::new().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        fs::write(&file, ours.ca_pem()).unwrap();
        let roots = Roots::read(&file).unwrap();
        let trusted = ours.issue(&["mx.a.test"]).unwrap();
        let stranger = strangers.issue(&["elsewhere.test"]).unwrap();
        for (leaf, record_of, connected, passed) in [
            (&stranger, &stranger, true, false),
            (&trusted, &stranger, false, true),
        ] {
            let judge = Strictness::Dane(Arc::new(Only(record_of.der().to_vec())));
            let (is_up, seen) = handshake(&roots, judge, leaf).await;
            assert_eq!(is_up, connected);
            assert_eq!(seen.dane.unwrap().is_ok(), connected);
            assert_eq!(seen.verdict.unwrap().is_ok(), passed);
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
