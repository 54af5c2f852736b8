//! Who comes, and whether they may: looked at before every page.
//!
//! Three things are asked of a request: that it calls the page by a name of ours (else a stranger's page
//! could reach it by DNS rebinding), that a POST comes from a page of ours (else a stranger's page could
//! make the operator's browser act), and that somebody vouches for whoever sends it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Form, FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Redirect, Response},
};

use super::{
    Site,
    answer::{Oops, oops_page, refused_page},
    shape::encoded,
    words::{Language, Words, fill},
};
use crate::{config::PageConfig, net::http_door::Way};

/// The cookie that names a session or, where nobody signs in, the browser.
const COOKIE: &str = "sealpost";

/// The cookie that remembers a choice of language.
const LANGUAGE_COOKIE: &str = "sealpost-language";

/// How long a page may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// How much of a form is read.
const FORM_BYTES_MAX: usize = 16_384;

/// The longest cookie and user's name that are taken.
const NAME_CHARS_MAX: usize = 256;

/// Who may do what is asked, and how they want to be spoken to.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) language: Language,
    /// Who a proxy says it is.
    pub(super) who: Option<String>,
    /// They signed in, so they can sign out.
    pub(super) signed_in: bool,
    /// What this browser's forms must carry.
    pub(super) form_word: String,
    /// The value of the cookie.
    pub(super) cookie: String,
    /// The path and query that were asked for.
    pub(super) here: String,
}

impl Visit {
    pub(super) const fn words(&self) -> &'static Words {
        self.language.words()
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Somebody vouches for them: the socket's file mode, or a proxy that names them.
    Vouched(Option<String>),
    /// They must sign in.
    MustSignIn,
    /// The proxy that should say who they are does not.
    Unnamed,
}

/// Looks at a request, and has it answered.
pub(super) async fn guard(
    State(site): State<Arc<Site>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (visit, is_new) = match let_in(&site, &request) {
        Ok(let_in) => let_in,
        Err(refused) => return finish(*refused),
    };
    let visit = Arc::new(visit);
    request.extensions_mut().insert(Arc::clone(&visit));
    let answered = tokio::time::timeout(TIME_MAX, next.run(request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let why = visit.words().too_slow;
        refused_page(visit.language, StatusCode::SERVICE_UNAVAILABLE, why)
    });
    if let Some(oops) = response.extensions_mut().remove::<Oops>() {
        response = oops_page(&site, &visit, &oops).await;
    }
    if is_new && !response.headers().contains_key(header::SET_COOKIE) {
        set_cookie(&mut response, &session_cookie(&visit.cookie));
    }
    finish(response)
}

/// Who comes, and whether their cookie is a new one; or what they are answered who may not.
fn let_in(site: &Site, request: &Request) -> Result<(Visit, bool), Box<Response>> {
    let headers = request.headers();
    let language = language_of(headers);
    let words = language.words();
    let refused = |status, why: &str| Err(Box::new(refused_page(language, status, why)));
    let host = text(headers, &header::HOST).unwrap_or_default();
    if !is_our_name(host, &site.config.names) {
        let why = fill(words.refused_host, &[host]);
        return refused(StatusCode::MISDIRECTED_REQUEST, &why);
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !comes_from_us(headers, host, &site.config.names) {
        return refused(StatusCode::FORBIDDEN, words.refused_origin);
    }
    let here = request.uri().path_and_query();
    let here = here.map_or("/", |here| here.as_str());
    let cookie = cookie(headers, COOKIE).filter(|cookie| is_plain(cookie));
    let signed_in = cookie
        .as_deref()
        .is_some_and(|cookie| site.sign_in.knows(cookie));
    let way = request.extensions().get::<Way>().copied();
    let who = match standing(&site.config, way, headers) {
        Standing::Vouched(who) => who,
        Standing::MustSignIn if signed_in || is_open(request.uri().path()) => None,
        Standing::MustSignIn => {
            let to = format!("/sign-in?next={}", encoded(here));
            return Err(Box::new(Redirect::to(&to).into_response()));
        }
        Standing::Unnamed => return refused(StatusCode::FORBIDDEN, words.refused_user),
    };
    let (cookie, is_new) = match cookie {
        Some(cookie) => (cookie, false),
        None => match site.sign_in.word() {
            Ok(word) => (word, true),
            Err(error) => {
                return refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
            }
        },
    };
    let visit = Visit {
        language,
        who,
        signed_in,
        form_word: site.sign_in.form_word(&cookie),
        here: here.to_owned(),
        cookie,
    };
    Ok((visit, is_new))
}

/// What one need not sign in for: it tells nothing of the daemon.
fn is_open(path: &str) -> bool {
    matches!(path, "/style.css" | "/mark.svg" | "/sign-in" | "/language")
}

/// What every answer says of itself.
fn finish(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        // Nothing but our own style and pictures; no script at all, and no frame around it.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors \
             'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (header::VARY, "Cookie, Accept-Language"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Who a request is of, before anybody's signing in.
fn standing(config: &PageConfig, way: Option<Way>, headers: &HeaderMap) -> Standing {
    let named = match config.user_header.as_str() {
        "" => None,
        header => Some(headers.get(header).and_then(|value| value.to_str().ok())),
    };
    let named = named.map(|who| {
        let who = who.map(str::trim).filter(|who| !who.is_empty());
        who.filter(|who| who.chars().count() <= NAME_CHARS_MAX)
    });
    match (way, named) {
        (Some(Way::Unix), None) => Standing::Vouched(None),
        (Some(Way::Unix), Some(Some(who))) => Standing::Vouched(Some(who.to_owned())),
        (Some(Way::Unix), Some(None)) => Standing::Unnamed,
        // A header of anybody else is worth nothing.
        (Some(Way::Tcp(from)), Some(who)) if config.proxies.contains(&from.to_canonical()) => who
            .map_or(Standing::Unnamed, |who| {
                Standing::Vouched(Some(who.to_owned()))
            }),
        (Some(Way::Tcp(_)) | None, _) => Standing::MustSignIn,
    }
}

/// Is this what we are called? An address in figures cannot be made to lead elsewhere, `localhost` is this
/// machine, and other names are the operator's to tell.
fn is_our_name(host: &str, names: &[String]) -> bool {
    let name = without_port(host);
    let literal = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    literal.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|each| each.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Does a request that changes something come from a page of ours? Browsers say so, old ones in fewer
/// words; programs say nothing, and their form's word decides.
fn comes_from_us(headers: &HeaderMap, host: &str, names: &[String]) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
    {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().unwrap_or_default();
    let rest = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        rest.eq_ignore_ascii_case(host)
            // A proxy may have called us by another name than the browser called it.
            || names.iter().any(|each| each.eq_ignore_ascii_case(without_port(rest)))
    })
}

/// The language that was chosen, else the one that the browser likes best.
fn language_of(headers: &HeaderMap) -> Language {
    let chosen = cookie(headers, LANGUAGE_COOKIE);
    let chosen = chosen.and_then(|tag| Language::of_tag(&tag));
    let liked = || Language::accepted(text(headers, &header::ACCEPT_LANGUAGE).unwrap_or_default());
    chosen.unwrap_or_else(liked)
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The value of a cookie.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).into_iter();
    let mut pairs = pairs
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(each, _)| *each == name)
        .map(|(_, value)| value.to_owned())
}

/// A word as we make them.
fn is_plain(cookie: &str) -> bool {
    cookie.len() <= NAME_CHARS_MAX && cookie.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// The line that sets the cookie of a session.
// SameSite: no other site's page can send it. HttpOnly: no script can read it.
pub(super) fn session_cookie(value: &str) -> String {
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict")
}

/// The line that remembers a language for a year.
pub(super) fn language_cookie(language: Language) -> String {
    format!(
        "{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax",
        language.tag()
    )
}

/// Sets a cookie.
pub(super) fn set_cookie(response: &mut Response, line: &str) {
    if let Ok(value) = HeaderValue::from_str(line) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// The fields of a form of ours: whoever takes this knows that our page was where it was filled in.
pub(super) struct OwnForm(pub(super) BTreeMap<String, String>);

impl OwnForm {
    /// A field, or nothing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

impl FromRequest<Arc<Site>> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Response> {
        let visit = request.extensions().get::<Arc<Visit>>().cloned();
        let language = visit
            .as_ref()
            .map(|visit| visit.language)
            .unwrap_or_default();
        let refused = || {
            refused_page(
                language,
                StatusCode::FORBIDDEN,
                language.words().refused_form,
            )
        };
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, FORM_BYTES_MAX)
            .await
            .map_err(|_| refused())?;
        let request = Request::from_parts(parts, Body::from(body));
        let form = Form::<BTreeMap<String, String>>::from_request(request, site).await;
        let Form(fields) = form.map_err(|_| refused())?;
        let word = fields.get("form").map_or("", String::as_str);
        match visit {
            Some(visit) if site.sign_in.is_form_word(&visit.cookie, word) => Ok(Self(fields)),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_name_that_a_stranger_made_lead_here_is_not_ours() {
        let names = ["mail.example.org".to_owned()];
        for (host, ours) in [
            ("localhost:8462", true),
            ("LOCALHOST", true),
            ("127.0.0.1:8462", true),
            ("[::1]:8462", true),
            ("192.0.2.1", true),
            ("Mail.Example.org:443", true),
            ("mail.example.org.evil.test", false),
            ("evil.test:8462", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("", false),
            ("[::1", false),
        ] {
            assert_eq!(is_our_name(host, &names), ours, "{host}");
        }
    }

    #[test]
    fn what_changes_something_comes_from_our_own_page() {
        let names = ["mail.example.org".to_owned()];
        for (given, ours) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://localhost:8462")], true),
            (&[("origin", "http://localhost:9999")], false),
            (&[("origin", "https://mail.example.org")], true),
            (&[("origin", "https://evil.test")], false),
            (&[("origin", "null")], false),
            (
                &[
                    ("origin", "http://localhost:8462"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            let found = comes_from_us(&headers(given), "localhost:8462", &names);
            assert_eq!(found, ours, "{given:?}");
        }
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed_who_somebody_is() {
        let near: IpAddr = "127.0.0.1".parse().unwrap();
        let proxied = PageConfig {
            proxies: vec![near],
            user_header: "X-Remote-User".to_owned(),
            ..PageConfig::default()
        };
        let plain = PageConfig::default();
        let (unix, proxy) = (Some(Way::Unix), Some(Way::Tcp(near)));
        let mapped = Some(Way::Tcp("::ffff:127.0.0.1".parse().unwrap()));
        let far = Some(Way::Tcp("192.0.2.7".parse().unwrap()));
        let anna = || Standing::Vouched(Some("anna".to_owned()));
        for (config, way, name, expected) in [
            (&plain, unix, "", Standing::Vouched(None)),
            (&plain, unix, "anna", Standing::Vouched(None)),
            (&plain, proxy, "anna", Standing::MustSignIn),
            (&plain, None, "anna", Standing::MustSignIn),
            (&proxied, unix, "anna", anna()),
            (&proxied, unix, " ", Standing::Unnamed),
            (&proxied, proxy, "anna", anna()),
            (&proxied, mapped, "anna", anna()),
            (&proxied, proxy, "", Standing::Unnamed),
            (&proxied, far, "anna", Standing::MustSignIn),
        ] {
            let headers = headers(&[("x-remote-user", name)]);
            assert_eq!(standing(config, way, &headers), expected, "{way:?} {name}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        let sent = headers(&[("cookie", "a=1; sealpost=abc; sealpost-language=ja")]);
        assert_eq!(cookie(&sent, COOKIE).as_deref(), Some("abc"));
        assert_eq!(language_of(&sent), Language::Japanese);
        assert_eq!(cookie(&sent, "b"), None);
        assert!(is_plain("0af") && !is_plain("<script>"));
    }
}
