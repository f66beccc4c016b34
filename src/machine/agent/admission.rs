//! Whether a turn may begin: on a subscription that can serve, on an agent that runs and is left alone (H9).

use std::time::Duration;

use super::deciding::Deciding;
use super::phase::Phase;
use super::{anywhere, serving};
use crate::domain::{Cause, CauseBy, Due, Plan, RuntimeState, Wall};
use crate::machine::pool::Wanted;
use crate::machine::turns::TurnRefusal;

/// How soon it is worth asking an agent again that is being selected for.
const SOON: Duration = Duration::from_secs(1);

/// How long the restart of an agent usually takes, and then some.
const APPLYING: Duration = Duration::from_secs(5);

/// How an agent stands to new turns.
pub(super) enum Admission {
    /// They may begin.
    Open,
    /// Not at this moment; it is worth waiting.
    Shut(TurnRefusal),
    /// Not until something changes that nobody waits for.
    Closed(TurnRefusal),
    /// The subscription cannot serve by others' word: the pool has to be asked for one that can.
    Ask,
}

/// How the agent stands to new turns.
pub(super) fn of(d: &Deciding<'_>) -> Admission {
    match &d.state.phase {
        Phase::Selecting(_) => Admission::Shut(TurnRefusal::Switching { what: "moved", retry_after: SOON }),
        Phase::Draining(draining) => Admission::Shut(TurnRefusal::Switching {
            what: doing(draining.intent.plan),
            retry_after: draining.until.remaining(d.now).saturating_add(APPLYING),
        }),
        Phase::Applying(applying) => {
            Admission::Shut(TurnRefusal::Switching { what: doing(applying.intent.plan), retry_after: APPLYING })
        }
        Phase::Exhausted { earliest, .. } => Admission::Closed(TurnRefusal::Exhausted {
            until: *earliest,
            reason: "every one that it may use is cooling, full or unreadable".to_owned(),
        }),
        Phase::Parked { reason, .. } => Admission::Closed(TurnRefusal::Parked { reason: reason.to_string() }),
        Phase::Serving => at_rest(d),
    }
}

const fn doing(plan: Plan) -> &'static str {
    match plan {
        Plan::Switch => "moved",
        Plan::Rollover => "given a changed credential",
        Plan::Recover => "started",
        Plan::Fence => "fenced",
    }
}

fn at_rest(d: &Deciding<'_>) -> Admission {
    if serving::must_be_brought_up(d) {
        return Admission::Shut(TurnRefusal::Switching { what: "started", retry_after: SOON });
    }
    match d.state.sighting.as_ref().map(|seen| seen.state) {
        Some(RuntimeState::Stopped | RuntimeState::Missing) => return Admission::Closed(TurnRefusal::NotRunning),
        Some(RuntimeState::Running | RuntimeState::Unknown) => {}
        // The first look of this life is under way.
        None if d.state.assignment.is_none() => {
            return Admission::Shut(TurnRefusal::Switching { what: "looked at", retry_after: SOON });
        }
        None => {}
    }
    if d.state.assignment.is_none() {
        return Admission::Closed(TurnRefusal::Unassigned);
    }
    let now = d.wall();
    if let Some(trouble) = &d.state.trouble {
        return in_trouble(d, trouble.until);
    }
    match d.state.shunned_until.filter(|until| *until > now) {
        None => Admission::Open,
        Some(until) => shunned(d, until),
    }
}

/// It failed on what it runs on, and has not been moved.
fn in_trouble(d: &Deciding<'_>, until: Option<Wall>) -> Admission {
    if let Some(held) = held(d, until) {
        return Admission::Closed(held);
    }
    let now = d.wall();
    if let Some(until) = until.filter(|until| until.since(now) <= d.policy.wait_out) {
        let reason = "its limit ends in a moment".to_owned();
        return Admission::Shut(TurnRefusal::Exhausted { until: Some(until), reason });
    }
    match d.state.braked_until.filter(|until| *until > now) {
        Some(until) => Admission::Closed(TurnRefusal::Braked { until }),
        // It will be moved as soon as what is in the way has passed.
        None => Admission::Shut(TurnRefusal::Switching { what: "moved", retry_after: SOON }),
    }
}

/// It works, but what it runs on is used up, as others found: the switch comes first.
fn shunned(d: &Deciding<'_>, until: Wall) -> Admission {
    let known = (until < Wall(i64::MAX)).then_some(until);
    if let Some(held) = held(d, known) {
        return Admission::Closed(held);
    }
    if let Some(until) = serving::budget_refills(d) {
        return Admission::Closed(TurnRefusal::Braked { until });
    }
    if d.state.turns.ask_from.is_some_and(|from| !from.is_past(d.now)) {
        return Admission::Shut(TurnRefusal::Switching { what: "moved", retry_after: SOON });
    }
    Admission::Ask
}

/// When those who wait may begin by the mere passing of time, where no other timer tells.
pub(super) fn opens_at(d: &Deciding<'_>) -> Option<Due> {
    let is_at_rest = matches!(d.state.phase, Phase::Serving);
    if let Some(trouble) = d.state.trouble.as_ref().filter(|_| is_at_rest) {
        let is_waited_for = d.state.turns.has_ready(d.policy.turns.sessions_max);
        return trouble.until.filter(|until| is_waited_for && *until > d.wall()).map(Due::At);
    }
    let until = d.state.shunned_until.filter(|until| is_at_rest && *until > d.wall())?;
    if !d.state.turns.has_ready(d.policy.turns.sessions_max) {
        return None;
    }
    let known = (until < Wall(i64::MAX)).then_some(until);
    [known, serving::budget_refills(d)].into_iter().flatten().min().map(Due::At)
}

/// Why an agent may not be moved, if somebody decided so.
fn held(d: &Deciding<'_>, until: Option<Wall>) -> Option<TurnRefusal> {
    if let Some(pause) = d.state.pause {
        return Some(TurnRefusal::Paused { until: pause.until });
    }
    let because = if d.policy.is_monitor_only {
        serving::MONITOR_ONLY.to_owned()
    } else if !d.policy.switching {
        "switching is off".to_owned()
    } else if d.state.is_halted {
        "automatic switching is halted until an operator lets it go on".to_owned()
    } else if let Some(pin) = &d.state.pin {
        format!("it is pinned to \"{pin}\"")
    } else {
        return None;
    };
    Some(TurnRefusal::Exhausted { until, reason: because })
}

/// A limit that has ended is no trouble, also for an agent that may not be moved and that nobody wakes for it.
pub(super) fn forget_what_is_over(d: &mut Deciding<'_>) {
    let is_over = d.state.trouble.as_ref().and_then(|trouble| trouble.until).is_some_and(|until| until <= d.wall());
    if is_over && matches!(d.state.phase, Phase::Serving) {
        anywhere::clear_trouble(d);
    }
}

/// Asks the pool for a subscription that can serve.
pub(super) fn ask(d: &mut Deciding<'_>) {
    d.select(Wanted::Any, Cause::of(CauseBy::Turn), None, None);
}
