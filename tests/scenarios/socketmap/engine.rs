//! The door with the real engine behind it, in a small Internet of the kit's.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Mutex,
    time::Duration,
};

use sealpost::{
    clock::{Clock as _, StoppedClock, Timestamp},
    config::{DnsConfig, Override, OverrideMode, PolicyConfig, WhenUnknown},
    engine::{
        Engine, EngineSettings,
        keeper::{Keeper, KeeperParts},
    },
    hook::joint::DaneSettings,
    net::{hickory::HickoryDns, policy_host::HttpsPolicyHost},
    record::journal::{Journal, JournalReader},
    store::memory::MemoryStore,
};
use sealpost_kit::{Answer, Authority, DnsFault, DnsServer, Leaf, PolicyHost, PolicyHosts};
use sealpost_plugin_api::{Facts, Outcome, Session, StartTls};

use super::*;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const START: Timestamp = Timestamp(1_800_000_000);

/// The Internet, a host in it, and its door.
pub(super) struct World {
    pub(super) dns: DnsServer,
    pub(super) hosts: PolicyHosts,
    pub(super) authority: Authority,
    pub(super) clock: StoppedClock,
    engine: Arc<Engine>,
    pub(super) door: Door,
    _records: Mutex<JournalReader>,
    _directory: TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A host with other settings.
    pub(super) async fn with(change: impl FnOnce(&mut PolicyConfig, &mut SocketmapConfig)) -> Self {
        let dns = DnsServer::start().await.unwrap();
        let hosts = PolicyHosts::start().await.unwrap();
        let authority = Authority::new().unwrap();
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("root.pem");
        std::fs::write(&root, authority.ca_pem()).unwrap();
        let mut policy = PolicyConfig {
            https_port: hosts.address().port(),
            extra_roots: vec![root],
            allow_private_addresses: true,
            ..PolicyConfig::default()
        };
        let mut socketmap = config(&directory);
        change(&mut policy, &mut socketmap);
        let clock = StoppedClock::at(START);
        let (engine, records) = engine(&dns, policy, &clock);
        let door = Door::open(&socketmap, Arc::clone(&engine) as _);
        Self {
            dns,
            hosts,
            authority,
            clock,
            engine,
            door,
            _records: Mutex::new(records),
            _directory: directory,
        }
    }

    /// A domain whose policy host answers so, under a good certificate.
    pub(super) fn publish(&self, domain: &str, id: &str, answer: Answer) {
        self.announce(domain, id);
        let host = format!("mta-sts.{domain}");
        self.serve(domain, answer, self.authority.issue(&[&host]).unwrap());
    }

    pub(super) fn announce(&self, domain: &str, id: &str) {
        let name = format!("_mta-sts.{domain}");
        self.dns.set_txt(&name, &[&format!("v=STSv1; id={id};")]);
    }

    pub(super) fn serve(&self, domain: &str, answer: Answer, certificate: Leaf) {
        let host = format!("mta-sts.{domain}");
        self.dns.set_addresses(&host, &[LOCALHOST]);
        let served = PolicyHost {
            certificate,
            answer,
        };
        self.hosts.set(&host, served);
    }

    fn set_overrides(&self, overrides: &[(&str, OverrideMode)]) {
        let overrides = overrides.iter().map(|(domain, mode)| Override {
            scope: domain.parse().unwrap(),
            mode: *mode,
            until: None,
        });
        self.engine.reload(EngineSettings {
            overrides: overrides.collect(),
            when_unknown: WhenUnknown::Defer,
            dane: DaneSettings::default(),
        });
    }
}

fn engine(
    dns: &DnsServer,
    policy: PolicyConfig,
    clock: &StoppedClock,
) -> (Arc<Engine>, JournalReader) {
    let counters = Arc::new(Counters::default());
    let (journal, records) = Journal::new(1_000, Arc::clone(&counters));
    let resolver = HickoryDns::new(&DnsConfig {
        servers: vec![dns.address()],
        // With patience: the machine may be busy.
        timeout_ms: 10_000,
        attempts: 2,
    });
    let resolver = Arc::new(resolver.unwrap());
    let clock = Arc::new(clock.clone());
    let host = HttpsPolicyHost::new(Arc::clone(&resolver) as _, Arc::clone(&clock) as _, &policy);
    let keeper = Keeper::new(KeeperParts {
        dns: resolver,
        policy_host: Arc::new(host.unwrap()),
        store: Arc::new(MemoryStore::default()),
        clock: Arc::clone(&clock) as _,
        journal: journal.clone(),
        counters: Arc::clone(&counters),
        auditor: Default::default(),
        config: policy,
    });
    let settings = EngineSettings {
        overrides: [].into_iter().collect(),
        when_unknown: WhenUnknown::Defer,
        dane: DaneSettings::default(),
    };
    let engine = Engine::new(Arc::new(keeper), journal, clock, counters, settings);
    (Arc::new(engine), records)
}

fn document(mode: &str, mx: &str) -> Answer {
    Answer::document(&format!(
        "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 604800\n"
    ))
}

fn secure(mx: &str) -> String {
    format!("OK secure match={mx} servername=hostname")
}

#[tokio::test]
async fn b17_one_fetch_for_64_askers() {
    let world = World::start().await;
    world.publish("a.test", "1", document("enforce", "mx.a.test"));
    let mut clients = Vec::new();
    for _ in 0..64 {
        let mut client = world.door.client().await;
        client.send(netstring("QUERY a.test")).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.reply().await, secure("mx.a.test"));
    }
    assert_eq!(world.hosts.times_requested("mta-sts.a.test"), 1);
    assert_eq!(world.dns.times_asked("_mta-sts.a.test", "TXT"), 1);
}

#[tokio::test]
async fn b27_overrides_hold_from_the_next_question_on() {
    use OverrideMode::{Audit, Enforce, Off};
    let world = World::start().await;
    world.publish("enforce.test", "1", document("enforce", "mx.enforce.test"));
    world.publish("testing.test", "1", document("testing", "mx.testing.test"));
    world.publish("none.test", "1", document("none", "mx.none.test"));
    let mut client = world.door.client().await;
    for (mode, enforce, testing) in [
        (None, true, false),
        (Some(Audit), false, false),
        (Some(Off), false, false),
        (Some(Enforce), true, true),
        (None, true, false),
    ] {
        let domains = ["enforce.test", "testing.test", "none.test"];
        let overrides: Vec<_> = mode
            .iter()
            .flat_map(|mode| domains.map(|domain| (domain, *mode)))
            .collect();
        world.set_overrides(&overrides);
        // Also where it has been answered before.
        for _ in 0..2 {
            for (domain, told) in domains.into_iter().zip([enforce, testing, false]) {
                let expected = if told {
                    secure(&format!("mx.{domain}"))
                } else {
                    "NOTFOUND ".to_owned()
                };
                let plain = client.ask(format!("QUERY {domain}")).await;
                assert_eq!(plain, expected, "{domain} {mode:?}");
                let named = client.ask(format!("QUERYwithTLSRPT {domain}")).await;
                assert!(named.starts_with(&expected), "{domain} {mode:?}: {named}");
                let name = format!(" policy_type=sts policy_domain={domain} ");
                assert_eq!(named.contains(&name), told, "{named}");
            }
        }
    }
}

#[tokio::test]
async fn b30_b32_a_new_policy_is_followed_and_an_old_one_outlives_what_is_broken() {
    let world = World::start().await;
    world.dns.set_time_to_live_seconds(60);
    world.publish("a.test", "1", document("enforce", "mx1.a.test"));
    let mut client = world.door.client().await;
    let (old, new) = (secure("mx1.a.test"), secure("mx2.a.test"));
    assert_eq!(client.ask("QUERY a.test").await, old);
    // Within the record's time to live nobody looks.
    world.publish("a.test", "2", document("enforce", "mx2.a.test"));
    assert_eq!(client.ask("QUERY a.test").await, old);
    assert_eq!(world.dns.times_asked("_mta-sts.a.test", "TXT"), 1);
    world.clock.advance_seconds(61);
    assert_eq!(client.ask("QUERY a.test").await, new);
    // RFC 8461 s5.1: when a session has failed under it, the next question looks at once.
    world.publish("a.test", "3", document("testing", "mx2.a.test"));
    let facts = Facts::new(StartTls::NotOffered);
    let session = Session::new("a.test", Outcome::Facts(facts)).with_mx("mx2.a.test");
    AsyncHook::session(&*world.engine, &session);
    assert_eq!(client.ask("QUERY a.test").await, "NOTFOUND ");
    // Until it expires, whatever DNS says.
    world.publish("a.test", "4", document("enforce", "mx4.a.test"));
    world.clock.advance_seconds(61);
    assert_eq!(client.ask("QUERY a.test").await, secure("mx4.a.test"));
    world.dns.fail("_mta-sts.a.test", DnsFault::ServFail);
    world.clock.advance_seconds(604_000);
    assert_eq!(client.ask("QUERY a.test").await, secure("mx4.a.test"));
    world.clock.advance_seconds(1_000);
    assert_eq!(client.ask("QUERY a.test").await, "NOTFOUND ");
}

#[tokio::test]
async fn g10_what_is_not_known_in_time_waits_with_a_reason_or_goes_as_the_operator_says() {
    let change = |_: &mut PolicyConfig, socketmap: &mut SocketmapConfig| socketmap.deadline_ms = 50;
    let world = World::with(change).await;
    world.publish("a.test", "1", document("enforce", "mx.a.test"));
    world.dns.fail("_mta-sts.a.test", DnsFault::Silence);
    let mut client = world.door.client().await;
    for map in ["QUERY", "QUERYwithTLSRPT"] {
        assert_eq!(
            client.ask(format!("{map} a.test")).await,
            "TEMP the policy of a.test is not known: no answer from DNS or the policy host in time"
        );
    }
    assert_eq!(world.door.counters.socketmap_deferred.value(), 2);
    world.engine.reload(EngineSettings {
        overrides: [].into_iter().collect(),
        when_unknown: WhenUnknown::May,
        dane: DaneSettings::default(),
    });
    assert_eq!(client.ask("QUERY a.test").await, "NOTFOUND ");
    world.set_overrides(&[("a.test", OverrideMode::Off)]);
    assert_eq!(client.ask("QUERY a.test").await, "NOTFOUND ");
    assert_eq!(world.door.counters.socketmap_deferred.value(), 2);
}

#[tokio::test]
async fn a_policy_too_large_to_be_named_is_told_all_the_same() {
    let world = World::start().await;
    let policy = |count: usize| {
        let mx: String = (0..count)
            .map(|number| format!("mx: mx{number}.a.test\n"))
            .collect();
        Answer::document(&format!(
            "version: STSv1\nmode: enforce\n{mx}max_age: 604800\n"
        ))
    };
    let mut client = world.door.client().await;
    for (domain, count, named) in [("a.test", 700, true), ("b.test", 2_500, false)] {
        world.publish(domain, "1", policy(count));
        let reply = client.ask(format!("QUERYwithTLSRPT {domain}")).await;
        assert_eq!(reply.contains(" policy_type=sts "), named, "{domain}");
        let plain = client.ask(format!("QUERY {domain}")).await;
        assert!(reply.starts_with(&plain));
        let expected: Vec<_> = (0..count)
            .map(|number| format!("mx{number}.a.test"))
            .collect();
        assert_eq!(plain, secure(&expected.join(":")));
    }
}

#[tokio::test]
async fn at_shutdown_a_lookup_under_way_is_waited_for() {
    let world = World::start().await;
    world.publish("a.test", "1", document("enforce", "mx.a.test"));
    world.dns.fail("_mta-sts.a.test", DnsFault::Silence);
    let mut client = world.door.client().await;
    client.send(netstring("QUERY a.test")).await;
    while world.dns.times_asked("_mta-sts.a.test", "TXT") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.clock.now(), START);
    let stopping = tokio::spawn(world.door.stop());
    // The resolver asks again.
    world.dns.heal("_mta-sts.a.test");
    assert_eq!(client.reply().await, secure("mx.a.test"));
    assert_eq!(client.reply().await, "end");
    stopping.await.unwrap();
}
