//! What `sealpost doctor` shows: results and the list of traps, for people and as JSON, and `docs/guide/doctor.md`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Examination, finding::Examined, finding::State};
use crate::{
    config::explain::wrapped,
    ctl::{
        screen::{counted, shown},
        wire::{ExaminationView, Examinations, TrapView},
    },
};

pub(super) fn results(all: &[(&'static Examination, Examined)]) -> Examinations {
    let worst = all.iter().map(|(_, examined)| examined.state()).max();
    let one = |(examination, examined): &(&'static Examination, Examined)| ExaminationView {
        name: examination.name.to_owned(),
        state: examined.state().name().to_owned(),
        well: examined.well.clone(),
        findings: examined
            .findings
            .iter()
            .map(|finding| TrapView {
                trap: finding.trap.name.to_owned(),
                state: finding.trap.state.name().to_owned(),
                seen: finding.seen.clone(),
                cause: finding.trap.cause.to_owned(),
                cure: finding.trap.cure.to_owned(),
                lines: finding.lines.clone(),
            })
            .collect(),
        unknown: examined.unknown.clone(),
    };
    Examinations {
        state: worst.unwrap_or(State::Well).name().to_owned(),
        examinations: all.iter().map(one).collect(),
    }
}

/// How wide a line is, and how far the words of a finding are set in.
const COLUMNS_MAX: usize = 100;
const SET_IN: usize = 8;

/// A line for each examination, then what is wrong, the worst first.
pub(super) fn results_as_text(results: &Examinations) -> String {
    let mut text = String::new();
    let all = &results.examinations;
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for one in all {
        let _ = writeln!(
            text,
            "{:<5} {:<width$}  {}",
            State::mark_of(&one.state),
            one.name,
            summary(one)
        );
    }
    for state in [State::Trouble, State::Warning] {
        for one in all {
            let findings = one.findings.iter();
            for finding in findings.filter(|finding| finding.state == state.name()) {
                finding_as_text(&mut text, &one.name, finding);
            }
        }
    }
    let unknown: Vec<String> = all
        .iter()
        .flat_map(|one| {
            one.unknown
                .iter()
                .map(move |why| format!("{}: {why}", one.name))
        })
        .collect();
    if !unknown.is_empty() {
        text.push_str("\n?     not known\n");
        for why in unknown {
            set_in(&mut text, "- ", &shown(&why));
        }
    }
    text
}

/// What a line says of an examination.
fn summary(one: &ExaminationView) -> String {
    if !one.findings.is_empty() {
        let findings = one.findings.iter();
        let mut names: Vec<&str> = findings.map(|finding| finding.trap.as_str()).collect();
        names.dedup();
        return names.join(", ");
    }
    match (one.unknown.len(), one.well.first()) {
        (0, Some(first)) => shorten(&shown(first)),
        (0, None) => "nothing is wrong".to_owned(),
        (unknown, _) => {
            let unknown = u64::try_from(unknown).unwrap_or(u64::MAX);
            format!("{} not known", counted(unknown, "thing"))
        }
    }
}

/// What fits behind the name of an examination.
const SUMMARY_CHARACTERS_MAX: usize = 76;

fn shorten(text: &str) -> String {
    if text.chars().count() <= SUMMARY_CHARACTERS_MAX {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(SUMMARY_CHARACTERS_MAX - 3).collect();
    format!("{beginning}...")
}

fn finding_as_text(text: &mut String, examination: &str, finding: &TrapView) {
    let _ = writeln!(
        text,
        "\n{:<5} {examination}: {}",
        State::mark_of(&finding.state),
        finding.trap
    );
    set_in(text, "seen   ", &shown(&finding.seen));
    set_in(text, "means  ", &finding.cause);
    set_in(text, "do     ", &finding.cure);
    for line in &finding.lines {
        let _ = writeln!(text, "{:SET_IN$}         {}", "", shown(line));
    }
}

/// Words under a label, wrapped below themselves.
fn set_in(text: &mut String, label: &str, words: &str) {
    let mut label = label.to_owned();
    let room = COLUMNS_MAX - SET_IN - label.len();
    for line in wrapped(words, room) {
        let _ = writeln!(text, "{:SET_IN$}{label}{line}", "");
        label = " ".repeat(label.len());
    }
}

/// What `--list --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct List {
    examinations: Vec<ListedExamination>,
}

#[derive(Debug, Serialize)]
struct ListedExamination {
    name: &'static str,
    text: &'static str,
    traps: Vec<ListedTrap>,
}

#[derive(Debug, Serialize)]
struct ListedTrap {
    name: &'static str,
    state: &'static str,
    cause: &'static str,
    cure: &'static str,
}

pub(super) fn list(examinations: &[Examination]) -> List {
    let listed = examinations.iter().map(|one| ListedExamination {
        name: one.name,
        text: one.text,
        traps: one
            .traps
            .iter()
            .map(|trap| ListedTrap {
                name: trap.name,
                state: trap.state.name(),
                cause: trap.cause,
                cure: trap.cure,
            })
            .collect(),
    });
    List {
        examinations: listed.collect(),
    }
}

pub(super) fn list_as_text(list: &List) -> String {
    let mut text = String::new();
    for one in &list.examinations {
        let _ = writeln!(text, "{}\n  {}", one.name, one.text);
        for trap in &one.traps {
            let _ = writeln!(text, "    {:<8} {}", trap.state, trap.name);
        }
    }
    text
}

/// `docs/guide/doctor.md`.
pub(super) fn markdown(examinations: &[Examination]) -> String {
    let mut text = String::from(
        "# What can be silently wrong, and what to do\n\n\
         For whoever runs Sealpost. Most of what goes wrong on a sending host is said in no log: mail goes on, and the\n\
         reports are too small, ignored, or never leave. `sealpost doctor` looks for each of these traps:\n\n    \
         sealpost doctor                      all of it\n    \
         sealpost doctor postfix sockets      some of it\n    \
         sealpost doctor --list               what there is\n    \
         sealpost doctor --json               for a monitor\n\n\
         It changes nothing, sends no mail, and takes ten seconds at most. Run it as root: who may see less is told what\n\
         could not be seen (`?`, which is no failure). With the daemon running it also asks that. It ends with 1 when\n\
         something is in trouble, and with 0 otherwise; with `--strict` warnings count as well. What was chosen and why\n\
         is in [decision 16](../decisions/0016-doctor.md).\n\n\
         <!-- Made from the tables in src/ctl/doctor: `sealpost doctor --markdown`. -->\n",
    );
    for one in examinations {
        let _ = write!(text, "\n## `{}`\n\n{}\n", one.name, plain(one.text));
        for trap in one.traps {
            let _ = write!(
                text,
                "\n### `{}` ({})\n\n- **What it means:** {}\n- **What to do:** {}\n",
                trap.name,
                trap.state.name(),
                plain(trap.cause),
                plain(trap.cure)
            );
        }
    }
    text
}

/// `*` and `_` are said of names here, and names in Markdown want no emphasis; within backquotes they need no help.
fn plain(sentences: &str) -> String {
    let parts = sentences.split('`').enumerate().map(|(index, part)| {
        if index % 2 == 0 {
            part.replace('*', "\\*").replace('_', "\\_")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("`")
}
