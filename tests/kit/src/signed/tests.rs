use std::str::FromStr as _;

use hickory_proto::{
    dnssec::{
        Verifier as _,
        rdata::{DNSKEY, DNSSECRData},
    },
    op::{Edns, Message, Query},
    rr::{DNSClass, RData},
    serialize::binary::BinEncodable as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

use super::*;
use crate::{dns::rooted, tlsa::Tlsa};

fn question(name: &str, kind: &str) -> Message {
    let name = Name::from_str(&rooted(name)).unwrap();
    let mut message = Message::query();
    message.add_query(Query::query(name, RecordType::from_str(kind).unwrap()));
    message.metadata.recursion_desired = true;
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true).set_max_payload(1_232);
    message.edns = Some(edns);
    message
}

async fn over_udp(internet: &SignedInternet, question: &Message) -> Message {
    at(internet.address(), question).await
}

async fn at(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let question = question.to_bytes().unwrap();
    socket.send_to(&question, server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn over_tcp(internet: &SignedInternet, question: &Message) -> Message {
    let mut stream = TcpStream::connect(internet.address()).await.unwrap();
    let question = question.to_bytes().unwrap();
    let length = u16::try_from(question.len()).unwrap();
    stream.write_u16(length).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

async fn ask(internet: &SignedInternet, name: &str, kind: &str) -> Message {
    over_udp(internet, &question(name, kind)).await
}

/// The records of a message as `name TYPE`, signatures as `name RRSIG(TYPE)`; the proofs' names and
/// which types they say are there.
fn outline(records: &[Record]) -> Vec<String> {
    let types = |types: Vec<RecordType>| {
        let words: Vec<_> = types.iter().map(ToString::to_string).collect();
        words.join(" ")
    };
    records
        .iter()
        .map(|record| {
            let kind = match &record.data {
                RData::DNSSEC(DNSSECRData::RRSIG(data)) => {
                    format!("RRSIG({})", data.input().type_covered)
                }
                RData::DNSSEC(DNSSECRData::NSEC(data)) => {
                    let next = data.next_domain_name();
                    format!("NSEC({next} {})", types(data.type_bit_maps().collect()))
                }
                RData::DNSSEC(DNSSECRData::NSEC3(data)) => {
                    return format!("NSEC3({})", types(data.type_bit_maps().collect()));
                }
                other => other.record_type().to_string(),
            };
            format!("{} {kind}", record.name)
        })
        .filter(|line| !line.contains("RRSIG(NSEC"))
        .collect()
}

/// The key that a zone has.
async fn key_of(internet: &SignedInternet, zone: &str) -> DNSKEY {
    let answer = ask(internet, zone, "DNSKEY").await;
    let key = answer.answers.iter().find_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key.clone()),
        _ => None,
    });
    key.unwrap_or_else(|| panic!("{zone} has no key"))
}

/// Does each set of the records carry a signature that holds?
async fn holds(internet: &SignedInternet, records: &[Record]) -> bool {
    let mut held = 0;
    for record in records {
        let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &record.data else {
            continue;
        };
        let input = signature.input();
        let key = key_of(internet, &input.signer_name.to_ascii()).await;
        let signed: Vec<_> = records
            .iter()
            .filter(|other| other.name == record.name && other.record_type() == input.type_covered)
            .collect();
        assert!(!signed.is_empty());
        let verified = key.verify_rrsig(&record.name, DNSClass::IN, signature, signed.into_iter());
        if verified.is_err() {
            return false;
        }
        held += 1;
    }
    held > 0
}

fn anywhere() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

#[tokio::test]
async fn every_answer_is_signed_up_to_the_root() {
    let internet = SignedInternet::builder()
        .zone(
            "ok.test",
            Zone::signed()
                .mx("ok.test", &[(10, "MX2.ok.test"), (10, "mx.ok.test.")])
                .addresses("mx.ok.test", &[anywhere()])
                .tlsa("_25._tcp.mx.ok.test", &[Tlsa::of_no_key()])
                .txt("*.wild.ok.test", &["x"]),
        )
        .start()
        .await
        .unwrap();
    for (name, kind) in [
        ("ok.test", "MX"),
        ("OK.test", "SOA"),
        ("mx.ok.test", "A"),
        ("_25._tcp.mx.ok.test", "TLSA"),
        ("ok.test", "DNSKEY"),
        ("ok.test", "DS"),
        ("test", "DS"),
        ("test", "NS"),
        (".", "DNSKEY"),
        ("a.b.wild.ok.test", "TXT"),
    ] {
        let answer = ask(&internet, name, kind).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(!answer.metadata.authentic_data, "{name}");
        assert!(
            holds(&internet, &answer.answers).await,
            "{name} {kind}: {answer}"
        );
    }
    let root = key_of(&internet, ".").await;
    let octets = BASE64_STANDARD.encode(root.public_key().public_bytes());
    assert_eq!(
        internet.anchor_dnskey(),
        format!(". 3600 IN DNSKEY 257 3 13 {octets}")
    );
    let tag = root.calculate_key_tag().unwrap();
    let anchor = internet.anchor_ds();
    assert!(anchor.starts_with(&format!(". 3600 IN DS {tag} 13 2 ")));
    assert_eq!(internet.times_asked("OK.test.", "SOA"), 1);
}

#[tokio::test]
async fn without_the_do_bit_there_are_no_signatures() {
    let internet = SignedInternet::builder().start().await.unwrap();
    let mut asks = question("nothing.test", "A");
    asks.edns = None;
    let answer = over_udp(&internet, &asks).await;
    assert_eq!(outline(&answer.authorities), ["test. SOA"]);
    let mut asks = question("test", "NS");
    asks.edns = None;
    let answer = over_udp(&internet, &asks).await;
    assert_eq!(outline(&answer.answers), ["test. NS"]);
}

#[tokio::test]
async fn absence_is_proven_by_names() {
    let internet = SignedInternet::builder()
        .zone(
            "ok.test",
            Zone::signed()
                .addresses("a.ok.test", &[anywhere()])
                .txt("x.empty.ok.test", &["x"])
                .txt("*.wild.ok.test", &["x"]),
        )
        .zone("plain.test", Zone::unsigned())
        .start()
        .await
        .unwrap();
    let apex = "ok.test. NSEC(a.ok.test. NS SOA RRSIG NSEC DNSKEY)";
    let last = "*.wild.ok.test. NSEC(ok.test. TXT RRSIG NSEC)";
    for (name, kind, code, proof) in [
        (
            "a.ok.test",
            "TXT",
            ResponseCode::NoError,
            vec!["a.ok.test. NSEC(x.empty.ok.test. A RRSIG NSEC)"],
        ),
        (
            "empty.ok.test",
            "A",
            ResponseCode::NoError,
            vec!["a.ok.test. NSEC(x.empty.ok.test. A RRSIG NSEC)"],
        ),
        (
            "b.ok.test",
            "A",
            ResponseCode::NXDomain,
            vec!["a.ok.test. NSEC(x.empty.ok.test. A RRSIG NSEC)", apex],
        ),
        ("b.wild.ok.test", "A", ResponseCode::NoError, vec![last]),
        (
            "plain.test",
            "DS",
            ResponseCode::NoError,
            vec!["plain.test. NSEC(test. NS RRSIG NSEC)"],
        ),
    ] {
        let answer = ask(&internet, name, kind).await;
        assert_eq!(answer.metadata.response_code, code, "{name}");
        assert!(answer.answers.is_empty());
        let outline = outline(&answer.authorities);
        assert_eq!(outline[2..], proof, "{name} {kind}");
        assert!(holds(&internet, &answer.authorities).await, "{name}");
    }
    // A wildcard has answered: nothing nearer is there.
    let answer = ask(&internet, "b.wild.ok.test", "TXT").await;
    assert_eq!(
        outline(&answer.answers),
        ["b.wild.ok.test. TXT", "b.wild.ok.test. RRSIG(TXT)"]
    );
    assert_eq!(outline(&answer.authorities), [last]);
}

#[tokio::test]
async fn absence_is_proven_by_hashes() {
    let zone = |denial| {
        Zone::signed()
            .denial(denial)
            .addresses("a.ok.test", &[anywhere()])
            .txt("x.empty.ok.test", &["x"])
            .txt("*.wild.ok.test", &["x"])
    };
    let internet = SignedInternet::builder()
        .zone("ok.test", zone(Denial::Nsec3))
        .zone("plain.ok.test", Zone::unsigned())
        .start()
        .await
        .unwrap();
    // The names there are, and what covers those that are not.
    for (name, kind, proofs) in [
        ("a.ok.test", "TXT", 1),
        ("empty.ok.test", "A", 1),
        ("plain.ok.test", "DS", 1),
        ("b.c.wild.ok.test", "A", 3),
        ("b.wild.ok.test", "TXT", 1),
    ] {
        let answer = ask(&internet, name, kind).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        let outline = outline(&answer.authorities);
        let found = outline.iter().filter(|line| line.starts_with("NSEC3"));
        assert_eq!(found.count(), proofs, "{name}: {outline:?}");
        assert!(holds(&internet, &answer.authorities).await, "{name}");
    }
    let answer = ask(&internet, "plain.ok.test", "DS").await;
    assert_eq!(outline(&answer.authorities)[2], "NSEC3(NS)");

    internet
        .replace_zone("ok.test", zone(Denial::Nsec3OptOut))
        .unwrap();
    let answer = ask(&internet, "plain.ok.test", "DS").await;
    let opted_out = answer
        .authorities
        .iter()
        .filter_map(|record| match &record.data {
            RData::DNSSEC(DNSSECRData::NSEC3(data)) => Some(data.opt_out()),
            _ => None,
        });
    assert!(opted_out.clone().count() > 0 && opted_out.into_iter().all(|is_out| is_out));
    assert!(!outline(&answer.authorities).contains(&"NSEC3(NS)".to_owned()));
}

#[tokio::test]
async fn an_alias_is_followed_with_the_signatures_of_each_step() {
    let internet = SignedInternet::builder()
        .zone("a.test", Zone::signed().cname("www.a.test", "x.b.test"))
        .zone("b.test", Zone::signed().cname("*.b.test", "c.test"))
        .zone(
            "c.test",
            Zone::unsigned().addresses("c.test", &[anywhere()]),
        )
        .start()
        .await
        .unwrap();
    let answer = ask(&internet, "www.a.test", "A").await;
    assert_eq!(
        outline(&answer.answers),
        [
            "www.a.test. CNAME",
            "www.a.test. RRSIG(CNAME)",
            "x.b.test. CNAME",
            "x.b.test. RRSIG(CNAME)",
            "c.test. A"
        ]
    );
    assert_eq!(
        outline(&answer.authorities),
        ["*.b.test. NSEC(b.test. CNAME RRSIG NSEC)"]
    );
    let answer = ask(&internet, "www.a.test", "CNAME").await;
    assert_eq!(answer.answers.len(), 2);
}

#[tokio::test]
async fn below_a_name_that_has_moved_all_are_aliases() {
    let internet = SignedInternet::builder()
        .zone("a.test", Zone::signed().dname("old.a.test", "b.test"))
        .zone(
            "b.test",
            Zone::signed().addresses("x.y.b.test", &[anywhere()]),
        )
        .start()
        .await
        .unwrap();
    let answer = ask(&internet, "x.y.old.a.test", "A").await;
    assert_eq!(
        outline(&answer.answers),
        [
            "old.a.test. DNAME",
            "old.a.test. RRSIG(DNAME)",
            "x.y.old.a.test. CNAME",
            "x.y.b.test. A",
            "x.y.b.test. RRSIG(A)"
        ]
    );
    assert!(holds(&internet, &answer.answers).await);
    let answer = ask(&internet, "old.a.test", "A").await;
    assert_eq!(
        outline(&answer.authorities)[2..],
        ["old.a.test. NSEC(a.test. DNAME RRSIG NSEC)"]
    );
}

#[tokio::test]
async fn faults_are_where_they_were_ordered() {
    let record = |zone: Zone, name: &str| zone.addresses(name, &[anywhere()]);
    let internet = SignedInternet::builder()
        .zone(
            "altered.test",
            record(Zone::signed(), "altered.test").spoil(
                "altered.test",
                "A",
                SignatureFault::Altered,
            ),
        )
        .zone(
            "old.test",
            record(Zone::signed(), "old.test").spoil_all(SignatureFault::Expired),
        )
        .zone(
            "mute.test",
            record(Zone::signed().denial(Denial::Missing), "mute.test")
                .spoil("mute.test", "A", SignatureFault::Absent)
                .fail("mute.test", "AAAA", crate::DnsFault::ServFail),
        )
        .zone("roll.test", Zone::signed().delegation(Delegation::OtherKey))
        .start()
        .await
        .unwrap();
    let answer = ask(&internet, "altered.test", "A").await;
    assert!(!holds(&internet, &answer.answers).await);
    let answer = ask(&internet, "altered.test", "SOA").await;
    assert!(holds(&internet, &answer.answers).await);

    let answer = ask(&internet, "old.test", "A").await;
    assert!(holds(&internet, &answer.answers).await);
    let RData::DNSSEC(DNSSECRData::RRSIG(signature)) = &answer.answers[1].data else {
        panic!("no signature");
    };
    assert_eq!(signature.input().sig_expiration.get(), 1_577_836_800);

    let answer = ask(&internet, "mute.test", "A").await;
    assert_eq!(outline(&answer.answers), ["mute.test. A"]);
    let answer = ask(&internet, "x.mute.test", "A").await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(
        outline(&answer.authorities),
        ["mute.test. SOA", "mute.test. RRSIG(SOA)"]
    );
    let answer = ask(&internet, "mute.test", "AAAA").await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);

    let answer = ask(&internet, "roll.test", "DS").await;
    let RData::DNSSEC(DNSSECRData::DS(ds)) = &answer.answers[0].data else {
        panic!("no DS");
    };
    let key = key_of(&internet, "roll.test").await;
    let apex = Name::from_str("roll.test.").unwrap();
    assert!(!ds.covers(&apex, &key).unwrap());
}

#[tokio::test]
async fn what_is_too_large_comes_over_tcp() {
    let texts: Vec<String> = (0..40)
        .map(|number| format!("{number} {}", "x".repeat(200)))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let internet = SignedInternet::builder()
        .zone("large.test", Zone::signed().txt("large.test", &texts))
        .start()
        .await
        .unwrap();
    let asks = question("large.test", "TXT");
    assert!(over_udp(&internet, &asks).await.metadata.truncation);
    let answer = over_tcp(&internet, &asks).await;
    assert_eq!(answer.answers.len(), 41);
    assert!(holds(&internet, &answer.answers).await);
}

#[tokio::test]
async fn a_relay_passes_on_what_it_is_told_to() {
    let zone = Zone::signed().txt("ok.test", &["x"]);
    let internet = SignedInternet::builder().zone("ok.test", zone);
    let internet = internet.start().await.unwrap();
    let relay = internet.relay(Relaying::AsIs).await.unwrap();
    let (there, not_there) = (question("ok.test", "TXT"), question("no.ok.test", "TXT"));
    for (relaying, answers, authorities, is_marked) in [
        (Relaying::AsIs, 2, 4, false),
        (Relaying::Marked, 2, 4, true),
        // The proof is lost, and the signatures over it and the SOA stay.
        (Relaying::WithoutProofs, 2, 3, false),
        (Relaying::WithoutSignatures, 1, 1, false),
    ] {
        relay.set(relaying);
        let answer = at(relay.address(), &there).await;
        assert_eq!(answer.answers.len(), answers, "{relaying:?}");
        assert_eq!(answer.metadata.authentic_data, is_marked, "{relaying:?}");
        let absence = at(relay.address(), &not_there).await;
        assert_eq!(absence.authorities.len(), authorities, "{relaying:?}");
    }
}

#[tokio::test]
async fn what_is_no_zone_is_refused() {
    for (apex, zone) in [
        ("ok.test", Zone::signed().txt("elsewhere.test", &["x"])),
        ("ok.test", Zone::signed().txt("a..ok.test", &["x"])),
        (
            "ok.test",
            Zone::signed().spoil("ok.test", "?", SignatureFault::Absent),
        ),
        ("test", Zone::signed().txt("x.below.test", &["x"])),
    ] {
        let builder = SignedInternet::builder().zone("below.test", Zone::signed());
        assert!(builder.zone(apex, zone).start().await.is_err());
    }
}
