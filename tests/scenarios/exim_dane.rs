//! Real Exim and DANE: Sealpost says of each MX host whether it is for DANE, and Exim does it.

use sealpost_kit::{Case, Delivery};

use crate::mta::{
    exim::{Build, Fate},
    laboratory::{Counted, Domains},
    protected::protection_differs,
    stand_in::StandIn,
    truth::{by_domain, report_differs, taken_differs},
    world::World,
};

/// Does this with each build that the machine has.
fn with_each_build(test: impl Fn(&World)) {
    for build in Build::ALL {
        if let Some(world) = World::start_with(build, Domains::Postfix) {
            // Shown where the test fails.
            println!("{build:?}");
            test(&world);
        }
    }
}

/// Where Exim, which asks about each host, does better than one answer for a whole domain can say.
const BETTER: [&str; 2] = ["dane-better-bad.test", "dane-worse-bad.test"];

#[test]
fn every_case_with_dane_comes_out_as_its_truth_says_light() {
    every_case_with_dane_comes_out_as_its_truth_says(Build::Light);
}

#[test]
fn every_case_with_dane_comes_out_as_its_truth_says_heavy() {
    every_case_with_dane_comes_out_as_its_truth_says(Build::Heavy);
}

fn every_case_with_dane_comes_out_as_its_truth_says(build: Build) {
    let Some(world) = World::start_with(build, Domains::Postfix) else {
        return;
    };
    let mut cases = world.cases();
    cases.retain(|case| case.policy.contains("DANE"));
    let all = cases.len();
    cases.retain(|case| !BETTER.contains(&case.domain.as_str()));
    assert_eq!(cases.len() + BETTER.len(), all);
    let daemon = world.start_daemon();
    let mut differences = Vec::new();
    let mut truths: Vec<&Case> = Vec::new();
    for case in &cases {
        let fate = world.send(&case.domain);
        let truth = case.as_taken_by(fate.mx.as_deref());
        // Which host it was the mail hosts say: Exim names the end of an alias.
        if (seen(&fate, truth), fate.mx.is_some()) != (truth.delivered, truth.mx.is_some()) {
            differences.push(format!("{}: {}", case.domain, fate.line));
        }
        truths.push(truth);
    }
    let messages = world.ask("messages");
    differences.extend(
        truths
            .iter()
            .filter_map(|case| taken_differs(case, &messages)),
    );
    for case in &truths {
        daemon.counted(&case.domain, case.sessions);
    }
    let sessions: u64 = truths.iter().map(|case| case.sessions).sum();
    assert_eq!(daemon.counted_in_all(), sessions, "{differences:#?}");
    let domains: Vec<&str> = cases.iter().map(|case| case.domain.as_str()).collect();
    differences.extend(protection_differs(&daemon, &domains));

    let _relay = world.listen();
    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", world.daemon_log());
    let wanted = truths.iter().filter(|case| case.report.is_some()).count();
    world.ask(&format!("wait {wanted}"));
    let reports = by_domain(&world.ask("inbox"));
    for case in &truths {
        let landed = reports.get(&case.domain).map(Vec::as_slice);
        differences.extend(report_differs(case, landed));
    }
    assert!(
        differences.is_empty(),
        "{differences:#?}\n{}",
        world.exim.main_log()
    );
    assert_eq!(world.exim.panic_log(), "");
}

/// How a message ended. Exim verifies what it can, and its log does not say whether that was demanded of the
/// host: a certificate of a public authority is to be expected where nothing is.
fn seen(fate: &Fate, truth: &Case) -> Delivery {
    let by_authority = fate.line.contains(" CV=yes ");
    match (fate.delivered, truth.delivered) {
        (Delivery::TlsVerified, Delivery::Tls) if by_authority => Delivery::Tls,
        (delivered, _) => delivered,
    }
}

/// A policy is enforced, and one of two MX has TLSA records: each is held to its own.
#[test]
fn c12_each_mx_is_held_to_its_own_rule() {
    with_each_build(|world| {
        let daemon = world.start_daemon();
        // The records of the first are not matched; the policy is content with the second.
        let fate = world.send("dane-better-bad.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        let mx = "mx2.dane-better-bad.test";
        assert_eq!(fate.mx.as_deref(), Some(mx), "{}", fate.line);
        let no_match = ["validation-failure dane-no-match"];
        assert_eq!(
            daemon.counted("dane-better-bad.test", 3),
            [
                Counted::bad("tlsa", "mx1.dane-better-bad.test", &no_match),
                Counted::good("sts", 2)
            ]
        );
        // The policy is not content with the first; the second, which nobody signed, has its record.
        let fate = world.send("dane-worse-bad.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        let mx = "mx2.dane-worse-bad.test";
        assert_eq!(fate.mx.as_deref(), Some(mx), "{}", fate.line);
        let mut counted = daemon.counted("dane-worse-bad.test", 3);
        counted.sort_by(|one, other| one.policy_type.cmp(&other.policy_type));
        let kinds: Vec<&str> = counted
            .iter()
            .flat_map(|policy| &policy.details)
            .map(|(kind, ..)| kind.as_str())
            .collect();
        assert_eq!(counted[1], Counted::good("tlsa", 1));
        assert_eq!((counted[0].successes, counted[0].failures), (0, 2));
        assert_eq!(kinds.len(), 2, "{kinds:?}");
        assert!(kinds[0].starts_with("certificate-expired"), "{kinds:?}");
        assert!(kinds[1].starts_with("certificate-not-trusted"), "{kinds:?}");
    });
}

/// Nothing is enforced but TLSA records, and the second MX has none: nothing is demanded of it.
#[test]
fn c12_an_mx_without_tlsa_records_beside_one_with_is_free() {
    with_each_build(|world| {
        let (first, second) = ("mx1.dane-twomx.test", "mx2.dane-twomx.test");
        world.ask(&format!("tlsa _25._tcp.{second}"));
        let daemon = world.start_daemon();
        let fate = world.send("dane-twomx.test");
        assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
        let no_match = ["validation-failure dane-no-match"];
        assert!(
            daemon
                .counted("dane-twomx.test", 2)
                .contains(&Counted::bad("tlsa", first, &no_match))
        );
        world.ask(&format!("mx dane-twomx.test {second} {first}"));
        for (behaviour, _) in FAILINGS {
            world.ask(&format!("behave {second} {behaviour}"));
            let fate = world.send("dane-twomx.test");
            assert_eq!(
                fate.delivered,
                Delivery::Plain,
                "{behaviour}: {}",
                fate.line
            );
        }
        let counted = daemon.counted("dane-twomx.test", 6);
        let mut free = counted.iter();
        let free = free.find(|policy| policy.policy_type == "no-policy-found");
        assert_eq!(
            free.map(|policy| (policy.successes, policy.failures)),
            Some((1, 4)),
            "{counted:?}"
        );
    });
}

/// The digest of the small Internet's root, in hexadecimal.
fn digest_of_root(world: &World) -> String {
    let root = world.path("internet/ca.pem");
    let command = format!(
        "openssl x509 -in {} -outform der | sha256sum",
        root.display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .unwrap();
    let digest = String::from_utf8(output.stdout).unwrap();
    digest.split(' ').next().unwrap().to_owned()
}

/// C14: the record names an authority, which the server sends along. That Exim trusts the same authority
/// lets no certificate for another name through.
#[test]
fn c14_an_authority_vouches_for_the_name_of_the_mx() {
    with_each_build(|world| {
        let mx = "mx.dane-ok.test";
        let root = digest_of_root(world);
        assert_eq!(root.len(), 64, "openssl is needed");
        world.ask(&format!("tlsa _25._tcp.{mx} 2 0 1 {root}"));
        world.ask(&format!("certificate {mx} {mx}"));
        let daemon = world.start_daemon();
        let fate = world.send("dane-ok.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        daemon.counted("dane-ok.test", 1);
        world.ask(&format!("certificate {mx} mx.elsewhere.test"));
        let fate = world.send("dane-ok.test");
        assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        let counted = daemon.counted("dane-ok.test", 2);
        assert_eq!((counted[0].successes, counted[0].failures), (1, 1));
        assert_eq!(
            counted[0].details[0].0, "certificate-host-mismatch dane-name-mismatch",
            "{counted:?}"
        );
        // Without Sealpost's settings it would be let through.
        world.configure(&[(
            "  tls_verify_certificates = ${if eq{SEALPOST_LEVEL}{dane}{}{system}}\n",
            "\n",
        )]);
        let fate = world.send("dane-ok.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
    });
}

/// RFC 7672 s2.2.1: Exim does no DANE below MX records that are not signed. Sealpost looks for it.
#[test]
fn c10_tlsa_records_below_unsigned_mx_records_are_checked() {
    with_each_build(|world| {
        let mx = "mx.insecure-mx.test";
        world.ask(&format!("tlsa _25._tcp.{mx} 3 1 1 {}", "00".repeat(32)));
        let daemon = world.start_daemon();
        let fate = world.send("insecure-mx.test");
        assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        let no_match = ["validation-failure dane-no-match"];
        assert_eq!(
            daemon.counted("insecure-mx.test", 1),
            [Counted::bad("tlsa", mx, &no_match)]
        );
    });
}

/// How a mail host fails at TLS, and what is counted of it.
const FAILINGS: [(&str, &str); 4] = [
    ("no-starttls", "starttls-not-supported starttls-not-offered"),
    ("handshake-rubbish", "validation-failure not-tls"),
    ("closes-at-handshake", "validation-failure handshake-failed"),
    // Last, for after it Exim leaves the host alone for longer.
    (
        "refuses-starttls",
        "starttls-not-supported starttls-refused",
    ),
];

#[test]
fn d8_what_fails_under_tlsa_records_is_deferred_and_told_once() {
    with_each_build(|world| {
        let daemon = world.start_daemon();
        let mx = "mx.dane-ok.test";
        let mut kinds = Vec::new();
        for (behaviour, kind) in FAILINGS {
            world.ask(&format!("behave {mx} {behaviour}"));
            let fate = world.send("dane-ok.test");
            assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
            kinds.push(kind);
            let counted = daemon.counted("dane-ok.test", kinds.len() as u64);
            assert_eq!(counted, [Counted::bad("tlsa", mx, &kinds)], "{behaviour}");
        }
    });
}

/// C17: the operator demands DANE of a domain that has none. C18: he does without it for others, and then
/// the policy decides alone, or nothing does.
#[test]
fn c17_c18_the_operator_demands_dane_or_does_without_it() {
    const OVERRIDES: &str = "[domain.\"sts-enforce.test\"]\nmode = \"dane-only\"\n\
        [domain.\"dane-bad.test\"]\nmode = \"without-dane\"\n\
        [domain.\"both-bad-dane.test\"]\nmode = \"without-dane\"\n";
    with_each_build(|world| {
        let daemon = world.start_daemon_with(OVERRIDES);
        for (domain, delivered, counted) in [
            (
                "sts-enforce.test",
                Delivery::Deferred,
                Counted::bad(
                    "tlsa",
                    "mx.sts-enforce.test",
                    &["dane-required no-usable-tlsa-records"],
                ),
            ),
            (
                "dane-bad.test",
                Delivery::Tls,
                Counted::good("no-policy-found", 1),
            ),
            (
                "both-bad-dane.test",
                Delivery::TlsVerified,
                Counted::good("sts", 1),
            ),
        ] {
            let fate = world.send(domain);
            assert_eq!(fate.delivered, delivered, "{}", fate.line);
            assert_eq!(daemon.counted(domain, 1), [counted], "{domain}");
        }
    });
}

/// C18: what DANE would refuse is delivered where it is only watched, and told.
#[test]
fn c18_dane_that_is_only_watched_stops_nothing() {
    with_each_build(|world| {
        let daemon = world.start_daemon_with("[dane]\naudit = true\n");
        let fate = world.send("dane-bad.test");
        assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
        let kinds = ["validation-failure dane-no-match"];
        assert_eq!(
            daemon.counted("dane-bad.test", 1),
            [Counted::bad("tlsa", "mx.dane-bad.test", &kinds)]
        );
    });
}

/// glibc hides from Exim what is signed, or its resolver does not say: mail waits, comes back to nobody,
/// and the recipient domain is not told of trouble that is not its own.
#[test]
fn c2_an_exim_that_does_not_see_what_is_signed_lets_nothing_through() {
    with_each_build(|world| {
        std::fs::write(world.path("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
        let daemon = world.start_daemon();
        let fate = world.send("dane-ok.test");
        assert!(fate.line.contains(" == "), "{}", fate.line);
        assert!(
            world
                .exim
                .main_log()
                .contains("Exim sees no secure TLSA records"),
            "{}",
            world.exim.main_log()
        );
        assert_eq!(world.send("both.test").delivered, Delivery::Deferred);
        // Where DANE has no say all is as ever.
        assert_eq!(
            world.send("sts-enforce.test").delivered,
            Delivery::TlsVerified
        );
        daemon.counted("sts-enforce.test", 1);
        assert_eq!(daemon.counted_in_all(), 1);
    });
}

/// The trial above shows something only if Exim would do otherwise: it returns the mail of hosts that
/// it is to require DANE of and that it sees no DNSSEC of.
#[test]
fn the_configuration_is_what_keeps_mail_from_bouncing() {
    with_each_build(|world| {
        world.configure(&[(
            "  hosts_require_dane = ${acl{sealpost_begin}{enforced}}\n",
            "  hosts_require_dane = ${acl{sealpost_begin}{enforced}}*\n",
        )]);
        let _daemon = world.start_daemon();
        let fate = world.send("sts-enforce.test");
        assert!(fate.line.contains(" ** "), "{}", fate.line);
    });
}

/// Says of `sts-enforce.test`, which has a good certificate and nothing signed, that DANE is for its MX.
fn dane_for_all(line: &str) -> Option<String> {
    let records = "3:1:1:0000000000000000000000000000000000000000000000000000000000000000";
    Some(match line.split('\t').next() {
        Some("SESSION") => "OK".to_owned(),
        _ => format!(
            "dane\tpolicy=token\ttlsa={records}\tname=mx.sts-enforce.test\taudit=no\treason=DANE"
        ),
    })
}

/// Whatever keeps Exim from DANE where it is demanded, an authority's word does not do in its place.
#[test]
fn c13_nothing_stands_in_for_dane() {
    let event = "  event_action = ${acl{sealpost_event}{enforced}}\n";
    let try_dane = "  hosts_try_dane = ${if eq{SEALPOST_LEVEL}{dane}{*}}\n";
    let broken = "${acl{there_is_none}}\n";
    let (no_event, no_dane) = (
        format!("  event_action = {broken}"),
        format!("  hosts_try_dane = {broken}"),
    );
    for replacements in [
        vec![],
        vec![(try_dane, no_dane.as_str())],
        vec![(event, no_event.as_str())],
        vec![(event, no_event.as_str()), (try_dane, no_dane.as_str())],
    ] {
        with_each_build(|world| {
            world.configure(&replacements);
            let stand_in = StandIn::start(&world.path("plugin.sock"), dane_for_all);
            let fate = world.send("sts-enforce.test");
            assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
            assert!(fate.line.contains(" == "), "{}", fate.line);
            assert!(!stand_in.lines().is_empty());
            let said = world.ask("sessions")[0]["commands"].to_string();
            assert!(!said.contains("MAIL"), "{said}");
        });
    }
}

/// The daemon is gone, or says what nobody understands, when it is asked about the host.
#[test]
fn g10_an_mx_that_nobody_can_be_asked_about_gets_nothing() {
    for answer in [
        None,
        Some("quantum\treason=new"),
        Some("ERROR\trequest: what"),
    ] {
        with_each_build(|world| {
            let _stand_in = StandIn::start(&world.path("plugin.sock"), move |line| {
                match line.starts_with("POLICY\t") {
                    true => Some("dane\taudit=no\treason=ask about each".to_owned()),
                    false => answer.map(str::to_owned),
                }
            });
            let fate = world.send("dane-ok.test");
            assert!(fate.line.contains(" == "), "{}", fate.line);
            let said = world.ask("sessions")[0]["commands"].to_string();
            assert!(
                !said.contains("STARTTLS") && !said.contains("MAIL"),
                "{said}"
            );
        });
    }
}

/// The same where Exim cannot even ask, or has forgotten what it was told of the host.
#[test]
fn g10_an_mx_that_exim_does_not_ask_about_gets_nothing() {
    let begin = "  hosts_require_dane = ${acl{sealpost_begin}{enforced}}\n";
    for broken in [
        "  hosts_require_dane = ${acl{there_is_none}}\n",
        "  hosts_require_dane =\n",
    ] {
        with_each_build(|world| {
            world.configure(&[(begin, broken)]);
            let _daemon = world.start_daemon();
            for domain in ["dane-ok.test", "sts-enforce.test"] {
                let fate = world.send(domain);
                assert!(fate.line.contains(" == "), "{}", fate.line);
            }
            let said = world.ask("sessions").to_string();
            assert!(
                !said.contains("STARTTLS") && !said.contains("MAIL"),
                "{said}"
            );
        });
    }
}
