//! The fetch of a policy document (RFC 8461 s3.3).

use rustls::CertificateError;
use sealpost_plugin_api::ResultType;

use crate::{clock::BoxFuture, policy::PolicyDomain};

/// Why a document could not be had. Each maps to one result type of RFC 8460 s4.3.2.2 and a stable
/// reason code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// `sts-policy-fetch-error`: the policy host's name has no address, or the lookup failed.
    #[error("{0}")]
    Dns(String),
    /// `sts-policy-fetch-error`: every address is one that a recipient domain must not steer us to
    /// (loopback, private, link-local, multicast; G1).
    #[error("{0} is not a public address")]
    AddressRefused(String),
    /// `sts-policy-fetch-error`: no TCP connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// `sts-webpki-invalid`: the certificate is expired, untrusted or for another name. Holds the
    /// reason code.
    #[error("the policy host's certificate is not valid: {0}")]
    Certificate(String),
    /// `sts-policy-fetch-error`: TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// `sts-policy-fetch-error`: not HTTP, or it broke off.
    #[error("HTTP failed: {0}")]
    Http(String),
    /// `sts-policy-fetch-error`: any status but 200, redirects included (RFC 8461 s3.3).
    #[error("HTTP status {0}")]
    Status(u16),
    /// `sts-policy-invalid`: a media type other than text/plain (RFC 8461 s3.2).
    #[error("media type {0}")]
    MediaType(String),
    /// `sts-policy-fetch-error`: longer than the limit (RFC 8461 s3.3).
    #[error("longer than {0} octets")]
    TooLong(usize),
    /// `sts-policy-fetch-error`: not done in time (RFC 8461 s3.3).
    #[error("not done within {0} s")]
    Timeout(u64),
}

impl FetchError {
    /// The result type that a report gives it (RFC 8460 s4.3.2.2).
    #[must_use]
    pub const fn result(&self) -> ResultType {
        match self {
            Self::Certificate(_) => ResultType::StsWebpkiInvalid,
            Self::MediaType(_) => ResultType::StsPolicyInvalid,
            Self::Dns(_)
            | Self::AddressRefused(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Http(_)
            | Self::Status(_)
            | Self::TooLong(_)
            | Self::Timeout(_) => ResultType::StsPolicyFetchError,
        }
    }

    /// The `failure-reason-code` that a report gives it: short, stable, and nothing of it from the
    /// network but an HTTP status.
    #[must_use]
    pub fn reason_code(&self) -> String {
        match self {
            Self::Dns(_) => "policy-host-not-resolved".to_owned(),
            Self::AddressRefused(_) => "policy-host-address-not-public".to_owned(),
            Self::Connect(_) => "policy-host-connection-failed".to_owned(),
            Self::Certificate(code) => code.clone(),
            Self::Tls(_) => "tls-handshake-failed".to_owned(),
            Self::Http(_) => "http-failed".to_owned(),
            Self::Status(status) => format!("http-status-{status}"),
            Self::MediaType(_) => "policy-media-type".to_owned(),
            Self::TooLong(_) => "policy-too-long".to_owned(),
            Self::Timeout(_) => "policy-fetch-timeout".to_owned(),
        }
    }
}

/// The reason code for a certificate that does not hold, of a policy host or an MX host.
#[must_use]
pub const fn certificate_reason_code(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate-expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate-not-yet-valid"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "certificate-host-mismatch"
        }
        CertificateError::BadEncoding => "certificate-malformed",
        CertificateError::BadSignature => "certificate-bad-signature",
        CertificateError::Revoked => "certificate-revoked",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate-wrong-purpose"
        }
        // An unknown issuer, a chain that leads nowhere, an algorithm that is not accepted, a CA
        // certificate where a host's should be.
        _ => "certificate-not-trusted",
    }
}

/// Fetches `https://mta-sts.<domain>/.well-known/mta-sts.txt`.
pub trait PolicyHost: Send + Sync {
    /// One GET. Follows no redirect, keeps nothing, sends no conditional request.
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d12_every_failure_has_its_result_type_and_a_code() {
        let text = || "\r\n".to_owned();
        for (error, result, code) in [
            (
                FetchError::Dns(text()),
                ResultType::StsPolicyFetchError,
                "policy-host-not-resolved",
            ),
            (
                FetchError::Certificate("certificate-expired".to_owned()),
                ResultType::StsWebpkiInvalid,
                "certificate-expired",
            ),
            (
                FetchError::Tls(text()),
                ResultType::StsPolicyFetchError,
                "tls-handshake-failed",
            ),
            (
                FetchError::Status(404),
                ResultType::StsPolicyFetchError,
                "http-status-404",
            ),
            (
                FetchError::MediaType(text()),
                ResultType::StsPolicyInvalid,
                "policy-media-type",
            ),
            (
                FetchError::TooLong(1),
                ResultType::StsPolicyFetchError,
                "policy-too-long",
            ),
            (
                FetchError::Timeout(60),
                ResultType::StsPolicyFetchError,
                "policy-fetch-timeout",
            ),
        ] {
            assert_eq!(
                (error.result(), error.reason_code().as_str()),
                (result, code)
            );
        }
    }
}
