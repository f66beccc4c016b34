//! G2, D3: what a switch waits for, and for how long.

use std::time::Duration;

use switchman::domain::{Apply, Disposition, FailureKind, IntentOutcome, Outcome, Plan, Report, RuntimeState, TurnEnd};
use switchman::machine::agent::testing::{Rig, given, patient, report, sighting, wish};
use switchman::machine::agent::{About, Command, EffectOutcome, Event, Phase};
use switchman::machine::timer::Timer;
use switchman::machine::turns::{TurnRefusal, TurnRequest};

use crate::words::{
    MINUTE, SECOND, begun, closed, drain, draining, ended, ends, held, opened, preflight, ready, refused, restarted,
    turns_cut_off,
};

#[test]
fn g2_a_drain_without_turns_ends_at_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
    assert_eq!(rig.due_in(Timer::Drain), None);
}

#[test]
fn g2_nothing_is_touched_while_a_turn_runs_and_nobody_begins() {
    let mut rig = held();
    let _ = rig.limit_in(1);
    assert_eq!(opened(&rig.pick("b")), [Plan::Switch]);
    assert!(rig.outcome(preflight(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(30 * SECOND));
    for _ in 0..20 {
        let refuses = rig.begin(wish("t", "bob"));
        let [TurnRefusal::Switching { what, retry_after }] = refuses.refused()[..] else { panic!("{refuses:?}") };
        assert_eq!(*what, "moved");
        assert!(*retry_after <= 35 * SECOND);
        rig.pass(SECOND);
    }
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
}

#[test]
fn g2_the_last_turn_that_ends_lets_the_switch_go_on() {
    for is_ok in [true, false] {
        let mut rig = draining();
        rig.pass(10 * SECOND);
        let done = rig.asks(TurnRequest::Complete { turn: 1, is_ok });
        // Whether it still can be done is found out again: it has waited.
        assert_eq!(done.effect_names(), ["preflight"]);
        assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
        let _ = rig.switch_completes_from_delivery("b");
        assert_eq!(rig.state.generation().0, 2);
    }
}

#[test]
fn g2_the_last_of_several_turns_lets_it_go_on_and_one_that_waits_is_served_after_it() {
    let mut rig = held();
    rig.holds("t", "bob");
    drain(&mut rig);
    let _ = rig.begin(patient("s", "eve"));
    assert!(rig.complete(1).effects.is_empty());
    assert_eq!(rig.complete(2).effect_names(), ["preflight"]);
    let _ = rig.outcome(preflight(1));
    let done = rig.switch_completes_from_delivery("b");
    assert_eq!(begun(&done), ["eve"]);
    assert_eq!((done.begun()[0].subscription.as_str(), done.begun()[0].generation.0), ("b", 2));
}

#[test]
fn g2_the_deadline_ends_it_whoever_still_runs_and_they_are_told() {
    let mut rig = draining();
    let due = rig.tick_after(30 * SECOND);
    assert_eq!(due.effect_names(), ["preflight"]);
    let id = rig.state.phase.intent().map(|intent| intent.id.clone());
    let _ = rig.outcome(preflight(1));
    rig.delivering("b", 1);
    let restarts = rig.outcome(restarted());
    assert_eq!(ended(&restarts), [(1, TurnEnd::CutOff)]);
    assert_eq!(
        (ends(&restarts)[0].1.by.clone(), ends(&restarts)[0].1.reason.as_deref()),
        (id, Some("the agent was restarted"))
    );
    assert_eq!(turns_cut_off(&rig.outcome(ready())), Some(1));
    assert_eq!(rig.beat(1).turn_words(), ["over"]);
}

#[test]
fn g2_a_runtime_that_does_not_answer_does_not_lengthen_the_drain() {
    let mut rig = held();
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Transient, About::Runtime))));
    let _ = rig.tick_after(25 * SECOND);
    let _ = rig.outcome(preflight(1));
    assert_eq!(rig.due_in(Timer::Drain), Some(5 * SECOND));
}

#[test]
fn g2_a_preflight_that_passes_after_the_deadline_waits_for_nobody() {
    let mut rig = held();
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.pass(30 * SECOND);
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
}

#[test]
fn g2_the_turn_that_fails_is_not_waited_for() {
    let mut rig = held();
    let _ = rig.limit_of_turn(1);
    let _ = rig.pick("b");
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
}

#[test]
fn g2_three_turns_that_fail_together_are_waited_for_by_nobody() {
    let mut rig = held();
    rig.holds("t", "bob");
    rig.holds("u", "eve");
    let _ = rig.limit_of_turn(1);
    let _ = rig.limit_of_turn(2);
    assert_eq!(rig.pick("b").answers(), [Outcome::Switching, Outcome::Repeat]);
    // The failure of the third was queued, and is handled while the preflight looks.
    assert_eq!(rig.limit_of_turn(3).answers(), [Outcome::Repeat]);
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
}

#[test]
fn g2_a_turn_that_fails_while_it_is_waited_for_lets_the_switch_go_on() {
    let mut rig = draining();
    assert_eq!(rig.limit_of_turn(1).effect_names(), ["preflight"]);
    assert!(rig.state.turns.turn(1).is_some(), "its holder has not ended it");
}

#[test]
fn g2_what_never_moves_an_agent_does_not_make_a_turn_a_failed_one() {
    let mut rig = draining();
    let turn = rig.state.turns.turn(1).map(|turn| turn.id.clone());
    let overload = Report { turn, ..report(FailureKind::Overload) };
    assert!(rig.report(overload).effects.is_empty());
    assert_eq!(rig.state.turns.turn(1).map(|turn| turn.has_failed), Some(false));
}

#[test]
fn a2_a_report_about_a_turn_is_about_the_generation_that_it_was_dispatched_in() {
    let mut rig = Rig::serving("a");
    if let Some(file) = &mut rig.policy.file {
        file.apply = Apply::Written;
    }
    rig.holds("s", "ann");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(preflight(1));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    let turn = rig.state.turns.turn(1).cloned().expect("it runs on");
    assert_eq!((turn.generation.0, rig.state.generation().0), (1, 2));
    let of_turn = Report { turn: Some(turn.id), generation: Some(turn.generation), ..report(FailureKind::RateLimit) };
    let late = rig.report(of_turn);
    assert_eq!(late.answers(), [Outcome::Stale]);
    assert!(late.effects.is_empty());
    assert_eq!(rig.state.turns.turn(1).map(|turn| turn.has_failed), Some(true));
}

#[test]
fn h6_during_a_drain_a_lost_holder_is_simply_not_busy() {
    let mut rig = held();
    rig.pass(50 * SECOND);
    drain(&mut rig);
    let lost = rig.tick_after(10 * SECOND);
    assert_eq!(lost.effect_names(), ["preflight"]);
    assert!(opened(&lost).is_empty() && ended(&lost).is_empty());

    let mut rig = draining();
    let _ = rig.cancel(1);
    assert_eq!(rig.tick_after(10 * SECOND).effect_names(), ["preflight"]);

    let mut rig = draining();
    assert_eq!(rig.fence(1).effect_names(), ["preflight"]);
}

#[test]
fn h6_a_lost_holder_that_comes_back_during_a_drain_is_waited_for_again() {
    let mut rig = held();
    rig.pass(50 * SECOND);
    drain(&mut rig);
    let _ = rig.tick_after(10 * SECOND);
    let _ = rig.beat(1);
    assert!(rig.outcome(preflight(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(20 * SECOND));
}

#[test]
fn g2_a_turn_that_nobody_takes_is_waited_for_until_it_lapses() {
    let mut rig = Rig::serving("a");
    let _ = rig.begin(wish("s", "ann"));
    drain(&mut rig);
    let lapses = rig.tick_after(10 * SECOND);
    assert_eq!((ended(&lapses), lapses.effect_names()), (vec![(1, TurnEnd::Lapsed)], vec!["preflight"]));
}

#[test]
fn g2_what_does_not_run_is_not_waited_for() {
    let mut rig = held();
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let stopped = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Stopped, 1, "a"))));
    assert_eq!(stopped.effect_names(), ["deliver"]);
    assert_eq!(ended(&stopped), [(1, TurnEnd::CutOff)]);
}

#[test]
fn g2_a_container_that_is_gone_takes_its_turns_along() {
    let mut rig = held();
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let gone = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Missing, 0, "a"))));
    assert_eq!((closed(&gone), ended(&gone)), (vec![IntentOutcome::NoContainer], vec![(1, TurnEnd::CutOff)]));
}

#[test]
fn g10_a_restart_by_hand_ends_the_wait() {
    let mut rig = draining();
    assert_eq!(rig.send(Event::RuntimeChanged).effect_names(), ["preflight"]);
    let seen = rig.outcome(preflight(2));
    assert_eq!((ended(&seen), seen.effect_names()), (vec![(1, TurnEnd::CutOff)], vec!["deliver"]));
    // A hint that means nothing leaves the wait as it was.
    let mut rig = draining();
    rig.pass(10 * SECOND);
    let _ = rig.send(Event::RuntimeChanged);
    assert!(rig.outcome(preflight(1)).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Drain), Some(20 * SECOND));
}

#[test]
fn d3_a_target_that_is_lost_while_turns_end_is_replaced() {
    let mut rig = draining();
    let _ = rig.complete(1);
    let lost = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Target))));
    assert_eq!(closed(&lost), [IntentOutcome::Cancelled]);
    let again = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    assert_eq!(again.effect_names(), ["reserve"]);
    assert_eq!(opened(&rig.pick("c")), [Plan::Switch]);
    assert_eq!(rig.state.issued.0, 3);
}

#[test]
fn g10_whoever_calls_a_switch_off_while_it_waits_leaves_the_turns_alone() {
    for command in [Command::CancelSwitch, Command::Pause { until: None }, Command::Pin { to: "a".into() }] {
        let mut rig = draining();
        let off = rig.operator(command);
        assert_eq!((closed(&off), ended(&off)), (vec![IntentOutcome::Cancelled], vec![]));
        assert_eq!(rig.due_in(Timer::Drain), None);
        assert!(matches!(rig.state.phase, Phase::Serving));
        assert_eq!(ended(&rig.complete(1)), [(1, TurnEnd::Complete)]);
    }
}

#[test]
fn h9_the_line_outlives_a_switch_that_fails() {
    let mut rig = draining();
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.complete(1);
    let fails = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Agent))));
    assert_eq!((closed(&fails), fails.turn_words()), (vec![IntentOutcome::Failed], vec![]));
    assert_eq!(rig.state.turns.queued(), 1);
    let _ = rig.tick_after(SECOND);
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    let _ = rig.pick("c");
    let _ = rig.outcome(preflight(1));
    assert_eq!(begun(&rig.switch_completes_from_delivery("c")), ["bob"]);
}

#[test]
fn g2_a_drain_of_no_time_waits_for_nobody() {
    let mut rig = held();
    rig.policy.drain = Duration::ZERO;
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.outcome(preflight(1)).effect_names(), ["deliver"]);
}

#[test]
fn a_lease_goes_on_while_the_agent_is_moved() {
    let mut rig = held();
    drain(&mut rig);
    for _ in 0..3 {
        rig.pass(9 * SECOND);
        let _ = rig.beat(1);
    }
    let _ = rig.tick_after(3 * SECOND);
    let _ = rig.outcome(preflight(1));
    rig.delivering("b", 1);
    // A restart that takes longer than a lease.
    let _ = rig.tick_after(MINUTE);
    assert_eq!(ended(&rig.outcome(restarted())), [(1, TurnEnd::CutOff)]);
}
