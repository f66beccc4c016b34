//! Serving: the agent works, or waits until it may be moved. Here it is decided whether a trouble moves it.

use std::time::Duration;

use super::anywhere::{Inner, clear_trouble};
use super::deciding::Deciding;
use super::event::{Action, EffectOutcome, IgnoreReason, Obstacle, Refusal};
use super::phase::Phase;
use super::reporting::{self, Failing, Finding};
use super::{corroborating, reconfigured, selecting, telling, turning};
pub(super) use crate::domain::duration::backoff;
use crate::domain::{
    Assignment, Cause, CauseBy, Change, Delivered, Due, Facts, FailureKind, Fingerprint, Generation, IntentId, Issued,
    Notification, NotifyEvent, Outcome, Plan, RuntimeState, Sighting, SubscriptionName, SubscriptionType, Wall,
};
use crate::machine::policy::RuntimeKind;
use crate::machine::pool::Wanted;
use crate::machine::preflight;
use crate::machine::timer::Timer;

/// Why nothing is done about an agent that is only observed.
pub(super) const MONITOR_ONLY: &str = "the agent is monitor-only: it is observed and never touched";

/// How soon an agent that cannot be looked at is looked at again, at first and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How soon an agent is looked at again if the last look was never answered.
const LOOK_UNANSWERED: Duration = Duration::from_secs(120);

/// So far apart are two changes of a credential that are rolled out: a source that gives another one each time it is
/// read must not keep its agents from working.
const ROLL_OVER_APART: Duration = Duration::from_secs(10 * 60);

/// How soon a missing container is looked for again while a trouble waits for it.
const LOOK_FOR_MISSING: Duration = Duration::from_secs(60);

pub(super) fn handle(d: &mut Deciding<'_>, event: Inner) {
    match event {
        Inner::Began => look(d),
        Inner::Failing(failing) => fail(d, *failing),
        Inner::Switch { ticket, wanted, cause } => d.select(wanted, cause, None, Some(ticket)),
        Inner::Cancel { ticket } => d.refuse(ticket, Refusal::NoSwitch),
        Inner::Unpark { ticket } => d.refuse(ticket, Refusal::NotParked),
        Inner::Picked(_) => {
            d.release();
            d.ignore(IgnoreReason::NotNow);
        }
        // A credential that nobody knew may be known now.
        Inner::PoolChanged if is_without_start(d) => look(d),
        // Nothing could be switched, and now it may be.
        Inner::PoolChanged if std::mem::take(&mut d.state.is_halted) => reconsider(d),
        Inner::PoolChanged => d.ignore(IgnoreReason::NothingNew),
        Inner::Outcome(EffectOutcome::Seen(seen)) => see(d, seen),
        Inner::Outcome(
            EffectOutcome::Preflight(_)
            | EffectOutcome::Delivered(_)
            | EffectOutcome::Restarted(_)
            | EffectOutcome::Reloaded(_)
            | EffectOutcome::Ready(_),
        )
        | Inner::Timer(Timer::Drain | Timer::Turns | Timer::Claims | Timer::Better) => d.ignore(IgnoreReason::NotNow),
        // Whatever was put off: first see how the agent is, then decide.
        Inner::Timer(Timer::Retry) => {
            d.state.is_halted = false;
            look(d);
        }
        // A wake-up: where the own reset is over, the subscription serves again without a restart (C8, F3).
        Inner::Timer(Timer::Wake | Timer::Brake | Timer::Pause | Timer::Settle) | Inner::Reconsider => reconsider(d),
    }
}

/// Why a trouble does not move the agent now.
pub(super) enum Gate {
    /// The config says: never touch this one.
    MonitorOnly,
    /// The config says: never act.
    SwitchingOff,
    /// An operator says: not now.
    Paused,
    /// An operator says: stay there.
    Pinned,
    /// The budget is used up until then.
    Braked(Wall),
    /// The reset is so near that it is waited for.
    WaitOut(Wall),
    /// Nothing stands in the way.
    Open,
}

/// What stands between a trouble and a switch. Arms the timer that opens the gate again, if time does (B9).
pub(super) fn gate(d: &mut Deciding<'_>) -> Gate {
    let now = d.wall();
    let until = d.state.trouble.as_ref().and_then(|trouble| trouble.until);
    if d.policy.is_monitor_only {
        // What is over is forgotten, so that the agent is shown as it is.
        if let Some(until) = until {
            d.state.timers.set(Timer::Wake, Due::At(until));
            d.save();
        }
        return Gate::MonitorOnly;
    }
    if !d.policy.switching {
        return Gate::SwitchingOff;
    }
    if d.state.pause.is_some() {
        return Gate::Paused;
    }
    if d.state.pin.is_some() {
        if let Some(until) = until {
            d.state.timers.set(Timer::Wake, Due::At(until));
            d.save();
        }
        return Gate::Pinned;
    }
    if let Some(until) = until.filter(|until| until.since(now) <= d.policy.wait_out) {
        d.state.timers.set(Timer::Wake, Due::At(until));
        d.save();
        return Gate::WaitOut(until);
    }
    if let Some(refill) = refill_at(d) {
        if d.state.braked_until.replace(refill).is_none_or(|known| known <= now) {
            let minutes = refill.since(now).as_secs().div_ceil(60);
            let text = format!(
                "{} has used up its switches and stays where it is until they refill in {minutes} min",
                d.state.name
            );
            notify(d, NotifyEvent::Braked, &format!("braked-{}", refill.0), text);
        }
        d.state.timers.set(Timer::Brake, Due::At(refill));
        d.save();
        return Gate::Braked(refill);
    }
    Gate::Open
}

/// Whether a trouble could move the agent now; nothing is armed or said.
pub(super) fn may_be_moved(d: &Deciding<'_>) -> bool {
    let now = d.wall();
    let is_waited_out = |until: Wall| until.since(now) <= d.policy.wait_out;
    let is_near = d.state.trouble.as_ref().and_then(|trouble| trouble.until).is_some_and(is_waited_out);
    let may_act = d.policy.switching && !d.policy.is_monitor_only;
    may_act && d.state.pause.is_none() && d.state.pin.is_none() && !is_near && budget_refills(d).is_none()
}

/// When the budget lets the agent switch again; `None` if it may now. Forgets what is older than the span.
pub(super) fn refill_at(d: &mut Deciding<'_>) -> Option<Wall> {
    let (budget, now) = (d.policy.budget, d.wall());
    d.state.budget.retain(|at| at.plus(budget.per) > now);
    budget_refills(d)
}

/// The same, as it would be found now; nothing is forgotten.
pub(super) fn budget_refills(d: &Deciding<'_>) -> Option<Wall> {
    d.policy.budget.refills_at(d.state.budget.iter().copied(), d.wall())
}

/// A failure of the present assignment.
fn fail(d: &mut Deciding<'_>, failing: Failing) {
    let now = d.wall();
    let Failing { waiting, subscription, cooldown } = failing;
    let finding = match gate(d) {
        Gate::MonitorOnly => Finding::of(Outcome::Recorded).because(MONITOR_ONLY),
        Gate::SwitchingOff => Finding::of(Outcome::Recorded).because("switching is off"),
        Gate::Paused => Finding::of(Outcome::Recorded).because("the agent is paused"),
        Gate::Pinned => Finding::of(Outcome::Recorded).because("the agent is pinned"),
        Gate::Braked(until) => Finding::of(Outcome::Braked).until(Some(until), now),
        Gate::WaitOut(until) => Finding::of(Outcome::Waiting).until(Some(until), now).earliest(Some(until)),
        Gate::Open => {
            let cause = cause_of_trouble(d);
            d.select(Wanted::Another, cause, subscription.map(|name| (name, cooldown)), None);
            return selecting::wait(d, waiting);
        }
    };
    reporting::settle(d, waiting, finding);
}

/// Looks again at a trouble that is known: moves the agent if nothing stands in the way any more.
pub(super) fn reconsider(d: &mut Deciding<'_>) {
    let Some(trouble) = &d.state.trouble else {
        // What was put off, the start of an agent or a changed credential, is found by a look.
        return look(d);
    };
    if trouble.until.is_some_and(|until| until <= d.wall()) {
        clear_trouble(d);
        // What was put off for it is found by a look.
        return look(d);
    }
    match gate(d) {
        Gate::MonitorOnly | Gate::SwitchingOff | Gate::Paused | Gate::Pinned | Gate::Braked(_) | Gate::WaitOut(_) => {}
        // The pool has said so, and tells when that is over; it is asked again now and then all the same.
        Gate::Open if d.state.is_halted => {
            d.state.timers.set(Timer::Retry, d.now.due_after(selecting::ASK_AGAIN));
        }
        Gate::Open => {
            let cause = cause_of_trouble(d);
            d.select(Wanted::Any, cause, None, None);
        }
    }
}

/// Looks at an agent that rests, and again in a while should the answer never come.
pub(super) fn look(d: &mut Deciding<'_>) {
    let has = d.state.subscription().cloned();
    d.act(Action::Look { has });
    d.state.timers.set(Timer::Retry, d.now.due_after(LOOK_UNANSWERED));
}

/// Whether a process agent has not been started by this daemon yet.
pub(super) fn must_be_brought_up(d: &Deciding<'_>) -> bool {
    d.policy.runtime == RuntimeKind::Process && !d.state.is_up
}

/// Whether the agent has not begun to be kept: a container without an assignment, a process that was not started.
fn is_without_start(d: &Deciding<'_>) -> bool {
    d.state.assignment.is_none() || must_be_brought_up(d)
}

pub(super) fn cause_of_trouble(d: &Deciding<'_>) -> Cause {
    match &d.state.trouble {
        Some(trouble) => {
            Cause { kind: Some(trouble.kind), failure: trouble.failure.clone(), ..Cause::of(CauseBy::Failure) }
        }
        None => Cause::of(CauseBy::Wake),
    }
}

/// Takes note of a look while the agent rests; used by every phase that rests.
pub(super) fn see(d: &mut Deciding<'_>, seen: Result<Sighting, Obstacle>) {
    let mut sighting = match seen {
        Ok(sighting) => sighting,
        Err(obstacle) => {
            d.state.looks_failed = d.state.looks_failed.saturating_add(1);
            d.state.obstacle = Some(obstacle.text);
            if let Some(sighting) = &mut d.state.sighting {
                sighting.state = RuntimeState::Unknown;
            }
            let wait = backoff(d.state.looks_failed, LOOK_AGAIN);
            d.state.timers.set(Timer::Retry, d.now.due_after(wait));
            return;
        }
    };
    d.state.looks_failed = 0;
    d.state.obstacle = None;
    d.state.timers.stop(Timer::Retry);
    let facts = take_facts(d, &mut sighting);
    let is_first = d.state.sighting.replace(sighting.clone()).is_none();
    turning::seen(d, &sighting, facts.began_at());
    match d.policy.runtime {
        // Parked means that nothing is done; but its process ended with the last daemon, and that is no reason to
        // leave it down: it is tried once.
        RuntimeKind::Process if d.policy.is_monitor_only => {}
        RuntimeKind::Process if !d.state.is_up && (is_first || !matches!(d.state.phase, Phase::Parked { .. })) => {
            return bring_up(d);
        }
        RuntimeKind::Container if d.state.assignment.is_none() => adopt(d, &sighting, facts.offered.clone()),
        RuntimeKind::Process | RuntimeKind::Container => {}
    }
    if !matches!(d.state.phase, Phase::Serving) {
        return;
    }
    if reconfigured::leaves(d, &sighting) {
        return;
    }
    if must_roll_over(d, &sighting, facts.offered) {
        return selecting::roll_over(d);
    }
    if d.state.trouble.is_none() {
        return;
    }
    if sighting.state == RuntimeState::Missing && d.policy.runtime == RuntimeKind::Container {
        d.state.timers.set(Timer::Retry, d.now.due_after(LOOK_FOR_MISSING));
    } else {
        reconsider(d);
    }
}

/// What is decided from a look and need not be kept.
pub(super) fn take_facts(d: &mut Deciding<'_>, sighting: &mut Sighting) -> Facts {
    let facts = std::mem::take(&mut sighting.facts);
    let kind = d.state.subscription().and_then(|has| d.policy.kinds.get(has)).copied();
    // Nothing is delivered to what is only observed, so nothing stands in its way.
    d.state.hindrances =
        if d.policy.is_monitor_only { Vec::new() } else { preflight::hindrances(d.policy, kind, &facts) };
    facts
}

/// Whether the credential of its subscription is another one than the agent was given. The first look at one that was
/// given by nobody knows whom takes note of it.
fn must_roll_over(d: &mut Deciding<'_>, sighting: &Sighting, offered: Option<Fingerprint>) -> bool {
    let (Some(has), Some(offered)) = (d.state.subscription().cloned(), offered) else { return false };
    let Some(given) = &d.state.credential else {
        let is_given = match &sighting.delivered {
            Delivered::Subscription(delivered) => *delivered == has,
            // It was started by this daemon a moment ago, with what the source had.
            Delivered::Hidden => true,
            Delivered::Nothing | Delivered::Unrecognised => false,
        };
        if is_given {
            d.state.credential = Some(offered);
            d.save();
        }
        return false;
    };
    let was_rolled_over =
        d.state.last.as_ref().filter(|last| last.intent.plan == Plan::Rollover && last.intent.to == has);
    // The tool renewed the login before while it was being replaced, and wrote it over what was delivered. If it does
    // so again, it is no chance, and another start would not mend it.
    let is_overwritten = match &sighting.delivered {
        Delivered::Subscription(delivered) => {
            *delivered != has
                && d.policy.kinds.get(delivered) == Some(&SubscriptionType::Login)
                && was_rolled_over.is_none()
        }
        Delivered::Nothing | Delivered::Unrecognised | Delivered::Hidden => false,
    };
    let rolled_over_at = was_rolled_over.and_then(|last| last.end.as_ref()).map(|end| end.finished_at);
    let is_limited = d.state.trouble.as_ref().is_some_and(|trouble| trouble.kind != FailureKind::Auth);
    let may_act = d.policy.switching
        && !d.policy.is_monitor_only
        && d.state.pause.is_none()
        && !is_limited
        && d.state.hindrances.is_empty();
    let is_there = match sighting.state {
        RuntimeState::Running | RuntimeState::Stopped => true,
        RuntimeState::Missing | RuntimeState::Unknown => false,
    };
    if !((*given != offered || is_overwritten) && may_act && is_there) {
        return false;
    }
    let (now, excluded) = (d.wall(), d.state.exclusions.get(&has).copied());
    let from = excluded.max(rolled_over_at.map(|at| at.plus(ROLL_OVER_APART)));
    match from.filter(|from| *from > now) {
        // Put off, not forgotten.
        Some(from) => {
            d.state.timers.set(Timer::Retry, Due::At(from));
            false
        }
        None => true,
    }
}

/// A process agent lives with the daemon: it is started on what it had, or on the best there is.
pub(super) fn bring_up(d: &mut Deciding<'_>) {
    let (cause, now) = (Cause::of(CauseBy::Recovery), d.wall());
    let is_fit = |has: &SubscriptionName| {
        d.policy.subscriptions.contains(has) && d.state.exclusions.get(has).is_none_or(|until| *until <= now)
    };
    match d.state.subscription().cloned().filter(is_fit) {
        Some(has) => selecting::recover(d, has, cause),
        None => d.select(Wanted::Any, cause, None, None),
    }
}

/// First sight of a container (A10): what runs is taken as it is. What does not run yet and has nothing is
/// given a credential, so that it has one when somebody starts it.
fn adopt(d: &mut Deciding<'_>, sighting: &Sighting, offered: Option<Fingerprint>) {
    match (&sighting.delivered, sighting.state) {
        (Delivered::Subscription(subscription), _) => assign_as_found(d, subscription.clone(), offered),
        (Delivered::Nothing, RuntimeState::Stopped) if may_be_given_one(d) => {
            d.select(Wanted::Any, Cause::of(CauseBy::Recovery), None, None);
        }
        (
            Delivered::Nothing | Delivered::Unrecognised | Delivered::Hidden,
            RuntimeState::Running | RuntimeState::Stopped | RuntimeState::Missing | RuntimeState::Unknown,
        ) => {}
    }
}

/// Whether a container that does not run yet is given its first credential now. What would keep it from using one is
/// mended first: the next look finds it so.
fn may_be_given_one(d: &Deciding<'_>) -> bool {
    let rests = matches!(d.state.phase, Phase::Serving);
    rests && d.policy.switching && !d.policy.is_monitor_only && d.state.pause.is_none() && d.state.hindrances.is_empty()
}

fn assign_as_found(d: &mut Deciding<'_>, subscription: SubscriptionName, credential: Option<Fingerprint>) {
    let replaces = d.state.generation();
    d.state.issued = d.state.issued.next();
    let generation: Generation = d.state.issued;
    let assignment = Assignment { subscription: subscription.clone(), generation, since: d.wall() };
    d.state.recent.push(Issued { generation, subscription, is_used: true });
    d.state.assignment = Some(assignment.clone());
    d.state.credential = credential;
    d.change(Change::Assigned { agent: d.state.name.clone(), assignment, replaces });
    d.save();
    corroborating::drop_past(d);
}

/// A message for people about the agent as it is now; the id is the agent's and the event's own.
pub(super) fn notify(d: &mut Deciding<'_>, event: NotifyEvent, id: &str, text: String) {
    let intent = d.state.phase.intent().map(|intent| intent.id.clone());
    let action = telling::action(event, d.state.name.as_str());
    notify_about(d, intent, event, id, (text, action));
}

/// The same about an intent, which may have ended: what is said, and what a person should do.
pub(super) fn notify_about(
    d: &mut Deciding<'_>,
    intent: Option<IntentId>,
    event: NotifyEvent,
    id: &str,
    (text, action): (String, Option<String>),
) {
    let notification = Notification {
        id: format!("{}-{id}", d.state.name),
        event,
        at: d.wall(),
        agent: Some(d.state.name.clone()),
        subscription: d.state.subscription().cloned(),
        generation: d.state.assignment.as_ref().map(|assignment| assignment.generation),
        intent,
        text,
        action,
        is_over: false,
    };
    d.change(Change::Notified(notification));
}
