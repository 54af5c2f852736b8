//! Brings each day's reports to their recipients, once, whatever happens in between.
//!
//! One loop waits for the moments of the domains ([`Schedule`]) and runs an errand for each: look up
//! where the report goes, compose it, send it, take down what became of it. What is decided is
//! decided in [`outbox`](super::outbox), [`Schedule`] and [`Retry`]; here it is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    agenda::{Agenda, Errand},
    calendar::{self, Calendar},
    destinations::Rules,
    errand::Left,
    ledger::Ledger,
    listing::{Listed, Note, Notes, Part},
    outbox::Urge,
    retry::Retry,
    schedule::Schedule,
    shares::Hosts,
    sources::{ReportSource, RuaSource},
    suppression::NextHop,
    suppressions::Suppressions,
    under_way::{Admission, HostLimits, UnderWay},
};
use crate::{
    clock::{Clock, Timestamp, UtcDay},
    net::{report_host::ReportHost, smtp::Transport},
    observe::Counters,
    policy::PolicyDomain,
    store::{Keeping, Store, StoreError, TlsaHosts},
};

/// How long attempts under way may go on when the daemon is to stop. What is not done by then is
/// found as `Sending` at the next start.
const DRAIN_SECONDS: u64 = 10;

/// What the operator set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Are reports made and sent at all?
    pub reporting: Reporting,
    /// Domains that get no report.
    pub never: BTreeSet<PolicyDomain>,
    /// The envelope sender of report mail.
    pub envelope_from: String,
    /// Whose answer it is when a mail is refused.
    pub next_hop: NextHop,
    /// When reports leave.
    pub schedule: Schedule,
    /// How failed attempts are repeated.
    pub retry: Retry,
    /// Which destinations get a report.
    pub rules: Rules,
    /// How many errands are run at once.
    pub concurrent_max: usize,
    /// What one destination host is spared.
    pub host_limits: HostLimits,
    /// For how long what of a day is kept.
    pub keeping: Keeping,
}

/// Are reports made and sent at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporting {
    /// Yes.
    On,
    /// No; days are still packed and forgotten.
    Off,
}

/// What a courier works with.
#[derive(Clone)]
pub struct Parts {
    /// Where the day's rows and the delivery states are.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The way to mailboxes.
    pub transport: Arc<dyn Transport>,
    /// The way to `https:` destinations.
    pub report_host: Arc<dyn ReportHost>,
    /// Where reports are to go.
    pub rua: Arc<dyn RuaSource>,
    /// The reports.
    pub reports: Arc<dyn ReportSource>,
    /// What an operator sees.
    pub counters: Arc<Counters>,
}

/// Why a day's reports cannot be sent on demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendDayError {
    /// The caller: a report covers a whole day (RFC 8460 s4.1).
    #[error("{0} is not over: a report covers a whole UTC day")]
    NotOver(UtcDay),
    /// The operator: reporting is switched off.
    #[error("reporting is switched off (report.enabled)")]
    Off,
    /// The caller: the store holds nothing of it, or it gets no report by configuration.
    #[error("nothing is to be reported to {domain} for {day}")]
    Nothing {
        /// The domain asked for.
        domain: PolicyDomain,
        /// The day asked for.
        day: UtcDay,
    },
    /// The operator: see the store's error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stage 7. One for each store.
pub struct Courier {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) report_host: Arc<dyn ReportHost>,
    pub(super) rua: Arc<dyn RuaSource>,
    pub(super) reports: Arc<dyn ReportSource>,
    pub(super) counters: Arc<Counters>,
    pub(super) settings: Settings,
    pub(super) ledger: Ledger,
    pub(super) suppressions: Suppressions,
    pub(super) notes: Notes,
    pub(super) hosts: Hosts,
    pub(super) under_way: Arc<UnderWay>,
    /// Errands begun on demand that are to be run again: the daily loop goes on with them.
    handed_over: Mutex<BTreeMap<Errand, Timestamp>>,
}

impl Courier {
    /// A courier that has not begun.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            ledger: Ledger::new(Arc::clone(&parts.store)),
            suppressions: Suppressions::new(Arc::clone(&parts.store)),
            store: parts.store,
            clock: parts.clock,
            transport: parts.transport,
            report_host: parts.report_host,
            rua: parts.rua,
            reports: parts.reports,
            counters: parts.counters,
            under_way: UnderWay::new(settings.concurrent_max, settings.host_limits),
            settings,
            notes: Notes::default(),
            hosts: Hosts::default(),
            handed_over: Mutex::default(),
        })
    }

    /// Where the day's rows and the delivery states are.
    pub(crate) const fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Sends what is due, day after day, until `shutdown`; takes up first what an earlier process
    /// left unfinished. Also packs finished days and forgets old ones.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut round = Round::new(&self, Urge::WhenDue);
        let mut calendar = Calendar::default();
        let mut freed = self.under_way.freed();
        loop {
            freed.borrow_and_update();
            let pages_at = self.turn_pages(&mut calendar, &mut round.agenda).await;
            round.take_over();
            round.start_due();
            let now = self.clock.now();
            if calendar::is_beyond_the_next_page(pages_at, now) {
                // The clock was set back meanwhile.
                continue;
            }
            let next = round.agenda.next_after(now);
            let wake_at = next.map_or(pages_at, |next| next.min(pages_at));
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(ended) = round.running.join_next() => round.take_in(ended),
                _changed = freed.changed() => {}
                () = self.clock.wait_until(wake_at) => {}
            }
        }
        round.drain().await;
        if let Err(error) = self.ledger.pay(None).await {
            tracing::error!(%error, "what became of reports could not be written; some may be sent again");
        }
    }

    /// Sends the reports of a day now, of all domains or of one: also those that wait for a retry or
    /// were given up. What was sent stays sent. That of one domain goes to suppressed destinations too, but those
    /// that the operator suppressed. Returns how each stands afterwards.
    ///
    /// What fails is repeated by [`run`](Self::run). If the caller goes away, it goes on.
    ///
    /// # Errors
    /// When the day is not over, there is nothing to send, or the store fails.
    pub async fn send_day(
        self: &Arc<Self>,
        day: UtcDay,
        only: Option<&PolicyDomain>,
    ) -> Result<Vec<Listed>, SendDayError> {
        if self.settings.reporting == Reporting::Off {
            return Err(SendDayError::Off);
        }
        // RFC 8460 s4.1: a report covers a whole UTC day.
        if self.clock.now() <= day.last_second() {
            return Err(SendDayError::NotOver(day));
        }
        self.ledger.load(day).await?;
        // The day has ended, and every errand of it asks for these: they are looked for once.
        self.hosts.look(&self.store, day).await?;
        let hosts = self.hosts.of(&self.store, day).await?;
        let mut names = self.names(day, &hosts).await?;
        if let Some(only) = only {
            names.retain(|domain, _| domain == only);
            if names.is_empty() {
                let domain = only.clone();
                return Err(SendDayError::Nothing { domain, day });
            }
        }
        let urge = match only {
            Some(_) => Urge::Insisting,
            None => Urge::Now,
        };
        // MX hosts last: what they are told hangs on where the recipient domains' reports went.
        let is_host = |domain: &PolicyDomain| !hosts.recipients(domain).is_empty();
        let (last, first): (Vec<_>, Vec<_>) = names.into_keys().partition(is_host);
        for domains in [first, last] {
            let mut round = Round::new(self, urge);
            let now = self.clock.now();
            for domain in domains {
                round.agenda.put(now, Errand { day, domain });
            }
            // A task of its own: a caller who hangs up must not cut an attempt in two.
            if let Err(trouble) = tokio::spawn(round.finish()).await {
                tracing::error!(%day, %trouble, "sending on demand broke off");
            }
        }
        let mut listed = self.list(day).await?;
        listed.retain(|listed| only.is_none_or(|only| listed.domain == *only));
        Ok(listed)
    }

    /// How the report of each domain for a day stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self, day: UtcDay) -> Result<Vec<Listed>, StoreError> {
        let mut all = Vec::new();
        self.each_listed(day, |listed| all.push(listed)).await?;
        Ok(all)
    }

    /// The same, one after the other in the order of their names: all of them at once are some ten MB of a large
    /// sender.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn each_listed(
        &self,
        day: UtcDay,
        each: impl FnMut(Listed),
    ) -> Result<(), StoreError> {
        self.ledger.load(day).await?;
        let hosts = self.hosts.of(&self.store, day).await?;
        let mut names = self.names_held(day, &hosts).await?;
        for domain in self.ledger.domains(day) {
            names.entry(domain).or_insert(Part::Recipient);
        }
        names
            .into_iter()
            .map(|(domain, part)| self.listed(Errand { day, domain }, part, &hosts))
            .for_each(each);
        Ok(())
    }

    fn listed(&self, errand: Errand, part: Part, hosts: &TlsaHosts) -> Listed {
        let never = self.settings.reporting == Reporting::Off
            || self.settings.never.contains(&errand.domain);
        Listed {
            due_at: self.turn_at(errand.day, &errand.domain, hosts),
            deliveries: self.ledger.states(&errand).into_iter().collect(),
            note: if never {
                Some(Note::Never)
            } else {
                self.notes.of(&errand)
            },
            domain: errand.domain,
            part,
        }
    }

    fn hand_over(&self, errand: Errand, at: Timestamp) {
        let mut handed_over = self
            .handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        handed_over.insert(errand, at);
        drop(handed_over);
        self.under_way.wake();
    }

    fn taken_over(&self) -> BTreeMap<Errand, Timestamp> {
        let mut handed_over = self
            .handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *handed_over)
    }
}

/// Errands to be run, and those being run for it.
struct Round {
    courier: Arc<Courier>,
    urge: Urge,
    agenda: Agenda,
    running: JoinSet<(Errand, Left)>,
}

impl Round {
    fn new(courier: &Arc<Courier>, urge: Urge) -> Self {
        Self {
            courier: Arc::clone(courier),
            urge,
            agenda: Agenda::default(),
            running: JoinSet::new(),
        }
    }

    /// Begins every errand that is due, as far as there is room.
    fn start_due(&mut self) {
        let now = self.courier.clock.now();
        let under_way = Arc::clone(&self.courier.under_way);
        self.agenda.unpark(now, |host| under_way.room_for(host));
        while let Some(errand) = self.agenda.take_due(now) {
            let place = match under_way.admit(&errand) {
                Admission::Granted(place) => place,
                // Whoever runs it sees to the rest of it.
                Admission::Running => continue,
                Admission::Full => {
                    self.agenda.put(now, errand);
                    return;
                }
            };
            let (courier, urge) = (Arc::clone(&self.courier), self.urge);
            self.running.spawn(async move {
                let left = courier.run_errand(&errand, urge).await;
                drop(place);
                (errand, left)
            });
        }
    }

    /// Sees to what is left of an errand.
    fn take_in(&mut self, ended: Result<(Errand, Left), tokio::task::JoinError>) {
        let (errand, left) = match ended {
            Ok(ended) => ended,
            Err(trouble) => {
                tracing::error!(%trouble, "an errand broke off; it is taken up at the next start");
                return;
            }
        };
        if let Some(host) = left.parked_for {
            self.agenda.park(&host, errand.clone());
        }
        // It has not been tried yet: that is for whoever asked for it, and not later for the daily loop.
        if let Some(at) = left.turn_at {
            self.agenda.put(at, errand.clone());
        }
        match (left.again_at, self.urge) {
            (None, _) => {}
            (Some(at), Urge::WhenDue) => {
                let at = left.turn_at.map_or(at, |turn_at| turn_at.min(at));
                self.agenda.put(at, errand);
            }
            // On demand means one attempt; the others are the daily loop's.
            (Some(at), Urge::Now | Urge::Insisting) => self.courier.hand_over(errand, at),
        }
    }

    /// Takes over what was begun on demand.
    fn take_over(&mut self) {
        for (errand, at) in self.courier.taken_over() {
            self.agenda.put(at, errand);
        }
    }

    /// Runs every errand to its end.
    async fn finish(mut self) {
        let mut freed = self.courier.under_way.freed();
        loop {
            freed.borrow_and_update();
            self.start_due();
            if self.agenda.is_empty() && self.running.is_empty() {
                return;
            }
            let now = self.courier.clock.now();
            let turn = self.agenda.next_after(now);
            let turn_comes = async {
                match turn {
                    Some(at) => self.courier.clock.wait_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.running.join_next() => self.take_in(ended),
                _changed = freed.changed() => {}
                () = turn_comes => {}
            }
        }
    }

    /// Lets what is under way end, for a while.
    async fn drain(&mut self) {
        let limit = Duration::from_secs(DRAIN_SECONDS);
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!(
                cut_off = self.running.len(),
                "reports under way are cut off; they are sent again at the next start"
            );
        }
    }
}
