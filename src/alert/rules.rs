//! What holds now: pure, of values that were read just before.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_plugin_api::ResultType;

use super::{About, Rule};
use crate::{
    clock::{Timestamp, UtcDay},
    config::AlertConfig,
    policy::{KeptPolicy, Mode, PolicyDomain},
    record::protection::Protection,
    store::{Counted, Protected, TallyKey},
};

/// What the rules found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What holds, in words.
    pub holds: BTreeMap<About, String>,
    /// What is seen to be well. What is in neither is not known: a domain that no mail goes to, say.
    pub well: BTreeSet<About>,
}

impl Found {
    /// Says of something whether it holds.
    fn say(&mut self, rule: Rule, subject: &str, trouble: Option<String>) {
        let about = About {
            rule,
            subject: subject.to_owned(),
        };
        match trouble {
            Some(words) => {
                self.holds.insert(about, words);
            }
            None => {
                self.well.insert(about);
            }
        }
    }
}

/// Sessions that were kept from going where a policy forbids it.
///
/// Below the least number of sessions nothing is said: neither that it holds nor that all is well.
// OURS: what counts is that mail was refused, whichever policy said so.
pub fn enforce_failures(
    found: &mut Found,
    today: &[(PolicyDomain, Protected)],
    config: &AlertConfig,
) {
    for (domain, protected) in today {
        let (refused, all) = (protected.sessions(Protection::Refused), protected.total());
        let share =
            refused.saturating_mul(100) >= all.saturating_mul(config.enforce_failures_percent);
        if refused >= config.enforce_failures_min && share {
            let words =
                format!("{refused} of {all} sessions today were refused by the policy of {domain}");
            found.say(Rule::EnforceFailures, domain.as_str(), Some(words));
        } else if !share && all >= config.enforce_failures_min {
            found.say(Rule::EnforceFailures, domain.as_str(), None);
        }
    }
}

/// Policies that hold, could not be fetched at the last try, and expire soon.
// OURS: of one that is kept for a day only, soon is half a day: it is never much further from its end.
pub fn policy_expiring(
    found: &mut Found,
    kept: &[(PolicyDomain, KeptPolicy)],
    config: &AlertConfig,
    now: Timestamp,
) {
    for (domain, kept) in kept {
        if kept.policy.mode == Mode::None {
            continue;
        }
        let left = kept.expires_at().seconds_since(now);
        let soon = config.policy_expiry_hours.saturating_mul(3_600);
        let soon = soon.min(i64::from(kept.policy.max_age_seconds) / 2);
        let is_unrefreshed = kept.tried_at > kept.fetched_at;
        let holds = is_unrefreshed && (1..=soon).contains(&left);
        let words = holds.then(|| {
            format!(
                "the policy of {domain} expires at {}, and has not been fetched since {}",
                kept.expires_at(),
                kept.fetched_at
            )
        });
        found.say(Rule::PolicyExpiring, domain.as_str(), words);
    }
}

/// The sessions that were encrypted.
#[must_use]
pub fn encrypted(protected: &Protected) -> u64 {
    [Protection::Dane, Protection::Sts, Protection::Tls]
        .into_iter()
        .fold(0, |sum, protection| {
            sum.saturating_add(protected.sessions(protection))
        })
}

/// How few sessions say nothing of a domain.
const SESSIONS_MIN: u64 = 3;

/// On how many earlier days a domain must have had sessions.
const DAYS_MIN: usize = 3;

/// The domains of a day whose earlier days are worth a look: none of several sessions was encrypted.
#[must_use]
pub fn without_tls(today: &[(PolicyDomain, Protected)]) -> Vec<PolicyDomain> {
    let bare = today
        .iter()
        .filter(|(_, protected)| protected.total() >= SESSIONS_MIN && encrypted(protected) == 0);
    bare.map(|(domain, _)| domain.clone()).collect()
}

/// The domains of a day with encrypted sessions have STARTTLS.
pub fn starttls_there(found: &mut Found, today: &[(PolicyDomain, Protected)]) {
    for (domain, _) in today
        .iter()
        .filter(|(_, protected)| encrypted(protected) > 0)
    {
        found.say(Rule::StarttlsVanished, domain.as_str(), None);
    }
}

/// STARTTLS is not offered any more by a domain whose sessions today were not encrypted. `before`: what
/// protected its sessions on earlier days, as many as `alert.starttls_seen_days`; `rows`: today's.
pub fn starttls_vanished(
    found: &mut Found,
    domain: &PolicyDomain,
    today: UtcDay,
    rows: &[(TallyKey, u64)],
    before: &[(UtcDay, Protected)],
    config: &AlertConfig,
) {
    let not_offered = rows.iter().any(|(key, sessions)| match &key.counted {
        Counted::Detail(failure) => {
            *sessions > 0 && failure.result == ResultType::StarttlsNotSupported
        }
        Counted::Protected(Protection::Clear) => *sessions > 0,
        _ => false,
    });
    let with_sessions: Vec<_> = before
        .iter()
        .filter(|(_, protected)| protected.total() > 0)
        .collect();
    let always = with_sessions.iter().all(|(_, protected)| {
        encrypted(protected) > 0 && protected.sessions(Protection::Clear) == 0
    });
    let first = with_sessions.iter().map(|(day, _)| *day).min();
    // It need not have had mail on the very first of these days.
    let long_ago = i64::from(config.starttls_seen_days).saturating_mul(43_200);
    let is_old = first
        .is_some_and(|first| today.first_second().seconds_since(first.first_second()) >= long_ago);
    if !(not_offered && always && is_old && with_sessions.len() >= DAYS_MIN) {
        return;
    }
    let days = with_sessions.len();
    let words = format!(
        "{domain} offers no STARTTLS today, and its sessions were encrypted on all {days} days with mail \
         in the {} days before",
        config.starttls_seen_days
    );
    found.say(Rule::StarttlsVanished, domain.as_str(), Some(words));
}

/// Reports whose turn was long ago and that have not left. `oldest_turn_at`: of the one that waits longest.
pub fn reports_stuck(
    found: &mut Found,
    oldest_turn_at: Option<Timestamp>,
    config: &AlertConfig,
    now: Timestamp,
) {
    let late = oldest_turn_at.map_or(0, |at| now.seconds_since(at));
    let words = (late >= config.reports_stuck_hours.saturating_mul(3_600)).then(|| {
        let hours = late / 3_600;
        format!("a report has been due for {hours} hours and has not left")
    });
    found.say(Rule::ReportsStuck, "reports", words);
}

/// The alarms of `sealpost status`.
pub fn alarms(found: &mut Found, alarms: &[String]) {
    let words = (!alarms.is_empty()).then(|| alarms.join("; "));
    found.say(Rule::Alarm, "daemon", words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::StsPolicy, record::Failure};

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn protected(rows: &[(Protection, u64)]) -> Protected {
        let mut protected = Protected::default();
        for (protection, sessions) in rows {
            protected.add(*protection, *sessions);
        }
        protected
    }

    /// `holds`, `well` or `unknown`.
    fn state(found: &Found, rule: Rule) -> &'static str {
        let holds = found.holds.keys().any(|about| about.rule == rule);
        let well = found.well.iter().any(|about| about.rule == rule);
        match (holds, well) {
            (true, false) => "holds",
            (false, true) => "well",
            (false, false) => "unknown",
            (true, true) => "both",
        }
    }

    #[test]
    fn refused_sessions_hold_from_the_least_number_and_share_on() {
        let config = AlertConfig::default();
        for (refused, sts, expected) in [
            (5, 0, "holds"),
            (4, 0, "unknown"),
            (5, 45, "holds"),
            (5, 46, "well"),
            (0, 4, "unknown"),
            (0, 5, "well"),
            (1_000, 1, "holds"),
        ] {
            let counted = protected(&[(Protection::Refused, refused), (Protection::Sts, sts)]);
            let mut found = Found::default();
            enforce_failures(&mut found, &[(domain(), counted)], &config);
            let state = state(&found, Rule::EnforceFailures);
            assert_eq!(state, expected, "{refused} refused, {sts} not");
        }
    }

    #[test]
    fn a_policy_holds_that_cannot_be_fetched_and_expires_soon() {
        let config = AlertConfig::default();
        let day = 86_400;
        for (max_age, fetched_ago, tried_ago, mode, expected) in [
            (30 * day, 29 * day, 60, "enforce", "holds"),
            (30 * day, 29 * day, 29 * day, "enforce", "well"),
            (30 * day, 20 * day, 60, "enforce", "well"),
            (30 * day, 29 * day, 60, "none", "unknown"),
            (30 * day, 31 * day, 60, "enforce", "well"),
            (day, day / 4, 60, "testing", "well"),
            (day, day * 3 / 4, 60, "testing", "holds"),
        ] {
            let text =
                format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: {max_age}\n");
            let kept = KeptPolicy {
                policy: StsPolicy::parse(text.as_bytes()).unwrap(),
                id: "1".to_owned(),
                fetched_at: NOW.plus_seconds(-fetched_ago),
                tried_at: NOW.plus_seconds(-tried_ago),
            };
            let mut found = Found::default();
            policy_expiring(&mut found, &[(domain(), kept)], &config, NOW);
            let state = state(&found, Rule::PolicyExpiring);
            assert_eq!(
                state, expected,
                "{mode} {max_age} {fetched_ago} {tried_ago}"
            );
        }
    }

    #[test]
    fn starttls_has_vanished_where_it_was_always_there_for_weeks() {
        let config = AlertConfig::default();
        let today = NOW.day();
        let day_before = |days: u32| (0..days).fold(today, |day, _| day.previous());
        let tls = protected(&[(Protection::Tls, 4)]);
        let mixed = protected(&[(Protection::Tls, 4), (Protection::Clear, 1)]);
        let row = |counted| {
            let key = TallyKey {
                day: today,
                domain: domain(),
                policy: crate::policy::AppliedPolicy::no_policy_found(domain()).fingerprint(),
                counted,
            };
            vec![(key, 3)]
        };
        let refused = || {
            let failure = Failure::of_policy(ResultType::StarttlsNotSupported, "");
            row(Counted::Detail(failure))
        };
        let clear = || row(Counted::Protected(Protection::Clear));
        let all_of =
            |days: &[u32]| -> Vec<_> { days.iter().map(|each| (day_before(*each), tls)).collect() };
        let cases = [
            (clear(), all_of(&[1, 5, 9]), "holds"),
            (refused(), all_of(&[1, 5, 9]), "holds"),
            (clear(), all_of(&[1, 9]), "unknown"),
            (clear(), all_of(&[1, 2, 3]), "unknown"),
            (row(Counted::Failures), all_of(&[1, 5, 9]), "unknown"),
            (
                clear(),
                vec![
                    (day_before(1), tls),
                    (day_before(5), mixed),
                    (day_before(9), tls),
                ],
                "unknown",
            ),
        ];
        for (number, (rows, before, expected)) in cases.into_iter().enumerate() {
            let mut found = Found::default();
            starttls_vanished(&mut found, &domain(), today, &rows, &before, &config);
            assert_eq!(state(&found, Rule::StarttlsVanished), expected, "{number}");
        }
        let few = (domain(), protected(&[(Protection::Clear, 2)]));
        let bare = (domain(), protected(&[(Protection::Clear, 3)]));
        assert!(without_tls(&[few]).is_empty());
        assert_eq!(without_tls(&[bare]), [domain()]);
    }

    #[test]
    fn reports_are_stuck_after_the_hours_that_are_set_and_alarms_at_once() {
        let config = AlertConfig::default();
        for (late, expected) in [
            (None, "well"),
            (Some(43_199), "well"),
            (Some(43_200), "holds"),
        ] {
            let mut found = Found::default();
            let oldest = late.map(|late: i64| NOW.plus_seconds(-late));
            reports_stuck(&mut found, oldest, &config, NOW);
            assert_eq!(state(&found, Rule::ReportsStuck), expected, "{late:?}");
        }
        let mut found = Found::default();
        alarms(&mut found, &[]);
        assert_eq!(state(&found, Rule::Alarm), "well");
    }
}
