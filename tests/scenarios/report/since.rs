//! Since when a domain's sessions fail as they do: a report's reader is told it by the days before.

use std::sync::Arc;

use sealpost::{
    record::Source,
    store::{Batch, FailureRecord, MemoryStore, Store as _},
};

use super::{
    AppliedPolicy, Counted, DAY, Failure, PolicyType, Publisher, ReportConfig, ResultType, Rows,
    StoreConfig, StoredReports, TallyKey, UtcDay, at_mx, submitter,
};

/// Sessions of a domain on a day: how many failed with a certificate that had expired, in which hour.
fn day_of_failures(store: &MemoryStore, day: UtcDay, hours: &[i64]) {
    let mut rows = Rows::of("since.example");
    let policy = rows.sts("testing", &["mx.since.example"]);
    rows.add(&policy, Counted::Successes, 5);
    let mut batch = Batch::default();
    let expired = at_mx(
        ResultType::CertificateExpired,
        "mx.since.example",
        "192.0.2.3",
        "",
    );
    for hour in hours {
        rows.failed(&policy, expired.clone(), 1);
        batch.failures.push(FailureRecord {
            at: day.first_second().plus_seconds(hour * 3_600),
            domain: rows.domain.clone(),
            policy: policy.fingerprint(),
            source: Source::Mta,
            failure: expired.clone(),
        });
    }
    for (key, count) in rows.rows {
        *batch.totals.entry(TallyKey { day, ..key }).or_insert(0) += count;
    }
    batch.policies = rows.policies;
    store.commit(&batch).unwrap();
}

#[test]
fn a_reader_is_told_since_when_it_fails_and_the_same_at_every_attempt() {
    let store = Arc::new(MemoryStore::default());
    let ago = |days| UtcDay(DAY.0 - days);
    // None on the third day before, and no mail on the first.
    for (day, hours) in [
        (ago(4), &[9][..]),
        (ago(3), &[]),
        (ago(2), &[8, 22]),
        (DAY, &[7, 12, 19]),
    ] {
        day_of_failures(&store, day, hours);
    }
    let told_by = |keep_days, size_max_mib| {
        let publisher = Publisher {
            submitter: Some(submitter("Bridge Mail Ltd")),
            keys: Vec::new(),
            config: ReportConfig::default(),
        };
        let keeps = StoreConfig {
            keep_days,
            size_max_mib,
            ..StoreConfig::default()
        };
        let reports = StoredReports::new(Arc::clone(&store) as _, publisher, &keeps);
        let domain = "since.example".parse().unwrap();
        let day = reports.day_with(DAY, &domain, &[]).unwrap().unwrap();
        reports.report(&day).unwrap()
    };
    let told = |keep_days| told_by(keep_days, 0);
    let report = told(30);
    let text = report.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "certificate-expired, 3 of 8 TLS sessions",
        "Seen: first at 07:00 and last at 19:00 UTC; also on the last day with sessions before it, since \
         2024-05-13.",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert_eq!(report, told(30));
    // With a quota no more is looked at than it leaves alone, and so the same at every attempt.
    let with_quota = told_by(30, 100);
    assert_ne!(report, with_quota);
    store.forget(ago(4)).unwrap();
    store.forget(ago(3)).unwrap();
    assert_eq!(told_by(30, 100), with_quota);
    // With a short store a day before may be gone at the next attempt; it is not looked at.
    assert_eq!(told(5), {
        store.forget(ago(2)).unwrap();
        told(5)
    });
    assert!(!told(5).text.contains("also on"));
}

/// Sessions of a recipient domain with an MX host on a day: how often its TLSA records were matched, and in which hours
/// they were not; and a failure under its own policy, which is none of the host's.
fn day_with_host(store: &MemoryStore, day: UtcDay, recipient: &str, successes: u64, hours: &[i64]) {
    let mut rows = Rows::of(recipient);
    let tlsa = AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_string: vec!["3 1 1 AB".to_owned()],
        ..AppliedPolicy::no_policy_found("mx.host.example".parse().unwrap())
    };
    let sts = rows.sts("testing", &["mx.host.example"]);
    rows.add(&tlsa, Counted::Successes, successes);
    let no_match = Failure {
        reason: Some("dane-no-match".to_owned()),
        ..at_mx(
            ResultType::ValidationFailure,
            "mx.host.example",
            "192.0.2.9",
            "",
        )
    };
    let mut batch = Batch::default();
    let mut failed = |policy: &AppliedPolicy, failure: &Failure, hour: i64| {
        rows.failed(policy, failure.clone(), 1);
        batch.failures.push(FailureRecord {
            at: day.first_second().plus_seconds(hour * 3_600),
            domain: recipient.parse().unwrap(),
            policy: policy.fingerprint(),
            source: Source::Mta,
            failure: failure.clone(),
        });
    };
    for hour in hours {
        failed(&tlsa, &no_match, *hour);
    }
    failed(&sts, &no_match, 1);
    for (key, count) in rows.rows {
        *batch.totals.entry(TallyKey { day, ..key }).or_insert(0) += count;
    }
    batch.policies = rows.policies;
    store.commit(&batch).unwrap();
}

#[test]
fn a2_whoever_runs_an_mx_host_is_told_since_when_it_fails_by_all_its_recipient_domains() {
    let store = Arc::new(MemoryStore::default());
    let ago = |days| UtcDay(DAY.0 - days);
    for (day, recipient, successes, hours) in [
        // The record was right until then.
        (ago(5), "a.example", 30, &[][..]),
        (ago(5), "b.example", 20, &[]),
        (ago(4), "b.example", 20, &[5]),
        // On one day the first had no mail with it, on another none had.
        (ago(3), "a.example", 3, &[2]),
        (ago(3), "b.example", 4, &[]),
        (DAY, "a.example", 9, &[6]),
        (DAY, "b.example", 0, &[4, 20]),
        // Of a domain that is told of elsewhere nothing is told.
        (DAY, "c.example", 0, &[23]),
    ] {
        day_with_host(&store, day, recipient, successes, hours);
    }
    let publisher = Publisher {
        submitter: Some(submitter("Bridge Mail Ltd")),
        keys: Vec::new(),
        config: ReportConfig::default(),
    };
    let reports = StoredReports::new(Arc::clone(&store) as _, publisher, &StoreConfig::default());
    let host = "mx.host.example".parse().unwrap();
    let recipients = ["a.example", "b.example"].map(|name| name.parse().unwrap());
    let day = reports.day_with(DAY, &host, &recipients).unwrap().unwrap();
    let report = reports.report(&day).unwrap();
    let text = report.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "validation-failure, 3 of 12 TLS sessions",
        "Seen: first at 04:00 and last at 20:00 UTC; also on each of the 2 days with sessions before it, since \
         2024-05-11.",
        "Whether a failure is new is told by the sessions of these recipient domains on the days before.",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let again = reports.day_with(DAY, &host, &recipients).unwrap().unwrap();
    assert_eq!(reports.report(&again).unwrap(), report);
}
