//! What documents have a reader type besides our own program, in the shell of a host with a daemon.

use std::fs;

use sealpost_kit::Cases;

use super::{
    super::{
        host::{Host, field, level},
        metrics::free_address,
        suppression::report_of_a_day,
    },
    typed_in_a_shell,
};
use crate::{
    scenarios::pages::{commands, page},
    skipped::skipped,
};

/// Can these programs be typed here? `cargo xtask tools` installs them.
fn are_there(host: &Host, programs: &[&str]) -> bool {
    let lacking = programs.iter().find(|program| {
        let found = typed_in_a_shell(host, &format!("command -v {program}"));
        !found.status.success()
    });
    if let Some(program) = lacking {
        skipped(&format!(
            "commands of the documents are not typed: this machine lacks {program}"
        ));
    }
    lacking.is_none()
}

/// The one command of a page that begins so.
fn command_of(document: &str, start: &str) -> String {
    let mut commands = commands(&page(document)).into_iter();
    let command = commands.find(|command| command.starts_with(start));
    command.unwrap_or_else(|| panic!("{document} has no {start}"))
}

/// What a command that must succeed says.
#[track_caller]
fn said(host: &Host, command: &str) -> String {
    let output = typed_in_a_shell(host, command);
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_auditor_holds_a_statement_against_its_digest_by_the_guide() {
    let host = Host::new();
    if !are_there(&host, &["grep", "cut", "jq", "sha256sum"]) {
        return;
    }
    let daemon = host.start();
    report_of_a_day(&host, host.day);
    let day = host.day.to_string();
    let guide = "guide/evidence.md";
    for command in commands(&page(guide)) {
        if command.contains(" --output ") {
            let days = command
                .replace("2026-11-01", &day)
                .replace("2026-11-30", &day);
            assert_eq!(said(&host, &days), "");
        }
    }
    let statement = host.json(&["evidence", "--from", &day, "--to", &day]);
    assert_eq!(statement["total"]["sessions"], 1, "{statement}");
    let digest = statement["sha256"].as_str().unwrap();
    for start in ["grep '^domain,'", "jq -r"] {
        let found = said(&host, &command_of(guide, start));
        assert_eq!(found.split(' ').next(), Some(digest), "{start}");
    }
    assert!(daemon.stop().success());
}

#[test]
fn metrics_come_by_the_address_and_by_the_file_of_the_guide() {
    let mut host = Host::new();
    if !are_there(&host, &["curl"]) {
        return;
    }
    let address = free_address().to_string();
    let listen: toml::value::Array = vec![address.clone().into()];
    host.set("metrics.listen", listen);
    let daemon = host.start();
    let guide = "guide/monitoring.md";
    let curl = command_of(guide, "curl ");
    let scraped = said(&host, &curl.replace("127.0.0.1:8463", &address));
    assert!(scraped.contains("\nsealpost_sessions_total "), "{scraped}");

    let command = command_of(guide, "sealpost status --metrics > ");
    let directory = "/var/lib/prometheus/node-exporter";
    assert_eq!(command.matches(directory).count(), 3, "{command}");
    said(&host, &command.replace(directory, "."));
    let written = fs::read_to_string(host.file("sealpost.prom")).unwrap();
    assert!(written.contains("\nsealpost_sessions_total "), "{written}");
    assert!(daemon.stop().success());
}

#[test]
fn the_plugin_socket_answers_the_lines_of_its_page() {
    let host = Host::among(Cases::Postfix);
    if !are_there(&host, &["base64", "nc", "socat"]) {
        return;
    }
    let daemon = host.start();
    let document = "plugin-socket.md";
    let socket = host.plugin_socket();
    let types = |start: &str, own: &[(&str, &str)]| {
        let mut command = command_of(document, start);
        for (theirs, ours) in own {
            assert!(command.contains(theirs), "{command}");
            command = command.replace(theirs, ours);
        }
        let socket = socket.to_str().unwrap();
        said(&host, &command.replace("/run/sealpost/plugin.sock", socket))
    };
    assert!(types("printf 'PING", &[]).starts_with("PONG sealpost "));
    let answer = types("printf 'POLICY", &[("example.org", "sts-enforce.test")]);
    assert_eq!(level(&answer), "verify", "{answer}");
    assert!(answer.contains("\taudit=no\t"), "{answer}");

    let mx = "mx.dane-bad.test";
    let certificate = host.internet.mx_hosts.certificate_of(mx).unwrap();
    fs::write(host.file("leaf.der"), certificate.der()).unwrap();
    let demand = host.say(&format!("MX\tdane-bad.test\t{mx}"));
    assert_eq!(level(&demand), "dane", "{demand}");
    let own = [
        ("mx1.example.org", mx),
        ("example.org", "dane-bad.test"),
        ("5f0c…", field(&demand, "policy")),
    ];
    assert_eq!(
        types("printf 'VERIFY", &own),
        "failed\tresult=validation-failure\treason=dane-no-match\n"
    );
    assert!(daemon.stop().success());
}

#[test]
fn small_commands_of_the_documents_are_ones() {
    let host = Host::new();
    if !are_there(&host, &["df", "du", "openssl", "ssh"]) {
        return;
    }
    let doctor = "guide/doctor.md";
    let mounted = said(&host, &format!("{} .", command_of(doctor, "df -i")));
    assert!(mounted.contains("IFree"), "{mounted}");
    let counted = said(&host, &format!("{} .", command_of(doctor, "du --inodes")));
    assert!(counted.trim_end().ends_with("\t."), "{counted}");
    // `page.token_file` wants a word of at least 20 characters.
    let word = said(&host, &command_of("config.md", "openssl rand"));
    assert_eq!(word.trim_end().len(), 40, "{word}");

    // What ssh makes of it; to connect there would have to be another machine.
    let mut forwards = 0;
    for command in commands(&page("guide/page.md")) {
        let Some(rest) = command.strip_prefix("ssh ") else {
            continue;
        };
        forwards += 1;
        let meant = said(&host, &format!("ssh -F /dev/null -G {rest}"));
        let forward = meant.lines().find(|line| line.starts_with("localforward "));
        let to = if rest.contains(".sock") {
            "/run/sealpost/page.sock"
        } else {
            "[127.0.0.1]:8462"
        };
        assert_eq!(forward, Some(format!("localforward 8462 {to}").as_str()));
        assert!(meant.contains("\nhostname mail.example.org\n"), "{meant}");
    }
    assert_eq!(forwards, 2);
}
