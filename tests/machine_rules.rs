//! The rules by their numbers, each as one short story about one agent.

use std::time::Duration;

use switchman::domain::{
    Cause, CauseBy, Change, Delivered, Disposition, FailureKind, Generation, IntentOutcome, NotifyEvent, Outcome,
    ParkReason, Plan, Report, RuntimeState, Sighting, SubscriptionName, Wall, Window,
};
use switchman::machine::agent::testing::{Rig, START, given, policy, pool, report, sighting, subscription};
use switchman::machine::agent::{
    About, Action, Command, Decision, Effect, EffectOutcome, Event, Obstacle, Phase, Pick, Readiness, Refusal, Reply,
};
use switchman::machine::attribution::{StampError, stamp};
use switchman::machine::pool::Wanted;
use switchman::machine::timer::Timer;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn limit() -> Report {
    report(FailureKind::RateLimit)
}

fn about(name: &str) -> Report {
    Report { subscription: Some(name.into()), ..limit() }
}

fn nobody(earliest: Option<Wall>) -> Pick {
    Pick::None { earliest, is_own_turn: false, reason: "all are cooling".to_owned() }
}

fn refused(disposition: Disposition, about: About) -> Obstacle {
    Obstacle { disposition, about, text: "in the way".to_owned() }
}

/// An agent that was moved from `a` to `b` a moment ago.
fn moved() -> Rig {
    let mut rig = Rig::serving("a");
    rig.pass(MINUTE);
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    rig
}

fn closed(decision: &Decision) -> Vec<IntentOutcome> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::IntentClosed(end) => Some(end.outcome),
        _ => None,
    });
    ends.collect()
}

fn told(decision: &Decision) -> Vec<NotifyEvent> {
    let told = decision.changes.iter().filter_map(|change| match change {
        Change::Notified(notification) => Some(notification.event),
        _ => None,
    });
    told.collect()
}

fn cooled(decision: &Decision) -> Vec<(&str, Option<Wall>)> {
    let rows = decision.changes.iter().filter_map(|change| match change {
        Change::CooldownSet(row) => Some((row.subscription.as_str(), row.until)),
        _ => None,
    });
    rows.collect()
}

#[test]
fn a1_a_burst_about_one_generation_moves_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    for _ in 0..4 {
        assert!(rig.limit_in(1).effects.is_empty());
    }
    assert_eq!(
        rig.pick("b").answers(),
        [Outcome::Switching, Outcome::Repeat, Outcome::Repeat, Outcome::Repeat, Outcome::Repeat]
    );
    let _ = rig.switch_completes("b", 1);
    for _ in 0..4 {
        assert_eq!(rig.limit_in(1).answers(), [Outcome::Stale]);
    }
    assert_eq!(rig.state.subscription(), Some(&SubscriptionName::from("b")));
}

#[test]
fn a2_the_generation_beats_the_subscription_and_must_agree_with_it() {
    let rig = moved();
    let report = Report { generation: Some(Generation(1)), ..about("b") };
    let refusal = stamp(&report, &rig.state, &rig.policy, rig.now.wall);
    assert!(matches!(refusal, Err(StampError::Mismatch { .. })), "{refusal:?}");
}

#[test]
fn a3_an_older_failure_is_booked_where_it_ran_and_nowhere_else() {
    let mut rig = moved();
    let before = rig.state.clone();
    let decision = rig.limit_in(1);
    let Some(Change::FailureRecorded(record)) = decision.changes.first() else { panic!("it is recorded") };
    assert_eq!((record.subscription.as_ref(), record.generation), (Some(&"a".into()), Some(Generation(1))));
    assert!(cooled(&decision).is_empty());
    assert_eq!((&rig.state.phase, &rig.state.trouble), (&before.phase, &before.trouble));
}

#[test]
fn a4_a_subscription_alone_means_the_present_stay_on_it() {
    let mut rig = moved();
    assert_eq!(rig.report(about("a")).answers(), [Outcome::Stale]);
    assert_eq!(rig.report(about("c")).answers(), [Outcome::Stale]);
    let early = Report { observed_at: Some(START.wall), ..about("b") };
    assert_eq!(rig.report(early).answers(), [Outcome::Stale]);
    assert_eq!(rig.report(about("b")).effect_names(), ["reserve"]);
}

#[test]
fn a5_what_names_nothing_waits_until_the_switch_has_settled() {
    let mut rig = moved();
    rig.pass(30 * SECOND);
    assert_eq!(rig.report(limit()).answers(), [Outcome::Ambiguous]);
    assert!(rig.state.trouble.is_none(), "it is not acted on yet");
    assert_eq!(rig.tick_after(30 * SECOND).effect_names(), ["reserve"], "then it is the present's");
    let mut settled = moved();
    settled.pass(MINUTE);
    assert_eq!(settled.report(limit()).effect_names(), ["reserve"]);
}

#[test]
fn a5_what_names_nothing_during_a_switch_is_a_repeat() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.report(limit()).answers(), [Outcome::Repeat]);
}

#[test]
fn a7_a_failure_of_the_generation_being_applied_is_held_and_judged_afterwards() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    assert_eq!(rig.limit_in(2).answers(), [Outcome::Held]);
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let decision = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
    assert_eq!(decision.effect_names(), ["reserve"], "b has failed as well");
    assert_eq!(cooled(&decision)[0].0, "b");
}

#[test]
fn a7_a_number_that_was_issued_and_not_used_is_stale_and_one_never_issued_is_refused() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.limit_in(2).answers(), [Outcome::Held]);
    let given_up = rig.operator(Command::CancelSwitch);
    assert!(
        given_up.changes.iter().any(|change| matches!(change, Change::FailureJudged { outcome: Outcome::Stale, .. }))
    );
    assert_eq!(rig.limit_in(2).answers(), [Outcome::Stale]);
    let never = Report { generation: Some(Generation(3)), ..limit() };
    let refusal = stamp(&never, &rig.state, &rig.policy, rig.now.wall);
    assert_eq!(refusal, Err(StampError::NeverIssued { given: Generation(3), highest: Generation(2) }));
}

#[test]
fn a8_the_stamp_is_checked_again_when_the_report_is_handled() {
    let mut rig = Rig::serving("a");
    let stamp = stamp(&limit(), &rig.state, &rig.policy, rig.now.wall).expect("it is about the present");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let ticket = switchman::machine::agent::Ticket(50);
    let late = rig.send(Event::Report { ticket, report: Box::new(limit()), digest: 0, stamp, count: 1 });
    assert_eq!(late.answers(), [Outcome::Stale]);
}

#[test]
fn a10_what_runs_is_adopted_as_it_is_and_what_does_not_run_gets_a_file_only() {
    let mut rig = Rig::new(policy());
    assert_eq!(rig.send(Event::Began).effect_names(), ["look"]);
    let adopted = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    assert!(adopted.effects.is_empty(), "no restart");
    assert_eq!(rig.state.generation(), Generation(1));

    let mut unknown = Rig::new(policy());
    let _ = unknown.send(Event::Began);
    let _ = unknown.seen(Sighting { delivered: Delivered::Unrecognised, ..sighting(RuntimeState::Running, 1, "a") });
    assert!(unknown.state.assignment.is_none());
    assert_eq!(unknown.report(limit()).effect_names(), ["reserve"], "the first failure assigns");

    let mut bare = Rig::new(policy());
    let _ = bare.send(Event::Began);
    let nothing = Sighting { delivered: Delivered::Nothing, ..sighting(RuntimeState::Stopped, 1, "a") };
    assert_eq!(bare.seen(nothing.clone()).effect_names(), ["reserve"]);
    let _ = bare.pick("a");
    let _ = bare.outcome(EffectOutcome::Preflight(Ok(nothing)));
    let _ = bare.outcome(EffectOutcome::Delivered(Ok(given())));
    let done = bare.seen(sighting(RuntimeState::Stopped, 1, "a"));
    assert_eq!(
        (closed(&done), done.effect_names()),
        (vec![IntentOutcome::NotRunning], vec!["look"]),
        "G3: not started"
    );
}

#[test]
fn b2_one_intent_at_a_time() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let second = rig.operator(Command::Switch { to: Some("c".into()), force: true, reason: None });
    assert!(matches!(second.replies[..], [(_, Reply::Refused(Refusal::SwitchInProgress))]));
    let again = rig.send(Event::Picked { selection: rig.state.selection, pick: Pick::To("c".into()) });
    assert!(again.effects.is_empty());
}

#[test]
fn b9_every_brake_that_ends_looks_again_without_a_new_report() {
    let mut paused = Rig::serving("a");
    let _ = paused.operator(Command::Pause { until: Some(START.wall.plus(HOUR)) });
    assert_eq!(paused.limit_in(1).answers(), [Outcome::Recorded]);
    assert_eq!(paused.tick_after(HOUR).effect_names(), ["reserve"]);

    let mut pinned = Rig::serving("a");
    let _ = pinned.operator(Command::Pin { to: "a".into() });
    assert_eq!(pinned.limit_in(1).answers(), [Outcome::Recorded]);
    assert_eq!(pinned.operator(Command::Unpin).effect_names(), ["reserve"]);

    let mut failed = Rig::serving("a");
    let _ = failed.limit_in(1);
    let _ = failed.pick("b");
    let _ = failed.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Agent))));
    assert_eq!(failed.tick_next().effect_names(), ["look"]);
    assert_eq!(failed.seen(sighting(RuntimeState::Running, 1, "a")).effect_names(), ["reserve"]);

    let mut lifted = Rig::serving("a");
    let _ = lifted.limit_in(1);
    let _ = lifted.picked(nobody(None));
    assert_eq!(lifted.send(Event::PoolChanged { lifted: Some("a".into()) }).effect_names(), ["reserve"]);
}

#[test]
fn c8_a_near_reset_is_waited_for_and_wakes_without_a_restart() {
    let mut rig = Rig::serving("a");
    let reset_at = Some(START.wall.plus(90 * SECOND));
    let decision = rig.report(Report { reset_at, ..limit() });
    assert_eq!(decision.answers(), [Outcome::Waiting]);
    assert_eq!(cooled(&decision), [("a", reset_at)], "it cools all the same");
    assert_eq!(rig.tick_after(90 * SECOND).effect_names(), ["look"], "nothing is done to it");
    assert!(rig.state.trouble.is_none());
}

#[test]
fn d1_the_pool_is_told_what_has_just_failed_and_with_which_cooldown() {
    let mut rig = Rig::serving("a");
    let decision = rig.limit_in(1);
    let [Effect::Reserve { view, .. }] = &decision.effects[..] else { panic!("{:?}", decision.effects) };
    assert_eq!(view.wanted, Wanted::Another);
    let Some((failing, Some(row))) = &view.failing else { panic!("{view:?}") };
    assert_eq!((failing, &row.subscription), (&"a".into(), &"a".into()));
    let mut all = pool(["a", "b", "c"].map(|name| subscription(name, 8)));
    assert_eq!(all.reserve(view, rig.now.wall).first(), Some(&"b".into()));
}

#[test]
fn d2_agents_that_leave_together_spread() {
    let mut all = pool(["a", "b", "c"].map(|name| subscription(name, 8)));
    let mut picks = Vec::new();
    for name in ["w1", "w2", "w3", "w4"] {
        let mut rig = Rig::serving("a");
        rig.state.name = name.into();
        let decision = rig.limit_in(1);
        let [Effect::Reserve { view, .. }] = &decision.effects[..] else { panic!("{:?}", decision.effects) };
        picks.push(all.reserve(view, rig.now.wall).first().expect("there is room").to_string());
    }
    assert_eq!(picks, ["b", "c", "b", "c"]);
}

#[test]
fn d3_a_target_that_is_lost_is_replaced_inside_the_same_trouble() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let lost = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Target))));
    assert_eq!(closed(&lost), [IntentOutcome::Cancelled]);
    let again = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    let [Effect::Reserve { view, .. }] = &again.effects[..] else { panic!("{:?}", again.effects) };
    assert!(view.exclusions.contains_key("b"));
    let _ = rig.pick("c");
    assert_eq!(rig.state.phase.intent().map(|intent| intent.generation), Some(Generation(3)), "a new number");
}

#[test]
fn e1_how_long_each_kind_cools() {
    let until = |kind, window, reset_at| {
        let mut rig = Rig::serving("a");
        let decision = rig.report(Report { window, reset_at, generation: Some(Generation(1)), ..report(kind) });
        cooled(&decision)[0].1
    };
    let at = |after| Some(START.wall.plus(after));
    assert_eq!(until(FailureKind::RateLimit, Window::FiveHour, at(3 * HOUR)), at(3 * HOUR));
    assert_eq!(until(FailureKind::RateLimit, Window::Unknown, None), at(2 * HOUR));
    assert_eq!(until(FailureKind::Billing, Window::Unknown, None), at(24 * HOUR));
    assert_eq!(until(FailureKind::Entitlement, Window::Unknown, None), at(24 * HOUR));
    assert_eq!(until(FailureKind::Auth, Window::Unknown, None), None);
    assert_eq!(until(FailureKind::Banned, Window::Unknown, None), None);
}

#[test]
fn e2_a_switch_erases_no_evidence() {
    let rig = moved();
    let mut again = rig.clone();
    let decision = again.limit_in(2);
    assert!(!decision.changes.iter().any(|change| matches!(change, Change::CooldownLifted(_))));
}

#[test]
fn f1_the_budget_brakes_and_lets_go_by_itself() {
    let mut rig = Rig::serving("a");
    rig.policy.budget.switches = 1;
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let _ = rig.seen(sighting(RuntimeState::Running, 2, "b"));
    let braked = rig.limit_in(2);
    assert_eq!((braked.answers(), told(&braked)), (vec![Outcome::Braked], vec![NotifyEvent::Braked]));
    assert!(told(&rig.limit_in(2)).is_empty(), "people are told once");
    let by_hand = rig.clone().operator(Command::Switch { to: None, force: false, reason: None });
    assert_eq!(by_hand.effect_names(), ["reserve"], "an operator's switch does not count");
    let _ = rig.tick_after(MINUTE);
    let wait = rig.due_in(Timer::Brake).expect("it waits for the refill");
    assert_eq!(rig.tick_after(wait).effect_names(), ["reserve"]);
}

#[test]
fn f2_with_everything_exhausted_nothing_is_touched_until_the_earliest_reset() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let earliest = Some(START.wall.plus(HOUR));
    let decision = rig.picked(nobody(earliest));
    assert_eq!((decision.answers(), told(&decision)), (vec![Outcome::Exhausted], vec![NotifyEvent::Exhausted]));
    for _ in 0..20 {
        assert!(rig.limit_in(1).effects.is_empty());
    }
    let wait = rig.due_in(Timer::Wake).expect("it wakes");
    assert!(wait >= HOUR && wait <= HOUR + rig.policy.jitter, "{wait:?}");
    assert_eq!(rig.tick_after(wait).effect_names(), ["reserve"]);
}

#[test]
fn f3_its_own_reset_needs_no_restart() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.picked(nobody(Some(START.wall.plus(2 * HOUR))));
    let woken = rig.tick_next();
    let [Effect::Reserve { view, .. }] = &woken.effects[..] else { panic!("{:?}", woken.effects) };
    assert_eq!(view.wanted, Wanted::Any, "the one it has counts as well");
    let kept = rig.picked(Pick::Keep);
    assert!(kept.effects.is_empty(), "no restart");
    assert_eq!(told(&kept), [NotifyEvent::Woken]);
    assert_eq!((&rig.state.phase, rig.state.generation()), (&Phase::Serving, Generation(1)));
}

#[test]
fn g1_a_preflight_that_fails_costs_nothing() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let failed = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Agent))));
    assert_eq!(closed(&failed), [IntentOutcome::Failed]);
    assert!(failed.effects.is_empty());
    assert_eq!(rig.state.subscription(), Some(&"a".into()));
}

#[test]
fn g3_what_does_not_run_is_not_started() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Stopped, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let done = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
    assert_eq!(done.effect_names(), ["look"]);
    assert_eq!(closed(&done), [IntentOutcome::NotRunning]);
    assert_eq!(rig.state.subscription(), Some(&"b".into()), "it runs on b when somebody starts it");
}

#[test]
fn g5_a_lost_answer_is_answered_by_a_look() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let lost = EffectOutcome::Restarted(Err(refused(Disposition::InDoubt, About::Runtime)));
    assert_eq!(rig.outcome(lost).effect_names(), ["look"]);
    assert_eq!(rig.seen(sighting(RuntimeState::Running, 2, "b")).effect_names(), ["await_ready"], "it came off");
}

#[test]
fn g6_the_order_of_a_switch() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let opened = rig.pick("b");
    assert!(matches!(opened.changes.first(), Some(Change::CooldownSet(_) | Change::IntentOpened(_))));
    assert_eq!(opened.effect_names(), ["preflight"]);
    let passed = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    assert_eq!(passed.effect_names(), ["deliver"]);
    assert_eq!(rig.outcome(EffectOutcome::Delivered(Ok(given()))).effect_names(), ["look"]);
    let before = rig.seen(sighting(RuntimeState::Running, 7, "b"));
    assert!(
        matches!(&before.changes[..], [Change::IntentDelivered { before: Some(life), .. }] if life.started_at == "7")
    );
    let [Effect::Act { action: Action::Restart(order), .. }] = &before.effects[..] else { panic!("a restart") };
    assert_eq!(order.before.as_ref().map(|life| life.started_at.as_str()), Some("7"));
    assert_eq!(rig.outcome(EffectOutcome::Restarted(Ok(()))).effect_names(), ["await_ready"]);
    for (readiness, outcome) in [
        (Readiness::Ready, IntentOutcome::Ready),
        (Readiness::NotReady, IntentOutcome::NotReady),
        (Readiness::NotRunning, IntentOutcome::NotRunning),
    ] {
        let mut rig = rig.clone();
        let done = rig.outcome(EffectOutcome::Ready(Ok(readiness)));
        assert_eq!((closed(&done), rig.state.generation()), (vec![outcome], Generation(2)));
        assert_eq!(told(&done), [NotifyEvent::Switch], "G11: exactly one");
    }
}

#[test]
fn g8_an_agent_that_stands_still_in_the_middle_of_our_restart_is_started_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let _ = rig.outcome(EffectOutcome::Restarted(Err(refused(Disposition::InDoubt, About::Runtime))));
    assert_eq!(rig.seen(sighting(RuntimeState::Stopped, 1, "b")).effect_names(), ["start"]);
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let done = rig.outcome(EffectOutcome::Ready(Ok(Readiness::NotRunning)));
    assert_eq!(done.effect_names(), ["look"], "a stop after our start was confirmed is the operator's");
}

#[test]
fn g9_a_target_that_could_not_be_applied_is_left_out_and_the_third_time_parks() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    for (number, (to, minutes)) in [("b", 1), ("c", 5), ("b", 30)].into_iter().enumerate() {
        let _ = rig.pick(to);
        let _ = rig.outcome(EffectOutcome::Preflight(Err(refused(Disposition::Permanent, About::Agent))));
        assert_eq!(rig.state.exclusions[to], rig.now.wall.plus(minutes * MINUTE));
        if number < 2 {
            let _ = rig.tick_next();
            assert_eq!(rig.seen(sighting(RuntimeState::Running, 1, "a")).effect_names(), ["reserve"]);
        }
    }
    assert!(matches!(rig.state.phase, Phase::Parked { reason: ParkReason::ApplyFailed, .. }));
    assert!(rig.limit_in(1).effects.is_empty());
    assert_eq!(rig.operator(Command::Unpark).effect_names(), ["look"]);
}

#[test]
fn g10_before_the_point_of_no_return_a_pause_cancels_and_after_it_the_switch_is_finished() {
    let mut before = Rig::serving("a");
    let _ = before.limit_in(1);
    let _ = before.pick("b");
    assert_eq!(closed(&before.operator(Command::Pause { until: None })), [IntentOutcome::Cancelled]);

    let mut after = Rig::serving("a");
    let _ = after.limit_in(1);
    let _ = after.pick("b");
    after.restarting("b", 1);
    assert!(closed(&after.operator(Command::Pause { until: None })).is_empty());
    let refusal = after.operator(Command::CancelSwitch);
    assert!(matches!(refusal.replies[..], [(_, Reply::Refused(Refusal::TooLate))]));
    let _ = after.outcome(EffectOutcome::Restarted(Ok(())));
    assert_eq!(closed(&after.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)))), [IntentOutcome::Ready]);

    let mut selecting = Rig::serving("a");
    let _ = selecting.limit_in(1);
    let _ = selecting.operator(Command::Pause { until: None });
    assert_eq!(selecting.pick("b").effect_names(), ["release"]);
}

#[test]
fn an_intent_says_why_it_was_opened() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let opened = rig.pick("b");
    let intent = opened.changes.iter().find_map(|change| match change {
        Change::IntentOpened(intent) => Some(intent.clone()),
        _ => None,
    });
    let intent = intent.expect("it is opened");
    assert_eq!((intent.plan, intent.from), (Plan::Switch, Some("a".into())));
    let Cause { by, kind, failure, .. } = intent.cause;
    assert_eq!((by, kind, failure.map(|id| id.number)), (CauseBy::Failure, Some(FailureKind::RateLimit), Some(1)));
}
