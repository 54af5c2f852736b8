//! What the engine makes of DANE beside a policy.

use sealpost_kit::Authority;
use sealpost_plugin_api::{ResultType, Verification};

use super::*;
use crate::{
    engine::dane::Fresh,
    hook::joint::Enforcement,
    policy::{
        MxHost,
        dane::{
            DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts, MxSecurity, NoDane,
            RankedHost, TlsaPolicy, TlsaRecord, TlsaSet,
        },
    },
    record::protection::Protection,
};

mod published;

const DOMAIN: &str = "example.org";

/// What DANE says, host by host, and what of it is there at once.
#[derive(Default)]
struct FakeDane {
    hosts: Mutex<Vec<HostDane>>,
    /// What is told without a lookup.
    fresh: Mutex<Option<Arc<DomainDane>>>,
    /// Until when what is said holds, where that is bounded.
    held_until: Mutex<Option<Timestamp>>,
    /// Lookups do not end.
    never: AtomicBool,
    lookups: AtomicUsize,
}

impl FakeDane {
    fn whole(&self) -> Arc<DomainDane> {
        let hosts = self.hosts.lock().unwrap().clone();
        let ranked = hosts.into_iter().map(|dane| RankedHost {
            preference: 10,
            dane,
        });
        Arc::new(DomainDane {
            domain: DOMAIN.parse().unwrap(),
            hosts: MailHosts::Known(ranked.collect()),
            until: Timestamp(i64::MAX),
        })
    }

    fn say(&self, hosts: &[HostDane]) {
        *self.hosts.lock().unwrap() = hosts.to_vec();
    }

    async fn wait(&self) {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        if self.never.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

impl DaneSource for FakeDane {
    fn domain<'a>(&'a self, _domain: &'a PolicyDomain) -> BoxFuture<'a, Arc<DomainDane>> {
        Box::pin(async move {
            self.wait().await;
            self.whole()
        })
    }

    fn host<'a>(
        &'a self,
        domain: &'a PolicyDomain,
        host: &'a MxHost,
        _port: Option<u16>,
    ) -> BoxFuture<'a, Arc<HostDane>> {
        Box::pin(async move {
            self.wait().await;
            let nothing = || {
                Arc::new(HostDane::nothing(
                    host.clone(),
                    MxSecurity::Insecure,
                    NoDane::NoRecords,
                ))
            };
            self.known(domain, host).unwrap_or_else(nothing)
        })
    }

    fn fresh(&self, _domain: &str, _now: Timestamp) -> Option<Fresh> {
        self.fresh.lock().unwrap().clone().map(Fresh::Known)
    }

    fn known(&self, _domain: &PolicyDomain, host: &MxHost) -> Option<Arc<HostDane>> {
        let hosts = self.hosts.lock().unwrap();
        let found = hosts.iter().find(|dane| dane.host == *host);
        found.cloned().map(Arc::new)
    }

    fn held(&self, domain: &PolicyDomain, host: &MxHost, at: Timestamp) -> Option<Arc<HostDane>> {
        let until = *self.held_until.lock().unwrap();
        self.known(domain, host)
            .filter(|_| until.is_none_or(|until| until >= at))
    }
}

fn with_dane(standing: Option<Standing>, never: bool) -> (Bench, Arc<FakeDane>) {
    let bench = engine(standing, Overrides::default(), never);
    let dane = Arc::new(FakeDane::default());
    let engine = bench.engine.with_dane(Arc::clone(&dane) as _);
    (Bench { engine, ..bench }, dane)
}

fn records(host: &str, digest: [u8; 32]) -> HostDane {
    let host: MxHost = host.parse().unwrap();
    let record = TlsaRecord {
        usage: 3,
        selector: 1,
        matching: 1,
        association: digest.to_vec(),
    };
    let policy = TlsaPolicy::new(host.clone(), TlsaSet::new(vec![record]), &[]);
    HostDane {
        host,
        mx: MxSecurity::Secure,
        finding: DaneFinding::Records(Arc::new(policy)),
    }
}

fn bogus(host: &str) -> HostDane {
    let base: MxHost = host.parse().unwrap();
    HostDane {
        host: base.clone(),
        mx: MxSecurity::Secure,
        finding: DaneFinding::Unreachable(LookupTrouble::Tlsa {
            base,
            code: "tlsa-bogus",
            reason: "why".to_owned(),
        }),
    }
}

/// Every record that was counted: `policy type, policy domain: verdict, protection`.
fn counted(bench: &Bench) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(record) = bench.records.try_recv() {
        all.push(format!(
            "{} {}: {}, {}",
            record.policy.policy_type.name(),
            record.policy.policy_domain,
            record.verdict.in_words(),
            record.protection.map_or("-", Protection::name),
        ));
    }
    all
}

#[tokio::test]
async fn b36_a_host_is_answered_by_both_rules_and_a_refusal_is_counted_once_under_its_own() {
    let enforce = standing(Mode::Enforce, "mx1.example.org");
    let (bench, dane) = with_dane(Some(enforce), false);
    dane.say(&[
        records("mx2.example.org", [1; 32]),
        bogus("mx3.example.org"),
    ]);
    for (mx, expected) in [
        ("mx1.example.org", "verify"),
        ("mx2.example.org", "dane"),
        ("mx3.example.org", "refuse"),
        ("mx4.example.org", "refuse"),
    ] {
        let answer = ask(&bench, DOMAIN, Some(mx)).await;
        let found = match answer.level {
            Level::Verify { .. } => "verify",
            Level::Dane { tlsa, .. } => {
                assert_eq!(tlsa.len(), 1);
                "dane"
            }
            Level::RefuseMx => "refuse",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{mx}");
    }
    let refused = [
        "tlsa mx3.example.org: dnssec-invalid tlsa-bogus mx3.example.org, refused",
        "sts example.org: validation-failure sts-mx-mismatch mx4.example.org, refused",
    ];
    assert_eq!(counted(&bench), refused);
    // B30: only before the policy refuses is it looked for anew.
    assert_eq!(bench.source.rechecks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn d10_a_session_is_counted_under_the_records_of_its_answer_and_those_of_no_other_host() {
    let testing = standing(Mode::Testing, "mx1.example.org");
    let (bench, dane) = with_dane(Some(testing), false);
    let authority = Authority::new().unwrap();
    let leaf = authority.issue(&["mx1.example.org"]).unwrap();
    dane.say(&[records("mx1.example.org", leaf.public_key_sha256())]);
    let whole = ask(&bench, DOMAIN, None).await;
    let answer = ask(&bench, DOMAIN, Some("mx1.example.org")).await;
    // The host has another key now, and says so.
    dane.say(&[records("mx1.example.org", [9; 32])]);
    let again = ask(&bench, DOMAIN, Some("mx1.example.org")).await;
    assert_ne!(answer.policy, again.policy);
    let facts = Facts::new(StartTls::Established).with_leaf_der(leaf.der());
    let session = Session::new(DOMAIN, Outcome::Facts(facts)).with_mx("mx1.example.org");
    bench.engine.session(&session.under_policy(&answer.policy));
    bench.engine.session(&session.under_policy(&again.policy));
    bench.engine.session(&session.under_policy(&whole.policy));
    bench.engine.session(&session);
    let old = "tlsa mx1.example.org: success, dane";
    let new = "tlsa mx1.example.org: validation-failure dane-no-match mx1.example.org, refused";
    assert_eq!(counted(&bench), [old, new, new, new]);
    // Who vouches for the certificate, which is what the policy asks, nobody told.
    assert_eq!(bench.counters.sessions_unchecked.value(), 4);
    // The answer about one host says nothing of another.
    let other = session.with_mx("mx9.example.org");
    bench.engine.session(&other.under_policy(&answer.policy));
    let mismatch = "sts example.org: validation-failure sts-mx-mismatch mx9.example.org, tls";
    let found = counted(&bench);
    assert!(
        found[0].starts_with("sts ") && found.len() == 1,
        "{found:?} {mismatch}"
    );
}

#[tokio::test]
async fn d10_a_session_is_not_counted_under_records_that_its_answer_did_not_know_or_that_are_old() {
    let none = Standing::without_policy(DOMAIN.parse().unwrap());
    let (bench, dane) = with_dane(Some(none), false);
    let mx = "mx1.example.org";
    let whole = ask(&bench, DOMAIN, None).await;
    let before = ask(&bench, DOMAIN, Some(mx)).await;
    dane.say(&[records(mx, [1; 32])]);
    let facts = Facts::new(StartTls::Established).with_dane(Verification::Failed);
    let session = Session::new(DOMAIN, Outcome::Facts(facts)).with_mx(mx);
    let without = "no-policy-found example.org: success, tls";
    let under = "tlsa mx1.example.org: validation-failure dane-no-match mx1.example.org, refused";
    let now = bench.engine.clock.now();
    for (answer, held_until, expected) in [
        // It was said of the host that it has no records.
        (&before, None, without),
        (&whole, None, under),
        // They ran out while the session was under way; they ran out this morning.
        (&whole, Some(-3_600), under),
        (&whole, Some(-3_601), without),
    ] {
        *dane.held_until.lock().unwrap() = held_until.map(|seconds| now.plus_seconds(seconds));
        bench.engine.session(&session.under_policy(&answer.policy));
        assert_eq!(counted(&bench), [expected], "{held_until:?}");
    }
    // A chain is judged alike, and sooner too late.
    let authority = Authority::new().unwrap();
    let leaf = authority.issue(&[mx]).unwrap();
    let verify = |policy: &str| {
        let chain = [leaf.der()];
        bench
            .engine
            .verify(&Presented::new(DOMAIN, mx, policy, &chain))
    };
    assert!(matches!(verify(&before.policy), Verified::Passed(_)));
    for (held_until, is_known) in [(-300, true), (-301, false)] {
        *dane.held_until.lock().unwrap() = Some(now.plus_seconds(held_until));
        let is_failed = matches!(verify(&whole.policy), Verified::Failed { .. });
        let is_unknown = matches!(verify(&whole.policy), Verified::Unknown(_));
        assert_eq!((is_failed, is_unknown), (is_known, !is_known));
    }
}

#[tokio::test]
async fn c18_without_dane_nobody_waits_for_it_and_nothing_is_counted_under_it() {
    let (bench, dane) = with_dane(
        Some(Standing::without_policy(DOMAIN.parse().unwrap())),
        false,
    );
    dane.say(&[bogus("mx1.example.org")]);
    dane.never.store(true, Ordering::Relaxed);
    let overrides = [Override {
        scope: DOMAIN.parse().unwrap(),
        mode: OverrideMode::WithoutDane,
        until: None,
    }];
    bench.engine.reload(EngineSettings {
        overrides: overrides.into_iter().collect(),
        when_unknown: WhenUnknown::Defer,
        dane: DaneSettings::default(),
    });
    for mx in [None, Some("mx1.example.org")] {
        assert_eq!(ask(&bench, DOMAIN, mx).await.level, Level::May);
    }
    let session = Session::new(DOMAIN, Outcome::Success).with_mx("mx1.example.org");
    bench.engine.session(&session);
    assert_eq!(
        counted(&bench),
        ["no-policy-found example.org: success, tls"]
    );
    assert_eq!(dane.lookups.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn g10_what_dane_says_too_late() {
    let domain = || DOMAIN.parse().unwrap();
    for (standing, setting, whole, unheard, heard) in [
        (
            Standing::without_policy(domain()),
            WhenUnknown::Defer,
            "defer",
            "defer",
            "dane",
        ),
        (
            Standing::without_policy(domain()),
            WhenUnknown::May,
            "may",
            "may",
            "dane",
        ),
        (
            standing(Mode::Enforce, "*.example.org"),
            WhenUnknown::Defer,
            "verify",
            "defer",
            "dane",
        ),
        (
            standing(Mode::Enforce, "*.example.org"),
            WhenUnknown::May,
            "verify",
            "verify",
            "dane",
        ),
    ] {
        let (bench, dane) = with_dane(Some(standing), false);
        dane.say(&[records("mx1.example.org", [1; 32])]);
        dane.never.store(true, Ordering::Relaxed);
        bench.engine.reload(EngineSettings {
            overrides: Overrides::default(),
            when_unknown: setting,
            dane: DaneSettings::default(),
        });
        for (mx, expected) in [
            (None, whole),
            (Some("mx1.example.org"), heard),
            (Some("mx2.example.org"), unheard),
        ] {
            let found = match ask(&bench, DOMAIN, mx).await.level {
                Level::May => "may",
                Level::Verify { .. } => "verify",
                Level::Dane { .. } => "dane",
                Level::Defer => "defer",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{mx:?} {setting:?}");
        }
        assert_eq!(counted(&bench), Vec::<String>::new());
    }
}

#[tokio::test]
async fn g10_c3_where_the_policy_is_not_known_dane_decides_what_it_can_alone() {
    for (setting, whole, signed, failed, plain) in [
        (WhenUnknown::Defer, "defer", "dane", "refuse", "defer"),
        (WhenUnknown::May, "dane", "dane", "refuse", "may"),
    ] {
        let (bench, dane) = with_dane(None, true);
        dane.say(&[
            records("mx1.example.org", [1; 32]),
            bogus("mx2.example.org"),
        ]);
        bench.engine.reload(EngineSettings {
            overrides: Overrides::default(),
            when_unknown: setting,
            dane: DaneSettings::default(),
        });
        for (mx, expected) in [
            (None, whole),
            (Some("mx1.example.org"), signed),
            (Some("mx2.example.org"), failed),
            (Some("mx3.example.org"), plain),
        ] {
            let found = match ask(&bench, DOMAIN, mx).await.level {
                Level::May => "may",
                Level::RefuseMx => "refuse",
                Level::Dane { .. } => "dane",
                Level::Defer => "defer",
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{mx:?} {setting:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_at_once_needs_both_fresh_and_changes_with_either() {
    let testing = standing(Mode::Testing, "mx1.example.org");
    let (bench, dane) = with_dane(Some(testing.clone()), false);
    *bench.source.ready.lock().unwrap() = Some(Arc::new(Ready::new(testing)));
    let query = Query::new(DOMAIN).with_deadline(Duration::from_millis(20));
    assert_eq!(
        bench.engine.policy_at_once(&query, DaneUse::ToldAndItsOwn),
        None,
        "DANE is not fresh"
    );
    dane.say(&[records("mx1.example.org", [1; 32])]);
    *dane.fresh.lock().unwrap() = Some(dane.whole());
    let first = bench
        .engine
        .policy_at_once(&query, DaneUse::ToldAndItsOwn)
        .unwrap();
    assert!(matches!(first.requirement.level, Level::Dane { .. }));
    assert_eq!(first.dane, Some(dane.whole()));
    let again = bench
        .engine
        .policy_at_once(&query, DaneUse::ToldAndItsOwn)
        .unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    // What the operator or the domain changes is in the next answer.
    bench.engine.reload(EngineSettings {
        overrides: Overrides::default(),
        when_unknown: WhenUnknown::Defer,
        dane: DaneSettings {
            enforcement: Enforcement::Audited,
            ..DaneSettings::default()
        },
    });
    let audited = bench
        .engine
        .policy_at_once(&query, DaneUse::ToldAndItsOwn)
        .unwrap();
    assert_eq!(audited.requirement.level, Level::May);
    assert!(audited.requirement.audit);
    dane.say(&[]);
    *dane.fresh.lock().unwrap() = Some(dane.whole());
    let changed = bench
        .engine
        .policy_at_once(&query, DaneUse::ToldAndItsOwn)
        .unwrap();
    assert_eq!(changed.dane, Some(dane.whole()));
}

#[tokio::test]
async fn d11_a_chain_is_judged_by_what_was_answered_about_its_host() {
    let authority = Authority::new().unwrap();
    let leaf = authority.issue(&["mx1.example.org"]).unwrap();
    let other = Authority::new()
        .unwrap()
        .issue(&["mx1.example.org"])
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_der()).unwrap();
    let enforce = standing(Mode::Enforce, "*.example.org");
    let (bench, dane) = with_dane(Some(enforce), false);
    let engine = bench.engine.with_roots(Arc::new(roots));
    let bench = Bench { engine, ..bench };
    dane.say(&[
        records("mx1.example.org", leaf.public_key_sha256()),
        HostDane::nothing(
            "mx2.example.org".parse().unwrap(),
            MxSecurity::Secure,
            NoDane::NoRecords,
        ),
    ]);
    let verify = |mx: &str, policy: &str, chain: &[&[u8]]| match bench
        .engine
        .verify(&Presented::new(DOMAIN, mx, policy, chain))
    {
        Verified::Passed(_) => "passed".to_owned(),
        Verified::Failed { result, reason } => format!("{result} {reason}"),
        Verified::Unknown(_) => "unknown".to_owned(),
        other => panic!("{other:?}"),
    };
    let whole = ask(&bench, DOMAIN, None).await.policy;
    let first = ask(&bench, DOMAIN, Some("mx1.example.org")).await.policy;
    let second = ask(&bench, DOMAIN, Some("mx2.example.org")).await.policy;
    for (mx, policy, chain, expected) in [
        ("mx1.example.org", &first, &[leaf.der()][..], "passed"),
        (
            "mx1.example.org",
            &first,
            &[other.der()],
            "validation-failure dane-no-match",
        ),
        ("mx1.example.org", &first, &[], "unknown"),
        // Whoever asked about the domain only is held to what is known of the host.
        (
            "mx1.example.org",
            &whole,
            &[other.der()],
            "validation-failure dane-no-match",
        ),
        // By the policy: this certificate is not for that host.
        (
            "mx2.example.org",
            &second,
            &[leaf.der()],
            "certificate-host-mismatch certificate-host-mismatch",
        ),
        ("mx2.example.org", &"0".repeat(32), &[leaf.der()], "unknown"),
        ("not a host", &first, &[leaf.der()], "unknown"),
        (
            "mx.elsewhere.example",
            &second,
            &[leaf.der()],
            "validation-failure sts-mx-mismatch",
        ),
    ] {
        assert_eq!(verify(mx, policy, chain), expected, "{mx}");
    }
}

#[tokio::test]
async fn d11_without_an_answer_about_the_host_nothing_is_passed_that_dane_may_forbid() {
    let (bench, dane) = with_dane(
        Some(Standing::without_policy(DOMAIN.parse().unwrap())),
        false,
    );
    let authority = Authority::new().unwrap();
    let leaf = authority.issue(&["mx1.example.org"]).unwrap();
    let chain = [leaf.der()];
    let verify = |policy: &str| {
        let presented = Presented::new(DOMAIN, "mx1.example.org", policy, &chain);
        bench.engine.verify(&presented)
    };
    let whole = ask(&bench, DOMAIN, None).await.policy;
    assert!(matches!(verify(&whole), Verified::Unknown(_)));
    dane.say(&[records("mx1.example.org", [1; 32])]);
    assert!(matches!(
        verify(&whole),
        Verified::Failed {
            result: ResultType::ValidationFailure,
            ..
        }
    ));
    dane.say(&[HostDane::nothing(
        "mx1.example.org".parse().unwrap(),
        MxSecurity::Secure,
        NoDane::NoRecords,
    )]);
    assert!(matches!(verify(&whole), Verified::Passed(_)));
    // Where there is no DANE at all, the answer about the domain is enough.
    let bench = engine(
        Some(Standing::without_policy(DOMAIN.parse().unwrap())),
        Overrides::default(),
        false,
    );
    let whole = ask(&bench, DOMAIN, None).await.policy;
    let presented = Presented::new(DOMAIN, "mx1.example.org", &whole, &chain);
    assert!(matches!(
        bench.engine.verify(&presented),
        Verified::Passed(_)
    ));
    let told = Facts::new(StartTls::Established).with_verification(Verification::Failed);
    let session = Session::new(DOMAIN, Outcome::Facts(told)).with_mx("mx1.example.org");
    bench.engine.session(&session);
    assert_eq!(
        counted(&bench),
        ["no-policy-found example.org: success, tls"]
    );
}

/// An engine whose operator says this of the domain, if anything.
fn overriding(bench: &Bench, overridden: Option<OverrideMode>, when_unknown: WhenUnknown) {
    let overrides = overridden.map(|mode| Override {
        scope: DOMAIN.parse().unwrap(),
        mode,
        until: None,
    });
    bench.engine.reload(EngineSettings {
        overrides: overrides.into_iter().collect(),
        when_unknown,
        dane: DaneSettings::default(),
    });
}

/// What is said to an MTA that takes one answer for all hosts: the level, what TLSA records count for, and
/// whether it is known what they say.
async fn ask_for_all(bench: &Bench, dane_use: DaneUse) -> String {
    let query = Query::new(DOMAIN).with_deadline(Duration::from_millis(20));
    let answer = bench.engine.policy_of_all(query, dane_use).await;
    let level = match answer.requirement.level {
        Level::May => "may",
        Level::Verify { .. } => "verify",
        Level::Dane { .. } => "dane",
        Level::Defer => "defer",
        ref other => panic!("{other:?}"),
    };
    let known = match answer.dane.as_deref().map(|dane| &dane.hosts) {
        None => "late",
        Some(MailHosts::Known(_)) => "known",
        Some(MailHosts::Off(_)) => "off",
        Some(other) => panic!("{other:?}"),
    };
    format!("{level} {:?} {known}", answer.basis.dane)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
async fn b36_how_long_an_answer_for_all_hosts_waits_for_dane() {
    use DaneUse::{NotTold, ToldAndItsOwn, Unused};
    use OverrideMode::{DaneOnly, Off, WithoutDane};
    let plain = || Standing::without_policy(DOMAIN.parse().unwrap());
    let enforced = || standing(Mode::Enforce, "*.example.org");
    let (defer, may) = (WhenUnknown::Defer, WhenUnknown::May);
    for (standing, dane_use, overridden, setting, in_time, late) in [
        // An enforced policy is no reason to take DANE for nothing.
        (
            enforced(),
            ToldAndItsOwn,
            None,
            defer,
            "dane Decides known",
            "verify Decides late",
        ),
        (
            enforced(),
            ToldAndItsOwn,
            None,
            may,
            "dane Decides known",
            "verify Reported late",
        ),
        (
            plain(),
            ToldAndItsOwn,
            None,
            defer,
            "dane Decides known",
            "defer Decides late",
        ),
        // Who is not told of it does not wait for it.
        (
            plain(),
            NotTold,
            None,
            defer,
            "dane Decides known",
            "may Decides off",
        ),
        (
            enforced(),
            NotTold,
            None,
            defer,
            "dane Decides known",
            "verify Decides off",
        ),
        (
            plain(),
            Unused,
            None,
            defer,
            "may Decides off",
            "may Decides off",
        ),
        // What is demanded is.
        (
            plain(),
            Unused,
            Some(DaneOnly),
            may,
            "dane Mandatory known",
            "dane Mandatory late",
        ),
        (
            plain(),
            NotTold,
            Some(DaneOnly),
            may,
            "dane Mandatory known",
            "dane Mandatory late",
        ),
        // C18: what is passed over must be known where the MTA would go by it.
        (
            plain(),
            ToldAndItsOwn,
            Some(Off),
            defer,
            "may Reported known",
            "may Reported late",
        ),
        (
            plain(),
            ToldAndItsOwn,
            Some(WithoutDane),
            defer,
            "may Reported known",
            "may Reported late",
        ),
        (
            plain(),
            NotTold,
            Some(Off),
            defer,
            "may Reported off",
            "may Reported off",
        ),
        (
            plain(),
            Unused,
            Some(WithoutDane),
            defer,
            "may Reported off",
            "may Reported off",
        ),
    ] {
        let (bench, dane) = with_dane(Some(standing), false);
        dane.say(&[records("mx1.example.org", [1; 32])]);
        overriding(&bench, overridden, setting);
        for (never, expected) in [(false, in_time), (true, late)] {
            dane.never.store(never, Ordering::Relaxed);
            let found = ask_for_all(&bench, dane_use).await;
            assert_eq!(found, expected, "{dane_use:?} {overridden:?} {setting:?}");
        }
    }
    // A policy that is not known is waited for all the same.
    let (bench, dane) = with_dane(None, true);
    dane.say(&[]);
    let found = ask_for_all(&bench, Unused).await;
    assert_eq!(found, "defer Reported late");
}

#[tokio::test]
async fn c17_a_host_without_records_that_postfix_passed_over_is_a_failure_where_dane_is_demanded() {
    let told = |bench: &Bench| {
        let failure = crate::record::Failure::of_policy(
            ResultType::DaneRequired,
            crate::hook::joint::DANE_REQUIRED,
        );
        let base: PolicyDomain = "mx1.example.org".parse().unwrap();
        let told = Told::new(
            DOMAIN.parse().unwrap(),
            AppliedPolicy::tlsa_not_had(base),
            crate::record::told::Ending::Failure(vec![failure]),
        );
        bench.engine.told(&told, 1);
    };
    for (overridden, expected) in [(None, 0), (Some(OverrideMode::DaneOnly), 1)] {
        for asked in [false, true] {
            let without = Standing::without_policy(DOMAIN.parse().unwrap());
            let (bench, dane) = with_dane(Some(without), false);
            dane.say(&[records("mx2.example.org", [1; 32])]);
            overriding(&bench, overridden, WhenUnknown::Defer);
            if asked {
                let query = Query::new(DOMAIN).with_deadline(Duration::from_millis(20));
                let use_ = DaneUse::ToldAndItsOwn;
                let answer = bench.engine.policy_of_all(query, use_).await;
                let given = crate::hook::Said::DaneOnly;
                bench.engine.answered(&answer, Asker::Telling(given));
            }
            told(&bench);
            let found = counted(&bench);
            assert_eq!(found.len(), expected, "{overridden:?} {asked}: {found:?}");
            assert_eq!(bench.counters.sessions.value(), expected as u64);
        }
    }
}
