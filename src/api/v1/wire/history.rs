//! The past: switches and failures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Word;
use crate::api::v1::time::Time;
use crate::domain::{Cause, FailureRecord, Intent, IntentOutcome, IntentRecord};

/// A switch, or another thing that was done to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Switch {
    /// Its identity.
    pub id: String,
    /// The agent.
    pub agent: String,
    /// What it was for: `switch`, `rollover`, `recover`, `fence`.
    pub kind: Word,
    /// Where the agent was.
    pub from: Option<String>,
    /// Where it went.
    pub to: String,
    /// The number it took.
    pub generation: u64,
    /// Why.
    pub cause: SwitchCause,
    /// How it stands or ended.
    pub outcome: Word,
    /// Why it ended so, where the outcome does not say it all.
    pub reason: Option<String>,
    /// When it was decided.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// From the decision until nothing held it up any more.
    pub drain_ms: Option<u64>,
    /// From there until the agent was started again.
    pub apply_ms: Option<u64>,
    /// From there until the agent was ready.
    pub ready_ms: Option<u64>,
    /// Turns that were cut off.
    pub turns_cut_off: u32,
    /// Effective restarts: 0 or 1.
    pub restarts: u32,
    /// The turn whose work it ended, if it was a fence.
    #[serde(default)]
    pub turn: Option<String>,
}

/// Why a switch was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwitchCause {
    /// Who or what asked.
    pub by: Word,
    /// The kind of the failure, if it was one.
    pub kind: Option<Word>,
    /// The failure, if it was one.
    pub failure: Option<String>,
    /// What the operator gave as the reason, and who it was.
    pub reason: Option<String>,
}

/// `GET /v1/switches`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SwitchList {
    /// One page of them.
    pub switches: Vec<Switch>,
    /// Where the next page begins (`before=`); `null` on the last one.
    pub next: Option<i64>,
}

/// A recorded failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Its identity.
    pub id: String,
    /// The agent that failed.
    pub agent: String,
    /// The id that the reporter gave it.
    pub report_id: Option<String>,
    /// What it means.
    pub kind: Word,
    /// What became of it.
    pub outcome: Word,
    /// The subscription it was held against.
    pub subscription: Option<String>,
    /// The generation it was held against.
    pub generation: Option<u64>,
    /// The turn that failed, if the reporter named it.
    #[serde(default)]
    pub turn: Option<String>,
    /// The model it is about.
    pub model: Option<String>,
    /// The window that is used up.
    pub scope: Word,
    /// When the limit is said to end.
    pub reset_at: Option<Time>,
    /// When it happened, if the reporter said so.
    pub observed_at: Option<Time>,
    /// When it was recorded.
    pub at: Time,
    /// Whose word it is: `trusted`, `agent`.
    pub reporter: Word,
    /// Who sent it.
    pub sender: String,
    /// The reason in words.
    pub reason: Option<String>,
    /// How many identical reports it stands for.
    pub count: u64,
}

/// `GET /v1/failures`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureList {
    /// One page of them.
    pub failures: Vec<Failure>,
    /// Where the next page begins (`before=`); `null` on the last one.
    pub next: Option<i64>,
}

impl From<&Cause> for SwitchCause {
    fn from(cause: &Cause) -> Self {
        Self {
            by: cause.by.as_str().into(),
            kind: cause.kind.map(|kind| kind.as_str().into()),
            failure: cause.failure.as_ref().map(ToString::to_string),
            reason: cause.reason.clone(),
        }
    }
}

impl From<&Intent> for Switch {
    /// One that is under way.
    fn from(intent: &Intent) -> Self {
        Self {
            id: intent.id.to_string(),
            agent: intent.id.agent.as_str().to_owned(),
            kind: intent.plan.as_str().into(),
            from: intent.from.as_ref().map(|name| name.as_str().to_owned()),
            to: intent.to.as_str().to_owned(),
            generation: intent.generation.0,
            cause: (&intent.cause).into(),
            outcome: IntentOutcome::UnderWay.as_str().into(),
            reason: None,
            started_at: intent.started_at.into(),
            finished_at: None,
            drain_ms: None,
            apply_ms: None,
            ready_ms: None,
            turns_cut_off: 0,
            restarts: 0,
            turn: intent.turn.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&IntentRecord> for Switch {
    fn from(record: &IntentRecord) -> Self {
        let open = Self::from(&record.intent);
        let Some(end) = &record.end else { return open };
        let (marks, is_ready) = (end.marks, end.outcome == IntentOutcome::Ready);
        Self {
            outcome: end.outcome.as_str().into(),
            reason: end.reason.clone(),
            finished_at: Some(end.finished_at.into()),
            drain_ms: marks.drained_at.map(|at| millis(at.since(record.intent.started_at))),
            apply_ms: marks.applied_at.zip(marks.drained_at).map(|(at, from)| millis(at.since(from))),
            ready_ms: marks.applied_at.filter(|_| is_ready).map(|from| millis(end.finished_at.since(from))),
            turns_cut_off: end.turns_cut_off,
            restarts: end.restarts,
            ..open
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&FailureRecord> for Failure {
    fn from(record: &FailureRecord) -> Self {
        Self {
            id: record.id.to_string(),
            agent: record.id.agent.as_str().to_owned(),
            report_id: record.report.as_ref().map(|(id, _)| id.as_str().to_owned()),
            kind: record.kind.as_str().into(),
            outcome: record.outcome.as_str().into(),
            subscription: record.subscription.as_ref().map(|name| name.as_str().to_owned()),
            generation: record.generation.map(|generation| generation.0),
            turn: record.turn.as_ref().map(ToString::to_string),
            model: record.model.as_ref().map(|model| model.as_str().to_owned()),
            scope: record.window.as_str().into(),
            reset_at: record.reset_at.map(Time),
            observed_at: record.observed_at.map(Time),
            at: record.at.into(),
            reporter: record.reporter.as_str().into(),
            sender: record.sender.clone(),
            reason: record.reason.clone(),
            count: record.count,
        }
    }
}
