//! A statement as one file to print or to pass on.
//!
//! It holds no script and fetches nothing; the template escapes what is put into it.

use askama::Template;

use super::{
    super::{exit::Failure, screen::shown, wire::ProtectedSessions},
    COUNTED, Evidence, MEANINGS, fact_name, facts, reservations,
    share::shares,
};

#[derive(Template)]
#[template(path = "evidence.html")]
struct Page {
    title: String,
    facts: Vec<(&'static str, String)>,
    reservations: Vec<String>,
    all: Row,
    days: Vec<Row>,
    domains: Vec<Row>,
    meanings: [(&'static str, &'static str); 5],
    counted: &'static str,
}

struct Row {
    name: String,
    sessions: u64,
    /// Numbers and their shares.
    parts: Vec<(u64, String)>,
}

pub(super) fn html(evidence: &Evidence) -> Result<String, Failure> {
    let facts = facts(evidence);
    let facts = facts
        .into_iter()
        .map(|(name, value)| (fact_name(name), shown(&value)));
    let days = evidence.days.iter();
    let domains = evidence.domains.iter();
    let page = Page {
        title: format!(
            "What protected the mail from {} to {}",
            shown(&evidence.from),
            shown(&evidence.to)
        ),
        facts: facts.collect(),
        reservations: reservations(evidence)
            .iter()
            .map(|sentence| shown(sentence))
            .collect(),
        all: row("all", &evidence.total),
        days: days.map(|each| row(&each.day, &each.protected)).collect(),
        domains: domains
            .map(|each| row(&each.domain, &each.protected))
            .collect(),
        meanings: MEANINGS,
        counted: COUNTED,
    };
    let written = page.render();
    written.map_err(|error| Failure::Internal(error.to_string()))
}

fn row(name: &str, protected: &ProtectedSessions) -> Row {
    let [sessions, parts @ ..] = protected.numbers();
    let shares = shares(protected).map(|share| share.to_string());
    Row {
        name: shown(name),
        sessions,
        parts: parts.into_iter().zip(shares).collect(),
    }
}
