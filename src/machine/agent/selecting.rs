//! Selecting: the pool has been asked. It lasts for one question and is never committed.

use std::time::Duration;

use super::anywhere::{Inner, inner};
use super::deciding::Deciding;
use super::event::{EffectOutcome, IgnoreReason, Pick, Refusal, Reply};
use super::phase::{Draining, Phase, Selecting, Ticket};
use super::reporting::{self, Finding, Waited};
use super::serving::{self, Gate};
use super::{draining, parked};
use crate::domain::{
    AgentRecord, Cause, CauseBy, Change, Due, FailureKind, Generation, Intent, Issued, NotifyEvent, Outcome, Plan,
    Rest, SubscriptionName, Wall,
};
use crate::machine::pool::Wanted;
use crate::machine::timer::Timer;

/// An exhausted agent asks again after this time even if no reset is known.
const ASK_AGAIN: Duration = Duration::from_secs(10 * 60);

/// An agent whose pool did not answer asks again after this time.
const POOL_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Picked(pick) => picked(d, pick),
        Inner::Failing(failing) => wait(d, failing.waiting),
        Inner::Switch { ticket, .. } => d.refuse(ticket, Refusal::SwitchInProgress),
        // Whoever cancels means what is under way: the pick comes within moments, and can be cancelled then.
        Inner::Cancel { ticket } => d.refuse(ticket, Refusal::NoSwitch),
        Inner::Unpark { ticket } => unpark(d, ticket),
        Inner::Outcome(EffectOutcome::Seen(_)) => look_later(d),
        // A timer that fires now would only ask the same question: it is asked again when the answer is no.
        Inner::Timer(timer) => {
            d.state.timers.set(timer, d.now.due_after(POOL_AGAIN));
            d.ignore(IgnoreReason::NotNow);
        }
        Inner::Began
        | Inner::PoolChanged
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

/// What was seen or hinted at now is looked at again, unless the pick leads to an intent, which looks by itself.
pub(super) fn look_later(d: &mut Deciding<'_>) {
    d.state.timers.set(Timer::Retry, d.now.due_after(POOL_AGAIN));
    d.ignore(IgnoreReason::NotNow);
}

/// An operator's switch is under way from a parked agent: it will not be parked again if nothing comes of it.
fn unpark(d: &mut Deciding<'_>, ticket: Ticket) {
    let Phase::Selecting(selecting) = &mut d.state.phase else { return d.refuse(ticket, Refusal::NotParked) };
    if !matches!(selecting.rest, Rest::Parked { .. }) {
        return d.refuse(ticket, Refusal::NotParked);
    }
    selecting.rest = Rest::Serving;
    parked::forgive(d);
    d.reply(ticket, Reply::Done);
    look_later(d);
}

/// A reporter is answered by what comes of the selection under way.
pub(super) fn wait(d: &mut Deciding<'_>, waited: Waited) {
    match (&mut d.state.phase, waited) {
        (Phase::Selecting(selecting), Waited::Reporter(waiting)) => selecting.waiting.push(*waiting),
        (_, waited) => reporting::settle(d, waited, Finding::of(Outcome::Switching)),
    }
}

fn picked(d: &mut Deciding<'_>, pick: Pick) {
    let rest = d.state.phase.rest();
    let Phase::Selecting(selecting) = std::mem::replace(&mut d.state.phase, rest.into()) else {
        return d.ignore(IgnoreReason::NotNow);
    };
    match pick {
        Pick::To(to) if Some(&to) == d.state.subscription() => {
            d.release();
            keep(d, *selecting);
        }
        Pick::To(to) => go(d, *selecting, to),
        Pick::Keep => keep(d, *selecting),
        Pick::None { earliest, reason } => nobody(d, *selecting, earliest, &reason),
        Pick::Unavailable => unavailable(d, *selecting),
    }
}

/// A target is reserved: the intent is opened.
fn go(d: &mut Deciding<'_>, selecting: Selecting, to: SubscriptionName) {
    // Whatever came while the pool was asked holds: a pause wins over a pick (G10), but not over the start of a
    // process agent, which is no switch.
    if selecting.operator.is_none() && d.state.pause.is_some() && !serving::must_be_brought_up(d) {
        d.release();
        return drop_pick(d, selecting, "the agent is paused");
    }
    let plan = if selecting.cause.by == CauseBy::Recovery { Plan::Recover } else { Plan::Switch };
    if matches!(selecting.cause.by, CauseBy::Failure | CauseBy::Wake) {
        d.state.budget.push(d.wall());
        let over = d.state.budget.len().saturating_sub(AgentRecord::BUDGET_MAX);
        d.state.budget.drain(..over);
    }
    if selecting.cause.by == CauseBy::Pin {
        d.state.pin = Some(to.clone());
    }
    let generation = d.state.issued.next();
    d.state.issued = generation;
    let Selecting { cause, observed_at, rest, waiting, operator, .. } = selecting;
    open(d, plan, generation, to, cause, observed_at, rest);
    let id = d.state.phase.intent().map(|intent| intent.id.clone());
    if let (Some(ticket), Some(id)) = (operator, id) {
        d.reply(ticket, Reply::Switching(id));
    }
    let mut outcome = if operator.is_some() { Outcome::Repeat } else { Outcome::Switching };
    for waiting in waiting {
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), Finding::of(outcome));
        outcome = Outcome::Repeat;
    }
}

/// Brings an agent up on the assignment it has: the same generation, nothing to pick.
pub(super) fn recover(d: &mut Deciding<'_>, to: SubscriptionName, cause: Cause) {
    let (rest, generation, now) = (d.state.phase.rest(), d.state.generation(), d.wall());
    open(d, Plan::Recover, generation, to, cause, now, rest);
}

/// Gives an agent the changed credential of the subscription it runs on. What it fails on until then is about the old
/// one: hence a generation of its own.
pub(super) fn roll_over(d: &mut Deciding<'_>) {
    let Some(to) = d.state.subscription().cloned() else { return };
    let generation = d.state.issued.next();
    d.state.issued = generation;
    let (rest, now) = (d.state.phase.rest(), d.wall());
    open(d, Plan::Rollover, generation, to, Cause::of(CauseBy::Rollover), now, rest);
}

/// Opens an intent and starts its preflight.
fn open(
    d: &mut Deciding<'_>,
    plan: Plan,
    generation: Generation,
    to: SubscriptionName,
    cause: Cause,
    observed_at: Wall,
    rest: Rest,
) {
    let intent = Intent {
        id: d.state.next_intent(),
        plan,
        generation,
        from: d.state.subscription().cloned(),
        to: to.clone(),
        cause,
        observed_at,
        started_at: d.wall(),
    };
    if generation > d.state.generation() {
        d.state.recent.push(Issued { generation, subscription: to, is_used: false });
        let over = d.state.recent.len().saturating_sub(AgentRecord::ISSUED_MAX);
        d.state.recent.drain(..over);
    }
    for timer in [Timer::Wake, Timer::Brake, Timer::Retry] {
        d.state.timers.stop(timer);
    }
    d.change(Change::IntentOpened(intent.clone()));
    d.save();
    d.state.phase = Phase::Draining(Box::new(Draining { intent, rest, retries: 0, is_resumed: false }));
    draining::begin(d);
}

/// The subscription that the agent runs on serves again: nothing to do but say so.
fn keep(d: &mut Deciding<'_>, selecting: Selecting) {
    // A refused login serves again because its credential has changed (E1); the agent still has the old one.
    let has_old_credential = d.state.trouble.as_ref().is_some_and(|trouble| trouble.kind == FailureKind::Auth);
    super::anywhere::clear_trouble(d);
    match selecting.rest {
        Rest::Exhausted { .. } => {
            recovered(d);
            d.state.phase = Phase::Serving;
            d.state.timers.stop(Timer::Wake);
        }
        Rest::Serving => d.state.timers.stop(Timer::Wake),
        Rest::Parked { .. } => {}
    }
    d.save();
    if let Some(ticket) = selecting.operator {
        d.refuse(ticket, Refusal::runs_on_it());
    }
    // A process agent that does not run yet serves only once it is started.
    if has_old_credential && d.state.credential.is_some() && !serving::must_be_brought_up(d) {
        // What has changed about it is found by a look, and rolled out then.
        serving::look(d);
    } else if (selecting.cause.by == CauseBy::Recovery || has_old_credential || serving::must_be_brought_up(d))
        && let Some(has) = d.state.subscription().cloned()
    {
        recover(d, has, Cause::of(CauseBy::Recovery));
    }
    for waiting in selecting.waiting {
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), Finding::of(Outcome::Recorded));
    }
}

/// Says that an agent that was exhausted works again.
pub(super) fn recovered(d: &mut Deciding<'_>) {
    let (id, text) = (format!("recovered-{}", d.wall().0), format!("{} works again", d.state.name));
    serving::notify(d, NotifyEvent::Recovered, &id, text);
}

/// Nobody can be picked.
fn nobody(d: &mut Deciding<'_>, selecting: Selecting, earliest: Option<Wall>, reason: &str) {
    let now = d.wall();
    if let Some(ticket) = selecting.operator {
        let is_named = matches!(selecting.wanted, Wanted::This { .. });
        d.refuse(ticket, Refusal::NotEligible { reason: reason.to_owned(), earliest, is_named });
        // The agent rests as before; its timers were left alone.
        for waiting in selecting.waiting {
            inner_again(d, waiting);
        }
        return;
    }
    let since = match selecting.rest {
        Rest::Exhausted { since, .. } => since,
        Rest::Serving | Rest::Parked { .. } => {
            let when = earliest.map_or_else(String::new, |at| {
                format!("; the first comes back in {} min", at.since(now).as_secs().div_ceil(60))
            });
            let text = format!("{} has no subscription left{when}", d.state.name);
            serving::notify(d, NotifyEvent::Exhausted, &format!("exhausted-{}", now.0), text);
            now
        }
    };
    let wake = earliest.map_or_else(|| now.plus(ASK_AGAIN), |at| at.plus(jitter(d)));
    d.state.timers.set(Timer::Wake, Due::At(wake.max(now.plus(POOL_AGAIN))));
    d.state.timers.stop(Timer::Brake);
    d.state.phase = Phase::Exhausted { since, earliest };
    d.save();
    for waiting in selecting.waiting {
        let finding = Finding::of(Outcome::Exhausted).until(earliest, now).earliest(earliest).because(reason);
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), finding);
    }
}

/// The pool did not answer: the trouble is known and recorded, and looked at again soon.
fn unavailable(d: &mut Deciding<'_>, selecting: Selecting) {
    d.state.timers.set(Timer::Retry, d.now.due_after(POOL_AGAIN));
    wake_again(d, POOL_AGAIN);
    if let Some(ticket) = selecting.operator {
        d.refuse(ticket, Refusal::Unavailable);
    }
    d.save();
    for waiting in selecting.waiting {
        let finding = Finding::of(Outcome::Recorded).because("the pool does not answer; tried again in a moment");
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), finding);
    }
}

/// An exhausted agent that was not answered wakes again: its wake-up was used up by the question.
fn wake_again(d: &mut Deciding<'_>, after: Duration) {
    if matches!(d.state.phase, Phase::Exhausted { .. }) {
        d.state.timers.set(Timer::Wake, d.now.due_after(after));
    }
}

fn drop_pick(d: &mut Deciding<'_>, selecting: Selecting, reason: &str) {
    wake_again(d, ASK_AGAIN);
    d.save();
    for waiting in selecting.waiting {
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), Finding::of(Outcome::Recorded).because(reason));
    }
}

/// A reporter that had waited for an operator's selection, which came to nothing: judged by itself.
fn inner_again(d: &mut Deciding<'_>, waiting: super::phase::Waiting) {
    let (subscription, is_repeat) = (d.state.subscription().cloned(), d.state.phase.is_switching());
    if is_repeat {
        return wait(d, Waited::Reporter(Box::new(waiting)));
    }
    let failing = reporting::Failing { waiting: Waited::Reporter(Box::new(waiting)), subscription, cooldown: None };
    inner(d, Inner::Failing(Box::new(failing)));
}

/// Spreads wake-ups: up to the configured jitter, always the same for the same agent and number.
fn jitter(d: &Deciding<'_>) -> Duration {
    // FNV-1a: cheap, stable between versions, and good enough to spread names.
    let seed = d.state.name.as_str().bytes().chain(d.state.intents.to_le_bytes());
    let hash =
        seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let most = u64::try_from(d.policy.jitter.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if most == 0 { 0 } else { (hash >> 16) % (most + 1) })
}

/// Whether a trouble may move an exhausted agent now; the gate's timers are armed if not.
pub(super) fn is_open(d: &mut Deciding<'_>) -> bool {
    match serving::gate(d) {
        Gate::Open | Gate::WaitOut(_) => true,
        Gate::SwitchingOff | Gate::Paused | Gate::Pinned | Gate::Braked(_) => false,
    }
}
