//! H9: a turn begins on a subscription that can serve, or whoever wants it is told why not and until when.

use switchman::domain::{
    CauseBy, Delivered, Facts, FailureKind, Fingerprint, IntentOutcome, NotifyEvent, ParkReason, Plan, Report,
    RuntimeState, Sighting, Wall,
};
use switchman::machine::agent::testing::{Rig, given, patient, policy, report, sighting, wish};
use switchman::machine::agent::{Command, Decision, Event, Phase, Pick};
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::pool::Wanted;
use switchman::machine::timer::Timer;
use switchman::machine::turns::TurnRefusal;

use crate::words::{HOUR, MINUTE, SECOND, begun, closed, held, nobody, opened, preflight, ready, restarted, told};

fn only(decision: &Decision) -> &TurnRefusal {
    let [refusal] = decision.refused()[..] else { panic!("{:?}", decision.replies) };
    refusal
}

/// By others' word `a` cannot serve for an hour.
fn shunned() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.shunned("a", Some(HOUR));
    rig
}

#[test]
fn h9_the_word_of_others_alone_asks_nobody_and_moves_nobody() {
    let mut rig = held();
    let shuns = rig.shunned("a", Some(HOUR));
    assert!(shuns.effects.is_empty() && shuns.changes.is_empty());
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    assert!(rig.complete(1).effects.is_empty());
}

#[test]
fn h9_the_next_turn_comes_after_a_switch() {
    let mut rig = shunned();
    let asks = rig.begin(patient("s", "ann"));
    assert_eq!((asks.effect_names(), asks.turn_words()), (vec!["reserve"], vec![]));
    let Phase::Selecting(selecting) = &rig.state.phase else { panic!("{:?}", rig.state.phase) };
    assert_eq!((selecting.cause.by, &selecting.wanted), (CauseBy::Turn, &Wanted::Any));
    assert_eq!(opened(&rig.pick("b")), [Plan::Switch]);
    assert_eq!(rig.state.budget.len(), 1, "it counts as one that nobody asked for");
    let _ = rig.outcome(preflight(1));
    let done = rig.switch_completes_from_delivery("b");
    assert_eq!((done.begun()[0].subscription.as_str(), done.begun()[0].generation.0), ("b", 2));
}

#[test]
fn h9_whoever_does_not_want_to_wait_is_told_that_it_is_moved() {
    let mut rig = shunned();
    assert!(rig.begin(wish("s", "ann")).replies.is_empty(), "while the pool is asked nobody is answered");
    let moves = rig.pick("b");
    let TurnRefusal::Switching { what: "moved", retry_after } = only(&moves) else { panic!("{moves:?}") };
    assert!(*retry_after >= 5 * SECOND);
}

#[test]
fn h9_where_it_serves_after_all_it_begins_and_the_pool_is_not_asked_again() {
    for pick in [Pick::Keep, Pick::To("a".into())] {
        let mut rig = shunned();
        let _ = rig.begin(wish("s", "ann"));
        assert_eq!(begun(&rig.picked(pick)), ["ann"]);
        assert_eq!(rig.begin(wish("t", "bob")).turn_words(), ["begun"]);
    }
}

#[test]
fn h9_with_nobody_to_move_to_everybody_is_told_until_when() {
    let mut rig = shunned();
    let _ = rig.begin(wish("s", "ann"));
    let _ = rig.begin(patient("t", "bob"));
    let earliest = rig.now.wall.plus(HOUR);
    let none = rig.picked(nobody(Some(earliest)));
    assert_eq!(none.turn_words(), ["exhausted", "exhausted"]);
    assert_eq!(told(&none), [NotifyEvent::Exhausted]);
    let TurnRefusal::Exhausted { until, .. } = none.refused()[0] else { panic!("{none:?}") };
    assert_eq!(*until, Some(earliest));
    let TurnRefusal::Exhausted { until, .. } = only(&rig.begin(patient("u", "eve"))).clone() else { panic!() };
    assert_eq!(until, Some(earliest));
}

#[test]
fn h9_a_turn_under_way_when_nothing_is_left_is_its_holders() {
    let mut rig = held();
    let _ = rig.shunned("a", Some(HOUR));
    let _ = rig.begin(wish("t", "bob"));
    let _ = rig.picked(nobody(None));
    assert_eq!(rig.beat(1).turn_words(), ["beaten"]);
    assert_eq!(rig.complete(1).turn_words(), ["ended"]);
}

#[test]
fn h9_a_pool_that_does_not_answer_is_asked_again_in_a_second_and_not_before() {
    let mut rig = shunned();
    let _ = rig.begin(patient("s", "ann"));
    let mut asked = 1;
    for _ in 0..3 {
        let silent = rig.picked(Pick::Unavailable);
        assert!(silent.replies.is_empty());
        // Nothing that happens meanwhile asks again.
        let other = rig.begin(wish("t", "bob"));
        assert_eq!((other.turn_words(), other.effect_names()), (vec!["switching"], vec![]));
        assert!(rig.send(Event::Tick).effects.is_empty());
        assert_eq!(rig.due_in(Timer::Turns), Some(SECOND));
        let again = rig.tick_after(SECOND);
        asked += again.effect_names().iter().filter(|name| **name == "reserve").count();
    }
    assert_eq!(asked, 4);
    assert_eq!(begun(&rig.picked(Pick::Keep)), ["ann"]);
}

#[test]
fn h9_whoever_waits_for_a_busy_session_is_no_reason_to_ask() {
    let mut rig = held();
    let _ = rig.shunned("a", Some(HOUR));
    assert!(rig.begin(patient("s", "bob")).effects.is_empty());
    assert_eq!(rig.complete(1).effect_names(), ["reserve"]);
}

#[test]
fn h9_the_word_of_others_ends_with_its_time_or_a_better_word() {
    let mut rig = shunned();
    let _ = rig.shunned("a", None);
    assert_eq!(rig.begin(wish("s", "ann")).turn_words(), ["begun"]);

    let mut rig = shunned();
    rig.pass(HOUR);
    assert_eq!(rig.begin(wish("s", "ann")).turn_words(), ["begun"]);

    let mut rig = Rig::serving("a");
    let _ = rig.shunned("b", Some(HOUR));
    assert_eq!(rig.begin(wish("s", "ann")).turn_words(), ["begun"], "that was about another one");
}

#[test]
fn h9_whoever_waits_is_served_when_the_time_is_over_that_others_stated() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.operator(Command::Pin { to: "a".into() });
    let _ = rig.shunned("a", Some(10 * SECOND));
    let done = rig.complete(1);
    assert!(done.begun().is_empty() && done.effects.is_empty());
    assert_eq!(rig.due_in(Timer::Turns), Some(10 * SECOND));
    assert_eq!(begun(&rig.tick_next()), ["bob"]);
}

#[test]
fn h9_whoever_waits_is_served_when_the_budget_refills() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    rig.state.budget = vec![Wall(rig.now.wall.0 - 3_595_000); 6];
    let _ = rig.shunned("a", Some(5 * HOUR));
    assert!(rig.complete(1).effects.is_empty());
    assert_eq!(rig.due_in(Timer::Turns), Some(5 * SECOND));
    assert_eq!(rig.tick_next().effect_names(), ["reserve"]);
}

#[test]
fn h9_where_it_may_not_be_moved_the_reason_is_told() {
    let mut rig = shunned();
    let until = Some(rig.now.wall.plus(2 * HOUR));
    let _ = rig.operator(Command::Pause { until });
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::Paused { until });

    let mut rig = shunned();
    rig.state.budget = vec![rig.now.wall; 6];
    let refill = rig.now.wall.plus(HOUR);
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::Braked { until: refill });

    let exhausted = |reason: &str, until: Option<Wall>| TurnRefusal::Exhausted { until, reason: reason.to_owned() };
    let mut rig = shunned();
    let until = Some(rig.now.wall.plus(HOUR));
    let _ = rig.operator(Command::Pin { to: "a".into() });
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), exhausted("it is pinned to \"a\"", until));

    let mut rig = shunned();
    rig.policy.switching = false;
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), exhausted("switching is off", until));

    let mut rig = Rig::serving("a");
    rig.policy.switching = false;
    let _ = rig.send(Event::Shunned { subscription: "a".into(), until: Some(Wall(i64::MAX)) });
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), exhausted("switching is off", None));
}

#[test]
fn h9_pause_pin_and_brake_are_no_reason_where_it_can_serve() {
    let mut rig = Rig::serving("a");
    rig.state.budget = vec![rig.now.wall; 6];
    let _ = rig.operator(Command::Pin { to: "a".into() });
    let _ = rig.operator(Command::Pause { until: None });
    assert_eq!(rig.begin(wish("s", "ann")).turn_words(), ["begun"]);
}

#[test]
fn h9_a_trouble_of_its_own_keeps_turns_out_until_it_is_moved_or_serves_again() {
    // Paused: nobody moves it.
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Pause { until: None });
    let _ = rig.limit_in(1);
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::Paused { until: None });

    // Braked.
    let mut rig = Rig::serving("a");
    rig.state.budget = vec![rig.now.wall; 6];
    let _ = rig.limit_in(1);
    let refill = rig.now.wall.plus(HOUR);
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::Braked { until: refill });

    // Its reset is near: it is worth waiting.
    let mut rig = Rig::serving("a");
    let reset_at = Some(rig.now.wall.plus(MINUTE));
    let _ = rig.report(Report { reset_at, ..report(FailureKind::RateLimit) });
    let TurnRefusal::Exhausted { until, .. } = only(&rig.begin(wish("s", "ann"))).clone() else { panic!() };
    assert_eq!(until, reset_at);
    let _ = rig.begin(patient("s", "bob"));
    let _ = rig.tick_after(MINUTE);
    assert_eq!(rig.state.turns.turn_in(&"s".into()).map(|turn| turn.holder.as_str()), Some("bob"));
}

#[test]
fn h9_nobody_begins_while_it_is_selected_for_moved_or_started() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    assert!(rig.begin(wish("s", "ann")).replies.is_empty());
    assert!(rig.begin(patient("t", "bob")).replies.is_empty());
    assert_eq!(rig.pick("b").turn_words(), ["switching"]);
    rig.restarting("b", 1);
    let TurnRefusal::Switching { what: "moved", .. } = only(&rig.begin(wish("s", "ann"))) else { panic!() };
    let _ = rig.outcome(restarted());
    assert_eq!(begun(&rig.outcome(ready())), ["bob"]);

    let process = Policy { runtime: RuntimeKind::Process, ..policy() };
    let mut rig = Rig::new(process);
    let _ = rig.send(Event::Began);
    let TurnRefusal::Switching { what: "started", .. } = only(&rig.begin(wish("s", "ann"))) else { panic!() };
}

#[test]
fn h9_a_changed_credential_keeps_turns_out_while_it_is_rolled_out_and_waits_for_those_that_run() {
    let mut rig = held();
    rig.state.credential = Some(given());
    let _ = rig.send(Event::RuntimeChanged);
    let facts = Facts { offered: Some(Fingerprint("changed".to_owned())), ..Facts::default() };
    let changed = rig.seen(Sighting { facts, ..sighting(RuntimeState::Running, 1, "a") });
    assert_eq!(opened(&changed), [Plan::Rollover]);
    assert!(rig.outcome(preflight(1)).effects.is_empty(), "the turn may end first");
    let refuses = rig.begin(wish("t", "bob"));
    let TurnRefusal::Switching { what, .. } = only(&refuses) else { panic!() };
    assert_eq!(*what, "given a changed credential");
}

#[test]
fn h9_nobody_begins_on_an_agent_that_does_not_run_or_has_nothing() {
    for state in [RuntimeState::Stopped, RuntimeState::Missing] {
        let mut rig = Rig::serving("a");
        let _ = rig.send(Event::RuntimeChanged);
        let _ = rig.seen(sighting(state, 1, "a"));
        assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::NotRunning);
    }

    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    let looked_at = rig.begin(wish("s", "ann"));
    assert!(matches!(only(&looked_at), TurnRefusal::Switching { what: "looked at", .. }));
    let _ = rig.seen(Sighting { delivered: Delivered::Unrecognised, ..sighting(RuntimeState::Running, 1, "a") });
    assert_eq!(*only(&rig.begin(patient("s", "ann"))), TurnRefusal::Unassigned);
}

#[test]
fn h9_whoever_waited_for_the_first_look_begins_then() {
    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    assert!(rig.begin(patient("s", "ann")).replies.is_empty());
    assert_eq!(begun(&rig.seen(sighting(RuntimeState::Running, 1, "a"))), ["ann"]);
}

#[test]
fn h9_a_parked_agent_says_why_and_leaves_those_who_wait_in_line() {
    let mut rig = held();
    let _ = rig.begin(patient("s", "bob"));
    rig.state.phase = Phase::Parked { reason: ParkReason::ApplyFailed, since: rig.now.wall };
    let TurnRefusal::Parked { .. } = only(&rig.begin(patient("t", "eve"))) else { panic!() };
    assert!(rig.complete(1).begun().is_empty());
    let _ = rig.operator(Command::Unpark);
    assert_eq!(rig.state.turns.turn_in(&"s".into()).map(|turn| turn.holder.as_str()), Some("bob"));
}

#[test]
fn h9_an_agent_that_others_shun_and_that_is_moved_by_hand_serves_there() {
    let mut rig = shunned();
    let _ = rig.operator(Command::Switch { to: Some("b".into()), force: false, reason: None });
    let _ = rig.pick("b");
    let _ = rig.outcome(preflight(1));
    let done = rig.switch_completes_from_delivery("b");
    assert_eq!(closed(&done), [IntentOutcome::Ready]);
    assert_eq!(rig.begin(wish("s", "ann")).turn_words(), ["begun"]);
}
