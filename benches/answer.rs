//! What a delivery waits for: `cargo bench --bench answer [-- QUESTIONS]`.
//!
//! Measured is the engine's answer for one MX host of a domain whose policy is known, and for the domain
//! at once, the taking down of one session, and of one that Postfix tells, each on one thread, over
//! 10,000 domains. The ceiling, in the same run, is a map in memory that is asked for the same names.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use sealpost::{
    engine::Engine,
    hook::{Answer, Asker, AsyncHook as _, Said, basis::DaneUse},
    policy::AppliedPolicy,
    record::told::{Ending, Told},
};
use sealpost_plugin_api::{Facts, Outcome, Query, Session, StartTls, Verification};

mod world;

const DOMAINS: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let questions = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let questions: usize = questions.unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Nobody reads the journal: the queue is as long as the run, and the recorder has its own bench.
    let (engine, _journal, _reader) = world::engine(2 * questions, &Arc::default());
    let name_of = |number| format!("d{number}.example");
    let names: Vec<(String, String)> = (0..DOMAINS)
        .map(|number| (name_of(number), format!("mx.{}", name_of(number))))
        .collect();
    let mut policies = Vec::new();
    let mut answers = Vec::new();
    for (domain, mx) in &names {
        let answer = runtime.block_on(engine.policy(Query::new(domain).with_mx(mx)));
        policies.push(answer.requirement.policy.clone());
        answers.push(answer);
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
    let answering = timed(|| {
        runtime.block_on(async {
            for ((domain, mx), _) in asked() {
                black_box(engine.policy(Query::new(domain).with_mx(mx)).await);
            }
        });
    });
    say("an answer, policy known", questions, answering);
    let at_once = timed(|| {
        for ((domain, _), _) in asked() {
            black_box(engine.policy_at_once(&Query::new(domain), DaneUse::ToldAndItsOwn));
        }
    });
    say("the same for a domain, at once", questions, at_once);
    let facts = Facts::new(StartTls::Established).with_verification(Verification::Passed);
    let sessions = timed(|| {
        for ((domain, mx), policy) in asked() {
            let session = Session::new(domain, Outcome::Facts(facts));
            engine.session(&session.with_mx(mx).under_policy(policy));
        }
    });
    say("a session taken down", questions, sessions);

    what_postfix_tells(&engine, &names, &answers, questions)
}

/// What an answer to Postfix costs besides, and what it tells of its session later.
fn what_postfix_tells(
    engine: &Engine,
    names: &[(String, String)],
    answers: &[Arc<Answer>],
    questions: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let attempts = timed(|| {
        for answer in answers.iter().cycle().take(questions) {
            engine.answered(answer, Asker::Telling(Said::PolicyByName));
        }
    });
    say("an attempt taken down", questions, attempts);
    let mut told = Vec::new();
    for (answer, (domain, _)) in answers.iter().zip(names) {
        let applied = answer.applied.as_deref().cloned();
        let other = AppliedPolicy::no_policy_found(domain.parse()?);
        told.push(Told::new(
            domain.parse()?,
            applied.unwrap_or(other),
            Ending::Success,
        ));
    }
    let telling = timed(|| {
        for told in told.iter().cycle().take(questions) {
            engine.told(black_box(told), 1);
        }
    });
    say("a told session taken down", questions, telling);
    Ok(())
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
    println!("{what:30} {each:6} ns each, {number} in {took:?}");
}
