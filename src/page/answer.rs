//! What a page is answered with: HTML of a template, a file, or what is in the way.

use std::sync::Arc;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    Site,
    shape::moment,
    visit::Visit,
    words::{Language, Words, fill},
};
use crate::ctl::protocol::{Refusal, RefusalKind};

/// The places of the page, in the order of its menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Domains,
    Policies,
    Reports,
    Overrides,
    Audit,
    Alerts,
    Health,
    /// In none of them.
    Elsewhere,
}

/// A line of the menu.
pub(super) struct MenuLine {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_current: bool,
    /// So many alarms are to be seen there; empty: none.
    pub(super) alarms: String,
}

/// What stands around every page.
pub(super) struct Frame {
    pub(super) w: &'static Words,
    pub(super) language: Language,
    pub(super) menu: Vec<MenuLine>,
    pub(super) form_word: String,
    pub(super) signed_in: bool,
    pub(super) who: String,
    pub(super) here: String,
    pub(super) times: String,
}

impl Frame {
    /// The frame of a page that is in this place.
    pub(super) async fn of(site: &Site, visit: &Visit, place: Place) -> Self {
        let w = visit.words();
        let alarms = site
            .source
            .health()
            .await
            .map_or(0, |health| health.alarms.len());
        let line = |path, name, of| MenuLine {
            path,
            name,
            is_current: of == place,
            alarms: match alarms {
                1.. if of == Place::Overview => alarms.to_string(),
                _ => String::new(),
            },
        };
        Self {
            w,
            language: visit.language,
            menu: vec![
                line("/", w.overview, Place::Overview),
                line("/domains", w.domains, Place::Domains),
                line("/policies", w.policies, Place::Policies),
                line("/reports", w.reports, Place::Reports),
                line("/overrides", w.overrides, Place::Overrides),
                line("/audit", w.audit, Place::Audit),
                line("/alerts", w.alerts, Place::Alerts),
                line("/health", w.health, Place::Health),
            ],
            form_word: visit.form_word.clone(),
            signed_in: visit.signed_in,
            who: visit
                .who
                .as_ref()
                .map_or_else(String::new, |who| fill(w.signed_in_as, &[who])),
            here: visit.here.clone(),
            times: fill(w.all_times_utc, &[&moment(&site.source.now().to_string())]),
        }
    }

    /// The frame of a page for somebody who is not let in: no menu.
    pub(super) fn bare(language: Language) -> Self {
        Self {
            w: language.words(),
            language,
            menu: Vec::new(),
            form_word: String::new(),
            signed_in: false,
            who: String::new(),
            here: String::new(),
            times: String::new(),
        }
    }

    /// The languages there are.
    pub(super) const fn languages(&self) -> [Language; 2] {
        Language::ALL
    }
}

/// What is in the way of an answer. The guard makes a page of it, in the reader's language.
#[derive(Clone, Debug)]
pub(super) struct Oops(pub(super) Refusal);

impl From<Refusal> for Oops {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let mut response = status_of(self.0.kind).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer.
pub(super) type Answer = Result<Response, Oops>;

const fn status_of(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::NotFound => StatusCode::NOT_FOUND,
        RefusalKind::BadRequest => StatusCode::BAD_REQUEST,
        RefusalKind::NotAllowed => StatusCode::FORBIDDEN,
        RefusalKind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::Trouble => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Something that is only said.
#[derive(Template)]
#[template(path = "said.html")]
struct Said<'a> {
    f: &'a Frame,
    title: &'a str,
    text: &'a str,
}

/// The page that says what is in the way.
pub(super) async fn oops_page(site: &Site, visit: &Visit, oops: &Oops) -> Response {
    let frame = Frame::of(site, visit, Place::Elsewhere).await;
    let text = match oops.0.message.as_str() {
        "" => frame.w.not_found,
        message => message,
    };
    said(&frame, status_of(oops.0.kind), frame.w.trouble, text)
}

/// The page for somebody who is not let in.
pub(super) fn refused_page(language: Language, status: StatusCode, why: &str) -> Response {
    let frame = Frame::bare(language);
    said(&frame, status, frame.w.refused_title, why)
}

fn said(f: &Frame, status: StatusCode, title: &str, text: &str) -> Response {
    let page = Said { f, title, text }.render();
    // Nobody can be told more than the number where even this fails.
    page.map_or_else(
        |_| status.into_response(),
        |page| (status, Html(page)).into_response(),
    )
}

/// Nothing is at that address.
pub(super) async fn nowhere() -> Answer {
    Err(Oops(Refusal::not_found("")))
}

/// A page.
pub(super) fn html(page: &impl Template) -> Answer {
    let page = page
        .render()
        .map_err(|error| Refusal::trouble(error.to_string()))?;
    Ok(Html(page).into_response())
}

/// A file to keep.
pub(super) fn file(name: &str, media_type: &'static str, octets: Vec<u8>) -> Answer {
    // Of the names that we make nothing is left out.
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "-._!".contains(*letter);
    let name: String = name.chars().filter(plain).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.map_err(|error| Refusal::trouble(error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, octets).into_response())
}

/// What every page takes.
pub(super) type SiteOf = axum::extract::State<Arc<Site>>;
/// Who asks for it.
pub(super) type VisitOf = axum::Extension<Arc<Visit>>;
