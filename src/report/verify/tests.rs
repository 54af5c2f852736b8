use super::*;
use crate::report::{DkimKey, sign::sign};

/// A mail of our own with a signature by each of the golden keys, and what the DNS has of them.
fn signed(message: &str) -> (String, Vec<Vec<u8>>) {
    let keys = [
        ("r", include_str!("../../../tests/golden/keys/rsa2048.pem")),
        ("e", include_str!("../../../tests/golden/keys/ed25519.pem")),
    ]
    .map(|(selector, pem)| DkimKey::from_pem(selector, pem).unwrap());
    let domain = "sender.example".parse().unwrap();
    let mail = sign(message.as_bytes(), &domain, Timestamp(0), &keys).unwrap();
    let records = keys.iter().map(|key| key.public_record().into_bytes());
    (String::from_utf8(mail).unwrap(), records.collect())
}

const MAIL: &str =
    "From: tls@sender.example\r\nSubject: Report\r\n of a day\r\n\r\nAll went well.\r\n";

fn verdicts(mail: &str, records: &[Vec<u8>]) -> Vec<Result<Verified, Broken>> {
    let one = |signature: Result<Signature, Broken>| signature?.verify(mail.as_bytes(), records);
    signatures(mail.as_bytes()).into_iter().map(one).collect()
}

#[test]
fn f5_a_signature_holds_until_something_is_changed() {
    let (mail, records) = signed(MAIL);
    let algorithms: Vec<_> = verdicts(&mail, &records)
        .into_iter()
        .map(|verdict| verdict.unwrap().algorithm)
        .collect();
    assert_eq!(algorithms, ["rsa-sha256", "ed25519-sha256"]);
    // A mailbox kept it with LF.
    let kept = mail.replace("\r\n", "\n");
    let restored = with_line_ends(kept.as_bytes());
    assert_eq!(restored, mail.as_bytes());
    for (from, to, broken) in [
        ("Subject: Report", "SUBJECT:  Report ", None),
        ("went well", "went \t well", None),
        ("All went", "All had gone", Some(Broken::Body)),
        ("Subject: Report", "Subject: Repost", Some(Broken::Header)),
        (
            "\r\nSubject",
            "\r\nFrom: x@other.example\r\nSubject",
            Some(Broken::Header),
        ),
    ] {
        let changed = mail.replacen(from, to, 1);
        assert_ne!(changed, mail);
        for verdict in verdicts(&changed, &records) {
            assert_eq!(verdict.err(), broken, "{from} -> {to}");
        }
    }
}

#[test]
fn f6_f8_a_signature_must_say_what_it_must() {
    let (mail, records) = signed(MAIL);
    for (from, to, broken) in [
        (
            "d=sender.example;",
            "d=sender.example; l=4;",
            Broken::PartOfBody,
        ),
        ("v=1;", "v=2;", Broken::Tag("v")),
        (
            "a=rsa-sha256",
            "a=rsa-sha1",
            Broken::Unknown("rsa-sha1".to_owned()),
        ),
        ("h=From:From:", "h=", Broken::FromNotSigned),
        ("d=sender.example;", "d=..;", Broken::Tag("d")),
        ("s=r;", "s=a b;", Broken::Tag("s")),
        (
            "d=sender.example;",
            "d=sender.example; i=@other.example;",
            Broken::Tag("i"),
        ),
        (
            "d=sender.example;",
            "d=sender.example; x=soon;",
            Broken::Tag("x"),
        ),
        ("bh=", "bh=*", Broken::Tag("bh")),
        (
            "c=relaxed/relaxed",
            "c=relaxed/loose",
            Broken::Unknown("the canonicalization loose".to_owned()),
        ),
    ] {
        let changed = mail.replacen(from, to, 1);
        assert_ne!(changed, mail, "{from}");
        let verdict = verdicts(&changed, &records).remove(0);
        assert_eq!(verdict, Err(broken), "{from} -> {to}");
    }
    // Somebody below the signing domain may be who it is signed for; a neighbour may not.
    let host = |name: &str| name.parse::<PolicyDomain>().unwrap();
    for (name, expected) in [
        ("sender.example", true),
        ("mail.sender.example", true),
        ("othersender.example", false),
        ("example", false),
    ] {
        assert_eq!(
            is_at_or_below(&host(name), &host("sender.example")),
            expected
        );
    }
}

#[test]
fn f7_a_key_record_must_be_one_and_may_be_for_other_services() {
    let (mail, records) = signed(MAIL);
    let rsa = String::from_utf8(records[0].clone()).unwrap();
    let service = |record: &str| {
        let verdict = verdicts(&mail, &[record.as_bytes().to_vec()]).remove(0);
        verdict.map(|verified| verified.service)
    };
    let name = "r._domainkey.sender.example".to_owned();
    assert_eq!(verdicts(&mail, &[])[0], Err(Broken::NoKey(name)));
    for (from, to, expected) in [
        ("s=*;", "", Ok(KeyService::Reports)),
        ("s=*;", "s=tlsrpt;", Ok(KeyService::Reports)),
        ("s=*;", "s=email : tlsrpt;", Ok(KeyService::Reports)),
        ("s=*;", "s=email;", Ok(KeyService::Others)),
        ("v=DKIM1;", "v=DKIM2;", Err("its v= is not DKIM1")),
        (
            "k=rsa;",
            "k=ed25519;",
            Err("its k= is not that of the signature"),
        ),
        ("s=*;", "h=sha1;", Err("its h= does not allow sha256")),
        ("p=", "q=", Err("it has no p=")),
        ("p=", "p=*", Err("its p= is not base64")),
        (
            "p=",
            "p=; old=",
            Err("the key was revoked (its p= is empty)"),
        ),
    ] {
        let record = rsa.replacen(from, to, 1);
        let expected = expected.map_err(Broken::BadKey);
        assert_eq!(service(&record), expected, "{from} -> {to}");
    }
    // Any of several records may be the key.
    let both = [b"v=DKIM1; p=".to_vec(), records[0].clone()];
    assert!(verdicts(&mail, &both)[0].is_ok());
}

/// A mail that dkimpy 1.1.8 signed with `c=simple/simple` and the golden Ed25519 key.
#[test]
fn f5_f8_simple_canonicalization_by_another_signer_forgives_nothing() {
    let mail = include_str!("../../../tests/golden/read/simple-canonicalization.eml");
    let (_, records) = signed(MAIL);
    assert!(verdicts(mail, &records[1..])[0].is_ok());
    for (from, to, broken) in [
        ("\r\n\r\n\r\n", "\r\n\r\n\r\n\r\n", None),
        ("From:  TLS", "From: TLS", Some(Broken::Header)),
        ("To: a", "to: a", Some(Broken::Header)),
        ("spaces  at", "spaces at", Some(Broken::Body)),
        ("its end ", "its end", Some(Broken::Body)),
    ] {
        // From the end on, for the signature's own field has line ends too.
        let at = mail.rfind(from).unwrap();
        let changed = format!("{}{to}{}", &mail[..at], &mail[at + from.len()..]);
        let verdict = verdicts(&changed, &records[1..]).remove(0);
        assert_eq!(verdict.err(), broken, "{from:?}");
    }
    // Signed relaxed, and called simple.
    let (mail, records) = signed(MAIL);
    let called = mail.replace("c=relaxed/relaxed", "c=simple/simple");
    assert_eq!(verdicts(&called, &records[..1])[0], Err(Broken::Header));
}
