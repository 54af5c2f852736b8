//! A statement at a terminal.

use std::fmt::Write as _;

use super::{
    super::{
        screen::{Table, set_in, shown},
        wire::ProtectedSessions,
    },
    COUNTED, Evidence, MEANINGS, fact_name, facts, reservations,
    share::{Share, shares},
};

pub(super) fn text(evidence: &Evidence) -> String {
    let mut text = "What protected the mail that was sent\n\n".to_owned();
    for (name, value) in facts(evidence) {
        let _ = writeln!(text, "{:<20} {}", fact_name(name), shown(&value));
    }
    for sentence in reservations(evidence) {
        let _ = writeln!(text, "\nNOTE  {}", shown(&sentence));
    }
    if evidence.total.sessions == 0 {
        text.push_str("\nNo sessions of which it is known what protected them.\n");
        return text;
    }
    let mut days = table("DAY");
    for each in &evidence.days {
        days.row(cells(&each.day, &each.protected));
    }
    days.row(cells("all", &evidence.total));
    let mut domains = table("RECIPIENT DOMAIN");
    for each in &evidence.domains {
        domains.row(cells(&each.domain, &each.protected));
    }
    let _ = write!(text, "\n{days}\n{domains}\n");
    for (name, meaning) in MEANINGS {
        let _ = writeln!(text, "{name:<8} {meaning}");
    }
    let _ = write!(text, "\n{}", set_in(COUNTED));
    text
}

fn table(first: &'static str) -> Table {
    Table::new([
        first, "SESSIONS", "DANE", "%", "MTA-STS", "%", "TLS", "%", "CLEAR", "%", "REFUSED", "%",
    ])
}

fn cells(name: &str, protected: &ProtectedSessions) -> [String; 12] {
    let [sessions, dane, sts, tls, clear, refused] =
        protected.numbers().map(|number| number.to_string());
    let [of_dane, of_sts, of_tls, of_clear, of_refused] =
        shares(protected).map(|share: Share| share.to_string());
    [
        name.to_owned(),
        sessions,
        dane,
        of_dane,
        sts,
        of_sts,
        tls,
        of_tls,
        clear,
        of_clear,
        refused,
        of_refused,
    ]
}
