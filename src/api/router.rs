//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::routing::{delete, get, post, put};

use super::problem::{Code, Refusal};
use super::v1::{agents, commands, history, notify, readings, reports, subscriptions, turns};
use super::{App, health, openapi};

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::described))
        .route("/v1/agents", get(agents::all))
        .route("/v1/agents/{agent}", get(agents::one))
        .route("/v1/agents/{agent}/explain", get(agents::explain))
        .route("/v1/agents/{agent}/failures", post(reports::report))
        .route("/v1/agents/{agent}/switch", post(commands::switch).delete(commands::cancel))
        .route("/v1/agents/{agent}/pause", post(commands::pause))
        .route("/v1/agents/{agent}/resume", post(commands::resume))
        .route("/v1/agents/{agent}/unpark", post(commands::unpark))
        .route("/v1/agents/{agent}/pin", put(commands::pin).delete(commands::unpin))
        .route("/v1/agents/{agent}/turns", post(turns::begin::begin))
        .route("/v1/agents/{agent}/sessions/{session}/close", post(turns::close))
        .route("/v1/turns", get(turns::listing::all))
        .route("/v1/turns/{id}", get(turns::listing::one))
        .route("/v1/turns/{id}/heartbeat", post(turns::heartbeat))
        .route("/v1/turns/{id}/complete", post(turns::complete))
        .route("/v1/turns/{id}/cancel", post(turns::cancel))
        .route("/v1/turns/{id}/cancelled", post(turns::cancelled))
        .route("/v1/turns/{id}/fence", post(turns::fence))
        .route("/v1/resume", post(commands::resume_all))
        .route("/v1/notify/test", post(notify::test))
        .route("/v1/subscriptions", get(subscriptions::all))
        .route("/v1/subscriptions/{subscription}/cooldown", put(subscriptions::cool))
        .route("/v1/subscriptions/{subscription}/cooldown", delete(subscriptions::clear))
        .route("/v1/subscriptions/{subscription}/readings", post(readings::take))
        .route("/v1/switches", get(history::switches))
        .route("/v1/switches/{id}", get(history::switch))
        .route("/v1/failures", get(history::failures))
        .fallback(nothing_here)
        .method_not_allowed_fallback(no_such_method)
        .with_state(app)
}

async fn nothing_here(_: Uri) -> Refusal {
    Refusal::new(Code::NotFound, "there is nothing at this path: see docs/api.md")
}

async fn no_such_method(_: Uri) -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "this path does not know that method: the header `allow` names those it does")
}
