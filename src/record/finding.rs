//! What we found out about mail hosts by looking, where the MTA will not say.
//!
//! A look is a connection up to the TLS handshake, without a message, at most once in
//! `probe.interval_seconds` for a host. It says what a session with that host would have come to; which
//! host a session went to it does not say.

use std::net::IpAddr;

use super::classify::Observed;
use crate::{clock::Timestamp, policy::MxHost};

/// What was found out about the mail hosts of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFindings {
    /// When it was found out.
    pub at: Timestamp,
    /// Whether the domain has an `_smtp._tls` record. Where not, nobody reads a report, and no host
    /// was looked at.
    pub asks_for_reports: bool,
    /// The hosts, in the order of preference. Empty when the MX lookup failed or the domain takes no
    /// mail.
    pub hosts: Vec<HostFinding>,
}

/// What was found out about one mail host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFinding {
    /// Lower is tried first.
    pub preference: u16,
    /// The host, as the MX record names it.
    pub host: MxHost,
    /// The address that was connected to.
    pub address: Option<IpAddr>,
    /// What it called itself in its EHLO reply; harmless.
    pub helo: Option<String>,
    /// What a session came to, the certificate checked against the host's name and the trusted roots.
    /// [`Observed::NoSession`]: not reached, or not looked at.
    pub observed: Observed,
    /// Whether its TLSA records could be looked up.
    pub tlsa: TlsaLookup,
}

/// Whether the TLSA records of a mail host could be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsaLookup {
    /// There was an answer, be it that there are none.
    Answered,
    /// The lookup failed: SERVFAIL, as a validating resolver says of a bad signature, or no answer.
    Failed,
    /// It was not tried.
    NotTried,
}
