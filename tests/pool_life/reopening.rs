//! Re-admission after a cooldown is half open (F3, F4).

use switchman::domain::{CauseBy, Change, Cooldown, CooldownKey, IntentOutcome, Wall};
use switchman::machine::policy::PoolSettings;
use switchman::machine::pool::{AgentView, Ineligible, Pick, Wanted};

use crate::words::{HOUR, MINUTE, RAMP, SECOND, Story, leaves, wakes};

/// `a` alone is allowed, and its cooldown has just ended.
fn reopened() -> Story {
    let mut story = Story::plain();
    story.cools(story.limit("a", None, HOUR));
    story.pass(HOUR);
    story
}

fn only_a(view: AgentView) -> AgentView {
    AgentView { allowed: vec!["a".into()], ..view }
}

fn turn_of(story: &mut Story, agent: &str) -> Result<(), Wall> {
    match story.pick(&only_a(wakes(agent))) {
        Pick::To(_) | Pick::Keep => Ok(()),
        Pick::None { earliest, is_own_turn, .. } => {
            assert!(is_own_turn, "it need not be spread any more");
            Err(earliest.expect("a turn has a time"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_agent_is_first_and_each_of_the_others_is_told_when_it_is_its_turn() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    let ended = story.now;
    // Its switch is under way: nobody knows how long that takes.
    assert_eq!(turn_of(&mut story, "w2"), Err(ended.plus(RAMP)));
    assert_eq!(turn_of(&mut story, "w3"), Err(ended.plus(2 * RAMP)));
    assert_eq!(turn_of(&mut story, "w2"), Err(ended.plus(RAMP)), "it keeps its place in the line");
    story.pass(2 * SECOND);
    story.arrives("w1", "a", CauseBy::Wake);
    let arrived = story.now;
    assert_eq!(turn_of(&mut story, "w2"), Err(arrived.plus(RAMP)), "a ramp after the first one has arrived");
    story.pass(RAMP);
    assert_eq!(turn_of(&mut story, "w2"), Ok(()));
    assert!(turn_of(&mut story, "w3").is_err(), "one by one");
}

#[test]
fn a_success_opens_it_for_everyone() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    assert!(turn_of(&mut story, "w2").is_err());
    story.reads(story.reading("a", 3.0));
    for agent in ["w2", "w3", "w4"] {
        assert_eq!(turn_of(&mut story, agent), Ok(()));
    }
}

#[test]
fn what_was_read_before_the_end_of_the_cooldown_proves_nothing() {
    let mut story = Story::plain();
    story.cools(story.limit("a", None, HOUR));
    let early = story.reading("a", 100.0);
    story.pass(HOUR);
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    story.reads(early);
    assert!(turn_of(&mut story, "w2").is_err());
}

#[test]
fn ten_minutes_without_a_failure_are_proof_enough() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    story.arrives("w1", "a", CauseBy::Wake);
    story.pass(10 * MINUTE);
    for agent in ["w2", "w3", "w4"] {
        assert_eq!(turn_of(&mut story, agent), Ok(()));
    }
}

#[test]
fn when_the_first_one_fails_nobody_follows() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    story.arrives("w1", "a", CauseBy::Wake);
    story.cools(story.limit("a", None, HOUR));
    assert!(matches!(story.verdict(&only_a(wakes("w2")), "a"), Some(Ineligible::Cooling { .. })));
    story.pass(HOUR);
    assert_eq!(turn_of(&mut story, "w2"), Ok(()), "and then it is half open again");
    assert!(turn_of(&mut story, "w1").is_err());
}

#[test]
fn a_switch_that_comes_to_nothing_lets_the_next_one_in() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    let id = story.opens("w1", "a", CauseBy::Wake);
    story.closes(id, IntentOutcome::Failed);
    story.pass(RAMP);
    assert_eq!(turn_of(&mut story, "w2"), Ok(()));
}

#[test]
fn whoever_was_let_in_and_does_not_come_holds_nobody_up() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    story.pool.release(&"w1".into());
    story.pass(RAMP);
    assert_eq!(turn_of(&mut story, "w2"), Ok(()));
}

#[test]
fn an_agent_that_is_on_it_stands_in_the_same_line() {
    let mut story = reopened();
    let stays = |agent| only_a(AgentView { current: Some("a".into()), ..wakes(agent) });
    for agent in ["w1", "w2"] {
        story.runs(agent, "a");
    }
    assert_eq!(story.pick(&stays("w1")), Pick::Keep);
    assert!(matches!(story.pick(&stays("w2")), Pick::None { is_own_turn: true, .. }));
    story.pass(RAMP);
    assert_eq!(story.pick(&stays("w2")), Pick::Keep);
}

#[test]
fn whoever_has_somewhere_else_to_go_does_not_wait() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    assert_eq!(story.pick(&leaves("w2", "c")), Pick::To("b".into()));
}

#[test]
fn an_operator_does_not_stand_in_line() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    let wants = |by| AgentView { wanted: Wanted::This { to: "a".into(), force: false }, by, ..wakes("w2") };
    assert_eq!(story.verdict(&wants(CauseBy::Operator), "a"), None);
    assert!(matches!(story.verdict(&wants(CauseBy::Failure), "a"), Some(Ineligible::Reopening { .. })));
}

#[test]
fn the_first_evacuation_is_not_held_up() {
    let mut story = Story::plain();
    story.cools(story.limit("a", None, HOUR));
    for agent in ["w1", "w2", "w3", "w4"] {
        assert!(matches!(story.pick(&leaves(agent, "a")), Pick::To(_)));
    }
}

#[test]
fn what_one_agent_alone_said_reopens_for_nobody_else() {
    let mut story = Story::plain();
    story.cools(story.limit("a", Some("w1"), HOUR));
    story.pass(HOUR);
    for agent in ["w1", "w2", "w3"] {
        assert_eq!(turn_of(&mut story, agent), Ok(()));
    }
}

#[test]
fn a_window_of_one_model_reopens_for_those_who_need_it() {
    let mut story = Story::plain();
    let row = story.limit("a", None, HOUR);
    let opus = Cooldown { key: CooldownKey { model: Some("opus".into()), ..row.key.clone() }, ..row };
    story.cools(opus);
    story.pass(HOUR);
    let needs = |agent, model: &str| only_a(AgentView { models: vec![model.into()], ..wakes(agent) });
    assert!(matches!(story.pick(&needs("w1", "opus")), Pick::To(_)));
    assert!(matches!(story.pick(&needs("w2", "opus")), Pick::None { is_own_turn: true, .. }));
    assert!(matches!(story.pick(&needs("w3", "sonnet")), Pick::To(_)));
}

#[test]
fn a_clock_that_is_set_back_makes_nobody_wait_longer_than_its_turn() {
    let mut story = reopened();
    assert_eq!(turn_of(&mut story, "w1"), Ok(()));
    story.arrives("w1", "a", CauseBy::Wake);
    story.now = story.now.minus(24 * HOUR);
    assert_eq!(turn_of(&mut story, "w2"), Err(story.now.plus(RAMP)));
    story.pass(RAMP);
    assert_eq!(turn_of(&mut story, "w2"), Ok(()), "and when it is its turn it may come");
}

#[test]
fn without_a_ramp_nobody_waits() {
    let mut story = Story::plain();
    story.pool = story.pool.with_settings(PoolSettings { ramp: std::time::Duration::ZERO, ..PoolSettings::default() });
    story.cools(story.limit("a", None, HOUR));
    story.pass(HOUR);
    for agent in ["w1", "w2", "w3"] {
        assert_eq!(turn_of(&mut story, agent), Ok(()));
    }
}

#[test]
fn a_cleared_cooldown_is_a_persons_word_and_opens_at_once() {
    let mut story = Story::plain();
    let row = story.limit("a", None, HOUR);
    story.cools(row.clone());
    story.pool.apply(&Change::CooldownLifted(row.key));
    for agent in ["w1", "w2", "w3"] {
        assert_eq!(turn_of(&mut story, agent), Ok(()));
    }
}
