//! DNS, as the stages ask for it.

use std::{net::IpAddr, time::Duration};

use crate::{clock::BoxFuture, policy::dane::TlsaRecord};

/// What a name has, or that it has nothing. Authentic absence is an answer, not an error: only a
/// lookup that failed is a [`DnsError`] (A15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records' values; empty where the name or the type does not exist.
    pub values: Vec<T>,
    /// How long the answer may be kept.
    pub time_to_live: Duration,
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
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>>;
}

/// What DNSSEC says of a lookup (RFC 4035 s4.3), with what was found. Absence that is proven is
/// [`Secure`](Self::Secure) with no values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Validated up to a trust anchor, every alias on the way included.
    Secure(Found<T>),
    /// The name, or one that it is an alias of, lies below a delegation that is proven to be unsigned.
    Insecure(Found<T>),
    /// It is signed, and the signatures do not hold. In words.
    Bogus(String),
    /// No answer, or none that says anything.
    Failed(DnsError),
}

/// What a name has, at the end of its aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The records' values; empty where there are none.
    pub values: Vec<T>,
    /// The name at the end of the aliases (CNAME), lower case without a final dot; absent where the name
    /// that was asked for is no alias.
    pub expanded: Option<String>,
    /// How long it may be kept.
    pub time_to_live: Duration,
}

/// A DNS resolver that says what DNSSEC says: by validating itself, or by the word of a resolver of this
/// very machine (RFC 7672 s2.1.1). Follows aliases.
pub trait SecureDns: Send + Sync {
    /// The MX records of a name, in order of preference.
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<Mx>>;

    /// The IPv4 and IPv6 addresses of a name. Secure where every family that was answered is; failed
    /// or bogus only where neither family has an address that may be used.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<IpAddr>>;

    /// The name that a name is an alias of, without following further; no value where it is none.
    fn alias<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<String>>;

    /// The TLSA records of a name such as `_25._tcp.mx.example.org`.
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<TlsaRecord>>;
}
