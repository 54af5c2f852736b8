//! What documents tell a reader to type is typed.

mod typed;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use sealpost_kit::ReportMail;

use super::{
    super::pages::{Place, documents, page, places_of_commands},
    host::Host,
    suppression::report_of_a_day,
};
use crate::mta::stand_in_program::write_program;

/// Commands that go on until they are stopped, or that another test types.
pub(in crate::scenarios) const TYPED_ELSEWHERE: [&str; 5] = [
    "sealpost serve",
    "sealpost demo",
    "sealpost setup",
    "sealpost status --metrics > ",
    "sealpost dkim keygen",
];

/// Is the command one of those that are typed below?
pub(in crate::scenarios) fn is_typed_here(command: &str) -> bool {
    let is_typed_elsewhere = TYPED_ELSEWHERE
        .iter()
        .any(|start| command.starts_with(start));
    command.starts_with("sealpost ") && !is_typed_elsewhere
}

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
            "DIRECTORY" | "/var/lib/sealpost/copy" => "copy",
            "FILE..." => "sent.eml reports",
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
        .env("HOME", host.directory())
        .stdin(Stdio::null());
    shell.output().unwrap()
}

/// Files that a reader has: a bounce, and a report in every form in which one comes.
fn own_files(host: &Host) {
    let letter = "Subject: a letter\r\n\r\nHello.\r\n";
    fs::write(host.file("returned.eml"), letter).unwrap();
    let mail = host.wait_for_reports(1).remove(0).data;
    for directory in ["Maildir/cur", "Maildir/new", "Maildir/tmp", "reports"] {
        fs::create_dir_all(host.file(directory)).unwrap();
    }
    for file in ["sent.eml", "kept.eml", "Maildir/new/1", "reports/1.eml"] {
        fs::write(host.file(file), &mail).unwrap();
    }
    let mailbox = [
        b"From tlsrpt@sender.test Thu Jan  1 00:00:00 2026\n",
        mail.as_slice(),
    ]
    .concat();
    fs::write(host.file("inbox.mbox"), mailbox).unwrap();
    let report = ReportMail::parse(&mail).unwrap().json;
    fs::write(host.file("report.json"), report).unwrap();
    let name = "google.com!correct.test!1795478400!1795564799!001.json.gz";
    let packed = typed_in_a_shell(host, &format!("gzip < report.json > '{name}'"));
    assert!(packed.status.success(), "{packed:?}");
}

#[test]
fn every_command_of_the_documents_is_one_and_does_what_it_is_for() {
    let mut host = Host::new();
    host.set("page.path", "page.sock");
    let daemon = host.start();
    report_of_a_day(&host, host.day);
    own_files(&host);
    let (day, tomorrow) = (
        host.day.to_string(),
        host.day.next().next().next().to_string(),
    );
    let mut typed = BTreeSet::new();
    let mut failures = Vec::new();
    for (document, text) in documents() {
        for (place, command) in places_of_commands(&text) {
            if !is_typed_here(&command) {
                continue;
            }
            let command = with_own_names(&command, &day, &tomorrow);
            // What many pages have typed is typed once.
            if !typed.insert(command.clone()) {
                continue;
            }
            let mut output = typed_in_a_shell(&host, &command);
            let said = String::from_utf8_lossy(&output.stderr);
            if place == Place::Text && said.contains("required arguments were not provided") {
                // It is spoken of by its name alone.
                output = typed_in_a_shell(&host, &format!("{command} --help"));
            }
            // 1 is an answer: there is none, or it is not as it should be.
            if !matches!(output.status.code(), Some(0 | 1)) {
                failures.push(format!("{document}: {command}: {output:?}"));
            }
        }
    }
    assert!(typed.len() > 100, "{typed:#?}");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(daemon.stop().success());
}

/// The sources below a directory, as one text.
pub(in crate::scenarios) fn sources(directory: &Path) -> String {
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

/// Each makes keys where there are none yet.
#[test]
fn every_way_of_the_documents_to_make_keys_makes_some() {
    let host = Host::new();
    host.write_config();
    let mut made = 0;
    for (document, text) in documents() {
        for (_, command) in places_of_commands(&text) {
            if command.starts_with("sealpost dkim keygen") {
                made += 1;
                let directory = format!("keys{made}");
                fs::create_dir(host.file(&directory)).unwrap();
                let typed = format!("{command} --directory {directory}");
                let output = typed_in_a_shell(&host, &typed);
                let said = String::from_utf8_lossy(&output.stdout);
                let is_published = said.contains("v=DKIM1") && said.contains("[[dkim]]");
                assert!(
                    output.status.success() && is_published,
                    "{document}: {command}: {output:?}"
                );
                let keys = fs::read_dir(host.file(&directory)).unwrap();
                assert!(keys.count() > 0, "{document}: {command}");
            }
        }
    }
    assert!(made > 4, "{made}");
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
