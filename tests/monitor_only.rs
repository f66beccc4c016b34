//! An agent that is only observed: what happens to it is recorded, answered and held against its subscription, and
//! nothing is ever done to it, whoever asks.

use std::time::Duration;

use switchman::domain::{
    Change, Delivered, Facts, FailureKind, Fingerprint, IntentOutcome, Outcome, Report, Reporter, RuntimeState,
    Sighting,
};
use switchman::machine::agent::testing::{Rig, policy, report, sighting, wish};
use switchman::machine::agent::{Command, Decision, Effect, EffectOutcome, Event, Pick, Refusal, Reply};
use switchman::machine::policy::Policy;
use switchman::machine::turns::TurnRefusal;

const HOUR: Duration = Duration::from_secs(3_600);

fn observed() -> Policy {
    Policy { is_monitor_only: true, switching: false, ..policy() }
}

/// The gate is the machine's own, whatever else a policy says.
fn observed_alone() -> Policy {
    Policy { is_monitor_only: true, ..policy() }
}

/// A decision does nothing to the agent: it may look.
fn touches_nothing(decision: &Decision) {
    assert!(decision.effects.iter().all(|effect| !matches!(effect, Effect::Reserve { .. })), "{:?}", decision.effects);
    assert!(decision.effect_names().iter().all(|name| *name == "look"), "{:?}", decision.effect_names());
    assert!(!decision.changes.iter().any(|change| matches!(change, Change::IntentOpened(_))), "{:?}", decision.changes);
}

fn refused(decision: &Decision) -> bool {
    touches_nothing(decision);
    matches!(&decision.replies[..], [(_, Reply::Refused(Refusal::MonitorOnly))])
}

fn reason(decision: &Decision) -> Option<String> {
    decision.replies.iter().find_map(|(_, reply)| match reply {
        Reply::Report(answer) => answer.reason.clone(),
        Reply::Turn(_) | Reply::Done | Reply::Switching(_) | Reply::Refused(_) => None,
    })
}

#[test]
fn a_storm_of_failures_is_recorded_and_nothing_is_done() {
    for policy in [observed(), observed_alone()] {
        let mut rig = Rig::new(policy).found_on("a");
        for kind in [FailureKind::RateLimit, FailureKind::Auth, FailureKind::Billing, FailureKind::Banned] {
            for _ in 0..50 {
                let decision = rig.report(report(kind));
                touches_nothing(&decision);
                assert_eq!(decision.answers(), [Outcome::Recorded]);
                assert_eq!(reason(&decision).unwrap(), "the agent is monitor-only: it is observed and never touched");
                assert!(decision.changes.iter().any(|change| matches!(change, Change::FailureRecorded(_))));
            }
        }
        for _ in 0..20 {
            touches_nothing(&rig.tick_after(HOUR));
            touches_nothing(&rig.send(Event::PoolChanged { lifted: Some("a".into()) }));
            touches_nothing(&rig.send(Event::RuntimeChanged));
            touches_nothing(&rig.seen(sighting(RuntimeState::Running, 1, "a")));
        }
    }
}

#[test]
fn a_limit_that_is_over_is_forgotten() {
    let mut rig = Rig::new(observed()).found_on("a");
    let _ = rig.report(report(FailureKind::RateLimit));
    assert!(rig.state.trouble.is_some());
    touches_nothing(&rig.tick_after(3 * HOUR));
    assert!(rig.state.trouble.is_none(), "{:?}", rig.state.trouble);
}

#[test]
fn what_it_met_moves_nobody_who_is_found_under_its_name_later() {
    let mut rig = Rig::kept(observed()).found_on("a");
    let _ = rig.report(report(FailureKind::RateLimit));
    rig.policy = policy();
    touches_nothing(&rig.is_killed());
    let decision = rig.seen(sighting(RuntimeState::Running, 2, "a"));
    touches_nothing(&decision);
    assert!(rig.state.trouble.is_none(), "{:?}", rig.state.trouble);
}

#[test]
fn what_it_says_is_held_against_its_subscription() {
    let mut rig = Rig::new(observed()).found_on("a");
    let decision = rig.report(Report { reporter: Reporter::Agent, ..report(FailureKind::RateLimit) });
    let cooled: Vec<_> = decision
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::CooldownSet(cooldown) => Some(cooldown.key.quota.as_str().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(cooled, ["a"]);
}

#[test]
fn without_a_subscription_that_is_known_it_is_recorded_all_the_same() {
    let mut rig = Rig::new(Policy { file: None, ..observed() });
    let hidden = Sighting { delivered: Delivered::Hidden, ..sighting(RuntimeState::Running, 1, "a") };
    touches_nothing(&rig.send(Event::Began));
    touches_nothing(&rig.seen(hidden));
    let decision = rig.limit_of(None);
    touches_nothing(&decision);
    assert_eq!(decision.answers(), [Outcome::Recorded]);
    assert!(rig.state.assignment.is_none());
    let named = rig.limit_of(Some("b"));
    assert!(named.changes.iter().any(|change| matches!(change, Change::CooldownSet(_))));
}

trait Limits {
    fn limit_of(&mut self, subscription: Option<&str>) -> Decision;
}

impl Limits for Rig {
    fn limit_of(&mut self, subscription: Option<&str>) -> Decision {
        self.report(Report { subscription: subscription.map(Into::into), ..report(FailureKind::RateLimit) })
    }
}

#[test]
fn an_operators_switch_and_pin_are_refused() {
    let mut rig = Rig::new(observed()).found_on("a");
    for force in [false, true] {
        assert!(refused(&rig.operator(Command::Switch { to: Some("b".into()), force, reason: None })));
        assert!(refused(&rig.operator(Command::Switch { to: None, force, reason: None })));
    }
    assert!(refused(&rig.operator(Command::Pin { to: "b".into() })));
    assert!(refused(&rig.operator(Command::Pin { to: "a".into() })));
    for command in [Command::Pause { until: None }, Command::Resume, Command::Unpin] {
        let decision = rig.operator(command);
        touches_nothing(&decision);
        assert!(matches!(&decision.replies[..], [(_, Reply::Done)]));
    }
}

#[test]
fn nothing_is_delivered_to_what_has_not_begun_and_no_changed_credential_is_rolled_out() {
    let mut rig = Rig::new(observed_alone());
    touches_nothing(&rig.send(Event::Began));
    let empty = Sighting { delivered: Delivered::Nothing, ..sighting(RuntimeState::Stopped, 0, "a") };
    touches_nothing(&rig.seen(empty));
    let mut rig = Rig::new(observed_alone());
    let offers = |print: &str| {
        let facts = Facts { offered: Some(Fingerprint(print.to_owned())), ..Facts::default() };
        Sighting { facts, ..sighting(RuntimeState::Running, 1, "a") }
    };
    touches_nothing(&rig.send(Event::Began));
    touches_nothing(&rig.seen(offers("old")));
    touches_nothing(&rig.send(Event::RuntimeChanged));
    touches_nothing(&rig.seen(offers("new")));
    assert_eq!(rig.state.subscription(), Some(&"a".into()), "it is adopted as it was found");
}

#[test]
fn a_lost_holder_is_not_fenced_not_even_by_an_operator() {
    let mut rig = Rig::new(observed_alone()).found_on("a");
    let turn = rig.holds("s", "ann");
    for _ in 0..10 {
        touches_nothing(&rig.tick_after(HOUR));
    }
    let decision = rig.fence(turn);
    touches_nothing(&decision);
    assert_eq!(decision.refused(), [&TurnRefusal::MonitorOnly]);
}

#[test]
fn a_turn_does_not_wait_for_a_switch_that_never_comes() {
    let mut rig = Rig::new(observed()).found_on("a");
    let _ = rig.shunned("a", Some(HOUR));
    let decision = rig.begin(wish("s", "ann"));
    touches_nothing(&decision);
    let refused = decision.refused();
    let [TurnRefusal::Exhausted { reason, .. }] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(reason, "the agent is monitor-only: it is observed and never touched");
}

#[test]
fn what_waits_for_a_subscription_is_left_alone_from_then_on() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.picked(Pick::None { earliest: None, is_own_turn: false, reason: "all are cooling".to_owned() });
    rig.policy = observed_alone();
    let told = rig.limit_in(1);
    touches_nothing(&told);
    assert_eq!(told.answers(), [Outcome::Recorded]);
    for _ in 0..10 {
        touches_nothing(&rig.send(Event::PoolChanged { lifted: None }));
        touches_nothing(&rig.tick_after(HOUR));
    }
}

#[test]
fn a_switch_that_has_touched_nothing_yet_is_given_up() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.policy = observed_alone();
    let decision = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    touches_nothing(&decision);
    let closed = decision.changes.iter().find_map(|change| match change {
        Change::IntentClosed(end) => Some(end.outcome),
        _ => None,
    });
    assert_eq!(closed, Some(IntentOutcome::Cancelled));
}
