//! What this host saw of the domain in the last days, for people.

use std::fmt::Write as _;

use crate::{
    clock::UtcDay,
    ctl::{
        screen::{Table, counted, set_in, shown},
        security::days_table,
        wire::{DeliveryView, FailureSeen, History},
    },
};

/// Of more ways to fail, or reports, no more are shown; `--json` has all of them.
const LINES_MAX: usize = 20;

/// The part of the text for people; `None`: the daemon was not asked.
pub(super) fn history_as_text(text: &mut String, history: Option<&History>) {
    let Some(history) = history else {
        text.push_str(
            "\nHistory   not known: only the daemon knows what this host saw of the domain\n",
        );
        return;
    };
    let (since, until) = (shown(&history.since), shown(&history.until));
    let sessions = match history.total.sessions {
        0 => "no session with it was counted here".to_owned(),
        sessions => format!(
            "{} with it, by what protected them",
            counted(sessions, "session")
        ),
    };
    let _ = writeln!(text, "\nHistory   {since} to {until} (UTC): {sessions}");
    if !history.days.is_empty() {
        text.push_str(&set_in(
            &days_table(&history.days, &history.total).to_string(),
        ));
    }
    failures_as_text(text, &history.failures);
    deliveries_as_text(text, &history.deliveries);
    let has_tables = [
        history.days.len(),
        history.failures.len(),
        history.deliveries.len(),
    ];
    let has_notes = [
        history.not_noted.len(),
        history.not_held.len(),
        history.unreadable.len(),
    ];
    if has_tables != [0; 3] && has_notes != [0; 3] {
        text.push('\n');
    }
    for (days, said) in [
        (
            &history.not_noted,
            "sessions were counted, but not what protected them",
        ),
        (
            &history.not_held,
            "the store has nothing of any domain: none was counted, or it is kept no more",
        ),
    ] {
        if !days.is_empty() {
            let _ = writeln!(text, "  {}: {said}", ranges(days).join(", "));
        }
    }
    for each in &history.unreadable {
        let (day, reason) = (shown(&each.day), shown(&each.reason));
        let _ = writeln!(text, "  {day}: cannot be read in full: {reason}");
    }
}

fn failures_as_text(text: &mut String, failures: &[FailureSeen]) {
    let mut table = Table::new(["FAILURE", "REASON", "SESSIONS", "FIRST SEEN", "LAST SEEN"]);
    for each in failures.iter().take(LINES_MAX) {
        table.row([
            each.result_type.clone(),
            each.reason.clone().unwrap_or_else(|| "-".to_owned()),
            each.sessions.to_string(),
            each.first_at.as_ref().unwrap_or(&each.first_day).clone(),
            each.last_at.as_ref().unwrap_or(&each.last_day).clone(),
        ]);
    }
    put(text, &table, failures.len());
}

fn deliveries_as_text(text: &mut String, deliveries: &[DeliveryView]) {
    let mut table = Table::new(["REPORT OF", "STATE", "AT", "TO", "WHY"]);
    // The newest are what one looks for.
    let left_out = deliveries.len().saturating_sub(LINES_MAX);
    for each in deliveries.iter().skip(left_out) {
        table.row([
            each.day.clone(),
            each.state.name().to_owned(),
            each.at.clone(),
            each.destination.clone(),
            each.reason.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    put(text, &table, deliveries.len());
}

fn put(text: &mut String, table: &Table, all: usize) {
    if table.is_empty() {
        return;
    }
    let _ = write!(text, "\n{}", set_in(&table.to_string()));
    if all > LINES_MAX {
        let _ = writeln!(text, "  {} more: --json has them", all - LINES_MAX);
    }
}

/// Days that follow each other as one: `2026-11-17 to 2026-11-20`.
fn ranges(days: &[String]) -> Vec<String> {
    let mut ranges: Vec<(&str, &str)> = Vec::new();
    for day in days {
        let follows = |last: &str| {
            let last = last.parse::<UtcDay>().ok();
            last.map(UtcDay::next) == day.parse().ok()
        };
        match ranges.last_mut() {
            Some((_, last)) if follows(last) => *last = day,
            _ => ranges.push((day, day)),
        }
    }
    let ranges = ranges.into_iter().map(|(first, last)| match first == last {
        true => shown(first),
        false => format!("{} to {}", shown(first), shown(last)),
    });
    ranges.collect()
}
