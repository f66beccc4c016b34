//! Moves that no failure asks for (F5): away from a subscription that is nearly used up, or back to one that is preferred.
//!
//! Both are off unless the config says otherwise. They need an agent that works where it is, has been there for the dwell
//! time, and may be moved; failing back also needs one that nobody works on. Where callers take no turns nobody knows
//! whether the agent is at work, so it is never failed back. What is better is up to the pool.
//!
//! Tests: `tests/voluntary_rules.rs`.

use std::time::Duration;

use super::deciding::Deciding;
use super::phase::Phase;
use super::serving;
use crate::domain::{Cause, CauseBy, Due, RuntimeState, Wall};
use crate::machine::pool::Wanted;
use crate::machine::timer::Timer;

/// How often it is looked whether there is something better.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// Sees to it that it is looked, if it is wanted; the last thing in every step.
pub(super) fn arm(d: &mut Deciding<'_>) {
    if !d.policy.voluntary.are_wanted() {
        return d.state.timers.stop(Timer::Better);
    }
    let Some(dwelled_at) = dwelled_at(d) else { return };
    if d.state.timers.get(Timer::Better).is_none() && matches!(d.state.phase, Phase::Serving) {
        let due = if dwelled_at > d.wall() { Due::At(dwelled_at) } else { d.now.due_after(AGAIN) };
        d.state.timers.set(Timer::Better, due);
    }
}

/// Looks whether there is something better.
pub(super) fn consider(d: &mut Deciding<'_>) {
    let policy = d.policy.voluntary;
    if !may_be_asked(d) {
        return;
    }
    if policy.fail_back && is_idle(d) {
        d.select(Wanted::Preferred, Cause::of(CauseBy::Failback), None, None);
    } else if policy.are_proactive {
        d.select(Wanted::Roomier, Cause::of(CauseBy::Proactive), None, None);
    }
}

/// There is nothing better of that sort; of the other there may be.
pub(super) fn found_none(d: &mut Deciding<'_>, wanted: &Wanted) {
    if *wanted == Wanted::Preferred && d.policy.voluntary.are_proactive && may_be_asked(d) {
        d.select(Wanted::Roomier, Cause::of(CauseBy::Proactive), None, None);
    }
}

fn may_be_asked(d: &Deciding<'_>) -> bool {
    let runs = d.state.sighting.as_ref().is_some_and(|seen| seen.state == RuntimeState::Running);
    let is_well = d.state.trouble.is_none() && d.state.obstacle.is_none();
    let has_dwelled = dwelled_at(d).is_some_and(|at| at <= d.wall());
    matches!(d.state.phase, Phase::Serving) && runs && is_well && has_dwelled && serving::may_be_moved(d)
}

/// When it will have been for long enough where it is.
fn dwelled_at(d: &Deciding<'_>) -> Option<Wall> {
    d.state.assignment.as_ref().map(|assignment| assignment.since.plus(d.policy.voluntary.dwell))
}

/// Nobody has a turn or waits for one, and callers do take turns.
fn is_idle(d: &Deciding<'_>) -> bool {
    d.state.turns.issued() > 0 && d.state.turns.is_quiet()
}
