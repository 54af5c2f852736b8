//! The statement that an auditor takes away: what protected the mail of many days.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use sealpost::{clock::UtcDay, record::protection::Protection, store::Counted};
use serde_json::Value;

use super::host::{Before, Host};

const PARTS: [&str; 6] = ["sessions", "dane", "sts", "tls", "clear", "refused"];

/// The rows of `status --security` or of a statement: a name and its numbers, in the order of the names.
fn rows(shown: &Value) -> Vec<(String, Vec<u64>)> {
    let domains = shown["domains"].as_array().unwrap().iter();
    let mut rows: Vec<_> = domains
        .map(|each| {
            let numbers = PARTS.map(|part| each[part].as_u64().unwrap());
            (
                each["domain"].as_str().unwrap().to_owned(),
                numbers.to_vec(),
            )
        })
        .collect();
    rows.sort();
    rows
}

/// What `docs/guide/evidence.md` tells an auditor to do with a file.
fn digest(script: &str, file: &Path) -> String {
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn a_month(host: &Host, first: UtcDay, old: UtcDay) {
    let protected = Counted::Protected;
    let mut rows = vec![
        (old, "old.test", Counted::Successes, 4),
        (host.day, "today.test", protected(Protection::Clear), 50),
    ];
    let mut day = first;
    for number in 0..30_u64 {
        rows.push((
            day,
            "large.test",
            protected(Protection::Dane),
            1_000 + number,
        ));
        rows.push((
            day,
            "large.test",
            protected(Protection::Refused),
            number % 3,
        ));
        if number == 17 {
            rows.push((day, "large.test", protected(Protection::Clear), 1));
            rows.push((day, "small.test", protected(Protection::Tls), 2));
            rows.push((day, "small.test", protected(Protection::Sts), 1));
        }
        day = day.next();
    }
    host.counted_before(rows.into_iter().map(|(day, domain, counted, sessions)| {
        Before::without_policy(day, domain, counted, sessions)
    }));
}

#[test]
fn an_auditor_gets_a_month_that_adds_up_and_can_be_held_against_its_digest() {
    let mut host = Host::new();
    host.set("store.keep_days", 60);
    let first = UtcDay(host.day.0 - 30);
    let old = UtcDay(first.0 - 2);
    a_month(&host, first, old);
    let daemon = host.start();
    let (from, since) = (first.to_string(), old.previous().to_string());

    // The month that is over, and the same from the command that operators know.
    let evidence = ["evidence", "--from", &from];
    let statement = host.json(&evidence);
    assert_eq!(statement["to"], host.day.previous().to_string());
    assert_eq!(statement["organization"], "Example Sender");
    assert_eq!(statement["host"], "mail.sender.test");
    assert_eq!(statement["days"].as_array().unwrap().len(), 30);
    let month = rows(&statement);
    let whole = host.json(&["status", "--security", "--since", &from, "--all"]);
    let mut with_today = month.clone();
    with_today.push(("today.test".to_owned(), vec![50, 0, 0, 0, 50, 0]));
    assert_eq!(rows(&whole), with_today);
    assert_eq!(month[0].1, [30_466, 30_435, 0, 0, 1, 30]);
    assert_eq!(month[1], ("small.test".to_owned(), vec![3, 0, 1, 2, 0, 0]));
    for (column, part) in PARTS.into_iter().enumerate() {
        let sum: u64 = month.iter().map(|(_, numbers)| numbers[column]).sum();
        assert_eq!(statement["total"][part], sum, "{part}");
    }
    // One session in the clear of thirty thousand is not rounded away.
    assert_eq!(statement["domains"][0]["percent"]["clear"], 0.01);
    assert_eq!(statement["domains"][0]["percent"]["dane"], 99.89);

    // Every form says the same digest, and an auditor comes to it alone.
    let claimed = statement["sha256"].as_str().unwrap();
    let csv = host.file("month.csv");
    for form in ["month.csv", "month.html", "month.json", "month.txt"] {
        let file = host.file(form);
        let asked = [
            "evidence",
            "--from",
            &from,
            "--output",
            file.to_str().unwrap(),
        ];
        assert_eq!(host.shown(&asked), "");
        let written = fs::read_to_string(&file).unwrap();
        assert!(written.contains(claimed), "{written}");
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let script = "grep '^domain,' \"$1\" | cut -d, -f2,4-9 | sha256sum";
    assert_eq!(digest(script, &csv), claimed);
    let changed = fs::read_to_string(&csv).unwrap();
    let changed = changed.replace(",30466,30435,0,0,1,", ",30466,30436,0,0,0,");
    fs::write(&csv, changed).unwrap();
    assert_ne!(digest(script, &csv), claimed);

    // What is not known is said, and one domain can be asked for alone.
    let shown = host.shown(&["evidence", "--from", &since, "--to", &host.day.to_string()]);
    for said in [
        format!("did not note what protected them, on {old}."),
        format!("Nothing is held of the days before {old}"),
        format!("{} was not over when this was made", host.day),
    ] {
        assert!(shown.contains(&said), "{said}\n{shown}");
    }
    let small = ["--domain", "small.test"];
    let statement = host.json(&[&evidence[..], &small].concat());
    assert_eq!(rows(&statement), month[1..]);
    assert_eq!(statement["days"].as_array().unwrap().len(), 1);
    assert!(daemon.stop().success());
}

#[test]
fn a_statement_about_days_to_come_is_refused() {
    let host = Host::new();
    let daemon = host.start();
    let (today, tomorrow) = (host.day.to_string(), host.day.next().to_string());
    for (arguments, expected) in [
        (["--from", &today, "--to", &tomorrow], "has not begun"),
        (["--from", &tomorrow, "--to", &today], "before it begins"),
    ] {
        let output = host.run(&[&["evidence"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(64));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
    }
    // Nothing was counted yet: that is said, and is no error.
    let shown = host.shown(&["evidence", "--from", &today, "--to", &today]);
    assert!(
        shown.contains("The store holds nothing of any day."),
        "{shown}"
    );
    assert!(shown.contains("No sessions"), "{shown}");
    assert!(daemon.stop().success());
}
