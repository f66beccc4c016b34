//! How far an agent's own text is believed: a line alone moves nobody, and what bears it out, or speaks against it.

use std::time::Duration;

use proptest::prelude::*;
use switchman::domain::{
    AgentRecord, Change, FailureKind, Generation, Origin, Outcome, Report, Reporter, Sign, Trust, TurnId, Wall,
};
use switchman::machine::agent::testing::{Rig, START, life, policy, report};
use switchman::machine::agent::{Command, Decision, Event, LAST_WORDS, Phase, Pick, WINDOW};
use switchman::machine::policy::{Policy, TextPolicy};
use switchman::machine::timer::Timer;
use switchman::machine::turns::TurnRequest;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A line of text in the log of the agent's first life.
fn text(kind: FailureKind) -> Report {
    Report {
        trust: Trust::Text,
        reporter: Reporter::Agent,
        sender: "log".to_owned(),
        origin: Origin::Life(life(1)),
        reason: Some("text.limit: a usage limit".to_owned()),
        ..report(kind)
    }
}

fn limit() -> Report {
    text(FailureKind::RateLimit)
}

/// The same, told over the agent's own socket.
fn told() -> Report {
    Report { sender: "agent worker, uid 1000".to_owned(), origin: Origin::Untold, ..limit() }
}

fn written(report: Report, at: Wall) -> Report {
    Report { observed_at: Some(at), ..report }
}

fn with(text: TextPolicy) -> Rig {
    Rig::new(Policy { text, ..policy() }).found_on("a")
}

/// One whose log said that the limit is reached.
fn claiming() -> Rig {
    let mut rig = Rig::serving("a");
    assert_eq!(rig.report(limit()).answers(), [Outcome::Uncorroborated]);
    rig
}

fn ends(rig: &mut Rig, was_killed: bool) -> Decision {
    let at = rig.now.wall;
    rig.send(Event::Ended { at, was_killed })
}

fn turn_fails(rig: &mut Rig, turn: u64) -> Decision {
    rig.asks(TurnRequest::Complete { turn, is_ok: false })
}

fn another_says(rig: &mut Rig, of: &str, kind: FailureKind) -> Decision {
    rig.send(Event::Agreed { subscription: of.into(), kind })
}

/// What was judged, with what agreed.
fn judged(decision: &Decision) -> Vec<(Outcome, Option<Sign>)> {
    let judged = decision.changes.iter().filter_map(|change| match change {
        Change::FailureJudged { outcome, agreed, .. } => Some((*outcome, *agreed)),
        _ => None,
    });
    judged.collect()
}

fn reasons(decision: &Decision) -> Vec<&str> {
    let reasons = decision.changes.iter().filter_map(|change| match change {
        Change::FailureJudged { reason, .. } => reason.as_deref(),
        _ => None,
    });
    reasons.collect()
}

/// Whether a step asks for another subscription.
fn moves(decision: &Decision) -> bool {
    decision.effect_names().contains(&"reserve")
}

#[track_caller]
fn is_moved(decision: &Decision, by: Sign) {
    assert!(moves(decision), "{:?}", decision.effect_names());
    assert_eq!(judged(decision), [(Outcome::Switching, Some(by))]);
    assert_eq!(decision.state.claims().count(), 0);
}

#[track_caller]
fn is_dropped(decision: &Decision, why: &str) {
    assert!(!moves(decision), "{:?}", decision.effect_names());
    assert_eq!(judged(decision), [(Outcome::Ignored, None)]);
    assert!(reasons(decision)[0].ends_with(why), "{:?}", reasons(decision));
    assert_eq!((decision.state.claims().count(), decision.state.timers.get(Timer::Claims)), (0, None));
}

// ---- a line alone ------------------------------------------------------------------------------------------------

#[test]
fn a_line_alone_is_recorded_and_moves_nobody_and_cools_nothing() {
    let mut rig = Rig::serving("a");
    let decision = rig.report(limit());
    assert_eq!(decision.answers(), [Outcome::Uncorroborated]);
    assert!(decision.effects.is_empty(), "{:?}", decision.effect_names());
    assert!(!decision.changes.iter().any(|change| matches!(change, Change::CooldownSet(_))));
    let Some(Change::FailureRecorded(record)) = decision.changes.first() else { panic!("it is recorded") };
    assert_eq!((record.outcome, record.generation), (Outcome::Uncorroborated, Some(Generation(1))));
    assert_eq!((rig.state.trouble.as_ref(), rig.due_in(Timer::Claims)), (None, Some(WINDOW)));
    is_dropped(&rig.tick_after(WINDOW), "nothing agreed with it within 2 min");
}

#[test]
fn a_thousand_lines_are_no_more_than_one_and_wait_in_bounded_room() {
    let mut rig = Rig::serving("a");
    for number in 0..1_000_i64 {
        rig.pass(SECOND / 20);
        let reset_at = Some(START.wall.plus(HOUR * u32::try_from(1 + number % 7).unwrap()));
        let decision = rig.report(Report { reset_at, ..limit() });
        assert!(!moves(&decision), "after {number}");
        assert!(rig.state.deferred.len() <= AgentRecord::DEFERRED_MAX / 2);
    }
}

#[test]
fn a_flood_of_lines_does_not_push_out_what_is_held() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    assert_eq!(rig.limit_in(2).answers(), [Outcome::Held]);
    for _ in 0..200 {
        let _ = rig.report(Report { generation: Some(Generation(2)), ..limit() });
    }
    assert!(rig.state.deferred.iter().any(|deferred| deferred.outcome == Outcome::Held));
}

#[test]
fn structured_signs_and_what_a_trusted_reporter_saw_move_at_once() {
    for believed in [
        Report { trust: Trust::Structured, ..limit() },
        Report { reporter: Reporter::Trusted, ..limit() },
        Report { turn: Some(TurnId { agent: "worker".into(), number: 1 }), ..told() },
    ] {
        assert!(moves(&Rig::serving("a").report(believed.clone())), "{believed:?}");
    }
}

#[test]
fn what_is_only_repeated_moves_nobody_however_it_is_told() {
    for report in [limit(), told(), Report { trust: Trust::Structured, ..limit() }] {
        let mut rig = with(TextPolicy::Trusted);
        let decision = rig.report(Report { is_hearsay: true, ..report });
        assert_eq!(decision.answers(), [Outcome::Ignored]);
        assert!(!moves(&decision) && rig.state.claims().count() == 0);
        let Some(Change::FailureRecorded(record)) = decision.changes.first() else { panic!("it is recorded") };
        assert!(record.reason.as_deref().is_some_and(|why| why.ends_with("and moves nobody")), "{:?}", record.reason);
    }
}

// ---- what bears it out ---------------------------------------------------------------------------------------------

#[test]
fn the_end_of_its_process_bears_a_line_out_whichever_is_heard_of_first() {
    let mut rig = claiming();
    rig.pass(5 * SECOND);
    let decision = ends(&mut rig, false);
    is_moved(&decision, Sign::Exit);
    assert!(reasons(&decision)[0].starts_with("text.limit: a usage limit; corroborated: "), "{:?}", reasons(&decision));
    let failure = rig.state.failures;
    let picked = rig.pick("b");
    let Some(intent) = picked.state.phase.intent() else { panic!("a switch begins") };
    assert_eq!(intent.cause.failure.as_ref().map(|failure| failure.number), Some(failure), "its cause is the line");

    let mut rig = Rig::serving("a");
    let line_at = rig.now.wall;
    rig.pass(SECOND);
    let _ = ends(&mut rig, false);
    let decision = rig.report(written(limit(), line_at));
    assert_eq!(decision.answers(), [Outcome::Uncorroborated], "whoever reports is told before it is judged");
    is_moved(&decision, Sign::Exit);
}

#[test]
fn an_end_before_the_line_or_long_after_it_says_nothing() {
    let mut rig = Rig::serving("a");
    let _ = ends(&mut rig, false);
    rig.pass(SECOND);
    assert!(!moves(&rig.report(limit())), "it was another life");

    let mut rig = Rig::serving("a");
    let line_at = rig.now.wall;
    rig.pass(WINDOW + SECOND);
    let _ = ends(&mut rig, false);
    assert!(!moves(&rig.report(written(limit(), line_at))));
}

#[test]
fn only_what_was_said_within_ten_seconds_of_the_end_are_last_words_by_their_own_times() {
    let late = Duration::from_millis(1);
    for (before_the_end, are_last_words) in [(LAST_WORDS, true), (LAST_WORDS + late, false), (30 * SECOND, false)] {
        let mut rig = claiming();
        rig.pass(before_the_end);
        let decision = ends(&mut rig, false);
        assert_eq!(moves(&decision), are_last_words, "{before_the_end:?}");
        assert_eq!(rig.state.claims().count(), usize::from(!are_last_words), "it waits for what else may agree");

        // It is read long after it was written, and after the end was told.
        let mut rig = Rig::serving("a");
        let line_at = rig.now.wall;
        rig.pass(before_the_end);
        let _ = ends(&mut rig, false);
        rig.pass(60 * SECOND);
        assert_eq!(moves(&rig.report(written(limit(), line_at))), are_last_words, "{before_the_end:?}");

        // It is read at once, and the end is told long after it.
        let mut rig = claiming();
        let at = rig.now.wall.plus(before_the_end);
        rig.pass(60 * SECOND);
        assert_eq!(moves(&rig.send(Event::Ended { at, was_killed: false })), are_last_words, "{before_the_end:?}");
    }
}

#[test]
fn an_end_that_says_nothing_about_a_line_leaves_it_to_other_signs_and_the_next_end_is_not_its() {
    let mut rig = claiming();
    rig.pass(30 * SECOND);
    assert!(!moves(&ends(&mut rig, false)));
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)));
    is_moved(&another_says(&mut rig, "a", FailureKind::RateLimit), Sign::Agent);
}

#[test]
fn a_kill_speaks_against_what_was_said_long_before_it_as_well() {
    let mut rig = claiming();
    rig.pass(30 * SECOND);
    is_dropped(&ends(&mut rig, true), "the agent was killed or told to stop");
}

#[test]
fn c3_a_kill_bears_nothing_out_and_takes_the_last_words_along() {
    let mut rig = claiming();
    rig.pass(SECOND);
    is_dropped(&ends(&mut rig, true), "the agent was killed or told to stop");
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)), "the next life said nothing");

    let mut rig = Rig::serving("a");
    let line_at = rig.now.wall;
    rig.pass(SECOND);
    let _ = ends(&mut rig, true);
    rig.pass(SECOND);
    let _ = ends(&mut rig, false);
    is_dropped(&rig.report(written(limit(), line_at)), "the agent was killed or told to stop");
}

#[test]
fn a_turn_that_fails_bears_a_line_out_that_was_written_in_it() {
    let mut rig = Rig::serving("a");
    let turn = rig.holds("s", "ann");
    let _ = rig.report(limit());
    is_moved(&turn_fails(&mut rig, turn), Sign::Turn);

    let mut rig = Rig::serving("a");
    let turn = rig.holds("s", "ann");
    let line_at = rig.now.wall;
    rig.pass(SECOND);
    let _ = turn_fails(&mut rig, turn);
    is_moved(&rig.report(written(limit(), line_at)), Sign::Turn);

    let mut rig = claiming();
    rig.pass(SECOND);
    let turn = rig.holds("s", "ann");
    assert!(!moves(&turn_fails(&mut rig, turn)), "the line was there before");
}

#[test]
fn a_turn_that_failed_for_another_reason_bears_nothing_out() {
    let of_turn = |kind, number| Report { turn: Some(TurnId { agent: "worker".into(), number }), ..report(kind) };
    for kind in [FailureKind::Killed, FailureKind::Network, FailureKind::Overload, FailureKind::Request] {
        let mut rig = Rig::serving("a");
        let turn = rig.holds("s", "ann");
        let _ = rig.report(limit());
        let _ = rig.report(of_turn(kind, turn));
        assert!(!moves(&turn_fails(&mut rig, turn)), "{kind}");
        assert_eq!(rig.state.claims().count(), 1, "{kind}");
    }
    let mut rig = Rig::serving("a");
    let turn = rig.holds("s", "ann");
    let _ = rig.report(limit());
    is_moved(&rig.report(of_turn(FailureKind::Unknown, turn)), Sign::Turn);
}

#[test]
fn the_same_told_in_another_way_bears_a_line_out_and_said_twice_in_one_way_does_not() {
    let mut rig = claiming();
    assert!(!moves(&rig.report(limit())));
    assert!(!moves(&rig.report(Report { sender: "session".to_owned(), ..limit() })), "a file of its own is its output");
    let mut other_kind = rig.clone();
    assert!(!moves(&other_kind.report(Report { kind: FailureKind::Auth, ..told() })));
    let decision = rig.report(told());
    assert!(moves(&decision));
    assert_eq!(judged(&decision), [(Outcome::Switching, Some(Sign::Report)); 4]);

    let mut rig = Rig::serving("a");
    assert!(!moves(&rig.report(told())));
    assert!(!moves(&rig.report(told())));
    assert!(moves(&rig.report(limit())));
}

#[test]
fn a_record_of_the_tools_is_acted_on_and_judges_the_line_with_it() {
    let mut rig = claiming();
    let decision = rig.report(Report { trust: Trust::Structured, ..limit() });
    is_moved(&decision, Sign::Report);
}

#[test]
fn another_agent_on_the_subscription_bears_a_line_out() {
    let mut rig = claiming();
    assert!(!moves(&another_says(&mut rig, "b", FailureKind::RateLimit)), "it runs on another one");
    assert!(!moves(&another_says(&mut rig, "a", FailureKind::Auth)), "it says something else");
    is_moved(&another_says(&mut rig, "a", FailureKind::RateLimit), Sign::Agent);
}

#[test]
fn of_two_claims_the_last_words_count_when_it_ends() {
    let mut rig = Rig::serving("a");
    let _ = rig.report(text(FailureKind::Auth));
    rig.pass(SECOND);
    let _ = rig.report(limit());
    rig.pass(SECOND);
    let decision = ends(&mut rig, false);
    assert!(moves(&decision));
    assert_eq!(rig.state.trouble.as_ref().map(|trouble| trouble.kind), Some(FailureKind::RateLimit));
    assert_eq!(rig.state.claims().map(|claim| claim.report.kind).collect::<Vec<_>>(), [FailureKind::Auth]);
}

// ---- what speaks against it ------------------------------------------------------------------------------------------

#[test]
fn a_turn_that_ends_well_speaks_against_a_line_whichever_is_heard_of_first() {
    let mut rig = Rig::serving("a");
    let turn = rig.holds("s", "ann");
    let _ = rig.report(limit());
    is_dropped(&rig.complete(turn), "a turn has ended well since");
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)));

    let mut rig = Rig::serving("a");
    let turn = rig.holds("s", "ann");
    let line_at = rig.now.wall;
    rig.pass(SECOND);
    let _ = rig.complete(turn);
    is_dropped(&rig.report(written(limit(), line_at)), "a turn has ended well since");
}

#[test]
fn a_turn_that_ends_well_beside_another_one_does_not_speak_for_that() {
    // Both run while the line is written: it may be of either.
    let mut rig = Rig::serving("a");
    let refused = rig.holds("s", "ann");
    let served = rig.holds("t", "ann");
    rig.pass(SECOND);
    let _ = rig.report(limit());
    rig.pass(SECOND);
    let decision = rig.complete(served);
    assert!(!moves(&decision));
    assert_eq!((judged(&decision), rig.state.claims().count()), (vec![], 1));
    is_moved(&turn_fails(&mut rig, refused), Sign::Turn);

    // The same with the line read after both have ended.
    let mut rig = Rig::serving("a");
    let refused = rig.holds("s", "ann");
    let served = rig.holds("t", "ann");
    rig.pass(SECOND);
    let line_at = rig.now.wall;
    rig.pass(SECOND);
    let _ = rig.complete(served);
    rig.pass(SECOND);
    let _ = turn_fails(&mut rig, refused);
    is_moved(&rig.report(written(limit(), line_at)), Sign::Turn);
}

#[test]
fn a_turn_that_began_after_a_line_and_ends_well_speaks_against_it_whatever_runs_beside_it() {
    for is_read_late in [false, true] {
        let mut rig = Rig::serving("a");
        rig.holds("s", "ann");
        let line = written(limit(), rig.now.wall);
        if !is_read_late {
            let _ = rig.report(line.clone());
        }
        rig.pass(SECOND);
        let served = rig.holds("t", "ann");
        rig.pass(SECOND);
        let completed = rig.complete(served);
        let decision = if is_read_late { rig.report(line) } else { completed };
        is_dropped(&decision, "a turn has ended well since");
    }
}

#[test]
fn a_turn_that_ran_alone_when_the_line_was_written_speaks_against_it_whatever_began_later() {
    let mut rig = Rig::serving("a");
    let served = rig.holds("s", "ann");
    let _ = rig.report(limit());
    rig.pass(SECOND);
    rig.holds("t", "ann");
    rig.pass(SECOND);
    is_dropped(&rig.complete(served), "a turn has ended well since");
}

#[test]
fn a3_a_line_about_a_generation_that_is_over_moves_nobody() {
    let mut rig = claiming();
    let _ = rig.operator(Command::Switch { to: Some("b".into()), force: false, reason: None });
    let _ = rig.pick("b");
    let completed = rig.switch_completes("b", 1);
    assert_eq!(judged(&completed), [(Outcome::Stale, None)]);
    assert_eq!(rig.report(limit()).answers(), [Outcome::Stale]);
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)));
    assert_eq!(rig.state.generation(), Generation(2));
}

#[test]
fn a7_a_line_about_the_generation_being_applied_is_held_once_it_is_borne_out() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    rig.restarting("b", 1);
    let named = || Report { generation: Some(Generation(2)), origin: Origin::Untold, ..limit() };
    assert_eq!(rig.report(named()).answers(), [Outcome::Uncorroborated]);
    let decision = rig.report(Report { sender: told().sender, ..named() });
    assert_eq!(judged(&decision), [(Outcome::Held, Some(Sign::Report)); 2]);
    let _ = rig.outcome(switchman::machine::agent::EffectOutcome::Restarted(Ok(())));
    let done =
        rig.outcome(switchman::machine::agent::EffectOutcome::Ready(Ok(switchman::machine::agent::Readiness::Ready)));
    assert!(moves(&done), "{:?}", done.effect_names());
}

#[test]
fn a5_a_line_that_names_nothing_soon_after_a_switch_waits_for_it_to_settle_as_well() {
    let mut rig = Rig::serving("a");
    let _ = rig.limit_in(1);
    let _ = rig.pick("b");
    let _ = rig.switch_completes("b", 1);
    let unnamed = || Report { origin: Origin::Untold, ..limit() };
    assert_eq!(rig.report(unnamed()).answers(), [Outcome::Uncorroborated]);
    let decision = rig.report(Report { sender: told().sender, ..unnamed() });
    assert_eq!(judged(&decision), [(Outcome::Ambiguous, Some(Sign::Report)); 2]);
    assert!(moves(&rig.tick_after(Duration::from_secs(60))));
}

#[test]
fn the_end_that_a_fence_brings_about_bears_nothing_out() {
    let mut rig = Rig::serving("a");
    rig.holds("s", "ann");
    rig.pass(50 * SECOND);
    let _ = rig.report(limit());
    let _ = rig.tick_after(10 * SECOND);
    let _ = rig.fencing(1);
    let _ = rig.outcome(switchman::machine::agent::EffectOutcome::Restarted(Ok(())));
    let _ =
        rig.outcome(switchman::machine::agent::EffectOutcome::Ready(Ok(switchman::machine::agent::Readiness::Ready)));
    assert_eq!(rig.state.generation(), Generation(1));
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)), "what it wrote is of the life that was ended");
}

// ---- what the config says -----------------------------------------------------------------------------------------------

#[test]
fn text_that_is_trusted_moves_at_once_and_text_that_is_off_says_nothing() {
    assert!(moves(&with(TextPolicy::Trusted).report(limit())));
    let mut rig = with(TextPolicy::Off);
    let decision = rig.report(limit());
    assert_eq!(decision.answers(), [Outcome::Ignored]);
    assert_eq!(rig.state.claims().count(), 0);
    rig.pass(SECOND);
    assert!(!moves(&ends(&mut rig, false)));
    assert!(moves(&rig.report(Report { trust: Trust::Structured, ..limit() })), "records of the tool's still count");
}

#[test]
fn another_config_judges_what_waits() {
    for text in [TextPolicy::Trusted, TextPolicy::Off] {
        let mut rig = claiming();
        rig.policy.text = text;
        let decision = rig.send(Event::Reconfigured);
        match text {
            TextPolicy::Trusted => is_moved(&decision, Sign::Config),
            _ => assert_eq!(judged(&decision), [(Outcome::Ignored, None)]),
        }
    }
}

#[test]
fn who_may_not_be_moved_is_not_moved_by_what_is_borne_out() {
    let mut rig = claiming();
    let _ = rig.operator(Command::Pause { until: None });
    let decision = ends(&mut rig, false);
    assert!(!moves(&decision));
    assert_eq!(judged(&decision), [(Outcome::Recorded, Some(Sign::Exit))]);
}

// ---- over a restart of the daemon ----------------------------------------------------------------------------------------

#[test]
fn a_claim_outlives_the_daemon_for_what_is_left_of_its_time() {
    let mut rig = Rig::kept(policy()).found_on("a");
    let _ = rig.report(limit());
    rig.pass(100 * SECOND);
    let _ = rig.is_killed();
    assert_eq!((rig.state.claims().count(), rig.due_in(Timer::Claims)), (1, Some(20 * SECOND)));
    let mut late = rig.clone();
    is_moved(&another_says(&mut rig, "a", FailureKind::RateLimit), Sign::Agent);
    assert_eq!(judged(&late.tick_after(20 * SECOND)), [(Outcome::Ignored, None)]);
}

#[test]
fn a_claim_that_was_judged_does_not_come_back() {
    let mut rig = Rig::kept(policy()).found_on("a");
    let turn = rig.holds("s", "ann");
    let _ = rig.report(limit());
    let _ = rig.complete(turn);
    let _ = rig.is_killed();
    assert_eq!(rig.state.deferred, []);
}

#[test]
fn an_agent_without_an_assignment_gets_one_for_a_line_that_is_borne_out() {
    for is_killed in [false, true] {
        let mut rig = Rig::kept(policy());
        let _ = rig.send(Event::Began);
        let unknown = switchman::domain::Delivered::Unrecognised;
        let running = switchman::machine::agent::testing::sighting(switchman::domain::RuntimeState::Running, 1, "a");
        let _ = rig.seen(switchman::domain::Sighting { delivered: unknown, ..running });
        assert_eq!(rig.report(limit()).answers(), [Outcome::Uncorroborated]);
        if is_killed {
            let _ = rig.is_killed();
        }
        rig.pass(SECOND);
        is_moved(&ends(&mut rig, false), Sign::Exit);
    }
}

// ---- whatever happens ----------------------------------------------------------------------------------------------------

/// What may happen to an agent that only prints.
#[derive(Debug, Clone)]
enum Happens {
    Line(FailureKind, Option<u64>, bool),
    Passes(u64),
    IsKilled,
    TurnEndsWell,
    Restarted,
}

fn happens() -> impl Strategy<Value = Vec<Happens>> {
    let kinds = prop::sample::select(FailureKind::ALL.to_vec());
    let one = prop_oneof![
        8 => (kinds, prop::option::of(0_u64..300), any::<bool>()).prop_map(|(kind, ago, of_life)| {
            Happens::Line(kind, ago, of_life)
        }),
        3 => (0_u64..200).prop_map(Happens::Passes),
        1 => Just(Happens::IsKilled),
        1 => Just(Happens::TurnEndsWell),
        1 => Just(Happens::Restarted),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_lines_of_one_agent_alone_ever_move_it(past in happens()) {
        let mut rig = Rig::kept(policy()).found_on("a");
        rig.pass(HOUR);
        for one in &past {
            let decision = match one {
                Happens::Line(kind, ago, of_life) => {
                    let observed_at = ago.map(|ago| rig.now.wall.minus(Duration::from_secs(ago)));
                    let origin = if *of_life { Origin::Life(life(1)) } else { Origin::EarlierLife };
                    rig.report(Report { observed_at, origin, ..text(*kind) })
                }
                Happens::Passes(seconds) => rig.tick_after(Duration::from_secs(*seconds)),
                Happens::IsKilled => ends(&mut rig, true),
                Happens::TurnEndsWell => {
                    let turn = rig.holds("s", "ann");
                    rig.complete(turn)
                }
                Happens::Restarted => rig.is_killed(),
            };
            prop_assert!(!moves(&decision), "{one:?} in {past:#?}");
            prop_assert!(!decision.changes.iter().any(|change| matches!(change, Change::CooldownSet(_))));
            prop_assert!(rig.state.claims().next().is_none() || rig.state.timers.get(Timer::Claims).is_some());
            prop_assert!(matches!(rig.state.phase, Phase::Serving));
        }
        prop_assert_eq!(rig.state.generation(), Generation(1));
        // The same agent is moved by the least that anybody would believe: the property can fail.
        rig.pass(SECOND);
        let _ = rig.report(limit());
        rig.pass(SECOND);
        prop_assert!(moves(&ends(&mut rig, false)));
        let _ = rig.picked(Pick::To("b".into()));
    }
}

/// What may happen to an agent that others report about as well.
#[derive(Debug, Clone)]
enum Acts {
    Line(Box<Report>),
    Ends(bool),
    TurnFails,
    AnotherSays(FailureKind),
    Passes(u64),
    PoolPicks(&'static str),
    SwitchCompletes,
    SwitchIsCalledOff,
    IsKilled,
}

fn acts() -> impl Strategy<Value = Vec<Acts>> {
    let kinds = || prop::sample::select(vec![FailureKind::RateLimit, FailureKind::Auth, FailureKind::Unknown]);
    let line = (kinds(), any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of(1_u64..4)).prop_map(
        |(kind, is_text, is_told, has_life, generation)| {
            let of = if is_told { told() } else { limit() };
            let trust = if is_text { Trust::Text } else { Trust::Structured };
            let origin = if has_life { Origin::Life(life(1)) } else { Origin::Untold };
            Acts::Line(Box::new(Report { kind, trust, origin, generation: generation.map(Generation), ..of }))
        },
    );
    let one = prop_oneof![
        6 => line,
        2 => any::<bool>().prop_map(Acts::Ends),
        1 => Just(Acts::TurnFails),
        1 => kinds().prop_map(Acts::AnotherSays),
        2 => (0_u64..90).prop_map(Acts::Passes),
        3 => prop::sample::select(vec!["b", "c"]).prop_map(Acts::PoolPicks),
        3 => Just(Acts::SwitchCompletes),
        1 => Just(Acts::SwitchIsCalledOff),
        1 => Just(Acts::IsKilled),
    ];
    prop::collection::vec(one, 0..60)
}

impl Acts {
    fn happen_to(&self, rig: &mut Rig) {
        let is_selecting = matches!(rig.state.phase, Phase::Selecting(_));
        match self {
            Self::PoolPicks(to) if is_selecting => {
                let is_there = rig.state.subscription().is_some_and(|on| on.as_str() == *to);
                let _ = rig.pick(if is_there { "a" } else { to });
            }
            // Nothing else is folded while the pool is asked.
            _ if is_selecting => {}
            Self::Line(report) => {
                if report.generation.is_none_or(|generation| generation <= rig.state.issued) {
                    let _ = rig.report((**report).clone());
                }
            }
            Self::Ends(was_killed) => {
                let _ = ends(rig, *was_killed);
            }
            Self::TurnFails => {
                let begun = rig.begin(switchman::machine::agent::testing::wish("s", "ann"));
                if let Some(turn) = begun.begun().first() {
                    let _ = turn_fails(rig, turn.id.number);
                }
            }
            Self::AnotherSays(kind) => {
                let on = rig.state.subscription().map_or("a".to_owned(), ToString::to_string);
                let _ = another_says(rig, &on, *kind);
            }
            Self::Passes(seconds) => {
                let _ = rig.tick_after(Duration::from_secs(*seconds));
            }
            Self::SwitchCompletes => {
                let to = rig.state.phase.intent().map(|intent| intent.to.to_string());
                if let (Some(to), Phase::Draining(_)) = (to, &rig.state.phase) {
                    let _ = rig.switch_completes(&to, 1);
                }
            }
            Self::SwitchIsCalledOff => {
                let _ = rig.operator(Command::CancelSwitch);
            }
            Self::IsKilled => {
                let _ = rig.is_killed();
            }
            Self::PoolPicks(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_waits_is_on_disk_as_it_is_in_memory(past in acts()) {
        let mut rig = Rig::kept(policy()).found_on("a");
        for act in &past {
            act.happen_to(&mut rig);
            let waits = |rig: &Rig| {
                let waits = rig.state.deferred.iter();
                waits.map(|one| (one.failure.number, one.outcome, one.stamp.clone(), one.report.trust)).collect::<Vec<_>>()
            };
            let record = rig.stored.as_ref().expect("it is kept").record.clone();
            // The life that a held one was seen in is forgotten, and the generation that it is booked on kept.
            let by_life = rig.state.deferred.iter().any(|one| matches!(one.stamp, switchman::domain::Stamp::Life(_)));
            if !by_life {
                prop_assert_eq!(waits(&rig), waits(&rig.restored(record)), "after {:?} in {:#?}", act, past);
            }
            prop_assert!(rig.state.claims().all(|claim| claim.report.trust == Trust::Text));
        }
    }
}
