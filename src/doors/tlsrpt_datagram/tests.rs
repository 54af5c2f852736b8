//! What Postfix and others tell, and what nobody should.

use super::*;

const STS: &str = r#""policy-type":2,"policy-domain": "Example.ORG.","policy-string":["version: STSv1","mode: enforce","mx: *.Example.org","max_age: 604800"],"mx-host":["*.Example.org"]"#;
const TLSA: &str = r#""policy-type":1,"policy-domain": "MX.example.org","policy-string":["3 1 1 cdcd CDCD","2  1 1 ABab","3 1 1"]"#;
const NONE: &str = r#""policy-type":9"#;

/// One datagram about example.org with these policies.
fn datagram(policies: &str) -> String {
    format!(r#"{{"d": "Example.ORG.","pr": "v=TLSRPTv1; rua=mailto:a@b","policies":[{policies}]}}"#)
}

/// With one policy and these failures.
fn failed(policy: &str, failures: &str) -> String {
    datagram(&format!(
        r#"{{{policy},"failure-details":[{failures}],"t":1,"f":1}}"#
    ))
}

fn shown(failure: &Failure) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let address = |address: Option<std::net::IpAddr>| {
        address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    };
    format!(
        "{} {} mx={} helo={} to={} from={}",
        failure.result,
        or_none(&failure.reason),
        or_none(&failure.mx),
        or_none(&failure.mx_helo),
        address(failure.receiving_ip),
        address(failure.sending_ip),
    )
}

/// The sessions, one line each: `policy-type ok` or the failures joined by ` + `.
#[track_caller]
fn sessions(datagram: &str) -> Vec<String> {
    let reading = read(datagram.as_bytes()).unwrap_or_else(|error| panic!("{datagram}: {error}"));
    let told = reading.told.iter().map(|told| {
        assert_eq!(told.fingerprint, told.policy.fingerprint());
        let ending = match &told.ending {
            Ending::Success => "ok".to_owned(),
            Ending::Failure(failures) => {
                let all: Vec<_> = failures.iter().map(shown).collect();
                assert!(!all.is_empty());
                all.join(" + ")
            }
        };
        format!("{} {ending}", told.policy.policy_type.name())
    });
    told.collect()
}

#[test]
fn d10_policies_have_one_form_whatever_the_spelling() {
    for (policy, domain, strings, patterns) in [
        (
            STS,
            "example.org",
            &[
                "version: STSv1",
                "mode: enforce",
                "mx: *.Example.org",
                "max_age: 604800",
            ][..],
            &["*.example.org"][..],
        ),
        (
            TLSA,
            "mx.example.org",
            &["2 1 1 ABAB", "3 1 1", "3 1 1 CDCDCDCD"],
            &[],
        ),
        (NONE, "example.org", &[], &[]),
        (
            r#""policy-type":2,"policy-domain":"""#,
            "example.org",
            &[],
            &[],
        ),
        (
            r#""policy-type":9,"policy-string":["x"],"mx-host":["y"]"#,
            "example.org",
            &[],
            &[],
        ),
        (
            r#""policy-type":2,"policy-string":["a\tb\u0000","\u001b[2J"],"mx-host":["a b","B\u00fccher"]"#,
            "example.org",
            &["ab", "[2J"],
            &["a b", "B\u{fc}cher"],
        ),
    ] {
        let text = datagram(&format!(r#"{{{policy},"t":0,"f":0}}"#));
        let reading = read(text.as_bytes()).unwrap();
        let [told] = &reading.told[..] else {
            panic!("{text}")
        };
        assert_eq!(told.domain.as_str(), "example.org");
        assert_eq!(told.ending, Ending::Success);
        assert_eq!(told.policy.policy_domain.as_str(), domain);
        assert_eq!(told.policy.policy_string, strings);
        assert_eq!(told.policy.mx_host, patterns);
    }
}

#[test]
fn c8_the_order_and_case_of_tlsa_records_mean_nothing() {
    let told = |records: &str| {
        let text = datagram(&format!(
            r#"{{"policy-type":1,"policy-domain":"mx.example.org","policy-string":[{records}],"t":0,"f":0}}"#
        ));
        read(text.as_bytes()).unwrap().told
    };
    let one = told(r#""3 1 1 ABAB","2 1 1 CDCD""#);
    assert_eq!(one, told(r#""2 1 1 CDCD","3 1 1 ABAB""#));
    assert_eq!(one, told(r#""2 1 1 cdcd","3 1 1 ab ab""#));
    assert_ne!(one, told(r#""3 1 1 ABAB""#));
}

#[test]
fn d_every_code_becomes_its_result_type() {
    for (code, expected) in [
        (201, "starttls-not-supported"),
        (202, "certificate-host-mismatch"),
        (203, "certificate-not-trusted"),
        (204, "certificate-expired"),
        (205, "validation-failure"),
        (301, "sts-policy-fetch-error"),
        (302, "sts-policy-invalid"),
        (303, "sts-webpki-invalid"),
        (304, "tlsa-invalid"),
        (305, "dnssec-invalid"),
        (306, "dane-required"),
    ] {
        let found = sessions(&failed(
            STS,
            &format!(r#"{{"c":{code},"n":"mx.example.org","f":"why"}}"#),
        ));
        // D12: of a policy that could not be had no MX is named.
        let mx = if expected.starts_with("sts-") {
            "-"
        } else {
            "mx.example.org"
        };
        assert_eq!(
            found,
            [format!("sts {expected} why mx={mx} helo=- to=- from=-")]
        );
    }
}

#[test]
fn d_postfix_calls_certificates_that_nobody_vouches_for_a_general_failure() {
    for (reason, expected) in [
        ("self-signed_certificate", "certificate-not-trusted"),
        // OpenSSL 1.1
        ("self_signed_certificate", "certificate-not-trusted"),
        (
            "self-signed_certificate_in_certificate_chain",
            "certificate-not-trusted",
        ),
        (
            "unable_to_get_local_issuer_certificate",
            "certificate-not-trusted",
        ),
        (
            "unable_to_verify_the_first_certificate",
            "certificate-not-trusted",
        ),
        ("certificate_is_not_yet_valid", "certificate-not-trusted"),
        ("certificate_chain_too_long", "certificate-not-trusted"),
        ("unsuitable_certificate_purpose", "certificate-not-trusted"),
        ("certificate_has_expired", "certificate-expired"),
        ("hostname_mismatch", "certificate-host-mismatch"),
        ("tls-handshake-failure", "validation-failure"),
        ("all-trust-anchors-unusable", "validation-failure"),
        ("decrypt_error", "validation-failure"),
    ] {
        let found = sessions(&failed(STS, &format!(r#"{{"c":205,"f":"{reason}"}}"#)));
        assert_eq!(
            found,
            [format!("sts {expected} {reason} mx=- helo=- to=- from=-")]
        );
    }
    let quoted = sessions(&failed(
        STS,
        r#"{"c":205,"f":"format_error_in_certificate's_notBefore_field"}"#,
    ));
    let kept = "format_error_in_certificate-s_notBefore_field";
    assert_eq!(
        quoted,
        [format!(
            "sts certificate-not-trusted {kept} mx=- helo=- to=- from=-"
        )]
    );
}

#[test]
fn d_a_tlsa_set_that_matches_nothing_is_named_so() {
    let nobody = "mx=- helo=- to=- from=-";
    for (policy, failure, expected) in [
        (
            TLSA,
            r#"{"c":203}"#,
            "tlsa validation-failure dane-no-match",
        ),
        (
            TLSA,
            r#"{"c":203,"f":"mine"}"#,
            "tlsa certificate-not-trusted mine",
        ),
        (TLSA, r#"{"c":202}"#, "tlsa certificate-host-mismatch -"),
        (STS, r#"{"c":203}"#, "sts certificate-not-trusted -"),
        (
            STS,
            r#"{"c":205}"#,
            "sts validation-failure mta-gave-no-detail",
        ),
    ] {
        assert_eq!(
            sessions(&failed(policy, failure)),
            [format!("{expected} {nobody}")]
        );
    }
}

#[test]
fn e4_the_helo_is_one_name() {
    for (answer, expected) in [
        (
            "250-mx.example.org greets you\\r\\n250-STARTTLS\\r\\n250 SMTPUTF8",
            "mx.example.org",
        ),
        ("250 mx.example.org", "mx.example.org"),
        ("250-mx.example.org\\n250 SIZE", "mx.example.org"),
        ("mx.example.org", "mx.example.org"),
        ("mx.example.org at your service", "mx.example.org"),
        ("250mx.example.org", "250mx.example.org"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("helo \\\"q\\\"", "helo"),
        ("250-m\\u001bx", "mx"),
        ("250-\\r\\n250 mx", "-"),
        ("250", "-"),
        ("", "-"),
    ] {
        let found = sessions(&failed(STS, &format!(r#"{{"c":204,"h":"{answer}"}}"#)));
        let line = format!("sts certificate-expired - mx=- helo={expected} to=- from=-");
        assert_eq!(found, [line], "{answer}");
    }
}

#[test]
fn d11_names_and_addresses_have_one_form_and_rubbish_is_left_out() {
    for (failure, expected) in [
        (
            r#""n":"MX.example.org.","r":"2001:DB8::0:25","s":"::ffff:192.0.2.1""#,
            "mx=mx.example.org helo=- to=2001:db8::25 from=192.0.2.1",
        ),
        (
            r#""n":"a b\r\nc","r":"fe80::1%eth0","s":"here""#,
            "mx=a bc helo=- to=- from=-",
        ),
        (
            r#""n":null,"r":"","s":"","h":null,"a":"https://x""#,
            "mx=- helo=- to=- from=-",
        ),
    ] {
        let found = sessions(&failed(STS, &format!(r#"{{"c":204,{failure}}}"#)));
        assert_eq!(found, [format!("sts certificate-expired - {expected}")]);
    }
}

#[test]
fn d3_each_mx_host_that_failed_is_a_session() {
    let (one, two) = (
        r#"{"c":204,"n":"mx1.example.org","r":"192.0.2.1"}"#,
        r#"{"c":202,"n":"mx2.example.org","r":"192.0.2.2"}"#,
    );
    let also_one = r#"{"c":202,"n":"mx1.example.org","r":"192.0.2.1"}"#;
    let of_policy = r#"{"c":301,"f":"why"}"#;
    let expired = "certificate-expired - mx=mx1.example.org helo=- to=192.0.2.1 from=-";
    let mismatch = |number: u8| {
        format!(
            "certificate-host-mismatch - mx=mx{number}.example.org helo=- to=192.0.2.{number} from=-"
        )
    };
    let unfetched = "sts-policy-fetch-error why mx=- helo=- to=- from=-";
    for (failures, expected) in [
        (
            vec![one, two],
            vec![format!("sts {expired}"), format!("sts {}", mismatch(2))],
        ),
        (
            vec![one, also_one],
            vec![format!("sts {expired} + {}", mismatch(1))],
        ),
        (vec![one, one], vec![format!("sts {expired}")]),
        (
            vec![of_policy, one, two],
            vec![
                format!("sts {expired} + {unfetched}"),
                format!("sts {}", mismatch(2)),
            ],
        ),
        (vec![of_policy], vec![format!("sts {unfetched}")]),
    ] {
        let failures = failures.join(",");
        assert_eq!(sessions(&failed(STS, &failures)), expected);
        // The delivery came to succeed: with another host.
        let text = datagram(&format!(
            r#"{{{STS},"failure-details":[{failures}],"t":1,"f":0}}"#
        ));
        let with_success = [expected, vec!["sts ok".to_owned()]].concat();
        assert_eq!(sessions(&text), with_success);
    }
    let nothing_said = sessions(&datagram(&format!(r#"{{{STS},"t":0,"f":1}}"#)));
    let line = "sts validation-failure mta-gave-no-detail mx=- helo=- to=- from=-";
    assert_eq!(nothing_said, [line]);
}

#[test]
fn d3_several_policies_in_one_datagram_are_told_each() {
    let text = datagram(&format!(
        r#"{{{STS},"failure-details":[{{"c":303}}],"t":1,"f":1}},{{{TLSA},"t":0,"f":0}},{{{NONE},"t":0,"f":0}}"#
    ));
    let expected = [
        "sts sts-webpki-invalid - mx=- helo=- to=- from=-",
        "tlsa ok",
        "no-policy-found ok",
    ];
    assert_eq!(sessions(&text), expected);
}

#[test]
fn the_version_is_one_or_is_told_apart() {
    for (version, expected) in [
        ("", Version::One),
        (r#""dpv": "1","#, Version::One),
        (r#""dpv":null,"#, Version::One),
        (r#""dpv": "2","#, Version::Other),
        (r#""dpv": "","#, Version::Other),
    ] {
        let text =
            format!(r#"{{{version}"d":"example.org","policies":[{{"policy-type":9,"f":0}}]}}"#);
        let reading = read(text.as_bytes()).unwrap();
        assert_eq!(
            (reading.version, reading.told.len()),
            (expected, 1),
            "{text}"
        );
    }
}

#[test]
fn octets_that_are_no_utf8_harm_only_where_they_name_something() {
    let bad = |text: &str| -> Vec<u8> {
        let parts: Vec<&[u8]> = text.split('?').map(str::as_bytes).collect();
        parts.join(&b"\xff"[..])
    };
    let template = |d: &str, domain: &str, lines: &str, helo: &str, record: &str| {
        bad(&format!(
            r#"{{"d":"{d}","pr":"{record}","policies":[{{"policy-type":2,"policy-domain":"{domain}","policy-string":["{lines}"],"failure-details":[{{"c":204,"h":"{helo}"}}],"f":1}}]}}"#
        ))
    };
    assert!(read(&template("a.example", "a.example", "x", "m?x", "?")).is_ok());
    assert!(read(&template("a.example", "a.example", "x", "mx", "?")).is_ok());
    for text in [
        template("a?.example", "a.example", "x", "mx", ""),
        template("a.example", "a?.example", "x", "mx", ""),
        template("a.example", "a.example", "?", "mx", ""),
    ] {
        assert_eq!(read(&text), Err(Malformed::NotUtf8));
    }
}

/// Each of these is refused with words that begin so, and that are no longer than a log line.
fn refused<const N: usize>(cases: [(String, &str); N]) {
    for (text, expected) in cases {
        let error = read(text.as_bytes()).unwrap_err().to_string();
        let cut: String = text.chars().take(200).collect();
        assert!(error.starts_with(expected), "{cut}: {error}");
        assert!(error.len() < 200, "{error}");
    }
}

const ONE: &str = r#"{"policy-type":9,"f":0}"#;

#[test]
fn g3_what_has_not_the_shape_of_a_datagram_is_told_by_kind() {
    let one = ONE;
    refused([
        (String::new(), "it is not JSON"),
        ("{".to_owned(), "it is not JSON"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "it is not JSON"),
        ("[".repeat(200_000), "it is JSON of another shape"),
        ("[]".to_owned(), "it is JSON of another shape"),
        (datagram("7"), "it is JSON of another shape"),
        (
            datagram(r#"{"policy-type":"2","f":0}"#),
            "it is JSON of another shape",
        ),
        (
            datagram(r#"{"policy-type":9}"#),
            "it is JSON of another shape: missing field `f`",
        ),
        (
            datagram(r#"{"policy-type":9,"f":-1}"#),
            "it is JSON of another shape",
        ),
        (
            format!("{}{}", datagram(one), datagram(one)),
            "it is not JSON: trailing",
        ),
        (
            " ".repeat(DATAGRAM_OCTETS_MAX + 1),
            "it is longer than 212992 octets",
        ),
    ]);
    // What nobody reads may be as deep as it likes.
    let deep = "[".repeat(60_000) + &"]".repeat(60_000);
    let text = format!(r#"{{"d":"a.example","more":{deep},"policies":[{one}]}}"#);
    assert!(read(text.as_bytes()).is_ok());
}

#[test]
fn g3_what_a_datagram_cannot_tell_is_told_by_kind() {
    let one = ONE;
    let many = |count: usize, each: &str| vec![each; count].join(",");
    let patterns = many(4_097, r#""a""#);
    refused([
        (
            format!(r#"{{"policies":[{one}]}}"#),
            "\"d\" is no recipient domain: the name is empty",
        ),
        (
            format!(r#"{{"d":"a b","policies":[{one}]}}"#),
            "\"d\" is no recipient domain",
        ),
        (
            format!(r#"{{"d":"[192.0.2.1]","policies":[{one}]}}"#),
            "\"d\" is no recipient domain",
        ),
        (r#"{"d":"a.example"}"#.to_owned(), "it tells of no policy"),
        (datagram(""), "it tells of no policy"),
        (
            datagram(r#"{"policy-type":3,"f":0}"#),
            "\"policy-type\" is 3",
        ),
        (
            datagram(r#"{"policy-type":9,"policy-domain":"a..b","f":0}"#),
            "\"policy-domain\" is no",
        ),
        (
            datagram(r#"{"policy-type":9,"f":2}"#),
            "the final result \"f\" is 2",
        ),
        (
            failed(NONE, r#"{"c":200}"#),
            "the failure code \"c\" is 200",
        ),
        (
            failed(NONE, r#"{"c":901}"#),
            "the failure code \"c\" is 901",
        ),
        (datagram(&many(65, one)), "it tells of too many"),
        (
            failed(NONE, &many(65, r#"{"c":201}"#)),
            "it tells of too many",
        ),
        (
            datagram(&format!(
                r#"{{"policy-type":2,"f":0,"mx-host":[{patterns}]}}"#
            )),
            "it tells of too many",
        ),
    ]);
}

#[test]
fn g3_no_datagram_makes_a_panic() {
    let samples = [
        failed(
            STS,
            r#"{"c":204,"s": "192.0.2.1","n": "mx.example.org","h": "250-mx x\r\n250 y","r": "2001:db8::1","a":"x","f": "self-signed_certificate"},{"c":303}"#,
        ),
        datagram(&format!(
            r#"{{{TLSA},"t":0,"f":0}},{{{NONE},"failure-details":[{{"c":203}}],"f":1}}"#
        )),
        format!(r#"{{"dpv": "1","d":"x.example","policies":[{{{NONE},"f":1}}]}}"#),
    ];
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    let mut understood = 0;
    for text in (1..40).flat_map(|seed| sealpost_kit::mutations(seed, &samples)) {
        let Ok(reading) = read(&text) else { continue };
        understood += 1;
        assert!(!reading.told.is_empty());
        for told in &reading.told {
            let policy = &told.policy;
            let lines = policy.policy_string.iter().chain(&policy.mx_host);
            let Ending::Failure(failures) = &told.ending else {
                continue;
            };
            let words = failures.iter().flat_map(|failure| {
                [&failure.mx, &failure.mx_helo, &failure.reason]
                    .into_iter()
                    .flatten()
            });
            for text in lines.chain(words) {
                assert!(
                    !text.contains(|letter: char| letter.is_control()),
                    "{text:?}"
                );
            }
        }
    }
    assert!(understood > 1_000, "{understood}");
}
