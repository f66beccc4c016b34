//! The past: switches and failures.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::time::Time;
use super::wire::{FailureList, Switch, SwitchList};
use super::{Named, json};
use crate::api::App;
use crate::api::problem::{Code, Refusal};
use crate::api::query::{self, Query};
use crate::domain::{AgentName, IntentId};
use crate::ports::store::HistoryQuery;

/// Rows on a page, if the caller does not say.
const LIMIT: u32 = 50;

/// Rows on a page, at most.
const LIMIT_MAX: u32 = 500;

const PARAMETERS: &[&str] = &["agent", "limit", "since", "before"];

/// An empty history of an agent that the config does not have is a slip of the pen; one that was taken out of the
/// config keeps its history.
pub(super) fn check_agent(app: &App, uri: &Uri, known: &[&'static str], is_empty: bool) -> Result<(), Refusal> {
    let query = Query::of(uri, known)?;
    match query.get("agent") {
        Some(agent) if is_empty && app.switchman.agent(agent).is_none() => Err(Refusal::no_such_agent(agent)),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn page(uri: &Uri, known: &[&'static str]) -> Result<HistoryQuery, Refusal> {
    const LIMIT_FORM: &str = "a whole number from 1 to 500";
    let query = Query::of(uri, known)?;
    let limit = query.read("limit", LIMIT_FORM)?.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(query::refuse("limit", LIMIT_FORM));
    }
    let since: Option<Time> = query.read("since", "a time such as 2026-11-18T11:06:40Z")?;
    Ok(HistoryQuery {
        agent: query.get("agent").map(AgentName::from),
        since: since.map(Into::into),
        before: query.read("before", "the `next` of the page before")?,
        limit,
    })
}

pub(in crate::api) async fn switches(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    let page = app.switchman.store().intents(page(&uri, PARAMETERS)?).await?;
    check_agent(&app, &uri, PARAMETERS, page.rows.is_empty())?;
    let list = SwitchList { switches: page.rows.iter().map(Into::into).collect(), next: page.next };
    Ok(json(StatusCode::OK, &list))
}

pub(in crate::api) async fn switch(State(app): State<Arc<App>>, Named(id): Named) -> Result<Response, Refusal> {
    let unknown = || Refusal::new(Code::SwitchNotFound, "there is no such switch: `GET /v1/switches` lists them");
    let id = IntentId::parse(&id).ok_or_else(unknown)?;
    let record = app.switchman.store().intent(&id).await?.ok_or_else(unknown)?;
    Ok(json(StatusCode::OK, &Switch::from(&record)))
}

pub(in crate::api) async fn failures(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Refusal> {
    let page = app.switchman.store().failures(page(&uri, PARAMETERS)?).await?;
    check_agent(&app, &uri, PARAMETERS, page.rows.is_empty())?;
    let list = FailureList { failures: page.rows.iter().map(Into::into).collect(), next: page.next };
    Ok(json(StatusCode::OK, &list))
}
