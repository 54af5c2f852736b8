//! What becomes of an answer to an MTA that tells its sessions, and of what it tells.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{
    Engine,
    beside::Beside,
    findings::Look,
    last_answers::Remembered,
    of_reports::Carried,
    settle::Silence,
    silent::Step,
    waiting::{NoRoom, Part, Waits},
};
use crate::{
    clock::Timestamp,
    config::OverrideMode,
    hook::{Answer, Asker, Said, decide::STS_MX_MISMATCH},
    policy::{PolicyDomain, PolicyType, StsStanding},
    record::{
        Certainty, SessionRecord, Verdict,
        infer::was_with_passed_over,
        protection::Protection,
        reconcile::{
            Answered, Counted, Demand, Known, Reconciled, as_found, depends_on_look, has_policy,
            protected, reconcile,
        },
        told::{Ending, Told},
    },
};

impl Engine {
    /// An MTA that tells its sessions was answered: an attempt at delivery begins.
    pub(super) fn take_answer(&self, answer: &Arc<Answer>, asker: Asker) {
        // Nothing is known of the domain, or it is no domain.
        let Some(applied) = &answer.applied else {
            return;
        };
        let domain = &applied.policy_domain;
        let (said, step) = match asker {
            Asker::Telling(said) => (said, Step::First),
            Asker::TellingAgain(said) => (said, Step::Further),
        };
        // Most are given the answer that the one before was given.
        let again = self.last_answers.again(domain, answer, said);
        let Some(answered) = again.or_else(|| self.take_new_answer(domain, answer, said)) else {
            return;
        };
        self.wish(domain, &answered);
        // Without the policy's names it passes over no host, and tells of each.
        if self.looks.silence == Silence::Inferred && answered.demand != Demand::Unnamed {
            let now = self.clock.now();
            self.pending
                .add(domain, &answered, step, now, self.looks.silent_seconds);
        }
    }

    fn take_new_answer(
        &self,
        domain: &PolicyDomain,
        answer: &Arc<Answer>,
        said: Said,
    ) -> Option<Arc<Answered>> {
        let standing = self
            .answers
            .find(domain, &answer.requirement.policy)?
            .standing;
        // G6: what takes that much room is not held for every domain. What is told is then counted as told.
        let dane = answer.dane.clone().filter(|dane| !dane.is_heavy());
        let is_whole = dane.is_some() || answer.dane.is_none();
        let answered = Answered {
            standing,
            demand: Demand::of(said, answer.basis),
            dane,
        };
        let answer = is_whole.then(|| (Arc::clone(answer), said));
        Some(self.last_answers.remember(domain, answered, answer))
    }

    /// Wishes for the look at the mail hosts that sessions of the domain may need.
    pub(super) fn wish(&self, domain: &PolicyDomain, answered: &Answered) {
        if let Some(look) = self.look_for(answered) {
            self.looks.findings.wish(domain, look);
        }
    }

    /// How closely the mail hosts must be looked at to know what a session comes to that was answered
    /// so.
    fn look_for(&self, answered: &Answered) -> Option<Look> {
        let inferred = self.looks.silence == Silence::Inferred;
        match answered.demand {
            _ if depends_on_look(answered, &self.known(&answered.standing)) => Some(Look::Probe),
            Demand::Named | Demand::NamedForSome => inferred.then_some(Look::HostsOnly),
            Demand::Dane | Demand::DaneMandatory if has_policy(answered) => Some(Look::Probe),
            Demand::Dane | Demand::DaneMandatory => inferred.then_some(Look::HostsOnly),
            Demand::Nothing | Demand::Opportunistic => {
                let unchecked = answered.standing.sts.held_to().is_some();
                (inferred || unchecked).then_some(Look::Probe)
            }
            Demand::Unnamed | Demand::Unknown => None,
        }
    }

    /// An MTA tells of so many equal sessions.
    pub(super) fn take_told(&self, told: &Told, sessions: u32, carried: Carried) {
        let now = self.clock.now();
        let Remembered { last, before, .. } = self.last_answers.told(&told.domain, now);
        if is_passed_over_for_dane(told) && !self.demands_dane(told, last.as_deref()) {
            return;
        }
        self.counters.sessions.add(sessions.into());
        let answered = last.or_else(|| self.presumed(told));
        let known = answered.as_deref().map(|answered| Known {
            answered,
            before: before.as_deref(),
            overridden: self.override_if_policy_holds(answered),
        });
        let settled = match reconcile(told, known) {
            Reconciled::Counted(_) if self.was_only_audited(told, answered.as_deref()) => {
                Some(Counted::unchecked(told))
            }
            Reconciled::Counted(counted) => Some(counted),
            Reconciled::OfTlsa(counted) => Some(self.as_published(told, counted)),
            Reconciled::AsFound => self.found_now(told, answered.as_deref(), now),
            Reconciled::StandingWanted => None,
        };
        let met_excluded = settled.as_ref().is_some_and(has_mx_mismatch);
        self.pending.told(&told.domain, sessions, |answered| {
            met_excluded || was_with_passed_over(told, answered)
        });
        let sessions = sessions - self.of_reports(&told.domain, now, sessions, carried);
        if sessions == 0 {
            return;
        }
        let waits = |part| Waits {
            at: now,
            told: told.clone(),
            sessions,
            answered: answered.clone(),
            part,
        };
        let part = Part::beside(told);
        match settled {
            // It is counted as soon as it is known what protected it.
            Some(_) if part == Part::TlsaInvalid => {}
            Some(counted) => self.count_told(&waits(Part::All), counted),
            None => self.wait(waits(Part::All)),
        }
        self.take_beside(waits(part));
    }

    /// Whether TLSA records that are only audited had something to say of a session that counts under no policy:
    /// the MTA was told not to look at them, and what they would have said is not known (C18).
    fn was_only_audited(&self, told: &Told, answered: Option<&Answered>) -> bool {
        let Some(answered) = answered.filter(|answered| answered.demand == Demand::Opportunistic)
        else {
            return false;
        };
        told.ending == Ending::Success
            && told.policy.policy_type == PolicyType::NoPolicyFound
            && !has_policy(answered)
            && self.known(&answered.standing).is_audited()
    }

    /// Whether the operator demands DANE of the domain: as the MTA was told, or now where that is not
    /// remembered.
    fn demands_dane(&self, told: &Told, answered: Option<&Answered>) -> bool {
        match answered.map(|answered| answered.demand) {
            Some(Demand::Unknown) | None => {
                self.override_for(&told.domain) == Some(OverrideMode::DaneOnly)
            }
            Some(demand) => demand == Demand::DaneMandatory,
        }
    }

    /// What a success comes to that was told just now; `None` while the mail hosts are looked at.
    fn found_now(
        &self,
        told: &Told,
        answered: Option<&Answered>,
        now: Timestamp,
    ) -> Option<Counted> {
        let answered = answered?;
        match self.found(&told.domain, answered, now) {
            Found::Is(counted) => Some(counted),
            Found::UnderWay => None,
            Found::Nothing => {
                // The MTA asked long ago, or before we were started.
                self.wish(&told.domain, answered);
                let is_begun = self.looks.findings.under_way(&told.domain);
                (!is_begun).then(|| Counted::unchecked(told))
            }
        }
    }

    /// How the MTA was answered, by what holds now, where that is not remembered and matters.
    fn presumed(&self, told: &Told) -> Option<Arc<Answered>> {
        let wanted = match told.policy.policy_type {
            PolicyType::Sts => true,
            PolicyType::Tlsa | PolicyType::NoPolicyFound => {
                !self.waiting.wants_standing(&told.domain)
            }
        };
        let standing = wanted.then(|| self.policies.known(&told.domain))??;
        let overridden = self.override_for(&told.domain);
        let presumed = Answered::presumed(standing, overridden);
        Some(self.last_answers.presume(&told.domain, presumed))
    }

    /// The operator's word, where there is a policy that it can be about.
    pub(super) fn override_if_policy_holds(&self, answered: &Answered) -> Option<OverrideMode> {
        match answered.standing.sts {
            StsStanding::NotAnnounced => None,
            _ => self.override_for(&answered.standing.domain),
        }
    }

    /// What a success comes to that was told at this time and that the MTA did not check.
    pub(super) fn found(&self, domain: &PolicyDomain, answered: &Answered, at: Timestamp) -> Found {
        self.found_by(domain, || as_found(answered, &*self.looks.of(domain, at)?))
    }

    pub(super) fn found_by(
        &self,
        domain: &PolicyDomain,
        found: impl Fn() -> Option<Counted>,
    ) -> Found {
        if let Some(counted) = found() {
            return Found::Is(counted);
        }
        if self.looks.findings.under_way(domain) {
            return Found::UnderWay;
        }
        // It may have ended since.
        found().map_or(Found::Nothing, Found::Is)
    }

    /// Lets a told session wait, or counts it as it was told where too many do.
    pub(super) fn wait(&self, waits: Waits) {
        if let Err(NoRoom(waits)) = self.waiting.add(waits) {
            self.count_unchecked(&waits);
        }
    }

    /// Nothing more can be found out.
    pub(super) fn count_unchecked(&self, waits: &Waits) {
        match waits.part {
            Part::All => self.count_told(waits, Counted::unchecked(&waits.told)),
            _ => self.count_beside(waits, Beside::NotKnown),
        }
    }

    /// Counts told sessions as this.
    pub(super) fn count_told(&self, waits: &Waits, counted: Counted) {
        let protection = protected(&waits.told, &counted, waits.answered.as_deref(), None);
        let counted = (counted, Some(protection));
        self.count(&waits.told.domain, waits.at, waits.sessions, counted);
    }

    /// Puts sessions into the journal, with what protected them where they are not there yet.
    pub(super) fn count(
        &self,
        domain: &PolicyDomain,
        at: Timestamp,
        sessions: u32,
        (counted, protection): (Counted, Option<Protection>),
    ) {
        if counted.certainty == Certainty::Unchecked {
            self.counters.sessions_unchecked.add(sessions.into());
        }
        let policy_holds =
            counted.policy.policy_type == PolicyType::Sts && !counted.policy.mx_host.is_empty();
        if policy_holds && matches!(counted.verdict, Verdict::Failure(_)) {
            self.doubts.raise(domain);
        }
        self.journal.push(SessionRecord {
            at,
            domain: domain.clone(),
            policy: counted.policy,
            source: counted.source,
            verdict: counted.verdict,
            protection,
            sessions,
        });
    }
}

/// What our own look at the mail hosts says of a session.
pub(super) enum Found {
    /// It comes to this.
    Is(Counted),
    /// More will be known in a moment.
    UnderWay,
    /// It does not say, and nobody is looking.
    Nothing,
}

/// A host without TLSA records to be used was passed over. Where nobody demands DANE, the MTA was told
/// `dane-only` for the other hosts' sake, and that is no failed session.
fn is_passed_over_for_dane(told: &Told) -> bool {
    let Ending::Failure(failures) = &told.ending else {
        return false;
    };
    failures
        .iter()
        .all(|failure| failure.result == ResultType::DaneRequired)
}

/// The MTA met a host that the policy excludes: it passes over none.
fn has_mx_mismatch(counted: &Counted) -> bool {
    let Verdict::Failure(failures) = &counted.verdict else {
        return false;
    };
    failures
        .iter()
        .any(|failure| failure.reason.as_deref() == Some(STS_MX_MISMATCH))
}

#[cfg(test)]
mod tests;
