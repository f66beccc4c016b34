//! What operators can ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt as _;

use super::time::Time;
use super::wire::{PauseRequest, PinRequest, Switch, SwitchRequest};
use super::{Named, json};
use crate::actor::handle::{CommandError, Commanded};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::peer::Peer;
use crate::api::problem::{Code, Refusal};
use crate::api::query::Query;
use crate::domain::{AgentName, CauseBy, IntentId, Wall, duration};
use crate::machine::agent::Command;
use crate::machine::pool::Wanted;

const SWITCH: Members = &[
    ("to", "the name of a subscription"),
    ("reason", "a text of at most 500 bytes"),
    ("dry_run", "true or false"),
    ("force", "true or false"),
];
const PAUSE: Members = &[("until", "a time such as \"2026-11-18T11:06:40Z\""), ("for", "a duration such as \"2h\"")];
const PIN: Members = &[("subscription", "the name of a subscription")];

/// The longest reason, in bytes.
const REASON_MAX: usize = 500;

/// The longest pause or cooldown.
const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Agents that are resumed at the same time.
const AT_ONCE: usize = 64;

/// When something ends that was asked for with `until` or `for`; `None` if neither is given.
pub(super) fn until(until: Option<Time>, span: Option<&str>, now: Wall) -> Result<Option<Wall>, Refusal> {
    let (member, end) = match (until, span) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(Refusal::member("for", "`until` and `for` say the same: give one of them")),
        (Some(until), None) => ("until", until.into()),
        (None, Some(span)) => {
            // What is wrong is not said in its words: they show the value.
            let span = duration::parse(span);
            let span = span.map_err(|_| Refusal::member("for", "`for` must be a duration such as \"2h\""))?;
            ("for", now.plus(span))
        }
    };
    if end <= now || end > now.plus(SPAN_MAX) {
        return Err(Refusal::member(member, format!("`{member}` must end later than now and within 366 days")));
    }
    Ok(Some(end))
}

pub(in crate::api) async fn switch(
    State(app): State<Arc<App>>,
    Named(agent): Named,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let wait = Query::of(&parts.uri, &["wait"])?.wait()?;
    let body = app.bodies.read(body).await?;
    let status = app.agent(&agent)?;
    let asked: SwitchRequest = body::parse(&body, SWITCH)?;
    drop(body);
    if asked.reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX) {
        return Err(Refusal::member("reason", "`reason` must be a text of at most 500 bytes"));
    }
    let to = asked.to.as_deref().map(|name| app.subscription(name, "to")).transpose()?;
    let force = asked.force.unwrap_or(false);
    if asked.dry_run.unwrap_or(false) && !status.policy.is_monitor_only {
        let wanted = to.map_or(Wanted::Another, |to| Wanted::This { to, force });
        return Ok(json(StatusCode::OK, &app.explanation(&status, wanted, CauseBy::Operator).await?));
    }
    let reason = match &asked.reason {
        Some(reason) => format!("{reason} ({})", peer.sender),
        None => peer.sender.clone(),
    };
    match app.switchman.command(&agent, Command::Switch { to, force, reason: Some(reason) }).await? {
        Commanded::Switching(id) => {
            let ended = if wait.is_zero() { None } else { app.ended(&agent, &id, wait).await };
            match ended {
                Some(record) => Ok(json(StatusCode::OK, &Switch::from(&record))),
                None => Ok(json(StatusCode::ACCEPTED, &app.switch(&agent, &id).await?)),
            }
        }
        Commanded::Done => Ok(json(StatusCode::OK, &app.document(&app.agent(&agent)?))),
    }
}

impl App {
    /// A switch that was just begun, wherever it has got to.
    async fn switch(&self, agent: &str, id: &IntentId) -> Result<Switch, Refusal> {
        let state = self.agent(agent)?.state;
        if let Some(intent) = state.phase.intent().filter(|intent| &intent.id == id) {
            return Ok(intent.into());
        }
        let record = self.switchman.store().intent(id).await?;
        let gone = || Refusal::new(Code::SwitchNotFound, "the switch is no longer kept");
        record.as_ref().map(Into::into).ok_or_else(gone)
    }

    /// Carries out a command and shows the agent as it is then.
    async fn command(&self, agent: &str, command: Command) -> Result<Response, Refusal> {
        self.switchman.command(agent, command).await?;
        Ok(json(StatusCode::OK, &self.document(&self.agent(agent)?)))
    }
}

pub(in crate::api) async fn cancel(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    let under_way = app.agent(&agent)?.state.phase.intent().map(|intent| intent.id.clone());
    app.switchman.command(&agent, Command::CancelSwitch).await?;
    let last = app.agent(&agent)?.state.last.clone();
    match (under_way, last) {
        (_, Some(last)) => Ok(json(StatusCode::OK, &Switch::from(&last))),
        (Some(id), None) => Ok(json(StatusCode::OK, &app.switch(&agent, &id).await?)),
        (None, None) => Ok(json(StatusCode::OK, &app.document(&app.agent(&agent)?))),
    }
}

pub(in crate::api) async fn pause(
    State(app): State<Arc<App>>,
    Named(agent): Named,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    app.agent(&agent)?;
    let asked: PauseRequest = body::parse(&body, PAUSE)?;
    let until = until(asked.until, asked.for_.as_deref(), app.switchman.now().wall)?;
    app.command(&agent, Command::Pause { until }).await
}

pub(in crate::api) async fn resume(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    app.command(&agent, Command::Resume).await
}

pub(in crate::api) async fn unpark(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    app.command(&agent, Command::Unpark).await
}

pub(in crate::api) async fn pin(
    State(app): State<Arc<App>>,
    Named(agent): Named,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    app.agent(&agent)?;
    let asked: PinRequest = body::parse(&body, PIN)?;
    let to = app.subscription(&asked.subscription, "subscription")?;
    app.command(&agent, Command::Pin { to }).await
}

pub(in crate::api) async fn unpin(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    app.command(&agent, Command::Unpin).await
}

/// Lets automatic switching go on where it was halted, and resumes everyone; those that are not paused are left alone.
pub(in crate::api) async fn resume_all(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    app.switchman.lift_halt().await?;
    let agents = app.switchman.agents();
    let paused: Vec<AgentName> =
        agents.iter().filter(|agent| agent.state.pause.is_some()).map(|agent| agent.state.name.clone()).collect();
    let resumed = futures_util::stream::iter(paused).map(|agent| {
        let switchman = app.switchman.clone();
        async move { switchman.command(agent.as_str(), Command::Resume).await.map(|_| ()) }
    });
    let results: Vec<Result<(), CommandError>> = resumed.buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect::<Result<(), CommandError>>()?;
    Ok(json(StatusCode::OK, &app.everyone()))
}
