//! Reports of any sender, read from files and shown.

use std::path::PathBuf;

use super::{
    super::{Context, Format, exit::Exit, exit::Failure, exit_when},
    show::Reading,
};
use crate::{
    clock::{Clock as _, SystemClock},
    report::read::{self, Received},
};

mod keys;
mod sources;
mod text;
mod totals;
mod view;

use keys::Keys;
use sources::{Find, Source};
use view::{ReportsView, UnreadView};

/// How many reports are kept to be shown; a mailbox of ten years has fewer.
const REPORTS_MAX: usize = 100_000;

/// What was read so far.
#[derive(Default)]
struct Reports {
    reports: Vec<(Source, Received)>,
    unread: Vec<UnreadView>,
    passed_over: u64,
}

pub(super) fn show(
    paths: &[PathBuf],
    reading: &Reading,
    format: Format,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let mut keys = Keys::new(reading, context)?;
    let mut reports = Reports::default();
    for path in paths {
        sources::walk(path, &mut |find| reports.take(find, &mut keys));
    }
    let view = reports.view();
    let each = reading.each;
    context.show(format, &view, |view| text::as_text(view, each))?;
    let findings = view
        .reports
        .iter()
        .any(|report| !report.findings.is_empty());
    Ok(exit_when(
        view.unread.is_empty() && !(reading.strict && findings),
    ))
}

impl Reports {
    /// Reads what was found. `false` when there is room for no more.
    fn take(&mut self, find: Find, keys: &mut Keys) -> bool {
        match find {
            Find::Text { source, bytes } => self.read(&source, &bytes, keys),
            Find::Unreadable { source, reason } => self.unread.push(UnreadView {
                source: source.label,
                attachment: None,
                reason,
            }),
        }
        if self.reports.len() >= REPORTS_MAX {
            self.unread.push(UnreadView {
                source: "the rest".to_owned(),
                attachment: None,
                reason: format!("{REPORTS_MAX} reports are the most that are read at once"),
            });
            return false;
        }
        true
    }

    fn read(&mut self, source: &Source, bytes: &[u8], keys: &mut Keys) {
        let opened = read::open(source.name.as_deref(), bytes);
        for unread in &opened.unread {
            if source.is_one_of_many && unread.error.is_something_else() {
                self.passed_over += 1;
                continue;
            }
            self.unread.push(UnreadView {
                source: source.label.clone(),
                attachment: unread.attachment.clone(),
                reason: unread.error.to_string(),
            });
        }
        let records = keys.of(opened.key_names());
        let received = opened.finish(records, SystemClock.now());
        let entries = received.into_iter().map(|each| (source.clone(), each));
        self.reports.extend(entries);
    }

    fn view(&self) -> ReportsView {
        view::view(&self.reports, &self.unread, self.passed_over)
    }
}
