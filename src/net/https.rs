//! The fetch of a policy document (RFC 8461 s3.3).

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

/// Fetches `https://mta-sts.<domain>/.well-known/mta-sts.txt`.
pub trait PolicyHost: Send + Sync {
    /// One GET. Follows no redirect, keeps nothing, sends no conditional request.
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>>;
}
