//! What a [`DaneResolver`](super::DaneResolver) works with: what is kept, and what is under way.

use std::sync::Arc;

use super::{
    flights::{Flight, Flights, Grounded},
    kept::{Kept, Lives, Shelf},
    lookups::{ExchangesFound, HostLookup, Lookups},
    resolver::{DaneParts, NOBODY_VALIDATES},
};
use crate::{
    clock::Timestamp,
    config::InsecureMx,
    net::dns::SecureDns,
    policy::{
        MxHost, PolicyDomain,
        dane::{
            DaneFinding, DomainDane, Exchange, ExchangeKind, HostDane, HostFound, LookupTrouble,
            MailExchanges, MailHosts, ManyHosts, MxSecurity, NoDane,
        },
    },
};

/// A host, and the port that mail goes to there.
type HostKey = (MxHost, u16);

pub(super) struct Desk {
    pub(super) parts: DaneParts,
    lives: Lives,
    /// The MX records of domains.
    exchanges: Shelf<PolicyDomain, Kept<ExchangesFound>>,
    /// What was found of hosts, for whatever domain.
    hosts: Shelf<HostKey, Kept<HostLookup>>,
    /// What was said of whole domains.
    pub(super) domains: Shelf<PolicyDomain, Kept<Arc<DomainDane>>>,
    /// What was last said of one host of a domain, and for which port.
    pub(super) said: Shelf<(PolicyDomain, MxHost), Kept<Said>>,
    /// The records of a host that could be looked up once, and then no more.
    pub(super) lost: Shelf<(PolicyDomain, MxHost), Kept<Said>>,
    exchange_flights: Flights<PolicyDomain, Arc<Kept<ExchangesFound>>>,
    host_flights: Flights<HostKey, Arc<Kept<HostLookup>>>,
    domain_flights: Flights<PolicyDomain, Arc<DomainDane>>,
}

/// What was said of one host of a domain.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) port: u16,
    pub(super) dane: Arc<HostDane>,
}

/// What there is already, or will be.
enum Expected<T> {
    Kept(T),
    Flight(Result<Flight<T>, Grounded>),
}

impl<T: Clone> Expected<T> {
    async fn here(self) -> Result<T, Grounded> {
        match self {
            Self::Kept(kept) => Ok(kept),
            Self::Flight(flight) => flight?.landed().await,
        }
    }
}

impl Desk {
    pub(super) fn new(parts: DaneParts) -> Self {
        Self {
            lives: Lives::new(parts.config.seconds_max),
            parts,
            exchanges: Shelf::new(),
            hosts: Shelf::new(),
            domains: Shelf::new(),
            said: Shelf::new(),
            lost: Shelf::new(),
            exchange_flights: Flights::new(),
            host_flights: Flights::new(),
            domain_flights: Flights::new(),
        }
    }

    /// What holds for all hosts of a domain.
    pub(super) async fn domain(self: &Arc<Self>, domain: &PolicyDomain) -> Arc<DomainDane> {
        if let Some(dane) = self.fresh_domain(domain.as_str(), self.now()) {
            return dane;
        }
        let Some(dns) = self.parts.validation.resolver() else {
            return Arc::new(DomainDane::off(domain.clone(), NOBODY_VALIDATES));
        };
        let flight = self.domain_flights.board(domain, || {
            let (desk, domain) = (Arc::clone(self), domain.clone());
            async move { desk.look_up_domain(&domain, dns).await }
        });
        let expected = Expected::Flight(flight).here().await;
        expected.unwrap_or_else(|grounded| Arc::new(self.unknown(domain, grounded)))
    }

    /// What holds for one host of a domain.
    pub(super) async fn host(
        self: &Arc<Self>,
        domain: &PolicyDomain,
        host: &MxHost,
        port: u16,
    ) -> Arc<HostDane> {
        let key = (domain.clone(), host.clone());
        if let Some(said) = self.said.recall(&key)
            && said.value.port == port
            && said.is_fresh(self.now())
        {
            return Arc::clone(&said.value.dane);
        }
        let Some(dns) = self.parts.validation.resolver() else {
            let off = HostDane::nothing(host.clone(), MxSecurity::Insecure, NoDane::Off);
            return Arc::new(off);
        };
        let (dane, until) = self.look_up_host(&key, port, &dns).await;
        let dane = Arc::new(dane);
        if matches!(dane.finding, DaneFinding::Unreachable(_)) {
            self.keep_lost(domain, host);
        }
        let said = Kept {
            value: Said {
                port,
                dane: Arc::clone(&dane),
            },
            since: self.now(),
            until,
        };
        self.said.remember(&key, Arc::new(said));
        dane
    }

    /// What was said of a domain, where that still holds.
    pub(super) fn fresh_domain(&self, domain: &str, now: Timestamp) -> Option<Arc<DomainDane>> {
        let kept = self.domains.recall(domain)?;
        kept.is_fresh(now).then(|| Arc::clone(&kept.value))
    }

    async fn look_up_domain(
        self: &Arc<Self>,
        domain: &PolicyDomain,
        dns: Arc<dyn SecureDns>,
    ) -> Arc<DomainDane> {
        // Another lookup may have ended between the question and this one.
        if let Some(dane) = self.fresh_domain(domain.as_str(), self.now()) {
            return dane;
        }
        let exchanges = match self.exchanges(domain, &dns).here().await {
            Ok(exchanges) => exchanges,
            Err(grounded) => return Arc::new(self.unknown(domain, grounded)),
        };
        let (hosts, until) = match &exchanges.value {
            Ok(read) => {
                let (hosts, until) = self.hosts_of(domain, read, &dns).await;
                (hosts, until.min(exchanges.until))
            }
            Err(reason) => (MailHosts::Failed(reason.clone()), exchanges.until),
        };
        let dane = Arc::new(DomainDane {
            domain: domain.clone(),
            hosts,
            until,
        });
        self.keep_all_lost(&dane);
        let kept = Kept {
            value: Arc::clone(&dane),
            since: self.now(),
            until,
        };
        self.domains.remember(domain, Arc::new(kept));
        dane
    }

    /// All hosts, at once. Until when that holds comes with them.
    async fn hosts_of(
        self: &Arc<Self>,
        domain: &PolicyDomain,
        exchanges: &MailExchanges,
        dns: &Arc<dyn SecureDns>,
    ) -> (MailHosts, Timestamp) {
        let hosts = exchanges.of(domain);
        let looks = self.looks_below(exchanges.mx);
        if looks && hosts.len() > self.parts.config.hosts_max {
            let many = ManyHosts {
                number: hosts.len(),
                mx: exchanges.mx,
            };
            return (MailHosts::TooMany(many), Timestamp(i64::MAX));
        }
        let expected: Vec<_> = hosts
            .into_iter()
            .map(|exchange| {
                let expected = match exchange.kind {
                    ExchangeKind::NotAName => Err(NoDane::NotAName),
                    ExchangeKind::Name if !looks => Err(NoDane::InsecureMx),
                    ExchangeKind::Name => {
                        Ok(self.found(&(exchange.host.clone(), self.parts.port), dns))
                    }
                };
                (exchange, expected)
            })
            .collect();
        let mut until = Timestamp(i64::MAX);
        let mut found: Vec<(Exchange, HostFound)> = Vec::new();
        for (exchange, expected) in expected {
            let of_host = match expected {
                Err(why) => HostFound::Nothing(why),
                // Each is under way already; the slowest is what this waits for.
                Ok(expected) => {
                    let (of_host, its_until) = self.here(expected).await;
                    until = until.min(its_until);
                    of_host
                }
            };
            found.push((exchange, of_host));
        }
        (exchanges.judge_all(domain, &found), until)
    }

    async fn look_up_host(
        self: &Arc<Self>,
        (domain, host): &(PolicyDomain, MxHost),
        port: u16,
        dns: &Arc<dyn SecureDns>,
    ) -> (HostDane, Timestamp) {
        let key = (host.clone(), port);
        let exchanges = self.exchanges(domain, dns);
        // Nothing of the host depends on the MX records, but whether it is looked at.
        let ahead = self
            .looks_below(MxSecurity::Insecure)
            .then(|| self.found(&key, dns));
        let failed = |reason: &str| HostDane {
            host: host.clone(),
            mx: MxSecurity::Insecure,
            // RFC 7672 s2.1.2: who hides the MX records must not get the mail.
            finding: DaneFinding::Unreachable(LookupTrouble::Mx(reason.to_owned())),
        };
        let exchanges = match exchanges.here().await {
            Ok(exchanges) => exchanges,
            Err(grounded) => return (failed(&grounded.to_string()), self.now()),
        };
        let read = match &exchanges.value {
            Ok(read) => read,
            Err(reason) => return (failed(reason), exchanges.until),
        };
        let mx = read.security_of(domain, host);
        if !self.looks_below(mx) {
            let nothing = HostDane::nothing(host.clone(), mx, NoDane::InsecureMx);
            return (nothing, exchanges.until);
        }
        let expected = ahead.unwrap_or_else(|| self.found(&key, dns));
        let (found, until) = self.here(expected).await;
        let dane = read.judge(domain, host, &found);
        (dane, until.min(exchanges.until))
    }

    /// The MX records of a domain, kept or looked up.
    fn exchanges(
        self: &Arc<Self>,
        domain: &PolicyDomain,
        dns: &Arc<dyn SecureDns>,
    ) -> Expected<Arc<Kept<ExchangesFound>>> {
        let fresh = |desk: &Self, domain: &PolicyDomain| {
            let kept = desk.exchanges.recall(domain)?;
            kept.is_fresh(desk.now()).then_some(kept)
        };
        if let Some(kept) = fresh(self, domain) {
            return Expected::Kept(kept);
        }
        Expected::Flight(self.exchange_flights.board(domain, || {
            let (desk, domain) = (Arc::clone(self), domain.clone());
            let lookups = self.lookups(dns);
            async move {
                if let Some(kept) = fresh(&desk, &domain) {
                    return kept;
                }
                let looked_up = Arc::new(lookups.exchanges(&domain).await);
                desk.exchanges.remember(&domain, Arc::clone(&looked_up));
                looked_up
            }
        }))
    }

    /// What there is of a host, kept or looked up.
    fn found(
        self: &Arc<Self>,
        key: &HostKey,
        dns: &Arc<dyn SecureDns>,
    ) -> Expected<Arc<Kept<HostLookup>>> {
        let kept = self.hosts.recall(key);
        if let Some(kept) = kept.filter(|kept| kept.is_fresh(self.now())) {
            return Expected::Kept(kept);
        }
        Expected::Flight(self.host_flights.board(key, || {
            let (desk, key) = (Arc::clone(self), key.clone());
            let lookups = self.lookups(dns);
            async move {
                let kept = desk.hosts.recall(&key);
                if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(desk.now())) {
                    return Arc::clone(kept);
                }
                let (host, port) = &key;
                let looked_up = Arc::new(lookups.host(host, *port, kept).await);
                desk.hosts.remember(&key, Arc::clone(&looked_up));
                looked_up
            }
        }))
    }

    /// What came of a host, and until when that holds.
    async fn here(&self, expected: Expected<Arc<Kept<HostLookup>>>) -> (HostFound, Timestamp) {
        match expected.here().await {
            Ok(kept) => (kept.value.found.clone(), kept.until),
            Err(grounded) => {
                let trouble = LookupTrouble::Addresses(grounded.to_string());
                (HostFound::Unreachable(trouble), self.now())
            }
        }
    }

    /// What is said where nothing could be looked up: mail waits a moment.
    fn unknown(&self, domain: &PolicyDomain, grounded: Grounded) -> DomainDane {
        DomainDane {
            domain: domain.clone(),
            hosts: MailHosts::Failed(grounded.to_string()),
            until: self.now(),
        }
    }

    /// Whether hosts are looked up below such MX records.
    fn looks_below(&self, mx: MxSecurity) -> bool {
        mx == MxSecurity::Secure || self.parts.config.insecure_mx != InsecureMx::May
    }

    fn lookups(&self, dns: &Arc<dyn SecureDns>) -> Lookups {
        Lookups {
            dns: Arc::clone(dns),
            clock: Arc::clone(&self.parts.clock),
            counters: Arc::clone(&self.parts.counters),
            lives: self.lives,
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}
