//! Events that mean the same in every phase, and the way to the phase for the others.

use super::deciding::Deciding;
use super::event::{Command, EffectOutcome, Event, IgnoreReason, Pick, Refusal, Reply};
use super::phase::{Phase, Ticket};
use super::{
    applying, corroborating, draining, exhausted, parked, reconfigured, reporting, selecting, serving, turning,
    voluntary,
};
use crate::domain::{Cause, CauseBy, Change, Due, NotifyEvent, Pause, SubscriptionName, Wall};
use crate::machine::pool::Wanted;
use crate::machine::timer::Timer;

/// What is left for the phases to tell apart.
pub(super) enum Inner {
    /// The first event of a life.
    Began,
    /// A failure of the current assignment, recorded and about to be acted on.
    Failing(Box<reporting::Failing>),
    /// An operator wants it moved.
    Switch { ticket: Ticket, wanted: Wanted, cause: Cause },
    /// An operator wants the switch under way given up.
    Cancel { ticket: Ticket },
    /// An operator has seen to it.
    Unpark { ticket: Ticket },
    /// The pool has answered.
    Picked(Pick),
    /// The pool has something new.
    PoolChanged,
    /// An effect has ended.
    Outcome(EffectOutcome),
    /// A timer is due.
    Timer(Timer),
    /// A brake, a pause or a pin has gone: look again at what is to be done.
    Reconsider,
}

pub(super) fn handle(d: &mut Deciding<'_>, event: Event) {
    decide(d, event);
    turning::see_to(d);
    voluntary::arm(d);
}

fn decide(d: &mut Deciding<'_>, event: Event) {
    match event {
        Event::Began => inner(d, Inner::Began),
        Event::Report { ticket, report, digest, stamp, count } => {
            reporting::handle(d, ticket, *report, digest, &stamp, count);
        }
        Event::Counted { failure, count, read_to } => {
            if let Some(position) = read_to {
                d.change(Change::LogRead(d.state.name.clone(), position));
            }
            d.change(Change::FailureCounted { id: failure, count });
        }
        Event::Operator { ticket, command } => operator(d, ticket, command),
        Event::Turn { ticket, request } => turning::handle(d, ticket, request),
        Event::Withdrawn { ticket } => turning::withdraw(d, ticket),
        Event::Shunned { subscription, until } => {
            if d.state.subscription() == Some(&subscription) && d.state.shunned_until != until {
                d.state.shunned_until = until;
            } else {
                d.ignore(IgnoreReason::NothingNew);
            }
        }
        Event::Ended { at, was_killed } => corroborating::ended(d, at, was_killed),
        Event::Agreed { subscription, kind } => corroborating::agreed(d, &subscription, kind),
        Event::Picked { selection, pick } => {
            if selection == d.state.selection {
                inner(d, Inner::Picked(pick));
            } else {
                d.ignore(IgnoreReason::Stale);
            }
        }
        Event::PoolChanged { lifted } => {
            if lifted.is_some() && lifted.as_ref() == d.state.subscription() {
                clear_trouble(d);
            }
            if d.state.is_halted {
                // Whoever waits for a turn need not wait for the next look.
                d.state.turns.ask_from = None;
            }
            inner(d, Inner::PoolChanged);
        }
        Event::Outcome { attempt, outcome } => {
            if attempt == d.state.attempt {
                inner(d, Inner::Outcome(outcome));
            } else {
                d.ignore(IgnoreReason::Stale);
            }
        }
        Event::RuntimeChanged => runtime_changed(d),
        Event::Reconfigured => reconfigured::handle(d),
        Event::Retired => reconfigured::retire(d),
        Event::Tick => tick(d),
    }
}

/// Hands an event to the phase the agent is in.
pub(super) fn inner(d: &mut Deciding<'_>, event: Inner) {
    match d.state.phase {
        Phase::Serving => serving::handle(d, event),
        Phase::Selecting(_) => selecting::handle(d, event),
        Phase::Draining(_) => draining::handle(d, event),
        Phase::Applying(_) => applying::handle(d, event),
        Phase::Exhausted { .. } => exhausted::handle(d, event),
        Phase::Parked { .. } => parked::handle(d, event),
    }
}

fn tick(d: &mut Deciding<'_>) {
    let mut fired = 0;
    while let Some(timer) = d.state.timers.take_due(d.now) {
        fired += 1;
        match timer {
            Timer::Pause => resume(d),
            Timer::Settle => reporting::judge_ambiguous(d),
            Timer::Claims => corroborating::expire(d),
            Timer::Turns => turning::expire(d),
            Timer::Better => voluntary::consider(d),
            Timer::Retry | Timer::Drain | Timer::Brake | Timer::Wake => inner(d, Inner::Timer(timer)),
        }
        // A timer that re-arms itself in the past must not spin: the next tick sees to it.
        if fired == Timer::ALL.len() {
            break;
        }
    }
    if fired == 0 {
        d.ignore(IgnoreReason::NothingNew);
    }
}

/// In a phase that rests a hint is worth a look; an intent looks where it needs to.
fn runtime_changed(d: &mut Deciding<'_>) {
    // What begins from now on may begin in a life that nobody has seen yet.
    d.state.is_sighting_old = true;
    match d.state.phase {
        Phase::Serving | Phase::Exhausted { .. } | Phase::Parked { .. } => serving::look(d),
        Phase::Draining(_) | Phase::Applying(_) => inner(d, Inner::Reconsider),
        Phase::Selecting(_) => selecting::look_later(d),
    }
}

fn operator(d: &mut Deciding<'_>, ticket: Ticket, command: Command) {
    match command {
        Command::Switch { .. } | Command::Pin { .. } if d.policy.is_monitor_only => {
            d.refuse(ticket, Refusal::MonitorOnly);
        }
        Command::Switch { to, force, reason } => {
            if let Some(pin) = d.state.pin.clone().filter(|pin| to.as_ref() != Some(pin)) {
                return d.refuse(ticket, Refusal::Pinned(pin));
            }
            if to.is_some() && to.as_ref() == d.state.subscription() && !d.state.phase.is_moving() {
                return d.refuse(ticket, Refusal::runs_on_it());
            }
            let wanted = to.map_or(Wanted::Another, |to| Wanted::This { to, force });
            let cause = Cause { reason, ..Cause::of(CauseBy::Operator) };
            inner(d, Inner::Switch { ticket, wanted, cause });
        }
        Command::CancelSwitch => inner(d, Inner::Cancel { ticket }),
        Command::Pause { until } => {
            pause(d, until);
            d.reply(ticket, Reply::Done);
        }
        Command::Resume => {
            resume(d);
            d.reply(ticket, Reply::Done);
        }
        Command::Pin { to } => pin(d, ticket, to),
        Command::Unpin => {
            if d.state.pin.take().is_some() {
                d.save();
                inner(d, Inner::Reconsider);
            }
            d.reply(ticket, Reply::Done);
        }
        Command::Unpark => inner(d, Inner::Unpark { ticket }),
    }
}

/// Before the point of no return a pause gives the switch up; after it the switch is finished (G10).
fn pause(d: &mut Deciding<'_>, until: Option<Wall>) {
    d.state.pause = Some(Pause { until });
    match until {
        Some(until) => d.state.timers.set(Timer::Pause, Due::At(until)),
        None => d.state.timers.stop(Timer::Pause),
    }
    d.save();
    if draining::can_be_paused(d) {
        draining::call_off(d, "paused");
    }
}

fn resume(d: &mut Deciding<'_>) {
    d.state.timers.stop(Timer::Pause);
    if d.state.pause.take().is_some() {
        d.save();
        inner(d, Inner::Reconsider);
    }
}

/// A pin beats policy: pinning to another subscription is an operator's switch, forced.
fn pin(d: &mut Deciding<'_>, ticket: Ticket, to: SubscriptionName) {
    if d.state.subscription() == Some(&to) && !d.state.phase.is_moving() {
        d.state.pin = Some(to);
        d.save();
        return d.reply(ticket, Reply::Done);
    }
    let wanted = Wanted::This { to, force: true };
    inner(d, Inner::Switch { ticket, wanted, cause: Cause::of(CauseBy::Pin) });
}

/// The present subscription is good again. What is tried again is none of the trouble's business: an open intent,
/// or a look that failed, goes on.
pub(super) fn clear_trouble(d: &mut Deciding<'_>) {
    if d.state.trouble.take().is_some() {
        if d.state.braked_until.take().is_some() {
            // Told when the trouble is over and not when the switches refill: what follows then is told by itself.
            let (id, text) = (format!("unbraked-{}", d.wall().0), format!("{} has what it needs again", d.state.name));
            serving::notify(d, NotifyEvent::Recovered, &id, text);
        }
        d.state.noted = None;
        d.state.timers.stop(Timer::Wake);
        d.state.timers.stop(Timer::Brake);
        d.save();
    }
}
