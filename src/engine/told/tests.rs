//! What is told and what is not, over an engine whose clock stands still.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use sealpost_plugin_api::{Level, Query};

use super::*;
use crate::{
    clock::{BoxFuture, Clock as _, StoppedClock},
    config::{Override, ProbeConfig, WhenUnknown},
    engine::{
        EngineSettings, PolicySource,
        findings::Findings,
        settle::Looks,
        waiting::{OF_DOMAIN_MAX, WAITING_MAX},
    },
    hook::{AsyncHook as _, joint::DaneSettings, overrides::Overrides},
    observe::Counters,
    policy::{Mode, Standing, dane::DomainDane},
    record::{
        finding::DomainFindings,
        journal::{Journal, JournalReader},
        report_sessions::ReportSessions,
    },
};

const NOON: Timestamp = Timestamp(1_800_014_400);
const SILENT: i64 = 600;

/// What holds for domains, and whether it is known before somebody asks.
#[derive(Default)]
struct Policies {
    standing: Mutex<Option<Standing>>,
    hidden: AtomicBool,
}

impl PolicySource for Policies {
    fn standing<'a>(&'a self, _domain: &'a PolicyDomain) -> BoxFuture<'a, Option<Standing>> {
        let standing = self.standing.lock().unwrap().clone();
        Box::pin(std::future::ready(standing))
    }

    fn known(&self, _domain: &PolicyDomain) -> Option<Standing> {
        if self.hidden.load(Ordering::Relaxed) {
            return None;
        }
        self.standing.lock().unwrap().clone()
    }

    fn recheck<'a>(&'a self, _domain: &'a PolicyDomain) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What was found, what was wished for, and whether a look is under way.
#[derive(Default)]
struct Found {
    found: Mutex<HashMap<PolicyDomain, Arc<DomainFindings>>>,
    wishes: Mutex<Vec<Look>>,
    under_way: AtomicBool,
}

impl Findings for Found {
    fn wish(&self, _domain: &PolicyDomain, look: Look) {
        self.wishes.lock().unwrap().push(look);
    }

    fn of(&self, domain: &PolicyDomain) -> Option<Arc<DomainFindings>> {
        self.found.lock().unwrap().get(domain).cloned()
    }

    fn under_way(&self, _domain: &PolicyDomain) -> bool {
        self.under_way.load(Ordering::Relaxed)
    }
}

struct Bench {
    engine: Arc<Engine>,
    clock: StoppedClock,
    policies: Arc<Policies>,
    findings: Arc<Found>,
    counters: Arc<Counters>,
    report_sessions: Arc<ReportSessions>,
    records: JournalReader,
}

fn bench(standing: Option<Standing>, silence: Silence) -> Bench {
    let clock = StoppedClock::at(NOON);
    let counters = Arc::new(Counters::default());
    let (journal, records) = Journal::new(100_000, Arc::clone(&counters));
    let policies = Arc::new(Policies::default());
    *policies.standing.lock().unwrap() = standing;
    let findings = Arc::new(Found::default());
    let probe = ProbeConfig {
        silent_seconds: SILENT,
        ..ProbeConfig::default()
    };
    let engine = Engine::new(
        Arc::clone(&policies) as _,
        journal,
        Arc::new(clock.clone()),
        Arc::clone(&counters),
        EngineSettings {
            overrides: Overrides::default(),
            when_unknown: WhenUnknown::Defer,
            dane: DaneSettings::default(),
        },
    );
    let looks = Looks::new(Arc::clone(&findings) as _, &probe, silence);
    let report_sessions = Arc::new(ReportSessions::within(60));
    let engine = engine.with_report_sessions(Arc::clone(&report_sessions));
    Bench {
        engine: Arc::new(engine.with_looks(looks)),
        report_sessions,
        clock,
        policies,
        findings,
        counters,
        records,
    }
}

fn sts(mode: Mode) -> Option<Standing> {
    Some(Standing::for_test(mode, &["*.example.org"]))
}

fn plain() -> Option<Standing> {
    Some(Standing::without_policy("example.org".parse().unwrap()))
}

impl Bench {
    fn set_override(&self, mode: OverrideMode) {
        let of_domain = Override {
            scope: "example.org".parse().unwrap(),
            mode,
            until: None,
        };
        self.engine.reload(EngineSettings {
            overrides: [of_domain].into_iter().collect(),
            when_unknown: WhenUnknown::Defer,
            dane: DaneSettings::default(),
        });
    }

    /// Asks, and is given this of the answer; what Postfix 3.10 is given where nothing is said.
    async fn ask_as(&self, given: Option<Said>) {
        let answer = self.engine.policy(Query::new("example.org")).await;
        let usual = match answer.requirement.level {
            Level::Verify { .. } => Said::PolicyByName,
            _ => Said::Nothing,
        };
        let asker = Asker::Telling(given.unwrap_or(usual));
        self.engine.answered(&answer, asker);
    }

    async fn ask(&self) {
        self.ask_as(None).await;
    }

    fn tell(&self, policy: &str, ending: &str) {
        self.engine.told(&Told::for_test(policy, ending), 1);
    }

    /// A relay took so many reports for mailboxes of the domain.
    fn hand_over(&self, reports: u32) {
        let domain = "example.org".parse().unwrap();
        for _ in 0..reports {
            self.report_sessions.handed_over(&domain, self.clock.now());
        }
    }

    fn find(&self, hosts: &[&str]) {
        let findings = DomainFindings::for_test(self.clock.now(), hosts);
        let domain = "example.org".parse().unwrap();
        let mut found = self.findings.found.lock().unwrap();
        found.insert(domain, Arc::new(findings));
    }

    fn look(&self, under_way: bool) {
        self.findings.under_way.store(under_way, Ordering::Relaxed);
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance_seconds(seconds);
        self.engine.settle(self.clock.now());
    }

    /// `+seconds sessions policy source: verdict` of what was counted since the last call.
    fn counted(&self) -> Vec<String> {
        let words = |record: SessionRecord| {
            format!(
                "+{} {} {} {}: {}",
                record.at.seconds_since(NOON),
                record.sessions,
                record.policy.policy_type.name(),
                record.source.name(),
                record.verdict.in_words()
            )
        };
        std::iter::from_fn(|| self.records.try_recv().ok())
            .map(words)
            .collect()
    }
}

const CLEAR: &str = "no-policy-found probe: starttls-not-supported probe:starttls-not-offered \
                     mx1.example.org";
const EXCLUDED: &str = "sts policy: validation-failure policy:sts-mx-mismatch mx.elsewhere.example";

#[tokio::test]
async fn an_attempt_that_nothing_is_told_of_is_counted_once_and_at_its_own_time() {
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    bench.find(&["10 mx1.example.org clear"]);
    bench.advance(5);
    bench.ask().await;
    bench.ask().await;
    bench.advance(SILENT - 6);
    assert!(bench.counted().is_empty());
    bench.advance(6);
    bench.advance(SILENT);
    assert_eq!(bench.counted(), [format!("+0 3 {CLEAR}")]);
    assert_eq!(bench.counters.sessions_inferred.value(), 3);
    assert_eq!(bench.counters.sessions.value(), 0, "no MTA told of it");
}

#[tokio::test]
async fn a_told_session_answers_for_the_attempts_before_it_and_not_for_later_ones() {
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    bench.ask().await;
    bench.advance(10);
    bench.tell("none", "success");
    bench.advance(50);
    bench.ask().await;
    bench.find(&["10 mx1.example.org clear"]);
    bench.advance(SILENT);
    assert_eq!(
        bench.counted(),
        [
            "+10 1 no-policy-found mta: success".to_owned(),
            format!("+60 1 {CLEAR}")
        ]
    );
}

#[tokio::test]
async fn a_session_told_late_is_counted_as_told() {
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    bench.find(&["10 mx1.example.org clear"]);
    bench.advance(SILENT);
    assert_eq!(bench.counted(), [format!("+0 1 {CLEAR}")]);
    bench.ask().await;
    bench.advance(SILENT - 1);
    bench.tell("none", "success");
    bench.advance(SILENT);
    assert_eq!(bench.counted(), ["+1199 1 no-policy-found mta: success"]);
}

#[tokio::test]
async fn e2_an_attempt_before_midnight_is_of_that_day() {
    let bench = bench(plain(), Silence::Inferred);
    let midnight = NOON.day().next().first_second();
    bench.find(&["10 mx1.example.org clear"]);
    for at in [midnight.plus_seconds(-1), midnight] {
        bench.clock.set(at);
        bench.find(&["10 mx1.example.org clear"]);
        bench.ask().await;
    }
    bench.advance(SILENT);
    let days: Vec<_> = std::iter::from_fn(|| bench.records.try_recv().ok())
        .map(|record| (record.at, record.sessions))
        .collect();
    assert_eq!(days, [(midnight.plus_seconds(-1), 1), (midnight, 1)]);
}

#[tokio::test]
async fn what_waits_is_decided_at_the_end() {
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    bench.find(&["10 mx1.example.org clear"]);
    bench.engine.settle_all();
    assert_eq!(bench.counted(), [format!("+0 1 {CLEAR}")]);
    bench.engine.settle_all();
    bench.advance(SILENT);
    assert!(bench.counted().is_empty());
}

#[tokio::test]
async fn nothing_is_inferred_from_what_was_found_at_another_time_or_where_the_log_tells() {
    let bench_of_log = bench(plain(), Silence::ToldByLog);
    bench_of_log.find(&["10 mx1.example.org clear"]);
    bench_of_log.ask().await;
    bench_of_log.advance(SILENT);
    assert!(bench_of_log.counted().is_empty());
    assert!(bench_of_log.findings.wishes.lock().unwrap().is_empty());

    let bench = bench(plain(), Silence::Inferred);
    bench.find(&["10 mx1.example.org clear"]);
    bench.clock.advance_seconds(3_601);
    bench.ask().await;
    bench.advance(SILENT);
    assert!(bench.counted().is_empty());
}

#[tokio::test]
async fn b27_mx_hosts_passed_over_are_counted_whatever_is_told_of_the_next() {
    let bench = bench(sts(Mode::Enforce), Silence::Inferred);
    for _ in 0..3 {
        bench.ask().await;
    }
    bench.find(&["10 mx.elsewhere.example good", "20 mx1.example.org good"]);
    bench.tell("*.example.org", "success");
    // One of them is of a release that connects all the same.
    bench.tell(
        "*.example.org",
        "certificate-host-mismatch - mx.elsewhere.example",
    );
    bench.advance(SILENT);
    assert_eq!(
        bench.counted(),
        [
            "+0 1 sts mta: success".to_owned(),
            "+0 1 sts mta: certificate-host-mismatch - mx.elsewhere.example, \
             validation-failure sts-mx-mismatch mx.elsewhere.example"
                .to_owned(),
            format!("+0 2 {EXCLUDED}"),
        ]
    );
}

#[tokio::test]
async fn a_policy_without_names_excludes_nobody_in_silence() {
    let bench = bench(sts(Mode::Enforce), Silence::Inferred);
    bench.ask_as(Some(Said::Policy)).await;
    bench.find(&["10 mx.elsewhere.example good"]);
    bench.tell("none", "success");
    bench.advance(SILENT);
    assert_eq!(bench.counted(), ["+0 1 sts mta: success"]);
}

#[tokio::test]
async fn looks_are_wished_for_where_the_answer_depends_on_them() {
    use Look::{HostsOnly, Probe};
    for (standing, given, silence, expected) in [
        (sts(Mode::Enforce), None, Silence::Inferred, Some(HostsOnly)),
        (sts(Mode::Enforce), None, Silence::ToldByLog, None),
        (
            sts(Mode::Enforce),
            Some(Said::Policy),
            Silence::Inferred,
            None,
        ),
        (sts(Mode::Testing), None, Silence::Inferred, Some(Probe)),
        (sts(Mode::Testing), None, Silence::ToldByLog, Some(Probe)),
        (sts(Mode::None), None, Silence::Inferred, Some(Probe)),
        (sts(Mode::None), None, Silence::ToldByLog, None),
        (plain(), None, Silence::Inferred, Some(Probe)),
        (plain(), None, Silence::ToldByLog, None),
    ] {
        let bench = bench(standing.clone(), silence);
        bench.ask_as(given).await;
        let wishes = bench.findings.wishes.lock().unwrap().clone();
        let expected: Vec<Look> = expected.into_iter().collect();
        assert_eq!(wishes, expected, "{standing:?} {given:?} {silence:?}");
    }
}

#[tokio::test]
async fn d9_a_success_under_testing_waits_for_the_look_that_is_under_way() {
    let bench = bench(sts(Mode::Testing), Silence::Inferred);
    bench.ask().await;
    bench.look(true);
    bench.engine.told(&Told::for_test("none", "success"), 2);
    bench.advance(7);
    bench.tell("none", "success");
    bench.tell(
        "none",
        "validation-failure tls-handshake-failure mx1.example.org",
    );
    assert_eq!(
        bench.counted(),
        ["+7 1 sts mta: validation-failure tls-handshake-failure mx1.example.org"]
    );
    bench.find(&["10 mx1.example.org expired"]);
    bench.look(false);
    bench.advance(1);
    let expired = "sts probe: certificate-expired probe mx1.example.org";
    assert_eq!(bench.counted(), [format!("+0 3 {expired}")]);
    bench.tell("none", "success");
    assert_eq!(bench.counted(), [format!("+8 1 {expired}")]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
    assert_eq!(bench.counters.sessions.value(), 5);
}

#[tokio::test]
async fn d9_a_success_under_testing_that_nothing_is_found_out_of_is_counted_as_told() {
    let bench = bench(sts(Mode::Testing), Silence::Inferred);
    bench.ask().await;
    let as_told = "1 no-policy-found mta: success";
    // Nobody looks.
    bench.tell("none", "success");
    assert_eq!(bench.counted(), [format!("+0 {as_told}")]);
    // The look comes to nothing.
    bench.look(true);
    bench.tell("none", "success");
    bench.look(false);
    bench.advance(1);
    assert_eq!(bench.counted(), [format!("+0 {as_told}")]);
    // It comes to no end.
    bench.look(true);
    bench.tell("none", "success");
    bench.advance(SILENT - 1);
    assert!(bench.counted().is_empty());
    bench.advance(1);
    assert_eq!(bench.counted(), [format!("+1 {as_told}")]);
    // The daemon stops.
    bench.tell("none", "success");
    bench.engine.settle_all();
    assert_eq!(bench.counted(), [format!("+601 {as_told}")]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 4);
}

#[tokio::test]
async fn d10_sessions_told_are_counted_under_the_answer_and_not_under_what_holds_now() {
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    *bench.policies.standing.lock().unwrap() = sts(Mode::Testing);
    bench.tell("none", "success");
    assert_eq!(bench.counted(), ["+0 1 no-policy-found mta: success"]);
    bench.find(&["10 mx1.example.org good"]);
    bench.ask().await;
    bench.tell("none", "success");
    assert_eq!(bench.counted(), ["+0 1 sts probe: success"]);
}

#[tokio::test]
async fn an_override_to_off_counts_as_without_a_policy() {
    let bench = bench(sts(Mode::Testing), Silence::Inferred);
    bench.ask().await;
    bench.find(&["10 mx1.example.org expired"]);
    bench.set_override(OverrideMode::Off);
    bench.tell("none", "success");
    bench.ask().await;
    bench.tell("none", "success");
    let as_told = "+0 1 no-policy-found mta: success";
    assert_eq!(bench.counted(), [as_told, as_told]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
}

#[tokio::test]
async fn b30_a_told_failure_under_a_policy_has_it_looked_up_before_the_next_answer() {
    for (policy, standing, is_doubted) in [
        ("*.example.org", sts(Mode::Enforce), true),
        ("none", sts(Mode::Testing), true),
        ("none", plain(), false),
        ("tlsa", plain(), false),
    ] {
        let bench = bench(standing, Silence::Inferred);
        bench.ask().await;
        bench.tell(
            policy,
            "validation-failure tls-handshake-failure mx1.example.org",
        );
        let domain = "example.org".parse().unwrap();
        assert_eq!(bench.engine.doubts.settle(&domain), is_doubted, "{policy}");
    }
}

#[tokio::test]
async fn after_a_start_what_holds_is_asked_for_before_a_session_is_counted() {
    let bench = bench(sts(Mode::Testing), Silence::Inferred);
    bench.policies.hidden.store(true, Ordering::Relaxed);
    bench.find(&["10 mx1.example.org good"]);
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let attending = tokio::spawn(Arc::clone(&bench.engine).attend(stopping));
    bench.tell("none", "success");
    bench.tell("none", "success");
    let mut counted = bench.counted();
    assert!(counted.is_empty());
    while counted.is_empty() {
        bench.clock.advance_seconds(1);
        tokio::task::yield_now().await;
        counted = bench.counted();
    }
    assert_eq!(counted, ["+0 2 sts probe: success"]);
    assert_eq!(bench.findings.wishes.lock().unwrap()[..], [Look::Probe]);
    attending.abort();
}

#[tokio::test]
async fn d7_after_a_start_the_policy_beside_tlsa_records_is_looked_for_and_counted() {
    let bench = bench(sts(Mode::Enforce), Silence::ToldByLog);
    bench.policies.hidden.store(true, Ordering::Relaxed);
    bench.find(&["10 mx1.example.org unseen"]);
    // From when on somebody wishes for it, a look is under way.
    bench.look(true);
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let attending = tokio::spawn(Arc::clone(&bench.engine).attend(stopping));
    bench.tell("tlsa", "success");
    assert_eq!(bench.counted(), ["+0 1 tlsa mta: success"]);
    while bench.findings.wishes.lock().unwrap().is_empty() {
        bench.clock.advance_seconds(1);
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.findings.wishes.lock().unwrap()[..], [Look::Probe]);
    bench.find(&["10 mx1.example.org good"]);
    bench.look(false);
    let mut counted = bench.counted();
    while counted.is_empty() {
        bench.clock.advance_seconds(1);
        tokio::task::yield_now().await;
        counted = bench.counted();
    }
    assert_eq!(counted, ["+0 1 sts probe: success"]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
    attending.abort();
}

#[tokio::test]
async fn d7_what_dane_forbade_to_try_is_counted_under_the_records_alone() {
    let bench = bench(sts(Mode::Enforce), Silence::ToldByLog);
    bench.ask().await;
    bench.find(&["10 mx1.example.org good"]);
    let bogus = "dnssec-invalid tlsa-bogus mx1.example.org";
    bench.tell("tlsa", bogus);
    assert_eq!(bench.counted(), [format!("+0 1 tlsa mta: {bogus}")]);
    // What came as far as the certificate has both.
    let mismatch = "validation-failure dane-no-match mx1.example.org";
    bench.tell("tlsa", mismatch);
    assert_eq!(
        bench.counted(),
        [
            format!("+0 1 tlsa mta: {mismatch}"),
            "+0 1 sts probe: success".to_owned()
        ]
    );
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
}

#[tokio::test]
async fn c17_what_is_told_of_absent_records_is_a_failed_session_where_dane_is_demanded() {
    let required = "dane-required - mx1.example.org";
    let bench = bench(sts(Mode::Enforce), Silence::ToldByLog);
    bench.tell("tlsa", required);
    assert_eq!(bench.counted(), [""; 0]);
    bench.set_override(OverrideMode::DaneOnly);
    bench.tell("tlsa", required);
    assert_eq!(bench.counted(), [format!("+0 1 tlsa mta: {required}")]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
}

#[tokio::test]
async fn what_holds_and_cannot_be_had_is_waited_for_no_longer_than_for_a_look() {
    let bench = bench(None, Silence::Inferred);
    bench.tell("none", "success");
    bench.tell("*.example.org", "success");
    bench.tell("tlsa", "success");
    assert_eq!(
        bench.counted(),
        ["+0 1 sts mta: success", "+0 1 tlsa mta: success"]
    );
    bench.advance(SILENT - 1);
    assert!(bench.counted().is_empty());
    bench.advance(1);
    assert_eq!(bench.counted(), ["+0 1 no-policy-found mta: success"]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 1);
}

#[tokio::test]
async fn an_mta_that_asked_before_we_started_has_its_hosts_looked_at_now() {
    let bench = bench(sts(Mode::Testing), Silence::Inferred);
    bench.tell("none", "success");
    assert_eq!(bench.findings.wishes.lock().unwrap()[..], [Look::Probe]);
}

#[tokio::test]
async fn g6_what_waits_is_bounded_and_the_rest_is_counted_as_told() {
    let bench = bench(None, Silence::Inferred);
    let told = |domain: usize, ending: usize| {
        let told = Told::for_test("none", &format!("validation-failure r{ending} -"));
        let domain: PolicyDomain = format!("{domain}.example").parse().unwrap();
        Told { domain, ..told }
    };
    for ending in 0..=OF_DOMAIN_MAX {
        bench.engine.told(&told(0, ending), 1);
    }
    assert_eq!(bench.counters.sessions_unchecked.value(), 1);
    for domain in 1..=WAITING_MAX {
        bench.engine.told(&told(domain, 0), 1);
    }
    let beyond = 1 + u64::try_from(OF_DOMAIN_MAX).unwrap();
    assert_eq!(bench.counters.sessions_unchecked.value(), beyond);
    // Equal ones need no more room.
    bench.engine.told(&told(1, 0), 1_000);
    assert_eq!(bench.counters.sessions_unchecked.value(), beyond);
}

/// An engine that answered a domain with an enforced policy and these mail hosts.
fn bench_with_hosts(hosts: &[&str]) -> Bench {
    let bench = bench(sts(Mode::Enforce), Silence::Inferred);
    let answered = Answered {
        standing: sts(Mode::Enforce).unwrap(),
        demand: Demand::Named,
        dane: Some(DomainDane::for_test(hosts).into()),
    };
    let domain = "example.org".parse().unwrap();
    let answered = bench.engine.last_answers.remember(&domain, answered, None);
    bench.engine.wish(&domain, &answered);
    bench
}

#[tokio::test]
async fn d7_records_that_cannot_be_used_are_counted_beside_the_policy_that_is_told() {
    let bench = bench_with_hosts(&["10 mx1.example.org unusable"]);
    assert_eq!(bench.findings.wishes.lock().unwrap()[..], [Look::HostsOnly]);
    let untrusted = "certificate-not-trusted self-signed mx1.example.org";
    bench.tell("*.example.org", "success");
    bench.tell("*.example.org", untrusted);
    let invalid = "+0 1 tlsa policy: tlsa-invalid policy:all-tlsa-records-unusable mx1.example.org";
    let failed = format!("+0 1 sts mta: {untrusted}");
    assert_eq!(
        bench.counted(),
        ["+0 1 sts mta: success", invalid, &failed, invalid]
    );
    assert_eq!(bench.counters.sessions.value(), 2);
    assert_eq!(bench.counters.sessions_unchecked.value(), 0);
}

#[tokio::test]
async fn d7_which_host_a_success_was_with_is_looked_for_and_never_guessed() {
    let two_hosts = ["10 mx1.example.org unusable", "20 mx2.example.org none"];
    for (found, expected, unchecked) in [
        (
            "10 mx1.example.org good",
            Some("+0 1 tlsa policy: tlsa-invalid policy:all-tlsa-records-unusable mx1.example.org"),
            0,
        ),
        ("10 mx1.example.org self-signed", None, 0),
        ("10 mx1.example.org unclear", None, 1),
    ] {
        let bench = bench_with_hosts(&two_hosts);
        assert_eq!(bench.findings.wishes.lock().unwrap()[..], [Look::Probe]);
        bench.look(true);
        bench.tell("*.example.org", "success");
        bench.advance(1);
        // The policy's own word waits for nobody.
        assert_eq!(bench.counted(), ["+0 1 sts mta: success"]);
        bench.find(&[found, "20 mx2.example.org unseen"]);
        bench.look(false);
        bench.advance(1);
        assert_eq!(bench.counted(), Vec::from_iter(expected), "{found}");
        assert_eq!(
            bench.counters.sessions_unchecked.value(),
            unchecked,
            "{found}"
        );
    }
    // Nobody looks.
    let bench = bench_with_hosts(&two_hosts);
    bench.tell("*.example.org", "success");
    assert_eq!(bench.counted(), ["+0 1 sts mta: success"]);
    assert_eq!(bench.counters.sessions_unchecked.value(), 1);
}

#[tokio::test]
async fn c5_what_protected_a_session_under_records_of_no_use_waits_for_the_policy() {
    let invalid = "tlsa-invalid all-TLSA-records-unusable mx1.example.org";
    let protections = |bench: &Bench| -> Vec<(PolicyType, Option<Protection>)> {
        std::iter::from_fn(|| bench.records.try_recv().ok())
            .map(|record| (record.policy.policy_type, record.protection))
            .collect()
    };
    for (found, protection, beside) in [
        ("good", Protection::Sts, true),
        ("expired", Protection::Tls, true),
        ("unclear", Protection::Tls, false),
    ] {
        let bench = bench(sts(Mode::Testing), Silence::Inferred);
        bench.ask().await;
        bench.look(true);
        bench.tell("tlsa", invalid);
        bench.advance(1);
        assert_eq!(protections(&bench), []);
        bench.find(&[&format!("10 mx1.example.org {found}")]);
        bench.look(false);
        bench.advance(1);
        let mut expected = vec![(PolicyType::Tlsa, Some(protection))];
        expected.extend(beside.then_some((PolicyType::Sts, None)));
        assert_eq!(protections(&bench), expected, "{found}");
        let unchecked = u64::from(!beside);
        assert_eq!(bench.counters.sessions_unchecked.value(), unchecked);
        assert_eq!(bench.counters.sessions.value(), 1);
    }
    // Nothing to wait for.
    let bench = bench(plain(), Silence::Inferred);
    bench.ask().await;
    bench.look(true);
    bench.tell("tlsa", invalid);
    let expected = [(PolicyType::Tlsa, Some(Protection::Tls))];
    assert_eq!(protections(&bench), expected);
    // The daemon stops before it is known whether there is a policy.
    bench.policies.hidden.store(true, Ordering::Relaxed);
    let other = "example.net".parse().unwrap();
    let told = Told {
        domain: other,
        ..Told::for_test("tlsa", invalid)
    };
    bench.engine.told(&told, 1);
    assert_eq!(protections(&bench), []);
    bench.engine.settle_all();
    assert_eq!(protections(&bench), expected);
}

#[tokio::test]
async fn d6_f12_of_what_is_told_one_session_for_each_report_is_left_out_and_no_attempt_stays_silent()
 {
    let bench = bench(plain(), Silence::Inferred);
    bench.find(&["10 mx1.example.org clear"]);
    let told = Told::for_test("none", "success");
    bench.ask().await;
    bench.hand_over(2);
    bench.engine.told(&told, 5);
    bench.engine.told_of_mail(&told, 1);
    let three_and_one = ["+0 3", "+0 1"].map(|head| format!("{head} no-policy-found mta: success"));
    assert_eq!(bench.counted(), three_and_one);
    // What is told answers for the attempt, also where it carried a report.
    bench.ask().await;
    bench.hand_over(1);
    bench.tell("none", "success");
    bench.advance(SILENT);
    assert!(bench.counted().is_empty());
    assert_eq!(bench.counters.sessions.value(), 7);
    assert_eq!(bench.counters.sessions_of_reports.value(), 3);
}

#[tokio::test]
async fn d6_f12_of_what_is_inferred_one_session_for_each_report_before_it_is_left_out() {
    let bench = bench(plain(), Silence::Inferred);
    bench.find(&["10 mx1.example.org clear"]);
    bench.hand_over(1);
    bench.ask().await;
    bench.advance(SILENT);
    assert!(bench.counted().is_empty());
    bench.hand_over(2);
    for _ in 0..3 {
        bench.ask().await;
    }
    // Not before it.
    bench.advance(30);
    bench.hand_over(1);
    bench.advance(SILENT);
    assert_eq!(bench.counted(), [format!("+{SILENT} 1 {CLEAR}")]);
    assert_eq!(bench.counters.sessions_of_reports.value(), 3);
    assert_eq!(bench.counters.sessions_inferred.value(), 1);
}
