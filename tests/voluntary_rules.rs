//! Moves that no failure asks for (F5): when an agent asks for something better, and that nothing comes of it unless there
//! is something.

use std::time::Duration;

use switchman::domain::{CauseBy, Change, FailureKind, Generation, Plan, Report};
use switchman::machine::agent::testing::{Rig, policy, report};
use switchman::machine::agent::{Command, Decision, Effect, Phase, Pick};
use switchman::machine::policy::{Policy, VoluntaryMoves};
use switchman::machine::pool::Wanted;
use switchman::machine::timer::Timer;

const MINUTE: Duration = Duration::from_secs(60);
const DWELL: Duration = Duration::from_secs(45 * 60);

fn wanting(are_proactive: bool, fail_back: bool) -> Policy {
    Policy { voluntary: VoluntaryMoves { are_proactive, fail_back, dwell: DWELL }, ..policy() }
}

fn on_a(policy: Policy) -> Rig {
    Rig::new(policy).found_on("a")
}

/// What the pool is asked for, and why.
fn asks(decision: &Decision) -> Vec<(Wanted, CauseBy)> {
    let asked = decision.effects.iter().filter_map(|effect| match effect {
        Effect::Reserve { view, .. } => Some((view.wanted.clone(), view.by)),
        Effect::Release | Effect::Act { .. } => None,
    });
    asked.collect()
}

/// A caller takes a turn and ends it: from then on it is known that callers take turns.
fn has_had_a_turn(rig: &mut Rig) {
    let turn = rig.holds("chat", "somebody");
    let _ = rig.complete(turn);
}

#[test]
fn nothing_is_asked_unless_the_config_wants_it() {
    let mut rig = on_a(policy());
    has_had_a_turn(&mut rig);
    assert_eq!(rig.due_in(Timer::Better), None);
    let decision = rig.tick_after(24 * DWELL);
    assert_eq!(asks(&decision), []);
}

#[test]
fn an_agent_dwells_first() {
    let mut rig = on_a(wanting(true, false));
    assert_eq!(rig.due_in(Timer::Better), Some(DWELL));
    assert_eq!(asks(&rig.tick_after(44 * MINUTE)), []);
    assert_eq!(asks(&rig.tick_after(MINUTE)), [(Wanted::Roomier, CauseBy::Proactive)]);
}

#[test]
fn where_there_is_nothing_better_it_stays_and_looks_again_later() {
    let mut rig = on_a(wanting(true, false));
    let _ = rig.tick_after(DWELL);
    let decision = rig.picked(Pick::Keep);
    assert!(matches!(rig.state.phase, Phase::Serving));
    assert!(!decision.changes.iter().any(|change| matches!(change, Change::IntentOpened(_) | Change::Notified(_))));
    assert_eq!(rig.due_in(Timer::Better), Some(5 * MINUTE));
    assert_eq!(asks(&rig.tick_after(5 * MINUTE)), [(Wanted::Roomier, CauseBy::Proactive)]);
}

#[test]
fn what_is_better_is_a_switch_like_any_other_and_counts() {
    let mut rig = on_a(wanting(true, false));
    let _ = rig.tick_after(DWELL);
    let decision = rig.pick("b");
    let opened = decision.changes.iter().find_map(|change| match change {
        Change::IntentOpened(intent) => Some((intent.plan, intent.cause.by, intent.generation)),
        _ => None,
    });
    assert_eq!(opened, Some((Plan::Switch, CauseBy::Proactive, Generation(2))));
    assert_eq!(rig.state.budget.len(), 1);
    let _ = rig.switch_completes("b", 1);
    assert_eq!(rig.due_in(Timer::Better), Some(DWELL), "it dwells there, too");
}

#[test]
fn an_agent_is_failed_back_only_while_nobody_works_on_it() {
    let mut rig = on_a(wanting(false, true));
    assert_eq!(asks(&rig.tick_after(DWELL)), [], "nobody takes turns: nobody knows whether it works");
    rig.pass(4 * MINUTE + MINUTE / 2);
    let turn = rig.holds("chat", "somebody");
    assert_eq!(asks(&rig.tick_after(MINUTE / 2)), [], "somebody works on it");
    let _ = rig.complete(turn);
    assert_eq!(asks(&rig.tick_after(5 * MINUTE)), [(Wanted::Preferred, CauseBy::Failback)]);
}

#[test]
fn both_are_asked_for_one_after_the_other() {
    let mut rig = on_a(wanting(true, true));
    has_had_a_turn(&mut rig);
    assert_eq!(asks(&rig.tick_after(DWELL)), [(Wanted::Preferred, CauseBy::Failback)]);
    let decision = rig.picked(Pick::Keep);
    assert_eq!(asks(&decision), [(Wanted::Roomier, CauseBy::Proactive)]);
    let _ = rig.picked(Pick::Keep);
    assert!(matches!(rig.state.phase, Phase::Serving));
}

#[test]
fn whoever_may_not_be_moved_or_is_in_trouble_asks_for_nothing_better() {
    let paused = |rig: &mut Rig| rig.operator(Command::Pause { until: None });
    let pinned = |rig: &mut Rig| rig.operator(Command::Pin { to: "a".into() });
    for hold in [paused as fn(&mut Rig) -> Decision, pinned] {
        let mut rig = on_a(wanting(true, false));
        let _ = hold(&mut rig);
        assert_eq!(asks(&rig.tick_after(DWELL)), []);
        assert_eq!(rig.due_in(Timer::Better), Some(5 * MINUTE));
    }
    let mut braked = on_a(wanting(true, false));
    braked.pass(DWELL);
    let now = braked.now.wall;
    braked.state.budget = vec![now; braked.policy.budget.switches as usize];
    assert_eq!(asks(&braked.tick_after(Duration::ZERO)), []);
}

#[test]
fn a_failure_that_comes_while_the_pool_is_asked_is_judged_by_itself() {
    let mut rig = on_a(wanting(true, false));
    let _ = rig.tick_after(DWELL);
    let limit = Report { generation: Some(Generation(1)), ..report(FailureKind::RateLimit) };
    let _ = rig.report(limit);
    let decision = rig.picked(Pick::Keep);
    assert_eq!(asks(&decision), [(Wanted::Another, CauseBy::Failure)], "now it has to move");
    let decision = rig.pick("b");
    assert_eq!(decision.replies.len(), 1, "and whoever reported it is answered");
}
