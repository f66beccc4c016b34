//! What people and programs see of the daemon: events and metrics.
//!
//! One struct per observable event; [`Telemetry::emit`] writes its log line *and* bumps its metric, so that the
//! two cannot disagree. The counters are a value behind a handle that is cheap to clone; tests own theirs. The
//! log itself belongs to the process and is set up once ([`setup::install`]).
//!
//! It must not decide anything, hold a secret or read a clock, and nothing but this module calls the `tracing`
//! macros for something that operators rely on.
//!
//! Tests: in each file; `tests/telemetry.rs` holds the catalogue, the lines and `docs/` together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::{
    AgentName, CauseBy, FailureKind, FailureRecord, Intent, IntentEnd, IntentId, IntentOutcome, Moment, Outcome, Plan,
    Steady, Window,
};

pub mod escape;
pub mod event;
pub mod events;
pub mod lines;
pub mod member;
pub mod metrics;
pub mod setup;

pub use event::Event;
pub use metrics::{Metrics, Snapshot, Step, SubscriptionSnapshot};

/// Between two log lines about refused reports of one agent.
const SHED_LINE_EVERY: Duration = Duration::from_secs(1);

/// The handle that everything reports through. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct Telemetry(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    metrics: Metrics,
    /// When the last line about refused reports of an agent was written, and how many came since.
    shed: Mutex<BTreeMap<AgentName, (Steady, u64)>>,
}

impl Telemetry {
    /// A handle with counters of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the event's log line and counts it.
    #[expect(clippy::needless_pass_by_value, reason = "an event is made to be emitted, once")]
    pub fn emit(&self, event: impl Event) {
        event.log();
        event.count(&self.0.metrics);
    }

    /// The counters, for what is measured without being an event.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Emits the one event that fits a recorded failure: what its outcome and kind say. `switch` is the switch
    /// that the failure started or ran into.
    pub fn failure_recorded(&self, failure: &FailureRecord, switch: Option<&IntentId>) {
        let FailureRecord { id, kind, outcome, generation, count, .. } = failure;
        let (agent, kind, generation, count) = (&id.agent, *kind, *generation, *count);
        let (subscription, sender) = (failure.subscription.as_ref(), failure.sender.as_str());
        let reason = failure.reason.as_deref();
        match outcome {
            Outcome::Stale => self.emit(events::FailureStale {
                agent,
                failure: id,
                kind,
                subscription,
                generation,
                sender,
                count,
                reason,
            }),
            Outcome::Held => self.emit(events::FailureHeld {
                agent,
                failure: id,
                kind,
                subscription,
                generation,
                switch,
                sender,
                count,
                reason,
            }),
            Outcome::Ambiguous => self.emit(events::FailureAmbiguous {
                agent,
                failure: id,
                kind,
                subscription,
                generation,
                sender,
                count,
                reason,
            }),
            Outcome::Uncorroborated => self.emit(events::FailureUncorroborated {
                agent,
                failure: id,
                kind,
                subscription,
                generation,
                sender,
                count,
                reason,
            }),
            Outcome::Ignored if kind == FailureKind::Unknown => self.emit(events::FailureUnclassified {
                agent,
                failure: Some(id),
                kind,
                subscription,
                generation,
                sender,
                count,
                reason,
                text: None,
            }),
            Outcome::Ignored => self.emit(events::FailureIgnored {
                agent,
                failure: id,
                kind,
                subscription,
                generation,
                sender,
                count,
                reason,
            }),
            Outcome::Switching
            | Outcome::Switched
            | Outcome::SwitchFailed
            | Outcome::Repeat
            | Outcome::Waiting
            | Outcome::Recorded
            | Outcome::Exhausted
            | Outcome::Braked
            | Outcome::Shed => self.emit(events::FailureRecorded {
                agent,
                failure: id,
                kind,
                outcome: *outcome,
                subscription,
                generation,
                switch,
                scope: (failure.window != Window::Unknown).then_some(failure.window),
                reset_at: failure.reset_at,
                sender,
                count,
                reason,
            }),
        }
    }

    /// Counts a report that was refused because its intake was full, and says so at most once a second.
    pub fn report_shed(&self, agent: &AgentName, kind: FailureKind, now: Moment) {
        self.0.metrics.shed(kind);
        let count = {
            let mut shed = self.0.shed.lock().unwrap_or_else(PoisonError::into_inner);
            match shed.get_mut(agent) {
                None => {
                    shed.insert(agent.clone(), (now.steady, 0));
                    1
                }
                Some((last, waiting)) if now.steady >= last.plus(SHED_LINE_EVERY) => {
                    *last = now.steady;
                    std::mem::take(waiting) + 1
                }
                Some((_, waiting)) => {
                    *waiting += 1;
                    return;
                }
            }
        };
        // The report has been counted above, whether it gets a line or not.
        events::FailureShed { agent, kind, count }.log();
    }

    /// Emits the one event that fits the end of an intent.
    pub fn intent_closed(&self, intent: &Intent, end: &IntentEnd) {
        let Intent { id, plan, generation, to, .. } = intent;
        let (agent, plan, generation, from) = (&id.agent, *plan, *generation, intent.from.as_ref());
        let (cause, kind, outcome) = (intent.cause.by, intent.cause.kind, end.outcome);
        let (restarts, turns_cut_off, reason) = (end.restarts, end.turns_cut_off, end.reason.as_deref());
        let total_ms = end.finished_at.since(intent.started_at);
        if plan == Plan::Fence {
            return self.emit(events::FenceCompleted {
                agent,
                switch: id,
                turn: intent.turn.as_ref(),
                generation,
                cause,
                outcome,
                total_ms,
                restarts,
                turns_cut_off,
                reason,
            });
        }
        match outcome {
            IntentOutcome::Ready | IntentOutcome::NotReady | IntentOutcome::NotRunning => {
                let is_ready = outcome == IntentOutcome::Ready;
                let ready_ms = end.marks.applied_at.filter(|_| is_ready).map(|at| end.finished_at.since(at));
                let recovery_ms =
                    (is_ready && cause == CauseBy::Failure).then(|| end.finished_at.since(intent.observed_at));
                self.emit(events::SwitchCompleted {
                    agent,
                    switch: id,
                    plan,
                    from,
                    to,
                    subscription: to,
                    generation,
                    cause,
                    kind,
                    outcome,
                    ready_ms,
                    total_ms,
                    recovery_ms,
                    restarts,
                    turns_cut_off,
                    reason,
                });
            }
            IntentOutcome::RolledBack => self.emit(events::SwitchRolledBack {
                agent,
                switch: id,
                plan,
                from,
                to,
                generation,
                cause,
                kind,
                outcome,
                total_ms,
                restarts,
                turns_cut_off,
                reason,
            }),
            IntentOutcome::Cancelled => self.emit(events::SwitchCancelled {
                agent,
                switch: id,
                plan,
                from,
                to,
                generation,
                cause,
                kind,
                outcome,
                total_ms,
                restarts,
                turns_cut_off,
                reason,
            }),
            IntentOutcome::Failed | IntentOutcome::NoContainer | IntentOutcome::UnderWay => {
                self.emit(events::SwitchFailed {
                    agent,
                    switch: id,
                    plan,
                    from,
                    to,
                    generation,
                    cause,
                    kind,
                    outcome,
                    total_ms,
                    restarts,
                    turns_cut_off,
                    reason,
                });
            }
        }
    }
}
