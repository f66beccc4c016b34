//! Agents in containers: the runtime port through a Docker Engine (or what speaks its API, from 1.41 on).
//!
//! It must not create or remove containers (the [`workshop`] does that, for shows, and is no part of this), and never acts
//! on a container other than the one an order names:
//! every change is sent to the container's id, after a look (0.6 ms beside a restart's 170) has shown that the
//! agent's name still belongs to that id.
//!
//! What counts as running is what the engine calls running: that includes a paused container and one that its
//! restart policy is about to start again, for both are under way without us and a restart mends both.
//!
//! | order finds | does |
//! |---|---|
//! | the life named by `before`, running | the engine's restart, with the order's grace |
//! | the life named by `before`, not running | the engine's start: a repeated order cannot end a new life |
//! | another life of the same container | nothing: the life it was to end has ended |
//! | another container under the name | refuses (`Foreign`) |
//!
//! How a running container is told to read its credential again: `docker/reload.rs`.
//!
//! A call that is not answered in time goes on in the engine; its outcome is in doubt, and only a look tells.
//! `call_timeout` is counted on top of the time the container is given to end.
//!
//! Tests: `tests/runtime_conformance.rs` on a real engine, `tests/runtime_conformance/docker_faults.rs` on one that fails to order.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::RestartContainerOptionsBuilder;
use tokio::sync::watch;

mod calls;
mod client;
mod container;
pub mod discovery;
mod events;
pub mod logs;
mod news;
mod ready;
mod reload;
pub mod workshop;

pub use client::{DockerHost, DockerHostError};

use self::calls::call;
use self::client::Engine;
use self::container::Container;
use self::events::Follower;
use crate::domain::{AgentName, Instance, RuntimeState};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::runtime::{Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder};
use crate::telemetry::Telemetry;

/// What the engine gives a container to end by itself if neither it nor the order says otherwise.
const ENGINE_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The container of each agent, by name.
type Containers = Arc<BTreeMap<AgentName, String>>;

/// Takes note of an agent's container; says whether that is news.
fn place(all: &mut Containers, agent: &AgentName, container: Option<String>) -> bool {
    if all.get(agent) == container.as_ref() {
        return false;
    }
    let all = Arc::make_mut(all);
    match container {
        Some(container) => all.insert(agent.clone(), container),
        None => all.remove(agent),
    };
    true
}

/// Agents that are containers of one engine.
pub struct DockerRuntime {
    engine: Engine,
    containers: watch::Sender<Containers>,
    call_timeout: Duration,
    clock: Arc<dyn Clock>,
    follower: tokio::sync::Mutex<Follower>,
    telemetry: Telemetry,
}

impl DockerRuntime {
    /// The containers of these agents, by name, on the engine at `host`. The engine need not be there yet.
    /// `call_timeout` is for looks and pings; an order brings its own.
    #[must_use]
    pub fn new(
        host: DockerHost,
        containers: BTreeMap<AgentName, String>,
        call_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            engine: Engine::new(host),
            containers: watch::channel(Arc::new(containers)).0,
            call_timeout,
            clock,
            follower: tokio::sync::Mutex::new(Follower::default()),
            telemetry: Telemetry::new(),
        }
    }

    /// Counts and times the engine's calls there.
    #[must_use]
    pub fn counted_by(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// Makes one call about an agent, and measures it.
    async fn call<T>(
        &self,
        name: &'static str,
        agent: &AgentName,
        deadline: Duration,
        work: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, RuntimeError> {
        let began = self.clock.now().steady.0;
        let done = call(name, agent, deadline, work).await;
        let took = Duration::from_millis(self.clock.now().steady.0.saturating_sub(began));
        self.telemetry.metrics().engine_called(name, took);
        // A container that is not there is an answer, not an error of the engine.
        if let Err(error) = &done
            && !matches!(error, RuntimeError::Missing(_))
        {
            self.telemetry.metrics().engine_failed(name, error.disposition());
        }
        done
    }

    /// Whether this agent is one of these containers.
    #[must_use]
    pub fn knows(&self, agent: &AgentName) -> bool {
        self.containers.borrow().contains_key(agent)
    }

    /// From now on this is the agent's container; with `None` it has none here. The container itself is left alone.
    pub fn place(&self, agent: &AgentName, container: Option<String>) {
        self.containers.send_if_modified(|all| place(all, agent, container));
    }

    async fn inspect(&self, agent: &AgentName, deadline: Duration) -> Result<Container, RuntimeError> {
        const CALL: &str = "inspect";
        let name = self.containers.borrow().get(agent).cloned().ok_or_else(|| RuntimeError::Missing(agent.clone()))?;
        if !may_be_a_name(&name) {
            let why = format!("\"{name}\" cannot be the name of a container; letters, digits, _ . and - can");
            return Err(RuntimeError::Refused { call: CALL, why });
        }
        let client = self.engine.client()?;
        let found = self.call(CALL, agent, deadline, client.inspect_container(&name, None)).await?;
        // The engine also finds a container by the beginning of its id: that one was not meant.
        if found.name.as_deref().map(|full| full.trim_start_matches('/')) != Some(name.as_str()) {
            return Err(RuntimeError::Missing(agent.clone()));
        }
        Container::read(found)
            .ok_or_else(|| RuntimeError::Unknown { call: CALL, why: "the answer has no id or no state".to_owned() })
    }

    /// The container an order is about, if the name still belongs to it.
    async fn subject_of(
        &self,
        agent: &AgentName,
        life: Option<&Instance>,
        deadline: Duration,
    ) -> Result<Container, RuntimeError> {
        let container = self.inspect(agent, deadline).await?;
        if let Some(life) = life
            && life.id != container.id
        {
            let why =
                format!("the name belongs to {} now, the order was about {}", short(&container.id), short(&life.id));
            return Err(RuntimeError::Foreign { agent: agent.clone(), why });
        }
        Ok(container)
    }

    async fn start_it(&self, order: &StartOrder<'_>, container: &Container) -> Result<(), RuntimeError> {
        let client = self.engine.client()?;
        self.call("start", order.agent, order.call_timeout, client.start_container(&container.id, None)).await
    }

    async fn restart_it(&self, order: &StartOrder<'_>, container: &Container) -> Result<(), RuntimeError> {
        let grace = order.grace.or(container.stop_timeout).unwrap_or(ENGINE_STOP_TIMEOUT);
        let mut options = RestartContainerOptionsBuilder::default();
        if let Some(grace) = order.grace {
            options = options.t(whole_seconds(grace));
        }
        let client = self.engine.client()?;
        let work = client.restart_container(&container.id, Some(options.build()));
        self.call("restart", order.agent, grace.saturating_add(order.call_timeout), work).await
    }
}

impl Runtime for DockerRuntime {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        Box::pin(async move {
            match self.inspect(agent, self.call_timeout).await {
                Ok(container) => Ok(container.seen()),
                Err(RuntimeError::Missing(_)) if self.knows(agent) => Ok(Seen::of(RuntimeState::Missing, None)),
                Err(error) => Err(error),
            }
        })
    }

    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let container = self.subject_of(order.agent, order.before, order.call_timeout).await?;
            if order.before.is_some_and(|before| container.is_another_life_than(before)) {
                return Ok(());
            }
            if container.running {
                self.restart_it(&order, &container).await
            } else {
                self.start_it(&order, &container).await
            }
        })
    }

    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let container = self.subject_of(order.agent, order.before, order.call_timeout).await?;
            if container.running { Ok(()) } else { self.start_it(&order, &container).await }
        })
    }

    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        Box::pin(self.tell(order))
    }

    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>> {
        Box::pin(self.wait_until_ready(agent, timeout))
    }

    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        Box::pin(async move {
            let mut containers = self.containers.subscribe();
            let mut follower = self.follower.lock().await;
            loop {
                // Without a container no engine is needed. The sender is ours, so it cannot be gone.
                let _some = containers.wait_for(|all| !all.is_empty()).await.is_ok();
                tokio::select! {
                    event = follower.next(self) => return event,
                    _ = containers.wait_for(|all| all.is_empty()) => if std::mem::take(&mut *follower).has_told_loss() {
                        return RuntimeEvent::EngineBack;
                    },
                }
            }
        })
    }

    fn shut_down(&self, _grace: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What the engine itself takes for a name; anything else would change the path of a request.
fn may_be_a_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The engine counts a grace in whole seconds; a part of one is not taken away from the container.
fn whole_seconds(grace: Duration) -> i32 {
    let seconds = grace.as_secs().saturating_add(u64::from(grace.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_leave_its_place_in_a_request_is_no_name() {
        assert!(may_be_a_name("web-1_a.b"));
        for bad in ["", "../images", "a/b", "a?b", "-a", ".a", "a b", "ä"] {
            assert!(!may_be_a_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_grace_is_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(10)), 10);
        assert_eq!(whole_seconds(Duration::MAX), i32::MAX);
    }
}
