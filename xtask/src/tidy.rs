//! `cargo xtask tidy`: what neither the compiler nor clippy knows of this repository.
//!
//! It holds the sources to the rules that ARCHITECTURE.md and docs/decisions state: which stage may
//! reach what, how long a file may get, how a stage introduces itself, how an RFC is cited, and that
//! no page or link leads nowhere. Each complaint names the file, the line and what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode},
};

use crate::tools::root;

mod code;
mod pages;
mod sources;

/// Files whose text is looked at.
const TEXT_ENDINGS: &[&str] = &["rs", "md", "toml", "h", "c", "py", "sh", "conf", "yml"];

/// Checks the repository.
///
/// # Errors
/// When something is wrong, which it lists, or the files cannot be listed or read.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    match arguments.first() {
        Some(argument) => Err(format!("{argument}: it takes no arguments")),
        None => check().map(|()| ExitCode::SUCCESS),
    }
}

/// Lists what is wrong.
///
/// # Errors
/// When something is, or the files cannot be listed or read.
pub(crate) fn check() -> Result<(), String> {
    let complaints = complaints(&Tree::read(&root())?);
    let mut out = io::stdout().lock();
    for complaint in &complaints {
        writeln!(out, "{complaint}").map_err(|error| error.to_string())?;
    }
    match complaints.len() {
        0 => Ok(()),
        number => Err(format!("{number} complaints")),
    }
}

/// Everything that is wrong, by file and line.
fn complaints(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (path, text) in &tree.texts {
        white_space(path, text, &mut complaints);
    }
    sources::check(tree, &mut complaints);
    pages::check(tree, &mut complaints);
    complaints.sort();
    complaints.dedup();
    complaints
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    path: String,
    /// From 1; 0 where it is the whole file.
    line: usize,
    text: String,
}

impl Complaint {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.text),
            line => write!(formatter, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// The files of the repository, by their path from its top.
#[derive(Debug, Default)]
struct Tree {
    /// Every file, and every directory that holds one.
    paths: BTreeSet<String>,
    /// What stands in those that are text of ours.
    texts: BTreeMap<String, String>,
}

impl Tree {
    fn read(top: &Path) -> Result<Self, String> {
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(top)
            .output()
            .map_err(|error| format!("git ls-files: {error}"))?;
        if !listed.status.success() {
            return Err(format!("git ls-files: {}", listed.status));
        }
        let listed = String::from_utf8(listed.stdout).map_err(|error| error.to_string())?;
        let mut tree = Self::default();
        for path in listed.split_terminator('\0') {
            // One that git knows and that was removed is on its way out.
            if !top.join(path).exists() {
                continue;
            }
            let text = if is_text(path) {
                let text = std::fs::read_to_string(top.join(path));
                Some(text.map_err(|error| format!("{path}: {error}"))?)
            } else {
                None
            };
            tree.add(path, text);
        }
        Ok(tree)
    }

    fn add(&mut self, path: &str, text: Option<String>) {
        for above in Path::new(path).ancestors().skip(1) {
            self.paths.insert(above.display().to_string());
        }
        self.paths.insert(path.to_owned());
        self.texts.extend(text.map(|text| (path.to_owned(), text)));
    }

    /// The texts with this ending.
    fn ending_in<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    #[cfg(test)]
    fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, Some(text.to_owned()));
        }
        tree
    }
}

/// A golden file is what a machine wrote; what stands in it is a test's affair.
fn is_text(path: &str) -> bool {
    let ending = Path::new(path)
        .extension()
        .and_then(|ending| ending.to_str());
    !path.starts_with("tests/golden/")
        && ending.is_some_and(|ending| TEXT_ENDINGS.contains(&ending))
}

fn white_space(path: &str, text: &str, complaints: &mut Vec<Complaint>) {
    for (number, line) in (1..).zip(text.split('\n')) {
        if line.ends_with([' ', '\t', '\r']) {
            complaints.push(Complaint::new(path, number, "white space ends the line"));
        }
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        complaints.push(Complaint::new(path, 0, "it must end with one line end"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of one file, with its line.
    fn said(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut complaints = Vec::new();
        white_space(path, text, &mut complaints);
        complaints
            .into_iter()
            .map(|one| (one.line, one.text))
            .collect()
    }

    #[test]
    fn lines_end_where_their_text_does() {
        assert_eq!(said("a.rs", "fn a() {}\n"), []);
        assert_eq!(said("a.rs", ""), []);
        assert_eq!(
            said("a.md", "a \nb\t\nc\n")
                .iter()
                .map(|one| one.0)
                .collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(said("a.md", "a\r\n").len(), 1);
        assert_eq!(said("a.md", "a").len(), 1);
        assert_eq!(said("a.md", "a\n\n").len(), 1);
    }

    #[test]
    fn a_complaint_says_where() {
        let of_line = Complaint::new("src/a.rs", 7, "no");
        assert_eq!(of_line.to_string(), "src/a.rs:7: no");
        assert_eq!(
            Complaint::new("src/a.rs", 0, "no").to_string(),
            "src/a.rs: no"
        );
    }
}
