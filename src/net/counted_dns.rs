//! The DNS, with what it was asked and what it said counted and timed.

use std::{net::IpAddr, sync::Arc};

use super::dns::{Answer, Dns, DnsError, Mx};
use crate::{
    clock::BoxFuture,
    observe::{Counters, words::Asked},
    policy::dane::TlsaRecord,
};

/// A resolver whose lookups are counted.
pub struct CountedDns {
    dns: Arc<dyn Dns>,
    counters: Arc<Counters>,
}

impl CountedDns {
    /// Counts what this one is asked.
    #[must_use]
    pub fn new(dns: Arc<dyn Dns>, counters: Arc<Counters>) -> Self {
        Self { dns, counters }
    }

    fn counted<'a, T: Send + 'a>(
        &'a self,
        asked: Asked,
        lookup: BoxFuture<'a, Result<Answer<T>, DnsError>>,
    ) -> BoxFuture<'a, Result<Answer<T>, DnsError>> {
        Box::pin(self.counters.measured.looking_up(asked, lookup))
    }
}

impl Dns for CountedDns {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        self.counted(Asked::Txt, self.dns.txt(name))
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        self.counted(Asked::Mx, self.dns.mx(name))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        self.counted(Asked::Address, self.dns.addresses(name))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        self.counted(Asked::Tlsa, self.dns.tlsa(name))
    }
}
