//! A world in memory: containers (or processes) and the files their credentials are delivered to.
//!
//! One value is both ports, so that a restart takes up what was delivered before it. It keeps the promises of
//! the real runtimes, which `tests/runtime_conformance.rs` checks with the same suite, and breaks them only as
//! scripted: faults are taken one per call, in the order they were given, per agent and call.
//!
//! It reads no clock and starts no task: under a paused clock nothing here waits but a [`Gate`](super::fault::Gate).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::sync::Notify;

use super::delivered::Delivered;
use super::fault::Fault;
use crate::domain::{AgentName, Fingerprint, Generation, Instance, RuntimeState, SubscriptionName, Wall};
use crate::drivers::fingerprint::fingerprint;
use crate::ports::Pending;
use crate::ports::delivery::DeliveryError;
use crate::ports::runtime::{
    Readiness, ReloadOrder, Runtime, RuntimeError, RuntimeEvent, Seen, StartOrder, Surroundings,
};

mod files;
mod happenings;

/// The calls of both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `Runtime::look`.
    Look,
    /// `Runtime::restart`.
    Restart,
    /// `Runtime::start`.
    Start,
    /// `Runtime::reload`.
    Reload,
    /// `Runtime::await_ready`.
    AwaitReady,
    /// `Delivery::preflight`.
    Preflight,
    /// `Delivery::deliver`.
    Deliver,
    /// `Delivery::login`.
    Login,
    /// `Delivery::found`.
    Found,
}

/// How an agent's credential gets to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a file that was delivered before the start.
    File,
    /// In the order to start.
    Environment,
}

/// Containers and files in memory.
#[derive(Default)]
pub struct FakeWorld {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    agents: BTreeMap<AgentName, Agent>,
    engine_lost: Option<String>,
    events: VecDeque<RuntimeEvent>,
    journal: Vec<(AgentName, Call)>,
    runtime_faults: BTreeMap<(AgentName, Call), VecDeque<Fault<RuntimeError>>>,
    delivery_faults: BTreeMap<(AgentName, Call), VecDeque<Fault<DeliveryError>>>,
    count: u64,
}

struct Agent {
    place: Place,
    container: Option<Container>,
    file: Option<Delivered>,
    readiness: Readiness,
    starts: u64,
    starts_ordered: u64,
}

struct Container {
    id: String,
    started_at: Option<String>,
    is_running: bool,
    runs_on: Option<Fingerprint>,
    surroundings: Option<Surroundings>,
}

impl State {
    fn next(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}{:06}", self.count)
    }

    /// A time after every one before it: files know when they were written.
    fn later(&mut self) -> Wall {
        self.count += 1;
        Wall(i64::try_from(self.count).unwrap_or(i64::MAX))
    }

    fn agent(&mut self, name: &AgentName) -> Result<&mut Agent, RuntimeError> {
        self.agents.get_mut(name).ok_or_else(|| RuntimeError::Missing(name.clone()))
    }

    fn container(&mut self, name: &AgentName) -> Result<&mut Container, RuntimeError> {
        self.agent(name)?.container.as_mut().ok_or_else(|| RuntimeError::Missing(name.clone()))
    }

    fn begin_life(&mut self, name: &AgentName, credential: Option<Fingerprint>) -> Result<(), RuntimeError> {
        let started_at = self.next("start-");
        let agent = self.agent(name)?;
        let runs_on = match agent.place {
            Place::File => agent.file.as_ref().map(|file| file.fingerprint.clone()),
            Place::Environment => credential,
        };
        agent.starts += 1;
        let container = agent.container.as_mut().ok_or_else(|| RuntimeError::Missing(name.clone()))?;
        container.started_at = Some(started_at);
        container.is_running = true;
        container.runs_on = runs_on;
        self.changed(name);
        Ok(())
    }

    fn changed(&mut self, name: &AgentName) {
        let event = RuntimeEvent::Changed(name.clone());
        if !self.events.contains(&event) {
            self.events.push_back(event);
        }
    }

    fn look(&mut self, name: &AgentName) -> Result<Seen, RuntimeError> {
        Ok(match &self.agent(name)?.container {
            None => Seen::of(RuntimeState::Missing, None),
            Some(container) => Seen {
                state: if container.is_running { RuntimeState::Running } else { RuntimeState::Stopped },
                instance: container
                    .started_at
                    .clone()
                    .map(|started_at| Instance { id: container.id.clone(), started_at }),
                surroundings: container.surroundings.clone(),
            },
        })
    }

    /// What both orders begin with: whether the life that the order is about is the present one, and runs.
    fn subject_of(&mut self, order: &Order) -> Result<(bool, bool), RuntimeError> {
        let container = self.container(&order.agent)?;
        match &order.before {
            Some(before) if before.id != container.id => Err(RuntimeError::Foreign {
                agent: order.agent.clone(),
                why: format!("the name belongs to {} now, the order was about {}", container.id, before.id),
            }),
            Some(before) => Ok((container.started_at.as_ref() == Some(&before.started_at), container.is_running)),
            None => Ok((true, container.is_running)),
        }
    }

    fn restart(&mut self, order: &Order) -> Result<(), RuntimeError> {
        let (is_the_one, _) = self.subject_of(order)?;
        if is_the_one { self.begin_ordered(order) } else { Ok(()) }
    }

    fn start(&mut self, order: &Order) -> Result<(), RuntimeError> {
        let (_, is_running) = self.subject_of(order)?;
        if is_running { Ok(()) } else { self.begin_ordered(order) }
    }

    /// The life goes on, with what lies in the file.
    fn reload(&mut self, order: &Order) -> Result<(), RuntimeError> {
        match self.subject_of(order)? {
            (false, _) => Ok(()),
            (true, false) => {
                Err(RuntimeError::Refused { call: "reload", why: "the container is not running".to_owned() })
            }
            (true, true) => {
                let file = self.agent(&order.agent)?.file.as_ref().map(|file| file.fingerprint.clone());
                self.container(&order.agent)?.runs_on = file;
                Ok(())
            }
        }
    }

    fn begin_ordered(&mut self, order: &Order) -> Result<(), RuntimeError> {
        self.begin_life(&order.agent, order.credential.clone())?;
        self.agent(&order.agent)?.starts_ordered += 1;
        Ok(())
    }
}

/// An order without what it borrows.
struct Order {
    agent: AgentName,
    before: Option<Instance>,
    credential: Option<Fingerprint>,
}

impl From<&StartOrder<'_>> for Order {
    fn from(order: &StartOrder<'_>) -> Self {
        Self {
            agent: order.agent.clone(),
            before: order.before.cloned(),
            credential: order.credential.map(|secret| fingerprint(secret.expose_secret().as_bytes())),
        }
    }
}

/// What tests do to the world, and what they learn from it.
impl FakeWorld {
    /// An empty world.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an agent with a container that was never started and, for [`Place::File`], no file.
    pub fn add(&self, agent: &AgentName, place: Place) {
        let mut state = self.state();
        let id = state.next("container-");
        let container = Some(Container { id, started_at: None, is_running: false, runs_on: None, surroundings: None });
        let agent_state =
            Agent { place, container, file: None, readiness: Readiness::Ready, starts: 0, starts_ordered: 0 };
        state.agents.insert(agent.clone(), agent_state);
    }

    fn by_hand(&self, name: &AgentName, act: impl FnOnce(&mut State, &AgentName)) {
        let mut state = self.state();
        act(&mut state, name);
        state.changed(name);
        drop(state);
        self.wake.notify_one();
    }

    /// Somebody starts the container, or restarts it if it runs. Does nothing if there is none.
    pub fn start_by_hand(&self, agent: &AgentName) {
        self.by_hand(agent, |state, name| {
            let _there_is_none = state.begin_life(name, None).is_err();
        });
    }

    /// Somebody stops the container, or it exits.
    pub fn stop_by_hand(&self, agent: &AgentName) {
        self.by_hand(agent, |state, name| {
            if let Ok(container) = state.container(name) {
                container.is_running = false;
            }
        });
    }

    /// Somebody removes the container.
    pub fn remove(&self, agent: &AgentName) {
        self.by_hand(agent, |state, name| {
            if let Ok(agent) = state.agent(name) {
                agent.container = None;
            }
        });
    }

    /// Somebody puts another container under the name, never started.
    pub fn replace(&self, agent: &AgentName) {
        self.by_hand(agent, |state, name| {
            let id = state.next("container-");
            if let Ok(agent) = state.agent(name) {
                agent.container =
                    Some(Container { id, started_at: None, is_running: false, runs_on: None, surroundings: None });
            }
        });
    }

    /// Somebody, or the tool, writes the agent's file; what tells of the last delivery stays beside it.
    pub fn put_file(&self, agent: &AgentName, content: &str) {
        let mut state = self.state();
        let written_at = state.later();
        if let Ok(agent) = state.agent(agent) {
            let assignment = agent.file.as_ref().and_then(|file| file.assignment.clone());
            agent.file = Some(Delivered::new(content, written_at, assignment));
        }
    }

    /// How the agent will be found by `await_ready` as long as it runs.
    pub fn set_readiness(&self, agent: &AgentName, readiness: Readiness) {
        if let Ok(agent) = self.state().agent(agent) {
            agent.readiness = readiness;
        }
    }

    /// The engine goes: every call about every agent fails, and containers run on.
    pub fn lose_engine(&self, why: &str) {
        let mut state = self.state();
        state.engine_lost = Some(why.to_owned());
        state.events.push_back(RuntimeEvent::EngineLost(why.to_owned()));
        drop(state);
        self.wake.notify_one();
    }

    /// The engine comes back.
    pub fn bring_engine_back(&self) {
        let mut state = self.state();
        state.engine_lost = None;
        state.events.push_back(RuntimeEvent::EngineBack);
        drop(state);
        self.wake.notify_one();
    }

    /// Scripts what happens to the next such call of the runtime.
    pub fn on_runtime(&self, agent: &AgentName, call: Call, fault: Fault<RuntimeError>) {
        self.state().runtime_faults.entry((agent.clone(), call)).or_default().push_back(fault);
    }

    /// Scripts what happens to the next such call of the delivery.
    pub fn on_delivery(&self, agent: &AgentName, call: Call, fault: Fault<DeliveryError>) {
        self.state().delivery_faults.entry((agent.clone(), call)).or_default().push_back(fault);
    }

    /// How many lives the agent has begun, whoever began them.
    #[must_use]
    pub fn starts(&self, agent: &AgentName) -> u64 {
        self.state().agent(agent).map_or(0, |agent| agent.starts)
    }

    /// How many of them began by an order of ours: the effective restarts.
    #[must_use]
    pub fn starts_ordered(&self, agent: &AgentName) -> u64 {
        self.state().agent(agent).map_or(0, |agent| agent.starts_ordered)
    }

    /// The credential that the present life began with, if it runs.
    #[must_use]
    pub fn runs_on(&self, agent: &AgentName) -> Option<Fingerprint> {
        let mut state = self.state();
        let container = state.container(agent).ok()?;
        container.is_running.then(|| container.runs_on.clone()).flatten()
    }

    /// The assignment that was delivered last.
    #[must_use]
    pub fn delivered(&self, agent: &AgentName) -> Option<(SubscriptionName, Generation)> {
        self.state().agent(agent).ok()?.file.as_ref()?.assignment.clone()
    }

    /// Every call so far, in the order they were made; given-up ones too.
    #[must_use]
    pub fn journal(&self) -> Vec<(AgentName, Call)> {
        self.state().journal.clone()
    }

    /// How many calls of one sort were made about an agent.
    #[must_use]
    pub fn calls(&self, agent: &AgentName, call: Call) -> usize {
        self.state().journal.iter().filter(|entry| entry.0 == *agent && entry.1 == call).count()
    }

    async fn runtime_call<T>(
        &self,
        agent: &AgentName,
        call: Call,
        act: impl Fn(&mut State) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let fault = {
            let mut state = self.state();
            state.journal.push((agent.clone(), call));
            if let Some(why) = &state.engine_lost {
                return Err(RuntimeError::Unreachable(why.clone()));
            }
            state.runtime_faults.get_mut(&(agent.clone(), call)).and_then(VecDeque::pop_front)
        };
        let result = with_fault(fault, || act(&mut self.state())).await;
        self.wake.notify_one();
        result
    }

    async fn delivery_call<T>(
        &self,
        agent: &AgentName,
        call: Call,
        act: impl Fn(&mut Agent) -> T,
    ) -> Result<T, DeliveryError> {
        let fault = {
            let mut state = self.state();
            state.journal.push((agent.clone(), call));
            state.delivery_faults.get_mut(&(agent.clone(), call)).and_then(VecDeque::pop_front)
        };
        with_fault(fault, || {
            let mut state = self.state();
            state.agent(agent).map(&act).map_err(|_| DeliveryError::Unfit {
                path: format!("agent \"{agent}\""),
                why: "it is not in the config".to_owned(),
            })
        })
        .await
    }
}

async fn with_fault<T, E>(fault: Option<Fault<E>>, act: impl Fn() -> Result<T, E>) -> Result<T, E> {
    match fault {
        None => act(),
        Some(Fault::Fail(error)) => Err(error),
        Some(Fault::DoneButFails(error)) => act().and(Err(error)),
        Some(Fault::Held(gate)) => {
            gate.pass().await;
            act()
        }
        Some(Fault::AnswerHeld(gate)) => {
            let result = act();
            gate.pass().await;
            result
        }
    }
}

impl Runtime for FakeWorld {
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>> {
        Box::pin(self.runtime_call(agent, Call::Look, |state| state.look(agent)))
    }

    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        let (agent, order) = (order.agent, Order::from(&order));
        Box::pin(async move { self.runtime_call(agent, Call::Restart, |state| state.restart(&order)).await })
    }

    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        let (agent, order) = (order.agent, Order::from(&order));
        Box::pin(async move { self.runtime_call(agent, Call::Start, |state| state.start(&order)).await })
    }

    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>> {
        let about = Order { agent: order.agent.clone(), before: Some(order.life.clone()), credential: None };
        Box::pin(async move { self.runtime_call(order.agent, Call::Reload, |state| state.reload(&about)).await })
    }

    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        _timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>> {
        Box::pin(self.runtime_call(agent, Call::AwaitReady, |state| {
            let agent = state.agent(agent)?;
            Ok(match &agent.container {
                None => Readiness::Missing,
                Some(container) if container.is_running => agent.readiness,
                Some(_) => Readiness::NotRunning,
            })
        }))
    }

    fn next_event(&self) -> Pending<'_, RuntimeEvent> {
        Box::pin(async move {
            loop {
                if let Some(event) = self.state().events.pop_front() {
                    return event;
                }
                self.wake.notified().await;
            }
        })
    }

    fn shut_down(&self, _grace: Duration) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
