//! The beginning of a turn: what is asked for, the wait for it, and the answer that has to arrive.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use secrecy::ExposeSecret as _;

use super::is_a_name;
use crate::actor::turns::{Begun, TurnError};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::handover::{self, Handover};
use crate::api::peer::Peer;
use crate::api::problem::{Code, RETRY, Refusal};
use crate::api::v1::reports::digest;
use crate::api::v1::wire::{BeginTurn, BegunTurn, OnBusy, Turn};
use crate::api::v1::{Named, text};
use crate::domain::{AgentName, SessionName, TurnClass, TurnId, TurnKey};
use crate::machine::turns::Begin;

const BEGIN: Members = &[
    ("session", "a name of 1 to 128 characters without commas and control characters, or a list of two different ones"),
    ("class", "one of interactive, background"),
    ("holder", "a text of 1 to 256 characters, none of them a control character"),
    ("on_busy", "one of reject, queue"),
    ("wait_s", "a number of seconds, 0 to 3600, beside `\"on_busy\": \"queue\"`"),
    ("preempt", "true or false; true only beside `\"on_busy\": \"queue\"` and the class interactive"),
    ("after", "the id of a turn of this agent"),
    ("key", "a text of 1 to 200 bytes"),
];

/// How long a caller waits that does not say.
const WAIT: Duration = Duration::from_secs(60);

/// How long one may wait, in seconds.
const WAIT_MAX_S: f64 = 3600.0;

/// The longest key, in bytes.
const KEY_MAX: usize = 200;

pub(in crate::api) async fn begin(
    State(app): State<Arc<App>>,
    Named(agent): Named,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(handover): Extension<Arc<Handover>>,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    let status = app.agent(&agent)?;
    let agent = &status.state.name;
    app.reporter(agent, &peer)?;
    let asked: BeginTurn = body::parse(&body, BEGIN)?;
    let asked = read(asked, &body, agent, &peer)?;
    drop(body);
    let begun = tokio::select! {
        // Who is served at the last moment is served.
        biased;
        begun = app.switchman.begin_turn(agent.as_str(), asked) => begun.map_err(|error| match error {
            // The owner of the agent may have gone before this caller heard of the stop.
            TurnError::NotRecorded | TurnError::Busy if *app.stop.borrow() => stopping(),
            error => app.turn_refused(error),
        })?,
        () = app.stopping() => return Err(stopping()),
    };
    Ok(answer(begun, handover))
}

fn stopping() -> Refusal {
    Refusal::new(Code::Stopping, "the daemon stops: try again when it is back").retry(RETRY)
}

/// The one answer with a secret in it: it is stored nowhere on its way, and has to arrive.
fn answer(begun: Begun, handover: Arc<Handover>) -> Response {
    let Begun { turn, token, lease, place } = begun;
    let document = BegunTurn { turn: Turn::granted(&turn, lease), lease_token: token.expose_secret().to_owned() };
    let body = handover::body(text(&document).into(), place, handover);
    let mut response = crate::api::v1::answer(StatusCode::CREATED, body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// From the document to the request: checked, and with what is not said filled in.
fn read(document: BeginTurn, body: &[u8], agent: &AgentName, peer: &Peer) -> Result<Begin, Refusal> {
    let BeginTurn { session, class, holder, on_busy, wait_s, preempt, after, key } = document;
    let session: SessionName = session.to_name().ok_or_else(|| invalid("session"))?;
    let class = class.map_or(TurnClass::Interactive, |class| class.0);
    let holder = holder.unwrap_or_else(|| peer.sender.clone());
    if !is_a_name(&holder) {
        return Err(invalid("holder"));
    }
    let is_queued = on_busy.is_some_and(|on_busy| on_busy.0 == OnBusy::Queue);
    let wait = match (is_queued, wait_s) {
        (false, None) => None,
        (false, Some(_)) => return Err(invalid("wait_s")),
        (true, None) => Some(WAIT),
        (true, Some(seconds)) if (0.0..=WAIT_MAX_S).contains(&seconds) => Some(Duration::from_secs_f64(seconds)),
        (true, Some(_)) => return Err(invalid("wait_s")),
    };
    let preempt = preempt.unwrap_or(false);
    if preempt && !(is_queued && class == TurnClass::Interactive) {
        return Err(invalid("preempt"));
    }
    let after = after.map(|id| TurnId::parse(&id).filter(|id| &id.agent == agent).ok_or_else(|| invalid("after")));
    let key = key.map(|key| key_of(key).map(|key| (key, digest(body))));
    Ok(Begin { session, class, holder, wait, preempt, after: after.transpose()?, key: key.transpose()? })
}

fn key_of(key: String) -> Result<TurnKey, Refusal> {
    if key.is_empty() || key.len() > KEY_MAX { Err(invalid("key")) } else { Ok(key.into()) }
}

/// A value that has the right type and cannot be right.
fn invalid(member: &str) -> Refusal {
    let form = BEGIN.iter().find(|(name, _)| *name == member).map_or("valid", |(_, form)| form);
    Refusal::member(member, format!("`{member}` must be {form}"))
}
