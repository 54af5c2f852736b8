//! What every store must do, against the reference in memory and the one on disk; and what only
//! the one on disk can do: be opened again, be full, be damaged.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use sealpost::{
    clock::{Timestamp, UtcDay},
    config::{OverrideMode, StoreConfig},
    deliver::{
        DeliveryKey, DeliveryState, Step,
        suppression::{How, Refusal, SetBy, Suppression},
    },
    observe::audit::{AuditEntry, AuditKind},
    policy::{
        AppliedPolicy, Destination, KeptPolicy, Mode, MxPattern, PolicyDomain, PolicyType,
        StsPolicy,
    },
    record::{Failure, Source, protection::Protection},
    store::{
        Batch, Counted, FailureRecord, MemoryStore, Protected, SledStore, Store, StoreError,
        TallyKey,
        memory::FAILURES_PER_DOMAIN_DAY_MAX,
        open::{KeptIn, open_or_put_aside},
    },
};
use sealpost_plugin_api::ResultType;

mod copying;
mod decisions;
mod keeping;

use decisions::{chain_of, overridden, shown};

const DAY: UtcDay = UtcDay(20_781);
const NOW: Timestamp = Timestamp(20_781 * 86_400 + 3_600);

fn domain(name: &str) -> PolicyDomain {
    name.parse().unwrap()
}

fn applied(name: &str) -> AppliedPolicy {
    AppliedPolicy::no_policy_found(domain(name))
}

fn row(day: UtcDay, name: &str, counted: Counted) -> TallyKey {
    TallyKey {
        day,
        domain: domain(name),
        policy: applied(name).fingerprint(),
        counted,
    }
}

fn batch(rows: &[(TallyKey, u64)]) -> Batch {
    let policies = rows.iter().map(|(key, _)| {
        let policy = applied(key.domain.as_str());
        (policy.fingerprint(), policy)
    });
    Batch {
        totals: rows.iter().cloned().collect(),
        failures: Vec::new(),
        policies: policies.collect(),
    }
}

fn failure(number: usize) -> Failure {
    Failure {
        mx: Some(format!("mx{number}.example")),
        ..Failure::of_policy(ResultType::CertificateExpired, "expired")
    }
}

fn failure_record(at: Timestamp, name: &str, number: usize) -> FailureRecord {
    FailureRecord {
        at,
        domain: domain(name),
        policy: applied(name).fingerprint(),
        source: Source::Mta,
        failure: failure(number),
    }
}

/// A policy as long as RFC 8461 s3.3 suggests taking: far longer than a row may be.
fn kept(id: &str, lines: usize) -> KeptPolicy {
    KeptPolicy {
        policy: StsPolicy {
            mode: Mode::Enforce,
            max_age_seconds: 86_400,
            mx: vec![MxPattern {
                wildcard: true,
                name: "example.org".parse().unwrap(),
            }],
            lines: (0..lines)
                .map(|line| format!("mx: mx{line}.example.org"))
                .collect(),
        },
        id: id.to_owned(),
        fetched_at: NOW,
        tried_at: NOW,
    }
}

fn delivery(day: UtcDay, name: &str, destination: &str) -> (DeliveryKey, DeliveryState) {
    let key = DeliveryKey {
        day,
        domain: domain(name),
        destination: Destination::Mail(destination.to_owned()),
    };
    let state = DeliveryState {
        report_id: "20781-1@reporter.example".to_owned(),
        attempts: 1,
        first_attempt_at: Some(NOW),
        step: Step::RetryAt {
            at: NOW.plus_seconds(600),
            reason: "451 later".to_owned(),
        },
    };
    (key, state)
}

fn suppression(words: &str) -> (Destination, Suppression) {
    let refusal = |how| Refusal {
        at: NOW,
        sent_at: NOW.plus_seconds(-60),
        how,
        words: words.to_owned(),
        report_id: "20781-1@reporter.example".to_owned(),
    };
    let suppression = Suppression {
        set_by: SetBy::Operator("asked by phone".to_owned()),
        since: NOW,
        until: Some(NOW.plus_seconds(86_400)),
        times: 2,
        taken_at: None,
        lifted_at: Some(NOW.plus_seconds(-1)),
        refusals: vec![refusal(How::Answer), refusal(How::Bounce)],
    };
    (Destination::Mail("rua@example.org".to_owned()), suppression)
}

/// Runs a test against both stores.
fn both(test: impl Fn(&dyn Store)) {
    test(&MemoryStore::default());
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    test(&SledStore::open(&config).unwrap());
    assert!(
        blobs(&config.path).is_empty(),
        "a page became too long for sled's log, where alone it is safe"
    );
}

fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        path: directory.join("store"),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    }
}

fn blobs(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("blobs")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn d14_totals_are_absolute_and_writing_them_twice_changes_nothing() {
    both(|store| {
        let key = row(DAY, "a.example", Counted::Successes);
        assert_eq!(store.total(&key), Ok(0));
        for total in [3, 3, 8] {
            store.commit(&batch(&[(key.clone(), total)])).unwrap();
            assert_eq!(store.total(&key), Ok(total));
        }
        assert_eq!(store.tallies(DAY, &key.domain), Ok(vec![(key, 8)]));
    });
}

#[test]
fn days_domains_and_rows_come_in_order() {
    both(|store| {
        assert_eq!(store.days(), Ok(vec![]));
        let names = ["b.example", "a.example.org", "a.example", "ab.example"];
        let mut rows = Vec::new();
        for day in [DAY, DAY.previous(), UtcDay(255), UtcDay(256)] {
            for name in names {
                for counted in [
                    Counted::Detail(failure(2)),
                    Counted::Successes,
                    Counted::Detail(failure(1)),
                    Counted::Failures,
                ] {
                    rows.push((row(day, name, counted), 1));
                }
            }
        }
        store.commit(&batch(&rows)).unwrap();
        assert_eq!(
            store.days(),
            Ok(vec![UtcDay(255), UtcDay(256), DAY.previous(), DAY])
        );
        let mut sorted = names.map(domain);
        sorted.sort();
        assert_eq!(store.domains(DAY), Ok(sorted.to_vec()));
        let counted: Vec<_> = store
            .tallies(DAY, &domain("a.example"))
            .unwrap()
            .into_iter()
            .map(|(key, _)| key.counted)
            .collect();
        let details = [failure(1), failure(2)].map(Counted::Detail);
        assert_eq!(counted[..2], [Counted::Successes, Counted::Failures]);
        assert_eq!(counted[2..], details);
        assert_eq!(store.domains(UtcDay(1)), Ok(vec![]));
        assert_eq!(store.tallies(DAY, &domain("a")), Ok(vec![]));
    });
}

fn all_of(store: &dyn Store, day: UtcDay) -> BTreeMap<TallyKey, u64> {
    let domains = store.domains(day).unwrap();
    domains
        .iter()
        .flat_map(|domain| store.tallies(day, domain).unwrap())
        .collect()
}

#[test]
fn a_sealed_day_reads_as_before_and_takes_late_sessions() {
    both(|store| {
        let rows: Vec<_> = (0..700)
            .flat_map(|number| {
                let name = format!("d{number}.example");
                [
                    (row(DAY, &name, Counted::Successes), number + 1),
                    (row(DAY, &name, Counted::Failures), 2),
                    (row(DAY, &name, Counted::Detail(failure(1))), 2),
                ]
            })
            .collect();
        let other = (row(DAY.next(), "d1.example", Counted::Successes), 77);
        store.commit(&batch(&rows)).unwrap();
        store.commit(&batch(std::slice::from_ref(&other))).unwrap();
        let mut expected: BTreeMap<_, _> = rows.iter().cloned().collect();
        assert_eq!(all_of(store, DAY), expected);
        store.seal(DAY).unwrap();
        assert_eq!(all_of(store, DAY), expected);
        assert_eq!(store.days(), Ok(vec![DAY, DAY.next()]));
        // Late sessions: a row that is packed, and a domain that is not.
        for (name, total) in [
            ("d3.example", 1_000),
            ("late.example", 1),
            ("d3.example", 1_001),
        ] {
            let key = row(DAY, name, Counted::Successes);
            store.commit(&batch(&[(key.clone(), total)])).unwrap();
            assert_eq!(store.total(&key), Ok(total));
            expected.insert(key, total);
            assert_eq!(all_of(store, DAY), expected);
        }
        for _ in 0..3 {
            store.seal(DAY).unwrap();
            assert_eq!(all_of(store, DAY), expected);
        }
        assert_eq!(
            store.total(&row(DAY, "d699.example", Counted::Failures)),
            Ok(2)
        );
        assert_eq!(
            store.total(&row(DAY, "none.example", Counted::Failures)),
            Ok(0)
        );
        store.seal(UtcDay(5)).unwrap();
        store.forget(DAY).unwrap();
        assert_eq!(all_of(store, DAY), BTreeMap::new());
        assert_eq!(all_of(store, DAY.next()), BTreeMap::from([other.clone()]));
        assert_eq!(store.days(), Ok(vec![DAY.next()]));
    });
}

/// How many sessions of each domain went by DANE and in the clear.
fn dane_and_clear(store: &dyn Store, day: UtcDay) -> Vec<(String, u64, u64)> {
    let sessions = |(domain, protected): (PolicyDomain, Protected)| {
        let [dane, _, _, clear, _] = Protection::ALL.map(|each| protected.sessions(each));
        assert_eq!(dane + clear, protected.total());
        (domain.to_string(), dane, clear)
    };
    let of_day = store.protected(day).unwrap();
    of_day.into_iter().map(sessions).collect()
}

#[test]
fn what_protected_the_sessions_of_a_day_is_told_by_domain_whether_or_not_it_is_sealed() {
    both(|store| {
        let (dane, clear) = (Protection::Dane, Protection::Clear);
        let key = |name, protection| row(DAY, name, Counted::Protected(protection));
        let mut other_policy = key("a.example", dane);
        other_policy.policy = applied("b.example").fingerprint();
        store
            .commit(&batch(&[
                (row(DAY, "a.example", Counted::Successes), 9),
                (key("a.example", dane), 4),
                (other_policy, 3),
                (key("a.example", clear), 2),
                (key("b.example", clear), 1),
                // Counted before protection was noted.
                (row(DAY, "old.example", Counted::Successes), 5),
                (row(DAY.next(), "a.example", Counted::Protected(dane)), 8),
            ]))
            .unwrap();
        let mut expected = vec![
            ("a.example".to_owned(), 7, 2),
            ("b.example".to_owned(), 0, 1),
        ];
        assert_eq!(dane_and_clear(store, DAY), expected);
        store.seal(DAY).unwrap();
        assert_eq!(dane_and_clear(store, DAY), expected);
        // A late total wins over what is packed, before and after it is packed itself.
        store
            .commit(&batch(&[(key("b.example", clear), 6)]))
            .unwrap();
        expected[1].2 = 6;
        for _ in 0..2 {
            assert_eq!(dane_and_clear(store, DAY), expected);
            assert_eq!(store.total(&key("b.example", clear)), Ok(6));
            store.seal(DAY).unwrap();
        }
        store.forget(DAY).unwrap();
        assert_eq!(dane_and_clear(store, DAY), []);
        let next = [("a.example".to_owned(), 8, 0)];
        assert_eq!(dane_and_clear(store, DAY.next()), next);
    });
}

#[test]
fn a2_the_mx_hosts_of_a_day_are_found_with_their_recipient_domains() {
    both(|store| {
        let tlsa = |host: &str, record: &str| AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_domain: domain(host),
            policy_string: vec![record.to_owned()],
            mx_host: Vec::new(),
        };
        let mut batch = Batch::default();
        let mut session = |day, name: &str, policy: &AppliedPolicy| {
            let row = |counted| TallyKey {
                policy: policy.fingerprint(),
                ..row(day, name, counted)
            };
            batch.totals.insert(row(Counted::Successes), 1);
            batch.totals.insert(row(Counted::Failures), 1);
            batch.policies.insert(policy.fingerprint(), policy.clone());
        };
        let (old, new) = (
            tlsa("mx.host.example", "3 1 1 AA"),
            tlsa("mx.host.example", "3 1 1 BB"),
        );
        session(DAY, "b.example", &old);
        session(DAY, "b.example", &new);
        session(DAY, "a.example", &new);
        session(DAY, "a.example", &tlsa("mx2.a.example", "3 1 1 CC"));
        session(DAY, "a.example.net", &applied("a.example.net"));
        // A domain that is its own host.
        session(DAY, "mx.host.example", &old);
        session(DAY.next(), "c.example", &old);
        store.commit(&batch).unwrap();
        for _ in 0..2 {
            let found = store.tlsa_hosts(DAY).unwrap();
            let hosts: Vec<_> = found.hosts().map(PolicyDomain::as_str).collect();
            assert_eq!(hosts, ["mx.host.example", "mx2.a.example"]);
            let of = |host| -> Vec<&str> {
                let recipients = found.recipients(&domain(host)).iter();
                recipients.map(PolicyDomain::as_str).collect()
            };
            assert_eq!(
                of("mx.host.example"),
                ["a.example", "b.example", "mx.host.example"]
            );
            assert_eq!(of("mx2.a.example"), ["a.example"]);
            assert_eq!(of("b.example"), [""; 0]);
            store.seal(DAY).unwrap();
        }
        assert_eq!(
            store.tlsa_hosts(UtcDay(3)),
            Ok(sealpost::store::TlsaHosts::default())
        );
    });
}

#[test]
fn forgetting_a_day_takes_everything_of_it_and_policies_that_no_other_day_needs() {
    both(|store| {
        let next = DAY.next();
        for (day, name) in [
            (DAY, "both.example"),
            (DAY, "one.example"),
            (next, "both.example"),
        ] {
            store
                .commit(&batch(&[(row(day, name, Counted::Successes), 1)]))
                .unwrap();
            let singly = Batch {
                failures: vec![failure_record(day.first_second(), name, 1)],
                ..Batch::default()
            };
            store.commit(&singly).unwrap();
            let (key, state) = delivery(day, name, "rua@example.org");
            store.put_delivery(&key, &state).unwrap();
        }
        store
            .keep_policy(&domain("one.example"), &kept("1", 1))
            .unwrap();
        store.seal(next).unwrap();
        store.forget(DAY).unwrap();
        assert_eq!(store.days(), Ok(vec![next]));
        assert_eq!(store.failures(DAY, None), Ok(vec![]));
        assert_eq!(store.deliveries(DAY), Ok(vec![]));
        assert_eq!(store.failures(next, None).unwrap().len(), 1);
        assert_eq!(store.deliveries(next).unwrap().len(), 1);
        let policy = |name| store.applied_policy(applied(name).fingerprint());
        assert_eq!(policy("both.example"), Ok(Some(applied("both.example"))));
        assert_eq!(policy("one.example"), Ok(None));
        assert_eq!(
            store.kept_policy(&domain("one.example")),
            Ok(Some(kept("1", 1)))
        );
        store.forget(next).unwrap();
        assert_eq!(policy("both.example"), Ok(None));
        assert_eq!(store.days(), Ok(vec![]));
    });
}

#[test]
fn the_newest_failures_of_a_domain_and_day_are_kept() {
    both(|store| {
        let too_many = FAILURES_PER_DOMAIN_DAY_MAX + 5;
        for part in (0..too_many).collect::<Vec<_>>().chunks(300) {
            let at = |number: usize| NOW.plus_seconds(i64::try_from(number).unwrap());
            let failures = part
                .iter()
                .map(|number| failure_record(at(*number), "a.example", *number))
                .collect();
            store
                .commit(&Batch {
                    failures,
                    ..Batch::default()
                })
                .unwrap();
        }
        let others = vec![
            failure_record(NOW.plus_seconds(1), "b.example", 1),
            failure_record(NOW, "b.example", 2),
            failure_record(DAY.next().first_second(), "a.example", 3),
        ];
        store
            .commit(&Batch {
                failures: others,
                ..Batch::default()
            })
            .unwrap();
        let of = |name| store.failures(DAY, Some(&domain(name))).unwrap();
        let kept = of("a.example");
        assert_eq!(kept.len(), FAILURES_PER_DOMAIN_DAY_MAX);
        assert_eq!(kept[0].failure, failure(5));
        assert_eq!(kept.last().unwrap().failure, failure(too_many - 1));
        // By time, newest last.
        let numbers: Vec<_> = of("b.example").into_iter().map(|one| one.failure).collect();
        assert_eq!(numbers, [failure(2), failure(1)]);
        assert_eq!(
            store.failures(DAY, None).unwrap().len(),
            FAILURES_PER_DOMAIN_DAY_MAX + 2
        );
        assert_eq!(store.failures(DAY.next(), None).unwrap().len(), 1);
    });
}

#[test]
fn b33_policies_are_kept_whole_whatever_their_length() {
    both(|store| {
        let (one, other) = (domain("one.example"), domain("other.example"));
        assert_eq!(store.kept_policy(&one), Ok(None));
        // Short, long, longer, the same again, and short again.
        for (id, lines) in [("1", 1), ("2", 1_000), ("3", 2_600), ("3", 2_600), ("4", 0)] {
            store.keep_policy(&one, &kept(id, lines)).unwrap();
            assert_eq!(store.kept_policy(&one), Ok(Some(kept(id, lines))));
        }
        // The same policy for two domains, and for one of them no more.
        for domain in [&one, &other] {
            store.keep_policy(domain, &kept("5", 2_000)).unwrap();
        }
        let expected = vec![
            (one.clone(), kept("5", 2_000)),
            (other.clone(), kept("5", 2_000)),
        ];
        assert_eq!(store.kept_policies(), Ok(expected));
        store.purge_policy(&one).unwrap();
        store.purge_policy(&one).unwrap();
        assert_eq!(store.kept_policies(), Ok(vec![(other, kept("5", 2_000))]));
    });
}

#[test]
fn f16_a_delivery_stands_where_it_was_put() {
    both(|store| {
        let (key, mut state) = delivery(DAY, "a.example", "rua@example.org");
        assert_eq!(store.delivery(&key), Ok(None));
        for step in [Step::Due(NOW), Step::Sending(NOW), Step::Sent(NOW)] {
            state.step = step;
            store.put_delivery(&key, &state).unwrap();
            assert_eq!(store.delivery(&key), Ok(Some(state.clone())));
        }
        let long = "x".repeat(20_000);
        let mut all = vec![(key, state)];
        for (name, destination) in [("a.example", long.as_str()), ("b.example", "z@b.example")] {
            let (key, state) = delivery(DAY, name, destination);
            store.put_delivery(&key, &state).unwrap();
            all.push((key, state));
        }
        all.sort_by(|(one, _), (two, _)| one.cmp(two));
        assert_eq!(store.deliveries(DAY), Ok(all));
        assert_eq!(store.deliveries(DAY.next()), Ok(vec![]));
    });
}

/// Names, texts and policies of the greatest length, many of them: no page may grow so long that
/// sled puts it into a file of its own, which it does not bring to the disk (checked in `both`).
#[test]
fn g6_the_longest_rows_stay_within_the_log() {
    both(|store| {
        let label = "a".repeat(60);
        let mut rows = Vec::new();
        for number in 0..40 {
            let name = format!("d{number:02}.{label}.{label}.{label}.{label}");
            for detail in 0..40 {
                let text = |what: &str| Some(format!("{what}{detail}{}", "x".repeat(500)));
                let failure = Failure {
                    mx: text("mx"),
                    mx_helo: text("helo"),
                    reason: text("reason"),
                    ..failure(0)
                };
                rows.push((row(DAY, &name, Counted::Detail(failure)), 1));
            }
            store
                .keep_policy(&domain(&name), &kept("1", 2_600))
                .unwrap();
        }
        store.commit(&batch(&rows)).unwrap();
        let expected: BTreeMap<_, _> = rows.into_iter().collect();
        assert_eq!(all_of(store, DAY), expected);
        store.seal(DAY).unwrap();
        assert_eq!(all_of(store, DAY), expected);
    });
}

#[test]
fn d14_everything_is_there_when_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let rows = [
        (row(DAY, "a.example", Counted::Successes), 3),
        (row(DAY, "b.example", Counted::Detail(failure(1))), 4),
        (row(DAY.next(), "b.example", Counted::Failures), 5),
    ];
    let (key, state) = delivery(DAY, "a.example", "rua@example.org");
    {
        let store = SledStore::open(&config).unwrap();
        store.commit(&batch(&rows)).unwrap();
        store.seal(DAY).unwrap();
        store
            .keep_policy(&domain("a.example"), &kept("1", 2_000))
            .unwrap();
        store.put_delivery(&key, &state).unwrap();
        let (to, stands) = suppression("550 no such user");
        store.put_suppression(&to, &stands).unwrap();
    }
    let store = SledStore::open(&config).unwrap();
    let suppressed = vec![suppression("550 no such user")];
    assert_eq!(store.suppressions(), Ok(suppressed));
    for (key, total) in &rows {
        assert_eq!(store.total(key), Ok(*total));
    }
    assert_eq!(
        store.kept_policy(&domain("a.example")),
        Ok(Some(kept("1", 2_000)))
    );
    assert_eq!(store.delivery(&key), Ok(Some(state)));
    let mode = fs::metadata(&config.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else reads who was mailed");
}

#[test]
fn a_store_that_another_process_holds_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let held = SledStore::open(&config).unwrap();
    let path = config.path.display().to_string();
    let refused = StoreError::Held { path: path.clone() };
    assert_eq!(SledStore::open(&config).err(), Some(refused.clone()));
    assert_eq!(open_or_put_aside(&config, NOW).err(), Some(refused.clone()));
    assert_eq!(
        refused.to_string(),
        format!("the store at {path} is in use: another sealpost holds it")
    );
    drop(held);
    assert!(SledStore::open(&config).is_ok());
}

/// Writes rows, then changes sled's files.
fn with_rows_and_then(change: impl Fn(&Path)) -> (tempfile::TempDir, StoreConfig) {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let store = SledStore::open(&config).unwrap();
    store
        .commit(&batch(&[(row(DAY, "a.example", Counted::Successes), 3)]))
        .unwrap();
    store
        .keep_policy(&domain("a.example"), &kept("1", 2_000))
        .unwrap();
    let (key, state) = delivery(DAY, "a.example", "rua@example.org");
    store.put_delivery(&key, &state).unwrap();
    let (to, stands) = suppression("550 no such user");
    store.put_suppression(&to, &stands).unwrap();
    store
        .put_override(&overridden("a.example", OverrideMode::Audit, None))
        .unwrap();
    let noted = AuditEntry::new(NOW, AuditKind::Started, "sealpost");
    store.append_audit(&[noted.clone(), noted]).unwrap();
    drop(store);
    // Once more, so that there is a snapshot with something in it.
    drop(SledStore::open(&config).unwrap());
    change(&config.path);
    (directory, config)
}

fn snapshot(store: &Path) -> PathBuf {
    let mut entries = fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("snap.")
        })
        .unwrap()
}

/// sled panics over a snapshot that says nonsense with a right checksum; whatever it does, mail
/// goes on, the old files are kept, and the policies and deliveries in the log are saved.
#[test]
fn a_damaged_store_is_put_aside_and_what_can_be_saved_is() {
    let (directory, config) = with_rows_and_then(|store| {
        let path = snapshot(store);
        let mut bytes = fs::read(&path).unwrap();
        let length = bytes.len();
        for byte in &mut bytes[..length - 12] {
            *byte = !*byte;
        }
        let checksum = crc32(&bytes[..length - 12]);
        bytes[length - 4..].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    });
    assert!(matches!(
        SledStore::open(&config).err(),
        Some(StoreError::Damaged { .. })
    ));
    let opened = open_or_put_aside(&config, NOW).unwrap();
    let (aside, error) = opened.put_aside.unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert_eq!(aside, directory.path().join(format!("store.damaged-{NOW}")));
    assert!(aside.join("db").exists());
    assert_eq!(opened.kept_in, KeptIn::Disk);
    let store = opened.store;
    let (key, state) = delivery(DAY, "a.example", "rua@example.org");
    assert_eq!(
        store.kept_policy(&domain("a.example")),
        Ok(Some(kept("1", 2_000)))
    );
    assert_eq!(store.delivery(&key), Ok(Some(state)));
    let suppressed = vec![suppression("550 no such user")];
    assert_eq!(store.suppressions(), Ok(suppressed));
    let set = overridden("a.example", OverrideMode::Audit, None);
    assert_eq!(store.overrides(), Ok(vec![set]));
    let chain = chain_of(&shown(&*store));
    assert_eq!((chain.entries(), chain.broken_at()), (2, None));
    assert_eq!(
        store.total(&row(DAY, "a.example", Counted::Successes)),
        Ok(0)
    );
    store
        .commit(&batch(&[(row(DAY, "a.example", Counted::Successes), 1)]))
        .unwrap();
    // Nothing but the two stores is left lying about.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

/// The polynomial of zlib and Ethernet, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |mut sum, byte| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
        sum
    })
}

/// Octets changed all over the log: each store opens, or is put aside; none takes the daemon with
/// it, and afterwards sessions are taken.
#[test]
fn whatever_is_damaged_mail_goes_on() {
    for place in 0..24 {
        let (_directory, config) = with_rows_and_then(|store| {
            let path = store.join("db");
            let mut bytes = fs::read(&path).unwrap();
            let length = bytes.len();
            // The first places within what is written, the others over the whole file.
            let from = if place < 12 {
                place * 40
            } else {
                length * (place - 12) / 12
            };
            for byte in bytes.iter_mut().skip(from).take(64) {
                *byte ^= 0x5a;
            }
            fs::write(&path, bytes).unwrap();
        });
        let opened = open_or_put_aside(&config, NOW).unwrap();
        assert_ne!(opened.kept_in, KeptIn::Memory, "{place}");
        let key = row(DAY.next(), "b.example", Counted::Successes);
        let committed = opened.store.commit(&batch(&[(key.clone(), 1)]));
        match committed {
            Ok(()) => assert_eq!(opened.store.total(&key), Ok(1), "{place}"),
            // Damage that only shows when a page is needed: refused in words, not by a panic.
            Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error}"),
        }
    }
}

#[test]
fn a_store_that_cannot_be_opened_yet_is_opened_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    // A file where the directory should be: the system refuses, and an operator mends it.
    fs::write(&config.path, "").unwrap();
    let opened = open_or_put_aside(&config, NOW).unwrap();
    assert_eq!(
        (opened.kept_in, opened.put_aside.is_none()),
        (KeptIn::DiskLater, true)
    );
    let key = row(DAY, "a.example", Counted::Successes);
    assert!(matches!(
        opened.store.total(&key),
        Err(StoreError::Io { .. })
    ));
    let rows = batch(&[(key.clone(), 1)]);
    assert!(matches!(
        opened.store.commit(&rows),
        Err(StoreError::Io { .. })
    ));
    fs::remove_file(&config.path).unwrap();
    opened.store.commit(&rows).unwrap();
    assert_eq!(opened.store.total(&key), Ok(1));
}

#[test]
fn d10_an_applied_policy_reads_back_whole() {
    both(|store| {
        let policy = AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain("a.example"),
            policy_string: (0..3_000)
                .map(|line| format!("mx: mx{line}.example"))
                .collect(),
            mx_host: (0..3_000).map(|line| format!("mx{line}.example")).collect(),
        };
        let rows = Batch {
            policies: BTreeMap::from([(policy.fingerprint(), policy.clone())]),
            ..Batch::default()
        };
        store.commit(&rows).unwrap();
        store.commit(&rows).unwrap();
        assert_eq!(store.applied_policy(policy.fingerprint()), Ok(Some(policy)));
    });
}
