//! S5: with nobody left an agent waits, untouched and with one alert, and goes on by itself.

use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::setup::Setup;
use crate::stage::{Ground, Stage};

const AT_ONCE: &str = "wait_out = \"0s\"\njitter = \"0s\"\n";

/// An agent that has left `a` for `b`, and a report that `b` has failed as well.
async fn both_fail(ground: Ground, a_resets_in_s: u64, b_resets_in_s: u64) -> (Stage, Value) {
    let stage = Stage::set(ground, Setup::new(&["a", "b"], &["one"]).switching(AT_ONCE)).await;
    let about = |generation: u64, seconds: u64| json!({"kind": "rate_limit", "generation": generation, "retry_after_s": seconds});
    let answer = stage.site.report("one", &about(1, a_resets_in_s)).await;
    assert_eq!((answer.status, &answer.body["outcome"]), (202, &json!("switching")), "{}", answer.text);
    stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    stage.started("one", 2).await;
    let answer = stage.site.report("one", &about(2, b_resets_in_s)).await;
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("exhausted")), "{}", answer.text);
    (stage, answer.body)
}

fn until(subscription: &Value) -> String {
    subscription["cooldown"]["until"].as_str().unwrap_or_else(|| panic!("{subscription:#}")).to_owned()
}

/// Nothing was done to the agent, and people were told once.
async fn waits_untouched(stage: &Stage, starts: usize) {
    for _ in 0..5 {
        // Sooner than what is known already: it changes nothing.
        let sooner = json!({"kind": "rate_limit", "generation": 2, "retry_after_s": 1});
        let again = stage.site.report("one", &sooner).await;
        assert_eq!(again.body["outcome"], "exhausted", "{}", again.text);
    }
    let now = stage.site.agent("one").await;
    assert_eq!((&now["phase"], &now["assignment"]["subscription"]), (&json!("exhausted"), &json!("b")));
    stage.site.hook.notified("nobody left", |notification| notification["event"] == "exhausted").await;
    stage.started("one", starts).await;
}

async fn its_own_reset_lets_it_go_on_without_a_restart(ground: Ground) {
    let (mut stage, answer) = both_fail(ground, 3600, 5).await;
    assert_eq!(answer["earliest_reset"], until(&stage.site.subscription("b").await));
    waits_untouched(&stage, 2).await;
    stage.site.event("agent.woken", |event| event["agent"] == "one").await;
    let now = stage.site.serving("one").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("b"), &json!(2)));
    stage.site.hook.notified("it goes on", |notification| notification["event"] == "woken").await;
    assert!(stage.site.stop().await.success());
    assert_eq!((stage.site.hook.ids("exhausted").len(), stage.site.hook.ids("switch").len()), (1, 1));
    stage.started("one", 2).await;
}

#[tokio::test]
async fn s5_its_own_reset_lets_it_go_on_without_a_restart() {
    its_own_reset_lets_it_go_on_without_a_restart(Ground::Children).await;
}

#[tokio::test]
async fn s5_docker_its_own_reset_lets_it_go_on_without_a_restart() {
    its_own_reset_lets_it_go_on_without_a_restart(Ground::Containers).await;
}

async fn a_cleared_cooldown_lets_it_go_on_at_once(ground: Ground) {
    let (mut stage, answer) = both_fail(ground, 3600, 7200).await;
    assert_eq!(answer["earliest_reset"], until(&stage.site.subscription("a").await));
    waits_untouched(&stage, 2).await;
    let cleared = stage.site.cli(&["cooldown", "clear", "a"]).await;
    assert_eq!(cleared.code, 0, "{cleared:?}");
    let done = stage.site.event("switch.completed", |event| event["generation"] == 3).await;
    assert_eq!((&done["to"], &done["outcome"], &done["restarts"]), (&json!("a"), &json!("ready"), &json!(1)));
    stage.started("one", 3).await;
    stage.runs_on("one", "a").await;
    assert!(stage.site.stop().await.success());
    assert_eq!((stage.site.hook.ids("exhausted").len(), stage.site.hook.ids("switch").len()), (1, 2));
}

#[tokio::test]
async fn s5_a_cleared_cooldown_lets_it_go_on_at_once() {
    a_cleared_cooldown_lets_it_go_on_at_once(Ground::ChildrenWithFiles).await;
}

#[tokio::test]
async fn s5_docker_a_cleared_cooldown_lets_it_go_on_at_once() {
    a_cleared_cooldown_lets_it_go_on_at_once(Ground::Containers).await;
}

#[tokio::test]
async fn s5_the_reset_of_the_other_one_moves_it_there() {
    let (stage, answer) = both_fail(Ground::Children, 12, 3600).await;
    assert_eq!(answer["earliest_reset"], until(&stage.site.subscription("a").await));
    waits_untouched(&stage, 2).await;
    let done = stage.site.event("switch.completed", |event| event["generation"] == 3).await;
    assert_eq!((&done["to"], &done["outcome"]), (&json!("a"), &json!("ready")), "{done:#}");
    stage.started("one", 3).await;
}

#[tokio::test]
async fn s5_after_a_restart_of_the_daemon_everybody_hears_of_a_cleared_cooldown() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a", "b"], &["one", "two"]).switching(AT_ONCE)).await;
    for subscription in ["a", "b"] {
        let cooled = stage.site.cli(&["cooldown", "set", subscription, "--for", "2h"]).await;
        assert_eq!(cooled.code, 0, "{cooled:?}");
    }
    for agent in ["one", "two"] {
        let answer = stage.burst(agent, 1, 1).await.remove(0);
        assert_eq!(answer.body["outcome"], "exhausted", "{}", answer.text);
    }
    assert!(stage.site.stop().await.success());
    stage.site.start().await;
    for agent in ["one", "two"] {
        stage.site.event("switch.completed", |event| event["agent"] == agent && event["plan"] == "recover").await;
    }
    let clock = SystemClock::new();
    let before = clock.now().steady;
    for subscription in ["a", "b"] {
        let cleared = stage.site.cli(&["cooldown", "clear", subscription]).await;
        assert_eq!(cleared.code, 0, "{cleared:?}");
    }
    for agent in ["one", "two"] {
        stage.site.serving(agent).await;
    }
    // Sooner than by any wake-up of its own.
    assert!(clock.now().steady.0 - before.0 < 30_000);
}

#[tokio::test]
async fn s5_it_waits_through_a_restart_of_the_daemon() {
    let (mut stage, _) = both_fail(Ground::Children, 3600, 7200).await;
    waits_untouched(&stage, 2).await;
    assert!(stage.site.stop().await.success());
    stage.site.start().await;
    // The process begins again with the daemon, on what it had.
    stage.site.event("switch.completed", |event| event["plan"] == "recover").await;
    stage.started("one", 3).await;
    stage.runs_on("one", "b").await;
    let again = stage.burst("one", 1, 2).await.remove(0);
    assert_eq!(again.body["outcome"], "exhausted", "{}", again.text);
    let cleared = stage.site.cli(&["cooldown", "clear", "a"]).await;
    assert_eq!(cleared.code, 0, "{cleared:?}");
    stage.site.event("switch.completed", |event| event["generation"] == 3).await;
    assert!(stage.site.stop().await.success());
    assert_eq!(stage.site.hook.ids("exhausted").len(), 1);
}
