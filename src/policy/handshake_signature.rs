//! The signature in a TLS handshake, checked by the key of a certificate, however odd the rest of it is.
//!
//! rustls' own check reads all of the certificate, and fails on one of X.509 version 1 or with a critical
//! extension that it does not know. Where the key is all that matters (RFC 7671 s5.1), or nothing of the
//! certificate does, that would turn away a server which has done what was demanded.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, PeerMisbehaved,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, SubjectPublicKeyInfoDer},
};
use webpki::RawPublicKeyEntity;

use super::certificate::public_key;

/// Checks the signature of a handshake of TLS 1.2.
///
/// # Errors
/// There is no key in the certificate, the algorithm was not offered, or the signature is not the key's.
pub fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = key_of(certificate)?;
    let key = RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
    let mut mapping = algorithms.mapping.iter();
    let (_, candidates) = mapping
        .find(|(scheme, _)| *scheme == signature.scheme)
        .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    // A scheme of TLS 1.2 does not say over which curve (RFC 5246 s7.4.1.4.1).
    let mut last = CertificateError::BadSignature;
    for algorithm in *candidates {
        match key.verify_signature(*algorithm, message, signature.signature()) {
            Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context)) => {
                last = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: context.signature_algorithm_id,
                    public_key_algorithm_id: context.public_key_algorithm_id,
                };
            }
            Err(_) => return Err(CertificateError::BadSignature.into()),
        }
    }
    Err(last.into())
}

/// Checks the signature of a handshake of TLS 1.3.
///
/// # Errors
/// As [`verify_tls12`].
pub fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature_with_raw_key(message, &key_of(certificate)?, signature, algorithms)
}

fn key_of<'c>(certificate: &'c CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'c>, Error> {
    let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(key))
}
