//! Reads what documents tell a reader to type.

use std::{fs, path::Path};

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

/// The commands of a page: lines of its blocks, and what stands between backticks. What is explained of a line
/// comes after three spaces or more.
pub(super) fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for line in page.lines() {
        let typed = line
            .strip_prefix("    ")
            .map(|line| line.strip_prefix("# ").unwrap_or(line));
        let in_text = line.split('`').skip(1).step_by(2);
        let candidates = typed.into_iter().chain(in_text.filter(|_| typed.is_none()));
        let ours = candidates.filter(|command| command.starts_with("sealpost "));
        commands.extend(ours.map(|command| {
            let command = command.split("   ").next().unwrap_or(command);
            command.trim_end().to_owned()
        }));
    }
    commands
}

#[test]
fn the_commands_of_a_page_are_found() {
    let page = "Type `sealpost status` or `ls`.\n\n    sealpost check a.test      is it good?\n    # sealpost serve\n    ls\n";
    assert_eq!(
        commands(page),
        ["sealpost status", "sealpost check a.test", "sealpost serve"]
    );
    assert_eq!(
        block("a\n\n    one\n      two\n\n    three\n\nb\n", "one"),
        "one\n  two\n\nthree\n"
    );
}
