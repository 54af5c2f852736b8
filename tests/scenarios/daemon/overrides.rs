//! Operators decide otherwise for single domains, and are held to it.

use serde_json::{Value, json};

use super::host::{Host, field, level, until};

/// `correct.test` enforces a policy, and has this mail host.
const ASKED: &str = "POLICY\tcorrect.test";

fn set(host: &Host, domain: &str, mode: &str, more: &[&str]) -> std::process::Output {
    let asked = ["override", "set", domain, "--mode", mode];
    host.run(&[&asked, more].concat())
}

#[track_caller]
fn refused(output: &std::process::Output, code: i32, expected: &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(expected), "{said}");
}

fn names(shown: &Value) -> Vec<(String, String, bool)> {
    let all = shown["overrides"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|each| {
        (
            word(&each["mode"]),
            word(&each["source"]),
            each["ended"].as_bool().unwrap(),
        )
    })
    .collect()
}

#[test]
fn an_override_by_command_holds_at_once_over_restarts_and_to_its_end() {
    let host = Host::new();
    let daemon = host.start();
    assert_eq!(level(&host.say(ASKED)), "verify");

    // At once, with who, when and why.
    let last_day = host.day.next();
    let until_day = last_day.to_string();
    let more = ["--reason", "their MX moves", "--until", &until_day];
    let output = set(&host, "Correct.TEST", "audit", &more);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(level(&host.say(ASKED)), "may");
    let shown = host.json(&["override", "show", "correct.test"]);
    let shown = &shown["overrides"][0];
    assert_eq!(shown["mode"], "audit");
    assert_eq!(shown["until"], json!(until_day));
    assert_eq!(shown["reason"], "their MX moves");
    let since = shown["since"].as_str().unwrap();
    // The clock goes on from noon.
    let noon = format!("{}T12:0", host.day);
    assert!(since.starts_with(&noon), "{since}");
    let author = shown["author"].as_str().unwrap().to_owned();
    assert!(!author.is_empty());
    let status = host.json(&["status"]);
    assert_eq!(status["overrides"][0]["author"], json!(author));
    let checked = host.json(&["check", "correct.test"]);
    assert_eq!(checked["override"]["author"], json!(author));
    let checked = host.run(&["check", "correct.test"]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    let line = format!(
        "Override  audit until {until_day}: their MX moves (set by {author}, {}T12:00:00Z)",
        host.day
    );
    assert!(checked.contains(&line), "{checked}");

    // What the sessions that follow are counted under is the policy; nothing of it is lost.
    let answer = host.say(ASKED);
    assert!(!field(&answer, "policy").is_empty(), "{answer}");

    // Over a restart, and a reload.
    daemon.kill();
    let mut daemon = host.start();
    assert_eq!(level(&host.say(ASKED)), "may");
    daemon.reload();
    assert_eq!(level(&host.say(ASKED)), "may");

    // Through its last day, and no longer.
    host.set_clock(last_day.last_second().plus_seconds(-60));
    until("the clock", || {
        let now = host.json(&["status"])["now"].as_str().unwrap().to_owned();
        now.starts_with(&until_day).then_some(())
    });
    assert_eq!(level(&host.say(ASKED)), "may");
    host.set_clock(last_day.next().first_second().plus_seconds(60));
    until("its end", || {
        (level(&host.say(ASKED)) == "verify").then_some(())
    });
    host.wait_for_log("an override has run out");
    assert_eq!(names(&host.json(&["override", "list"])), []);
    let all = host.json(&["override", "list", "--all"]);
    assert_eq!(
        names(&all),
        [("audit".to_owned(), "command".to_owned(), true)]
    );
    assert!(daemon.stop().success());
}

#[test]
fn an_override_is_ended_by_whoever_says_why() {
    let host = Host::new();
    let daemon = host.start();
    let end = [
        "override",
        "expire",
        "correct.test",
        "--reason",
        "it has moved",
    ];
    refused(&host.run(&end), 1, "no override holds for correct.test");
    let output = set(
        &host,
        "correct.test",
        "off",
        &["--reason", "x", "--author", "Ada"],
    );
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(level(&host.say(ASKED)), "may");
    let shown = host.json(&[&end[..], &["--author", "Grace"]].concat());
    assert_eq!(level(&host.say(ASKED)), "verify");
    assert!(shown["author"].as_str().unwrap().starts_with("Ada (as "));
    assert!(
        shown["ending"]["author"]
            .as_str()
            .unwrap()
            .starts_with("Grace (as ")
    );
    assert_eq!(shown["ending"]["reason"], "it has moved");
    refused(&host.run(&end), 1, "no override holds");
    // Another may follow.
    assert_eq!(
        set(&host, "correct.test", "off", &["--reason", "again"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(level(&host.say(ASKED)), "may");

    refused(
        &set(&host, "correct.test", "off", &["--reason", " "]),
        64,
        "needs a reason",
    );
    let long = "x".repeat(501);
    refused(
        &set(&host, "correct.test", "off", &["--reason", &long]),
        64,
        "500 characters",
    );
    let over = host.day.previous().to_string();
    let more = ["--reason", "x", "--until", &over];
    refused(&set(&host, "correct.test", "off", &more), 64, "is over");
    assert!(daemon.stop().success());
}

#[test]
fn the_configuration_decides_where_it_names_the_domain() {
    let mut host = Host::new();
    let mut daemon = host.start();
    let output = set(&host, "correct.test", "off", &["--reason", "by command"]);
    assert_eq!(output.status.code(), Some(0));
    host.set_override("correct.test", "enforce");
    host.write_config();
    daemon.reload();
    assert_eq!(level(&host.say(ASKED)), "verify");
    // Both are seen, and which of them decides.
    let shown = host.json(&["override", "list"]);
    let two = [("enforce", "file"), ("off", "command")]
        .map(|(mode, source)| (mode.to_owned(), source.to_owned(), false));
    assert_eq!(names(&shown), two);
    assert_eq!(shown["overrides"][1]["passed_over"], true);
    let told = "change [domain.\"correct.test\"] of ";
    refused(
        &set(&host, "correct.test", "audit", &["--reason", "x"]),
        64,
        told,
    );
    // What was set by command can be ended all the same; then there is nothing but the file.
    let end = ["override", "expire", "correct.test", "--reason", "x"];
    assert_eq!(host.run(&end).status.code(), Some(0));
    refused(&host.run(&end), 64, told);
    assert!(daemon.stop().success());
}
