//! H6: how the work of a lost holder is ended by a restart, called off, given up, braked.

use switchman::domain::{
    CauseBy, Change, Disposition, Fence, Intent, IntentOutcome, NotifyEvent, Plan, RuntimeState, TurnEnd,
};
use switchman::machine::agent::testing::{Rig, life, patient, sighting, wish};
use switchman::machine::agent::{About, Command, EffectOutcome, Event, Phase};
use switchman::machine::timer::Timer;

use crate::words::{
    MINUTE, SECOND, begun, closed, ended, ends, held, opened, ready, refused, restarted, running, told, turns_cut_off,
};

/// `ann` is lost in `s`; in `t` `bob` is not, if he is there.
fn lost(with_bob: bool) -> Rig {
    let mut rig = held();
    rig.pass(MINUTE / 2);
    if with_bob {
        rig.holds("t", "bob");
    }
    let _ = rig.tick_after(MINUTE / 2);
    rig
}

fn fence_now(rig: &Rig) -> &Intent {
    let intent = rig.state.phase.intent().expect("something is under way");
    assert_eq!(intent.plan, Plan::Fence);
    intent
}

#[test]
fn h6_a_fence_is_an_intent_of_its_own_in_the_same_generation() {
    let rig = lost(false);
    let intent = fence_now(&rig);
    assert_eq!((intent.from.as_ref(), &intent.to), (Some(&"a".into()), &"a".into()));
    assert_eq!((intent.generation.0, rig.state.issued.0), (1, 1));
    assert_eq!(intent.turn.as_ref().map(|turn| turn.number), Some(1));
    assert_eq!(intent.cause.by, CauseBy::Turn);
    assert_eq!(
        intent.cause.reason.as_deref(),
        Some("turn worker-t1 of ann in session s: it gave no heartbeat for a lease")
    );
}

#[test]
fn h6_its_restart_ends_the_work_and_then_the_session_goes_on_in_the_same_generation() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let begins = rig.tick_after(MINUTE);
    assert_eq!((opened(&begins), told(&begins)), (vec![Plan::Fence], vec![NotifyEvent::Fenced]));
    assert_eq!(begins.effect_names(), ["look"]);
    let id = fence_now(&rig).id.clone();
    let order = rig.fencing(1);
    assert_eq!(order.effect_names(), ["restart"]);
    assert!(ended(&order).is_empty());
    let ends_it = rig.outcome(restarted());
    assert_eq!(ended(&ends_it), [(1, TurnEnd::CutOff)]);
    assert_eq!(ends(&ends_it)[0].1.by.as_ref(), Some(&id));
    assert!(begun(&ends_it).is_empty(), "it may not be ready yet");
    let done = rig.outcome(ready());
    assert_eq!((closed(&done), turns_cut_off(&done)), (vec![IntentOutcome::Ready], Some(1)));
    assert_eq!(begun(&done), ["bob"]);
    assert_eq!((rig.state.generation().0, rig.state.switched_at), (1, None));
    assert!(!done.changes.iter().any(|change| matches!(change, Change::Assigned { .. })));
    // What begins now runs in the life that the next look shows.
    let _ = rig.beat(2);
    let _ = rig.seen(running(2));
    assert_eq!(rig.state.turns.turn(2).and_then(|turn| turn.life.clone()), Some(life(2)));
    assert_eq!(rig.beat(1).turn_words(), ["over"]);
}

#[test]
fn h6_other_sessions_have_time_to_end_and_nobody_begins_meanwhile() {
    let mut rig = lost(true);
    assert!(rig.seen(running(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(30 * SECOND));
    let asks = rig.begin(wish("u", "eve"));
    assert_eq!(asks.refused()[0].to_string(), "the agent is being fenced");
    let done = rig.complete(2);
    assert_eq!((ended(&done), done.effect_names()), (vec![(2, TurnEnd::Complete)], vec!["look"]));
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
}

#[test]
fn h6_other_sessions_are_cut_off_at_the_deadline_and_told() {
    let mut rig = lost(true);
    let _ = rig.seen(running(1));
    let _ = rig.tick_after(20 * SECOND);
    let _ = rig.beat(2);
    let _ = rig.tick_after(10 * SECOND);
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff), (2, TurnEnd::CutOff)]);
    assert_eq!(turns_cut_off(&rig.outcome(ready())), Some(2));
}

#[test]
fn h6_two_who_are_lost_need_one_restart() {
    let mut rig = held();
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff), (2, TurnEnd::CutOff)]);
    let _ = rig.outcome(ready());
    assert!(matches!(rig.state.phase, Phase::Serving));
    assert_eq!(rig.state.turns.fences.len(), 1);
}

#[test]
fn h6_a_holder_that_comes_back_before_anything_was_done_keeps_its_turn() {
    for with_bob in [false, true] {
        let mut rig = lost(with_bob);
        if with_bob {
            let _ = rig.seen(running(1));
        }
        let beats = rig.beat(1);
        assert_eq!((beats.turn_words(), closed(&beats)), (vec!["beaten"], vec![IntentOutcome::Cancelled]));
        assert!(matches!(rig.state.phase, Phase::Serving));
        assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), None);
        // And if it is lost again, it is fenced again.
        rig.pass(MINUTE / 2);
        if with_bob {
            let _ = rig.beat(2);
        }
        assert_eq!(opened(&rig.tick_after(MINUTE / 2)), [Plan::Fence]);
    }
}

#[test]
fn h6_a_turn_that_ends_by_its_holder_before_anything_was_done_needs_no_fence() {
    for with_bob in [false, true] {
        let mut rig = lost(with_bob);
        let done = rig.complete(1);
        assert_eq!((ended(&done), closed(&done)), (vec![(1, TurnEnd::Complete)], vec![IntentOutcome::Cancelled]));
        assert!(matches!(rig.state.phase, Phase::Serving));

        let mut rig = lost(with_bob);
        let _ = rig.cancel(1);
        let stops = rig.acknowledge(1);
        assert_eq!((ended(&stops), closed(&stops)), (vec![(1, TurnEnd::Cancelled)], vec![IntentOutcome::Cancelled]));
    }
}

#[test]
fn h6_once_the_restart_is_ordered_no_heartbeat_calls_it_off() {
    let mut rig = lost(false);
    let _ = rig.fencing(1);
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    assert!(rig.state.turns.turn(1).is_some_and(|turn| turn.lost.is_some()));
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
}

#[test]
fn h6_once_the_restart_is_ordered_a_turn_may_still_end_by_its_holder() {
    let mut rig = lost(false);
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.fencing(1);
    let done = rig.complete(1);
    assert_eq!((ended(&done), begun(&done)), (vec![(1, TurnEnd::Complete)], vec![]));
    assert!(ended(&rig.outcome(restarted())).is_empty());
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);
}

#[test]
fn h6_a_fence_that_is_not_needed_any_more_when_its_life_is_looked_at_ends_nobody_elses_work() {
    let mut rig = lost(true);
    let _ = rig.seen(running(1));
    let _ = rig.tick_after(20 * SECOND);
    let _ = rig.beat(2);
    let _ = rig.tick_after(10 * SECOND);
    let _ = rig.seen(running(1));
    // The look that precedes the order is under way.
    let done = rig.complete(1);
    assert_eq!(closed(&done), [IntentOutcome::Cancelled]);
    assert!(rig.state.turns.turn(2).is_some());
}

#[test]
fn h6_a_lost_answer_of_a_fence_is_answered_by_a_look() {
    let mut rig = lost(false);
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.fencing(1);
    let doubt = EffectOutcome::Restarted(Err(refused(Disposition::InDoubt, About::Runtime)));
    assert_eq!(rig.outcome(doubt).effect_names(), ["look"]);
    let seen = rig.seen(running(2));
    assert_eq!((ended(&seen), seen.effect_names()), (vec![(1, TurnEnd::CutOff)], vec!["await_ready"]));
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);
}

#[test]
fn h6_what_does_not_run_needs_no_fence() {
    for state in [RuntimeState::Stopped, RuntimeState::Missing] {
        let mut rig = lost(true);
        let seen = rig.seen(sighting(state, 1, "a"));
        assert_eq!(ended(&seen), [(1, TurnEnd::CutOff), (2, TurnEnd::CutOff)]);
        assert_eq!((closed(&seen), turns_cut_off(&seen)), (vec![IntentOutcome::NotRunning], Some(2)));
        assert!(seen.effects.is_empty(), "nothing is started that did not run");
    }
}

#[test]
fn h6_an_agent_that_ends_for_good_in_a_fence_ends_its_turns() {
    let mut rig = lost(false);
    let _ = rig.fencing(1);
    let _ = rig.outcome(EffectOutcome::Restarted(Err(refused(Disposition::InDoubt, About::Runtime))));
    let seen = rig.seen(sighting(RuntimeState::Missing, 0, "a"));
    assert_eq!((ended(&seen), closed(&seen)), (vec![(1, TurnEnd::CutOff)], vec![IntentOutcome::NotRunning]));
}

#[test]
fn h6_a_fence_that_cannot_be_made_is_tried_again_a_minute_later() {
    let mut rig = lost(false);
    let fails = rig.outcome(EffectOutcome::Seen(Err(refused(Disposition::Permanent, About::Agent))));
    assert_eq!((closed(&fails), opened(&fails)), (vec![IntentOutcome::Failed], vec![]));
    assert!(matches!(rig.state.phase, Phase::Serving), "the third time is no reason to park");
    assert_eq!(rig.state.apply_failures, 0);
    for _ in 0..2 {
        let _ = rig.send(Event::RuntimeChanged);
        assert!(opened(&rig.seen(running(1))).is_empty());
    }
    assert_eq!(opened(&rig.tick_after(MINUTE)), [Plan::Fence]);
}

#[test]
fn h6_while_the_runtime_does_not_answer_a_fence_waits_and_can_be_called_off() {
    let mut rig = lost(false);
    let busy = || EffectOutcome::Seen(Err(refused(Disposition::Transient, About::Runtime)));
    let _ = rig.outcome(busy());
    assert_eq!(rig.tick_next().effect_names(), ["look"]);
    let _ = rig.outcome(busy());
    assert_eq!(closed(&rig.beat(1)), [IntentOutcome::Cancelled]);
    assert_eq!(rig.due_in(Timer::Drain), None);
}

/// Loses `ann` again and again, a lease apart, as long as a fence follows; the agent begins its n-th life then.
fn fence_again(rig: &mut Rig, lives: u32) -> bool {
    rig.holds("s", "ann");
    let lost = rig.tick_after(MINUTE);
    if opened(&lost).is_empty() {
        return false;
    }
    let _ = rig.fencing(lives);
    let _ = rig.outcome(restarted());
    let _ = rig.outcome(ready());
    let _ = rig.seen(running(lives + 1));
    true
}

#[test]
fn h6_fences_have_a_budget_of_their_own_which_refills() {
    let mut rig = Rig::serving("a");
    let fences = (1..=20).take_while(|lives| fence_again(&mut rig, *lives)).count();
    assert_eq!(fences, 6);
    assert!(rig.state.budget.is_empty(), "switches have theirs");
    assert_eq!(rig.begin(wish("s", "bob")).turn_words(), ["in_progress"]);
    // The first of them was an hour ago then.
    let refill = rig.due_in(Timer::Turns).expect("it is looked at again");
    assert_eq!(refill, 54 * MINUTE);
    assert!(opened(&rig.tick_after(3_239 * SECOND)).is_empty());
    assert_eq!(opened(&rig.tick_after(SECOND)), [Plan::Fence]);
}

#[test]
fn h6_people_are_told_once_that_fences_are_used_up() {
    let mut rig = held();
    rig.policy.budget.switches = 0;
    let lost = rig.tick_after(MINUTE);
    assert_eq!((opened(&lost), told(&lost)), (vec![], vec![NotifyEvent::Braked]));
    for _ in 0..3 {
        assert!(told(&rig.tick_after(MINUTE)).is_empty());
    }
}

#[test]
fn h6_switches_that_are_used_up_do_not_hold_back_a_fence() {
    let mut rig = Rig::serving("a");
    rig.state.budget = vec![rig.now.wall; 6];
    rig.holds("s", "ann");
    assert_eq!(opened(&rig.tick_after(MINUTE)), [Plan::Fence]);
}

#[test]
fn h6_whatever_holds_back_the_daemon_holds_back_a_fence_until_it_is_gone() {
    let mut rig = held();
    let _ = rig.operator(Command::Pause { until: None });
    assert!(opened(&rig.tick_after(MINUTE)).is_empty());
    assert_eq!(opened(&rig.operator(Command::Resume)), [Plan::Fence]);

    let mut rig = held();
    let _ = rig.operator(Command::Pause { until: Some(rig.now.wall.plus(2 * MINUTE)) });
    assert!(opened(&rig.tick_after(MINUTE)).is_empty());
    assert_eq!(opened(&rig.tick_after(MINUTE)), [Plan::Fence]);

    let mut rig = held();
    rig.policy.switching = false;
    assert!(opened(&rig.tick_after(MINUTE)).is_empty());
}

#[test]
fn h6_none_leaves_it_to_an_operator() {
    let mut rig = held();
    rig.policy.turns.fence = Fence::None;
    let _ = rig.begin(patient("s", "bob"));
    assert!(opened(&rig.tick_after(30 * MINUTE)).is_empty());
    // The holder may still come back and be done.
    let _ = rig.beat(1);
    let _ = rig.tick_after(MINUTE);
    let orders = rig.fence(1);
    assert_eq!((orders.turn_words(), opened(&orders)), (vec!["fencing"], vec![Plan::Fence]));
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);
}

#[test]
fn h6_whoever_waits_is_served_in_the_moment_in_which_a_fence_is_called_off() {
    let mut rig = lost(true);
    let _ = rig.seen(running(1));
    let _ = rig.begin(patient("s", "eve"));
    let _ = rig.begin(patient("u", "una"));
    let done = rig.complete(1);
    assert_eq!((closed(&done), begun(&done)), (vec![IntentOutcome::Cancelled], vec!["eve", "una"]));

    let mut rig = lost(false);
    let _ = rig.begin(patient("u", "una"));
    assert_eq!(begun(&rig.beat(1)), ["una"]);
}
