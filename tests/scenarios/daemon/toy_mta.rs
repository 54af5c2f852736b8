//! A C host without DANE of its own, in the small Internet: the toy MTA asks about each mail host, has the
//! certificates judged by the daemon in the midst of the handshake, and tells what it saw.

use std::process::Command;

use sealpost_kit::{Cases, Tlsa};
use serde_json::Value;

use super::{
    super::demo::build_parts,
    host::{Host, until},
};

/// A domain with DANE, how its message ended and at which mail host, and what was counted under each
/// policy: `type successes failures result reason`.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const NO_MATCH: &str = "tlsa 0 1 validation-failure dane-no-match";

const DANE_ALONE: &[Row] = &[
    (
        "dane-ok.test",
        "tls-verified",
        "mx.dane-ok.test",
        &["tlsa 1 0"],
    ),
    ("dane-bad.test", "deferred", "", &[NO_MATCH]),
    (
        "dane-unusable.test",
        "tls",
        "mx.dane-unusable.test",
        &["tlsa 0 1 tlsa-invalid all-tlsa-records-unusable"],
    ),
    (
        "dane-nostarttls.test",
        "deferred",
        "",
        &["tlsa 0 1 starttls-not-supported starttls-not-offered"],
    ),
    (
        "dane-twomx.test",
        "tls-verified",
        "mx2.dane-twomx.test",
        &[NO_MATCH, "tlsa 1 0"],
    ),
    (
        "dane-alias.test",
        "tls-verified",
        "mx.dane-alias.test",
        &["tlsa 1 0"],
    ),
];

const BOTH: &[Row] = &[
    (
        "both.test",
        "tls-verified",
        "mx.both.test",
        &["sts 1 0", "tlsa 1 0"],
    ),
    ("both-bad-dane.test", "deferred", "", &["sts 1 0", NO_MATCH]),
    (
        "both-bad-sts.test",
        "tls-verified",
        "mx.both-bad-sts.test",
        &["sts 0 1 certificate-not-trusted self-signed", "tlsa 1 0"],
    ),
    (
        "both-unlisted.test",
        "tls-verified",
        "mx.both-unlisted.test",
        &["sts 0 1 validation-failure sts-mx-mismatch", "tlsa 1 0"],
    ),
    // Here it is an authority, published whole, that vouches for the first: see the test.
    (
        "dane-better.test",
        "tls-verified",
        "mx1.dane-better.test",
        &["sts 1 0", "tlsa 1 0"],
    ),
    // Each host is held to its own rule: where the first fails, the second takes it.
    (
        "dane-better-bad.test",
        "tls-verified",
        "mx2.dane-better-bad.test",
        &["sts 2 0", NO_MATCH],
    ),
    (
        "dane-worse.test",
        "tls-verified",
        "mx1.dane-worse.test",
        &["sts 1 0"],
    ),
];

#[test]
fn c12_c20_a_host_without_dane_of_its_own_delivers_by_the_daemons_verdict() {
    let host = Host::among(Cases::Postfix);
    let authority = Tlsa {
        usage: 2,
        selector: 0,
        matching: 0,
        data: host.internet.authority.ca_der().to_vec(),
    };
    let port = host.internet.mx_hosts.port();
    let name = format!("_{port}._tcp.mx1.dane-better.test");
    host.internet.dns.set_tlsa(&name, &[authority]);
    let daemon = host.start();
    for rows in [DANE_ALONE, BOTH] {
        let domains: Vec<&str> = rows.iter().map(|(domain, ..)| *domain).collect();
        let ended = send(&host, &domains);
        for ((domain, delivered, mx, policies), ended) in rows.iter().zip(&ended) {
            assert_eq!(ended["domain"], **domain);
            assert_eq!(ended["delivered"], **delivered, "{ended}");
            assert_eq!(ended["mx"].as_str().unwrap_or_default(), *mx, "{ended}");
            counted(&host, domain, policies);
        }
    }
    // Not one line of the library's was misunderstood.
    assert_eq!(host.counter("plugin_lines_malformed"), 0);
    assert!(daemon.stop().success());
}

/// Sends a message to each, and gives what the toy MTA says of it.
fn send(host: &Host, domains: &[&str]) -> Vec<Value> {
    let program = build_parts();
    let internet = &host.internet;
    let mut command = Command::new(program.with_file_name("sealpost-toy-mta"));
    command
        .arg("--library")
        .arg(program.with_file_name("libsealpost.so"))
        .arg("--socket")
        .arg(host.plugin_socket())
        .args(["--dns", &internet.dns.address().to_string()])
        .args(["--smtp-port", &internet.mx_hosts.port().to_string()])
        .arg("--ca")
        .arg(host.file("ca.pem"))
        .args(["--from", "someone@sender.test"]);
    for domain in domains {
        command.args(["--to", &format!("someone@{domain}")]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", host.log());
    // A session that could not be told of would be said.
    assert_eq!(said, "");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let ended: Vec<Value> = lines.collect();
    assert_eq!(ended.len(), domains.len());
    ended
}

/// Waits until this much is counted, and holds it against what must be.
#[track_caller]
fn counted(host: &Host, domain: &str, expected: &[&str]) {
    let number = |text: &str| text.parse::<u64>().unwrap();
    let sessions: u64 = expected
        .iter()
        .flat_map(|row| row.split(' ').skip(1).take(2).map(number))
        .sum();
    until("its sessions are counted", || {
        let (good, bad) = host.counted(host.day, Some(domain));
        (good + bad >= sessions).then_some(())
    });
    let day = host.day.to_string();
    let shown = host.json(&["sessions", "--day", &day, "--domain", domain]);
    let domains = shown["domains"].as_array().unwrap().iter();
    let mut rows: Vec<String> = domains
        .flat_map(|each| each["policies"].as_array().unwrap())
        .map(|policy| {
            let mut row = format!(
                "{} {} {}",
                policy["policy"]["policy_type"].as_str().unwrap(),
                policy["successes"],
                policy["failures"]
            );
            for detail in policy["details"].as_array().unwrap() {
                for name in ["result_type", "reason"] {
                    if let Some(word) = detail[name].as_str() {
                        row.push_str(&format!(" {word}"));
                    }
                }
            }
            row
        })
        .collect();
    rows.sort();
    assert_eq!(rows, expected, "{domain}\n{}", host.log());
}
