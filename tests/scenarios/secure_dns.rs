//! What DNSSEC says of a lookup, by the word of a resolver of this machine: real packets of the kit's DNS server,
//! which sets the AD bit where a zone is signed. Our own validation is in `own`, and in `doubt` what happens where resolvers
//! lose what is signed, lie, or are silent; in `unbound` all ways to know are held to
//! one table, a real resolver and a real name server among them.

mod cases;
mod doubt;
mod name_servers;
mod own;
mod unbound;
mod zones;

use std::{net::SocketAddr, sync::Arc};

use sealpost::{
    clock::{Clock, StoppedClock, Timestamp},
    config::{DaneConfig, DnsConfig, DnssecValidation},
    net::{
        dns::{DnsError, Lookup, SecureDns as _},
        dnssec::{SecureResolver, Works},
        validation::{By, Outcome, SystemList, SystemResolvers, Validation},
    },
};
use sealpost_kit::{DnsFault, DnsServer, Tlsa};

const START: Timestamp = Timestamp(1_800_000_000);

fn config_of(server: SocketAddr) -> DnsConfig {
    // With patience: the machine may be busy.
    DnsConfig {
        servers: vec![server],
        timeout_ms: 10_000,
        attempts: 2,
    }
}

fn believing(server: &DnsServer) -> SecureResolver {
    let config = config_of(server.address());
    SecureResolver::believing(config.servers.clone(), &config).unwrap()
}

/// A lookup in a word and its values: `secure mx.a.test -> b.test`.
fn told<T: std::fmt::Debug>(lookup: &Lookup<T>) -> String {
    let (word, found) = match lookup {
        Lookup::Secure(found) => ("secure", found),
        Lookup::Insecure(found) => ("insecure", found),
        Lookup::Bogus(_) => return "bogus".to_owned(),
        Lookup::Failed(_) => return "failed".to_owned(),
    };
    let end = found.expanded.as_ref();
    let end = end.map_or_else(String::new, |end| format!(" at {end}"));
    format!("{word} {}{end}", found.values.len())
}

/// `a.test` and `b.test` are signed, `plain.test` is not.
async fn internet() -> DnsServer {
    let server = DnsServer::start().await.unwrap();
    server.sign("a.test");
    server.sign("b.test");
    server.set_mx("a.test", &[(20, "mx2.a.test"), (10, "mx1.a.test")]);
    server.set_mx("plain.test", &[(10, "mx1.a.test")]);
    let addresses = ["127.0.0.9".parse().unwrap(), "::9".parse().unwrap()];
    server.set_addresses("mx1.a.test", &addresses);
    server.set_addresses("mx.plain.test", &addresses);
    server.set_tlsa("_25._tcp.mx1.a.test", &[Tlsa::unusable()]);
    server.set_tlsa("_25._tcp.mx.plain.test", &[Tlsa::unusable()]);
    for (name, target) in [
        ("to-signed.a.test", "mx.b.test"),
        ("to-plain.a.test", "mx.plain.test"),
        ("alias.plain.test", "mx1.a.test"),
        ("to-nothing.a.test", "nowhere.b.test"),
    ] {
        server.set_cname(name, target);
    }
    server.set_addresses("mx.b.test", &addresses);
    server
}

#[tokio::test]
async fn c1_signed_and_unsigned_answers_are_told_apart_there_and_not_there() {
    let server = internet().await;
    let dns = believing(&server);
    assert_eq!(told(&dns.mx("a.test").await), "secure 2");
    assert_eq!(told(&dns.mx("plain.test").await), "insecure 1");
    assert_eq!(told(&dns.tlsa("_25._tcp.mx1.a.test").await), "secure 1");
    assert_eq!(
        told(&dns.tlsa("_25._tcp.mx.plain.test").await),
        "insecure 1"
    );
    // NXDOMAIN and NODATA.
    assert_eq!(told(&dns.tlsa("_25._tcp.mx9.a.test").await), "secure 0");
    assert_eq!(told(&dns.mx("mx1.a.test").await), "secure 0");
    assert_eq!(told(&dns.mx("nowhere.plain.test").await), "insecure 0");
    let Lookup::Secure(found) = dns.mx("a.test").await else {
        panic!("not secure");
    };
    assert_eq!(found.values[0].exchange, "mx1.a.test");
    assert_eq!(found.time_to_live.as_secs(), 60);
}

#[tokio::test]
async fn c8_c9_an_alias_is_as_secure_as_all_of_its_way() {
    let server = internet().await;
    let dns = believing(&server);
    for (name, expected) in [
        ("mx1.a.test", "secure 2"),
        ("to-signed.a.test", "secure 2 at mx.b.test"),
        ("to-plain.a.test", "insecure 2 at mx.plain.test"),
        ("alias.plain.test", "insecure 2 at mx1.a.test"),
        ("to-nothing.a.test", "secure 0 at nowhere.b.test"),
    ] {
        assert_eq!(told(&dns.addresses(name).await), expected, "{name}");
    }
    // The alias itself is signed though what it leads to is not.
    let Lookup::Secure(alias) = dns.alias("to-plain.a.test").await else {
        panic!("not secure");
    };
    assert_eq!(alias.values, ["mx.plain.test"]);
    assert_eq!(alias.expanded, None);
    assert_eq!(told(&dns.alias("mx1.a.test").await), "secure 0");
}

#[tokio::test]
async fn c2_c3_bogus_and_failed_are_told_apart_and_are_no_absence() {
    let server = internet().await;
    let dns = believing(&server);
    let name = "_25._tcp.mx1.a.test";
    for (fault, expected) in [
        (DnsFault::ServFail, "failed"),
        (DnsFault::Refused, "failed"),
        (DnsFault::Bogus, "bogus"),
    ] {
        server.fail(name, fault);
        assert_eq!(told(&dns.tlsa(name).await), expected, "{fault:?}");
    }
    server.heal(name);
    assert_eq!(told(&dns.tlsa(name).await), "secure 1");

    server.fail(name, DnsFault::Silence);
    let config = DnsConfig {
        timeout_ms: 50,
        ..config_of(server.address())
    };
    let hasty = SecureResolver::believing(config.servers.clone(), &config).unwrap();
    let lookup = hasty.tlsa(name).await;
    let Lookup::Failed(error) = lookup else {
        panic!("{lookup:?}");
    };
    assert!(matches!(error, DnsError::Timeout { .. }), "{error}");
    assert_eq!(told(&dns.mx("a..test").await), "failed");
}

#[tokio::test]
async fn c2_of_several_servers_one_that_answers_is_enough() {
    let server = internet().await;
    let broken = DnsServer::start().await.unwrap();
    broken.fail("a.test", DnsFault::ServFail);
    let dead = SocketAddr::from(([127, 0, 0, 1], 1));
    let config = config_of(server.address());
    let servers = vec![broken.address(), dead, server.address()];
    let dns = SecureResolver::believing(servers, &config).unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 2");
}

#[tokio::test]
async fn answers_that_do_not_fit_come_over_tcp() {
    let server = internet().await;
    let many: Vec<_> = (0..60).map(|_| Tlsa::unusable()).collect();
    server.set_tlsa("_25._tcp.mx1.a.test", &many);
    let lookup = believing(&server).tlsa("_25._tcp.mx1.a.test").await;
    assert_eq!(told(&lookup), "secure 60");
    assert_eq!(server.times_asked("_25._tcp.mx1.a.test", "TLSA"), 2);
}

fn validation(server: &DnsServer, who: DnssecValidation) -> Validation {
    let dane = DaneConfig {
        validation: who,
        ..DaneConfig::default()
    };
    let clock = Arc::new(StoppedClock::at(START));
    Validation::new(&config_of(server.address()), &dane, clock).unwrap()
}

#[tokio::test]
async fn c1_a_resolver_that_marks_nothing_turns_dane_off_until_it_does() {
    let server = internet().await;
    server.unsign(".");
    let resolver = believing(&server);
    assert!(matches!(resolver.works().await, Works::No(_)));
    let validation = validation(&server, DnssecValidation::Auto);
    assert!(validation.dns().is_none());
    let Outcome::Nobody(tried) = validation.look().await else {
        panic!("somebody validates");
    };
    let tried: Vec<_> = tried.iter().map(|tried| tried.by).collect();
    assert_eq!(tried, [By::Own, By::Resolver]);
    assert!(validation.dns().is_none());

    server.sign(".");
    assert_eq!(validation.look().await, Outcome::Works(By::Resolver));
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 2");

    // That nobody answers says nothing of signatures: lookups fail, and mail waits.
    server.fail(".", DnsFault::ServFail);
    assert_eq!(validation.look().await, Outcome::Works(By::Resolver));
    server.heal(".");
    server.unsign(".");
    assert!(matches!(validation.look().await, Outcome::Nobody(_)));
    assert!(validation.dns().is_none());
}

#[tokio::test]
async fn c1_of_several_resolvers_all_must_mark() {
    let server = internet().await;
    let other = DnsServer::start().await.unwrap();
    let config = config_of(server.address());
    let servers = vec![server.address(), other.address()];
    let both = SecureResolver::believing(servers, &config).unwrap();
    assert_eq!(both.works().await, Works::Yes);
    other.unsign(".");
    assert!(matches!(both.works().await, Works::No(_)));
    other.fail(".", DnsFault::ServFail);
    assert_eq!(both.works().await, Works::Yes);
}

#[tokio::test]
async fn c1_dane_comes_back_by_itself() {
    let server = internet().await;
    server.unsign(".");
    let clock = Arc::new(StoppedClock::at(START));
    let as_clock: Arc<dyn Clock> = Arc::<StoppedClock>::clone(&clock);
    let config = config_of(server.address());
    let validation = Validation::new(&config, &DaneConfig::default(), as_clock).unwrap();
    let validation = Arc::new(validation);
    validation.look().await;
    assert!(validation.by().is_none());
    server.sign(".");
    let looking = Arc::clone(&validation);
    let looking = tokio::spawn(async move { looking.keep_looking().await });
    while validation.by().is_none() {
        clock.advance_seconds(60);
        tokio::task::yield_now().await;
    }
    assert_eq!(validation.by(), Some(By::Resolver));
    looking.abort();
}

#[tokio::test]
async fn c1_only_a_resolver_of_this_machine_is_believed() {
    let server = internet().await;
    let config = DnsConfig {
        servers: vec!["192.0.2.1:53".parse().unwrap()],
        ..config_of(server.address())
    };
    let far = SecureResolver::believing(config.servers.clone(), &config).err();
    assert_eq!(far, Some(config.servers[0]));
    let dane = DaneConfig {
        validation: DnssecValidation::Resolver,
        ..DaneConfig::default()
    };
    let clock = Arc::new(StoppedClock::at(START));
    let validation = Validation::new(&config, &dane, clock).unwrap();
    let Outcome::Nobody(tried) = validation.look().await else {
        panic!("it is believed");
    };
    assert!(tried[0].why.contains("192.0.2.1"), "{}", tried[0]);
}

#[tokio::test]
async fn off_is_off() {
    let server = internet().await;
    let validation = validation(&server, DnssecValidation::Off);
    assert_eq!(validation.look().await, Outcome::Off);
    assert!(validation.dns().is_none());
    assert!(server.questions().is_empty());
}

#[tokio::test]
async fn what_the_systems_resolvers_do_is_found_out() {
    let server = internet().await;
    let directory = tempfile::tempdir().unwrap();
    let list = SystemList {
        path: directory.path().join("resolv.conf"),
        port: server.address().port(),
    };
    let config = config_of(server.address());
    let written = |text: &str| std::fs::write(&list.path, text).unwrap();

    // Without a list, this machine is asked (resolv.conf(5)).
    assert_eq!(
        SystemResolvers::look(&list, &config).await,
        SystemResolvers::Mark
    );
    written("nameserver 127.0.0.1\noptions trust-ad\n");
    assert_eq!(
        SystemResolvers::look(&list, &config).await,
        SystemResolvers::Mark
    );
    server.unsign(".");
    assert_eq!(
        SystemResolvers::look(&list, &config).await,
        SystemResolvers::DoNotMark
    );
    server.fail(".", DnsFault::ServFail);
    assert!(matches!(
        SystemResolvers::look(&list, &config).await,
        SystemResolvers::Silent(_)
    ));
    written("nameserver 127.0.0.1\nnameserver 192.0.2.7\n");
    let far = "192.0.2.7".parse().unwrap();
    assert_eq!(
        SystemResolvers::look(&list, &config).await,
        SystemResolvers::NotHere(far)
    );
}
