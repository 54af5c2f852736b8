//! What pages are held to: links lead somewhere, decisions are listed, and what the code names is
//! there.

use std::path::{Component, Path};

use super::{Complaint, Tree, code::Source};

const DECISIONS: &str = "docs/decisions/";

pub(super) fn check(tree: &Tree, complaints: &mut Vec<Complaint>) {
    for (path, text) in tree.ending_in(".md") {
        links(tree, path, text, complaints);
    }
    for (path, text) in tree.ending_in(".rs") {
        named(tree, path, &Source::of(text).comments, complaints);
    }
    for ending in [".md", ".toml"] {
        for (path, text) in tree.ending_in(ending) {
            named(tree, path, text, complaints);
        }
    }
    listed(tree, complaints);
}

/// Relative links of a page.
fn links(tree: &Tree, path: &str, text: &str, complaints: &mut Vec<Complaint>) {
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere = file.is_empty() || file.contains(':');
            let leads_somewhere = is_elsewhere || tree.paths.contains(&beside(path, file));
            if !leads_somewhere || !has_heading(tree, path, target) {
                let text = format!("the link to {target} leads nowhere");
                complaints.push(Complaint::new(path, number, text));
            }
        }
    }
}

/// Whether a page has the heading that a link names behind its `#`.
fn has_heading(tree: &Tree, path: &str, target: &str) -> bool {
    let Some((file, heading)) = target.split_once('#') else {
        return true;
    };
    let page = match file {
        "" => path.to_owned(),
        _ => beside(path, file),
    };
    // What is no page of ours has headings that nobody here knows.
    let Some(text) = tree.texts.get(&page).filter(|_| !file.contains(':')) else {
        return true;
    };
    let mut headings = text.lines().filter_map(|line| {
        let words = line.trim_start_matches('#');
        (words.len() < line.len()).then_some(words)
    });
    headings.any(|words| anchor(words) == heading)
}

/// What a heading is called in a link.
fn anchor(words: &str) -> String {
    let kept = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
    let words = words.trim().chars().filter(|letter| kept(*letter));
    words.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What stands in `](...)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let end = rest.find([')', ' '])?;
        rest.get(..end)
    })
}

/// A relative path from the directory of a file, as a path from the top.
fn beside(file: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for component in Path::new(relative).components() {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::CurDir => {}
        }
    }
    parts.join("/")
}

/// Pages that are named by their path from the top.
fn named(tree: &Tree, path: &str, text: &str, complaints: &mut Vec<Complaint>) {
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.split(|character: char| {
            !(character.is_ascii_alphanumeric() || "/-_.".contains(character))
        });
        for word in words {
            let page = word.trim_end_matches('.');
            if page.starts_with("docs/") && page.ends_with(".md") && !tree.paths.contains(page) {
                let text = format!("there is no {page}");
                complaints.push(Complaint::new(path, number, text));
            }
        }
    }
}

/// Every decision stands in the list of them, once, and no two have the same number.
fn listed(tree: &Tree, complaints: &mut Vec<Complaint>) {
    let list_path = format!("{DECISIONS}README.md");
    let list = tree.texts.get(&list_path).map_or("", String::as_str);
    let mut before = None;
    for (path, _) in tree.ending_in(".md") {
        let Some(name) = path
            .strip_prefix(DECISIONS)
            .filter(|name| *name != "README.md")
        else {
            continue;
        };
        let mentions = list.matches(&format!("]({name})")).count();
        if mentions != 1 {
            let text = format!("{list_path} must link to it once, and does so {mentions} times");
            complaints.push(Complaint::new(path, 0, text));
        }
        let number = name.split('-').next();
        if number == before {
            let text = "another decision has the same number";
            complaints.push(Complaint::new(path, 0, text));
        }
        before = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tree: &Tree) -> Vec<String> {
        let mut complaints = Vec::new();
        check(tree, &mut complaints);
        complaints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn relative_links_lead_somewhere() {
        let page = "[a](../README.md#at-the-top-or-not) [b](guide/) [c](https://x.example/#x) [d](#here)\n\
                    ```\n[no](link)\n```\n[e](gone.md)\n## Here\n[f](#there) [g](../README.md#no)\n";
        let tree = Tree::of([
            ("README.md", "# At the top, or `not`?\n"),
            ("docs/guide/a.md", ""),
            ("docs/a.md", page),
        ]);
        assert_eq!(
            said(&tree),
            [
                "docs/a.md:5: the link to gone.md leads nowhere",
                "docs/a.md:7: the link to #there leads nowhere",
                "docs/a.md:7: the link to ../README.md#no leads nowhere",
            ]
        );
    }

    #[test]
    fn decisions_are_there_and_listed() {
        let tree = Tree::of([
            ("docs/decisions/README.md", "[1](0001-a.md)\n"),
            ("docs/decisions/0001-a.md", ""),
            ("docs/decisions/0002-b.md", ""),
            ("docs/decisions/0002-c.md", ""),
            (
                "src/a.rs",
                "// docs/decisions/0001-a.md.\n// (`docs/d.md`) ../docs/e.md\n",
            ),
        ]);
        assert_eq!(
            said(&tree),
            [
                "src/a.rs:2: there is no docs/d.md",
                "docs/decisions/0002-b.md: docs/decisions/README.md must link to it once, and does so 0 times",
                "docs/decisions/0002-c.md: docs/decisions/README.md must link to it once, and does so 0 times",
                "docs/decisions/0002-c.md: another decision has the same number",
            ]
        );
    }
}
