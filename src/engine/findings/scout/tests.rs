//! The scout on a stopped clock, between a resolver and mail hosts made of maps.

use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use sealpost_kit::Authority;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    clock::{BoxFuture, StoppedClock},
    net::dns::Answer,
    policy::dane::TlsaRecord,
    record::{
        classify::Observed,
        finding::TlsaLookup,
        look::{Seen, TlsSeen},
    },
};

const START: Timestamp = Timestamp(1_800_000_000);
const HOUR: i64 = 3_600;

/// Preference and exchange.
type Records = Vec<(u16, String)>;

/// Resolver and mail hosts in one.
struct World {
    authority: Authority,
    /// `_smtp._tls` by domain.
    asks: Mutex<HashMap<String, Result<&'static str, ()>>>,
    mx: Mutex<HashMap<String, Result<Records, ()>>>,
    /// What each host does: `good`, `clear`, `down`, `unclear`, `deadly`.
    hosts: Mutex<HashMap<String, String>>,
    asked: Mutex<Vec<String>>,
    looked: Mutex<Vec<String>>,
    looking: AtomicUsize,
    looking_max: AtomicUsize,
    /// While it is true, looks hang.
    hanging: watch::Sender<bool>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            authority: Authority::new().unwrap(),
            asks: Mutex::default(),
            mx: Mutex::default(),
            hosts: Mutex::default(),
            asked: Mutex::default(),
            looked: Mutex::default(),
            looking: AtomicUsize::default(),
            looking_max: AtomicUsize::default(),
            hanging: watch::Sender::new(false),
        })
    }

    /// A domain that asks for reports, with hosts in lines such as `10 mx.a.test good`.
    fn domain(&self, name: &str, hosts: &[&str]) -> PolicyDomain {
        let asks = Ok("v=TLSRPTv1; rua=mailto:r@a.test");
        self.asks.lock().unwrap().insert(name.to_owned(), asks);
        let mut records = Vec::new();
        for host in hosts {
            let words: Vec<&str> = host.split(' ').collect();
            records.push((words[0].parse().unwrap(), words[1].to_owned()));
            if let Some(what) = words.get(2) {
                self.set_host(words[1], what);
            }
        }
        self.set_mx(name, Ok(records));
        name.parse().unwrap()
    }

    fn set_mx(&self, name: &str, records: Result<Records, ()>) {
        self.mx.lock().unwrap().insert(name.to_owned(), records);
    }

    fn set_host(&self, name: &str, what: &str) {
        let what = what.to_owned();
        self.hosts.lock().unwrap().insert(name.to_owned(), what);
    }

    fn answer<T>(&self, name: String, values: Result<Vec<T>, ()>) -> Result<Answer<T>, DnsError> {
        self.asked.lock().unwrap().push(name.clone());
        match values {
            Ok(values) => Ok(Answer {
                values,
                time_to_live: Duration::from_secs(60),
            }),
            Err(()) => Err(DnsError::Server {
                name,
                code: "SERVFAIL".to_owned(),
            }),
        }
    }

    /// The hosts looked at since this was last asked, by name.
    fn looked(&self) -> Vec<String> {
        let mut looked = std::mem::take(&mut *self.looked.lock().unwrap());
        looked.sort();
        looked
    }

    /// The names asked for since this was last asked, in order.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn see(&self, host: &MxHost) -> Seen {
        let what = self.hosts.lock().unwrap().get(host.as_str()).cloned();
        let tls = match what.as_deref().unwrap_or("down") {
            "down" => return Seen::Nothing("down".to_owned()),
            "clear" => TlsSeen::NotOffered,
            "unclear" => TlsSeen::NotKnown("our library".to_owned()),
            "deadly" => panic!("on purpose"),
            _ => {
                let leaf = self.authority.issue(&[host.as_str()]).unwrap();
                TlsSeen::Established(vec![CertificateDer::from(leaf.der().to_vec())])
            }
        };
        Seen::Host {
            address: IpAddr::from([192, 0, 2, 1]),
            helo: Some("helo.test".to_owned()),
            tls,
        }
    }
}

impl Dns for World {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        let domain = name.strip_prefix("_smtp._tls.").unwrap();
        let asks = self.asks.lock().unwrap().get(domain).copied();
        let texts = asks.map_or(Ok(vec![]), |asks| asks.map(|text| vec![text.into()]));
        Box::pin(std::future::ready(
            self.answer(format!("TXT {domain}"), texts),
        ))
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        let records = self.mx.lock().unwrap().get(name).cloned();
        let values = records.unwrap_or(Ok(vec![])).map(|records| {
            let record = |(preference, exchange)| Mx {
                preference,
                exchange,
            };
            records.into_iter().map(record).collect()
        });
        Box::pin(std::future::ready(
            self.answer(format!("MX {name}"), values),
        ))
    }

    fn addresses<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        unimplemented!("the scout asks for no address")
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        let host = name.strip_prefix("_25._tcp.").unwrap();
        let values = if host.starts_with("bogus") {
            Err(())
        } else {
            Ok(vec![])
        };
        Box::pin(std::future::ready(
            self.answer(format!("TLSA {host}"), values),
        ))
    }
}

impl Prober for World {
    fn look<'a>(&'a self, host: &'a MxHost) -> BoxFuture<'a, Seen> {
        self.looked.lock().unwrap().push(host.to_string());
        Box::pin(async move {
            let looking = self.looking.fetch_add(1, Ordering::Relaxed) + 1;
            self.looking_max.fetch_max(looking, Ordering::Relaxed);
            let mut hanging = self.hanging.subscribe();
            let _served = hanging.wait_for(|hanging| !*hanging).await.is_ok();
            tokio::task::yield_now().await;
            self.looking.fetch_sub(1, Ordering::Relaxed);
            self.see(host)
        })
    }
}

/// A scout at work.
struct Host {
    scout: Arc<Scout>,
    clock: StoppedClock,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Host {
    fn start(world: &Arc<World>, config: ProbeConfig) -> Self {
        let clock = StoppedClock::at(START);
        let counters = Arc::new(Counters::default());
        let mut roots = RootCertStore::empty();
        roots.add(world.authority.ca_der()).unwrap();
        let scout = Arc::new(Scout::new(ScoutParts {
            dns: Arc::clone(world) as _,
            prober: Arc::clone(world) as _,
            roots: Arc::new(roots),
            clock: Arc::new(clock.clone()),
            counters: Arc::clone(&counters),
            config,
        }));
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(Arc::clone(&scout).run(stopping));
        Self {
            scout,
            clock,
            counters,
            stop,
            running,
        }
    }

    async fn settle(&self, domain: &PolicyDomain) {
        while self.scout.under_way(domain) {
            tokio::task::yield_now().await;
        }
    }

    /// What is known once a wish is fulfilled, a line for each host.
    async fn find(&self, domain: &PolicyDomain, look: Look) -> Vec<String> {
        self.scout.wish(domain, look);
        self.settle(domain).await;
        self.known(domain)
    }

    fn known(&self, domain: &PolicyDomain) -> Vec<String> {
        let Some(found) = self.scout.of(domain) else {
            return vec!["nothing known".to_owned()];
        };
        if !found.asks_for_reports {
            assert!(found.hosts.is_empty());
            return vec!["nobody reads".to_owned()];
        }
        let shown = |host: &HostFinding| {
            let what = match &host.observed {
                Observed::Established { troubles } if troubles.is_empty() => "good",
                Observed::Established { .. } => "troubles",
                Observed::Failed(_) => "clear",
                Observed::NoSession if !host.was_looked_at() => "unseen",
                Observed::NoSession if host.was_reached() => "unclear",
                Observed::NoSession => "down",
            };
            let tlsa = match host.tlsa {
                TlsaLookup::Failed => ", no TLSA",
                _ => "",
            };
            format!("{} {} {what}{tlsa}", host.preference, host.host)
        };
        found.hosts.iter().map(shown).collect()
    }
}

#[tokio::test]
async fn of_a_domain_that_asks_for_no_report_nothing_more_is_asked() {
    let world = World::new();
    let domain = world.domain("a.test", &["10 mx.a.test good"]);
    let host = Host::start(&world, ProbeConfig::default());
    for asks in ["v=spf1 -all", "v=TLSRPTv1;", ""] {
        let asks = Ok(asks);
        world.asks.lock().unwrap().insert("a.test".to_owned(), asks);
        for look in [Look::HostsOnly, Look::Probe, Look::Probe] {
            assert_eq!(host.find(&domain, look).await, ["nobody reads"]);
        }
        assert_eq!(world.asked(), ["TXT a.test"]);
        host.clock.advance_seconds(HOUR - 1);
        assert_eq!(host.find(&domain, Look::Probe).await, ["nobody reads"]);
        assert!(world.asked().is_empty());
        host.clock.advance_seconds(1);
    }
    assert!(world.looked().is_empty());
}

#[tokio::test]
async fn a_host_is_looked_at_once_in_an_interval_for_all_its_domains() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let domains: Vec<PolicyDomain> = (0..20)
        .map(|number| world.domain(&format!("{number}.test"), &["10 mx.big.test good"]))
        .collect();
    // All at once, while the first look hangs.
    world.hanging.send_replace(true);
    for domain in &domains {
        host.scout.wish(domain, Look::Probe);
        host.scout.wish(domain, Look::Probe);
        assert!(host.scout.under_way(domain));
    }
    tokio::task::yield_now().await;
    world.hanging.send_replace(false);
    for domain in &domains {
        host.settle(domain).await;
        assert_eq!(host.known(domain), ["10 mx.big.test good"]);
    }
    assert_eq!(world.looked(), ["mx.big.test"]);
    assert_eq!(host.counters.probes.value(), 1);

    // One domain more, half an hour later: what it is told is as old as the look.
    host.clock.advance_seconds(HOUR / 2);
    let late = world.domain("late.test", &["10 mx.big.test"]);
    assert_eq!(host.find(&late, Look::Probe).await, ["10 mx.big.test good"]);
    assert_eq!(host.scout.of(&late).unwrap().at, START);
    assert!(world.looked().is_empty());
    host.clock.advance_seconds(HOUR / 2);
    for domain in domains.iter().chain([&late]) {
        host.find(domain, Look::Probe).await;
    }
    assert_eq!(world.looked(), ["mx.big.test"]);
    // A clock that was set back makes no finding last for years.
    host.clock.set(Timestamp(START.0 - 10 * HOUR));
    host.find(&late, Look::Probe).await;
    assert_eq!(world.looked(), ["mx.big.test"]);
}

#[tokio::test]
async fn the_hosts_are_those_of_the_mx_records() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let many: Vec<String> = (0..=HOSTS_OF_DOMAIN_MAX)
        .map(|number| format!("10 mx{number}.b.test good"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (records, expected) in [
        // RFC 5321 s5.1
        (vec![], vec!["0 a.test unseen"]),
        // RFC 7505 s3
        (vec!["0 "], vec![]),
        (
            vec!["20 mx2.b.test", "10 MX1.b.test", "30 mx1.B.test."],
            vec!["10 mx1.b.test unseen", "20 mx2.b.test unseen"],
        ),
        (
            vec!["10 192.0.2.1", "10 mx\u{7f}.b.test", "10 mx.b.test"],
            vec!["10 mx.b.test unseen"],
        ),
        (many, vec![]),
    ] {
        let domain = world.domain("a.test", &records);
        let found = host.find(&domain, Look::HostsOnly).await;
        assert_eq!(found, expected, "{records:?}");
        host.clock.advance_seconds(HOUR);
    }
    assert!(world.looked().is_empty());
}

#[tokio::test]
async fn hosts_are_looked_at_only_as_far_as_mail_is_likely_to_go() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    for (number, (hosts, looks)) in [
        (vec!["10 mx1.N good", "20 mx2.N unseen"], 1),
        (vec!["10 mx1.N unclear", "20 mx2.N unseen"], 1),
        (vec!["10 mx1.N down", "20 mx2.N good", "30 mx3.N unseen"], 2),
        (vec!["10 mx1.N clear", "20 mx2.N clear"], 2),
        (
            vec![
                "10 mx1.N down",
                "10 mx2.N good",
                "10 mx3.N clear",
                "20 mx4.N unseen",
            ],
            3,
        ),
        (
            vec![
                "10 mx1.N down",
                "10 mx2.N down",
                "20 mx3.N down",
                "20 mx4.N down",
                "20 mx5.N unseen",
                "30 mx6.N unseen",
            ],
            4,
        ),
        (vec!["10 bogus1.N good, no TLSA", "20 mx2.N unseen"], 1),
        (vec!["10 bogus1.N down, no TLSA"], 1),
    ]
    .into_iter()
    .enumerate()
    {
        let named = |line: &&str| line.replace('N', &format!("d{number}.test"));
        let lines: Vec<String> = hosts.iter().map(named).collect();
        let bare = lines.iter().map(|line| line.trim_end_matches(", no TLSA"));
        let domain = world.domain(&format!("{number}.test"), &bare.collect::<Vec<_>>());
        assert_eq!(host.find(&domain, Look::Probe).await, lines);
        assert_eq!(world.looked().len(), looks, "{lines:?}");
    }
    assert_eq!(host.counters.probes.value(), 15);
    assert_eq!(host.counters.probes_unreached.value(), 7);
}

#[tokio::test]
async fn where_looking_is_turned_off_only_the_dns_is_asked() {
    let world = World::new();
    let config = ProbeConfig {
        enabled: false,
        ..ProbeConfig::default()
    };
    let host = Host::start(&world, config);
    let domain = world.domain("a.test", &["10 mx.a.test good"]);
    for _ in 0..2 {
        let found = host.find(&domain, Look::Probe).await;
        assert_eq!(found, ["10 mx.a.test unseen"]);
        assert_eq!(world.asked(), ["TXT a.test", "MX a.test"]);
        host.clock.advance_seconds(HOUR);
    }
    assert!(world.looked().is_empty());
    assert_eq!(host.counters.probes.value(), 0);
}

#[tokio::test]
async fn a_closer_look_is_taken_although_the_hosts_are_known() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let domain = world.domain("a.test", &["10 mx.a.test good"]);
    let found = host.find(&domain, Look::HostsOnly).await;
    assert_eq!(found, ["10 mx.a.test unseen"]);
    let found = host.find(&domain, Look::Probe).await;
    assert_eq!(found, ["10 mx.a.test good"]);
    world.asked();
    let found = host.find(&domain, Look::HostsOnly).await;
    assert_eq!(found, ["10 mx.a.test good"]);
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn a_lookup_that_fails_says_nothing_and_is_tried_again_later() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let domain = world.domain("a.test", &["10 mx.a.test good"]);
    world.set_mx("a.test", Err(()));
    assert_eq!(host.find(&domain, Look::Probe).await, ["nothing known"]);
    world.domain("a.test", &["10 mx.a.test good"]);
    host.clock.advance_seconds(RETRY_SECONDS - 1);
    assert_eq!(host.find(&domain, Look::Probe).await, ["nothing known"]);
    host.clock.advance_seconds(1);
    let good = ["10 mx.a.test good"];
    assert_eq!(host.find(&domain, Look::Probe).await, good);
    // What was found before stays, with its age.
    let found_at = host.scout.of(&domain).unwrap().at;
    host.clock.advance_seconds(HOUR);
    world
        .asks
        .lock()
        .unwrap()
        .insert("a.test".to_owned(), Err(()));
    assert_eq!(host.find(&domain, Look::Probe).await, good);
    assert_eq!(host.scout.of(&domain).unwrap().at, found_at);
}

#[tokio::test]
async fn looks_at_once_are_bounded_and_hold_up_no_lookup() {
    let world = World::new();
    let config = ProbeConfig {
        concurrent_max: 2,
        ..ProbeConfig::default()
    };
    let host = Host::start(&world, config);
    world.hanging.send_replace(true);
    let domains: Vec<PolicyDomain> = (0..10)
        .map(|number| {
            let mx = format!("10 mx.{number}.test good");
            world.domain(&format!("{number}.test"), &[&mx])
        })
        .collect();
    for domain in &domains {
        host.scout.wish(domain, Look::Probe);
    }
    let other = world.domain("other.test", &["10 mx.other.test good"]);
    let found = host.find(&other, Look::HostsOnly).await;
    assert_eq!(found, ["10 mx.other.test unseen"]);
    assert!(domains.iter().all(|domain| host.scout.under_way(domain)));
    world.hanging.send_replace(false);
    for domain in &domains {
        host.settle(domain).await;
    }
    assert_eq!(world.looked().len(), 10);
    assert_eq!(world.looking_max.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn it_stops_although_a_look_hangs() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let domain = world.domain("a.test", &["10 mx.a.test good"]);
    world.hanging.send_replace(true);
    host.scout.wish(&domain, Look::Probe);
    while world.looking.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    host.stop.send_replace(true);
    host.running.await.unwrap();
}

#[tokio::test]
async fn g3_a_look_that_dies_leaves_the_others_alone() {
    let world = World::new();
    let host = Host::start(&world, ProbeConfig::default());
    let hosts = ["10 mx1.a.test deadly", "10 mx2.a.test good"];
    let domain = world.domain("a.test", &hosts);
    assert_eq!(
        host.find(&domain, Look::Probe).await,
        ["10 mx1.a.test unseen", "10 mx2.a.test good"]
    );
    world.set_host("mx1.a.test", "good");
    host.clock.advance_seconds(HOUR);
    assert_eq!(
        host.find(&domain, Look::Probe).await,
        ["10 mx1.a.test good", "10 mx2.a.test good"]
    );
}
