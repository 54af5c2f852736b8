//! Where resolvers lose what is signed, lie about it, or are silent: what never turns off DANE once it has worked, and
//! who is asked instead.

use std::{path::Path, sync::Arc, time::Duration};

use sealpost::{
    clock::{Clock, StoppedClock},
    config::{DaneConfig, DnsConfig, DnssecValidation},
    net::{
        dns::SecureDns as _,
        dnssec::{Anchors, SecureResolver, Works},
        validation::{By, Outcome, Validation},
    },
};
use sealpost_kit::{DnsFault, DnsServer, Relay, Relaying, SignatureFault, SignedInternet, Zone};
use tempfile::TempDir;

use super::{
    START, config_of,
    own::{plain, signed, start},
    told,
};

/// `a.test` is signed, `plain.test` is not; the MX records of `altered.test` do not hold.
async fn internet() -> SignedInternet {
    let altered = signed("altered.test").spoil("altered.test", "MX", SignatureFault::Altered);
    start(
        SignedInternet::builder()
            .zone("a.test", signed("a.test"))
            .zone("b.test", signed("b.test"))
            .zone("plain.test", plain("plain.test"))
            .zone("other.test", plain("other.test"))
            .zone("altered.test", altered),
    )
    .await
}

/// A root whose keys do not hold.
fn forged() -> Zone {
    Zone::signed().spoil(".", "DNSKEY", SignatureFault::Altered)
}

fn anchor_file(internet: &SignedInternet) -> (TempDir, DaneConfig) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("root.key");
    std::fs::write(&file, internet.anchor_dnskey()).unwrap();
    let dane = DaneConfig {
        trust_anchor: file,
        ..DaneConfig::default()
    };
    (directory, dane)
}

fn validation(dns: &DnsConfig, dane: &DaneConfig) -> Validation {
    Validation::new(dns, dane, Arc::new(StoppedClock::at(START))).unwrap()
}

fn validating(internet: &SignedInternet, relays: &[&Relay]) -> SecureResolver {
    let config = config_of(internet.address());
    let servers = relays.iter().map(|relay| relay.address()).collect();
    let anchors = Anchors::parse(internet.anchor_dnskey()).unwrap();
    SecureResolver::validating(servers, &config, anchors, Arc::new(StoppedClock::at(START)))
}

#[tokio::test]
async fn c2_a_forged_answer_about_the_root_has_mail_wait_and_turns_nothing_off() {
    let internet = internet().await;
    let (_directory, dane) = anchor_file(&internet);
    // The resolver would be believed, and says of everything that it is signed.
    let relay = internet.relay(Relaying::Marked).await.unwrap();
    let validation = validation(&config_of(relay.address()), &dane);
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");

    internet.replace_zone(".", forged()).unwrap();
    for _ in 0..10 {
        assert_eq!(validation.look().await, Outcome::Works(By::Own));
        assert_eq!(validation.by(), Some(By::Own));
    }
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("b.test").await), "bogus");
    assert_eq!(told(&dns.mx("plain.test").await), "bogus");

    internet.replace_zone(".", Zone::signed()).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    assert_eq!(told(&dns.mx("b.test").await), "secure 1");
}

#[tokio::test]
async fn c1_a_forwarder_on_this_machine_that_passes_on_a_mark_is_not_believed() {
    let internet = internet().await;
    let (_directory, dane) = anchor_file(&internet);
    let relay = internet.relay(Relaying::Marked).await.unwrap();
    let config = config_of(relay.address());
    // By its word the altered records are signed.
    let believing = SecureResolver::believing(config.servers.clone(), &config).unwrap();
    assert_eq!(told(&believing.mx("altered.test").await), "secure 1");
    let validation = validation(&config, &dane);
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("altered.test").await), "bogus");
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");
}

#[tokio::test]
async fn c1_addresses_where_only_forwarders_listen_are_believed_by_the_operators_word_alone() {
    for address in ["127.0.0.11:0", "127.0.0.54:0"] {
        let server = DnsServer::start_at(address.parse().unwrap()).await.unwrap();
        let config = config_of(server.address());
        let mut dane = DaneConfig::default();
        let Outcome::Nobody(tried) = validation(&config, &dane).look().await else {
            panic!("{address} is believed");
        };
        let why = tried.iter().find(|tried| tried.by == By::Resolver).unwrap();
        assert!(why.why.contains("passes on"), "{why}");
        dane.validation = DnssecValidation::Resolver;
        let outcome = validation(&config, &dane).look().await;
        assert_eq!(outcome, Outcome::Works(By::Resolver));
    }
}

#[tokio::test]
async fn c1_a_resolver_that_loses_proofs_is_of_no_use() {
    let internet = internet().await;
    let relay = internet.relay(Relaying::WithoutProofs).await.unwrap();
    let dns = validating(&internet, &[&relay]);
    let Works::No(why) = dns.works().await else {
        panic!("it is of use");
    };
    assert!(why.contains("proofs"), "{why}");
    // Else every domain that is not signed would be bogus.
    assert_eq!(told(&dns.mx("plain.test").await), "bogus");
    relay.set(Relaying::AsIs);
    assert_eq!(dns.works().await, Works::Yes);
    assert_eq!(told(&dns.mx("other.test").await), "insecure 1");
}

#[tokio::test]
async fn c2_what_one_resolver_loses_is_asked_for_at_another() {
    for relaying in [Relaying::WithoutSignatures, Relaying::WithoutProofs] {
        let internet = internet().await;
        let lossy = internet.relay(relaying).await.unwrap();
        let sound = internet.relay(Relaying::AsIs).await.unwrap();
        // Nobody has looked yet.
        let dns = validating(&internet, &[&lossy, &sound]);
        assert_eq!(told(&dns.mx("plain.test").await), "insecure 1");
        assert_eq!(told(&dns.mx("a.test").await), "secure 1");
        assert_eq!(told(&dns.mx("altered.test").await), "bogus");
        // The last lookup was bogus at both, and turned to the first again.
        assert_eq!(told(&dns.mx("other.test").await), "insecure 1");
    }
}

#[tokio::test]
async fn c2_a_look_leaves_out_what_loses_signatures_and_takes_it_back() {
    let internet = internet().await;
    let lossy = internet.relay(Relaying::WithoutSignatures).await.unwrap();
    let sound = internet.relay(Relaying::AsIs).await.unwrap();
    let dns = validating(&internet, &[&lossy, &sound]);
    assert_eq!(dns.works().await, Works::Yes);
    internet.forget_questions();
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");
    // The records, two delegations and the keys of two zones, each asked for once.
    assert_eq!(internet.questions().len(), 5, "{:?}", internet.questions());

    // The other way round.
    lossy.set(Relaying::AsIs);
    sound.set(Relaying::WithoutSignatures);
    assert_eq!(dns.works().await, Works::Yes);
    internet.forget_questions();
    assert_eq!(told(&dns.mx("b.test").await), "secure 1");
    assert_eq!(internet.questions().len(), 3, "{:?}", internet.questions());
    // Where none is of use they are asked as before.
    lossy.set(Relaying::WithoutSignatures);
    assert!(matches!(dns.works().await, Works::No(_)));
    assert_eq!(told(&dns.mx("b.test").await), "bogus");
}

#[tokio::test]
async fn c2_mail_waits_where_nobody_answers_at_the_start_and_not_for_ever() {
    let internet = internet().await;
    let (_directory, dane) = anchor_file(&internet);
    let silent = || Zone::signed().fail(".", "DNSKEY", DnsFault::ServFail);
    internet.replace_zone(".", silent()).unwrap();
    let config = config_of(internet.address());
    let validation_of = || {
        let dane = DaneConfig {
            validation: DnssecValidation::Own,
            ..dane.clone()
        };
        validation(&config, &dane)
    };
    let validation = validation_of();
    assert!(matches!(validation.look().await, Outcome::NotYet(_)));
    assert_eq!(validation.by(), None);
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "failed");
    // Answers count as soon as they come.
    internet.replace_zone(".", Zone::signed()).unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    internet.replace_zone(".", silent()).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Own));

    let validation = validation_of();
    for _ in 0..5 {
        assert!(matches!(validation.look().await, Outcome::NotYet(_)));
    }
    for _ in 0..2 {
        assert!(matches!(validation.look().await, Outcome::Nobody(_)));
        assert!(validation.dns().is_none());
    }
    internet.replace_zone(".", Zone::signed()).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
}

/// Lets a task go on until it has come so far.
async fn until(what: &str, has_come: impl Fn() -> bool) {
    let waiting = async {
        while !has_come() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{what}");
}

#[tokio::test]
async fn c1_each_time_dane_is_lost_it_is_soon_looked_for_again() {
    let server = DnsServer::start().await.unwrap();
    server.unsign(".");
    let clock = Arc::new(StoppedClock::at(START));
    let as_clock: Arc<dyn Clock> = Arc::<StoppedClock>::clone(&clock);
    let config = config_of(server.address());
    let dane = DaneConfig {
        validation: DnssecValidation::Resolver,
        ..DaneConfig::default()
    };
    let validation = Arc::new(Validation::new(&config, &dane, as_clock).unwrap());
    validation.look().await;
    let looking = Arc::clone(&validation);
    let looking = tokio::spawn(async move { looking.keep_looking().await });
    tokio::task::yield_now().await;
    for time in 1..=8 {
        server.sign(".");
        clock.advance_seconds(10);
        until(&format!("it came back {time} times"), || {
            validation.by().is_some()
        })
        .await;
        server.unsign(".");
        clock.advance_seconds(600);
        until("it is lost", || validation.by().is_none()).await;
    }
    looking.abort();
}

#[tokio::test]
async fn c1_who_is_believed_for_want_of_better_is_soon_left_for_our_own_way() {
    let internet = internet().await;
    let (_directory, dane) = anchor_file(&internet);
    let relay = internet.relay(Relaying::Marked).await.unwrap();
    let clock = Arc::new(StoppedClock::at(START));
    let as_clock: Arc<dyn Clock> = Arc::<StoppedClock>::clone(&clock);
    let config = config_of(relay.address());
    let validation = Arc::new(Validation::new(&config, &dane, as_clock).unwrap());
    internet.replace_zone(".", forged()).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Resolver));
    internet.replace_zone(".", Zone::signed()).unwrap();
    let looking = Arc::clone(&validation);
    let looking = tokio::spawn(async move { looking.keep_looking().await });
    tokio::task::yield_now().await;
    clock.advance_seconds(10);
    until("our own way is found", || validation.by() == Some(By::Own)).await;
    looking.abort();
}

#[tokio::test]
async fn c1_a_key_of_the_root_that_was_rolled_needs_no_restart() {
    let internet = internet().await;
    let other = start(SignedInternet::builder()).await;
    let (_directory, dane) = anchor_file(&other);
    let write = |text: &str| std::fs::write(&dane.trust_anchor, text).unwrap();
    let validation = validation(&config_of(internet.address()), &dane);
    assert!(matches!(validation.look().await, Outcome::Nobody(_)));
    write(internet.anchor_dnskey());
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");

    // A file that cannot be used, or is gone for a moment, changes nothing.
    write("trust-anchors {\n");
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    std::fs::remove_file(Path::new(&dane.trust_anchor)).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    assert_eq!(told(&dns.mx("b.test").await), "secure 1");

    // What was proven by a key that is trusted no more is not relied on.
    write(other.anchor_dnskey());
    validation.look().await;
    assert_eq!(told(&dns.mx("a.test").await), "bogus");
}
