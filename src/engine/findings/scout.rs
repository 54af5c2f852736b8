//! Finds out what the mail hosts of a domain are like, when mail is going to it.
//!
//! First whether anybody reads a report of it: of a domain without `_smtp._tls` nothing more is asked.
//! Then the MX records; then the hosts, best first, as far as mail is likely to go. A host that takes
//! the mail of many domains is looked at once for all of them.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use rustls::RootCertStore;
use tokio::{sync::watch, task::JoinSet};
use tracing::{debug, error, info};

use super::{
    Findings, Look,
    hosts::{HostLook, Hosts, is_within},
    wishes::Wishes,
};
use crate::{
    clock::{Clock, Timestamp},
    config::ProbeConfig,
    engine::memory::Memory,
    net::{
        dns::{Dns, DnsError, Mx},
        smtp::probe::Prober,
    },
    observe::{Counters, printable::excerpt},
    policy::{MxHost, PolicyDomain, RuaDiscovery},
    record::finding::{DomainFindings, HostFinding},
};

/// How many domains are remembered.
const DOMAINS_MAX: usize = 20_000;

/// How many domains are looked at once. Their hosts have a bound of their own.
const DOMAINS_AT_ONCE_MAX: usize = 256;

/// A domain with more mail hosts than this is passed over: no MTA would try them all, and we do not
/// remember them all. The largest real ones have a dozen.
const HOSTS_OF_DOMAIN_MAX: usize = 32;

/// How soon a lookup that failed is tried again.
const RETRY_SECONDS: i64 = 300;

/// Looks at mail hosts. One for each running host.
pub struct Scout {
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    config: ProbeConfig,
    hosts: Arc<Hosts>,
    domains: Memory<PolicyDomain, Remembered>,
    wishes: Wishes,
}

/// What a scout works with.
pub struct ScoutParts {
    /// The resolver.
    pub dns: Arc<dyn Dns>,
    /// What connects to mail hosts.
    pub prober: Arc<dyn Prober>,
    /// Who is trusted to certify them.
    pub roots: Arc<RootCertStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the operator sees.
    pub counters: Arc<Counters>,
    /// `[probe]`
    pub config: ProbeConfig,
}

/// What is remembered of one domain.
#[derive(Clone, Debug)]
struct Remembered {
    /// What was last found; nothing where every lookup has failed.
    findings: Option<Arc<DomainFindings>>,
    /// How closely it was looked at.
    look: Look,
    /// When.
    at: Timestamp,
    /// For how long it is left alone.
    seconds: i64,
}

/// A lookup failed, and nothing new is known.
struct LookupFailed;

impl Remembered {
    /// Whether a wish for such a look is fulfilled already.
    fn covers(&self, look: Look, now: Timestamp) -> bool {
        let nobody_reads = self
            .findings
            .as_ref()
            .is_some_and(|findings| !findings.asks_for_reports);
        is_within(self.at, self.seconds, now) && (look <= self.look || nobody_reads)
    }
}

impl Scout {
    /// A scout that knows nothing yet.
    #[must_use]
    pub fn new(parts: ScoutParts) -> Self {
        Self {
            hosts: Arc::new(Hosts::new(&parts)),
            dns: parts.dns,
            clock: parts.clock,
            counters: parts.counters,
            config: parts.config,
            domains: Memory::new(DOMAINS_MAX),
            wishes: Wishes::default(),
        }
    }

    /// Fulfils wishes until `shutdown` becomes true, or nobody can make it so any more. What is then
    /// under way is broken off: nothing is lost but what can be seen again.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut errands = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stopped| *stopped) => return,
                Some(ended) = errands.join_next() => {
                    if let Err(error) = ended {
                        error!(%error, "a look at mail hosts died");
                    }
                }
                domain = self.wishes.next(), if errands.len() < DOMAINS_AT_ONCE_MAX => {
                    errands.spawn(Arc::clone(&self).errand(domain));
                }
            }
        }
    }

    /// Looks at one domain, as closely as was wished for when it is done.
    async fn errand(self: Arc<Self>, domain: PolicyDomain) {
        let mut pending = Pending {
            wishes: &self.wishes,
            domain: Some(&domain),
        };
        loop {
            let look = self.wishes.look(&domain);
            let at = self.clock.now();
            let found = self.find_out(&domain, look).await;
            let remembered = match found {
                Ok(findings) => Remembered {
                    look,
                    // Of hosts that were looked at for another domain, the earliest is due first.
                    at: findings.at,
                    seconds: self.config.interval_seconds,
                    findings: Some(Arc::new(findings)),
                },
                Err(LookupFailed) => Remembered {
                    look,
                    at,
                    seconds: self.config.interval_seconds.min(RETRY_SECONDS),
                    findings: self.of(&domain),
                },
            };
            self.domains.remember(&domain, Arc::new(remembered));
            if self.wishes.fulfil(&domain, look) {
                pending.domain = None;
                return;
            }
        }
    }

    async fn find_out(
        &self,
        domain: &PolicyDomain,
        look: Look,
    ) -> Result<DomainFindings, LookupFailed> {
        let at = self.clock.now();
        let nothing = |asks_for_reports| DomainFindings {
            at,
            mx_at: at,
            asks_for_reports,
            hosts: Vec::new(),
        };
        if !self.asks_for_reports(domain).await? {
            debug!(%domain, "mail hosts not looked at: nobody reads a report");
            return Ok(nothing(false));
        }
        let hosts = self.mail_hosts(domain).await?;
        if hosts.len() > HOSTS_OF_DOMAIN_MAX {
            info!(%domain, hosts = hosts.len(), "mail hosts not looked at: too many");
            return Ok(nothing(true));
        }
        let hosts = match look {
            Look::HostsOnly => hosts
                .into_iter()
                .map(|(preference, host)| (HostFinding::not_looked_at(preference, host), at))
                .collect(),
            Look::Probe => self.look_at_hosts(hosts, at).await,
        };
        let found = DomainFindings {
            at: hosts.iter().map(|(_, at)| *at).fold(at, Timestamp::min),
            mx_at: at,
            asks_for_reports: true,
            hosts: hosts.into_iter().map(|(host, _)| host).collect(),
        };
        let looked_at = found.hosts.iter().filter(|host| host.was_looked_at());
        let (hosts, looked_at) = (found.hosts.len(), looked_at.count());
        debug!(%domain, hosts, looked_at, "mail hosts found");
        Ok(found)
    }

    /// RFC 8460 s3: whether the domain has a valid record, at itself and never at a parent.
    async fn asks_for_reports(&self, domain: &PolicyDomain) -> Result<bool, LookupFailed> {
        match self.dns.txt(&format!("_smtp._tls.{domain}")).await {
            Ok(answer) => Ok(matches!(
                RuaDiscovery::read(&answer.values),
                RuaDiscovery::Found(_)
            )),
            // So long a domain cannot have the record.
            Err(DnsError::BadName { .. }) => Ok(false),
            Err(error) => {
                debug!(%domain, %error, "mail hosts not looked at");
                Err(LookupFailed)
            }
        }
    }

    /// The domain's mail hosts, best first, each once.
    async fn mail_hosts(&self, domain: &PolicyDomain) -> Result<Vec<(u16, MxHost)>, LookupFailed> {
        let answer = self.dns.mx(domain.as_str()).await.map_err(|error| {
            debug!(%domain, %error, "mail hosts not looked at");
            LookupFailed
        })?;
        Ok(in_order(domain, answer.values))
    }

    /// Looks at the hosts of the best preference, all at once, and at worse ones only where no mail
    /// can go by TLS to those: an MTA does not come that far. Gives when each was looked at.
    async fn look_at_hosts(
        &self,
        hosts: Vec<(u16, MxHost)>,
        now: Timestamp,
    ) -> Vec<(HostFinding, Timestamp)> {
        let mut findings = Vec::with_capacity(hosts.len());
        let mut enough = false;
        let mut left = self.config.hosts_max;
        for group in hosts.chunk_by(|one, other| one.0 == other.0) {
            let looked_at = if enough { 0 } else { left.min(group.len()) };
            left = left.saturating_sub(looked_at);
            let near = group.get(..looked_at).unwrap_or(group);
            let looks = self.look_at_once(near).await;
            enough |= looks.values().any(|look| look.takes_tls_or_may());
            findings.extend(group.iter().map(|(preference, host)| {
                let (preference, host) = (*preference, host.clone());
                match looks.get(&host) {
                    Some(look) => (look.finding(preference, host), look.at),
                    None => (HostFinding::not_looked_at(preference, host), now),
                }
            }));
        }
        findings
    }

    /// Looks at several hosts at once. A look that died is left out.
    async fn look_at_once(&self, hosts: &[(u16, MxHost)]) -> HashMap<MxHost, Arc<HostLook>> {
        let mut looks = JoinSet::new();
        for (_, host) in hosts.iter().cloned() {
            let hosts = Arc::clone(&self.hosts);
            looks.spawn(async move {
                let look = hosts.look(&host).await;
                (host, look)
            });
        }
        let mut found = HashMap::with_capacity(hosts.len());
        while let Some(ended) = looks.join_next().await {
            match ended {
                Ok((host, look)) => {
                    found.insert(host, look);
                }
                Err(error) => error!(%error, "a look at a mail host died"),
            }
        }
        found
    }
}

impl Findings for Scout {
    fn wish(&self, domain: &PolicyDomain, look: Look) {
        let look = if self.config.enabled {
            look
        } else {
            Look::HostsOnly
        };
        let known = self.domains.recall(domain);
        if known.is_some_and(|known| known.covers(look, self.clock.now())) {
            return;
        }
        if self.wishes.add(domain, look).is_err() {
            self.counters.probe_domains_dropped.count();
        }
    }

    fn of(&self, domain: &PolicyDomain) -> Option<Arc<DomainFindings>> {
        self.domains.recall(domain)?.findings.clone()
    }

    fn under_way(&self, domain: &PolicyDomain) -> bool {
        self.wishes.is_pending(domain)
    }
}

impl fmt::Debug for Scout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scout")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ScoutParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScoutParts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Takes an errand off the list, also when its task panics.
struct Pending<'a> {
    wishes: &'a Wishes,
    domain: Option<&'a PolicyDomain>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(domain) = self.domain {
            self.wishes.drop_wish(domain);
        }
    }
}

/// The mail hosts that these MX records name, best first, each once.
fn in_order(domain: &PolicyDomain, mut records: Vec<Mx>) -> Vec<(u16, MxHost)> {
    // RFC 7505 s3: a null MX says that the domain takes no mail.
    if records.iter().any(|mx| mx.exchange.is_empty()) {
        return Vec::new();
    }
    // RFC 5321 s5.1: a domain without MX records is its own.
    if records.is_empty() {
        return vec![(0, MxHost::from(domain))];
    }
    records.sort();
    let mut hosts: Vec<(u16, MxHost)> = Vec::with_capacity(records.len());
    let mut named = HashSet::new();
    for record in records {
        // What is no host name has no address, and matches no pattern.
        let Ok(host) = record.exchange.parse::<MxHost>() else {
            debug!(%domain, exchange = excerpt(&record.exchange), "not a host name");
            continue;
        };
        if named.insert(host.clone()) {
            hosts.push((record.preference, host));
        }
    }
    hosts
}

#[cfg(test)]
mod tests;
