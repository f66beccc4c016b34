//! H8: a session goes step by step, and can be closed.

use switchman::domain::{TurnEnd, TurnId};
use switchman::machine::agent::Decision;
use switchman::machine::agent::testing::{Rig, patient, wish};
use switchman::machine::turns::{Begin, TurnRefusal, TurnReply, TurnRequest};

use crate::words::{begun, ended, held};

fn turn(number: u64) -> TurnId {
    TurnId { agent: "worker".into(), number }
}

fn after(number: u64, begin: Begin) -> Begin {
    Begin { after: Some(turn(number)), ..begin }
}

fn close(rig: &mut Rig) -> Decision {
    rig.asks(TurnRequest::Close { session: "s".into() })
}

fn out_of_step(last: Option<u64>) -> TurnRefusal {
    TurnRefusal::OutOfStep { last: last.map(turn) }
}

#[test]
fn h8_a_double_click_cannot_answer_the_next_question() {
    let mut rig = held();
    let _ = rig.complete(1);
    // The answer to question 1 arrives twice; question 2 is asked once.
    assert_eq!(rig.begin(after(1, wish("s", "ann"))).begun()[0].id.number, 2);
    let _ = rig.complete(2);
    assert_eq!(rig.begin(after(1, wish("s", "ann"))).refused(), [&out_of_step(Some(2))]);
    assert_eq!(rig.begin(after(2, wish("s", "ann"))).turn_words(), ["begun"]);
}

#[test]
fn h8_nothing_is_after_a_turn_that_did_not_come_off_or_is_under_way() {
    let mut rig = held();
    assert_eq!(rig.begin(after(1, patient("s", "bob"))).refused(), [&out_of_step(None)]);
    let _ = rig.asks(TurnRequest::Complete { turn: 1, is_ok: false });
    assert_eq!(rig.begin(after(1, wish("s", "bob"))).refused(), [&out_of_step(None)]);
    assert_eq!(rig.begin(after(9, wish("s", "bob"))).refused(), [&out_of_step(None)]);
}

#[test]
fn h8_a_session_has_steps_of_its_own() {
    let mut rig = held();
    let _ = rig.complete(1);
    assert_eq!(rig.begin(after(1, wish("t", "bob"))).refused(), [&out_of_step(None)]);
}

#[test]
fn h8_whether_it_is_in_step_is_seen_again_when_its_turn_comes() {
    let mut rig = held();
    let _ = rig.complete(1);
    rig.holds("s", "ann");
    let _ = rig.begin(after(1, patient("s", "bob")));
    let _ = rig.begin(patient("s", "eve"));
    let done = rig.complete(2);
    assert_eq!(done.refused(), [&out_of_step(Some(2))]);
    assert_eq!(begun(&done), ["eve"]);
}

#[test]
fn h8_a_turn_that_fails_leaves_whoever_waits_in_step() {
    let mut rig = held();
    let _ = rig.complete(1);
    rig.holds("s", "ann");
    let _ = rig.begin(after(1, patient("s", "bob")));
    let fails = rig.asks(TurnRequest::Complete { turn: 2, is_ok: false });
    assert_eq!((ended(&fails), begun(&fails)), (vec![(2, TurnEnd::Failed)], vec!["bob"]));
}

#[test]
fn h8_no_turn_begins_in_a_closed_session_and_those_who_wait_are_told() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let closes = close(&mut rig);
    assert_eq!(closes.turn_words(), ["session_complete", "closed"]);
    assert_eq!(rig.begin(patient("s", "eve")).refused(), [&TurnRefusal::SessionComplete]);
    assert_eq!(rig.begin(wish("t", "eve")).turn_words(), ["begun"]);
    // The turn under way is its holder's until the end.
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    assert_eq!(ended(&rig.complete(1)), [(1, TurnEnd::Complete)]);
    assert_eq!(rig.begin(wish("s", "eve")).refused(), [&TurnRefusal::SessionComplete]);
}

#[test]
fn h8_closing_again_changes_nothing_and_tells_the_last_turn() {
    let mut rig = held();
    let _ = rig.complete(1);
    let _ = close(&mut rig);
    let again = close(&mut rig);
    assert!(again.changes.is_empty());
    assert_eq!(again.about_turns()[0].1, &TurnReply::Closed { last_completed: Some(turn(1)) });
}

#[test]
fn h8_closed_comes_before_out_of_step() {
    let mut rig = held();
    let _ = close(&mut rig);
    assert_eq!(rig.begin(after(7, wish("s", "eve"))).refused(), [&TurnRefusal::SessionComplete]);
}
