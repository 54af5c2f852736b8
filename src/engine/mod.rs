//! What joins policy, hook and record in a running host.
//!
//! The stages are pure; this is the part that waits for the world on their behalf: [`keeper`] keeps
//! policies fresh, [`Engine`] answers the MTA within its deadline and puts its sessions into the
//! journal. The doors reach it as an [`AsyncHook`].

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use sealpost_plugin_api::{Presented, Query, Session, Verified};

use crate::{
    clock::{BoxFuture, Clock, Timestamp},
    config::{OverrideMode, WhenUnknown},
    hook::{
        Answer, Asker, AsyncHook,
        basis::DaneUse,
        joint::{DaneSettings, Known},
        overrides::Overrides,
    },
    observe::{
        Counters,
        measured::Measured,
        words::{Demand, Way},
    },
    policy::{PolicyDomain, Standing},
    record::{journal::Journal, report_sessions::ReportSessions, told::Told},
};

pub mod answers;
mod beside;
pub mod dane;
pub mod findings;
pub mod keeper;
pub mod settle;

mod doubts;
mod last_answers;
mod memory;
mod of_reports;
mod question;
mod ready;
mod session;
mod silent;
mod told;
mod unnamed;
mod verify;
mod waiting;

use answers::Answers;
use dane::{DaneSource, Fresh, NoDaneSource};
use doubts::Doubts;
use last_answers::LastAnswers;
use of_reports::Carried;
use settle::Looks;
use silent::Pending;
use waiting::Waiting;

pub use ready::Ready;

/// Where the engine learns what holds for a domain. [`keeper`] is the real one.
pub trait PolicySource: Send + Sync {
    /// What holds, looked up if need be; `None` when nothing can be told. May take as long as DNS
    /// and HTTPS take; a lookup goes on when the caller stops waiting.
    fn standing<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Option<Standing>>;

    /// What holds as far as it is known without waiting: an unexpired kept policy.
    fn known(&self, domain: &PolicyDomain) -> Option<Standing>;

    /// What holds now for the domain of this name, lower case A-labels, where that may be told without
    /// asking anybody. Returns at once; where nothing is given, [`standing`](Self::standing) tells.
    fn fresh(&self, _domain: &str, _now: Timestamp) -> Option<Arc<Ready>> {
        None
    }

    /// Asks the DNS, past every cache, whether the policy has changed, and follows it (B30).
    /// Bounded in how often it asks.
    fn recheck<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, ()>;
}

impl PolicySource for keeper::Keeper {
    fn standing<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Option<Standing>> {
        Box::pin(async move {
            let standing = Self::standing(self, domain).await;
            standing
                .inspect_err(|error| tracing::warn!(%domain, %error, "policy not known"))
                .ok()
        })
    }

    fn known(&self, domain: &PolicyDomain) -> Option<Standing> {
        Self::known(self, domain)
    }

    fn fresh(&self, domain: &str, now: Timestamp) -> Option<Arc<Ready>> {
        Self::fresh(self, domain, now)
    }

    fn recheck<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = Self::recheck(self, domain).await {
                tracing::warn!(%domain, %error, "the policy could not be looked up anew");
            }
        })
    }
}

/// What the operator may change while the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// What is done otherwise for single domains.
    pub overrides: Overrides,
    /// What the MTA is told when nothing is known in time.
    pub when_unknown: WhenUnknown,
    /// What is wanted of DANE.
    pub dane: DaneSettings,
}

/// Answers MTAs and takes down their sessions.
pub struct Engine {
    policies: Arc<dyn PolicySource>,
    dane: Arc<dyn DaneSource>,
    roots: Arc<RootCertStore>,
    journal: Journal,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    settings: ArcSwap<EngineSettings>,
    answers: Answers,
    doubts: Doubts,
    looks: Looks,
    report_sessions: Arc<ReportSessions>,
    last_answers: LastAnswers,
    waiting: Waiting,
    pending: Pending,
}

impl Engine {
    /// An engine over these parts.
    #[must_use]
    pub fn new(
        policies: Arc<dyn PolicySource>,
        journal: Journal,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        settings: EngineSettings,
    ) -> Self {
        let settings = ArcSwap::from_pointee(settings);
        Self {
            policies,
            dane: Arc::new(NoDaneSource("nobody asks for it")),
            roots: Arc::new(RootCertStore::empty()),
            journal,
            clock,
            counters,
            settings,
            answers: Answers::default(),
            doubts: Doubts::default(),
            looks: Looks::default(),
            report_sessions: Arc::default(),
            last_answers: LastAnswers::default(),
            waiting: Waiting::default(),
            pending: Pending::default(),
        }
    }

    /// The same, with another source of what an MTA does not tell. Without this nothing is found out.
    #[must_use]
    pub fn with_looks(self, looks: Looks) -> Self {
        Self { looks, ..self }
    }

    /// The same, with the reports whose sessions are not to be counted. Without this every session is.
    #[must_use]
    pub fn with_report_sessions(self, report_sessions: Arc<ReportSessions>) -> Self {
        Self {
            report_sessions,
            ..self
        }
    }

    /// The same, with a source of what DANE says. Without this there is no DANE.
    #[must_use]
    pub fn with_dane(self, dane: Arc<dyn DaneSource>) -> Self {
        Self { dane, ..self }
    }

    /// The same, with those who are trusted to vouch for the certificates of mail hosts. Without this
    /// nobody is.
    #[must_use]
    pub fn with_roots(self, roots: Arc<RootCertStore>) -> Self {
        Self { roots, ..self }
    }

    /// Takes new settings, from the next question on.
    pub fn reload(&self, settings: EngineSettings) {
        self.settings.store(Arc::new(settings));
    }

    fn known<'a>(&self, standing: &'a Standing) -> Known<'a> {
        Known {
            standing,
            overridden: self.override_for(&standing.domain),
            settings: self.settings.load().dane,
        }
    }

    /// As `answer` does it for a domain that is fresh and not in doubt. A name of another form than ours
    /// finds nothing here, and the other way the answer.
    fn at_once(&self, query: &Query<'_>, dane_use: Option<DaneUse>) -> Option<Arc<Answer>> {
        if query.mx.is_some() {
            return None;
        }
        let sampled = Measured::sample(self.counters.policy_queries.value());
        let settings = self.settings.load();
        let now = self.clock.now();
        let overridden = settings.overrides.mode_by_name(query.domain, now.day());
        let dane = || match question::passed_over(dane_use, overridden) {
            Some(why) => Some(Fresh::Off(why)),
            None => self.dane.fresh(query.domain, now),
        };
        let answer = if overridden == Some(OverrideMode::Off) {
            let domain: PolicyDomain = query.domain.parse().ok()?;
            let dane = dane()?.of(&domain);
            Arc::new(self.turned_off(domain, Some(dane)))
        } else if self.doubts.hold(query.domain) {
            return None;
        } else {
            let ready = self.policies.fresh(query.domain, now)?;
            ready.answer(&dane()?, overridden, settings.dane, &self.answers)?
        };
        self.counters.policy_queries.count();
        let demand = Demand::from(&answer.requirement.level);
        let measured = &self.counters.measured;
        measured.answered(Way::Memory, demand, sampled);
        Some(answer)
    }

    fn override_for(&self, domain: &PolicyDomain) -> Option<OverrideMode> {
        self.settings
            .load()
            .overrides
            .mode(domain, self.clock.now().day())
    }
}

impl AsyncHook for Engine {
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(async move {
            match self.at_once(&query, None) {
                Some(answer) => answer,
                None => Arc::new(self.answer(query, None).await),
            }
        })
    }

    fn policy_of_all<'a>(&'a self, query: Query<'a>, dane: DaneUse) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(async move {
            match self.at_once(&query, Some(dane)) {
                Some(answer) => answer,
                None => Arc::new(self.answer(query, Some(dane)).await),
            }
        })
    }

    fn verify(&self, presented: &Presented<'_>) -> Verified {
        self.judge(presented)
    }

    fn policy_at_once(&self, query: &Query<'_>, dane: DaneUse) -> Option<Arc<Answer>> {
        self.at_once(query, Some(dane))
    }

    fn answered(&self, answer: &Arc<Answer>, asker: Asker) {
        self.take_answer(answer, asker);
    }

    fn is_pressed(&self) -> bool {
        self.journal.is_pressed()
    }

    fn told(&self, told: &Told, sessions: u32) {
        self.take_told(told, sessions, Carried::Unknown);
    }

    fn told_of_mail(&self, told: &Told, sessions: u32) {
        self.take_told(told, sessions, Carried::Mail);
    }

    fn session(&self, session: &Session<'_>) {
        self.take_session(session, Carried::Unknown);
    }

    fn session_of_mail(&self, session: &Session<'_>) {
        self.take_session(session, Carried::Mail);
    }
}

#[cfg(test)]
mod tests;
