//! When is a policy fetched, and does the kept one still hold? (RFC 8461 s3.3 and s5.1)
//!
//! A domain says in its TXT record that it has a policy and which `id` it has now; the document is
//! fetched from a web host. Either can fail, or be kept from us by somebody in between, while the
//! policy we hold still counts. These rules decide from what is known at one moment; the keeper of
//! `engine` does what they say.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use super::{FetchTrouble, KeptPolicy, PolicyDomain, StsStanding};
use crate::clock::Timestamp;

/// What the last look at `_mta-sts` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The domain announces a policy with this `id`.
    Id(String),
    /// There is no valid record, and that is an answer.
    Nothing,
    /// The lookup failed: nothing is known.
    Unknown,
}

/// What prompts the question whether to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Mail is to be delivered.
    Delivery,
    /// The daily refresh has fallen due.
    Refresh,
    /// The operator wants it fetched now.
    Operator,
}

/// The spans of time that the operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// How long the same `id` is left alone after a failed fetch.
    pub fetch_retry_seconds: i64,
    /// How often a kept policy is fetched again, whatever its `id` says.
    pub refresh_seconds: i64,
    /// How long a TXT answer is relied on at most.
    pub record_seconds_max: u64,
}

/// What is known of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What its TXT record says.
    pub announcement: Announcement,
    /// The policy that was fetched last, expired or not.
    pub kept: Option<Arc<KeptPolicy>>,
    /// Why the last fetch failed, if it did.
    pub trouble: Option<FetchTrouble>,
}

/// A TXT answer is relied on at least this long, however short its time to live: the questions of
/// one delivery follow each other within it.
const RECORD_SECONDS_MIN: u64 = 5;

/// How long a failed TXT lookup stands before it is tried again.
const UNKNOWN_SECONDS: i64 = 10;

/// How long a policy with `max_age: 0` holds. It is for one use, and one use is one delivery, which
/// asks about the domain, then about each MX host, then tells how it went.
// OURS: docs/decisions/0003-mta-sts.md.
const ONE_USE_SECONDS: i64 = 60;

impl KeptPolicy {
    /// The moment up to which the policy is applied.
    #[must_use]
    pub fn holds_until(&self) -> Timestamp {
        if self.policy.max_age_seconds == 0 {
            return self.fetched_at.plus_seconds(ONE_USE_SECONDS);
        }
        self.expires_at()
    }

    /// Whether the policy is still applied at this moment.
    // RFC 8461 s3.3: until it expires, whatever DNS and HTTPS say.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        now < self.holds_until()
    }

    /// Whether it is to outlive the process.
    #[must_use]
    pub const fn is_worth_keeping(&self) -> bool {
        self.policy.max_age_seconds > 0
    }

    /// When the background refresh of this policy falls due: each day, but twice within its life
    /// (RFC 8461 s3.3), and sooner after a failure, so that the operator is warned several times
    /// before it expires (RFC 8461 s10.2). Domains are spread over a quarter of the time.
    #[must_use]
    pub fn refresh_due_at(&self, domain: &PolicyDomain, intervals: Intervals) -> Timestamp {
        let half_life = i64::from(self.policy.max_age_seconds) / 2;
        let period = intervals.refresh_seconds.min(half_life).max(1);
        if self.tried_at > self.fetched_at {
            let again = (period / 8).max(intervals.fetch_retry_seconds);
            return self.tried_at.plus_seconds(again);
        }
        self.tried_at
            .plus_seconds(period - share_of(domain, period / 4))
    }
}

/// A number of seconds below `seconds` that is always the same for one domain.
fn share_of(domain: &PolicyDomain, seconds: i64) -> i64 {
    let mut hasher = DefaultHasher::new();
    domain.hash(&mut hasher);
    let seconds = u64::try_from(seconds).unwrap_or(0).max(1);
    i64::try_from(hasher.finish() % seconds).unwrap_or(0)
}

impl Known {
    /// Whether the document is to be fetched now, and under which `id` it will then be kept.
    #[must_use]
    pub fn fetch_due(
        &self,
        occasion: Occasion,
        now: Timestamp,
        intervals: Intervals,
    ) -> Option<&str> {
        let in_force = self.in_force(now);
        let id = match (&self.announcement, in_force) {
            (Announcement::Id(id), Some(kept)) if kept.id == *id => {
                // RFC 8461 s3.3: the same id means the same policy; only a refresh asks anew.
                (occasion != Occasion::Delivery).then_some(id.as_str())
            }
            // RFC 8461 s5.1: a new id, or one that nothing is kept for, is followed at once.
            (Announcement::Id(id), _) => Some(id.as_str()),
            // RFC 8461 s10.2: a refresh does not depend on the record.
            (Announcement::Nothing | Announcement::Unknown, Some(kept)) => {
                (occasion != Occasion::Delivery).then_some(kept.id.as_str())
            }
            (Announcement::Nothing | Announcement::Unknown, None) => None,
        }?;
        // RFC 8461 s3.3: after a failed fetch the same id is left alone for five minutes.
        let left_alone = occasion != Occasion::Operator
            && self.trouble.as_ref().is_some_and(|trouble| {
                trouble.id == id
                    && (0..intervals.fetch_retry_seconds).contains(&now.seconds_since(trouble.at))
            });
        (!left_alone).then_some(id)
    }

    /// The kept policy, if it is still applied.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Option<&Arc<KeptPolicy>> {
        self.kept.as_ref().filter(|kept| kept.holds_at(now))
    }

    /// What this comes to for a delivery, once whatever was due has been tried.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> StsStanding {
        if let Some(kept) = self.in_force(now) {
            return StsStanding::InForce {
                kept: Arc::clone(kept),
                trouble: self.trouble.clone(),
            };
        }
        match (&self.announcement, &self.trouble) {
            // RFC 8461 s3.3: announced, but not to be had: deliver as without MTA-STS.
            (Announcement::Id(_), Some(trouble)) => StsStanding::Unfetched(trouble.clone()),
            // OURS: a lookup that failed with nothing kept has discovered nothing (B38): mail of
            // domains without MTA-STS does not wait for broken name servers.
            _ => StsStanding::NotAnnounced,
        }
    }

    /// Up to when the standing may be given without another look at the TXT record, whose answer
    /// has this time to live.
    #[must_use]
    pub fn relied_on_until(
        &self,
        time_to_live: Duration,
        now: Timestamp,
        intervals: Intervals,
    ) -> Timestamp {
        let mut until = match self.announcement {
            Announcement::Unknown => now.plus_seconds(UNKNOWN_SECONDS),
            Announcement::Id(_) | Announcement::Nothing => {
                let most = intervals.record_seconds_max.max(RECORD_SECONDS_MIN);
                let seconds = time_to_live.as_secs().clamp(RECORD_SECONDS_MIN, most);
                now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
            }
        };
        if let Some(kept) = self.in_force(now) {
            until = until.min(kept.holds_until());
        }
        if let (Announcement::Id(id), Some(trouble)) = (&self.announcement, &self.trouble)
            && trouble.id == *id
        {
            // The fetch is tried again as soon as it may be.
            let again = trouble.at.plus_seconds(intervals.fetch_retry_seconds);
            until = until.min(again.max(now.plus_seconds(1)));
        }
        until
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::{
        super::{Mode, StsPolicy},
        *,
    };

    const NOW: Timestamp = Timestamp(1_800_000_000);
    const INTERVALS: Intervals = Intervals {
        fetch_retry_seconds: 300,
        refresh_seconds: 86_400,
        record_seconds_max: 3_600,
    };

    fn kept(id: &str, max_age_seconds: u32, age_seconds: i64) -> Option<Arc<KeptPolicy>> {
        let fetched_at = NOW.plus_seconds(-age_seconds);
        Some(Arc::new(KeptPolicy {
            policy: StsPolicy {
                mode: Mode::None,
                max_age_seconds,
                mx: Vec::new(),
                lines: Vec::new(),
            },
            id: id.to_owned(),
            fetched_at,
            tried_at: fetched_at,
        }))
    }

    fn trouble(id: &str, age_seconds: i64) -> Option<FetchTrouble> {
        Some(FetchTrouble {
            result: ResultType::StsPolicyFetchError,
            reason: "http-status-404".to_owned(),
            id: id.to_owned(),
            at: NOW.plus_seconds(-age_seconds),
        })
    }

    fn announced(id: &str) -> Announcement {
        Announcement::Id(id.to_owned())
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    fn b16_b30_b34_b35_when_a_fetch_is_due() {
        use Announcement::{Nothing, Unknown};
        use Occasion::{Delivery, Operator, Refresh};
        let held = || kept("old", 86_400, 0);
        let expired = || kept("old", 86_400, 86_400);
        for (number, (occasion, announcement, kept, trouble, expected)) in [
            // Nothing kept.
            (Delivery, Nothing, None, None, None),
            (Delivery, Unknown, None, None, None),
            (Delivery, announced("new"), None, None, Some("new")),
            (Delivery, announced("new"), None, trouble("new", 0), None),
            (Delivery, announced("new"), None, trouble("new", 299), None),
            (
                Delivery,
                announced("new"),
                None,
                trouble("new", 300),
                Some("new"),
            ),
            (
                Delivery,
                announced("new"),
                None,
                trouble("old", 0),
                Some("new"),
            ),
            // The clock was set back since.
            (
                Delivery,
                announced("new"),
                None,
                trouble("new", -9_999),
                Some("new"),
            ),
            // A policy in force.
            (Delivery, Nothing, held(), None, None),
            (Delivery, Unknown, held(), None, None),
            (Delivery, announced("old"), held(), None, None),
            (Delivery, announced("new"), held(), None, Some("new")),
            (Delivery, announced("new"), held(), trouble("new", 0), None),
            (
                Delivery,
                announced("new"),
                held(),
                trouble("newer", 0),
                Some("new"),
            ),
            // One that has expired counts as none.
            (Delivery, Nothing, expired(), None, None),
            (Delivery, announced("old"), expired(), None, Some("old")),
            (
                Delivery,
                announced("old"),
                expired(),
                trouble("old", 0),
                None,
            ),
            // A refresh asks whatever the record says.
            (Refresh, Nothing, held(), None, Some("old")),
            (Refresh, Unknown, held(), None, Some("old")),
            (Refresh, announced("old"), held(), None, Some("old")),
            (Refresh, announced("new"), held(), None, Some("new")),
            (Refresh, announced("new"), held(), trouble("new", 0), None),
            (Refresh, Nothing, expired(), None, None),
            // The operator does not wait.
            (
                Operator,
                announced("new"),
                held(),
                trouble("new", 0),
                Some("new"),
            ),
            (Operator, Nothing, held(), trouble("old", 0), Some("old")),
            (Operator, Nothing, None, None, None),
        ]
        .into_iter()
        .enumerate()
        {
            let known = Known {
                announcement,
                kept,
                trouble,
            };
            assert_eq!(
                known.fetch_due(occasion, NOW, INTERVALS),
                expected,
                "case {number}: {known:?}"
            );
        }
    }

    #[test]
    fn b31_b32_b38_what_is_known_comes_to_a_standing() {
        use Announcement::{Nothing, Unknown};
        let held = kept("old", 86_400, 0);
        let in_force = |trouble| StsStanding::InForce {
            kept: held.clone().unwrap(),
            trouble,
        };
        let expired = || kept("old", 86_400, 86_400);
        for (announcement, kept, trouble, expected) in [
            (Nothing, None, None, StsStanding::NotAnnounced),
            (Unknown, None, None, StsStanding::NotAnnounced),
            (Nothing, None, trouble("a", 0), StsStanding::NotAnnounced),
            (
                announced("a"),
                None,
                trouble("a", 0),
                StsStanding::Unfetched(trouble("a", 0).unwrap()),
            ),
            (Nothing, held.clone(), None, in_force(None)),
            (Unknown, held.clone(), None, in_force(None)),
            (
                announced("a"),
                held.clone(),
                trouble("a", 0),
                in_force(trouble("a", 0)),
            ),
            (Nothing, expired(), None, StsStanding::NotAnnounced),
            (
                announced("a"),
                expired(),
                trouble("a", 0),
                StsStanding::Unfetched(trouble("a", 0).unwrap()),
            ),
        ] {
            let known = Known {
                announcement,
                kept,
                trouble,
            };
            assert_eq!(known.standing(NOW), expected, "{known:?}");
        }
    }

    #[test]
    fn b33_a_policy_holds_up_to_its_last_second() {
        let policy = kept("a", 100, 0).unwrap();
        assert!(policy.holds_at(NOW.plus_seconds(99)));
        assert!(!policy.holds_at(NOW.plus_seconds(100)));
        assert!(policy.is_worth_keeping());
    }

    #[test]
    fn b21_max_age_zero_is_for_one_delivery() {
        let policy = kept("a", 0, 0).unwrap();
        assert!(policy.holds_at(NOW));
        assert!(!policy.holds_at(NOW.plus_seconds(ONE_USE_SECONDS)));
        assert!(!policy.is_worth_keeping());
    }

    #[test]
    fn b34_the_refresh_comes_within_a_day_and_twice_in_a_life() {
        for (max_age_seconds, earliest, latest) in [
            (31_557_600, 64_800, 86_400),
            (172_800, 64_800, 86_400),
            (86_400, 32_400, 43_200),
            (10, 4, 5),
        ] {
            let policy = kept("a", max_age_seconds, 0).unwrap();
            let mut due: Vec<_> = (0..100)
                .map(|number| format!("{number}.example").parse().unwrap())
                .map(|domain| policy.refresh_due_at(&domain, INTERVALS).seconds_since(NOW))
                .collect();
            due.sort_unstable();
            assert!(due[0] >= earliest && due[99] <= latest, "{due:?}");
            assert!(
                due[0] < due[99] || max_age_seconds == 10,
                "no spread: {due:?}"
            );
        }
    }

    #[test]
    fn b34_a_failed_refresh_is_tried_again_before_the_day_is_over() {
        let mut policy = (*kept("a", 604_800, 86_400).unwrap()).clone();
        policy.tried_at = NOW;
        let due = policy.refresh_due_at(&"a.example".parse().unwrap(), INTERVALS);
        assert_eq!(due.seconds_since(NOW), 10_800);
    }

    #[test]
    fn b30_how_long_an_answer_is_relied_on() {
        use Announcement::{Nothing, Unknown};
        for (announcement, ttl, kept, trouble, expected) in [
            (Nothing, 0, None, None, 5),
            (Nothing, 60, None, None, 60),
            (Nothing, 86_400, None, None, 3_600),
            (Unknown, 86_400, None, None, 10),
            (announced("a"), 600, kept("a", 100, 0), None, 100),
            (announced("a"), 600, kept("a", 86_400, 0), None, 600),
            (announced("a"), 600, None, trouble("a", 0), 300),
            (announced("a"), 600, None, trouble("a", 299), 1),
            (announced("a"), 60, None, trouble("a", 0), 60),
            (Nothing, 600, None, trouble("a", 0), 600),
        ] {
            let known = Known {
                announcement,
                kept,
                trouble,
            };
            let until = known.relied_on_until(Duration::from_secs(ttl), NOW, INTERVALS);
            assert_eq!(until.seconds_since(NOW), expected, "{known:?}");
        }
    }
}
