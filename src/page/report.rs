//! `/domains/NAME/reports/DAY`: what the report of a domain's day says, and its files.

use askama::Template;
use axum::extract::Path;

use super::{
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, file, html},
    domain::domain_of,
    list::{state_class, state_name},
    reports::day_of,
    shape::{encoded, grouped, moment},
    words::fill,
};
use crate::ctl::protocol::Refusal;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    f: &'a Frame,
    title: String,
    domain: String,
    domain_path: String,
    path: String,
    day_over: bool,
    sessions: String,
    destinations: Vec<String>,
    notes: Vec<String>,
    deliveries: Vec<Line>,
    text: String,
    json: String,
    send: Option<String>,
}

struct Line {
    destination: String,
    state: &'static str,
    class: &'static str,
    at: String,
    reason: String,
}

pub(super) async fn show(
    site: SiteOf,
    visit: VisitOf,
    Path((name, day)): Path<(String, String)>,
) -> Answer {
    let (domain, day) = (domain_of(&name)?, day_of(&day)?);
    let f = Frame::of(&site, &visit, Place::Domains).await;
    let view = site.source.report_show(Some(day), domain).await?;
    let name = encoded(&view.domain);
    let json = serde_json::to_string_pretty(&view.report)
        .map_err(|error| Refusal::trouble(error.to_string()))?;
    html(&Page {
        title: fill(f.w.report_sent_title, &[&view.domain, &view.day]),
        domain_path: format!("/domains/{name}"),
        path: format!("/domains/{name}/reports/{day}"),
        send: view
            .day_over
            .then(|| format!("/act?do=send&day={day}&domain={name}")),
        day_over: view.day_over,
        sessions: grouped(view.sessions),
        destinations: view.destinations,
        notes: view.notes,
        deliveries: view
            .deliveries
            .into_iter()
            .map(|one| Line {
                state: state_name(f.w, one.state),
                class: state_class(one.state),
                at: moment(&one.at),
                destination: one.destination,
                reason: one.reason.unwrap_or_default(),
            })
            .collect(),
        text: view.text,
        json,
        domain: view.domain,
        f: &f,
    })
}

/// The files of a report, to keep or to send by other means.
pub(super) async fn download(
    site: SiteOf,
    Path((name, day, asked)): Path<(String, String, String)>,
) -> Answer {
    let (domain, day) = (domain_of(&name)?, day_of(&day)?);
    let files = site.source.report_files(day, domain).await?;
    let stem = files.file_name.trim_end_matches(".json.gz");
    match asked.as_str() {
        "report.json.gz" => file(&files.file_name, "application/tlsrpt+gzip", files.gzip),
        "report.json" => file(
            &format!("{stem}.json"),
            "application/tlsrpt+json",
            files.json,
        ),
        "report.eml" => match files.mail {
            Some(mail) => file(&format!("{stem}.eml"), "message/rfc822", mail),
            None => Err(Oops(Refusal::not_found("no mailbox gets this report"))),
        },
        _ => Err(Oops(Refusal::not_found(""))),
    }
}
