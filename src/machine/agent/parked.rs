//! Parked: the agent waits for a person. Failures are recorded; nothing is done.

use super::anywhere::Inner;
use super::deciding::Deciding;
use super::event::{EffectOutcome, IgnoreReason, Refusal, Reply};
use super::phase::Phase;
use super::reporting::{self, Finding};
use super::serving;
use crate::domain::{NotifyEvent, Outcome, Rest};
use crate::machine::timer::Timer;

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Began | Inner::Timer(Timer::Retry) => serving::look(d),
        Inner::Failing(failing) => {
            reporting::settle(d, failing.waiting, Finding::of(Outcome::Recorded).because("the agent is parked"));
        }
        Inner::Switch { ticket, wanted, cause } => d.select(wanted, cause, None, Some(ticket)),
        Inner::Cancel { ticket } => d.refuse(ticket, Refusal::NoSwitch),
        Inner::Unpark { ticket } => {
            free(d);
            d.reply(ticket, Reply::Done);
            // Seeing how the agent is comes first; what is to be done about its trouble follows from that.
            serving::look(d);
        }
        Inner::Picked(_) => {
            d.release();
            d.ignore(IgnoreReason::NotNow);
        }
        Inner::Outcome(EffectOutcome::Seen(seen)) => serving::see(d, seen),
        Inner::PoolChanged
        | Inner::Timer(
            Timer::Wake
            | Timer::Brake
            | Timer::Pause
            | Timer::Settle
            | Timer::Drain
            | Timer::Turns
            | Timer::Claims
            | Timer::Better,
        )
        | Inner::Reconsider
        | Inner::Outcome(
            EffectOutcome::Preflight(_)
            | EffectOutcome::Delivered(_)
            | EffectOutcome::Restarted(_)
            | EffectOutcome::Reloaded(_)
            | EffectOutcome::Ready(_),
        ) => d.ignore(IgnoreReason::NotNow),
    }
}

/// A person has seen to it: what was held against the agent's attempts is forgotten.
fn free(d: &mut Deciding<'_>) {
    d.state.phase = Phase::from(Rest::Serving);
    forgive(d);
    let (id, text) =
        (format!("unparked-{}", d.wall().0), format!("{} was unparked and is looked after again", d.state.name));
    serving::notify(d, NotifyEvent::Recovered, &id, text);
}

pub(super) fn forgive(d: &mut Deciding<'_>) {
    d.state.apply_failures = 0;
    d.state.exclusions.clear();
    d.save();
}
