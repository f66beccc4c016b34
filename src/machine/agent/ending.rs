//! How an intent ends: exactly once, with an outcome that says what is true now (G6, G9, G11).

use std::time::Duration;

use super::deciding::Deciding;
use super::phase::{Applying, Phase, Step};
use super::{anywhere, corroborating, fencing, reporting, selecting, serving, telling, turning};
use crate::domain::{
    Assignment, CauseBy, Change, Fingerprint, Instance, Intent, IntentEnd, IntentMarks, IntentOutcome, IntentRecord,
    NotifyEvent, ParkReason, Plan, Rest,
};
use crate::machine::timer::Timer;

/// How long a target is left out after it could not be applied: first, second and every further time in a row.
const EXCLUSIONS: [Duration; 3] = [Duration::from_secs(60), Duration::from_secs(300), Duration::from_secs(1800)];

/// So many failures in a row, and a person is needed.
const APPLY_FAILURES_MAX: u32 = 3;

/// How soon a failed switch is tried again, on another target if there is one.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How soon an agent is looked at again whose switch an operator cancelled, or whose container is missing.
const LOOK_LATER: Duration = Duration::from_secs(60);

/// Ends an intent before anything was delivered. The agent is as it was; its trouble is looked at again.
pub(super) fn give_up(d: &mut Deciding<'_>, outcome: IntentOutcome, reason: Option<String>) {
    let Some(Closed { intent, .. }) = close(d, outcome, reason) else { return };
    let now = d.wall();
    // One message per switch, however it ended (G11); one that was called off is nobody's news.
    if intent.plan == Plan::Switch && outcome != IntentOutcome::Cancelled {
        tell(d, &intent, outcome);
    }
    if intent.cause.by == CauseBy::Pin {
        // It is not there: a pin that is not kept would only hold the agent where it is.
        d.state.pin = None;
    }
    if intent.plan == Plan::Fence {
        d.state.turns.fence_from = Some(d.now.due_after(EXCLUSIONS[0]));
        if intent.cause.by == CauseBy::Operator && outcome != IntentOutcome::Cancelled {
            // What an operator ordered is tried once: who ordered it is there to order it again.
            fencing::forgo(d);
        }
        // Whatever was put off when it was opened, or has failed meanwhile, is found by a look.
        try_again(d, TRY_AGAIN);
        return reporting::judge_held(d);
    }
    match outcome {
        IntentOutcome::Failed | IntentOutcome::RolledBack => {
            let times = (d.state.apply_failures as usize).min(EXCLUSIONS.len() - 1);
            match intent.plan {
                Plan::Switch => {
                    d.state.exclusions.insert(intent.to.clone(), now.plus(EXCLUSIONS[times]));
                    d.state.apply_failures += 1;
                }
                // The agent works on what it has: no reason to wait for a person.
                Plan::Rollover => {
                    d.state.exclusions.insert(intent.to.clone(), now.plus(EXCLUSIONS[1]));
                }
                // Its own way of waiting: it is no switch, and has a budget.
                Plan::Fence => {}
                Plan::Recover => {
                    d.state.is_up = false;
                    d.state.apply_failures += 1;
                }
            }
            if d.state.apply_failures >= APPLY_FAILURES_MAX {
                park(d, ParkReason::ApplyFailed);
            } else {
                try_again(d, TRY_AGAIN);
            }
        }
        IntentOutcome::Cancelled | IntentOutcome::NoContainer => {
            if intent.cause.by != CauseBy::Operator && outcome == IntentOutcome::Cancelled {
                d.state.exclusions.insert(intent.to.clone(), now.plus(EXCLUSIONS[0]));
            }
            try_again(d, if serving::must_be_brought_up(d) { TRY_AGAIN } else { LOOK_LATER });
        }
        IntentOutcome::UnderWay | IntentOutcome::Ready | IntentOutcome::NotReady | IntentOutcome::NotRunning => {}
    }
    reporting::judge_held(d);
}

/// Looks at the agent and its trouble again; where nobody could be picked before, at the pool.
fn try_again(d: &mut Deciding<'_>, after: Duration) {
    d.state.timers.set(Timer::Retry, d.now.due_after(after));
    if matches!(d.state.phase, Phase::Exhausted { .. }) {
        d.state.timers.set(Timer::Wake, d.now.due_after(after));
    }
}

/// The target cannot be used after all: another one is picked at once (D3).
pub(super) fn target_lost(d: &mut Deciding<'_>, reason: String) {
    let until = match &d.state.phase {
        Phase::Draining(draining) if draining.intent.plan == Plan::Switch => Some(draining.until),
        Phase::Serving
        | Phase::Selecting(_)
        | Phase::Draining(_)
        | Phase::Applying(_)
        | Phase::Exhausted { .. }
        | Phase::Parked { .. } => None,
    };
    let Some(Closed { intent, .. }) = close(d, IntentOutcome::Cancelled, Some(reason)) else { return };
    d.state.drain_until = until;
    d.state.exclusions.insert(intent.to.clone(), d.wall().plus(EXCLUSIONS[0]));
    if intent.plan == Plan::Recover {
        d.state.is_up = false;
    }
    try_again(d, TRY_AGAIN);
    reporting::judge_held(d);
    if !d.state.phase.is_switching() {
        serving::look(d);
    }
}

/// Ends an intent whose credential is in place: its generation is current from now on, whatever the outcome.
pub(super) fn complete(d: &mut Deciding<'_>, outcome: IntentOutcome, reason: Option<String>) {
    let was_exhausted = matches!(d.state.phase.rest(), Rest::Exhausted { .. });
    if outcome == IntentOutcome::NotRunning {
        let by = d.state.phase.intent().map(|intent| intent.id.clone());
        turning::cut_off(d, |_| true, by.as_ref(), "the agent does not run any more");
    }
    let Some(Closed { intent, marks, before, credential }) = close(d, outcome, reason) else { return };
    let now = d.wall();
    let is_new = intent.generation > d.state.generation();
    if is_new {
        let replaces = d.state.generation();
        // From the delivery on work may run on it, and fail on it: a failure observed since then is its own (A4).
        let since = marks.delivered_at.unwrap_or(now);
        let assignment = Assignment { subscription: intent.to.clone(), generation: intent.generation, since };
        d.state.assignment = Some(assignment.clone());
        d.state.replaced = before;
        if let Some(issued) = d.state.recent.iter_mut().rev().find(|issued| issued.generation == intent.generation) {
            issued.is_used = true;
        }
        d.change(Change::Assigned { agent: d.state.name.clone(), assignment, replaces });
        anywhere::clear_trouble(d);
        d.state.shunned_until = None;
        d.state.phase = Phase::Serving;
        reporting::drop_ambiguous(d);
    }
    if intent.plan != Plan::Fence {
        // What an earlier life of the daemon has delivered is learned by the next look.
        d.state.credential = credential;
    }
    d.save();
    d.state.is_up = true;
    let was_restarted = d.state.last.as_ref().and_then(|last| last.end.as_ref()).is_some_and(|end| end.restarts > 0);
    if was_restarted && !is_new {
        // The life was ended by us: what it wrote cannot be borne out by the end of the next one.
        corroborating::ended(d, marks.applied_at.unwrap_or(now), true);
    }
    if intent.plan != Plan::Fence {
        d.state.apply_failures = 0;
        d.state.exclusions.remove(&intent.to);
    }
    if matches!(intent.plan, Plan::Switch | Plan::Rollover) {
        d.state.switched_at = Some(now);
        d.state.timers.set(Timer::Settle, d.now.due_after(d.policy.settle));
    }
    if intent.plan == Plan::Switch {
        tell(d, &intent, outcome);
        if was_exhausted {
            selecting::recovered(d);
        }
    }
    reporting::judge_held(d);
    if matches!(d.state.phase, Phase::Serving) && d.state.trouble.is_some() {
        serving::reconsider(d);
    }
    if !d.state.phase.is_switching() {
        // What was last seen is the life that has ended. The runtime's hint of the next one came while the intent
        // was open, and whose word a report is depends on who runs now (E7).
        serving::look(d);
    }
}

fn tell(d: &mut Deciding<'_>, intent: &Intent, outcome: IntentOutcome) {
    let id = format!("switch-{}", intent.id.number);
    let said = telling::switched(intent, outcome);
    serving::notify_about(d, Some(intent.id.clone()), NotifyEvent::Switch, &id, said);
}

/// The credential is in place and the agent cannot be made to run on it: a person has to look.
pub(super) fn stuck(d: &mut Deciding<'_>, reason: String) {
    complete(d, IntentOutcome::NotReady, Some(reason));
    if !d.state.phase.is_switching() {
        park(d, ParkReason::ApplyFailed);
    }
}

/// What is left of an intent.
struct Closed {
    intent: Intent,
    marks: IntentMarks,
    before: Option<Instance>,
    credential: Option<Fingerprint>,
}

/// Closes the open intent; the agent rests where it rested before.
fn close(d: &mut Deciding<'_>, outcome: IntentOutcome, reason: Option<String>) -> Option<Closed> {
    let rest = d.state.phase.rest();
    let (closed, restarts, cut_off) = match std::mem::replace(&mut d.state.phase, rest.into()) {
        Phase::Draining(draining) => {
            let (intent, marks) = (draining.intent, IntentMarks::default());
            (Closed { intent, marks, before: None, credential: None }, 0, draining.cut_off)
        }
        Phase::Applying(applying) => {
            debug_assert!(!outcome.is_delivered() || applying.delivered.is_some() || applying.step != Step::Delivering);
            let Applying { intent, marks, delivered, last_life, credential, restarts, cut_off, .. } = *applying;
            let before = last_life.or_else(|| delivered.and_then(|delivered| delivered.before));
            (Closed { intent, marks, before, credential }, restarts, cut_off)
        }
        other @ (Phase::Serving | Phase::Selecting(_) | Phase::Exhausted { .. } | Phase::Parked { .. }) => {
            d.state.phase = other;
            return None;
        }
    };
    d.state.timers.stop(Timer::Retry);
    d.state.timers.stop(Timer::Drain);
    d.state.obstacle = None;
    // The effect under way, if any, is about an intent that has ended: its outcome is stale.
    d.state.attempt = d.state.attempt.wrapping_add(1);
    let (id, marks) = (closed.intent.id.clone(), closed.marks);
    let end = IntentEnd { id, outcome, finished_at: d.wall(), marks, turns_cut_off: cut_off, restarts, reason };
    d.state.last = Some(IntentRecord { intent: closed.intent.clone(), end: Some(end.clone()) });
    d.change(Change::IntentClosed(end));
    d.save();
    if matches!(d.state.phase, Phase::Exhausted { .. }) {
        // Its wake-up was put aside when the intent was opened.
        d.state.timers.set(Timer::Wake, d.now.due_after(LOOK_LATER));
    }
    Some(closed)
}

pub(super) fn park(d: &mut Deciding<'_>, reason: ParkReason) {
    let now = d.wall();
    d.state.phase = Phase::Parked { reason, since: now };
    for timer in [Timer::Wake, Timer::Brake, Timer::Retry] {
        d.state.timers.stop(timer);
    }
    d.save();
    let text = format!("{} waits for a person and is left alone: {}", d.state.name, telling::parked(reason));
    serving::notify(d, NotifyEvent::Parked, &format!("parked-{}", now.0), text);
}
