//! The numbers that Prometheus reads.

use std::sync::Arc;

use super::Operator;
use crate::{
    alert::Rule,
    clock::Timestamp,
    ctl::{control::Replied, protocol::Refusal},
    deliver::schedule::Schedule,
    observe::{
        exposition,
        gauges::{Gauges, Held},
        stopwatch::Stopwatch,
    },
    store::{StoreError, open::KeptIn},
};

/// What was read of the store last, and when it may be read again.
#[derive(Default)]
pub(super) struct LastRead {
    held: Option<Held>,
    /// When that was, and for how many seconds it stands.
    read: Option<(Timestamp, i64)>,
}

/// How long a pass over the store stands for those who ask later.
const READ_SECONDS: i64 = 60;

/// A pass takes no more than this part of the time: one of six seconds is made every two minutes.
const REST: u64 = 20;

impl Operator {
    /// Every metric as Prometheus reads it.
    ///
    /// # Errors
    /// None that can happen.
    pub(in crate::daemon) async fn metrics_text(&self) -> Replied<String> {
        let gauges = self.gauges().await;
        exposition::text(&self.counters, gauges, self.clock.now())
            .map_err(|error| Refusal::trouble(error.to_string()))
    }

    /// What `sealpost status` calls alarms, as far as it is known without a pass over the store; `unreadable` is why one
    /// that was made came to nothing.
    pub(in crate::daemon) fn current_alarms(&self, unreadable: Option<&str>) -> Vec<String> {
        let store = self.store_status(unreadable.map(str::to_owned));
        self.alarms(&store, unreadable)
    }

    async fn gauges(&self) -> Gauges {
        let held = self.held().await;
        let health = (self.health)();
        let alerts = self.alerts.holding();
        let holding = |rule| {
            let of_rule = alerts.iter().filter(|alert| alert.about.rule == rule);
            of_rule.count() as u64
        };
        Gauges {
            started_at: Some(self.started_at),
            alarms: self.current_alarms(None).len() as u64,
            recording: self.kept_in != KeptIn::Memory && health.failing_since.is_none(),
            waiting_rows: health.waiting_rows as u64,
            rows_in_memory: health.rows_in_memory as u64,
            quota: self.quota.gauges(),
            alerts: Rule::ALL.map(|rule| (rule.name(), holding(rule))).into(),
            held,
        }
    }

    /// What the store holds. Whoever comes while it is read waits for the same reading.
    pub(in crate::daemon) async fn held(&self) -> Option<Held> {
        let mut last = self.last_read.lock().await;
        let now = self.clock.now();
        // Set back since, the clock says nothing of how old that is.
        let stands =
            |(at, seconds): (Timestamp, i64)| (0..seconds).contains(&now.seconds_since(at));
        if last.read.is_some_and(stands) {
            return last.held.clone();
        }
        let watch = Stopwatch::start();
        let held = self.read_held(now).await;
        let held =
            held.inspect_err(|error| tracing::warn!(%error, "metrics: the store cannot be read"));
        let rest = watch.elapsed().as_secs().saturating_mul(REST);
        let rest = i64::try_from(rest).unwrap_or(i64::MAX).max(READ_SECONDS);
        last.read = Some((now, rest));
        last.held = held.ok();
        last.held.clone()
    }

    async fn read_held(&self, now: Timestamp) -> Result<Held, StoreError> {
        let mut held = Held::at(now);
        let store = Arc::clone(&self.store);
        let kept = tokio::task::spawn_blocking(move || store.kept_policies()).await;
        let kept = kept.unwrap_or_else(|error| {
            Err(StoreError::Io {
                path: self.store_path.clone(),
                reason: error.to_string(),
            })
        });
        held.policies(kept?.iter());
        // Of other days nothing is under way, and the courier would hold them in memory once asked.
        let yesterday = now.day().previous();
        let days = [yesterday.previous(), yesterday].into_iter();
        for day in days.filter(|day| Schedule::is_current(*day, now)) {
            self.courier
                .each_listed(day, |listed| held.report_of(&listed))
                .await?;
        }
        held.suppressed = self.courier.suppressed_destinations().await?.len() as u64;
        Ok(held)
    }
}
