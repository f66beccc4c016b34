//! In which order eligible subscriptions are preferred (D2), and who may have one at all.

use switchman::domain::{CauseBy, Reading, Teller, Utilisation, Window};
use switchman::machine::agent::testing::subscription;
use switchman::machine::policy::{Budget, PoolSettings, Strategy, SubscriptionPolicy, Terms};
use switchman::machine::pool::{AgentView, Ineligible, Pick, Wanted};

use crate::words::{HOUR, MINUTE, SECOND, Story, by, leaves, on_terms, wakes};

fn tier(name: &str, priority: u32) -> SubscriptionPolicy {
    on_terms(name, Terms { priority, ..Terms::default() })
}

#[test]
fn the_lowest_tier_comes_first_however_full_it_is() {
    let mut story = Story::of([tier("a", 2), tier("b", 1), tier("c", 1)], by(Strategy::Priority));
    for agent in ["x", "y"] {
        story.runs(agent, "b");
    }
    assert_eq!(story.order(&wakes("w")), ["c", "b", "a"], "of one tier the one with the fewest agents");
    let plain = Story::of([tier("a", 2), tier("b", 1)], by(Strategy::LeastAssigned));
    assert_eq!(plain.order(&wakes("w")), ["a", "b"], "tiers mean nothing elsewhere");
}

#[test]
fn headroom_goes_by_bands_of_the_nearest_wall_and_the_unknown_comes_last() {
    let mut story = Story::of(["a", "b", "c"].map(|name| subscription(name, 8)), by(Strategy::Headroom));
    story.reads(story.reading("b", 95.0));
    story.reads(story.reading("c", 41.0));
    assert_eq!(story.order(&wakes("w")), ["c", "b", "a"], "measured before unknown, however full");
    story.reads(story.reading("a", 49.0));
    story.runs("x", "c");
    assert_eq!(story.order(&wakes("w")), ["a", "c", "b"], "41 and 49 percent are one band: the fewest agents decide");
    let weekly = Reading { window: Window::Weekly, ..story.reading("a", 88.0) };
    story.reads(weekly);
    assert_eq!(story.order(&wakes("w")), ["c", "a", "b"], "the nearest wall counts");
    story.pass(31 * MINUTE);
    assert_eq!(story.order(&wakes("w")), ["a", "b", "c"], "what is old says nothing");
}

#[test]
fn a_fleet_does_not_land_on_the_one_account_that_was_read_to_be_empty() {
    let mut story = Story::of(["a", "b", "c"].map(|name| subscription(name, 50)), by(Strategy::Headroom));
    story.reads(story.reading("a", 10.0));
    story.reads(story.reading("b", 30.0));
    story.reads(story.reading("c", 50.0));
    story.pass(SECOND);
    let mut sent = std::collections::BTreeMap::new();
    for number in 0..24 {
        match story.pick(&wakes(&format!("w{number}"))) {
            Pick::To(to) => *sent.entry(to.to_string()).or_insert(0) += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(sent["a"] >= sent["b"] && sent["b"] >= sent["c"], "more where there is more room: {sent:?}");
    assert!(sent["a"] <= 12 && sent["c"] >= 2, "and not all of them there: {sent:?}");
}

#[test]
fn a_reading_whose_window_has_begun_anew_says_nothing() {
    let mut story = Story::of(["a", "b"].map(|name| subscription(name, 8)), by(Strategy::Headroom));
    let soon = Some(story.now.plus(MINUTE));
    story.reads(Reading { reset_at: soon, ..story.reading("a", 10.0) });
    story.reads(story.reading("b", 60.0));
    assert_eq!(story.order(&wakes("w")), ["a", "b"]);
    story.pass(2 * MINUTE);
    assert_eq!(story.order(&wakes("w")), ["b", "a"]);
}

#[test]
fn the_quota_that_expires_next_is_used_first_unless_it_is_nearly_used_up() {
    let mut story = Story::of(["a", "b", "c"].map(|name| subscription(name, 8)), by(Strategy::SoonestReset));
    let weekly = |story: &Story, of: &str, percent: f64, hours: u32| Reading {
        window: Window::Weekly,
        reset_at: Some(story.now.plus(HOUR * hours)),
        ..story.reading(of, percent)
    };
    story.reads(weekly(&story, "a", 20.0, 90));
    story.reads(weekly(&story, "c", 70.0, 12));
    assert_eq!(story.order(&wakes("w")), ["c", "a", "b"], "unknown after known");
    story.reads(Reading { at: story.now.plus(SECOND), ..weekly(&story, "c", 93.0, 12) });
    story.pass(SECOND);
    assert_eq!(story.order(&wakes("w")), ["a", "b", "c"], "over the landing ceiling comes last");
}

#[test]
fn what_is_in_reserve_comes_after_all_others_and_what_is_suspect_after_that() {
    let reserve = |name| on_terms(name, Terms { is_reserve: true, ..Terms::default() });
    let mut story = Story::of([reserve("a"), subscription("b", 8), subscription("c", 8)], PoolSettings::default());
    assert_eq!(story.order(&wakes("w")), ["b", "c", "a"]);
    story.cools(story.limit("b", Some("x"), HOUR));
    assert_eq!(story.order(&wakes("w")), ["c", "a", "b"], "a word against it weighs more than thrift");
}

#[test]
fn what_costs_money_is_last_of_all_and_only_within_its_budget() {
    let metered = on_terms("a", Terms { is_metered: true, ..Terms::default() });
    let two = || [metered.clone(), subscription("b", 8)];
    let never = Story::of(two(), PoolSettings::default());
    assert_eq!(never.verdict(&wakes("w"), "a"), Some(Ineligible::Metered));
    let operator =
        AgentView { wanted: Wanted::This { to: "a".into(), force: false }, by: CauseBy::Operator, ..wakes("w") };
    assert_eq!(never.verdict(&operator, "a"), None, "a person may");

    let budget = Some(Budget { switches: 2, per: HOUR });
    let mut story = Story::of(two(), PoolSettings { metered: budget, ..PoolSettings::default() });
    story.cools(story.limit("b", Some("x"), HOUR));
    assert_eq!(story.order(&wakes("w")), ["b", "a"], "also after what is suspect");
    story.cools(story.limit("b", None, 9 * HOUR));
    for agent in ["x", "y"] {
        assert_eq!(story.pick(&wakes(agent)), Pick::To("a".into()));
        story.arrives(agent, "a", CauseBy::Failure);
        story.pass(MINUTE);
    }
    let until = story.now.minus(2 * MINUTE).plus(HOUR);
    assert_eq!(story.verdict(&wakes("z"), "a"), Some(Ineligible::MeteredSpent { until }));
    assert_eq!(story.verdict(&operator, "a"), None);
    let confirmed = AgentView { wanted: Wanted::This { to: "a".into(), force: false }, ..wakes("z") };
    story.pool.promise("z".into(), "a".into());
    assert_eq!(story.verdict(&confirmed, "a"), None, "what was promised within the budget is kept");
    story.pass(HOUR);
    assert_eq!(story.verdict(&wakes("q"), "a"), None);
}

#[test]
fn a_burst_spends_the_budget_for_what_costs_money_once() {
    let metered = on_terms("a", Terms { is_metered: true, ..Terms::default() });
    let settings = PoolSettings { metered: Some(Budget { switches: 2, per: HOUR }), ..PoolSettings::default() };
    let mut story = Story::of([metered, subscription("b", 8)], settings);
    story.cools(story.limit("b", None, 9 * HOUR));
    let picks: Vec<Pick> = ["v", "w", "x", "y", "z"].iter().map(|agent| story.pick(&wakes(agent))).collect();
    let to_it = picks.iter().filter(|pick| **pick == Pick::To("a".into())).count();
    assert_eq!(to_it, 2, "none of them is written yet: {picks:?}");
    story.pool.release(&"v".into());
    assert_eq!(story.pick(&wakes("z")), Pick::To("a".into()), "a promise that is not needed is given back");
}

#[test]
fn nobody_new_lands_over_a_ceiling_but_whoever_is_there_stays() {
    let terms = Terms { ceilings: [(Window::FiveHour, Utilisation(800))].into(), ..Terms::default() };
    let mut story = Story::of([on_terms("a", terms), subscription("b", 8)], PoolSettings::default());
    let reset = Some(story.now.plus(2 * HOUR));
    story.reads(Reading { reset_at: reset, ..story.reading("a", 80.0) });
    let old_at = story.now.plus(30 * MINUTE);
    assert!(
        matches!(story.verdict(&wakes("w"), "a"), Some(Ineligible::OverCeiling { until, .. }) if until == old_at),
        "the reading says so until it is old"
    );
    let stays = AgentView { current: Some("a".into()), ..wakes("w") };
    assert_eq!(story.pick(&stays), Pick::Keep);
    let operator =
        AgentView { wanted: Wanted::This { to: "a".into(), force: false }, by: CauseBy::Operator, ..wakes("w") };
    assert_eq!(story.verdict(&operator, "a"), None);
}

#[test]
fn who_only_wants_an_agent_moved_gets_what_anybody_would_get() {
    let ceiling = Terms { ceilings: [(Window::FiveHour, Utilisation(800))].into(), ..Terms::default() };
    let costly = Terms { is_metered: true, ..Terms::default() };
    let subscriptions = [on_terms("a", ceiling), on_terms("b", costly), subscription("c", 8)];
    let mut story = Story::of(subscriptions, PoolSettings::default());
    story.reads(story.reading("a", 85.0));
    let moved = AgentView { by: CauseBy::Operator, ..leaves("w", "z") };
    assert_eq!(story.order(&moved), ["c"]);
    assert_eq!(story.order(&leaves("w", "z")), ["c"]);
}

#[test]
fn a_subscription_that_is_kept_for_models_is_for_agents_that_need_no_others() {
    let kept = on_terms("a", Terms { models: vec!["opus".into(), "sonnet".into()], ..Terms::default() });
    let story = Story::of([kept, subscription("b", 8)], PoolSettings::default());
    let needing =
        |models: &[&str]| AgentView { models: models.iter().map(|name| (*name).into()).collect(), ..wakes("w") };
    assert_eq!(story.verdict(&needing(&["opus"]), "a"), None);
    assert_eq!(story.verdict(&needing(&["opus", "haiku"]), "a"), Some(Ineligible::OtherModels));
    assert_eq!(story.verdict(&needing(&[]), "a"), Some(Ineligible::OtherModels), "it may need any");
}

#[test]
fn failing_back_wants_better_terms_and_nothing_else() {
    let mut story = Story::of([tier("a", 1), tier("b", 2), tier("c", 2)], by(Strategy::Priority));
    let on = |name: &str| AgentView { wanted: Wanted::Preferred, by: CauseBy::Failback, ..leaves("w", name) };
    assert_eq!(story.pick(&on("b")), Pick::To("a".into()));
    assert_eq!(story.pick(&on("a")), Pick::Keep, "there is no better tier");
    story.cools(story.limit("a", Some("x"), HOUR));
    assert_eq!(story.pick(&on("b")), Pick::Keep, "not to one that is suspect");
}

#[test]
fn a_proactive_move_needs_a_wall_that_is_near_and_a_target_with_much_more_room() {
    let mut story = Story::of(["a", "b"].map(|name| subscription(name, 8)), PoolSettings::default());
    let wants = AgentView { wanted: Wanted::Roomier, by: CauseBy::Proactive, ..leaves("w", "a") };
    assert_eq!(story.pick(&wants), Pick::Keep, "nothing is known");
    story.reads(story.reading("a", 92.0));
    assert_eq!(story.pick(&wants), Pick::Keep, "of the target nothing is known");
    story.reads(story.reading("b", 80.0));
    assert_eq!(story.pick(&wants), Pick::Keep, "twelve points are no gain");
    story.reads(story.reading("b", 77.0));
    assert_eq!(story.pick(&wants), Pick::To("b".into()));
    story.pool.release(&"w".into());
    story.reads(story.reading("a", 89.0));
    assert_eq!(story.pick(&wants), Pick::Keep, "it is not near its wall");
    story.reads(Reading { told_by: Teller::Agent("x".into()), at: story.now.plus(SECOND), ..story.reading("a", 99.0) });
    story.pass(SECOND);
    assert_eq!(story.pick(&wants), Pick::Keep, "what another agent read moves nobody");
}
