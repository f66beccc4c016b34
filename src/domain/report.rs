//! A failure report, the stamp it gets at the door, and what it is answered.

use std::time::Duration;

use super::words::words;
use super::{
    AgentName, FailureId, FailureKind, Generation, Instance, IntentId, IntentOutcome, LogPosition, Model, ReportId,
    SubscriptionName, Trust, TurnId, Wall, Window,
};

words! {
    /// Whose word a report is.
    pub enum Reporter ("reporter") {
        /// Someone who may open the main socket: its word cools a subscription for everyone.
        Trusted = "trusted",
        /// The agent itself, or someone passing on what it said: its word cools for that agent only.
        Agent = "agent",
    }
}

/// Which life of the agent a failure was seen in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Nobody knows.
    #[default]
    Untold,
    /// This one wrote it.
    Life(Instance),
    /// One that had ended before it was read.
    EarlierLife,
}

/// "This agent failed", read and classified, but not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The reporter's idempotency key.
    pub id: Option<ReportId>,
    /// What the failure means.
    pub kind: FailureKind,
    /// The subscription it says it ran on.
    pub subscription: Option<SubscriptionName>,
    /// The generation it says it ran in.
    pub generation: Option<Generation>,
    /// The turn it says it was. Whose failure it is then is known best: its generation is the turn's.
    pub turn: Option<TurnId>,
    /// The model it is about.
    pub model: Option<Model>,
    /// The window that is used up.
    pub window: Window,
    /// When the limit is said to end.
    pub reset_at: Option<Wall>,
    /// How far its evidence is believed.
    pub trust: Trust,
    /// Its evidence is only repeated there, as a log or a document that the agent shows: it moves nobody.
    pub is_hearsay: bool,
    /// When it happened, if the reporter says so.
    pub observed_at: Option<Wall>,
    /// The life it was seen in.
    pub origin: Origin,
    /// How far the log has been read that it was found in: written down together with it.
    pub read_to: Option<LogPosition>,
    /// Whose word it is.
    pub reporter: Reporter,
    /// Who sent it, for the audit trail: for example `uid 1000 pid 4711`.
    pub sender: String,
    /// Why the classifier chose this kind, if it did.
    pub reason: Option<String>,
}

impl Report {
    /// Whether somebody told it through the API; otherwise it was read from what the agent wrote, or seen by the runtime.
    /// What stands in two places of an agent's output is one sign, not two.
    #[must_use]
    pub fn was_told(&self) -> bool {
        // As the API names its callers, `uid 1000 pid 4711` or `agent web, uid 1000`; kept with the record.
        self.sender.starts_with("uid ") || self.sender.starts_with("agent ")
    }
}

/// Whose failure a report is, as decided when it arrived. Checked again when it is handled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stamp {
    /// Work that was dispatched in this generation.
    Generation(Generation),
    /// Work of this life of the agent.
    Life(Instance),
    /// It names only a subscription that the agent neither runs on nor is being moved to, or did not yet
    /// run on at that time.
    Elsewhere(SubscriptionName),
    /// It names nothing and arrived while a switch was under way.
    DuringSwitch,
    /// It names nothing and arrived within `settle` after a switch.
    Unsettled,
    /// The agent has no assignment that a failure could be held against.
    Unassigned,
}

words! {
    /// What became of a report.
    pub enum Outcome ("outcome") {
        /// It started a switch.
        Switching = "switching",
        /// The switch that it started ended well (only to callers that waited).
        Switched = "switched",
        /// The switch that it started failed (only to callers that waited).
        SwitchFailed = "switch_failed",
        /// A switch for the same generation is already under way.
        Repeat = "repeat",
        /// It is about an older generation.
        Stale = "stale",
        /// It is about the generation being applied; judged when the switch completes.
        Held = "held",
        /// It names no generation and arrived within `settle` after a switch.
        Ambiguous = "ambiguous",
        /// A line of text, and nothing agrees with it yet; judged when something does.
        Uncorroborated = "uncorroborated",
        /// The stated reset is nearer than `wait_out`.
        Waiting = "waiting",
        /// Recorded only: switching is off, or the agent is paused, pinned or parked.
        Recorded = "recorded",
        /// The kind never moves an agent.
        Ignored = "ignored",
        /// No subscription is left to move to.
        Exhausted = "exhausted",
        /// The agent's switch budget is used up.
        Braked = "braked",
        /// The intake was full.
        Shed = "shed",
    }
}

impl Outcome {
    /// Whether the judgement of the report waits for something.
    #[must_use]
    pub const fn is_deferred(self) -> bool {
        matches!(self, Self::Held | Self::Ambiguous | Self::Uncorroborated)
    }

    /// What an identical later report is told while nothing has changed.
    #[must_use]
    pub const fn for_repeat(self) -> Self {
        match self {
            Self::Switching | Self::Switched | Self::SwitchFailed => Self::Repeat,
            Self::Repeat
            | Self::Stale
            | Self::Held
            | Self::Ambiguous
            | Self::Uncorroborated
            | Self::Waiting
            | Self::Recorded
            | Self::Ignored
            | Self::Exhausted
            | Self::Braked
            | Self::Shed => self,
        }
    }
}

/// The switch that an answer speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSwitch {
    /// Which one.
    pub id: IntentId,
    /// Where the agent was; absent if it had no assignment.
    pub from: Option<SubscriptionName>,
    /// Where it goes.
    pub to: SubscriptionName,
    /// The number the switch took.
    pub generation: Generation,
    /// How it stands.
    pub outcome: IntentOutcome,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What became of it.
    pub outcome: Outcome,
    /// Whether this is the first answer to the same id, given again.
    pub duplicate: bool,
    /// The record of it; absent if it was shed.
    pub failure: Option<FailureId>,
    /// What the failure means.
    pub kind: FailureKind,
    /// The agent.
    pub agent: AgentName,
    /// What it was held against.
    pub subscription: Option<SubscriptionName>,
    /// What it was held against.
    pub generation: Option<Generation>,
    /// The switch under way, if one is.
    pub switch: Option<AnswerSwitch>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
    /// When the first subscription comes back, if that is known.
    pub earliest_reset: Option<Wall>,
    /// The reason in words, where the outcome does not say it all.
    pub reason: Option<String>,
}
