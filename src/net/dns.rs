//! DNS, as the stages ask for it.

use std::{net::IpAddr, time::Duration};

use crate::clock::BoxFuture;

/// What a name has, or that it has nothing. Authentic absence is an answer, not an error: only a
/// lookup that failed is a [`DnsError`] (A15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records' values; empty where the name or the type does not exist.
    pub values: Vec<T>,
    /// How long the answer may be kept.
    pub time_to_live: Duration,
    /// What DNSSEC says of it.
    pub security: Security,
}

/// What DNSSEC says of an answer. The seat of DANE: today every answer is [`Security::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Validated up to a trust anchor.
    Secure,
    /// Proven to lie below an unsigned delegation.
    Insecure,
    /// Not asked.
    Unknown,
}

/// The lookup failed: nothing is known of the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The domain or its servers: SERVFAIL, REFUSED, or an answer that makes no sense.
    #[error("{name}: the resolver answers {code}")]
    Server {
        /// The name asked for.
        name: String,
        /// The response code.
        code: String,
    },
    /// The network or the resolver: no answer in time.
    #[error("{name}: no answer within {timeout_ms} ms")]
    Timeout {
        /// The name asked for.
        name: String,
        /// How long we waited.
        timeout_ms: u64,
    },
    /// The operator or the network: the resolver cannot be reached.
    #[error("{name}: {reason}")]
    Unreachable {
        /// The name asked for.
        name: String,
        /// The system's words.
        reason: String,
    },
    /// The caller: not a name that can be asked for.
    #[error("{name}: not a name that can be asked for")]
    BadName {
        /// The name.
        name: String,
    },
}

/// One MX record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The exchange, as published, without the trailing dot; empty for a null MX (RFC 7505).
    pub exchange: String,
}

/// One TLSA record (RFC 6698 s2.1), as published: whether it can be used is for DANE to say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tlsa {
    /// What the record says of the certificate.
    pub usage: u8,
    /// Which part of the certificate is meant.
    pub selector: u8,
    /// How that part is compared.
    pub matching: u8,
    /// What it is compared with.
    pub association: Vec<u8>,
}

/// A DNS resolver. Follows CNAMEs (RFC 8461 s3.1 for `_mta-sts`).
pub trait Dns: Send + Sync {
    /// The TXT records of a name, each with its character-strings joined without a separator
    /// (RFC 8460 s3, RFC 8461 s3.1).
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>>;

    /// The MX records of a name, in order of preference.
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>>;

    /// The IPv4 and IPv6 addresses of a name.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>>;

    /// The TLSA records of a name such as `_25._tcp.mx.example.org`. A validating resolver answers
    /// with SERVFAIL where a signature does not hold.
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Tlsa>, DnsError>>;
}
