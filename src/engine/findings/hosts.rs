//! Mail hosts, each looked at once in a while, for all the domains whose mail they take.

use std::{net::IpAddr, sync::Arc};

use rustls::RootCertStore;
use tokio::sync::{Mutex, Semaphore};
use tracing::{debug, info};

use crate::{
    clock::{Clock, Timestamp},
    config::ProbeConfig,
    engine::memory::Memory,
    net::{
        dns::{Dns, DnsError},
        smtp::probe::Prober,
    },
    observe::Counters,
    policy::MxHost,
    record::{
        classify::Observed,
        finding::{HostFinding, TlsaLookup},
        look::{Seen, TlsSeen, observe},
    },
};

/// How many hosts are remembered.
const HOSTS_MAX: usize = 20_000;

/// What looks at mail hosts.
pub(super) struct Hosts {
    dns: Arc<dyn Dns>,
    prober: Arc<dyn Prober>,
    roots: Arc<RootCertStore>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    interval_seconds: i64,
    port: u16,
    /// How many looks at once.
    looks: Semaphore,
    /// Whoever looks at a host holds its lock, so that the others find the result.
    known: Memory<MxHost, Mutex<Option<Arc<HostLook>>>>,
}

/// What a look at a host came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostLook {
    /// When it began.
    pub(super) at: Timestamp,
    address: Option<IpAddr>,
    helo: Option<String>,
    observed: Observed,
    tlsa: TlsaLookup,
}

impl HostLook {
    /// Whether mail goes there by TLS, or it is not known that it does not: then it need not go to a
    /// worse host.
    pub(super) fn takes_tls_or_may(&self) -> bool {
        match self.observed {
            Observed::Established { .. } => true,
            Observed::Failed(_) => false,
            Observed::NoSession => self.address.is_some(),
        }
    }

    /// As one of a domain's hosts.
    pub(super) fn finding(&self, preference: u16, host: MxHost) -> HostFinding {
        HostFinding {
            preference,
            host,
            address: self.address,
            helo: self.helo.clone(),
            observed: self.observed.clone(),
            tlsa: self.tlsa,
        }
    }
}

impl Hosts {
    pub(super) fn new(parts: &super::ScoutParts) -> Self {
        let ProbeConfig {
            interval_seconds,
            concurrent_max,
            smtp_port,
            ..
        } = parts.config;
        Self {
            dns: Arc::clone(&parts.dns),
            prober: Arc::clone(&parts.prober),
            roots: Arc::clone(&parts.roots),
            clock: Arc::clone(&parts.clock),
            counters: Arc::clone(&parts.counters),
            interval_seconds,
            port: smtp_port,
            looks: Semaphore::new(concurrent_max.clamp(1, Semaphore::MAX_PERMITS)),
            known: Memory::new(HOSTS_MAX),
        }
    }

    /// What a look at the host comes to: one of not long ago, for whatever domain, or a new one.
    pub(super) async fn look(&self, host: &MxHost) -> Arc<HostLook> {
        let known = self.known.recall_or(host, Mutex::default);
        let mut known = known.lock().await;
        if let Some(look) = &*known
            && is_within(look.at, self.interval_seconds, self.clock.now())
        {
            return Arc::clone(look);
        }
        // It is never closed, and an error would only mean a look more than there should be at once.
        let _turn = self.looks.acquire().await;
        let look = Arc::new(self.look_now(host).await);
        *known = Some(Arc::clone(&look));
        look
    }

    async fn look_now(&self, host: &MxHost) -> HostLook {
        self.counters.probes.count();
        let at = self.clock.now();
        // OURS: the certificate is not held to the TLSA records. Postfix tells of sessions under DANE itself
        // (docs/decisions/0010-postfix.md).
        let (seen, tlsa) = tokio::join!(self.prober.look(host), self.tlsa(host));
        let observed = observe(&seen, host, &self.roots, at);
        if matches!(seen, Seen::Nothing(_)) {
            self.counters.probes_unreached.count();
        }
        tell(host, &seen, &observed, tlsa);
        let (address, helo) = match seen {
            Seen::Nothing(_) => (None, None),
            Seen::Host { address, helo, .. } => (Some(address), helo),
        };
        HostLook {
            at,
            address,
            helo,
            observed,
            tlsa,
        }
    }

    // RFC 7672 s2.2.1: the records stand below the port that is connected to.
    async fn tlsa(&self, host: &MxHost) -> TlsaLookup {
        let name = format!("_{}._tcp.{host}", self.port);
        match self.dns.tlsa(&name).await {
            // So long a host cannot have the records.
            Ok(_) | Err(DnsError::BadName { .. }) => TlsaLookup::Answered,
            // RFC 4035 s5.5: so a validating resolver answers where a signature is bad.
            Err(error @ DnsError::Server { .. }) => {
                debug!(%host, %error, "TLSA records cannot be looked up");
                TlsaLookup::Failed
            }
            Err(error) => {
                debug!(%host, %error, "no answer about TLSA records");
                TlsaLookup::Unanswered
            }
        }
    }
}

/// One line for each look; what enters a report is told louder.
fn tell(host: &MxHost, seen: &Seen, observed: &Observed, tlsa: TlsaLookup) {
    let (address, tls) = match seen {
        Seen::Nothing(reason) => {
            info!(%host, reason, ?tlsa, "mail host looked at: not reached");
            return;
        }
        Seen::Host { address, tls, .. } => (address, tls),
    };
    match (tls, observed) {
        (_, Observed::Failed(troubles)) => {
            info!(%host, %address, ?troubles, ?tlsa, "mail host looked at: no TLS");
        }
        (_, Observed::Established { troubles }) if !troubles.is_empty() => {
            info!(%host, %address, ?troubles, ?tlsa, "mail host looked at: TLS with troubles");
        }
        (_, Observed::Established { .. }) => {
            debug!(%host, %address, ?tlsa, "mail host looked at: good");
        }
        (TlsSeen::NotKnown(reason), Observed::NoSession) => {
            info!(%host, %address, reason, ?tlsa, "mail host looked at: not known");
        }
        (_, Observed::NoSession) => {
            info!(%host, %address, ?tlsa, "mail host looked at: its certificate cannot be judged");
        }
    }
}

/// Whether what began then is no older than that. Not where the clock was set back since.
pub(super) fn is_within(began: Timestamp, seconds: i64, now: Timestamp) -> bool {
    (began..began.plus_seconds(seconds)).contains(&now)
}
