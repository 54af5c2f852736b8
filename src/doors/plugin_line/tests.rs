use super::*;
use crate::doors::plugin_fields::NAME_BYTES_MAX;

fn session(ending: Ending) -> ToldSession {
    ToldSession {
        domain: "example.org".to_owned(),
        policy: None,
        mx: None,
        mx_helo: None,
        receiving_ip: None,
        sending_ip: None,
        at_unix_seconds: None,
        ending,
    }
}

fn facts(starttls: StartTls, verification: Verification) -> Ending {
    Ending::Facts {
        starttls,
        verification,
        dane: Verification::Unknown,
        leaf_der: None,
        chain_der: None,
        error: None,
    }
}

fn policy(domain: &str, mx: Option<&str>, deadline_ms: Option<u64>) -> Request {
    Request::Policy(Question {
        domain: domain.to_owned(),
        mx: mx.map(str::to_owned),
        port: None,
        deadline: deadline_ms.map(Duration::from_millis),
    })
}

#[test]
fn questions_are_read() {
    let check = |line: &str, expected: Request| {
        assert_eq!(parse(line.as_bytes()), Ok(expected), "{line:?}");
    };
    check("PING", Request::Ping);
    check("QUIT", Request::Quit);
    check("POLICY\texample.org", policy("example.org", None, None));
    check("POLICY\texample.org\t", policy("example.org", None, None));
    check(
        "POLICY\texample.org\tdeadline-ms=0",
        policy("example.org", None, Some(0)),
    );
    check(
        "POLICY\texample.org\tcolour=blue\t\tdeadline-ms=1500",
        policy("example.org", None, Some(1_500)),
    );
    check(
        "POLICY\texample.org\tdeadline-ms=",
        policy("example.org", None, None),
    );
    check(
        "MX\texample.org\tmx1.example.org\tport=2525",
        Request::Policy(Question {
            domain: "example.org".to_owned(),
            mx: Some("mx1.example.org".to_owned()),
            port: Some(2_525),
            deadline: None,
        }),
    );
    check(
        "POLICY\tb\\xC3\\xbccher.example",
        policy("bücher.example", None, None),
    );
    check(
        "MX\texample.org\tmx1.example.org",
        policy("example.org", Some("mx1.example.org"), None),
    );
}

#[test]
fn a_question_waits_no_longer_than_the_operator_allows() {
    let check = |asked: Option<u64>, granted: u64| {
        let question = Question {
            domain: "example.org".to_owned(),
            mx: None,
            port: None,
            deadline: asked.map(Duration::from_millis),
        };
        let query = question.query(Duration::from_secs(20));
        assert_eq!(query.deadline, Duration::from_millis(granted), "{asked:?}");
    };
    check(None, 20_000);
    check(Some(500), 500);
    check(Some(u64::MAX), 20_000);
}

#[test]
fn sessions_are_read() {
    let check = |rest: &str, expected: ToldSession| {
        let line = format!("SESSION\texample.org\t{rest}");
        let expected = Request::Session(Box::new(expected));
        assert_eq!(parse(line.as_bytes()), Ok(expected), "{line:?}");
    };
    check("outcome=success", session(Ending::Success));
    check(
        "at=1790000000\tpolicy=5f\tmx=mx1.example.org\thelo=mx one\treceiving-ip=192.0.2.1\t\
         sending-ip=2001:db8::1\toutcome=success",
        ToldSession {
            policy: Some("5f".to_owned()),
            mx: Some("mx1.example.org".to_owned()),
            mx_helo: Some("mx one".to_owned()),
            receiving_ip: Some("192.0.2.1".parse().unwrap()),
            sending_ip: Some("2001:db8::1".parse().unwrap()),
            at_unix_seconds: Some(1_790_000_000),
            ..session(Ending::Success)
        },
    );
    // As Exim writes it where a variable is empty.
    check(
        "policy=\tmx=\tsending-ip=\toutcome=success",
        session(Ending::Success),
    );
    check(
        "result=certificate-expired\treason=notAfter is past",
        session(Ending::Failure {
            result: ResultType::CertificateExpired,
            reason: Some("notAfter is past".to_owned()),
        }),
    );
    for (word, starttls) in [
        ("not-offered", StartTls::NotOffered),
        ("refused", StartTls::Refused),
        ("handshake-failed", StartTls::HandshakeFailed),
        ("established", StartTls::Established),
    ] {
        check(
            &format!("starttls={word}"),
            session(facts(starttls, Verification::Unknown)),
        );
    }
    for (word, verification) in [
        ("passed", Verification::Passed),
        ("failed", Verification::Failed),
        ("yes", Verification::Passed),
        ("1", Verification::Passed),
        ("no", Verification::Failed),
        ("0", Verification::Failed),
    ] {
        check(
            &format!("verified={word}"),
            session(facts(StartTls::Unknown, verification)),
        );
    }
    // An MTA that says it saw nothing is not one with a mistake in its configuration.
    check(
        "error=",
        session(facts(StartTls::Unknown, Verification::Unknown)),
    );
}

#[test]
fn certificates_come_as_base64_or_pem() {
    let check = |value: &str, expected: &[u8]| {
        let line = format!("SESSION\texample.org\tcert={value}");
        let Ok(Request::Session(told)) = parse(line.as_bytes()) else {
            panic!("{value:?} was not understood");
        };
        told.hand_to(|session| {
            let facts = Facts::default().with_leaf_der(expected);
            assert_eq!(session.outcome, Outcome::Facts(facts), "{value:?}");
        });
    };
    check("MIIB", b"0\x82\x01");
    check("MII=", b"0\x82");
    check("MII", b"0\x82");
    check("MI\\nIB", b"0\x82\x01");
    check(
        "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\
         -----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n",
        b"0\x82\x01",
    );
}

#[test]
fn c20_chains_are_read_in_their_order() {
    let (a, b, c) = (&[0x30, 1][..], &[0x30, 2][..], &[0x30, 3][..]);
    let shown = |fields: &str, expected: &[&[u8]]| {
        let line = format!("VERIFY\texample.org\tmx1.example.org\tpolicy=5f{fields}");
        let Ok(Request::Verify(shown)) = parse(line.as_bytes()) else {
            panic!("{line:?} was not understood");
        };
        shown.hand_to(|presented| {
            let held = Presented::new("example.org", "mx1.example.org", "5f", expected);
            assert_eq!(*presented, held, "{line:?}");
        });
    };
    let pem = |base64: &str| {
        format!("-----BEGIN CERTIFICATE-----\\n{base64}\\n-----END CERTIFICATE-----\\n")
    };
    let bundle = format!("\tcert={}{}", pem("MAE="), pem("MAI="));
    shown("\tcert=MAE=\tcert=MAI=\tcert=MAM=", &[a, b, c]);
    shown("\tcert=", &[]);
    // As Exim writes it where the server sent nothing else.
    shown("\tcert=MAE=\tcert=", &[a]);
    shown(&bundle, &[a, b]);
    shown(&format!("{bundle}\tcert=MAM="), &[a, b, c]);
    shown("", &[]);

    let told = |fields: &str, leaf: &[u8], further: Option<&[&[u8]]>| {
        let line = format!("SESSION\texample.org\tdane=passed{fields}");
        let Ok(Request::Session(told)) = parse(line.as_bytes()) else {
            panic!("{line:?} was not understood");
        };
        let mut facts = Facts::default().with_dane(Verification::Passed);
        facts.leaf_der = Some(leaf).filter(|leaf| !leaf.is_empty());
        facts.chain_der = further;
        told.hand_to(|session| {
            assert_eq!(session.outcome, Outcome::Facts(facts), "{line:?}");
        });
    };
    told("", &[], None);
    told("\tcert=MAE=", a, None);
    told("\tcert=MAE=\tchain=", a, None);
    told("\tcert=MAE=\tchain=none", a, Some(&[]));
    told("\tcert=MAE=\tchain=MAI=\tchain=MAM=", a, Some(&[b, c]));
    // What is cut is not known.
    told(
        &format!("\tcert=MAE={}", "\tchain=MAI=".repeat(15)),
        a,
        Some(&[b; 15]),
    );
    told(
        &format!("\tcert=MAE={}", "\tchain=MAI=".repeat(16)),
        a,
        None,
    );
    let bundle = format!("\tcert=MAE=\tchain={}{}", pem("MAI="), pem("MAM="));
    told(&bundle, a, Some(&[b, c]));
}

#[test]
fn c20_a_cut_chain_may_match_and_never_fails() {
    let verdicts = [
        Verified::Passed("3 1 1".to_owned()),
        Verified::Failed {
            result: ResultType::ValidationFailure,
            reason: "dane-no-match".to_owned(),
        },
    ];
    for (certificates, expected) in [(16, ["Passed", "Failed"]), (17, ["Passed", "Unknown"])] {
        let certificates = "\tcert=MIIB".repeat(certificates);
        let line = format!("VERIFY\texample.org\tmx1.example.org{certificates}");
        let Ok(Request::Verify(shown)) = parse(line.as_bytes()) else {
            panic!("{line:?} was not understood");
        };
        for (verdict, expected) in verdicts.iter().zip(expected) {
            let judged = shown.judged(|presented| {
                assert_eq!(presented.chain_der.len(), 16);
                verdict.clone()
            });
            assert!(format!("{judged:?}").starts_with(expected), "{judged:?}");
        }
    }
}

fn refused(line: &[u8], expected: &str) {
    let shown = String::from_utf8_lossy(line);
    let error = parse(line).expect_err(&shown);
    assert_eq!(error.to_string(), expected, "{shown:?}");
}

#[test]
fn lines_that_are_wrong_are_answered_with_the_field() {
    let check = refused;
    check(
        b"",
        "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
    );
    check(
        b"ping",
        "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
    );
    check(
        b"GET / HTTP/1.1",
        "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
    );
    check(b"POLICY", "domain: missing");
    check(b"POLICY\t", "domain: missing");
    check(b"POLICY\t\xff", "domain: not UTF-8");
    check(b"POLICY\ta\\nb", "domain: has a control character in it");
    check(b"POLICY\ta\0b", "domain: has a control character in it");
    check(
        format!("POLICY\t{}", "a".repeat(1_025)).as_bytes(),
        "domain: longer than 1024 bytes",
    );
    check(b"MX\texample.org", "mx: missing");
    check(b"MX\texample.org\t\tx=y", "mx: missing");
    check(
        b"POLICY\ta\tdeadline-ms=soon",
        "deadline-ms: not a number of milliseconds",
    );
    check(
        b"POLICY\ta\tdeadline-ms=-1",
        "deadline-ms: not a number of milliseconds",
    );
    check(
        b"POLICY\ta\tdeadline-ms=1\tdeadline-ms=1",
        "deadline-ms: given twice",
    );
    check(b"POLICY\ta\tx=1\tx=2", "x: given twice");
    check(b"MX\ta\tb\tport=0", "port: not a port from 1 to 65535");
    check(b"POLICY\ta\tport=65536", "port: not a port from 1 to 65535");
    check(b"VERIFY\ta", "mx: missing");
    check(b"VERIFY\ta\tb\tpolicy=1\tpolicy=2", "policy: given twice");
    check(
        b"VERIFY\ta\tb\tcert=MIIB\tcert=%",
        "cert (number 2): not a certificate in base64 or PEM",
    );
    check(
        b"VERIFY\ta\tb\tcert=\tcert=MIIB",
        "cert: empty: the next is not the server's own certificate",
    );
    check(b"POLICY\ta\tmx.a", "mx.a: a field without `=`");
    check(b"POLICY\ta\t\x1b[1m", "\\x1b[1m: a field without `=`");
}

#[test]
fn sessions_that_are_wrong_are_answered_with_the_field() {
    let session = |rest: &str, expected: &str| {
        refused(format!("SESSION\texample.org\t{rest}").as_bytes(), expected);
    };
    session("outcome=failure", "outcome: the only outcome is `success`");
    session(
        "result=certificate-gone",
        "result: not a result type of RFC 8460 s4.3",
    );
    session(
        "starttls=maybe",
        "starttls: not one of not-offered, refused, handshake-failed, established",
    );
    session(
        "verified=true",
        "verified: not passed, failed, yes, no, 1 or 0",
    );
    session(
        "receiving-ip=mx1\toutcome=success",
        "receiving-ip: not an IP address",
    );
    session(
        "sending-ip=1.2.3\toutcome=success",
        "sending-ip: not an IP address",
    );
    session(
        "at=today\toutcome=success",
        "at: not a number of seconds since 1970",
    );
    session(
        "outcome=success\treason=fine",
        "reason: goes with `result` only",
    );
    session(
        "",
        "outcome: missing: give outcome, result, or what was seen (starttls, verified, dane, cert, chain, error)",
    );
    session(
        "outcom=success",
        "outcome: missing: give outcome, result, or what was seen (starttls, verified, dane, cert, chain, error)",
    );
    for mixed in [
        "outcome=success\tresult=validation-failure",
        "outcome=success\tstarttls=established",
        "result=validation-failure\terror=x",
    ] {
        session(
            mixed,
            "outcome: give one of outcome, result, and what was seen (starttls, verified, dane, cert, chain, error)",
        );
    }
}

#[test]
fn chains_that_are_wrong_are_answered_with_the_field_and_its_number() {
    let session = |rest: &str, expected: &str| {
        refused(format!("SESSION\texample.org\t{rest}").as_bytes(), expected);
    };
    session("dane=maybe", "dane: not passed, failed, yes, no, 1 or 0");
    session("chain=MIIB", "chain: goes with `cert` only");
    session(
        "cert=MIIB\tchain=MIIB\tchain=%",
        "chain (number 2): not a certificate in base64 or PEM",
    );
    session(
        "cert=MIIB\tchain=none\tchain=%",
        "chain (number 2): not a certificate in base64 or PEM",
    );
    session("cert=MIIB\tcert=MIIB", "cert: given twice");
    session("cert=%%%", "cert: not a certificate in base64 or PEM");
    session(
        "cert=-----BEGIN CERTIFICATE-----\\nMIIB",
        "cert: not a certificate in base64 or PEM",
    );
}

#[test]
fn text_of_a_server_brings_no_control_characters() {
    let line = br"SESSION	example.org	error=454 4.7.0 \x1b[2J\nno \351	helo=a\012b";
    let Ok(Request::Session(told)) = parse(line) else {
        panic!("not understood");
    };
    assert_eq!(told.mx_helo.as_deref(), Some("a b"));
    let error = "454 4.7.0  [2J no \u{fffd}";
    told.hand_to(|session| {
        let facts = Facts::default().with_error(error);
        assert_eq!(session.outcome, Outcome::Facts(facts));
    });
}

#[test]
fn g3_no_line_makes_a_panic_or_a_name_out_of_bounds() {
    let samples: [&[u8]; 7] = [
        b"PING",
        b"POLICY\tb\\xC3\\xbccher.example\tdeadline-ms=1500",
        b"MX\texample.org\tmx1.example.org\tcolour=blue",
        b"SESSION\texample.org\tmx=mx1.example.org\tstarttls=handshake-failed\t\
          verification=failed\terror=a\\tb\\\\c\tip=192.0.2.1\tat=1790000000",
        b"SESSION\texample.org\tresult=certificate-expired\treason=x\tleaf-der=MIIB",
        b"SESSION\texample.org\tdane=failed\tcert=MIIB\tchain=MIIB\tchain=AAAA",
        b"VERIFY\texample.org\tmx1.example.org\tpolicy=5f\tcert=MIIB\tcert=AAAA",
    ];
    for line in sealpost_kit::mutations(11, &samples) {
        match parse(&line) {
            Ok(Request::Policy(question)) => {
                assert!(question.domain.len() <= NAME_BYTES_MAX);
                let _asked = question.query(Duration::from_secs(1));
            }
            Ok(Request::Verify(shown)) => {
                assert!(shown.chain_der.len() <= CERTIFICATES_MAX);
                shown.hand_to(|presented| assert_eq!(presented.mx, shown.mx));
            }
            Ok(Request::Session(told)) => {
                assert!(told.domain.len() <= NAME_BYTES_MAX);
                told.hand_to(|session| assert_eq!(session.domain, told.domain));
            }
            Ok(Request::Ping | Request::Quit) => {}
            Err(error) => {
                let answer = crate::doors::plugin_answer::error_answer(&error);
                let one_field = |c: char| c.is_control() && c != '\t';
                assert!(!answer.contains(one_field), "{answer:?}");
                assert!(answer.len() < 4_096, "{answer}");
            }
        }
    }
}
