//! The lookup of all that DANE needs of a domain and its mail hosts, shared by all who ask.
//!
//! Two things are kept apart: a domain's MX records, and what was found of a host, which may be that of
//! ten thousand domains. Each is looked up once for any number of askers, and kept for as long as its own
//! time to live. From both together comes what holds for a domain or for one of its hosts.

use std::{fmt, sync::Arc};

use super::{DaneSource, Fresh, desk::Desk};
use crate::{
    clock::{BoxFuture, Clock, Timestamp},
    config::DaneConfig,
    net::dns::SecureDns,
    observe::Counters,
    policy::{
        MxHost, PolicyDomain,
        dane::{DomainDane, HostDane},
    },
};

/// The DNS with DNSSEC, where it is to be had: validation may come up after the start.
pub trait Validation: Send + Sync {
    /// The resolver, if there is one at this moment that can be trusted.
    fn resolver(&self) -> Option<Arc<dyn SecureDns>>;
}

impl<Source> Validation for Source
where
    Source: Fn() -> Option<Arc<dyn SecureDns>> + Send + Sync,
{
    fn resolver(&self) -> Option<Arc<dyn SecureDns>> {
        self()
    }
}

/// What a [`DaneResolver`] works with.
pub struct DaneParts {
    /// The DNS.
    pub validation: Arc<dyn Validation>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the operator sees.
    pub counters: Arc<Counters>,
    /// `[dane]`
    pub config: DaneConfig,
    /// The port of mail hosts, where an MTA names no other: 25 but in a laboratory.
    pub port: u16,
}

/// Looks up what signed DNS says of mail hosts, in the order that RFC 7672 s2.2 demands, and keeps it.
/// One for each running host.
pub struct DaneResolver {
    desk: Arc<Desk>,
}

/// Why nothing is looked up where no resolver can be trusted, for people.
pub const NOBODY_VALIDATES: &str = "no resolver can be trusted to validate DNSSEC";

impl DaneResolver {
    /// A resolver that knows nothing yet.
    #[must_use]
    pub fn new(parts: DaneParts) -> Self {
        Self {
            desk: Arc::new(Desk::new(parts)),
        }
    }
}

impl DaneSource for DaneResolver {
    fn domain<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Arc<DomainDane>> {
        Box::pin(self.desk.domain(domain))
    }

    fn host<'a>(
        &'a self,
        domain: &'a PolicyDomain,
        host: &'a MxHost,
        port: Option<u16>,
    ) -> BoxFuture<'a, Arc<HostDane>> {
        let port = port.unwrap_or(self.desk.parts.port);
        Box::pin(self.desk.host(domain, host, port))
    }

    fn fresh(&self, domain: &str, now: Timestamp) -> Option<Fresh> {
        if let Some(kept) = self.desk.fresh_domain(domain, now) {
            return Some(Fresh::Known(kept));
        }
        let is_off = self.desk.parts.validation.resolver().is_none();
        is_off.then_some(Fresh::Off(NOBODY_VALIDATES))
    }

    fn known(&self, domain: &PolicyDomain, host: &MxHost) -> Option<Arc<HostDane>> {
        self.desk.known(domain, host)
    }

    fn held(&self, domain: &PolicyDomain, host: &MxHost, at: Timestamp) -> Option<Arc<HostDane>> {
        self.desk.held(domain, host, at)
    }
}

impl fmt::Debug for DaneResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DaneResolver")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DaneParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DaneParts")
            .field("config", &self.config)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
