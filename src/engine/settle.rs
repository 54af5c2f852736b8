//! Decides about what waited long enough: told sessions whose mail hosts were being looked at, and
//! attempts that nothing was told of.
//!
//! Once a second by the [`Clock`](crate::clock::Clock), and once more for everything when the daemon
//! stops, before the journal is written.

use std::{collections::HashSet, fmt, sync::Arc};

use sealpost_plugin_api::ResultType;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Engine,
    findings::{Findings, Look, NoFindings},
    of_reports::Carried,
    silent::Group,
    told::Found,
    waiting::{Part, Waits},
};
use crate::{
    clock::Timestamp,
    config::ProbeConfig,
    policy::PolicyDomain,
    record::{
        Certainty, Failure, Verdict,
        finding::DomainFindings,
        infer::{Attempts, infer},
        protection::Protection,
        reconcile::{Answered, Counted, Known, Reconciled, reconcile},
    },
};

/// How the engine learns what an MTA does not tell.
#[derive(Clone)]
pub struct Looks {
    /// What was found of mail hosts.
    pub findings: Arc<dyn Findings>,
    /// How far from a session what was found may be and still speak of it.
    pub interval_seconds: i64,
    /// How long an MTA may take to tell how its session went.
    pub silent_seconds: i64,
    /// What is made of an attempt that nothing is told of.
    pub silence: Silence,
}

/// What is made of an attempt that nothing is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A failed session where there is no doubt.
    Inferred,
    /// Nothing: Postfix's log tells of it.
    ToldByLog,
}

/// How many domains of which nothing is known are asked for at once.
const ASKED_AT_ONCE: usize = 32;

impl Looks {
    /// What the configuration says of it, over these findings.
    #[must_use]
    pub fn new(findings: Arc<dyn Findings>, probe: &ProbeConfig, silence: Silence) -> Self {
        Self {
            findings,
            interval_seconds: probe.interval_seconds,
            silent_seconds: probe.silent_seconds,
            silence,
        }
    }

    /// What was found of the domain's mail hosts about this time.
    pub(super) fn of(&self, domain: &PolicyDomain, at: Timestamp) -> Option<Arc<DomainFindings>> {
        let found = self.findings.of(domain)?;
        let apart = at.seconds_since(found.at).saturating_abs();
        (apart <= self.interval_seconds).then_some(found)
    }

    /// Whether that time is over by now, or the clock was set back as far.
    fn is_over(&self, since: Timestamp, now: Timestamp) -> bool {
        now.seconds_since(since).saturating_abs() >= self.silent_seconds
    }
}

impl Default for Looks {
    /// Nobody looks.
    fn default() -> Self {
        Self::new(
            Arc::new(NoFindings),
            &ProbeConfig::default(),
            Silence::Inferred,
        )
    }
}

impl fmt::Debug for Looks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Looks")
            .field("interval_seconds", &self.interval_seconds)
            .field("silent_seconds", &self.silent_seconds)
            .field("silence", &self.silence)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Decides about what has waited long enough, every second, until `stopping` becomes true, and
    /// asks what holds for domains of which sessions are told and nothing is known.
    pub async fn attend(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut asking: JoinSet<PolicyDomain> = JoinSet::new();
        let mut asked: HashSet<PolicyDomain> = HashSet::new();
        loop {
            let next = self.clock.now().plus_seconds(1);
            tokio::select! {
                biased;
                // An error means that the sender is gone, which is the end as well.
                _ = stopping.wait_for(|stop| *stop) => return,
                () = self.clock.wait_until(next) => {}
            }
            while let Some(ended) = asking.try_join_next() {
                match ended {
                    Ok(domain) => {
                        asked.remove(&domain);
                    }
                    Err(error) => tracing::error!(%error, "asking for a policy died"),
                }
            }
            if asking.is_empty() {
                asked.clear();
            }
            self.settle(self.clock.now());
            for domain in self.waiting.unknown(ASKED_AT_ONCE) {
                if asking.len() < ASKED_AT_ONCE && asked.insert(domain.clone()) {
                    asking.spawn(Arc::clone(&self).ask(domain));
                }
            }
        }
    }

    /// Decides about what has waited long enough `now`.
    pub fn settle(&self, now: Timestamp) {
        for waits in self.waiting.take_all() {
            let is_over = self.looks.is_over(waits.at, now);
            self.decide(
                waits,
                if is_over {
                    Patience::None
                } else {
                    Patience::Some
                },
            );
        }
        for (domain, group) in self.pending.take_due(now, self.looks.silent_seconds) {
            self.decide_silent(&domain, &group);
        }
    }

    /// Decides about everything that waits, with what is known.
    pub fn settle_all(&self) {
        for waits in self.waiting.take_all() {
            self.decide(waits, Patience::None);
        }
        for (domain, group) in self.pending.take_all() {
            self.decide_silent(&domain, &group);
        }
    }

    /// Asks what holds for a domain of which sessions wait.
    async fn ask(self: Arc<Self>, domain: PolicyDomain) -> PolicyDomain {
        if let Some(standing) = self.policies.standing(&domain).await {
            let overridden = self.override_for(&domain);
            let presumed = Answered::presumed(standing, overridden);
            let answered = self.last_answers.presume(&domain, presumed);
            self.wish(&domain, &answered);
            // What is told under TLSA records is known by a look only, however the MTA was answered.
            let waits_for_look = |waits: &Waits| {
                matches!(waits.part, Part::BesideTlsa | Part::TlsaInvalid)
                    && self.counts_beside(&waits.told, &answered)
            };
            if self.waiting.any(&domain, waits_for_look) {
                self.looks.findings.wish(&domain, Look::Probe);
            }
            self.waiting.answered(&domain, &answered);
        }
        domain
    }

    fn decide(&self, waits: Waits, patience: Patience) {
        let domain = &waits.told.domain;
        if waits.part != Part::All {
            return self.decide_beside(waits, patience);
        }
        let known = waits.answered.as_deref().map(|answered| Known {
            answered,
            before: None,
            overridden: self.override_if_policy_holds(answered),
        });
        let counted = match (reconcile(&waits.told, known), known) {
            (Reconciled::Counted(counted) | Reconciled::OfTlsa(counted), _) => Some(counted),
            (Reconciled::AsFound, Some(known)) => {
                match self.found(domain, known.answered, waits.at) {
                    Found::Is(counted) => Some(counted),
                    Found::UnderWay => None,
                    Found::Nothing => Some(Counted::unchecked(&waits.told)),
                }
            }
            _ => None,
        };
        match (counted, patience) {
            (Some(counted), _) => self.count_told(&waits, counted),
            (None, Patience::Some) => self.wait(waits),
            (None, Patience::None) => self.count_unchecked(&waits),
        }
    }

    fn decide_silent(&self, domain: &PolicyDomain, group: &Group) {
        let Some(findings) = self.looks.of(domain, group.at) else {
            return;
        };
        // Where there is no other host to go on to, each question began an attempt.
        let further = match findings.hosts.as_slice() {
            [_] => group.further,
            _ => 0,
        };
        let attempts = Attempts {
            at: group.at,
            answered: &group.answered,
            silent: group.silent.saturating_add(further),
            followed: group.followed,
            excluded_met: group.excluded_met,
            told_at: self.last_answers.told_at(domain),
        };
        let Some(mut inferred) = infer(&attempts, &findings) else {
            return;
        };
        inferred.sessions -= self.of_reports(domain, group.at, inferred.sessions, Carried::Unknown);
        if inferred.sessions == 0 {
            return;
        }
        let first = inferred.failures.first();
        tracing::info!(
            %domain,
            sessions = inferred.sessions,
            policy = inferred.policy.policy_type.name(),
            mx = first.and_then(|failure| failure.mx.as_deref()),
            reason = first.and_then(|failure| failure.reason.as_deref()),
            "the MTA tells nothing of these sessions; they failed"
        );
        self.counters
            .sessions_inferred
            .add(inferred.sessions.into());
        let in_the_clear = |failure: &Failure| failure.result == ResultType::StarttlsNotSupported;
        let protection = match inferred.failures.iter().any(in_the_clear) {
            true => Protection::Clear,
            false => Protection::Refused,
        };
        let counted = Counted {
            policy: inferred.policy,
            verdict: Verdict::Failure(inferred.failures),
            source: inferred.source,
            certainty: Certainty::Checked,
        };
        let counted = (counted, Some(protection));
        self.count(domain, group.at, inferred.sessions, counted);
    }
}

/// Whether what is not decided yet may go on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It may.
    Some,
    /// It has waited long enough.
    None,
}
