//! What MTAs are told in good and in bad times: policies that outlive the daemon, the resolver and
//! the policy host, and what an operator can see and do about them.

use std::{io::Write as _, net::UdpSocket, os::unix::net::UnixStream};

use sealpost::config::PolicyConfig;
use sealpost_kit::{Answer, DnsFault, PolicyHost};
use serde_json::json;

use super::host::{Host, field, level, until};

fn ask(host: &Host, domain: &str) -> String {
    let answer = host.say(&format!("POLICY\t{domain}"));
    assert!(!field(&answer, "reason").is_empty(), "{answer}");
    answer
}

#[test]
fn b32_b33_a_kept_policy_outlives_daemon_resolver_and_policy_host() {
    let mut host = Host::new();
    let daemon = host.start();
    let before = ask(&host, "correct.test");
    assert_eq!(level(&before), "verify");
    assert_eq!(level(&ask(&host, "no-policy.test")), "may");
    daemon.kill();

    host.cut_off();
    // What DANE asks for then is in the next test.
    host.set("dane.validation", "off");
    let daemon = host.start();
    let after = ask(&host, "correct.test");
    assert_eq!(level(&after), "verify");
    assert_eq!(field(&after, "policy"), field(&before, "policy"));
    let refused = host.say("MX\tcorrect.test\tmx.elsewhere.test");
    assert_eq!(level(&refused), "refuse");
    // B38: of this one nothing is known, so nothing is demanded.
    let unknown = ask(&host, "never-asked.test");
    assert_eq!(level(&unknown), "may", "{unknown}");
    // Past its end the policy is gone.
    host.advance_clock_seconds(604_800);
    assert_eq!(level(&ask(&host, "correct.test")), "may");
    assert!(daemon.stop().success());
}

#[test]
fn c2_where_nobody_answers_at_the_start_mail_waits_and_an_enforced_policy_is_the_floor() {
    let mut host = Host::new();
    let daemon = host.start();
    assert_eq!(level(&ask(&host, "correct.test")), "verify");
    daemon.kill();

    host.cut_off();
    let daemon = host.start();
    host.wait_for_log("nobody answers yet");
    // Whether this one has TLSA records nobody knows.
    assert_eq!(level(&ask(&host, "never-asked.test")), "defer");
    assert_eq!(level(&ask(&host, "correct.test")), "verify");
    assert!(daemon.stop().success());
}

fn publish(host: &Host, id: &str, mx: &str) {
    let internet = &host.internet;
    let txt = format!("v=STSv1; id={id};");
    internet.dns.set_txt("_mta-sts.correct.test", &[&txt]);
    internet.policy_hosts.set_answer(
        "mta-sts.correct.test",
        Answer::document(&format!(
            "version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 604800\n"
        )),
    );
}

#[test]
fn b30_b35_a_new_id_is_followed_once_the_old_record_has_lived_its_time() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(field(&ask(&host, "correct.test"), "mx"), "mx.correct.test");
    publish(&host, "2", "mx.moved.test");
    assert_eq!(
        field(&ask(&host, "correct.test"), "mx"),
        "mx.correct.test",
        "the record has a minute to live"
    );
    host.advance_clock_seconds(61);
    assert_eq!(field(&ask(&host, "correct.test"), "mx"), "mx.moved.test");
    // Before an MX is turned away the record is looked up past every cache.
    publish(&host, "3", "mx.moved-again.test");
    let answer = host.say("MX\tcorrect.test\tmx.moved-again.test");
    assert_eq!(level(&answer), "verify", "{answer}");
    // A new id whose document is not to be had leaves the old policy in force, and that is noted.
    host.internet
        .dns
        .set_txt("_mta-sts.correct.test", &["v=STSv1; id=4;"]);
    let gone = Answer::status(404);
    let policy_hosts = &host.internet.policy_hosts;
    policy_hosts.set_answer("mta-sts.correct.test", gone);
    host.advance_clock_seconds(61);
    let answer = ask(&host, "correct.test");
    assert_eq!(field(&answer, "mx"), "mx.moved-again.test");
    let shown = host.shown(&["policy", "show", "correct.test"]);
    assert!(shown.contains("id        3\n"), "{shown}");
    assert!(
        shown.contains("trouble   sts-policy-fetch-error: ") && shown.contains("(id 4, "),
        "{shown}"
    );
    let shown = host.shown(&["sessions", "--domain", "correct.test"]);
    assert!(shown.contains("sts-policy-fetch-error"), "{shown}");
    assert!(daemon.stop().success());
}

#[test]
fn an_operator_sees_refreshes_and_forgets_policies() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(host.shown(&["policy", "list"]), "No policy is kept.\n");
    ask(&host, "correct.test");
    ask(&host, "testing.test");
    let list = host.shown(&["policy", "list"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(
        lines.len() == 3 && lines[1].starts_with("correct.test  enforce  20260101T000000"),
        "{list}"
    );
    let refreshed = host.shown(&["policy", "refresh", "correct.test"]);
    assert!(refreshed.contains("the same policy was fetched again"));
    publish(&host, "20260101T000000", "mx.changed.test");
    let refreshed = host.json(&["policy", "refresh", "correct.test"]);
    assert_eq!(refreshed["outcome"], "new");
    assert_eq!(refreshed["policy"]["mx"], json!(["mx.changed.test"]));
    assert_eq!(field(&ask(&host, "correct.test"), "mx"), "mx.changed.test");

    host.internet.policy_hosts.remove("mta-sts.correct.test");
    let failed = host.run(&["policy", "refresh", "correct.test"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(level(&ask(&host, "correct.test")), "verify");
    let purged = host.run(&["policy", "purge", "correct.test"]);
    assert_eq!(purged.status.code(), Some(0));
    assert_eq!(level(&ask(&host, "correct.test")), "may");
    let none = host.run(&["policy", "show", "correct.test"]);
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(none.stderr).unwrap(),
        "sealpost: no policy of correct.test is kept\n"
    );
    assert!(daemon.stop().success());
}

#[test]
fn b34_a_kept_policy_is_refreshed_in_the_background_before_it_expires() {
    let host = Host::new();
    let daemon = host.start();
    ask(&host, "correct.test");
    let expires = || {
        let policies = host.json(&["policy", "list"])["policies"].clone();
        policies[0]["expires_at"].as_str().unwrap().to_owned()
    };
    let before = expires();
    // Nobody asks, and the record is gone.
    host.internet.dns.remove("_mta-sts.correct.test");
    host.advance_clock_seconds(2 * 86_400);
    until("the policy is fetched again", || {
        (expires() > before).then_some(())
    });
    assert_eq!(
        host.internet
            .policy_hosts
            .times_requested("mta-sts.correct.test"),
        2
    );
    assert!(daemon.stop().success());
}

/// A resolver that hears every question and says nothing.
fn silent_resolver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[test]
fn g10_when_unknown_speaks_only_when_nothing_is_known_in_time() {
    for (when_unknown, expected) in [("defer", "defer"), ("may", "may")] {
        let mut host = Host::new();
        host.set("policy.when_unknown", when_unknown);
        let daemon = host.start();
        assert_eq!(level(&ask(&host, "correct.test")), "verify");
        assert!(daemon.stop().success());

        let (resolver, address) = silent_resolver();
        let servers = vec![toml::Value::from(address)];
        host.set("dns.servers", servers);
        host.set("dns.timeout_ms", 2_000);
        // With DANE mail waits for a lookup that has failed, whatever the setting says.
        host.set("dane.validation", "off");
        let daemon = host.start();
        let hurried = |domain: &str| host.say(&format!("POLICY\t{domain}\tdeadline-ms=100"));
        // The deadline comes before the resolver is given up.
        let answer = hurried("elsewhere.test");
        assert_eq!(level(&answer), expected, "{answer}");
        let answer = host.say("MX\telsewhere.test\tmx.elsewhere.test\tdeadline-ms=100");
        assert_eq!(level(&answer), expected, "{answer}");
        assert_eq!(host.counter("policy_queries_unanswerable"), 2);
        // What is kept is known, whatever the resolver does.
        assert_eq!(level(&hurried("correct.test")), "verify");
        let refused = host.say("MX\tcorrect.test\tmx.elsewhere.test\tdeadline-ms=100");
        assert_eq!(level(&refused), "refuse", "{refused}");
        // B38: once it is sure that the resolver does not answer, nothing was discovered.
        assert_eq!(level(&ask(&host, "elsewhere.test")), "may");
        resolver.set_nonblocking(true).unwrap();
        assert!(resolver.recv(&mut [0; 512]).is_ok(), "nobody was asked");
        assert!(daemon.stop().success());
    }
}

#[test]
fn b38_a_failed_lookup_with_nothing_kept_is_opportunistic_and_is_tried_again() {
    let host = Host::new();
    let daemon = host.start();
    let record = "_mta-sts.correct.test";
    host.internet.dns.fail(record, DnsFault::ServFail);
    assert_eq!(level(&ask(&host, "correct.test")), "may");
    host.internet.dns.heal(record);
    host.advance_clock_seconds(11);
    assert_eq!(level(&ask(&host, "correct.test")), "verify");
    host.wait_for_log("_mta-sts lookup failed");
    assert!(daemon.stop().success());
}

#[test]
fn a_slow_policy_host_holds_up_its_own_domain_only() {
    let mut host = Host::new();
    // It takes connections and says nothing.
    let slow = std::net::TcpListener::bind("127.0.66.2:0").unwrap();
    let internet = &host.internet;
    internet
        .dns
        .set_txt("_mta-sts.slow.test", &["v=STSv1; id=1;"]);
    internet
        .dns
        .set_addresses("mta-sts.slow.test", &["127.0.66.2".parse().unwrap()]);
    let good = internet.authority.issue(&["mta-sts.slow.test"]).unwrap();
    internet.policy_hosts.set(
        "mta-sts.slow.test",
        PolicyHost {
            certificate: good,
            answer: Answer::status(503),
        },
    );
    let port = slow.local_addr().unwrap().port();
    host.set("policy.fetch_timeout_seconds", 60);
    host.set("policy.https_port", i64::from(port));
    let daemon = host.start();
    let answers = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| host.say("POLICY\tslow.test\tdeadline-ms=3000"));
        assert_eq!(level(&ask(&host, "no-policy.test")), "may");
        waiting.join().unwrap()
    });
    assert_eq!(level(&answers), "defer", "{answers}");
    assert!(slow.accept().is_ok(), "nobody came");
    assert!(daemon.stop().success());
}

#[test]
fn g6_more_policy_hosts_that_hang_than_fetches_hold_up_no_domain_that_is_known() {
    let host = Host::new();
    let internet = &host.internet;
    // They take connections and say nothing.
    let port = internet.policy_hosts.address().port();
    let hanging = std::net::TcpListener::bind(("127.0.66.3", port)).unwrap();
    hanging.set_nonblocking(true).unwrap();
    let domains: Vec<String> = (0..300).map(|number| format!("h{number}.test")).collect();
    for domain in &domains {
        let (record, policy_host) = (format!("_mta-sts.{domain}"), format!("mta-sts.{domain}"));
        internet.dns.set_txt(&record, &["v=STSv1; id=1;"]);
        let address = "127.0.66.3".parse().unwrap();
        internet.dns.set_addresses(&policy_host, &[address]);
    }
    let daemon = host.start();
    assert_eq!(level(&ask(&host, "correct.test")), "verify");
    let _waiting: Vec<UnixStream> = domains
        .iter()
        .map(|domain| {
            let mut client = UnixStream::connect(host.plugin_socket()).unwrap();
            writeln!(client, "POLICY\t{domain}").unwrap();
            client
        })
        .collect();
    let mut taken = Vec::new();
    until("every fetch that may run hangs", || {
        taken.extend(hanging.accept());
        (taken.len() == PolicyConfig::default().fetches_max).then_some(())
    });
    // Known from memory; known, but to be looked up again; without a policy.
    for (later_seconds, domain, expected) in [
        (0, "correct.test", "verify"),
        (3_601, "correct.test", "verify"),
        (0, "no-policy.test", "may"),
    ] {
        host.advance_clock_seconds(later_seconds);
        let answer = host.say(&format!("POLICY\t{domain}\tdeadline-ms=5000"));
        assert_eq!(level(&answer), expected, "{answer}");
        assert!(!answer.contains("is not known"), "{answer}");
    }
    daemon.kill();
}

#[test]
fn a_domain_is_checked_through_the_daemon_and_without_it() {
    let host = Host::new();
    let daemon = host.start();
    let cases = [
        ("correct.test", 0, "goes over TLS with a valid certificate"),
        ("testing.test", 0, "testing"),
        ("none.test", 0, "Mail is delivered"),
        ("no-policy.test", 0, "The domain announces no policy."),
        ("policy-down.test", 0, "sts-policy-fetch-error"),
        ("policy-certificate.test", 0, "sts-webpki-invalid"),
        ("policy-rubbish.test", 0, "sts-policy-invalid"),
        ("other-mx.test", 1, "refuse"),
        ("wildcard.test", 0, "*.wildcard.test"),
        ("two-mx.test", 0, "2 of 2 MX hosts"),
        ("no-rua.test", 0, "The domain wants no reports."),
        ("nowhere.test", 1, "There is no host to deliver mail to."),
    ];
    for (domain, code, holds) in cases {
        for flags in [&[][..], &["--no-daemon"]] {
            let output = host.run(&[&["check", domain], flags].concat());
            let shown = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(code), "{domain} {flags:?}");
            assert!(shown.contains(holds), "{domain} {flags:?}\n{shown}");
            assert!(output.stderr.is_empty(), "{domain} {flags:?}");
        }
        let value = host.json(&["check", domain]);
        assert_eq!(value["domain"], domain);
        assert_eq!(value["outcome"]["deliverable"], code == 0);
    }
    // Looking is not counting.
    assert_eq!(host.counted(host.day, None), (0, 0));
    assert_eq!(host.counter("mx_refused"), 0);
    // A policy that is kept holds in the check too, whatever can be looked up.
    ask(&host, "correct.test");
    host.internet.dns.remove("_mta-sts.correct.test");
    let shown = host.shown(&["check", "correct.test"]);
    assert!(
        shown.contains("Record    absent") && shown.contains("Kept\n"),
        "{shown}"
    );
    assert!(shown.contains("A policy of mode enforce holds until"));
    assert!(daemon.stop().success());
}

#[test]
fn every_command_that_prints_data_prints_json() {
    let host = Host::new();
    let daemon = host.start();
    let answer = host.say("MX\tother-mx.test\tmx.elsewhere.test");
    assert_eq!(level(&answer), "refuse");
    let day = host.day.to_string();
    for arguments in [
        &["status"][..],
        &["sessions"],
        &["sessions", "--failures"],
        &["sessions", "--day", "2001-01-01"],
        &["policy", "list"],
        &["policy", "show", "other-mx.test"],
        &["policy", "refresh", "other-mx.test"],
        &["policy", "purge", "other-mx.test"],
        &["report", "list"],
        &["report", "list", "--day", &day],
        &["report", "preview", "other-mx.test"],
        &["report", "show", "other-mx.test", "--day", &day],
        &["report", "send", "--day", "2001-01-01"],
        &["check", "other-mx.test"],
        &["config", "check"],
    ] {
        assert!(host.json(arguments).is_object(), "{arguments:?}");
    }
    assert!(daemon.stop().success());
}
