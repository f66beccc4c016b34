//! The rules about lives and credentials, each as one short story: whose failure a log line is (A2, A6), what stands in the
//! way of a switch (G1), pins before the point of no return (G10), reloads (G12), and credentials that change (G13).

use std::time::Duration;

use switchman::domain::{
    Apply, Change, ContainerPosition, Delivered, Disposition, Facts, FailureKind, Fingerprint, Generation, Instance,
    IntentOutcome, LogPosition, Mounted, Origin, Outcome, ParkReason, Plan, Reload, Report, RuntimeState, Sighting,
    SubscriptionType, Surroundings, Wall, Window,
};
use switchman::machine::agent::testing::{RecordFold, Rig, given, life, policy, report, sighting};
use switchman::machine::agent::{
    About, Action, Command, Decision, Effect, EffectOutcome, Event, Obstacle, Phase, Pick, Readiness, Reply,
};
use switchman::machine::policy::{FilePolicy, Policy};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn by(life: Instance) -> Report {
    Report { origin: Origin::Life(life), ..report(FailureKind::RateLimit) }
}

fn by_an_earlier_life(at: Wall) -> Report {
    Report { origin: Origin::EarlierLife, observed_at: Some(at), ..report(FailureKind::RateLimit) }
}

/// Runs on `b` since a minute: its first life ran on `a`, its second one on `b`.
fn moved() -> Rig {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let _ = rig.seen(sighting(RuntimeState::Running, 2, "b"));
    rig.pass(MINUTE + SECOND);
    rig
}

fn with_apply(apply: Apply) -> Rig {
    let mut rig = Rig::serving("a");
    let path = "/srv/worker/credential".into();
    rig.policy.file = Some(FilePolicy { apply, path, format: switchman::domain::Format::Raw });
    rig
}

fn offered(print: &str, sighting: Sighting) -> Sighting {
    Sighting { facts: Facts { offered: Some(Fingerprint(print.to_owned())), ..Facts::default() }, ..sighting }
}

fn ends(decision: &Decision) -> Vec<(IntentOutcome, u32, Option<&str>)> {
    let ends = decision.changes.iter().filter_map(|change| match change {
        Change::IntentClosed(end) => Some((end.outcome, end.restarts, end.reason.as_deref())),
        _ => None,
    });
    ends.collect()
}

fn opened(decision: &Decision) -> Vec<(Plan, Generation)> {
    let opened = decision.changes.iter().filter_map(|change| match change {
        Change::IntentOpened(intent) => Some((intent.plan, intent.generation)),
        _ => None,
    });
    opened.collect()
}

// ---- whose failure is a line? ----------------------------------------------------------------------------------

#[test]
fn a2_a_line_is_held_against_the_life_that_wrote_it() {
    let mut rig = moved();
    let stale = rig.report(by(life(1)));
    assert_eq!(stale.answers(), [Outcome::Stale]);
    let booked = stale.changes.iter().find_map(|change| match change {
        Change::FailureRecorded(record) => Some((record.subscription.clone(), record.generation)),
        _ => None,
    });
    assert_eq!(booked, Some((Some("a".into()), Some(Generation(1)))));
    assert_eq!(rig.report(by(life(2))).effect_names(), ["reserve"], "the present life's is the present's");
}

#[test]
fn a6_a_life_that_others_began_runs_on_the_present_assignment() {
    let mut rig = moved();
    assert_eq!(rig.report(by(life(7))).effect_names(), ["reserve"]);
}

#[test]
fn a7_a_new_life_that_fails_before_it_is_verified_waits_for_the_switch() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Repeat], "the old life goes on complaining");
    assert_eq!(rig.report(by(life(2))).answers(), [Outcome::Held]);
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let done = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
    assert_eq!(ends(&done).len(), 1);
    assert_eq!(done.effect_names(), ["reserve"], "now it is the present's");
}

#[test]
fn a7_while_the_credential_is_being_written_the_known_life_is_the_old_one() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Repeat]);
    // One that slipped in turns out to be the life that has to end: its failure is the past's in the end.
    assert_eq!(rig.report(by(life(2))).answers(), [Outcome::Held]);
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Running, 2, "b"));
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let done = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
    assert_eq!(done.effect_names(), ["look"], "nobody is moved for it");
    let judged = done.changes.iter().any(|change| {
        matches!(change, Change::FailureJudged { outcome: Outcome::Stale, generation: Some(Generation(1)), .. })
    });
    assert!(judged, "{:#?}", done.changes);
}

#[test]
fn a9_what_a_life_wrote_that_has_ended_is_told_apart_by_its_time() {
    let mut rig = moved();
    let switched_at = rig.state.switched_at.unwrap();
    assert_eq!(rig.report(by_an_earlier_life(switched_at.minus(SECOND))).answers(), [Outcome::Stale]);
    assert_eq!(rig.report(by_an_earlier_life(switched_at.plus(SECOND))).effect_names(), ["reserve"]);
}

#[test]
fn a2_the_life_that_ran_before_is_known_after_a_crash() {
    let mut rig = Rig::serving("a");
    let mut fold = RecordFold::new(rig.state.name.clone(), rig.now);
    for decision in [rig.limit_in(1), rig.pick("b"), rig.switch_completes("b", 1)] {
        fold.record.attributes = rig.state.attributes(rig.now);
        let _ = decision;
    }
    fold.record.assignment = rig.state.assignment.clone();
    fold.record.issued = rig.state.recent.clone();
    let mut rig = rig.restored(fold.record);
    let _ = rig.send(Event::Began);
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Stale]);
}

#[test]
fn a6_a_life_tells_nothing_where_work_keeps_the_old_credential() {
    let mut rig = with_apply(Apply::Written);
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    assert_eq!(rig.state.generation(), Generation(2));
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Ambiguous]);
}

#[test]
fn a5_a_line_of_a_session_file_is_held_against_the_time_that_it_states() {
    let dated = |at: Wall| Report { origin: Origin::Dated, observed_at: Some(at), ..report(FailureKind::RateLimit) };
    let mut rig = moved();
    let switched = rig.state.switched_at.expect("it was moved");
    let before = rig.report(dated(switched.minus(SECOND)));
    assert_eq!(before.answers(), [Outcome::Stale]);
    assert_eq!((rig.state.generation(), rig.state.subscription()), (Generation(2), Some(&"b".into())));
    let _ = rig.report(dated(switched));
    assert!(rig.state.phase.is_moving(), "it is about what runs now");

    // Also where a life goes on over a switch: the line itself says when it was.
    let mut rig = with_apply(Apply::Written);
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    assert_eq!(rig.report(dated(rig.now.wall)).answers(), [Outcome::Repeat], "while it is being moved");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    let switched = rig.state.switched_at.expect("it was moved");
    rig.pass(SECOND);
    assert_eq!(rig.report(dated(switched.minus(SECOND))).answers(), [Outcome::Stale]);
    assert_eq!(rig.report(dated(rig.now.wall)).answers(), [Outcome::Ambiguous], "soon after a switch");

    // With nothing before it there is nothing that it could be about but this.
    let mut rig = Rig::serving("a");
    let _ = rig.report(dated(Wall(1)));
    assert!(rig.state.phase.is_moving());
}

#[test]
fn a9_how_far_a_log_was_read_is_written_with_what_was_found_there() {
    let mut rig = moved();
    let read_to = LogPosition::Container(ContainerPosition { container: "box".to_owned(), at_ns: 5, seen: 1 });
    let found = rig.report(Report { read_to: Some(read_to.clone()), ..by(life(1)) });
    assert!(found.changes.contains(&Change::LogRead("worker".into(), read_to)), "{:#?}", found.changes);
}

// ---- what stands in the way ------------------------------------------------------------------------------------

fn hindered(facts: Facts) -> Sighting {
    Sighting { facts, ..sighting(RuntimeState::Running, 1, "a") }
}

#[test]
fn g1_what_would_keep_the_agent_from_the_credential_stops_nothing_and_is_named() {
    let variables = vec!["ANTHROPIC_API_KEY".to_owned()];
    let shadowed =
        Facts { surroundings: Some(Surroundings { variables, ..Surroundings::default() }), ..Facts::default() };
    let hidden = Facts { mounted: Mounted::Nowhere, ..Facts::default() };
    let foreign = Facts { unfit: Some("it belongs to another switchman".to_owned()), ..Facts::default() };
    for (facts, word) in [(shadowed, "ANTHROPIC_API_KEY"), (hidden, "mount"), (foreign, "another switchman")] {
        let mut rig = Rig::serving("a");
        let _ = rig.send(Event::RuntimeChanged);
        let _ = rig.seen(hindered(facts.clone()));
        assert!(rig.state.hindrances.iter().any(|text| text.contains(word)), "{:?}", rig.state.hindrances);
        let _ = rig.limit_in(1);
        let _ = rig.pick("b");
        let refused = rig.outcome(EffectOutcome::Preflight(Ok(hindered(facts))));
        let end = ends(&refused);
        assert!(matches!(end[..], [(IntentOutcome::Failed, 0, Some(why))] if why.contains(word)), "{end:?}");
        assert!(refused.effects.iter().all(|effect| !matches!(effect, Effect::Act { .. })), "nothing is touched");
    }
}

#[test]
fn g10_a_pin_before_the_point_of_no_return_calls_the_switch_off_unless_it_goes_there() {
    let draining = || {
        let mut rig = Rig::serving("a");
        let _ = rig.limit_in(1);
        let _ = rig.pick("b");
        rig
    };
    let mut rig = draining();
    let there = rig.operator(Command::Pin { to: "b".into() });
    assert_eq!(
        (ends(&there), rig.state.pin.as_ref().map(switchman::domain::SubscriptionName::as_str)),
        (vec![], Some("b"))
    );

    let mut rig = draining();
    let back = rig.operator(Command::Pin { to: "a".into() });
    assert!(matches!(ends(&back)[..], [(IntentOutcome::Cancelled, 0, Some(_))]));
    assert!(back.replies.iter().any(|(_, reply)| *reply == Reply::Done) && rig.state.pin.is_some());

    let mut rig = draining();
    let elsewhere = rig.operator(Command::Pin { to: "c".into() });
    assert!(matches!(ends(&elsewhere)[..], [(IntentOutcome::Cancelled, 0, Some(_))]));
    assert_eq!(elsewhere.effect_names(), ["reserve"]);
}

#[test]
fn a1_what_a_life_wrote_that_had_ended_before_the_delivery_is_never_the_new_ones() {
    // It prints its limit and ends: the switch finds it stopped, and its log opens with that very life.
    let mut rig = Rig::serving("a");
    let began = rig.now.wall;
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.pass(SECOND);
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Stopped, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let done = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
    assert!(matches!(ends(&done)[..], [(IntentOutcome::NotRunning, 0, _)]));
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Stale], "by the life itself");
    let long_gone = Report { observed_at: Some(began), ..by(life(9)) };
    assert_eq!(rig.report(long_gone).answers(), [Outcome::Stale], "by the time, whichever life it was");
}

// ---- reloads ---------------------------------------------------------------------------------------------------

/// Up to the look after the delivery, which shows the life that runs.
fn delivered(rig: &mut Rig) -> Decision {
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    rig.seen(sighting(RuntimeState::Running, 1, "b"))
}

fn signal() -> Apply {
    Apply::Reload(Reload::Signal("HUP".to_owned()))
}

#[test]
fn g12_written_is_enough_where_the_user_says_so() {
    let mut rig = with_apply(Apply::Written);
    let done = delivered(&mut rig);
    assert_eq!(ends(&done), [(IntentOutcome::Ready, 0, None)]);
    assert_eq!(rig.state.generation(), Generation(2));
}

#[test]
fn g12_a_reload_is_verified_and_one_that_fails_becomes_one_restart() {
    let mut rig = with_apply(signal());
    assert_eq!(delivered(&mut rig).effect_names(), ["reload"]);
    assert_eq!(rig.outcome(EffectOutcome::Reloaded(Ok(()))).effect_names(), ["await_ready"]);
    assert_eq!(ends(&rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)))), [(IntentOutcome::Ready, 0, None)]);

    for disposition in [Disposition::Transient, Disposition::Permanent, Disposition::InDoubt] {
        let mut rig = with_apply(signal());
        let _ = delivered(&mut rig);
        let obstacle = Obstacle { disposition, about: About::Runtime, text: "no such signal".to_owned() };
        let fallen_back = rig.outcome(EffectOutcome::Reloaded(Err(obstacle)));
        assert_eq!(fallen_back.effect_names(), ["restart"], "{disposition}");
        let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
        assert_eq!(ends(&rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)))), [(IntentOutcome::Ready, 1, None)]);
    }
}

#[test]
fn g12_what_does_not_run_is_not_reloaded() {
    let mut rig = with_apply(signal());
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Stopped, 1, "a"))));
    let _ = rig.outcome(EffectOutcome::Delivered(Ok(given())));
    let done = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
    assert!(matches!(ends(&done)[..], [(IntentOutcome::NotRunning, 0, _)]));
}

// ---- orders ----------------------------------------------------------------------------------------------------

#[test]
fn g8_what_its_engine_took_along_before_it_was_seen_is_started_once() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let doubt = Obstacle { disposition: Disposition::InDoubt, about: About::Runtime, text: "no answer".to_owned() };
    let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt.clone())));
    assert_eq!(rig.seen(sighting(RuntimeState::Stopped, 2, "b")).effect_names(), ["start"]);
    let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt)));
    let given_up = rig.seen(sighting(RuntimeState::Stopped, 3, "b"));
    assert!(matches!(ends(&given_up)[..], [(IntentOutcome::NotRunning, _, Some(_))]), "once, not for ever");
}

#[test]
fn g8_starts_that_are_refused_are_given_again_with_a_pause_and_not_for_ever() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let doubt = || Obstacle { disposition: Disposition::InDoubt, about: About::Runtime, text: "500".to_owned() };
    let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt())));
    let mut decision = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
    let (mut starts, began) = (0, rig.now.wall);
    while ends(&decision).is_empty() {
        assert_eq!(decision.effect_names(), ["start"]);
        starts += 1;
        let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt())));
        decision = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
        if decision.effect_names().is_empty() {
            assert_eq!(rig.tick_next().effect_names(), ["look"]);
            decision = rig.seen(sighting(RuntimeState::Stopped, 1, "b"));
        }
    }
    assert_eq!(starts, 8);
    assert!(rig.now.wall.since(began) > 20 * SECOND, "{:?}", rig.now.wall.since(began));
}

#[test]
fn g5_an_order_in_doubt_is_waited_for_as_long_as_the_container_may_take_to_end() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let doubt = Obstacle { disposition: Disposition::InDoubt, about: About::Runtime, text: "no answer".to_owned() };
    let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt)));
    let surroundings = Some(Surroundings { stop_timeout: Some(5 * MINUTE), ..Surroundings::default() });
    let facts = Facts { surroundings, ..Facts::default() };
    let waits = rig.seen(Sighting { facts, ..sighting(RuntimeState::Running, 1, "b") });
    assert!(waits.effects.is_empty());
    let wait = rig.due_in(switchman::machine::timer::Timer::Retry).unwrap();
    assert_eq!(wait, rig.policy.call_timeout + 5 * MINUTE);
}

// ---- credentials that change -----------------------------------------------------------------------------------

fn on_a(kinds: &[(&str, SubscriptionType)]) -> Rig {
    let kinds = kinds.iter().map(|(name, kind)| ((*name).into(), *kind)).collect();
    let mut rig = Rig::new(Policy { kinds, ..policy() });
    let _ = rig.send(Event::Began);
    let _ = rig.seen(offered("old", sighting(RuntimeState::Running, 1, "a")));
    rig
}

fn looks(rig: &mut Rig, sighting: Sighting) -> Decision {
    let _ = rig.send(Event::RuntimeChanged);
    rig.seen(sighting)
}

#[test]
fn g13_a_changed_credential_is_rolled_out_once_under_a_generation_of_its_own() {
    let mut rig = on_a(&[]);
    let same = looks(&mut rig, offered("old", sighting(RuntimeState::Running, 1, "a")));
    assert!(opened(&same).is_empty());
    let unknown = Sighting { delivered: Delivered::Unrecognised, ..sighting(RuntimeState::Running, 1, "a") };
    let changed = looks(&mut rig, offered("new", unknown));
    assert_eq!(opened(&changed), [(Plan::Rollover, Generation(2))]);
    let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
    let deliver = rig.outcome(EffectOutcome::Delivered(Ok(Fingerprint("new".to_owned()))));
    assert_eq!(deliver.effect_names(), ["look"]);
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
    let done = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
    assert_eq!(ends(&done), [(IntentOutcome::Ready, 1, None)]);
    assert!(done.changes.iter().all(|change| !matches!(change, Change::Notified(_))), "nobody was moved");
    assert_eq!(rig.state.budget, [], "it is no switch");
    let after = rig.seen(offered("new", sighting(RuntimeState::Running, 2, "a")));
    assert!(opened(&after).is_empty());
    // What was said about the old one is the past's.
    assert_eq!(rig.limit_in(1).answers(), [Outcome::Stale]);
}

#[test]
fn g13_a_source_that_is_another_one_each_time_does_not_keep_its_agents_from_working() {
    let mut rig = on_a(&[]);
    for (life, print) in [(1, "new"), (2, "newer")] {
        let changed = looks(&mut rig, offered(print, sighting(RuntimeState::Running, life, "a")));
        assert_eq!(opened(&changed).len(), usize::from(life == 1), "{print}");
        if life == 1 {
            let _ = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "a"))));
            let _ = rig.outcome(EffectOutcome::Delivered(Ok(Fingerprint(print.to_owned()))));
            let _ = rig.seen(sighting(RuntimeState::Running, 1, "a"));
            let _ = rig.outcome(EffectOutcome::Restarted(Ok(())));
            let _ = rig.outcome(EffectOutcome::Ready(Ok(Readiness::Ready)));
        }
    }
    // Put off, not forgotten.
    assert_eq!(rig.due_in(switchman::machine::timer::Timer::Retry), Some(10 * MINUTE));
    assert_eq!(rig.tick_after(10 * MINUTE).effect_names(), ["look"]);
    assert_eq!(opened(&rig.seen(offered("newest", sighting(RuntimeState::Running, 2, "a")))).len(), 1);
}

#[test]
fn g13_a_roll_out_waits_for_a_pause_a_limit_and_a_container() {
    let new = || offered("new", sighting(RuntimeState::Running, 1, "a"));
    let mut paused = on_a(&[]);
    let _ = paused.operator(Command::Pause { until: None });
    assert!(opened(&looks(&mut paused, new())).is_empty());
    assert_eq!(paused.operator(Command::Resume).effect_names(), ["look"]);
    assert_eq!(opened(&paused.seen(new())).len(), 1, "it is found when the pause ends");

    let mut limited = on_a(&[]);
    let _ = limited.limit_in(1);
    let _ = limited.picked(switchman::machine::agent::Pick::None {
        earliest: None,
        is_own_turn: false,
        reason: "none".to_owned(),
    });
    assert!(opened(&looks(&mut limited, new())).is_empty());

    let mut gone = on_a(&[]);
    assert!(opened(&looks(&mut gone, offered("new", sighting(RuntimeState::Missing, 0, "a")))).is_empty());
    assert_eq!(opened(&looks(&mut gone, new())).len(), 1);
}

#[test]
fn g13_a_roll_out_that_a_crash_cut_off_is_found_done_by_the_content() {
    let mut rig = on_a(&[]);
    let _ = looks(&mut rig, offered("new", sighting(RuntimeState::Running, 1, "a")));
    if let Phase::Draining(draining) = &mut rig.state.phase {
        draining.is_resumed = true;
    }
    assert_eq!(rig.send(Event::Began).effect_names(), ["look"]);
    let resumed = rig.seen(sighting(RuntimeState::Running, 1, "a"));
    assert_eq!(resumed.effect_names(), ["deliver"], "the new content is in place: it can only be finished");
    assert_eq!(rig.operator(Command::CancelSwitch).replies.len(), 1);
    assert!(matches!(rig.state.phase, Phase::Applying(_)));
}

#[test]
fn g13_a_login_that_its_tool_wrote_over_the_new_delivery_is_delivered_over() {
    let kinds = [("a", SubscriptionType::SetupToken), ("b", SubscriptionType::Login)];
    let mut rig = on_a(&kinds);
    let overwritten = looks(&mut rig, offered("old", sighting(RuntimeState::Running, 1, "b")));
    assert_eq!(opened(&overwritten), [(Plan::Rollover, Generation(2))]);
    let delivers = rig.outcome(EffectOutcome::Preflight(Ok(sighting(RuntimeState::Running, 1, "b"))));
    let to = delivers.effects.iter().find_map(|effect| match effect {
        Effect::Act { action: Action::Deliver { to, .. }, .. } => Some(to.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(to.as_deref(), Some("a"));
}

// ---- what users ran into ---------------------------------------------------------------------------------------

fn until(rig: &Rig) -> Option<Wall> {
    rig.state.trouble.as_ref().and_then(|trouble| trouble.until)
}

#[test]
fn e1_a_record_that_states_no_reset_takes_nothing_from_one_that_does() {
    let mut rig = Rig::serving("a");
    let reset = rig.now.wall.plus(20 * MINUTE);
    let _ = rig.report(Report { reset_at: Some(reset), window: Window::FiveHour, ..by(life(1)) });
    let _ = rig.picked(Pick::None { earliest: Some(reset), is_own_turn: false, reason: "none".to_owned() });
    // The same limit, told once more by a record without window and reset.
    let again = rig.report(by(life(1)));
    assert_eq!(until(&rig), Some(reset));
    let rows = again.changes.iter().filter_map(|change| match change {
        Change::CooldownSet(row) => Some(row.until),
        _ => None,
    });
    assert!(rows.into_iter().all(|until| until == Some(reset)), "{:#?}", again.changes);
}

#[test]
fn c8_a_near_reset_is_waited_for_although_another_record_does_not_state_it() {
    let mut rig = Rig::serving("a");
    let reset = rig.now.wall.plus(MINUTE);
    assert_eq!(rig.report(Report { reset_at: Some(reset), ..by(life(1)) }).answers(), [Outcome::Waiting]);
    assert_eq!(rig.report(by(life(1))).answers(), [Outcome::Waiting]);
}

#[test]
fn g9_parked_means_that_nothing_is_tried_not_even_a_first_credential() {
    let bare = || Sighting { delivered: Delivered::Nothing, ..sighting(RuntimeState::Stopped, 1, "a") };
    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    rig.state.phase = Phase::Parked { reason: ParkReason::ApplyFailed, since: rig.now.wall };
    assert!(rig.seen(bare()).effects.is_empty());

    // What would keep it from using one is mended first.
    let mut rig = Rig::new(policy());
    let _ = rig.send(Event::Began);
    let hidden = Sighting { facts: Facts { mounted: Mounted::Nowhere, ..Facts::default() }, ..bare() };
    assert!(rig.seen(hidden).effects.is_empty());
    let _ = rig.send(Event::RuntimeChanged);
    assert_eq!(rig.seen(bare()).effect_names(), ["reserve"]);
}

#[test]
fn g13_a_roll_out_waits_until_what_is_in_its_way_is_mended() {
    let mut rig = on_a(&[]);
    let hindered = |print: &str| {
        let offered = Some(Fingerprint(print.to_owned()));
        let facts = Facts { offered, mounted: Mounted::Nowhere, ..Facts::default() };
        Sighting { facts, ..sighting(RuntimeState::Running, 1, "a") }
    };
    assert!(opened(&looks(&mut rig, hindered("new"))).is_empty());
    assert_eq!(opened(&looks(&mut rig, offered("new", sighting(RuntimeState::Running, 2, "a")))).len(), 1);
}

#[test]
fn g5_an_order_in_doubt_that_came_off_is_seen_when_the_runtime_says_so() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let doubt = Obstacle { disposition: Disposition::InDoubt, about: About::Runtime, text: "no answer".to_owned() };
    let _ = rig.outcome(EffectOutcome::Restarted(Err(doubt.clone())));
    let _ = rig.seen(sighting(RuntimeState::Running, 1, "b"));
    let retry = switchman::machine::timer::Timer::Retry;
    let wait = rig.due_in(retry).unwrap();
    rig.pass(SECOND);
    // Something happened that is not the end of it: the wait goes on, no longer and no shorter.
    assert_eq!(rig.send(Event::RuntimeChanged).effect_names(), ["look"]);
    assert!(rig.seen(sighting(RuntimeState::Running, 1, "b")).effects.is_empty());
    assert_eq!(rig.due_in(retry), Some(wait.saturating_sub(SECOND)));
    assert_eq!(rig.send(Event::RuntimeChanged).effect_names(), ["look"]);
    assert!(rig.outcome(EffectOutcome::Seen(Err(doubt))).effects.is_empty());
    assert_eq!(rig.due_in(retry), Some(wait.saturating_sub(SECOND)));
    // And this is.
    assert_eq!(rig.send(Event::RuntimeChanged).effect_names(), ["look"]);
    assert_eq!(rig.seen(sighting(RuntimeState::Running, 2, "b")).effect_names(), ["await_ready"]);
}
