//! H2: what runs in a life of the agent ends with it, and nothing that runs on is taken for ended.

use switchman::domain::{Disposition, IntentOutcome, RuntimeState, TurnEnd};
use switchman::machine::agent::testing::{Rig, given, life, patient, sighting, wish};
use switchman::machine::agent::{About, Command, EffectOutcome, Event};

use crate::words::{MINUTE, begun, closed, ended, ends, held, preflight, ready, refused, restarted, running};
use switchman::machine::turns::TurnRequest;

#[test]
fn h2_a_restart_by_hand_ends_the_work_and_the_session_goes_on() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let seen = rig.seen_in_life(2);
    assert_eq!((ended(&seen), begun(&seen)), (vec![(1, TurnEnd::CutOff)], vec!["bob"]));
    let [(1, cut_off)] = ends(&seen)[..] else { panic!() };
    assert_eq!(
        (cut_off.by.clone(), cut_off.reason.as_deref()),
        (None, Some("the agent was restarted, not by switchman"))
    );
    let _ = rig.beat(2);
    assert_eq!(rig.state.turns.turn(2).and_then(|turn| turn.life.clone()), Some(life(2)));
}

#[test]
fn h2_a_turn_that_is_taken_after_a_restart_by_hand_runs_in_the_new_life() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.send(Event::RuntimeChanged);
    // Its work begins now, in the second life, which nobody has seen yet.
    let _ = rig.beat(1);
    assert!(ended(&rig.seen(running(2))).is_empty());
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.life.clone()), Some(life(2)));
}

#[test]
fn h2_a_turn_that_nobody_has_taken_yet_outlives_a_restart_by_hand() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    assert!(ended(&rig.seen_in_life(2)).is_empty(), "no work has begun that could have ended");
    let _ = rig.beat(1);
    assert_eq!(ended(&rig.seen_in_life(3)), [(1, TurnEnd::CutOff)]);
}

#[test]
fn h2_the_same_life_ends_nothing_however_often_it_is_seen() {
    let mut rig = held();
    for _ in 0..3 {
        assert!(ended(&rig.seen_in_life(1)).is_empty());
    }
}

#[test]
fn h2_a_look_that_shows_nothing_ends_nothing() {
    let mut rig = held();
    let _ = rig.send(Event::RuntimeChanged);
    let busy = refused(Disposition::Transient, About::Runtime);
    assert!(ended(&rig.outcome(EffectOutcome::Seen(Err(busy)))).is_empty());
    let _ = rig.send(Event::RuntimeChanged);
    assert!(ended(&rig.seen(sighting(RuntimeState::Unknown, 2, "a"))).is_empty());
}

#[test]
fn h2_an_agent_that_stands_still_or_is_gone_has_ended_all_work() {
    for state in [RuntimeState::Stopped, RuntimeState::Missing] {
        let mut rig = held();
        let _ = rig.begin(patient("s", "bob"));
        let _ = rig.send(Event::RuntimeChanged);
        let seen = rig.seen(sighting(state, 1, "a"));
        assert_eq!((ended(&seen), begun(&seen)), (vec![(1, TurnEnd::CutOff)], vec![]));
        // Somebody starts it again: whoever has waited is served.
        assert_eq!(begun(&rig.seen_in_life(2)), ["bob"]);
    }
}

#[test]
fn h2_what_begins_between_a_hint_and_the_look_runs_in_a_life_that_nobody_has_seen() {
    let mut rig = Rig::serving("a");
    // It was restarted a moment ago; the work of this turn runs in its second life.
    let _ = rig.send(Event::RuntimeChanged);
    let number = rig.begin(wish("s", "ann")).begun()[0].id.number;
    let takes = rig.asks(TurnRequest::Beat { turn: number });
    assert_eq!(takes.turn_words(), ["beaten"]);
    let seen = rig.seen(running(2));
    assert!(ended(&seen).is_empty(), "{:?}", ended(&seen));
    assert_eq!(rig.state.turns.turn(number).and_then(|turn| turn.life.clone()), Some(life(2)));
}

#[test]
fn h2_the_same_where_the_hint_came_while_the_agent_was_being_moved() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    let _ = rig.pick("b");
    let _ = rig.send(Event::RuntimeChanged);
    assert_eq!(closed(&rig.operator(Command::CancelSwitch)), [IntentOutcome::Cancelled]);
    rig.holds("s", "ann");
    assert!(ended(&rig.seen_in_life(2)).is_empty());
}

#[test]
fn h2_what_begins_right_after_a_switch_runs_in_the_new_life() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.begin(patient("s", "ann"));
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let _ = rig.beat(1);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.life.clone()), None);
    let seen = rig.seen(sighting(RuntimeState::Running, 2, "b"));
    assert!(ended(&seen).is_empty());
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.life.clone()), Some(life(2)));
    assert_eq!(ended(&rig.seen_in_life(3)), [(1, TurnEnd::CutOff)]);
}

#[test]
fn g2_a_switch_that_ends_because_the_agent_does_not_run_has_ended_all_work() {
    let mut rig = held();
    rig.policy.drain = MINUTE;
    let _ = rig.limit_of_turn(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(preflight(1));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let seen = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
    assert_eq!((closed(&seen), ended(&seen)), (vec![IntentOutcome::NotRunning], vec![(1, TurnEnd::CutOff)]));
    assert!(ends(&seen)[0].1.by.is_some());
}

#[test]
fn h2_an_agent_that_cannot_be_restarted_keeps_its_turns_and_waits_for_a_person() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    for _ in 0..8 {
        let _ = rig.outcome(EffectOutcome::Restarted(Err(refused(Disposition::Permanent, About::Agent))));
        let seen = rig.seen(running(1));
        assert!(ended(&seen).is_empty() && begun(&seen).is_empty());
        if !closed(&seen).is_empty() {
            assert_eq!(closed(&seen), [IntentOutcome::NotReady]);
            break;
        }
        let _ = rig.tick_next();
        let _ = rig.seen(running(1));
    }
    assert_eq!(rig.state.phase.as_str(), "parked");
    assert!(rig.state.turns.turn(1).is_some());
    // A person has seen to it: the fence comes again, and this time it comes off.
    let _ = rig.operator(Command::Unpark);
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);
}
