//! What a delivery waits for: `cargo bench --bench answer [-- QUESTIONS]`.
//!
//! Measured is the engine's answer for one MX host of a domain whose policy is known, and the taking
//! down of one session, each on one thread, over 10,000 domains. The ceiling, in the same run, is a
//! map in memory that is asked for the same names.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use sealpost::{
    clock::{BoxFuture, Clock as _, StoppedClock, SystemClock},
    config::{PolicyConfig, WhenUnknown},
    engine::{
        Engine, EngineSettings,
        keeper::{Keeper, KeeperParts},
    },
    hook::{AsyncHook as _, overrides::Overrides},
    net::{
        dns::{Answer, Dns, DnsError, Mx, Security},
        https::{FetchError, PolicyHost},
    },
    observe::Counters,
    policy::PolicyDomain,
    record::journal::{Journal, JournalReader},
    store::{MemoryStore, Store},
};
use sealpost_plugin_api::{Facts, Outcome, Query, Session, StartTls, Verification};

const DOMAINS: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let questions = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let questions: usize = questions.unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Nobody reads the journal: the queue is as long as the run, and the recorder has its own bench.
    let (engine, _reader) = engine(questions);
    let name_of = |number| format!("d{number}.example");
    let names: Vec<(String, String)> = (0..DOMAINS)
        .map(|number| (name_of(number), format!("mx.{}", name_of(number))))
        .collect();
    let mut policies = Vec::new();
    for (domain, mx) in &names {
        let answer = runtime.block_on(engine.policy(Query::new(domain).with_mx(mx)));
        policies.push(answer.policy);
    }
    let asked = || names.iter().zip(&policies).cycle().take(questions);

    let map: HashMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(number, (domain, _))| (domain.as_str(), number))
        .collect();
    let ceiling = timed(|| {
        for ((domain, _), _) in asked() {
            black_box(map.get(black_box(domain.as_str())));
        }
    });
    say("ceiling, a map in memory", questions, ceiling);
    let answers = timed(|| {
        runtime.block_on(async {
            for ((domain, mx), _) in asked() {
                black_box(engine.policy(Query::new(domain).with_mx(mx)).await);
            }
        });
    });
    say("an answer, policy known", questions, answers);
    let facts = Facts::new(StartTls::Established).with_verification(Verification::Passed);
    let sessions = timed(|| {
        for ((domain, mx), policy) in asked() {
            let session = Session::new(domain, Outcome::Facts(facts));
            engine.session(&session.with_mx(mx).under_policy(policy));
        }
    });
    say("a session taken down", questions, sessions);
    Ok(())
}

/// An engine over a world that answers at once.
fn engine(sessions_max: usize) -> (Engine, JournalReader) {
    let clock = StoppedClock::at(SystemClock.now());
    let counters = Arc::new(Counters::default());
    let (journal, reader) = Journal::new(sessions_max, Arc::clone(&counters));
    let world = Arc::new(World);
    let keeper = Keeper::new(KeeperParts {
        dns: Arc::clone(&world) as _,
        policy_host: world,
        store: Arc::new(MemoryStore::default()) as Arc<dyn Store>,
        clock: Arc::new(clock.clone()),
        journal: journal.clone(),
        counters: Arc::clone(&counters),
        config: PolicyConfig::default(),
    });
    let settings = EngineSettings {
        overrides: Overrides::default(),
        when_unknown: WhenUnknown::Defer,
    };
    (
        Engine::new(
            Arc::new(keeper),
            journal,
            Arc::new(clock),
            counters,
            settings,
        ),
        reader,
    )
}

/// Every domain publishes the same kind of policy.
struct World;

impl Dns for World {
    fn txt<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        let answer = Answer {
            values: vec![b"v=STSv1; id=1".to_vec()],
            time_to_live: Duration::from_secs(3_600),
            security: Security::Unknown,
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::BadName {
            name: name.to_owned(),
        })))
    }

    fn addresses<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Answer<std::net::IpAddr>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::BadName {
            name: name.to_owned(),
        })))
    }
}

impl PolicyHost for World {
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        let document = format!(
            "version: STSv1\nmode: enforce\nmx: mx.{domain}\nmx: *.backup.{domain}\nmax_age: 604800\n"
        );
        Box::pin(std::future::ready(Ok(document.into_bytes())))
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
fn say(what: &str, number: usize, took: Duration) {
    let each = took.as_nanos() / u128::try_from(number.max(1)).unwrap_or(1);
    println!("{what:28} {each:6} ns each, {number} in {took:?}");
}
