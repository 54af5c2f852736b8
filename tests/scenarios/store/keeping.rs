//! What is kept of days: parts that go by themselves, how much is held, and a quota that bounds the file.

use std::{fs, time::Duration};

use sealpost::{
    clock::UtcDay,
    deliver::Step,
    store::{
        Batch, Counted, DayPart, Holdings, SledStore, Store,
        keeping::{DayHoldings, Quota},
    },
};

use super::{
    DAY, applied, batch, both, config, delivery, domain, failure, failure_record, kept, overridden,
    row,
};

/// A day with something of each part.
fn fill(store: &dyn Store, day: UtcDay, domains: usize) {
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let mut sent = Vec::new();
    for number in 0..domains {
        let name = format!("d{number}.example");
        rows.push((row(day, &name, Counted::Successes), 1));
        rows.push((row(day, &name, Counted::Detail(failure(number))), 1));
        failures.push(failure_record(day.first_second(), &name, number));
        let (key, mut state) = delivery(day, &name, "rua@example.org");
        state.step = Step::Sent(day.next().first_second());
        sent.push((key, state));
    }
    store.put_deliveries(&sent).unwrap();
    let failures = Batch {
        failures,
        ..batch(&rows)
    };
    store.commit(&failures).unwrap();
}

fn of_day(store: &dyn Store, day: UtcDay) -> DayHoldings {
    let held = store.holdings().unwrap();
    held.days.get(&day).copied().unwrap_or_default()
}

#[test]
fn each_part_of_a_day_goes_by_itself_and_the_others_stay() {
    both(|store| {
        let days = [DAY, DAY.next()];
        for day in days {
            fill(store, day, 2);
            store.seal(day).unwrap();
        }
        for (part, left) in [
            (DayPart::Failures, [false, true, true]),
            (DayPart::Counts, [false, false, true]),
            (DayPart::Reports, [false, false, false]),
        ] {
            store.forget_part(DAY, part).unwrap();
            let has = |day| DayPart::ALL.map(|part| store.days_of(part).unwrap().contains(&day));
            assert_eq!((has(DAY), has(DAY.next())), (left, [true; 3]), "{part:?}");
            let held = of_day(store, DAY);
            assert_eq!(DayPart::ALL.map(|part| held.of(part) > 0), left, "{part:?}");
        }
        assert_eq!(store.days(), Ok(vec![DAY.next()]));
        // The other day's policies are still told by their names.
        let policy = applied("d1.example");
        assert_eq!(store.applied_policy(policy.fingerprint()), Ok(Some(policy)));
    });
}

#[test]
fn what_is_held_is_told_by_day_and_part_and_becomes_less_by_what_is_forgotten() {
    both(|store| {
        assert_eq!(store.holdings(), Ok(Holdings::default()));
        fill(store, DAY, 10);
        let ten = of_day(store, DAY);
        fill(store, DAY.next(), 20);
        let twenty = of_day(store, DAY.next());
        for part in DayPart::ALL {
            let (ten, twenty) = (ten.of(part), twenty.of(part));
            assert!(
                ten > 300 && twenty > ten * 3 / 2 && twenty < ten * 3,
                "{part:?}: {ten}, {twenty}"
            );
        }
        assert!(!ten.has_open_report);
        let before = store.holdings().unwrap();
        assert!(before.rest > 0 && before.octets() > before.rest);
        assert!(store.file_octets().unwrap() >= before.octets());
        store.forget_part(DAY, DayPart::Failures).unwrap();
        let after = store.holdings().unwrap();
        assert_eq!(before.octets() - after.octets(), ten.failures);

        // What belongs to no day is held too, long values with their parts.
        store
            .keep_policy(&domain("a.example"), &kept("1", 2_000))
            .unwrap();
        let set = overridden("a.example", sealpost::config::OverrideMode::Off, None);
        store.put_override(&set).unwrap();
        let with_policy = store.holdings().unwrap();
        assert!(
            with_policy.rest > after.rest + 40_000,
            "{}",
            with_policy.rest
        );
        assert_eq!(with_policy.days, after.days);

        // A delivery that is to be tried again.
        let (key, state) = delivery(DAY, "d1.example", "other@example.org");
        store.put_delivery(&key, &state).unwrap();
        assert!(of_day(store, DAY).has_open_report);
        assert!(!of_day(store, DAY.next()).has_open_report);
    });
}

#[test]
fn what_the_quota_took_is_known_after_a_restart_and_never_goes_back() {
    both(|store| {
        assert_eq!(store.cut_until(DayPart::Counts), Ok(None));
        store.note_cut(DayPart::Counts, DAY).unwrap();
        store.note_cut(DayPart::Counts, DAY.previous()).unwrap();
        store.note_cut(DayPart::Failures, DAY.next()).unwrap();
        let until = DayPart::ALL.map(|part| store.cut_until(part).unwrap());
        assert_eq!(until, [Some(DAY.next()), Some(DAY), None]);
    });
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    SledStore::open(&config)
        .unwrap()
        .note_cut(DayPart::Counts, DAY)
        .unwrap();
    let store = SledStore::open(&config).unwrap();
    assert_eq!(store.cut_until(DayPart::Counts), Ok(Some(DAY)));
}

/// How many days pass.
const DAYS: u32 = 80;

#[test]
fn a_quota_bounds_what_is_held_and_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    // A day takes a sixth of a second here.
    let store = SledStore::open_tidied_every(&config, Duration::from_millis(20)).unwrap();
    let quota = Quota {
        octets_max: 2 * 1024 * 1024,
    };
    let mut largest_held = 0;
    let mut cuts = 0;
    for number in 0..DAYS {
        let day = UtcDay(DAY.0 + number);
        fill(&store, day, 300);
        store.seal(day).unwrap();
        let today = day.next();
        let cut = quota.cut(&store.holdings().unwrap(), today);
        cuts += u32::from(!cut.parts.is_empty());
        for (day, part) in cut.parts {
            store.forget_part(day, part).unwrap();
        }
        let held = store.holdings().unwrap().octets();
        assert!(
            held <= cut.octets_after,
            "{held} are held, {} were to be",
            cut.octets_after
        );
        largest_held = largest_held.max(held);
    }
    assert!(largest_held <= quota.octets_max, "{largest_held}");
    // Not one day every day.
    assert!(cuts * 2 <= DAYS, "{cuts}");
    let days = store.days_of(DayPart::Counts).unwrap();
    assert!((7..30).contains(&days.len()), "{}", days.len());
    // docs/decisions/0021-keeping.md: the file is larger than what is held, and stops growing. Where sled does not
    // tidy up, it is five times as large now and grows on.
    let file = fs::metadata(config.path.join("db")).unwrap().len();
    assert_eq!(store.file_octets(), Ok(file));
    assert!(file < 4 * quota.octets_max, "{file}");
}
