//! What the days of the store come to, held in memory, so that a page costs no pass over them.
//!
//! It is read when somebody looks, in the background, and again while somebody goes on looking: today
//! and yesterday, whose numbers still change; the days before them once a day. Nobody waits for it longer
//! than for a page.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::source::Source;
use crate::{
    aggregate::sums::{Cause, CauseSums, DaySums, DomainSums},
    clock::UtcDay,
    ctl::{
        control::Replied,
        protocol::Refusal,
        wire::{PolicyView, ProtectedSessions},
    },
};

/// How many days are shown, today included.
pub(super) const DAYS: u32 = 30;

/// How many days still change: today and yesterday.
const OPEN_DAYS: usize = 2;

/// What is older than this is read again when somebody looks.
const FRESH: Duration = Duration::from_secs(2);

/// Reading takes no more than this part of the time: one that took a second is followed by 20 of rest.
const REST: u32 = 20;

/// How long a page waits for what is read anew, and for the first of it.
const WAIT: Duration = Duration::from_millis(25);
const FIRST_WAIT: Duration = Duration::from_secs(3);

/// How long what was read so far is worked into what is shown, while the rest is read.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// One domain over all days.
#[derive(Clone, Debug)]
pub(super) struct DomainLine {
    pub(super) name: Arc<str>,
    pub(super) sums: DomainSums,
    /// The mode of the policy that is kept.
    pub(super) mode: Option<Mode>,
}

/// The mode of a kept policy, or that it no longer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Enforce,
    Testing,
    None,
    Expired,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Enforce, Self::Testing, Self::None, Self::Expired];

    fn of(policy: &PolicyView) -> Self {
        match policy.mode.as_str() {
            _ if policy.expired => Self::Expired,
            "enforce" => Self::Enforce,
            "testing" => Self::Testing,
            _ => Self::None,
        }
    }

    /// The word of RFC 8461, or `expired`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
            Self::Expired => "expired",
        }
    }
}

/// What domains can be sorted by. Equal ones are in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Those with the most failures first.
    Failures,
    /// Those with the most sessions first.
    Sessions,
    /// Those that most mail went to in the clear first.
    Clear,
    /// By name.
    Name,
}

impl Order {
    fn places(self, domains: &[DomainLine]) -> Vec<u32> {
        let mut places: Vec<_> = (0..).zip(domains).collect();
        places.sort_by_cached_key(|(_, line)| {
            let sums = &line.sums;
            Reverse(match self {
                Self::Failures => (sums.failures, sums.sessions()),
                Self::Sessions => (sums.sessions(), 0),
                Self::Clear => (protected(sums).clear, 0),
                Self::Name => (0, 0),
            })
        });
        places.into_iter().map(|(place, _)| place).collect()
    }
}

/// What is shown until the next reading.
#[derive(Debug)]
pub(super) struct Edition {
    /// The first day and today.
    pub(super) first: UtcDay,
    pub(super) today: UtcDay,
    /// The days that have sessions, in order.
    pub(super) days: Vec<(UtcDay, ProtectedSessions)>,
    pub(super) total: DomainSums,
    /// By name.
    pub(super) domains: Vec<DomainLine>,
    /// Their places in each order but that of their names.
    orders: BTreeMap<Order, Vec<u32>>,
    /// The one with the most sessions first.
    pub(super) causes: Vec<(Cause, CauseSums)>,
    /// How many domains have failures.
    pub(super) with_failures: usize,
    /// How many of how many days were read.
    pub(super) read: (usize, usize),
}

/// The days that change no more, added up.
#[derive(Default)]
struct Closed {
    /// Those before this day.
    before: Option<UtcDay>,
    sums: DaySums,
    days: BTreeMap<UtcDay, ProtectedSessions>,
    left: Vec<UtcDay>,
    of: usize,
}

/// The almanac.
pub(super) struct Almanac {
    source: Arc<dyn Source>,
    edition: RwLock<Option<Arc<Edition>>>,
    closed: tokio::sync::Mutex<Closed>,
    clockwork: Mutex<Clockwork>,
}

/// When it was read, and how long that took.
#[derive(Default)]
struct Clockwork {
    read_at: Option<Instant>,
    took: Duration,
}

impl Almanac {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            edition: RwLock::default(),
            closed: tokio::sync::Mutex::default(),
            clockwork: Mutex::default(),
        }
    }

    /// What there is to show, as new as it can be had while a page is waited for.
    pub(super) async fn edition(self: &Arc<Self>) -> Replied<Arc<Edition>> {
        let held = self.held();
        if held.is_some() && !self.is_due() {
            return held.ok_or_else(|| Refusal::trouble("nothing was read yet"));
        }
        let this = Arc::clone(self);
        let reading = tokio::spawn(async move { this.read().await });
        let wait = if held.is_some() { WAIT } else { FIRST_WAIT };
        let failed = match timeout(wait, reading).await {
            Ok(Ok(done)) => done.err(),
            Ok(Err(error)) => Some(Refusal::trouble(error.to_string())),
            Err(_) => None,
        };
        match (self.held(), failed) {
            (_, Some(refusal)) => Err(refusal),
            (Some(edition), None) => Ok(edition),
            // Not even today was read yet: an empty page says so.
            (None, None) => Ok(Arc::new(Edition::unread(self.source.now().day()))),
        }
    }

    fn held(&self) -> Option<Arc<Edition>> {
        let edition = self.edition.read().unwrap_or_else(PoisonError::into_inner);
        edition.clone()
    }

    fn is_due(&self) -> bool {
        let clockwork = self
            .clockwork
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rest = clockwork.took.saturating_mul(REST).max(FRESH);
        clockwork.read_at.is_none_or(|at| at.elapsed() >= rest)
    }

    /// Reads what changes, and what was not read yet. Whoever comes meanwhile waits for the same.
    async fn read(&self) -> Replied<()> {
        let mut closed = self.closed.lock().await;
        if !self.is_due() {
            return Ok(());
        }
        let began = Instant::now();
        let today = self.source.now().day();
        let yesterday = today.previous();
        if closed.before != Some(yesterday) {
            *closed = self.closed_days(yesterday, first_of(today)).await?;
        }
        let mut open = BTreeMap::new();
        let is_first = self.held().is_none();
        for day in [today, yesterday] {
            open.insert(day, self.source.day_sums(day).await?);
            if is_first {
                self.show(&closed, &open, &[], today);
            }
        }
        let policies = self.source.policies().await?.policies;
        self.show(&closed, &open, &policies, today);
        let mut shown_at = Instant::now();
        // The newest first: they are what one looks for.
        while let Some(day) = closed.left.pop() {
            let sums = self.source.day_sums(day).await;
            let sums = match sums {
                Ok(sums) => sums,
                Err(refusal) => {
                    closed.left.push(day);
                    return Err(refusal);
                }
            };
            closed.days.insert(day, protected(&sums.total));
            closed.sums.merge(&sums);
            if shown_at.elapsed() >= SHOWN_EVERY || closed.left.is_empty() {
                self.show(&closed, &open, &policies, today);
                shown_at = Instant::now();
            }
        }
        let mut clockwork = self
            .clockwork
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *clockwork = Clockwork {
            read_at: Some(Instant::now()),
            took: began.elapsed(),
        };
        Ok(())
    }

    async fn closed_days(&self, before: UtcDay, first: UtcDay) -> Replied<Closed> {
        let mut left = self.source.days().await?;
        left.retain(|day| (first..before).contains(day));
        Ok(Closed {
            before: Some(before),
            of: left.len(),
            left,
            ..Closed::default()
        })
    }

    fn show(
        &self,
        closed: &Closed,
        open: &BTreeMap<UtcDay, DaySums>,
        policies: &[PolicyView],
        today: UtcDay,
    ) {
        let edition = Arc::new(Edition::of(closed, open, policies, today));
        *self.edition.write().unwrap_or_else(PoisonError::into_inner) = Some(edition);
    }
}

/// The first of the days that are shown.
pub(super) fn first_of(today: UtcDay) -> UtcDay {
    UtcDay(today.0.saturating_sub(DAYS - 1))
}

/// The sessions of these sums as the wire has them.
fn protected(sums: &DomainSums) -> ProtectedSessions {
    ProtectedSessions::from(&sums.protected)
}

/// A line for each domain that has sessions or a policy, by name.
fn lines(before: &DaySums, recent: &DaySums, policies: &[PolicyView]) -> Vec<DomainLine> {
    let mut modes: BTreeMap<&str, Mode> = policies
        .iter()
        .map(|policy| (policy.domain.as_str(), Mode::of(policy)))
        .collect();
    let mut lines: BTreeMap<Arc<str>, DomainLine> = BTreeMap::new();
    for (domain, sums) in before.domains.iter().chain(&recent.domains) {
        if let Some(line) = lines.get_mut(domain.as_str()) {
            line.sums.merge(sums);
            continue;
        }
        let name: Arc<str> = domain.as_str().into();
        let line = DomainLine {
            name: Arc::clone(&name),
            sums: *sums,
            mode: modes.remove(domain.as_str()),
        };
        lines.insert(name, line);
    }
    // A policy may be kept of a domain that no mail goes to any more.
    for (domain, mode) in modes {
        let name: Arc<str> = domain.into();
        let line = DomainLine {
            name: Arc::clone(&name),
            sums: DomainSums::default(),
            mode: Some(mode),
        };
        lines.insert(name, line);
    }
    lines.into_values().collect()
}

impl Edition {
    fn of(
        closed: &Closed,
        open: &BTreeMap<UtcDay, DaySums>,
        policies: &[PolicyView],
        today: UtcDay,
    ) -> Self {
        let mut total = closed.sums.total;
        let mut days = closed.days.clone();
        let mut recent = DaySums::default();
        for (day, sums) in open {
            total.merge(&sums.total);
            days.insert(*day, protected(&sums.total));
            recent.merge(sums);
        }
        let mut failed = DaySums {
            causes: closed.sums.causes.clone(),
            ..DaySums::default()
        };
        failed.merge(&DaySums {
            causes: std::mem::take(&mut recent.causes),
            ..DaySums::default()
        });
        let mut causes: Vec<_> = failed.causes.into_iter().collect();
        causes.sort_by_key(|(_, sums)| Reverse(sums.sessions));
        let domains = lines(&closed.sums, &recent, policies);
        Self {
            first: first_of(today),
            today,
            days: days
                .into_iter()
                .filter(|(_, sessions)| sessions.sessions > 0)
                .collect(),
            total,
            orders: [Order::Failures, Order::Sessions, Order::Clear]
                .into_iter()
                .map(|order| (order, order.places(&domains)))
                .collect(),
            with_failures: domains.iter().filter(|line| line.sums.failures > 0).count(),
            domains,
            causes,
            read: (
                closed.of - closed.left.len() + open.len(),
                closed.of + OPEN_DAYS,
            ),
        }
    }

    /// What is shown before anything was read.
    fn unread(today: UtcDay) -> Self {
        Self::of(&Closed::default(), &BTreeMap::new(), &[], today)
    }

    /// What protected all sessions together.
    pub(super) fn protected(&self) -> ProtectedSessions {
        protected(&self.total)
    }

    /// The domains in this order, the first `from` of them left out.
    pub(super) fn ordered(
        &self,
        order: Order,
        from: usize,
    ) -> Box<dyn Iterator<Item = &DomainLine> + '_> {
        match self.orders.get(&order) {
            Some(places) => {
                let places = places.iter().skip(from);
                Box::new(places.filter_map(|place| self.domains.get(usize::try_from(*place).ok()?)))
            }
            None => Box::new(self.domains.iter().skip(from)),
        }
    }

    /// The domain of this name.
    pub(super) fn domain(&self, name: &str) -> Option<&DomainLine> {
        let place = self.domains.binary_search_by(|line| (*line.name).cmp(name));
        self.domains.get(place.ok()?)
    }
}
