//! Trying the targets of notifications.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use super::wire::{NotifyTest, NotifyTested};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::problem::Refusal;

const TEST: Members = &[("target", "how the name of a target begins")];

/// Sends a test message. It is answered when every target has answered, or was given up.
pub(in crate::api) async fn test(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    let asked: NotifyTest = body::parse(&body, TEST)?;
    let tried = app.switchman.try_targets(asked.target.as_deref()).await;
    Ok(json(StatusCode::OK, &NotifyTested::from(tried)))
}
