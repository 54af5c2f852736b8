use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealpost_plugin_api::{Facts, Level, Outcome, Requirement, StartTls};

use super::*;
use crate::{
    clock::StoppedClock,
    config::{Override, OverrideScope},
    policy::{AppliedPolicy, Mode, PolicyType},
    record::{Source, Verdict, journal::JournalReader},
};

mod dane;

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
    *bench.source.newer.lock().unwrap() = Some(Standing::for_test(Mode::None, &["*.example.org"]));
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
    let at_once = || bench.engine.policy_at_once(&query, DaneUse::ToldAndItsOwn);
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
    assert_eq!(
        bench.engine.policy_at_once(&of_mx, DaneUse::ToldAndItsOwn),
        None
    );
    for name in ["Example.org", "example.org.", "[192.0.2.1]", ""] {
        assert_eq!(
            bench
                .engine
                .policy_at_once(&Query::new(name), DaneUse::ToldAndItsOwn),
            None
        );
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
            scope: domain,
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
        let of_all = bench.engine.policy_of_all(query, DaneUse::ToldAndItsOwn);
        assert_eq!(quick, of_all.await);
    }
}

#[tokio::test]
async fn b30_a_domain_in_doubt_is_not_answered_at_once() {
    let enforce = standing(Mode::Enforce, "mx1.example.org");
    let bench = engine(Some(enforce.clone()), Overrides::default(), false);
    *bench.source.ready.lock().unwrap() = Some(Arc::new(Ready::new(enforce)));
    let query = Query::new("example.org").with_deadline(Duration::from_millis(20));
    assert!(
        bench
            .engine
            .policy_at_once(&query, DaneUse::ToldAndItsOwn)
            .is_some()
    );
    let facts = Facts::new(StartTls::NotOffered);
    let session = Session::new("example.org", Outcome::Facts(facts));
    bench.engine.session(&session.with_mx("mx1.example.org"));
    assert_eq!(
        bench.engine.policy_at_once(&query, DaneUse::ToldAndItsOwn),
        None
    );
    bench.engine.policy(query).await;
    assert_eq!(bench.source.rechecks.load(Ordering::Relaxed), 1);
    assert!(
        bench
            .engine
            .policy_at_once(&query, DaneUse::ToldAndItsOwn)
            .is_some()
    );
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
        scope: OverrideScope::Domain(domain.clone()),
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

#[tokio::test]
async fn d6_f12_as_many_sessions_as_reports_were_handed_over_are_left_out_however_they_went() {
    let domain: PolicyDomain = "example.org".parse().unwrap();
    let not_offered = Outcome::Facts(Facts::new(StartTls::NotOffered));
    let bench = engine(
        Some(standing(Mode::Enforce, "mx1.example.org")),
        Overrides::default(),
        false,
    );
    let report_sessions = Arc::new(ReportSessions::within(60));
    let engine = bench
        .engine
        .with_report_sessions(Arc::clone(&report_sessions));
    let counted = || std::iter::from_fn(|| bench.records.try_recv().ok()).count();
    let refused = Query::new("example.org").with_mx("mx.elsewhere.example");
    for outcome in [Outcome::Success, not_offered] {
        let session = Session::new("example.org", outcome).with_mx("mx1.example.org");
        let now = engine.clock.now();
        report_sessions.handed_over(&domain, now);
        // Nothing that would be counted, and what is told by a door that knows better.
        let nothing = Facts::new(StartTls::Unknown);
        engine.session(&Session::new("example.org", Outcome::Facts(nothing)));
        engine.session_of_mail(&session);
        assert_eq!(counted(), 1, "{outcome:?}");
        engine.session(&session);
        assert_eq!(counted(), 0, "{outcome:?}");
        engine.session(&session);
        assert_eq!(counted(), 1, "{outcome:?}");
        // It was longer ago.
        let mut earlier = session;
        earlier.at_unix_seconds = Some(now.0 - 1);
        report_sessions.handed_over(&domain, now);
        engine.session(&earlier);
        assert_eq!(counted(), 1, "{outcome:?}");
        // An MX host that is refused is a failed session too.
        engine.policy(refused).await;
        assert_eq!(counted(), 0, "{outcome:?}");
        engine.policy(refused).await;
        assert_eq!(counted(), 1, "{outcome:?}");
    }
    assert_eq!(bench.counters.sessions_of_reports.value(), 4);
}
