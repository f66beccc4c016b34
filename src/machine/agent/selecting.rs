//! Selecting: the pool has been asked. It lasts for one question and is never committed.

use std::time::Duration;

use super::anywhere::{Inner, inner};
use super::deciding::Deciding;
use super::event::{EffectOutcome, IgnoreReason, Pick, Refusal, Reply};
use super::phase::{Draining, Phase, Selecting, Ticket};
use super::reporting::{self, Finding, Waited};
use super::serving::{self, Gate};
use super::{draining, ending, parked};
use crate::domain::duration::spread;
use crate::domain::{
    AgentRecord, Assignment, Cause, CauseBy, Change, CooldownKey, Due, FailureKind, Generation, Intent, Issued,
    NotifyEvent, Outcome, ParkReason, Plan, Rest, SubscriptionName, TurnId, Wall,
};
use crate::machine::pool::Wanted;
use crate::machine::timer::Timer;

/// An exhausted agent asks again after this time even if no reset is known.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(10 * 60);

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
    d.state.is_halted = matches!(pick, Pick::Halted { .. });
    match pick {
        Pick::To(to) if Some(&to) == d.state.subscription() => {
            d.release();
            keep(d, *selecting);
        }
        Pick::To(to) => go(d, *selecting, to),
        Pick::Keep | Pick::None { .. } | Pick::Halted { .. } | Pick::Shadowed { .. } | Pick::Unavailable
            if selecting.wanted.is_voluntary() =>
        {
            nothing_better(d, *selecting);
        }
        Pick::Keep => keep(d, *selecting),
        Pick::None { earliest, is_own_turn, reason } => {
            let wake = earliest.map(|at| if is_own_turn { at } else { at.plus(jitter(d)) });
            nobody(d, *selecting, earliest, wake, &reason);
        }
        Pick::Shadowed { rows } => shadowed(d, *selecting, rows),
        Pick::Halted { reason } => halted(d, *selecting, &reason),
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
    if selecting.cause.by.is_budgeted() {
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
    let intent = Intent { observed_at, ..intent(d, plan, generation, to, cause) };
    open(d, intent, rest);
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
    let (rest, generation) = (d.state.phase.rest(), d.state.generation());
    let intent = intent(d, Plan::Recover, generation, to, cause);
    open(d, intent, rest);
}

/// Gives an agent the changed credential of the subscription it runs on. What it fails on until then is about the old
/// one: hence a generation of its own.
pub(super) fn roll_over(d: &mut Deciding<'_>) {
    let Some(to) = d.state.subscription().cloned() else { return };
    let generation = d.state.issued.next();
    d.state.issued = generation;
    let rest = d.state.phase.rest();
    let intent = intent(d, Plan::Rollover, generation, to, Cause::of(CauseBy::Rollover));
    open(d, intent, rest);
}

/// Ends the work of a turn: the same assignment, nothing to pick and nothing to deliver.
pub(super) fn open_fence(d: &mut Deciding<'_>, on: Assignment, cause: Cause, turn: TurnId) {
    let rest = d.state.phase.rest();
    let intent = intent(d, Plan::Fence, on.generation, on.subscription, cause);
    open(d, Intent { turn: Some(turn), ..intent }, rest);
}

/// An intent that begins now.
fn intent(d: &mut Deciding<'_>, plan: Plan, generation: Generation, to: SubscriptionName, cause: Cause) -> Intent {
    let (id, now) = (d.state.next_intent(), d.wall());
    let from = d.state.subscription().cloned();
    Intent { id, plan, generation, from, to, cause, observed_at: now, started_at: now, turn: None }
}

/// Opens an intent and starts its preflight.
fn open(d: &mut Deciding<'_>, intent: Intent, rest: Rest) {
    if intent.generation > d.state.generation() {
        let (generation, subscription) = (intent.generation, intent.to.clone());
        d.state.recent.push(Issued { generation, subscription, is_used: false });
        let over = d.state.recent.len().saturating_sub(AgentRecord::ISSUED_MAX);
        d.state.recent.drain(..over);
    }
    for timer in [Timer::Wake, Timer::Brake, Timer::Retry] {
        d.state.timers.stop(timer);
    }
    d.change(Change::IntentOpened(intent.clone()));
    d.save();
    let carried = d.state.drain_until.take().filter(|_| intent.plan == Plan::Switch);
    let until = carried.unwrap_or_else(|| d.now.due_after(d.policy.drain));
    let draining = Draining { intent, rest, retries: 0, is_resumed: false, until, waits: false, cut_off: 0 };
    d.state.phase = Phase::Draining(Box::new(draining));
    draining::begin(d);
}

/// The subscription that the agent runs on serves again: nothing to do but say so.
fn keep(d: &mut Deciding<'_>, selecting: Selecting) {
    // A refused login serves again because its credential has changed (E1); the agent still has the old one.
    let has_old_credential = d.state.trouble.as_ref().is_some_and(|trouble| trouble.kind == FailureKind::Auth);
    super::anywhere::clear_trouble(d);
    d.state.shunned_until = None;
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

/// Says that an agent that was exhausted goes on.
pub(super) fn recovered(d: &mut Deciding<'_>) {
    let on = d.state.subscription().map_or_else(String::new, |on| format!(" on {on}"));
    let (id, text) = (format!("woken-{}", d.wall().0), format!("{} goes on{on}", d.state.name));
    serving::notify(d, NotifyEvent::Woken, &id, text);
}

/// Nobody can be picked.
fn nobody(d: &mut Deciding<'_>, selecting: Selecting, earliest: Option<Wall>, wake: Option<Wall>, reason: &str) {
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
            let text = format!("{} has no subscription left and waits{when}", d.state.name);
            serving::notify(d, NotifyEvent::Exhausted, &format!("exhausted-{}", now.0), text);
            now
        }
    };
    let wake = wake.unwrap_or_else(|| now.plus(ASK_AGAIN));
    d.state.timers.set(Timer::Wake, Due::At(wake.max(now.plus(POOL_AGAIN))));
    d.state.timers.stop(Timer::Brake);
    d.state.phase = Phase::Exhausted { since, earliest };
    d.save();
    for waiting in selecting.waiting {
        let finding = Finding::of(Outcome::Exhausted).until(earliest, now).earliest(earliest).because(reason);
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), finding);
    }
}

/// It stays where it is; whoever reported a failure meanwhile is judged by it.
fn nothing_better(d: &mut Deciding<'_>, selecting: Selecting) {
    let Selecting { wanted, waiting, .. } = selecting;
    for waiting in waiting {
        inner_again(d, waiting);
    }
    super::voluntary::found_none(d, &wanted);
}

/// A key of the agent's own wins over what it is given (E5): what it said of subscriptions is taken back, and a person
/// is asked.
fn shadowed(d: &mut Deciding<'_>, selecting: Selecting, rows: Vec<CooldownKey>) {
    d.release();
    for row in rows {
        d.change(Change::CooldownLifted(row));
    }
    super::anywhere::clear_trouble(d);
    ending::park(d, ParkReason::CredentialShadowed);
    for waiting in selecting.waiting {
        let finding = Finding::of(Outcome::Recorded).because(
            "logins were refused on two subscriptions in a row, and to nobody else: the agent is parked, for a key in its own \
             environment or files seems to win over what it is given",
        );
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), finding);
    }
}

/// Nothing is switched by itself (E6): it stays where it is until that is over, which the pool tells.
fn halted(d: &mut Deciding<'_>, selecting: Selecting, reason: &str) {
    wake_again(d, ASK_AGAIN);
    d.state.timers.set(Timer::Retry, d.now.due_after(ASK_AGAIN));
    if d.state.is_sighting_old {
        // It was begun a moment ago, and nobody has seen that yet.
        serving::look(d);
    }
    d.state.turns.ask_from = Some(d.now.due_after(ASK_AGAIN));
    d.save();
    for waiting in selecting.waiting {
        let finding = Finding::of(Outcome::Recorded).because(format!("automatic switching is halted: {reason}"));
        reporting::settle(d, Waited::Reporter(Box::new(waiting)), finding);
    }
}

/// The pool did not answer: the trouble is known and recorded, and looked at again soon.
fn unavailable(d: &mut Deciding<'_>, selecting: Selecting) {
    d.state.timers.set(Timer::Retry, d.now.due_after(POOL_AGAIN));
    wake_again(d, POOL_AGAIN);
    d.state.turns.ask_from = Some(d.now.due_after(POOL_AGAIN));
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
    spread(d.state.name.as_str(), d.state.intents, d.policy.jitter)
}

/// Whether a trouble may move an exhausted agent now; the gate's timers are armed if not.
pub(super) fn is_open(d: &mut Deciding<'_>) -> bool {
    match serving::gate(d) {
        Gate::Open | Gate::WaitOut(_) => true,
        Gate::MonitorOnly | Gate::SwitchingOff | Gate::Paused | Gate::Pinned | Gate::Braked(_) => false,
    }
}
