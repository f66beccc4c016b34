//! Fences: the work of a turn is ended whose holder is lost or does not stop, so that its session can go on (H6).
//!
//! A fence is an intent of its own, in the same generation, with a budget of its own. Its restart goes the way of a
//! switch's (`draining`, `applying`), without a delivery. It is called off if the holder shows up before anything is done.

use super::deciding::Deciding;
use super::phase::{Phase, Step};
use super::{ending, selecting, serving, turning};
use crate::domain::{
    Apply, Cause, CauseBy, Due, Fence, Intent, IntentOutcome, Lost, NotifyEvent, Plan, Reload, RuntimeState, Turn,
};

/// Whether the work of this turn is being ended by a fence, so that no heartbeat can call that off.
pub(super) fn is_ending(d: &Deciding<'_>, number: u64) -> bool {
    let is_meant = |intent: &Intent| match (&intent.turn, is_for_one(d)) {
        (Some(turn), true) => turn.number == number,
        (Some(_), false) | (None, _) => true,
    };
    let fence = d.state.phase.intent().filter(|intent| intent.plan == Plan::Fence);
    let is_begun = d.state.phase.applying().is_some_and(|applying| applying.step != Step::Emptying);
    is_begun && fence.is_some_and(is_meant)
}

/// Whether the fence under way has not done anything yet.
fn is_untouched(d: &Deciding<'_>) -> bool {
    match &d.state.phase {
        Phase::Draining(_) => true,
        Phase::Applying(applying) => applying.delivered.is_none() || applying.step == Step::Emptying,
        Phase::Serving | Phase::Selecting(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => false,
    }
}

/// A restart is good for everybody who is lost, a command for one turn.
fn is_for_one(d: &Deciding<'_>) -> bool {
    let must_restart = d.state.phase.applying().is_some_and(|applying| applying.must_restart);
    matches!(d.policy.turns.fence, Fence::Exec(_)) && !must_restart
}

/// Whether an operator has ordered what is under way.
pub(super) fn is_ordered(d: &Deciding<'_>) -> bool {
    d.state.phase.intent().is_some_and(|intent| intent.plan == Plan::Fence && intent.cause.by == CauseBy::Operator)
}

/// Calls off a fence that has nothing left to end; begins one that is due.
pub(super) fn see_to(d: &mut Deciding<'_>) {
    if is_unneeded(d) {
        call_off(d, "the work has ended by itself, or its holder is back");
    }
    match &d.state.phase {
        Phase::Serving | Phase::Exhausted { .. } | Phase::Parked { .. } => begin_if_due(d),
        Phase::Selecting(_) | Phase::Draining(_) | Phase::Applying(_) => {}
    }
}

/// Whether what is under way is a fence that has not ended anything, and whose work is over or goes on after all.
fn is_unneeded(d: &Deciding<'_>) -> bool {
    let Some(intent) = d.state.phase.intent().filter(|intent| intent.plan == Plan::Fence) else { return false };
    let is_for_one = is_for_one(d);
    let is_meant = |turn: &Turn| !is_for_one || intent.turn.as_ref() == Some(&turn.id);
    is_untouched(d) && !d.state.turns.turns().any(|turn| turn.lost.is_some() && is_meant(turn))
}

fn begin_if_due(d: &mut Deciding<'_>) {
    if d.policy.is_monitor_only {
        return;
    }
    let is_ordered = |turn: &&Turn| turn.lost == Some(Lost::Operator);
    let ordered = d.state.turns.turns().find(is_ordered).cloned();
    let Some(turn) = ordered.clone().or_else(|| d.state.turns.turns().find(|turn| turn.lost.is_some()).cloned()) else {
        return;
    };
    let Some(assignment) = d.state.assignment.clone() else { return };
    // Somebody asked for it: what holds back the daemon does not hold back a person.
    if ordered.is_none() && !may_begin(d) {
        return;
    }
    let (by, why) = match turn.lost {
        Some(Lost::Operator) => (CauseBy::Operator, "an operator ends it"),
        Some(Lost::Unacknowledged) => (CauseBy::Turn, "it did not stop when it was asked to"),
        Some(Lost::Silent) | None => (CauseBy::Turn, "it gave no heartbeat for a lease"),
    };
    if by == CauseBy::Turn {
        d.state.turns.note_fence(d.wall());
    }
    let reason = format!("turn {} of {} in session {}: {why}", turn.id, turn.holder, turn.session);
    let text = format!("{} is fenced: {reason}", d.state.name);
    let cause = Cause { reason: Some(reason), ..Cause::of(by) };
    selecting::open_fence(d, assignment, cause, turn.id);
    let number = d.state.intents;
    serving::notify(d, NotifyEvent::Fenced, &format!("fence-{number}"), text);
}

/// Whether the daemon may fence on its own.
fn may_begin(d: &mut Deciding<'_>) -> bool {
    let may_act = matches!(d.state.phase, Phase::Serving)
        && d.policy.switching
        && d.state.pause.is_none()
        && d.policy.turns.fence != Fence::None;
    // A trouble is about to move the agent, which ends the work as well.
    if !may_act || d.state.trouble.is_some() || d.state.turns.fence_from.is_some_and(|from| !from.is_past(d.now)) {
        return false;
    }
    let is_there = d.state.sighting.as_ref().is_none_or(|seen| match seen.state {
        RuntimeState::Running | RuntimeState::Unknown => true,
        RuntimeState::Stopped | RuntimeState::Missing => false,
    });
    if !is_there {
        return false;
    }
    let (budget, now) = (d.policy.budget, d.wall());
    d.state.turns.fences.retain(|at| at.plus(budget.per) > now);
    let Some(refill) = budget.refills_at(d.state.turns.fences.iter().copied(), now) else { return true };
    let text = format!("{} has used up its fences: a session stays blocked until they refill", d.state.name);
    serving::notify(d, NotifyEvent::Braked, &format!("fences-{}", refill.0), text);
    d.state.turns.fence_from = Some(Due::At(refill));
    false
}

/// How the work is ended: the way the user chose. An operator's fence, where the user chose none, is a restart.
pub(super) fn how(d: &Deciding<'_>, intent: &Intent) -> Apply {
    let turn = intent.turn.as_ref().and_then(|id| d.state.turns.turn(id.number));
    match (&d.policy.turns.fence, turn) {
        (Fence::Exec(argv), Some(turn)) => {
            Apply::Reload(Reload::Exec(argv.iter().map(|arg| fill(arg, turn)).collect()))
        }
        (Fence::Exec(_) | Fence::Restart | Fence::None, _) => Apply::Restart,
    }
}

/// Only a whole argument is replaced: what callers call their sessions must not become part of a script.
fn fill(argument: &str, turn: &Turn) -> String {
    match argument {
        "{session}" => turn.session.to_string(),
        "{turn}" => turn.id.to_string(),
        "{agent}" => turn.id.agent.to_string(),
        other => other.to_owned(),
    }
}

/// Whether the turn that a command was to end is over: it came off before the daemon ended, or was not needed.
pub(super) fn is_over(d: &Deciding<'_>) -> bool {
    let fence = d.state.phase.applying().filter(|applying| applying.intent.plan == Plan::Fence);
    let turn = fence.filter(|applying| !applying.must_restart).and_then(|applying| applying.intent.turn.as_ref());
    let is_command = matches!(d.policy.turns.fence, Fence::Exec(_));
    is_command && turn.is_some_and(|turn| d.state.turns.turn(turn.number).is_none())
}

/// The command has come off: the work of that one turn has ended.
pub(super) fn has_ended_work(d: &mut Deciding<'_>) {
    let fence = d.state.phase.intent().filter(|intent| intent.plan == Plan::Fence);
    let Some((by, Some(turn))) = fence.map(|intent| (intent.id.clone(), intent.turn.clone())) else { return };
    turning::cut_off(d, |its| its.id == turn, Some(&by), "its work was ended by the configured command");
}

/// Whether what is under way is a fence that has not begun to do anything.
pub(super) fn can_be_called_off(d: &Deciding<'_>) -> bool {
    matches!(&d.state.phase, Phase::Draining(draining) if draining.intent.plan == Plan::Fence)
}

/// An operator changes their mind: what only an operator wanted ended goes on.
pub(super) fn forgo(d: &mut Deciding<'_>) {
    let ordered: Vec<u64> =
        d.state.turns.turns().filter(|turn| turn.lost == Some(Lost::Operator)).map(|turn| turn.id.number).collect();
    for number in ordered {
        turning::lose(d, number, None);
    }
}

/// Gives a fence up before anything was done: something better ends the work, or there is none to end.
pub(super) fn call_off(d: &mut Deciding<'_>, reason: &str) {
    ending::give_up(d, IntentOutcome::Cancelled, Some(reason.to_owned()));
    d.state.turns.fence_from = None;
}

/// The agent does not run: the work has ended by itself.
pub(super) fn is_moot(d: &mut Deciding<'_>) {
    let by = d.state.phase.intent().map(|intent| intent.id.clone());
    turning::cut_off(d, |_| true, by.as_ref(), "the agent does not run any more");
    ending::give_up(d, IntentOutcome::NotRunning, Some("the agent does not run any more".to_owned()));
}
