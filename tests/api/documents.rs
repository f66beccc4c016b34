//! Documents and commands: members as the contract spells them, and what commands do.

use serde_json::{Value, json};
use switchman::api::v1::wire;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;

use super::rig::{Rig, reached};

fn members(document: &Value) -> Vec<&str> {
    document.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_agent_has_the_members_of_the_contract() {
    let rig = Rig::one().await;
    let list = rig.get("/v1/agents").await.json();
    assert_eq!(members(&list), ["agents", "container_problems"]);
    let agent = rig.get("/v1/agents/one").await.json();
    assert_eq!(list["agents"][0], agent);
    let mut expected = [
        "name",
        "tool",
        "phase",
        "reason",
        "paused",
        "paused_until",
        "monitor_only",
        "pinned",
        "assignment",
        "pending",
        "runtime",
        "hindrances",
        "log_trouble",
        "uncorroborated",
        "turns",
        "budget",
        "wake_at",
        "earliest_reset",
        "last_switch",
    ];
    expected.sort_unstable();
    assert_eq!(members(&agent), expected);
    assert_eq!(agent["tool"], "claude-code");
    assert_eq!(agent["phase"], "serving");
    assert_eq!(agent["assignment"]["subscription"], "a");
    assert_eq!(agent["assignment"]["generation"], 1);
    assert_eq!(agent["runtime"]["kind"], "docker");
    assert_eq!(agent["runtime"]["state"], "running");
    assert_eq!(agent["turns"], json!({"active": [], "queued": 0}));
    assert_eq!(agent["budget"], json!({"used": 0, "of": 6, "refills_at": null}));
    for absent in ["reason", "pinned", "pending", "wake_at", "last_switch"] {
        assert_eq!(agent[absent], Value::Null, "{absent}");
    }
}

#[tokio::test]
async fn an_agent_whose_credential_nobody_knows_says_so() {
    let rig = Rig::new().agent("one", |_| {});
    rig.world.put_file(&"one".into(), "not one of ours");
    let rig = rig.start_without_assignments().await;
    rig.until("one", |state| state.sighting.is_some()).await;
    let agent = rig.get("/v1/agents/one").await.json();
    assert_eq!((&agent["assignment"], &agent["reason"]), (&Value::Null, &"unknown_credential".into()));
}

#[tokio::test]
async fn a_subscription_has_the_members_of_the_contract() {
    let rig = Rig::one().await;
    let list = rig.get("/v1/subscriptions").await.json();
    let a = &list["subscriptions"][0];
    let mut expected = [
        "name",
        "provider",
        "type",
        "priority",
        "metered",
        "reserve",
        "quota_identity",
        "agents",
        "agents_max",
        "eligible",
        "reason",
        "cooldown",
        "cooling_for",
        "suspect",
        "quarantined",
        "credential",
        "failures",
        "readings",
        "nearest_wall",
    ];
    expected.sort_unstable();
    assert_eq!(members(a), expected);
    assert_eq!(a["agents"], json!(["one"]));
    assert_eq!((&a["eligible"], &a["credential"]["readable"]), (&true.into(), &true.into()));
    assert_eq!(a["credential"]["fingerprint"].as_str().unwrap().len(), 16);
    assert!(!list.to_string().contains("key-of"), "no credential ever shows");

    let cooled = rig.put("/v1/subscriptions/b/cooldown", r#"{"for":"2h"}"#).await.json();
    assert_eq!((&cooled["eligible"], &cooled["cooldown"]["source"]), (&false.into(), &"operator".into()));
    let until: wire::Subscription = serde_json::from_value(cooled.clone()).unwrap();
    assert!(until.cooldown.unwrap().until.is_some());
    let cleared = rig.delete("/v1/subscriptions/b/cooldown").await.json();
    assert_eq!((&cleared["eligible"], &cleared["cooldown"]), (&true.into(), &Value::Null));
}

#[tokio::test]
async fn a_refused_login_is_a_quarantine() {
    let rig = Rig::one().await;
    let reply = rig.post("/v1/agents/one/failures?wait=15", r#"{"kind":"auth","generation":1}"#).await;
    assert_eq!(reply.json()["outcome"], "switched", "{reply:?}");
    let list = rig.get("/v1/subscriptions").await.json();
    let a = &list["subscriptions"][0];
    assert_eq!((&a["quarantined"]["kind"], &a["quarantined"]["until"]), (&"auth".into(), &Value::Null));
    assert_eq!(a["reason"], "quarantined after auth (by reporter)");
    assert_eq!(a["failures"]["recent"], 1);
}

#[tokio::test]
async fn the_explanation_and_the_dry_run_tell_what_a_switch_then_does() {
    let rig = Rig::one().await;
    rig.put("/v1/subscriptions/b/cooldown", r#"{"for":"2h"}"#).await;
    let explained = rig.get("/v1/agents/one/explain").await.json();
    assert_eq!(explained["would_pick"], "c");
    assert!(explained["earliest_reset"].is_string());
    let verdicts: Vec<(&str, &str)> = explained["subscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["subscription"].as_str().unwrap(), row["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(verdicts, [("c", "eligible"), ("a", "current"), ("b", "cooling")]);
    let b = &explained["subscriptions"][2];
    assert_eq!((&b["source"], &b["reason"]), (&"operator".into(), &"cooling after rate_limit (by operator)".into()));
    for age in ["until", "credential_read_at", "cooling_since"] {
        assert!(b[age].is_string(), "{age}: {b}");
    }
    assert_eq!(explained["gates"]["switching"], true);

    let dry = rig.post("/v1/agents/one/switch", r#"{"dry_run":true}"#).await;
    assert_eq!((dry.status, &dry.json()["would_pick"]), (200, &"c".into()));
    let forced = rig.post("/v1/agents/one/switch", r#"{"dry_run":true,"to":"b","force":true}"#).await;
    assert_eq!(forced.json()["would_pick"], "b");
    let refused = rig.post("/v1/agents/one/switch", r#"{"dry_run":true,"to":"b"}"#).await;
    assert_eq!((refused.status, &refused.json()["would_pick"]), (200, &Value::Null));
    assert_eq!(rig.state("one").intents, 0, "nothing was done");

    let done = rig.post("/v1/agents/one/switch?wait=15", "").await;
    assert_eq!((done.status, &done.json()["to"], &done.json()["outcome"]), (200, &"c".into(), &"ready".into()));
}

#[tokio::test]
async fn the_gates_of_an_agent_are_explained() {
    let rig = Rig::one().await;
    let paused = rig.post("/v1/agents/one/pause", r#"{"for":"1h"}"#).await.json();
    assert_eq!((&paused["paused"], &paused["reason"]), (&true.into(), &"paused".into()));
    assert!(paused["paused_until"].is_string());
    assert_eq!(rig.put("/v1/agents/one/pin", r#"{"subscription":"a"}"#).await.json()["pinned"], "a");
    let gates = rig.get("/v1/agents/one/explain").await.json()["gates"].clone();
    assert_eq!((&gates["paused"], &gates["pinned"]), (&true.into(), &"a".into()));
    assert!(gates["paused_until"].is_string());
    assert_eq!(rig.delete("/v1/agents/one/pin").await.json()["pinned"], Value::Null);
    assert_eq!(rig.post("/v1/agents/one/resume", "").await.json()["paused"], false);
    rig.post("/v1/agents/one/pause", "").await;
    let all = rig.post("/v1/resume", "").await;
    assert_eq!((all.status, &all.json()["agents"][0]["paused"]), (200, &false.into()));
}

#[tokio::test]
async fn an_operators_switch_is_in_the_history_with_who_and_why() {
    let rig = Rig::one().await;
    let begun = rig.post("/v1/agents/one/switch", r#"{"to":"c","reason":"maintenance"}"#).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let mut expected = [
        "id",
        "agent",
        "kind",
        "from",
        "to",
        "generation",
        "cause",
        "outcome",
        "reason",
        "started_at",
        "finished_at",
        "drain_ms",
        "apply_ms",
        "ready_ms",
        "turns_cut_off",
        "restarts",
        "turn",
    ];
    expected.sort_unstable();
    assert_eq!(members(&begun.json()), expected);
    rig.settled("one", 2).await;
    let page = rig.get("/v1/switches?agent=one&limit=10").await.json();
    assert_eq!(page["next"], Value::Null);
    let last = &page["switches"][0];
    assert_eq!(last["cause"]["by"], "operator");
    let (uid, pid) = (rustix::process::getuid().as_raw(), std::process::id());
    assert_eq!(last["cause"]["reason"], format!("maintenance (uid {uid} pid {pid})"));
    assert_eq!((&last["restarts"], &last["outcome"]), (&1.into(), &"ready".into()));
    for step in ["drain_ms", "apply_ms", "ready_ms"] {
        assert!(last[step].is_u64(), "{step}: {last}");
    }
    assert_eq!(&rig.get("/v1/switches/one-s1").await.json(), last);
    assert_eq!(rig.get("/v1/agents/one").await.json()["last_switch"], *last);
}

#[tokio::test]
async fn a_switch_can_be_taken_back_before_anything_is_touched() {
    let rig = Rig::one().await;
    let gate = Gate::closed();
    rig.world.on_delivery(&"one".into(), Call::Preflight, Fault::Held(gate.clone()));
    assert_eq!(rig.post("/v1/agents/one/switch", "").await.status, 202);
    reached(&gate).await;
    let pending = rig.get("/v1/agents/one").await.json();
    assert_eq!((&pending["phase"], &pending["pending"]["generation"]), (&"draining".into(), &2.into()));
    assert_eq!(pending["last_switch"]["outcome"], "under_way");
    let cancelled = rig.delete("/v1/agents/one/switch").await;
    assert_eq!((cancelled.status, &cancelled.json()["outcome"]), (200, &"cancelled".into()));
    gate.open();
    assert_eq!(rig.state("one").generation().0, 1);
}

#[tokio::test]
async fn a_pin_to_another_subscription_moves_the_agent() {
    let rig = Rig::one().await;
    let pinned = rig.put("/v1/agents/one/pin", r#"{"subscription":"c"}"#).await;
    assert_eq!((pinned.status, &pinned.json()["pinned"]), (200, &"c".into()));
    rig.settled("one", 2).await;
    assert_eq!(rig.get("/v1/agents/one").await.json()["assignment"]["subscription"], "c");
}

#[tokio::test]
async fn the_history_comes_in_pages() {
    let rig = Rig::one().await;
    for number in 0..5 {
        rig.report(&format!(r#"{{"kind":"network","id":"r{number}"}}"#)).await;
    }
    let mut ids = Vec::new();
    let mut path = "/v1/failures?agent=one&limit=2".to_owned();
    loop {
        let page = rig.get(&path).await.json();
        let rows = page["failures"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["report_id"].as_str().unwrap().to_owned()));
        match page["next"].as_i64() {
            Some(next) => path = format!("/v1/failures?agent=one&limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["r4", "r3", "r2", "r1", "r0"]);
    let later = rig.get("/v1/failures?since=2199-01-01T00:00:00Z").await.json();
    assert_eq!(later, json!({"failures": [], "next": null}));
    assert_eq!(rig.get("/v1/failures?agent=gone").await.json()["code"], "agent_not_found");
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let mut rig = Rig::one().await;
    let health = rig.get("/healthz").await;
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok", "reason": null})));
    assert_eq!(rig.get("/readyz").await.json(), json!({"status": "ready", "reason": null, "degraded": []}));
    rig.world.lose_engine("connection refused");
    let degraded = loop {
        let reply = rig.get("/readyz").await;
        assert_eq!(reply.status, 200);
        if reply.json()["reason"] != Value::Null {
            break reply.json();
        }
    };
    assert_eq!(degraded["degraded"], json!(["engine: connection refused"]));
    rig.world.bring_engine_back();
    let metrics = rig.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.text.contains("switchman_agents{phase=\"serving\"} 1\n"), "{}", metrics.text);
    rig.close().await;
}
