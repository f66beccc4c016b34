//! Turns: what their holders say, and what others ask of them.
//!
//! Whoever speaks for a holder proves it ([`proof`]). Every refusal of the actors becomes a problem in [`refusal`].

use std::sync::Arc;

use axum::Extension;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::reports::{digest, members_of_a_report};
use super::wire::{
    AboutTurn, Beaten, CancelRequest, CancelTurn, ClosedSession, CompleteTurn, CompletedTurn, ReportAnswer, Seconds,
    Session, Turn, TurnResult,
};
use super::{Named, json};
use crate::actor::turns::{self, TurnError};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::peer::Peer;
use crate::api::problem::{Code, Refusal};
use crate::api::query::Query;
use crate::domain::TurnId;

pub(in crate::api) mod begin;
pub(in crate::api) mod listing;
mod proof;
mod refusal;

const COMPLETE: Members =
    members_of_a_report!("failure.", ("result", "one of ok, failed"), ("failure", "an object, a failure report"));
const CANCEL: Members = &[("by", "a text of at most 256 characters"), ("reason", "a text of at most 256 characters")];

/// The longest name of a holder, or of somebody who asks one to stop, in characters.
const HOLDER_MAX: usize = 256;

/// What somebody calls himself: told to others as it stands.
fn is_a_name(text: &str) -> bool {
    (1..=HOLDER_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

impl App {
    /// The id of a path.
    fn turn_in_path(id: &str) -> Result<TurnId, Refusal> {
        let unknown = || Refusal::new(Code::TurnNotFound, "there is no such turn: `GET /v1/turns` lists them");
        TurnId::parse(id).ok_or_else(unknown)
    }

    /// Who may speak of the turns of an agent: everybody, but a process of an agent only of its own.
    fn may_speak_of(&self, id: &TurnId, peer: &Peer) -> Result<(), Refusal> {
        self.reporter(&id.agent, peer).map(|_| ())
    }

    /// A turn as it is now, ended or not.
    async fn turn(&self, id: &TurnId) -> Result<Turn, Refusal> {
        let status = self.switchman.agent(id.agent.as_str()).ok_or_else(|| refusal::unknown(id))?;
        if let Some(active) = status.state.turns.active().find(|active| &active.turn.id == id) {
            return Ok(Turn::active(active, status.policy.turns.lease, status.now));
        }
        let record = self.switchman.turn(id).await.map_err(|error| match error {
            TurnError::AlreadyComplete { .. } => refusal::no_longer_kept(),
            error => self.turn_refused(error),
        })?;
        Ok(Turn::from(&record))
    }
}

pub(in crate::api) async fn heartbeat(
    State(app): State<Arc<App>>,
    Named(id): Named,
    Extension(peer): Extension<Arc<Peer>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let wait = Query::of(&uri, &["wait"])?.wait()?;
    let id = App::turn_in_path(&id)?;
    app.may_speak_of(&id, &peer)?;
    let proof = proof::of(&headers);
    let beat = async || app.switchman.beat_turn(&id, &proof.token).await.map_err(|error| proof.refused(&app, error));
    let mut beaten = beat().await?;
    // The lease has to last until the answer, and then until the next heartbeat.
    let wait = wait.min(beaten.lease / 2);
    if !wait.is_zero() && beaten.cancel.is_none() {
        let is_over = tokio::select! {
            () = app.switchman.cancel_asked(&id, wait) => true,
            () = app.stopping() => false,
        };
        if is_over {
            beaten = beat().await?;
        }
    }
    Ok(json(StatusCode::OK, &Beaten::from(beaten)))
}

impl From<turns::Beaten> for Beaten {
    fn from(beaten: turns::Beaten) -> Self {
        let turns::Beaten { cancel, lease } = beaten;
        Self { cancel_requested: cancel.map(|(id, by)| CancelRequest { id, by }), lease_s: Seconds(lease) }
    }
}

pub(in crate::api) async fn complete(
    State(app): State<Arc<App>>,
    Named(id): Named,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let body = app.bodies.read(body).await?;
    let id = App::turn_in_path(&id)?;
    let reporter = app.reporter(&id.agent, &peer)?;
    let proof = proof::of(&parts.headers);
    let CompleteTurn { result, failure } = body::parse(&body, COMPLETE)?;
    let report = match failure {
        None => None,
        Some(document) => {
            if document.turn.as_ref().is_some_and(|turn| *turn != id.to_string()) {
                return Err(Refusal::member("failure.turn", "`failure.turn` is another turn than the one completed"));
            }
            // An agent that is not in the config has no turns.
            let status = app.switchman.agent(id.agent.as_str()).ok_or_else(|| refusal::unknown(&id))?;
            let report = app.read(&status, document, reporter, &peer).map_err(|refusal| refusal.inside("failure"))?;
            let digest = if report.id.is_some() { digest(&body) } else { 0 };
            Some((report, digest))
        }
    };
    let is_ok = result.0 == TurnResult::Ok;
    let completed = app.switchman.complete_turn(&id, &proof.token, is_ok, report).await;
    let (ended, answer) = completed.map_err(|error| proof.refused(&app, error).inside("failure"))?;
    let document = CompletedTurn { turn: Turn::from(&ended), failure: answer.as_ref().map(ReportAnswer::from) };
    Ok(json(StatusCode::OK, &document))
}

pub(in crate::api) async fn cancel(
    State(app): State<Arc<App>>,
    Named(id): Named,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    let id = App::turn_in_path(&id)?;
    app.may_speak_of(&id, &peer)?;
    let CancelTurn { by, reason } = body::parse(&body, CANCEL)?;
    for (member, text) in [("by", &by), ("reason", &reason)] {
        if text.as_ref().is_some_and(|text| !is_a_name(text)) {
            let detail =
                format!("`{member}` must be a text of 1 to {HOLDER_MAX} characters, none of them a control character");
            return Err(Refusal::member(member, detail));
        }
    }
    let by = by.unwrap_or_else(|| peer.sender.clone());
    let by = match reason {
        Some(reason) => format!("{by}: {reason}"),
        None => by,
    };
    app.switchman.cancel_turn(&id, by).await.map_err(|error| app.turn_refused(error))?;
    Ok(json(StatusCode::ACCEPTED, &AboutTurn { turn: app.turn(&id).await? }))
}

pub(in crate::api) async fn cancelled(
    State(app): State<Arc<App>>,
    Named(id): Named,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id = App::turn_in_path(&id)?;
    app.may_speak_of(&id, &peer)?;
    let proof = proof::of(&headers);
    let ended = app.switchman.cancelled_turn(&id, &proof.token).await;
    let ended = ended.map_err(|error| proof.refused(&app, error))?;
    Ok(json(StatusCode::OK, &AboutTurn { turn: Turn::from(&ended) }))
}

pub(in crate::api) async fn fence(
    State(app): State<Arc<App>>,
    Named(id): Named,
    Extension(peer): Extension<Arc<Peer>>,
) -> Result<Response, Refusal> {
    let id = App::turn_in_path(&id)?;
    // What ends the work of others is no business of what runs inside an agent, be it its own.
    if app.agent_of(&peer).is_some() {
        return Err(Refusal::new(Code::NotThisAgent, "only an operator ends the work of a turn"));
    }
    app.switchman.fence_turn(&id).await.map_err(|error| app.turn_refused(error))?;
    Ok(json(StatusCode::ACCEPTED, &AboutTurn { turn: app.turn(&id).await? }))
}

pub(in crate::api) async fn close(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (mut parts, _) = request.into_parts();
    let named = Path::<(String, String)>::from_request_parts(&mut parts, &()).await;
    let not_text = |_| Refusal::new(Code::NotFound, "a name in the path is not UTF-8 text");
    let Path((agent, session)) = named.map_err(not_text)?;
    let status = app.agent(&agent)?;
    app.reporter(&status.state.name, &peer)?;
    let no_session = || Refusal::new(Code::NotFound, "the path names no session: a name, or two with a comma between");
    let session = Session::in_path(&session).to_name().ok_or_else(no_session)?;
    let closed = app.switchman.close_session(&agent, session.clone()).await;
    let last = closed.map_err(|error| app.turn_refused(error))?;
    let last_completed = last.map(|id| id.to_string());
    Ok(json(StatusCode::OK, &ClosedSession { agent, session: (&session).into(), last_completed }))
}
