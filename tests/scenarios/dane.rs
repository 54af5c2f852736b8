//! DANE beside MTA-STS in a running host: real packets of the kit's DNS server, which says what is signed,
//! and real policy hosts. An MTA asks and tells; what comes of it is in the store and in the report.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::{StoppedClock, Timestamp},
    config::{Config, DnssecValidation, InsecureMx, Loaded, Override, OverrideMode},
    daemon::parts::{Parts, engine_settings},
    hook::AsyncHook as _,
};
use sealpost_kit::{Answer, Authority, DnsFault, DnsServer, Leaf, PolicyHost, PolicyHosts, Tlsa};
use sealpost_plugin_api::{
    Facts, Level, Outcome, Presented, Query, Requirement, Session, StartTls, Verification, Verified,
};
use tempfile::TempDir;

use super::report::check;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const START: Timestamp = Timestamp(1_800_000_000);

/// A host, and the Internet around it.
struct World {
    dns: DnsServer,
    policy_hosts: PolicyHosts,
    authority: Authority,
    clock: StoppedClock,
    parts: Parts,
    loaded: Loaded,
    _directory: TempDir,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dns = DnsServer::start().await.unwrap();
        let policy_hosts = PolicyHosts::start().await.unwrap();
        let authority = Authority::new().unwrap();
        let directory = TempDir::new().unwrap();
        let ca = directory.path().join("ca.pem");
        std::fs::write(&ca, authority.ca_pem()).unwrap();
        let mut config = Config::default();
        config.dns.servers = vec![dns.address()];
        // With patience: the machine may be busy.
        config.dns.timeout_ms = 10_000;
        config.dane.validation = DnssecValidation::Resolver;
        config.policy.https_port = policy_hosts.address().port();
        config.policy.extra_roots = vec![ca];
        config.policy.allow_private_addresses = true;
        config.store.path = directory.path().join("store");
        config.sender.organization = "Bridge Mail Ltd".to_owned();
        config.sender.contact = "tls-reports@sender.example".to_owned();
        config.sender.host_name = "mta1.sender.example".to_owned();
        change(&mut config);
        let loaded = Loaded {
            path: None,
            config,
            overrides: Vec::new(),
        };
        let clock = StoppedClock::at(START);
        let parts = Parts::start(&loaded, Arc::new(clock.clone())).unwrap();
        parts.validation.look().await;
        Self {
            dns,
            policy_hosts,
            authority,
            clock,
            parts,
            loaded,
            _directory: directory,
        }
    }

    /// A signed domain with a policy in this mode, if any, for these hosts.
    fn publish(&self, domain: &str, mode: &str, listed: &[&str]) {
        self.dns.sign(domain);
        if mode == "none" {
            return;
        }
        let host = format!("mta-sts.{domain}");
        let mut document = format!("version: STSv1\nmode: {mode}\n");
        for mx in listed {
            document += &format!("mx: {mx}\n");
        }
        document += "max_age: 604800\n";
        self.dns
            .set_txt(&format!("_mta-sts.{domain}"), &["v=STSv1; id=1;"]);
        self.dns.set_addresses(&host, &[LOCALHOST]);
        let served = PolicyHost {
            certificate: self.authority.issue(&[&host]).unwrap(),
            answer: Answer::document(&document),
        };
        self.policy_hosts.set(&host, served);
    }

    /// Its mail hosts, each with its TLSA records.
    fn hosts(&self, domain: &str, hosts: &[(u16, &str, &[Tlsa])]) {
        let mx: Vec<(u16, &str)> = hosts.iter().map(|(rank, host, _)| (*rank, *host)).collect();
        self.dns.set_mx(domain, &mx);
        for (_, host, records) in hosts {
            self.dns.set_addresses(host, &[LOCALHOST]);
            if !records.is_empty() {
                self.dns.set_tlsa(&tlsa_name(host), records);
            }
        }
    }

    async fn ask(&self, domain: &str, mx: Option<&str>) -> Requirement {
        let mut query = Query::new(domain).with_deadline(Duration::from_secs(60));
        query.mx = mx;
        self.parts.engine.policy(query).await.requirement.clone()
    }

    async fn level(&self, domain: &str, mx: &str) -> &'static str {
        let mx = (!mx.is_empty()).then_some(mx);
        word(&self.ask(domain, mx).await)
    }

    fn tell(&self, requirement: &Requirement, domain: &str, mx: &str, outcome: Outcome<'_>) {
        let session = Session::new(domain, outcome).with_mx(mx);
        let session = session.under_policy(&requirement.policy);
        self.parts.engine.session(&session);
    }

    /// `policy type, policy domain, successes, failures` of each policy of a domain's day.
    async fn counted(&self, domain: &str) -> Vec<String> {
        let report: serde_json::Value = serde_json::from_slice(&self.report(domain).await).unwrap();
        let of = |policy: &serde_json::Value| {
            let (name, summary) = (&policy["policy"], &policy["summary"]);
            format!(
                "{} {} {} {}",
                name["policy-type"].as_str().unwrap(),
                name["policy-domain"].as_str().unwrap(),
                summary["total-successful-session-count"],
                summary["total-failure-session-count"],
            )
        };
        report["policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(of)
            .collect()
    }

    async fn report(&self, domain: &str) -> Vec<u8> {
        self.parts.journal.synced().await.unwrap();
        let domain = domain.parse().unwrap();
        let day = self.parts.reports.day(START.day(), &domain).unwrap();
        let report = self.parts.reports.report(&day.unwrap());
        report.unwrap().json
    }

    fn override_to(&self, domain: &str, mode: OverrideMode) {
        let mut loaded = self.loaded.clone();
        loaded.overrides = vec![Override {
            scope: domain.parse().unwrap(),
            mode,
            until: None,
        }];
        self.parts.engine.reload(engine_settings(&loaded));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(recorder) = self.parts.recorder.take() {
            recorder.stop();
        }
    }
}

fn word(requirement: &Requirement) -> &'static str {
    match (&requirement.level, requirement.audit) {
        (Level::May, false) => "may",
        (Level::May, true) => "audit",
        (Level::Encrypt, _) => "encrypt",
        (Level::Verify { .. }, _) => "verify",
        (Level::Dane { .. }, _) => "dane",
        (Level::RefuseMx, _) => "refuse",
        (Level::Defer, _) => "defer",
        other => panic!("{other:?}"),
    }
}

fn tlsa_name(host: &str) -> String {
    format!("_25._tcp.{host}")
}

/// A record with a digest of our own choice, so that a report is the same each time.
fn record(digest: u8) -> Tlsa {
    Tlsa {
        data: vec![digest; 32],
        ..Tlsa::of_no_key()
    }
}

#[tokio::test]
async fn b36_c5_each_row_of_the_joint_rule() {
    let world = World::start().await;
    let usable: &[Tlsa] = &[record(1)];
    let unusable: &[Tlsa] = &[Tlsa::unusable()];
    for (domain, mode, records, listed, whole, first, second) in [
        // The first host has the records, the second none.
        ("a1.test", "none", usable, true, "dane", "dane", "may"),
        ("a2.test", "testing", usable, true, "dane", "dane", "audit"),
        (
            "a3.test", "enforce", usable, true, "verify", "dane", "verify",
        ),
        (
            "a4.test", "enforce", usable, false, "verify", "dane", "refuse",
        ),
        ("b1.test", "none", unusable, true, "dane", "encrypt", "may"),
        (
            "b2.test", "enforce", unusable, true, "verify", "verify", "verify",
        ),
        (
            "b3.test", "enforce", unusable, false, "verify", "refuse", "refuse",
        ),
        ("c1.test", "none", &[], true, "may", "may", "may"),
        (
            "c2.test",
            "enforce",
            &[],
            true,
            "verify",
            "verify",
            "verify",
        ),
    ] {
        let (one, two) = (format!("mx1.{domain}"), format!("mx2.{domain}"));
        let elsewhere = format!("mx9.{domain}");
        let names = if listed {
            vec![&one[..], &two[..]]
        } else {
            vec![&elsewhere[..]]
        };
        world.publish(domain, mode, &names);
        world.hosts(domain, &[(10, &one, records), (20, &two, &[])]);
        let found = [
            world.level(domain, "").await,
            world.level(domain, &one).await,
            world.level(domain, &two).await,
        ];
        assert_eq!(found, [whole, first, second], "{domain}");
    }
    // Every host has records that can be used: that is enough for the domain.
    world.publish("d.test", "enforce", &["mx1.d.test"]);
    world.hosts("d.test", &[(10, "mx1.d.test", usable)]);
    assert_eq!(world.level("d.test", "").await, "dane");
}

#[tokio::test]
async fn c3_c4_what_cannot_be_looked_up() {
    let world = World::start().await;
    for (domain, fault, code) in [
        ("failed.test", DnsFault::ServFail, "tlsa-lookup-failed"),
        ("bogus.test", DnsFault::Bogus, "tlsa-bogus"),
    ] {
        let host = format!("mx1.{domain}");
        // B36: a policy that lists the host does not let it in.
        world.publish(domain, "enforce", &[&host]);
        world.hosts(domain, &[(10, &host, &[]), (20, "mx.good.test", &[])]);
        world.dns.fail(&tlsa_name(&host), fault);
        assert_eq!(world.level(domain, &host).await, "refuse");
        assert_eq!(
            world.counted(domain).await,
            [format!("tlsa {host} 0 1")],
            "the policy had no part in it"
        );
        let report = String::from_utf8(world.report(domain).await).unwrap();
        assert!(
            report.contains(code) && report.contains("dnssec-invalid"),
            "{report}"
        );
    }
    // Addresses that are not signed: TLSA is not asked for, however broken it is.
    world.dns.set_mx("plain.test", &[(10, "mx1.plain.test")]);
    world.dns.set_addresses("mx1.plain.test", &[LOCALHOST]);
    world
        .dns
        .fail(&tlsa_name("mx1.plain.test"), DnsFault::ServFail);
    assert_eq!(world.level("plain.test", "mx1.plain.test").await, "may");
    assert_eq!(world.level("plain.test", "").await, "may");
    let asked = world.dns.times_asked(&tlsa_name("mx1.plain.test"), "TLSA");
    assert_eq!(asked, 0);
    // C2: who cannot be found gets nothing, unless a policy that is kept is the floor.
    world.dns.fail("lost.test", DnsFault::ServFail);
    assert_eq!(world.level("lost.test", "").await, "defer");
}

#[tokio::test]
async fn c7_below_mx_records_that_are_not_signed() {
    let usable: &[Tlsa] = &[record(1)];
    for (setting, without, whole) in [
        (InsecureMx::Dane, "dane", "dane"),
        (InsecureMx::Encrypt, "encrypt", "dane"),
        (InsecureMx::May, "may", "may"),
    ] {
        let world = World::with(|config| config.dane.insecure_mx = setting).await;
        world.dns.sign("host.test");
        world.hosts("plain.test", &[(10, "mx.host.test", usable)]);
        world.publish("strict.test", "enforce", &["mx.host.test"]);
        world.dns.unsign("strict.test");
        world.hosts("strict.test", &[(10, "mx.host.test", usable)]);
        assert_eq!(world.level("plain.test", "mx.host.test").await, without);
        assert_eq!(world.level("plain.test", "").await, whole);
        // Whoever forges the MX records must not get past the policy.
        assert_eq!(world.level("strict.test", "mx.host.test").await, "verify");
        assert_eq!(world.level("strict.test", "").await, "verify");
    }
}

/// What this MTA saw of five sessions under both policies, and what the domain reads of them.
#[tokio::test]
async fn d7_d11_c21_sessions_under_both_policies_have_an_element_in_each() {
    let world = World::start().await;
    let domain = "both.test";
    world.publish(domain, "enforce", &["mx1.both.test", "mx3.both.test"]);
    // C21: sorted, whatever the order in the DNS; what cannot be used is in it.
    let records = [record(0xEE), Tlsa::unusable(), record(0x0A)];
    world.hosts(
        domain,
        &[
            (10, "mx1.both.test", &records),
            (20, "mx2.both.test", &[record(7)]),
            (30, "mx3.both.test", &[]),
            (40, "mx4.both.test", &[]),
        ],
    );
    let up = || Facts::new(StartTls::Established);
    let tell = async |mx: &str, facts: Facts<'_>| {
        let answer = world.ask(domain, Some(mx)).await;
        world.tell(&answer, domain, mx, Outcome::Facts(facts));
    };
    let both = up().with_dane(Verification::Passed);
    tell(
        "mx1.both.test",
        both.with_verification(Verification::Passed),
    )
    .await;
    // What the policy would have said of this one nobody knows.
    tell("mx1.both.test", up().with_dane(Verification::Failed)).await;
    assert_eq!(world.parts.counters.sessions_unchecked.value(), 1);
    tell("mx1.both.test", Facts::new(StartTls::NotOffered)).await;
    // The policy does not list it; its records decide.
    tell("mx2.both.test", up().with_dane(Verification::Passed)).await;
    tell(
        "mx3.both.test",
        up().with_verification(Verification::Passed),
    )
    .await;
    assert_eq!(world.level(domain, "mx4.both.test").await, "refuse");
    let mut counted = world.counted(domain).await;
    counted.sort();
    assert_eq!(
        counted,
        [
            "sts both.test 2 3",
            "tlsa mx1.both.test 1 2",
            "tlsa mx2.both.test 1 0",
        ]
    );
    check("dane-and-policy.json", &world.report(domain).await);
}

#[tokio::test]
async fn d10_records_that_change_between_the_answer_and_the_session() {
    let world = World::start().await;
    let domain = "roll.test";
    let leaf = world.authority.issue(&["mx1.roll.test"]).unwrap();
    world.publish(domain, "none", &[]);
    world.hosts(domain, &[(10, "mx1.roll.test", &[Tlsa::of_key(&leaf)])]);
    let before = world.ask(domain, Some("mx1.roll.test")).await;
    world
        .dns
        .set_tlsa(&tlsa_name("mx1.roll.test"), &[record(9)]);
    world.clock.advance_seconds(3_600);
    let after = world.ask(domain, Some("mx1.roll.test")).await;
    assert_ne!(before.policy, after.policy);
    let facts = Facts::new(StartTls::Established).with_leaf_der(leaf.der());
    for answer in [&before, &after] {
        world.tell(answer, domain, "mx1.roll.test", Outcome::Facts(facts));
        let chain = [leaf.der()];
        let presented = Presented::new(domain, "mx1.roll.test", &answer.policy, &chain);
        let verified = world.parts.engine.verify(&presented);
        let is_first = answer.policy == before.policy;
        assert_eq!(
            matches!(verified, Verified::Passed(_)),
            is_first,
            "{verified:?}"
        );
    }
    let mut counted = world.counted(domain).await;
    counted.sort();
    assert_eq!(
        counted,
        ["tlsa mx1.roll.test 0 1", "tlsa mx1.roll.test 1 0"]
    );
}

#[tokio::test]
async fn d7_a_chain_that_is_handed_over_is_judged_under_both() {
    let world = World::start().await;
    let private = Authority::new().unwrap();
    let own = |host: &str| -> Leaf { private.issue(&[host]).unwrap() };
    let leaf = own("mx1.chain.test");
    world.publish("chain.test", "enforce", &["mx1.chain.test"]);
    world.hosts(
        "chain.test",
        &[(10, "mx1.chain.test", &[Tlsa::of_key(&leaf)])],
    );
    let answer = world.ask("chain.test", Some("mx1.chain.test")).await;
    let root = private.ca_der();
    let above: [&[u8]; 1] = [&root];
    let facts = Facts::new(StartTls::Established)
        .with_leaf_der(leaf.der())
        .with_chain_der(&above);
    world.tell(
        &answer,
        "chain.test",
        "mx1.chain.test",
        Outcome::Facts(facts),
    );
    let mut counted = world.counted("chain.test").await;
    counted.sort();
    assert_eq!(counted, ["sts chain.test 0 1", "tlsa mx1.chain.test 1 0"]);
}

#[tokio::test]
async fn c17_c18_what_the_operator_wants_of_one_domain() {
    let world = World::start().await;
    for (domain, mode) in [("e.test", "enforce"), ("n.test", "none")] {
        let (one, two) = (format!("mx1.{domain}"), format!("mx2.{domain}"));
        world.publish(domain, mode, &[&one, &two]);
        world.hosts(domain, &[(10, &one, &[record(1)]), (20, &two, &[])]);
    }
    for (domain, wanted, expected) in [
        ("e.test", OverrideMode::DaneOnly, ["dane", "dane", "refuse"]),
        ("e.test", OverrideMode::WithoutDane, ["verify"; 3]),
        ("e.test", OverrideMode::Audit, ["audit"; 3]),
        ("e.test", OverrideMode::Off, ["may"; 3]),
        ("n.test", OverrideMode::WithoutDane, ["may"; 3]),
        ("n.test", OverrideMode::Audit, ["audit", "audit", "may"]),
        ("n.test", OverrideMode::DaneOnly, ["dane", "dane", "refuse"]),
    ] {
        world.override_to(domain, wanted);
        let found = [
            world.level(domain, "").await,
            world.level(domain, &format!("mx1.{domain}")).await,
            world.level(domain, &format!("mx2.{domain}")).await,
        ];
        assert_eq!(found, expected, "{domain} {wanted:?}");
    }
    // The last one refused a host, for want of DANE.
    let report = String::from_utf8(world.report("n.test").await).unwrap();
    assert!(report.contains("dane-required"), "{report}");
    // What is audited is reported as if it were enforced.
    world.override_to("n.test", OverrideMode::Audit);
    let answer = world.ask("n.test", Some("mx1.n.test")).await;
    let facts = Facts::new(StartTls::Established).with_dane(Verification::Failed);
    world.tell(&answer, "n.test", "mx1.n.test", Outcome::Facts(facts));
    let counted = world.counted("n.test").await;
    assert!(
        counted.contains(&"tlsa mx1.n.test 0 1".to_owned()),
        "{counted:?}"
    );
}

#[tokio::test]
async fn c1_c18_dane_for_nobody_or_for_the_report_only() {
    for (audit, signed_root, expected) in [(true, true, "audit"), (false, false, "may")] {
        let world = World::with(|config| config.dane.audit = audit).await;
        if !signed_root {
            // A resolver that does not look at signatures: DANE is off, never falsely on.
            world.dns.unsign(".");
            world.parts.validation.look().await;
        }
        world.publish("x.test", "none", &[]);
        world.hosts("x.test", &[(10, "mx1.x.test", &[record(1)])]);
        world.publish("y.test", "enforce", &["mx1.y.test"]);
        world.hosts("y.test", &[(10, "mx1.y.test", &[record(1)])]);
        for (domain, expected) in [("x.test", expected), ("y.test", "verify")] {
            assert_eq!(world.level(domain, "").await, expected);
            let host = format!("mx1.{domain}");
            assert_eq!(world.level(domain, &host).await, expected);
        }
        assert_eq!(world.parts.validation.by().is_some(), signed_root);
    }
}

#[tokio::test]
async fn c2_g10_the_dns_is_down() {
    let world = World::start().await;
    world.publish("kept.test", "enforce", &["mx1.kept.test"]);
    world.hosts("kept.test", &[(10, "mx1.kept.test", &[])]);
    world.publish("signed.test", "none", &[]);
    world.hosts("signed.test", &[(10, "mx1.signed.test", &[record(1)])]);
    assert_eq!(world.level("kept.test", "").await, "verify");
    assert_eq!(world.level("signed.test", "mx1.signed.test").await, "dane");
    for name in [
        "kept.test",
        "_mta-sts.kept.test",
        "mx1.kept.test",
        "signed.test",
        "_mta-sts.signed.test",
        "mx1.signed.test",
    ] {
        world.dns.fail(name, DnsFault::ServFail);
    }
    world.clock.advance_seconds(7_200);
    // An unexpired policy is the floor for the domain; which hosts it has nobody can tell now.
    assert_eq!(world.level("kept.test", "").await, "verify");
    assert_eq!(world.level("signed.test", "").await, "defer");
    assert_eq!(
        world.level("signed.test", "mx1.signed.test").await,
        "refuse"
    );
    world.parts.journal.synced().await.unwrap();
    let domain = "signed.test".parse().unwrap();
    let day = world.parts.reports.day(START.day(), &domain).unwrap();
    assert_eq!(day, None, "nobody's TLS failed");
}
