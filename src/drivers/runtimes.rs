//! Both runtimes behind one port: each agent's calls go to whatever runs it.
//!
//! It must not hold state of its own; `next_event` may be dropped at any time, as may those it listens to.
//!
//! Tests: below.

use std::time::Duration;

use super::docker::DockerRuntime;
use super::process::ProcessRuntime;
use crate::domain::AgentName;
use crate::ports::Pending;
use crate::ports::runtime::{Readiness, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};

/// The runtimes of a daemon. An agent belongs to at most one.
pub struct Runtimes {
    docker: Option<DockerRuntime>,
    process: Option<ProcessRuntime>,
}

impl Runtimes {
    /// Either may be absent: a daemon whose agents are all processes needs no engine.
    #[must_use]
    pub fn new(docker: Option<DockerRuntime>, process: Option<ProcessRuntime>) -> Self {
        Self { docker, process }
    }

    fn of(&self, agent: &AgentName) -> Result<&dyn Runtime, RuntimeError> {
        match (&self.docker, &self.process) {
            (_, Some(process)) if process.knows(agent) => Ok(process),
            (Some(docker), _) if docker.knows(agent) => Ok(docker),
            _ => Err(RuntimeError::Missing(agent.clone())),
        }
    }
}

async fn event_of<T: Runtime>(runtime: Option<&T>) -> RuntimeEvent {
    match runtime {
        Some(runtime) => runtime.next_event().await,
        None => std::future::pending().await,
    }
}

async fn end<T: Runtime>(runtime: Option<&T>, grace: Duration) {
    if let Some(runtime) = runtime {
        runtime.shut_down(grace).await;
    }
}

impl Runtime for Runtimes {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        Box::pin(async move { self.of(agent)?.look(agent).await })
    }

    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move { self.of(order.agent)?.restart(order).await })
    }

    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move { self.of(order.agent)?.start(order).await })
    }

    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>> {
        Box::pin(async move { self.of(agent)?.await_ready(agent, timeout).await })
    }

    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        Box::pin(async move {
            tokio::select! {
                event = event_of(self.process.as_ref()) => event,
                event = event_of(self.docker.as_ref()) => event,
            }
        })
    }

    fn shut_down(&self, grace: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            tokio::join!(end(self.process.as_ref(), grace), end(self.docker.as_ref(), grace));
        })
    }
}
