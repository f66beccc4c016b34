//! The pool from outside: tiers and readings, and a halt that outlives the daemon (E4, E6).

use serde_json::{Value, json};

use crate::setup::Setup;
use crate::stage::{Ground, Stage};

/// Subscriptions of these tiers, and one agent that may use them all.
async fn tiers(tiers: &[(&str, u32)], switching: &str) -> Stage {
    let names: Vec<&str> = tiers.iter().map(|(name, _)| *name).collect();
    let switching = format!("wait_out = \"0s\"\njitter = \"0s\"\nsettle = \"0s\"\n{switching}");
    let mut setup = Setup::new(&names, &["one"]).switching(&switching);
    for (subscription, (name, tier)) in setup.subscriptions.iter_mut().zip(tiers) {
        // A key of the section stands after the reference.
        let words = json!(["/bin/echo", format!("canary-of-{name}")]);
        subscription.reference = Some(format!("{{ command = {words} }}\npriority = {tier}"));
    }
    Stage::set(Ground::Children, setup).await
}

async fn on(stage: &Stage) -> Value {
    stage.site.agent("one").await["assignment"]["subscription"].clone()
}

#[tokio::test]
async fn tiers_and_readings_decide_and_are_known_after_a_kill() {
    let mut stage = tiers(&[("a", 2), ("b", 1), ("c", 3)], "strategy = \"priority\"\n").await;
    assert_eq!(on(&stage).await, "b", "the lowest tier");
    let told = stage.site.cli(&["reading", "a", "--window", "weekly", "--refused"]).await;
    let line = "a is not eligible: refused by the provider as last read (window weekly), used: weekly refused, ";
    assert!(told.code == 0 && told.stdout.starts_with(line), "{told:?}");
    stage.site.event("subscription.refused", |event| event["subscription"] == "a" && event["scope"] == "weekly").await;
    let explained = stage.site.cli(&["explain", "one"]).await;
    for part in ["tier 3", "weekly refused", "would pick c", "order: strategy priority, the lowest tier first"] {
        assert!(explained.stdout.contains(part), "no {part}: {explained:?}");
    }
    let moved = stage.site.report("one", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(moved.body["switch"]["to"], "c", "{}", moved.text);
    stage.started("one", 2).await;

    stage.site.kill().await;
    stage.site.start().await;
    stage.site.serving("one").await;
    let known = stage.site.subscription("a").await;
    assert_eq!((&known["eligible"], &known["nearest_wall"]["window"]), (&json!(false), &json!("weekly")), "{known:#}");
    let told = stage.site.cli(&["--json", "reading", "a", "--window", "weekly", "--used", "12.5"]).await;
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&told["eligible"], &told["nearest_wall"]["utilisation"]), (&json!(true), &json!(12.5)), "{told:#}");
    stage.site.event("subscription.available", |event| event["subscription"] == "a").await;
    let dry = stage.site.cli(&["switch", "one", "--dry-run"]).await;
    assert!(dry.stdout.contains("would pick a"), "{dry:?}");
    assert!(stage.site.stop().await.success());
}

#[tokio::test]
async fn a_halt_outlives_the_daemon_and_ends_with_a_persons_word() {
    let mut stage = tiers(&[("a", 1), ("b", 1), ("c", 1)], "").await;
    assert_eq!(on(&stage).await, "a");
    let banned = |generation: u64| json!({"kind": "banned", "generation": generation});
    let moved = stage.site.report("one", &banned(1)).await;
    assert_eq!(moved.body["switch"]["to"], "b", "{}", moved.text);
    stage.started("one", 2).await;
    stage.site.event("switch.completed", |event| event["generation"] == 2).await;
    stage.site.report("one", &banned(2)).await;
    stage.site.event("switching.halted", |event| event["subscriptions"] == "a, b").await;
    stage.site.hook.notified("a halt", |notification| notification["event"] == "halted").await;

    stage.site.kill().await;
    stage.site.start().await;
    let health = stage.site.get("/readyz").await;
    let why = "switching is halted: the provider has disabled several accounts within an hour: a, b";
    assert_eq!((&health["status"], &health["degraded"]), (&json!("ready"), &json!([why])));
    let status = stage.site.cli(&["status"]).await;
    assert!(status.stdout.ends_with(&format!("degraded: {why}\n")), "{status:?}");
    let explained = stage.site.cli(&["explain", "one"]).await;
    assert!(explained.stdout.contains("switching is halted until switchman resume --all"), "{explained:?}");
    assert_eq!(on(&stage).await, "b");
    stage.site.event("agent.runtime_changed", |event| event["to"] == "running").await;
    // Whoever wants to work is told at once why that cannot be, also who would wait.
    let begin =
        json!({"session": "chat", "holder": "somebody", "class": "interactive", "on_busy": "queue", "wait_s": 60});
    let turn = stage.site.call("POST", "/v1/agents/one/turns", Some(&begin)).await;
    assert_eq!((turn.status, &turn.body["code"]), (503, &json!("agent_exhausted")), "{}", turn.text);
    assert!(turn.text.contains("halted"), "{}", turn.text);

    let resumed = stage.site.cli(&["resume", "--all"]).await;
    assert_eq!(resumed.stdout, "no agent is paused any more, and switching is not halted\n");
    stage.site.event("switching.resumed", |_| true).await;
    let done = stage.site.event("switch.completed", |event| event["to"] == "c").await;
    assert_eq!(done["outcome"], "ready");
    assert_eq!(stage.site.get("/readyz").await["degraded"], json!([]));
    assert!(stage.site.stop().await.success());
}

/// S18: a key of the agent's own wins over what it is given.
async fn an_agent_with_a_key_of_its_own(ground: Ground) {
    let setup = Setup::new(&["a", "b", "c"], &["one", "two"]).switching("settle = \"0s\"\n");
    let stage = Stage::set(ground, setup).await;
    let site = &stage.site;
    let refused = |generation: u64| json!({"kind": "auth", "generation": generation});
    let first = site.report("one", &refused(1)).await;
    assert_eq!(first.body["outcome"], "switching", "{}", first.text);
    stage.started("one", 2).await;
    site.event("switch.completed", |event| event["agent"] == "one" && event["generation"] == 2).await;
    let second = site.report("one", &refused(2)).await;
    assert_eq!(second.body["outcome"], "recorded", "{}", second.text);
    let agent = site.agent("one").await;
    assert_eq!((&agent["phase"], &agent["reason"]), (&json!("parked"), &json!("credential_shadowed")), "{agent:#}");
    let told = site.hook.notified("that it is parked", |notification| notification["event"] == "parked").await;
    assert!(told["action"].as_str().is_some_and(|action| action.contains("switchman unpark one")), "{told:#}");
    for name in ["a", "b", "c"] {
        let subscription = site.subscription(name).await;
        assert_eq!((&subscription["eligible"], &subscription["quarantined"]), (&json!(true), &Value::Null), "{name}");
    }
    // The second record of the same refusal blames nobody either, and a person ends it.
    site.report("one", &refused(2)).await;
    assert_eq!(site.cli(&["cooldown", "list"]).await.stdout, "nothing is cooling\n");
    assert_eq!(site.cli(&["unpark", "one"]).await.code, 0);
    site.serving("one").await;
    assert_eq!(site.agent("one").await["assignment"]["generation"], 2, "it stays where it is");
    let neighbour = site.report("two", &json!({"kind": "rate_limit", "generation": 1})).await;
    assert_eq!(neighbour.body["outcome"], "switching", "{}", neighbour.text);
}

#[tokio::test]
async fn s18_an_agent_with_a_key_of_its_own_is_parked_and_blames_nobody() {
    an_agent_with_a_key_of_its_own(Ground::Children).await;
}

#[tokio::test]
async fn s18_docker_an_agent_with_a_key_of_its_own_is_parked_and_blames_nobody() {
    an_agent_with_a_key_of_its_own(Ground::Containers).await;
}
