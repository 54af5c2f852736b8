//! What becomes of a told session under the second policy that applied to it.
//!
//! Postfix names one policy and goes by it; RFC 8460 s4 has a session counted under each that applied (D7). What was
//! held to TLSA records the domain's policy has a word on, and what was held to the policy TLSA records that
//! cannot be used. Where our own look at the mail hosts must say it, the session waits.

use std::sync::Arc;

use super::{
    Engine,
    findings::Look,
    session::TOLD_SECONDS_MAX,
    settle::Patience,
    told::Found,
    waiting::{Part, Waits},
};
use crate::{
    clock::Timestamp,
    config::OverrideMode,
    policy::{MxHost, PolicyType, dane::HostDane},
    record::{
        reconcile::{
            Answered, BesideSts, Counted, Known, Reconciled, are_meant, beside_sts, beside_tlsa,
            has_policy, protected, protects_nothing, reconcile, was_tried,
        },
        told::{Ending, Told},
    },
};

/// What a second policy says of told sessions in the end.
pub(super) enum Beside {
    /// None applied.
    Nothing,
    /// They are counted under it so.
    Is(Counted),
    /// One applied, and what it would have said is not known.
    NotKnown,
}

impl Part {
    /// What of sessions that were told so waits for the word of a second policy.
    pub(super) fn beside(told: &Told) -> Self {
        match told.policy.policy_type {
            PolicyType::Tlsa if protects_nothing(told) => Self::TlsaInvalid,
            PolicyType::Tlsa => Self::BesideTlsa,
            PolicyType::Sts | PolicyType::NoPolicyFound => Self::BesideSts,
        }
    }
}

impl Engine {
    /// Counts sessions that are told just now under the second policy that applied to them, once that can be
    /// told.
    pub(super) fn take_beside(&self, waits: Waits) {
        let domain = &waits.told.domain;
        let found = match &waits.answered {
            // Of hosts of which nothing was known nothing was said.
            None if waits.part == Part::BesideSts => None,
            None => return self.wait(waits),
            Some(answered) => self.found_beside(&waits, answered),
        };
        match found {
            None => self.count_beside(&waits, Beside::Nothing),
            Some(Found::Is(counted)) => self.count_beside(&waits, Beside::Is(counted)),
            Some(Found::UnderWay) => self.wait(waits),
            Some(Found::Nothing) => {
                self.looks.findings.wish(domain, Look::Probe);
                match self.looks.findings.under_way(domain) {
                    true => self.wait(waits),
                    false => self.count_beside(&waits, Beside::NotKnown),
                }
            }
        }
    }

    /// Decides about sessions that have waited for the word of a second policy.
    pub(super) fn decide_beside(&self, waits: Waits, patience: Patience) {
        let found = match (&waits.answered, patience) {
            (Some(answered), _) => self.found_beside(&waits, answered),
            (None, Patience::Some) => return self.wait(waits),
            // Whether there is a policy is not known.
            (None, Patience::None) => None,
        };
        match (found, patience) {
            (None, _) => self.count_beside(&waits, Beside::Nothing),
            (Some(Found::Is(counted)), _) => self.count_beside(&waits, Beside::Is(counted)),
            (Some(Found::UnderWay), Patience::Some) => self.wait(waits),
            (Some(Found::UnderWay | Found::Nothing), _) => {
                self.count_beside(&waits, Beside::NotKnown);
            }
        }
    }

    /// Counts what a second policy says of told sessions, and with it those that are not counted yet.
    pub(super) fn count_beside(&self, waits: &Waits, beside: Beside) {
        let (domain, at, sessions) = (&waits.told.domain, waits.at, waits.sessions);
        if waits.part == Part::TlsaInvalid {
            let answered = waits.answered.as_deref();
            let told = self.under_records(&waits.told, answered);
            let by_policy = match &beside {
                Beside::Is(counted) => Some(counted),
                Beside::Nothing | Beside::NotKnown => None,
            };
            let protection = protected(&waits.told, &told, answered, by_policy);
            self.count(domain, at, sessions, (told, Some(protection)));
        }
        match beside {
            Beside::Nothing => {}
            Beside::Is(counted) => self.count(domain, at, sessions, (counted, None)),
            Beside::NotKnown => self.counters.sessions_unchecked.add(sessions.into()),
        }
    }

    /// What a session that was told under TLSA records is counted as under them.
    fn under_records(&self, told: &Told, answered: Option<&Answered>) -> Counted {
        let known = answered.map(|answered| Known {
            answered,
            before: None,
            overridden: self.override_if_policy_holds(answered),
        });
        match reconcile(told, known) {
            Reconciled::OfTlsa(counted) => self.as_published(told, counted),
            // It names a policy, and so is counted as told in any case.
            _ => Counted::unchecked(told),
        }
    }

    /// The same under the records as they are published, where the answer to the MTA is not remembered, or is
    /// not one that says so: they are those that were said of the host and held until an hour ago. A log
    /// has no records, and names the host for their base domain.
    pub(super) fn as_published(&self, told: &Told, counted: Counted) -> Counted {
        if counted.policy != told.policy {
            return counted;
        }
        let since = self.clock.now().plus_seconds(-TOLD_SECONDS_MAX);
        let named = match &told.ending {
            Ending::Failure(failures) => failures.iter().find_map(|failure| failure.mx.as_deref()),
            Ending::Success => None,
        };
        let host = named.unwrap_or(told.policy.policy_domain.as_str());
        let host: Option<MxHost> = host.parse().ok();
        let held = host.and_then(|host| self.dane.held(&told.domain, &host, since));
        let records = held.as_deref().and_then(HostDane::records);
        match records.filter(|records| are_meant(&told.policy, records.applied())) {
            Some(records) => Counted {
                policy: Arc::clone(records.applied()),
                ..counted
            },
            None => counted,
        }
    }

    /// What the second policy says of sessions that wait for its word; `None` where none applied.
    fn found_beside(&self, waits: &Waits, answered: &Answered) -> Option<Found> {
        let (told, at) = (&waits.told, waits.at);
        match waits.part {
            Part::All => None,
            Part::BesideSts => self.found_beside_sts(told, answered, at),
            Part::BesideTlsa | Part::TlsaInvalid => self
                .counts_beside(told, answered)
                .then(|| self.found_beside_tlsa(told, answered, at)),
        }
    }

    /// Whether what is told under TLSA records is counted under the domain's policy too.
    pub(super) fn counts_beside(&self, told: &Told, answered: &Answered) -> bool {
        was_tried(told)
            && has_policy(answered)
            && self.override_if_policy_holds(answered) != Some(OverrideMode::Off)
    }

    /// What the policy says of a session that was told at this time under TLSA records.
    fn found_beside_tlsa(&self, told: &Told, answered: &Answered, at: Timestamp) -> Found {
        self.found_by(&told.domain, || {
            let findings = self.looks.of(&told.domain, at);
            beside_tlsa(told, answered, findings.as_deref())
        })
    }

    /// What TLSA records that cannot be used say of a session that was told at this time under the policy.
    fn found_beside_sts(&self, told: &Told, answered: &Answered, at: Timestamp) -> Option<Found> {
        let known = self.known(&answered.standing);
        let said = || {
            let findings = self.looks.of(&told.domain, at);
            beside_sts(told, answered, &known, findings.as_deref())
        };
        let mut is = said();
        if is == BesideSts::NotKnown {
            if self.looks.findings.under_way(&told.domain) {
                return Some(Found::UnderWay);
            }
            // The look may have ended since.
            is = said();
        }
        match is {
            BesideSts::Nothing => None,
            BesideSts::Is(counted) => Some(Found::Is(counted)),
            BesideSts::NotKnown => Some(Found::Nothing),
        }
    }
}
