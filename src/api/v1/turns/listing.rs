//! Turns as they stand, and those that have ended.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use crate::actor::handle::AgentStatus;
use crate::api::App;
use crate::api::peer::Peer;
use crate::api::problem::{Code, Refusal};
use crate::api::query::{self, Query};
use crate::api::v1::history;
use crate::api::v1::wire::{Turn, TurnList, WaitingCaller};
use crate::api::v1::{Named, json};
use crate::domain::AgentName;
use crate::ports::store::HistoryQuery;

const PARAMETERS: &[&str] = &["agent", "ended", "limit", "since", "before"];

/// `GET /v1/turns`: of each agent what its owner last committed, all of the same moment.
///
/// Who comes in by an agent's own socket sees those of that agent.
pub(in crate::api) async fn all(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let query = Query::of(&uri, PARAMETERS)?;
    let own = peer.agent.as_ref().map(AgentName::as_str);
    if let (Some(own), Some(asked)) = (own, query.get("agent"))
        && own != asked
    {
        return Err(Refusal::new(Code::NotThisAgent, format!("this is the socket of agent \"{own}\"")));
    }
    let agent = own.or_else(|| query.get("agent"));
    if query.read("ended", "true or false")?.unwrap_or(false) {
        return ended(&app, &uri, agent).await;
    }
    for page in ["limit", "since", "before"] {
        if query.get(page).is_some() {
            return Err(query::refuse(page, "left out, unless `ended` is true: what is under way comes on one page"));
        }
    }
    let agents = match agent {
        Some(agent) => vec![app.agent(agent)?],
        None => app.switchman.agents(),
    };
    let list = TurnList {
        turns: agents.iter().flat_map(under_way).collect(),
        waiting: agents.iter().flat_map(waiting).collect(),
        next: None,
    };
    Ok(json(StatusCode::OK, &list))
}

fn under_way(status: &AgentStatus) -> impl Iterator<Item = Turn> {
    let (lease, now) = (status.policy.turns.lease, status.now);
    status.state.turns.active().map(move |active| Turn::active(active, lease, now))
}

fn waiting(status: &AgentStatus) -> impl Iterator<Item = WaitingCaller> {
    status.state.turns.waiters().map(|waiter| WaitingCaller::new(&status.state.name, waiter))
}

/// The history knows those under way as well. They are left out: a page has as many that have ended as there is room for.
async fn ended(app: &App, uri: &Uri, agent: Option<&str>) -> Result<Response, Refusal> {
    let mut asked = HistoryQuery { agent: agent.map(AgentName::from), ..history::page(uri, PARAMETERS)? };
    let mut turns: Vec<Turn> = Vec::new();
    let next = loop {
        let page = app.switchman.store().turns(asked.clone()).await?;
        history::check_agent(app, uri, PARAMETERS, page.rows.is_empty())?;
        let ended: Vec<Turn> = page.rows.iter().filter(|row| row.ended.is_some()).map(Turn::from).collect();
        asked.limit = asked.limit.saturating_sub(u32::try_from(ended.len()).unwrap_or(u32::MAX));
        turns.extend(ended);
        match page.next {
            Some(before) if asked.limit > 0 => asked.before = Some(before),
            next => break next,
        }
    };
    Ok(json(StatusCode::OK, &TurnList { turns, waiting: Vec::new(), next }))
}

pub(in crate::api) async fn one(State(app): State<Arc<App>>, Named(id): Named) -> Result<Response, Refusal> {
    let id = App::turn_in_path(&id)?;
    Ok(json(StatusCode::OK, &app.turn(&id).await?))
}
