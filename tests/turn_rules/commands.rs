//! H6: fences that an operator orders, that meet a switch, or that a command carries out.

use switchman::domain::{CauseBy, Disposition, Fence, IntentOutcome, Lost, Outcome, Plan, Reload, TurnEnd};
use switchman::machine::agent::testing::{Rig, patient, policy, wish};
use switchman::machine::agent::{About, Action, Command, Decision, Effect, EffectOutcome, Event, Phase};
use switchman::machine::timer::Timer;

use crate::words::{
    MINUTE, SECOND, begun, closed, ended, ends, held, nobody, opened, preflight, ready, refused, restarted, running,
};

fn by_command() -> Rig {
    let mut rig = Rig::serving("a");
    let command = ["/bin/end-session", "{session}", "turn={turn}", "{turn}", "{agent}"];
    rig.policy.turns.fence = Fence::Exec(command.map(str::to_owned).to_vec());
    rig.holds("s", "ann");
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    rig
}

fn command(decision: &Decision) -> Option<Vec<String>> {
    decision.effects.iter().find_map(|effect| match effect {
        Effect::Act { action: Action::Reload { by: Reload::Exec(argv), .. }, .. } => Some(argv.clone()),
        _ => None,
    })
}

fn reloaded() -> EffectOutcome {
    EffectOutcome::Reloaded(Ok(()))
}

fn not_reloaded() -> EffectOutcome {
    EffectOutcome::Reloaded(Err(refused(Disposition::Permanent, About::Agent)))
}

#[test]
fn h6_a_command_ends_the_work_of_one_session_and_drains_nobody() {
    let mut rig = by_command();
    let _ = rig.begin(patient("s", "eve"));
    assert_eq!(opened(&rig.tick_after(MINUTE / 2)), [Plan::Fence]);
    let order = rig.fencing(1);
    let argv = ["/bin/end-session", "s", "turn={turn}", "worker-t1", "worker"];
    assert_eq!(command(&order), Some(argv.map(str::to_owned).to_vec()));
    assert!(ended(&order).is_empty());
    let done = rig.outcome(reloaded());
    assert_eq!(ended(&done), [(1, TurnEnd::CutOff)]);
    assert!(ends(&done)[0].1.by.is_some());
    let done = rig.outcome(ready());
    assert_eq!((closed(&done), begun(&done)), (vec![IntentOutcome::Ready], vec!["eve"]));
    assert_eq!(rig.beat(2).turn_words(), ["beaten"], "nobody has touched the other session");
}

#[test]
fn h6_two_who_are_lost_are_ended_by_a_command_each() {
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    let _ = rig.tick_after(MINUTE / 2);
    assert_eq!(rig.state.turns.turn(2).and_then(|turn| turn.lost), Some(Lost::Silent));
    assert_eq!(ended(&rig.outcome(reloaded())), [(1, TurnEnd::CutOff)]);
    assert_eq!(opened(&rig.outcome(ready())), [Plan::Fence]);
    let order = rig.fencing(1);
    assert_eq!(command(&order).map(|argv| argv[1].clone()), Some("t".to_owned()));
    assert_eq!(ended(&rig.outcome(reloaded())), [(2, TurnEnd::CutOff)]);
}

#[test]
fn h6_where_the_command_fails_the_agent_is_restarted_when_the_others_have_had_time() {
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    let fails = rig.outcome(not_reloaded());
    assert!(fails.effects.is_empty() && ended(&fails).is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(30 * SECOND));
    let done = rig.complete(2);
    assert_eq!(done.effect_names(), ["restart"]);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
}

#[test]
fn h6_where_the_command_fails_the_deadline_holds_too() {
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    let _ = rig.outcome(not_reloaded());
    rig.pass(20 * SECOND);
    let _ = rig.beat(2);
    assert_eq!(rig.tick_after(10 * SECOND).effect_names(), ["restart"]);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff), (2, TurnEnd::CutOff)]);
}

#[test]
fn h6_where_the_command_fails_and_nobody_else_is_there_the_restart_is_at_once() {
    let mut rig = by_command();
    let _ = rig.complete(2);
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    assert_eq!(rig.outcome(not_reloaded()).effect_names(), ["restart"]);
}

#[test]
fn h6_where_the_command_failed_and_the_holder_ends_its_turn_nobody_is_restarted() {
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    let _ = rig.outcome(not_reloaded());
    let done = rig.complete(1);
    assert_eq!(closed(&done), [IntentOutcome::Cancelled]);
    assert!(done.effects.is_empty());
    assert!(rig.state.turns.turn(2).is_some());
    assert_eq!(rig.due_in(Timer::Drain), None);
}

#[test]
fn h6_a_command_is_not_run_for_a_turn_that_has_ended_and_nobody_is_restarted_instead() {
    // While it is looked at before anything is done.
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    assert_eq!(closed(&rig.complete(1)), [IntentOutcome::Cancelled]);

    // The same, and another one is lost as well: that one's fence comes next.
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.tick_after(MINUTE / 2);
    let done = rig.complete(1);
    assert_eq!((closed(&done), opened(&done)), (vec![IntentOutcome::Cancelled], vec![Plan::Fence]));
    assert_eq!(command(&rig.fencing(1)).map(|argv| argv[1].clone()), Some("t".to_owned()));

    // While the life is looked at that is to be told.
    let mut rig = by_command();
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.seen(running(1));
    let done = rig.complete(1);
    assert_eq!((closed(&done), done.effect_names()), (vec![IntentOutcome::Cancelled], vec![]));
}

#[test]
fn an_operator_may_end_any_turn_that_was_taken_and_no_heartbeat_brings_it_back() {
    let mut rig = held();
    let orders = rig.fence(1);
    assert_eq!(opened(&orders), [Plan::Fence]);
    let intent = rig.state.phase.intent().expect("a fence");
    assert_eq!(
        (intent.cause.by, intent.cause.reason.as_deref()),
        (CauseBy::Operator, Some("turn worker-t1 of ann in session s: an operator ends it"),)
    );
    assert!(rig.state.turns.fences.is_empty(), "it counts for no budget");
    let _ = rig.beat(1);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Operator));
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
}

#[test]
fn what_holds_back_the_daemon_does_not_hold_back_an_operators_fence() {
    let mut rig = held();
    rig.policy.budget.switches = 0;
    rig.policy.turns.fence = Fence::None;
    let _ = rig.operator(Command::Pause { until: None });
    let _ = rig.tick_after(MINUTE);
    assert_eq!(opened(&rig.fence(1)), [Plan::Fence]);
}

#[test]
fn an_untaken_turn_is_ended_without_a_fence_for_no_work_has_begun() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.begin(patient("s", "bob"));
    let orders = rig.fence(1);
    assert_eq!(orders.turn_words()[0], "fencing");
    assert_eq!((opened(&orders), ended(&orders)), (vec![], vec![(1, TurnEnd::Cancelled)]));
    assert_eq!(begun(&orders), ["bob"]);
}

#[test]
fn an_operators_fence_that_fails_is_not_tried_again_and_again() {
    let mut rig = held();
    let _ = rig.fence(1);
    let fails = rig.outcome(EffectOutcome::Seen(Err(refused(Disposition::Permanent, About::Agent))));
    assert_eq!((closed(&fails), opened(&fails)), (vec![IntentOutcome::Failed], vec![]));
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), None, "its holder goes on with it");
    assert_eq!(opened(&rig.fence(1)), [Plan::Fence], "it can be ordered again at once");
}

#[test]
fn an_operators_fence_is_called_off_by_the_operator_and_the_turn_goes_on() {
    for command in [Command::CancelSwitch, Command::Pause { until: None }] {
        let mut rig = held();
        let _ = rig.fence(1);
        let changes_mind = rig.operator(command);
        assert_eq!((closed(&changes_mind), opened(&changes_mind)), (vec![IntentOutcome::Cancelled], vec![]));
        assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), None);
        assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    }
}

#[test]
fn who_calls_a_switch_off_has_not_called_off_a_fence() {
    let mut rig = held();
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    let _ = rig.pick("b");
    let _ = rig.fence(1);
    let cancels = rig.operator(Command::CancelSwitch);
    assert_eq!((closed(&cancels), opened(&cancels)), (vec![IntentOutcome::Cancelled], vec![Plan::Fence]));
}

#[test]
fn a_fence_of_the_daemon_is_called_off_by_an_operator_for_a_minute() {
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let cancels = rig.operator(Command::CancelSwitch);
    assert_eq!((closed(&cancels), opened(&cancels)), (vec![IntentOutcome::Cancelled], vec![]));
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Silent));
    assert!(opened(&rig.tick_after(59 * SECOND)).is_empty());
    assert_eq!(opened(&rig.tick_after(SECOND)), [Plan::Fence]);
}

#[test]
fn a_failure_during_a_fences_drain_moves_the_agent_which_ends_the_work_as_well() {
    let mut rig = held();
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.seen(running(1));
    let fails = rig.limit_in(1);
    assert_eq!((closed(&fails), fails.effect_names()), (vec![IntentOutcome::Cancelled], vec!["reserve"]));
    assert_eq!(opened(&rig.pick("b")), [Plan::Switch]);
    let _ = rig.outcome(preflight(1));
    let _ = rig.complete(2);
    rig.restarting("b", 1);
    let restarts = rig.outcome(restarted());
    assert_eq!(ended(&restarts), [(1, TurnEnd::CutOff)]);
    let _ = rig.outcome(ready());
    assert!(matches!(rig.state.phase, Phase::Serving));
    assert_eq!(rig.state.generation().0, 2);
}

#[test]
fn an_operators_switch_during_a_fences_drain_takes_its_place_and_if_it_goes_nowhere_the_fence_comes_after() {
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let switches = rig.operator(Command::Switch { to: None, force: false, reason: None });
    assert_eq!((closed(&switches), switches.effect_names()), (vec![IntentOutcome::Cancelled], vec!["reserve"]));
    assert_eq!(opened(&rig.picked(nobody(None))), [Plan::Fence]);
}

#[test]
fn a_pin_to_what_it_runs_on_leaves_a_fence_alone() {
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let pins = rig.operator(Command::Pin { to: "a".into() });
    assert!(closed(&pins).is_empty() && pins.effects.is_empty());
    assert_eq!(rig.state.pin, Some("a".into()));
    let switches = rig.operator(Command::Switch { to: Some("a".into()), force: false, reason: None });
    assert!(closed(&switches).is_empty() && switches.effects.is_empty());
}

#[test]
fn past_the_point_of_no_return_a_failure_waits_for_the_fence_and_moves_the_agent_after_it() {
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    assert_eq!(rig.limit_in(1).answers(), [Outcome::Held]);
    let _ = rig.outcome(restarted());
    let done = rig.outcome(ready());
    assert_eq!((closed(&done), done.effect_names()), (vec![IntentOutcome::Ready], vec!["reserve"]));
}

#[test]
fn b9_a_trouble_is_not_forgotten_over_a_fence_that_comes_to_nothing() {
    let mut rig = held();
    rig.policy.budget.switches = 0;
    let _ = rig.limit_in(1);
    assert!(rig.due_in(Timer::Brake).is_some());
    let _ = rig.fence(1);
    let _ = rig.outcome(EffectOutcome::Seen(Err(refused(Disposition::Permanent, About::Agent))));
    assert!(rig.state.wake_at(rig.now).is_some(), "{:#?}", rig.state);
}

#[test]
fn b9_what_was_put_off_is_looked_at_again_after_a_fence_that_was_called_off() {
    let mut rig = held();
    let _ = rig.send(Event::RuntimeChanged);
    let _ = rig.outcome(EffectOutcome::Seen(Err(refused(Disposition::Transient, About::Runtime))));
    assert!(rig.due_in(Timer::Retry).is_some());
    let _ = rig.fence(1);
    let _ = rig.operator(Command::CancelSwitch);
    assert!(rig.due_in(Timer::Retry).is_some());
}

#[test]
fn h10_a_command_that_came_off_is_not_followed_by_a_restart_because_the_daemon_was_killed() {
    let mut rig = Rig::kept(policy()).found_on("a");
    rig.policy.turns.fence = Fence::Exec(vec!["end".to_owned()]);
    rig.holds("s", "ann");
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(reloaded())), [(1, TurnEnd::CutOff)]);
    let _ = rig.is_killed();
    assert_eq!(rig.seen(running(1)).effect_names(), ["await_ready"]);
    assert_eq!(closed(&rig.outcome(ready())), [IntentOutcome::Ready]);
    assert_eq!(rig.beat(2).turn_words(), ["beaten"]);
}

#[test]
fn h10_a_command_whose_answer_was_lost_with_the_daemon_is_run_again() {
    let mut rig = Rig::kept(policy()).found_on("a");
    rig.policy.turns.fence = Fence::Exec(vec!["end".to_owned()]);
    rig.holds("s", "ann");
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    let _ = rig.is_killed();
    assert_eq!(command(&rig.seen(running(1))), Some(vec!["end".to_owned()]));
    assert_eq!(ended(&rig.outcome(reloaded())), [(1, TurnEnd::CutOff)]);
}
