//! What the stories compare: who was told to begin, what ended and how, which intents began and ended.

use std::time::Duration;

use switchman::domain::{
    Change, Disposition, IntentOutcome, NotifyEvent, Plan, RuntimeState, Sighting, TurnEnd, TurnEnded, Wall,
};
use switchman::machine::agent::testing::{Rig, sighting};
use switchman::machine::agent::{About, Decision, EffectOutcome, Obstacle, Pick, Readiness};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The holders that were told to begin.
pub(crate) fn begun(decision: &Decision) -> Vec<&str> {
    decision.begun().into_iter().map(|turn| turn.holder.as_str()).collect()
}

/// The turns that ended, by number.
pub(crate) fn ended(decision: &Decision) -> Vec<(u64, TurnEnd)> {
    ends(decision).into_iter().map(|(number, ended)| (number, ended.end)).collect()
}

pub(crate) fn ends(decision: &Decision) -> Vec<(u64, &TurnEnded)> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::TurnEnded { turn, ended } => Some((turn.id.number, ended)),
        _ => None,
    });
    ends.collect()
}

pub(crate) fn opened(decision: &Decision) -> Vec<Plan> {
    let opened = decision.changes.iter().filter_map(|change| match change {
        Change::IntentOpened(intent) => Some(intent.plan),
        _ => None,
    });
    opened.collect()
}

pub(crate) fn closed(decision: &Decision) -> Vec<IntentOutcome> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::IntentClosed(end) => Some(end.outcome),
        _ => None,
    });
    ends.collect()
}

/// How many turns an intent that ended had cut off.
pub(crate) fn turns_cut_off(decision: &Decision) -> Option<u32> {
    decision.changes.iter().find_map(|change| match change {
        Change::IntentClosed(end) => Some(end.turns_cut_off),
        _ => None,
    })
}

pub(crate) fn told(decision: &Decision) -> Vec<NotifyEvent> {
    let told = decision.changes.iter().filter_map(|change| match change {
        Change::Notified(notification) => Some(notification.event),
        _ => None,
    });
    told.collect()
}

pub(crate) fn refused(disposition: Disposition, about: About) -> Obstacle {
    Obstacle { disposition, about, text: "in the way".to_owned() }
}

pub(crate) fn nobody(earliest: Option<Wall>) -> Pick {
    Pick::None { earliest, is_own_turn: false, reason: "all are cooling".to_owned() }
}

/// The agent in its n-th life on `a`.
pub(crate) fn running(life: u32) -> Sighting {
    sighting(RuntimeState::Running, life, "a")
}

pub(crate) fn preflight(life: u32) -> EffectOutcome {
    EffectOutcome::Preflight(Ok(running(life)))
}

pub(crate) fn restarted() -> EffectOutcome {
    EffectOutcome::Restarted(Ok(()))
}

pub(crate) fn ready() -> EffectOutcome {
    EffectOutcome::Ready(Ok(Readiness::Ready))
}

/// `ann` has taken turn 1 in session `s`.
pub(crate) fn held() -> Rig {
    let mut rig = Rig::serving("a");
    assert_eq!(rig.holds("s", "ann"), 1);
    rig
}

/// The same, and a failure moves the agent from `a` to `b`; the preflight has passed.
pub(crate) fn draining() -> Rig {
    let mut rig = held();
    drain(&mut rig);
    rig
}

pub(crate) fn drain(rig: &mut Rig) {
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(preflight(1));
}
