//! What a container prints is its own word: it reaches no further than itself, and only the tool's own records count.

use serde_json::{Value, json};

use crate::harbour::Harbour;
use crate::lines::{nested, overload};
use crate::setup::Setup;

/// S21: a liar walks about in what it may use, as far as its budget goes.
#[tokio::test]
async fn s21_forged_limits_in_a_loop_cost_the_budget_and_nobody_else() {
    const BUDGET: usize = 3;
    let mut setup = Setup::new(&["a", "b", "c", "d"], &["liar", "honest"]).switching(&format!(
        "wait_out = \"0s\"\njitter = \"0s\"\nsettle = \"1s\"\nbudget = {{ switches = {BUDGET}, per = \"1h\" }}\n"
    ));
    setup.agents[0].lines.push_str("subscriptions = [\"a\", \"b\"]\n");
    let harbour = Harbour::prepare(setup, |_, _| {}).await;
    // Each of its lives lies from the start, of limits that end at once.
    std::fs::write(harbour.site.folder.home("liar").join("at-start"), "forge 20 1\n").unwrap();
    harbour.start_all().await;
    let honest = harbour.life("honest").await;
    let mut harbour = harbour;
    harbour.site.start().await;
    harbour.site.event("agent.braked", |event| event["agent"] == "liar").await;
    harbour.site.hook.notified("the brake", |told| told["event"] == "braked").await;

    let switches = harbour.site.switches("liar").await;
    assert_eq!(switches.len(), BUDGET, "{switches:#?}");
    assert!(switches.iter().all(|switch| switch["to"] == "a" || switch["to"] == "b"), "{switches:#?}");
    harbour.started("liar", 1 + BUDGET).await;
    let listed = harbour.site.get("/v1/subscriptions").await;
    for seen in listed["subscriptions"].as_array().unwrap() {
        assert_eq!((&seen["cooldown"], &seen["quarantined"]), (&Value::Null, &Value::Null), "{seen:#}");
        let cools: Vec<&String> = seen["cooling_for"].as_object().unwrap().keys().collect();
        assert!(cools.iter().all(|agent| *agent == "liar"), "{seen:#}");
    }
    let now = harbour.site.serving("honest").await;
    assert_eq!((&now["assignment"]["subscription"], &now["assignment"]["generation"]), (&json!("a"), &json!(1)));
    assert_eq!(harbour.life("honest").await, honest);
    harbour.close().await;
    assert_eq!(harbour.site.hook.ids("switch").len(), BUDGET);
    harbour.started("liar", 1 + BUDGET).await;
}

#[tokio::test]
async fn a_limit_that_is_only_talked_about_moves_nobody() {
    let mut harbour = Harbour::open(Setup::new(&["a", "b"], &["one"])).await;
    let mut lines = nested();
    lines.push(overload());
    harbour.print("one", &lines).await;
    harbour.all_counted("one", 1).await;
    let failures = harbour.site.failures("one").await;
    assert_eq!((&failures[0]["kind"], &failures[0]["outcome"]), (&json!("overload"), &json!("ignored")));
    assert_eq!(harbour.site.switches("one").await, Vec::<Value>::new());
    harbour.close().await;
    harbour.started("one", 1).await;
}
