//! A Rust MTA that lets rustls check certificates by TLSA records, in real handshakes.

use std::sync::Arc;

use rustls::{
    ClientConfig, SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use sealpost::doors::dane_verifier::{DaneVerifier, NotForDane};
use sealpost_kit::{CertificateKey, Certified, ChainHosts, Oddity, Tlsa, Validity, Wish};
use sealpost_plugin_api::{self as api, Level, Requirement};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const HOST: &str = "mx1.example.org";

fn requirement(level: Level) -> Requirement {
    Requirement::new(level, "a test")
}

fn dane(records: &[Tlsa], names: &[&str]) -> Requirement {
    let tlsa = records.iter().map(|record| api::Tlsa {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        data: record.data.clone(),
    });
    requirement(Level::Dane {
        tlsa: tlsa.collect(),
        name: names.first().map(|name| (*name).to_owned()),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// Connects as a host does, and tells what came of it.
async fn connect(hosts: &ChainHosts, requirement: &Requirement) -> String {
    let verifier = Arc::new(DaneVerifier::for_requirement(requirement).unwrap());
    let config = Arc::clone(&verifier).client_config().unwrap();
    connect_with(hosts, &verifier, config).await
}

/// The same in one version of TLS.
async fn connect_by(
    hosts: &ChainHosts,
    requirement: &Requirement,
    version: &'static SupportedProtocolVersion,
) -> String {
    let verifier = Arc::new(DaneVerifier::for_requirement(requirement).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    connect_with(hosts, &verifier, config).await
}

async fn connect_with(hosts: &ChainHosts, verifier: &DaneVerifier, config: ClientConfig) -> String {
    let name = verifier.server_name();
    let name = name.unwrap_or_else(|| HOST.try_into().unwrap());
    let stream = TcpStream::connect(hosts.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    match connector.connect(name, stream).await {
        Ok(_) => "up".to_owned(),
        Err(error) => match DaneVerifier::why(&error) {
            Some(mismatch) => mismatch.to_string(),
            None => format!("another error: {error}"),
        },
    }
}

#[tokio::test]
async fn c12_a_handshake_stands_or_falls_with_the_records() {
    let key = || CertificateKey::ecdsa().unwrap();
    let root = Certified::self_signed(&Wish::authority("A root"), &key()).unwrap();
    let leaf = root.issue(&Wish::server(&[HOST]), &key()).unwrap();
    let wish = Wish::server(&["wrong-name.invalid"]).valid(Validity::Past);
    let poor = Certified::self_signed(&wish, &key()).unwrap();
    let old = root.issue(&Wish::server(&["old.test"]).valid(Validity::Past), &key());
    let old = old.unwrap();
    let hosts = ChainHosts::start([
        (HOST.to_owned(), vec![&leaf, &root]),
        ("poor.test".to_owned(), vec![&poor]),
        ("old.test".to_owned(), vec![&old, &root]),
    ]);
    let hosts = hosts.await.unwrap();
    let said = |base: &str, what: &str| {
        format!("DANE: the certificates do not satisfy the TLSA records of {base}: {what}")
    };
    let no_match = "validation-failure (dane-no-match)";
    for (records, names, expected) in [
        (vec![leaf.tlsa(3, 1, 1)], vec![HOST], "up".to_owned()),
        (vec![root.tlsa(2, 0, 1)], vec![HOST], "up".to_owned()),
        (
            vec![Tlsa::of_no_key(), root.tlsa(2, 1, 2)],
            vec![HOST],
            "up".to_owned(),
        ),
        (vec![poor.tlsa(3, 0, 2)], vec!["poor.test"], "up".to_owned()),
        (vec![Tlsa::of_no_key()], vec![HOST], said(HOST, no_match)),
        (
            vec![poor.tlsa(2, 1, 1)],
            vec!["poor.test"],
            said("poor.test", no_match),
        ),
        (
            vec![root.tlsa(2, 1, 1)],
            vec!["old.test"],
            said("old.test", "certificate-expired"),
        ),
    ] {
        let shown = format!("{records:?} {names:?}");
        assert_eq!(
            connect(&hosts, &dane(&records, &names)).await,
            expected,
            "{shown}"
        );
    }
    // C16: the base domain is asked for by SNI; the reference names may be others.
    let names = ["poor.test", "wrong-name.invalid"];
    let verdict = connect(&hosts, &dane(&[root.tlsa(2, 1, 1)], &names)).await;
    assert_eq!(verdict, said("poor.test", no_match));
    for level in [Level::Encrypt, Level::May] {
        assert_eq!(connect(&hosts, &requirement(level)).await, "up");
    }
    // C18: what is only to be reported keeps nobody away.
    let audited = dane(&[Tlsa::of_no_key()], &[HOST]).audited();
    assert_eq!(connect(&hosts, &audited).await, "up");
    // An error that is not ours is not told as one.
    let elsewhere = dane(&[leaf.tlsa(3, 1, 1)], &["nobody.test"]);
    let other = connect(&hosts, &elsewhere).await;
    assert!(other.starts_with("another error"), "{other}");
}

/// A certificate of an old version, or with a critical extension that nobody knows, is its owner's all the
/// same: the handshake is signed by the key that the record is about.
#[tokio::test]
async fn c11_a_handshake_is_signed_by_the_key_however_odd_the_certificate() {
    for key in [
        CertificateKey::ecdsa().unwrap(),
        CertificateKey::ecdsa_p384().unwrap(),
        CertificateKey::rsa().unwrap(),
    ] {
        for oddity in [Oddity::VersionOne, Oddity::CriticalExtension] {
            let wish = Wish::server(&[HOST]).odd(oddity);
            let leaf = Certified::self_signed(&wish, &key).unwrap();
            let hosts = ChainHosts::start([(HOST.to_owned(), vec![&leaf])]);
            let hosts = hosts.await.unwrap();
            for demanded in [
                dane(&[leaf.tlsa(3, 1, 1)], &[HOST]),
                requirement(Level::Encrypt),
            ] {
                for version in [&TLS12, &TLS13] {
                    let said = connect_by(&hosts, &demanded, version).await;
                    assert_eq!(said, "up", "{oddity:?} {version:?}");
                }
            }
        }
    }
}

/// Who shows the right certificate and has another key is turned away in either version.
#[tokio::test]
async fn c11_a_certificate_without_its_key_is_worth_nothing() {
    let key = || CertificateKey::ecdsa().unwrap();
    for oddity in [None, Some(Oddity::VersionOne)] {
        let mut wish = Wish::server(&[HOST]);
        wish.oddity = oddity;
        let leaf = Certified::self_signed(&wish, &key()).unwrap();
        let stolen = leaf.with_another_key(&key());
        let hosts = ChainHosts::start([(HOST.to_owned(), vec![&stolen])]);
        let hosts = hosts.await.unwrap();
        for demanded in [
            dane(&[leaf.tlsa(3, 1, 1)], &[HOST]),
            requirement(Level::Encrypt),
        ] {
            for version in [&TLS12, &TLS13] {
                let said = connect_by(&hosts, &demanded, version).await;
                let expected = "another error: invalid peer certificate: BadSignature";
                assert_eq!(said, expected, "{oddity:?} {version:?}");
            }
        }
    }
}

#[tokio::test]
async fn d11_what_cannot_be_judged_is_no_delivery_and_no_mismatch() {
    let key = || CertificateKey::ecdsa().unwrap();
    let root = Certified::self_signed(&Wish::authority("A root"), &key()).unwrap();
    let wish = Wish::server(&[HOST]).odd(Oddity::VersionOne);
    let leaf = root.issue(&wish, &key()).unwrap();
    let hosts = ChainHosts::start([(HOST.to_owned(), vec![&leaf, &root])]);
    let hosts = hosts.await.unwrap();
    let said = connect(&hosts, &dane(&[root.tlsa(2, 1, 1)], &[HOST])).await;
    assert!(said.starts_with("another error"), "{said}");
    assert!(said.contains("Version"), "{said}");
}

#[test]
fn what_demands_no_dane_has_no_verifier() {
    let of = |level| DaneVerifier::for_requirement(&requirement(level)).unwrap_err();
    let verify = Level::Verify {
        mx_patterns: vec![],
        name: None,
    };
    assert_eq!(of(verify), NotForDane::PublicAuthority);
    assert_eq!(of(Level::RefuseMx), NotForDane::NoDelivery);
    assert_eq!(of(Level::Defer), NotForDane::NoDelivery);
    let refused = |records: &[Tlsa], names: &[&str]| {
        DaneVerifier::for_requirement(&dane(records, names)).unwrap_err()
    };
    assert_eq!(refused(&[], &[]), NotForDane::NoHost);
    assert_eq!(
        refused(&[Tlsa::unusable()], &[HOST]),
        NotForDane::NoneUsable
    );
    let error = refused(&[Tlsa::of_no_key()], &["192.0.2.1"]);
    assert!(matches!(error, NotForDane::Name(_)), "{error}");
}
