//! A statement as a table for spreadsheets.

use super::{super::wire::ProtectedSessions, Evidence, facts, reservations, share::shares};
use crate::observe::printable::printable;

/// The columns. The first says what a row is: `about` (a fact: name and value), `note` (what must be known to
/// read the numbers), `total`, `day` or `domain`.
const HEADS: [&str; 14] = [
    "row",
    "name",
    "value",
    "sessions",
    "dane",
    "sts",
    "tls",
    "clear",
    "refused",
    "dane_percent",
    "sts_percent",
    "tls_percent",
    "clear_percent",
    "refused_percent",
];

/// Writes a statement by RFC 4180: a head, rows of as many fields each, lines that end in CRLF.
pub(super) fn csv(evidence: &Evidence) -> String {
    let mut out = String::new();
    row(&mut out, &HEADS.map(str::to_owned));
    for (name, value) in facts(evidence) {
        row(&mut out, &of_words("about", name, &value));
    }
    for note in reservations(evidence) {
        row(&mut out, &of_words("note", "", &note));
    }
    row(&mut out, &of_numbers("total", "all", &evidence.total));
    for each in &evidence.days {
        row(&mut out, &of_numbers("day", &each.day, &each.protected));
    }
    for each in &evidence.domains {
        row(
            &mut out,
            &of_numbers("domain", &each.domain, &each.protected),
        );
    }
    out
}

fn of_words(row: &str, name: &str, value: &str) -> [String; 14] {
    let mut words = [row, name, value].into_iter();
    std::array::from_fn(|_| words.next().unwrap_or_default().to_owned())
}

fn of_numbers(row: &str, name: &str, protected: &ProtectedSessions) -> [String; 14] {
    let words = [row, name, ""].map(str::to_owned).into_iter();
    let numbers = protected.numbers().map(|number| number.to_string());
    let percents = shares(protected).map(|share| share.to_string());
    let mut cells = words.chain(numbers).chain(percents);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

fn row(out: &mut String, cells: &[String; 14]) {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&field(cell));
    }
    out.push_str("\r\n");
}

/// One field, escaped for two readers: a terminal, and a spreadsheet that takes what begins like a formula
/// for one and would run it.
pub(super) fn field(text: &str) -> String {
    let text = printable(text);
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    // RFC 4180 s2: quotes around what holds a comma, a quote or a line end; a quote within them twice.
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}
