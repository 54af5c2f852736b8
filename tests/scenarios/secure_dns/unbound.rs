//! The table, by three ways that must agree: Sealpost validates what the kit's server hands out; Sealpost
//! believes Debian's Unbound, which validates what Debian's NSD has of the same zones; and Sealpost
//! validates what comes through that Unbound.

use std::{net::SocketAddr, sync::Arc};

use sealpost::{
    clock::StoppedClock,
    net::dnssec::{Anchors, SecureResolver, Works},
};
use sealpost_kit::SignedInternet;

use super::{START, cases::differences, config_of, name_servers::NameServers, zones};

async fn internet() -> SignedInternet {
    zones::internet().start().await.unwrap()
}

fn validating(resolver: SocketAddr, internet: &SignedInternet) -> SecureResolver {
    let config = config_of(resolver);
    let anchors = Anchors::parse(internet.anchor_dnskey()).unwrap();
    let clock = Arc::new(StoppedClock::at(START));
    SecureResolver::validating(config.servers.clone(), &config, anchors, clock)
}

/// Holds it to the table, but for what is known to be answered in another way.
async fn agrees(dns: &SecureResolver, known: impl Fn(&str) -> bool) {
    assert_eq!(dns.works().await, Works::Yes);
    let mut differences = differences(dns).await;
    differences.retain(|difference| !known(difference));
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[tokio::test]
async fn c1_our_own_validation_says_what_the_table_says() {
    let internet = internet().await;
    agrees(&validating(internet.address(), &internet), |_| false).await;
}

#[tokio::test]
async fn c1_the_word_of_a_real_resolver_says_what_the_table_says() {
    let internet = internet().await;
    let Some(servers) = NameServers::start(&internet, &zones::MISBEHAVING) else {
        return;
    };
    let config = config_of(servers.address());
    let believing = SecureResolver::believing(config.servers.clone(), &config).unwrap();
    // Unbound 1.17 finds the CNAME bogus that a DNAME makes, where that CNAME itself is asked for: it is
    // not signed, and need not be (RFC 6672 s5.3.1). To us such a host is one that must not be used.
    let below_dname = |difference: &str| {
        difference.starts_with("Alias mx.")
            && difference.contains(".moved.test: secure")
            && difference.contains("got bogus")
    };
    agrees(&believing, below_dname).await;
}

#[tokio::test]
async fn c1_our_own_validation_through_a_real_resolver_says_what_the_table_says() {
    let internet = internet().await;
    let Some(servers) = NameServers::start(&internet, &zones::MISBEHAVING) else {
        return;
    };
    agrees(&validating(servers.address(), &internet), |_| false).await;
}
