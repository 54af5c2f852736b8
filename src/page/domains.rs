//! `/domains`: every domain that mail went to, or of which a policy is kept; with a search.

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    chart::{Part, strip},
    edition::{DomainLine, Edition, Mode, Order},
    list::{Choice, LINES, Paging, needle, page_of},
    overview::reading,
    shape::{encoded, grouped, percent},
    words::fill,
};
use crate::{ctl::wire::ProtectedSessions, policy::PolicyDomain};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    sort: String,
    page: String,
}

#[derive(Template)]
#[template(path = "domains.html")]
struct Domains<'a> {
    f: &'a Frame,
    reading: Option<String>,
    typed: String,
    sorts: Vec<Choice>,
    paging: Paging,
    lines: Vec<Line>,
    /// A name that nothing is known of, and the address of its page.
    unknown: Option<(String, String)>,
}

struct Line {
    name: String,
    path: String,
    sessions: String,
    failures: String,
    has_failures: bool,
    rate: String,
    strip: Vec<Part>,
    protection: String,
    mode: &'static str,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    let f = Frame::of(&site, &visit, Place::Domains).await;
    let w = f.w;
    let edition = site.almanac.edition().await?;
    let (sort, order) = match asked.sort.as_str() {
        "sessions" => ("sessions", Order::Sessions),
        "name" => ("name", Order::Name),
        "clear" => ("clear", Order::Clear),
        _ => ("failures", Order::Failures),
    };
    let typed = asked.q.trim().to_owned();
    let address = format!("/domains?q={}&sort={sort}&page=", encoded(&typed));
    let (paging, lines) = page_of_list(&edition, &needle(&typed), order, |lines| {
        Paging::of(lines, page_of(&asked.page), w.found, &address)
    });
    let unknown = typed
        .parse::<PolicyDomain>()
        .ok()
        .filter(|name| edition.domain(name.as_str()).is_none());
    let unknown = unknown.filter(|_| typed.contains('.')).map(|name| {
        let name = name.to_string();
        (
            fill(w.go_to_any, &[&name]),
            format!("/domains/{}", encoded(&name)),
        )
    });
    html(&Domains {
        reading: reading(&edition, w),
        typed,
        sorts: vec![
            Choice::of("failures", w.by_failures, sort),
            Choice::of("sessions", w.by_sessions, sort),
            Choice::of("clear", w.by_clear, sort),
            Choice::of("name", w.by_name, sort),
        ],
        lines: lines.into_iter().map(|line| shown(line, &f)).collect(),
        paging,
        unknown,
        f: &f,
    })
}

/// One page of the domains whose name has this in it.
fn page_of_list<'a>(
    edition: &'a Edition,
    needle: &str,
    order: Order,
    paging: impl Fn(usize) -> Paging,
) -> (Paging, Vec<&'a DomainLine>) {
    if needle.is_empty() {
        let paging = paging(edition.domains.len());
        let lines = edition.ordered(order, paging.start, LINES);
        return (paging, lines);
    }
    let found = edition.found(needle);
    let paging = paging(found.count);
    let lines = edition.ordered_of(&found, order, paging.start, LINES);
    (paging, lines)
}

fn shown(line: &DomainLine, f: &Frame) -> Line {
    let protected = ProtectedSessions::from(&line.sums.protected);
    let sums = &line.sums;
    let names = [f.w.dane, f.w.sts, f.w.tls, f.w.clear, f.w.refused];
    let numbers = protected.numbers();
    let parts = names
        .iter()
        .zip(numbers.iter().skip(1))
        .filter(|(_, number)| **number > 0);
    let protection: Vec<_> = parts
        .map(|(name, number)| format!("{name} {}", grouped(*number)))
        .collect();
    Line {
        name: line.name.to_string(),
        path: format!("/domains/{}", encoded(line.name.as_str())),
        sessions: grouped(sums.sessions()),
        failures: grouped(sums.failures),
        has_failures: sums.failures > 0,
        rate: percent(sums.successes, sums.successes.saturating_add(sums.failures)),
        strip: strip(&protected),
        protection: protection.join(", "),
        mode: line.mode.map_or("", Mode::name),
    }
}
