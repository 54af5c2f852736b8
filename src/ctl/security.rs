//! `sealpost status --security`: what protected the mail?

use std::fmt::Write as _;

use super::{
    screen::{Table, counted, shown},
    wire::{ProtectedSessions, Security, SecurityOfDay},
};

/// How many recipient domains are shown unless all are asked for.
pub(super) const DOMAINS_SHOWN: u64 = 20;

pub(super) fn as_text(security: &Security) -> String {
    let (since, until) = (shown(&security.since), shown(&security.until));
    let days = if since == until {
        format!("on {until}")
    } else {
        format!("from {since} to {until}")
    };
    let mut text = if security.total.sessions == 0 {
        format!("No sessions {days} (UTC) of which it is known what protected them.\n")
    } else {
        format!(
            "{} {days} (UTC), by what protected them\n\n{}\n{}",
            counted(security.total.sessions, "session"),
            days_table(&security.days, &security.total),
            domains_table(security),
        )
    };
    if security.further_domains > 0 {
        let _ = writeln!(
            text,
            "\n{} with fewer sessions not shown; --all shows every one.",
            counted(security.further_domains, "recipient domain")
        );
    }
    let is_shown = |day: &&String| security.days.iter().any(|each| each.day == **day);
    let (partly, unknown): (Vec<&String>, Vec<&String>) =
        security.not_noted.iter().partition(is_shown);
    for (days, said) in [
        (
            unknown,
            "Sessions were counted, but not what protected them, on",
        ),
        (
            partly,
            "More sessions were counted, but not what protected them, on",
        ),
    ] {
        if !days.is_empty() {
            let days: Vec<&str> = days.into_iter().map(String::as_str).collect();
            let _ = writeln!(text, "\n{said} {}.", shown(&days.join(", ")));
        }
    }
    text
}

/// Sessions by day and by what protected them; `total`: those of all of the days.
pub(super) fn days_table(days: &[SecurityOfDay], total: &ProtectedSessions) -> Table {
    let mut table = table("DAY");
    for each in days {
        table.row(cells(&each.day, &each.protected));
    }
    if days.len() > 1 {
        table.row(cells("all", total));
    }
    let [sessions, parts @ ..] = total.numbers();
    let [dane, sts, tls, clear, refused] = parts.map(|part| share(part, sessions));
    let blank = String::new();
    table.row([blank.clone(), blank, dane, sts, tls, clear, refused]);
    table
}

fn domains_table(security: &Security) -> Table {
    let mut table = table("DOMAIN");
    for each in &security.domains {
        table.row(cells(&each.domain, &each.protected));
    }
    if security.further_domains > 0 {
        let name = format!("({} more)", security.further_domains);
        table.row(cells(&name, &security.further));
    }
    table
}

fn table(first: &'static str) -> Table {
    Table::new([
        first, "SESSIONS", "DANE", "MTA-STS", "TLS", "CLEAR", "REFUSED",
    ])
}

fn cells(name: &str, protected: &ProtectedSessions) -> [String; 7] {
    let [sessions, dane, sts, tls, clear, refused] =
        protected.numbers().map(|number| number.to_string());
    [name.to_owned(), sessions, dane, sts, tls, clear, refused]
}

/// A part in percent. A part that is there never reads as none, and one that is not all never as all.
fn share(part: u64, all: u64) -> String {
    if part == 0 || all == 0 {
        return "-".to_owned();
    }
    let tenths = u128::from(part) * 1_000 / u128::from(all);
    match tenths {
        0 => "<0.1 %".to_owned(),
        tenths => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::{ProtectedSessions, Security, as_text, share};
    use crate::ctl::wire::SecurityOfDay;

    #[test]
    fn of_a_day_of_which_only_a_part_is_known_the_operator_is_told_so() {
        let numbers = ProtectedSessions::default();
        let security = Security {
            since: "2026-11-18".to_owned(),
            until: "2026-11-21".to_owned(),
            days: vec![SecurityOfDay {
                day: "2026-11-20".to_owned(),
                protected: numbers,
            }],
            not_noted: ["2026-11-18", "2026-11-19", "2026-11-20"]
                .map(str::to_owned)
                .into(),
            total: numbers,
            domains: Vec::new(),
            further_domains: 0,
            further: numbers,
        };
        let text = as_text(&security);
        for line in [
            "Sessions were counted, but not what protected them, on 2026-11-18, 2026-11-19.",
            "More sessions were counted, but not what protected them, on 2026-11-20.",
        ] {
            assert!(text.lines().any(|each| each == line), "{text}");
        }
    }

    #[test]
    fn a_share_does_not_round_the_last_session_in_the_clear_away() {
        for (part, all, expected) in [
            (0, 0, "-"),
            (0, 7, "-"),
            (7, 7, "100.0 %"),
            (1, 3, "33.3 %"),
            (1, 100_000, "<0.1 %"),
            (99_999, 100_000, "99.9 %"),
            (u64::MAX, u64::MAX, "100.0 %"),
        ] {
            assert_eq!(share(part, all), expected, "{part} of {all}");
        }
    }
}
