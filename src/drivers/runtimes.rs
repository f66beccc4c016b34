//! Both runtimes behind one port: each agent's calls go to whatever runs it.
//!
//! A reload by HTTP is the same for both, so it is made here, after a look: the life the order names has to be the
//! present one and to run; another life has read the credential at its start.
//!
//! It must not hold state of its own; `next_event` may be dropped at any time, as may those it listens to.
//!
//! Tests: below, `tests/runtime_conformance/reload_posts.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::docker::DockerRuntime;
use super::process::ProcessRuntime;
use super::reload_http;
use crate::domain::{AgentName, Reload, RuntimeState};
use crate::ports::Pending;
use crate::ports::runtime::{Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};

/// The runtimes of a daemon. An agent belongs to at most one.
pub struct Runtimes {
    docker: Option<Arc<DockerRuntime>>,
    process: Option<Arc<ProcessRuntime>>,
}

impl Runtimes {
    /// Either may be absent: a daemon whose agents are all processes needs no engine.
    #[must_use]
    pub fn new(docker: Option<DockerRuntime>, process: Option<ProcessRuntime>) -> Self {
        Self::shared(docker.map(Arc::new), process.map(Arc::new))
    }

    /// The same of runtimes that somebody tells of agents that come and go.
    #[must_use]
    pub fn shared(docker: Option<Arc<DockerRuntime>>, process: Option<Arc<ProcessRuntime>>) -> Self {
        Self { docker, process }
    }

    fn of(&self, agent: &AgentName) -> Result<&dyn Runtime, RuntimeError> {
        match (&self.docker, &self.process) {
            (_, Some(process)) if process.knows(agent) => Ok(&**process),
            (Some(docker), _) if docker.knows(agent) => Ok(&**docker),
            _ => Err(RuntimeError::Missing(agent.clone())),
        }
    }
}

impl Runtimes {
    async fn post(&self, order: &ReloadOrder<'_>, address: &str) -> Result<(), RuntimeError> {
        let seen = self.of(order.agent)?.look(order.agent).await?;
        let is_process = self.process.as_ref().is_some_and(|process| process.knows(order.agent));
        match (seen.state, seen.instance) {
            (RuntimeState::Missing, _) => Err(RuntimeError::Missing(order.agent.clone())),
            // Each life of a process has an id of its own; a container keeps its id for all of its lives.
            (_, Some(present)) if present.id != order.life.id && !is_process => {
                let why = "the name belongs to another container now".to_owned();
                Err(RuntimeError::Foreign { agent: order.agent.clone(), why })
            }
            (_, Some(present)) if present != *order.life => Ok(()),
            (RuntimeState::Running, Some(_)) => reload_http::post(address, order.call_timeout).await,
            (RuntimeState::Running | RuntimeState::Stopped | RuntimeState::Unknown, _) => {
                Err(RuntimeError::Refused { call: "reload", why: "the agent is not running".to_owned() })
            }
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

    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            match order.by {
                Reload::Signal(_) | Reload::Exec(_) => self.of(order.agent)?.reload(order).await,
                Reload::Http(address) => self.post(&order, address).await,
            }
        })
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
                event = event_of(self.process.as_deref()) => event,
                event = event_of(self.docker.as_deref()) => event,
            }
        })
    }

    fn shut_down(&self, grace: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            tokio::join!(end(self.process.as_deref(), grace), end(self.docker.as_deref(), grace));
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::RuntimeState;
    use crate::drivers::docker::DockerHost;
    use crate::drivers::process::{CredentialPlace, OutputSink, OutputStream, ProcessSettings, ProcessSpec};
    use crate::drivers::system_clock::SystemClock;

    struct Silent;

    impl OutputSink for Silent {
        fn line(&self, _: &AgentName, _: OutputStream, _: &str, _: u64) {}
        fn ended(&self, _: &AgentName, _: &str) {}
    }

    fn runtimes() -> Runtimes {
        let clock = Arc::new(SystemClock::new());
        let host = DockerHost::Unix("/nonexistent/docker.sock".to_owned());
        let names = BTreeMap::from([(AgentName::new("in-docker"), "box".to_owned())]);
        let docker = DockerRuntime::new(host, names, Duration::from_secs(1), clock.clone());
        let spec = ProcessSpec {
            command: vec!["true".to_owned()],
            dir: None,
            env: BTreeMap::new(),
            credential: CredentialPlace::File,
        };
        let settings = ProcessSettings {
            owner: "test".to_owned(),
            state_dir: "/nonexistent".into(),
            socket: None,
            environment: BTreeMap::new(),
        };
        let specs = BTreeMap::from([(AgentName::new("child"), spec)]);
        Runtimes::new(Some(docker), Some(ProcessRuntime::new(specs, settings, Arc::new(Silent), clock)))
    }

    #[tokio::test]
    async fn each_agent_is_looked_for_where_it_runs() {
        let runtimes = runtimes();
        let looked = runtimes.look(&AgentName::new("child")).await;
        assert!(matches!(looked, Ok(seen) if seen.state == RuntimeState::Stopped));
        let looked = runtimes.look(&AgentName::new("in-docker")).await;
        assert!(matches!(looked, Err(RuntimeError::Unreachable(_))));
        let looked = runtimes.look(&AgentName::new("nowhere")).await;
        assert!(matches!(looked, Err(RuntimeError::Missing(_))));
    }

    #[tokio::test]
    async fn events_of_either_are_told() {
        assert!(matches!(runtimes().next_event().await, RuntimeEvent::EngineLost(_)));
    }
}
