//! What the days of the store come to, held in memory, so that a page costs no pass over them.
//!
//! It is read when somebody looks, in the background, and again while somebody goes on looking: today
//! and yesterday, whose numbers still change; the days before them once a day. Nobody waits for it longer
//! than for a page.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    edition::{Closed, Edition, protected},
    source::{KeptMode, Source},
};
use crate::{
    aggregate::sums::DaySums,
    clock::UtcDay,
    ctl::{control::Replied, protocol::Refusal},
};

/// How many days are shown, today included.
pub(super) const DAYS: u32 = 30;

/// How many days still change: today and yesterday.
pub(super) const OPEN_DAYS: usize = 2;

/// What is older than this is read again when somebody looks.
const FRESH: Duration = Duration::from_secs(2);

/// Reading takes no more than this part of the time: one that took a second is followed by 20 of rest.
const REST: u32 = 20;

/// How long a page waits for what is read anew, and for the first of it.
const WAIT: Duration = Duration::from_millis(25);
const FIRST_WAIT: Duration = Duration::from_secs(3);

/// How long what was read so far is worked into what is shown, while the rest is read.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

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
        let modes = self.source.modes().await?;
        self.show(&closed, &open, &modes, today);
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
                self.show(&closed, &open, &modes, today);
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
        modes: &[KeptMode],
        today: UtcDay,
    ) {
        let edition = Arc::new(Edition::of(closed, open, modes, today));
        *self.edition.write().unwrap_or_else(PoisonError::into_inner) = Some(edition);
    }
}

/// The first of the days that are shown.
pub(super) fn first_of(today: UtcDay) -> UtcDay {
    UtcDay(today.0.saturating_sub(DAYS - 1))
}
