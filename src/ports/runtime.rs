//! What runs an agent: a container engine, or the daemon itself as the parent of a child process.

use std::time::Duration;

use secrecy::SecretString;

use super::{Disposition, Pending};
use crate::domain::{AgentName, Generation, Instance, Reload, RuntimeState, SubscriptionName, Wall};
pub use crate::domain::{Mount, Surroundings};

/// What one look at the container or process showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it runs.
    pub state: RuntimeState,
    /// Which life of it; absent if it is missing or was never started.
    pub instance: Option<Instance>,
    /// What surrounds the work in it; absent where that is not known: a process, a missing container.
    pub surroundings: Option<Surroundings>,
}

impl Seen {
    /// Without what surrounds it.
    #[must_use]
    pub fn of(state: RuntimeState, instance: Option<Instance>) -> Self {
        Self { state, instance, surroundings: None }
    }
}

/// How a restarted agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It runs, and is healthy where it has a health check.
    Ready,
    /// It runs and did not become healthy in time.
    NotReady,
    /// It does not run any more.
    NotRunning,
    /// It is gone.
    Missing,
}

/// An order to start an agent, complete: the driver chooses nothing.
#[derive(Debug, Clone)]
pub struct StartOrder<'a> {
    /// Which agent.
    pub agent: &'a AgentName,
    /// The life of it that is to end, if it was running: the order is about this one and no other.
    pub before: Option<&'a Instance>,
    /// How long it may take to end by itself; `None` leaves it to the container's own setting.
    pub grace: Option<Duration>,
    /// How long one call may take, on top of the grace.
    pub call_timeout: Duration,
    /// What it runs on from now on: told to process agents in their environment.
    pub subscription: &'a SubscriptionName,
    /// The number of that assignment.
    pub generation: Generation,
    /// The credential, for agents that get it with their environment.
    pub credential: Option<&'a SecretString>,
}

/// An order to make a running agent read its credential again, complete: the driver chooses nothing.
#[derive(Debug, Clone)]
pub struct ReloadOrder<'a> {
    /// Which agent.
    pub agent: &'a AgentName,
    /// The life of it that is told; another one has read the new credential at its start.
    pub life: &'a Instance,
    /// How.
    pub by: &'a Reload,
    /// How long it may take.
    pub call_timeout: Duration,
}

/// The end of a life, as the runtime tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub agent: AgentName,
    /// The id of the container, or of the process.
    pub id: String,
    /// With this code; numbers above 128 are signals.
    pub exit_code: Option<i32>,
    /// Whether the kernel ended it, or something in it, for want of memory.
    pub was_oom: bool,
    /// Whether somebody told it to end, whatever its code: a person, or the engine on its way down.
    pub was_told: bool,
    /// When, if that is told.
    pub at: Option<Wall>,
}

/// Why a call of the runtime failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// Nobody answers: nothing was done.
    #[error("engine not reachable: {0}")]
    Unreachable(String),
    /// The answer did not come in time: it may still be done.
    #[error("no answer to {call} within {after:?}")]
    Timeout {
        /// The call.
        call: &'static str,
        /// The time it was given.
        after: Duration,
    },
    /// The connection ended before the answer, or the engine reports an inner error: it may have been done.
    #[error("the outcome of {call} is unknown: {why}")]
    Unknown {
        /// The call.
        call: &'static str,
        /// The cause in words.
        why: String,
    },
    /// There is no such container or process.
    #[error("no container or process of agent \"{0}\"")]
    Missing(AgentName),
    /// The container belongs to another daemon, or is not the one the order was about.
    #[error("container of agent \"{agent}\" is not ours: {why}")]
    Foreign {
        /// The agent.
        agent: AgentName,
        /// The cause in words.
        why: String,
    },
    /// It was refused for a reason that stays.
    #[error("{call} was refused: {why}")]
    Refused {
        /// The call.
        call: &'static str,
        /// The cause in words.
        why: String,
    },
}

impl RuntimeError {
    /// What it means for a decision.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unreachable(_) => Disposition::Transient,
            Self::Timeout { .. } | Self::Unknown { .. } => Disposition::InDoubt,
            Self::Missing(_) | Self::Foreign { .. } | Self::Refused { .. } => Disposition::Permanent,
        }
    }
}

/// Something the runtime noticed by itself. A hint: what is true is what `look` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// Look at this agent: it was started, died, was removed.
    Changed(AgentName),
    /// A life of this agent has ended so. Look at it as well.
    Ended(Ended),
    /// The health check of this agent's container says so now. Look at it as well.
    Health {
        /// Whose.
        agent: AgentName,
        /// Whether it is healthy.
        is_healthy: bool,
    },
    /// The engine is reachable (again): look at all its agents.
    EngineBack,
    /// The engine stopped answering.
    EngineLost(String),
}

/// Runs agents. A call is about one agent; calls about different agents do not wait for each other.
pub trait Runtime: Send + Sync + 'static {
    /// Looks at the agent now.
    fn look<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Seen, RuntimeError>>;
    /// Ends the life named by `before` and starts the next one. Success means: it was started.
    fn restart<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>>;
    /// Starts what does not run. Already running is success.
    fn start<'a>(&'a self, order: StartOrder<'a>) -> Pending<'a, Result<(), RuntimeError>>;
    /// Makes the life named by the order read its credential again. Success means: it was told.
    fn reload<'a>(&'a self, order: ReloadOrder<'a>) -> Pending<'a, Result<(), RuntimeError>>;
    /// Waits until the agent is ready, at most `timeout`.
    fn await_ready<'a>(
        &'a self,
        agent: &'a AgentName,
        timeout: Duration,
    ) -> Pending<'a, Result<Readiness, RuntimeError>>;
    /// The next thing the runtime noticed; pends for ever if it notices nothing. One caller at a time.
    fn next_event(&self) -> Pending<'_, RuntimeEvent>;
    /// Ends what lives and dies with the daemon. Containers live on.
    fn shut_down(&self, grace: Duration) -> Pending<'_, ()>;
}
