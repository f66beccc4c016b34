//! G12: an agent that is told to read its credential again keeps its turns; one that does not obey is restarted after
//! a drain.

use switchman::domain::{Apply, Disposition, IntentOutcome, Plan, Reload, RuntimeState, TurnEnd};
use switchman::machine::agent::testing::{Rig, given, patient, policy, sighting};
use switchman::machine::agent::{About, Decision, EffectOutcome, Phase, Step};
use switchman::machine::timer::Timer;

use crate::words::{SECOND, begun, closed, ended, preflight, ready, refused, restarted, turns_cut_off};

/// `ann` holds a turn, and a failure moves the agent to `b` in this way; the credential is in place.
fn moved_by(apply: Apply) -> (Rig, Decision) {
    let mut rig = Rig::serving("a");
    if let Some(file) = &mut rig.policy.file {
        file.apply = apply;
    }
    rig.holds("s", "ann");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"], "nobody is waited for");
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let seen = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    (rig, seen)
}

fn hang_up() -> Apply {
    Apply::Reload(Reload::Signal("HUP".to_owned()))
}

fn disobeys() -> EffectOutcome {
    EffectOutcome::Reloaded(Err(refused(Disposition::Permanent, About::Agent)))
}

#[test]
fn g12_what_is_only_written_cuts_nobody_off_and_their_generation_stays() {
    let (mut rig, done) = moved_by(Apply::Written);
    assert_eq!((closed(&done), turns_cut_off(&done)), (vec![IntentOutcome::Ready], Some(0)));
    let turn = rig.state.turns.turn(1).expect("it runs on");
    assert_eq!((turn.generation.0, turn.subscription.as_str()), (1, "a"));
    assert_eq!(rig.state.generation().0, 2);
    let _ = rig.begin(patient("s", "bob"));
    let next = rig.complete(1);
    assert_eq!((next.begun()[0].generation.0, begun(&next)), (2, vec!["bob"]));
}

#[test]
fn g12_a_look_after_it_finds_the_life_that_there_was() {
    let (mut rig, _) = moved_by(Apply::Written);
    let seen = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    assert!(ended(&seen).is_empty());
}

#[test]
fn g12_a_signal_that_is_obeyed_cuts_nobody_off() {
    let (mut rig, told) = moved_by(hang_up());
    assert_eq!(told.effect_names(), ["reload"]);
    assert!(ended(&rig.outcome(EffectOutcome::Reloaded(Ok(())))).is_empty());
    let done = rig.outcome(ready());
    assert_eq!((closed(&done), turns_cut_off(&done)), (vec![IntentOutcome::Ready], Some(0)));
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
}

#[test]
fn g12_the_fall_back_to_a_restart_drains_first() {
    let (mut rig, _) = moved_by(hang_up());
    let falls_back = rig.outcome(disobeys());
    assert!(falls_back.effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(30 * SECOND));
    let _ = rig.begin(patient("s", "bob"));
    let done = rig.complete(1);
    assert_eq!((done.effect_names(), begun(&done)), (vec!["restart"], vec![]));
    assert_eq!(rig.due_in(Timer::Drain), None);
    let _ = rig.outcome(restarted());
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);
}

#[test]
fn g12_the_fall_back_waits_until_the_deadline_and_no_longer() {
    let (mut rig, _) = moved_by(hang_up());
    let _ = rig.outcome(disobeys());
    assert_eq!(rig.tick_after(30 * SECOND).effect_names(), ["restart"]);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
    assert_eq!(turns_cut_off(&rig.outcome(ready())), Some(1));
}

#[test]
fn g12_the_fall_back_waits_for_nobody_if_nobody_is_there_or_all_have_failed() {
    let (mut rig, _) = moved_by(hang_up());
    let _ = rig.complete(1);
    assert_eq!(rig.outcome(disobeys()).effect_names(), ["restart"]);

    let (mut rig, _) = moved_by(hang_up());
    let _ = rig.limit_of_turn(1);
    assert_eq!(rig.outcome(disobeys()).effect_names(), ["restart"]);

    let (mut rig, _) = moved_by(hang_up());
    let _ = rig.outcome(disobeys());
    assert_eq!(rig.limit_of_turn(1).effect_names(), ["restart"]);
}

#[test]
fn g12_a_holder_that_is_lost_when_the_agent_has_been_moved_is_fenced_then() {
    let (mut rig, _) = moved_by(hang_up());
    let _ = rig.tick_after(60 * SECOND);
    assert!(matches!(&rig.state.phase, Phase::Applying(applying) if applying.step == Step::Reloading));
    let _ = rig.outcome(EffectOutcome::Reloaded(Ok(())));
    let _ = rig.outcome(ready());
    let intent = rig.state.phase.intent().expect("a fence");
    assert_eq!((intent.plan, intent.generation.0, intent.to.as_str()), (Plan::Fence, 2, "b"));
}

#[test]
fn g12_a_restart_of_the_daemon_while_it_falls_back_loses_no_turn() {
    let mut rig = Rig::kept(policy()).found_on("a");
    if let Some(file) = &mut rig.policy.file {
        file.apply = hang_up();
    }
    rig.holds("s", "ann");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(preflight(1));
    rig.delivering("b", 1);
    let _ = rig.outcome(disobeys());
    let _ = rig.is_killed();
    assert_eq!(rig.seen(sighting(RuntimeState::Running, 1, "b")).effect_names(), ["reload"]);
    assert!(rig.outcome(disobeys()).effects.is_empty());
    assert_eq!(rig.complete(1).effect_names(), ["restart"]);
}
