//! S3 and S4: agents do not wait for each other, and those that leave together spread.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::setup::Setup;
use crate::site::Site;
use crate::stage::{Ground, Stage};

/// The bound of the rule, from the report to the completed switch.
const SOON: Duration = Duration::from_secs(1);

async fn a_blocked_stop_holds_up_nobody_else(ground: Ground) {
    let mut setup = Setup::new(&["a", "b", "c"], &["blocked", "free"]);
    "stop_grace = \"10s\"\n".clone_into(&mut setup.agents[0].lines);
    let stage = Stage::set(ground, setup).await;
    stage.site.tell("blocked", "ignore-term").await;
    stage.burst("blocked", 1, 1).await;
    stage.site.event("switch.drained", |event| event["agent"] == "blocked" && event["generation"] == 2).await;

    let clock = SystemClock::new();
    let reported_at = clock.now().steady;
    let answer = stage.burst("free", 1, 1).await.remove(0);
    assert_eq!(answer.body["outcome"], "switching", "{}", answer.text);
    let done = stage.site.event("switch.completed", |event| event["agent"] == "free" && event["generation"] == 2).await;
    let took = Duration::from_millis(clock.now().steady.0 - reported_at.0);
    assert_eq!(done["outcome"], "ready");
    assert!(took < SOON, "it took {took:?}: {done:#}");
    assert_eq!(stage.site.agent("blocked").await["phase"], "applying");

    stage.kill("blocked").await;
    let done = stage.site.event("switch.completed", |e| e["agent"] == "blocked" && e["generation"] == 2).await;
    assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)));
    stage.started("blocked", 2).await;
    stage.started("free", 2).await;
}

#[tokio::test]
async fn s3_a_blocked_stop_holds_up_nobody_else() {
    a_blocked_stop_holds_up_nobody_else(Ground::Children).await;
}

#[tokio::test]
async fn s3_docker_a_blocked_stop_holds_up_nobody_else() {
    a_blocked_stop_holds_up_nobody_else(Ground::Containers).await;
}

#[tokio::test]
async fn s4_twenty_agents_leave_one_subscription_and_spread() {
    const AGENTS: usize = 20;
    let names: Vec<String> = (1..=AGENTS).map(|number| format!("agent-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let everything = Setup::new(&["a", "b", "c", "d", "e"], &names);
    let mut only_a = everything.clone();
    only_a.agents.iter_mut().for_each(|agent| agent.lines.push_str("subscriptions = [\"a\"]\n"));
    let mut site = Site::new(only_a);
    site.start().await;
    for name in &names {
        assert_eq!(site.serving(name).await["assignment"]["subscription"], "a");
    }
    assert!(site.stop().await.success());
    site.folder.lay_out(&everything, &site.hook.url());
    site.start().await;
    for name in &names {
        let assignment = &site.serving(name).await["assignment"];
        assert_eq!((&assignment["subscription"], &assignment["generation"]), (&json!("a"), &json!(1)));
    }

    let report = json!({"kind": "rate_limit", "generation": 1});
    let answers = join_all(names.iter().flat_map(|name| (0..3).map(|_| site.report(name, &report)))).await;
    let of = |outcome: &str| answers.iter().filter(|answer| answer.body["outcome"] == outcome).count();
    assert_eq!((of("switching"), of("repeat") + of("stale")), (AGENTS, 2 * AGENTS));
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for name in &names {
        let done = site.event("switch.completed", |event| event["agent"] == *name && event["generation"] == 2).await;
        assert_eq!((&done["outcome"], &done["restarts"]), (&json!("ready"), &json!(1)), "{done:#}");
        *spread.entry(done["to"].as_str().unwrap().to_owned()).or_default() += 1;
        assert_eq!(site.switches(name).await.len(), 1);
    }
    assert_eq!(spread, ["b", "c", "d", "e"].map(|name| (name.to_owned(), AGENTS / 4)).into());
    for failure in site.failures("").await {
        assert_eq!(failure["subscription"], "a", "{failure:#}");
    }
    for name in ["b", "c", "d", "e"] {
        let other = site.subscription(name).await;
        assert_eq!((&other["cooldown"], &other["failures"]["recent"]), (&json!(null), &json!(0)), "{other:#}");
    }
    for name in &names {
        site.hook.notified(name, |told| told["event"] == "switch" && told["agent"] == *name).await;
    }
    assert!(site.stop().await.success());
    assert_eq!(site.hook.ids("switch").len(), AGENTS);
}
