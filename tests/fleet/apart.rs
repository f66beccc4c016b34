//! S3 and S4, told by the log alone: agents do not wait for each other, and those that leave together spread.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

use crate::harbour::Harbour;
use crate::harbour::docker;
use crate::lines::burst;
use crate::setup::Setup;

/// The bound of the rule, from the line to the completed switch.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn s3_a_blocked_stop_holds_up_nobody_else() {
    let mut setup = Setup::new(&["a", "b", "c"], &["blocked", "free"]);
    "stop_grace = \"10s\"\n".clone_into(&mut setup.agents[0].lines);
    let harbour = Harbour::open(setup).await;
    harbour.site.tell("blocked", "ignore-term").await;
    harbour.print("blocked", &burst(1)).await;
    harbour.site.event("switch.drained", |event| event["agent"] == "blocked").await;

    let clock = SystemClock::new();
    let printed_at = clock.now().steady;
    harbour.print("free", &burst(1)).await;
    harbour.moved("free", 2).await;
    let took = Duration::from_millis(clock.now().steady.0 - printed_at.0);
    assert!(took < SOON, "it took {took:?}");
    assert_eq!(harbour.site.agent("blocked").await["phase"], "applying");

    docker(&["kill", harbour.container("blocked")]).await;
    harbour.moved("blocked", 2).await;
    harbour.started("blocked", 2).await;
    harbour.started("free", 2).await;
}

#[tokio::test]
async fn s4_twenty_agents_leave_one_subscription_and_spread() {
    const AGENTS: usize = 20;
    let names: Vec<String> = (1..=AGENTS).map(|number| format!("agent-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut harbour = Harbour::open(Setup::new(&["a", "b", "c", "d", "e"], &names)).await;
    let lines = burst(3);
    join_all(names.iter().map(|name| harbour.print(name, &lines))).await;
    let mut spread: BTreeMap<String, usize> = BTreeMap::new();
    for name in &names {
        let done = harbour.moved(name, 2).await;
        *spread.entry(done["to"].as_str().unwrap().to_owned()).or_default() += 1;
        harbour.all_counted(name, 3).await;
        assert_eq!(harbour.site.switches(name).await.len(), 1);
    }
    assert_eq!(spread, ["b", "c", "d", "e"].map(|name| (name.to_owned(), AGENTS / 4)).into());
    for failure in harbour.site.failures("").await {
        assert_eq!(failure["subscription"], "a", "{failure:#}");
    }
    for name in ["b", "c", "d", "e"] {
        let other = harbour.site.subscription(name).await;
        assert_eq!((&other["cooldown"], &other["failures"]["recent"]), (&json!(null), &json!(0)), "{other:#}");
    }
    for name in &names {
        harbour.site.hook.notified(name, |told| told["event"] == "switch" && told["agent"] == *name).await;
    }
    harbour.close().await;
    assert_eq!(harbour.site.hook.ids("switch").len(), AGENTS);
    for name in &names {
        harbour.started(name, 2).await;
    }
}
