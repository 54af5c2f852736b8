//! What a command shows: text for people on standard output, or JSON; complaints on standard error.
//! Nothing from outside reaches a terminal unescaped.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::Failure;
use crate::observe::printable::{printable, printable_json};

/// Where a command writes to.
pub(crate) struct Screen {
    out: Box<dyn Write>,
    complaints: Box<dyn Write>,
}

impl Screen {
    /// The process's standard output and error.
    pub(crate) fn standard() -> Self {
        Self {
            out: Box::new(io::stdout()),
            complaints: Box::new(io::stderr()),
        }
    }

    /// Shows a text of whole lines.
    pub(crate) fn text(&mut self, text: &str) {
        put(&mut self.out, lines(text).as_bytes());
    }

    /// Hands on a whole file, as it is. Whoever made it has escaped what is in it.
    pub(crate) fn file(&mut self, file: &[u8]) {
        put(&mut self.out, file);
    }

    /// Shows a value as JSON.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::Internal(error.to_string()))?;
        put(
            &mut self.out,
            format!("{}\n", printable_json(&text)).as_bytes(),
        );
        Ok(())
    }

    /// Says on standard error what went wrong, or what else should be known.
    pub(crate) fn complain(&mut self, text: &str) {
        put(
            &mut self.complaints,
            lines(&format!("sealpost: {text}")).as_bytes(),
        );
    }
}

/// Writes at once. A reader that has seen enough (`| head`) is no error.
fn put(to: &mut dyn Write, text: &[u8]) {
    let written = to.write_all(text).and_then(|()| to.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "the output is not taken");
    }
}

/// Each line escaped, the last one ended.
fn lines(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", printable(line)))
        .collect()
}

/// Rows under a head, in columns as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these heads.
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        let mut table = Self { rows: Vec::new() };
        table.row(heads.map(str::to_owned));
        table
    }

    /// One row more.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        // Escaped here, where a line end within a cell still is one.
        let cells = cells.into_iter().map(|cell| shown(&cell));
        self.rows.push(cells.collect());
    }

    /// No row below the head.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(formatter, "{}", line.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A value from outside within a line of text.
pub(crate) fn shown(text: &str) -> String {
    printable(text).into_owned()
}

/// A text of several lines from outside, each set in by two.
pub(crate) fn set_in(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {}\n", printable(line)))
        .collect()
}

/// "1 session", "2 sessions".
pub(crate) fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_a_cell_cannot_leave_its_row() {
        let mut table = Table::new(["HELO", "COUNT"]);
        table.row(["mx\n\u{1b}[31m".to_owned(), "1".to_owned()]);
        table.row(["b".to_owned(), "22".to_owned()]);
        assert_eq!(
            table.to_string(),
            "HELO            COUNT\nmx\\n\\u{1b}[31m  1\nb               22\n"
        );
    }
}
