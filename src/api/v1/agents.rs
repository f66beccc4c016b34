//! Agents as they stand.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::wire::{Agent, AgentList, Explanation};
use super::{Named, json};
use crate::actor::handle::AgentStatus;
use crate::api::App;
use crate::api::problem::Refusal;
use crate::domain::CauseBy;
use crate::machine::agent::Phase;
use crate::machine::pool::Wanted;

impl App {
    /// The document of an agent.
    pub(super) fn document(&self, status: &AgentStatus) -> Agent {
        Agent::new(status, self.tool(&status.state.name))
    }

    /// What the pool says to an agent that wants this.
    pub(super) async fn explanation(
        &self,
        status: &AgentStatus,
        wanted: Wanted,
        by: CauseBy,
    ) -> Result<Explanation, Refusal> {
        let ranking = self.switchman.explain(status, wanted, by).await?;
        let subscriptions = self.switchman.subscriptions().await?;
        Ok(Explanation::new(status, &ranking, &subscriptions))
    }

    pub(super) fn everyone(&self) -> AgentList {
        AgentList {
            agents: self.switchman.agents().iter().map(|status| self.document(status)).collect(),
            container_problems: self.switchman.container_problems().iter().map(Into::into).collect(),
        }
    }
}

pub(in crate::api) async fn all(State(app): State<Arc<App>>) -> Response {
    json(StatusCode::OK, &app.everyone())
}

pub(in crate::api) async fn one(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    Ok(json(StatusCode::OK, &app.document(&app.agent(&agent)?)))
}

pub(in crate::api) async fn explain(State(app): State<Arc<App>>, Named(agent): Named) -> Result<Response, Refusal> {
    let status = app.agent(&agent)?;
    // The question that the machine would ask: an agent in trouble may as well stay, once its own subscription serves
    // again; a healthy one is asked where it would go.
    let is_in_trouble = status.state.trouble.is_some() || matches!(status.state.phase, Phase::Exhausted { .. });
    let wanted = if is_in_trouble { Wanted::Any } else { Wanted::Another };
    Ok(json(StatusCode::OK, &app.explanation(&status, wanted, CauseBy::Failure).await?))
}
