//! A month that a sending host may have had: a few large mailbox providers, many small domains, a
//! certificate that expired, a policy that was changed, and a host that writes HTML into its greeting.

use std::path::Path;

use sealpost::{
    clock::{Timestamp, UtcDay},
    config::StoreConfig,
    deliver::{
        DeliveryKey, DeliveryState, Step,
        suppression::{How, Refusal, SetBy, Suppression},
    },
    observe::audit::{AuditEntry, AuditKind},
    policy::{
        AppliedPolicy, Destination, KeptPolicy, MxPattern, PolicyDomain, PolicyType, StsPolicy,
    },
    record::{Failure, protection::Protection},
    store::{Batch, Counted, SledStore, Store as _, TallyKey},
};
use sealpost_plugin_api::ResultType;

/// What a stranger's host says of itself.
pub(super) const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"y";

/// A domain whose mail host says that.
pub(super) const HOSTILE_DOMAIN: &str = "hostile.test";

/// How the domains of the month are protected.
#[derive(Clone, Copy)]
enum Guard {
    Dane,
    Sts(&'static str),
    None,
}

/// A domain of the month: name, guard, sessions of a usual day.
const DOMAINS: &[(&str, Guard, u64)] = &[
    ("bigmail.test", Guard::Sts("enforce"), 4_200),
    ("postfach.test", Guard::Dane, 2_600),
    ("webmail.test", Guard::Sts("enforce"), 1_900),
    ("oldisp.test", Guard::None, 1_400),
    ("university.test", Guard::Dane, 620),
    ("bank.test", Guard::Sts("enforce"), 310),
    ("cityhall.test", Guard::Sts("testing"), 150),
    ("bakery.test", Guard::None, 40),
    ("clinic.test", Guard::Sts("enforce"), 36),
    ("xn--bcher-kva.test", Guard::Dane, 22),
    (HOSTILE_DOMAIN, Guard::Sts("testing"), 12),
];

/// Fills a store with it; `today` is not over. A further `small` domains have a session a day.
pub(super) fn fill(store: &Path, today: UtcDay, small: usize) {
    let config = StoreConfig {
        path: store.to_owned(),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    };
    let store = SledStore::open(&config).unwrap();
    for before in 0..30 {
        let day = UtcDay(today.0 - before);
        let mut batch = Batch::default();
        for (name, guard, usual) in DOMAINS {
            sessions(&mut batch, day, before, name, *guard, *usual);
        }
        for number in 0..small {
            let guard = [Guard::None, Guard::Sts("enforce"), Guard::None][number % 3];
            sessions(
                &mut batch,
                day,
                before,
                &format!("domain{number:05}.test"),
                guard,
                2,
            );
        }
        store.commit(&batch).unwrap();
        if before > 0 {
            deliveries(&store, day);
        }
    }
    for (name, guard, _) in DOMAINS {
        if let Guard::Sts(mode) = guard {
            let fetched_at = today.first_second().plus_seconds(3_600);
            let policy = StsPolicy::parse(document(name, mode).as_bytes()).unwrap();
            let kept = KeptPolicy {
                policy,
                id: "20261101T1200".to_owned(),
                fetched_at,
                tried_at: fetched_at,
            };
            store.keep_policy(&domain(name), &kept).unwrap();
        }
    }
    store.append_audit(&decisions(today)).unwrap();
    let (to, suppression) = suppressed(today);
    store.put_suppression(&to, &suppression).unwrap();
}

fn domain(name: &str) -> PolicyDomain {
    name.parse().unwrap()
}

fn document(name: &str, mode: &str) -> String {
    format!(
        "version: STSv1\r\nmode: {mode}\r\nmx: mx1.{name}\r\nmx: mx2.{name}\r\nmax_age: 604800\r\n"
    )
}

fn policy(name: &str, guard: Guard, before: u32) -> AppliedPolicy {
    let sts = |mode: &str| {
        let read = StsPolicy::parse(document(name, mode).as_bytes()).unwrap();
        AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain(name),
            policy_string: read.lines,
            mx_host: read.mx.iter().map(MxPattern::to_string).collect(),
        }
    };
    match guard {
        Guard::None => AppliedPolicy::no_policy_found(domain(name)),
        // It was in testing until a fortnight ago.
        Guard::Sts("enforce") if before > 14 => sts("testing"),
        Guard::Sts(mode) => sts(mode),
        Guard::Dane => AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_domain: domain(&format!("mx1.{name}")),
            policy_string: vec![format!("3 1 1 {}", "8C75".repeat(16))],
            mx_host: Vec::new(),
        },
    }
}

/// Weekends are quiet, and no two days are the same.
fn busy(day: UtcDay, usual: u64, salt: usize) -> u64 {
    let rest = u64::from(day.0 % 7 == 2 || day.0 % 7 == 3);
    let wave = (u64::from(day.0) * 7_919 + salt as u64 * 104_729) % 29;
    (usual * (86 + wave) / 100 / (1 + 2 * rest)).max(1)
}

fn sessions(batch: &mut Batch, day: UtcDay, before: u32, name: &str, guard: Guard, usual: u64) {
    let all = busy(day, usual, name.len()) / (1 + u64::from(before == 0));
    let policy = policy(name, guard, before);
    let failed = failed(name, before, all);
    let bad = failed.as_ref().map_or(0, |(_, sessions)| *sessions);
    let good = all.saturating_sub(bad);
    let row = |counted| TallyKey {
        day,
        domain: domain(name),
        policy: policy.fingerprint(),
        counted,
    };
    let mut put = |counted, sessions: u64| {
        if sessions > 0 {
            batch.totals.insert(row(counted), sessions);
        }
    };
    put(Counted::Successes, good);
    put(Counted::Failures, bad);
    let enforced = policy
        .policy_string
        .iter()
        .any(|line| line.ends_with("enforce"));
    let (well, ill) = match guard {
        Guard::Dane => (Protection::Dane, Protection::Refused),
        Guard::Sts(_) if enforced => (Protection::Sts, Protection::Refused),
        Guard::Sts(_) => (Protection::Sts, Protection::Tls),
        Guard::None => (Protection::Tls, Protection::Clear),
    };
    put(Counted::Protected(well), good);
    put(Counted::Protected(ill), bad);
    if let Some((failure, sessions)) = failed {
        put(Counted::Detail(failure), sessions);
    }
    batch.policies.insert(policy.fingerprint(), policy);
}

/// How sessions with a domain failed, and how many.
fn failed(name: &str, before: u32, all: u64) -> Option<(Failure, u64)> {
    let at = |result, reason: &str, host: &str| Failure {
        mx: Some(format!("{host}.{name}")),
        mx_helo: Some(format!("{host}.{name}")),
        receiving_ip: Some("192.0.2.25".parse().unwrap()),
        ..Failure::of_policy(result, reason)
    };
    Some(match name {
        "bank.test" if (3..9).contains(&before) => (
            at(
                ResultType::CertificateExpired,
                "certificate has expired",
                "mx2",
            ),
            all * 2 / 5,
        ),
        "cityhall.test" => (
            at(
                ResultType::CertificateHostMismatch,
                "hostname mismatch",
                "mx1",
            ),
            all / 3,
        ),
        "university.test" if before < 2 => {
            (at(ResultType::TlsaInvalid, "tlsa-no-match", "mx1"), all / 2)
        }
        "oldisp.test" => (
            at(
                ResultType::StarttlsNotSupported,
                "starttls-not-offered",
                "mx1",
            ),
            all / 4,
        ),
        "clinic.test" if before < 5 => (
            Failure::of_policy(ResultType::StsPolicyFetchError, "policy-host-timeout"),
            all,
        ),
        HOSTILE_DOMAIN => {
            let mut failure = at(ResultType::ValidationFailure, HOSTILE, "mx1");
            failure.mx_helo = Some(HOSTILE.to_owned());
            (failure, all)
        }
        _ => return None,
    })
}

/// The mailbox of a domain.
pub(super) fn mailbox(name: &str) -> Destination {
    Destination::Mail(format!("tlsrpt@{name}"))
}

fn deliveries(store: &SledStore, day: UtcDay) {
    let morning = day.next().first_second().plus_seconds(2 * 3_600);
    let mut states = Vec::new();
    for (name, guard, _) in DOMAINS {
        if matches!(guard, Guard::None) {
            continue;
        }
        let step = match *name {
            "cityhall.test" => Step::GivenUp {
                at: morning.plus_seconds(40),
                reason: "550 5.1.1 tlsrpt: no such mailbox".to_owned(),
            },
            "clinic.test" => Step::RetryAt {
                at: morning.plus_seconds(9 * 3_600),
                reason: "451 4.7.1 greylisted, come back later".to_owned(),
            },
            _ => Step::Sent(morning.plus_seconds(7)),
        };
        let key = DeliveryKey {
            day,
            domain: domain(name),
            destination: mailbox(name),
        };
        let state = DeliveryState {
            report_id: format!("{day}.{name}@sender.test"),
            attempts: 1,
            first_attempt_at: Some(morning),
            step,
        };
        states.push((key, state));
    }
    store.put_deliveries(&states).unwrap();
}

/// What was decided in the month, the oldest first.
fn decisions(today: UtcDay) -> Vec<AuditEntry> {
    let entry = |before: u32, hour: i64, kind, name: &str, words: &str| {
        let at = UtcDay(today.0 - before).first_second();
        let entry = AuditEntry::new(at.plus_seconds(hour * 3_600 + 417), kind, words);
        match name {
            "" => entry,
            name => entry.about(&domain(name)),
        }
    };
    let mut all = vec![
        entry(29, 6, AuditKind::Reloaded, "", "[dane] has changed"),
        entry(
            21,
            9,
            AuditKind::OverrideSet,
            HOSTILE_DOMAIN,
            &format!("audit: {HOSTILE}"),
        )
        .by(HOSTILE),
    ];
    for (name, guard, _) in DOMAINS {
        if matches!(guard, Guard::Sts("enforce")) {
            let words = "the mode is enforce, it was testing";
            all.push(entry(15, 3, AuditKind::PolicyChanged, name, words));
        }
    }
    for before in (3..9).rev() {
        let words = format!("{} sessions on {}", 90 + before, UtcDay(today.0 - before));
        all.push(entry(
            before - 1,
            0,
            AuditKind::MailRefused,
            "bank.test",
            &words,
        ));
    }
    let ada = |entry: AuditEntry| entry.by("Ada Example");
    all.push(ada(entry(
        5,
        10,
        AuditKind::OverrideSet,
        "bank.test",
        "audit until the end of the week: their certificate has expired, and invoices wait",
    )));
    all.push(ada(entry(
        2,
        8,
        AuditKind::OverrideEnded,
        "bank.test",
        "audit: they have a new certificate",
    )));
    all.sort_by_key(|entry| entry.at);
    all
}

fn suppressed(today: UtcDay) -> (Destination, Suppression) {
    let since = Timestamp(today.first_second().0 + 2 * 3_600);
    let refusal = Refusal {
        at: since,
        sent_at: since.plus_seconds(-30),
        how: How::Answer,
        words: "550 5.1.1 tlsrpt: no such mailbox".to_owned(),
        report_id: "a@sender.test".to_owned(),
    };
    let suppression = Suppression {
        set_by: SetBy::Refusals,
        since,
        until: Some(since.plus_seconds(3 * 86_400)),
        times: 1,
        taken_at: None,
        lifted_at: None,
        refusals: vec![refusal],
    };
    (mailbox("cityhall.test"), suppression)
}
