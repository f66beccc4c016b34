//! The first version of the API.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::problem::{Code, Refusal};

pub(super) mod agents;
pub(super) mod commands;
pub(super) mod history;
pub(super) mod notify;
pub(super) mod readings;
pub(super) mod reports;
pub(super) mod subscriptions;
pub mod time;
pub(super) mod turns;
pub mod wire;

/// The text of a document. Documents of our own always serialise: they have string keys and finite numbers.
pub(super) fn text(document: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    if let Err(error) = serde_json::to_writer(&mut text, document) {
        tracing::error!(%error, "a document could not be written");
    }
    text
}

/// A document as an answer.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    answer(status, Body::from(text(document)))
}

fn answer(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The one name in a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = named.map_err(|_| Refusal::new(Code::NotFound, "the name in the path is not UTF-8 text"))?;
        Ok(Self(name))
    }
}
