//! What is to be done about one delivery: its steps, and when each may be taken.
//!
//! ```text
//! (nothing) -> Due -> Sending -> Sent
//!               |      ^   |
//!               |      |   +--> RetryAt ---+
//!               |      +-------------------+
//!               +--------------------------+--> GivenUp
//! ```
//!
//! Every step is on the disk before the world can see its consequence. So a process that dies leaves
//! one of two things: a step whose attempt has not begun, which is taken up again; or `Sending`,
//! where the receiver may or may not have the report. That one is sent again with the same
//! report-id, by which a receiver knows a second copy (`docs/decisions/0007-exactly-once.md`).

use std::collections::BTreeMap;

use super::{DeliveryState, Step, retry::Retry, schedule::Schedule};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp, UtcDay},
    net::handover::{Accepted, SendError},
    policy::Destination,
};

/// Who asks for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urge {
    /// The daily round: what is due is done, waits are waited for.
    WhenDue,
    /// The operator: at once, also what waits or was given up. What was sent stays sent.
    Now,
    /// The operator, for one domain: also to destinations that are suppressed by their refusals.
    Insisting,
}

/// What is to be done about a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an attempt.
    Attempt,
    /// Look again then.
    Wait(Timestamp),
    /// Nothing, now or later.
    Rest,
    /// Give it up, for this reason.
    GiveUp(&'static str),
}

/// Decides about one delivery that is not under way in this process.
#[must_use]
pub fn action(
    day: UtcDay,
    state: &DeliveryState,
    retry: &Retry,
    now: Timestamp,
    urge: Urge,
) -> Action {
    match (&state.step, urge) {
        (Step::Sent(_), _) | (Step::GivenUp { .. }, Urge::WhenDue) => Action::Rest,
        (_, Urge::Now | Urge::Insisting) => Action::Attempt,
        // The end is looked at first: after a long downtime nothing waits for its turn any more.
        (Step::Due(_) | Step::RetryAt { .. } | Step::Sending(_), Urge::WhenDue)
            if is_too_late(day, state, retry, now) =>
        {
            Action::GiveUp(match state.first_attempt_at {
                Some(_) => "the time for attempts is over",
                None => "the day is too old",
            })
        }
        (Step::Due(at) | Step::RetryAt { at, .. }, Urge::WhenDue) if moment(*at, now) > now => {
            Action::Wait(*at)
        }
        // `Sending` belongs to a process that died within the attempt.
        (Step::Due(_) | Step::RetryAt { .. } | Step::Sending(_), Urge::WhenDue) => Action::Attempt,
    }
}

/// RFC 8460 s5.5: attempts end 24 hours after the first, and a report that was never tried is not
/// sent when its day lies far back.
fn is_too_late(day: UtcDay, state: &DeliveryState, retry: &Retry, now: Timestamp) -> bool {
    state.first_attempt_at.map_or_else(
        || !Schedule::is_current(day, now),
        |first| retry.is_over(first, now),
    )
}

/// The moment a delivery waits for. No wait is longer than a day; one that is was noted by a clock
/// that has been set back since, and is over.
const fn moment(at: Timestamp, now: Timestamp) -> Timestamp {
    if at.seconds_since(now) > SECONDS_PER_DAY {
        now
    } else {
        at
    }
}

/// When a delivery found at start-up must be looked at; `None`: it is finished.
#[must_use]
pub const fn wake_at(state: &DeliveryState, now: Timestamp) -> Option<Timestamp> {
    match state.step {
        Step::Due(at) | Step::RetryAt { at, .. } => Some(moment(at, now)),
        Step::Sending(_) => Some(now),
        Step::Sent(_) | Step::GivenUp { .. } => None,
    }
}

/// A delivery that has just been planned.
#[must_use]
pub const fn planned(report_id: String, at: Timestamp) -> DeliveryState {
    DeliveryState {
        report_id,
        attempts: 0,
        first_attempt_at: None,
        step: Step::Due(at),
    }
}

/// The state to be written before an attempt begins.
#[must_use]
pub fn begun(state: &DeliveryState, retry: &Retry, now: Timestamp) -> DeliveryState {
    // The operator may ask for an attempt after the end: its 24 hours begin anew.
    let first_attempt_at = state
        .first_attempt_at
        .filter(|first| !matches!(state.step, Step::GivenUp { .. }) && !retry.is_over(*first, now))
        .unwrap_or(now);
    DeliveryState {
        report_id: state.report_id.clone(),
        attempts: state.attempts.saturating_add(1),
        first_attempt_at: Some(first_attempt_at),
        step: Step::Sending(now),
    }
}

/// The state after an attempt that ended at `now`.
#[must_use]
pub fn settled(
    state: &DeliveryState,
    outcome: &Result<Accepted, SendError>,
    retry: &Retry,
    now: Timestamp,
) -> DeliveryState {
    let step = match outcome {
        Ok(_) => Step::Sent(now),
        Err(error @ SendError::Permanent { .. }) => Step::GivenUp {
            at: now,
            reason: error.to_string(),
        },
        Err(error @ (SendError::Temporary { .. } | SendError::Unreachable { .. })) => {
            let first = state.first_attempt_at.unwrap_or(now);
            let asked = match error {
                SendError::Temporary {
                    retry_after_seconds,
                    ..
                } => *retry_after_seconds,
                _ => None,
            };
            match retry.next_attempt(state.attempts, first, now, asked) {
                Some(at) => Step::RetryAt {
                    at,
                    reason: error.to_string(),
                },
                None => Step::GivenUp {
                    at: now,
                    reason: error.to_string(),
                },
            }
        }
    };
    DeliveryState {
        step,
        ..state.clone()
    }
}

/// The state of a delivery that no further attempt will be made for.
#[must_use]
pub fn given_up(state: &DeliveryState, reason: &str, now: Timestamp) -> DeliveryState {
    DeliveryState {
        step: Step::GivenUp {
            at: now,
            reason: reason.to_owned(),
        },
        ..state.clone()
    }
}

/// How what is on its way compares with where the report is to go now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Destinations that no delivery exists for.
    pub added: Vec<Destination>,
    /// Unfinished deliveries whose destination is none any more.
    pub dropped: Vec<Destination>,
}

/// Compares.
// A16: a record may change between the session, the first attempt and the last: the newest decides.
#[must_use]
pub fn compare(
    states: &BTreeMap<Destination, DeliveryState>,
    destinations: &[Destination],
) -> Comparison {
    let is_new = |destination: &&Destination| !states.contains_key(*destination);
    Comparison {
        added: destinations.iter().filter(is_new).cloned().collect(),
        dropped: states
            .iter()
            .filter(|(destination, state)| {
                !destinations.contains(destination) && !is_finished(state)
            })
            .map(|(destination, _)| destination.clone())
            .collect(),
    }
}

/// Whether the record is looked up for the last time: another lookup after `wait_seconds` would come too
/// late for an attempt. `due_at` was the domain's turn.
// A15, A16: a failed lookup is waited out as long as there is time, and no longer.
#[must_use]
pub fn is_last_lookup(
    states: &BTreeMap<Destination, DeliveryState>,
    due_at: Timestamp,
    retry: &Retry,
    now: Timestamp,
    wait_seconds: i64,
) -> bool {
    let next = now.plus_seconds(wait_seconds);
    let mut open = states.values().filter(|state| !is_finished(state));
    if states.is_empty() {
        return retry.is_over(due_at, next);
    }
    open.any(|state| retry.is_over(state.first_attempt_at.unwrap_or(due_at), next))
}

/// Was it sent or given up?
#[must_use]
pub const fn is_finished(state: &DeliveryState) -> bool {
    matches!(state.step, Step::Sent(_) | Step::GivenUp { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: UtcDay = UtcDay(20_780);
    const RETRY: Retry = Retry {
        retry_seconds: 600,
        give_up_seconds: 86_400,
    };

    fn midnight() -> Timestamp {
        DAY.next().first_second()
    }

    fn hours(hours: i64) -> Timestamp {
        midnight().plus_seconds(hours * 3_600)
    }

    fn state(first_attempt_at: Option<Timestamp>, step: Step) -> DeliveryState {
        DeliveryState {
            report_id: "id@sender.example".to_owned(),
            attempts: u32::from(first_attempt_at.is_some()),
            first_attempt_at,
            step,
        }
    }

    fn retry_at(at: Timestamp) -> Step {
        Step::RetryAt {
            at,
            reason: String::new(),
        }
    }

    fn gone(at: Timestamp) -> Step {
        Step::GivenUp {
            at,
            reason: String::new(),
        }
    }

    #[test]
    fn f15_f16_what_is_done_about_each_step() {
        let over = || Action::GiveUp("the time for attempts is over");
        let due = || state(None, Step::Due(hours(2)));
        let died = || state(Some(hours(1)), Step::Sending(hours(1)));
        let failed = || state(Some(hours(1)), retry_at(hours(3)));
        let ahead = || state(Some(hours(168)), retry_at(hours(169)));
        for (name, state, now, expected) in [
            ("due later", due(), 1, Action::Wait(hours(2))),
            ("due now", due(), 2, Action::Attempt),
            ("two days down", due(), 50, Action::Attempt),
            (
                "four days down",
                due(),
                96,
                Action::GiveUp("the day is too old"),
            ),
            ("died while sending", died(), 2, Action::Attempt),
            ("died, a day down", died(), 26, over()),
            ("failed, later", failed(), 2, Action::Wait(hours(3))),
            ("failed, now", failed(), 3, Action::Attempt),
            ("failed, by a clock a week on", ahead(), 2, Action::Attempt),
            ("failed, a day down", failed(), 26, over()),
            (
                "given up",
                state(Some(hours(1)), gone(hours(1))),
                2,
                Action::Rest,
            ),
        ] {
            let decided = |urge| action(DAY, &state, &RETRY, hours(now), urge);
            assert_eq!(decided(Urge::WhenDue), expected, "{name}");
            assert_eq!(decided(Urge::Now), Action::Attempt, "{name}");
        }
        let sent = state(Some(hours(1)), Step::Sent(hours(1)));
        for urge in [Urge::WhenDue, Urge::Now, Urge::Insisting] {
            assert_eq!(action(DAY, &sent, &RETRY, hours(2), urge), Action::Rest);
        }
    }

    #[test]
    fn f16_a_delivery_found_at_start_up_is_looked_at_in_time() {
        for (step, expected) in [
            (Step::Due(hours(5)), Some(hours(5))),
            (retry_at(hours(6)), Some(hours(6))),
            (retry_at(hours(168)), Some(hours(2))),
            (Step::Sending(hours(1)), Some(hours(2))),
            (Step::Sent(hours(1)), None),
            (gone(hours(1)), None),
        ] {
            assert_eq!(
                wake_at(&state(None, step.clone()), hours(2)),
                expected,
                "{step:?}"
            );
        }
    }

    #[test]
    fn f15_what_becomes_of_an_attempt() {
        let refused = |code| SendError::Permanent {
            code: Some(code),
            reason: "no such user".to_owned(),
        };
        let busy = || SendError::Temporary {
            code: Some(451),
            reason: "try later".to_owned(),
            retry_after_seconds: None,
        };
        let accepted = Accepted::for_test();
        let first = begun(&planned("id@x".to_owned(), hours(1)), &RETRY, hours(1));
        assert_eq!(first.step, Step::Sending(hours(1)));
        assert_eq!(
            (first.attempts, first.first_attempt_at),
            (1, Some(hours(1)))
        );

        assert_eq!(
            settled(&first, &Ok(accepted), &RETRY, hours(2)).step,
            Step::Sent(hours(2))
        );
        assert!(matches!(
            settled(&first, &Err(refused(550)), &RETRY, hours(2)).step,
            Step::GivenUp { at, reason } if at == hours(2) && reason.contains("550 no such user")
        ));
        let waits = settled(&first, &Err(busy()), &RETRY, hours(2));
        assert!(matches!(
            &waits.step,
            Step::RetryAt { at, reason } if *at == hours(2).plus_seconds(600) && reason.contains("451 try later")
        ));
        let second = begun(&waits, &RETRY, hours(3));
        assert_eq!(
            (second.attempts, second.first_attempt_at),
            (2, Some(hours(1)))
        );
        assert_eq!(second.report_id, "id@x");
        assert!(matches!(
            settled(&second, &Err(busy()), &RETRY, hours(25)).step,
            Step::GivenUp { .. }
        ));
    }

    #[test]
    fn f15_an_operators_attempt_after_the_end_has_its_own_24_hours() {
        for step in [gone(hours(2)), retry_at(hours(3))] {
            let again = begun(&state(Some(hours(1)), step), &RETRY, hours(40));
            assert_eq!(again.first_attempt_at, Some(hours(40)));
            assert_eq!(again.report_id, "id@sender.example");
        }
    }

    #[test]
    fn a15_a16_a_failed_lookup_is_waited_out_as_long_as_an_attempt_is_in_time() {
        let of = |states: &[DeliveryState]| -> BTreeMap<Destination, DeliveryState> {
            let named = (1..).zip(states);
            named
                .map(|(number, state)| (Destination::Mail(format!("{number}@x")), state.clone()))
                .collect()
        };
        let failed = |first| state(Some(hours(first)), retry_at(hours(first)));
        for (name, states, now, wait_hours, expected) in [
            ("nothing begun, in time", of(&[]), 20, 4, false),
            ("nothing begun, the last", of(&[]), 22, 4, true),
            ("tried, in time", of(&[failed(5)]), 24, 4, false),
            ("tried, the last", of(&[failed(5)]), 26, 4, true),
            (
                "tried, the last of one",
                of(&[failed(10), failed(5)]),
                26,
                4,
                true,
            ),
            (
                "planned only",
                of(&[state(None, Step::Due(hours(1)))]),
                22,
                4,
                true,
            ),
            (
                "all done",
                of(&[state(Some(hours(1)), gone(hours(1)))]),
                30,
                4,
                false,
            ),
        ] {
            let wait = wait_hours * 3_600;
            let last = is_last_lookup(&states, hours(1), &RETRY, hours(now), wait);
            assert_eq!(last, expected, "{name}");
        }
    }

    #[test]
    fn a16_the_newest_record_decides() {
        let mail = |mailbox: &str| Destination::Mail(mailbox.to_owned());
        let https = || Destination::Https("https://example.org/rua".to_owned());
        let states = BTreeMap::from([
            (mail("sent@x"), state(None, Step::Sent(hours(1)))),
            (mail("old@x"), state(None, retry_at(hours(1)))),
            (mail("kept@x"), state(None, Step::Due(hours(1)))),
        ]);
        assert_eq!(
            compare(&states, &[https(), mail("kept@x"), mail("new@x")]),
            Comparison {
                added: vec![https(), mail("new@x")],
                dropped: vec![mail("old@x")],
            }
        );
        assert_eq!(
            compare(&states, &[]),
            Comparison {
                dropped: vec![mail("kept@x"), mail("old@x")],
                ..Comparison::default()
            }
        );
    }
}
