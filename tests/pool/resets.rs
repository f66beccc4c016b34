//! S5 and S6: what is used up comes back when it was said to, or after two hours, and not before.

use serde_json::json;

use crate::stage::{BIT, HOUR, MINUTE, Stage};

#[tokio::test]
async fn s5_nobody_is_left_and_the_first_reset_moves_it_there_once() {
    let mut stage = Stage::pair().await;
    stage.both_fail(HOUR, HOUR * 3).await;
    stage.waits("one", 1).await;
    stage.calendar.forward(MINUTE * 59);
    assert_eq!(stage.limit("one", Some(HOUR)).await, "exhausted", "what it knows already changes nothing");
    stage.waits("one", 1).await;
    stage.calendar.forward(MINUTE + BIT);
    stage.moved("one", "a", 3).await;
    assert_eq!(stage.on("one").await, "a");
    stage.site.hook.notified("it goes on", |told| told["event"] == "woken").await;
    assert!(stage.site.stop().await.success());
    assert_eq!((stage.site.hook.ids("exhausted").len(), stage.site.hook.ids("woken").len()), (1, 1));
}

#[tokio::test]
async fn s5_its_own_reset_lets_it_go_on_where_it_is() {
    let mut stage = Stage::pair().await;
    stage.both_fail(HOUR * 3, HOUR).await;
    stage.calendar.forward(HOUR + BIT);
    stage.woken("one").await;
    assert_eq!(stage.on("one").await, "b");
    assert_eq!(
        (stage.generation("one").await, stage.site.switches("one").await.len()),
        (2, 1),
        "nothing was restarted"
    );
}

#[tokio::test]
async fn s5_a_cleared_cooldown_lets_it_go_on_at_once() {
    let stage = Stage::pair().await;
    stage.both_fail(HOUR * 3, HOUR * 4).await;
    stage.waits("one", 1).await;
    assert_eq!(stage.site.cli(&["cooldown", "clear", "a"]).await.code, 0);
    stage.moved("one", "a", 3).await;
}

#[tokio::test]
async fn s6_a_reset_in_five_hours_still_cools_after_three_and_has_ended_after_five() {
    let mut stage = Stage::pair().await;
    let reset = stage.calendar.now() + HOUR * 5;
    assert_eq!(stage.limit("one", Some(HOUR * 5)).await, "switched");
    assert!(stage.until("a").await.unwrap().duration_since(reset).abs() < BIT.try_into().unwrap());
    for _ in 0..3 {
        stage.calendar.forward(HOUR);
        assert!(!stage.is_eligible("a").await);
    }
    // Nobody goes back by itself (F5), and nobody else is sent there.
    assert_eq!((stage.on("one").await.as_str(), stage.site.switches("one").await.len()), ("b", 1));
    stage.calendar.forward(MINUTE * 119);
    assert!(!stage.is_eligible("a").await);
    stage.calendar.forward(MINUTE + BIT);
    assert!(stage.is_eligible("a").await);
    assert_eq!(stage.limit("one", Some(HOUR)).await, "switched", "and it is gone to again");
    assert_eq!(stage.on("one").await, "a");
}

#[tokio::test]
async fn s6_without_a_stated_reset_it_comes_back_after_two_hours_and_not_before() {
    let mut stage = Stage::pair().await;
    let begun = stage.calendar.now();
    assert_eq!(stage.limit("one", None).await, "switched");
    let until = stage.until("a").await.unwrap();
    assert!(until >= begun + HOUR * 2 && until <= stage.calendar.now() + HOUR * 2, "{until}");
    stage.calendar.forward(MINUTE * 119);
    assert!(!stage.is_eligible("a").await);
    stage.calendar.to(until + BIT);
    assert!(stage.is_eligible("a").await);
}

#[tokio::test]
async fn s6_a_reset_in_ninety_seconds_is_waited_for() {
    let mut stage = Stage::pair().await;
    assert_eq!(stage.limit("one", Some(BIT * 90)).await, "waiting");
    assert!(!stage.is_eligible("a").await, "it cools for everybody else");
    stage.calendar.forward(BIT * 91);
    assert!(stage.is_eligible("a").await);
    let now = stage.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("a"), &json!(1)));
    assert_eq!(stage.site.switches("one").await.len(), 0);
}
