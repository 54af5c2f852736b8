//! What `docs/guide/testing-first.md` has an operator type before anything is enforced.

use std::fs;

use super::{
    super::pages::{line_of_root, page},
    documents::typed_in_a_shell,
    host::{Host, level},
};

/// As Postfix has them: two messages to one domain, and one each to three others; two of these have a
/// certificate that their policy does not let pass.
const LOG: &str = "\
Nov 24 12:00:01 mail postfix/smtp[1]: 4F1: to=<a@correct.test>, relay=mx.correct.test[192.0.2.1]:25, status=sent\n\
Nov 24 12:00:02 mail postfix/smtp[1]: 4F2: to=<b@correct.test>, relay=mx.correct.test[192.0.2.1]:25, status=sent\n\
Nov 24 12:00:03 mail postfix/smtp[2]: 4F3: to=<c@expired.test>, orig_to=<c>, status=sent\n\
Nov 24 12:00:04 mail postfix/qmgr[3]: 4F4: from=<d@sender.test>, size=4, nrcpt=1 (queue active)\n\
Nov 24 12:00:05 mail postfix/smtp[4]: 4F4: to=<e@no-policy.test>, status=sent\n\
Nov 24 12:00:06 mail postfix/smtp[4]: 4F5: to=<f@wrong-name.test>, status=sent\n";

#[test]
fn what_would_be_stopped_is_found_beforehand_and_then_put_to_audit() {
    let host = Host::new();
    let daemon = host.start();
    fs::write(host.file("mail.log"), LOG).unwrap();
    let page = page("guide/testing-first.md");
    let until = host.day.next().next().next().to_string();
    let run = |start: &str| {
        let line = line_of_root(&page, start)
            .replace("/var/log/mail.log", "mail.log")
            .replace("2026-12-31", &until);
        let output = typed_in_a_shell(&host, &line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run("grep -ho");
    let domains = fs::read_to_string(host.file("domains")).unwrap();
    let mut lines: Vec<&str> = domains.lines().collect();
    assert_eq!(lines.first(), Some(&"correct.test"));
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "correct.test",
            "expired.test",
            "no-policy.test",
            "wrong-name.test"
        ]
    );

    let said = run("while read -r domain; do sealpost check");
    let found: Vec<&str> = said.lines().filter(|line| lines.contains(line)).collect();
    assert_eq!(found, ["wrong-name.test", "expired.test"], "{said}");
    let question = |domain: &str| host.say(&format!("POLICY\t{domain}"));
    assert_eq!(level(&question("expired.test")), "verify");

    run("while read -r domain; do sealpost override set");
    for domain in ["correct.test", "expired.test", "wrong-name.test"] {
        let answer = question(domain);
        assert_eq!(level(&answer), "may", "{answer}");
        assert!(answer.contains("\taudit=yes\t"), "{answer}");
    }
    let overrides = host.json(&["override", "list"]);
    assert_eq!(overrides["overrides"].as_array().unwrap().len(), 4);
    assert!(daemon.stop().success());
}

/// Takes the answers of the plugin socket for three domains: their policies are in `enforce`, `enforce` and `testing`.
fn levels(host: &Host) -> [String; 3] {
    ["expired.test", "correct.test", "testing.test"].map(|domain| {
        let answer = host.say(&format!("POLICY\t{domain}"));
        let is_audited = answer.contains("\taudit=yes\t");
        format!(
            "{}{}",
            level(&answer),
            if is_audited { " audited" } else { "" }
        )
    })
}

#[test]
fn c18_one_section_puts_every_domain_to_audit_but_those_with_an_override_of_their_own() {
    let mut host = Host::new();
    let text = page("guide/testing-first.md");
    let block = text.split("\n\n").find(|block| {
        block
            .trim_start_matches('\n')
            .starts_with("    [domain.\"*\"]")
    });
    let until = host.day.next().next().next().to_string();
    let section: toml::Table = block
        .unwrap()
        .replace("2026-12-31", &until)
        .parse()
        .unwrap();
    let usual = host.config.clone();
    host.config.extend(section);
    host.write_config();
    let mut daemon = host.start();
    let audited = "may audited";
    assert_eq!(levels(&host), [audited, audited, audited]);
    let warned = host.json(&["override", "list"]);
    assert_eq!(warned["overrides"][0]["domain"], "*");
    assert_eq!(warned["overrides"][0]["reason"], "first weeks");

    let line = text
        .lines()
        .find(|line| line.contains("--mode enforce --reason"))
        .unwrap()
        .trim()
        .replace("example.net", "correct.test");
    let output = typed_in_a_shell(&host, &line);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(levels(&host), [audited, "verify", audited]);
    let check = host.json(&["check", "expired.test"]);
    assert_eq!(check["override"]["domain"], "*");
    let check = host.json(&["check", "correct.test"]);
    assert_eq!(check["override"]["domain"], "correct.test");

    host.config = usual;
    host.write_config();
    daemon.reload();
    assert_eq!(levels(&host), ["verify", "verify", audited]);
    let log = host.json(&["audit"]);
    let entries = log.to_string();
    assert!(
        entries.contains("no override any more: audit for *"),
        "{entries}"
    );
    assert!(daemon.stop().success());
}
