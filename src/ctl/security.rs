//! `sealpost status --security`: what protected the mail?

use std::fmt::Write as _;

use super::{
    screen::{Table, counted, shown},
    wire::{ProtectedSessions, Security},
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
            days_table(security),
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
    if !security.not_noted.is_empty() {
        let _ = writeln!(
            text,
            "\nSessions were counted, but not what protected them, on {}.",
            shown(&security.not_noted.join(", "))
        );
    }
    text
}

fn days_table(security: &Security) -> Table {
    let mut table = table("DAY");
    for each in &security.days {
        table.row(cells(&each.day, &each.protected));
    }
    if security.days.len() > 1 {
        table.row(cells("all", &security.total));
    }
    let [sessions, parts @ ..] = security.total.numbers();
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
    use super::share;

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
