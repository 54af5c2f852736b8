//! `/reports`: how the reports of a day stand, and the destinations that get none.

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;

use super::{
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    list::{Choice, Paging, needle, page_of, state_class, state_name},
    shape::{encoded, moment},
    words::Words,
};
use crate::{
    clock::UtcDay,
    ctl::{
        protocol::{Refusal, RefusalKind},
        wire::{DeliveryStateView, DeliveryView, SuppressedBy, SuppressionView, UndeliveredView},
    },
};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    day: String,
    state: String,
    q: String,
    page: String,
}

#[derive(Template)]
#[template(path = "reports.html")]
struct Reports<'a> {
    f: &'a Frame,
    days: Vec<Choice>,
    states: Vec<Choice>,
    typed: String,
    paging: Paging,
    lines: Vec<Line>,
    send_all: Option<String>,
    suppressions: Vec<SuppressionLine>,
}

struct Line {
    domain: String,
    domain_path: String,
    preview: String,
    destination: String,
    state: &'static str,
    class: &'static str,
    at: String,
    attempts: String,
    reason: String,
    /// The address that sends it, where something is left to send.
    send: Option<String>,
}

struct SuppressionLine {
    destination: String,
    by: &'static str,
    reason: String,
    since: String,
    until: String,
    words: String,
    lift: String,
}

/// A line of the list, before it is written.
enum Row<'a> {
    Begun(&'a DeliveryView),
    NotBegun(&'a UndeliveredView),
}

impl Row<'_> {
    fn domain(&self) -> &str {
        match self {
            Self::Begun(one) => &one.domain,
            Self::NotBegun(one) => &one.domain,
        }
    }

    /// The word that the list is narrowed down by.
    const fn state(&self) -> &'static str {
        match self {
            Self::Begun(one) => match one.state {
                DeliveryStateView::Sent => "sent",
                DeliveryStateView::GivenUp => "given-up",
                DeliveryStateView::Due | DeliveryStateView::Sending | DeliveryStateView::Retry => {
                    "waiting"
                }
            },
            Self::NotBegun(one) if one.due_at.is_some() => "waiting",
            Self::NotBegun(_) => "none",
        }
    }
}

pub(super) async fn show(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    let f = Frame::of(&site, &visit, Place::Reports).await;
    let w = f.w;
    let today = site.source.now().day();
    let day = match asked.day.as_str() {
        "" => today.previous(),
        day => day_of(day)?,
    };
    let held = site.source.days().await?;
    let deliveries = site.listings.of(day).await?;
    let typed = asked.q.trim().to_owned();
    let needle = needle(&typed);
    let mut rows: Vec<Row<'_>> = deliveries.deliveries.iter().map(Row::Begun).collect();
    rows.extend(deliveries.undelivered.iter().map(Row::NotBegun));
    rows.retain(|row| {
        row.domain().contains(&needle) && (asked.state.is_empty() || row.state() == asked.state)
    });
    rows.sort_by(|one, other| one.domain().cmp(other.domain()));
    let address = format!(
        "/reports?day={day}&state={}&q={}&page=",
        encoded(&asked.state),
        encoded(&typed)
    );
    let paging = Paging::of(rows.len(), page_of(&asked.page), w.found, &address);
    let is_over = day < today;
    let suppressions = site.source.suppressions().await?.suppressions;
    html(&Reports {
        days: days(&held, day),
        states: [
            ("", w.state_any),
            ("sent", w.state_sent),
            ("waiting", w.state_waiting),
            ("given-up", w.state_given_up),
            ("none", w.state_none),
        ]
        .map(|(value, name)| Choice::of(value, name, &asked.state))
        .into(),
        typed,
        lines: paging
            .cut(rows.iter())
            .map(|row| line(row, day, is_over, w))
            .collect(),
        paging,
        send_all: is_over.then(|| format!("/act?do=send&day={day}")),
        suppressions: suppressions
            .into_iter()
            .map(|one| suppression_line(one, w))
            .collect(),
        f: &f,
    })
}

/// A day as an address names it.
pub(super) fn day_of(text: &str) -> Result<UtcDay, Oops> {
    text.parse().map_err(|error: crate::clock::NotADay| {
        Refusal::new(RefusalKind::BadRequest, error.to_string()).into()
    })
}

/// The days there are to choose, the newest first.
fn days(held: &[UtcDay], chosen: UtcDay) -> Vec<Choice> {
    let mut days: Vec<_> = held.to_vec();
    days.push(chosen);
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    let chosen = chosen.to_string();
    let days = days.into_iter().map(|day| day.to_string());
    days.map(|day| Choice::of(day.clone(), day, &chosen))
        .collect()
}

fn line(row: &Row<'_>, day: UtcDay, is_over: bool, words: &'static Words) -> Line {
    let domain = row.domain().to_owned();
    let name = encoded(&domain);
    let to_send = is_over && row.state() != "sent";
    let begun = match row {
        Row::Begun(one) => Some(*one),
        Row::NotBegun(_) => None,
    };
    let (state, class, at, reason) = match row {
        Row::Begun(one) => {
            let (state, class) = (state_name(words, one.state), state_class(one.state));
            (state, class, moment(&one.at), one.reason.clone())
        }
        Row::NotBegun(UndeliveredView {
            due_at: Some(at),
            reason,
            ..
        }) => (words.state_due, "plain", moment(at), reason.clone()),
        Row::NotBegun(one) => (words.state_none, "plain", String::new(), one.reason.clone()),
    };
    Line {
        domain_path: format!("/domains/{name}"),
        preview: format!("/domains/{name}/reports/{day}"),
        destination: begun.map_or_else(String::new, |one| one.destination.clone()),
        attempts: begun.map_or_else(String::new, |one| one.attempts.to_string()),
        send: to_send.then(|| format!("/act?do=send&day={day}&domain={name}")),
        reason: reason.unwrap_or_default(),
        domain,
        state,
        class,
        at,
    }
}

fn suppression_line(one: SuppressionView, words: &'static Words) -> SuppressionLine {
    SuppressionLine {
        lift: format!("/act?do=lift&destination={}", encoded(&one.destination)),
        destination: one.destination,
        by: match one.by {
            SuppressedBy::Refusals => words.by_refusals,
            SuppressedBy::Operator => words.by_operator,
        },
        reason: one.reason.unwrap_or_default(),
        since: moment(&one.since),
        until: one
            .until
            .map_or_else(|| words.until_lifted.to_owned(), |until| moment(&until)),
        words: one
            .refusals
            .last()
            .map_or_else(String::new, |refusal| refusal.words.clone()),
    }
}
