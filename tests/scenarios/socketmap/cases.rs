//! What other policy servers have been tried with: some hundred odd records, documents, policy hosts
//! and next hops, each published, asked for through the door, and held to our verdict.
//!
//! How requests may arrive, and what is no request, is in `conversation.rs`; TLSA records come with
//! DANE, which is not here yet.

use std::time::Duration;

use sealpost_kit::{Answer, DnsFault, Flaw};

use super::{engine::World, *};

/// What Postfix is told, in this order: the names in `match=`, or that nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// `match=` these, where `@` stands for the domain.
    Secure(&'static str),
    NotFound,
}

use Told::{NotFound, Secure};

/// The usual policy of a case's domain.
const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.@\nmax_age: 604800\n";

/// The usual verdict where it is taken.
const TAKEN: Told = Secure("mx.@");

/// The TXT records of `_mta-sts`, each of its character-strings. The policy is good.
const RECORDS: &[(&[&[&[u8]]], Told)] = &[
    (&[&[b"v=STSv1; id=20260101T000000;"]], TAKEN),
    // Character-strings are joined as they stand.
    (&[&[b"v=STS", b"v1; id=2026", b"0101;"]], TAKEN),
    (&[&[b"v=STSv1;", b" ", b"id=1"]], TAKEN),
    // Others' records at the name do not count, and two of ours are none.
    (&[&[b"v=spf1 -all"], &[b"v=STSv1; id=1;"], &[b""]], TAKEN),
    (&[&[b"v=STSv12; id=2;"], &[b"v=STSv1; id=1;"]], TAKEN),
    (&[&[b"v=STSv1; id=1;"], &[b"v=STSv1; id=1;"]], NotFound),
    (&[&[b"v=STSv1; id=1;"], &[b"v=STSv1;"]], NotFound),
    (&[&[b"v=STSv12; id=2;"]], NotFound),
    (&[&[b"v=spf1 -all"]], NotFound),
    // The version comes first, as it is written.
    (&[&[b"id=1; v=STSv1;"]], NotFound),
    (&[&[b"V=STSV1; id=1;"]], NotFound),
    (&[&[b"v=stsv1; id=1;"]], NotFound),
    (&[&[b" v=STSv1; id=1;"]], NotFound),
    (&[&[b"v=STSv2; id=1;"]], NotFound),
    // The id is there, of 1 to 32 letters and digits.
    (&[&[b"v=STSv1"]], NotFound),
    (&[&[b"v=STSv1;"]], NotFound),
    (&[&[b"v=STSv1; id=;"]], NotFound),
    (
        &[&[b"v=STSv1; id=12345678901234567890123456789012;"]],
        TAKEN,
    ),
    (
        &[&[b"v=STSv1; id=123456789012345678901234567890123;"]],
        NotFound,
    ),
    (&[&[b"v=STSv1; id=2024-01-01;"]], NotFound),
    (&[&[b"v=STSv1; id= 1;"]], NotFound),
    (&[&[b"v=STSv1; ID=1;"]], NotFound),
    (&[&[b"v=STSv1; id=first; id=second;"]], TAKEN),
    // Fields and what is between them.
    (&[&[b"v=STSv1;id=1"]], TAKEN),
    (&[&[b"v=STSv1 ; id=1 ;"]], TAKEN),
    (&[&[b"v=STSv1;\tid=1; "]], TAKEN),
    (&[&[b"v=STSv1; id=1;;"]], NotFound),
    (&[&[b"v=STSv1;; id=1;"]], NotFound),
    (&[&[b"v=STSv1; foo=bar; id=1;"]], TAKEN),
    (&[&[b"v=STSv1; id=1; foo=bar baz;"]], NotFound),
    (&[&[b"v=STSv1; id=1; foo;"]], NotFound),
    (&[&[b"v=STSv1; id=1; x=\xc3\xa9;"]], NotFound),
    (&[&[b"v=STSv1; id=1\r\n"]], NotFound),
    (&[&[b"v=STSv1; id=1\0"]], NotFound),
];

/// What is changed in the usual policy, by what, and the verdict. `\n` that ends it is there to be
/// changed as well.
const DOCUMENTS: &[(&str, &str, Told)] = &[
    // Ends of lines.
    ("", "", TAKEN),
    ("\n", "\r\n", TAKEN),
    ("604800\n", "604800", TAKEN),
    ("604800\n", "604800\r\n", TAKEN),
    ("\n", "\r", NotFound),
    ("version", "\u{feff}version", NotFound),
    ("mode", "\nmode", TAKEN),
    ("604800\n", "604800\n\n", TAKEN),
    ("604800\n", "604800\n \n\t\n", TAKEN),
    ("mode", "# a comment\nmode", NotFound),
    // Keys and values.
    ("mode", " mode", NotFound),
    ("mode:", "mode :", NotFound),
    (": ", ":", TAKEN),
    (": ", ": \t ", TAKEN),
    ("\n", " \t\n", TAKEN),
    ("mode", "Mode", NotFound),
    ("version", "VERSION", NotFound),
    ("enforce", "Enforce", NotFound),
    ("enforce", "enforce; x", NotFound),
    (
        "version: STSv1\nmode: enforce\n",
        "mode: enforce\nversion: STSv1\n",
        TAKEN,
    ),
    (
        "version: STSv1\n",
        "max_age: 604800\nversion: STSv1\n",
        TAKEN,
    ),
    // Fields that nobody knows.
    ("mode", "foo: bar baz\nmode", TAKEN),
    ("mode", "foo:\nmode", TAKEN),
    ("mode", "x-y_z.1: a=b, c; {d}\nmode", TAKEN),
    ("mode", "foo\nmode", NotFound),
    ("mode", "foo bar: x\nmode", NotFound),
    ("mode", ": x\nmode", NotFound),
    ("mode", "-foo: x\nmode", NotFound),
    ("mode", "foo: a\u{7}b\nmode", NotFound),
    ("mode", "foo: a\tb\nmode", TAKEN),
    ("mode", "foo: bücher\nmode", TAKEN),
    ("mode", "foo: } ciphers=export {\nmode", TAKEN),
    // Of a key that comes twice the first counts, but for mx.
    ("enforce\n", "enforce\nmode: testing\n", TAKEN),
    ("mode: enforce", "mode: testing\nmode: enforce", NotFound),
    ("max_age: 604800", "max_age: 604800\nmax_age: x", TAKEN),
    ("STSv1\n", "STSv1\nversion: STSv2\n", TAKEN),
    ("mx.@\n", "mx.@\nmx: *.b.test\n", Secure("mx.@:.b.test")),
    // The fields there must be.
    ("version: STSv1\n", "", NotFound),
    ("STSv1", "STSv2", NotFound),
    ("STSv1", "stsv1", NotFound),
    ("mode: enforce\n", "", NotFound),
    ("enforce", "enforced", NotFound),
    ("enforce", "", NotFound),
    ("max_age: 604800\n", "", NotFound),
    ("604800", "", NotFound),
    ("604800", "a week", NotFound),
    ("604800", "-1", NotFound),
    ("604800", "1.5", NotFound),
    ("604800", "31557600", TAKEN),
    ("604800", "31557601", TAKEN),
    ("604800", "9999999999", TAKEN),
    ("604800", "10000000000", NotFound),
    ("604800", "1", TAKEN),
    ("604800", "0", TAKEN),
    ("mx: mx.@\n", "", NotFound),
    ("mode: enforce\nmx: mx.@", "mode: testing", NotFound),
    ("mode: enforce\nmx: mx.@", "mode: none", NotFound),
    ("enforce", "testing", NotFound),
    ("enforce", "none", NotFound),
    // The names there may be.
    ("mx.@", "", NotFound),
    ("mx.@", "*", NotFound),
    ("mx.@", "*.", NotFound),
    ("mx.@", "*.@", Secure(".@")),
    ("mx.@", "*.test", Secure(".test")),
    ("mx.@", "mx.*.@", NotFound),
    ("mx.@", "m*.@", NotFound),
    ("mx.@", "*.*.@", NotFound),
    ("mx.@", ".@", NotFound),
    ("mx.@", "mx..@", NotFound),
    ("mx.@", "192.0.2.1", NotFound),
    ("mx.@\n", "mx.@\nmx: 192.0.2.1\nmx: 2001:db8::1\n", TAKEN),
    ("mx.@", "m_x.@", Secure("m_x.@")),
    ("mx.@", "bücher.@", NotFound),
    ("mx.@", "xn--bcher-kva.@", Secure("xn--bcher-kva.@")),
    ("mx.@", "mx.@.", TAKEN),
    ("mx.@", "MX.@", TAKEN),
    ("mx.@\n", "mx.@\nmx: MX.@\nmx: mx.@.\n", TAKEN),
    ("mx.@", "mx.@ ciphers=export protocols=SSLv3", NotFound),
    ("mx.@", "mx.@,mx2.@", NotFound),
    ("mx.@", "mx.@:25", NotFound),
    ("mx.@", "mx.@ servername=evil.test", NotFound),
    ("mx.@\n", "mx.@\nmx: hostname\nmx: nexthop\n", TAKEN),
];

/// What a policy host does.
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn hosts() -> Vec<(&'static str, Answer, Option<Flaw>, Told)> {
    let good = Answer::document(ENFORCE);
    let typed = |media_type| Answer::typed(media_type, ENFORCE);
    let with = |status, name: &str, value: &str| Answer::Response {
        status,
        headers: vec![
            ("Content-Type".to_owned(), "text/plain".to_owned()),
            (name.to_owned(), value.to_owned()),
        ],
        body: ENFORCE.into(),
    };
    let to = "https://mta-sts.elsewhere.test/.well-known/mta-sts.txt";
    let long = |octets: usize| {
        let filler = "x".repeat(octets.saturating_sub(ENFORCE.len() + 4));
        Answer::document(&format!("{ENFORCE}y: {filler}\n"))
    };
    let interval = Duration::from_millis(50);
    vec![
        ("200", good.clone(), None, TAKEN),
        ("201", with(201, "X-Y", "z"), None, NotFound),
        ("204", with(204, "X-Y", "z"), None, NotFound),
        ("301", with(301, "Location", to), None, NotFound),
        ("302", with(302, "Location", to), None, NotFound),
        ("308", with(308, "Location", to), None, NotFound),
        ("404", with(404, "X-Y", "z"), None, NotFound),
        ("500", with(500, "X-Y", "z"), None, NotFound),
        (
            "self-signed",
            good.clone(),
            Some(Flaw::SelfSigned),
            NotFound,
        ),
        (
            "unknown issuer",
            good.clone(),
            Some(Flaw::UnknownAuthority),
            NotFound,
        ),
        ("wrong name", good.clone(), Some(Flaw::WrongName), NotFound),
        ("expired", good.clone(), Some(Flaw::Expired), NotFound),
        (
            "not yet valid",
            good.clone(),
            Some(Flaw::NotYetValid),
            NotFound,
        ),
        (
            "common name only",
            good,
            Some(Flaw::CommonNameOnly),
            NotFound,
        ),
        ("TEXT/PLAIN", typed("TEXT/PLAIN"), None, TAKEN),
        ("charset", typed("text/plain; charset=utf-8"), None, TAKEN),
        (
            "charset without a blank",
            typed("text/plain;charset=us-ascii"),
            None,
            TAKEN,
        ),
        ("no media type", Answer::untyped(ENFORCE), None, TAKEN),
        ("text/html", typed("text/html"), None, NotFound),
        ("text/plainx", typed("text/plainx"), None, NotFound),
        (
            "application/octet-stream",
            typed("application/octet-stream"),
            None,
            NotFound,
        ),
        (
            "gzip",
            with(200, "Content-Encoding", "gzip"),
            None,
            NotFound,
        ),
        ("a line of 5 KB", long(5_000), None, TAKEN),
        ("nearly 64 KiB", long(65_000), None, TAKEN),
        ("more than 64 KiB", long(70_000), None, NotFound),
        ("a web page", Answer::rubbish(), None, NotFound),
        ("drips", Answer::Drips { interval }, None, NotFound),
        ("breaks off", Answer::BreaksOff, None, NotFound),
        ("not TLS", Answer::NotTls, None, NotFound),
        ("closes", Answer::Closes, None, NotFound),
    ]
}

/// How a lookup of the record ends, with nothing kept.
const LOOKUPS: [(Option<DnsFault>, Told); 3] = [
    (None, NotFound),
    (Some(DnsFault::ServFail), NotFound),
    (Some(DnsFault::Refused), NotFound),
];

/// Next hops for a domain with a policy.
const NEXT_HOPS: &[(&str, Told)] = &[
    ("@", TAKEN),
    ("[@]", TAKEN),
    ("@:25", TAKEN),
    ("[@]:587", TAKEN),
    ("[@]:submission", TAKEN),
    ("@.", TAKEN),
    ("  @ ", TAKEN),
    (".@", NotFound),
    (".test", NotFound),
    ("sub.@", NotFound),
    ("[192.0.2.1]", NotFound),
    ("192.0.2.1", NotFound),
    ("[IPv6:2001:db8::1]", NotFound),
    ("[2001:db8::1]:25", NotFound),
    ("", NotFound),
    ("@@", NotFound),
    ("@ @", NotFound),
];

/// A question, and the reply that is to come.
struct Asked {
    what: String,
    key: String,
    domain: String,
    told: Told,
}

/// Publishes all of it, a domain for each case.
fn publish(world: &World) -> Vec<Asked> {
    let mut asked = Vec::new();
    let document = |domain: &str, text: &str| Answer::document(&text.replace('@', domain));
    for (records, told) in RECORDS {
        let shown = records.concat().concat().escape_ascii().to_string();
        let domain = add(&mut asked, format!("record {shown}"), *told);
        world.publish(&domain, "1", document(&domain, ENFORCE));
        world.dns.set_txt(&format!("_mta-sts.{domain}"), &[]);
        for record in *records {
            world.dns.add_txt(&format!("_mta-sts.{domain}"), record);
        }
    }
    for (from, to, told) in DOCUMENTS {
        let domain = add(&mut asked, format!("document {from:?} -> {to:?}"), *told);
        let text = if from.is_empty() {
            ENFORCE.to_owned()
        } else {
            assert!(ENFORCE.contains(from), "{from:?}");
            ENFORCE.replace(from, to)
        };
        world.publish(&domain, "1", document(&domain, &text));
    }
    for (what, answer, flaw, told) in hosts() {
        let domain = add(&mut asked, format!("policy host: {what}"), told);
        let host = format!("mta-sts.{domain}");
        let certificate = match flaw {
            Some(flaw) => world.authority.issue_flawed(&[&host], flaw).unwrap(),
            None => world.authority.issue(&[&host]).unwrap(),
        };
        world.announce(&domain, "1");
        world.serve(&domain, of_domain(answer, &domain), certificate);
    }
    for (fault, told) in LOOKUPS {
        let domain = add(&mut asked, format!("lookup {fault:?}"), told);
        world.publish(&domain, "1", document(&domain, ENFORCE));
        let name = format!("_mta-sts.{domain}");
        match fault {
            Some(fault) => world.dns.fail(&name, fault),
            None => world.dns.remove(&name),
        }
    }
    for (key, told) in NEXT_HOPS {
        let domain = add(&mut asked, format!("next hop {key:?}"), *told);
        world.publish(&domain, "1", document(&domain, ENFORCE));
        asked.last_mut().unwrap().key = key.replace('@', &domain.to_uppercase());
    }
    asked
}

/// One more case; gives its domain.
fn add(asked: &mut Vec<Asked>, what: String, told: Told) -> String {
    let domain = format!("case{}.test", asked.len());
    asked.push(Asked {
        what,
        key: domain.clone(),
        domain: domain.clone(),
        told,
    });
    domain
}

fn of_domain(answer: Answer, domain: &str) -> Answer {
    match answer {
        Answer::Response {
            status,
            headers,
            body,
        } => Answer::Response {
            status,
            headers,
            body: String::from_utf8(body).unwrap().replace('@', domain).into(),
        },
        other => other,
    }
}

#[tokio::test]
async fn what_other_policy_servers_were_tried_with() {
    let world = World::with(|policy, _| policy.fetch_timeout_seconds = 5).await;
    let asked = publish(&world);
    assert!(asked.len() > 150, "{}", asked.len());
    let mut clients = Vec::new();
    for each in &asked {
        let mut client = world.door.client().await;
        client.send(netstring(format!("QUERY {}", each.key))).await;
        client
            .send(netstring(format!("QUERYwithTLSRPT {}", each.key)))
            .await;
        clients.push(client);
    }
    let mut wrong = Vec::new();
    for (each, client) in asked.iter().zip(&mut clients) {
        let plain = match each.told {
            NotFound => "NOTFOUND ".to_owned(),
            Secure(names) => format!(
                "OK secure match={} servername=hostname",
                names.replace('@', &each.domain)
            ),
        };
        let named = match each.told {
            NotFound => plain.clone(),
            Secure(_) => format!(
                "{plain} policy_type=sts policy_domain={} mx_host_pattern=",
                each.domain
            ),
        };
        let replies = [client.reply().await, client.reply().await];
        if replies[0] != plain || !replies[1].starts_with(&named) {
            wrong.push(format!("{}: {replies:?}", each.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
