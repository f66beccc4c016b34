//! An agent as it stands.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Switch, Turn, Word};
use crate::actor::handle::AgentStatus;
use crate::api::v1::time::Time;
use crate::domain::{Deferred, Delivered, RuntimeState, Tool};
use crate::machine::agent::{AgentState, Phase, WINDOW};
use crate::machine::policy::RuntimeKind;
use crate::machine::timer::Timer;

/// The thing that is kept working.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What runs inside.
    pub tool: Word,
    /// Where it stands: `serving`, `selecting`, `draining`, `applying`, `exhausted`, `parked`.
    pub phase: Word,
    /// What is the matter, in a word or a sentence; `null` if all is well.
    pub reason: Option<String>,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// When the pause ends by itself.
    pub paused_until: Option<Time>,
    /// Whether it is only observed: nothing is ever done to it.
    #[serde(default)]
    pub monitor_only: bool,
    /// The subscription that an operator pinned it to.
    pub pinned: Option<String>,
    /// What it runs on.
    pub assignment: Option<Assignment>,
    /// Where it is on its way to.
    pub pending: Option<Pending>,
    /// The container or process.
    pub runtime: Runtime,
    /// What would keep it from using a credential that is delivered to it, a sentence each.
    #[serde(default)]
    pub hindrances: Vec<String>,
    /// Why its log cannot be read; `null` if it can, or has none.
    pub log_trouble: Option<String>,
    /// Text of its own that would move it, if something agreed with it.
    #[serde(default)]
    pub uncorroborated: Vec<Claim>,
    /// The work in it.
    pub turns: Turns,
    /// The switches it may make on its own.
    pub budget: Budget,
    /// When it will look into its trouble by itself.
    pub wake_at: Option<Time>,
    /// When the first subscription comes back, while it is exhausted.
    pub earliest_reset: Option<Time>,
    /// The newest switch, under way or ended.
    pub last_switch: Option<Switch>,
}

/// Text that says that something failed, and that nothing agrees with yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Its record.
    pub failure: String,
    /// What it would mean.
    pub kind: Word,
    /// Why it is taken for that.
    pub reason: Option<String>,
    /// When it was recorded.
    pub since: Time,
    /// Until when it waits for a second sign: an end of the agent's process by itself, a turn that fails, a report in another
    /// way, or another agent on the subscription that says the same.
    pub until: Time,
}

impl Claim {
    /// What an agent's text claims, oldest first.
    pub(super) fn all(state: &AgentState) -> Vec<Self> {
        let claim = |claim: &Deferred| Self {
            failure: claim.failure.to_string(),
            kind: claim.report.kind.as_str().into(),
            reason: claim.report.reason.clone(),
            since: claim.at.into(),
            until: claim.at.plus(WINDOW).into(),
        };
        state.claims().map(claim).collect()
    }
}

/// What an agent runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Assignment {
    /// The subscription.
    pub subscription: String,
    /// The number of the assignment.
    pub generation: u64,
    /// When it became current.
    pub since: Time,
}

/// Where an agent is on its way to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// The subscription.
    pub subscription: String,
    /// The number that the assignment will have.
    pub generation: u64,
}

/// The container or process, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Runtime {
    /// `docker` or `process`.
    pub kind: Word,
    /// The container's id, or the process id.
    pub id: Option<String>,
    /// `running`, `stopped`, `missing` or `unknown`.
    pub state: Word,
    /// When it was started, as the engine or the kernel says it.
    pub started_at: Option<String>,
}

/// The work in an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Turns {
    /// Those under way, the oldest first.
    pub active: Vec<Turn>,
    /// How many callers wait for one.
    pub queued: u64,
}

/// The switches that an agent may make on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// Made within the span.
    pub used: u32,
    /// That may be made within the span.
    pub of: u32,
    /// When one more may be made, once all are used.
    pub refills_at: Option<Time>,
}

/// `GET /v1/agents`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    /// All of them, by name.
    pub agents: Vec<Agent>,
    /// What is wrong with containers that would be agents, until it is mended.
    #[serde(default)]
    pub container_problems: Vec<ContainerProblem>,
}

/// Something that is wrong with a container that would be an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerProblem {
    /// The name of the container.
    pub container: String,
    /// The label that it is about; `null` if it is about the container as a whole.
    pub label: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// Whether the container is no agent for it. Otherwise the config holds, and the labels are ignored.
    pub left_out: bool,
}

impl From<&crate::domain::ContainerProblem> for ContainerProblem {
    fn from(problem: &crate::domain::ContainerProblem) -> Self {
        Self {
            container: problem.container.clone(),
            label: problem.label.clone(),
            reason: problem.what.clone(),
            hint: problem.hint.clone(),
            left_out: problem.is_left_out,
        }
    }
}

impl Agent {
    /// An agent as it stands; `tool` is what the config says runs in it.
    #[must_use]
    pub fn new(status: &AgentStatus, tool: Tool) -> Self {
        let AgentStatus { state, policy, now, .. } = status;
        let instance = state.sighting.as_ref().and_then(|seen| seen.instance.as_ref());
        let open = state.phase.intent();
        Self {
            name: state.name.as_str().to_owned(),
            tool: tool.as_str().into(),
            phase: state.phase.as_str().into(),
            reason: reason(status),
            paused: state.pause.is_some(),
            paused_until: state.pause.and_then(|pause| pause.until).map(Time),
            monitor_only: policy.is_monitor_only,
            pinned: state.pin.as_ref().map(|pin| pin.as_str().to_owned()),
            assignment: state.assignment.as_ref().map(|current| Assignment {
                subscription: current.subscription.as_str().to_owned(),
                generation: current.generation.0,
                since: current.since.into(),
            }),
            pending: open
                .map(|intent| Pending { subscription: intent.to.as_str().to_owned(), generation: intent.generation.0 }),
            runtime: Runtime {
                kind: match policy.runtime {
                    RuntimeKind::Container => "docker".into(),
                    RuntimeKind::Process => "process".into(),
                },
                id: instance.map(|instance| instance.id.clone()),
                state: status.runtime_state().as_str().into(),
                // What the kernel says of a process counts ticks, and is nothing that can be shown as a time.
                started_at: instance
                    .filter(|_| policy.runtime == RuntimeKind::Container)
                    .map(|instance| instance.started_at.clone()),
            },
            hindrances: state.hindrances.clone(),
            log_trouble: status.log_trouble.clone(),
            uncorroborated: Claim::all(state),
            turns: turns(status),
            budget: budget(status),
            wake_at: state.wake_at(*now).map(Time),
            earliest_reset: match state.phase {
                Phase::Exhausted { earliest, .. } => earliest.map(Time),
                Phase::Serving
                | Phase::Selecting(_)
                | Phase::Draining(_)
                | Phase::Applying(_)
                | Phase::Parked { .. } => None,
            },
            last_switch: open.map(Into::into).or_else(|| state.last.as_ref().map(Into::into)),
        }
    }
}

fn turns(status: &AgentStatus) -> Turns {
    let (ledger, lease) = (&status.state.turns, status.policy.turns.lease);
    Turns {
        active: ledger.active().map(|active| Turn::active(active, lease, status.now)).collect(),
        queued: u64::try_from(ledger.queued()).unwrap_or(u64::MAX),
    }
}

fn budget(status: &AgentStatus) -> Budget {
    let (budget, now) = (status.policy.budget, status.now.wall);
    let began = &status.state.budget;
    let spent = began.iter().filter(|at| at.plus(budget.per) > now).count();
    Budget {
        used: u32::try_from(spent).unwrap_or(u32::MAX),
        of: budget.switches,
        refills_at: budget.refills_at(began.iter().copied(), now).map(Into::into),
    }
}

/// What is the matter: what needs a person first.
fn reason(status: &AgentStatus) -> Option<String> {
    let AgentStatus { state, policy, now, .. } = status;
    if let Phase::Parked { reason, .. } = state.phase {
        return Some(reason.as_str().to_owned());
    }
    if let Some(obstacle) = &state.obstacle {
        return Some(obstacle.clone());
    }
    let word = if state.phase.is_switching() {
        None
    } else if matches!(state.phase, Phase::Exhausted { .. }) {
        Some("exhausted")
    } else if state.assignment.is_none() {
        without_assignment(status)
    } else if status.runtime_state() == RuntimeState::Missing {
        Some(missing(policy.runtime))
    } else {
        state.trouble.as_ref().and_then(|_| {
            // In the order of the gates that a failure meets.
            if policy.is_monitor_only {
                Some("monitor_only")
            } else if !policy.switching {
                Some("switching_off")
            } else if state.pause.is_some() {
                None
            } else if state.pin.is_some() {
                Some("pinned")
            } else if state.braked_until.is_some_and(|until| until > now.wall) {
                Some("braked")
            } else {
                state.timers.get(Timer::Wake).map(|_| "waiting")
            }
        })
    };
    // What a failure would run into is said before there is one.
    let hindered = || state.hindrances.first().map(|_| "hindered");
    // By a changed config; or it was found so, and nothing has failed there yet.
    let is_allowed = |on| policy.subscriptions.contains(on) || state.phase.is_switching();
    let not_allowed = || state.subscription().filter(|on| !is_allowed(on)).map(|_| "not_allowed");
    word.or_else(|| state.pause.map(|_| "paused")).or_else(hindered).or_else(not_allowed).map(str::to_owned)
}

fn without_assignment(status: &AgentStatus) -> Option<&'static str> {
    let seen = status.state.sighting.as_ref()?;
    match (seen.state, &seen.delivered) {
        (RuntimeState::Missing, _) => Some(missing(status.policy.runtime)),
        // Nobody said where its credential lies, and nobody has to.
        (_, Delivered::Hidden) if status.policy.is_monitor_only => Some("monitor_only"),
        (_, Delivered::Unrecognised) | (RuntimeState::Running, Delivered::Nothing | Delivered::Hidden) => {
            Some("unknown_credential")
        }
        (RuntimeState::Running | RuntimeState::Stopped | RuntimeState::Unknown, _) => Some("not_assigned"),
    }
}

fn missing(runtime: RuntimeKind) -> &'static str {
    match runtime {
        RuntimeKind::Container => "no_container",
        RuntimeKind::Process => "no_process",
    }
}
