//! Our own validation, up to the key of the kit's root: zones that are signed in every way, unsigned, and wrong.

use std::sync::Arc;

use sealpost::{
    clock::StoppedClock,
    config::{DaneConfig, DnssecValidation},
    net::{
        dns::{Lookup, SecureDns as _},
        dnssec::{Anchors, SecureResolver, Works},
        validation::{By, Outcome, Validation, ValidationError},
    },
};
use sealpost_kit::{
    Delegation, Denial, DnsFault, SignatureFault, SignedInternet, SignedInternetBuilder, Tlsa, Zone,
};

use super::{START, config_of, told};

/// A zone with a mail host and its TLSA record.
pub(super) fn with_host(zone: Zone, apex: &str) -> Zone {
    let host = format!("mx.{apex}");
    zone.mx(apex, &[(10, &host)])
        .addresses(&host, &["127.0.0.9".parse().unwrap()])
        .tlsa(&format!("_25._tcp.{host}"), &[Tlsa::unusable()])
}

pub(super) fn signed(apex: &str) -> Zone {
    with_host(Zone::signed(), apex)
}

pub(super) fn plain(apex: &str) -> Zone {
    with_host(Zone::unsigned(), apex)
}

pub(super) async fn start(builder: SignedInternetBuilder) -> SignedInternet {
    builder.start().await.unwrap()
}

fn validating(internet: &SignedInternet) -> SecureResolver {
    by_anchors(internet, internet.anchor_dnskey())
}

fn by_anchors(internet: &SignedInternet, anchors: &str) -> SecureResolver {
    let config = config_of(internet.address());
    let anchors = Anchors::parse(anchors).unwrap();
    let clock = Arc::new(StoppedClock::at(START));
    SecureResolver::validating(config.servers.clone(), &config, anchors, clock)
}

#[tokio::test]
async fn c1_signed_zones_are_secure_however_they_deny() {
    for denial in [Denial::Nsec, Denial::Nsec3, Denial::Nsec3OptOut] {
        let internet = start(
            SignedInternet::builder()
                .zone("test", Zone::signed().denial(denial))
                .zone("a.test", signed("a.test").denial(denial))
                .zone("below.a.test", signed("below.a.test").denial(denial))
                .zone("plain.test", plain("plain.test"))
                .zone("plain.a.test", plain("plain.a.test")),
        )
        .await;
        let dns = validating(&internet);
        assert_eq!(dns.works().await, Works::Yes);
        for zone in ["a.test", "below.a.test"] {
            assert_eq!(told(&dns.mx(zone).await), "secure 1", "{denial:?}");
            let host = format!("mx.{zone}");
            assert_eq!(told(&dns.addresses(&host).await), "secure 1", "{denial:?}");
            assert_eq!(told(&dns.alias(&host).await), "secure 0", "{denial:?}");
            let tlsa = dns.tlsa(&format!("_25._tcp.{host}")).await;
            assert_eq!(told(&tlsa), "secure 1", "{denial:?}");
            // NODATA, an empty name between others, and NXDOMAIN.
            assert_eq!(told(&dns.mx(&host).await), "secure 0", "{denial:?}");
            let between = dns.tlsa(&format!("_tcp.{host}")).await;
            assert_eq!(told(&between), "secure 0", "{denial:?}");
            let nowhere = dns.tlsa(&format!("_26._tcp.{host}")).await;
            // An opt-out range says nothing of what is in it (RFC 5155 s9.2).
            let expected = if denial == Denial::Nsec3OptOut {
                "insecure 0"
            } else {
                "secure 0"
            };
            assert_eq!(told(&nowhere), expected, "{denial:?}");
        }
        for zone in ["plain.test", "plain.a.test"] {
            assert_eq!(told(&dns.mx(zone).await), "insecure 1", "{denial:?}");
            let host = format!("mx.{zone}");
            assert_eq!(
                told(&dns.addresses(&host).await),
                "insecure 1",
                "{denial:?}"
            );
            let nowhere = dns.mx(&format!("nowhere.{zone}")).await;
            assert_eq!(told(&nowhere), "insecure 0", "{denial:?}");
        }
    }
}

#[tokio::test]
async fn c2_c3_what_is_signed_wrongly_is_bogus_and_not_absent() {
    use SignatureFault::{Absent, Altered, Expired, NotYetValid};
    let mut builder = SignedInternet::builder();
    for (name, fault) in [
        ("altered", Altered),
        ("expired", Expired),
        ("early", NotYetValid),
        ("bare", Absent),
    ] {
        for (by, denial) in [("nsec", Denial::Nsec), ("nsec3", Denial::Nsec3)] {
            let apex = format!("{name}-{by}.test");
            let zone = signed(&apex).denial(denial).spoil_all(fault);
            builder = builder.zone(&apex, zone);
            let apex = format!("{name}-data-{by}.test");
            let tlsa = format!("_25._tcp.mx.{apex}");
            let zone = signed(&apex).denial(denial).spoil(&tlsa, "TLSA", fault);
            builder = builder.zone(&apex, zone);
        }
    }
    let internet = start(
        builder
            .zone(
                "other-key.test",
                signed("other-key.test").delegation(Delegation::OtherKey),
            )
            .zone(
                "lost.test",
                plain("lost.test").delegation(Delegation::Secure),
            )
            .zone("mute.test", signed("mute.test").denial(Denial::Missing)),
    )
    .await;
    let dns = validating(&internet);
    for name in ["altered", "expired", "early", "bare"] {
        for by in ["nsec", "nsec3"] {
            let apex = format!("{name}-{by}.test");
            assert_eq!(told(&dns.mx(&apex).await), "bogus", "{apex}");
            assert_eq!(told(&dns.mx(&format!("x.{apex}")).await), "bogus", "{apex}");
            let apex = format!("{name}-data-{by}.test");
            assert_eq!(told(&dns.mx(&apex).await), "secure 1", "{apex}");
            let tlsa = dns.tlsa(&format!("_25._tcp.mx.{apex}")).await;
            assert_eq!(told(&tlsa), "bogus", "{apex}");
        }
    }
    for apex in ["other-key.test", "lost.test"] {
        assert_eq!(told(&dns.mx(apex).await), "bogus", "{apex}");
        let nowhere = dns.tlsa(&format!("_26._tcp.mx.{apex}")).await;
        assert_eq!(told(&nowhere), "bogus", "{apex}");
    }
    assert_eq!(told(&dns.mx("mute.test").await), "secure 1");
    // That the TLSA record is not there must be proven: who could leave it out would turn off DANE.
    assert_eq!(told(&dns.tlsa("_26._tcp.mx.mute.test").await), "bogus");
}

#[tokio::test]
async fn c1_what_is_below_an_unsigned_delegation_is_insecure_whatever_it_has() {
    let internet = start(
        SignedInternet::builder()
            .zone(
                "island.test",
                signed("island.test").delegation(Delegation::Insecure),
            )
            .zone(
                "broken.test",
                signed("broken.test")
                    .delegation(Delegation::Insecure)
                    .spoil_all(SignatureFault::Altered),
            )
            .zone(
                "new.test",
                signed("new.test").delegation(Delegation::UnknownAlgorithm),
            )
            .zone("plain.test", plain("plain.test"))
            .zone("signed.plain.test", signed("signed.plain.test")),
    )
    .await;
    let dns = validating(&internet);
    for apex in [
        "island.test",
        "broken.test",
        "new.test",
        "plain.test",
        "signed.plain.test",
    ] {
        assert_eq!(told(&dns.mx(apex).await), "insecure 1", "{apex}");
        let nowhere = dns.tlsa(&format!("_26._tcp.mx.{apex}")).await;
        assert_eq!(told(&nowhere), "insecure 0", "{apex}");
        assert_eq!(told(&dns.alias(apex).await), "insecure 0", "{apex}");
    }
}

#[tokio::test]
async fn c8_c9_an_alias_is_as_secure_as_all_of_its_way() {
    let aliases = signed("a.test")
        .cname("in.a.test", "mx.a.test")
        .cname("across.a.test", "mx.b.test")
        .cname("out.a.test", "mx.plain.test")
        .cname("nowhere.a.test", "nowhere.b.test")
        .cname("nothing.a.test", "b.test")
        .cname("deep.a.test", "across.a.test")
        .cname("bogus.a.test", "mx.bad.test")
        .cname("through.a.test", "back.plain.test")
        .cname("loop.a.test", "loop.a.test")
        .cname("_25._tcp.tlsa.a.test", "_25._tcp.mx.b.test")
        .cname("_25._tcp.out.a.test", "_25._tcp.mx.plain.test");
    let internet = start(
        SignedInternet::builder()
            .zone("a.test", aliases)
            .zone("b.test", signed("b.test").denial(Denial::Nsec3))
            .zone(
                "bad.test",
                signed("bad.test").spoil_all(SignatureFault::Altered),
            )
            .zone(
                "plain.test",
                plain("plain.test").cname("back.plain.test", "mx.b.test"),
            ),
    )
    .await;
    let dns = validating(&internet);
    for (name, expected) in [
        ("in.a.test", "secure 1 at mx.a.test"),
        ("across.a.test", "secure 1 at mx.b.test"),
        ("deep.a.test", "secure 1 at mx.b.test"),
        ("out.a.test", "insecure 1 at mx.plain.test"),
        ("through.a.test", "insecure 1 at mx.b.test"),
        ("nowhere.a.test", "secure 0 at nowhere.b.test"),
        ("nothing.a.test", "secure 0 at b.test"),
        ("bogus.a.test", "bogus"),
        ("loop.a.test", "failed"),
    ] {
        assert_eq!(told(&dns.addresses(name).await), expected, "{name}");
    }
    for (name, expected) in [
        ("_25._tcp.tlsa.a.test", "secure 1 at _25._tcp.mx.b.test"),
        (
            "_25._tcp.out.a.test",
            "insecure 1 at _25._tcp.mx.plain.test",
        ),
    ] {
        assert_eq!(told(&dns.tlsa(name).await), expected, "{name}");
    }
    let Lookup::Secure(alias) = dns.alias("out.a.test").await else {
        panic!("not secure");
    };
    assert_eq!(alias.values, ["mx.plain.test"]);
}

#[tokio::test]
async fn c1_a_wildcard_answers_only_where_nothing_closer_is() {
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let zone = Zone::signed()
            .denial(denial)
            .mx("*.a.test", &[(10, "mx.a.test")])
            .tlsa("*._tcp.mx.a.test", &[Tlsa::unusable()])
            .addresses("mx.a.test", &["127.0.0.9".parse().unwrap()]);
        let internet = start(SignedInternet::builder().zone("a.test", zone)).await;
        let dns = validating(&internet);
        for (lookup, expected) in [
            (told(&dns.mx("any.a.test").await), "secure 1"),
            (told(&dns.mx("any.more.a.test").await), "secure 1"),
            (told(&dns.tlsa("_25._tcp.mx.a.test").await), "secure 1"),
            (told(&dns.mx("mx.a.test").await), "secure 0"),
            (told(&dns.tlsa("any.a.test").await), "secure 0"),
        ] {
            assert_eq!(lookup, expected, "{denial:?}");
        }
    }
    let zone = Zone::signed()
        .denial(Denial::Missing)
        .mx("*.a.test", &[(10, "mx.a.test")]);
    let internet = start(SignedInternet::builder().zone("a.test", zone)).await;
    let dns = validating(&internet);
    assert_eq!(told(&dns.mx("any.a.test").await), "bogus");
}

#[tokio::test]
async fn c4_an_unsigned_host_whose_server_fails_for_aaaa_is_found() {
    let internet = start(
        SignedInternet::builder()
            .zone(
                "plain.test",
                plain("plain.test").fail("mx.plain.test", "AAAA", DnsFault::ServFail),
            )
            .zone(
                "a.test",
                signed("a.test").fail("mx.a.test", "AAAA", DnsFault::ServFail),
            )
            .zone(
                "dead.test",
                signed("dead.test").fail("mx.dead.test", "A", DnsFault::ServFail),
            ),
    )
    .await;
    let dns = validating(&internet);
    for (name, expected) in [
        ("mx.plain.test", "insecure 1"),
        ("mx.a.test", "secure 1"),
        ("mx.dead.test", "failed"),
    ] {
        assert_eq!(told(&dns.addresses(name).await), expected, "{name}");
    }
}

#[tokio::test]
async fn what_was_proven_is_not_asked_for_again() {
    let internet = start(
        SignedInternet::builder()
            .zone("a.test", signed("a.test"))
            .zone("b.test", signed("b.test")),
    )
    .await;
    let dns = validating(&internet);
    // A cold domain, its records side by side.
    let lookups = tokio::join!(
        dns.mx("a.test"),
        dns.addresses("mx.a.test"),
        dns.tlsa("_25._tcp.mx.a.test")
    );
    assert_eq!(told(&lookups.0), "secure 1");
    // Four lookups, and the keys of three zones with two delegations.
    assert_eq!(internet.questions().len(), 9, "{:?}", internet.questions());
    internet.forget_questions();
    dns.mx("b.test").await;
    assert_eq!(internet.questions().len(), 3, "{:?}", internet.questions());
    internet.forget_questions();
    dns.mx("b.test").await;
    assert_eq!(internet.questions().len(), 1);
}

#[tokio::test]
async fn g6_what_nobody_proves_is_not_asked_for_with_each_lookup() {
    let internet = start(
        SignedInternet::builder().zone("mute.test", signed("mute.test").denial(Denial::Missing)),
    )
    .await;
    let config = config_of(internet.address());
    let anchors = Anchors::parse(internet.anchor_dnskey()).unwrap();
    let clock = Arc::new(StoppedClock::at(START));
    let as_clock: Arc<dyn sealpost::clock::Clock> = Arc::<StoppedClock>::clone(&clock);
    let dns = SecureResolver::validating(config.servers.clone(), &config, anchors, as_clock);
    for (after_seconds, times) in [(0, 1), (4, 1), (1, 2)] {
        clock.advance_seconds(after_seconds);
        assert_eq!(told(&dns.mx("no.mute.test").await), "bogus");
        assert_eq!(internet.times_asked("no.mute.test", "DS"), times);
    }
}

#[tokio::test]
async fn c1_a_clock_that_is_set_back_makes_nothing_known_of_what_came_later() {
    let internet = start(SignedInternet::builder().zone("a.test", signed("a.test"))).await;
    let config = config_of(internet.address());
    let anchors = Anchors::parse(internet.anchor_dnskey()).unwrap();
    let clock = Arc::new(StoppedClock::at(START));
    let as_clock: Arc<dyn sealpost::clock::Clock> = Arc::<StoppedClock>::clone(&clock);
    let dns = SecureResolver::validating(config.servers.clone(), &config, anchors, as_clock);
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");
    clock.set(START.plus_seconds(-86_400));
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");
    assert_eq!(internet.times_asked("a.test", "DNSKEY"), 2);
}

#[tokio::test]
async fn c1_only_the_keys_of_the_root_that_are_trusted_count() {
    let internet = start(SignedInternet::builder().zone("a.test", signed("a.test"))).await;
    let by_digest = by_anchors(&internet, internet.anchor_ds());
    assert_eq!(by_digest.works().await, Works::Yes);
    assert_eq!(told(&by_digest.mx("a.test").await), "secure 1");

    let other = start(SignedInternet::builder()).await;
    for anchor in [other.anchor_dnskey(), other.anchor_ds()] {
        let dns = by_anchors(&internet, anchor);
        assert!(matches!(dns.works().await, Works::No(_)));
        assert_eq!(told(&dns.mx("a.test").await), "bogus");
    }
}

#[tokio::test]
async fn c1_a_resolver_that_marks_nothing_is_enough_to_validate_ourselves() {
    let internet = start(SignedInternet::builder().zone("a.test", signed("a.test"))).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("root.key");
    std::fs::write(&file, internet.anchor_dnskey()).unwrap();
    let config = config_of(internet.address());
    let mut dane = DaneConfig {
        trust_anchor: file.clone(),
        ..DaneConfig::default()
    };
    let clock = || Arc::new(StoppedClock::at(START));
    let validation = Validation::new(&config, &dane, clock()).unwrap();
    assert_eq!(validation.look().await, Outcome::Works(By::Own));
    let dns = validation.dns().unwrap();
    assert_eq!(told(&dns.mx("a.test").await), "secure 1");

    dane.validation = DnssecValidation::Resolver;
    let validation = Validation::new(&config, &dane, clock()).unwrap();
    assert!(matches!(validation.look().await, Outcome::Nobody(_)));

    // By the keys that are built in, this root is not the world's.
    dane.validation = DnssecValidation::Own;
    dane.trust_anchor = std::path::PathBuf::new();
    let validation = Validation::new(&config, &dane, clock()).unwrap();
    assert!(matches!(validation.look().await, Outcome::Nobody(_)));

    std::fs::write(
        &file,
        "; the root\n. IN DNSKEY 257 3 8 AwEAAQ==\n. IN A 192.0.2.1\n",
    )
    .unwrap();
    dane.trust_anchor = file;
    let error = Validation::new(&config, &dane, clock()).err().unwrap();
    assert!(matches!(error, ValidationError::Anchors { .. }));
    assert!(error.to_string().contains("line 3"), "{error}");
}
