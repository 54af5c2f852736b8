//! The evidence an auditor asks for: what protected the mail, by day and by recipient domain.

use std::collections::BTreeMap;

use sealpost::{record::protection::Protection, store::Counted};
use serde_json::{Value, json};

use super::host::{Before, Host, field};

fn numbers(value: &Value) -> Vec<u64> {
    ["sessions", "dane", "sts", "tls", "clear", "refused"]
        .map(|name| value[name].as_u64().unwrap())
        .to_vec()
}

fn by_domain(shown: &Value) -> BTreeMap<String, Vec<u64>> {
    let domains = shown["domains"].as_array().unwrap().iter();
    domains
        .map(|each| (each["domain"].as_str().unwrap().to_owned(), numbers(each)))
        .collect()
}

#[test]
fn an_operator_sees_what_protected_the_mail_of_a_day_and_of_many() {
    let host = Host::new();
    let (today, yesterday) = (host.day, host.day.previous());
    let old = yesterday.previous();
    let protected = Counted::Protected;
    let many: Vec<String> = (0..30).map(|number| format!("d{number:02}.test")).collect();
    let mut rows = vec![
        (old, "old.test", Counted::Successes, 4),
        (yesterday, "large.test", protected(Protection::Dane), 70),
        (yesterday, "large.test", protected(Protection::Clear), 5),
        (yesterday, "large.test", protected(Protection::Refused), 2),
        (today, "large.test", protected(Protection::Sts), 9),
        (today, "new.test", protected(Protection::Tls), 1),
    ];
    rows.extend(
        many.iter()
            .map(|name| (yesterday, name.as_str(), protected(Protection::Tls), 3)),
    );
    let rows = rows.into_iter().map(|(day, domain, counted, sessions)| {
        Before::without_policy(day, domain, counted, sessions)
    });
    host.counted_before(rows);
    let daemon = host.start();

    let shown = host.json(&["status", "--security"]);
    assert_eq!(shown["since"], json!(today.to_string()));
    assert_eq!(numbers(&shown["total"]), [10, 0, 9, 1, 0, 0]);
    // And while the day runs, with what was told just now.
    let policy = host.say("MX\tcorrect.test\tmx.correct.test");
    let told = host.say(&format!(
        "SESSION\tcorrect.test\tpolicy={}\tmx=mx.correct.test\toutcome=success",
        field(&policy, "policy")
    ));
    assert_eq!(told, "OK");
    let shown = host.json(&["status", "--security"]);
    assert_eq!(by_domain(&shown)["correct.test"], [1, 0, 1, 0, 0, 0]);

    let text = yesterday.to_string();
    let asked = ["status", "--security", "--day", &text];
    let shown = host.json(&asked);
    assert_eq!(numbers(&shown["total"]), [167, 70, 0, 90, 5, 2]);
    let first = &shown["domains"][0];
    assert_eq!(first["domain"], "large.test");
    assert_eq!(numbers(first), [77, 70, 0, 0, 5, 2]);
    assert_eq!(shown["domains"][1]["domain"], "d00.test");
    assert_eq!(by_domain(&shown).len(), 20);
    assert_eq!(shown["further_domains"], 11);
    assert_eq!(numbers(&shown["further"]), [33, 0, 0, 33, 0, 0]);
    let all = host.json(&[&asked[..], &["--all"]].concat());
    assert_eq!(by_domain(&all).len(), 31);
    assert_eq!(all["further_domains"], 0);

    let since = ["status", "--security", "--since", &old.to_string()];
    let shown = host.json(&since);
    assert_eq!(shown["days"].as_array().unwrap().len(), 2);
    assert_eq!(shown["not_noted"], json!([old.to_string()]));
    assert_eq!(numbers(&shown["total"]), [178, 70, 10, 91, 5, 2]);
    assert_eq!(by_domain(&shown)["large.test"], [86, 70, 9, 0, 5, 2]);
    let shown = host.shown(&since);
    for line in [
        format!("178 sessions from {old} to {today} (UTC), by what protected them"),
        format!("{yesterday}  167       70      0        90      5      2"),
        "large.test  86        70    9        0    5      2".to_owned(),
        format!("Sessions were counted, but not what protected them, on {old}."),
    ] {
        assert!(shown.lines().any(|each| each == line), "{line}\n{shown}");
    }
    let tomorrow = today.next().to_string();
    let output = host.run(&["status", "--security", "--since", &tomorrow]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has not begun"), "{said}");
    assert!(daemon.stop().success());
}
