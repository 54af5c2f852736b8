//! Stores that released programs have written, as they wrote them: every later program must read all of it.
//!
//! `tests/fixtures/store-VERSION.tar.gz` is the store of that release, with a bit of everything in it. One that is
//! there is never written again. A release adds its own:
//!
//! ```text
//! cargo test --test all -- --ignored daemon::earlier_stores::writes_the_store_of_this_release
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sealpost::{
    clock::{Timestamp, UtcDay},
    config::StoreConfig,
    deliver::{
        DeliveryKey, DeliveryState, Step,
        suppression::{How, Refusal, SetBy, Suppression},
    },
    policy::{
        AppliedPolicy, Destination, KeptPolicy, Mode, MxPattern, PolicyDomain, PolicyType,
        StsPolicy,
    },
    record::{Failure, Source, protection::Protection},
    store::{Batch, Counted, FailureRecord, MemoryStore, SledStore, Store, TallyKey},
};
use sealpost_plugin_api::ResultType;
use serde_json::Value;

use super::host::Host;

/// The releases whose stores are here.
const RELEASES: [&str; 1] = ["0.1.0"];

/// The second of the two days that the stores are of; the first is sealed.
const DAY: UtcDay = UtcDay(20_781);

/// Domains with many rows, so that there is more than one block and page.
const DOMAINS: usize = 300;

fn fixture(release: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(format!("store-{release}.tar.gz"))
}

fn tar(arguments: &[&str], archive: &Path, directory: &Path) {
    let output = Command::new("tar")
        .args(arguments)
        .arg("--file")
        .arg(archive)
        .arg("--directory")
        .arg(directory)
        .arg("store")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn config(path: PathBuf) -> StoreConfig {
    StoreConfig {
        path,
        free_space_min_mib: 0,
        ..StoreConfig::default()
    }
}

fn at(seconds: i64) -> Timestamp {
    DAY.first_second().plus_seconds(seconds)
}

fn domain(name: &str) -> PolicyDomain {
    name.parse().unwrap()
}

fn sts() -> AppliedPolicy {
    AppliedPolicy {
        policy_type: PolicyType::Sts,
        policy_domain: domain("example.org"),
        policy_string: ["version: STSv1", "mode: enforce", "mx: *.example.org"]
            .map(str::to_owned)
            .to_vec(),
        mx_host: vec!["*.example.org".to_owned()],
    }
}

fn expired() -> Failure {
    Failure {
        mx: Some("mx1.example.org".to_owned()),
        mx_helo: Some("mx1".to_owned()),
        receiving_ip: Some("192.0.2.1".parse().unwrap()),
        sending_ip: Some("2001:db8::1".parse().unwrap()),
        ..Failure::of_policy(ResultType::CertificateExpired, "expired")
    }
}

/// What every release is to find: a bit of everything, the first day of the two sealed.
fn write(store: &dyn Store) {
    for day in [DAY.previous(), DAY] {
        store.commit(&batch(day)).unwrap();
    }
    store.seal(DAY.previous()).unwrap();
    store.keep_policy(&domain("example.org"), &kept()).unwrap();
    for (key, state) in deliveries() {
        store.put_delivery(&key, &state).unwrap();
    }
    let (destination, suppression) = suppression();
    store.put_suppression(&destination, &suppression).unwrap();
}

fn batch(day: UtcDay) -> Batch {
    let mut batch = Batch::default();
    let mut count = |policy: AppliedPolicy, domain: &PolicyDomain, counted, total| {
        let key = TallyKey {
            day,
            domain: domain.clone(),
            policy: policy.fingerprint(),
            counted,
        };
        batch.policies.insert(key.policy, policy);
        batch.totals.insert(key, total);
    };
    let example = domain("example.org");
    for (counted, total) in [
        (Counted::Successes, 5),
        (Counted::Failures, 2),
        (Counted::Detail(expired()), 2),
        (Counted::Protected(Protection::Sts), 5),
    ] {
        count(sts(), &example, counted, total);
    }
    for number in 0..DOMAINS {
        let name = domain(&format!("d{number}.example"));
        let policy = AppliedPolicy::no_policy_found(name.clone());
        count(policy, &name, Counted::Successes, 1);
    }
    batch.failures.push(FailureRecord {
        at: day.first_second().plus_seconds(3_600),
        domain: example,
        policy: sts().fingerprint(),
        source: Source::Mta,
        failure: expired(),
    });
    batch
}

/// Longer than a row may be, so that it is in parts.
fn kept() -> KeptPolicy {
    KeptPolicy {
        policy: StsPolicy {
            mode: Mode::Enforce,
            max_age_seconds: 604_800,
            mx: vec![MxPattern {
                wildcard: true,
                name: "example.org".parse().unwrap(),
            }],
            lines: (0..1_000)
                .map(|line| format!("mx: mx{line}.example.org"))
                .collect(),
        },
        id: "20261124".to_owned(),
        fetched_at: at(0),
        tried_at: at(60),
    }
}

fn deliveries() -> [(DeliveryKey, DeliveryState); 2] {
    let of = |destination, step| {
        let key = DeliveryKey {
            day: DAY.previous(),
            domain: domain("example.org"),
            destination,
        };
        let state = DeliveryState {
            report_id: "2026-11-23.example.org.0@sender.test".to_owned(),
            attempts: 1,
            first_attempt_at: Some(at(3_600)),
            step,
        };
        (key, state)
    };
    let mail = Destination::Mail("tlsrpt@example.org".to_owned());
    let https = Destination::Https("https://reports.example.org/tls".to_owned());
    let retry = Step::RetryAt {
        at: at(7_200),
        reason: "451 later".to_owned(),
    };
    [of(mail, Step::Sent(at(3_660))), of(https, retry)]
}

fn suppression() -> (Destination, Suppression) {
    let refusal = Refusal {
        at: at(3_700),
        sent_at: at(3_640),
        how: How::Bounce,
        words: "550 no such mailbox".to_owned(),
        report_id: "2026-11-23.example.net.0@sender.test".to_owned(),
    };
    let suppression = Suppression {
        set_by: SetBy::Refusals,
        since: at(3_700),
        until: Some(at(3 * 86_400)),
        times: 1,
        taken_at: None,
        lifted_at: None,
        refusals: vec![refusal],
    };
    let destination = Destination::Mail("rua@example.net".to_owned());
    (destination, suppression)
}

/// Everything that both hold, as text, so that a difference is seen.
fn all_of(store: &dyn Store) -> Vec<String> {
    let mut all = Vec::new();
    let mut take = |what: &str, value: &dyn std::fmt::Debug| all.push(format!("{what}: {value:?}"));
    let days = store.days().unwrap();
    take("days", &days);
    for day in days {
        for domain in store.domains(day).unwrap() {
            for (key, total) in store.tallies(day, &domain).unwrap() {
                take("row", &(&key, total));
                take("policy", &store.applied_policy(key.policy).unwrap());
            }
        }
        take("protected", &store.protected(day).unwrap());
        take("failures", &store.failures(day, None).unwrap());
        take("deliveries", &store.deliveries(day).unwrap());
    }
    take("kept", &store.kept_policies().unwrap());
    take("suppressions", &store.suppressions().unwrap());
    all
}

#[test]
fn d14_all_that_an_earlier_release_wrote_is_read_and_stays() {
    let meant = MemoryStore::default();
    write(&meant);
    let meant = all_of(&meant);
    assert!(meant.len() > 2 * 2 * DOMAINS);
    for release in RELEASES {
        let directory = tempfile::tempdir().unwrap();
        tar(
            &["--extract", "--gzip"],
            &fixture(release),
            directory.path(),
        );
        let config = config(directory.path().join("store"));
        // The second opening finds what the first has made of it.
        for _ in 0..2 {
            let store = SledStore::open(&config).unwrap();
            assert_eq!(all_of(&store), meant, "{release}");
        }
    }
}

#[test]
fn d14_the_daemon_goes_on_with_the_store_of_an_earlier_release() {
    for release in RELEASES {
        let mut host = Host::new();
        host.cut_off();
        // The next morning, before its reports are due.
        host.set_clock(DAY.next().first_second().plus_seconds(60));
        tar(
            &["--extract", "--gzip"],
            &fixture(release),
            host.directory(),
        );
        for _ in 0..2 {
            let daemon = host.start();
            let asked = |arguments: &[&str]| -> Value {
                let output = host.run(arguments);
                assert!(output.status.success(), "{arguments:?}: {output:?}");
                serde_json::from_slice(&output.stdout).unwrap()
            };
            for day in [DAY.previous(), DAY] {
                let day = day.to_string();
                let sessions = asked(&["sessions", "--day", &day, "--failures", "--json"]);
                let domains = sessions["domains"].as_array().unwrap();
                assert_eq!(domains.len(), DOMAINS + 1);
                let example = domains.iter().find(|one| one["domain"] == "example.org");
                let policy = &example.unwrap()["policies"][0];
                assert_eq!(
                    (&policy["successes"], &policy["failures"]),
                    (&5.into(), &2.into())
                );
            }
            let policy = asked(&["policy", "show", "example.org", "--json"]);
            assert_eq!(policy["id"], "20261124", "{policy}");
            let day = DAY.previous().to_string();
            let deliveries = asked(&["report", "list", "--day", &day, "--json"]);
            assert_eq!(deliveries["deliveries"].as_array().unwrap().len(), 2);
            let suppressed = asked(&["suppression", "list", "--json"]);
            let suppressed = suppressed["suppressions"].as_array().unwrap();
            assert_eq!(suppressed.len(), 1);
            assert!(daemon.stop().success());
        }
        let entries = fs::read_dir(host.directory()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut aside = names.filter(|name| name.to_string_lossy().contains("damaged"));
        assert_eq!(aside.next(), None);
    }
}

/// For a release, once.
#[test]
#[ignore = "writes the fixture of this release"]
fn writes_the_store_of_this_release() {
    let archive = fixture(env!("CARGO_PKG_VERSION"));
    assert!(
        !archive.exists(),
        "{}: it is there, and stays as it is",
        archive.display()
    );
    let directory = tempfile::tempdir().unwrap();
    write(&SledStore::open(&config(directory.path().join("store"))).unwrap());
    fs::create_dir_all(archive.parent().unwrap()).unwrap();
    let plain = [
        "--create",
        "--gzip",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ];
    tar(&plain, &archive, directory.path());
}
