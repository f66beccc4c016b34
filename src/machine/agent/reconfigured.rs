//! What the user decided has changed while the agent works: what it runs on, or is on its way to, may not be allowed any
//! more; or the agent itself is none of ours any more.
//!
//! A subscription that is no longer allowed is left once the agent was looked at, by a switch of cause `reload` that is
//! not counted. Before the point of no return a switch to it is given up for another target; after it, it is finished,
//! and the agent moved again (G10). A start of the daemon moves nobody: only a change that this life of it has seen does
//! (B8).
//!
//! It must not compare policies: whoever sends the event knows that there is a difference.
//!
//! Tests: `tests/machine_reconfigured.rs`, `tests/transition_table.rs`.

use super::anywhere::{Inner, inner};
use super::deciding::Deciding;
use super::event::IgnoreReason;
use super::phase::Phase;
use super::{corroborating, draining, ending, selecting, serving};
use crate::domain::{Cause, CauseBy, Plan, RuntimeState, Sighting, SubscriptionName};
use crate::machine::pool::Wanted;

/// The policy is another one than at the last event.
pub(super) fn handle(d: &mut Deciding<'_>) {
    drop_pin(d);
    corroborating::reconfigured(d);
    let to = d.state.phase.intent().map(|intent| &intent.to);
    d.state.is_misplaced = d.state.subscription().into_iter().chain(to).any(|on| !is_allowed(d, on));
    match d.state.phase {
        // A look comes before whatever follows: what there is to be moved may be gone.
        Phase::Serving | Phase::Parked { .. } => serving::look(d),
        Phase::Exhausted { .. } => inner(d, Inner::Reconsider),
        Phase::Selecting(_) => selecting::look_later(d),
        Phase::Draining(_) if has_lost_its_target(d) => {
            ending::target_lost(d, "the config does not allow it to this agent any more".to_owned());
        }
        // The next step goes by the new policy; the last one leads to a look.
        Phase::Draining(_) | Phase::Applying(_) => d.ignore(IgnoreReason::NothingNew),
    }
}

/// The agent is none of ours any more: what was not begun yet is called off, the rest is finished.
pub(super) fn retire(d: &mut Deciding<'_>) {
    match &d.state.phase {
        Phase::Draining(draining) if !draining.is_resumed => {
            draining::call_off(d, "the agent is not in the config any more");
        }
        Phase::Serving
        | Phase::Selecting(_)
        | Phase::Draining(_)
        | Phase::Applying(_)
        | Phase::Exhausted { .. }
        | Phase::Parked { .. } => d.ignore(IgnoreReason::NotNow),
    }
}

/// Whether the agent runs on what it may not run on any more.
pub(super) fn must_leave(d: &Deciding<'_>) -> bool {
    d.state.is_misplaced && d.state.subscription().is_some_and(|on| !is_allowed(d, on))
}

/// Moves a resting agent that was just seen, if it runs on what it may not run on any more; says whether it does so.
pub(super) fn leaves(d: &mut Deciding<'_>, sighting: &Sighting) -> bool {
    let is_there = match sighting.state {
        RuntimeState::Running | RuntimeState::Stopped => true,
        RuntimeState::Missing | RuntimeState::Unknown => false,
    };
    let may_act = d.policy.switching && !d.policy.is_monitor_only && d.state.pause.is_none();
    if !(must_leave(d) && is_there && may_act) {
        return false;
    }
    leave(d);
    true
}

/// Asks for another subscription, because of the config.
pub(super) fn leave(d: &mut Deciding<'_>) {
    let wanted = match d.state.pin.clone() {
        Some(pin) => Wanted::This { to: pin, force: true },
        None => Wanted::Another,
    };
    let on = d.state.subscription().map_or("it", SubscriptionName::as_str);
    let reason = Some(format!("the config does not allow {on} to this agent any more"));
    d.select(wanted, Cause { reason, ..Cause::of(CauseBy::Reload) }, None, None);
}

fn is_allowed(d: &Deciding<'_>, subscription: &SubscriptionName) -> bool {
    d.policy.subscriptions.contains(subscription)
}

/// A pin to what cannot be had holds the agent for nothing.
fn drop_pin(d: &mut Deciding<'_>) {
    if d.state.pin.as_ref().is_some_and(|pin| !is_allowed(d, pin)) {
        d.state.pin = None;
        d.save();
    }
}

/// A fence goes nowhere; and until somebody has looked, the credential may be in place already.
fn has_lost_its_target(d: &Deciding<'_>) -> bool {
    match &d.state.phase {
        Phase::Draining(draining) => {
            draining.intent.plan != Plan::Fence && !draining.is_resumed && !is_allowed(d, &draining.intent.to)
        }
        Phase::Serving | Phase::Selecting(_) | Phase::Applying(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            false
        }
    }
}
