//! Replies, read as Postfix reads them.

use std::sync::Arc;

use sealpost_plugin_api::Requirement;

use super::{reply as reply_to, *};
use crate::{
    doors::socketmap_request::NextHop,
    hook::basis::Basis,
    policy::{Mode, PolicyDomain, Standing, StsPolicy, dane::DomainDane},
};

/// The reply about a domain to who may be told `dane-only`.
fn reply(answer: &Answer, map: MapName) -> Reply {
    let asked = Asked {
        map,
        next_hop: NextHop::Domain,
        dane_only: DaneOnly::Told,
    };
    reply_to(answer, asked)
}

/// What Postfix 3.11 makes of what follows `OK `: the level, and each attribute.
type Read = Result<(String, Vec<(String, String)>), String>;

const BLANKS: [u8; 6] = *b" \t\r\n\x0b\x0c";

/// As smtp_tls_policy.c does it, with mystrtokq(), extpar() and split_nameval().
fn postfix_reads(text: &str) -> Read {
    assert!(!text.contains('\0'), "a C string ends there");
    let mut rest = text.as_bytes();
    let level = token(&mut rest).ok_or("empty policy")?.to_vec();
    let mut attributes = Vec::new();
    while let Some(token) = token(&mut rest) {
        let bare = if token.first() == Some(&b'{') {
            within_braces(token)?
        } else {
            token.to_vec()
        };
        attributes.push(name_and_value(&bare)?);
    }
    Ok((String::from_utf8(level).unwrap(), attributes))
}

/// Up to a comma or blank that stands in no braces.
fn token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let separates = |octet: u8| b", \t\r\n".contains(&octet);
    let start = rest.iter().position(|octet| !separates(*octet))?;
    let text = &rest[start..];
    let mut level = 0;
    let end = text.iter().position(|octet| match octet {
        b'{' => {
            level += 1;
            false
        }
        b'}' if level > 0 => {
            level -= 1;
            false
        }
        octet => level == 0 && separates(*octet),
    });
    let end = end.unwrap_or(text.len());
    *rest = text.get(end + 1..).unwrap_or_default();
    Some(&text[..end])
}

fn within_braces(token: &[u8]) -> Result<Vec<u8>, String> {
    let mut level = 0;
    let end = token.iter().position(|octet| {
        level += i32::from(*octet == b'{') - i32::from(*octet == b'}');
        level == 0
    });
    let end = end.ok_or("missing '}'")?;
    if end + 1 != token.len() {
        return Err("text after '}'".to_owned());
    }
    let inner = trim(&token[1..end]);
    let blank = |octet: &u8| if BLANKS.contains(octet) { b' ' } else { *octet };
    Ok(inner.iter().map(blank).collect())
}

fn name_and_value(text: &[u8]) -> Result<(String, String), String> {
    let equals = text.iter().position(|octet| *octet == b'=');
    let (name, value) = text.split_at(equals.ok_or("missing '='")?);
    let (name, value) = (trim(name), trim(&value[1..]));
    if name.is_empty() || name.iter().any(|octet| BLANKS.contains(octet)) {
        return Err(format!("bad name {name:?}"));
    }
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    Ok((text(name), text(value)))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let Some((first, rest)) = text.split_first()
        && BLANKS.contains(first)
    {
        text = rest;
    }
    while let Some((last, rest)) = text.split_last()
        && BLANKS.contains(last)
    {
        text = rest;
    }
    text
}

/// Reads a reply with a policy in it, and holds it to what Postfix makes errors of.
fn policy_in(reply: &Reply) -> Vec<(String, String)> {
    let (level, attributes) = postfix_reads(reply.text.strip_prefix("OK ").unwrap()).unwrap();
    assert_eq!(level, "secure");
    let once = ["servername", "policy_type", "policy_domain"];
    let often = ["match", "mx_host_pattern", "policy_string"];
    for (name, value) in &attributes {
        assert!(
            often.contains(&&**name) || once.contains(&&**name),
            "{name}"
        );
        assert!(!value.is_empty(), "{name}");
    }
    for name in once {
        let times = attributes.iter().filter(|(found, _)| found == name).count();
        assert!(times <= 1, "{name}");
    }
    for (name, value) in &attributes {
        let special = ["hostname", "nexthop", "dot-nexthop"];
        assert!(name != "match" || value.split(':').all(|name| !special.contains(&name)));
    }
    attributes
}

fn values<'a>(attributes: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let named = attributes.iter().filter(|(found, _)| found == name);
    named.map(|(_, value)| value.as_str()).collect()
}

fn domain() -> PolicyDomain {
    "example.org".parse().unwrap()
}

/// What the engine answers for `example.org` with this policy.
fn answer(mx_host: &[&str], policy_string: &[&str]) -> Answer {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let level = Level::Verify {
        mx_patterns: owned(mx_host),
        name: None,
    };
    Answer {
        basis: Basis::of_policy(&level),
        requirement: Requirement::new(level, "a reason"),
        applied: Some(
            AppliedPolicy {
                policy_type: PolicyType::Sts,
                policy_domain: domain(),
                policy_string: owned(policy_string),
                mx_host: owned(mx_host),
            }
            .into(),
        ),
        dane: None,
    }
}

const LINES: [&str; 5] = [
    "version: STSv1",
    "mode: enforce",
    "mx: mx1.example.org",
    "mx: *.example.net",
    "max_age: 604800",
];

#[test]
fn b24_b28_an_enforced_policy_is_told_and_named_where_that_is_understood() {
    let answer = answer(&["mx1.example.org", "*.example.net"], &LINES);
    assert_eq!(
        reply(&answer, MapName::Query),
        Reply {
            text: "OK secure match=mx1.example.org:.example.net servername=hostname".to_owned(),
            told: TellsPostfix::Policy,
        }
    );
    assert_eq!(
        reply(&answer, MapName::QueryWithTlsrpt),
        Reply {
            text: "OK secure match=mx1.example.org:.example.net servername=hostname \
                   policy_type=sts policy_domain=example.org mx_host_pattern=mx1.example.org \
                   mx_host_pattern=*.example.net { policy_string = version: STSv1 } \
                   { policy_string = mode: enforce } { policy_string = mx: mx1.example.org } \
                   { policy_string = mx: *.example.net } { policy_string = max_age: 604800 }"
                .to_owned(),
            told: TellsPostfix::PolicyByName,
        }
    );
}

#[test]
fn b31_whatever_does_not_demand_a_policy_leaves_postfix_to_its_own_settings() {
    for map in MapName::ALL {
        for level in [
            Level::May,
            Level::Encrypt,
            Level::RefuseMx,
            Level::Dane {
                tlsa: Vec::new(),
                name: None,
                names: Vec::new(),
            },
        ] {
            let applied = Some(Arc::clone(
                Standing::for_test(Mode::Testing, &["mx"]).applied(),
            ));
            let requirement = Requirement::new(level, "a reason");
            for answer in [
                Answer::bare(requirement.clone()),
                Answer {
                    requirement: requirement.audited(),
                    applied,
                    dane: None,
                    basis: Basis::NOTHING,
                },
            ] {
                assert_eq!(reply(&answer, map), not_found());
            }
        }
    }
    assert_eq!(not_found().text, "NOTFOUND ");
}

#[test]
fn a_deferral_says_why_in_one_line_of_ascii() {
    for (reason, expected) in [
        ("no answer in time", "TEMP no answer in time".to_owned()),
        ("a\r\nb\u{1b}[2J bücher", "TEMP a??b?[2J b?cher".to_owned()),
        (&"x".repeat(1_000), format!("TEMP {}", "x".repeat(200))),
    ] {
        let answer = Answer::bare(Requirement::new(Level::Defer, reason));
        for map in MapName::ALL {
            let reply = reply(&answer, map);
            assert_eq!((reply.text.as_str(), reply.asker(map)), (&*expected, None));
        }
    }
}

#[test]
fn d10_who_is_expected_to_tell_of_sessions() {
    use MapName::{Query, QueryWithTlsrpt, Sts};
    use TellsPostfix::{DaneOnly, NothingFound, Policy, PolicyByName, PolicyForSome, ToWait};
    for (map, told, expected) in [
        (Query, Policy, Some(Said::Policy)),
        (Query, DaneOnly, Some(Said::DaneOnly)),
        (Query, NothingFound, None),
        (Query, ToWait, None),
        (QueryWithTlsrpt, PolicyByName, Some(Said::PolicyByName)),
        (QueryWithTlsrpt, PolicyForSome, Some(Said::PolicyForSome)),
        (QueryWithTlsrpt, Policy, Some(Said::Policy)),
        (QueryWithTlsrpt, DaneOnly, Some(Said::DaneOnly)),
        (QueryWithTlsrpt, NothingFound, Some(Said::Nothing)),
        (QueryWithTlsrpt, ToWait, None),
        (Sts, Policy, None),
        (Sts, NothingFound, None),
    ] {
        let text = String::new();
        assert_eq!(
            Reply { text, told }.asker(map),
            expected.map(Asker::Telling),
            "{map:?} {told:?}"
        );
    }
}

#[test]
fn g3_policy_text_is_data_whatever_stands_in_it() {
    // What Postfix reads of each, if it is told.
    for (line, expected) in [
        ("version: STSv1", Some("version: STSv1")),
        ("version: STSv1 \t ", Some("version: STSv1")),
        (
            "x: ciphers=export protocols=SSLv3",
            Some("x: ciphers=export protocols=SSLv3"),
        ),
        (
            "x: a, servername=evil.example",
            Some("x: a, servername=evil.example"),
        ),
        ("x: = = =", Some("x: = = =")),
        ("= x", Some("= x")),
        ("x: \"quoted\" \\\" 'so'", Some("x: \"quoted\" \\\" 'so'")),
        (
            "x: bücher 日本 \u{2028} \u{fffd}",
            Some("x: bücher 日本 \u{2028} \u{fffd}"),
        ),
        ("x: [a] (b) <c> # d $e", Some("x: [a] (b) <c> # d $e")),
        ("x: ${f", None),
        ("x: }", None),
        ("x: } policy_type=sts", None),
        ("x: } { ciphers = export", None),
        ("x: {", None),
        ("x: {}", None),
        ("x:\ttab", None),
        ("x: a\rb", None),
        ("x: a\nb", None),
        ("x: a\0b", None),
        ("x: a\u{b}b", None),
        ("x: a\u{7f}b", None),
        ("x: a\u{85}b", None),
        ("", None),
        (" ", None),
    ] {
        let reply = reply(
            &answer(&["mx.example.org"], &["first: 1", line, "last: 2"]),
            MapName::QueryWithTlsrpt,
        );
        let read = policy_in(&reply);
        let expected: Vec<&str> = ["first: 1"]
            .into_iter()
            .chain(expected)
            .chain(["last: 2"])
            .collect();
        assert_eq!(values(&read, "policy_string"), expected, "{line:?}");
        assert_eq!(values(&read, "match"), ["mx.example.org"], "{line:?}");
        assert_eq!(read.len(), expected.len() + 5, "{line:?}: {read:?}");
    }
}

#[test]
fn g3_no_document_brings_an_attribute_of_its_own() {
    let samples: [&[u8]; 3] = [
        b"version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\nx: { y = z }\n",
        b"version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 1\r\nx: a=b, c=d }{\r\n",
        b"version:STSv1\nmx: hostname\nmx: dot-nexthop\nmx: 192.0.2.1\nmode: enforce\nmax_age: 9\n",
    ];
    let mut policies = 0;
    for document in sealpost_kit::mutations(7, &samples) {
        // Also where the policy's own rules would have kept it from us.
        let text = String::from_utf8_lossy(&document);
        let lines: Vec<&str> = text.split('\n').collect();
        assert_only_told(&["mx.example.org"], &lines);
        let Ok(policy) = StsPolicy::parse(&document) else {
            continue;
        };
        let applied = policy.applied(&domain());
        let mx: Vec<&str> = applied.mx_host.iter().map(String::as_str).collect();
        let lines: Vec<&str> = applied.policy_string.iter().map(String::as_str).collect();
        policies += assert_only_told(&mx, &lines);
    }
    assert!(policies > 50, "{policies}");
}

/// Gives how many policies were told: one or none.
fn assert_only_told(mx: &[&str], lines: &[&str]) -> usize {
    let reply = reply(&answer(mx, lines), MapName::QueryWithTlsrpt);
    if reply.told == TellsPostfix::ToWait {
        return 0;
    }
    let read = policy_in(&reply);
    assert_eq!(values(&read, "mx_host_pattern"), mx);
    let told: Vec<&str> = lines.iter().filter_map(|line| told(line)).collect();
    assert_eq!(values(&read, "policy_string"), told);
    assert_eq!(read.len(), 4 + mx.len() + told.len());
    1
}

#[test]
fn b22_words_of_postfix_are_no_names_and_no_name_is_left_empty() {
    for (mx, expected) in [
        (&["hostname", "mx.example.org"][..], Some("mx.example.org")),
        (
            &["*.example.org", "*.example.org", "a.example.org"],
            Some(".example.org:a.example.org"),
        ),
        (&["*.hostname"], Some(".hostname")),
        (&["nexthop", "dot-nexthop", "hostname"], None),
        (&[], None),
    ] {
        for map in MapName::ALL {
            let reply = reply(&answer(mx, &LINES), map);
            match expected {
                Some(expected) => assert_eq!(values(&policy_in(&reply), "match"), [expected]),
                None => assert!(
                    reply.text.starts_with("TEMP the domain's policy"),
                    "{reply:?}"
                ),
            }
        }
    }
}

#[test]
fn what_postfix_finds_in_error_is_not_named() {
    for (name, named) in [
        ("example.org", true),
        ("_a.example.org", true),
        ("xn--bcher-kva.example", true),
        ("1.2.3.4.example", true),
        ("-a.example.org", false),
        ("a-.example.org", false),
        ("1.2.3.4.5", false),
    ] {
        let mut answer = answer(&["mx.example.org"], &LINES);
        let applied = AppliedPolicy {
            policy_domain: name.parse().unwrap(),
            ..answer.applied.as_deref().unwrap().clone()
        };
        answer.applied = Some(applied.into());
        let reply = reply(&answer, MapName::QueryWithTlsrpt);
        assert_eq!(reply.told == TellsPostfix::PolicyByName, named, "{name}");
        policy_in(&reply);
    }
}

#[test]
fn g3_a_reply_is_never_longer_than_postfix_takes() {
    let mx = |count: usize| -> Vec<String> {
        (0..count)
            .map(|number| format!("mx{number}.example.org"))
            .collect()
    };
    let long = |count: usize| {
        let mx = mx(count);
        let mx: Vec<&str> = mx.iter().map(String::as_str).collect();
        let lines: Vec<String> = mx.iter().map(|mx| format!("mx: {mx}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        reply(&answer(&mx, &lines), MapName::QueryWithTlsrpt)
    };
    let mut seen = Vec::new();
    for count in (100..8_000).step_by(100) {
        let reply = long(count);
        assert!(reply.text.len() <= REPLY_OCTETS_MAX, "{count}");
        if reply.told == TellsPostfix::ToWait {
            assert!(reply.text.contains("more MX hosts than Postfix takes"));
        } else {
            let read = policy_in(&reply);
            assert_eq!(values(&read, "match")[0].split(':').count(), count);
        }
        if seen.last() != Some(&reply.told) {
            seen.push(reply.told);
        }
    }
    let expected = [
        TellsPostfix::PolicyByName,
        TellsPostfix::Policy,
        TellsPostfix::ToWait,
    ];
    assert_eq!(seen, expected);
}

#[test]
fn b36_an_answer_for_some_of_the_hosts_names_them_alone() {
    let mut answer = answer(&["mx1.example.org", "*.example.net"], &LINES);
    let hosts = ["10 mx1.example.org none", "20 mx2.example.net records"];
    answer.dane = Some(DomainDane::for_test(&hosts).into());
    answer.basis.dane = crate::hook::basis::DaneRole::Decides;
    let told = reply(&answer, MapName::QueryWithTlsrpt);
    assert_eq!(told.told, TellsPostfix::PolicyForSome);
    let read = policy_in(&told);
    assert_eq!(values(&read, "match"), ["mx1.example.org"]);
    assert_eq!(values(&read, "mx_host_pattern"), ["mx1.example.org"]);
    assert_eq!(values(&read, "policy_string"), LINES);
    assert_eq!(
        reply(&answer, MapName::Query).text,
        "OK secure match=mx1.example.org servername=hostname"
    );
    // sendmail does DANE itself.
    assert_eq!(
        reply(&answer, MapName::Sts).text,
        "OK secure match=mx1.example.org:.example.net servername=hostname"
    );
    let hosts = ["10 mx1.example.org records"];
    answer.dane = Some(DomainDane::for_test(&hosts).into());
    for (map, expected) in [
        (MapName::QueryWithTlsrpt, "OK dane-only"),
        (MapName::Query, "OK dane-only"),
        (
            MapName::Sts,
            "OK secure match=mx1.example.org:.example.net servername=hostname",
        ),
    ] {
        assert_eq!(reply(&answer, map).text, expected);
    }
    let (level, attributes) = postfix_reads("dane-only").unwrap();
    assert_eq!((level.as_str(), attributes.len()), ("dane-only", 0));
}

#[test]
fn c17_who_is_told_dane_only_by_the_setting_and_the_resolvers() {
    let marked = || {
        let resolvers = Resolvers::default();
        resolvers.saw(SignedAnswers::Marked);
        Arc::new(resolvers)
    };
    let (told, untold) = (DaneOnly::Told, DaneOnly::Untold);
    for (setting, resolvers, now, elsewhere) in [
        (TellsDane::Auto, marked(), told, untold),
        (TellsDane::Auto, Arc::default(), untold, untold),
        (TellsDane::Always, Arc::default(), told, told),
        (TellsDane::Never, marked(), untold, untold),
    ] {
        let telling = TellingDane::new(setting, Arc::default()).by(resolvers);
        let found = (telling.now(), telling.elsewhere());
        assert_eq!(found, (now, elsewhere), "{setting:?}");
    }
}

#[test]
fn c18_what_is_not_enforced_is_told_without_attributes() {
    use MapName::{Query, QueryWithTlsrpt, Sts};
    let hosts = DomainDane::for_test(&["10 mx1.example.org records"]);
    let answer = Answer {
        dane: Some(hosts.into()),
        ..Answer::bare(Requirement::new(Level::May, "a reason"))
    };
    for (map, text, asker) in [
        (Query, "OK may", None),
        (QueryWithTlsrpt, "OK may", Some(Said::NothingDemanded)),
        (Sts, "NOTFOUND ", None),
    ] {
        let reply = reply(&answer, map);
        let found = (reply.text.as_str(), reply.asker(map));
        assert_eq!(found, (text, asker.map(Asker::Telling)), "{map:?}");
    }
}
