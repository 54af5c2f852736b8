//! What signed DNS says of mail hosts, as the engine asks for it: looked up in the order that RFC 7672
//! demands, and kept as long as the DNS lets it be.

use std::sync::Arc;

use crate::{
    clock::{BoxFuture, Timestamp},
    policy::{
        MxHost, PolicyDomain,
        dane::{DomainDane, HostDane, MxSecurity, NoDane},
    },
};

mod desk;
mod flights;
mod kept;
mod lookups;
mod resolver;
mod said;

pub use resolver::{DaneParts, DaneResolver, NOBODY_VALIDATES, Validation};

/// Where the engine learns what DANE says.
pub trait DaneSource: Send + Sync {
    /// What it says of all the mail hosts of a domain, looked up if need be. Takes as long as the DNS
    /// takes; a lookup goes on when the caller stops waiting.
    fn domain<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Arc<DomainDane>>;

    /// What it says of one host that mail for this domain is about to go to; `port` where it is not that
    /// of mail hosts. A host that the domain's MX records do not name is as one below MX records that
    /// are not signed.
    fn host<'a>(
        &'a self,
        domain: &'a PolicyDomain,
        host: &'a MxHost,
        port: Option<u16>,
    ) -> BoxFuture<'a, Arc<HostDane>>;

    /// What holds now for the domain of this name, lower case A-labels, where that may be told without
    /// asking anybody. Returns at once.
    fn fresh(&self, domain: &str, now: Timestamp) -> Option<Fresh>;

    /// What was last known of one host of the domain, however old. A lookup that failed since takes nothing
    /// of it away. Returns at once.
    fn known(&self, domain: &PolicyDomain, host: &MxHost) -> Option<Arc<HostDane>>;

    /// What was last said of one host of the domain and still held `at` that time: what an MTA that did not
    /// ask about the host can have gone by. Nothing where nobody validates. Returns at once.
    fn held(&self, domain: &PolicyDomain, host: &MxHost, at: Timestamp) -> Option<Arc<HostDane>>;
}

/// What may be told of a domain without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// There is no DANE. Why, in words.
    Off(&'static str),
    /// What was found and still holds.
    Known(Arc<DomainDane>),
}

impl Fresh {
    /// What it says of the domain.
    #[must_use]
    pub fn of(self, domain: &PolicyDomain) -> Arc<DomainDane> {
        match self {
            Self::Off(why) => Arc::new(DomainDane::off(domain.clone(), why)),
            Self::Known(dane) => dane,
        }
    }

    /// Whether it says the same as this. What is known is shared as long as it holds, so that it is hardly
    /// ever looked at.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(one), Self::Known(other)) if Arc::ptr_eq(one, other) => true,
            _ => self == other,
        }
    }
}

/// DANE is off.
#[derive(Clone, Copy, Debug)]
pub struct NoDaneSource(
    /// Why, in words.
    pub &'static str,
);

impl DaneSource for NoDaneSource {
    fn domain<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Arc<DomainDane>> {
        let off = Arc::new(DomainDane::off(domain.clone(), self.0));
        Box::pin(std::future::ready(off))
    }

    fn host<'a>(
        &'a self,
        _domain: &'a PolicyDomain,
        host: &'a MxHost,
        _port: Option<u16>,
    ) -> BoxFuture<'a, Arc<HostDane>> {
        let off = HostDane::nothing(host.clone(), MxSecurity::Insecure, NoDane::Off);
        Box::pin(std::future::ready(Arc::new(off)))
    }

    fn fresh(&self, _domain: &str, _now: Timestamp) -> Option<Fresh> {
        Some(Fresh::Off(self.0))
    }

    fn known(&self, _domain: &PolicyDomain, _host: &MxHost) -> Option<Arc<HostDane>> {
        None
    }

    fn held(
        &self,
        _domain: &PolicyDomain,
        _host: &MxHost,
        _at: Timestamp,
    ) -> Option<Arc<HostDane>> {
        None
    }
}
