//! Keeps the store within its quota: measures what is held, and has forgotten what goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    clock::{Clock, UtcDay},
    config::StoreConfig,
    ctl::wire::{QuotaForgotten, QuotaView},
    deliver::{courier::Courier, on_disk},
    observe::{
        Counters,
        audit::{AuditEntry, AuditKind, Auditor},
        gauges::QuotaGauges,
        stopwatch::Stopwatch,
    },
    store::{
        DayPart, Keeping, Store, StoreError,
        keeping::{Cut, Holdings, Quota},
    },
};

/// How often it is looked.
const LOOK_SECONDS: i64 = 600;

/// Looking takes no more than this part of the time: a pass of a minute is made every twenty minutes.
const REST: u64 = 20;

/// What the quota is kept with.
pub struct QuotaParts {
    /// What forgets, and whose store is measured: it remembers days too.
    pub courier: Arc<Courier>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What an operator sees.
    pub counters: Arc<Counters>,
    /// Where it is noted that counts were taken.
    pub auditor: Auditor,
}

/// Keeps the quota, if there is one.
pub struct QuotaKeeper {
    parts: QuotaParts,
    quota: Option<Quota>,
    max_mib: u64,
    keeping: Keeping,
    standing: Mutex<Option<Standing>>,
}

/// What was found last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    file_octets: u64,
    held_octets: Option<u64>,
    is_exceeded: bool,
    /// By [`DayPart::ALL`]: up to which day the quota took it.
    cut_until: [Option<UtcDay>; 3],
}

impl QuotaKeeper {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(parts: QuotaParts, config: &StoreConfig) -> Self {
        Self {
            parts,
            quota: Quota::of(config),
            max_mib: config.size_max_mib,
            keeping: Keeping::of(config),
            standing: Mutex::default(),
        }
    }

    /// Looks now and from then on; never ends.
    pub(super) async fn keep_looking(self: Arc<Self>) {
        let Some(quota) = self.quota else {
            return std::future::pending().await;
        };
        loop {
            let watch = Stopwatch::start();
            let now = self.parts.clock.now();
            if let Err(error) = self.look(quota, now.day()).await {
                tracing::error!(%error, "the store's size cannot be seen or made less; it is tried again");
            }
            let rest = watch.elapsed().as_secs().saturating_mul(REST);
            let rest = i64::try_from(rest).unwrap_or(i64::MAX).max(LOOK_SECONDS);
            self.parts.clock.wait_until(now.plus_seconds(rest)).await;
        }
    }

    async fn look(&self, quota: Quota, today: UtcDay) -> Result<(), StoreError> {
        let file_octets = self.read(|store| store.file_octets()).await?;
        let mut standing = Standing {
            file_octets,
            ..Standing::default()
        };
        // No more is held than the file is large: a store that is small enough costs no pass.
        if quota.is_exceeded_by(file_octets) {
            let held = self.read(|store| store.holdings()).await?;
            let cut = quota.cut(&held, today);
            self.forget(&held, &cut).await?;
            standing.held_octets = Some(cut.octets_after);
            standing.is_exceeded = quota.is_exceeded_by(cut.octets_after);
        }
        standing.cut_until = self.read(cut_until).await?;
        let before = self.standing().replace(standing);
        if standing.is_exceeded && !before.is_some_and(|before| before.is_exceeded) {
            tracing::error!(
                held_octets = standing.held_octets,
                store.size_max_mib = self.max_mib,
                "the store holds more than it may, and nothing more may go; recording goes on"
            );
        }
        Ok(())
    }

    /// Has forgotten what is to go, and says so.
    async fn forget(&self, held: &Holdings, cut: &Cut) -> Result<(), StoreError> {
        for (day, part) in cut.parts.iter().copied() {
            // First that it went, then that it goes: a death between the two must not leave a gap that nobody tells of.
            self.read(move |store| store.note_cut(part, day)).await?;
            self.parts.courier.forget_part(day, part).await?;
            let octets = held.days.get(&day).map_or(0, |of| of.of(part));
            tracing::warn!(
                %day, part = part.name(), octets, held_octets = cut.octets_before,
                store.size_max_mib = self.max_mib,
                "forgotten before its time: the store held more than it may"
            );
            self.parts.counters.measured.forgot(part);
            if part == DayPart::Counts {
                let words = format!(
                    "what was counted on {day}: the store held more than store.size_max_mib allows, {} MiB",
                    self.max_mib
                );
                let now = self.parts.clock.now();
                let entry = AuditEntry::new(now, AuditKind::CountsForgotten, words);
                self.parts.auditor.note(entry);
            }
        }
        Ok(())
    }

    /// What an operator should act on. In the same words as long as it holds, so that it is one alert.
    pub(super) fn alarm(&self) -> Option<String> {
        (*self.standing()).filter(|standing| standing.is_exceeded)?;
        Some(format!(
            "the store holds more than store.size_max_mib allows ({} MiB), and nothing more may go; recording goes on",
            self.max_mib
        ))
    }

    /// As `sealpost status` shows it.
    pub(super) fn view(&self) -> Option<QuotaView> {
        let standing = (*self.standing())?;
        let today = self.parts.clock.now().day();
        let forgotten = DayPart::ALL.into_iter().zip(standing.cut_until);
        // What would be gone by now in any case was forgotten long ago.
        let forgotten = forgotten.filter_map(|(part, until)| {
            let until = until.filter(|until| !self.keeping.is_over(part, *until, today))?;
            Some(QuotaForgotten {
                part: part.name().to_owned(),
                until: until.to_string(),
            })
        });
        Some(QuotaView {
            max_mib: self.max_mib,
            file_octets: standing.file_octets,
            held_octets: standing.held_octets,
            is_exceeded: standing.is_exceeded,
            forgotten: forgotten.collect(),
        })
    }

    /// For the metrics.
    pub(super) fn gauges(&self) -> Option<QuotaGauges> {
        let (quota, standing) = (self.quota?, (*self.standing())?);
        Some(QuotaGauges {
            octets_max: quota.octets_max,
            file_octets: standing.file_octets,
            held_octets: standing.held_octets,
        })
    }

    fn standing(&self) -> MutexGuard<'_, Option<Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        on_disk(self.parts.courier.store(), work).await
    }
}

fn cut_until(store: &dyn Store) -> Result<[Option<UtcDay>; 3], StoreError> {
    let [failures, counts, reports] = DayPart::ALL;
    Ok([
        store.cut_until(failures)?,
        store.cut_until(counts)?,
        store.cut_until(reports)?,
    ])
}
