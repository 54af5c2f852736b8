//! What Rust sources are held to.

use super::{
    Complaint, Tree,
    code::{Source, lines_with_word},
};

/// The longest a file may get, its tests included.
const LINES_MAX: usize = 800;

/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

/// The stages in the order of the flow.
const STAGES: [&str; 7] = [
    "policy",
    "hook",
    "record",
    "store",
    "aggregate",
    "report",
    "deliver",
];

/// How the lines after the first of a stage's header begin.
const HEADER: [&str; 4] = [
    "//! Takes: ",
    "//! Gives: ",
    "//! Never: ",
    "//! Specified by: ",
];

/// Stages that are given values and return values.
const PURE: [&str; 4] = ["policy", "hook", "aggregate", "report"];

/// What acts: the disk, sockets, clocks, chance, waiting, and our own modules that do.
const ACTING: &[&str] = &[
    "std::fs",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "SystemTime::now",
    "Instant::now",
    "File::open",
    "tokio",
    "rustix",
    "hyper",
    "hickory_resolver",
    "RandomState",
    "crate::ctl",
    "crate::daemon",
    "crate::doors",
    "crate::engine",
    "crate::net",
];

/// What a door may know of the crate.
const OF_A_DOOR: &[&str] = &[
    "clock",
    "config",
    "doors",
    "hook",
    "observe",
    // The sockets that others come to.
    "net::activation",
    "net::datagram_socket",
    "net::tcp_socket",
    "net::unix_socket",
    // What is asked, answered and told is made of these: values, and pure.
    "policy",
    "quick_hash",
    "recent",
    "record::Failure",
    "record::told",
    "record::untrusted",
];

pub(super) fn check(tree: &Tree, complaints: &mut Vec<Complaint>) {
    for (path, text) in tree.ending_in(".rs") {
        length(path, text, complaints);
        let source = Source::of(text);
        for (number, comment) in (1..).zip(source.comments.lines()) {
            if let Err(problem) = citations(comment) {
                complaints.push(Complaint::new(path, number, problem));
            }
        }
        unsafe_code(path, &source, complaints);
        engine_of_the_store(path, &source, complaints);
        if path.starts_with("src/doors/") {
            doors(path, source.product(), complaints);
        }
        if PURE
            .iter()
            .any(|stage| path.starts_with(&format!("src/{stage}/")))
        {
            pure(path, source.product(), complaints);
        }
    }
    for (number, stage) in (1..).zip(STAGES) {
        header(tree, number, stage, complaints);
    }
}

fn length(path: &str, text: &str, complaints: &mut Vec<Complaint>) {
    let lines = text.lines().count();
    let may_be_longer = LONGER.iter().any(|(longer, _)| *longer == path);
    if lines > LINES_MAX && !may_be_longer {
        let text =
            format!("it has {lines} lines, and {LINES_MAX} is the most: split it by its ideas");
        complaints.push(Complaint::new(path, 0, text));
    }
}

fn header(tree: &Tree, number: usize, stage: &str, complaints: &mut Vec<Complaint>) {
    let path = format!("src/{stage}/mod.rs");
    let Some(text) = tree.texts.get(&path) else {
        complaints.push(Complaint::new(&path, 0, "the stage is missing"));
        return;
    };
    let first = format!("//! Stage {number} of {}: {stage}.", STAGES.len());
    let mut lines = text.lines();
    let begins = lines.next() == Some(first.as_str())
        && HEADER
            .iter()
            .all(|begin| lines.next().is_some_and(|line| line.starts_with(begin)));
    if !begins {
        let text = format!("it must begin with `{first}`, then Takes, Gives, Never, Specified by");
        complaints.push(Complaint::new(&path, 1, text));
    }
}

fn unsafe_code(path: &str, source: &Source, complaints: &mut Vec<Complaint>) {
    if path.starts_with("plugin-api/capi/") {
        return;
    }
    for line in lines_with_word(&source.code, "unsafe") {
        let text = "only plugin-api/capi may be `unsafe`";
        complaints.push(Complaint::new(path, line, text));
    }
}

fn engine_of_the_store(path: &str, source: &Source, complaints: &mut Vec<Complaint>) {
    // A scenario may forge a store that no release of ours writes.
    if path.starts_with("src/store/") || path.starts_with("tests/scenarios/") {
        return;
    }
    // Our own module of that name is what others may know.
    let code = source.code.replace("store::sled::", "store::");
    for line in lines_with_word(&code, "sled") {
        complaints.push(Complaint::new(path, line, "only src/store may name sled"));
    }
}

fn doors(path: &str, code: &str, complaints: &mut Vec<Complaint>) {
    for (line, named) in of_the_crate(code) {
        let known = OF_A_DOOR
            .iter()
            .any(|known| named == *known || named.starts_with(&format!("{known}::")));
        if !known {
            let text =
                format!("a door knows the hook and nothing behind it, so not crate::{named}");
            complaints.push(Complaint::new(path, line, text));
        }
    }
}

fn pure(path: &str, code: &str, complaints: &mut Vec<Complaint>) {
    for acting in ACTING {
        if let Some(module) = acting.strip_prefix("crate::") {
            for (line, named) in of_the_crate(code) {
                if named == module || named.starts_with(&format!("{module}::")) {
                    complaints.push(stays_pure(path, line, acting));
                }
            }
            continue;
        }
        for line in lines_with_word(code, acting) {
            complaints.push(stays_pure(path, line, acting));
        }
    }
}

fn stays_pure(path: &str, line: usize, acting: &str) -> Complaint {
    let text = format!("this stage is pure: it is given values and does not know {acting}");
    Complaint::new(path, line, text)
}

/// What the code names after `crate::`, by line: `a::b`, and each branch of `a::{b, c::{d}}`.
fn of_the_crate(code: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let line = code
            .get(..at)
            .map_or(0, |before| before.matches('\n').count())
            + 1;
        let rest = code.get(at + start.len()..).unwrap_or_default();
        let branches = branches("", rest);
        named.extend(branches.into_iter().map(|path| (line, path)));
    }
    named
}

/// The paths that the tree of a `use` names, with what stands before it.
fn branches(before: &str, tree: &str) -> Vec<String> {
    let own = path_of(tree);
    let path = match (before, own.as_str()) {
        ("", _) => own.clone(),
        (_, "") => before.to_owned(),
        _ => format!("{before}::{own}"),
    };
    let rest = tree.get(own.len()..).unwrap_or_default();
    let Some(inside) = rest.trim_start_matches(':').strip_prefix('{') else {
        return Vec::from_iter((!path.is_empty()).then_some(path));
    };
    let mut depth = 1;
    let mut branch = String::new();
    let mut named = Vec::new();
    for character in inside.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            // After the last comma there is nothing.
            if !branch.trim().is_empty() {
                named.extend(branches(&path, branch.trim()));
            }
            branch.clear();
        } else {
            branch.push(character);
        }
        if depth == 0 {
            break;
        }
    }
    named
}

/// The path that a text begins with, without what is taken out of it.
fn path_of(text: &str) -> String {
    let end = text
        .find(|character: char| !(character.is_alphanumeric() || "_:".contains(character)))
        .unwrap_or(text.len());
    text.get(..end)
        .unwrap_or_default()
        .trim_end_matches(':')
        .to_owned()
}

/// RFCs are cited one way, so that a search finds every rule of a section: `RFC 8460 s4.4`.
fn citations(comment: &str) -> Result<(), &'static str> {
    for (at, _) in comment.match_indices("RFC") {
        let rest = comment.get(at + 3..).unwrap_or_default();
        let number = rest.trim_start_matches([' ', '-']);
        if !number.starts_with(|character: char| character.is_ascii_digit()) {
            continue;
        }
        if !rest.starts_with(' ') || rest.starts_with("  ") {
            return Err("an RFC is cited as `RFC 8460 s4.4`");
        }
        let after = number.trim_start_matches(|character: char| character.is_ascii_digit());
        let after = after.trim_start_matches([',', ' ']);
        let word = after.split([' ', ',']).next().unwrap_or_default();
        if after.starts_with('\u{a7}') || matches!(word, "section" | "Section" | "sec." | "sect.") {
            return Err("a section is cited as `RFC 8460 s4.4`");
        }
    }
    // A comment that begins with one says which rule the code below obeys.
    if let Some(rule) = comment.trim_start().strip_prefix("// RFC ") {
        let after = rule.trim_start_matches(|character: char| character.is_ascii_digit());
        let section = after
            .strip_prefix(" s")
            .is_some_and(|section| section.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if !section && !after.starts_with(':') {
            return Err("a rule is cited as `// RFC 8460 s4.4: what it demands`");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: &str, text: &str) -> Vec<(String, usize)> {
        let mut complaints = Vec::new();
        check(&Tree::of([(path, text)]), &mut complaints);
        complaints.retain(|one| one.text != "the stage is missing");
        complaints
            .into_iter()
            .map(|one| (one.text, one.line))
            .collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        said(path, text).into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn unsafe_stays_in_the_library() {
        assert_eq!(lines("src/a.rs", "fn a() {\n    unsafe {}\n}\n"), [2]);
        assert_eq!(
            lines(
                "src/a.rs",
                "// unsafe\n#![forbid(unsafe_code)]\n\"unsafe\"\n"
            ),
            []
        );
        assert_eq!(
            lines("plugin-api/capi/src/lib.rs", "unsafe fn a() {}\n"),
            []
        );
    }

    #[test]
    fn only_the_store_names_sled() {
        assert_eq!(lines("src/a.rs", "use sled::Db;\n"), [1]);
        assert_eq!(
            lines("src/a.rs", "use crate::store::sled::SledStore;\n"),
            []
        );
        assert_eq!(lines("src/store/engine.rs", "use sled::Db;\n"), []);
    }

    #[test]
    fn a_door_knows_the_hook_alone() {
        let good = "use crate::{\n    config::Config,\n    hook::{AsyncHook, decide},\n};\n\
                    use crate::net::{unix_socket::{Access, BoundSocket}, activation::Activated};\n";
        assert_eq!(lines("src/doors/a.rs", good), []);
        assert_eq!(lines("src/doors/a.rs", "use crate::store::Store;\n"), [1]);
        assert_eq!(
            lines(
                "src/doors/a.rs",
                "\nuse crate::{hook::A, net::{dns::Dns, https, unix_socket::{Access}}};\n"
            ),
            [2, 2]
        );
        let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}\n";
        assert_eq!(lines("src/doors/a.rs", in_tests), []);
    }

    #[test]
    fn pure_stages_do_not_act() {
        for text in [
            "use std::fs;\n",
            "let now = SystemTime::now();\n",
            "use tokio::net::TcpListener;\n",
            "use crate::{clock::Timestamp, net::dns::Dns};\n",
        ] {
            assert_eq!(lines("src/report/a.rs", text), [1], "{text}");
            assert_eq!(lines("src/deliver/a.rs", text), [], "{text}");
        }
        assert_eq!(
            lines(
                "src/report/a.rs",
                "use crate::{clock::Timestamp, config::Config};\n"
            ),
            []
        );
    }

    #[test]
    fn long_files_are_split() {
        assert_eq!(said("src/a.rs", &"\n".repeat(LINES_MAX)), []);
        assert_eq!(lines("src/a.rs", &"\n".repeat(LINES_MAX + 1)), [0]);
    }

    #[test]
    fn a_stage_introduces_itself() {
        let good = "//! Stage 2 of 7: hook.\n//! Takes: a.\n//! Gives: b.\n//! Never: c.\n\
                    //! Specified by: d.\n";
        assert_eq!(lines("src/hook/mod.rs", good), []);
        assert_eq!(
            lines("src/hook/mod.rs", &good.replace("2 of 7", "3 of 7")),
            [1]
        );
        assert_eq!(
            lines("src/hook/mod.rs", &good.replace("//! Never: c.\n", "")),
            [1]
        );
    }

    #[test]
    fn rfcs_are_cited_in_one_way() {
        for good in [
            "// RFC 8460 s4.4: a count.",
            "// RFC 8461 s3.1, RFC 8460 s3: only one.",
            "// RFC 7505: a null MX.",
            "/// As RFC 8460 has it.",
            "// The RFCs are silent.",
            "// (RFC 8461 s3.2).",
        ] {
            assert_eq!(citations(good), Ok(()), "{good}");
        }
        for bad in [
            "// RFC8460 s4.4: a count.",
            "// RFC-8460 s4.4: a count.",
            "// RFC 8460 section 4.4: a count.",
            "/// See RFC 8460, Section 4.4.",
            "// RFC 8460 \u{a7}4.4: a count.",
            "// RFC 8460 has it so.",
        ] {
            assert!(citations(bad).is_err(), "{bad}");
        }
    }
}
