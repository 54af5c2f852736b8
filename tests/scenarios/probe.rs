//! Looking at mail hosts: real ones of the kit with every fault, and hostile ones.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rustls::RootCertStore;
use sealpost::{
    clock::{StoppedClock, Timestamp},
    config::{DnsConfig, ProbeConfig},
    engine::findings::{Findings as _, Look, Scout, ScoutParts},
    net::{
        dns::Dns as _,
        hickory::HickoryDns,
        smtp::{
            PrivateAddresses,
            probe::{Prober as _, ProberSettings, SmtpProber},
        },
    },
    observe::Counters,
    record::{
        classify::Observed,
        finding::{HostFinding, TlsaLookup},
        look::{Seen, TlsSeen, observe},
    },
};
use sealpost_kit::{
    Authority, CertificateKey, Certified, DnsFault, DnsServer, Flaw, Leaf, MxBehaviour, MxHost,
    MxHosts, Oddity, Wish,
};
use tokio::sync::watch;

mod hostile;

const NOW: Timestamp = Timestamp(1_800_000_000);
const MX: &str = "mx.a.test";

/// How long a look may take that does not need its whole time.
const PATIENT_SECONDS: u64 = 60;

/// A resolver, a mail host and whoever looks at it.
struct World {
    authority: Authority,
    dns: DnsServer,
    hosts: MxHosts,
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 9, last))
}

impl World {
    /// With mail hosts of these names.
    async fn start(names: &[(&str, u8)]) -> Self {
        let authority = Authority::new().unwrap();
        let dns = DnsServer::start().await.unwrap();
        let host = |(name, last): &(&str, u8)| {
            dns.set_addresses(name, &[address(*last)]);
            MxHost {
                name: (*name).to_owned(),
                address: address(*last),
                certificate: authority.issue(&[name]).unwrap(),
                behaviour: MxBehaviour::Correct,
            }
        };
        let hosts = names.iter().map(host).collect();
        let hosts = MxHosts::start(0, hosts).await.unwrap();
        Self {
            authority,
            dns,
            hosts,
        }
    }

    fn prober(&self, private_addresses: PrivateAddresses) -> SmtpProber {
        prober(
            &self.dns,
            self.hosts.port(),
            private_addresses,
            PATIENT_SECONDS,
        )
    }

    /// What a look at the host comes to.
    async fn look(&self, name: &str) -> (Seen, String) {
        let seen = self
            .prober(PrivateAddresses::Allow)
            .look(&name.parse().unwrap())
            .await;
        let observed = in_words(&seen, name, &roots(&self.authority));
        (seen, observed)
    }

    /// No message was ever begun.
    fn nobody_was_named(&self) {
        for session in self.hosts.sessions() {
            for command in &session.commands {
                let verb = command.split(' ').next().unwrap();
                assert!(
                    ["EHLO", "STARTTLS", "QUIT"].contains(&verb),
                    "{command} to {}",
                    session.mx
                );
            }
            assert!(!session.offers_mail());
        }
        assert!(self.hosts.messages().is_empty());
    }
}

fn resolver(dns: &DnsServer) -> HickoryDns {
    HickoryDns::new(&DnsConfig {
        servers: vec![dns.address()],
        timeout_ms: 5_000,
        attempts: 1,
    })
    .unwrap()
}

fn prober(
    dns: &DnsServer,
    port: u16,
    private_addresses: PrivateAddresses,
    timeout_seconds: u64,
) -> SmtpProber {
    let settings = ProberSettings {
        port,
        host_name: "out.sender.test".to_owned(),
        timeout_seconds,
        private_addresses,
    };
    SmtpProber::new(Arc::new(resolver(dns)), settings).unwrap()
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_der()).unwrap();
    roots
}

fn in_words(seen: &Seen, name: &str, roots: &RootCertStore) -> String {
    let (up, troubles) = match observe(seen, &name.parse().unwrap(), roots, NOW) {
        Observed::NoSession => {
            return match seen {
                Seen::Nothing(_) => "not reached".to_owned(),
                Seen::Host { .. } => "not known".to_owned(),
            };
        }
        Observed::Established { troubles } => ("up", troubles),
        Observed::Failed(troubles) => ("failed", troubles),
    };
    let shown = troubles.iter().map(|(result, reason)| {
        let reason = reason.map(|reason| format!("/{reason}"));
        format!(" {result}{}", reason.unwrap_or_default())
    });
    up.to_owned() + &shown.collect::<String>()
}

#[tokio::test]
async fn d1_each_behaviour_of_a_mail_host_is_seen_for_what_it_is() {
    let world = World::start(&[(MX, 1)]).await;
    for (behaviour, expected) in [
        (MxBehaviour::Correct, "up"),
        (MxBehaviour::BigEhlo, "up"),
        (MxBehaviour::RefusesRecipients(550), "up"),
        (
            MxBehaviour::NoStartTls,
            "failed starttls-not-supported/starttls-not-offered",
        ),
        (
            MxBehaviour::RefusesStartTls,
            "failed starttls-not-supported/starttls-refused",
        ),
        (
            MxBehaviour::HandshakeRubbish,
            "failed validation-failure/not-tls",
        ),
        (
            MxBehaviour::ClosesAtHandshake,
            "failed validation-failure/handshake-failed",
        ),
        (MxBehaviour::RefusesService(421), "not reached"),
        (MxBehaviour::RefusesService(554), "not reached"),
        (MxBehaviour::ClosesAtOnce, "not reached"),
    ] {
        world.hosts.set_behaviour(MX, behaviour);
        let (seen, observed) = world.look(MX).await;
        assert_eq!(observed, expected, "{behaviour:?}: {seen:?}");
        if let Seen::Host {
            address: met, helo, ..
        } = seen
        {
            assert_eq!((met, helo.as_deref()), (address(1), Some(MX)));
        }
    }
    world.nobody_was_named();
    let first = &world.hosts.sessions()[0];
    assert_eq!(first.sni.as_deref(), Some(MX));
    assert_eq!(first.commands, ["EHLO out.sender.test", "STARTTLS", "QUIT"]);
}

#[tokio::test]
async fn d3_each_flaw_of_a_mail_hosts_certificate_is_seen_for_what_it_is() {
    let world = World::start(&[(MX, 2)]).await;
    for (flaw, expected) in [
        (Flaw::Expired, "up certificate-expired"),
        (
            Flaw::NotYetValid,
            "up certificate-not-trusted/not-yet-valid",
        ),
        (Flaw::SelfSigned, "up certificate-not-trusted/self-signed"),
        (
            Flaw::UnknownAuthority,
            "up certificate-not-trusted/unknown-issuer",
        ),
        (Flaw::CommonNameOnly, "up certificate-host-mismatch"),
        (Flaw::WrongName, "up certificate-host-mismatch"),
    ] {
        let certificate = world.authority.issue_flawed(&[MX], flaw).unwrap();
        world.hosts.set_certificate(MX, certificate);
        let (seen, observed) = world.look(MX).await;
        assert_eq!(observed, expected, "{flaw:?}: {seen:?}");
    }
    for (names, expected) in [
        (vec!["other.test", "*.a.test"], "up"),
        // Two things are wrong at once.
        (
            vec!["other.test"],
            "up certificate-host-mismatch certificate-expired",
        ),
    ] {
        let certificate = if expected == "up" {
            world.authority.issue(&names)
        } else {
            world.authority.issue_flawed(&names, Flaw::Expired)
        };
        world.hosts.set_certificate(MX, certificate.unwrap());
        assert_eq!(world.look(MX).await.1, expected);
    }
    world.nobody_was_named();
}

#[tokio::test]
async fn c11_a_certificate_that_only_its_key_recommends_is_seen_and_tls_is_up() {
    let world = World::start(&[(MX, 2)]).await;
    for oddity in [Oddity::VersionOne, Oddity::CriticalExtension] {
        let key = CertificateKey::ecdsa().unwrap();
        let odd = Certified::self_signed(&Wish::server(&[MX]).odd(oddity), &key).unwrap();
        world.hosts.set_certificate(MX, Leaf::of(&odd).unwrap());
        let (seen, _) = world.look(MX).await;
        let Seen::Host {
            tls: TlsSeen::Established(chain),
            ..
        } = &seen
        else {
            panic!("{oddity:?}: {seen:?}");
        };
        assert_eq!(chain[0].as_ref(), odd.der(), "{oddity:?}");
    }
    world.nobody_was_named();
}

#[tokio::test]
async fn g1_no_private_address_is_connected_to_unless_the_operator_says_so() {
    let world = World::start(&[(MX, 3)]).await;
    let host = MX.parse().unwrap();
    let seen = world.prober(PrivateAddresses::Refuse).look(&host).await;
    let refused = format!("{MX} has no public address");
    assert_eq!(seen, Seen::Nothing(refused));
    world.dns.set_addresses(MX, &[]);
    assert_eq!(world.look(MX).await.1, "not reached");
    assert!(world.hosts.sessions().is_empty());
}

#[tokio::test]
async fn the_next_address_of_a_host_is_tried_where_the_first_is_dead() {
    let world = World::start(&[(MX, 4), ("busy.a.test", 5)]).await;
    let busy = MxBehaviour::RefusesService(421);
    world.hosts.set_behaviour("busy.a.test", busy);
    // Nobody listens at the first.
    let addresses = [address(199), address(5), address(4)];
    world.dns.set_addresses(MX, &addresses);
    let (seen, observed) = world.look(MX).await;
    assert_eq!(observed, "up");
    assert!(
        matches!(&seen, Seen::Host { address: met, .. } if *met == address(4)),
        "{seen:?}"
    );
    // However many a stranger publishes, few are tried.
    let many: Vec<IpAddr> = (200..240).map(address).chain([address(4)]).collect();
    world.dns.set_addresses(MX, &many);
    assert_eq!(world.look(MX).await.1, "not reached");
}

#[tokio::test]
async fn a_tlsa_lookup_that_fails_is_told_from_one_that_finds_nothing() {
    let dns = DnsServer::start().await.unwrap();
    let resolver = resolver(&dns);
    let name = "_25._tcp.mx.a.test";
    assert_eq!(resolver.tlsa(name).await.unwrap().values, []);
    let record = "3 1 1 8c75f00d".parse().unwrap();
    dns.set_tlsa(name, &[record]);
    let found = resolver.tlsa(name).await.unwrap().values;
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((found.usage, found.selector, found.matching), (3, 1, 1));
    assert_eq!(found.association, [0x8c, 0x75, 0xf0, 0x0d]);
    for fault in [DnsFault::ServFail, DnsFault::Refused] {
        dns.fail(name, fault);
        assert!(resolver.tlsa(name).await.is_err(), "{fault:?}");
    }
}

/// What a scout finds of `a.test`, a line for each host, and how many looks it took.
async fn find(world: &World, config: ProbeConfig) -> (Vec<String>, u64) {
    let counters = Arc::new(Counters::default());
    let scout = Arc::new(Scout::new(ScoutParts {
        dns: Arc::new(resolver(&world.dns)),
        prober: Arc::new(world.prober(PrivateAddresses::Allow)),
        roots: Arc::new(roots(&world.authority)),
        clock: Arc::new(StoppedClock::at(NOW)),
        counters: Arc::clone(&counters),
        config,
    }));
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&scout).run(stopping));
    let domain = "a.test".parse().unwrap();
    scout.wish(&domain, Look::Probe);
    while scout.under_way(&domain) {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    let line = |host: &HostFinding| {
        let observed = match &host.observed {
            Observed::NoSession if host.was_looked_at() => "not reached".to_owned(),
            Observed::NoSession => "not looked at".to_owned(),
            other => format!("{other:?}"),
        };
        let tlsa = if host.tlsa == TlsaLookup::Failed {
            ", no TLSA"
        } else {
            ""
        };
        format!("{} {} {observed}{tlsa}", host.preference, host.host)
    };
    let found = scout.of(&domain).unwrap();
    let lines = found.hosts.iter().map(line).collect();
    (lines, counters.probes.value())
}

#[tokio::test]
async fn what_is_found_of_a_domain_is_true_of_its_hosts() {
    let world = World::start(&[("mx1.a.test", 6), ("mx2.a.test", 7), ("mx3.a.test", 8)]).await;
    let (dns, hosts) = (&world.dns, &world.hosts);
    dns.set_mx(
        "a.test",
        &[(30, "mx3.a.test"), (20, "mx2.a.test"), (10, "mx1.a.test")],
    );
    let config = || ProbeConfig {
        smtp_port: hosts.port(),
        ..ProbeConfig::default()
    };
    // Nobody reads a report, so nobody is bothered.
    assert_eq!(find(&world, config()).await, (vec![], 0));
    dns.set_txt("_smtp._tls.a.test", &["v=TLSRPTv1; rua=mailto:r@a.test"]);
    let off = ProbeConfig {
        enabled: false,
        ..config()
    };
    let unseen = |mx: &str| format!("{mx} not looked at");
    let (found, looks) = find(&world, off).await;
    assert_eq!(
        found,
        ["10 mx1.a.test", "20 mx2.a.test", "30 mx3.a.test"].map(unseen)
    );
    assert_eq!(looks, 0);
    assert!(hosts.sessions().is_empty());

    hosts.set_behaviour("mx1.a.test", MxBehaviour::NoStartTls);
    let tlsa = format!("_{}._tcp.mx2.a.test", hosts.port());
    dns.fail(&tlsa, DnsFault::ServFail);
    let (found, looks) = find(&world, config()).await;
    assert_eq!(
        found,
        [
            "10 mx1.a.test Failed([(StarttlsNotSupported, Some(\"starttls-not-offered\"))])",
            "20 mx2.a.test Established { troubles: [] }, no TLSA",
            "30 mx3.a.test not looked at",
        ]
    );
    assert_eq!((looks, hosts.sessions().len()), (2, 2));
    world.nobody_was_named();
}
