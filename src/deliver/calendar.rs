//! The turn of the days: which begin to be reported, which are packed, which are forgotten.

use std::collections::BTreeSet;

use super::{
    agenda::{Agenda, Errand},
    courier::{Courier, Reporting},
    destinations,
    ledger::on_disk,
    outbox,
    schedule::Schedule,
};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp, UtcDay},
    store::{DayPart, StoreError},
};

/// What has been done with each day by this process.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    opened: BTreeSet<UtcDay>,
    closed: BTreeSet<UtcDay>,
    /// When to look again.
    pages_at: Option<Timestamp>,
}

/// The next page is never more than a day off. A moment that is was noted by a clock that has been
/// set back since.
pub(super) const fn is_beyond_the_next_page(at: Timestamp, now: Timestamp) -> bool {
    at.seconds_since(now) > SECONDS_PER_DAY
}

impl Courier {
    /// Turns to the days whose time has come. Returns when to look again.
    pub(super) async fn turn_pages(
        &self,
        calendar: &mut Calendar,
        agenda: &mut Agenda,
    ) -> Timestamp {
        let now = self.clock.now();
        // What was done with each day by a clock that was wrong may have to be done again.
        if calendar
            .pages_at
            .is_some_and(|at| is_beyond_the_next_page(at, now))
        {
            tracing::warn!("the clock was set back by days; every day is looked at again");
            for day in std::mem::take(calendar).opened {
                self.notes.forget(day);
            }
        }
        if let Some(pages_at) = calendar.pages_at.filter(|at| *at > now) {
            return pages_at;
        }
        let pages_at = match self.turn(calendar, agenda, now).await {
            Ok(()) => self.settings.schedule.next_page(now),
            Err(error) => {
                tracing::error!(%error, "the days cannot be read or packed; it is tried again");
                now.plus_seconds(self.settings.retry.wait_seconds(1))
            }
        };
        calendar.pages_at = Some(pages_at);
        pages_at
    }

    async fn turn(
        &self,
        calendar: &mut Calendar,
        agenda: &mut Agenda,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (keeping, today) = (self.settings.keeping, now.day());
        let mut turned = self.forget_old(today).await;
        for day in on_disk(&self.store, |store| store.days()).await? {
            if keeping.is_over(DayPart::Counts, day, today) {
                // Of what was sent long ago nothing is done any more; whoever had it listed has seen it.
                self.ledger.forget(day);
                continue;
            }
            // A day that cannot be read must not hold up the others.
            if let Err(error) = self.turn_to(day, calendar, agenda, now).await {
                tracing::error!(%day, %error, "the day cannot be read or packed");
                turned = Err(error);
            }
        }
        if let Err(error) = self.suppressions.tidy(now).await {
            tracing::error!(%error, "suppressed destinations of long ago cannot be forgotten");
        }
        // What the store no longer holds will not come back.
        let is_kept = |day: &UtcDay| !keeping.is_over(DayPart::Counts, *day, today);
        calendar.opened.retain(is_kept);
        calendar.closed.retain(is_kept);
        turned
    }

    async fn turn_to(
        &self,
        day: UtcDay,
        calendar: &mut Calendar,
        agenda: &mut Agenda,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !Schedule::is_current(day, now) {
            // Most domains ask for no reports, and each has its note: they are not held for long.
            self.notes.forget(day);
            self.hosts.forget(day);
        }
        if self.settings.schedule.opens_at(day) <= now && calendar.opened.insert(day) {
            self.open_or_undo(day, calendar, agenda, now).await?;
        }
        if self.settings.schedule.closes_at(day) <= now && !calendar.closed.contains(&day) {
            // Rows may have come late, after a time in which the disk took none.
            self.open(day, agenda, now).await?;
            on_disk(&self.store, move |store| store.seal(day)).await?;
            calendar.closed.insert(day);
        }
        Ok(())
    }

    async fn open_or_undo(
        &self,
        day: UtcDay,
        calendar: &mut Calendar,
        agenda: &mut Agenda,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let opened = self.open(day, agenda, now).await;
        if opened.is_err() {
            calendar.opened.remove(&day);
        }
        opened
    }

    /// Puts a day's errands on the agenda: what is unfinished, and what has not been begun.
    async fn open(
        &self,
        day: UtcDay,
        agenda: &mut Agenda,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.settings.reporting == Reporting::Off {
            return Ok(());
        }
        self.ledger.load(day).await?;
        let unfinished = self.ledger.of_day(day, |domain, states| {
            let moments = states
                .values()
                .filter_map(|state| outbox::wake_at(state, now));
            // A process that died when the last mailbox was lost left the rest of the record untried.
            let is_open = Schedule::is_current(day, now)
                && destinations::may_fall_back(&self.settings.rules, states);
            let at = moments.min().or(is_open.then_some(now))?;
            let domain = domain.clone();
            Some((at, Errand { day, domain }))
        });
        for (at, errand) in unfinished {
            agenda.put(at, errand);
        }
        if !Schedule::is_current(day, now) {
            return Ok(());
        }
        self.hosts.look(&self.store, day).await?;
        let hosts = self.hosts.of(&self.store, day).await?;
        // An MX host has a turn whether or not it has rows of its own.
        for domain in self.names(day, &hosts).await?.into_keys() {
            let at = self.turn_at(day, &domain, &hosts);
            let errand = Errand { day, domain };
            if self.ledger.states(&errand).is_empty() && self.notes.of(&errand).is_none() {
                agenda.put(at, errand);
            }
        }
        Ok(())
    }

    /// Forgets what has been kept for its time.
    async fn forget_old(&self, today: UtcDay) -> Result<(), StoreError> {
        let mut forgotten = Ok(());
        for part in DayPart::ALL {
            let days = on_disk(&self.store, move |store| store.days_of(part)).await?;
            let is_over = |day: &UtcDay| self.settings.keeping.is_over(part, *day, today);
            for day in days.into_iter().filter(is_over) {
                match self.forget_part(day, part).await {
                    Ok(()) => tracing::info!(%day, part = part.name(), "kept no longer"),
                    Err(error) => {
                        tracing::error!(%day, part = part.name(), %error, "cannot be forgotten");
                        forgotten = Err(error);
                    }
                }
            }
        }
        forgotten
    }

    /// Forgets a part of a day, in the store and here.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forget_part(&self, day: UtcDay, part: DayPart) -> Result<(), StoreError> {
        on_disk(&self.store, move |store| store.forget_part(day, part)).await?;
        if part != DayPart::Failures {
            self.ledger.forget(day);
            self.hosts.forget(day);
            self.notes.forget(day);
        }
        Ok(())
    }
}
