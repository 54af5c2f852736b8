//! Since when each alert holds, who was told of it, and what is over. Pure: it is given what was found and
//! the time, and says what is to be told.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{About, Alert, quiet::QuietHours, rules::Found};
use crate::clock::Timestamp;

/// How long something must be well before its alert is over: what comes and goes is one alert.
pub const WELL_SECONDS: i64 = 1_800;

/// How long an alert stands of which nothing is seen any more, neither that it holds nor that it does not.
pub const UNSEEN_SECONDS: i64 = 172_800;

/// How long what is over is still to be told to those who were told of the alert.
const FAREWELL_SECONDS: i64 = 86_400;

/// How many alerts are held. Further ones are counted.
pub const ALERTS_MAX: usize = 10_000;

/// Who is told besides the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// `alert.mail_to`.
    Mail,
    /// `alert.webhook_url`.
    Webhook,
}

/// When somebody may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// When nobody is.
    pub quiet: Option<QuietHours>,
    /// After how long the same alert is told again.
    pub repeat_seconds: i64,
    /// How often within an hour a channel is used.
    pub per_hour_max: usize,
}

/// All alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    alerts: Vec<Alert>,
    /// How many found no room since the start.
    #[serde(skip)]
    unheld: u64,
    #[serde(skip)]
    mailed: VecDeque<Timestamp>,
    #[serde(skip)]
    posted: VecDeque<Timestamp>,
}

/// What changed by a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// These alerts began.
    pub begun: Vec<Alert>,
    /// These are over.
    pub over: Vec<Alert>,
}

/// What is to be told at once, in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Told for the first time.
    pub new: Vec<Alert>,
    /// Told before, and they still hold.
    pub again: Vec<Alert>,
    /// Told before, and they are over.
    pub over: Vec<Alert>,
}

impl Digest {
    /// Is there nothing to tell?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.again.is_empty() && self.over.is_empty()
    }
}

impl Alert {
    const fn told_at(&self, channel: Channel) -> Option<Timestamp> {
        match channel {
            Channel::Mail => self.mailed_at,
            Channel::Webhook => self.posted_at,
        }
    }

    const fn set_told(&mut self, channel: Channel, at: Option<Timestamp>) {
        match channel {
            Channel::Mail => self.mailed_at = at,
            Channel::Webhook => self.posted_at = at,
        }
    }
}

impl Board {
    /// The alerts that hold, in order.
    #[must_use]
    pub fn holding(&self) -> Vec<&Alert> {
        let alerts = self.alerts.iter();
        alerts.filter(|alert| alert.over_since.is_none()).collect()
    }

    /// How many found no room.
    #[must_use]
    pub const fn unheld(&self) -> u64 {
        self.unheld
    }

    /// Takes in what was found.
    pub fn look(&mut self, found: Found, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        let Found { mut holds, well } = found;
        for alert in &mut self.alerts {
            if let Some(words) = holds.remove(&alert.about) {
                // It came back before it was told to be over, or after: then it is a new one.
                if alert.over_since.take().is_some() {
                    alert.since = now;
                    changes.begun.push(alert.clone());
                }
                alert.words = words;
                alert.seen_at = now;
                continue;
            }
            if alert.over_since.is_some() {
                continue;
            }
            let unseen = now.seconds_since(alert.seen_at);
            let is_well = well.contains(&alert.about);
            if (is_well && unseen >= WELL_SECONDS) || unseen >= UNSEEN_SECONDS {
                alert.over_since = Some(now);
                changes.over.push(alert.clone());
            }
        }
        self.begin(holds, now, &mut changes);
        self.forget(now);
        changes
    }

    fn begin(&mut self, holds: BTreeMap<About, String>, now: Timestamp, changes: &mut Changes) {
        for (about, words) in holds {
            if self.alerts.len() >= ALERTS_MAX {
                self.unheld += 1;
                continue;
            }
            let alert = Alert {
                about,
                words,
                since: now,
                seen_at: now,
                over_since: None,
                mailed_at: None,
                posted_at: None,
            };
            changes.begun.push(alert.clone());
            self.alerts.push(alert);
        }
        self.alerts
            .sort_by(|one, other| one.about.cmp(&other.about));
    }

    /// What is over, and nobody is still to be told of.
    fn forget(&mut self, now: Timestamp) {
        self.alerts.retain(|alert| match alert.over_since {
            None => true,
            Some(over) => {
                let is_told = alert.mailed_at.is_none() && alert.posted_at.is_none();
                !is_told && now.seconds_since(over) < FAREWELL_SECONDS
            }
        });
    }

    /// What a channel is to be told now: everything in one message, or nothing while it is quiet or was used
    /// often enough within the hour. Then it waits.
    #[must_use]
    pub fn due(&mut self, channel: Channel, manners: &Manners, now: Timestamp) -> Digest {
        let mut digest = Digest::default();
        let used = self.used(channel);
        // Set back since, the clock says nothing of when that was.
        used.retain(|at| (0..3_600).contains(&now.seconds_since(*at)));
        if used.len() >= manners.per_hour_max || manners.quiet.is_some_and(|quiet| quiet.hold(now))
        {
            return digest;
        }
        for alert in &self.alerts {
            match (alert.told_at(channel), alert.over_since) {
                (None, None) => digest.new.push(alert.clone()),
                (Some(_), Some(_)) => digest.over.push(alert.clone()),
                (Some(told), None) => {
                    if now.seconds_since(told) >= manners.repeat_seconds {
                        digest.again.push(alert.clone());
                    }
                }
                (None, Some(_)) => {}
            }
        }
        digest
    }

    /// The channel was told this.
    pub fn told(&mut self, channel: Channel, digest: &Digest, now: Timestamp) {
        self.used(channel).push_back(now);
        for alert in &mut self.alerts {
            let is = |told: &Vec<Alert>| told.iter().any(|each| each.about == alert.about);
            if is(&digest.new) || is(&digest.again) {
                alert.set_told(channel, Some(now));
            } else if is(&digest.over) {
                alert.set_told(channel, None);
            }
        }
        self.forget(now);
    }

    /// The channel could not be told. It is tried again, as often as it may be used.
    pub fn not_told(&mut self, channel: Channel, now: Timestamp) {
        self.used(channel).push_back(now);
    }

    /// A channel that nobody set is owed nothing.
    pub fn without(&mut self, channel: Channel) {
        for alert in &mut self.alerts {
            alert.set_told(channel, None);
        }
    }

    const fn used(&mut self, channel: Channel) -> &mut VecDeque<Timestamp> {
        match channel {
            Channel::Mail => &mut self.mailed,
            Channel::Webhook => &mut self.posted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Rule;

    const START: Timestamp = Timestamp(1_790_000_000 - 1_790_000_000 % 86_400);

    const MANNERS: Manners = Manners {
        quiet: None,
        repeat_seconds: 86_400,
        per_hour_max: 2,
    };

    fn about(subject: &str) -> About {
        About {
            rule: Rule::EnforceFailures,
            subject: subject.to_owned(),
        }
    }

    fn holds(subjects: &[&str]) -> Found {
        let mut found = Found::default();
        for subject in subjects {
            found.holds.insert(about(subject), "words".to_owned());
        }
        found
    }

    fn well(subject: &str) -> Found {
        let mut found = Found::default();
        found.well.insert(about(subject));
        found
    }

    /// Looks, and tells by mail what is due: `new again over`.
    fn minute(board: &mut Board, found: Found, manners: &Manners, at: Timestamp) -> String {
        let _changes = board.look(found, at);
        let digest = board.due(Channel::Mail, manners, at);
        if !digest.is_empty() {
            board.told(Channel::Mail, &digest, at);
        }
        format!(
            "{} {} {}",
            digest.new.len(),
            digest.again.len(),
            digest.over.len()
        )
    }

    #[test]
    fn an_alert_is_told_once_then_each_day_and_when_it_is_over() {
        let mut board = Board::default();
        let mut at =
            |found, seconds| minute(&mut board, found, &MANNERS, START.plus_seconds(seconds));
        assert_eq!(at(holds(&["a"]), 0), "1 0 0");
        assert_eq!(at(holds(&["a"]), 60), "0 0 0");
        assert_eq!(at(holds(&["a"]), 86_399), "0 0 0");
        assert_eq!(at(holds(&["a"]), 86_400), "0 1 0");
        // Well for a moment is not over; of nothing seen nothing is said.
        assert_eq!(at(well("a"), 86_460), "0 0 0");
        assert_eq!(at(holds(&["a"]), 86_520), "0 0 0");
        assert_eq!(at(Found::default(), 90_500), "0 0 0");
        assert_eq!(at(well("a"), 90_560), "0 0 1");
        assert_eq!(at(well("a"), 90_620), "0 0 0");
        // And it is a new one when it comes back.
        assert_eq!(at(holds(&["a"]), 99_000), "1 0 0");
    }

    #[test]
    fn a_flood_is_one_message_and_no_more_messages_leave_than_an_hour_has() {
        let mut board = Board::default();
        let names: Vec<String> = (0..1_000).map(|number| format!("d{number}")).collect();
        let mut all: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut at = |all: &[&str], seconds| {
            minute(
                &mut board,
                holds(all),
                &MANNERS,
                START.plus_seconds(seconds),
            )
        };
        assert_eq!(at(&all, 0), "1000 0 0");
        all.push("late");
        assert_eq!(at(&all, 60), "1 0 0");
        all.push("later");
        all.push("last");
        assert_eq!(at(&all, 120), "0 0 0");
        assert_eq!(at(&all, 3_599), "0 0 0");
        assert_eq!(at(&all, 3_600), "2 0 0");
    }

    #[test]
    fn nobody_is_told_in_quiet_hours_and_of_what_is_still_so_after_them() {
        let manners = Manners {
            quiet: Some("22:00-07:00".parse().unwrap()),
            ..MANNERS
        };
        let mut board = Board::default();
        let mut at = |found, hour: i64| {
            minute(
                &mut board,
                found,
                &manners,
                START.plus_seconds(hour * 3_600),
            )
        };
        assert_eq!(at(holds(&["a", "b"]), 23), "0 0 0");
        assert_eq!(at(holds(&["a"]), 24), "0 0 0");
        let mut found = holds(&["a"]);
        found.well.insert(about("b"));
        assert_eq!(at(found, 25), "0 0 0");
        assert_eq!(at(holds(&["a"]), 31), "1 0 0");
    }

    #[test]
    fn a_message_that_did_not_leave_is_owed_and_one_channel_is_not_the_other() {
        let mut board = Board::default();
        let _changes = board.look(holds(&["a"]), START);
        let digest = board.due(Channel::Mail, &MANNERS, START);
        assert_eq!(digest.new.len(), 1);
        board.not_told(Channel::Mail, START);
        assert_eq!(
            board.due(Channel::Mail, &MANNERS, START.plus_seconds(60)),
            digest
        );
        board.told(Channel::Mail, &digest, START.plus_seconds(60));
        let again = board.due(Channel::Webhook, &MANNERS, START.plus_seconds(120));
        assert_eq!(again.new.len(), 1);
    }

    #[test]
    fn what_nothing_is_seen_of_ends_after_two_days() {
        let mut board = Board::default();
        let _changes = board.look(holds(&["a"]), START);
        let over = |board: &mut Board, seconds| {
            board
                .look(Found::default(), START.plus_seconds(seconds))
                .over
                .len()
        };
        assert_eq!(over(&mut board, UNSEEN_SECONDS - 1), 0);
        assert_eq!(over(&mut board, UNSEEN_SECONDS), 1);
        assert!(board.holding().is_empty());
    }

    #[test]
    fn g6_alerts_are_bounded_and_the_rest_is_counted() {
        let mut board = Board::default();
        let names: Vec<String> = (0..ALERTS_MAX + 7)
            .map(|number| format!("d{number}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let begun = board.look(holds(&names), START).begun;
        assert_eq!((begun.len(), board.unheld()), (ALERTS_MAX, 7));
    }

    #[test]
    fn what_was_told_is_known_after_a_restart() {
        let mut board = Board::default();
        assert_eq!(minute(&mut board, holds(&["a"]), &MANNERS, START), "1 0 0");
        let text = serde_json::to_string(&board).unwrap();
        let mut board: Board = serde_json::from_str(&text).unwrap();
        let later = START.plus_seconds(60);
        assert_eq!(minute(&mut board, holds(&["a"]), &MANNERS, later), "0 0 0");
    }
}
