//! What joins policy, hook and record in a running host.
//!
//! The stages are pure; this is the part that waits for the world on their behalf: [`keeper`] keeps
//! policies fresh, [`Engine`] answers the MTA within its deadline and puts its sessions into the
//! journal. The doors reach it as an [`AsyncHook`].

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use sealpost_plugin_api::{Level, Presented, Query, Requirement, Session, Verified};
use tokio::time::{Instant, timeout_at};

use crate::{
    clock::{BoxFuture, Clock, Timestamp},
    config::{OverrideMode, WhenUnknown},
    hook::{
        Answer, Asker, AsyncHook,
        decide::{self, Refusal},
        hold,
        joint::{self, DaneSettings, Known},
        overrides::Overrides,
    },
    observe::Counters,
    policy::{
        MxHost, NameError, PolicyDomain, PolicyType, Standing, StsStanding,
        dane::{DaneFinding, HostDane},
    },
    record::{
        SessionRecord, Source, Verdict,
        evaluate::{HeldTo, evaluate},
        journal::Journal,
        protection::Protection,
        told::Told,
        untrusted::harmless,
    },
};

pub mod answers;
pub mod dane;
pub mod findings;
pub mod keeper;
pub mod settle;

mod doubts;
mod last_answers;
mod memory;
mod ready;
mod silent;
mod told;
mod verify;
mod waiting;

use answers::{Answers, Given};
use dane::{DaneSource, NoDaneSource};
use doubts::Doubts;
use last_answers::LastAnswers;
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

    async fn answer(&self, query: Query<'_>) -> Answer {
        self.counters.policy_queries.count();
        let domain = match query.domain.parse::<PolicyDomain>() {
            Ok(domain) => domain,
            // RFC 8461 s3.4: an address literal has no policy.
            Err(NameError::Address(_)) => {
                let why = "an address literal has no policy domain";
                return Answer::bare(Requirement::new(Level::May, why));
            }
            Err(error) => {
                return self.unanswerable(Requirement::new(Level::Defer, error.to_string()));
            }
        };
        let overridden = self.override_for(&domain);
        if overridden == Some(OverrideMode::Off) {
            return self.turned_off(domain);
        }
        // One deadline for all that the question waits for.
        let deadline = deadline(query.deadline);
        if self.doubts.settle(&domain) {
            // RFC 8461 s5.1: mail must not wait, nor bounce, because of a policy that has been
            // replaced.
            let _in_time = timeout_at(deadline, self.policies.recheck(&domain)).await;
        }
        match query.mx {
            None => self.answer_domain(&domain, overridden, deadline).await,
            Some(mx) => {
                let about = AboutHost {
                    domain: &domain,
                    mx,
                    port: query.port,
                };
                self.answer_host(about, overridden, deadline).await
            }
        }
    }

    async fn answer_domain(
        &self,
        domain: &PolicyDomain,
        overridden: Option<OverrideMode>,
        deadline: Instant,
    ) -> Answer {
        let (standing, dane) = tokio::join!(
            self.standing_within(domain, deadline),
            timeout_at(deadline, self.dane.domain(domain)),
        );
        let Some(standing) = standing else {
            return self.not_known(domain);
        };
        let (when_unknown, settings) = self.when_unknown_and_dane();
        let given = Given::of(standing);
        let known = Known {
            standing: &given.standing,
            overridden,
            settings,
        };
        let dane = dane.ok();
        let decision = match &dane {
            Some(dane) => joint::decide_domain(&known, dane),
            None => joint::decide_domain_in_haste(&known, when_unknown),
        };
        Answer {
            dane,
            ..self.answers.answer(decision.requirement, &given)
        }
    }

    async fn answer_host(
        &self,
        about: AboutHost<'_>,
        overridden: Option<OverrideMode>,
        deadline: Instant,
    ) -> Answer {
        let domain = about.domain;
        let host = about.mx.parse::<MxHost>();
        let dane = async {
            let host = host.as_ref().ok()?;
            let dane = self.dane.host(domain, host, about.port);
            timeout_at(deadline, dane).await.ok()
        };
        let (standing, dane) = tokio::join!(self.standing_within(domain, deadline), dane);
        let Some(standing) = standing else {
            return self.not_known(domain);
        };
        let unnamed = harmless(about.mx).unwrap_or_default();
        let named = host.as_ref().map_err(|_| unnamed.as_str());
        let last = || self.dane.known(domain, named.ok()?);
        let in_haste = dane.is_none() && named.is_ok();
        let dane = dane.or_else(last);
        let (when_unknown, settings) = self.when_unknown_and_dane();
        let decide = |standing: &Standing| {
            let known = Known {
                standing,
                overridden,
                settings,
            };
            if in_haste {
                joint::decide_host_in_haste(&known, named, dane.as_deref(), when_unknown)
            } else {
                joint::decide_host(&known, named, dane.as_deref())
            }
        };
        let mut decision = decide(&standing);
        let mut standing = standing;
        let by_policy = |refused: &Refusal| refused.policy.policy_type == PolicyType::Sts;
        if decision.refused.as_ref().is_some_and(by_policy) {
            // RFC 8461 s5.1: a domain that moves its mail publishes a new policy with it. Look
            // before turning the new MX away.
            if timeout_at(deadline, self.policies.recheck(domain))
                .await
                .is_ok()
            {
                if let Some(newest) = self.policies.known(domain) {
                    standing = newest;
                }
                decision = decide(&standing);
            }
        }
        if let Some(refused) = decision.refused {
            self.count_refusal(domain, refused, &decision.requirement.reason);
        }
        // The name is to bring back what was said of the host, where something was.
        let says = |dane: &Arc<HostDane>| !matches!(dane.finding, DaneFinding::Nothing(_));
        let given = Given {
            standing,
            dane: dane.filter(says),
        };
        self.answers.answer(decision.requirement, &given)
    }

    /// The MTA will not connect: that is a failed session.
    fn count_refusal(&self, domain: &PolicyDomain, refused: Refusal, reason: &str) {
        self.counters.mx_refused.count();
        tracing::info!(%domain, mx = refused.failure.mx, reason, "MX refused");
        self.journal.push(SessionRecord {
            at: self.clock.now(),
            domain: domain.clone(),
            policy: refused.policy,
            source: Source::Policy,
            verdict: Verdict::Failure(vec![refused.failure]),
            protection: Some(Protection::Refused),
            sessions: 1,
        });
    }

    fn not_known(&self, domain: &PolicyDomain) -> Answer {
        let when_unknown = self.settings.load().when_unknown;
        let reason = "no answer from DNS or the policy host in time";
        self.unanswerable(decide::unknown(domain, reason, when_unknown))
    }

    fn when_unknown_and_dane(&self) -> (WhenUnknown, DaneSettings) {
        let settings = self.settings.load();
        (settings.when_unknown, settings.dane)
    }

    /// The answer for a domain that the operator applies no policies to.
    fn turned_off(&self, domain: PolicyDomain) -> Answer {
        let standing = Standing::without_policy(domain);
        let decision = decide::decide(&standing, None, Some(OverrideMode::Off));
        self.answers
            .answer(decision.requirement, &Given::of(standing))
    }

    /// What holds for the domain, or what is known of it when the deadline passes or nothing newer
    /// can be told.
    // RFC 8461 s3.3: a policy that has not expired holds, whatever keeps us from looking.
    async fn standing_within(&self, domain: &PolicyDomain, deadline: Instant) -> Option<Standing> {
        let standing = timeout_at(deadline, self.policies.standing(domain)).await;
        let standing = standing.unwrap_or(None);
        standing.or_else(|| self.policies.known(domain))
    }

    fn known<'a>(&self, standing: &'a Standing) -> Known<'a> {
        Known {
            standing,
            overridden: self.override_for(&standing.domain),
            settings: self.settings.load().dane,
        }
    }

    fn override_for(&self, domain: &PolicyDomain) -> Option<OverrideMode> {
        self.settings
            .load()
            .overrides
            .mode(domain, self.clock.now().day())
    }

    fn unanswerable(&self, requirement: Requirement) -> Answer {
        self.counters.policy_queries_unanswerable.count();
        tracing::warn!(reason = requirement.reason, "policy not known");
        Answer::bare(requirement)
    }

    /// What a session was held to: what its answer named; of an MTA that does not name it, what it was last
    /// answered with; else what holds now.
    fn held_to(&self, domain: PolicyDomain, session: &Session<'_>) -> Given {
        if self.override_for(&domain) == Some(OverrideMode::Off) {
            return Given::of(Standing::without_policy(domain));
        }
        let named = session
            .policy
            .and_then(|name| self.answers.find(&domain, name));
        let mut given = match named {
            // An answer about the host itself let it in.
            Some(named) if named.dane.is_some() || !self.refuses(&named.standing, session) => named,
            // The answer for the domain would have turned this MX away. If there was a session all the
            // same, the later answer for the MX let it in: the domain had moved (RFC 8461 s5.1), or DANE
            // decides on it.
            Some(named) => self
                .policies
                .known(&domain)
                .filter(|newest| !self.refuses(newest, session))
                .map_or(named, Given::of),
            None => {
                let last = self.last_answers.last(&domain);
                let standing = last
                    .map(|last| last.standing.clone())
                    .or_else(|| self.policies.known(&domain));
                Given::of(standing.unwrap_or_else(|| Standing::without_policy(domain.clone())))
            }
        };
        if given.dane.is_none()
            && let Some(host) = session.mx.and_then(|mx| mx.parse().ok())
        {
            given.dane = self.dane.known(&domain, &host);
        }
        given
    }

    /// Whether the MX host of this session would be turned away by the policy.
    fn refuses(&self, standing: &Standing, session: &Session<'_>) -> bool {
        let host = session.mx.map(str::parse::<MxHost>);
        let named = host.as_ref().map(|host| host.as_ref().map_err(|_| ""));
        let overridden = self.override_for(&standing.domain);
        let decision = decide::decide(standing, named, overridden);
        decision.refused.is_some()
    }
}

/// The MX host that is asked about.
#[derive(Clone, Copy, Debug)]
struct AboutHost<'a> {
    domain: &'a PolicyDomain,
    mx: &'a str,
    port: Option<u16>,
}

/// When a question must be answered.
fn deadline(within: Duration) -> Instant {
    /// No host waits longer.
    const DEADLINE_SECONDS_MAX: u64 = 86_400;

    Instant::now() + within.min(Duration::from_secs(DEADLINE_SECONDS_MAX))
}

impl AsyncHook for Engine {
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(async move {
            match self.policy_at_once(&query) {
                Some(answer) => answer,
                None => Arc::new(self.answer(query).await),
            }
        })
    }

    fn verify(&self, presented: &Presented<'_>) -> Verified {
        self.judge(presented)
    }

    // As `answer` does it for a domain that is fresh and not in doubt. A name of another form than
    // ours finds nothing here, and the other way the answer.
    fn policy_at_once(&self, query: &Query<'_>) -> Option<Arc<Answer>> {
        if query.mx.is_some() {
            return None;
        }
        let settings = self.settings.load();
        let now = self.clock.now();
        let overridden = settings.overrides.mode_by_name(query.domain, now.day());
        let answer = if overridden == Some(OverrideMode::Off) {
            Arc::new(self.turned_off(query.domain.parse().ok()?))
        } else if self.doubts.hold(query.domain) {
            return None;
        } else {
            let ready = self.policies.fresh(query.domain, now)?;
            let dane = self.dane.fresh(query.domain, now)?;
            ready.answer(&dane, overridden, settings.dane, &self.answers)?
        };
        self.counters.policy_queries.count();
        Some(answer)
    }

    fn answered(&self, answer: &Arc<Answer>, asker: Asker) {
        self.take_answer(answer, asker);
    }

    fn is_pressed(&self) -> bool {
        self.journal.is_pressed()
    }

    fn told(&self, told: &Told, sessions: u32) {
        self.take_told(told, sessions);
    }

    fn session(&self, session: &Session<'_>) {
        self.counters.sessions.count();
        // RFC 8461 s3.4: mail to an address literal belongs to no policy domain and no report.
        let Ok(domain) = session.domain.parse::<PolicyDomain>() else {
            self.counters.sessions_not_counted.count();
            return;
        };
        let given = self.held_to(domain, session);
        let standing = &given.standing;
        let known = self.known(standing);
        let records = evaluate(
            session,
            &HeldTo {
                standing,
                dane: &hold::hold(&known, given.dane.as_deref()),
                demanded: hold::demanded(&known, given.dane.as_deref()),
                roots: &self.roots,
            },
            self.clock.now(),
        );
        if records.is_empty() {
            self.counters.sessions_not_counted.count();
        }
        let policy_holds = matches!(standing.sts, StsStanding::InForce { .. });
        for record in records {
            let of_policy = record.policy.policy_type == PolicyType::Sts;
            if policy_holds && of_policy && matches!(record.verdict, Verdict::Failure(_)) {
                self.doubts.raise(&standing.domain);
            }
            self.journal.push(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicBool, AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use sealpost_plugin_api::{Facts, Outcome, StartTls};

    use super::*;
    use crate::{
        clock::StoppedClock,
        config::Override,
        policy::{AppliedPolicy, Mode, PolicyType},
        record::journal::JournalReader,
    };

    /// What holds now, and what a recheck finds.
    struct Fake {
        now: Mutex<Option<Standing>>,
        newer: Mutex<Option<Standing>>,
        /// What may be told without a lookup.
        ready: Mutex<Option<Arc<Ready>>>,
        never: bool,
        /// Lookups say that nothing can be told.
        busy: AtomicBool,
        /// Rechecks begun; with `never`, none ends.
        rechecks: AtomicUsize,
    }

    impl PolicySource for Fake {
        fn standing<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Option<Standing>> {
            Box::pin(async move {
                if self.never {
                    std::future::pending::<()>().await;
                }
                if self.busy.load(Ordering::Relaxed) {
                    return None;
                }
                self.known(domain)
            })
        }

        fn known(&self, _domain: &PolicyDomain) -> Option<Standing> {
            self.now.lock().unwrap().clone()
        }

        fn fresh(&self, domain: &str, _now: Timestamp) -> Option<Arc<Ready>> {
            let ready = self.ready.lock().unwrap().clone()?;
            (ready.standing().domain.as_str() == domain).then_some(ready)
        }

        fn recheck<'a>(&'a self, _domain: &'a PolicyDomain) -> BoxFuture<'a, ()> {
            self.rechecks.fetch_add(1, Ordering::Relaxed);
            if let Some(newer) = self.newer.lock().unwrap().take() {
                *self.now.lock().unwrap() = Some(newer);
            }
            Box::pin(async {
                if self.never {
                    std::future::pending::<()>().await;
                }
            })
        }
    }

    fn standing(mode: Mode, mx: &str) -> Standing {
        Standing::for_test(mode, &[mx])
    }

    struct Bench {
        engine: Engine,
        source: Arc<Fake>,
        records: JournalReader,
        counters: Arc<Counters>,
    }

    fn engine(now: Option<Standing>, overrides: Overrides, never: bool) -> Bench {
        let counters = Arc::new(Counters::default());
        let (journal, records) = Journal::new(100, Arc::clone(&counters));
        let source = Arc::new(Fake {
            now: Mutex::new(now),
            newer: Mutex::new(None),
            ready: Mutex::new(None),
            never,
            busy: AtomicBool::default(),
            rechecks: AtomicUsize::default(),
        });
        let engine = Engine::new(
            Arc::clone(&source) as Arc<dyn PolicySource>,
            journal,
            Arc::new(StoppedClock::at(Timestamp(1_800_000_000))),
            Arc::clone(&counters),
            EngineSettings {
                overrides,
                when_unknown: WhenUnknown::Defer,
                dane: DaneSettings::default(),
            },
        );
        Bench {
            engine,
            source,
            records,
            counters,
        }
    }

    async fn ask(bench: &Bench, domain: &str, mx: Option<&str>) -> Requirement {
        let mut query = Query::new(domain).with_deadline(Duration::from_millis(20));
        query.mx = mx;
        bench.engine.policy(query).await.requirement.clone()
    }

    #[tokio::test]
    async fn d10_a_session_is_counted_under_the_policy_it_was_answered_with() {
        let bench = engine(
            Some(standing(Mode::Enforce, "mx1.example.org")),
            Overrides::default(),
            false,
        );
        let answer = ask(&bench, "Example.ORG.", Some("mx1.example.org")).await;
        assert!(matches!(answer.level, Level::Verify { .. }));
        *bench.source.now.lock().unwrap() = Some(standing(Mode::Enforce, "mx2.example.org"));
        let session = Session::new("example.org", Outcome::Success).with_mx("mx1.example.org");
        bench.engine.session(&session.under_policy(&answer.policy));
        bench.engine.session(&session);
        let told = bench.records.try_recv().unwrap();
        assert_eq!(
            (&told.policy.policy_string[0][..], told.verdict),
            ("mx: mx1.example.org", Verdict::Success)
        );
        let untold = bench.records.try_recv().unwrap();
        assert_eq!(untold.policy.policy_string, ["mx: mx2.example.org"]);
        assert!(matches!(untold.verdict, Verdict::Failure(_)));
    }

    #[tokio::test]
    async fn b30_a_new_policy_is_looked_for_before_an_mx_is_refused() {
        let bench = engine(
            Some(standing(Mode::Enforce, "old.example.org")),
            Overrides::default(),
            false,
        );
        *bench.source.newer.lock().unwrap() = Some(standing(Mode::Enforce, "new.example.org"));
        let before = ask(&bench, "example.org", None).await;
        let answer = ask(&bench, "example.org", Some("new.example.org")).await;
        assert!(matches!(answer.level, Level::Verify { .. }));
        assert!(bench.records.try_recv().is_err());
        // An MTA that echoes the answer for the domain was held to the later one for the MX.
        let session = Session::new("example.org", Outcome::Success).with_mx("new.example.org");
        bench.engine.session(&session.under_policy(&before.policy));
        let record = bench.records.try_recv().unwrap();
        assert_eq!(record.policy.policy_string, ["mx: new.example.org"]);
        assert_eq!(record.verdict, Verdict::Success);
        let answer = ask(&bench, "example.org", Some("old.example.org")).await;
        assert_eq!(answer.level, Level::RefuseMx);
        let record = bench.records.try_recv().unwrap();
        assert_eq!(
            (record.source, bench.counters.mx_refused.value()),
            (Source::Policy, 1)
        );
    }

    #[tokio::test]
    async fn b30_a_new_policy_is_looked_for_after_a_session_failed_under_the_old_one() {
        let old = Standing::for_test(Mode::Enforce, &["*.example.org"]);
        let bench = engine(Some(old), Overrides::default(), false);
        *bench.source.newer.lock().unwrap() =
            Some(Standing::for_test(Mode::None, &["*.example.org"]));
        let answer = ask(&bench, "example.org", Some("mx.example.org")).await;
        let facts = Facts::new(StartTls::NotOffered);
        let session = Session::new("example.org", Outcome::Facts(facts)).with_mx("mx.example.org");
        assert!(matches!(answer.level, Level::Verify { .. }));
        bench.engine.session(&session.under_policy(&answer.policy));
        let answer = ask(&bench, "example.org", Some("mx.example.org")).await;
        assert_eq!(answer.level, Level::May);
        ask(&bench, "example.org", Some("mx.example.org")).await;
        assert_eq!(bench.source.rechecks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_answer_at_once_is_the_same_and_given_only_while_it_holds() {
        let testing = standing(Mode::Testing, "mx1.example.org");
        let bench = engine(Some(testing.clone()), Overrides::default(), false);
        let query = Query::new("example.org").with_deadline(Duration::from_millis(20));
        let at_once = || bench.engine.policy_at_once(&query);
        assert_eq!(at_once(), None, "nothing is fresh");
        let slow = bench.engine.policy(query).await;
        *bench.source.ready.lock().unwrap() = Some(Arc::new(Ready::new(testing)));
        let quick = at_once().unwrap();
        assert_eq!(quick, slow);
        assert!(Arc::ptr_eq(&quick, &at_once().unwrap()));
        assert!(Arc::ptr_eq(&quick, &bench.engine.policy(query).await));
        assert_eq!(bench.counters.policy_queries.value(), 4);
        // About an MX host, and under another name, nothing is said so.
        let of_mx = query.with_mx("mx1.example.org");
        assert_eq!(bench.engine.policy_at_once(&of_mx), None);
        for name in ["Example.org", "example.org.", "[192.0.2.1]", ""] {
            assert_eq!(bench.engine.policy_at_once(&Query::new(name)), None);
        }
        // What the operator changes counts from the next question on, and until its last day.
        let until = bench.engine.clock.now().day();
        for (mode, until, expected) in [
            (OverrideMode::Enforce, None, "enforced by the operator"),
            (OverrideMode::Audit, None, "is only reported"),
            (OverrideMode::Off, None, "turned policies off"),
            (
                OverrideMode::Enforce,
                Some(until.previous()),
                "is only reported",
            ),
        ] {
            let domain = "example.org".parse().unwrap();
            let overrides = [Override {
                domain,
                mode,
                until,
            }]
            .into_iter()
            .collect();
            bench.engine.reload(EngineSettings {
                overrides,
                when_unknown: WhenUnknown::Defer,
                dane: DaneSettings::default(),
            });
            let quick = at_once().unwrap();
            let reason = &quick.requirement.reason;
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(quick, bench.engine.policy(query).await);
        }
    }

    #[tokio::test]
    async fn b30_a_domain_in_doubt_is_not_answered_at_once() {
        let enforce = standing(Mode::Enforce, "mx1.example.org");
        let bench = engine(Some(enforce.clone()), Overrides::default(), false);
        *bench.source.ready.lock().unwrap() = Some(Arc::new(Ready::new(enforce)));
        let query = Query::new("example.org").with_deadline(Duration::from_millis(20));
        assert!(bench.engine.policy_at_once(&query).is_some());
        let facts = Facts::new(StartTls::NotOffered);
        let session = Session::new("example.org", Outcome::Facts(facts));
        bench.engine.session(&session.with_mx("mx1.example.org"));
        assert_eq!(bench.engine.policy_at_once(&query), None);
        bench.engine.policy(query).await;
        assert_eq!(bench.source.rechecks.load(Ordering::Relaxed), 1);
        assert!(bench.engine.policy_at_once(&query).is_some());
    }

    #[tokio::test]
    async fn g10_what_is_not_known_in_time_defers_and_a_kept_policy_holds() {
        let bench = engine(None, Overrides::default(), true);
        assert_eq!(ask(&bench, "example.org", None).await.level, Level::Defer);
        *bench.source.now.lock().unwrap() = Some(standing(Mode::Enforce, "mx1.example.org"));
        let answer = ask(&bench, "example.org", None).await;
        assert!(matches!(answer.level, Level::Verify { .. }));
        bench.engine.reload(EngineSettings {
            overrides: Overrides::default(),
            when_unknown: WhenUnknown::May,
            dane: DaneSettings::default(),
        });
        *bench.source.now.lock().unwrap() = None;
        assert_eq!(ask(&bench, "example.org", None).await.level, Level::May);
    }

    #[tokio::test]
    async fn b32_a_kept_policy_holds_when_nothing_newer_can_be_told() {
        let bench = engine(
            Some(standing(Mode::Enforce, "mx1.example.org")),
            Overrides::default(),
            false,
        );
        bench.source.busy.store(true, Ordering::Relaxed);
        for when_unknown in [WhenUnknown::Defer, WhenUnknown::May] {
            bench.engine.reload(EngineSettings {
                overrides: Overrides::default(),
                when_unknown,
                dane: DaneSettings::default(),
            });
            let answer = ask(&bench, "example.org", None).await;
            assert!(matches!(answer.level, Level::Verify { .. }), "{answer:?}");
        }
        let counted = bench.counters.policy_queries_unanswerable.value();
        assert_eq!(counted, 0);
    }

    #[tokio::test]
    async fn g10_the_lookup_and_the_recheck_share_one_deadline() {
        let bench = engine(
            Some(standing(Mode::Enforce, "mx1.example.org")),
            Overrides::default(),
            true,
        );
        let deadline = Duration::from_millis(100);
        let query = Query::new("example.org")
            .with_mx("mx.elsewhere.example")
            .with_deadline(deadline);
        let answer = tokio::select! {
            biased;
            answer = bench.engine.policy(query) => answer,
            () = tokio::time::sleep(deadline * 3 / 2) => panic!("later than its deadline"),
        };
        assert_eq!(answer.requirement.level, Level::RefuseMx);
        assert_eq!(bench.source.rechecks.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_override_to_off_answers_and_counts_as_without_a_policy() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let off = Override {
            domain: domain.clone(),
            mode: OverrideMode::Off,
            until: None,
        };
        let bench = engine(
            Some(standing(Mode::Enforce, "mx1.example.org")),
            [off].into_iter().collect(),
            false,
        );
        let answer = ask(&bench, "example.org", Some("mx.elsewhere.example")).await;
        assert_eq!(answer.level, Level::May);
        let facts = Facts::new(StartTls::Established);
        bench
            .engine
            .session(&Session::new("example.org", Outcome::Facts(facts)));
        let record = bench.records.try_recv().unwrap();
        assert_eq!(record.policy.policy_type, PolicyType::NoPolicyFound);
        assert_eq!(*record.policy, AppliedPolicy::no_policy_found(domain));
    }

    #[tokio::test]
    async fn b8_a19_address_literals_and_what_is_no_name() {
        let bench = engine(None, Overrides::default(), false);
        assert_eq!(ask(&bench, "[192.0.2.1]", None).await.level, Level::May);
        assert_eq!(ask(&bench, "not a domain", None).await.level, Level::Defer);
        let bracketed = ask(&bench, "[relay.example]", None).await;
        assert_eq!(bracketed.level, Level::Defer, "a name, and not an address");
        bench
            .engine
            .session(&Session::new("[192.0.2.1]", Outcome::Success));
        assert_eq!(bench.counters.sessions_not_counted.value(), 1);
        assert!(bench.records.try_recv().is_err());
    }
}
