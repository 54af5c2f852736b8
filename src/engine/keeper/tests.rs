//! The keeper on a stopped clock, between a resolver and a policy host made of maps.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealpost_plugin_api::ResultType;

use super::*;
use crate::{
    clock::{BoxFuture, StoppedClock, UtcDay},
    deliver::{DeliveryKey, DeliveryState},
    net::{
        dns::{Answer, Mx},
        https::FetchError,
    },
    policy::{
        AppliedPolicy, Destination, Fingerprint, Mode, PolicyType, StsStanding, dane::TlsaRecord,
    },
    record::{SessionRecord, Source, Verdict, journal::JournalReader},
    store::{Batch, FailureRecord, Protected, TallyKey, TlsaHosts, memory::MemoryStore},
};

mod damaged_store;

use damaged_store::{DamagedStore, damaged};

const START: Timestamp = Timestamp(1_800_000_000);
const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n";

/// Resolver and policy host in one.
#[derive(Default)]
struct World {
    txt: Mutex<HashMap<String, Result<Vec<String>, DnsError>>>,
    documents: Mutex<HashMap<String, Result<String, FetchError>>>,
    lookups: AtomicUsize,
    fetches: AtomicUsize,
    /// While it is true, fetches hang.
    hanging: watch::Sender<bool>,
}

impl World {
    fn announce(&self, id: &str) {
        self.set_txt(
            "_mta-sts.example.org",
            Ok(vec![format!("v=STSv1; id={id}")]),
        );
    }

    fn set_txt(&self, name: &str, records: Result<Vec<String>, DnsError>) {
        self.txt.lock().unwrap().insert(name.to_owned(), records);
    }

    fn serve(&self, document: Result<&str, FetchError>) {
        let document = document.map(ToOwned::to_owned);
        let mut documents = self.documents.lock().unwrap();
        documents.insert("example.org".to_owned(), document);
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.lookups.load(Ordering::Relaxed),
            self.fetches.load(Ordering::Relaxed),
        )
    }
}

fn servfail() -> DnsError {
    DnsError::Server {
        name: "_mta-sts.example.org".to_owned(),
        code: "SERVFAIL".to_owned(),
    }
}

impl Dns for World {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let records = self.txt.lock().unwrap().get(name).cloned();
        Box::pin(async move {
            let values = records.unwrap_or(Ok(Vec::new()))?;
            Ok(Answer {
                values: values.into_iter().map(String::into_bytes).collect(),
                time_to_live: Duration::from_secs(600),
            })
        })
    }

    fn mx<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        unimplemented!("the keeper asks for no MX")
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        unimplemented!("the keeper asks for no address")
    }

    fn tlsa<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        unimplemented!("the keeper asks for no TLSA records")
    }
}

impl PolicyHost for World {
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut hanging = self.hanging.subscribe();
            let _served = hanging.wait_for(|hanging| !*hanging).await.is_ok();
            let documents = self.documents.lock().unwrap();
            let document = documents.get(domain.as_str()).cloned();
            document
                .unwrap_or(Err(FetchError::Status(404)))
                .map(String::into_bytes)
        })
    }
}

struct Bench {
    keeper: Arc<Keeper>,
    world: Arc<World>,
    clock: StoppedClock,
    store: Arc<MemoryStore>,
    records: JournalReader,
    counters: Arc<Counters>,
}

fn bench() -> Bench {
    bench_with(Arc::new(World::default()), Arc::new(MemoryStore::default()))
}

fn bench_with(world: Arc<World>, store: Arc<MemoryStore>) -> Bench {
    let clock = StoppedClock::at(START);
    let counters = Arc::new(Counters::default());
    let (journal, records) = Journal::new(100, Arc::clone(&counters));
    let keeper = Keeper::new(parts(&world, store.clone(), &clock, journal, &counters));
    Bench {
        keeper: Arc::new(keeper),
        world,
        clock,
        store,
        records,
        counters,
    }
}

fn parts(
    world: &Arc<World>,
    store: Arc<dyn Store>,
    clock: &StoppedClock,
    journal: Journal,
    counters: &Arc<Counters>,
) -> KeeperParts {
    KeeperParts {
        dns: world.clone(),
        policy_host: world.clone(),
        store,
        clock: Arc::new(clock.clone()),
        journal,
        counters: Arc::clone(counters),
        auditor: Default::default(),
        config: PolicyConfig::default(),
    }
}

fn domain() -> PolicyDomain {
    "example.org".parse().unwrap()
}

impl Bench {
    async fn ask(&self) -> StsStanding {
        self.keeper.standing(&domain()).await.unwrap().sts
    }

    /// The id and mode in force, and the reason code of the trouble with it.
    async fn ask_briefly(&self) -> String {
        brief(&self.ask().await)
    }

    fn notes(&self) -> Vec<SessionRecord> {
        std::iter::from_fn(|| self.records.try_recv().ok()).collect()
    }
}

fn brief(standing: &StsStanding) -> String {
    match standing {
        StsStanding::NotAnnounced => "none".to_owned(),
        StsStanding::Unfetched(trouble) => format!("unfetched {}", trouble.reason),
        StsStanding::InForce { kept, trouble } => {
            let trouble = trouble.as_ref().map(|trouble| trouble.reason.as_str());
            let name = kept.policy.mode.name();
            format!("{} {name} {}", kept.id, trouble.unwrap_or("-"))
        }
    }
}

#[tokio::test]
async fn b1_b6_nothing_announced_means_no_policy_and_no_fetch() {
    let bench = bench();
    assert_eq!(bench.ask_briefly().await, "none");
    assert_eq!(bench.ask_briefly().await, "none");
    assert_eq!(bench.world.counts(), (1, 0));
    bench.clock.advance_seconds(600);
    assert_eq!(bench.ask_briefly().await, "none");
    assert_eq!(bench.world.counts(), (2, 0));
}

#[tokio::test]
async fn b33_a_policy_is_fetched_once_and_written_to_the_store() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    for _ in 0..10 {
        assert_eq!(bench.ask_briefly().await, "1 enforce -");
        bench.clock.advance_seconds(300);
    }
    assert_eq!(bench.world.counts(), (5, 1));
    let kept = bench.store.kept_policy(&domain()).unwrap().unwrap();
    assert_eq!((kept.id.as_str(), kept.fetched_at), ("1", START));
    assert_eq!(bench.counters.policy_fetches.value(), 1);
}

#[tokio::test]
async fn b17_any_number_of_askers_cause_one_lookup_and_one_fetch() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.world.hanging.send_replace(true);
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let keeper = Arc::clone(&bench.keeper);
        askers.spawn(async move { keeper.standing(&domain()).await });
    }
    while bench.world.counts().1 == 0 {
        tokio::task::yield_now().await;
    }
    bench.world.hanging.send_replace(false);
    let answers = askers.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(bench.world.counts(), (1, 1));
}

#[tokio::test]
async fn b17_g6_so_many_fetches_run_at_once_and_no_more() {
    let world = Arc::new(World::default());
    let clock = StoppedClock::at(START);
    let counters = Arc::new(Counters::default());
    let (journal, _records) = Journal::new(1, Arc::clone(&counters));
    let store = Arc::new(MemoryStore::default());
    let mut parts = parts(&world, store, &clock, journal, &counters);
    parts.config.fetches_max = 2;
    let keeper = Arc::new(Keeper::new(parts));
    world.hanging.send_replace(true);
    let mut askers = tokio::task::JoinSet::new();
    for number in 0..10 {
        world.set_txt(
            &format!("_mta-sts.{number}.example"),
            Ok(vec!["v=STSv1; id=1".to_owned()]),
        );
        let keeper = Arc::clone(&keeper);
        let domain: PolicyDomain = format!("{number}.example").parse().unwrap();
        askers.spawn(async move { keeper.standing(&domain).await });
    }
    while world.counts().0 < 10 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(world.counts().1 <= 2);
    }
    world.hanging.send_replace(false);
    assert!(askers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(world.counts(), (10, 10));
}

#[tokio::test]
async fn b35_a_slow_fetch_goes_on_when_its_asker_has_given_up() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.world.hanging.send_replace(true);
    {
        let domain = domain();
        let mut asking = Box::pin(bench.keeper.standing(&domain));
        while bench.world.counts().1 == 0 {
            assert!(futures_poll(&mut asking).await.is_none());
        }
    }
    assert_eq!(bench.keeper.known(&domain()), None);
    bench.world.hanging.send_replace(false);
    assert_eq!(bench.ask_briefly().await, "1 enforce -");
    assert_eq!(bench.world.counts(), (1, 1));
    assert!(bench.keeper.known(&domain()).is_some());
}

/// One step of a future, and one of everybody else.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = tokio::task::yield_now() => None,
    }
}

#[tokio::test]
async fn b16_a_failed_fetch_is_left_alone_for_five_minutes_but_a_new_id_is_not() {
    let bench = bench();
    bench.world.announce("1");
    for _ in 0..5 {
        assert_eq!(bench.ask_briefly().await, "unfetched http-status-404");
        bench.clock.advance_seconds(59);
    }
    assert_eq!(bench.world.counts().1, 1);
    bench.clock.advance_seconds(5);
    assert_eq!(bench.ask_briefly().await, "unfetched http-status-404");
    assert_eq!(bench.world.counts().1, 2);
    bench.world.announce("2");
    bench.world.serve(Ok(ENFORCE));
    let standing = bench.keeper.recheck(&domain()).await.unwrap();
    assert_eq!(brief(&standing.sts), "2 enforce -");
    assert_eq!(bench.world.counts().1, 3);
    assert_eq!(bench.counters.policy_fetches_failed.value(), 2);
    assert!(bench.notes().is_empty(), "no kept policy, no note");
}

#[tokio::test]
async fn b35_b37_the_old_policy_holds_when_a_new_one_cannot_be_had_and_that_is_noted_once() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    bench.world.announce("2");
    bench
        .world
        .serve(Ok("version: STSv1\nmode: enforce\nnmx: a\nmax_age: 1\n"));
    bench.clock.advance_seconds(600);
    assert_eq!(bench.ask_briefly().await, "1 enforce policy-mx-missing");
    assert_eq!(bench.ask_briefly().await, "1 enforce policy-mx-missing");
    let notes = bench.notes();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].source, Source::Policy);
    assert_eq!(notes[0].policy.policy_type, PolicyType::Sts);
    assert_eq!(notes[0].policy.mx_host, ["mx.example.org"]);
    let Verdict::Note(failure) = &notes[0].verdict else {
        panic!("{notes:?}");
    };
    assert_eq!(failure.result, ResultType::StsPolicyInvalid);
    assert_eq!(failure.reason.as_deref(), Some("policy-mx-missing"));
    bench
        .world
        .serve(Ok(&ENFORCE.replace("enforce", "testing")));
    bench.clock.advance_seconds(300);
    assert_eq!(bench.ask_briefly().await, "2 testing -");
}

#[tokio::test]
async fn b34_b37_a_policy_of_mode_none_is_not_worth_a_note() {
    let bench = bench();
    bench.world.announce("1");
    bench
        .world
        .serve(Ok("version: STSv1\nmode: none\nmax_age: 604800\n"));
    assert_eq!(bench.ask_briefly().await, "1 none -");
    bench.world.serve(Err(FetchError::Timeout(60)));
    bench.keeper.refresh(&domain()).await.unwrap();
    assert_eq!(bench.ask_briefly().await, "1 none policy-fetch-timeout");
    assert!(bench.notes().is_empty());
}

#[tokio::test]
async fn b32_b33_a_kept_policy_outlives_the_record_the_dns_the_host_and_the_process() {
    let first = bench();
    first.world.announce("1");
    first.world.serve(Ok(ENFORCE));
    first.ask().await;
    let world = Arc::new(World::default());
    let bench = bench_with(Arc::clone(&world), Arc::clone(&first.store));
    let known = bench.keeper.known(&domain()).unwrap();
    assert_eq!(brief(&known.sts), "1 enforce -");
    for records in [
        Ok(Vec::new()),
        Err(servfail()),
        Ok(vec!["v=STSv1;".to_owned()]),
    ] {
        world.set_txt("_mta-sts.example.org", records);
        bench.clock.advance_seconds(600);
        assert_eq!(bench.ask_briefly().await, "1 enforce -");
    }
    world.announce("2");
    bench.clock.advance_seconds(600);
    assert_eq!(bench.ask_briefly().await, "1 enforce http-status-404");
    bench.clock.set(START.plus_seconds(604_799));
    assert_eq!(bench.ask_briefly().await, "1 enforce http-status-404");
    bench.clock.advance_seconds(1);
    assert_eq!(bench.keeper.known(&domain()), None);
    assert_eq!(bench.ask_briefly().await, "unfetched http-status-404");
}

#[tokio::test]
async fn b38_a_failed_lookup_with_nothing_kept_is_no_policy_and_soon_tried_again() {
    let bench = bench();
    bench.world.set_txt("_mta-sts.example.org", Err(servfail()));
    assert_eq!(bench.ask_briefly().await, "none");
    assert_eq!(bench.ask_briefly().await, "none");
    assert_eq!(bench.world.counts(), (1, 0));
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.clock.advance_seconds(10);
    assert_eq!(bench.ask_briefly().await, "1 enforce -");
}

#[tokio::test]
async fn b21_max_age_zero_is_used_and_not_kept() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    bench.world.serve(Ok(&ENFORCE.replace("604800", "0")));
    bench.world.announce("2");
    bench.clock.advance_seconds(600);
    assert_eq!(bench.ask_briefly().await, "2 enforce -");
    assert_eq!(bench.store.kept_policy(&domain()), Ok(None));
    assert!(bench.keeper.known(&domain()).is_some(), "the same delivery");
    bench.clock.advance_seconds(60);
    assert_eq!(bench.keeper.known(&domain()), None);
    bench.world.serve(Err(FetchError::Status(500)));
    assert_eq!(bench.ask_briefly().await, "unfetched http-status-500");
}

#[tokio::test]
async fn b30_a_recheck_goes_past_what_is_remembered_but_once_a_minute() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    let recheck = || async { brief(&bench.keeper.recheck(&domain()).await.unwrap().sts) };
    bench.world.announce("2");
    assert_eq!(bench.ask_briefly().await, "1 enforce -");
    assert_eq!(recheck().await, "2 enforce -");
    bench.world.announce("3");
    bench.clock.advance_seconds(59);
    assert_eq!(recheck().await, "2 enforce -");
    bench.clock.advance_seconds(1);
    assert_eq!(recheck().await, "3 enforce -");
    assert_eq!(bench.ask_briefly().await, "3 enforce -");
    assert_eq!(bench.world.counts(), (3, 3));
}

#[tokio::test]
async fn g5_a_purged_policy_is_gone_and_looked_up_anew() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    assert_eq!(bench.keeper.list().await.unwrap().len(), 1);
    bench.keeper.purge(&domain()).await.unwrap();
    assert_eq!(bench.keeper.list().await, Ok(Vec::new()));
    assert_eq!(bench.keeper.known(&domain()), None);
    bench.world.set_txt("_mta-sts.example.org", Ok(Vec::new()));
    assert_eq!(bench.ask_briefly().await, "none");
}

#[tokio::test]
async fn g5_a_purge_during_a_fetch_takes_what_was_fetched() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.world.hanging.send_replace(true);
    let (keeper, about) = (Arc::clone(&bench.keeper), domain());
    let asking = tokio::spawn(async move { keeper.standing(&about).await });
    until_fetches(&bench, 1).await;
    let (keeper, about) = (Arc::clone(&bench.keeper), domain());
    let purging = tokio::spawn(async move { keeper.purge(&about).await });
    tokio::task::yield_now().await;
    bench.world.hanging.send_replace(false);
    assert_eq!(
        brief(&asking.await.unwrap().unwrap().sts),
        "1 enforce -",
        "who asked before the purge"
    );
    purging.await.unwrap().unwrap();
    assert_eq!(bench.store.kept_policy(&domain()), Ok(None));
    assert_eq!(bench.keeper.known(&domain()), None);
}

#[tokio::test]
async fn g6_b32_a_policy_crowded_out_of_memory_still_holds() {
    let first = bench();
    let (journal, _records) = Journal::new(1, Arc::clone(&first.counters));
    let (world, store) = (&first.world, first.store.clone());
    let mut parts = parts(world, store, &first.clock, journal, &first.counters);
    parts.config.domains_in_memory_max = 1;
    let keeper = Keeper::new(parts);
    world.announce("1");
    world.serve(Ok(ENFORCE));
    keeper.standing(&domain()).await.unwrap();
    for number in 0..1_000 {
        let other = format!("{number}.example").parse().unwrap();
        keeper.standing(&other).await.unwrap();
    }
    assert!(keeper.desk.memory.recall(domain().as_str()).is_none());
    let known = keeper.known(&domain()).unwrap();
    assert_eq!(brief(&known.sts), "1 enforce -");
    world.set_txt("_mta-sts.example.org", Err(servfail()));
    let standing = keeper.standing(&domain()).await.unwrap();
    assert_eq!(brief(&standing.sts), "1 enforce -");
}

#[tokio::test]
async fn b33_an_old_policy_on_the_disk_that_expired_takes_no_newer_one_along() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    // As if the newer one could not be written.
    let mut old = bench.store.kept_policy(&domain()).unwrap().unwrap();
    old.fetched_at = START.plus_seconds(-700_000);
    bench.store.keep_policy(&domain(), &old).unwrap();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&bench.keeper).run(stopped));
    while bench.store.kept_policies().unwrap().len() == 1 {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    bench.world.set_txt("_mta-sts.example.org", Err(servfail()));
    bench.clock.advance_seconds(600);
    assert_eq!(bench.ask_briefly().await, "1 enforce -");
}

#[tokio::test]
async fn b34_a_policy_fetched_by_a_clock_set_back_since_is_fetched_anew() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    let now = START.plus_seconds(-300_000_000);
    bench.clock.set(now);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&bench.keeper).run(stopped));
    until_fetches(&bench, 2).await;
    while bench
        .store
        .kept_policy(&domain())
        .unwrap()
        .unwrap()
        .fetched_at
        != now
    {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(bench.ask_briefly().await, "1 enforce -");
}

#[tokio::test]
async fn the_operator_is_not_held_back_by_a_failed_fetch() {
    let bench = bench();
    bench.world.announce("1");
    bench.ask().await;
    bench.world.serve(Ok(ENFORCE));
    let standing = bench.keeper.refresh(&domain()).await.unwrap();
    assert_eq!(brief(&standing.sts), "1 enforce -");
    assert_eq!(bench.world.counts(), (2, 2));
}

/// Lets the background work until the world has seen so many fetches, or fails.
async fn until_fetches(bench: &Bench, fetches: usize) {
    for _ in 0..100_000 {
        if bench.world.counts().1 >= fetches {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("{:?}, not {fetches} fetches", bench.world.counts());
}

#[tokio::test]
async fn b34_policies_are_refreshed_daily_and_so_never_expire() {
    let bench = bench();
    bench.world.announce("1");
    let short = ENFORCE.replace("604800", "172800");
    bench.world.serve(Ok(&short));
    bench.ask().await;
    // Whatever the record says.
    bench.world.set_txt("_mta-sts.example.org", Ok(Vec::new()));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&bench.keeper).run(stopped));
    for day in 1..=10 {
        bench.clock.advance_seconds(86_400);
        until_fetches(&bench, day + 1).await;
        assert_eq!(bench.ask_briefly().await, "1 enforce -");
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(bench.world.counts().1, 11);
    assert!(bench.notes().is_empty());
}

#[tokio::test]
async fn b34_b37_a_refresh_that_keeps_failing_is_noted_until_the_policy_expires_and_is_dropped() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    bench.world.serve(Err(FetchError::Certificate(
        "certificate-expired".to_owned(),
    )));
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&bench.keeper).run(stopped));
    let mut notes = Vec::new();
    for try_number in 1..=3 {
        bench.clock.advance_seconds(86_400);
        while notes.len() < try_number {
            tokio::task::yield_now().await;
            notes.extend(bench.notes());
        }
    }
    assert!(notes.iter().all(|note| matches!(
        &note.verdict,
        Verdict::Note(failure) if failure.result == ResultType::StsWebpkiInvalid
    )));
    bench.clock.set(START.plus_seconds(604_800));
    while bench.store.kept_policies().unwrap().len() == 1 {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(bench.keeper.known(&domain()), None);
}

#[tokio::test]
async fn a15_a_failed_rua_lookup_is_not_absence() {
    let bench = bench();
    let rua = || async { bench.keeper.rua(&domain()).await };
    assert_eq!(rua().await, Ok(RuaDiscovery::Absent));
    bench
        .world
        .set_txt("_smtp._tls.example.org", Err(servfail()));
    assert_eq!(rua().await, Err(servfail()));
    let record = "v=TLSRPTv1; rua=mailto:a@x,ftp:x".to_owned();
    bench
        .world
        .set_txt("_smtp._tls.example.org", Ok(vec![record]));
    let Ok(RuaDiscovery::Found(record)) = rua().await else {
        panic!("not found");
    };
    assert_eq!(record.destinations, [Destination::Mail("a@x".to_owned())]);
}

#[tokio::test]
async fn a16_the_last_valid_record_is_learnt_until_there_is_authentically_none() {
    let bench = bench();
    let rua = || async { bench.keeper.rua(&domain()).await };
    let set = |answer| bench.world.set_txt("_smtp._tls.example.org", answer);
    let learnt = |since| {
        let learnt = bench.keeper.learnt_rua(&domain(), since);
        learnt.map(|record| record.destinations)
    };
    let mail = |mailbox: &str| Some(vec![Destination::Mail(mailbox.to_owned())]);
    assert_eq!(learnt(START), None);
    for (answer, expected) in [
        (
            Ok(vec!["v=TLSRPTv1; rua=mailto:a@x".to_owned()]),
            mail("a@x"),
        ),
        (Err(servfail()), mail("a@x")),
        (
            Ok(vec!["v=TLSRPTv1; rua=mailto:b@x".to_owned()]),
            mail("b@x"),
        ),
        (Ok(Vec::new()), None),
        (Err(servfail()), None),
    ] {
        set(answer);
        let _found = rua().await;
        assert_eq!(learnt(START), expected);
        assert_eq!(
            learnt(START.plus_seconds(1)),
            None,
            "that day's, and no older one"
        );
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_read_hides_no_policy_and_stops_no_other_mail() {
    let world = Arc::new(World::default());
    let clock = StoppedClock::at(START);
    let counters = Arc::new(Counters::default());
    let (journal, _records) = Journal::new(1, Arc::clone(&counters));
    let store = Arc::new(DamagedStore::default());
    let keeper = Keeper::new(parts(&world, store.clone(), &clock, journal, &counters));
    let ask = || async {
        let answer = keeper.standing(&domain()).await;
        answer.map(|standing| brief(&standing.sts))
    };
    // It may hold a policy that is to be enforced.
    world.set_txt("_mta-sts.example.org", Err(servfail()));
    assert_eq!(ask().await, Err(Unknown::Store(damaged())));
    assert_eq!(keeper.known(&domain()), None);
    world.announce("1");
    assert_eq!(ask().await, Err(Unknown::Store(damaged())));
    assert_eq!(ask().await, Err(Unknown::Store(damaged())));
    assert_eq!(world.counts().1, 1, "the failed fetch is left alone");
    // Nothing announced is an answer, and so is a policy that can be fetched.
    world.set_txt("_mta-sts.example.org", Ok(Vec::new()));
    assert_eq!(ask().await, Ok("none".to_owned()));
    clock.advance_seconds(600);
    world.announce("1");
    world.serve(Ok(ENFORCE));
    assert_eq!(ask().await, Ok("1 enforce -".to_owned()));
    // From then on memory has it.
    world.set_txt("_mta-sts.example.org", Err(servfail()));
    clock.advance_seconds(600);
    assert_eq!(ask().await, Ok("1 enforce -".to_owned()));
    assert_eq!(brief(&keeper.known(&domain()).unwrap().sts), "1 enforce -");
    assert!(keeper.list().await.is_err());
    assert!(keeper.purge(&domain()).await.is_err());
}

#[tokio::test]
async fn b33_a_policy_that_could_not_be_written_is_written_at_the_next_lookup() {
    let world = Arc::new(World::default());
    let clock = StoppedClock::at(START);
    let counters = Arc::new(Counters::default());
    let (journal, _records) = Journal::new(1, Arc::clone(&counters));
    let store = Arc::new(DamagedStore::default());
    let keeper = Keeper::new(parts(&world, store.clone(), &clock, journal, &counters));
    world.announce("1");
    world.serve(Ok(ENFORCE));
    for (mended, expected) in [(false, false), (false, false), (true, true)] {
        store.mended.store(mended, Ordering::Relaxed);
        keeper.standing(&domain()).await.unwrap();
        let written = store.written.lock().unwrap().take();
        assert_eq!(written.is_some_and(|kept| kept.id == "1"), expected);
        clock.advance_seconds(600);
    }
    keeper.standing(&domain()).await.unwrap();
    assert_eq!(*store.written.lock().unwrap(), None, "once is enough");
    assert_eq!(world.counts(), (4, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_answer_is_cheap() {
    let bench = bench();
    bench.world.announce("1");
    bench.world.serve(Ok(ENFORCE));
    bench.ask().await;
    let domain = domain();
    #[expect(
        clippy::disallowed_methods,
        reason = "the time taken is what is measured"
    )]
    let start = std::time::Instant::now();
    for _ in 0..100_000 {
        let standing = bench.keeper.standing(&domain).await.unwrap();
        assert_eq!(standing.domain, domain);
    }
    let each = start.elapsed() / 100_000;
    println!("a warm answer: {each:?}");
    assert_eq!(bench.world.counts(), (1, 1));
    // Unoptimised and on a busy machine; what must not come in is a disk or a network.
    assert!(each < Duration::from_micros(100), "{each:?}");
    assert_eq!(
        bench.keeper.known(&domain).unwrap().applied().policy_type,
        PolicyType::Sts
    );
    assert!(matches!(
        bench.ask().await,
        StsStanding::InForce { kept, .. } if kept.policy.mode == Mode::Enforce
    ));
}
