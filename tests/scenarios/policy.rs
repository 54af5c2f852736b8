//! Resolver, policy host and keeper against real packets: the kit's DNS server and policy hosts.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::{Clock as _, StoppedClock, Timestamp},
    config::{DnsConfig, PolicyConfig},
    engine::keeper::{Keeper, KeeperParts},
    net::{
        dns::{Dns as _, DnsError, Mx},
        hickory::HickoryDns,
        https::{FetchError, PolicyHost as _},
        policy_host::HttpsPolicyHost,
    },
    observe::Counters,
    policy::{PolicyDomain, RuaDiscovery, StsStanding},
    record::{
        SessionRecord, Verdict,
        journal::{Journal, JournalReader},
    },
    store::{Store, memory::MemoryStore},
};
use sealpost_kit::{Answer, Authority, DnsFault, DnsServer, Flaw, Leaf, PolicyHost, PolicyHosts};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The kit listens on 127.0.0.1 only: here nobody does.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

const START: Timestamp = Timestamp(1_800_000_000);

const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: *.a.test\nmax_age: 604800\n";

/// A small Internet: a resolver, policy hosts, and an authority that the settings trust.
struct Internet {
    dns: DnsServer,
    hosts: PolicyHosts,
    authority: Authority,
    root: PathBuf,
    _directory: tempfile::TempDir,
}

impl Internet {
    async fn start() -> Self {
        let authority = Authority::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root.pem");
        std::fs::write(&root, authority.ca_pem()).unwrap();
        Self {
            dns: DnsServer::start().await.unwrap(),
            hosts: PolicyHosts::start().await.unwrap(),
            authority,
            root,
            _directory: directory,
        }
    }

    /// A domain whose policy host answers so, under a good certificate.
    fn publish(&self, domain: &str, id: &str, answer: Answer) {
        let host = format!("mta-sts.{domain}");
        let certificate = self.authority.issue(&[&host]).unwrap();
        self.publish_under(domain, id, answer, certificate);
    }

    fn publish_under(&self, domain: &str, id: &str, answer: Answer, certificate: Leaf) {
        let host = format!("mta-sts.{domain}");
        self.announce(domain, id);
        self.dns.set_addresses(&host, &[LOCALHOST]);
        self.hosts.set(
            &host,
            PolicyHost {
                certificate,
                answer,
            },
        );
    }

    fn announce(&self, domain: &str, id: &str) {
        let name = format!("_mta-sts.{domain}");
        self.dns.set_txt(&name, &[&format!("v=STSv1; id={id};")]);
    }

    /// A resolver with patience: the machine may be busy.
    fn resolver(&self) -> HickoryDns {
        self.resolver_within(10_000)
    }

    fn resolver_within(&self, timeout_ms: u64) -> HickoryDns {
        HickoryDns::new(&DnsConfig {
            servers: vec![self.dns.address()],
            timeout_ms,
            attempts: 2,
        })
        .unwrap()
    }

    fn config(&self) -> PolicyConfig {
        PolicyConfig {
            https_port: self.hosts.address().port(),
            extra_roots: vec![self.root.clone()],
            allow_private_addresses: true,
            fetch_timeout_seconds: 20,
            ..PolicyConfig::default()
        }
    }

    fn policy_host(&self, config: &PolicyConfig) -> HttpsPolicyHost {
        let clock = Arc::new(StoppedClock::at(START));
        HttpsPolicyHost::new(Arc::new(self.resolver()), clock, config).unwrap()
    }

    /// A running host's keeper on this Internet.
    fn keeper(&self, store: Arc<dyn Store>, clock: &StoppedClock) -> Sender {
        let counters = Arc::new(Counters::default());
        let (journal, records) = Journal::new(100, Arc::clone(&counters));
        let config = self.config();
        let keeper = Keeper::new(KeeperParts {
            dns: Arc::new(self.resolver()),
            auditor: Default::default(),
            policy_host: Arc::new(self.policy_host(&config)),
            store,
            clock: Arc::new(clock.clone()),
            journal,
            counters,
            config,
        });
        Sender { keeper, records }
    }
}

struct Sender {
    keeper: Keeper,
    records: JournalReader,
}

impl Sender {
    /// `id mode trouble`, or what else the standing is.
    async fn ask(&self, domain: &str) -> String {
        let standing = self.keeper.standing(&name(domain)).await.unwrap();
        match standing.sts {
            StsStanding::NotAnnounced => "none".to_owned(),
            StsStanding::Unfetched(trouble) => format!("{} {}", trouble.result, trouble.reason),
            StsStanding::InForce { kept, trouble } => {
                let trouble = trouble.map_or("-".to_owned(), |trouble| trouble.reason);
                format!("{} {} {trouble}", kept.id, kept.policy.mode.name())
            }
        }
    }
}

fn name(domain: &str) -> PolicyDomain {
    domain.parse().unwrap()
}

#[tokio::test]
async fn a3_b1_txt_records_are_joined_and_absence_is_an_answer() {
    let internet = Internet::start().await;
    let dns = internet.resolver();
    internet.dns.set_time_to_live_seconds(77);
    internet.dns.add_txt(
        "_smtp._tls.a.test",
        &[b"v=TLSRPTv1; rua=mail", b"to:a@a.test"],
    );
    internet.dns.add_txt("_smtp._tls.a.test", &[b"\xff\0"]);
    let answer = dns.txt("_smtp._tls.a.test").await.unwrap();
    let mut values = answer.values;
    values.sort();
    assert_eq!(values[0], b"v=TLSRPTv1; rua=mailto:a@a.test");
    assert_eq!(values[1], b"\xff\0");
    assert_eq!(answer.time_to_live, Duration::from_secs(77));
    // NODATA, where names exist below or other types do, and NXDOMAIN.
    for absent in ["_tls.a.test", "nothing.test"] {
        let answer = dns.txt(absent).await.unwrap();
        assert!(answer.values.is_empty());
        assert_eq!(answer.time_to_live, Duration::from_secs(77), "{absent}");
    }
    assert_eq!(dns.mx("_smtp._tls.a.test").await.unwrap().values, []);
}

#[tokio::test]
async fn a15_b38_failed_lookups_are_told_from_absence() {
    let internet = Internet::start().await;
    let dns = internet.resolver();
    for (fault, code) in [
        (DnsFault::ServFail, "SERVFAIL"),
        (DnsFault::Refused, "REFUSED"),
    ] {
        internet.dns.fail("broken.test", fault);
        let error = dns.txt("broken.test").await.unwrap_err();
        assert!(
            matches!(&error, DnsError::Server { name, code: found } if name == "broken.test" && found == code),
            "{error:?}"
        );
        assert_eq!(dns.addresses("broken.test").await.unwrap_err(), error);
    }
    internet.dns.fail("broken.test", DnsFault::Silence);
    let impatient = internet.resolver_within(150);
    let error = impatient.txt("broken.test").await.unwrap_err();
    assert!(
        matches!(
            error,
            DnsError::Timeout {
                timeout_ms: 300,
                ..
            }
        ),
        "{error:?}"
    );
    internet.dns.heal("broken.test");
    assert_eq!(dns.txt("broken.test").await.unwrap().values.len(), 0);
    let error = dns.txt(&"a".repeat(64)).await.unwrap_err();
    assert!(matches!(error, DnsError::BadName { .. }), "{error:?}");
    let deaf = HickoryDns::new(&DnsConfig {
        servers: vec![(NOBODY, internet.dns.address().port()).into()],
        timeout_ms: 150,
        attempts: 1,
    });
    let error = deaf.unwrap().txt("a.test").await.unwrap_err();
    assert!(
        matches!(
            error,
            DnsError::Unreachable { .. } | DnsError::Timeout { .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn b5_cnames_are_followed_and_long_answers_come_over_tcp() {
    let internet = Internet::start().await;
    let dns = internet.resolver();
    internet
        .dns
        .set_cname("_mta-sts.a.test", "hop.provider.test");
    internet
        .dns
        .set_cname("hop.provider.test", "sts.provider.test");
    internet
        .dns
        .set_txt("sts.provider.test", &["v=STSv1; id=1"]);
    let answer = dns.txt("_mta-sts.a.test").await.unwrap();
    assert_eq!(answer.values, [b"v=STSv1; id=1"]);
    internet.dns.set_cname("dangling.test", "nowhere.test");
    assert_eq!(dns.txt("dangling.test").await.unwrap().values.len(), 0);
    let long = "x".repeat(5_000);
    internet.dns.set_txt("long.test", &[&long]);
    assert_eq!(
        dns.txt("long.test").await.unwrap().values,
        [long.as_bytes()]
    );
}

#[tokio::test]
async fn b10_mx_records_come_in_order_and_addresses_of_both_families() {
    let internet = Internet::start().await;
    let dns = internet.resolver();
    internet.dns.set_mx(
        "a.test",
        &[(20, "b.a.test"), (10, "c.a.test"), (10, "a.a.test")],
    );
    internet.dns.set_mx("null.test", &[(0, ".")]);
    let mx = |preference, exchange: &str| Mx {
        preference,
        exchange: exchange.to_owned(),
    };
    assert_eq!(
        dns.mx("a.test").await.unwrap().values,
        [mx(10, "a.a.test"), mx(10, "c.a.test"), mx(20, "b.a.test")]
    );
    assert_eq!(dns.mx("null.test").await.unwrap().values, [mx(0, "")]);
    let addresses = [LOCALHOST, "2001:db8::1".parse().unwrap()];
    internet.dns.set_addresses("a.test", &addresses);
    assert_eq!(dns.addresses("a.test").await.unwrap().values, addresses);
}

#[tokio::test]
async fn b30_the_resolver_remembers_nothing() {
    let internet = Internet::start().await;
    let dns = internet.resolver();
    internet.dns.set_time_to_live_seconds(3_600);
    for id in ["v=STSv1; id=1", "v=STSv1; id=2"] {
        internet.dns.set_txt("_mta-sts.a.test", &[id]);
        let answer = dns.txt("_mta-sts.a.test").await.unwrap();
        assert_eq!(answer.values, [id.as_bytes()]);
    }
    internet.dns.remove("_mta-sts.a.test");
    assert!(dns.txt("_mta-sts.a.test").await.unwrap().values.is_empty());
    internet.dns.set_txt("_mta-sts.a.test", &["v=STSv1; id=3"]);
    assert_eq!(dns.txt("_mta-sts.a.test").await.unwrap().values.len(), 1);
}

#[tokio::test]
async fn b11_b12_b13_the_request_is_plain_and_to_the_policy_host() {
    let internet = Internet::start().await;
    internet.publish("a.test", "1", Answer::document(ENFORCE));
    let config = internet.config();
    let fetched = internet.policy_host(&config).fetch(&name("a.test")).await;
    assert_eq!(fetched, Ok(ENFORCE.as_bytes().to_vec()));
    let requests = internet.hosts.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.host, "mta-sts.a.test", "SNI");
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/.well-known/mta-sts.txt")
    );
    let port = config.https_port;
    assert_eq!(
        request.header("host"),
        Some(format!("mta-sts.a.test:{port}").as_str())
    );
    for absent in [
        "accept-encoding",
        "if-none-match",
        "if-modified-since",
        "cookie",
        "authorization",
    ] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn b12_certificates_are_held_to_the_policy_hosts_name() {
    let internet = Internet::start().await;
    let config = internet.config();
    let host = internet.policy_host(&config);
    let code = |code: &str| Err(FetchError::Certificate(code.to_owned()));
    let flawed = |flaw| {
        internet
            .authority
            .issue_flawed(&["mta-sts.a.test"], flaw)
            .unwrap()
    };
    let good = |names: &[&str]| internet.authority.issue(names).unwrap();
    let document = Ok(ENFORCE.as_bytes().to_vec());
    for (what, certificate, expected) in [
        ("good", good(&["mta-sts.a.test"]), document.clone()),
        ("wildcard", good(&["*.a.test"]), document),
        (
            "expired",
            flawed(Flaw::Expired),
            code("certificate-expired"),
        ),
        (
            "early",
            flawed(Flaw::NotYetValid),
            code("certificate-not-yet-valid"),
        ),
        (
            "self-signed",
            flawed(Flaw::SelfSigned),
            code("certificate-not-trusted"),
        ),
        (
            "unknown",
            flawed(Flaw::UnknownAuthority),
            code("certificate-not-trusted"),
        ),
        (
            "CN only",
            flawed(Flaw::CommonNameOnly),
            code("certificate-host-mismatch"),
        ),
        (
            "wrong name",
            flawed(Flaw::WrongName),
            code("certificate-host-mismatch"),
        ),
        (
            "domain only",
            good(&["a.test"]),
            code("certificate-host-mismatch"),
        ),
        (
            "wide wildcard",
            good(&["*.test"]),
            code("certificate-host-mismatch"),
        ),
    ] {
        internet.publish_under("a.test", "1", Answer::document(ENFORCE), certificate);
        assert_eq!(host.fetch(&name("a.test")).await, expected, "{what}");
    }
}

#[tokio::test]
async fn b12_g9_the_clock_and_the_operators_roots_decide_too() {
    let internet = Internet::start().await;
    let config = internet.config();
    let code = |code: &str| Err(FetchError::Certificate(code.to_owned()));
    // The kit's certificates end in 4096.
    let late = Arc::new(StoppedClock::at(Timestamp(67_100_000_000)));
    let late = HttpsPolicyHost::new(Arc::new(internet.resolver()), late, &config).unwrap();
    internet.publish("a.test", "1", Answer::document(ENFORCE));
    assert_eq!(
        late.fetch(&name("a.test")).await,
        code("certificate-expired")
    );
    // Without the operator's root nobody trusts it.
    let untrusting = PolicyConfig {
        extra_roots: Vec::new(),
        ..config
    };
    let fetched = internet
        .policy_host(&untrusting)
        .fetch(&name("a.test"))
        .await;
    assert_eq!(fetched, code("certificate-not-trusted"));
}

#[tokio::test]
async fn b13_b14_b15_what_a_policy_host_may_answer() {
    let internet = Internet::start().await;
    internet.publish("a.test", "1", Answer::status(500));
    let host = internet.policy_host(&internet.config());
    let typed = |media_type| Answer::typed(media_type, ENFORCE);
    let elsewhere = format!(
        "https://mta-sts.b.test:{}/",
        internet.hosts.address().port()
    );
    internet.publish("b.test", "1", Answer::document(ENFORCE));
    let gzipped = Answer::Response {
        status: 200,
        headers: vec![
            ("Content-Type".to_owned(), "text/plain".to_owned()),
            ("Content-Encoding".to_owned(), "gzip".to_owned()),
        ],
        body: ENFORCE.as_bytes().to_vec(),
    };
    for (answer, expected) in [
        (typed("text/plain"), "ok"),
        (typed("Text/Plain; charset=ISO-8859-1; foo=bar"), "ok"),
        (Answer::untyped(ENFORCE), "ok"),
        (typed("text/html"), "policy-media-type"),
        (typed("application/octet-stream"), "policy-media-type"),
        (typed("text/plainer"), "policy-media-type"),
        (gzipped, "http-failed"),
        (Answer::redirect(&elsewhere), "http-status-301"),
        (Answer::status(204), "http-status-204"),
        (Answer::status(206), "http-status-206"),
        (Answer::status(304), "http-status-304"),
        (Answer::status(404), "http-status-404"),
        (Answer::status(500), "http-status-500"),
        (Answer::of_length(65_536), "ok"),
        (Answer::of_length(65_537), "policy-too-long"),
        (Answer::of_length(10_000_000), "policy-too-long"),
        (Answer::BreaksOff, "http-failed"),
        (Answer::NotTls, "tls-handshake-failed"),
        (Answer::Closes, "tls-handshake-failed"),
    ] {
        internet.hosts.set_answer("mta-sts.a.test", answer.clone());
        let fetched = host.fetch(&name("a.test")).await;
        let reason = fetched.map_or_else(|error| error.reason_code(), |_| "ok".to_owned());
        assert_eq!(reason, expected, "{answer:?}");
    }
    assert_eq!(
        internet.hosts.times_requested("mta-sts.b.test"),
        0,
        "redirect followed"
    );
}

#[tokio::test]
async fn b15_one_limit_of_time_for_the_whole_exchange() {
    let internet = Internet::start().await;
    let interval = Duration::from_millis(50);
    internet.publish("a.test", "1", Answer::Drips { interval });
    let config = PolicyConfig {
        fetch_timeout_seconds: 1,
        ..internet.config()
    };
    let host = internet.policy_host(&config);
    assert_eq!(
        host.fetch(&name("a.test")).await,
        Err(FetchError::Timeout(1))
    );
    // DNS that says nothing is within the limit too.
    internet.dns.fail("mta-sts.a.test", DnsFault::Silence);
    assert_eq!(
        host.fetch(&name("a.test")).await,
        Err(FetchError::Timeout(1))
    );
}

#[tokio::test]
async fn g1_a_domain_leads_us_to_no_private_address() {
    let internet = Internet::start().await;
    internet.publish("a.test", "1", Answer::document(ENFORCE));
    let config = PolicyConfig {
        allow_private_addresses: false,
        ..internet.config()
    };
    let host = internet.policy_host(&config);
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00::1",
    ] {
        internet
            .dns
            .set_addresses("mta-sts.a.test", &[address.parse().unwrap()]);
        let error = host.fetch(&name("a.test")).await.unwrap_err();
        assert_eq!(
            error.reason_code(),
            "policy-host-address-not-public",
            "{address}"
        );
    }
    assert_eq!(internet.hosts.times_connected("mta-sts.a.test"), 0);
    // Where it is allowed, the next address is tried when one does not answer.
    let host = internet.policy_host(&internet.config());
    internet
        .dns
        .set_addresses("mta-sts.a.test", &[NOBODY, LOCALHOST]);
    assert!(host.fetch(&name("a.test")).await.is_ok());
    internet.dns.set_addresses("mta-sts.a.test", &[NOBODY]);
    let error = host.fetch(&name("a.test")).await.unwrap_err();
    assert_eq!(error.reason_code(), "policy-host-connection-failed");
    internet.dns.remove("mta-sts.a.test");
    let error = host.fetch(&name("a.test")).await.unwrap_err();
    assert_eq!(error.reason_code(), "policy-host-not-resolved");
}

#[tokio::test]
async fn b32_b33_a_policy_outlives_a_restart_with_everything_down() {
    let internet = Internet::start().await;
    internet.publish("a.test", "1", Answer::document(ENFORCE));
    let store = Arc::new(MemoryStore::default());
    let clock = StoppedClock::at(START);
    let first = internet.keeper(store.clone(), &clock);
    assert_eq!(first.ask("a.test").await, "1 enforce -");
    drop(first);
    internet.dns.set_addresses("mta-sts.a.test", &[NOBODY]);
    internet.announce("a.test", "2");
    let second = internet.keeper(store.clone(), &clock);
    assert_eq!(
        second.ask("a.test").await,
        "1 enforce policy-host-connection-failed"
    );
    let notes: Vec<_> = std::iter::from_fn(|| second.records.try_recv().ok()).collect();
    assert!(matches!(
        notes[..],
        [SessionRecord {
            verdict: Verdict::Note(_),
            ..
        }]
    ));
    drop(second);
    internet.dns.fail("_mta-sts.a.test", DnsFault::ServFail);
    let third = internet.keeper(store, &clock);
    assert_eq!(third.ask("a.test").await, "1 enforce -");
    clock.advance_seconds(604_800);
    assert_eq!(third.ask("a.test").await, "none");
}

#[tokio::test]
async fn b5_b6_b9_only_the_recipient_domain_itself_is_asked() {
    let internet = Internet::start().await;
    let sender = internet.keeper(Arc::new(MemoryStore::default()), &StoppedClock::at(START));
    internet.publish("parent.test", "1", Answer::document(ENFORCE));
    assert_eq!(sender.ask("sub.parent.test").await, "none");
    assert_eq!(internet.dns.times_asked("_mta-sts.parent.test", "TXT"), 0);
    internet.dns.set_cname("alias.test", "parent.test");
    assert_eq!(sender.ask("alias.test").await, "none");
    // A record that is an alias is followed; the policy host stays the domain's own.
    internet.publish("c.test", "x", Answer::document(ENFORCE));
    internet
        .dns
        .set_cname("_mta-sts.c.test", "_mta-sts.parent.test");
    assert_eq!(sender.ask("c.test").await, "1 enforce -");
    assert_eq!(internet.hosts.times_requested("mta-sts.c.test"), 1);
    assert_eq!(internet.hosts.times_requested("mta-sts.parent.test"), 0);
}

#[tokio::test]
async fn a14_a15_a17_where_reports_go() {
    let internet = Internet::start().await;
    let sender = internet.keeper(Arc::new(MemoryStore::default()), &StoppedClock::at(START));
    let record = "v=TLSRPTv1; rua=mailto:reports@provider.test";
    internet.dns.set_txt("reports.provider.test", &[record]);
    internet
        .dns
        .set_cname("_smtp._tls.a.test", "reports.provider.test");
    let rua = async |domain: &str| sender.keeper.rua(&name(domain)).await;
    let Ok(RuaDiscovery::Found(found)) = rua("a.test").await else {
        panic!("no record");
    };
    assert_eq!(
        found.destinations[0].to_string(),
        "mailto:reports@provider.test"
    );
    assert_eq!(rua("sub.a.test").await, Ok(RuaDiscovery::Absent));
    internet.dns.remove("_smtp._tls.a.test");
    internet.dns.fail("_smtp._tls.a.test", DnsFault::ServFail);
    assert!(rua("a.test").await.is_err());
    internet.dns.remove("_smtp._tls.a.test");
    assert_eq!(rua("a.test").await, Ok(RuaDiscovery::Absent));
}

#[tokio::test]
async fn b16_b35_what_the_keeper_makes_of_each_fault() {
    let internet = Internet::start().await;
    let clock = StoppedClock::at(START);
    let sender = internet.keeper(Arc::new(MemoryStore::default()), &clock);
    let flawed = |host: &str, flaw| internet.authority.issue_flawed(&[host], flaw).unwrap();
    internet.publish_under(
        "expired.test",
        "1",
        Answer::document(ENFORCE),
        flawed("mta-sts.expired.test", Flaw::Expired),
    );
    internet.publish("rubbish.test", "1", Answer::rubbish());
    internet.publish("html.test", "1", Answer::typed("text/html", ENFORCE));
    internet.publish("absent.test", "1", Answer::status(404));
    for (domain, expected) in [
        ("expired.test", "sts-webpki-invalid certificate-expired"),
        ("rubbish.test", "sts-policy-invalid policy-not-a-field"),
        ("html.test", "sts-policy-invalid policy-media-type"),
        ("absent.test", "sts-policy-fetch-error http-status-404"),
    ] {
        assert_eq!(sender.ask(domain).await, expected, "{domain}");
        clock.advance_seconds(100);
        assert_eq!(sender.ask(domain).await, expected, "{domain}");
        let host = format!("mta-sts.{domain}");
        assert_eq!(internet.hosts.times_connected(&host), 1, "{domain}");
        // The domain mends it and says so.
        internet.publish(domain, "2", Answer::document(ENFORCE));
        let rechecked = sender.keeper.recheck(&name(domain)).await.unwrap();
        assert!(
            matches!(rechecked.sts, StsStanding::InForce { .. }),
            "{domain}"
        );
    }
    assert_eq!(clock.now(), START.plus_seconds(400));
}
