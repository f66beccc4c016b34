//! H10: a restart of the daemon loses no lease and frees none.

use switchman::domain::{Fence, IntentOutcome, Lost, Plan, RuntimeState, TurnEnd, TurnId, Wall};
use switchman::machine::agent::Phase;
use switchman::machine::agent::testing::{Rig, background, patient, policy, sighting, wish};
use switchman::machine::timer::Timer;
use switchman::machine::turns::{Begin, TurnRefusal, TurnRequest};

use crate::words::{
    HOUR, MINUTE, SECOND, begun, closed, drain, ended, opened, preflight, ready, restarted, running, turns_cut_off,
};

/// `ann` holds `s`, and whatever is decided is written.
fn held() -> Rig {
    let mut rig = Rig::kept(policy()).found_on("a");
    assert_eq!(rig.holds("s", "ann"), 1);
    rig
}

#[test]
fn h10_every_lease_is_there_and_has_a_lease_of_time() {
    let mut rig = held();
    rig.pass(59 * SECOND);
    let before = rig.state.turns.turn(1).cloned();
    let _ = rig.is_killed();
    assert_eq!(rig.state.turns.turn(1).cloned(), before);
    assert_eq!(rig.due_in(Timer::Turns), Some(MINUTE));
    let _ = rig.seen(running(1));
    assert_eq!(rig.begin(wish("s", "bob")).turn_words(), ["in_progress"]);
    assert!(opened(&rig.tick_after(59 * SECOND)).is_empty());
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    assert_eq!(begun(&rig.begin(wish("t", "bob"))), ["bob"]);
    assert_eq!(rig.state.turns.issued(), 2, "no number is given out twice");
}

#[test]
fn h10_a_stored_deadline_that_is_later_holds() {
    let mut rig = held();
    rig.policy.turns.lease = 5 * SECOND;
    let _ = rig.is_killed();
    assert_eq!(rig.due_in(Timer::Turns), Some(MINUTE));
}

#[test]
fn h10_a_deadline_from_a_clock_that_was_wrong_is_not_believed() {
    let mut rig = held();
    let _ = rig.is_killed();
    let mut record = rig.stored.clone().expect("kept").record;
    record.turns.active[0].until = rig.now.wall.plus(1_000 * HOUR);
    rig = rig.restored(record);
    assert_eq!(rig.due_in(Timer::Turns), Some(HOUR));
}

#[test]
fn h10_an_untaken_turn_and_a_request_to_stop_have_a_lease_of_time_too() {
    let mut rig = Rig::kept(policy()).found_on("a");
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    assert!(ended(&rig.tick_after(59 * SECOND)).is_empty());
    assert_eq!(ended(&rig.tick_after(SECOND)), [(1, TurnEnd::Lapsed)]);

    let mut rig = held();
    let _ = rig.cancel(1);
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    assert_eq!(
        rig.state.turns.turn(1).and_then(|turn| turn.cancel.clone()).map(|it| it.by),
        Some("somebody".to_owned())
    );
    rig.pass(59 * SECOND);
    let _ = rig.beat(1);
    assert_eq!(opened(&rig.tick_after(SECOND)), [Plan::Fence]);
}

#[test]
fn h10_who_waited_has_gone_and_who_is_lost_is_still_lost() {
    let mut rig = held();
    rig.policy.turns.fence = Fence::None;
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.tick_after(MINUTE);
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    assert_eq!((rig.state.turns.queued(), rig.state.turns.turn(1).and_then(|turn| turn.lost)), (0, Some(Lost::Silent)));
    let _ = rig.beat(1);
    assert_eq!(rig.state.turns.turn(1).and_then(|turn| turn.lost), None);
}

#[test]
fn h10_a_life_that_ended_while_the_daemon_was_away_has_taken_its_turns_along() {
    let mut rig = held();
    let _ = rig.is_killed();
    assert_eq!(ended(&rig.seen(running(2))), [(1, TurnEnd::CutOff)]);

    let mut rig = held();
    let _ = rig.is_killed();
    assert_eq!(ended(&rig.seen(sighting(RuntimeState::Stopped, 1, "a"))), [(1, TurnEnd::CutOff)]);
}

#[test]
fn h10_sessions_and_keys_are_remembered() {
    let with_key = || Begin { key: Some(("k".into(), 7)), ..wish("s", "ann") };
    let mut rig = Rig::kept(policy()).found_on("a");
    let _ = rig.begin(with_key());
    let _ = rig.asks(TurnRequest::Close { session: "t".into() });
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    assert_eq!(rig.begin(with_key()).begun()[0].id.number, 1, "the same turn again");
    assert_eq!(rig.begin(wish("t", "bob")).refused(), [&TurnRefusal::SessionComplete]);
    let _ = rig.complete(1);
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    let first = TurnId { agent: "worker".into(), number: 1 };
    assert_eq!(rig.begin(with_key()).refused(), [&TurnRefusal::Over(first.clone())]);
    let after = Begin { after: Some(first), ..wish("s", "ann") };
    assert_eq!(begun(&rig.begin(after)), ["ann"]);
}

#[test]
fn h10_the_time_of_a_drain_goes_on_where_it_was() {
    let mut rig = held();
    drain(&mut rig);
    rig.pass(20 * SECOND);
    let _ = rig.is_killed();
    let looks = rig.seen(running(1));
    assert_eq!(looks.effect_names(), ["preflight"]);
    assert!(rig.outcome(preflight(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(10 * SECOND));
    let _ = rig.tick_after(10 * SECOND);
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
    rig.delivering("b", 1);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
    assert_eq!(turns_cut_off(&rig.outcome(ready())), Some(1));
}

#[test]
fn h10_a_drain_that_was_over_long_ago_waits_for_nobody() {
    let mut rig = held();
    drain(&mut rig);
    rig.pass(HOUR);
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
}

#[test]
fn h10_a_clock_that_was_set_back_does_not_lengthen_a_drain() {
    let mut rig = held();
    drain(&mut rig);
    rig.now.wall = Wall(rig.now.wall.0 - 3_600_000);
    let _ = rig.is_killed();
    let _ = rig.seen(running(1));
    let _ = rig.outcome(preflight(1));
    assert_eq!(rig.due_in(Timer::Drain), Some(30 * SECOND));
}

#[test]
fn h10_a_fence_is_taken_up_where_it_was() {
    // While others had time to end.
    let mut rig = held();
    rig.pass(MINUTE / 2);
    rig.holds("t", "bob");
    let _ = rig.tick_after(MINUTE / 2);
    let _ = rig.seen(running(1));
    rig.pass(20 * SECOND);
    let _ = rig.is_killed();
    assert_eq!(rig.seen(running(1)).effect_names(), ["look"]);
    assert!(rig.seen(running(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(10 * SECOND));
    assert_eq!(closed(&rig.beat(1)), [IntentOutcome::Cancelled], "the holder is back");

    // After the order was given: a look tells that it was carried out.
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let _ = rig.fencing(1);
    let _ = rig.is_killed();
    let seen = rig.seen(running(2));
    assert_eq!((ended(&seen), seen.effect_names()), (vec![(1, TurnEnd::CutOff)], vec!["await_ready"]));
    assert_eq!(closed(&rig.outcome(ready())), [IntentOutcome::Ready]);
}

#[test]
fn h10_a_fence_whose_turn_ended_while_nobody_looked_is_called_off() {
    let mut rig = held();
    let _ = rig.tick_after(MINUTE);
    let _ = rig.is_killed();
    // Its holder speaks before the first look has come back.
    assert_eq!(closed(&rig.complete(1)), [IntentOutcome::Cancelled]);
    assert!(matches!(rig.state.phase, Phase::Serving));
}

#[test]
fn h10_the_budget_of_fences_is_remembered() {
    let mut rig = Rig::kept(policy()).found_on("a");
    for life in 1..=6 {
        rig.holds("s", "ann");
        let _ = rig.tick_after(MINUTE);
        let _ = rig.fencing(life);
        let _ = rig.outcome(restarted());
        let _ = rig.outcome(ready());
        let _ = rig.seen(running(life + 1));
    }
    let _ = rig.is_killed();
    let _ = rig.seen(running(7));
    rig.holds("s", "ann");
    assert!(opened(&rig.tick_after(MINUTE)).is_empty());
}

#[test]
fn h10_whoever_begins_before_the_first_look_runs_in_the_life_that_it_shows() {
    let mut rig = held();
    let _ = rig.is_killed();
    assert_eq!(begun(&rig.begin(background("t", "cron"))), ["cron"]);
    let _ = rig.beat(2);
    let seen = rig.seen(running(1));
    assert!(ended(&seen).is_empty());
    assert!(rig.state.turns.turns().all(|turn| turn.life.is_some()));
    assert_eq!(ended(&rig.seen_in_life(2)), [(1, TurnEnd::CutOff), (2, TurnEnd::CutOff)]);
}
