//! Keeps the policies of recipient domains: looks them up, fetches, refreshes, asks once.
//!
//! What is to be done is decided by [`freshness`](crate::policy::freshness); this does it. An answer
//! comes from memory while its TXT record may be relied on. Otherwise one errand for the domain looks
//! the record up, fetches the policy if its id is new, and writes it to the store, for all who ask.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, watch};
use tracing::{info, warn};

use self::{
    errands::Desk,
    flights::{Errand, Flights},
    memory::{Memory, Remembered},
};
use crate::{
    clock::{Clock, Timestamp},
    config::PolicyConfig,
    engine::Ready,
    net::{
        dns::{Dns, DnsError},
        https::PolicyHost,
    },
    observe::{Counters, audit::Auditor},
    policy::{
        FetchTrouble, Intervals, KeptPolicy, PolicyDomain, RuaDiscovery, RuaRecord, Standing,
    },
    recent::Recent,
    record::journal::Journal,
    store::{Store, StoreError},
};

mod errands;
mod flights;
mod memory;
mod refresh;

/// The keeper. One for each running host.
pub struct Keeper {
    desk: Arc<Desk>,
    flights: Flights,
    learnt: Mutex<Learnt>,
}

/// The valid `_smtp._tls` records that were looked up last, each with its moment.
type Learnt = Recent<PolicyDomain, Option<(Timestamp, RuaRecord)>>;

/// How many of them are held.
const LEARNT_MAX: usize = 10_000;

/// What a keeper works with.
pub struct KeeperParts {
    /// The resolver.
    pub dns: Arc<dyn Dns>,
    /// Where documents are fetched.
    pub policy_host: Arc<dyn PolicyHost>,
    /// Where policies outlive the process.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where failed fetches are noted for the report.
    pub journal: Journal,
    /// What the operator sees.
    pub counters: Arc<Counters>,
    /// Where it is noted that a domain's policy is another.
    pub auditor: Auditor,
    /// `[policy]`
    pub config: PolicyConfig,
}

/// Nothing can be told of a domain: not even that it has no policy. The operator's
/// `policy.when_unknown` says what the MTA is told then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// The store cannot be read, so it is not known whether a policy is kept, and neither the DNS
    /// nor the policy host could settle it.
    #[error("whether a policy is kept cannot be read: {0}")]
    Store(#[from] StoreError),
    /// More domains are being looked up than this host will do at once.
    #[error("too many domains are being looked up at once")]
    Busy,
    /// The program is stopping, or the lookup died.
    #[error("the lookup was stopped")]
    Stopped,
}

/// A kept policy, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The domain.
    pub domain: PolicyDomain,
    /// The policy.
    pub kept: KeptPolicy,
    /// Why the last fetch failed, if it did since the start of the program.
    pub trouble: Option<FetchTrouble>,
}

impl Keeper {
    /// A keeper that knows nothing yet but what the store holds.
    #[must_use]
    pub fn new(parts: KeeperParts) -> Self {
        let config = &parts.config;
        Self {
            desk: Arc::new(Desk {
                memory: Memory::new(config.domains_in_memory_max),
                fetches: Semaphore::new(config.fetches_max.clamp(1, Semaphore::MAX_PERMITS)),
                intervals: Intervals {
                    fetch_retry_seconds: config.fetch_retry_seconds,
                    refresh_seconds: config.refresh_seconds,
                    record_seconds_max: config.record_seconds_max,
                },
                parts,
            }),
            flights: Flights::default(),
            learnt: Mutex::new(Recent::new(LEARNT_MAX / 2)),
        }
    }

    /// How a domain stands now. Waits for the DNS and the policy host where it must; what was begun
    /// goes on when the caller waits no longer, and [`known`](Self::known) says what there is then.
    ///
    /// # Errors
    /// When nothing can be told of it.
    pub async fn standing(&self, domain: &PolicyDomain) -> Result<Standing, Unknown> {
        if let Some(ready) = self.fresh(domain.as_str(), self.now()) {
            return Ok(ready.standing().clone());
        }
        self.fly(domain, Errand::Ask).await
    }

    /// How a domain stands as far as is known, without asking anybody: what was last found, or an
    /// unexpired policy from the store. May read the disk, once, for a domain that is not in memory.
    #[must_use]
    pub fn known(&self, domain: &PolicyDomain) -> Option<Standing> {
        self.desk.known(domain)
    }

    /// How the domain of this name, lower case A-labels, stands, where that may be told without
    /// asking anybody.
    #[must_use]
    pub fn fresh(&self, domain: &str, now: Timestamp) -> Option<Arc<Ready>> {
        let ready = |remembered: &Arc<Remembered>| {
            let is_fresh = remembered.is_fresh(now);
            is_fresh.then(|| Arc::clone(&remembered.ready))
        };
        self.desk.memory.recall_of(domain, ready)?
    }

    /// Looks the TXT record up past what is remembered, and follows a new id. To be asked before
    /// mail is refused for good (RFC 8461 s5.1). For one domain once a minute; between, what was
    /// found then is the answer.
    ///
    /// # Errors
    /// When nothing can be told of it.
    pub async fn recheck(&self, domain: &PolicyDomain) -> Result<Standing, Unknown> {
        self.fly(domain, Errand::Recheck).await
    }

    /// Fetches the policy now, at the operator's wish.
    ///
    /// # Errors
    /// When nothing can be told of the domain.
    pub async fn refresh(&self, domain: &PolicyDomain) -> Result<Standing, Unknown> {
        info!(%domain, "policy refresh ordered");
        self.fly(domain, Errand::Order).await
    }

    /// Forgets what is known of a domain, its kept policy included. The next question looks it up
    /// anew.
    ///
    /// # Errors
    /// When the store cannot be written; the policy may then come back from it.
    pub async fn purge(&self, domain: &PolicyDomain) -> Result<(), Unknown> {
        self.fly(domain, Errand::Purge).await?;
        info!(%domain, "policy purged");
        Ok(())
    }

    /// Every kept policy, by domain.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Listed>, Unknown> {
        let kept = self.desk.with_store(|store| store.kept_policies()).await?;
        let trouble = |domain: &PolicyDomain| {
            let remembered = self.desk.memory.recall(domain.as_str())?;
            remembered.known.trouble.clone()
        };
        Ok(kept
            .into_iter()
            .map(|(domain, kept)| Listed {
                trouble: trouble(&domain),
                domain,
                kept,
            })
            .collect())
    }

    /// Whether and where a domain wants its reports, looked up now: the record of the day before
    /// may have changed (A16).
    ///
    /// # Errors
    /// When the lookup failed, which says nothing about the record (A15).
    pub async fn rua(&self, domain: &PolicyDomain) -> Result<RuaDiscovery, DnsError> {
        // RFC 8460 s3: at the policy domain itself, never at a parent.
        let answer = self
            .desk
            .parts
            .dns
            .txt(&format!("_smtp._tls.{domain}"))
            .await;
        let discovery = match answer {
            Ok(answer) => RuaDiscovery::read(&answer.values),
            // So long a domain cannot have the record.
            Err(DnsError::BadName { .. }) => RuaDiscovery::Absent,
            Err(error) => return Err(error),
        };
        self.learn(domain, &discovery);
        match &discovery {
            RuaDiscovery::Found(record) => {
                for skipped in &record.skipped {
                    warn!(%domain, skipped, "rua: URI passed over");
                }
            }
            RuaDiscovery::Invalid(error) => {
                warn!(%domain, %error, "_smtp._tls record is not valid: no report");
            }
            RuaDiscovery::Absent => {}
        }
        Ok(discovery)
    }

    /// The last valid record of where a domain wants its reports, if it was looked up at `since` or later.
    #[must_use]
    pub fn learnt_rua(&self, domain: &PolicyDomain, since: Timestamp) -> Option<RuaRecord> {
        let learnt = self.learnt();
        let (at, record) = learnt.get(domain)?.as_ref()?;
        (*at >= since).then(|| record.clone())
    }

    /// The newest holds: a record, or that there is none.
    fn learn(&self, domain: &PolicyDomain, discovery: &RuaDiscovery) {
        let mut learnt = self.learnt();
        match discovery {
            RuaDiscovery::Found(record) => {
                *learnt.of(domain.clone()) = Some((self.now(), record.clone()));
            }
            RuaDiscovery::Absent | RuaDiscovery::Invalid(_) => learnt.remove(domain),
        }
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refreshes every kept policy in the background (RFC 8461 s10.2), and drops those that have
    /// expired, until `shutdown` becomes true.
    pub async fn run(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        refresh::run(&self, shutdown).await;
    }

    fn now(&self) -> Timestamp {
        self.desk.now()
    }

    async fn fly(&self, domain: &PolicyDomain, errand: Errand) -> Result<Standing, Unknown> {
        let work = || {
            let (desk, domain) = (Arc::clone(&self.desk), domain.clone());
            async move { desk.run(&domain, errand).await }
        };
        self.flights.fly(domain, errand, work).await
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keeper")
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeeperParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeeperParts")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
