//! H3: who goes first.

use switchman::domain::{TurnClass, TurnEnd};
use switchman::machine::agent::testing::{Rig, background, patient, wish};
use switchman::machine::turns::Begin;

use crate::words::{MINUTE, begun, ended, held};

/// Completes whatever is held in the session, again and again: the holders in the order in which they begin.
fn hand_over(rig: &mut Rig) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(number) = rig.state.turns.turn_in(&"s".into()).map(|turn| turn.id.number) {
        let done = rig.complete(number);
        order.extend(begun(&done).into_iter().map(str::to_owned));
    }
    order
}

#[test]
fn h3_interactive_callers_before_the_background_first_come_first_served() {
    let mut rig = held();
    assert!(rig.begin(patient("s", "bob")).replies.is_empty());
    assert!(rig.begin(background("s", "cron")).replies.is_empty());
    assert!(rig.begin(patient("s", "dan")).replies.is_empty());
    assert_eq!(rig.state.turns.queued(), 3);
    assert_eq!(hand_over(&mut rig), ["bob", "dan", "cron"]);
}

#[test]
fn h3_no_worker_wins_the_race_whether_one_two_or_fifty_wait() {
    for waiting in [1, 2, 50] {
        let mut rig = held();
        let _ = rig.begin(background("s", "worker"));
        let names: Vec<String> = (0..waiting).map(|number| format!("web{number}")).collect();
        for name in &names {
            let _ = rig.begin(patient("s", name));
        }
        assert_eq!(hand_over(&mut rig), [names, vec!["worker".to_owned()]].concat());
    }
}

#[test]
fn h3_those_who_arrive_during_the_hand_over_are_before_the_background_too() {
    let mut rig = held();
    let _ = rig.begin(background("s", "worker"));
    let _ = rig.begin(patient("s", "bob"));
    assert_eq!(begun(&rig.complete(1)), ["bob"]);
    // He was told and has not taken it yet.
    let _ = rig.begin(patient("s", "eve"));
    assert_eq!(begun(&rig.complete(2)), ["eve"]);
    assert_eq!(begun(&rig.complete(3)), ["worker"]);
}

#[test]
fn h3_whoever_waits_for_a_busy_session_keeps_nobody_from_a_free_one() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    assert_eq!(begun(&rig.begin(background("t", "cron"))), ["cron"]);
}

#[test]
fn h3_the_next_place_goes_to_the_first_whose_session_is_free() {
    let mut rig = Rig::serving("a");
    rig.policy.turns.sessions_max = 2;
    rig.holds("s", "ann");
    rig.holds("t", "tom");
    let _ = rig.begin(background("u", "cron"));
    let _ = rig.begin(background("v", "late cron"));
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.begin(patient("w", "wim"));
    // `bob` is first in line, but `ann` has his session.
    assert_eq!(begun(&rig.complete(2)), ["wim"]);
    assert_eq!(begun(&rig.complete(1)), ["bob"]);
    assert_eq!(begun(&rig.complete(3)), ["cron"]);
    assert_eq!(begun(&rig.complete(4)), ["late cron"]);
}

#[test]
fn h3_preempt_asks_a_background_holder_to_stop_and_passes_the_session_on_only_when_it_has() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(background("s", "cron"));
    let _ = rig.beat(1);
    let asks = rig.begin(Begin { preempt: true, ..patient("s", "bob") });
    assert!(asks.replies.is_empty());
    let cancel = rig.state.turns.turn(1).and_then(|turn| turn.cancel.clone());
    assert_eq!(cancel.map(|cancel| cancel.by), Some("bob".to_owned()));
    // Another one who wants the same changes nothing about who asked.
    let _ = rig.begin(Begin { preempt: true, ..patient("s", "eve") });
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.cancel.as_ref()).map(|it| it.by.as_str()), Some("bob"));
    let stops = rig.acknowledge(1);
    assert_eq!(ended(&stops), [(1, TurnEnd::Cancelled)]);
    assert_eq!(begun(&stops), ["bob"]);
}

#[test]
fn h3_preempt_spares_an_interactive_holder_and_is_not_for_the_background() {
    let mut rig = held();
    assert_eq!(rig.begin(Begin { preempt: true, ..wish("s", "bob") }).turn_words(), ["in_progress"]);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.cancel.clone()), None);

    let mut rig = Rig::serving("a");
    let _ = rig.begin(background("s", "cron"));
    let other = Begin { preempt: true, class: TurnClass::Background, ..wish("s", "other cron") };
    assert_eq!(rig.begin(other).turn_words(), ["in_progress"]);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.cancel.clone()), None);
}

#[test]
fn h3_whoever_is_refused_may_still_preempt() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(background("s", "cron"));
    let _ = rig.beat(1);
    assert_eq!(rig.begin(Begin { preempt: true, ..wish("s", "bob") }).turn_words(), ["in_progress"]);
    assert!(rig.state.turns.turn(1).is_some_and(|turn| turn.cancel.is_some()));
}

#[test]
fn h3_a_wait_that_ends_leaves_the_order_of_the_others() {
    let mut rig = held();
    let _ = rig.begin(Begin { wait: Some(MINUTE / 2), ..patient("s", "bob") });
    let _ = rig.begin(patient("s", "eve"));
    assert_eq!(rig.tick_after(MINUTE / 2).turn_words(), ["wait_expired"]);
    assert_eq!(hand_over(&mut rig), ["eve"]);
}
