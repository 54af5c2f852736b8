//! Which decisions changed mail can be read afterwards, and that nobody changed them.

use sealpost::{policy::AppliedPolicy, record::protection::Protection, store::Counted};
use serde_json::Value;

use super::host::{Before, Host, level, until};

fn entries(host: &Host, more: &[&str]) -> Vec<Value> {
    let shown = host.json(&[&["audit"], more].concat());
    shown["entries"].as_array().unwrap().clone()
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    let kinds = entries.iter().map(|each| each["kind"].as_str().unwrap());
    kinds.collect()
}

#[track_caller]
fn done(host: &Host, arguments: &[&str]) {
    let output = host.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
}

/// Decisions of every kind that an operator can make.
fn decide(host: &mut Host) {
    let about = ["override", "expire", "correct.test", "--reason", "moved"];
    let set = [
        "override",
        "set",
        "correct.test",
        "--mode",
        "audit",
        "--reason",
        "it moves",
    ];
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    done(host, &[&set[..], &["--author", "Ada"]].concat());
    done(host, &about);
    done(host, &["policy", "refresh", "correct.test"]);
    done(host, &["policy", "purge", "correct.test"]);
    done(
        host,
        &["suppression", "add", "x@y.test", "--reason", "they asked"],
    );
    done(host, &["suppression", "lift", "x@y.test"]);
    host.set_override("testing.test", "off");
    host.write_config();
}

#[test]
fn every_decision_is_in_the_log_with_its_author_over_kills_and_restarts() {
    let mut host = Host::new();
    let mut daemon = host.start();
    decide(&mut host);
    daemon.reload();

    let all = entries(&host, &[]);
    assert_eq!(
        kinds(&all),
        [
            "started",
            "policy-changed",
            "override-set",
            "override-ended",
            "policy-refreshed",
            "policy-purged",
            "suppression-added",
            "suppression-lifted",
            "reloaded",
        ]
    );
    assert_eq!(all[1]["domain"], "correct.test");
    let words = |number: usize| all[number]["words"].as_str().unwrap();
    assert!(
        words(1).starts_with("enforce, mx.correct.test"),
        "{}",
        words(1)
    );
    assert!(words(1).ends_with("; before: none"), "{}", words(1));
    assert_eq!(words(2), "audit: it moves");
    assert!(all[2]["author"].as_str().unwrap().starts_with("Ada (as "));
    // Every decision of an operator has its author: whom the control socket vouches for.
    let us = all[3]["author"].as_str().unwrap();
    assert!(
        all[2]["author"]
            .as_str()
            .unwrap()
            .ends_with(&format!("(as {us})"))
    );
    for each in &all[4..8] {
        assert_eq!(each["author"], us, "{each}");
    }
    assert_eq!(words(6), "mailto:x@y.test: they asked");
    assert_eq!(words(8), "override off for testing.test");
    let of_domain = entries(&host, &["--domain", "correct.test"]);
    assert_eq!(of_domain, all[1..6]);
    let tomorrow = host.day.next().to_string();
    assert_eq!(entries(&host, &["--since", &tomorrow]), Vec::<Value>::new());
    let shown = host.shown(&["audit"]);
    assert!(
        shown.contains("override-set        correct.test  Ada (as "),
        "{shown}"
    );

    // A digest that is kept elsewhere is found again, whatever follows.
    let kept = host.json(&["audit", "--verify"])["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(kept, all[8]["sha256"].as_str().unwrap());
    daemon.kill();
    let daemon = host.start();
    done(&host, &["audit", "--verify"]);
    done(&host, &["audit", "--verify", "--contains", &kept]);
    let other = kept.replace(|letter: char| letter.is_ascii_digit(), "a");
    let output = host.run(&["audit", "--verify", "--contains", &other]);
    assert_eq!(output.status.code(), Some(1));
    assert!(daemon.stop().success());
    let daemon = host.start();
    let all = entries(&host, &[]);
    // The kill is seen: a start without a stop before it.
    assert_eq!(kinds(&all)[9..], ["started", "stopped", "started"]);
    assert!(daemon.stop().success());
}

#[test]
fn whose_mail_was_refused_is_noted_when_the_day_is_over_and_old_entries_go() {
    let mut host = Host::new();
    host.set("store.keep_audit_days", 2);
    let today = host.day;
    let refused = |domain, sessions| Before {
        day: today,
        domain,
        policy: AppliedPolicy::no_policy_found("a.test".parse().unwrap()),
        counted: Counted::Protected(Protection::Refused),
        sessions,
    };
    host.counted_before([refused("few.test", 2), refused("many.test", 30)].into_iter());
    let daemon = host.start();
    let set = [
        "override", "set", "a.test", "--mode", "off", "--reason", "x", "--until",
    ];
    done(&host, &[&set[..], &[&today.to_string()]].concat());
    host.set_clock(today.next().first_second().plus_seconds(60));
    let noted = until("the day's end is noted", || {
        let noted = entries(&host, &["--since", &today.next().to_string()]);
        (noted.len() >= 3).then_some(noted)
    });
    assert_eq!(
        kinds(&noted),
        ["override-ran-out", "mail-refused", "mail-refused"]
    );
    assert_eq!(noted[1]["domain"], "many.test");
    assert_eq!(noted[1]["words"], format!("30 sessions on {today}"));
    assert!(daemon.stop().success());

    // Another process on the same day does not note it twice; days later the old ones are gone, and the rest holds.
    let daemon = host.start();
    assert_eq!(kinds(&entries(&host, &[]))[5..], ["stopped", "started"]);
    assert!(daemon.stop().success());
    host.set_clock(today.next().next().next().first_second().plus_seconds(60));
    let daemon = host.start();
    until("the oldest are forgotten", || {
        let first = host.json(&["audit", "--verify"])["first"].as_u64().unwrap();
        (first == 3).then_some(())
    });
    done(&host, &["audit", "--verify"]);
    assert!(daemon.stop().success());
}
