//! S6 where the calendar is odd: midnight, the days on which clocks are changed, and clocks that are set.
//!
//! Resets are moments, whatever a clock on the wall shows: nothing comes back early, nothing storms, everything ends.

use std::time::Duration;

use crate::setup::Setup;
use crate::stage::{BIT, DAY, HOUR, MINUTE, NOON, Stage};

/// From a beginning in a zone: the agent waits for a reset three hours later, and goes on then and not before.
async fn three_hours_are_three_hours(begin: &str, zone: &str) {
    let mut stage = Stage::begin(&["a", "b"], &["one"], begin, zone).await;
    stage.both_fail(HOUR * 3, HOUR * 5).await;
    for _ in 0..2 {
        stage.calendar.forward(HOUR);
        stage.waits("one", 1).await;
    }
    stage.calendar.forward(MINUTE * 59);
    assert!(!stage.is_eligible("a").await, "{begin} {zone}");
    stage.waits("one", 1).await;
    stage.calendar.forward(MINUTE + BIT);
    stage.moved("one", "a", 3).await;
    assert_eq!(stage.site.switches("one").await.len(), 2);
}

#[tokio::test]
async fn s6_across_midnight_and_the_end_of_a_year() {
    three_hours_are_three_hours("2026-12-31T22:30:00Z", "UTC").await;
}

#[tokio::test]
async fn s6_across_the_hour_that_is_left_out() {
    // 02:00 becomes 03:00 at 01:00Z.
    three_hours_are_three_hours("2027-03-28T00:10:00Z", "Europe/Berlin").await;
}

#[tokio::test]
async fn s6_across_the_hour_that_comes_twice() {
    // 03:00 becomes 02:00 at 01:00Z.
    three_hours_are_three_hours("2027-10-31T00:10:00Z", "Europe/Berlin").await;
}

/// The clock is set back while the agent waits: nothing is early, and what cools ends when it was said to.
async fn set_back(back: Duration) {
    let mut setup = Setup::new(&["a", "b"], &["one", "other"]);
    setup.agents[1].lines.push_str("subscriptions = [\"b\"]\n");
    let mut stage = Stage::set(setup, NOON, "UTC").await;
    assert_eq!(stage.on("one").await, "a");
    stage.both_fail(HOUR * 2, HOUR * 4).await;
    let until = stage.until("a").await.unwrap();
    stage.calendar.back(back);
    stage.waits("one", 1).await;
    assert_eq!(stage.limit("one", Some(HOUR)).await, "exhausted");
    // Nobody sleeps for longer than 30 s: when the other one's pause has ended, everybody has looked at the new calendar.
    assert_eq!(stage.site.cli(&["pause", "other", "--for", "31s"]).await.code, 0);
    stage.site.event("agent.resumed", |event| event["agent"] == "other").await;
    assert!(!stage.is_eligible("a").await && !stage.is_eligible("b").await);
    stage.waits("one", 1).await;
    stage.calendar.to(until - MINUTE);
    stage.waits("one", 1).await;
    stage.calendar.to(until + BIT);
    stage.moved("one", "a", 3).await;
    assert_eq!(stage.site.switches("one").await.len(), 2);
}

#[tokio::test]
async fn s6_a_clock_that_is_set_back_by_an_hour_makes_nothing_early_and_what_cools_ends() {
    set_back(HOUR).await;
}

#[tokio::test]
async fn s6_a_clock_that_is_set_back_by_a_day_makes_nothing_early_and_what_cools_ends() {
    set_back(DAY).await;
}

#[tokio::test]
async fn s6_a_clock_that_is_set_forward_by_days_ends_everything_at_once_and_once() {
    let mut stage = Stage::begin(&["a", "b"], &["one"], NOON, "UTC").await;
    stage.both_fail(HOUR * 2, HOUR * 4).await;
    stage.calendar.forward(DAY * 3);
    stage.woken("one").await;
    assert!(stage.is_eligible("a").await && stage.is_eligible("b").await);
    assert_eq!((stage.on("one").await.as_str(), stage.site.switches("one").await.len()), ("b", 1));
    // And back to where it was: what has ended does not come back.
    stage.calendar.back(DAY * 3);
    assert_eq!(stage.on("one").await, "b");
    assert_eq!(stage.site.switches("one").await.len(), 1);
}

#[tokio::test]
async fn s6_cooldowns_outlast_a_restart_of_the_daemon_and_end_while_it_is_down() {
    let mut stage = Stage::pair().await;
    stage.both_fail(HOUR, HOUR * 4).await;
    let until = stage.until("a").await.unwrap();
    assert!(stage.site.stop().await.success());
    stage.calendar.forward(MINUTE * 30);
    stage.site.start().await;
    assert_eq!(stage.until("a").await, Some(until));
    assert!(stage.site.stop().await.success());
    stage.calendar.forward(MINUTE * 31);
    stage.site.start().await;
    assert!(stage.is_eligible("a").await);
    stage.moved("one", "a", 3).await;
}
