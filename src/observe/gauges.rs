//! Numbers that go up and down: what the daemon is like at the moment somebody looks.

use std::collections::BTreeMap;

use super::words::{KeptMode, Stands, Word as _};
use crate::{
    clock::Timestamp,
    deliver::{
        Step,
        listing::{Listed, Note},
    },
    policy::{KeptPolicy, PolicyDomain},
};

/// What the daemon is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// What an operator should act on.
    pub alarms: u64,
    /// Whether sessions come to the disk.
    pub recording: bool,
    /// Changed rows that wait in memory for the disk.
    pub waiting_rows: u64,
    /// Rows held in memory.
    pub rows_in_memory: u64,
    /// How the store stands by its quota; absent where it has none, or was not looked at yet.
    pub quota: Option<QuotaGauges>,
    /// Alerts that hold, by rule.
    pub alerts: BTreeMap<&'static str, u64>,
    /// What only a pass over the store tells; absent where it cannot be read.
    pub held: Option<Held>,
}

/// How the store stands by its quota, in octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaGauges {
    /// What may be held.
    pub octets_max: u64,
    /// How large the file is.
    pub file_octets: u64,
    /// What is held; absent while the file is no larger than what may be held.
    pub held_octets: Option<u64>,
}

/// What the store holds. Read at most once a minute, so it can be as old as that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// When it was read.
    pub at: Timestamp,
    /// Kept policies by mode.
    pub policies: BTreeMap<&'static str, u64>,
    /// Of those that hold and ask for something, how many could not be fetched at the last try.
    pub unrefreshed: u64,
    /// When the first policy expires that holds.
    pub next_expiry_at: Option<Timestamp>,
    /// When the first of the unrefreshed ones does.
    pub next_unrefreshed_expiry_at: Option<Timestamp>,
    /// Reports of the last two days by how they stand.
    pub reports: BTreeMap<&'static str, u64>,
    /// When the turn of the longest waiting report was that has not left.
    pub oldest_turn_at: Option<Timestamp>,
    /// Destinations to which no report is sent now.
    pub suppressed: u64,
}

impl Held {
    /// Nothing so far.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        let zeros = |words: &[&'static str]| words.iter().map(|word| (*word, 0)).collect();
        let modes: Vec<_> = KeptMode::ALL.iter().map(|mode| mode.word()).collect();
        let states: Vec<_> = Stands::ALL.iter().map(|state| state.word()).collect();
        Self {
            at,
            policies: zeros(&modes),
            reports: zeros(&states),
            ..Self::default()
        }
    }

    /// These policies are kept.
    pub fn policies<'a>(&mut self, kept: impl Iterator<Item = &'a (PolicyDomain, KeptPolicy)>) {
        for (_, kept) in kept {
            let holds = kept.holds_at(self.at);
            let mode = match holds {
                true => KeptMode::from(kept.policy.mode),
                false => KeptMode::Expired,
            };
            *self.policies.entry(mode.word()).or_default() += 1;
            if !holds || mode == KeptMode::None {
                continue;
            }
            let expires_at = kept.expires_at();
            sooner(&mut self.next_expiry_at, expires_at);
            // A fetch that confirms a policy sets both.
            if kept.tried_at > kept.fetched_at {
                self.unrefreshed += 1;
                sooner(&mut self.next_unrefreshed_expiry_at, expires_at);
            }
        }
    }

    /// So the report of one domain stands, by its destinations.
    pub fn report_of(&mut self, listed: &Listed) {
        if listed.deliveries.is_empty() {
            let stands = match &listed.note {
                None => Stands::Waiting,
                Some(Note::HeldUp { .. }) => Stands::HeldUp,
                // There will be none.
                Some(_) => return,
            };
            self.report(stands, listed.due_at);
        }
        for (_, state) in &listed.deliveries {
            let stands = match state.step {
                Step::Due(_) => Stands::Due,
                Step::Sending(_) => Stands::Sending,
                Step::RetryAt { .. } => Stands::Retry,
                Step::Sent(_) => Stands::Sent,
                Step::GivenUp { .. } => Stands::GivenUp,
            };
            self.report(stands, listed.due_at);
        }
    }

    fn report(&mut self, stands: Stands, turn_at: Timestamp) {
        *self.reports.entry(stands.word()).or_default() += 1;
        let has_left = matches!(stands, Stands::Sent | Stands::GivenUp);
        if !has_left && turn_at <= self.at {
            sooner(&mut self.oldest_turn_at, turn_at);
        }
    }
}

fn sooner(first: &mut Option<Timestamp>, at: Timestamp) {
    *first = Some(first.map_or(at, |first| first.min(at)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deliver::{DeliveryState, listing::Part},
        policy::{Destination, Mode, StsPolicy},
    };

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn kept(mode: &str, age: i64, tried_ago: i64) -> (PolicyDomain, KeptPolicy) {
        let document = format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: 1000\n");
        let policy = StsPolicy::parse(document.as_bytes()).unwrap();
        let kept = KeptPolicy {
            policy,
            id: "1".to_owned(),
            fetched_at: NOW.plus_seconds(-age),
            tried_at: NOW.plus_seconds(-tried_ago),
        };
        ("example.org".parse().unwrap(), kept)
    }

    #[test]
    fn policies_are_counted_by_mode_and_the_first_to_expire_is_found() {
        let mut held = Held::at(NOW);
        let policies = [
            kept("enforce", 100, 100),
            kept("testing", 400, 50),
            kept("enforce", 300, 10),
            kept("none", 900, 1),
            kept("enforce", 2_000, 1),
        ];
        held.policies(policies.iter());
        let of = |mode: KeptMode| held.policies[mode.word()];
        assert_eq!(of(Mode::Enforce.into()), 2);
        assert_eq!(of(KeptMode::Testing), 1);
        assert_eq!(of(KeptMode::None), 1);
        assert_eq!(of(KeptMode::Expired), 1);
        assert_eq!(held.unrefreshed, 2);
        assert_eq!(held.next_expiry_at, Some(NOW.plus_seconds(600)));
        assert_eq!(held.next_unrefreshed_expiry_at, Some(NOW.plus_seconds(600)));
    }

    #[test]
    fn reports_are_counted_by_how_they_stand_and_the_longest_waiting_is_found() {
        let state = |step| DeliveryState {
            report_id: "id".to_owned(),
            attempts: 1,
            first_attempt_at: None,
            step,
        };
        let listed = |due_ago: i64, note: Option<Note>, steps: Vec<Step>| Listed {
            domain: "example.org".parse().unwrap(),
            part: Part::Recipient,
            due_at: NOW.plus_seconds(-due_ago),
            deliveries: steps
                .into_iter()
                .map(|step| (Destination::Mail("a@example.org".to_owned()), state(step)))
                .collect(),
            note,
        };
        let retry = Step::RetryAt {
            at: NOW,
            reason: String::new(),
        };
        let held_up = Note::HeldUp {
            reason: String::new(),
            again_at: NOW,
            times: 1,
        };
        let mut held = Held::at(NOW);
        for listed in [
            listed(-60, None, vec![]),
            listed(900, Some(Note::NoRecord), vec![]),
            listed(50, Some(held_up), vec![]),
            listed(800, None, vec![Step::Sent(NOW)]),
            listed(70, None, vec![Step::Sent(NOW), retry]),
        ] {
            held.report_of(&listed);
        }
        let counted: Vec<_> = held.reports.iter().filter(|(_, n)| **n > 0).collect();
        assert_eq!(
            counted,
            [
                (&"held-up", &1),
                (&"retry", &1),
                (&"sent", &2),
                (&"waiting", &1)
            ]
        );
        assert_eq!(held.oldest_turn_at, Some(NOW.plus_seconds(-70)));
    }
}
