//! What a look at the mail hosts adds to a check.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::{RootCertStore, pki_types::CertificateDer};
use sealpost_kit::{CertificateKey, Certified, Oddity, Tlsa, Validity, Wish};
use tokio::{sync::Semaphore, task::yield_now, time::Instant};

use super::{dane::Says, *};
use crate::{
    net::smtp::probe::Prober,
    policy::dane::{
        DaneFinding, HostDane, MailHosts, MxSecurity, NoDane, RankedHost, TlsaPolicy, TlsaSet,
    },
    record::look::{HandshakeFault, Seen, TlsSeen},
};

const HOST: &str = "mx1.example.org";
const BASE: &str = "mail.example.com";

/// Hosts that show this, each as often as it is looked at.
#[derive(Default)]
struct Shows {
    seen: HashMap<&'static str, Seen>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Prober for Shows {
    fn look<'a>(&'a self, host: &'a MxHost) -> BoxFuture<'a, Seen> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            for _ in 0..4 {
                yield_now().await;
            }
            self.now.fetch_sub(1, Ordering::Relaxed);
            let nothing = Seen::Nothing("no connection".to_owned());
            self.seen.get(host.as_str()).cloned().unwrap_or(nothing)
        })
    }
}

fn up(chain: &[&Certified]) -> Seen {
    let chain = chain
        .iter()
        .map(|of| CertificateDer::from(of.der().to_vec()));
    host(TlsSeen::Established(chain.collect()))
}

fn host(tls: TlsSeen) -> Seen {
    Seen::Host {
        address: IpAddr::from([192, 0, 2, 1]),
        helo: None,
        tls,
    }
}

/// DANE for one host with these records below this name, and a check that looks at it.
fn looked_at(
    records: Option<(&str, &[Tlsa])>,
    shows: &Shows,
    config: &Config,
    hosts: &[&'static str],
) -> CheckResult {
    let ranked = hosts.iter().map(|name| {
        let host: MxHost = name.parse().unwrap();
        let dane = match records {
            Some((base, records)) => {
                let records = records.iter().map(|record| TlsaRecord {
                    usage: record.usage,
                    selector: record.selector,
                    matching: record.matching,
                    association: record.data.clone(),
                });
                let set = TlsaSet::new(records.collect());
                let base: MxHost = base.parse().unwrap();
                HostDane {
                    host: host.clone(),
                    mx: MxSecurity::Secure,
                    finding: DaneFinding::Records(Arc::new(TlsaPolicy::new(base, set, &[host]))),
                }
            }
            None => HostDane::nothing(host, MxSecurity::Insecure, NoDane::NoRecords),
        };
        RankedHost {
            preference: 10,
            dane,
        }
    });
    let says = Says(Arc::new(DomainDane {
        domain: "example.org".parse().unwrap(),
        hosts: MailHosts::Known(ranked.collect()),
        until: NOW.plus_seconds(300),
    }));
    let mut world = announced(records.is_none().then_some(ENFORCE));
    if records.is_some() {
        world.txt.remove("_mta-sts.example.org");
    }
    world.mx = hosts.iter().map(|host| (10, *host)).collect();
    let roots = RootCertStore::empty();
    let means = Means {
        suppressed: &|_| None,
        dane: &says,
        validation: Ok(By::Resolver),
        dane_only: DaneOnly::Told,
        look: Some(Look {
            prober: shows,
            roots: &roots,
        }),
        commanded: None,
        dns: &world,
        policy_host: &world,
        config,
        overrides: &[],
        now: NOW,
        kept: None,
        trouble: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(check(&"example.org".parse().unwrap(), &means))
}

fn shown(name: &'static str, seen: Seen) -> Shows {
    Shows {
        seen: HashMap::from([(name, seen)]),
        ..Shows::default()
    }
}

fn key() -> CertificateKey {
    CertificateKey::ecdsa().unwrap()
}

#[test]
fn c11_c12_it_is_said_what_is_wrong_with_a_certificate_under_the_records() {
    let root = Certified::self_signed(&Wish::authority("A root"), &key()).unwrap();
    let of = |wish: Wish| root.issue(&wish, &key()).unwrap();
    let authority = [root.tlsa(2, 1, 1)];
    for (wish, records, matches, expected) in [
        (Wish::server(&[HOST]), &authority[..], Some(true), None),
        (
            Wish::server(&[HOST]),
            &[Tlsa::of_no_key()],
            Some(false),
            Some("for it matches none of the records (validation-failure: dane-no-match)"),
        ),
        (
            Wish::server(&["mx9.example.org"]),
            &authority,
            Some(false),
            Some("and carries none of the names (certificate-host-mismatch: dane-name-mismatch)"),
        ),
        (
            Wish::server(&[HOST]).valid(Validity::Past),
            &authority,
            Some(false),
            Some("and a certificate is out of date (certificate-expired)"),
        ),
        (
            Wish::server(&[HOST]).valid(Validity::Future),
            &authority,
            Some(false),
            Some("is not valid yet (certificate-not-trusted: not-yet-valid)"),
        ),
        (
            Wish::server(&[HOST]).odd(Oddity::VersionOne),
            &authority,
            None,
            Some("cannot be told here: a certificate of the chain is of an old version of X.509."),
        ),
    ] {
        let shows = shown(HOST, up(&[&of(wish), &root]));
        let result = looked_at(Some((HOST, records)), &shows, &Config::default(), &[HOST]);
        let live = result.mx.hosts[0].live.as_ref().unwrap();
        assert_eq!(live.dane_matches, matches, "{live:?}");
        let text = &result.outcome.text;
        match expected {
            Some(expected) => assert!(text.contains(expected), "{text}"),
            None => assert!(!text.contains("certificate"), "{text}"),
        }
        let waits = text.contains("mail to it waits");
        assert_eq!(waits, matches == Some(false), "{text}");
    }
}

#[test]
fn d1_only_of_a_host_that_is_known_to_have_no_tls_it_is_said_that_mail_waits() {
    let down = [
        TlsSeen::NotOffered,
        TlsSeen::Refused,
        TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff),
    ];
    let down = down.map(|tls| (host(tls), true));
    let unknown = [
        host(TlsSeen::NotKnown("no time".to_owned())),
        Seen::Nothing("no connection".to_owned()),
    ];
    let unknown = unknown.map(|seen| (seen, false));
    for (seen, waits) in down.into_iter().chain(unknown) {
        let records = [Tlsa::of_no_key()];
        // By DANE, and by an enforced policy.
        for records in [Some((HOST, &records[..])), None] {
            let shows = shown(HOST, seen.clone());
            let result = looked_at(records, &shows, &Config::default(), &[HOST]);
            let text = &result.outcome.text;
            assert_eq!(text.contains("has no TLS"), waits, "{seen:?}: {text}");
            assert_eq!(text.contains("mail to it waits"), waits, "{seen:?}: {text}");
        }
    }
}

#[test]
fn c9_what_a_host_shows_under_another_name_is_not_held_to_the_records() {
    let leaf = Certified::self_signed(&Wish::server(&[HOST]), &key()).unwrap();
    let other = Certified::self_signed(&Wish::server(&[BASE]), &key()).unwrap();
    let records = [other.tlsa(3, 1, 1)];
    let mut shows = shown(HOST, up(&[&leaf]));
    let look = |shows: &Shows| {
        let config = Config::default();
        let result = looked_at(Some((BASE, &records)), shows, &config, &[HOST]);
        result.mx.hosts[0].live.clone().unwrap()
    };
    let live = look(&shows);
    assert_eq!(live.dane_matches, None);
    assert_eq!(live.dane.unwrap(), "mail.example.com was not reached");
    assert!(live.address.is_some());
    shows.seen.insert(BASE, up(&[&other]));
    assert_eq!(look(&shows).dane_matches, Some(true));
}

#[test]
fn c18_whose_demand_it_would_be_is_said_where_dane_is_only_audited() {
    let leaf = Certified::self_signed(&Wish::server(&[HOST]), &key()).unwrap();
    let mut config = Config::default();
    config.dane.audit = true;
    let shows = shown(HOST, up(&[&leaf]));
    let records = [leaf.tlsa(3, 1, 1)];
    let result = looked_at(Some((HOST, &records)), &shows, &config, &[HOST]);
    let verdict = &result.mx.hosts[0];
    assert!(verdict.audit, "{verdict:?}");
    assert_eq!(
        (verdict.level.as_str(), verdict.decided_by.as_str()),
        ("may", "dane")
    );
}

#[test]
fn hosts_are_looked_at_side_by_side_within_bounds_and_shown_in_their_order() {
    let hosts = [
        "mx0.example.org",
        "mx1.example.org",
        "mx2.example.org",
        "mx3.example.org",
        "mx4.example.org",
        "mx5.example.org",
        "mx6.example.org",
        "mx7.example.org",
    ];
    let mut config = Config::default();
    for (at_once, most) in [(1, 1), (3, 3), (100, hosts.len())] {
        config.probe.concurrent_max = at_once;
        let shows = Shows::default();
        let result = looked_at(None, &shows, &config, &hosts);
        let shown: Vec<&str> = result.mx.hosts.iter().map(|of| of.host.as_str()).collect();
        assert_eq!(shown, hosts);
        assert!(result.mx.hosts.iter().all(|of| of.live.is_some()));
        assert_eq!(
            shows.most.load(Ordering::Relaxed),
            most,
            "{at_once} at once"
        );
    }
}

#[test]
fn a_host_that_there_is_no_time_for_is_said_to_be_unknown() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let live = runtime.block_on(async {
        let turns = Turns {
            // Nobody gets a turn.
            looks: Semaphore::new(0),
            deadline: Instant::now(),
        };
        let roots = RootCertStore::empty();
        let shows = Shows::default();
        let look = Look {
            prober: &shows,
            roots: &roots,
        };
        let host: MxHost = HOST.parse().unwrap();
        let said = HostDane::nothing(host.clone(), MxSecurity::Insecure, NoDane::NoRecords);
        turns.look(&look, &host, &said, NOW).await
    });
    assert_eq!(live.address, None);
    assert!(live.tls.starts_with("not looked at"), "{}", live.tls);
}
