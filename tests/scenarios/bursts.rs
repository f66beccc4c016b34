//! S1 and S2: many reports of one failure are one switch, one restart, one notification, and nobody else is blamed.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::program::eventually;
use crate::setup::Setup;
use crate::stage::{Ground, Stage, outcomes};

const SUBSCRIPTIONS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// What must be true when everybody has been answered, `reports` in all, the last of them late.
async fn it_was_one_move(stage: &mut Stage, reports: u64) {
    let done = stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    assert_eq!((&done["to"], &done["outcome"], &done["restarts"]), (&json!("b"), &json!("ready"), &json!(1)));
    let late = stage.burst("one", 1, 1).await;
    assert_eq!(outcomes(&late), [("stale".to_owned(), 1)].into());

    let now = stage.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    stage.started("one", 2).await;
    stage.runs_on("one", "b").await;
    stage.site.hook.notified("the switch", |notification| notification["event"] == "switch").await;
    let switches = stage.site.switches("one").await;
    assert_eq!(switches.len(), 1, "{switches:#?}");
    assert_eq!((&switches[0]["outcome"], &switches[0]["restarts"]), (&json!("ready"), &json!(1)));
    let counted = async || {
        let failures = stage.site.failures("one").await;
        failures.iter().map(|failure| failure["count"].as_u64().unwrap()).sum::<u64>()
    };
    eventually("every report is counted", async || (counted().await > reports).then_some(())).await;
    assert_eq!(counted().await, reports + 1, "and none twice");
    stage.only_failed("a").await;

    // What would come late has come when the daemon has ended in order.
    assert!(stage.site.stop().await.success());
    assert_eq!(stage.site.hook.ids("switch").len(), 1);
    assert_eq!(stage.site.events("switch.completed").iter().filter(|event| event["plan"] == "switch").count(), 1);
    stage.started("one", 2).await;
}

async fn a_burst_is_one_switch(ground: Ground, reports: usize) {
    let mut stage = Stage::set(ground, Setup::new(&["a", "b"], &["one"])).await;
    // Its stop takes the whole grace.
    stage.site.tell("one", "ignore-term").await;
    let outcomes = outcomes(&stage.burst("one", reports, 1).await);
    assert_eq!(outcomes.get("switching"), Some(&1), "{outcomes:?}");
    let others: usize = ["repeat", "stale"].iter().filter_map(|outcome| outcomes.get(*outcome)).sum();
    assert_eq!(others, reports - 1, "{outcomes:?}");
    it_was_one_move(&mut stage, reports as u64).await;
}

#[tokio::test]
async fn s1_two_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::Children, 2).await;
}

#[tokio::test]
async fn s1_twenty_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::ChildrenWithFiles, 20).await;
}

#[tokio::test]
async fn s1_a_hundred_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::Children, 100).await;
}

#[tokio::test]
async fn s1_docker_two_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::Containers, 2).await;
}

#[tokio::test]
async fn s1_docker_twenty_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::Containers, 20).await;
}

#[tokio::test]
async fn s1_docker_a_hundred_reports_are_one_switch() {
    a_burst_is_one_switch(Ground::Containers, 100).await;
}

/// Reports at fixed times, so that some come before the agent is ready again and some after.
async fn a_trickle_is_one_switch(ground: Ground, subscriptions: usize, span: Duration) {
    const REPORTS: u32 = 26;
    let mut stage = Stage::set(ground, Setup::new(&SUBSCRIPTIONS[..subscriptions], &["one"])).await;
    stage.site.tell("one", "ignore-term").await;
    let report = json!({"kind": "rate_limit", "generation": 1});
    let clock = SystemClock::new();
    let answers = join_all((0..REPORTS).map(|number| {
        let (site, report) = (&stage.site, &report);
        async move {
            clock.sleep(span * number / (REPORTS - 1)).await;
            site.report("one", report).await
        }
    }))
    .await;
    let outcomes = outcomes(&answers);
    assert_eq!(outcomes.get("switching"), Some(&1), "{outcomes:?}");
    let others: usize = ["repeat", "stale"].iter().filter_map(|outcome| outcomes.get(*outcome)).sum();
    assert_eq!(others, REPORTS as usize - 1, "{outcomes:?}");
    if span > Duration::ZERO {
        assert!(outcomes.get("stale").is_some_and(|stale| *stale > 0), "some came after it was ready: {outcomes:?}");
    }
    it_was_one_move(&mut stage, u64::from(REPORTS)).await;
}

const AT_ONCE: Duration = Duration::ZERO;
const SLOWLY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn s2_at_once_with_three_subscriptions() {
    a_trickle_is_one_switch(Ground::Children, 3, AT_ONCE).await;
}

#[tokio::test]
async fn s2_at_once_with_five_subscriptions() {
    a_trickle_is_one_switch(Ground::Children, 5, AT_ONCE).await;
}

#[tokio::test]
async fn s2_at_once_with_ten_subscriptions() {
    a_trickle_is_one_switch(Ground::ChildrenWithFiles, 10, AT_ONCE).await;
}

#[tokio::test]
async fn s2_slowly_with_three_subscriptions() {
    a_trickle_is_one_switch(Ground::Children, 3, SLOWLY).await;
}

#[tokio::test]
async fn s2_slowly_with_five_subscriptions() {
    a_trickle_is_one_switch(Ground::ChildrenWithFiles, 5, SLOWLY).await;
}

#[tokio::test]
async fn s2_slowly_with_ten_subscriptions() {
    a_trickle_is_one_switch(Ground::Children, 10, SLOWLY).await;
}

#[tokio::test]
async fn s2_docker_at_once_with_ten_subscriptions() {
    a_trickle_is_one_switch(Ground::Containers, 10, AT_ONCE).await;
}

#[tokio::test]
async fn s2_docker_slowly_with_three_subscriptions() {
    a_trickle_is_one_switch(Ground::Containers, 3, SLOWLY).await;
}

#[tokio::test]
async fn s2_docker_slowly_with_five_subscriptions() {
    a_trickle_is_one_switch(Ground::Containers, 5, SLOWLY).await;
}
