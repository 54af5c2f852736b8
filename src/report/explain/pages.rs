//! The table for people: what `sealpost explain` prints, and `docs/failures.md`.

use std::{borrow::Cow, fmt::Write as _};

use sealpost_plugin_api::ResultType;
use serde::Serialize;

use super::{Explanation, MARKS, Row, UNKNOWN, Voice, plain_code, policies::Circumstance, rows};
use crate::config::{explain::wrapped, near::nearest};

/// Whoever looks a name up may have it from anybody's report.
const VOICE: Voice = Voice::Reader;

/// An entry of the table as data, for `sealpost explain --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The result type of RFC 8460 it is about; absent where it may be any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_type: Option<&'static str>,
    /// The policy it is about, where it is about none of the failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'static str>,
    /// The reason codes it is about; one that ends in `*` stands for all that begin so. None: it is
    /// said where no reason code tells more.
    pub reason_codes: Vec<&'static str>,
    /// What happened; of a policy what it does to mail.
    pub happened: Cow<'static, str>,
    /// What that most likely means.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub meaning: Cow<'static, str>,
    /// What to do; of a policy where nothing failed.
    pub remedy: Cow<'static, str>,
}

/// Nothing in the table has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchFailure {
    /// The caller: it is no result type, no reason code and no policy.
    #[error(
        "\"{0}\" is no result type and no reason code of ours; `sealpost explain` lists them all. A \
         mail server may have reasons of its own: then its result type says what is known"
    )]
    Unknown(String),
    /// The caller: another name was probably meant.
    #[error("\"{0}\" is no result type and no reason code; did you mean \"{1}\"?")]
    DidYouMean(String, String),
}

impl Entry {
    fn of_row(row: &Row) -> Self {
        let Explanation {
            happened,
            meaning,
            remedy,
        } = row.sentences.said_by(VOICE);
        Self {
            result_type: row.result.map(ResultType::name),
            policy: None,
            reason_codes: row.named_codes().collect(),
            happened,
            meaning,
            remedy,
        }
    }

    fn of_policy(circumstance: Circumstance) -> Self {
        let words = circumstance.words();
        Self {
            result_type: None,
            policy: Some(circumstance.name()),
            reason_codes: Vec::new(),
            happened: words.effect.into(),
            meaning: "".into(),
            remedy: words.all_well.into(),
        }
    }

    /// What it is found by, on one line.
    fn heading(&self) -> String {
        let mut parts: Vec<&str> = self.result_type.into_iter().collect();
        parts.extend(self.policy);
        let codes = self.reason_codes.join(", ");
        if codes.is_empty() {
            return parts.join(" ");
        }
        parts.push(&codes);
        parts.join(": ")
    }
}

/// The policies of which anything is said.
fn circumstances() -> impl Iterator<Item = Circumstance> {
    let says_something = |it: &Circumstance| !it.words().effect.is_empty();
    Circumstance::ALL.into_iter().filter(says_something)
}

/// The whole table as data, or what it says of a result type, a reason code or a policy.
///
/// # Errors
/// When there is none of that name; the error names the nearest.
pub fn described(name: Option<&str>) -> Result<Vec<Entry>, NoSuchFailure> {
    let Some(name) = name else {
        let policies = circumstances().map(Entry::of_policy);
        return Ok(in_order().map(Entry::of_row).chain(policies).collect());
    };
    let code = plain_code(name);
    let mut found: Vec<Entry> = match code.parse::<ResultType>() {
        Ok(result) => of_result(result).map(Entry::of_row).collect(),
        Err(_) => Vec::new(),
    };
    let is_of_code = |row: &&Row| !row.is_general() && row.covers(&code);
    let names_it = |row: &&Row| row.is_general() && row.named_codes().any(|known| known == code);
    let of_code = rows().filter(|row| is_of_code(row) || names_it(row));
    for entry in of_code.map(Entry::of_row) {
        if !found.contains(&entry) {
            found.push(entry);
        }
    }
    let policy = circumstances().find(|it| it.name() == code);
    found.extend(policy.map(Entry::of_policy));
    if found.is_empty() {
        return Err(match nearest(&code, names().into_iter()) {
            Some(near) => NoSuchFailure::DidYouMean(name.to_owned(), near.to_owned()),
            None => NoSuchFailure::Unknown(name.to_owned()),
        });
    }
    Ok(found)
}

/// Everything that can be asked for by name.
fn names() -> Vec<&'static str> {
    let codes = rows()
        .flat_map(Row::named_codes)
        .map(|code| code.trim_end_matches('*'));
    let types = ResultType::ALL.into_iter().map(ResultType::name);
    let policies = circumstances().map(Circumstance::name);
    codes.chain(types).chain(policies).collect()
}

/// The rows of one result type: the general one first.
fn of_result(result: ResultType) -> impl Iterator<Item = &'static Row> {
    let is_of = move |row: &&Row| row.result == Some(result);
    let general = rows().filter(is_of).filter(|row| row.is_general());
    general.chain(rows().filter(is_of).filter(|row| !row.is_general()))
}

/// The rows by result type, in the order of RFC 8460 s4.3; those of any type last.
fn in_order() -> impl Iterator<Item = &'static Row> {
    let by_type = ResultType::ALL.into_iter().flat_map(of_result);
    by_type.chain(rows().filter(|row| row.result.is_none()))
}

/// What there is to ask for: every result type with its reason codes, and every policy.
#[must_use]
pub fn list() -> String {
    let mut text =
        String::from("Result types of RFC 8460, each with the reason codes that say more\n");
    for result in ResultType::ALL {
        let codes = of_result(result).flat_map(Row::named_codes);
        let _ = writeln!(text, "\n{result}");
        listed(&mut text, &codes.collect::<Vec<_>>());
    }
    text.push_str("\nwith any result type\n");
    let of_any = rows().filter(|row| row.result.is_none());
    listed(
        &mut text,
        &of_any.flat_map(Row::named_codes).collect::<Vec<_>>(),
    );
    text.push_str("\nPolicies\n");
    listed(
        &mut text,
        &circumstances().map(Circumstance::name).collect::<Vec<_>>(),
    );
    text.push_str("\nMarks before a reason code\n");
    for (source, sentence) in MARKS {
        let _ = writeln!(text, "  {:<8} {}", source.mark(""), VOICE.says(sentence));
    }
    text.push_str(
        "\n`sealpost explain NAME` says what one of them means and what to do, for example of \
         sts-mx-mismatch.\n",
    );
    text
}

fn listed(text: &mut String, names: &[&str]) {
    for line in wrapped(&names.join(", "), COLUMNS_MAX) {
        let _ = writeln!(text, "  {line}");
    }
}

/// What the table says of a result type, a reason code or a policy.
///
/// # Errors
/// When there is none of that name; the error names the nearest.
pub fn one(name: &str) -> Result<String, NoSuchFailure> {
    let entries = described(Some(name))?;
    let sections: Vec<String> = entries.iter().map(in_words).collect();
    let mut text = sections.join("\n");
    if let Some(mark) = super::mark(name, VOICE) {
        let _ = writeln!(text, "\n{mark}");
    }
    if text.contains(super::DOMAIN) {
        let _ = writeln!(
            text,
            "\n{} stands for the policy domain, and with TLSA records for the MX host.",
            super::DOMAIN
        );
    }
    if text.to_ascii_lowercase().contains("the sender") {
        text.push_str(
            "\nThe sender is whoever delivered the mail and reports it: in `sealpost sessions`, this host.\n",
        );
    }
    Ok(text)
}

const COLUMNS_MAX: usize = 92;

fn in_words(entry: &Entry) -> String {
    let mut text = format!("{}\n", entry.heading());
    for (label, sentences) in labelled(entry) {
        for line in wrapped(&format!("{label}: {sentences}"), COLUMNS_MAX) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// The sentences of an entry, each with what it answers.
fn labelled(entry: &Entry) -> impl Iterator<Item = (&'static str, &str)> {
    let labels = if entry.policy.is_some() {
        [WHEN_IT_FAILS, MEANING, WHEN_ALL_IS_WELL]
    } else {
        [HAPPENED, MEANING, REMEDY]
    };
    let sentences = [&*entry.happened, &*entry.meaning, &*entry.remedy];
    let pairs = labels.into_iter().zip(sentences);
    pairs.filter(|(_, sentences)| !sentences.is_empty())
}

/// What stands before each of the sentences, in reports too.
pub const HAPPENED: &str = "What happened";
/// See [`HAPPENED`].
pub const MEANING: &str = "What it most likely means";
/// See [`HAPPENED`].
pub const REMEDY: &str = "What to do";
const WHEN_IT_FAILS: &str = "When a session fails it";
const WHEN_ALL_IS_WELL: &str = "When no session fails it";

/// `docs/failures.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# What can fail, and what to do\n\n\
         For the postmasters of domains that get our reports, and for those who send them. A report \
         (RFC 8460)\nnames each way in which TLS sessions failed by a *result type* and mostly by a \
         *reason code*\n(`failure-reason-code`). The text of the report's mail says the same sentences \
         as this page, and so does\n`sealpost explain NAME` for any name on it. `DOMAIN` stands for the \
         policy domain: the recipient domain, and\nwith TLSA records the MX host.\n\n\
         <!-- Made from the table in src/report/explain: `sealpost explain --markdown`. -->\n",
    );
    for result in ResultType::ALL {
        let _ = write!(text, "\n## `{result}`\n");
        for row in of_result(result) {
            text.push_str(&row_in_markdown(row));
        }
    }
    text.push_str("\n## With any result type\n");
    for row in rows().filter(|row| row.result.is_none()) {
        text.push_str(&row_in_markdown(row));
    }
    text.push_str(
        "\n## Marks before a reason code\n\n\
         What the mail server that delivers told comes without a mark.\n\n",
    );
    for (source, sentence) in MARKS {
        let _ = writeln!(text, "- `{}`: {}", source.mark(""), VOICE.says(sentence));
    }
    text.push_str(
        "\n## Policies\n\n\
         What a failure does to the mail is up to the policy that the session was held to.\n",
    );
    for circumstance in circumstances() {
        let _ = write!(
            text,
            "\n### {} (`{}`)\n\n",
            circumstance.words().title,
            circumstance.name()
        );
        sentences_in_markdown(&mut text, &Entry::of_policy(circumstance));
    }
    let _ = write!(
        text,
        "\n## A result type that is not on this page\n\n{} {}\n",
        UNKNOWN.meaning, UNKNOWN.remedy
    );
    text
}

fn row_in_markdown(row: &Row) -> String {
    let codes: Vec<String> = row.named_codes().map(|code| format!("`{code}`")).collect();
    let heading = match (codes.is_empty(), row.is_general()) {
        (true, _) => "with another reason code, or none".to_owned(),
        (false, true) => format!("{}; with another reason code, or none", codes.join(", ")),
        (false, false) => codes.join(", "),
    };
    let mut text = format!("\n### {heading}\n\n");
    sentences_in_markdown(&mut text, &Entry::of_row(row));
    text
}

fn sentences_in_markdown(text: &mut String, entry: &Entry) {
    for (label, sentences) in labelled(entry) {
        // `*` and `_` are said of names here, and names in Markdown want no emphasis.
        let plain = sentences.replace('*', "\\*").replace('_', "\\_");
        let _ = writeln!(text, "- **{label}:** {plain}");
    }
}
