//! Corners of the machine that random search and the model reach and that a reader would not think of: each was
//! wrong once. The rules themselves are in `machine_rules.rs`.

use std::time::Duration;

use switchman::domain::{
    Change, Delivered, Disposition, Facts, FailureKind, Generation, IntentOutcome, Outcome, Report, RuntimeState,
    Sighting, Stamp, SubscriptionName, Wall,
};
use switchman::machine::agent::testing::{RecordFold, Rig, START, given, policy, report, sighting};
use switchman::machine::agent::{
    About, Command, Decision, EffectOutcome, Event, Obstacle, Phase, Pick, Readiness, Refusal, Reply, Ticket, Verdict,
};
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::timer::Timer;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn obstacle(disposition: Disposition, about: About) -> Obstacle {
    Obstacle { disposition, about, text: "in the way".to_owned() }
}

fn nobody(earliest: Option<Wall>) -> Pick {
    Pick::None { earliest, is_own_turn: false, reason: "all are cooling".to_owned() }
}

fn process() -> Policy {
    Policy { runtime: RuntimeKind::Process, ..policy() }
}

/// A process agent before its start: nothing runs, nothing is known of its environment.
fn absent() -> Sighting {
    Sighting { state: RuntimeState::Missing, instance: None, delivered: Delivered::Hidden, facts: Facts::default() }
}

/// A process agent that was brought up on `a`.
fn process_on_a() -> Rig {
    let mut rig = Rig::new(process());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(absent());
    let _ = rig.pick("a");
    let _ = rig.switch_completes("a", 1);
    rig
}

fn closed(decision: &Decision) -> Vec<IntentOutcome> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::IntentClosed(end) => Some(end.outcome),
        _ => None,
    });
    ends.collect()
}

/// The same agent after a crash that followed these steps.
fn killed_after(rig: &Rig, decisions: &[Decision]) -> Rig {
    let mut fold = RecordFold::new(rig.state.name.clone(), START);
    for decision in decisions {
        fold.apply(&decision.changes);
    }
    rig.restored(fold.record)
}

#[test]
fn a_lifted_cooldown_does_not_stop_the_timer_of_the_switch_under_way() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let held_up = obstacle(Disposition::Transient, About::Runtime);
    let _ = rig.outcome(EffectOutcome::Preflight(Err(held_up)));
    let _ = rig.send(Event::PoolChanged { lifted: Some("a".into()) });
    assert_eq!(rig.tick_next().effect_names(), ["preflight"], "the switch must go on by itself");
}

#[test]
fn a_forced_switch_to_the_one_it_runs_on_is_refused() {
    let mut rig = Rig::serving("a");
    let decision = rig.operator(Command::Switch { to: Some("a".into()), force: true, reason: None });
    assert!(matches!(&decision.replies[..], [(_, Reply::Refused(Refusal::NotEligible { is_named: true, .. }))]));
    assert!(decision.effects.is_empty());
}

#[test]
fn an_operator_is_answered_even_if_the_pool_says_stay() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    assert_eq!(rig.picked(Pick::Keep).replies.len(), 1);
}

#[test]
fn a_process_agent_whose_first_pick_came_to_nothing_is_started_when_there_is_one() {
    for answer in [Pick::Unavailable, nobody(None)] {
        let mut rig = Rig::new(process());
        let _ = rig.send(Event::Began);
        assert_eq!(rig.seen(absent()).effect_names(), ["reserve"]);
        let _ = rig.picked(answer);
        let mut decision = rig.tick_next();
        if decision.effect_names() == ["look"] {
            decision = rig.seen(absent());
        }
        assert_eq!(decision.effect_names(), ["reserve"]);
        let _ = rig.pick("a");
        let _ = rig.outcome(EffectOutcome::Preflight(Ok(absent())));
        let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
        assert_eq!(rig.seen(absent()).effect_names(), ["start"]);
    }
}

#[test]
fn a_process_agent_whose_own_subscription_serves_again_is_started_on_it() {
    let mut first = Rig::new(process());
    let mut decisions = vec![first.send(Event::Began), first.seen(absent()), first.pick("a")];
    decisions.push(first.outcome(EffectOutcome::Preflight(Ok(absent()))));
    decisions.push(first.outcome(EffectOutcome::Delivered(Ok(given()))));
    decisions.push(first.seen(absent()));
    decisions.push(first.outcome(EffectOutcome::Restarted(Ok(()))));
    decisions.push(first.outcome(EffectOutcome::Ready(Ok(Readiness::Ready))));
    decisions.push(first.limit_in(1));
    decisions.push(first.picked(nobody(Some(START.wall.plus(MINUTE)))));
    let mut rig = killed_after(&first, &decisions);
    let _ = rig.send(Event::Began);
    // The look fails, and the wake-up comes before the next one.
    let _ = rig.outcome(EffectOutcome::Seen(Err(obstacle(Disposition::Transient, About::Runtime))));
    rig.state.timers.stop(Timer::Retry);
    let _ = rig.tick_after(2 * MINUTE);
    let _ = rig.picked(Pick::Keep);
    assert!(rig.state.phase.intent().is_some(), "nobody starts it: {:#?}", rig.state);
}

#[test]
fn a_process_agent_with_an_unreadable_credential_is_moved_instead_of_tried_without_end() {
    let mut rig = process_on_a();
    rig.state.is_up = false;
    let _ = rig.send(Event::RuntimeChanged);
    assert_eq!(rig.seen(absent()).effect_names(), ["preflight"]);
    let lost = obstacle(Disposition::Permanent, About::Target);
    assert_eq!(rig.outcome(EffectOutcome::Preflight(Err(lost))).effect_names(), ["look"]);
    assert_eq!(rig.seen(absent()).effect_names(), ["reserve"], "another one is picked while this one is left out");
}

#[test]
fn a_parked_process_agent_is_not_started_again_and_again() {
    let mut rig = Rig::new(process());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(absent());
    for _ in 0..3 {
        let _ = rig.pick("a");
        let _ = rig.outcome(EffectOutcome::Preflight(Err(obstacle(Disposition::Permanent, About::Agent))));
        if !matches!(rig.state.phase, Phase::Parked { .. }) {
            let _ = rig.tick_next();
            let _ = rig.seen(absent());
        }
    }
    assert!(matches!(rig.state.phase, Phase::Parked { .. }), "{:#?}", rig.state);
    let _ = rig.send(Event::RuntimeChanged);
    assert!(rig.seen(absent()).effects.is_empty(), "parked means that nothing is done");
    assert_eq!(rig.operator(Command::Unpark).effect_names(), ["look"]);
    assert_eq!(rig.seen(absent()).effect_names(), ["reserve"]);
}

#[test]
fn a_look_that_ends_while_the_pool_is_asked_is_made_again() {
    let mut rig = Rig::new(process());
    let _ = rig.send(Event::Began);
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    let _ = rig.seen(absent());
    let _ = rig.picked(nobody(None));
    assert_eq!(rig.tick_next().effect_names(), ["look"]);
}

#[test]
fn an_exhausted_agent_that_cannot_be_looked_at_is_looked_at_again() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.picked(nobody(None));
    let _ = rig.send(Event::RuntimeChanged);
    let _ = rig.outcome(EffectOutcome::Seen(Err(obstacle(Disposition::Transient, About::Runtime))));
    assert_eq!(rig.tick_next().effect_names(), ["look"]);
}

#[test]
fn until_the_first_look_after_a_crash_nobody_can_cancel_what_may_be_delivered() {
    let mut first = Rig::new(policy());
    let decisions = [
        first.send(Event::Began),
        first.seen(sighting(RuntimeState::Running, 1, "a")),
        first.limit_in(1),
        first.pick("b"),
    ];
    for command in [Command::CancelSwitch, Command::Pause { until: None }] {
        let mut rig = killed_after(&first, &decisions);
        let _ = rig.send(Event::Began);
        let decision = rig.operator(command);
        assert!(closed(&decision).is_empty(), "closed without a look: {decision:#?}");
        // The credential had been put in place before the daemon was killed: the switch is finished.
        assert_eq!(rig.seen(sighting(RuntimeState::Running, 1, "b")).effect_names(), ["deliver"]);
        assert!(matches!(rig.state.phase, Phase::Applying(_)));
    }
}

#[test]
fn a_delivery_in_doubt_is_looked_at_before_it_is_given_up() {
    for (has, ends) in [("b", vec![]), ("a", vec![IntentOutcome::Failed])] {
        let mut rig = Rig::serving("a");
        let _ = rig.limit_in(1);
        let _ = rig.pick("b");
        let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
        let _ = rig.outcome(EffectOutcome::Delivered(Err(obstacle(Disposition::InDoubt, About::Agent))));
        assert_eq!(rig.tick_next().effect_names(), ["deliver"]);
        let refused = rig.outcome(EffectOutcome::Delivered(Err(obstacle(Disposition::Permanent, About::Agent))));
        assert_eq!(refused.effect_names(), ["look"], "the first delivery may have come off");
        assert_eq!(closed(&rig.seen(sighting(RuntimeState::Running, 1, has))), ends);
    }
}

#[test]
fn after_a_crash_an_order_that_may_be_under_way_is_not_repeated_at_once() {
    let mut first = Rig::new(policy());
    let mut decisions = vec![
        first.send(Event::Began),
        first.seen(sighting(RuntimeState::Running, 1, "a")),
        first.limit_in(1),
        first.pick("b"),
    ];
    decisions.push(first.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a")))));
    decisions.push(first.outcome(EffectOutcome::Delivered(Ok(given()))));
    decisions.push(first.seen(sighting(RuntimeState::Running, 1, "b")));
    let mut rig = killed_after(&first, &decisions);
    let _ = rig.send(Event::Began);
    let unchanged = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    assert!(unchanged.effects.is_empty(), "the first order may still be under way: {:?}", unchanged.effects);
    let wait = rig.due_in(Timer::Retry).expect("it looks again");
    assert!(wait >= rig.policy.call_timeout, "{wait:?}");
    assert_eq!(rig.tick_next().effect_names(), ["look"]);
    assert_eq!(rig.seen(sighting(RuntimeState::Running, 2, "b")).effect_names(), ["await_ready"]);
}

#[test]
fn a_process_whose_start_was_lost_is_started_not_declared_dead() {
    let mut rig = process_on_a();
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 2);
    let _ = rig.outcome(EffectOutcome::Restarted(Err(obstacle(Disposition::InDoubt, About::Agent))));
    let stopped = Sighting {
        state: RuntimeState::Stopped,
        instance: None,
        delivered: Delivered::Hidden,
        facts: Facts::default(),
    };
    assert_eq!(rig.seen(stopped).effect_names(), ["start"]);
}

#[test]
fn orders_that_are_refused_for_now_are_not_used_up_at_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let busy = EffectOutcome::Restarted(Err(obstacle(Disposition::Transient, About::Runtime)));
    assert!(rig.outcome(busy).effects.is_empty(), "it waits a little before it looks and orders again");
    assert_eq!(rig.tick_next().effect_names(), ["look"]);
}

#[test]
fn a_look_that_is_refused_for_good_ends_the_intent_and_asks_for_a_person() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let mut ends = Vec::new();
    for _ in 0..20 {
        let refused = rig.outcome(EffectOutcome::Seen(Err(obstacle(Disposition::Permanent, About::Agent))));
        ends.extend(closed(&refused));
        if !ends.is_empty() {
            break;
        }
        let _ = rig.tick_next();
    }
    assert_eq!(ends, [IntentOutcome::NotReady]);
    assert!(matches!(rig.state.phase, Phase::Parked { .. }));
    assert_eq!(rig.state.generation(), Generation(2), "the credential is in place");
}

#[test]
fn an_ambiguous_report_of_before_a_switch_is_not_held_against_what_came_after_it() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    rig.pass(SECOND);
    assert_eq!(rig.report(report(FailureKind::RateLimit)).answers(), [Outcome::Ambiguous]);
    let _ = rig.limit_in(2);
    let _ = rig.pick("c");
    let _ = rig.switch_completes("c", 2);
    let _ = rig.tick_after(2 * MINUTE);
    assert!(rig.state.trouble.is_none(), "it was not about this generation: {:#?}", rig.state.trouble);
    assert!(rig.state.deferred.is_empty());
}

#[test]
fn an_ambiguous_report_is_judged_although_settle_ends_during_a_switch_that_fails() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let _ = rig.report(report(FailureKind::RateLimit));
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    let _ = rig.pick("c");
    let _ = rig.tick_after(2 * MINUTE);
    let _ = rig.operator(Command::CancelSwitch);
    let _ = rig.tick_after(2 * MINUTE);
    assert!(rig.state.deferred.is_empty(), "{:#?}", rig.state);
    assert!(rig.state.trouble.is_some(), "it is the present's now");
}

#[test]
fn an_ambiguous_report_handled_after_settle_is_judged_at_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let _ = rig.tick_after(MINUTE);
    let report = Box::new(report(FailureKind::RateLimit));
    let _ = rig.send(Event::Report { ticket: Ticket(99), report, digest: 0, stamp: Stamp::Unsettled, count: 1 });
    assert_eq!(rig.tick_next().effect_names(), ["reserve"]);
}

#[test]
fn a_report_of_an_earlier_stay_on_the_target_is_stale() {
    let mut rig = Rig::serving("a");
    rig.pass(MINUTE);
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let observed_at = Some(START.wall.minus(MINUTE));
    let old = Report { subscription: Some("b".into()), observed_at, ..report(FailureKind::RateLimit) };
    assert_eq!(rig.report(old).answers(), [Outcome::Stale]);
}

#[test]
fn a_failure_between_the_delivery_and_the_end_of_a_switch_is_the_new_generations() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    rig.pass(SECOND);
    let observed_at = Some(rig.now.wall);
    rig.pass(SECOND);
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let _ = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
    let late = Report { subscription: Some("b".into()), observed_at, ..report(FailureKind::RateLimit) };
    assert_eq!(rig.report(late).effect_names(), ["reserve"]);
}

#[test]
fn an_exhausted_agent_that_was_braked_wakes_after_a_crash() {
    let mut first = Rig::new(policy());
    let mut decisions = vec![first.send(Event::Began), first.seen(sighting(RuntimeState::Running, 1, "a"))];
    decisions.push(first.limit_in(1));
    decisions.push(first.picked(nobody(None)));
    first.policy.budget.switches = 0;
    decisions.push(first.tick_next());
    let mut rig = killed_after(&first, &decisions);
    let _ = rig.send(Event::Began);
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    assert!(rig.state.timers.next(rig.now).is_some(), "nothing wakes it");
}

#[test]
fn a_pinned_exhausted_agent_does_not_spin_when_its_own_reset_has_come() {
    let mut rig = Rig::serving("a");
    let reset_at = Some(START.wall.plus(5 * MINUTE));
    let _ = rig.report(Report { generation: Some(Generation(1)), reset_at, ..report(FailureKind::RateLimit) });
    let _ = rig.picked(nobody(Some(START.wall.plus(60 * MINUTE))));
    let _ = rig.operator(Command::Pin { to: "a".into() });
    let _ = rig.tick_after(6 * MINUTE);
    let _ = rig.send(Event::PoolChanged { lifted: None });
    let _ = rig.send(Event::Tick);
    let wait = rig.state.timers.next(rig.now);
    assert!(wait.is_none_or(|wait| wait >= SECOND), "{wait:?}");
    assert!(matches!(rig.state.phase, Phase::Serving), "its own reset has come: {:?}", rig.state.phase);
}

#[test]
fn an_exhausted_agent_whose_pool_does_not_answer_asks_once_a_second() {
    let mut rig = Rig::serving("a");
    let reset_at = Some(START.wall.plus(5 * MINUTE));
    let _ = rig.report(Report { generation: Some(Generation(1)), reset_at, ..report(FailureKind::RateLimit) });
    let _ = rig.picked(nobody(reset_at));
    let _ = rig.tick_after(6 * MINUTE);
    let _ = rig.picked(Pick::Unavailable);
    let wait = rig.state.timers.next(rig.now).expect("it asks again");
    assert!(wait >= SECOND, "{wait:?}");
}

#[test]
fn a_pause_does_not_give_up_the_start_of_a_process_agent() {
    let mut rig = Rig::new(process());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(absent());
    let _ = rig.pick("a");
    let paused = rig.operator(Command::Pause { until: None });
    assert!(closed(&paused).is_empty(), "its start is no switch: {paused:#?}");
}

#[test]
fn a_paused_process_agent_is_brought_up_on_its_first_pick() {
    let mut rig = Rig::new(process());
    let _ = rig.operator(Command::Pause { until: None });
    let _ = rig.send(Event::Began);
    let _ = rig.seen(absent());
    assert_eq!(rig.pick("a").effect_names(), ["preflight"]);
}

#[test]
fn a_pinned_process_agent_that_found_nobody_is_brought_up_later() {
    let mut rig = Rig::new(process());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(absent());
    let _ = rig.picked(nobody(Some(START.wall.plus(MINUTE))));
    rig.state.pin = Some("b".into());
    assert_eq!(rig.tick_after(2 * MINUTE).effect_names(), ["reserve"]);
}

#[test]
fn a_container_that_could_not_be_given_its_first_credential_gets_it_after_the_pause() {
    let mut rig = Rig::new(policy());
    let _ = rig.operator(Command::Pause { until: None });
    let _ = rig.send(Event::Began);
    let bare = Sighting {
        state: RuntimeState::Stopped,
        instance: None,
        delivered: Delivered::Nothing,
        facts: Facts::default(),
    };
    let _ = rig.seen(bare.clone());
    assert_eq!(rig.operator(Command::Resume).effect_names(), ["look"]);
    assert_eq!(rig.seen(bare).effect_names(), ["reserve"]);
}

#[test]
fn a_container_whose_credential_was_unknown_is_looked_at_when_the_pool_learns_more() {
    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    let _ = rig.seen(Sighting { delivered: Delivered::Unrecognised, ..sighting(RuntimeState::Running, 1, "a") });
    assert_eq!(rig.send(Event::PoolChanged { lifted: None }).effect_names(), ["look"]);
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    assert_eq!(rig.state.subscription(), Some(&SubscriptionName::from("a")));
}

#[test]
fn a_process_agent_that_is_not_there_is_moved_for_its_trouble_nonetheless() {
    let mut rig = process_on_a();
    rig.policy.budget.switches = 0;
    assert_eq!(rig.limit_in(1).answers(), [Outcome::Braked]);
    rig.policy.budget.switches = 6;
    let _ = rig.send(Event::RuntimeChanged);
    assert_eq!(rig.seen(absent()).effect_names(), ["reserve"]);
}

#[test]
fn unpark_is_answered_truly_while_the_pool_is_asked() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Switch { to: None, force: false, reason: None });
    let refused = rig.operator(Command::Unpark);
    assert!(matches!(refused.replies[..], [(_, Reply::Refused(Refusal::NotParked))]));
}

#[test]
fn an_event_that_did_something_is_not_counted_as_ignored() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Pause { until: Some(START.wall.plus(MINUTE)) });
    let _ = rig.limit_in(1);
    let _ = rig.send(Event::RuntimeChanged);
    let _ = rig.outcome(EffectOutcome::Seen(Err(obstacle(Disposition::Transient, About::Runtime))));
    // The pause ends and the pool is asked; the timer of the next look is due as well and finds that.
    let decision = rig.tick_after(2 * MINUTE);
    assert_eq!(decision.effect_names(), ["reserve"]);
    assert_eq!(decision.verdict, Verdict::Accepted);
}

#[test]
fn an_agent_with_a_key_of_its_own_says_nothing_more_against_logins() {
    let mut rig = Rig::serving("a");
    let refused = report(FailureKind::Auth);
    let _ = rig.report(refused.clone());
    let parked = rig.picked(Pick::Shadowed { rows: Vec::new() });
    assert_eq!(parked.answers(), [Outcome::Recorded]);
    // A tool says one refusal several times.
    let again = rig.report(refused);
    assert!(!again.changes.iter().any(|change| matches!(change, Change::CooldownSet(_))), "{:#?}", again.changes);
    assert_eq!((again.answers(), rig.state.trouble.clone()), (vec![Outcome::Recorded], None));
}
