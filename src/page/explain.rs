//! `/failures`: what result types and reason codes mean, from the table that reports are written by.

use askama::Template;
use axum::extract::Path;
use sealpost_plugin_api::ResultType;

use super::{
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    words::{PlainWords, plain_words},
};
use crate::{
    ctl::protocol::Refusal,
    report::explain::pages::{Entry, described},
};

#[derive(Template)]
#[template(path = "failures.html")]
struct Page<'a> {
    f: &'a Frame,
    title: String,
    is_list: bool,
    types: Vec<(&'static str, PlainWords)>,
    entries: Vec<EntryView>,
}

struct EntryView {
    codes: String,
    happened: String,
    meaning: String,
    remedy: String,
}

pub(super) async fn list(site: SiteOf, visit: VisitOf) -> Answer {
    let f = Frame::of(&site, &visit, Place::Elsewhere).await;
    let types = ResultType::ALL.into_iter();
    html(&Page {
        title: f.w.explain_title.to_owned(),
        is_list: true,
        types: types
            .map(|result| (result.name(), plain_words(f.language, result, None, None)))
            .collect(),
        entries: Vec::new(),
        f: &f,
    })
}

pub(super) async fn one(site: SiteOf, visit: VisitOf, Path(name): Path<String>) -> Answer {
    let f = Frame::of(&site, &visit, Place::Elsewhere).await;
    let entries =
        described(Some(&name)).map_err(|_| Oops(Refusal::not_found(f.w.no_such_failure)))?;
    let result = name.parse::<ResultType>().ok();
    html(&Page {
        title: name,
        is_list: false,
        types: result
            .map(|result| (result.name(), plain_words(f.language, result, None, None)))
            .into_iter()
            .collect(),
        // The general one stands above already.
        entries: entries
            .iter()
            .filter(|entry| result.is_none() || !entry.reason_codes.is_empty())
            .map(view)
            .collect(),
        f: &f,
    })
}

fn view(entry: &Entry) -> EntryView {
    EntryView {
        codes: match entry.reason_codes.is_empty() {
            true => entry
                .result_type
                .or(entry.policy)
                .unwrap_or_default()
                .to_owned(),
            false => entry.reason_codes.join(", "),
        },
        happened: entry.happened.clone().into_owned(),
        meaning: entry.meaning.clone().into_owned(),
        remedy: entry.remedy.clone().into_owned(),
    }
}
