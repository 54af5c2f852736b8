//! Long lists, a page at a time.

use super::{
    shape::grouped,
    words::{Words, fill},
};

/// How many lines a page of a list has.
pub(super) const LINES: usize = 50;

/// One page of a list, and the way to the others.
pub(super) struct Paging {
    /// How many there are and which of them are shown, in words.
    pub(super) found: String,
    pub(super) first: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) is_empty: bool,
    /// Where the first of those that are shown stands.
    pub(super) start: usize,
}

impl Paging {
    /// The page of this number, from 1, of `lines`; `address` ends where the number belongs.
    pub(super) fn of(lines: usize, page: usize, sentence: &str, address: &str) -> Self {
        let last = lines.div_ceil(LINES).max(1);
        let page = page.clamp(1, last);
        let start = (page - 1) * LINES;
        let end = (start + LINES).min(lines);
        let to = |page: usize| format!("{address}{page}");
        let count = |number: usize| grouped(number as u64);
        Self {
            found: fill(
                sentence,
                &[&count(lines), &count((start + 1).min(lines)), &count(end)],
            ),
            first: (page > 2).then(|| to(1)),
            previous: (page > 1).then(|| to(page - 1)),
            next: (page < last).then(|| to(page + 1)),
            is_empty: lines == 0,
            start,
        }
    }

    /// The lines that are shown.
    pub(super) fn cut<T>(&self, lines: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        lines.skip(self.start).take(LINES)
    }
}

/// The number of a page as an address has it; the first where there is none.
pub(super) fn page_of(text: &str) -> usize {
    text.parse().unwrap_or(1)
}

/// A choice among few, as a form has it.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

impl Choice {
    pub(super) fn of(value: impl Into<String>, name: impl Into<String>, chosen: &str) -> Self {
        let value = value.into();
        Self {
            is_chosen: value == chosen,
            value,
            name: name.into(),
        }
    }
}

/// What an operator typed to find a domain, as domains are written.
pub(super) fn needle(typed: &str) -> String {
    let typed: String = typed.trim().chars().take(253).collect();
    let typed = typed.to_ascii_lowercase();
    if typed.is_ascii() {
        return typed;
    }
    // Names are held as A-labels.
    idna::domain_to_ascii(&typed).unwrap_or(typed)
}

/// What the word of a state is called, if it is one.
pub(super) const fn state_name(
    words: &'static Words,
    state: crate::ctl::wire::DeliveryStateView,
) -> &'static str {
    use crate::ctl::wire::DeliveryStateView as State;
    match state {
        State::Due => words.state_due,
        State::Sending => words.state_sending,
        State::Sent => words.state_sent,
        State::Retry => words.state_retry,
        State::GivenUp => words.state_given_up,
    }
}

/// The class of the style sheet for a state.
pub(super) const fn state_class(state: crate::ctl::wire::DeliveryStateView) -> &'static str {
    use crate::ctl::wire::DeliveryStateView as State;
    match state {
        State::Sent => "good",
        State::Due | State::Sending => "plain",
        State::Retry => "warn",
        State::GivenUp => "bad",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::words::ENGLISH, *};

    #[test]
    fn a_list_is_cut_into_pages_that_lead_to_each_other() {
        let page = |lines, page| Paging::of(lines, page, ENGLISH.found, "?page=");
        let first = page(120, 1);
        assert_eq!(first.found, "Found: 120. Shown: 1 to 50.");
        assert_eq!(
            (first.previous.is_none(), first.next.as_deref()),
            (true, Some("?page=2"))
        );
        let last = page(120, 3);
        assert_eq!(last.found, "Found: 120. Shown: 101 to 120.");
        assert_eq!(
            last.cut(1..=120).collect::<Vec<_>>(),
            (101..=120).collect::<Vec<_>>()
        );
        assert_eq!((last.first.as_deref(), last.next), (Some("?page=1"), None));
        // Numbers that nobody could follow a link to.
        assert_eq!(page(120, 99).found, last.found);
        assert_eq!(page(120, 0).found, first.found);
        assert_eq!(page(0, 5).found, "Found: 0. Shown: 0 to 0.");
    }

    #[test]
    fn a_name_is_found_as_it_is_typed() {
        assert_eq!(needle(" Example.ORG "), "example.org");
        assert_eq!(needle("bücher.example"), "xn--bcher-kva.example");
    }
}
