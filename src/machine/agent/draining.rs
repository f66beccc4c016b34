//! Draining: an intent is open and nothing has been touched. The preflight finds out whether it can be done;
//! until it passes, the intent can be given up at no cost (G1, G10).

use std::time::Duration;

use super::anywhere::{Inner, inner};
use super::deciding::Deciding;
use super::event::{About, Action, EffectOutcome, IgnoreReason, Obstacle, Refusal, Reply};
use super::phase::{Applying, Draining, Phase, Step, Ticket};
use super::reporting::{self, Finding};
use super::{applying, ending, fencing, serving, turning};
use crate::domain::{
    Apply, Cause, CauseBy, Delivered, Disposition, IntentMarks, IntentOutcome, Outcome, Plan, RuntimeState, Sighting,
};
use crate::machine::policy::RuntimeKind;
use crate::machine::pool::Wanted;
use crate::machine::preflight;
use crate::machine::timer::Timer;

/// How soon a preflight is tried again while the runtime does not answer, at first and at most.
const PREFLIGHT_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// A switch that was asked for by a turn and cancelled by an operator is not asked for again before this time.
const ASK_LATER: Duration = Duration::from_secs(60);

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Began | Inner::Timer(Timer::Retry) => go_on(d),
        // What moves the agent ends the work as well, and better.
        Inner::Failing(_) if fencing::can_be_called_off(d) && !is_resumed(d) && serving::may_be_moved(d) => {
            fencing::call_off(d, "a switch takes its place");
            inner(d, event);
        }
        Inner::Switch { .. } if fencing::can_be_called_off(d) && !is_resumed(d) => {
            fencing::call_off(d, "a switch takes its place");
            inner(d, event);
        }
        Inner::Failing(failing) => reporting::settle(d, failing.waiting, Finding::of(Outcome::Repeat)),
        Inner::Timer(Timer::Drain) => drained(d),
        Inner::Switch { ticket, wanted, cause } if cause.by == CauseBy::Pin && !is_resumed(d) => {
            pinned(d, ticket, wanted, cause);
        }
        Inner::Switch { ticket, .. } => d.refuse(ticket, Refusal::SwitchInProgress),
        Inner::Cancel { ticket } if is_resumed(d) => d.refuse(ticket, Refusal::TooLate),
        Inner::Cancel { ticket } => {
            // Whoever waits for a turn would ask for the next one at once.
            d.state.turns.ask_from = Some(d.now.due_after(ASK_LATER));
            call_off(d, "cancelled by an operator");
            d.reply(ticket, Reply::Done);
        }
        Inner::Unpark { ticket } => d.refuse(ticket, Refusal::NotParked),
        Inner::Outcome(EffectOutcome::Preflight(Ok(sighting))) => passed(d, sighting),
        Inner::Outcome(EffectOutcome::Seen(Ok(sighting))) if is_resumed(d) => resumed(d, sighting),
        // There is no more to find out.
        Inner::Outcome(EffectOutcome::Seen(Ok(sighting))) if is_fence(d) => passed(d, sighting),
        Inner::Outcome(EffectOutcome::Preflight(Err(obstacle)) | EffectOutcome::Seen(Err(obstacle))) => {
            held_up(d, obstacle);
        }
        // Something has changed about the agent: what waits for a better moment is tried now.
        Inner::Reconsider if d.state.timers.get(Timer::Retry).is_some() => {
            d.state.timers.stop(Timer::Retry);
            go_on(d);
        }
        // A life that has ended has ended what was waited for.
        Inner::Reconsider if is_waiting(d) => find_out(d),
        Inner::Picked(_)
        | Inner::PoolChanged
        | Inner::Reconsider
        | Inner::Timer(
            Timer::Wake | Timer::Brake | Timer::Pause | Timer::Settle | Timer::Turns | Timer::Claims | Timer::Better,
        )
        | Inner::Outcome(
            EffectOutcome::Seen(_)
            | EffectOutcome::Delivered(_)
            | EffectOutcome::Restarted(_)
            | EffectOutcome::Reloaded(_)
            | EffectOutcome::Ready(_),
        ) => {
            d.ignore(IgnoreReason::NotNow);
        }
    }
}

/// After a restart of the daemon the first thing is to see how far the intent had got.
fn go_on(d: &mut Deciding<'_>) {
    let Phase::Draining(draining) = &d.state.phase else { return };
    if draining.is_resumed { d.act(Action::Look { has: None }) } else { find_out(d) }
}

/// Whether nobody has looked since the daemon ended: the credential may be in place.
fn is_resumed(d: &Deciding<'_>) -> bool {
    matches!(&d.state.phase, Phase::Draining(draining) if draining.is_resumed)
}

fn is_waiting(d: &Deciding<'_>) -> bool {
    matches!(&d.state.phase, Phase::Draining(draining) if draining.waits)
}

fn is_fence(d: &Deciding<'_>) -> bool {
    d.state.phase.intent().is_some_and(|intent| intent.plan == Plan::Fence)
}

/// An operator wants nothing done: neither a switch, nor what only an operator wanted ended.
pub(super) fn call_off(d: &mut Deciding<'_>, reason: &str) {
    if is_fence(d) {
        fencing::forgo(d);
    }
    ending::give_up(d, IntentOutcome::Cancelled, Some(reason.to_owned()));
}

/// Whether a pause gives the intent up. The start of a process agent is no switch, and is not held up by it.
pub(super) fn can_be_paused(d: &Deciding<'_>) -> bool {
    match &d.state.phase {
        Phase::Draining(draining) => !draining.is_resumed && !serving::must_be_brought_up(d),
        Phase::Serving | Phase::Selecting(_) | Phase::Applying(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            false
        }
    }
}

fn find_out(d: &mut Deciding<'_>) {
    let Phase::Draining(draining) = &d.state.phase else { return };
    if draining.intent.plan == Plan::Fence {
        return d.act(Action::Look { has: None });
    }
    let (intent, to, by) = (draining.intent.id.clone(), draining.intent.to.clone(), draining.intent.cause.by);
    // What an operator or the daemon's own start decided is not called into question by a cooldown.
    let force = !by.is_automatic();
    let view = d.view(Wanted::This { to: to.clone(), force }, by, None);
    d.act(Action::Preflight { intent, view, to });
}

pub(super) fn begin(d: &mut Deciding<'_>) {
    find_out(d);
}

/// The credential may have been put in place before the daemon ended: then there is no way back (G6).
fn resumed(d: &mut Deciding<'_>, sighting: Sighting) {
    let Phase::Draining(draining) = &mut d.state.phase else { return };
    draining.is_resumed = false;
    let moves = draining.intent.plan == Plan::Rollover || draining.intent.from.as_ref() != Some(&draining.intent.to);
    let is_delivered = sighting.delivered == Delivered::Subscription(draining.intent.to.clone());
    if moves && is_delivered {
        d.state.sighting = Some(sighting);
        point_of_no_return(d, Step::Delivering);
        // What belongs to a delivery may be half done. The same is written once more, and if that is refused now, what
        // is in place counts.
        if let Phase::Applying(applying) = &mut d.state.phase {
            applying.is_doubtful = true;
        }
        return applying::deliver(d);
    }
    if d.policy.is_monitor_only {
        return call_off(d, "the agent is monitor-only");
    }
    if d.state.pause.is_some() && can_be_paused(d) && !fencing::is_ordered(d) {
        return call_off(d, "paused");
    }
    find_out(d);
}

fn passed(d: &mut Deciding<'_>, mut sighting: Sighting) {
    let (is_fence, began_at) = (is_fence(d), sighting.facts.began_at());
    let hindrance = hindrance(d, &mut sighting).filter(|_| !is_fence);
    if is_fence && matches!(sighting.state, RuntimeState::Stopped | RuntimeState::Missing) {
        d.state.sighting = Some(sighting);
        return fencing::is_moot(d);
    }
    turning::end_with_life(d, &sighting, began_at);
    match (sighting.state, d.policy.runtime) {
        (RuntimeState::Missing, RuntimeKind::Container) => {
            d.state.sighting = Some(sighting);
            return ending::give_up(d, IntentOutcome::NoContainer, Some("there is no container".to_owned()));
        }
        (RuntimeState::Unknown, RuntimeKind::Container | RuntimeKind::Process) => {
            let text = "the agent's state is not known".to_owned();
            return held_up(d, Obstacle { disposition: Disposition::Transient, about: About::Runtime, text });
        }
        (RuntimeState::Running | RuntimeState::Stopped, RuntimeKind::Container | RuntimeKind::Process)
        | (RuntimeState::Missing, RuntimeKind::Process) => {}
    }
    d.state.sighting = Some(sighting);
    // It was made so while this was under way, and nothing was touched yet.
    if d.policy.is_monitor_only {
        return call_off(d, "the agent is monitor-only");
    }
    if let Some(text) = hindrance {
        return held_up(d, Obstacle { disposition: Disposition::Permanent, about: About::Agent, text });
    }
    d.state.obstacle = None;
    if must_wait(d) {
        return wait(d);
    }
    if is_fence {
        point_of_no_return(d, Step::Looking);
        return applying::look(d);
    }
    point_of_no_return(d, Step::Delivering);
    applying::deliver(d);
}

/// Whether running turns may still end before anything is done that ends them (G2, G12).
fn must_wait(d: &Deciding<'_>) -> bool {
    let Phase::Draining(draining) = &d.state.phase else { return false };
    let runs = d.state.sighting.as_ref().is_some_and(|seen| seen.state == RuntimeState::Running);
    applying::how(d) == Apply::Restart && runs && !draining.until.is_past(d.now) && turning::is_busy(d)
}

/// It can be done. Running turns have until the deadline; then, or when the last one has ended, it is found out again
/// whether it still can be done (D3).
fn wait(d: &mut Deciding<'_>) {
    let Phase::Draining(draining) = &mut d.state.phase else { return };
    draining.waits = true;
    let until = draining.until;
    d.state.timers.set(Timer::Drain, until);
}

/// Nothing is waited for any more.
fn drained(d: &mut Deciding<'_>) {
    d.state.timers.stop(Timer::Drain);
    let Phase::Draining(draining) = &mut d.state.phase else { return };
    if std::mem::take(&mut draining.waits) {
        find_out(d);
    }
}

/// Goes on with what waited for turns to end, if the last one has.
pub(super) fn go_on_if_idle(d: &mut Deciding<'_>) {
    if turning::is_busy(d) {
        return;
    }
    match &d.state.phase {
        Phase::Draining(draining) if draining.waits => drained(d),
        Phase::Applying(applying) if applying.step == Step::Emptying => applying::emptied(d),
        Phase::Serving
        | Phase::Selecting(_)
        | Phase::Draining(_)
        | Phase::Applying(_)
        | Phase::Exhausted { .. }
        | Phase::Parked { .. } => {}
    }
}

/// What would keep the agent from using the target's credential (G1).
fn hindrance(d: &mut Deciding<'_>, sighting: &mut Sighting) -> Option<String> {
    let facts = serving::take_facts(d, sighting);
    let to = d.state.phase.intent().map(|intent| &intent.to)?;
    let found = preflight::hindrances(d.policy, d.policy.kinds.get(to).copied(), &facts);
    (!found.is_empty()).then(|| found.join("; "))
}

/// Pinned before the point of no return: the switch is called off unless it goes there (G10).
fn pinned(d: &mut Deciding<'_>, ticket: Ticket, wanted: Wanted, cause: Cause) {
    let pin = match &wanted {
        Wanted::This { to, .. } => Some(to.clone()),
        Wanted::Another | Wanted::Any | Wanted::Preferred | Wanted::Roomier => None,
    };
    if pin.is_some() && pin.as_ref() == d.state.phase.intent().map(|intent| &intent.to) {
        d.state.pin = pin;
        d.save();
        return d.reply(ticket, Reply::Done);
    }
    ending::give_up(d, IntentOutcome::Cancelled, Some("pinned to another subscription".to_owned()));
    if pin.is_some() && pin.as_ref() == d.state.subscription() {
        d.state.pin = pin;
        d.save();
        return d.reply(ticket, Reply::Done);
    }
    inner(d, Inner::Switch { ticket, wanted, cause });
}

fn point_of_no_return(d: &mut Deciding<'_>, step: Step) {
    let rest = d.state.phase.rest();
    let Phase::Draining(draining) = std::mem::replace(&mut d.state.phase, rest.into()) else { return };
    let Draining { intent, rest, cut_off, .. } = *draining;
    d.state.timers.stop(Timer::Drain);
    let marks = IntentMarks { drained_at: Some(d.now.wall), delivered_at: None, applied_at: None };
    d.state.phase = Phase::Applying(Box::new(Applying { marks, cut_off, ..Applying::begun(intent, rest, step) }));
}

/// Nothing was touched: what will pass is waited for, what is the target's fault is given up for another one.
fn held_up(d: &mut Deciding<'_>, obstacle: Obstacle) {
    d.state.obstacle = Some(obstacle.text.clone());
    let Phase::Draining(draining) = &mut d.state.phase else { return };
    // As long as the credential may be in place, giving up is the last resort.
    let is_fence = draining.intent.plan == Plan::Fence;
    let may_be_delivered = !is_fence && draining.is_resumed && draining.retries < applying::REFUSED_LOOKS_MAX;
    match (obstacle.disposition, obstacle.about) {
        (Disposition::Transient | Disposition::InDoubt, About::Runtime | About::Agent | About::Target) => put_off(d),
        (Disposition::Permanent, About::Runtime | About::Agent | About::Target) if may_be_delivered => put_off(d),
        (Disposition::Permanent, About::Target) if !is_fence => ending::target_lost(d, obstacle.text),
        (Disposition::Permanent, About::Agent | About::Runtime | About::Target) => {
            ending::give_up(d, IntentOutcome::Failed, Some(obstacle.text));
        }
    }
}

fn put_off(d: &mut Deciding<'_>) {
    let Phase::Draining(draining) = &mut d.state.phase else { return };
    draining.retries = draining.retries.saturating_add(1);
    let wait = serving::backoff(draining.retries, PREFLIGHT_AGAIN);
    d.state.timers.set(Timer::Retry, d.now.due_after(wait));
}
