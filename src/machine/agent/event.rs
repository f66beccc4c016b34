//! What can happen to an agent, and what is asked of the world in return.

use std::time::Duration;

use super::phase::Ticket;
use super::state::AgentState;
use crate::domain::{
    Answer, Change, Disposition, FailureId, FailureKind, Fingerprint, Generation, Instance, IntentId, LogPosition,
    Reload, Report, Sighting, Stamp, SubscriptionName, Wall,
};
use crate::machine::pool::AgentView;
pub use crate::machine::pool::Pick;
use crate::machine::turns::{TurnReply, TurnRequest};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This life of the actor begins: the state was just made or restored.
    Began,
    /// Somebody reports a failure.
    Report {
        /// Whom to answer.
        ticket: Ticket,
        /// What is reported.
        report: Box<Report>,
        /// The digest of its body, for reports with an id.
        digest: u64,
        /// Whose failure it seemed to be when it arrived.
        stamp: Stamp,
        /// How many identical reports this one stands for.
        count: u64,
    },
    /// Identical reports came in about a failure that is recorded.
    Counted {
        /// The failure.
        failure: FailureId,
        /// How many reports it stands for now.
        count: u64,
        /// How far the agent's log had been read for this.
        read_to: Option<LogPosition>,
    },
    /// An operator wants something.
    Operator {
        /// Whom to answer.
        ticket: Ticket,
        /// What.
        command: Command,
    },
    /// Somebody wants something about a turn.
    Turn {
        /// Whom to answer.
        ticket: Ticket,
        /// What.
        request: TurnRequest,
    },
    /// A caller has gone before it could read its answer.
    Withdrawn {
        /// Who.
        ticket: Ticket,
    },
    /// Until when the subscription that the agent runs on cannot serve it, by others' word; `None` if it can.
    Shunned {
        /// Which subscription this is about.
        subscription: SubscriptionName,
        /// Until when.
        until: Option<Wall>,
    },
    /// A life of the agent has ended that nobody ended for a switch.
    Ended {
        /// When.
        at: Wall,
        /// It was killed, or told to stop: that says nothing about its subscription (C3).
        was_killed: bool,
    },
    /// Another agent says the same of a subscription as this one.
    Agreed {
        /// Of which subscription.
        subscription: SubscriptionName,
        /// What it says.
        kind: FailureKind,
    },
    /// The pool has answered.
    Picked {
        /// Which question it answers.
        selection: u64,
        /// The answer.
        pick: Pick,
    },
    /// The pool has something new: a cooldown was lifted, a place became free, a credential can be read again.
    PoolChanged {
        /// An operator lifted the cooldown of this subscription.
        lifted: Option<SubscriptionName>,
    },
    /// An effect has ended.
    Outcome {
        /// Which one.
        attempt: u32,
        /// How.
        outcome: EffectOutcome,
    },
    /// The runtime hints that the agent has changed.
    RuntimeChanged,
    /// What the user decided about it is something else than at the last event.
    Reconfigured,
    /// It is not in the config any more: nothing new is begun.
    Retired,
    /// Some time has passed: see to the timers that are due.
    Tick,
}

/// What an operator can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Move the agent.
    Switch {
        /// Where to; `None` is the best one.
        to: Option<SubscriptionName>,
        /// Even to one that is cooling, suspect or full.
        force: bool,
        /// Why, in the operator's words, and who it is.
        reason: Option<String>,
    },
    /// Give up the switch under way, if nothing was touched yet.
    CancelSwitch,
    /// Observe and record, but do not act.
    Pause {
        /// When it ends by itself.
        until: Option<Wall>,
    },
    /// Act again.
    Resume,
    /// Keep it on this subscription, moving it there if need be.
    Pin {
        /// Which.
        to: SubscriptionName,
    },
    /// Let policy decide again.
    Unpin,
    /// It has been seen to: the agent may act again.
    Unpark,
}

/// Why an effect did not come off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What to expect of another try.
    pub disposition: Disposition,
    /// What it is about.
    pub about: About,
    /// The cause in words.
    pub text: String,
}

/// What an obstacle is about: it decides who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The target subscription: its credential, or its place in the pool is lost.
    Target,
    /// The agent: its container, its file.
    Agent,
    /// The engine: nobody's fault.
    Runtime,
}

/// How an agent is after it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It runs, and is healthy where it has a health check.
    Ready,
    /// It runs and did not become healthy in time.
    NotReady,
    /// It does not run any more, or is gone.
    NotRunning,
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectOutcome {
    /// Of [`Action::Preflight`]: what was seen, if nothing stands in the way.
    Preflight(Result<Sighting, Obstacle>),
    /// Of [`Action::Deliver`]: what the credential is known by. An error means that nothing was changed, unless it is
    /// in doubt.
    Delivered(Result<Fingerprint, Obstacle>),
    /// Of [`Action::Restart`] and [`Action::Start`].
    Restarted(Result<(), Obstacle>),
    /// Of [`Action::Reload`].
    Reloaded(Result<(), Obstacle>),
    /// Of [`Action::AwaitReady`].
    Ready(Result<Readiness, Obstacle>),
    /// Of [`Action::Look`].
    Seen(Result<Sighting, Obstacle>),
}

/// What is asked of the world. Complete: whoever carries it out chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the pool to pick and reserve. The answer is [`Event::Picked`].
    Reserve {
        /// The number of the question.
        selection: u64,
        /// The agent as the pool needs to see it.
        view: Box<AgentView>,
    },
    /// Tell the pool that a pick is not needed.
    Release,
    /// Do something to the agent. The answer is [`Event::Outcome`] with the same attempt.
    Act {
        /// The number of the attempt.
        attempt: u32,
        /// What to do.
        action: Action,
    },
}

/// Something done to, or found out about, the container or process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look at it.
    Look {
        /// What it runs on, if it rests: what its source has now is looked up as well, and a login that does not say
        /// whose it is is taken for that. Within a switch only what was delivered tells.
        has: Option<SubscriptionName>,
    },
    /// Find out whether the switch can be made, changing nothing: the pick is still good, the credential
    /// readable, the runtime reachable, the agent there, its file fit to be written.
    Preflight {
        /// For which intent.
        intent: IntentId,
        /// The agent as the pool needs to see it, wanting the target.
        view: Box<AgentView>,
        /// Where it goes.
        to: SubscriptionName,
    },
    /// Put the credential in place.
    Deliver {
        /// For which intent.
        intent: IntentId,
        /// What the agent has been on, the newest first: only their logins can lie in its file.
        from: Vec<SubscriptionName>,
        /// Whose credential.
        to: SubscriptionName,
        /// The generation it begins.
        generation: Generation,
    },
    /// End this life of the agent and start the next.
    Restart(Start),
    /// Start the agent, which does not run.
    Start(Start),
    /// Make this life of it read its credential again.
    Reload {
        /// For which intent.
        intent: IntentId,
        /// The life that is told.
        life: Instance,
        /// How.
        by: Reload,
        /// How long it may take.
        call_timeout: Duration,
    },
    /// Wait until it is ready.
    AwaitReady {
        /// For which intent.
        intent: IntentId,
        /// At most so long.
        timeout: Duration,
    },
}

/// An order to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// For which intent.
    pub intent: IntentId,
    /// The life that ends.
    pub before: Option<Instance>,
    /// How long it may take to end by itself; `None` is the container's own setting.
    pub grace: Option<Duration>,
    /// How long one call may take, on top of the grace.
    pub call_timeout: Duration,
    /// What it runs on from then on.
    pub to: SubscriptionName,
    /// The number of that assignment.
    pub generation: Generation,
}

/// An answer to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To a reporter.
    Report(Box<Answer>),
    /// To whoever asked about a turn.
    Turn(Box<TurnReply>),
    /// To an operator whose command is done.
    Done,
    /// To an operator whose switch has begun.
    Switching(IntentId),
    /// To an operator whose command is refused.
    Refused(Refusal),
}

/// Why an operator's command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is under way already.
    #[error("a switch is already under way")]
    SwitchInProgress,
    /// Nothing is under way.
    #[error("no switch is under way")]
    NoSwitch,
    /// The credential is in place: it can only be finished.
    #[error("the switch is past the point of no return")]
    TooLate,
    /// The agent is pinned.
    #[error("the agent is pinned to \"{0}\"")]
    Pinned(SubscriptionName),
    /// The agent is only observed: whoever asks.
    #[error("the agent is monitor-only: it is observed and never touched")]
    MonitorOnly,
    /// The target cannot be picked, or there is none.
    #[error("{reason}")]
    NotEligible {
        /// Why, in words.
        reason: String,
        /// When the first one comes back, if that is known.
        earliest: Option<Wall>,
        /// True if one was named.
        is_named: bool,
    },
    /// The agent is not parked.
    #[error("the agent is not parked")]
    NotParked,
    /// The pool could not be asked.
    #[error("the pool does not answer")]
    Unavailable,
}

impl Refusal {
    /// The switch would go where the agent is.
    pub(super) fn runs_on_it() -> Self {
        Self::NotEligible { reason: "the agent runs on it already".to_owned(), earliest: None, is_named: true }
    }
}

/// Whether an event had any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did.
    Accepted,
    /// It had none, for this reason.
    Ignored(IgnoreReason),
}

/// Why an event had no effect. Counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IgnoreReason {
    /// It answers a question or an effect that is no longer the newest.
    Stale,
    /// It means nothing in this phase.
    NotNow,
    /// It changes nothing.
    NothingNew,
}

impl IgnoreReason {
    /// The word that metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NotNow => "not_now",
            Self::NothingNew => "nothing_new",
        }
    }
}

/// What comes of an event.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state from now on.
    pub state: AgentState,
    /// The rows to write, before any effect is carried out and any reply given.
    pub changes: Vec<Change>,
    /// What to ask of the world, in order.
    pub effects: Vec<Effect>,
    /// Whom to answer what.
    pub replies: Vec<(Ticket, Reply)>,
    /// Whether it had any effect.
    pub verdict: Verdict,
}
