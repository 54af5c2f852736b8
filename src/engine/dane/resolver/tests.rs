//! The order of lookups, what is shared and what is kept, over a DNS that is made of values.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Barrier, watch};

use super::*;
use crate::{
    clock::StoppedClock,
    config::InsecureMx,
    net::dns::{DnsError, Found, Lookup, Mx},
    policy::dane::{
        DaneFinding, LookupTrouble, MailHosts, ManyHosts, MxSecurity, NoDane, RankedHost,
        TlsaRecord,
    },
};

/// What one question is answered.
#[derive(Clone)]
enum Says<T> {
    Secure(T),
    Insecure(T),
    Bogus,
    Failed,
}

use Says::{Bogus, Failed, Insecure, Secure};

/// Where an answer's aliases end, its values, and its time to live.
#[derive(Clone)]
struct Data<T> {
    values: Vec<T>,
    end: Option<&'static str>,
    seconds: u64,
}

fn data<T>(values: Vec<T>) -> Data<T> {
    Data {
        values,
        end: None,
        seconds: 300,
    }
}

#[derive(Default)]
struct World {
    mx: HashMap<String, Says<Data<Mx>>>,
    addresses: HashMap<String, Says<Data<IpAddr>>>,
    aliases: HashMap<String, Says<Data<String>>>,
    tlsa: HashMap<String, Says<Data<TlsaRecord>>>,
    asked: Vec<String>,
    /// Questions that wait until the gate is open.
    slow: HashSet<String>,
    /// Address lookups that wait until so many of them are asked at once.
    together: Option<Arc<Barrier>>,
}

/// A DNS in which a name that it does not know is proven not to exist.
struct FakeDns {
    world: Mutex<World>,
    gate: watch::Sender<bool>,
}

impl FakeDns {
    async fn answer<T: Clone>(
        &self,
        kind: &str,
        name: &str,
        pick: impl Fn(&World) -> &HashMap<String, Says<Data<T>>>,
    ) -> Lookup<T> {
        let question = format!("{kind} {name}");
        let (slow, together) = {
            let mut world = self.world.lock().unwrap();
            world.asked.push(question.clone());
            let together = world.together.clone().filter(|_| kind == "ADDR");
            (world.slow.contains(&question), together)
        };
        // A task that is alone on its thread lets the others ask before it is answered.
        tokio::task::yield_now().await;
        if slow {
            let opened = self.gate.subscribe().wait_for(|open| *open).await.is_ok();
            assert!(opened);
        }
        if let Some(barrier) = together {
            barrier.wait().await;
        }
        let world = self.world.lock().unwrap();
        let found = |data: &Data<T>| Found {
            values: data.values.clone(),
            expanded: data.end.map(ToOwned::to_owned),
            time_to_live: Duration::from_secs(data.seconds),
        };
        match pick(&world).get(name) {
            Some(Secure(data)) => Lookup::Secure(found(data)),
            Some(Insecure(data)) => Lookup::Insecure(found(data)),
            Some(Bogus) => Lookup::Bogus("the signature has expired".to_owned()),
            Some(Failed) => Lookup::Failed(DnsError::Server {
                name: name.to_owned(),
                code: "SERVFAIL".to_owned(),
            }),
            None => Lookup::Secure(found(&data(Vec::new()))),
        }
    }
}

impl SecureDns for FakeDns {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<Mx>> {
        Box::pin(self.answer("MX", name, |world| &world.mx))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<IpAddr>> {
        Box::pin(self.answer("ADDR", name, |world| &world.addresses))
    }

    fn alias<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<String>> {
        Box::pin(self.answer("CNAME", name, |world| &world.aliases))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<TlsaRecord>> {
        Box::pin(self.answer("TLSA", name, |world| &world.tlsa))
    }
}

/// A resolver over such a DNS.
struct Laboratory {
    dns: Arc<FakeDns>,
    clock: StoppedClock,
    resolver: Arc<DaneResolver>,
    validates: Arc<AtomicBool>,
}

const START: Timestamp = Timestamp(1_800_000_000);

fn laboratory() -> Laboratory {
    configured(DaneConfig::default())
}

fn configured(config: DaneConfig) -> Laboratory {
    let dns = Arc::new(FakeDns {
        world: Mutex::default(),
        gate: watch::Sender::new(false),
    });
    let clock = StoppedClock::at(START);
    let validates = Arc::new(AtomicBool::new(true));
    let (source, is_up) = (Arc::clone(&dns), Arc::clone(&validates));
    let validation = move || {
        let up = is_up.load(Ordering::Relaxed);
        up.then(|| Arc::clone(&source) as Arc<dyn SecureDns>)
    };
    let resolver = DaneResolver::new(DaneParts {
        validation: Arc::new(validation),
        clock: Arc::new(clock.clone()),
        counters: Arc::default(),
        config,
        port: 25,
    });
    Laboratory {
        dns,
        clock,
        resolver: Arc::new(resolver),
        validates,
    }
}

fn domain(text: &str) -> PolicyDomain {
    text.parse().unwrap()
}

fn host(text: &str) -> MxHost {
    text.parse().unwrap()
}

fn mx(hosts: &[&str]) -> Data<Mx> {
    let records = (1..).zip(hosts).map(|(number, exchange)| Mx {
        preference: number * 10,
        exchange: (*exchange).to_owned(),
    });
    data(records.collect())
}

fn address() -> Data<IpAddr> {
    data(vec![[192, 0, 2, 1].into()])
}

fn tlsa(mark: u8) -> Data<TlsaRecord> {
    data(vec![TlsaRecord {
        usage: 3,
        selector: 1,
        matching: 1,
        association: vec![mark; 32],
    }])
}

impl<T> Data<T> {
    fn at_the_end_of(mut self, end: &'static str) -> Self {
        self.end = Some(end);
        self
    }

    fn for_seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }
}

impl Laboratory {
    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.dns.world.lock().unwrap());
    }

    fn mx(&self, name: &str, says: Says<Data<Mx>>) {
        self.change(|world| drop(world.mx.insert(name.to_owned(), says)));
    }

    fn addresses(&self, name: &str, says: Says<Data<IpAddr>>) {
        self.change(|world| drop(world.addresses.insert(name.to_owned(), says)));
    }

    fn alias(&self, name: &str, says: Says<Data<String>>) {
        self.change(|world| drop(world.aliases.insert(name.to_owned(), says)));
    }

    fn tlsa(&self, name: &str, says: Says<Data<TlsaRecord>>) {
        self.change(|world| drop(world.tlsa.insert(name.to_owned(), says)));
    }

    /// A host with everything signed.
    fn signed_host(&self, name: &str, mark: u8) {
        self.addresses(name, Secure(address()));
        self.tlsa(&format!("_25._tcp.{name}"), Secure(tlsa(mark)));
    }

    /// What was asked since the last time, in the order in which it was.
    fn asked(&self) -> Vec<String> {
        let mut asked = Vec::new();
        self.change(|world| asked = std::mem::take(&mut world.asked));
        asked
    }

    async fn domain(&self, name: &str) -> Arc<DomainDane> {
        self.resolver.domain(&domain(name)).await
    }

    async fn host(&self, of: &str, name: &str) -> Arc<HostDane> {
        self.resolver.host(&domain(of), &host(name), None).await
    }

    fn fresh(&self, name: &str) -> Option<Arc<DomainDane>> {
        let fresh = self.resolver.fresh(name, self.clock.now())?;
        Some(fresh.of(&name.parse().unwrap()))
    }
}

fn nothing(dane: &HostDane) -> Option<NoDane> {
    match dane.finding {
        DaneFinding::Nothing(why) => Some(why),
        DaneFinding::Records(_) | DaneFinding::Unreachable(_) => None,
    }
}

fn code(dane: &HostDane) -> Option<&'static str> {
    match &dane.finding {
        DaneFinding::Unreachable(LookupTrouble::Tlsa { code, .. }) => Some(code),
        _ => None,
    }
}

fn addresses_failed(dane: &HostDane) -> bool {
    let finding = &dane.finding;
    matches!(
        finding,
        DaneFinding::Unreachable(LookupTrouble::Addresses(_))
    )
}

fn base(dane: &HostDane) -> &str {
    dane.records().unwrap().base.as_str()
}

fn names(dane: &HostDane) -> Vec<&str> {
    let names = &dane.records().unwrap().reference_names;
    names.iter().map(MxHost::as_str).collect()
}

#[tokio::test]
async fn c2_c4_mx_then_addresses_then_tlsa() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.a.test"])));
    lab.signed_host("mx.a.test", 1);
    let dane = lab.domain("a.test").await;
    assert_eq!(
        lab.asked(),
        ["MX a.test", "ADDR mx.a.test", "TLSA _25._tcp.mx.a.test"]
    );
    assert!(dane.decides_on_all());
    assert_eq!(names(&dane.ranked()[0].dane), ["mx.a.test", "a.test"]);
    assert_eq!(dane.until, START.plus_seconds(300));
    // An unsigned host is asked for no TLSA records, which its servers may not understand.
    lab.mx("b.test", Insecure(mx(&["mx.b.test"])));
    lab.addresses("mx.b.test", Insecure(address()));
    lab.tlsa("_25._tcp.mx.b.test", Failed);
    let dane = lab.domain("b.test").await;
    assert_eq!(lab.asked(), ["MX b.test", "ADDR mx.b.test"]);
    let ranked = &dane.ranked()[0];
    assert_eq!(nothing(&ranked.dane), Some(NoDane::InsecureAddresses));
    assert_eq!(ranked.dane.mx, MxSecurity::Insecure);
}

#[tokio::test]
async fn c2_mx_records_that_cannot_be_looked_up_make_mail_wait() {
    for says in [Failed, Bogus] {
        let lab = laboratory();
        lab.mx("a.test", says);
        lab.signed_host("mx.a.test", 1);
        let dane = lab.domain("a.test").await;
        assert!(matches!(dane.hosts, MailHosts::Failed(_)));
        assert_eq!(lab.asked(), ["MX a.test"]);
        // So long nobody asks again, and then everybody does.
        assert_eq!(dane.until, START.plus_seconds(30));
        assert!(lab.fresh("a.test").is_some());
        assert!(
            lab.host("a.test", "mx.a.test")
                .await
                .exchanges_are_unknown()
        );
        lab.mx("a.test", Secure(mx(&["mx.a.test"])));
        lab.clock.advance_seconds(30);
        assert!(lab.fresh("a.test").is_none());
        assert!(lab.domain("a.test").await.decides_on_all());
        assert!(lab.host("a.test", "mx.a.test").await.decides().is_some());
    }
}

#[tokio::test]
async fn c2_addresses_of_one_host_that_fail_are_its_own_trouble() {
    for says in [Failed, Bogus] {
        let lab = laboratory();
        lab.mx("a.test", Secure(mx(&["bad.test", "good.test"])));
        lab.addresses("bad.test", says);
        lab.signed_host("good.test", 1);
        let dane = lab.domain("a.test").await;
        assert!(addresses_failed(&dane.ranked()[0].dane));
        assert!(dane.ranked()[1].dane.decides().is_some());
        lab.asked();
        // Only the bad one is looked up again.
        lab.addresses("bad.test", Secure(address()));
        lab.clock.advance_seconds(30);
        let dane = lab.domain("a.test").await;
        assert_eq!(lab.asked(), ["ADDR bad.test", "TLSA _25._tcp.bad.test"]);
        assert_eq!(nothing(&dane.ranked()[0].dane), Some(NoDane::NoRecords));
    }
}

#[tokio::test]
async fn c3_tlsa_records_that_cannot_be_looked_up_close_a_signed_host_only() {
    for (says, expected) in [(Failed, "tlsa-lookup-failed"), (Bogus, "tlsa-bogus")] {
        let lab = laboratory();
        lab.mx("a.test", Secure(mx(&["signed.test", "unsigned.test"])));
        lab.addresses("signed.test", Secure(address()));
        lab.addresses("unsigned.test", Insecure(address()));
        lab.tlsa("_25._tcp.signed.test", says.clone());
        lab.tlsa("_25._tcp.unsigned.test", says);
        let dane = lab.domain("a.test").await;
        assert_eq!(code(&dane.ranked()[0].dane), Some(expected));
        let unsigned = &dane.ranked()[1].dane;
        assert_eq!(nothing(unsigned), Some(NoDane::InsecureAddresses));
        assert!(!lab.asked().contains(&"TLSA _25._tcp.unsigned.test".into()));
    }
}

#[tokio::test]
async fn g6_more_records_than_anybody_needs_close_the_host() {
    let record = |mark: u8, octets: usize| TlsaRecord {
        usage: 3,
        selector: 1,
        matching: 0,
        association: vec![mark; octets],
    };
    for (records, octets, is_read) in [(64, 128, true), (65, 32, false), (4, 2_049, false)] {
        let lab = laboratory();
        lab.mx("a.test", Secure(mx(&["mx.test"])));
        lab.addresses("mx.test", Secure(address()));
        let published = (0..records).map(|mark| record(mark, octets)).collect();
        lab.tlsa("_25._tcp.mx.test", Secure(data(published)));
        let dane = lab.domain("a.test").await;
        let dane = &dane.ranked()[0].dane;
        assert_eq!(dane.records().is_some(), is_read, "{records} of {octets}");
        assert_eq!(code(dane), (!is_read).then_some("tlsa-lookup-failed"));
    }
}

#[tokio::test]
async fn c7_below_unsigned_mx_records_the_operator_decides_whether_hosts_are_looked_up() {
    for (insecure_mx, looks) in [
        (InsecureMx::Dane, true),
        (InsecureMx::Encrypt, true),
        (InsecureMx::May, false),
    ] {
        let lab = configured(DaneConfig {
            insecure_mx,
            ..DaneConfig::default()
        });
        lab.mx("a.test", Insecure(mx(&["mx.test"])));
        lab.signed_host("mx.test", 1);
        let whole = lab.domain("a.test").await;
        let alone = lab.host("a.test", "mx.test").await;
        for dane in [&whole.ranked()[0].dane, &*alone] {
            assert_eq!(dane.mx, MxSecurity::Insecure);
            if looks {
                assert_eq!(names(dane), ["mx.test"]);
            } else {
                assert_eq!(nothing(dane), Some(NoDane::InsecureMx));
            }
        }
        assert_eq!(lab.asked().len(), if looks { 3 } else { 1 });
    }
}

#[tokio::test]
async fn c8_c9_records_at_each_of_the_three_names_of_an_alias() {
    let middle = "_25._tcp.middle.test";
    let (first, last) = ("_25._tcp.mx.test", "_25._tcp.end.test");
    for (signed, records, expected, questions) in [
        (
            true,
            &[first, middle, last][..],
            Some("end.test"),
            vec![last],
        ),
        (true, &[first, middle], Some("mx.test"), vec![last, first]),
        (true, &[middle], None, vec![last, first]),
        (false, &[first, middle, last], Some("mx.test"), vec![first]),
        (false, &[middle, last], None, vec![first]),
    ] {
        let lab = laboratory();
        lab.mx("a.test", Secure(mx(&["mx.test"])));
        let addresses = address().at_the_end_of("end.test");
        let alias = Secure(data(vec!["middle.test".to_owned()]));
        lab.addresses(
            "mx.test",
            if signed {
                Secure(addresses)
            } else {
                Insecure(addresses)
            },
        );
        lab.alias("mx.test", alias);
        for name in records {
            lab.tlsa(name, Secure(tlsa(1)));
        }
        let dane = lab.domain("a.test").await;
        let dane = &dane.ranked()[0].dane;
        assert_eq!(
            dane.records().map(|records| records.base.as_str()),
            expected
        );
        let asked = lab.asked();
        assert_eq!(asked.contains(&"CNAME mx.test".to_owned()), !signed);
        let tlsa = asked.iter().filter_map(|asked| asked.strip_prefix("TLSA "));
        assert_eq!(tlsa.collect::<Vec<_>>(), questions);
    }
}

#[tokio::test]
async fn c8_an_unsigned_alias_ends_the_search_and_one_that_fails_closes_the_host() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    let addresses = Insecure(address().at_the_end_of("end.test"));
    lab.addresses("mx.test", addresses);
    lab.tlsa("_25._tcp.mx.test", Secure(tlsa(1)));
    lab.alias("mx.test", Insecure(data(vec!["end.test".to_owned()])));
    let dane = lab.host("a.test", "mx.test").await;
    assert_eq!(nothing(&dane), Some(NoDane::InsecureAddresses));
    lab.alias("mx.test", Failed);
    lab.clock.advance_seconds(300);
    assert!(addresses_failed(&*lab.host("a.test", "mx.test").await));
}

#[tokio::test]
async fn c8_c9_an_error_at_the_first_name_is_final_and_unsigned_records_are_none() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.addresses("mx.test", Secure(address().at_the_end_of("end.test")));
    lab.tlsa("_25._tcp.end.test", Failed);
    lab.tlsa("_25._tcp.mx.test", Secure(tlsa(1)));
    let dane = lab.host("a.test", "mx.test").await;
    assert_eq!(code(&dane), Some("tlsa-lookup-failed"));
    // The records' own name is an alias that leads out of what is signed.
    lab.tlsa("_25._tcp.end.test", Insecure(tlsa(2)));
    lab.clock.advance_seconds(30);
    assert_eq!(base(&*lab.host("a.test", "mx.test").await), "mx.test");
    // An alias of the records that is signed leaves the base domain as it is.
    let elsewhere = tlsa(3).at_the_end_of("records.elsewhere.test");
    lab.tlsa("_25._tcp.end.test", Secure(elsewhere));
    lab.clock.advance_seconds(300);
    let dane = lab.host("a.test", "mx.test").await;
    assert_eq!(base(&dane), "end.test");
}

#[tokio::test]
async fn c8_a_domain_that_is_an_alias_gives_its_end_as_a_reference_name() {
    let lab = laboratory();
    lab.mx(
        "a.test",
        Secure(mx(&["mx.test"]).at_the_end_of("real.test")),
    );
    lab.signed_host("mx.test", 1);
    let dane = lab.host("a.test", "mx.test").await;
    assert_eq!(names(&dane), ["mx.test", "a.test", "real.test"]);
}

#[tokio::test]
async fn c9_another_port_has_records_of_its_own() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.signed_host("mx.test", 1);
    lab.tlsa("_2525._tcp.mx.test", Secure(tlsa(2)));
    let at = async |port| {
        let (of, at) = (domain("a.test"), host("mx.test"));
        let dane = lab.resolver.host(&of, &at, port).await;
        dane.records().unwrap().set.strings()
    };
    for (port, mark) in [
        (None, "01"),
        (Some(2525), "02"),
        (Some(25), "01"),
        (Some(2525), "02"),
    ] {
        assert_eq!(at(port).await, [format!("3 1 1 {}", mark.repeat(32))]);
    }
    assert_eq!(lab.asked().len(), 5, "MX once, two questions for each port");
}

#[tokio::test]
async fn c19_an_address_as_exchange_has_no_dane_and_is_not_looked_up() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["192.0.2.1", "mx.test", "a b.test"])));
    lab.signed_host("mx.test", 1);
    let dane = lab.domain("a.test").await;
    let found: Vec<_> = dane
        .ranked()
        .iter()
        .map(|ranked| nothing(&ranked.dane))
        .collect();
    assert_eq!(
        found,
        [Some(NoDane::NotAName), None, Some(NoDane::NotAName)]
    );
    assert_eq!(lab.asked().len(), 3);
    assert!(!dane.decides_on_all());
}

#[tokio::test]
async fn a_domain_without_mx_records_is_its_own_host() {
    let lab = laboratory();
    lab.signed_host("a.test", 1);
    let dane = lab.domain("a.test").await;
    assert!(dane.decides_on_all());
    assert_eq!(dane.ranked()[0].preference, 0);
    assert_eq!(names(&dane.ranked()[0].dane), ["a.test"]);
    // The absence must be signed for that.
    lab.mx("b.test", Insecure(mx(&[])));
    lab.signed_host("b.test", 1);
    let dane = lab.domain("b.test").await;
    assert_eq!(dane.ranked()[0].dane.mx, MxSecurity::Insecure);
    // Neither that nor an address, or a null MX.
    assert_eq!(lab.domain("nothing.test").await.hosts, MailHosts::None);
    lab.mx("null.test", Secure(mx(&[""])));
    assert_eq!(lab.domain("null.test").await.hosts, MailHosts::None);
}

#[tokio::test]
async fn a_host_that_the_mx_records_do_not_name_is_as_one_below_unsigned_ones() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test", "other.test"])));
    lab.signed_host("relay.test", 1);
    let dane = lab.host("a.test", "relay.test").await;
    assert_eq!(dane.mx, MxSecurity::Insecure);
    assert_eq!(names(&dane), ["relay.test"]);
    // And the hosts that are named are not looked up for it.
    let mut asked = lab.asked();
    asked.sort();
    assert_eq!(
        asked,
        ["ADDR relay.test", "MX a.test", "TLSA _25._tcp.relay.test"]
    );
}

#[tokio::test]
async fn g3_of_700_mail_hosts_none_is_looked_up_and_each_has_its_answer() {
    let lab = laboratory();
    let hosts: Vec<String> = (0..700).map(|number| format!("mx{number}.test")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    lab.mx("a.test", Secure(mx(&hosts)));
    lab.signed_host("mx699.test", 1);
    let dane = lab.domain("a.test").await;
    let many = ManyHosts {
        number: 700,
        mx: MxSecurity::Secure,
    };
    assert_eq!(dane.hosts, MailHosts::TooMany(many));
    assert_eq!(lab.asked(), ["MX a.test"]);
    let dane = lab.host("a.test", "mx699.test").await;
    assert!(dane.decides().is_some());
    assert_eq!(lab.asked().len(), 2);
}

mod kept;
