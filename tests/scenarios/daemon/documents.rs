//! What documents tell a reader to type is typed.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{
    super::pages::{commands, page},
    host::Host,
    suppression::report_of_a_day,
};
use crate::mta::stand_in_program::write_program;

/// The documents whose commands are run. Each is a page of `docs/`; add others to it.
const DOCUMENTS: [&str; 11] = [
    "faq.md",
    "guide/backup.md",
    "guide/bounces.md",
    "guide/doctor.md",
    "guide/evidence.md",
    "guide/first-day.md",
    "guide/overrides.md",
    "guide/reports.md",
    "guide/sizing.md",
    "guide/testing-first.md",
    "threat-model.md",
];

/// Commands that go on until they are stopped, or that another test types.
const TYPED_ELSEWHERE: [&str; 3] = ["sealpost serve", "sealpost demo", "sealpost setup"];

/// A reader has a domain, a day and a mail of their own.
fn with_own_names(command: &str, day: &str, tomorrow: &str) -> String {
    let mut own = String::new();
    let mut before = "";
    for word in command.split(' ') {
        let of_a_range = matches!(before, "--from" | "--to" | "--since");
        before = word;
        let word = match word {
            "DOMAIN" => "correct.test",
            "DAY" => day,
            "NAME" => "certificate-expired",
            "SETTING" => "dns.servers",
            "HOST" => "127.0.66.1",
            word if of_a_range && word.starts_with("20") => day,
            // `add ... --until`: a day that is to come.
            word if word.starts_with("20") && word.matches('-').count() == 2 => tomorrow,
            word => word,
        };
        own.push_str(word);
        own.push(' ');
    }
    own.trim_end().replace("example.org", "correct.test")
}

/// What a line comes to in a shell of the host's directory, where `sealpost` goes by the host's configuration.
pub(super) fn typed_in_a_shell(host: &Host, line: &str) -> Output {
    let bin = host.file("bin");
    if !bin.exists() {
        let (config, program) = (host.file("sealpost.toml"), env!("CARGO_BIN_EXE_sealpost"));
        fs::create_dir(&bin).unwrap();
        let script = format!("exec {program} \"$@\" --config {}", config.display());
        write_program(&bin.join("sealpost"), &script);
    }
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .current_dir(host.directory())
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .stdin(Stdio::null());
    shell.output().unwrap()
}

#[test]
fn every_command_of_the_guides_is_one_and_does_what_it_is_for() {
    let host = Host::new();
    let daemon = host.start();
    report_of_a_day(&host, host.day);
    host.wait_for_reports(1);
    fs::write(
        host.file("returned.eml"),
        "Subject: a letter\r\n\r\nHello.\r\n",
    )
    .unwrap();
    let (day, tomorrow) = (
        host.day.to_string(),
        host.day.next().next().next().to_string(),
    );
    let mut failures = Vec::new();
    for document in DOCUMENTS {
        let commands = commands(&page(document));
        assert!(commands.len() > 3, "{document}: {commands:?}");
        for command in &commands {
            if TYPED_ELSEWHERE
                .iter()
                .any(|start| command.starts_with(start))
            {
                continue;
            }
            let typed = with_own_names(command, &day, &tomorrow);
            let output = typed_in_a_shell(&host, &typed);
            // 1 is an answer: there is none, or it is not as it should be.
            if !matches!(output.status.code(), Some(0 | 1)) {
                failures.push(format!("{document}: {typed}: {output:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(daemon.stop().success());
}

/// The sources below a directory, as one text.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: String = ["src", "tests", "plugin-api"]
        .map(|directory| sources(&top.join(directory)))
        .concat();
    let page = page("threat-model.md");
    // A name of a test is a sentence; of a setting it is a word or two behind its section.
    let is_test = |word: &&str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        word.chars().all(is_letter) && word.matches('_').count() >= 3
    };
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 80, "{named:?}");
    let is_missing = |name: &&&str| !sources.contains(&format!("fn {name}("));
    let missing: Vec<_> = named.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A reader looks for these words in the log.
#[test]
fn every_log_line_of_the_first_day_is_one() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let page = page("guide/first-day.md");
    let rows = page
        .lines()
        .skip_while(|line| *line != "| line | what it means |")
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let lines: Vec<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(|words| words.trim_start_matches("… "))
        .collect();
    assert!(lines.len() > 8, "{lines:?}");
    let missing: Vec<_> = lines
        .iter()
        .filter(|line| !sources.contains(**line))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
