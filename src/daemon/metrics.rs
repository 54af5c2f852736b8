//! `GET /metrics`: what Prometheus reads.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use super::operator::Operator;
use crate::{
    config::{MetricsConfig, kind::file_mode},
    net::{
        activation::Activated,
        http_door::{HttpDoor, HttpDoorError},
        unix_socket::Access,
    },
    observe::exposition::MEDIA_TYPE,
};

/// Why nobody can read the metrics over a socket. For the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// A socket cannot be made or listened on.
    #[error("metrics.{0}")]
    Door(#[from] HttpDoorError),
    /// The mode of the unix socket is none.
    #[error("metrics.mode: {0}")]
    Mode(String),
}

/// Opens the sockets, systemd's or our own. Within a tokio runtime.
///
/// # Errors
/// When one cannot be opened.
pub fn open(config: &MetricsConfig, activated: &mut Activated) -> Result<HttpDoor, MetricsError> {
    let mode = file_mode(&config.mode).map_err(MetricsError::Mode)?;
    let access = Access::mode(mode).for_group(&config.group);
    let (path, listen) = (&config.path, &config.listen);
    Ok(HttpDoor::open("metrics", path, &access, listen, activated)?)
}

/// What is served there: `/metrics`, to be read, and nothing else.
pub fn router(operator: Arc<Operator>) -> Router {
    Router::new()
        .route("/metrics", get(show))
        .with_state(operator)
}

async fn show(State(operator): State<Arc<Operator>>) -> Response {
    let headers = |media_type| {
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ]
    };
    match operator.metrics_text().await {
        Ok(text) => (headers(MEDIA_TYPE), text).into_response(),
        Err(refusal) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            headers("text/plain; charset=utf-8"),
            refusal.message,
        )
            .into_response(),
    }
}
