//! H2, H4, H5: what a holder does with its turn, and what becomes of it without a word of the holder.

use std::time::Duration;

use switchman::domain::{Fence, Lost, Plan, TurnEnd};
use switchman::machine::agent::testing::{Rig, patient, wish};
use switchman::machine::agent::{Event, Ticket};
use switchman::machine::timer::Timer;
use switchman::machine::turns::{Begin, TurnRefusal, TurnReply, TurnRequest};

use crate::words::{MINUTE, SECOND, begun, ended, ends, held, opened};

#[test]
fn h5_an_untaken_turn_lapses_after_ten_seconds_and_the_next_begins() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.begin(patient("s", "bob"));
    assert!(rig.tick_after(Duration::from_millis(9_999)).changes.is_empty());
    let lapses = rig.tick_after(SECOND / 1000);
    assert_eq!((ended(&lapses), begun(&lapses)), (vec![(1, TurnEnd::Lapsed)], vec!["bob"]));
    assert!(opened(&lapses).is_empty());
    assert_eq!(rig.beat(1).turn_words(), ["over"]);
}

#[test]
fn h5_a_turn_whose_answer_could_not_be_written_lapses_at_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    let goes = rig.last_caller_goes();
    assert_eq!(ended(&goes), [(1, TurnEnd::Lapsed)]);
    assert_eq!(ends(&goes)[0].1.reason.as_deref(), Some("its caller has gone"));
    assert!(opened(&goes).is_empty());
}

#[test]
fn h5_a_turn_that_was_taken_outlives_the_caller_who_began_it() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    let caller = rig.last_ticket();
    let _ = rig.beat(1);
    assert!(rig.send(Event::Withdrawn { ticket: caller }).changes.is_empty());
    assert!(rig.state.turns.turn(1).is_some());
}

#[test]
fn h5_whoever_goes_leaves_the_line() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let bob = rig.last_ticket();
    let _ = rig.begin(patient("s", "eve"));
    let _ = rig.send(Event::Withdrawn { ticket: bob });
    assert_eq!(begun(&rig.complete(1)), ["eve"]);
}

#[test]
fn h5_of_callers_with_one_key_the_last_takes_the_place_along() {
    let with_key = || Begin { key: Some(("k".into(), 7)), ..patient("s", "bob") };
    let mut rig = held();
    let _ = rig.begin(with_key());
    let first = rig.last_ticket();
    let _ = rig.begin(with_key());
    let second = rig.last_ticket();
    let _ = rig.send(Event::Withdrawn { ticket: first });
    assert_eq!(rig.state.turns.queued(), 1);
    let done = rig.complete(1);
    assert_eq!(done.about_turns().iter().filter(|(ticket, _)| *ticket == second).count(), 1);
    assert_eq!(done.about_turns().iter().filter(|(ticket, _)| *ticket == first).count(), 0);
    assert_eq!(ended(&rig.send(Event::Withdrawn { ticket: second })), [(2, TurnEnd::Lapsed)]);
}

#[test]
fn h5_of_callers_with_one_key_one_who_goes_leaves_the_turn_to_the_other() {
    let with_key = || Begin { key: Some(("k".into(), 7)), ..wish("s", "ann") };
    let mut rig = Rig::serving("a");
    let _ = rig.begin(with_key());
    let first = rig.last_ticket();
    let _ = rig.begin(with_key());
    assert!(ended(&rig.send(Event::Withdrawn { ticket: first })).is_empty());
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
}

#[test]
fn somebody_unknown_who_goes_changes_nothing() {
    let mut rig = held();
    let before = rig.state.clone();
    let _ = rig.send(Event::Withdrawn { ticket: Ticket(4_711) });
    assert_eq!(rig.state, before);
}

#[test]
fn h5_the_first_heartbeat_takes_the_turn_for_a_lease_and_every_further_one_renews_it() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    assert_eq!(rig.due_in(Timer::Turns), Some(10 * SECOND));
    let takes = rig.beat(1);
    assert_eq!(takes.changes.len(), 1, "that it is taken is written");
    assert_eq!(rig.due_in(Timer::Turns), Some(MINUTE));
    rig.pass(50 * SECOND);
    let beats = rig.beat(1);
    assert!(beats.changes.is_empty(), "a heartbeat is not");
    assert_eq!(rig.due_in(Timer::Turns), Some(MINUTE));
    let [(_, TurnReply::Beaten(turn))] = beats.about_turns()[..] else { panic!("{:?}", beats.replies) };
    assert_eq!((turn.until, turn.cancel.clone()), (rig.now.wall.plus(MINUTE), None));
}

#[test]
fn h5_a_holder_without_a_heartbeat_for_a_lease_is_lost_and_fenced() {
    let mut rig = held();
    assert!(opened(&rig.tick_after(59 * SECOND)).is_empty());
    let lost = rig.tick_after(SECOND);
    assert_eq!(opened(&lost), [Plan::Fence]);
    assert!(ended(&lost).is_empty());
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Silent));
}

#[test]
fn h2_no_time_and_no_caller_hands_a_session_over_while_its_work_may_run() {
    let mut rig = held();
    rig.policy.turns.fence = Fence::None;
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.cancel(1);
    for _ in 0..100 {
        let later = rig.tick_after(MINUTE / 2);
        assert!(ended(&later).is_empty() && begun(&later).is_empty());
        assert_eq!(rig.begin(Begin { preempt: true, ..wish("s", "eve") }).turn_words(), ["in_progress"]);
        assert_eq!(rig.acknowledge(2).turn_words(), ["not_found"]);
    }
}

#[test]
fn h4_a_request_to_stop_is_answered_when_the_work_has_stopped() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let asks = rig.cancel(1);
    let [(_, TurnReply::CancelAsked(turn, cancel))] = asks.about_turns()[..] else { panic!("{:?}", asks.replies) };
    assert_eq!(turn.cancel_id(), "worker-t1-c1");
    assert_eq!((cancel.by.as_str(), cancel.until), ("somebody", rig.now.wall.plus(10 * SECOND)));
    assert!(begun(&asks).is_empty());
    let beats = rig.beat(1);
    let [(_, TurnReply::Beaten(turn))] = beats.about_turns()[..] else { panic!("{:?}", beats.replies) };
    assert_eq!(turn.cancel.as_ref().map(|cancel| cancel.by.as_str()), Some("somebody"));
    let stops = rig.acknowledge(1);
    assert_eq!((ended(&stops), begun(&stops)), (vec![(1, TurnEnd::Cancelled)], vec!["bob"]));
}

#[test]
fn h4_asking_again_changes_nothing_not_even_the_time() {
    let mut rig = held();
    let _ = rig.cancel(1);
    rig.pass(5 * SECOND);
    let again = rig.cancel(1);
    assert!(again.changes.is_empty());
    assert_eq!(again.turn_words(), ["cancel_asked"]);
    assert_eq!(rig.due_in(Timer::Turns), Some(5 * SECOND));
}

#[test]
fn h4_completing_counts_as_the_acknowledgement() {
    for is_ok in [true, false] {
        let mut rig = held();
        let _ = rig.cancel(1);
        let done = rig.asks(TurnRequest::Complete { turn: 1, is_ok });
        assert_eq!(ended(&done), [(1, if is_ok { TurnEnd::Complete } else { TurnEnd::Failed })]);
        // The two have crossed: whoever asked finds that it is over.
        assert_eq!(rig.cancel(1).turn_words(), ["over"]);
        assert_eq!(rig.acknowledge(1).turn_words(), ["over"]);
    }
}

#[test]
fn h4_nobody_acknowledges_what_nobody_asked_for() {
    let mut rig = held();
    let id = rig.state.turns.turn(1).expect("held").id.clone();
    assert_eq!(rig.acknowledge(1).refused(), [&TurnRefusal::NoCancel(id)]);
    assert!(rig.state.turns.turn(1).is_some());
}

#[test]
fn h4_without_an_acknowledgement_in_time_the_work_is_ended() {
    let mut rig = held();
    rig.pass(5 * SECOND);
    let _ = rig.cancel(1);
    let _ = rig.tick_after(9 * SECOND);
    let _ = rig.beat(1);
    let late = rig.tick_after(SECOND);
    assert_eq!(opened(&late), [Plan::Fence]);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Unacknowledged));
    // A heartbeat shows that it runs on, which is the trouble.
    assert!(rig.beat(1).changes.is_empty());
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Unacknowledged));
}

#[test]
fn h4_an_untaken_turn_that_is_asked_to_stop_needs_no_fence() {
    let mut rig = Rig::serving("a");
    rig.policy.turns.cancel_ack = 5 * SECOND;
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.cancel(1);
    let over = rig.tick_after(5 * SECOND);
    assert_eq!((ended(&over), opened(&over)), (vec![(1, TurnEnd::Cancelled)], vec![]));
}

#[test]
fn h4_a_silent_holder_that_was_asked_to_stop_and_comes_back_late_is_still_to_be_ended() {
    let mut rig = held();
    rig.policy.turns.fence = Fence::None;
    rig.pass(55 * SECOND);
    let _ = rig.cancel(1);
    let _ = rig.tick_after(5 * SECOND);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Silent));
    rig.pass(10 * SECOND);
    let _ = rig.beat(1);
    let _ = rig.tick_next();
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), Some(Lost::Unacknowledged));
}

#[test]
fn every_way_a_turn_ends_is_written_once() {
    let mut rig = Rig::serving("a");
    rig.policy.turns.sessions_max = 5;
    for session in ["1", "2", "3", "4"] {
        rig.holds(session, "ann");
    }
    let _ = rig.begin(wish("5", "ann"));
    let mut all = Vec::new();
    all.extend(ended(&rig.last_caller_goes()));
    all.extend(ended(&rig.complete(1)));
    all.extend(ended(&rig.asks(TurnRequest::Complete { turn: 2, is_ok: false })));
    let _ = rig.cancel(3);
    all.extend(ended(&rig.acknowledge(3)));
    all.extend(ended(&rig.seen_in_life(2)));
    let ends = [TurnEnd::Lapsed, TurnEnd::Complete, TurnEnd::Failed, TurnEnd::Cancelled, TurnEnd::CutOff];
    assert_eq!(all, [5, 1, 2, 3, 4].into_iter().zip(ends).collect::<Vec<_>>());
    assert!(rig.state.turns.is_quiet());
}
