//! Charts as inline SVG: rectangles alone, which may be stretched to any width. What must be read stands
//! beside them as text, and all of it again in a table.

use super::{
    shape::{grouped, percent, round_up, scaled},
    words::{Words, fill},
};
use crate::{clock::UtcDay, ctl::wire::ProtectedSessions};

/// How high the bars may get, in units of the drawing.
const HEIGHT: u64 = 200;

/// How much room a day has, and how wide its bar is.
const DAY_WIDTH: u64 = 20;
const BAR_WIDTH: u64 = 14;

/// The protections in the order in which they are stacked, the best at the bottom: the class of the
/// style sheet, and where its number stands in [`ProtectedSessions::numbers`].
pub(super) const LAYERS: [(&str, usize); 5] = [
    ("dane", 1),
    ("sts", 2),
    ("tls", 3),
    ("clear", 4),
    ("refused", 5),
];

/// Days side by side, each a stack of what protected its sessions.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) summary: String,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) top: String,
    pub(super) middle: String,
    pub(super) is_empty: bool,
    pub(super) bars: Vec<Bar>,
    pub(super) first_day: String,
    pub(super) middle_day: String,
    pub(super) last_day: String,
    pub(super) legend: Vec<Entry>,
    pub(super) rows: Vec<Row>,
}

/// One day's stack.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) title: String,
    /// The whole height of the day, so that one need not hit the bar to read it.
    pub(super) x: u64,
    pub(super) room: u64,
    pub(super) parts: Vec<Part>,
}

/// One protection within a stack.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) width: u64,
    pub(super) height: u64,
}

/// What a colour stands for.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) class: &'static str,
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) sessions: String,
    pub(super) share: String,
}

/// A day in numbers.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) day: String,
    pub(super) numbers: Vec<String>,
}

/// What each protection is called.
pub(super) const fn names(words: &'static Words) -> [(&'static str, &'static str); 5] {
    [
        (words.dane, words.dane_means),
        (words.sts, words.sts_means),
        (words.tls, words.tls_means),
        (words.clear, words.clear_means),
        (words.refused, words.refused_means),
    ]
}

fn number(protected: &ProtectedSessions, place: usize) -> u64 {
    protected.numbers().get(place).copied().unwrap_or(0)
}

impl Chart {
    /// A chart of these days, in order; days between that are missing are drawn as empty.
    pub(super) fn of(
        days: &[(UtcDay, ProtectedSessions)],
        first: UtcDay,
        last: UtcDay,
        words: &'static Words,
    ) -> Self {
        let mut shown = Vec::new();
        let mut day = first;
        while day <= last {
            let found = days.iter().find(|(each, _)| *each == day);
            shown.push((
                day,
                found.map(|(_, protected)| *protected).unwrap_or_default(),
            ));
            day = day.next();
        }
        let most = shown.iter().max_by_key(|(_, protected)| protected.sessions);
        let top = round_up(most.map_or(0, |(_, protected)| protected.sessions).max(2));
        // Its half stands on the axis too.
        let top = top.saturating_add(top % 2);
        let sum = |place| -> u64 {
            let numbers = shown.iter().map(|(_, protected)| number(protected, place));
            numbers.fold(0, u64::saturating_add)
        };
        let total = sum(0);
        let summary = match most.filter(|(_, protected)| protected.sessions > 0) {
            None => words.chart_nothing.to_owned(),
            Some((day, protected)) => fill(
                words.chart_summary,
                &[
                    &grouped(total),
                    &shown.len().to_string(),
                    &day.to_string(),
                    &grouped(protected.sessions),
                ],
            ),
        };
        let day_name = |place: usize| {
            shown
                .get(place)
                .map_or_else(String::new, |(day, _)| day.to_string())
        };
        let legend = LAYERS.iter().zip(names(words));
        Self {
            summary,
            width: DAY_WIDTH * shown.len() as u64,
            height: HEIGHT,
            top: grouped(top),
            middle: grouped(top / 2),
            is_empty: total == 0,
            bars: (0..)
                .zip(&shown)
                .map(|(place, each)| bar(place, each, top, words))
                .collect(),
            first_day: day_name(0),
            middle_day: day_name(shown.len() / 2),
            last_day: day_name(shown.len().saturating_sub(1)),
            legend: legend
                .map(|((class, place), (name, meaning))| Entry {
                    class,
                    name,
                    meaning,
                    sessions: grouped(sum(*place)),
                    share: percent(sum(*place), total),
                })
                .collect(),
            // The newest first: that is what one looks for.
            rows: shown
                .iter()
                .rev()
                .filter(|(_, protected)| protected.sessions > 0)
                .map(row)
                .collect(),
        }
    }
}

fn row((day, protected): &(UtcDay, ProtectedSessions)) -> Row {
    Row {
        day: day.to_string(),
        numbers: protected.numbers().map(grouped).to_vec(),
    }
}

fn bar(
    place: u64,
    (day, protected): &(UtcDay, ProtectedSessions),
    top: u64,
    words: &'static Words,
) -> Bar {
    let x = place * DAY_WIDTH + (DAY_WIDTH - BAR_WIDTH) / 2;
    let mut floor = HEIGHT;
    let mut parts = Vec::new();
    let mut title = format!("{day}: {} {}", grouped(protected.sessions), words.sessions);
    for ((class, at), (name, _)) in LAYERS.iter().zip(names(words)) {
        let sessions = number(protected, *at);
        if sessions == 0 {
            continue;
        }
        title.push_str(&format!("\n{name}: {}", grouped(sessions)));
        let height = scaled(sessions, top, HEIGHT).min(floor);
        floor -= height;
        parts.push(Part {
            class,
            x,
            y: floor,
            width: BAR_WIDTH,
            height,
        });
    }
    Bar {
        title,
        x: place * DAY_WIDTH,
        room: DAY_WIDTH,
        parts,
    }
}

/// One line in which the protections stand side by side, a hundred units wide.
pub(super) fn strip(protected: &ProtectedSessions) -> Vec<Part> {
    let mut x = 0;
    let mut parts = Vec::new();
    for (class, place) in LAYERS {
        let width = scaled(number(protected, place), protected.sessions, 100).min(100 - x);
        if width > 0 {
            parts.push(Part {
                class,
                x,
                y: 0,
                width,
                height: 8,
            });
            x += width;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{super::words::ENGLISH, *};

    fn sessions(dane: u64, clear: u64) -> ProtectedSessions {
        ProtectedSessions {
            sessions: dane + clear,
            dane,
            clear,
            ..ProtectedSessions::default()
        }
    }

    #[test]
    fn days_are_stacked_and_those_without_sessions_keep_their_place() {
        let days = [(UtcDay(10), sessions(50, 50)), (UtcDay(12), sessions(0, 1))];
        let chart = Chart::of(&days, UtcDay(10), UtcDay(12), &ENGLISH);
        assert_eq!((chart.width, chart.bars.len()), (60, 3));
        assert_eq!((chart.top.as_str(), chart.middle.as_str()), ("100", "50"));
        let drawn = |place: usize| -> Vec<_> {
            let parts = chart.bars[place].parts.iter();
            parts
                .map(|part| (part.class, part.x, part.y, part.height))
                .collect()
        };
        assert_eq!(drawn(0), [("dane", 3, 100, 100), ("clear", 3, 0, 100)]);
        assert_eq!(drawn(1), []);
        assert_eq!(drawn(2), [("clear", 43, 198, 2)]);
        assert_eq!(
            chart.bars[0].title,
            "1970-01-11: 100 Sessions\nDANE: 50\nIn the clear: 50"
        );
        assert_eq!(
            chart.summary,
            "101 sessions in 3 days. The day with the most is 1970-01-11, with 100."
        );
        assert_eq!(chart.rows.len(), 2);
        assert_eq!(chart.rows[1].numbers, ["100", "50", "0", "0", "50", "0"]);
        let shares: Vec<_> = chart
            .legend
            .iter()
            .map(|entry| entry.share.as_str())
            .collect();
        assert_eq!(shares, ["49.5%", "0.0%", "0.0%", "50.4%", "0.0%"]);
    }

    #[test]
    fn nothing_at_all_and_far_too_much_are_drawn_too() {
        let none = Chart::of(&[], UtcDay(1), UtcDay(30), &ENGLISH);
        assert!(none.is_empty);
        assert_eq!(none.summary, ENGLISH.chart_nothing);
        let most = ProtectedSessions {
            sessions: u64::MAX,
            dane: u64::MAX,
            ..ProtectedSessions::default()
        };
        let chart = Chart::of(&[(UtcDay(1), most)], UtcDay(1), UtcDay(1), &ENGLISH);
        assert_eq!(chart.bars[0].parts[0].height, HEIGHT);
    }

    #[test]
    fn a_strip_shows_what_is_rare_and_is_never_too_long() {
        let widths = |dane, clear| -> Vec<_> {
            let parts = strip(&sessions(dane, clear)).into_iter();
            parts.map(|part| (part.class, part.x, part.width)).collect()
        };
        assert_eq!(widths(1, 1), [("dane", 0, 50), ("clear", 50, 50)]);
        assert_eq!(widths(999_999, 1), [("dane", 0, 99), ("clear", 99, 1)]);
        assert_eq!(widths(0, 0), []);
    }
}
