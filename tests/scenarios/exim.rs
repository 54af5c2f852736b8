//! Real Exim, both of Debian's builds, with the configurations of `docs/examples`: every recipient
//! domain of the small Internet, and the traps that Exim sets for whoever plugs into it.

use std::collections::BTreeMap;

use sealpost_kit::Delivery;

use crate::mta::{
    exim::Build,
    laboratory::{Counted, Daemon},
    protected::protection_differs,
    stand_in::StandIn,
    truth::{by_domain, report_differs, taken_differs},
    world::World,
};

#[test]
fn every_case_comes_out_as_its_truth_says_light() {
    every_case_comes_out_as_its_truth_says(Build::Light);
}

#[test]
fn every_case_comes_out_as_its_truth_says_heavy() {
    every_case_comes_out_as_its_truth_says(Build::Heavy);
}

/// One message to each domain; then the day ends, and its reports leave through this very Exim.
fn every_case_comes_out_as_its_truth_says(build: Build) {
    let Some(world) = World::start(build) else {
        return;
    };
    let cases = world.cases();
    let daemon = world.start_daemon();
    let mut differences = Vec::new();
    for case in &cases {
        let fate = world.send(&case.domain);
        if (fate.delivered, &fate.mx) != (case.delivered, &case.mx) {
            differences.push(format!("{}: {}", case.domain, fate.line));
        }
    }
    let messages = world.ask("messages");
    differences.extend(
        cases
            .iter()
            .filter_map(|case| taken_differs(case, &messages)),
    );

    let sessions: u64 = cases.iter().map(|case| case.sessions).sum();
    for case in &cases {
        daemon.counted(&case.domain, case.sessions);
    }
    assert_eq!(daemon.counted_in_all(), sessions, "{differences:#?}");
    let domains: Vec<&str> = cases.iter().map(|case| case.domain.as_str()).collect();
    differences.extend(protection_differs(&daemon, &domains));

    let relay = world.listen();
    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", world.daemon_log());
    let wanted = cases.iter().filter(|case| case.report.is_some()).count();
    world.ask(&format!("wait {wanted}"));
    let reports = by_domain(&world.ask("inbox"));
    for case in &cases {
        let landed = reports.get(&case.domain).map(Vec::as_slice);
        differences.extend(report_differs(case, landed));
    }
    assert_eq!(reports.len(), wanted, "{:?}", reports.keys());
    // F12, D6: what the reports travelled by was a session too, and is not counted.
    drop(relay);
    assert_eq!(daemon.counted_in_all(), sessions);
    assert!(
        differences.is_empty(),
        "{differences:#?}\n{}",
        world.daemon_log()
    );
    assert_eq!(world.exim.panic_log(), "");
}

/// Does this with each build that the machine has.
fn with_each_build(test: impl Fn(Build, &World)) {
    for build in Build::ALL {
        if let Some(world) = World::start(build) {
            // Shown where the test fails.
            println!("{build:?}");
            test(build, &world);
        }
    }
}

#[test]
fn g10_a_daemon_or_a_library_that_is_gone_defers() {
    with_each_build(|build, world| {
        let daemon = world.start_daemon();
        assert_eq!(world.send("correct.test").delivered, Delivery::TlsVerified);
        assert_eq!(world.send("no-policy.test").delivered, Delivery::Tls);
        daemon.kill();
        for domain in ["correct.test", "no-policy.test"] {
            let fate = world.send(domain);
            assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        }
        let _daemon = world.start_daemon();
        if build == Build::Heavy {
            std::fs::remove_file(world.path("libsealpost.so")).unwrap();
            for domain in ["correct.test", "no-policy.test"] {
                let fate = world.send(domain);
                assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
            }
        }
    });
}

#[test]
fn g10_a_daemon_that_dies_between_the_policy_and_the_mx_check_lets_nothing_through() {
    with_each_build(|_, world| {
        let _stand_in = StandIn::start(&world.path("plugin.sock"), |line| {
            line.starts_with("POLICY\t").then(|| {
                "verify\tpolicy=token\tmx=mx.correct.test\taudit=no\treason=a policy".to_owned()
            })
        });
        let fate = world.send("correct.test");
        assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        // Not even the sender's address.
        let commands = world.ask("sessions")[0]["commands"].clone();
        let said = commands.to_string();
        assert!(
            !said.contains("STARTTLS") && !said.contains("MAIL"),
            "{said}"
        );
    });
}

#[test]
fn an_answer_that_is_no_level_to_deliver_under_defers() {
    for answer in [
        "",
        "ERROR\trequest: what",
        "defer\treason=later",
        "verifying",
        "refuse\treason=no",
        "quantum\taudit=no\treason=of a later version",
        "may",
    ] {
        with_each_build(|_, world| {
            let answer = answer.to_owned();
            let stand_in =
                StandIn::start(&world.path("plugin.sock"), move |_| Some(answer.clone()));
            let fate = world.send("no-policy.test");
            assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
            assert_eq!(stand_in.lines().len(), 1);
        });
    }
}

/// Exim hands an open connection to the next message that waits for the same host. TLS and the
/// certificate are not looked at again, and nor is the policy of that message's domain.
#[test]
fn a_connection_serves_one_policy_domain() {
    with_each_build(|_, world| {
        // Good for its own domain, and by its policy no MX of the other one.
        world.ask("mx other-mx.test mx.correct.test");
        // Free to use without a policy, and not good enough for its own domain.
        world.ask("mx no-policy.test mx.expired.test");
        let mut domains = ["correct.test", "other-mx.test"].repeat(3);
        domains.extend(["no-policy.test", "expired.test"].repeat(3));
        let _daemon = world.start_daemon();
        for domain in &domains {
            world.queue(&[domain]);
        }
        let mut fates = BTreeMap::new();
        for fate in world.run_queue() {
            let domain = domains
                .iter()
                .find(|domain| fate.line.contains(&format!("@{domain} ")));
            let deliveries = fates.entry(*domain.unwrap()).or_insert_with(Vec::new);
            deliveries.push(fate.delivered);
        }
        let expected = BTreeMap::from([
            ("correct.test", vec![Delivery::TlsVerified; 3]),
            ("other-mx.test", vec![Delivery::Deferred; 3]),
            ("no-policy.test", vec![Delivery::Tls; 3]),
            ("expired.test", vec![Delivery::Deferred; 3]),
        ]);
        assert_eq!(fates, expected, "{}", world.exim.main_log());
    });
}

/// The trial above shows something only if Exim would do it.
#[test]
fn the_configuration_is_what_keeps_connections_apart() {
    with_each_build(|_, world| {
        world.configure(&[
            ("\n  connection_max_messages = 1\n", "\n"),
            ("\n  hosts_noproxy_tls = *\n", "\n"),
            // Exim also gives up a connection whose SNI is not the one the message wants.
            (
                "\n  tls_sni = $acl_m_sealpost_mx\n",
                "\n  tls_sni = $host\n",
            ),
            // The message that may leave opens the connection.
            ("\nnever_users", "\nqueue_run_in_order = true\nnever_users"),
        ]);
        world.ask("mx other-mx.test mx.correct.test");
        let _daemon = world.start_daemon();
        for domain in ["correct.test", "other-mx.test"] {
            world.queue(&[domain]);
        }
        let bypassed = world
            .run_queue()
            .iter()
            .any(|fate| fate.line.contains("=> someone@other-mx.test "));
        assert!(bypassed, "{}", world.exim.main_log());
    });
}

#[test]
fn the_transport_that_the_page_has_one_look_at_shows_what_holds() {
    const PAGE: &str = include_str!("../../docs/install/exim.md");
    let shown = "router = sealpost_remote, transport = sealpost_enforced";
    assert!(PAGE.contains(&format!(
        "    # exim4 -bt someone@example.org\n      {shown}\n"
    )));
    with_each_build(|_, world| {
        let _daemon = world.start_daemon();
        let said = world.route("correct.test");
        assert!(said.contains(shown), "{said}");
        let said = world.route("no-policy.test");
        assert!(
            said.contains("transport = sealpost_opportunistic"),
            "{said}"
        );
    });
}

/// One domain's policy may be wrong about an MX host that many domains use, by accident or in malice.
#[test]
fn a_policy_cuts_no_other_domain_off_from_a_shared_mx() {
    with_each_build(|_, world| {
        world.ask("mx other-mx.test mx.correct.test");
        world.ask("mx no-policy.test mx.expired.test");
        let _daemon = world.start_daemon();
        assert_eq!(world.send("other-mx.test").delivered, Delivery::Deferred);
        assert_eq!(world.send("expired.test").delivered, Delivery::Deferred);
        let fate = world.send("correct.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        let fate = world.send("no-policy.test");
        assert_eq!(fate.delivered, Delivery::Tls, "{}", fate.line);
        // And its own domain is tried again without delay, in case its policy has been mended.
        world.ask("cname mx.other-mx.test mx.elsewhere.test");
        world.ask("certificate mx.elsewhere.test mx.other-mx.test");
        world.ask("mx other-mx.test mx.other-mx.test");
        let fate = world.send("other-mx.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
    });
}

/// How a mail host fails at TLS, and what is counted of it.
const FAILINGS: [(&str, &str); 4] = [
    ("no-starttls", "starttls-not-supported starttls-not-offered"),
    (
        "refuses-starttls",
        "starttls-not-supported starttls-refused",
    ),
    ("handshake-rubbish", "validation-failure not-tls"),
    ("closes-at-handshake", "validation-failure handshake-failed"),
];

/// D5, D15: what fails where nothing is enforced is told as well, each connection once; a second try in
/// the clear is no session of its own.
#[test]
fn d5_what_nothing_enforces_is_told_once() {
    with_each_build(|_, world| {
        let daemon = world.start_daemon();
        fail_in_every_way(
            world,
            &daemon,
            "testing.test",
            "mx.testing.test",
            Delivery::Plain,
        );
        // A recipient refused by SMTP is no business of TLS (D1).
        world.ask("behave mx.none.test refuses-recipients");
        assert_eq!(world.send("none.test").mx, None);
        let good = Counted::good("no-policy-found", 1);
        assert_eq!(daemon.counted("none.test", 1), [good]);
    });
}

/// The same under `enforce`.
#[test]
fn b27_what_is_enforced_and_fails_is_deferred_and_told_once() {
    with_each_build(|_, world| {
        let daemon = world.start_daemon();
        fail_in_every_way(
            world,
            &daemon,
            "correct.test",
            "mx.correct.test",
            Delivery::Deferred,
        );
    });
}

fn fail_in_every_way(
    world: &World,
    daemon: &Daemon<'_>,
    domain: &str,
    mx: &str,
    delivered: Delivery,
) {
    let mut kinds = Vec::new();
    for (behaviour, kind) in FAILINGS {
        world.ask(&format!("behave {mx} {behaviour}"));
        let fate = world.send(domain);
        assert_eq!(fate.delivered, delivered, "{behaviour}: {}", fate.line);
        kinds.push(kind);
        let counted = daemon.counted(domain, kinds.len() as u64);
        let expected = Counted::bad("sts", mx, &kinds);
        assert_eq!(counted, [expected], "{behaviour}");
    }
}

/// The policy is matched against the name in the MX record, and the certificate must carry that same
/// name. Exim's `$host` is where an alias leads, and its own check of the name takes a Common Name.
#[test]
fn b23_b24_pattern_and_certificate_are_held_to_one_name() {
    with_each_build(|_, world| {
        let daemon = world.start_daemon();
        // A good alias: the policy's own name leads to another host, which has a certificate for it.
        world.ask("cname mx.other-mx.test mx.elsewhere.test");
        world.ask("mx other-mx.test mx.other-mx.test");
        world.ask("certificate mx.elsewhere.test mx.other-mx.test");
        let fate = world.send("other-mx.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        assert_eq!(
            daemon.counted("other-mx.test", 1),
            [Counted::good("sts", 1)]
        );
        // A bad one: a stranger's name leads to where the policy points, with a stranger's certificate.
        world.ask("cname mx.evil.test mx.correct.test");
        world.ask("mx correct.test mx.evil.test");
        world.ask("certificate mx.correct.test mx.evil.test");
        let fate = world.send("correct.test");
        assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        assert_eq!(
            daemon.counted("correct.test", 1),
            [Counted::bad(
                "sts",
                "mx.evil.test",
                &["validation-failure sts-mx-mismatch"]
            )]
        );
        // RFC 8461 s4.1 wants an alternative name.
        world.ask("certificate mail.wildcard.test mail.wildcard.test common-name-only");
        let fate = world.send("wildcard.test");
        assert_eq!(fate.delivered, Delivery::Deferred, "{}", fate.line);
        assert_eq!(
            daemon.counted("wildcard.test", 1),
            [Counted::bad(
                "sts",
                "mail.wildcard.test",
                &["certificate-host-mismatch"]
            )]
        );
    });
}

/// B7: where mail goes through a smart host, its policy holds and the recipients' do not.
#[test]
fn b7_a_smart_host_is_the_policy_domain() {
    with_each_build(|_, world| {
        world.configure(&[
            (
                "SEALPOST_DOMAIN = $domain",
                "SEALPOST_DOMAIN = correct.test",
            ),
            (
                "sealpost_remote:\n  driver = dnslookup\n",
                "sealpost_remote:\n  driver = manualroute\n  route_list = * correct.test/mx\n",
            ),
        ]);
        let daemon = world.start_daemon();
        let fate = world.send("expired.test");
        assert_eq!(fate.delivered, Delivery::TlsVerified, "{}", fate.line);
        assert_eq!(fate.mx.as_deref(), Some("mx.correct.test"));
        assert_eq!(daemon.counted("correct.test", 1), [Counted::good("sts", 1)]);
        assert_eq!(daemon.counted_in_all(), 1);
    });
}

/// F10: reports go where the recipient's own policy would stop mail.
#[test]
fn f10_report_mail_is_held_to_no_policy() {
    with_each_build(|_, world| {
        let stand_in = StandIn::start(&world.path("plugin.sock"), |_| {
            Some("defer\treason=nothing may leave".to_owned())
        });
        for (domain, delivered) in [
            ("expired.test", Delivery::Tls),
            ("no-starttls.test", Delivery::Plain),
            ("other-mx.test", Delivery::Tls),
        ] {
            let fate = world.send_report(domain);
            assert_eq!(fate.delivered, delivered, "{}", fate.line);
        }
        assert!(stand_in.lines().is_empty());
        // Only report mail is exempt.
        assert_eq!(world.send("expired.test").delivered, Delivery::Deferred);
    });
}
