//! H1, H7, H8: who may begin, and what a caller is told who may not.

use std::time::Duration;

use switchman::domain::{Change, NotifyEvent, SessionName, TurnClass, TurnEnd, TurnId};
use switchman::machine::agent::testing::{Rig, patient, wish};
use switchman::machine::turns::{Begin, Ledger, TurnRefusal, TurnRequest};

use crate::words::{MINUTE, SECOND, begun, ended, held, told};

fn turn(number: u64) -> TurnId {
    TurnId { agent: "worker".into(), number }
}

fn with_key(begin: Begin, key: &str, digest: u64) -> Begin {
    Begin { key: Some((key.into(), digest)), ..begin }
}

#[test]
fn a_turn_says_what_it_was_dispatched_on() {
    let mut rig = Rig::serving("a");
    rig.pass(SECOND);
    let begins = rig.begin(wish("s", "ann"));
    let turn = begins.begun()[0].clone();
    assert_eq!(turn.id.to_string(), "worker-t1");
    assert_eq!((turn.holder.as_str(), turn.class, turn.session.as_str()), ("ann", TurnClass::Interactive, "s"));
    assert_eq!((turn.subscription.as_str(), turn.generation.0, turn.begun_at), ("a", 1, rig.now.wall));
    let written = begins.changes.iter().find_map(|change| match change {
        Change::TurnBegun { turn, waited } => Some((turn.id.number, *waited)),
        _ => None,
    });
    assert_eq!(written, Some((1, Duration::ZERO)));
}

#[test]
fn h1_a_second_caller_is_refused_at_once_and_told_who_holds_it_since_when() {
    let mut rig = held();
    rig.pass(SECOND);
    let refusal = rig.begin(wish("s", "bob"));
    let [TurnRefusal::InProgress { turn }] = refusal.refused()[..] else { panic!("{:?}", refusal.replies) };
    assert_eq!((turn.holder.as_str(), turn.class, turn.id.number), ("ann", TurnClass::Interactive, 1));
    assert_eq!(rig.state.turns.queued(), 0);
}

#[test]
fn h1_a_second_caller_waits_if_it_wants_to_and_the_wait_is_told() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    rig.pass(2 * SECOND);
    let done = rig.complete(1);
    let written = done.changes.iter().find_map(|change| match change {
        Change::TurnBegun { waited, .. } => Some(*waited),
        _ => None,
    });
    assert_eq!((begun(&done), written), (vec!["bob"], Some(2 * SECOND)));
}

#[test]
fn h1_a_pair_is_one_session_whatever_the_order_and_neither_of_its_parties() {
    let mut rig = Rig::serving("a");
    let pair = |one, other| Begin { session: SessionName::pair(one, other), ..wish("", "ann") };
    assert_eq!(rig.begin(pair("x", "y")).turn_words(), ["begun"]);
    assert_eq!(rig.begin(pair("y", "x")).turn_words(), ["in_progress"]);
    assert_eq!(rig.begin(wish("x", "ann")).turn_words(), ["begun"]);
}

#[test]
fn h8_of_five_or_five_hundred_begins_one_succeeds_and_the_others_are_told_which() {
    for callers in [5, 500] {
        let mut rig = Rig::serving("a");
        let mut begun = 0;
        for caller in 0..callers {
            let begins = rig.begin(Begin { session: SessionName::pair("x", "y"), ..wish("", &caller.to_string()) });
            begun += begins.changes.iter().filter(|change| matches!(change, Change::TurnBegun { .. })).count();
            match (caller, begins.refused().first()) {
                (0, None) => {}
                (_, Some(TurnRefusal::InProgress { turn })) => {
                    assert_eq!((turn.holder.as_str(), turn.session.as_str()), ("0", "x,y"));
                }
                (_, other) => panic!("caller {caller}: {other:?}"),
            }
        }
        assert_eq!(begun, 1);
    }
}

#[test]
fn h8_the_same_key_joins_a_request_that_waits() {
    let mut rig = held();
    let _ = rig.begin(with_key(patient("s", "bob"), "k", 7));
    assert!(rig.begin(with_key(patient("s", "bob"), "k", 7)).replies.is_empty());
    assert_eq!(rig.state.turns.queued(), 1);
    let done = rig.complete(1);
    assert_eq!(begun(&done), ["bob", "bob"]);
    let numbers: Vec<u64> = done.begun().iter().map(|turn| turn.id.number).collect();
    assert_eq!(numbers, [2, 2]);
}

#[test]
fn h8_the_same_key_is_given_the_same_turn_while_it_is_held() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(with_key(wish("s", "ann"), "k", 7));
    let again = rig.begin(with_key(wish("s", "ann"), "k", 7));
    assert_eq!(again.begun()[0].id.number, 1);
    assert!(again.changes.is_empty());
    let _ = rig.complete(1);
    let late = rig.begin(with_key(wish("s", "ann"), "k", 7));
    assert_eq!(late.refused(), [&TurnRefusal::Over(turn(1))]);
    assert_eq!(rig.state.turns.turn_in(&"s".into()), None);
}

#[test]
fn h8_the_same_key_with_another_body_is_refused_whatever_became_of_the_first() {
    let mut rig = held();
    let _ = rig.begin(with_key(patient("s", "bob"), "k", 7));
    assert_eq!(rig.begin(with_key(patient("t", "bob"), "k", 8)).refused(), [&TurnRefusal::KeyReused]);
    let _ = rig.complete(1);
    assert_eq!(rig.begin(with_key(patient("t", "bob"), "k", 8)).refused(), [&TurnRefusal::KeyReused]);
    let _ = rig.complete(2);
    assert_eq!(rig.begin(with_key(patient("t", "bob"), "k", 8)).refused(), [&TurnRefusal::KeyReused]);
}

#[test]
fn h8_the_key_of_a_turn_that_lapsed_or_never_began_may_begin_another() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(with_key(wish("s", "ann"), "k", 7));
    assert_eq!(ended(&rig.tick_after(10 * SECOND)), [(1, TurnEnd::Lapsed)]);
    assert_eq!(rig.begin(with_key(wish("s", "ann"), "k", 7)).begun()[0].id.number, 2);

    let mut rig = held();
    assert_eq!(rig.begin(with_key(wish("s", "bob"), "k", 7)).turn_words(), ["in_progress"]);
    let _ = rig.complete(1);
    assert_eq!(rig.begin(with_key(wish("s", "bob"), "k", 9)).turn_words(), ["begun"]);
}

#[test]
fn sessions_full_only_as_long_as_so_many_have_a_turn() {
    let mut rig = Rig::serving("a");
    for session in ["s", "t", "u"] {
        rig.holds(session, "ann");
    }
    assert_eq!(rig.begin(wish("v", "bob")).refused(), [&TurnRefusal::SessionsFull { of: 3 }]);
    // One of a busy session is told of its holder.
    assert_eq!(rig.begin(wish("s", "bob")).turn_words(), ["in_progress"]);
    assert!(rig.begin(patient("v", "eve")).replies.is_empty());
    assert_eq!(begun(&rig.complete(2)), ["eve"]);
}

#[test]
fn the_line_has_an_end() {
    let mut rig = held();
    for caller in 0..Ledger::WAITING_MAX {
        let _ = rig.begin(patient("s", &caller.to_string()));
    }
    assert_eq!(rig.begin(patient("s", "one more")).refused(), [&TurnRefusal::QueueFull]);
    assert_eq!(rig.state.turns.queued(), Ledger::WAITING_MAX);
}

#[test]
fn a_wait_ends_when_it_was_to_and_says_what_was_in_the_way() {
    let mut rig = held();
    let _ = rig.begin(Begin { wait: Some(5 * SECOND), ..wish("s", "bob") });
    assert!(rig.tick_after(4 * SECOND).replies.is_empty());
    let over = rig.tick_after(SECOND);
    let [TurnRefusal::WaitExpired { because: Some(because) }] = over.refused()[..] else {
        panic!("{:?}", over.replies)
    };
    assert_eq!(because, "session \"s\" has a turn of ann, begun as worker-t1");
    assert_eq!(rig.state.turns.queued(), 0);
    assert!(rig.complete(1).begun().is_empty());
}

#[test]
fn whoever_waits_for_no_time_is_served_at_once_or_told_at_the_next_tick() {
    let no_time = |session| Begin { wait: Some(Duration::ZERO), ..wish(session, "bob") };
    let mut rig = held();
    assert_eq!(rig.begin(no_time("t")).turn_words(), ["begun"]);
    assert!(rig.begin(no_time("s")).replies.is_empty());
    assert_eq!(rig.tick_next().turn_words(), ["wait_expired"]);
}

#[test]
fn a_wait_may_end_for_want_of_a_place_too() {
    let mut rig = Rig::serving("a");
    rig.policy.turns.sessions_max = 1;
    rig.holds("s", "ann");
    let _ = rig.begin(Begin { wait: Some(SECOND), ..wish("t", "bob") });
    let over = rig.tick_after(SECOND);
    let [TurnRefusal::WaitExpired { because: Some(because) }] = over.refused()[..] else {
        panic!("{:?}", over.replies)
    };
    assert_eq!(because, "1 sessions have a turn, and no more may");
}

#[test]
fn h7_what_never_was_and_what_is_over_are_told_apart() {
    let mut rig = held();
    let _ = rig.complete(1);
    let requests = |turn| {
        [
            TurnRequest::Beat { turn },
            TurnRequest::Complete { turn, is_ok: true },
            TurnRequest::Complete { turn, is_ok: false },
            TurnRequest::Cancel { turn, by: "eve".to_owned() },
            TurnRequest::Cancelled { turn },
            TurnRequest::Fence { turn },
        ]
    };
    for (number, refusal) in
        [(0, TurnRefusal::NotFound(turn(0))), (1, TurnRefusal::Over(turn(1))), (2, TurnRefusal::NotFound(turn(2)))]
    {
        for request in requests(number) {
            let asks = rig.asks(request);
            assert_eq!(asks.refused(), [&refusal]);
            assert!(asks.changes.is_empty());
        }
    }
}

#[test]
fn people_are_told_of_every_turn_where_that_is_wanted_and_once() {
    let mut rig = held();
    assert!(told(&rig.begin(wish("t", "ann"))).is_empty());
    rig.policy.turns.are_told = true;
    let _ = rig.begin(with_key(patient("s", "bob"), "k", 7));
    let _ = rig.begin(with_key(patient("s", "bob"), "k", 7));
    assert_eq!(told(&rig.complete(1)), [NotifyEvent::TurnBegun]);
}

#[test]
fn a_turn_of_ten_minutes_with_heartbeats_is_left_alone() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    for _ in 0..20 {
        let beats = rig.tick_after(MINUTE / 2);
        assert!(beats.changes.is_empty() && beats.replies.is_empty(), "{beats:?}");
        assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    }
    assert_eq!(begun(&rig.complete(1)), ["bob"]);
}
