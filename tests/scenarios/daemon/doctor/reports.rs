//! Traps of the reports: who signs them, who they are from, and how they leave.

use std::{fs, io::Write as _, net::TcpListener, os::unix::fs::PermissionsExt as _, thread};

use sealpost_kit::DkimKey;

use super::{
    pretended::{powerless_process, pretend},
    stage::{Case, Kept, Stage, case},
};

#[test]
fn each_trap_of_the_reports_is_found_when_it_is_set() {
    Stage::finds_each(CASES);
}

/// Publishes this in the place of a record.
fn publish(stage: &Stage, name: &str, texts: &[&str]) -> Kept {
    stage.host.internet.dns.remove(name);
    if !texts.is_empty() {
        stage.host.internet.dns.set_txt(name, texts);
    }
    Vec::new()
}

const RSA: &str = "rsa._domainkey.sender.test";
const ED25519: &str = "ed25519._domainkey.sender.test";

fn relay(stage: &mut Stage, relay: &str) {
    stage.host.set("deliver.via", "relay");
    stage.host.set("deliver.relay", relay);
    stage.host.write_config();
}

/// Has reports leave through a program of this mode.
fn through_program(stage: &mut Stage, mode: u32) {
    let program = stage.host.file("sendmail");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
    stage.host.set("deliver.via", "sendmail");
    stage
        .host
        .set("deliver.sendmail", program.to_str().unwrap());
    stage.host.write_config();
}

pub(super) const CASES: &[Case] = &[
    case("dkim-no-key", "dkim", |stage| {
        stage.host.config.remove("dkim");
        relay(stage, "127.0.0.1:25");
        Vec::new()
    }),
    case("dkim-key-unreadable", "dkim", |stage| {
        fs::remove_file(stage.host.file("rsa.pem")).unwrap();
        Vec::new()
    }),
    case("dkim-key-unusable", "dkim", |stage| {
        fs::write(stage.host.file("rsa.pem"), "no key").unwrap();
        Vec::new()
    }),
    case("dkim-key-open", "dkim", |stage| {
        let file = stage.host.file("rsa.pem");
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
        Vec::new()
    }),
    case("dkim-record-faulty", "dkim", |stage| {
        publish(stage, RSA, &[])
    }),
    case("dkim-record-noted", "dkim", |stage| {
        let right = &stage.host.internet.selectors()[0].key.txt;
        publish(stage, RSA, &[&format!("{right}; t=y")])
    }),
    case("sender-signature-broken", "sender", |stage| {
        let other = DkimKey::ed25519().unwrap();
        publish(stage, ED25519, &[&other.txt])
    }),
    case("sender-dmarc-unmet", "sender", |stage| {
        publish(stage, RSA, &[]);
        publish(stage, ED25519, &[])
    }),
    case("sender-without-dmarc", "sender", |stage| {
        publish(stage, "_dmarc.sender.test", &[])
    }),
    case("sender-without-spf", "sender", |stage| {
        stage
            .host
            .internet
            .dns
            .set_txt("sender.test", &["something else"]);
        Vec::new()
    }),
    case("sender-spf-forbids", "sender", |stage| {
        stage
            .host
            .internet
            .dns
            .set_txt("sender.test", &["v=spf1 -all"]);
        Vec::new()
    }),
    case("sender-contact-unreachable", "sender", |stage| {
        stage.host.internet.dns.set_mx("sender.test", &[(0, ".")]);
        Vec::new()
    }),
    case("sender-bounces-lost", "sender", |stage| {
        stage
            .host
            .set("sender.envelope_from", "bounces@nowhere.test");
        stage.host.write_config();
        Vec::new()
    }),
    case("sender-host-name-unfit", "sender", |stage| {
        stage.host.set("sender.host_name", "mail");
        stage.host.write_config();
        Vec::new()
    }),
    case("relay-unreachable", "way-out", |stage| {
        relay(stage, "127.0.66.1:9");
        Vec::new()
    }),
    case("relay-refuses", "way-out", |stage| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(b"554 5.7.1 not you\r\n").unwrap();
        });
        relay(stage, &address);
        Vec::new()
    }),
    case("sendmail-unusable", "way-out", |stage| {
        through_program(stage, 0o644);
        vec![Box::new(pretend(stage, |_| {}))]
    }),
    case("sendmail-without-privileges", "way-out", |stage| {
        through_program(stage, 0o2755);
        let process = powerless_process();
        let id = process.id();
        vec![
            Box::new(pretend(stage, |status| status["pid"] = id.into())),
            Box::new(process),
        ]
    }),
    case("mail-host-unreachable", "way-out", |stage| {
        stage.host.set("deliver.smtp_port", 9);
        stage.host.write_config();
        Vec::new()
    }),
    case("port-25-blocked", "way-out", |stage| {
        let dns = &stage.host.internet.dns;
        dns.set_mx(
            "sender.test",
            &[(10, "mx1.away.test"), (20, "mx2.away.test")],
        );
        dns.set_addresses("mx1.away.test", &["127.0.66.1".parse().unwrap()]);
        dns.set_addresses("mx2.away.test", &["127.0.66.2".parse().unwrap()]);
        Vec::new()
    }),
];

#[test]
fn port_25_is_tried_with_the_hosts_that_are_named() {
    let stage = Stage::new();
    let of = |arguments: &[&str]| stage.json(&[&["way-out"], arguments].concat());
    let well = of(&[]);
    let words = well["examinations"][0]["well"].to_string();
    assert!(
        words.contains("port 25 leads out: mx.reports.test"),
        "{words}"
    );
    let named = of(&["--mail-host", "127.0.66.1", "--mail-host", "127.0.66.2"]);
    let found = &named["examinations"][0]["findings"][0];
    assert_eq!(found["trap"], "port-25-blocked");
    let seen = found["seen"].as_str().unwrap();
    assert!(
        seen.contains("127.0.66.1") && seen.contains("127.0.66.2"),
        "{seen}"
    );
    // Nobody was sent anything.
    assert!(stage.host.internet.inbox.messages().is_empty());
}

/// This is why no scenario sets `sender-not-aligned`.
#[test]
fn the_sender_is_one_domain_whatever_is_set() {
    let mut stage = Stage::new();
    stage
        .host
        .set("sender.envelope_from", "bounces@elsewhere.test");
    stage.host.set("sender.host_name", "mail.elsewhere.test");
    let long = format!("t@{}test", format!("{}.", "l".repeat(59)).repeat(4));
    for (contact, domain) in [
        ("TLSRPT@Sender.Test", "sender.test"),
        ("tlsrpt@XN--Bcher-kva.test", "xn--bcher-kva.test"),
        (&long, &long[2..]),
    ] {
        stage.host.set("sender.contact", contact);
        stage.host.write_config();
        let results = stage.json(&["sender"]);
        let well = results["examinations"][0]["well"].to_string();
        let aligned = format!("TLS-Report-Submitter, d= are {domain}: aligned, strictly too");
        assert!(well.contains(&aligned), "{contact}: {results}");
    }
}
