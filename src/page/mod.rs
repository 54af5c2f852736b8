//! The web page for operators: what was counted, domains, policies, reports, health, and what an operator
//! can do about them.
//!
//! Everything is rendered here, from templates that escape whatever they are given; there is no script.
//! The page knows the daemon as [`Source`], which is what the control socket knows and a little more, so
//! that both say the same. `docs/decisions/0018-page.md` has the reasons.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};

use crate::config::PageConfig;

mod act;
mod alerts;
mod almanac;
mod answer;
mod audit;
mod chart;
mod doctor;
mod domain;
mod domains;
mod edition;
mod explain;
mod health;
mod list;
mod listings;
mod overrides;
mod overview;
mod policies;
mod report;
mod reports;
mod serve;
mod shape;
pub mod sign_in;
mod signing_in;
pub mod source;
mod visit;
mod words;

pub use serve::{PageError, open};
pub use sign_in::SignIn;
pub use source::Source;

use almanac::Almanac;
use doctor::Doctor;
use listings::Listings;

/// What every page has at hand.
struct Site {
    source: Arc<dyn Source>,
    almanac: Arc<Almanac>,
    listings: Arc<Listings>,
    doctor: Arc<Doctor>,
    sign_in: Arc<SignIn>,
    config: PageConfig,
}

/// The pages.
pub fn router(source: Arc<dyn Source>, sign_in: Arc<SignIn>, config: &PageConfig) -> Router {
    let site = Arc::new(Site {
        almanac: Arc::new(Almanac::new(Arc::clone(&source))),
        listings: Arc::new(Listings::new(Arc::clone(&source))),
        doctor: Arc::new(Doctor::new(Arc::clone(&source))),
        source,
        sign_in,
        config: config.clone(),
    });
    Router::new()
        .route("/", get(overview::show))
        .route("/domains", get(domains::show))
        .route("/domains/{domain}", get(domain::show))
        .route("/domains/{domain}/look", post(act::look))
        .route("/domains/{domain}/reports/{day}", get(report::show))
        .route(
            "/domains/{domain}/reports/{day}/{file}",
            get(report::download),
        )
        .route("/policies", get(policies::show))
        .route("/reports", get(reports::show))
        .route("/overrides", get(overrides::show))
        .route("/audit", get(audit::show))
        .route("/alerts", get(alerts::show))
        .route("/health", get(health::show))
        .route("/health/examine", post(health::examine))
        .route("/failures", get(explain::list))
        .route("/failures/{name}", get(explain::one))
        .route("/act", get(act::confirm).post(act::act))
        .route("/sign-in", get(signing_in::ask).post(signing_in::sign_in))
        .route("/sign-out", post(signing_in::sign_out))
        .route("/language", get(signing_in::language))
        .route("/style.css", get(style))
        .route("/mark.svg", get(mark))
        .fallback(answer::nowhere)
        .layer(from_fn_with_state(Arc::clone(&site), visit::guard))
        .with_state(site)
}

/// Whether HTTP lets a header have this name.
#[must_use]
pub fn is_header_name(name: &str) -> bool {
    name.parse::<HeaderName>().is_ok()
}

async fn style() -> Response {
    fixed("text/css; charset=utf-8", include_str!("style.css"))
}

async fn mark() -> Response {
    fixed("image/svg+xml", include_str!("mark.svg"))
}

/// What stays as it is while this release runs.
fn fixed(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=600"),
        ),
    ];
    (headers, text).into_response()
}
