//! Whether the daemon lives, whether it does its work, and what it counts.
//!
//! The first two answer from what is known, without asking an actor: they must not hang where one does.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::problem::Refusal;
use super::v1::json;
use crate::telemetry::metrics::CONTENT_TYPE;

/// `GET /healthz`.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    status: &'static str,
    reason: Option<String>,
}

/// `GET /readyz`.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    status: &'static str,
    reason: Option<String>,
    /// What is missing although the daemon does its work.
    degraded: Vec<String>,
}

pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &Health { status: "ok", reason: None })
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    if *app.stop.borrow() {
        let reason = Some("the daemon stops".to_owned());
        let stopping = Readiness { status: "stopping", reason, degraded: Vec::new() };
        return json(StatusCode::SERVICE_UNAVAILABLE, &stopping);
    }
    let degraded = app.switchman.health().degraded;
    let reason = (!degraded.is_empty()).then(|| degraded.join("; "));
    json(StatusCode::OK, &Readiness { status: "ready", reason, degraded })
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let snapshot = app.switchman.snapshot().await?;
    let text = app.switchman.telemetry().metrics().render(&snapshot);
    let mut response = Body::from(text).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}
