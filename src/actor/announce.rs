//! Says what a committed step means: the rows it wrote and the difference it made, as events.
//!
//! Only after the commit, and only from what was committed: the log never tells of something that a crash could
//! still undo.

mod turning;

use crate::domain::{Change, Delivered, FailureId, FailureKind, Intent, NotifyEvent, Plan, RuntimeState};
use crate::machine::agent::{AgentState, Phase, Step};
use crate::telemetry::{Telemetry, events};

/// Whether an identical report could be answered differently now.
pub(super) fn answers_differ(before: &AgentState, after: &AgentState) -> bool {
    before.issued != after.issued
        || before.assignment != after.assignment
        || before.pause != after.pause
        || before.pin != after.pin
        || before.trouble.is_some() != after.trouble.is_some()
        || before.braked_until != after.braked_until
        || before.phase.as_str() != after.phase.as_str()
        || before.phase.rest() != after.phase.rest()
        || before.phase.intent().map(|intent| &intent.id) != after.phase.intent().map(|intent| &intent.id)
        // A line that is printed again is a claim of its own, once the first one waits no more.
        || before.claims().any(|claim| after.claims().all(|other| other.failure != claim.failure))
}

/// Writes the events of one step. `sender` is who may have taken a pin away.
pub(super) fn say(
    telemetry: &Telemetry,
    before: &AgentState,
    after: &AgentState,
    changes: &[Change],
    sender: &'static str,
) {
    for change in changes {
        say_change(telemetry, before, after, changes, change);
    }
    say_steps(telemetry, before, after);
    say_attributes(telemetry, before, after, sender);
    say_sighting(telemetry, before, after);
}

fn say_change(telemetry: &Telemetry, before: &AgentState, after: &AgentState, changes: &[Change], change: &Change) {
    let agent = &after.name;
    match change {
        Change::FailureRecorded(record) => {
            let switch = after.phase.intent().map(|intent| &intent.id);
            telemetry.failure_recorded(record, switch);
        }
        Change::FailureJudged { id, outcome, generation, agreed, reason } => {
            let kind = kind_of(before, changes, id);
            if let Some(by) = *agreed {
                telemetry.emit(events::FailureCorroborated { agent, failure: id, kind, by });
            }
            telemetry.emit(events::FailureJudged {
                agent,
                failure: id,
                kind,
                outcome: *outcome,
                subscription: generation.and_then(|number| after.subscription_of(number)),
                generation: *generation,
                reason: reason.as_deref(),
            });
        }
        Change::IntentOpened(intent) if intent.plan == Plan::Fence => telemetry.emit(events::TurnFenced {
            agent,
            switch: &intent.id,
            turn: intent.turn.as_ref(),
            generation: intent.generation,
            cause: intent.cause.by,
            reason: intent.cause.reason.as_deref(),
        }),
        Change::IntentOpened(intent) => telemetry.emit(events::SwitchStarted {
            agent,
            switch: &intent.id,
            plan: intent.plan,
            from: intent.from.as_ref(),
            to: &intent.to,
            generation: intent.generation,
            cause: intent.cause.by,
            kind: intent.cause.kind,
            failure: intent.cause.failure.as_ref(),
            decide_ms: Some(intent.started_at.since(intent.observed_at)),
            reason: intent.cause.reason.as_deref(),
        }),
        Change::IntentClosed(end) => {
            if let Some(intent) = intent_of(after, before, end) {
                telemetry.intent_closed(intent, end);
            }
        }
        Change::Assigned { assignment, .. } if before.phase.intent().is_none() => {
            telemetry.emit(events::AgentAdopted {
                agent,
                subscription: &assignment.subscription,
                generation: assignment.generation,
                instance: after.sighting.as_ref().and_then(|seen| seen.instance.as_ref()).map(|life| life.id.as_str()),
            });
        }
        Change::Notified(notification) => match notification.event {
            NotifyEvent::Woken => telemetry.emit(events::AgentWoken {
                agent,
                subscription: after.subscription(),
                generation: after.assignment.as_ref().map(|current| current.generation),
                reason: Some(&notification.text),
            }),
            NotifyEvent::Switch
            | NotifyEvent::Exhausted
            | NotifyEvent::Parked
            | NotifyEvent::Braked
            | NotifyEvent::Recovered
            | NotifyEvent::Banned
            | NotifyEvent::Engine
            | NotifyEvent::LoginExpiring
            | NotifyEvent::Halted
            | NotifyEvent::Resumed
            | NotifyEvent::TurnBegun
            | NotifyEvent::Fenced => {}
        },
        Change::TurnBegun { .. } | Change::TurnChanged(_) | Change::TurnEnded { .. } | Change::SessionSaved(..) => {
            turning::say(telemetry, before, change);
        }
        // Cooldowns are announced by the pool, which knows for whom they hold.
        Change::FailureCounted { .. }
        | Change::CooldownSet(_)
        | Change::CooldownLifted(_)
        | Change::IntentDelivered { .. }
        | Change::Assigned { .. }
        | Change::AgentSaved(..)
        | Change::CredentialSeen(..)
        | Change::ReadingTaken(_)
        | Change::Halted(_)
        | Change::HaltLifted(_)
        | Change::LogRead(..) => {}
    }
}

/// What a failure that is judged means: it waited before this step, or was recorded in it.
fn kind_of(before: &AgentState, changes: &[Change], id: &FailureId) -> FailureKind {
    let waited = before.deferred.iter().find(|deferred| &deferred.failure == id).map(|deferred| deferred.report.kind);
    let recorded = changes.iter().find_map(|change| match change {
        Change::FailureRecorded(record) if &record.id == id => Some(record.kind),
        _ => None,
    });
    waited.or(recorded).unwrap_or(FailureKind::Unknown)
}

fn intent_of<'a>(after: &'a AgentState, before: &'a AgentState, end: &crate::domain::IntentEnd) -> Option<&'a Intent> {
    let last = after.last.as_ref().map(|record| &record.intent);
    last.into_iter().chain(before.phase.intent()).find(|intent| intent.id == end.id)
}

/// The steps of an intent that were passed.
fn say_steps(telemetry: &Telemetry, before: &AgentState, after: &AgentState) {
    let agent = &after.name;
    let applying = |state: &AgentState| match &state.phase {
        Phase::Applying(applying) => {
            Some((applying.intent.id.clone(), applying.step, applying.marks, applying.restarts))
        }
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            None
        }
    };
    let intent = after.phase.intent().or_else(|| before.phase.intent());
    // A fence is no switch; its beginning and its end are all there is to say of it.
    let Some(intent) = intent.filter(|intent| intent.plan != Plan::Fence) else { return };
    let (was, is) = (applying(before), applying(after));
    if was.is_none()
        && let Some((_, _, marks, _)) = &is
        && let Some(drained_at) = marks.drained_at
    {
        telemetry.emit(events::SwitchDrained {
            agent,
            switch: &intent.id,
            generation: intent.generation,
            drain_ms: drained_at.since(intent.started_at),
            turns: after.turns.active().count(),
        });
    }
    let was_applied = was.as_ref().is_some_and(|(_, step, ..)| *step == Step::Verifying);
    if let Some((_, Step::Verifying, marks, restarts)) = &is
        && !was_applied
        && let Some(applied_at) = marks.applied_at
    {
        telemetry.emit(events::SwitchApplied {
            agent,
            switch: &intent.id,
            subscription: &intent.to,
            generation: intent.generation,
            apply_ms: applied_at.since(marks.drained_at.or(marks.delivered_at).unwrap_or(applied_at)),
            restarts: *restarts,
        });
    }
}

fn say_attributes(telemetry: &Telemetry, before: &AgentState, after: &AgentState, sender: &'static str) {
    let agent = &after.name;
    match (before.pause, after.pause) {
        (None, Some(pause)) => telemetry.emit(events::AgentPaused { agent, until: pause.until, sender: "operator" }),
        (Some(_), None) => telemetry.emit(events::AgentResumed { agent, sender: None, reason: None }),
        (None, None) | (Some(_), Some(_)) => {}
    }
    match (&before.pin, &after.pin) {
        (old, Some(pin)) if old.as_ref() != Some(pin) => {
            telemetry.emit(events::AgentPinned { agent, subscription: pin, sender: "operator" });
        }
        (Some(_), None) => telemetry.emit(events::AgentUnpinned { agent, sender }),
        (_, Some(_)) | (None, None) => {}
    }
    if let Some(until) = after.braked_until.filter(|until| before.braked_until != Some(*until)) {
        let count = u32::try_from(after.budget.len()).unwrap_or(u32::MAX);
        telemetry.emit(events::AgentBraked { agent, count, until: Some(until) });
    }
    let (was_exhausted, was_parked) =
        (matches!(before.phase, Phase::Exhausted { .. }), matches!(before.phase, Phase::Parked { .. }));
    match &after.phase {
        Phase::Exhausted { earliest, .. } if !was_exhausted => telemetry.emit(events::AgentExhausted {
            agent,
            subscription: after.subscription(),
            generation: after.assignment.as_ref().map(|current| current.generation),
            kind: after.trouble.as_ref().map(|trouble| trouble.kind),
            failure: after.trouble.as_ref().and_then(|trouble| trouble.failure.as_ref()),
            until: *earliest,
            reason: after.is_misplaced.then_some("the config does not allow what it runs on any more"),
        }),
        Phase::Parked { reason, .. } if !was_parked => telemetry.emit(events::AgentParked {
            agent,
            reason: *reason,
            switch: after.last.as_ref().map(|last| &last.intent.id),
        }),
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Applying(_) if was_parked => {
            telemetry.emit(events::AgentUnparked { agent, sender: "operator" });
        }
        Phase::Serving if before.trouble.is_some() && after.trouble.is_none() && before.phase == after.phase => {
            telemetry.emit(events::AgentWoken {
                agent,
                subscription: after.subscription(),
                generation: after.assignment.as_ref().map(|current| current.generation),
                reason: Some("its own subscription serves again"),
            });
        }
        Phase::Serving
        | Phase::Selecting(_)
        | Phase::Draining(_)
        | Phase::Applying(_)
        | Phase::Exhausted { .. }
        | Phase::Parked { .. } => {}
    }
}

fn say_sighting(telemetry: &Telemetry, before: &AgentState, after: &AgentState) {
    let agent = &after.name;
    let state = |state: &AgentState| state.sighting.as_ref().map_or(RuntimeState::Unknown, |seen| seen.state);
    let (from, to) = (state(before), state(after));
    let life = after.sighting.as_ref().and_then(|seen| seen.instance.as_ref());
    if from != to {
        telemetry.emit(events::AgentRuntimeChanged {
            agent,
            from,
            to,
            instance: life.map(|life| life.id.as_str()),
            started_at: life.map(|life| life.started_at.as_str()),
        });
    }
    let is_unknown = |state: &AgentState| {
        state.assignment.is_none()
            && state.sighting.as_ref().is_some_and(|seen| {
                seen.delivered == Delivered::Unrecognised
                    || (seen.delivered == Delivered::Nothing && seen.state == RuntimeState::Running)
            })
    };
    if is_unknown(after) && !is_unknown(before) {
        telemetry.emit(events::AgentUnassigned { agent, reason: "unknown_credential" });
    }
}
