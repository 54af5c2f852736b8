//! When a report that did not arrive is tried again, and when no more.

use crate::clock::Timestamp;

/// No wait is longer than this, so that the last hours before the end are used as well.
// OURS: doubling alone would try at 5, 11 and 21 hours and then no more.
pub const WAIT_SECONDS_MAX: i64 = 4 * 3_600;

/// How failed attempts are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The wait after the first failed attempt; it doubles each time.
    pub retry_seconds: i64,
    /// When it is given up, counted from the first attempt.
    pub give_up_seconds: i64,
}

impl Retry {
    /// The wait after so many failed attempts, in seconds, at least one.
    // RFC 8460 s5.5: an exponential back-off.
    #[must_use]
    pub fn wait_seconds(&self, attempts: u32) -> i64 {
        let doublings = attempts.saturating_sub(1).min(30);
        self.retry_seconds
            .max(1)
            .saturating_mul(1 << doublings)
            .min(WAIT_SECONDS_MAX.max(self.retry_seconds))
    }

    /// When to try again after an attempt that failed at `now`; `None`: it is given up. A host that
    /// wants to be left alone for longer (`Retry-After`) is.
    #[must_use]
    pub fn next_attempt(
        &self,
        attempts: u32,
        first_attempt_at: Timestamp,
        now: Timestamp,
        retry_after_seconds: Option<u64>,
    ) -> Option<Timestamp> {
        let asked = retry_after_seconds.map_or(0, |asked| i64::try_from(asked).unwrap_or(i64::MAX));
        let at = now.plus_seconds(self.wait_seconds(attempts).max(asked));
        (!self.is_over(first_attempt_at, at)).then_some(at)
    }

    /// Is `moment` later than any attempt may begin?
    // RFC 8460 s5.5: no attempt later than 24 hours after the first.
    #[must_use]
    pub fn is_over(&self, first_attempt_at: Timestamp, moment: Timestamp) -> bool {
        moment.seconds_since(first_attempt_at) > self.give_up_seconds.max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        retry_seconds: 600,
        give_up_seconds: 86_400,
    };

    #[test]
    fn f15_the_waits_double_and_end_within_24_hours_of_the_first_attempt() {
        let first = Timestamp(1_000_000);
        let mut now = first;
        let mut minutes = Vec::new();
        for attempts in 1.. {
            let Some(next) = RETRY.next_attempt(attempts, first, now, None) else {
                break;
            };
            now = next;
            minutes.push(now.seconds_since(first) / 60);
        }
        assert_eq!(
            minutes,
            [10, 30, 70, 150, 310, 550, 790, 1_030, 1_270],
            "minutes after the first attempt"
        );
    }

    #[test]
    fn odd_settings_neither_spin_nor_overflow() {
        for (retry_seconds, give_up_seconds) in [(0, 0), (-5, -5), (i64::MAX, i64::MAX)] {
            let retry = Retry {
                retry_seconds,
                give_up_seconds,
            };
            assert!(retry.wait_seconds(u32::MAX) >= 1);
            let next = retry.next_attempt(u32::MAX, Timestamp(0), Timestamp(i64::MAX - 1), None);
            assert!(next.is_none_or(|at| at > Timestamp(0)));
        }
    }

    #[test]
    fn f20_a_host_that_wants_to_be_left_alone_is_until_the_end() {
        let now = Timestamp(1_000);
        for (asked, expected) in [
            (None, Some(600)),
            (Some(30), Some(600)),
            (Some(3_600), Some(3_600)),
            (Some(86_400), Some(86_400)),
            (Some(86_401), None),
            (Some(u64::MAX), None),
        ] {
            assert_eq!(
                RETRY.next_attempt(1, now, now, asked),
                expected.map(|wait| now.plus_seconds(wait)),
                "{asked:?}"
            );
        }
    }
}
