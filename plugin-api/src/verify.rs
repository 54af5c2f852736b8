//! A certificate chain, and whether it satisfies what was demanded.

use alloc::string::String;

use crate::ResultType;

/// What a server showed in one TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presented<'a> {
    /// The domain that was asked about.
    pub domain: &'a str,
    /// The MX host, as named in the MX record.
    pub mx: &'a str,
    /// [`Requirement::policy`](crate::Requirement::policy) of the answer about this MX host.
    pub policy: &'a str,
    /// Its certificates, DER, its own first, as it sent them.
    pub chain_der: &'a [&'a [u8]],
}

impl<'a> Presented<'a> {
    /// This chain, shown by this MX host of this domain, held to the answer that carried this policy.
    #[must_use]
    pub const fn new(
        domain: &'a str,
        mx: &'a str,
        policy: &'a str,
        chain_der: &'a [&'a [u8]],
    ) -> Self {
        Self {
            domain,
            mx,
            policy,
            chain_der,
        }
    }
}

/// What a certificate chain is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// It satisfies what was demanded, or nothing was demanded of it. What it satisfied, for the log.
    Passed(String),
    /// It does not: nothing may be delivered there.
    Failed {
        /// How, as the report will say it.
        result: ResultType,
        /// The stable reason code of the report.
        reason: String,
    },
    /// Nothing is known of such an answer, or there is no chain: to be treated as a failure.
    Unknown(String),
}
