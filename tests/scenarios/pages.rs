//! Reads what documents tell a reader to type.

mod typists;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sealpost::clock::{Clock as _, SystemClock, UtcDay};

/// Programs whose names begin a command, in a block of a page or between backticks.
const PROGRAMS: [&str; 51] = [
    "apt",
    "base64",
    "cargo",
    "cat",
    "chattr",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "curl",
    "cut",
    "df",
    "dig",
    "du",
    "echo",
    "exim",
    "exim4",
    "grep",
    "install",
    "journalctl",
    "jq",
    "kill",
    "man",
    "mkdir",
    "mv",
    "nc",
    "newaliases",
    "openssl",
    "postconf",
    "postfix",
    "postmap",
    "postqueue",
    "postsuper",
    "printf",
    "promtool",
    "rm",
    "rsync",
    "sealpost",
    "sendmail",
    "setpriv",
    "socat",
    "ssh",
    "sudo",
    "sysctl",
    "systemctl",
    "systemd-analyze",
    "tar",
    "useradd",
    "usermod",
    "wget",
    "while",
];

/// Lines of files that begin as what root types does.
const COMMENTS: [&str; 3] = [
    "/etc/postfix/transport",
    "/etc/postfix/virtual",
    "Exim asks as root when it routes",
];

/// Every page for those who run Sealpost, and every decision: its path from the top, and its text.
pub(super) fn documents() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![top.join("README.md")];
    gather(&top.join("docs"), &mut paths);
    paths.sort();
    let document = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(top).unwrap().to_str().unwrap();
        (name.to_owned(), text)
    };
    paths.into_iter().map(document).collect()
}

fn gather(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, paths);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            paths.push(path);
        }
    }
}

/// A page of `docs/`.
pub(super) fn page(name: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    fs::read_to_string(docs.join(name)).unwrap()
}

/// The block of indented lines of a page that begins with this line, without the indentation.
pub(super) fn block(page: &str, first: &str) -> String {
    let unindented = |line: &str| match line.strip_prefix("    ") {
        Some(line) => Some(line.to_owned()),
        None if line.is_empty() => Some(String::new()),
        None => None,
    };
    let lines = page
        .lines()
        .skip_while(|line| line.strip_prefix("    ") != Some(first));
    let block: Vec<String> = lines.map_while(unindented).collect();
    assert!(
        !block.is_empty(),
        "the page has no block that begins with {first}"
    );
    block.join("\n").trim_end().to_owned() + "\n"
}

/// The one line of a page's blocks that is typed as root and begins so.
pub(super) fn line_of_root(page: &str, start: &str) -> String {
    let mut lines = page
        .lines()
        .filter_map(|line| line.strip_prefix("    # "))
        .filter(|line| line.starts_with(start));
    let line = lines.next();
    assert_eq!(lines.next(), None, "{start} begins two lines");
    line.unwrap_or_else(|| panic!("no line begins with {start}"))
        .to_owned()
}

/// The commands of a page: lines of its blocks, and what stands between backticks and is more than a program's name.
/// What is explained of a line comes after three spaces or more. A line that goes on in the next is one.
pub(super) fn commands(page: &str) -> Vec<String> {
    let found = places_of_commands(page).into_iter();
    found.map(|(_, command)| command).collect()
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On a line of its own: to be typed as it is.
    Line,
    /// Between backticks: to be typed, or spoken of.
    Text,
}

/// The same, each with where it stands.
pub(super) fn places_of_commands(page: &str) -> Vec<(Place, String)> {
    let mut commands = Vec::new();
    let mut is_code_of_another_language = false;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            is_code_of_another_language = !is_code_of_another_language;
        }
        if is_code_of_another_language {
            continue;
        }
        let Some(line) = line.strip_prefix("    ") else {
            let in_text = line.split('`').skip(1).step_by(2);
            let typed = in_text.filter(|words| words.contains(' ') && is_command(words));
            commands.extend(typed.map(|command| (Place::Text, command.to_owned())));
            continue;
        };
        let prompted = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ "));
        let is_comment = |line: &str| COMMENTS.iter().any(|comment| line.starts_with(comment));
        if prompted.is_some_and(is_comment) {
            continue;
        }
        let mut command = prompted.unwrap_or(line).to_owned();
        if !is_command(&command) {
            assert!(prompted.is_none(), "is this a command? {line}");
            continue;
        }
        while command.ends_with('\\') || command.ends_with("&&") {
            let next = lines.next().unwrap().trim_start();
            command = format!("{} {next}", command.trim_end_matches('\\').trim_end());
        }
        let command = command.split("   ").next().unwrap_or(&command);
        commands.push((Place::Line, command.trim_end().to_owned()));
    }
    commands
}

/// For what a page has until a day that is past when somebody reads it.
pub(super) fn in_ten_days() -> String {
    UtcDay(SystemClock.now().day().0 + 10).to_string()
}

fn is_command(line: &str) -> bool {
    let words = line.strip_prefix("(cd ").map_or(line, |_| "cat ");
    let first = words.split(' ').next().unwrap_or_default();
    PROGRAMS.contains(&first)
}

#[test]
fn the_commands_of_a_page_are_found() {
    let page = "Type `sealpost status`, `exim4 -bV`, `ls` or `size = 4`.\n\n    sealpost check a.test      is it good?\n    \
                # sealpost serve\n    setting = 4\n    $ printf a \\\n        | nc -U b\n    ok\n    sealpost status > c &&\n      \
                mv c d\n\n```rust\nlet it = `cargo test`;\n```\n";
    assert_eq!(
        commands(page),
        [
            "sealpost status",
            "exim4 -bV",
            "sealpost check a.test",
            "sealpost serve",
            "printf a | nc -U b",
            "sealpost status > c && mv c d",
        ]
    );
    assert_eq!(
        block("a\n\n    one\n      two\n\n    three\n\nb\n", "one"),
        "one\n  two\n\nthree\n"
    );
}
