//! What a reading ends and what it keeps away (E4, D1).

use switchman::domain::{Change, Cooldown, CooldownKey, CooldownSource, FailureKind, Reading, Teller, Window};
use switchman::machine::pool::Ineligible;

use crate::words::{HOUR, MINUTE, SECOND, Story, wakes};

fn ended(story: &Story, reading: &Reading) -> usize {
    story.pool.ended_by(reading).len()
}

#[test]
fn a_window_that_serves_again_ends_its_cooldown_and_no_other() {
    let mut story = Story::plain();
    let five_hour = story.limit("a", None, 5 * HOUR);
    let weekly = Cooldown { key: CooldownKey { window: Window::Weekly, ..five_hour.key.clone() }, ..five_hour.clone() };
    story.cools(five_hour.clone());
    story.cools(weekly);
    assert_eq!(ended(&story, &story.reading("a", 2.0)), 0, "it was read when the limit was met, not after it");
    story.pass(SECOND);
    assert_eq!(story.pool.ended_by(&story.reading("a", 2.0)), [five_hour.key]);
    assert_eq!(ended(&story, &Reading { serves: false, ..story.reading("a", 2.0) }), 0);
    assert_eq!(ended(&story, &story.reading("b", 2.0)), 0);
    let whole = Reading { window: Window::Unknown, ..story.reading("a", 2.0) };
    assert_eq!(ended(&story, &whole), 2, "the subscription as a whole serves");
}

#[test]
fn a_limit_that_does_not_say_which_window_ends_when_any_of_them_serves() {
    let mut story = Story::plain();
    let row = story.limit("a", None, 2 * HOUR);
    story.cools(Cooldown { key: CooldownKey { window: Window::Unknown, ..row.key.clone() }, ..row });
    story.pass(MINUTE);
    assert_eq!(ended(&story, &story.reading("a", 40.0)), 1);
}

#[test]
fn an_answer_to_a_probe_says_nothing_of_models_that_it_did_not_ask() {
    let mut story = Story::plain();
    let row = story.limit("a", None, 5 * HOUR);
    let of = |window, model: Option<&str>| {
        let key = CooldownKey { window, model: model.map(Into::into), ..row.key.clone() };
        Cooldown { key, ..row.clone() }
    };
    for row in [row.clone(), of(Window::Weekly, None), of(Window::Model, Some("opus")), of(Window::Model, None)] {
        story.cools(row);
    }
    story.pass(SECOND);
    let whole = |told_by| Reading { window: Window::Unknown, told_by, ..story.reading("a", 2.0) };
    let ended_by_probe = story.pool.ended_by(&whole(Teller::Probe));
    assert!(ended_by_probe.iter().all(|key| key.window != Window::Model), "{ended_by_probe:?}");
    assert_eq!((ended_by_probe.len(), ended(&story, &whole(Teller::Reporter))), (2, 4));
}

#[test]
fn an_operators_word_a_refused_login_and_a_bill_are_no_matter_of_windows() {
    let mut story = Story::plain();
    let row = story.limit("a", None, 2 * HOUR);
    story.cools(Cooldown { source: CooldownSource::Operator, ..row.clone() });
    story.cools(story.refusal(FailureKind::Auth, "a", "w", true));
    let billing = CooldownKey { window: Window::Unknown, ..row.key.clone() };
    story.cools(Cooldown { kind: FailureKind::Billing, key: billing, ..row });
    story.pass(MINUTE);
    assert_eq!(ended(&story, &Reading { window: Window::Unknown, ..story.reading("a", 1.0) }), 0);
}

#[test]
fn an_agents_own_reading_ends_what_it_said_itself_and_nothing_of_others() {
    let mut story = Story::plain();
    let own = story.limit("a", Some("w"), 2 * HOUR);
    story.cools(own.clone());
    story.cools(story.limit("a", Some("x"), 2 * HOUR));
    story.cools(story.limit("a", None, 2 * HOUR));
    story.pass(MINUTE);
    let told = Reading { told_by: Teller::Agent("w".into()), ..story.reading("a", 1.0) };
    assert_eq!(story.pool.ended_by(&told), [own.key]);
}

#[test]
fn a_refusal_that_was_read_keeps_everyone_away_until_its_reset_and_an_agents_own_only_itself() {
    let mut story = Story::plain();
    let reset = story.now.plus(20 * MINUTE);
    let refused = Reading { serves: false, reset_at: Some(reset), ..story.reading("a", 100.0) };
    story.reads(Reading { told_by: Teller::Agent("w".into()), ..refused.clone() });
    assert_eq!(story.verdict(&wakes("w"), "a"), Some(Ineligible::Refused { window: Window::FiveHour, until: reset }));
    assert_eq!(story.verdict(&wakes("x"), "a"), None);
    story.reads(refused);
    assert_eq!(story.verdict(&wakes("x"), "a"), Some(Ineligible::Refused { window: Window::FiveHour, until: reset }));
    story.pass(20 * MINUTE);
    assert_eq!(story.verdict(&wakes("x"), "a"), None);
}

#[test]
fn a_refusal_holds_until_its_reset_however_long_nobody_has_looked() {
    let mut story = Story::plain();
    let reset = story.now.plus(6 * HOUR);
    story.reads(Reading { serves: false, reset_at: Some(reset), ..story.reading("a", 100.0) });
    story.pass(5 * HOUR);
    assert_eq!(story.verdict(&wakes("x"), "a"), Some(Ineligible::Refused { window: Window::FiveHour, until: reset }));
    let undated = Reading { serves: false, ..story.reading("b", 100.0) };
    story.reads(undated);
    assert!(
        matches!(story.verdict(&wakes("x"), "b"), Some(Ineligible::Refused { until, .. }) if until == story.now.plus(30 * MINUTE))
    );
    story.pass(30 * MINUTE);
    assert_eq!(story.verdict(&wakes("x"), "b"), None, "when it is said to end is when it does");
}

#[test]
fn the_newest_reading_counts_in_whatever_order_they_come() {
    let mut story = Story::plain();
    let old = Reading { serves: false, ..story.reading("a", 100.0) };
    story.pass(MINUTE);
    story.reads(story.reading("a", 5.0));
    story.pool.apply(&Change::ReadingTaken(old));
    assert_eq!(story.verdict(&wakes("w"), "a"), None);
}

#[test]
fn readings_of_subscriptions_with_one_quota_are_readings_of_that_quota() {
    let shared = |name| switchman::machine::policy::SubscriptionPolicy {
        quota: "org".into(),
        ..switchman::machine::agent::testing::subscription(name, 8)
    };
    let mut story = Story::of([shared("a"), shared("b")], switchman::machine::policy::PoolSettings::default());
    story.reads(Reading { serves: false, ..story.reading("a", 100.0) });
    assert!(matches!(story.verdict(&wakes("w"), "b"), Some(Ineligible::Refused { .. })));
}
