//! Applying: the credential is delivered and the agent started on it, once.
//!
//! ```text
//!   Delivering ──► Looking ──► Restarting ──► Verifying ──► ready · not_ready · not_running
//!                    ▲ │ before              ▲  │
//!                    │ └─ does not run ──────┼──┼─► not_running
//!                    └──── answer lost ──────┘  │
//!                    └──── answer lost ─────────┘
//! ```
//!
//! *Before* is the life of the agent seen after the credential was in place. It is committed before the restart
//! is ordered; from then on a look at the agent tells what to do, whoever asks and however often: another life than
//! *before* means done, *before* still running means not yet, *before* stopped means start it (G5, G6, G8).

use std::time::Duration;

use super::anywhere::Inner;
use super::deciding::Deciding;
use super::event::{Action, EffectOutcome, IgnoreReason, Obstacle, Readiness, Refusal, Start};
use super::phase::{Applying, Delivered, Phase, Step};
use super::reporting::{self, Finding};
use super::{ending, fencing, serving, turning};
use crate::domain::{Apply, Change, Disposition, Fingerprint, IntentOutcome, Outcome, Plan, RuntimeState, Sighting};
use crate::machine::policy::RuntimeKind;
use crate::machine::timer::Timer;

/// How soon a step is tried again while the runtime does not answer, at first and at most.
const STEP_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// So many looks in a row that are refused for good, and a person has to look.
pub(super) const REFUSED_LOOKS_MAX: u32 = 8;

/// What an engine gives a container to end by itself if nothing says otherwise.
const ENGINE_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts that may be ordered within one intent: each is harmless, and a moment of trouble must not leave it down.
const STARTS_MAX: u32 = 8;

/// Orders that may be given within one intent before it is given up: the agent was seen unchanged after each.
const ORDERS_MAX: u32 = 4;

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Began | Inner::Timer(Timer::Retry) => again(d),
        Inner::Failing(failing) => reporting::settle(d, failing.waiting, Finding::of(Outcome::Repeat)),
        Inner::Switch { ticket, .. } => d.refuse(ticket, Refusal::SwitchInProgress),
        Inner::Cancel { ticket } => d.refuse(ticket, Refusal::TooLate),
        Inner::Unpark { ticket } => d.refuse(ticket, Refusal::NotParked),
        Inner::Timer(Timer::Drain) => emptied(d),
        Inner::Outcome(outcome) => match (step(d), outcome) {
            (Some(Step::Delivering), EffectOutcome::Delivered(Ok(credential))) => is_in_place(d, credential),
            (Some(Step::Delivering), EffectOutcome::Delivered(Err(obstacle))) => not_delivered(d, obstacle),
            (Some(Step::Looking), EffectOutcome::Seen(Ok(sighting))) => seen(d, sighting),
            (Some(Step::Emptying), EffectOutcome::Seen(Ok(sighting))) => seen_while_emptying(d, sighting),
            (Some(Step::Looking), EffectOutcome::Seen(Err(_))) if was_a_glance(d) => d.ignore(IgnoreReason::NothingNew),
            (Some(Step::Looking), EffectOutcome::Seen(Err(obstacle))) => put_off(d, obstacle),
            (Some(Step::Restarting), EffectOutcome::Restarted(Ok(()))) => started(d),
            (Some(Step::Restarting), EffectOutcome::Restarted(Err(obstacle))) => not_restarted(d, obstacle),
            (Some(Step::Reloading), EffectOutcome::Reloaded(Ok(()))) => reloaded(d),
            (Some(Step::Reloading), EffectOutcome::Reloaded(Err(obstacle))) => not_reloaded(d, obstacle),
            (Some(Step::Verifying), EffectOutcome::Ready(Ok(readiness))) => verified(d, readiness),
            (Some(Step::Verifying), EffectOutcome::Ready(Err(obstacle))) => put_off(d, obstacle),
            (
                Some(
                    Step::Delivering
                    | Step::Looking
                    | Step::Restarting
                    | Step::Reloading
                    | Step::Emptying
                    | Step::Verifying,
                )
                | None,
                EffectOutcome::Preflight(_)
                | EffectOutcome::Delivered(_)
                | EffectOutcome::Restarted(_)
                | EffectOutcome::Reloaded(_)
                | EffectOutcome::Ready(_)
                | EffectOutcome::Seen(_),
            ) => d.ignore(IgnoreReason::NotNow),
        },
        // Something has changed about the agent: a step that was put off is tried now.
        Inner::Reconsider if is_put_off(d) => {
            d.state.timers.stop(Timer::Retry);
            again(d);
        }
        // An order in doubt is waited for, and may have been carried out by now.
        Inner::Reconsider if waits_for_an_order(d) => glance(d),
        // What is waited for may have ended with its life.
        Inner::Reconsider if step(d) == Some(Step::Emptying) => d.act(Action::Look { has: None }),
        Inner::Picked(_)
        | Inner::PoolChanged
        | Inner::Reconsider
        | Inner::Timer(
            Timer::Wake | Timer::Brake | Timer::Pause | Timer::Settle | Timer::Turns | Timer::Claims | Timer::Better,
        ) => {
            d.ignore(IgnoreReason::NotNow);
        }
    }
}

fn step(d: &Deciding<'_>) -> Option<Step> {
    d.state.phase.applying().map(|applying| applying.step)
}

fn applying<'a>(d: &'a mut Deciding<'_>) -> Option<&'a mut Applying> {
    match &mut d.state.phase {
        Phase::Applying(applying) => Some(applying),
        Phase::Serving | Phase::Selecting(_) | Phase::Draining(_) | Phase::Exhausted { .. } | Phase::Parked { .. } => {
            None
        }
    }
}

/// Whether a step waits for the runtime. An order in doubt waits for itself, and is not hurried.
fn is_put_off(d: &Deciding<'_>) -> bool {
    let has_failed = d.state.phase.applying().is_some_and(|applying| applying.retries > 0);
    has_failed && d.state.timers.get(Timer::Retry).is_some()
}

fn waits_for_an_order(d: &Deciding<'_>) -> bool {
    let is_waiting =
        |applying: &Applying| applying.step == Step::Looking && applying.has_waited && applying.retries == 0;
    d.state.phase.applying().is_some_and(is_waiting) && d.state.timers.get(Timer::Retry).is_some()
}

/// A look beside the wait: it can end the wait, and never makes it longer or shorter.
fn glance(d: &mut Deciding<'_>) {
    let Some(applying) = applying(d) else { return };
    applying.is_glancing = true;
    d.act(Action::Look { has: None });
}

/// Whether the look that has just been answered was one beside the wait; it is over with that.
fn was_a_glance(d: &mut Deciding<'_>) -> bool {
    applying(d).is_some_and(|applying| std::mem::take(&mut applying.is_glancing))
}

/// Does the present step's effect again. An order is never given again without a look.
fn again(d: &mut Deciding<'_>) {
    match step(d) {
        Some(Step::Delivering) => deliver(d),
        Some(Step::Looking | Step::Restarting | Step::Reloading | Step::Emptying) => look(d),
        Some(Step::Verifying) => verify(d),
        None => {}
    }
}

pub(super) fn deliver(d: &mut Deciding<'_>) {
    let before = d.state.subscription_of(d.state.generation_before()).cloned();
    let Some(applying) = applying(d) else { return };
    applying.step = Step::Delivering;
    let intent = &applying.intent;
    let from = intent.from.iter().cloned().chain(before).collect();
    let action =
        Action::Deliver { intent: intent.id.clone(), from, to: intent.to.clone(), generation: intent.generation };
    d.act(action);
}

fn not_delivered(d: &mut Deciding<'_>, obstacle: Obstacle) {
    let Some(applying) = applying(d) else { return };
    match obstacle.disposition {
        // Writing the same credential once more is harmless; not knowing whether it is there is not.
        Disposition::InDoubt => {
            applying.is_doubtful = true;
            // A step after the rename that never comes off must not keep the agent from what is in place.
            if applying.retries >= REFUSED_LOOKS_MAX { look(d) } else { put_off(d, obstacle) }
        }
        // This try did nothing; the one before it may have.
        Disposition::Transient | Disposition::Permanent if applying.is_doubtful => look(d),
        Disposition::Transient | Disposition::Permanent => {
            ending::give_up(d, IntentOutcome::Failed, Some(obstacle.text));
        }
    }
}

fn is_in_place(d: &mut Deciding<'_>, credential: Fingerprint) {
    let Some(applying) = applying(d) else { return };
    applying.credential = Some(credential);
    applying.is_doubtful = false;
    look(d);
}

pub(super) fn look(d: &mut Deciding<'_>) {
    let Some(applying) = applying(d) else { return };
    applying.step = Step::Looking;
    applying.is_glancing = false;
    d.act(Action::Look { has: None });
}

fn put_off(d: &mut Deciding<'_>, obstacle: Obstacle) {
    let Some(applying) = applying(d) else { return };
    applying.retries = applying.retries.saturating_add(1);
    if obstacle.disposition == Disposition::Permanent && applying.retries > REFUSED_LOOKS_MAX {
        return ending::stuck(d, obstacle.text);
    }
    let wait = serving::backoff(applying.retries, STEP_AGAIN);
    d.state.obstacle = Some(obstacle.text);
    d.state.timers.set(Timer::Retry, d.now.due_after(wait));
}

fn seen(d: &mut Deciding<'_>, mut sighting: Sighting) {
    if was_a_glance(d) {
        let before = applying(d).and_then(|applying| applying.delivered.as_ref()?.before.clone());
        if sighting.state == RuntimeState::Unknown
            || sighting.state == RuntimeState::Running && sighting.instance == before
        {
            return d.ignore(IgnoreReason::NothingNew);
        }
        d.state.timers.stop(Timer::Retry);
    }
    let facts = serving::take_facts(d, &mut sighting);
    if sighting.state == RuntimeState::Unknown {
        let text = "the agent's state is not known".to_owned();
        return put_off(d, Obstacle { disposition: Disposition::Transient, about: super::event::About::Runtime, text });
    }
    d.state.obstacle = None;
    let Some(applying) = applying(d) else { return };
    applying.retries = 0;
    applying.stop_timeout = facts.surroundings.and_then(|around| around.stop_timeout).or(applying.stop_timeout);
    match applying.delivered.clone() {
        None if applying.is_doubtful => {
            applying.is_doubtful = false;
            if sighting.delivered == crate::domain::Delivered::Subscription(applying.intent.to.clone()) {
                delivered(d, sighting);
            } else {
                let reason = "the credential could not be put in place".to_owned();
                ending::give_up(d, IntentOutcome::Failed, Some(reason));
            }
        }
        None => delivered(d, sighting),
        Some(known) => compare(d, &known, sighting),
    }
}

/// The credential is in place: the life seen now is the one that must end.
pub(super) fn delivered(d: &mut Deciding<'_>, sighting: Sighting) {
    let now = d.wall();
    let Some(applying) = applying(d) else { return };
    let before = sighting.instance.clone().filter(|_| sighting.state == RuntimeState::Running);
    applying.delivered = Some(Delivered { at: now, before: before.clone() });
    applying.last_life.clone_from(&sighting.instance);
    applying.marks.delivered_at = Some(now);
    let id = applying.intent.id.clone();
    let state = sighting.state;
    d.change(Change::IntentDelivered { id, at: now, before });
    d.state.sighting = Some(sighting);
    if state == RuntimeState::Running {
        make_use(d);
    } else if must_be_started(d) {
        order(d, Order::Start);
    } else {
        // G3: what was not running is not started.
        ending::complete(d, IntentOutcome::NotRunning, Some(format!("the agent is {state}")));
    }
}

/// A process agent is started by the daemon that runs it, when it comes up.
fn must_be_started(d: &Deciding<'_>) -> bool {
    match d.policy.runtime {
        RuntimeKind::Process => {
            d.state.phase.intent().is_some_and(|intent| intent.plan == Plan::Recover || !d.state.is_up)
        }
        RuntimeKind::Container => false,
    }
}

/// The running agent is brought to use what was delivered, in the way that the user chose (G12).
fn make_use(d: &mut Deciding<'_>) {
    if fencing::is_over(d) {
        return verify(d);
    }
    let (apply, now, call_timeout) = (how(d), d.wall(), d.policy.call_timeout);
    let Some(applying) = applying(d) else { return };
    let life = applying.delivered.as_ref().and_then(|delivered| delivered.before.clone());
    match (apply, life) {
        (Apply::Written, _) => {
            applying.marks.applied_at = Some(now);
            ending::complete(d, IntentOutcome::Ready, None);
        }
        (Apply::Reload(by), Some(life)) => {
            applying.step = Step::Reloading;
            let intent = applying.intent.id.clone();
            d.act(Action::Reload { intent, life, by, call_timeout });
        }
        (Apply::Reload(_) | Apply::Restart, _) => order(d, Order::Restart),
    }
}

/// How the agent is brought to use what was delivered, or its work ended.
pub(super) fn how(d: &Deciding<'_>) -> Apply {
    let must_restart = d.state.phase.applying().is_some_and(|applying| applying.must_restart);
    if let Some(intent) = d.state.phase.intent().filter(|intent| intent.plan == Plan::Fence) {
        return if must_restart { Apply::Restart } else { fencing::how(d, intent) };
    }
    d.policy.file.as_ref().filter(|_| !must_restart).map(|file| file.apply.clone()).unwrap_or_default()
}

fn reloaded(d: &mut Deciding<'_>) {
    let now = d.wall();
    let Some(applying) = applying(d) else { return };
    applying.marks.applied_at = Some(now);
    fencing::has_ended_work(d);
    verify(d);
}

/// Told twice is as good as told once, so there is nothing to find out: it is restarted.
fn not_reloaded(d: &mut Deciding<'_>, obstacle: Obstacle) {
    d.state.obstacle = Some(obstacle.text);
    let Some(applying) = applying(d) else { return };
    applying.must_restart = true;
    if turning::is_busy(d) {
        // Nothing was waited for so far (G12).
        applying_step(d, Step::Emptying);
        return d.state.timers.set(Timer::Drain, d.now.due_after(d.policy.drain));
    }
    order(d, Order::Restart);
}

fn applying_step(d: &mut Deciding<'_>, step: Step) {
    if let Some(applying) = applying(d) {
        applying.step = step;
    }
}

/// The life that is to end runs on, or it has ended by itself.
fn seen_while_emptying(d: &mut Deciding<'_>, sighting: Sighting) {
    let before = applying(d).and_then(|applying| applying.delivered.as_ref()?.before.clone());
    let runs_on = sighting.state == RuntimeState::Running && sighting.instance == before;
    if runs_on || sighting.state == RuntimeState::Unknown {
        return d.ignore(IgnoreReason::NothingNew);
    }
    d.state.timers.stop(Timer::Drain);
    applying_step(d, Step::Looking);
    seen(d, sighting);
}

/// Running turns have ended, or had time enough to.
pub(super) fn emptied(d: &mut Deciding<'_>) {
    d.state.timers.stop(Timer::Drain);
    if step(d) == Some(Step::Emptying) {
        order(d, Order::Restart);
    }
}

#[derive(Clone, Copy)]
enum Order {
    Restart,
    Start,
}

fn order(d: &mut Deciding<'_>, order: Order) {
    let (grace, call_timeout) = (d.policy.stop_grace, d.policy.call_timeout);
    let Some(applying) = applying(d) else { return };
    applying.step = Step::Restarting;
    applying.orders += 1;
    applying.starts += u32::from(matches!(order, Order::Start));
    applying.has_waited = false;
    let start = Start {
        intent: applying.intent.id.clone(),
        before: applying.delivered.as_ref().and_then(|delivered| delivered.before.clone()),
        grace,
        call_timeout,
        to: applying.intent.to.clone(),
        generation: applying.intent.generation,
    };
    d.act(match order {
        Order::Restart => Action::Restart(start),
        Order::Start => Action::Start(start),
    });
}

/// The answer to an order was lost, or the daemon was: what the agent is now tells what is left to do.
fn compare(d: &mut Deciding<'_>, known: &Delivered, sighting: Sighting) {
    let (state, is_another_life) = (sighting.state, sighting.instance.is_some() && sighting.instance != known.before);
    d.state.sighting = Some(sighting);
    let restarts = how(d) == Apply::Restart && !fencing::is_over(d);
    let (is_ours_to_start, is_container) = (must_be_started(d), d.policy.runtime == RuntimeKind::Container);
    let Some(applying) = applying(d) else { return };
    let (starts, is_doubtful, had_run) = (applying.starts, applying.is_doubtful, known.before.is_some());
    let (restarts_ordered, has_waited) = (applying.orders - starts, applying.has_waited);
    match (state, is_another_life) {
        (RuntimeState::Running, true) => started(d),
        (RuntimeState::Running, false) if !restarts => make_use(d),
        (RuntimeState::Running, false) if restarts_ordered >= ORDERS_MAX => {
            ending::stuck(d, "the agent runs on although it was told to restart".to_owned());
        }
        // The first order may still be on its way: one more look, a call's time later, before it is repeated.
        (RuntimeState::Running, false) if is_doubtful => {
            (applying.is_doubtful, applying.has_waited) = (false, true);
            let own = applying.stop_timeout.unwrap_or(ENGINE_STOP_TIMEOUT);
            let wait = d.policy.call_timeout.saturating_add(d.policy.stop_grace.unwrap_or(own));
            d.state.timers.set(Timer::Retry, d.now.due_after(wait));
        }
        (RuntimeState::Running, false) if restarts_ordered > 0 && !has_waited => pause(d, restarts_ordered),
        (RuntimeState::Running, false) => order(d, Order::Restart),
        (RuntimeState::Missing, _) if is_container => {
            ending::complete(d, IntentOutcome::NotRunning, Some("the container is gone".to_owned()));
        }
        (RuntimeState::Stopped | RuntimeState::Missing, _) if is_ours_to_start && starts < STARTS_MAX => {
            start(d);
        }
        // G8: it ran before, it was told to restart, it stands still: the start is ours to finish. So it is, once, where
        // a next life has begun and ended before anybody saw it: an engine that goes down takes it along.
        (RuntimeState::Stopped | RuntimeState::Missing, false) if had_run && starts < STARTS_MAX => start(d),
        (RuntimeState::Stopped, true) if had_run && starts == 0 => start(d),
        (RuntimeState::Stopped | RuntimeState::Missing | RuntimeState::Unknown, _) => {
            applying.restarts = u32::from(is_another_life && had_run);
            let reason = if is_another_life { "the agent ended right after its start" } else { "it does not start" };
            ending::complete(d, IntentOutcome::NotRunning, Some(reason.to_owned()));
        }
    }
}

/// Orders a start; before every further one there is a pause, for what refused the last one may pass.
fn start(d: &mut Deciding<'_>) {
    let Some(applying) = applying(d) else { return };
    match applying.starts {
        0 => order(d, Order::Start),
        _ if applying.has_waited => order(d, Order::Start),
        starts => pause(d, starts),
    }
}

/// Waits before the next order; then the agent is looked at again.
fn pause(d: &mut Deciding<'_>, orders: u32) {
    let Some(applying) = applying(d) else { return };
    applying.has_waited = true;
    d.state.timers.set(Timer::Retry, d.now.due_after(serving::backoff(orders, STEP_AGAIN)));
}

/// The next life of the agent has begun, on the new credential.
fn started(d: &mut Deciding<'_>) {
    let now = d.wall();
    d.state.is_up = true;
    let Some(applying) = applying(d) else { return };
    applying.marks.applied_at = Some(now);
    applying.restarts = u32::from(applying.delivered.as_ref().is_some_and(|delivered| delivered.before.is_some()));
    let by = applying.intent.id.clone();
    d.state.is_sighting_old = true;
    turning::cut_off(d, |_| true, Some(&by), "the agent was restarted");
    verify(d);
}

fn verify(d: &mut Deciding<'_>) {
    let timeout = d.policy.ready_timeout;
    let Some(applying) = applying(d) else { return };
    applying.step = Step::Verifying;
    let intent = applying.intent.id.clone();
    d.act(Action::AwaitReady { intent, timeout });
}

fn not_restarted(d: &mut Deciding<'_>, obstacle: Obstacle) {
    let Some(applying) = applying(d) else { return };
    match obstacle.disposition {
        Disposition::InDoubt => applying.is_doubtful = true,
        Disposition::Permanent => {}
        // Orders are few: they are not used up on a runtime that is busy for a moment.
        Disposition::Transient => {
            applying.retries = applying.orders;
            return put_off(d, obstacle);
        }
    }
    d.state.obstacle = Some(obstacle.text);
    look(d);
}

fn verified(d: &mut Deciding<'_>, readiness: Readiness) {
    match readiness {
        Readiness::Ready => ending::complete(d, IntentOutcome::Ready, None),
        Readiness::NotReady => {
            let reason = format!("not healthy within {} s", d.policy.ready_timeout.as_secs());
            ending::complete(d, IntentOutcome::NotReady, Some(reason));
        }
        Readiness::NotRunning => {
            // Nothing begins before the next look has shown what became of it.
            if let Some(seen) = &mut d.state.sighting {
                seen.state = RuntimeState::Stopped;
            }
            ending::complete(d, IntentOutcome::NotRunning, Some("the agent ended after its start".to_owned()));
        }
    }
}
