//! Refused logins that are an agent's own trouble (E5), and bans that have one reason (E6).

use switchman::domain::{CauseBy, Change, Cooldown, FailureKind, Halt};
use switchman::machine::pool::{AgentView, Pick};

use crate::words::{HOUR, MINUTE, SECOND, Story, leaves};

/// The agent leaves `on`, whose login was just refused to it.
fn refused(story: &Story, agent: &str, on: &str, is_trusted: bool) -> AgentView {
    let row = story.refusal(FailureKind::Auth, on, agent, is_trusted);
    AgentView { failing: Some((on.into(), Some(row))), ..leaves(agent, on) }
}

#[test]
fn s18_two_refusals_that_nobody_shares_are_its_own_trouble_and_both_are_taken_back() {
    for is_trusted in [true, false] {
        let mut story = Story::plain();
        assert!(matches!(story.pick(&refused(&story, "w", "a", is_trusted)), Pick::To(_)), "one is an accident");
        story.cools(story.refusal(FailureKind::Auth, "a", "w", is_trusted));
        story.pass(MINUTE);
        let Pick::Shadowed { rows } = story.pick(&refused(&story, "w", "b", is_trusted)) else {
            panic!("a third one is tried");
        };
        let about: Vec<_> = rows
            .iter()
            .filter_map(|row| row.credential.as_ref())
            .map(switchman::domain::SubscriptionName::as_str)
            .collect();
        assert_eq!(about, ["a", "b"]);
        for row in rows {
            story.pool.apply(&Change::CooldownLifted(row));
        }
        assert_eq!(story.order(&leaves("x", "c")), ["a", "b"], "neither is blamed for others");
    }
}

#[test]
fn ten_minutes_apart_they_have_nothing_to_do_with_each_other() {
    let mut story = Story::plain();
    story.cools(story.refusal(FailureKind::Auth, "a", "w", true));
    story.pass(10 * MINUTE + SECOND);
    assert_eq!(story.pick(&refused(&story, "w", "b", true)), Pick::To("c".into()));
}

#[test]
fn a_refusal_that_another_agent_shares_is_the_subscriptions() {
    let mut story = Story::plain();
    story.cools(story.refusal(FailureKind::Auth, "a", "w", true));
    story.cools(story.refusal(FailureKind::Auth, "a", "x", true));
    story.pass(MINUTE);
    assert_eq!(story.pick(&refused(&story, "w", "b", true)), Pick::To("c".into()));
}

#[test]
fn a_credential_that_has_changed_is_held_against_nobody() {
    let mut story = Story::plain();
    let row = story.refusal(FailureKind::Auth, "a", "w", true);
    story.cools(row.clone());
    story.pool.apply(&Change::CooldownLifted(row.key));
    assert_eq!(story.pick(&refused(&story, "w", "b", true)), Pick::To("a".into()));
}

#[test]
fn other_failures_do_not_count() {
    let mut story = Story::plain();
    story.cools(story.limit("a", None, HOUR));
    story.pass(MINUTE);
    assert_eq!(story.pick(&refused(&story, "w", "b", true)), Pick::To("c".into()));
}

#[test]
fn an_operator_may_try_a_third_one() {
    let mut story = Story::plain();
    for name in ["a", "b"] {
        story.cools(story.refusal(FailureKind::Auth, name, "w", true));
    }
    let operator = AgentView { by: CauseBy::Operator, ..leaves("w", "b") };
    assert_eq!(story.pick(&operator), Pick::To("c".into()));
}

fn ban(story: &Story, of: &str, agent: &str, is_trusted: bool) -> Cooldown {
    story.refusal(FailureKind::Banned, of, agent, is_trusted)
}

#[test]
fn e6_two_accounts_that_are_banned_within_an_hour_halt_everything() {
    let mut story = Story::plain();
    story.cools(ban(&story, "a", "w", true));
    assert_eq!(story.pool.must_halt(None, story.now), None, "one is an accident");
    story.pass(59 * MINUTE);
    let second = ban(&story, "b", "w", true);
    let halt = story.pool.must_halt(Some(&second), story.now).expect("the second one halts, committed or not");
    assert_eq!(halt.subscriptions, ["a".into(), "b".into()]);
    story.cools(second);
    story.pool.apply(&Change::Halted(halt));
    assert!(matches!(story.pick(&leaves("x", "c")), Pick::Halted { .. }));
    let operator = AgentView { by: CauseBy::Operator, ..leaves("x", "b") };
    assert_eq!(story.pick(&operator), Pick::To("c".into()), "a person may still switch");
    story.pool.apply(&Change::HaltLifted(story.now));
    assert_eq!(story.pool.must_halt(None, story.now), None, "what was seen halts nothing any more");
    assert_eq!(story.pick(&leaves("x", "a")), Pick::To("c".into()));
}

#[test]
fn e6_what_was_picked_before_a_halt_is_not_carried_out() {
    let mut story = Story::plain();
    assert_eq!(story.pick(&leaves("x", "a")), Pick::To("b".into()));
    story.pool.apply(&Change::Halted(Halt { since: story.now, subscriptions: vec!["a".into(), "c".into()] }));
    let wants = |by| AgentView {
        wanted: switchman::machine::pool::Wanted::This { to: "b".into(), force: false },
        by,
        ..leaves("x", "a")
    };
    let lost = story.pool.confirm(&wants(CauseBy::Failure), story.now);
    assert_eq!(lost, Some(switchman::machine::pool::Ineligible::Halted));
    assert_eq!(story.pool.confirm(&wants(CauseBy::Operator), story.now), None);
}

#[test]
fn e6_an_hour_apart_they_do_not() {
    let mut story = Story::plain();
    story.cools(ban(&story, "a", "w", true));
    story.pass(HOUR);
    story.cools(ban(&story, "b", "w", true));
    assert_eq!(story.pool.must_halt(None, story.now), None);
}

#[test]
fn e6_one_container_cannot_halt_everything_by_what_it_prints() {
    let mut story = Story::plain();
    for name in ["a", "b", "c"] {
        story.cools(ban(&story, name, "w", false));
    }
    assert_eq!(story.pool.must_halt(None, story.now), None);
    let corroborated = ban(&story, "b", "x", false);
    assert!(story.pool.must_halt(Some(&corroborated), story.now).is_some(), "two agents are believed");
}

#[test]
fn e6_one_account_behind_two_subscriptions_is_one_ban() {
    let mut story = Story::plain();
    let same = |row: Cooldown| Cooldown {
        key: switchman::domain::CooldownKey { quota: "org".into(), ..row.key.clone() },
        ..row
    };
    story.cools(same(ban(&story, "a", "w", true)));
    story.cools(same(ban(&story, "b", "w", true)));
    assert_eq!(story.pool.must_halt(None, story.now), None);
}

#[test]
fn e6_a_halt_stands_until_it_is_lifted_and_is_not_found_anew() {
    let mut story = Story::plain();
    let halt = Halt { since: story.now, subscriptions: vec!["a".into(), "b".into()] };
    story.pool.apply(&Change::Halted(halt.clone()));
    story.cools(ban(&story, "a", "w", true));
    story.cools(ban(&story, "b", "w", true));
    assert_eq!(story.pool.must_halt(None, story.now), None);
    story.pass(48 * HOUR);
    assert_eq!(story.pool.halt(), Some(&halt));
}

#[test]
fn who_finds_out_later_what_a_person_has_seen_halts_nothing_again() {
    let mut story = Story::plain();
    story.cools(ban(&story, "a", "w", true));
    story.cools(ban(&story, "b", "w", true));
    assert!(story.pool.must_halt(None, story.now).is_some());
    story.pool.apply(&Change::HaltLifted(story.now));
    story.pass(MINUTE);
    for (name, agent) in [("a", "x"), ("b", "y"), ("b", "z")] {
        let row = ban(&story, name, agent, false);
        assert_eq!(story.pool.must_halt(Some(&row), story.now), None, "{name}, as {agent} finds");
        story.cools(row);
    }
    assert_eq!(story.pool.must_halt(None, story.now), None);
    let third = ban(&story, "c", "x", true);
    assert_eq!(story.pool.must_halt(Some(&third), story.now), None, "one that is new is an accident");
    let of_a = ban(&story, "a", "w", true);
    story.pool.apply(&Change::CooldownLifted(of_a.key.clone()));
    story.cools(third);
    assert!(story.pool.must_halt(Some(&of_a), story.now).is_some(), "disabled again after it was cleared");
}
