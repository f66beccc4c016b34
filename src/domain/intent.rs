//! Words for what is done to an agent and how it ended.

use super::words::words;
use super::{FailureId, FailureKind};

words! {
    /// What an intent is for. One is open per agent at a time.
    pub enum Plan ("plan") {
        /// Move the agent to another subscription: a new generation and one restart.
        Switch = "switch",
        /// Give an agent the changed credential of the subscription it runs on: a new generation and one restart.
        Rollover = "rollover",
        /// End the work of a turn whose holder is lost or does not stop: the same generation, at most one restart.
        Fence = "fence",
        /// Bring an agent up on the subscription it has: the first assignment, or a process agent's start
        /// together with the daemon.
        Recover = "recover",
    }
}

words! {
    /// Who or what asked for it.
    pub enum CauseBy ("cause") {
        /// A failure of the subscription it ran on.
        Failure = "failure",
        /// An operator.
        Operator = "operator",
        /// A cooldown that ended while the agent was exhausted.
        Wake = "wake",
        /// The subscription it ran on is nearly used up, and another one is not.
        Proactive = "proactive",
        /// A subscription that is preferred serves again.
        Failback = "failback",
        /// An operator's pin to another subscription.
        Pin = "pin",
        /// A turn: to be begun on a subscription that can serve, or to be ended.
        Turn = "turn",
        /// The credential of its subscription has changed.
        Rollover = "rollover",
        /// The daemon's own start.
        Recovery = "recovery",
        /// A changed config, which does not allow what it ran on.
        Reload = "reload",
    }
}

impl CauseBy {
    /// Whether nobody asked for it: then budgets, halts and the order of re-admission hold.
    #[must_use]
    pub const fn is_automatic(self) -> bool {
        match self {
            Self::Failure | Self::Wake | Self::Turn | Self::Proactive | Self::Failback | Self::Reload => true,
            Self::Operator | Self::Pin | Self::Rollover | Self::Recovery => false,
        }
    }

    /// Whether a switch for it counts against the budget of its agent. What a person did to the config does not.
    #[must_use]
    pub const fn is_budgeted(self) -> bool {
        match self {
            Self::Failure | Self::Wake | Self::Turn | Self::Proactive | Self::Failback => true,
            Self::Operator | Self::Pin | Self::Rollover | Self::Recovery | Self::Reload => false,
        }
    }

    /// Whether a person asked for it.
    #[must_use]
    pub const fn is_by_operator(self) -> bool {
        match self {
            Self::Operator | Self::Pin => true,
            Self::Failure
            | Self::Wake
            | Self::Turn
            | Self::Proactive
            | Self::Failback
            | Self::Reload
            | Self::Rollover
            | Self::Recovery => false,
        }
    }
}

/// Why an intent was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Who or what asked.
    pub by: CauseBy,
    /// The kind of the failure, if it was one.
    pub kind: Option<FailureKind>,
    /// The failure, if it was one.
    pub failure: Option<FailureId>,
    /// What the operator gave as the reason, or who the operator was.
    pub reason: Option<String>,
}

impl Cause {
    /// A cause that is not a failure.
    #[must_use]
    pub fn of(by: CauseBy) -> Self {
        Self { by, kind: None, failure: None, reason: None }
    }
}

words! {
    /// How an intent stands or ended.
    pub enum IntentOutcome ("outcome") {
        /// Not ended yet.
        UnderWay = "under_way",
        /// The agent runs and is ready with the new credential.
        Ready = "ready",
        /// It was restarted with the new credential and did not become ready in time.
        NotReady = "not_ready",
        /// The credential was delivered; the agent does not run.
        NotRunning = "not_running",
        /// There is no container.
        NoContainer = "no_container",
        /// Undone; the agent is as it was.
        RolledBack = "rolled_back",
        /// It could not be done; nothing was delivered.
        Failed = "failed",
        /// Given up before anything was delivered.
        Cancelled = "cancelled",
    }
}

impl IntentOutcome {
    /// Whether the intent's generation became the current one.
    #[must_use]
    pub const fn is_delivered(self) -> bool {
        match self {
            Self::Ready | Self::NotReady | Self::NotRunning => true,
            Self::UnderWay | Self::NoContainer | Self::RolledBack | Self::Failed | Self::Cancelled => false,
        }
    }
}
