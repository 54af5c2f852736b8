//! Mail hosts that say too much, too slowly, or what no mail host says.

use std::{net::SocketAddr, time::Duration};

use sealpost_kit::Leaf;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// One turn of a host's part in a conversation.
#[derive(Clone, Debug)]
enum Turn {
    /// Says this.
    Say(Vec<u8>),
    /// Says this again and again, as long as it is listened to.
    Repeat(Vec<u8>),
    /// The same, with a breath after each.
    Drip(Vec<u8>),
    /// Waits for a line.
    Hear(&'static str),
    /// Waits for the first octets of a TLS handshake.
    HearTls,
    /// Does TLS with this certificate, and takes whatever is said.
    Tls(Leaf),
    /// Says nothing more, and stays.
    Stay,
}

use Turn::{Drip, Hear, HearTls, Repeat, Say, Stay, Tls};

fn say(text: &str) -> Turn {
    Say(text.as_bytes().to_vec())
}

/// Greets, and offers STARTTLS.
fn offering() -> Vec<Turn> {
    vec![
        say("220 mx\r\n"),
        Hear("EHLO"),
        say("250-mx\r\n250 STARTTLS\r\n"),
        Hear("STARTTLS"),
    ]
}

fn offering_and(more: Vec<Turn>) -> Vec<Turn> {
    [offering(), more].concat()
}

async fn play(stream: TcpStream, turns: Vec<Turn>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for turn in turns {
        match turn {
            Say(text) => stream.write_all(&text).await?,
            Repeat(text) => loop {
                stream.write_all(&text).await?;
            },
            Drip(text) => loop {
                stream.write_all(&text).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            },
            Hear(verb) => {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                assert!(line.starts_with(verb), "{line} instead of {verb}");
            }
            HearTls => {
                let mut heard = [0; 5];
                stream.read_exact(&mut heard).await?;
                assert_eq!(heard[0], 22, "a handshake");
            }
            Tls(leaf) => {
                let acceptor = TlsAcceptor::from(leaf.server_config());
                let mut stream = acceptor.accept(stream.into_inner()).await?;
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await?;
                return Ok(());
            }
            Stay => std::future::pending().await,
        }
    }
    stream.shutdown().await?;
    // Until the client has gone, so that no reset overtakes what was said.
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await?;
    Ok(())
}

/// A host that plays its part to whoever comes.
async fn host(turns: Vec<Turn>) -> (SocketAddr, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(tokio::spawn(play(stream, turns.clone())));
        }
    });
    (address, serving.abort_handle())
}

async fn check(authority: &Authority, seconds: u64, turns: Vec<Turn>, expected: &str) {
    let dns = DnsServer::start().await.unwrap();
    let (address, serving) = host(turns.clone()).await;
    dns.set_addresses(MX, &[address.ip()]);
    let prober = prober(&dns, address.port(), PrivateAddresses::Allow, seconds);
    let limit = Duration::from_secs(seconds + 30);
    let look = tokio::time::timeout(limit, async { prober.look(&MX.parse().unwrap()).await });
    let seen = look.await.expect("a look ends");
    serving.abort();
    let found = in_words(&seen, MX, &roots(authority));
    assert_eq!(found, expected, "{seen:?} of {turns:?}");
    if let Seen::Nothing(words) = &seen {
        let harmless = |character: char| character.is_ascii_graphic() || character == ' ';
        assert!(words.len() < 400 && words.chars().all(harmless), "{words}");
    }
}

/// All of these at once, for many take their whole time.
async fn check_all(authority: &Authority, seconds: u64, cases: Vec<(Vec<Turn>, &str)>) {
    let mut checks: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (turns, expected) in cases {
        checks.push(Box::pin(check(authority, seconds, turns, expected)));
    }
    let mut left = checks;
    std::future::poll_fn(|context| {
        left.retain_mut(|check| check.as_mut().poll(context).is_pending());
        if left.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

#[tokio::test]
async fn g3_a_host_that_says_too_much_or_nothing_takes_no_more_than_its_time() {
    let authority = Authority::new().unwrap();
    let greeted = |more: Vec<Turn>| [vec![say("220 mx\r\n"), Hear("EHLO")], more].concat();
    let record = [&[22, 3, 3, 0x40, 0][..], &[0; 0x4000]].concat();
    let cases = vec![
        (vec![Stay], "not reached"),
        (vec![Repeat(b"220-more\r\n".to_vec())], "not reached"),
        (vec![Repeat(b"2".to_vec())], "not reached"),
        (vec![Drip(b"2".to_vec())], "not reached"),
        (vec![Drip(b"220-x\r\n".to_vec())], "not reached"),
        (vec![Repeat(vec![0])], "not reached"),
        (vec![say("GET / HTTP/1.1\r\n")], "not reached"),
        (
            vec![say("554 \u{1b}[31m\u{202e}go\u{7}\r\n"), Stay],
            "not reached",
        ),
        (greeted(vec![Stay]), "not reached"),
        (greeted(vec![Repeat(b"250-X\r\n".to_vec())]), "not reached"),
        (greeted(vec![Drip(b"250-X\r\n".to_vec())]), "not reached"),
        (greeted(vec![Repeat(b"250-X".to_vec())]), "not reached"),
        (greeted(vec![]), "not reached"),
        (greeted(vec![say("421 closing\r\n"), Stay]), "not reached"),
        (offering_and(vec![Stay]), "not known"),
        (offering_and(vec![]), "not known"),
        (offering_and(vec![Repeat(b"220-".to_vec())]), "not known"),
        (offering_and(vec![say("220 go\r\n"), Stay]), "not known"),
        (
            offering_and(vec![say("220 go\r\n"), HearTls, Repeat(record)]),
            "not known",
        ),
    ];
    check_all(&authority, 1, cases).await;
}

#[tokio::test]
async fn d1_odd_hosts_come_to_what_they_would_for_an_mta() {
    let authority = Authority::new().unwrap();
    let leaf = || authority.issue(&[MX]).unwrap();
    let without_ehlo = |last: &str| {
        let turns = vec![
            say("220 mx\r\n"),
            Hear("EHLO"),
            say("502 what?\r\n"),
            Hear("HELO"),
            say(last),
        ];
        [turns, vec![Hear("QUIT")]].concat()
    };
    let alert = |description: u8| {
        let record = vec![21, 3, 3, 0, 2, 2, description];
        offering_and(vec![say("220 go\r\n"), HearTls, Say(record)])
    };
    let cases = vec![
        // A host that knows no EHLO has no STARTTLS.
        (
            without_ehlo("250 mx\r\n"),
            "failed starttls-not-supported/starttls-not-offered",
        ),
        (without_ehlo("502 what?\r\n"), "not reached"),
        // RFC 3207 s5: nothing said in the clear counts under TLS.
        (
            offering_and(vec![say("220 go\r\n250 injected\r\n"), Tls(leaf())]),
            "up",
        ),
        (offering_and(vec![say("250 go\r\n"), Tls(leaf())]), "up"),
        (
            offering_and(vec![say("554 no\r\n"), Hear("QUIT")]),
            "failed starttls-not-supported/starttls-refused",
        ),
        // internal_error: whoever comes gets it.
        (alert(80), "failed validation-failure/handshake-failed"),
        // handshake_failure and protocol_version: an older TLS library than ours may do.
        (alert(40), "not known"),
        (alert(70), "not known"),
    ];
    check_all(&authority, PATIENT_SECONDS, cases).await;
}

#[tokio::test]
async fn g3_a_huge_certificate_is_not_judged() {
    let authority = Authority::new().unwrap();
    let named = |number: usize| {
        let names: Vec<String> = (0..number).map(|n| format!("host{n}.a.test")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).chain([MX]).collect();
        offering_and(vec![
            say("220 go\r\n"),
            Tls(authority.issue(&names).unwrap()),
        ])
    };
    let cases = vec![
        (named(100), "up"),
        // Longer than is looked at.
        (named(2_500), "not known"),
    ];
    check_all(&authority, PATIENT_SECONDS, cases).await;
}
