//! Exhausted: nobody to move to. It waits for the earliest reset, or for the pool to have something new.

use super::anywhere::Inner;
use super::deciding::Deciding;
use super::event::{EffectOutcome, IgnoreReason, Refusal};
use super::phase::Phase;
use super::reconfigured;
use super::reporting::{self, Finding};
use super::selecting;
use super::serving;
use crate::domain::{Cause, CauseBy, Outcome};
use crate::machine::pool::Wanted;
use crate::machine::timer::Timer;

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Began | Inner::Timer(Timer::Retry) => serving::look(d),
        Inner::Failing(failing) => {
            let Phase::Exhausted { earliest, .. } = d.state.phase else { return d.ignore(IgnoreReason::NotNow) };
            let finding = if d.policy.is_monitor_only {
                Finding::of(Outcome::Recorded).because(serving::MONITOR_ONLY)
            } else if d.state.pause.is_some() {
                Finding::of(Outcome::Recorded).because("the agent is paused")
            } else {
                Finding::of(Outcome::Exhausted).until(earliest, d.wall()).earliest(earliest)
            };
            reporting::settle(d, failing.waiting, finding);
        }
        Inner::Switch { ticket, wanted, cause } => d.select(wanted, cause, None, Some(ticket)),
        Inner::Cancel { ticket } => d.refuse(ticket, Refusal::NoSwitch),
        Inner::Unpark { ticket } => d.refuse(ticket, Refusal::NotParked),
        Inner::Picked(_) => {
            d.release();
            d.ignore(IgnoreReason::NotNow);
        }
        Inner::PoolChanged
        | Inner::Timer(Timer::Wake | Timer::Brake | Timer::Pause | Timer::Settle)
        | Inner::Reconsider => wake(d),
        Inner::Outcome(EffectOutcome::Seen(seen)) => serving::see(d, seen),
        Inner::Outcome(
            EffectOutcome::Preflight(_)
            | EffectOutcome::Delivered(_)
            | EffectOutcome::Restarted(_)
            | EffectOutcome::Reloaded(_)
            | EffectOutcome::Ready(_),
        )
        | Inner::Timer(Timer::Drain | Timer::Turns | Timer::Claims | Timer::Better) => d.ignore(IgnoreReason::NotNow),
    }
}

/// Asks the pool again: the subscription that the agent has counts as well, and needs no restart.
fn wake(d: &mut Deciding<'_>) {
    // To be started at all is no switch: neither a pause nor a pin nor the budget holds it up.
    if serving::must_be_brought_up(d) {
        return serving::bring_up(d);
    }
    if reconfigured::must_leave(d) && d.policy.switching && d.state.pause.is_none() {
        return reconfigured::leave(d);
    }
    if (has_own_reset(d) || is_no_longer_shunned(d)) && is_held(d) {
        return serve(d);
    }
    if !selecting::is_open(d) {
        // A gate without a timer of its own is opened by whoever closed it; the wake-up stays armed beside it.
        let again = d.now.due_after(std::time::Duration::from_secs(60));
        if d.state.timers.get(Timer::Wake).is_none() && d.state.timers.get(Timer::Brake).is_none() {
            d.state.timers.set(Timer::Wake, again);
        }
        return;
    }
    d.select(Wanted::Any, Cause::of(CauseBy::Wake), None, None);
}

/// Whether the limit of the subscription that the agent has is over.
fn has_own_reset(d: &Deciding<'_>) -> bool {
    d.state.trouble.as_ref().and_then(|trouble| trouble.until).is_some_and(|until| until <= d.wall())
}

/// Whether it was others who found its subscription used up, and that is over.
fn is_no_longer_shunned(d: &Deciding<'_>) -> bool {
    d.state.trouble.is_none() && d.state.shunned_until.is_some_and(|until| until <= d.wall())
}

/// Whether the agent may not be moved, so that there is nothing to ask the pool for.
fn is_held(d: &mut Deciding<'_>) -> bool {
    let may_act = d.policy.switching && !d.policy.is_monitor_only;
    !may_act || d.state.pause.is_some() || d.state.pin.is_some() || serving::refill_at(d).is_some()
}

/// It goes on where it is (F3).
fn serve(d: &mut Deciding<'_>) {
    selecting::recovered(d);
    d.state.phase = Phase::Serving;
    d.save();
    serving::reconsider(d);
}
