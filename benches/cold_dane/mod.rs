//! What DANE costs a domain that nothing is known of: questions to the DNS, and time.
//!
//! The DNS is made of values, and each answer takes a fixed time, so that what is asked at once shows:
//! divided by that time, the wall time is the length of the longest chain of questions. It stands for a
//! resolver that has to go to the world for each; one that has the answer takes a fiftieth of it.
//!
//! Then the same over the kit's resolvers on this machine, which have all answers: by the word of one that validates,
//! and validated here. The difference is what our own validation asks and computes.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealpost::{
    clock::{BoxFuture, SystemClock},
    config::{DaneConfig, DnsConfig},
    engine::dane::{DaneParts, DaneResolver, DaneSource as _},
    net::{
        dns::{Found, Lookup, Mx, SecureDns},
        dnssec::{Anchors, SecureResolver},
    },
    policy::{PolicyDomain, dane::TlsaRecord},
};
use sealpost_kit::{DnsServer, SignedInternet, Tlsa, Zone};
use tokio::runtime::Runtime;

use crate::{
    Outcome,
    figures::{now, say},
};

/// What each answer takes.
const ANSWER: Duration = Duration::from_millis(5);

/// How many domains are asked for, one after the other.
const DOMAINS: usize = 100;

/// Of a name in `one.test`, `two.test` or `unsigned.test` it knows everything.
#[derive(Default)]
struct SlowDns {
    questions: AtomicUsize,
}

impl SlowDns {
    /// `questions` are sent at once.
    async fn answer<T>(&self, name: &str, questions: usize, values: Vec<T>) -> Lookup<T> {
        self.questions.fetch_add(questions, Ordering::Relaxed);
        tokio::time::sleep(ANSWER).await;
        let found = Found {
            values,
            expanded: None,
            time_to_live: Duration::from_secs(300),
        };
        if name.ends_with("unsigned.test") {
            Lookup::Insecure(found)
        } else {
            Lookup::Secure(found)
        }
    }
}

impl SecureDns for SlowDns {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<Mx>> {
        let hosts = if name.ends_with("two.test") { 2 } else { 1 };
        let records = (1..=hosts).map(|number| Mx {
            preference: 10 * number,
            exchange: format!("mx{number}.{name}"),
        });
        Box::pin(self.answer(name, 1, records.collect()))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<IpAddr>> {
        // A and AAAA.
        Box::pin(self.answer(name, 2, vec![[192, 0, 2, 1].into()]))
    }

    fn alias<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<String>> {
        Box::pin(self.answer(name, 1, Vec::new()))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<TlsaRecord>> {
        let record = TlsaRecord {
            usage: 3,
            selector: 1,
            matching: 1,
            association: vec![7; 32],
        };
        Box::pin(self.answer(name, 1, vec![record]))
    }
}

/// Prints questions and wall time for each kind of domain.
pub(crate) fn measure(runtime: &Runtime) -> Outcome {
    // A timer is late by a millisecond or so: what an answer really takes.
    let begun = now();
    for _ in 0..DOMAINS {
        runtime.block_on(async { tokio::time::sleep(ANSWER).await });
    }
    let answer = begun.elapsed() / u32::try_from(DOMAINS)?;
    for (what, zone, decides) in [
        ("signed, one MX host", "one.test", true),
        ("signed, two MX hosts", "two.test", true),
        ("unsigned, one MX host", "unsigned.test", false),
    ] {
        let dns = Arc::new(SlowDns::default());
        let resolver = over(Arc::<SlowDns>::clone(&dns));
        let begun = now();
        for number in 0..DOMAINS {
            let domain: PolicyDomain = format!("d{number}.{zone}").parse()?;
            let dane = runtime.block_on(resolver.domain(&domain));
            if dane.decides_on_all() != decides {
                return Err(format!("{domain}: {dane:?}").into());
            }
        }
        let each = begun.elapsed() / u32::try_from(DOMAINS)?;
        let questions = dns.questions.load(Ordering::Relaxed) / DOMAINS;
        let deep = each.as_secs_f64() / answer.as_secs_f64();
        say(&format!(
            "DANE, {what:22} {questions} questions, {each:.1?} a domain: {deep:.1} answers of {answer:.1?} one after the other"
        ));
    }
    say(
        "beside them, at the same time: one for _mta-sts. postfix-tlspol asks 6 for a domain with MTA-STS",
    );
    by_word_and_by_ourselves(runtime)
}

fn over(dns: Arc<dyn SecureDns>) -> DaneResolver {
    DaneResolver::new(DaneParts {
        validation: Arc::new(move || Some(Arc::clone(&dns))),
        clock: Arc::new(SystemClock),
        counters: Arc::default(),
        config: DaneConfig::default(),
        port: 25,
    })
}

/// Prints what a cold domain costs by the word of a resolver of this machine, and validated here.
fn by_word_and_by_ourselves(runtime: &Runtime) -> Outcome {
    let address = IpAddr::from([127, 0, 0, 9]);
    let config = DnsConfig::default();
    for (kind, is_signed) in [("signed", true), ("unsigned", false)] {
        let names: Vec<String> = (0..DOMAINS)
            .map(|number| format!("d{number}.test"))
            .collect();
        let marking = runtime.block_on(DnsServer::start())?;
        let mut builder = SignedInternet::builder();
        for name in &names {
            let host = format!("mx.{name}");
            let base = format!("_25._tcp.{host}");
            marking.set_mx(name, &[(10, &host)]);
            marking.set_addresses(&host, &[address]);
            marking.set_tlsa(&base, &[Tlsa::of_no_key()]);
            let zone = if is_signed {
                marking.sign(name);
                Zone::signed()
            } else {
                Zone::unsigned()
            };
            let zone = zone.mx(name, &[(10, &host)]).addresses(&host, &[address]);
            builder = builder.zone(name, zone.tlsa(&base, &[Tlsa::of_no_key()]));
        }
        let passing_on = runtime.block_on(builder.start())?;

        let believing = SecureResolver::believing(vec![marking.address()], &config)
            .map_err(|far| format!("{far} is not of this machine"))?;
        let took = ask_for_each(runtime, Arc::new(believing), &names, is_signed)?;
        say_cost(
            kind,
            "by the word of a resolver",
            marking.questions().len(),
            took,
        );

        let anchors = Anchors::parse(passing_on.anchor_dnskey())?;
        let servers = vec![passing_on.address()];
        let own = SecureResolver::validating(servers, &config, anchors, Arc::new(SystemClock));
        let took = ask_for_each(runtime, Arc::new(own), &names, is_signed)?;
        say_cost(kind, "validated here", passing_on.questions().len(), took);
    }
    Ok(())
}

fn ask_for_each(
    runtime: &Runtime,
    dns: Arc<dyn SecureDns>,
    names: &[String],
    decides: bool,
) -> Outcome<Duration> {
    let resolver = over(dns);
    let begun = now();
    for name in names {
        let domain: PolicyDomain = name.parse()?;
        let dane = runtime.block_on(resolver.domain(&domain));
        if dane.decides_on_all() != decides {
            return Err(format!("{domain}: {dane:?}").into());
        }
    }
    Ok(begun.elapsed())
}

fn say_cost(kind: &str, way: &str, questions: usize, took: Duration) {
    let domains = DOMAINS as f64;
    say(&format!(
        "DANE, a cold {kind} domain, {way:25} {:.1} questions, {:.2} ms",
        questions as f64 / domains,
        took.as_secs_f64() * 1_000.0 / domains
    ));
}
