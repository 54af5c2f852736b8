//! `/sign-in`, `/sign-out`, `/language`.

use askama::Template;
use axum::{
    extract::Query,
    http::{StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Site,
    answer::{Answer, Frame, SiteOf, VisitOf, html},
    visit::{OwnForm, Visit, language_cookie, session_cookie, set_cookie},
    words::Language,
};
use crate::ctl::protocol::Refusal;

/// What the address of the form may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    next: String,
    /// The word of a link that `sealpost page` printed.
    link: String,
}

/// A choice of language.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    to: String,
    back: String,
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct Page<'a> {
    f: &'a Frame,
    next: &'a str,
    link: &'a str,
    has_token: bool,
    was_wrong: bool,
}

pub(super) async fn ask(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    page(&site, &visit, &asked.next, &asked.link, false)
}

fn page(site: &Site, visit: &Visit, next: &str, link: &str, was_wrong: bool) -> Answer {
    let f = Frame {
        form_word: visit.form_word.clone(),
        here: visit.here.clone(),
        ..Frame::bare(visit.language)
    };
    html(&Page {
        f: &f,
        next,
        link,
        has_token: site.sign_in.has_token(),
        was_wrong,
    })
}

pub(super) async fn sign_in(site: SiteOf, visit: VisitOf, form: OwnForm) -> Answer {
    let session = site.sign_in.take(form.field("token"));
    let session = session.map_err(|error| Refusal::trouble(error.to_string()))?;
    let Some(session) = session else {
        tracing::warn!("page: somebody could not sign in: a wrong token, or a link that is over");
        let mut response = page(&site, &visit, form.field("next"), "", true)?;
        *response.status_mut() = StatusCode::FORBIDDEN;
        return Ok(response);
    };
    tracing::info!("page: somebody signed in");
    let mut response = back_to(form.field("next"));
    set_cookie(&mut response, &session_cookie(&session));
    Ok(response)
}

pub(super) async fn sign_out(site: SiteOf, visit: VisitOf, _form: OwnForm) -> Answer {
    site.sign_in.end(&visit.cookie);
    let mut response = Redirect::to("/").into_response();
    set_cookie(&mut response, &format!("{}; Max-Age=0", session_cookie("")));
    Ok(response)
}

pub(super) async fn language(Query(chosen): Query<Chosen>) -> Response {
    let mut response = back_to(&chosen.back);
    if let Some(language) = Language::of_tag(&chosen.to) {
        set_cookie(&mut response, &language_cookie(language));
    }
    response
}

/// To an address of ours; an address that leads elsewhere is none.
fn back_to(address: &str) -> Response {
    let mut response = Redirect::to("/").into_response();
    if is_ours(address)
        && let Ok(value) = address.parse()
    {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Whether an address is a path of this page. Browsers take `//host` and `/\host` for another site.
fn is_ours(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && address
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for (address, ours) in [
            ("/domains?q=a", true),
            ("/", true),
            ("//evil.test", false),
            ("/\\evil.test", false),
            ("https://evil.test", false),
            ("/a\r\nSet-Cookie: b", false),
            ("", false),
        ] {
            assert_eq!(is_ours(address), ours, "{address}");
        }
    }
}
