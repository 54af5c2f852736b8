//! Reports posted to `https:` destinations, against real TLS on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::RootCertStore;
use sealpost::{
    clock::{StoppedClock, Timestamp},
    config::{DeliverConfig, DnsConfig},
    net::{
        handover::{Accepted, Channel, SendError},
        hickory::HickoryDns,
        report_host::ReportHost as _,
        report_post::HttpsReportHost,
    },
};
use sealpost_kit::{Answer, Authority, DnsServer, Flaw, Leaf, PolicyHost, PolicyHosts};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// 2033-05-18T03:33:20Z.
const NOW: Timestamp = Timestamp(2_000_000_000);
const HOST: &str = "report.test";
const GZIP: &[u8] = b"\x1f\x8b not looked into on the way \x00\xff\r\n\r\n";

/// A resolver and a report host.
struct World {
    dns: DnsServer,
    hosts: PolicyHosts,
    authority: Authority,
}

impl World {
    async fn new() -> Self {
        let world = Self {
            dns: DnsServer::start().await.unwrap(),
            hosts: PolicyHosts::start().await.unwrap(),
            authority: Authority::new().unwrap(),
        };
        world.dns.set_addresses(HOST, &[LOCALHOST]);
        let certificate = world.authority.issue(&[HOST]).unwrap();
        world.host(certificate, Answer::taken());
        world
    }

    fn host(&self, certificate: Leaf, answer: Answer) {
        self.hosts.set(
            HOST,
            PolicyHost {
                certificate,
                answer,
            },
        );
    }

    fn config(&self) -> DeliverConfig {
        DeliverConfig {
            https_allow_private_addresses: true,
            timeout_seconds: 20,
            ..DeliverConfig::default()
        }
    }

    fn poster(&self, config: &DeliverConfig) -> HttpsReportHost {
        let dns = HickoryDns::new(&DnsConfig {
            servers: vec![self.dns.address()],
            timeout_ms: 10_000,
            attempts: 1,
        });
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.ca_der()).unwrap();
        let clock = Arc::new(StoppedClock::at(NOW));
        HttpsReportHost::new(Arc::new(dns.unwrap()), clock, Arc::new(roots), config).unwrap()
    }

    fn uri(&self) -> String {
        format!("https://{HOST}:{}/r?a=b", self.hosts.address().port())
    }

    async fn post(&self, config: &DeliverConfig) -> Result<Accepted, SendError> {
        self.poster(config).post(&self.uri(), GZIP).await
    }
}

fn is_later(outcome: &Result<Accepted, SendError>) -> bool {
    matches!(outcome, Err(SendError::Temporary { .. }))
}

#[tokio::test]
async fn f19_f23_a_report_is_one_post_of_the_gzip_and_tells_nothing_else() {
    let world = World::new().await;
    let certificate = world.authority.issue(&[HOST]).unwrap();
    for certificate in [certificate.clone().by_tls_1_2(), certificate.by_tls_1_3()] {
        world.host(certificate, Answer::taken());
        let accepted = world.post(&world.config()).await.unwrap();
        assert_eq!(
            accepted,
            Accepted {
                by: "report.test [127.0.0.1]".to_owned(),
                reply: "201 Created: Thank you".to_owned(),
                channel: Channel::Verified,
            }
        );
    }
    let requests = world.hosts.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!((&*request.method, &*request.path), ("POST", "/r?a=b"));
        assert_eq!(request.body, GZIP);
        let mut headers = request.headers;
        headers.sort();
        let port = world.hosts.address().port();
        let expected = [
            ("connection", "close".to_owned()),
            ("content-length", GZIP.len().to_string()),
            ("content-type", "application/tlsrpt+gzip".to_owned()),
            ("host", format!("report.test:{port}")),
            (
                "user-agent",
                format!("sealpost/{}", env!("CARGO_PKG_VERSION")),
            ),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(headers, expected);
    }
}

#[tokio::test]
async fn f20_f21_the_hosts_word_decides_and_no_redirect_is_followed() {
    let world = World::new().await;
    let elsewhere = "elsewhere.test";
    world.dns.set_addresses(elsewhere, &[LOCALHOST]);
    let elsewhere = format!("https://elsewhere.test:{}/", world.hosts.address().port());
    let busy = |status: u16, name: &str, seconds| {
        Err(SendError::Temporary {
            code: Some(status),
            reason: format!("{name} from report.test [127.0.0.1] to the report"),
            retry_after_seconds: seconds,
        })
    };
    for (answer, expected) in [
        (
            Answer::retry_after(503, "120"),
            busy(503, "Service Unavailable", Some(120)),
        ),
        (
            Answer::retry_after(429, "Wed, 18 May 2033 04:33:20 GMT"),
            busy(429, "Too Many Requests", Some(3_600)),
        ),
        (
            Answer::retry_after(500, "soon"),
            busy(500, "Internal Server Error", None),
        ),
        (
            Answer::retry_after(404, "120"),
            Err(SendError::Permanent {
                code: Some(404),
                reason: "Not Found from report.test [127.0.0.1] to the report".to_owned(),
            }),
        ),
        (
            Answer::redirect(&elsewhere),
            Err(SendError::Permanent {
                code: Some(301),
                reason: format!(
                    "Moved Permanently from report.test [127.0.0.1]: it redirects to {elsewhere}, and \
                     redirects are not followed"
                ),
            }),
        ),
    ] {
        world.hosts.set_answer(HOST, answer.clone());
        assert_eq!(world.post(&world.config()).await, expected, "{answer:?}");
    }
    assert_eq!(world.hosts.times_connected("elsewhere.test"), 0);
    assert_eq!(world.hosts.requests().len(), 5);
}

#[tokio::test]
async fn f21_a_bad_certificate_gets_nothing_unless_the_operator_says_so() {
    let world = World::new().await;
    let unverified = DeliverConfig {
        https_unverified: true,
        ..world.config()
    };
    for (flaw, code) in [
        (Flaw::Expired, "certificate-expired"),
        (Flaw::NotYetValid, "certificate-not-yet-valid"),
        (Flaw::WrongName, "certificate-host-mismatch"),
        (Flaw::UnknownAuthority, "certificate-not-trusted"),
        (Flaw::SelfSigned, "certificate-not-trusted"),
    ] {
        let before = world.hosts.requests().len();
        let certificate = world.authority.issue_flawed(&[HOST], flaw).unwrap();
        world.host(certificate, Answer::taken());
        let refused = world.post(&world.config()).await;
        assert!(is_later(&refused), "{flaw:?}: {refused:?}");
        let reason = refused.unwrap_err().to_string();
        assert!(
            reason.ends_with(&format!("is not valid: {code}")),
            "{reason}"
        );
        assert_eq!(world.hosts.requests().len(), before, "nothing was sent");

        let accepted = world.post(&unverified).await.unwrap();
        assert_eq!(accepted.channel, Channel::Tls, "{flaw:?}");
        assert_eq!(world.hosts.requests().len(), before + 1);
    }
    let good = world.authority.issue(&[HOST]).unwrap();
    world.host(good, Answer::taken());
    let accepted = world.post(&unverified).await.unwrap();
    assert_eq!(accepted.channel, Channel::Verified, "it is tried first");
}

#[tokio::test]
async fn g1_no_report_goes_to_an_address_that_is_not_public() {
    let world = World::new().await;
    let careful = DeliverConfig {
        https_allow_private_addresses: false,
        ..world.config()
    };
    let poster = world.poster(&careful);
    let port = world.hosts.address().port();
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "fd00::1",
        "ff02::1",
    ] {
        let address: IpAddr = address.parse().unwrap();
        world.dns.set_addresses(HOST, &[address]);
        let literal = format!("https://{}/", SocketAddr::new(address, port));
        for uri in [world.uri(), literal] {
            let outcome = poster.post(&uri, GZIP).await;
            let Err(SendError::Permanent { code: None, reason }) = outcome else {
                panic!("{uri}: {outcome:?}");
            };
            assert!(reason.contains("is not a public address"), "{reason}");
        }
    }
    // The address is looked at in the very answer that is connected to: one question, one answer.
    world.dns.set_addresses(HOST, &[LOCALHOST]);
    world.dns.forget_questions();
    world.post(&world.config()).await.unwrap();
    assert_eq!(world.dns.times_asked(HOST, "A"), 1);
    assert_eq!(world.hosts.requests().len(), 1);
}

#[tokio::test]
async fn f23_what_a_host_does_to_us_is_bounded() {
    let world = World::new().await;
    let hasty = DeliverConfig {
        timeout_seconds: 1,
        ..world.config()
    };
    let may_have_it = "report.test [127.0.0.1] to the report, which it may have taken";
    for (answer, config, expected) in [
        (
            Answer::Hangs,
            &hasty,
            format!("not done within 1 s, while waiting for the answer of {may_have_it}"),
        ),
        (
            Answer::ClosesUnanswered,
            &world.config(),
            format!("no answer (connection closed before message completed) from {may_have_it}"),
        ),
        (
            Answer::NotTls,
            &world.config(),
            "TLS with report.test [127.0.0.1] fails: received corrupt message of type \
             InvalidContentType"
                .to_owned(),
        ),
    ] {
        world.hosts.set_answer(HOST, answer.clone());
        let outcome = world.post(config).await;
        assert!(is_later(&outcome), "{answer:?}: {outcome:?}");
        assert_eq!(outcome.unwrap_err().to_string(), expected);
    }
    // The status has come; what comes after it matters to nobody.
    let huge = Answer::Response {
        status: 200,
        headers: Vec::new(),
        body: vec![b'x'; 8 * 1024 * 1024],
    };
    let slow = Answer::Drips {
        interval: Duration::from_millis(50),
    };
    for answer in [huge, slow, Answer::BreaksOff] {
        world.hosts.set_answer(HOST, answer);
        let accepted = world.post(&hasty).await.unwrap();
        assert!(accepted.reply.starts_with("200 OK"), "{accepted:?}");
        assert!(accepted.reply.len() <= 300);
    }
    world.hosts.set_answer(
        HOST,
        Answer::Response {
            status: 200,
            headers: vec![("Set-Cookie".to_owned(), "x".repeat(20_000))],
            body: Vec::new(),
        },
    );
    assert!(
        is_later(&world.post(&world.config()).await),
        "so long a head"
    );
}

#[tokio::test]
async fn a_host_that_is_not_there_is_tried_again() {
    let world = World::new().await;
    let poster = world.poster(&world.config());
    let nobody = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let outcome = poster.post(&format!("https://{HOST}:{port}/"), GZIP).await;
    assert!(
        matches!(outcome, Err(SendError::Unreachable { .. })),
        "{outcome:?}"
    );
    let outcome = poster.post("https://gone.test/", GZIP).await;
    assert_eq!(
        outcome,
        Err(SendError::Temporary {
            code: None,
            reason: "gone.test has no address".to_owned(),
            retry_after_seconds: None,
        })
    );
}

/// A proxy that lets through what it is asked for, or nothing; and what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap().to_owned();
                let target = line.split(' ').nth(1).unwrap().to_owned();
                heard.lock().unwrap().push(line);
                client.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains("200") {
                    let mut host = TcpStream::connect(target).await.unwrap();
                    let _ended = copy_bidirectional(&mut client, &mut host).await;
                }
            }
        });
        Self {
            address,
            asked,
            serving,
        }
    }

    fn config(&self, world: &World) -> DeliverConfig {
        DeliverConfig {
            https_proxy: format!("http://{}", self.address),
            ..world.config()
        }
    }
}

#[tokio::test]
async fn f23_g1_a_proxy_is_asked_for_the_address_that_was_looked_at() {
    let world = World::new().await;
    let proxy = Proxy::start("HTTP/1.1 200 Connection established\r\n\r\n").await;
    let accepted = world.post(&proxy.config(&world)).await.unwrap();
    assert_eq!(accepted.channel, Channel::Verified, "TLS is with the host");
    let target = world.hosts.address();
    let asked = || proxy.asked.lock().unwrap().clone();
    assert_eq!(asked(), [format!("CONNECT {target} HTTP/1.1")]);
    assert_eq!(world.hosts.requests()[0].body, GZIP);

    let careful = DeliverConfig {
        https_allow_private_addresses: false,
        ..proxy.config(&world)
    };
    let outcome = world.post(&careful).await;
    assert!(
        matches!(outcome, Err(SendError::Permanent { .. })),
        "{outcome:?}"
    );
    assert_eq!(asked().len(), 1, "the proxy is not asked");
    proxy.serving.abort();

    let refusing = Proxy::start("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let outcome = world.post(&refusing.config(&world)).await;
    let address = refusing.address;
    assert_eq!(
        outcome,
        Err(SendError::Unreachable {
            reason: format!("no connection to the proxy {address}: 403 Forbidden for {target}"),
        })
    );
    refusing.serving.abort();
}
