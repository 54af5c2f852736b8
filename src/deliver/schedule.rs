//! When a day's reports leave.
//!
//! Every sender in the world closes its UTC day in the same second. If each sent its reports then,
//! the mail hosts of the large providers would be struck all at once, every night. So each domain
//! has its own moment in the hours after midnight, always the same one: it follows from the domain,
//! the day and the name of this host, so that neither a restart nor chance moves it.

use crate::{
    clock::{SECONDS_PER_DAY, Timestamp, UtcDay},
    policy::PolicyDomain,
};

/// For how many days after its end a day is still caught up on.
// OURS: RFC 8460 s5.5 lets an attempt be repeated for 24 hours and wants no stale reports, but says
// nothing of a host that was down. Three days bridge a weekend; what is older is dropped, so that
// nobody gets last week's report (F15; docs/decisions/0007-exactly-once.md).
pub const CATCH_UP_DAYS: u32 = 3;

/// Which moment belongs to which report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long after midnight UTC the day is left to settle.
    pub settle_seconds: i64,
    /// Over how long the reports of a day are spread from then on.
    pub spread_seconds: i64,
    /// The name of this host. It is part of the choice, so that two hosts choose differently.
    pub host_name: String,
}

impl Schedule {
    /// The first moment at which anything of a day may leave.
    #[must_use]
    pub fn opens_at(&self, day: UtcDay) -> Timestamp {
        // RFC 8460 s4.1: a report covers a whole UTC day, so it cannot leave before that has ended.
        end_of(day).plus_seconds(self.settle_seconds.max(0))
    }

    /// From this moment on every report of the day has had its turn.
    #[must_use]
    pub fn closes_at(&self, day: UtcDay) -> Timestamp {
        self.opens_at(day).plus_seconds(self.spread_seconds.max(0))
    }

    /// The moment of one domain: at or after [`opens_at`](Self::opens_at), before
    /// [`closes_at`](Self::closes_at).
    ///
    /// The destinations of a domain share it. They are looked up at that moment and not before, so
    /// that the newest record decides where the report goes (A16).
    #[must_use]
    pub fn due_at(&self, day: UtcDay, domain: &PolicyDomain) -> Timestamp {
        let opens = self.opens_at(day);
        let Some(spread) = u64::try_from(self.spread_seconds).ok().filter(|s| *s > 0) else {
            return opens;
        };
        // RFC 8460 s4.1: a random delay keeps the receivers from being struck all at once.
        let offset = draw(&[
            domain.as_str().as_bytes(),
            &day.0.to_be_bytes(),
            self.host_name.as_bytes(),
        ]) % spread;
        opens.plus_seconds(i64::try_from(offset).unwrap_or(0))
    }

    /// The first moment after `now` at which a day opens or closes.
    #[must_use]
    pub fn next_page(&self, now: Timestamp) -> Timestamp {
        let next = |moment: fn(&Self, UtcDay) -> Timestamp| {
            // Every day has its moments equally long after its end.
            let after = moment(self, UtcDay(0)).seconds_since(end_of(UtcDay(0)));
            moment(self, now.plus_seconds(after.saturating_neg()).day())
        };
        next(Self::opens_at).min(next(Self::closes_at))
    }

    /// Is the day so young that its reports are still owed at `now`?
    #[must_use]
    pub fn is_current(day: UtcDay, now: Timestamp) -> bool {
        now <= end_of(day).plus_seconds(i64::from(CATCH_UP_DAYS) * SECONDS_PER_DAY)
    }
}

/// The first second after a day.
fn end_of(day: UtcDay) -> Timestamp {
    day.last_second().plus_seconds(1)
}

/// A number that looks random and is always the same for the same parts.
fn draw(parts: &[&[u8]]) -> u64 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        // Lengths go in, so that no two lists of parts run into the same bytes.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let first_octets = context
        .finish()
        .as_ref()
        .iter()
        .take(8)
        .copied()
        .collect::<Vec<_>>();
    first_octets
        .iter()
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: UtcDay = UtcDay(20_780);

    fn schedule() -> Schedule {
        Schedule {
            settle_seconds: 1_800,
            spread_seconds: 12_600,
            host_name: "out1.sender.example".to_owned(),
        }
    }

    fn domain(number: u32) -> PolicyDomain {
        format!("d{number}.example").parse().unwrap()
    }

    #[test]
    fn f14_nothing_leaves_before_midnight_and_settling_and_all_within_four_hours() {
        let schedule = schedule();
        let midnight = DAY.next().first_second();
        for number in 0..10_000 {
            let after = schedule
                .due_at(DAY, &domain(number))
                .seconds_since(midnight);
            assert!((1_800..14_400).contains(&after), "{number}: {after}");
        }
        assert_eq!(schedule.closes_at(DAY).seconds_since(midnight), 14_400);
    }

    #[test]
    fn f14_ten_thousand_domains_are_spread_evenly() {
        let schedule = schedule();
        let mut halves_of_an_hour = [0_u32; 7];
        for number in 0..10_000 {
            let after = schedule
                .due_at(DAY, &domain(number))
                .seconds_since(schedule.opens_at(DAY));
            halves_of_an_hour[usize::try_from(after / 1_800).unwrap()] += 1;
        }
        // 10,000 / 7 is 1,429 with a standard deviation of 35: six of them on either side.
        assert!(
            halves_of_an_hour
                .iter()
                .all(|count| (1_219..=1_639).contains(count)),
            "{halves_of_an_hour:?}"
        );
    }

    #[test]
    fn f14_the_moment_is_stable_and_differs_by_day_and_host() {
        let one = schedule();
        let other = Schedule {
            host_name: "out2.sender.example".to_owned(),
            ..schedule()
        };
        let same = |a: Timestamp, b: Timestamp| u32::from(a == b);
        let mut by_host = 0;
        let mut by_day = 0;
        for number in 0..1_000 {
            let at = one.due_at(DAY, &domain(number));
            assert_eq!(at, schedule().due_at(DAY, &domain(number)));
            by_host += same(at, other.due_at(DAY, &domain(number)));
            by_day += same(
                at.plus_seconds(SECONDS_PER_DAY),
                one.due_at(DAY.next(), &domain(number)),
            );
        }
        assert!(by_host < 5 && by_day < 5, "{by_host} {by_day}");
        // A restart under a later release must not move what is on its way.
        assert_eq!(
            one.due_at(DAY, &domain(1)).to_string(),
            "2026-11-24T03:32:05Z"
        );
    }

    #[test]
    fn without_a_spread_all_leave_when_the_day_opens() {
        for spread_seconds in [0, -1] {
            let schedule = Schedule {
                spread_seconds,
                ..schedule()
            };
            assert_eq!(schedule.due_at(DAY, &domain(1)), schedule.opens_at(DAY));
            assert_eq!(schedule.closes_at(DAY), schedule.opens_at(DAY));
        }
    }

    #[test]
    fn the_next_page_is_the_next_opening_or_closing() {
        let schedule = schedule();
        let midnight = DAY.next().first_second();
        for (after, expected) in [
            (0, 1_800),
            (1_799, 1_800),
            (1_800, 14_400),
            (14_399, 14_400),
            (14_400, 86_400 + 1_800),
        ] {
            let next = schedule.next_page(midnight.plus_seconds(after));
            assert_eq!(next.seconds_since(midnight), expected, "{after}");
        }
    }

    #[test]
    fn f15_a_day_is_caught_up_on_for_three_days_and_never_a_week_later() {
        let midnight = DAY.next().first_second();
        for (hours, expected) in [(0, true), (71, true), (72, true), (73, false), (168, false)] {
            let now = midnight.plus_seconds(hours * 3_600);
            assert_eq!(Schedule::is_current(DAY, now), expected, "{hours} h");
        }
    }
}
