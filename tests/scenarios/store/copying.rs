//! A copy of a store that goes on being written to.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use sealpost::{
    config::StoreConfig,
    observe::audit::{AuditEntry, AuditKind},
    record::protection::Protection,
    store::{Batch, Counted, MemoryStore, SledStore, Store, StoreError, TallyKey},
};

use super::{
    DAY, NOW, batch, blobs, chain_of, config, delivery, domain, failure_record, kept, overridden,
    row, shown, suppression,
};

/// Rows of one day that are committed together: between them in the store lie all others.
fn together() -> Vec<TallyKey> {
    let names = ["a.example", "m.example", "z.example"];
    let rows = names.iter().flat_map(|name| {
        [Counted::Successes, Counted::Protected(Protection::Tls)]
            .map(|counted| row(DAY, name, counted))
    });
    rows.collect()
}

/// A store with something in each tree, and in none of them so little that it is copied in a moment.
fn fill(store: &dyn Store) {
    for day in [DAY.previous(), DAY] {
        let rows = (0..4_000).map(|number| {
            let name = format!("n{number}.example");
            (row(day, &name, Counted::Successes), 7)
        });
        let failures =
            (0..200).map(|number| failure_record(day.first_second(), "n.example", number));
        let all = batch(&rows.collect::<Vec<_>>());
        let all = Batch {
            failures: failures.collect(),
            ..all
        };
        store.commit(&all).unwrap();
    }
    store.seal(DAY.previous()).unwrap();
    // Longer than a row may be.
    let long = kept("1", 2_000);
    store.keep_policy(&domain("a.example"), &long).unwrap();
    let (key, state) = delivery(DAY.previous(), "a.example", "rua@example.org");
    store.put_delivery(&key, &state).unwrap();
    let (destination, suppressed) = suppression("550 no such user");
    store.put_suppression(&destination, &suppressed).unwrap();
    let set = overridden("a.example", sealpost::config::OverrideMode::Off, None);
    store.put_override(&set).unwrap();
}

/// Commits, and notes decisions, until it is told to stop. The newest total of each of the rows is the number of commits.
fn commit_on(store: &dyn Store, stop: &AtomicBool, commits: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let number = commits.load(Ordering::Relaxed) + 1;
        let rows: Vec<_> = together().into_iter().map(|key| (key, number)).collect();
        let committed = Batch {
            failures: vec![failure_record(NOW, "a.example", 0)],
            ..batch(&rows)
        };
        store.commit(&committed).unwrap();
        commits.store(number, Ordering::Relaxed);
        let words = format!("decision {number}");
        let entry = AuditEntry::new(NOW, AuditKind::OverrideSet, words);
        store.append_audit(&[entry]).unwrap();
    }
}

fn opened(directory: &Path) -> (SledStore, StoreConfig) {
    let config = StoreConfig {
        path: directory.to_owned(),
        ..config(directory)
    };
    (SledStore::open(&config).unwrap(), config)
}

#[test]
fn a_copy_is_of_one_moment_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(&config(directory.path())).unwrap();
    fill(&store);
    fs::write(directory.path().join("store/alerts.json"), "{}").unwrap();
    let to = directory.path().join("copy");
    let (stop, commits) = (AtomicBool::default(), AtomicU64::default());
    let (copied, before, after) = thread::scope(|scope| {
        scope.spawn(|| commit_on(&store, &stop, &commits));
        while commits.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        let before = commits.load(Ordering::Relaxed);
        let copied = store.copy_to(&to);
        let after = commits.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        (copied.unwrap(), before, after)
    });
    assert!(after > before + 2, "{before} {after}");

    let (copy, copy_config) = opened(&to);
    let totals: Vec<u64> = together()
        .iter()
        .map(|key| copy.total(key).unwrap())
        .collect();
    let moment = totals[0];
    assert!(
        (before..=after).contains(&moment),
        "{before} {moment} {after}"
    );
    assert_eq!(totals, [moment; 6]);
    // One single failure for each commit, and the log of decisions of the same moment, unbroken.
    let singly = copy.failures(DAY, Some(&domain("a.example"))).unwrap();
    assert_eq!(singly.len() as u64, moment.min(1_000));
    let chain = chain_of(&shown(&copy));
    assert_eq!(chain.broken_at(), None);
    let decisions = chain.entries();
    assert!(
        decisions + 1 == moment || decisions == moment,
        "{decisions} {moment}"
    );

    // What nobody changed is there as it was.
    for day in [DAY.previous(), DAY] {
        let name = domain("n3999.example");
        assert_eq!(copy.tallies(day, &name), store.tallies(day, &name));
        assert_eq!(copy.tallies(day, &name).unwrap().len(), 1);
        let single = domain("n.example");
        let failures = copy.failures(day, Some(&single)).unwrap();
        assert_eq!(failures, store.failures(day, Some(&single)).unwrap());
        assert_eq!(failures.len(), 200);
        let policy = failures[0].policy;
        assert_eq!(copy.applied_policy(policy), store.applied_policy(policy));
    }
    assert_eq!(copy.kept_policies(), store.kept_policies());
    assert_eq!(copy.kept_policies().unwrap().len(), 1);
    let deliveries = copy.deliveries(DAY.previous()).unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries, store.deliveries(DAY.previous()).unwrap());
    assert_eq!(copy.suppressions().unwrap().len(), 1);
    assert_eq!(copy.overrides(), store.overrides());
    assert_eq!(fs::read_to_string(to.join("alerts.json")).unwrap(), "{}");
    assert!(copied.rows > 8_000 && copied.octets > 100_000, "{copied:?}");

    assert_eq!(
        fs::metadata(&to).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(blobs(&copy_config.path).is_empty());
    assert!(!directory.path().join("copy.partial").exists());
    // It is a store like any other.
    copy.commit(&batch(&[(together()[0].clone(), 99_999)]))
        .unwrap();
    copy.forget(DAY.previous()).unwrap();
}

#[test]
fn a_copy_writes_over_nothing_and_what_cannot_be_finished_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let below = |name: &str| directory.path().join(name);
    let store = SledStore::open(&config(directory.path())).unwrap();
    fs::create_dir(below("taken")).unwrap();
    fs::create_dir(below("under-way.partial")).unwrap();
    for (to, why) in [
        (below("taken"), "it is there already"),
        (below("store/copy"), "it is within the store"),
        (below("missing/copy"), "No such file or directory"),
        (
            below("under-way"),
            "another copy is being made, or one was cut off",
        ),
    ] {
        let refused = store.copy_to(&to).unwrap_err();
        assert!(matches!(refused, StoreError::NoCopy { .. }), "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    assert!(fs::read_dir(below("taken")).unwrap().next().is_none());
    store.commit(&batch(&[(together()[0].clone(), 1)])).unwrap();
    drop(store);

    // No more is written where the disk has less room than must be left.
    let full = StoreConfig {
        free_space_min_mib: u64::MAX,
        ..config(directory.path())
    };
    let store = SledStore::open(&full).unwrap();
    let refused = store.copy_to(&below("copy")).unwrap_err();
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused}");
    assert!(!below("copy").exists() && !below("copy.partial").exists());

    let refused = MemoryStore::default().copy_to(&below("copy")).unwrap_err();
    assert!(
        refused.to_string().contains("kept in memory only"),
        "{refused}"
    );
}
