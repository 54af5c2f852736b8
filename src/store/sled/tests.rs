use std::fs::File;

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

use super::*;
use crate::{
    clock::Timestamp,
    store::{engine::Engine, open_or_put_aside, parted, trees::FORMAT},
};

/// What it is for, only the trial of power cuts shows.
#[test]
fn d14_each_write_is_kept_before_the_next_also_in_a_store_of_an_earlier_release() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        path: directory.path().join("store"),
        ..StoreConfig::default()
    };
    drop(SledStore::open(&config).unwrap());
    let log = File::open(config.path.join(LOG_FILE)).unwrap();
    let flags = || ioctl_getflags(&log).unwrap();
    if let Err(error) = ioctl_setflags(tempfile::tempfile().unwrap(), IFlags::SYNC) {
        assert!(std::env::var_os("CI").is_none(), "{error}");
        println!("\n##### SKIPPED: the attribute S of the store's log: {error} #####\n");
        return;
    }
    assert!(flags().contains(IFlags::SYNC));
    ioctl_setflags(&log, flags() - IFlags::SYNC).unwrap();
    drop(SledStore::open(&config).unwrap());
    assert!(flags().contains(IFlags::SYNC));
}

#[test]
fn a_store_from_the_future_is_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        path: directory.path().join("store"),
        ..StoreConfig::default()
    };
    drop(SledStore::open(&config).unwrap());
    let engine = Engine::open(&config.path, 1024 * 1024, Tidying::Never).unwrap();
    let about = engine.rows("about").unwrap();
    about.put(b"format", &(FORMAT + 1).to_be_bytes()).unwrap();
    engine.sync().unwrap();
    drop((about, engine));
    let expected = StoreError::FromTheFuture {
        path: config.path.display().to_string(),
        found: FORMAT + 1,
        known: FORMAT,
    };
    assert_eq!(SledStore::open(&config).err(), Some(expected.clone()));
    assert_eq!(
        open_or_put_aside(&config, Timestamp(0)).err(),
        Some(expected)
    );
    assert!(config.path.join(LOG_FILE).exists());
}

#[test]
fn a_store_of_format_1_is_read_on_and_noted_as_ours() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        path: directory.path().join("store"),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    };
    let policy = AppliedPolicy::no_policy_found("a.example".parse().unwrap());
    let key = TallyKey {
        day: UtcDay(20_000),
        domain: policy.policy_domain.clone(),
        policy: policy.fingerprint(),
        counted: crate::store::Counted::Successes,
    };
    let batch = Batch {
        totals: [(key.clone(), 3)].into(),
        ..Batch::default()
    };
    let store = SledStore::open(&config).unwrap();
    store.commit(&batch).unwrap();
    assert_eq!(store.unnoted_until(), Ok(None));
    drop(store);
    let format = || {
        let engine = Engine::open(&config.path, 1024 * 1024, Tidying::Never).unwrap();
        let about = engine.rows("about").unwrap();
        (about, engine)
    };
    let (about, engine) = format();
    about.put(b"format", &1_u32.to_be_bytes()).unwrap();
    engine.sync().unwrap();
    drop((about, engine));
    let store = SledStore::open(&config).unwrap();
    assert_eq!(store.total(&key), Ok(3));
    assert_eq!(store.protected(key.day), Ok(Vec::new()));
    assert_eq!(store.unnoted_until(), Ok(Some(key.day)));
    // What is counted later is nothing to it.
    let later = TallyKey {
        day: key.day.next(),
        ..key.clone()
    };
    let batch = Batch {
        totals: [(later, 3)].into(),
        ..Batch::default()
    };
    store.commit(&batch).unwrap();
    drop(store);
    let store = SledStore::open(&config).unwrap();
    assert_eq!(store.unnoted_until(), Ok(Some(key.day)));
    drop(store);
    let (about, _engine) = format();
    let found = about.value(b"format").unwrap().unwrap();
    assert_eq!(found, FORMAT.to_be_bytes());
}

/// A crash between the parts of a long value and the row that names them.
#[test]
fn parts_that_nothing_names_are_swept_when_the_store_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        path: directory.path().join("store"),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    };
    let parts =
        |store: &SledStore| store.read(|trees| Ok(trees.kept.parts().first(&[], None)?.is_some()));
    let store = SledStore::open(&config).unwrap();
    store
        .read(|trees| {
            let long = vec![7; 3 * parted::ROW_BYTES_MAX];
            trees.kept.put(&trees.engine, b"a.example", &long)?;
            trees.kept.heads().remove(b"a.example")?;
            trees.engine.sync()
        })
        .unwrap();
    assert_eq!(parts(&store), Ok(true));
    drop(store);
    assert_eq!(parts(&SledStore::open(&config).unwrap()), Ok(false));
}

/// F16: a delivery state that the disk has no room for is refused, and then nothing is sent.
#[test]
fn f16_below_the_mark_no_delivery_state_is_written_and_all_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        path: directory.path().join("store"),
        free_space_min_mib: 256,
        ..StoreConfig::default()
    };
    let key = DeliveryKey {
        day: UtcDay(20_000),
        domain: "a.example".parse().unwrap(),
        destination: Destination::Mail("r@a.example".to_owned()),
    };
    let state = |step| DeliveryState {
        report_id: "id@sender.example".to_owned(),
        attempts: 0,
        first_attempt_at: None,
        step,
    };
    let due = state(crate::deliver::Step::Due(Timestamp(1)));
    let store = SledStore::open(&config)
        .unwrap()
        .with_free_space(|_| Ok(256));
    store.put_delivery(&key, &due).unwrap();
    drop(store);
    let store = SledStore::open(&config)
        .unwrap()
        .with_free_space(|_| Ok(255));
    let sending = state(crate::deliver::Step::Sending(Timestamp(2)));
    assert!(matches!(
        store.put_delivery(&key, &sending),
        Err(StoreError::DiskFull { free_mib: 255, .. })
    ));
    assert_eq!(store.delivery(&key), Ok(Some(due)));
}
