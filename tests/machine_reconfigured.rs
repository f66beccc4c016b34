//! What a changed policy, or the end of an agent in the config, comes to in each phase.

use std::time::Duration;

use switchman::domain::{CauseBy, Change, IntentOutcome, NotifyEvent, Plan, RuntimeState, SubscriptionName};
use switchman::machine::agent::testing::{Rig, START, sighting};
use switchman::machine::agent::{Command, Decision, EffectOutcome, Event, Phase, Pick};
use switchman::machine::pool::Wanted;

/// From now on the agent may use these only.
fn only(rig: &mut Rig, subscriptions: &[&str]) -> Decision {
    rig.policy.subscriptions = subscriptions.iter().map(|name| SubscriptionName::from(*name)).collect();
    rig.send(Event::Reconfigured)
}

fn running(lives: u32, on: &str) -> switchman::domain::Sighting {
    sighting(RuntimeState::Running, lives, on)
}

/// A switch from `a` to `b` whose preflight is under way.
fn on_its_way() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig
}

fn closed(decision: &Decision) -> Vec<IntentOutcome> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::IntentClosed(end) => Some(end.outcome),
        _ => None,
    });
    ends.collect()
}

#[test]
fn who_runs_on_what_it_may_use_is_looked_at_and_no_more() {
    let mut rig = Rig::serving("a");
    assert_eq!(only(&mut rig, &["a"]).effect_names(), ["look"]);
    assert!(rig.seen(running(1, "a")).effects.is_empty());
    assert!(matches!(rig.state.phase, Phase::Serving));
}

#[test]
fn who_runs_on_what_it_may_not_use_is_seen_first_and_then_moved_for_nothing() {
    let mut rig = Rig::serving("a");
    assert_eq!(only(&mut rig, &["b", "c"]).effect_names(), ["look"]);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
    let Phase::Selecting(selecting) = &rig.state.phase else { panic!("{:#?}", rig.state) };
    assert_eq!((selecting.cause.by, &selecting.wanted), (CauseBy::Reload, &Wanted::Another));
    let _ = rig.pick("b");
    assert!(rig.state.budget.is_empty(), "a change of the config is no failure of the agent");
    let _ = rig.switch_completes("b", 1);
    assert_eq!(rig.state.subscription(), Some(&"b".into()));
    assert!(rig.seen(running(2, "b")).effects.is_empty(), "once");
}

#[test]
fn what_is_not_there_is_moved_when_it_is() {
    let mut rig = Rig::serving("a");
    let _ = only(&mut rig, &["b"]);
    assert!(rig.seen(sighting(RuntimeState::Missing, 1, "a")).effects.is_empty());
    let _ = rig.send(Event::RuntimeChanged);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
}

#[test]
fn who_is_not_to_be_acted_on_is_moved_when_it_is_again() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Pause { until: None });
    let _ = only(&mut rig, &["b"]);
    assert!(rig.seen(running(1, "a")).effects.is_empty());
    assert_eq!(rig.operator(Command::Resume).effect_names(), ["look"]);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);

    let mut rig = Rig::serving("a");
    rig.policy.switching = false;
    let _ = only(&mut rig, &["b"]);
    assert!(rig.seen(running(1, "a")).effects.is_empty());
    rig.policy.switching = true;
    let _ = rig.send(Event::Reconfigured);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
}

#[test]
fn with_nobody_else_it_is_exhausted_says_so_and_asks_again() {
    let mut rig = Rig::serving("a");
    let _ = only(&mut rig, &["b"]);
    let _ = rig.seen(running(1, "a"));
    let nobody = rig.picked(Pick::None { earliest: None, is_own_turn: false, reason: "b: full".to_owned() });
    let is_told = |change: &Change| matches!(change, Change::Notified(told) if told.event == NotifyEvent::Exhausted);
    assert!(nobody.changes.iter().any(is_told));
    assert!(matches!(rig.state.phase, Phase::Exhausted { .. }));
    assert_eq!(rig.send(Event::PoolChanged { lifted: None }).effect_names(), ["reserve"]);
    let Phase::Selecting(selecting) = &rig.state.phase else { panic!("{:#?}", rig.state) };
    assert_eq!(selecting.cause.by, CauseBy::Reload);
    let _ = rig.pick("b");
    assert!(rig.state.budget.is_empty());
}

#[test]
fn what_is_allowed_again_is_kept_without_a_restart() {
    let mut rig = Rig::serving("a");
    let _ = only(&mut rig, &["b"]);
    let _ = rig.seen(running(1, "a"));
    let _ = rig.picked(Pick::None { earliest: None, is_own_turn: false, reason: "b: full".to_owned() });
    assert_eq!(only(&mut rig, &["a", "b"]).effect_names(), ["reserve"]);
    let _ = rig.picked(Pick::Keep);
    assert!(matches!(rig.state.phase, Phase::Serving));
    assert_eq!(rig.state.generation().0, 1);
}

#[test]
fn a_start_of_the_daemon_moves_nobody() {
    let mut rig = Rig::kept(switchman::machine::agent::testing::policy()).found_on("a");
    rig.policy.subscriptions = vec!["b".into()];
    assert_eq!(rig.is_killed().effect_names(), ["look"]);
    assert!(rig.seen(running(1, "a")).effects.is_empty());
    let mut fresh = Rig::new(rig.policy.clone());
    let _ = fresh.send(Event::Began);
    let _ = fresh.seen(running(1, "a"));
    assert_eq!(fresh.state.subscription(), Some(&"a".into()), "what is found running is taken over as it is");
    assert!(matches!(fresh.state.phase, Phase::Serving));
}

#[test]
fn a_target_that_is_lost_before_the_delivery_is_given_up_for_another_in_the_time_that_is_left() {
    let mut rig = on_its_way();
    let drained_by = match &rig.state.phase {
        Phase::Draining(draining) => draining.until,
        other => panic!("{other:#?}"),
    };
    rig.pass(Duration::from_secs(5));
    let lost = only(&mut rig, &["a", "c"]);
    assert_eq!(closed(&lost), [IntentOutcome::Cancelled]);
    assert_eq!(lost.effect_names(), ["look"]);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
    let _ = rig.pick("c");
    let Phase::Draining(draining) = &rig.state.phase else { panic!("{:#?}", rig.state) };
    assert_eq!((draining.until, draining.intent.to.as_str()), (drained_by, "c"));
}

#[test]
fn a_target_that_stays_is_left_alone_on_the_way() {
    let mut rig = on_its_way();
    let before = rig.state.phase.clone();
    assert!(only(&mut rig, &["b"]).effects.is_empty());
    assert_eq!(rig.state.phase, before);
}

#[test]
fn a_target_that_is_lost_after_the_delivery_is_finished_and_then_left() {
    let mut rig = on_its_way();
    rig.restarting("b", 1);
    assert!(only(&mut rig, &["a", "c"]).effects.is_empty());
    assert_eq!(rig.outcome(EffectOutcome::Restarted(Ok(()))).effect_names(), ["await_ready"]);
    let ready = rig.outcome(EffectOutcome::Ready(Ok(switchman::machine::agent::Readiness::Ready)));
    assert_eq!((closed(&ready), ready.effect_names()), (vec![IntentOutcome::Ready], vec!["look"]));
    assert_eq!(rig.seen(running(2, "b")).effect_names(), ["reserve"]);
}

#[test]
fn until_somebody_has_looked_the_credential_may_be_in_place() {
    let mut rig = Rig::kept(switchman::machine::agent::testing::policy()).found_on("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.is_killed();
    assert!(only(&mut rig, &["a", "c"]).changes.is_empty());
    // It is: so it is finished.
    assert_eq!(rig.seen(running(1, "b")).effect_names(), ["deliver"]);
}

#[test]
fn a_pin_to_what_is_gone_is_dropped_and_one_to_what_is_left_holds() {
    let mut rig = Rig::serving("a");
    let _ = rig.operator(Command::Pin { to: "a".into() });
    let _ = only(&mut rig, &["a", "b"]);
    assert_eq!(rig.state.pin, Some("a".into()));
    let dropped = only(&mut rig, &["b"]);
    assert_eq!(rig.state.pin, None);
    assert!(dropped.changes.iter().any(|change| matches!(change, Change::AgentSaved(..))));
}

#[test]
fn a_larger_budget_frees_who_is_braked() {
    let mut rig = Rig::serving("a");
    rig.policy.budget.switches = 0;
    let _ = rig.limit_in(1);
    assert!(rig.state.braked_until.is_some());
    rig.policy.budget.switches = 6;
    let _ = rig.send(Event::Reconfigured);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
}

#[test]
fn a_parked_agent_is_moved_when_a_person_has_seen_to_it() {
    let mut rig = Rig::serving("a");
    rig.state.phase = Phase::Parked { reason: switchman::domain::ParkReason::ApplyFailed, since: START.wall };
    let _ = only(&mut rig, &["b"]);
    assert!(rig.seen(running(1, "a")).effects.is_empty());
    let _ = rig.operator(Command::Unpark);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
}

#[test]
fn an_agent_that_goes_is_called_off_before_the_delivery_and_finished_after_it() {
    let mut before = on_its_way();
    assert_eq!(closed(&before.send(Event::Retired)), [IntentOutcome::Cancelled]);
    assert!(!before.state.phase.is_switching());

    let mut after = on_its_way();
    after.restarting("b", 1);
    assert!(closed(&after.send(Event::Retired)).is_empty());
    assert_eq!(after.outcome(EffectOutcome::Restarted(Ok(()))).effect_names(), ["await_ready"]);

    let mut resting = Rig::serving("a");
    assert!(resting.send(Event::Retired).changes.is_empty());
}

#[test]
fn a_roll_over_to_what_is_gone_is_given_up() {
    let mut rig = Rig::serving("a");
    rig.state.credential = Some(switchman::domain::Fingerprint("old".to_owned()));
    let mut changed = running(1, "a");
    changed.facts.offered = Some(switchman::domain::Fingerprint("new".to_owned()));
    let _ = rig.send(Event::RuntimeChanged);
    let _ = rig.seen(changed);
    assert_eq!(rig.state.phase.intent().map(|intent| intent.plan), Some(Plan::Rollover));
    assert_eq!(closed(&only(&mut rig, &["b"])), [IntentOutcome::Cancelled]);
    assert_eq!(rig.seen(running(1, "a")).effect_names(), ["reserve"]);
}
