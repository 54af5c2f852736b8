//! How fast sessions are recorded, and what they take on the disk:
//! `cargo bench --bench record [-- SESSIONS [DOMAINS [FAILURE_PERCENT]]]`.
//!
//! The measured way is the product's: records made by the caller, the journal, the recorder, a
//! store in a temporary directory of the working directory's disk, and a sync at the end. The
//! ceiling, measured in the same run, is a map in memory that counts the same records and writes
//! nothing. Then a month of reported days is filled, sealed, read and forgotten.

use std::{collections::HashMap, hint::black_box, path::Path, sync::Arc, time::Duration};

use sealpost::{
    clock::{SystemClock, UtcDay},
    config::StoreConfig,
    observe::Counters,
    policy::{AppliedPolicy, Fingerprint, PolicyDomain, PolicyType},
    record::{Failure, SessionRecord, Source, Verdict, journal::Journal, protection::Protection},
    store::{Batch, Counted, Recorder, SledStore, Store, TallyKey},
};
use sealpost_plugin_api::ResultType;

mod figures;
mod memory;
mod random;

use figures::{now, say};
use memory::megabytes as memory_megabytes;
use random::mixed;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const DAY: UtcDay = UtcDay(20_781);

fn main() -> Outcome {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let sessions: usize = numbers.next().unwrap_or(1_000_000);
    let domains: usize = numbers.next().unwrap_or(10_000);
    let failure_percent: u64 = numbers.next().unwrap_or(1) as u64;
    let mut traffic = Traffic::new(domains, failure_percent)?;
    say(&format!(
        "{sessions} sessions, {domains} domains, {failure_percent} % failures"
    ));
    say(&format!(
        "ceiling, a map in memory:      {}",
        per_second(sessions, ceiling(&traffic, sessions))
    ));
    record(&traffic, sessions)?;
    traffic.protection = Some(Protection::Tls);
    say("the same, with what protected each session:");
    record(&traffic, sessions)?;
    month(30, 100_000)
}

/// Sessions as an MTA would tell them: few domains get most of the mail.
struct Traffic {
    domains: Vec<(PolicyDomain, Arc<AppliedPolicy>)>,
    /// The share of the mail up to each domain, of 1.
    shares: Vec<f64>,
    failure_percent: u64,
    /// What is noted of each session, if anything is.
    protection: Option<Protection>,
}

impl Traffic {
    fn new(count: usize, failure_percent: u64) -> Outcome<Self> {
        let mut domains = Vec::new();
        let mut shares = Vec::new();
        let mut sum = 0.0;
        for number in 0..count {
            let domain: PolicyDomain = format!("recipient-{number}.example").parse()?;
            let policy = Arc::new(AppliedPolicy::no_policy_found(domain.clone()));
            domains.push((domain, policy));
            sum += 1.0 / (number + 1) as f64;
            shares.push(sum);
        }
        shares.iter_mut().for_each(|share| *share /= sum);
        Ok(Self {
            domains,
            shares,
            failure_percent,
            protection: None,
        })
    }

    fn session(&self, number: usize) -> Option<SessionRecord> {
        let random = mixed(number as u64);
        let chance = f64::from((random >> 32) as u32) / f64::from(u32::MAX);
        let place = self.shares.partition_point(|share| *share < chance);
        let (domain, policy) = self.domains.get(place.min(self.domains.len() - 1))?;
        let verdict = if random % 100 < self.failure_percent {
            Verdict::Failure(vec![Failure {
                mx: Some(format!("mx{}.{domain}", random % 3)),
                receiving_ip: Some([192, 0, 2, (random % 7) as u8].into()),
                ..Failure::of_policy(ResultType::CertificateExpired, "certificate has expired")
            }])
        } else {
            Verdict::Success
        };
        Some(SessionRecord {
            at: DAY
                .first_second()
                .plus_seconds(i64::try_from(number % 86_400).unwrap_or(0)),
            domain: domain.clone(),
            policy: Arc::clone(policy),
            source: Source::Mta,
            verdict,
            protection: self.protection,
            sessions: 1,
        })
    }
}

fn ceiling(traffic: &Traffic, sessions: usize) -> Duration {
    let begun = now();
    let mut counts: HashMap<(PolicyDomain, Option<Failure>), u64> = HashMap::new();
    for record in (0..sessions).filter_map(|number| traffic.session(number)) {
        let failure = match record.verdict {
            Verdict::Success => None,
            Verdict::Failure(details) => details.into_iter().next(),
            Verdict::Note(detail) => Some(detail),
        };
        *counts.entry((record.domain, failure)).or_default() += 1;
    }
    black_box(counts.len());
    begun.elapsed()
}

fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        path: directory.join("store"),
        ..StoreConfig::default()
    }
}

fn record(traffic: &Traffic, sessions: usize) -> Outcome {
    let directory = tempfile::tempdir_in(".")?;
    let config = config(directory.path());
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&config)?);
    let counters = Arc::new(Counters::default());
    // Nothing may be dropped here, so the queue holds as much as the maker may run ahead.
    let (journal, reader) = Journal::new(sessions.min(1 << 20), Arc::clone(&counters));
    let recorder = Recorder::start(
        Arc::clone(&store),
        reader,
        &config,
        Arc::clone(&counters),
        Arc::new(SystemClock),
    )?;
    let begun = now();
    for number in 0..sessions {
        if let Some(record) = traffic.session(number) {
            journal.push(record);
        }
        if number % (1 << 19) == (1 << 19) - 1 {
            journal.sync()?;
        }
    }
    let pushed = begun.elapsed();
    journal.sync()?;
    let took = begun.elapsed();
    recorder.stop();
    say(&format!(
        "recorded and on the disk:      {}",
        per_second(sessions, took)
    ));
    say(&format!(
        "  of that, pushed:             {}",
        per_second(sessions, pushed)
    ));
    let rows: usize = store
        .domains(DAY)?
        .iter()
        .map(|domain| store.tallies(DAY, domain).map(|rows| rows.len()))
        .sum::<Result<_, _>>()?;
    say(&format!(
        "  {} commits, {rows} rows, {} failures kept singly, {:.1} MB on disk, {} dropped",
        counters.store_commits.value(),
        store.failures(DAY, None)?.len(),
        megabytes(&config.path)?,
        counters.sessions_dropped.value() + counters.sessions_dropped_disk.value(),
    ));
    drop(store);
    let begun = now();
    let _again = SledStore::open(&config)?;
    say(&format!(
        "  opened again in {} ms; resident {:.0} MB",
        begun.elapsed().as_millis(),
        memory_megabytes("VmRSS")
    ));
    Ok(())
}

fn month(days: u32, domains: u32) -> Outcome {
    let directory = tempfile::tempdir_in(".")?;
    let config = config(directory.path());
    let store = SledStore::open(&config)?;
    let (mut filled, mut sealed) = (Duration::ZERO, Duration::ZERO);
    let tlsa = tlsa_policies(1_000)?;
    for day in 0..days {
        let mut totals = std::collections::BTreeMap::new();
        let mut policies = std::collections::BTreeMap::new();
        for number in 0..domains {
            let domain: PolicyDomain = format!("recipient-{number}.example").parse()?;
            let mut octets = [0; 16];
            octets[..8].copy_from_slice(&mixed(u64::from(number)).to_be_bytes());
            octets[8..].copy_from_slice(&mixed(!u64::from(number)).to_be_bytes());
            let key = |counted| TallyKey {
                day: UtcDay(DAY.0 + day),
                domain: domain.clone(),
                policy: Fingerprint(octets),
                counted,
            };
            totals.insert(key(Counted::Successes), u64::from(number));
            let tls = Counted::Protected(Protection::Tls);
            totals.insert(key(tls), u64::from(number));
            if number % 10 == 0 {
                let policy = tlsa.get(number as usize / 10 % tlsa.len());
                let named = policy.map(|policy| (policy.fingerprint(), policy.clone()));
                totals.extend(named.iter().map(|(policy, _)| {
                    let key = key(Counted::Successes);
                    (
                        TallyKey {
                            policy: *policy,
                            ..key
                        },
                        1,
                    )
                }));
                policies.extend(named);
            }
            if number % 20 == 0 {
                totals.insert(key(Counted::Failures), 1);
                let detail = Failure::of_policy(ResultType::CertificateExpired, "expired");
                totals.insert(key(Counted::Detail(detail)), 1);
            }
        }
        let begun = now();
        store.commit(&Batch {
            totals,
            policies,
            ..Batch::default()
        })?;
        filled += begun.elapsed();
        let begun = now();
        store.seal(UtcDay(DAY.0 + day))?;
        sealed += begun.elapsed();
    }
    say(&format!(
        "{days} days of {domains} domains: filled in {} ms, sealed in {} ms, {:.0} MB on disk, resident {:.0} MB",
        filled.as_millis(),
        sealed.as_millis(),
        megabytes(&config.path)?,
        memory_megabytes("VmRSS"),
    ));
    drop(store);
    look_back(&config)
}

/// The TLSA records of so many MX hosts; a tenth of the domains have their mail at one of them.
fn tlsa_policies(hosts: u32) -> Outcome<Vec<AppliedPolicy>> {
    let policy = |host| -> Outcome<AppliedPolicy> {
        Ok(AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_string: vec![format!("3 1 1 {}", "AB".repeat(32))],
            ..AppliedPolicy::no_policy_found(format!("mx{host}.example").parse()?)
        })
    };
    (0..hosts).map(policy).collect()
}

fn look_back(config: &StoreConfig) -> Outcome {
    let begun = now();
    let store = SledStore::open(config)?;
    let opened = begun.elapsed();
    let begun = now();
    let listed = store.domains(DAY)?;
    let list = begun.elapsed();
    let begun = now();
    for domain in &listed {
        black_box(store.tallies(DAY, domain)?.len());
    }
    let read = begun.elapsed();
    let begun = now();
    black_box(store.protected(DAY)?.len());
    let protected = begun.elapsed();
    let (begun, before) = (now(), memory_megabytes("VmRSS"));
    let hosts = store.tlsa_hosts(DAY)?;
    say(&format!(
        "  its {} MX hosts with TLSA records found in {} ms, resident {:+.1} MB",
        hosts.hosts().count(),
        begun.elapsed().as_millis(),
        memory_megabytes("VmRSS") - before,
    ));
    let begun = now();
    store.forget(DAY)?;
    say(&format!(
        "  opened in {} ms; a day: {} domains listed in {} ms, each read in {} ms, what protected \
         them in {} ms, forgotten in {} ms",
        opened.as_millis(),
        listed.len(),
        list.as_millis(),
        read.as_millis(),
        protected.as_millis(),
        begun.elapsed().as_millis(),
    ));
    Ok(())
}

fn per_second(sessions: usize, took: Duration) -> String {
    format!(
        "{:>9.0} sessions/s ({} ms)",
        sessions as f64 / took.as_secs_f64(),
        took.as_millis()
    )
}

/// What the files take on the disk.
fn megabytes(directory: &Path) -> Outcome<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut blocks = 0;
    for entry in std::fs::read_dir(directory)? {
        blocks += entry?.metadata()?.blocks();
    }
    Ok(blocks as f64 * 512.0 / 1e6)
}
