//! Time as a value, so that a test can stop it.
//!
//! Everything that needs the time takes a [`Clock`]. The daemon runs on [`SystemClock`], in the demo
//! on a [`LaboratoryClock`] that is set on from outside; tests run on a [`StoppedClock`] that moves
//! only when told to, so that a policy can expire, a UTC day can end and a retry can fall due within
//! one test that never sleeps.

use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and so many seconds.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative when it is later.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC day this moment falls in. Before 1970 it is the first day, after 11,000,000 AD the
    /// last one that can be written.
    #[must_use]
    pub fn day(self) -> UtcDay {
        UtcDay(u32::try_from(self.0.div_euclid(SECONDS_PER_DAY).max(0)).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with `Z`, whole seconds: `2026-11-24T23:59:59Z`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(moment) => write!(formatter, "{moment}"),
            Err(_) => write!(formatter, "@{}", self.0),
        }
    }
}

/// The number of seconds in a UTC day; leap seconds are not in Unix time.
pub const SECONDS_PER_DAY: i64 = 86_400;

/// A UTC day, counted from 1970-01-01. Reports cover exactly one (RFC 8460 s4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDay(pub u32);

impl UtcDay {
    /// 00:00:00Z.
    #[must_use]
    pub fn first_second(self) -> Timestamp {
        Timestamp(i64::from(self.0) * SECONDS_PER_DAY)
    }

    /// 23:59:59Z.
    #[must_use]
    pub fn last_second(self) -> Timestamp {
        self.first_second().plus_seconds(SECONDS_PER_DAY - 1)
    }

    /// The day after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The day before.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for UtcDay {
    /// `2026-11-24`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.first_second().to_string();
        formatter.write_str(text.split('T').next().unwrap_or(&text))
    }
}

/// The text is not a day of the form `2026-11-24`, from 1970 on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a day of the form 2026-11-24")]
pub struct NotADay(pub String);

impl FromStr for UtcDay {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let bad = || NotADay(text.to_owned());
        let date: jiff::civil::Date = text.parse().map_err(|_| bad())?;
        if date.to_string() != text {
            return Err(bad());
        }
        let midnight = jiff::tz::TimeZone::UTC
            .to_timestamp(date.into())
            .map_err(|_| bad())?;
        let days = midnight.as_second().div_euclid(SECONDS_PER_DAY);
        u32::try_from(days).map(Self).map_err(|_| bad())
    }
}

/// A future in a box: what the traits of `clock` and `net` return, so that they can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until `moment` is reached, or the clock was set back: then it may be far off.
    fn wait_until(&self, moment: Timestamp) -> BoxFuture<'_, ()>;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // To some milliseconds, which is enough, and costs a tenth of the exact time: it is asked for
        // with every question.
        Timestamp(clock_gettime(ClockId::RealtimeCoarse).tv_sec.max(0))
    }

    fn wait_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // The machine may sleep or its clock may be set while we wait: look again every minute.
            let mut seen = self.now();
            loop {
                let left = moment.seconds_since(seen);
                let Ok(left) = u64::try_from(left) else {
                    return;
                };
                if left == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(left.min(60))).await;
                if self.now() < std::mem::replace(&mut seen, self.now()) {
                    return;
                }
            }
        })
    }
}

/// The machine's clock, set on by the seconds that a file holds: for laboratories, where a day must
/// end at will. The file is read anew each time; while it holds no number nothing is added.
#[derive(Clone, Debug)]
pub struct LaboratoryClock {
    /// The file.
    pub offset_seconds_file: PathBuf,
}

impl LaboratoryClock {
    /// How often a wait looks into the file again.
    const LOOK: Duration = Duration::from_millis(50);

    /// The laboratory's clock where one is named, else the machine's.
    pub fn or_system(offset_seconds_file: Option<&Path>) -> Arc<dyn Clock> {
        match offset_seconds_file {
            None => Arc::new(SystemClock),
            Some(file) => Arc::new(Self {
                offset_seconds_file: file.to_owned(),
            }),
        }
    }
}

impl Clock for LaboratoryClock {
    fn now(&self) -> Timestamp {
        let offset = std::fs::read_to_string(&self.offset_seconds_file).ok();
        let seconds = offset
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        SystemClock.now().plus_seconds(seconds)
    }

    fn wait_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut seen = self.now();
            while seen < moment {
                tokio::time::sleep(Self::LOOK).await;
                if self.now() < std::mem::replace(&mut seen, self.now()) {
                    return;
                }
            }
        })
    }
}

/// A clock that moves only when it is told to.
#[derive(Clone, Debug)]
pub struct StoppedClock {
    now: Arc<watch::Sender<Timestamp>>,
}

impl StoppedClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Arc::new(watch::Sender::new(now)),
        }
    }

    /// Moves the clock on and wakes whoever waited for that.
    pub fn advance_seconds(&self, seconds: i64) {
        self.now.send_modify(|now| *now = now.plus_seconds(seconds));
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, moment: Timestamp) {
        self.now.send_modify(|now| *now = moment);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn wait_until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        let mut receiver = self.now.subscribe();
        let since = self.now();
        Box::pin(async move {
            // The sender lives in `self`, so this ends only by what the clock shows.
            let ends = |now: &Timestamp| *now >= moment || *now < since;
            let _reached = receiver.wait_for(ends).await.is_ok();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_day_borders_are_utc() {
        let day: UtcDay = "2026-11-24".parse().unwrap();
        assert_eq!(day.to_string(), "2026-11-24");
        assert_eq!(day.first_second().to_string(), "2026-11-24T00:00:00Z");
        assert_eq!(day.last_second().to_string(), "2026-11-24T23:59:59Z");
        assert_eq!(day.last_second().day(), day);
        assert_eq!(day.last_second().plus_seconds(1).day(), day.next());
    }

    #[test]
    fn a_day_that_is_none_is_refused() {
        for text in [
            "",
            "2026-11",
            "2026-13-01",
            "2026-02-30",
            "1969-12-31",
            "24.11.2026",
            "2026-1-2",
        ] {
            assert!(text.parse::<UtcDay>().is_err(), "{text}");
        }
    }
}
