//! The two ways out, against mail hosts that misbehave.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use sealpost::{
    config::DnsConfig,
    net::{
        handover::{Accepted, Channel, SendError},
        hickory::HickoryDns,
        smtp::{Envelope, MxTransport, PrivateAddresses, RelayTransport, Transport as _},
    },
};
use sealpost_kit::{Authority, DnsFault, DnsServer, MxBehaviour, MxHost, MxHosts};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.\r\n..two\r\n.three\r\nfour.\r\n\r\nfive\r\n";

fn envelope(to: &str) -> Envelope {
    Envelope {
        from: "bounces@sender.test".to_owned(),
        to: to.to_owned(),
    }
}

async fn hosts(names: &[(&str, u8)]) -> MxHosts {
    let authority = Authority::new().unwrap();
    let host = |(name, last): &(&str, u8)| MxHost {
        name: (*name).to_owned(),
        address: IpAddr::V4(Ipv4Addr::new(127, 0, 8, *last)),
        certificate: authority.issue(&["another.test"]).unwrap(),
        behaviour: MxBehaviour::Correct,
    };
    MxHosts::start(0, names.iter().map(host).collect())
        .await
        .unwrap()
}

/// A resolver that knows two mail hosts of `a.test`, and the way out through it.
async fn two_hosts() -> (DnsServer, MxHosts, MxTransport) {
    let names = [("mx1.test", 1), ("mx2.test", 2)];
    let (dns, hosts) = (DnsServer::start().await.unwrap(), hosts(&names).await);
    for (name, last) in names {
        dns.set_addresses(name, &[IpAddr::V4(Ipv4Addr::new(127, 0, 8, last))]);
    }
    dns.set_mx("a.test", &[(20, "mx2.test"), (10, "mx1.test")]);
    let transport = transport(&dns, hosts.port(), PrivateAddresses::Allow);
    (dns, hosts, transport)
}

fn transport(dns: &DnsServer, port: u16, private: PrivateAddresses) -> MxTransport {
    transport_within(dns, port, private, 30)
}

fn transport_within(
    dns: &DnsServer,
    port: u16,
    private: PrivateAddresses,
    seconds: u64,
) -> MxTransport {
    let resolver = HickoryDns::new(&DnsConfig {
        servers: vec![dns.address()],
        timeout_ms: 5_000,
        attempts: 1,
    });
    MxTransport::new(
        Arc::new(resolver.unwrap()),
        port,
        private,
        "out.sender.test",
        seconds,
    )
}

#[tokio::test]
async fn not_an_octet_of_the_message_is_changed_on_either_way() {
    let (_dns, hosts, by_mx) = two_hosts().await;
    let accepted = by_mx.send(&envelope("r@a.test"), MESSAGE).await.unwrap();
    assert_eq!(
        accepted,
        Accepted {
            by: "mx1.test [127.0.8.1]".to_owned(),
            reply: "250 2.0.0 Taken".to_owned(),
            channel: Channel::Tls,
        }
    );
    let relay = hosts.address_of("mx2.test").unwrap().to_string();
    let relay = RelayTransport::new(&relay, "out.sender.test", 30).unwrap();
    let accepted = relay
        .send(&envelope("\"a b\"@a.test"), MESSAGE)
        .await
        .unwrap();
    // The relay is this machine: TLS would protect nothing.
    assert_eq!(accepted.channel, Channel::Clear);
    let taken = hosts.messages();
    for (message, to) in taken.iter().zip(["r@a.test", "\"a b\"@a.test"]) {
        assert_eq!(
            message.data,
            MESSAGE,
            "{}",
            String::from_utf8_lossy(&message.data)
        );
        assert_eq!(message.recipients, [to]);
        assert_eq!(message.from, "bounces@sender.test");
        assert_eq!(message.helo, "out.sender.test");
    }
    assert_eq!(taken.len(), 2);
    // The host is asked for by its MX name.
    assert_eq!(hosts.sessions()[0].sni.as_deref(), Some("mx1.test"));
}

#[tokio::test]
async fn a_mailbox_beyond_ascii_is_named_only_with_smtputf8() {
    let (_dns, hosts, transport) = two_hosts().await;
    let to = envelope("bücher@a.test");
    transport.send(&to, MESSAGE).await.unwrap();
    let commands = hosts.sessions()[0].commands.clone();
    assert!(
        commands.contains(&"MAIL FROM:<bounces@sender.test> SMTPUTF8".to_owned()),
        "{commands:?}"
    );
    assert!(commands.contains(&"RCPT TO:<bücher@a.test>".to_owned()));
}

#[tokio::test]
async fn the_next_mail_host_takes_what_the_first_cannot_and_none_what_it_refused() {
    let (dns, hosts, transport) = two_hosts().await;
    for (behaviour, by_second) in [
        (MxBehaviour::RefusesService(421), true),
        (MxBehaviour::RefusesService(554), true),
        (MxBehaviour::ClosesAtOnce, true),
        (MxBehaviour::RefusesRecipients(450), true),
        (MxBehaviour::RefusesMessages(452), true),
        (MxBehaviour::RefusesRecipients(550), false),
        (MxBehaviour::RefusesMessages(554), false),
    ] {
        hosts.set_behaviour("mx1.test", behaviour);
        let before = hosts.messages().len();
        let outcome = transport.send(&envelope("r@a.test"), MESSAGE).await;
        if by_second {
            assert_eq!(outcome.unwrap().by, "mx2.test [127.0.8.2]", "{behaviour:?}");
        } else {
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, SendError::Permanent { code: Some(_), .. }),
                "{error}"
            );
            assert_eq!(hosts.messages().len(), before, "{behaviour:?}");
        }
    }
    dns.fail("mx1.test", DnsFault::ServFail);
    let accepted = transport
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap();
    assert_eq!(accepted.by, "mx2.test [127.0.8.2]");
}

#[tokio::test]
async fn a_lost_answer_asks_no_other_host_in_the_same_attempt() {
    let (_dns, hosts, transport) = two_hosts().await;
    hosts.set_behaviour("mx1.test", MxBehaviour::ClosesAfterMessage);
    let error = transport
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SendError::Temporary { code: None, reason, .. }
        if reason.ends_with("to the message, which it may have taken")),
        "{error}"
    );
    assert_eq!(hosts.messages().len(), 1);
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_and_a_failed_lookup_says_nothing() {
    let (dns, hosts, transport) = two_hosts().await;
    dns.set_addresses("implicit.test", &[IpAddr::V4(Ipv4Addr::new(127, 0, 8, 2))]);
    let accepted = transport
        .send(&envelope("r@implicit.test"), MESSAGE)
        .await
        .unwrap();
    assert_eq!(accepted.by, "implicit.test [127.0.8.2]");
    dns.fail("sick.test", DnsFault::ServFail);
    let sick = transport
        .send(&envelope("r@sick.test"), MESSAGE)
        .await
        .unwrap_err();
    assert!(
        matches!(sick, SendError::Temporary { code: None, .. }),
        "{sick}"
    );
    dns.set_mx("dangling.test", &[(10, "nowhere.test")]);
    let dangling = transport
        .send(&envelope("r@dangling.test"), MESSAGE)
        .await
        .unwrap_err();
    assert!(
        matches!(dangling, SendError::Temporary { code: None, .. }),
        "{dangling}"
    );
    assert_eq!(hosts.messages().len(), 1);
}

#[tokio::test]
async fn g1_a_rua_cannot_send_us_to_our_own_network() {
    let (dns, hosts, _) = two_hosts().await;
    let transport = transport(&dns, hosts.port(), PrivateAddresses::Refuse);
    let error = transport
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the mail host mx2.test has no public address"
    );
    assert_eq!(hosts.sessions(), []);
}

#[tokio::test]
async fn g3_a_mailbox_cannot_bring_a_command_with_it() {
    let (_dns, hosts, transport) = two_hosts().await;
    for mailbox in [
        "r@a.test>\r\nRCPT TO:<victim@b.test",
        "r\r\n@a.test",
        "\"\r\n\"@a.test",
        "r@a.test> NOTIFY=NEVER",
        "<r@a.test>",
        "r",
        "",
        "r@[127.0.0.1]",
        &format!("{}@a.test", "r".repeat(300)),
    ] {
        let error = transport
            .send(&envelope(mailbox), MESSAGE)
            .await
            .unwrap_err();
        assert!(
            matches!(error, SendError::Permanent { code: None, .. }),
            "{mailbox}: {error}"
        );
    }
    assert_eq!(hosts.sessions(), []);
}

#[tokio::test]
async fn nobody_listening_is_told_apart_and_a_silent_host_costs_a_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let relay = RelayTransport::new(&address.to_string(), "out.sender.test", 1).unwrap();
    let error = relay
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "not done within 1 s, while waiting for the greeting of 127.0.0.1 [127.0.0.1]"
    );
    drop(listener);
    let error = relay
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn f10_a_host_that_hangs_leaves_time_for_the_next_one() {
    let (dns, hosts, _) = two_hosts().await;
    dns.set_addresses("silent.test", &[IpAddr::V4(Ipv4Addr::new(127, 0, 8, 9))]);
    dns.set_mx("a.test", &[(10, "silent.test"), (20, "mx1.test")]);
    let silent = TcpListener::bind(("127.0.8.9", hosts.port()))
        .await
        .unwrap();
    let transport = transport_within(&dns, hosts.port(), PrivateAddresses::Allow, 4);
    for words in ["", "220 silent.test\r\n250 silent.test\r\n250 ok\r\n"] {
        let hang = async {
            let (mut stream, _) = silent.accept().await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            let _rest = stream.read_to_end(&mut Vec::new()).await;
        };
        let to = envelope("r@a.test");
        let (sent, ()) = tokio::join!(transport.send(&to, MESSAGE), hang);
        assert_eq!(sent.unwrap().by, "mx1.test [127.0.8.1]");
    }
    assert_eq!(hosts.messages().len(), 2);
}

#[tokio::test]
async fn g6_a_host_that_never_ends_its_line_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap().to_string();
    let flood = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = 0_usize;
        while stream.write_all(&[b'2'; 4_096]).await.is_ok() {
            sent += 4_096;
        }
        let _rest = stream.read(&mut [0; 1]).await;
        sent
    });
    let relay = RelayTransport::new(&relay, "out.sender.test", 30).unwrap();
    let error = relay
        .send(&envelope("r@a.test"), MESSAGE)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("more than 1048576 octets"),
        "{error}"
    );
    assert!(flood.await.unwrap() < 16 * 1_048_576);
}

#[tokio::test]
async fn g3_no_reply_makes_a_panic_or_words_that_steer_a_terminal() {
    let good: [&[u8]; 3] = [
        b"220 mx.test\r\n250-mx.test\r\n250-SIZE 1000\r\n250 SMTPUTF8\r\n250 ok\r\n250 ok\r\n\
          354 go on\r\n250 2.0.0 Taken\r\n221 bye\r\n",
        b"220-mx.test\r\n220 hello\r\n250 mx.test\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 b\xc3\xbc\r\n",
        b"421 4.3.2 later\r\n",
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap().to_string();
    let relay = RelayTransport::new(&relay, "out.sender.test", 30).unwrap();
    let mut taken = 0;
    for replies in sealpost_kit::mutations(31, &good).iter().take(300) {
        let speak = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(replies).await.unwrap();
            // It has said all it will say, and takes what comes.
            stream.shutdown().await.unwrap();
            let _rest = stream.read_to_end(&mut Vec::new()).await;
        };
        let to = envelope("r@a.test");
        let (sent, ()) = tokio::join!(relay.send(&to, MESSAGE), speak);
        let said = match sent {
            Ok(accepted) => {
                taken += 1;
                accepted.reply
            }
            Err(error) => error.to_string(),
        };
        assert!(!said.contains(char::is_control), "{said:?}");
        assert!(said.len() < 600, "{said}");
    }
    assert!(taken > 0, "no reply was good enough");
}
