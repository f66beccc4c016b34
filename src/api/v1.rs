//! The first version of the API.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

pub(super) mod agents;
pub(super) mod commands;
pub(super) mod history;
pub(super) mod reports;
pub(super) mod subscriptions;
pub mod time;
pub mod wire;

/// A document as an answer. Documents of our own always serialise: they have string keys and finite numbers.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    let mut text = Vec::with_capacity(512);
    if let Err(error) = serde_json::to_writer(&mut text, document) {
        tracing::error!(%error, "a document could not be written");
    }
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
