//! Monitor-only agents: seen, recorded, reported, never touched.

use serde_json::{Value, json};

use crate::program::eventually;
use crate::quay::{BY_LABEL, DEFAULTS, Quay};

const OBSERVED: &[(&str, &str)] = &[("switchman.enable", "true"), ("switchman.monitor-only", "true")];

#[tokio::test]
async fn a_storm_of_failures_touches_nothing() {
    let mut quay = Quay::new(BY_LABEL, DEFAULTS).await;
    quay.run("watched", OBSERVED).await;
    quay.site.start().await;
    quay.is_on("watched", "a", 1).await;
    let (life, given) = (quay.life("watched").await, std::fs::read(quay.home("watched").join("credential")).unwrap());
    let seen = quay.site.agent("watched").await;
    assert_eq!((&seen["monitor_only"], &seen["reason"]), (&json!(true), &json!(null)), "{seen:#}");

    for (index, kind) in ["rate_limit", "auth", "billing", "banned"].iter().cycle().take(100).enumerate() {
        let answer = quay.site.report("watched", &json!({"kind": kind, "id": format!("storm-{index}")})).await;
        assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("recorded")), "{}", answer.text);
        let reason = answer.body["reason"].as_str().unwrap();
        assert_eq!(reason, "the agent is monitor-only: it is observed and never touched");
    }
    let printed =
        json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"}});
    std::fs::write(quay.home("watched").join("lines"), printed.to_string()).unwrap();
    quay.site.tell("watched", "print-file /agent-home/lines").await;
    eventually("what it prints is recorded as well", async || {
        let failures = quay.site.failures("watched").await;
        failures.iter().any(|failure| failure["source"] == "agent" || failure["reporter"] == "agent").then_some(())
    })
    .await;

    for (method, path, body) in [
        ("POST", "/v1/agents/watched/switch", json!({"to": "b", "force": true})),
        ("POST", "/v1/agents/watched/switch", json!({"dry_run": true})),
        ("PUT", "/v1/agents/watched/pin", json!({"subscription": "b"})),
    ] {
        let refused = quay.site.call(method, path, Some(&body)).await;
        assert_eq!((refused.status, &refused.body["code"]), (409, &json!("agent_monitor_only")), "{}", refused.text);
    }
    assert_eq!(quay.site.cli(&["switch", "watched"]).await.code, 3);
    let status = quay.site.cli(&["status"]).await;
    assert!(status.stdout.contains("monitor only"), "{}", status.stdout);
    // Whatever was decided is over by now: the daemon ends in order.
    assert_eq!(quay.site.switches("watched").await, [Value::Null; 0]);
    let blamed = quay.site.subscription("a").await;
    assert_ne!(blamed["quarantined"], json!(null), "it is held against what it runs on: {blamed:#}");
    assert!(quay.site.stop().await.success());
    assert_eq!(quay.life("watched").await, life, "it was never restarted");
    assert_eq!(std::fs::read(quay.home("watched").join("credential")).unwrap(), given);
    assert!(!quay.home("watched").join("credential.switchman.json").exists());
}

#[tokio::test]
async fn one_without_a_delivery_is_observed_too() {
    let mut quay = Quay::new(BY_LABEL, "").await;
    quay.run("watched", &[OBSERVED, &[("switchman.tool", "claude-code")]].concat()).await;
    quay.site.start().await;
    let seen = eventually("it is seen to run", async || {
        let now = quay.site.agent("watched").await;
        (now["runtime"]["state"] == "running").then_some(now)
    })
    .await;
    assert_eq!((&seen["assignment"], &seen["reason"]), (&json!(null), &json!("monitor_only")), "{seen:#}");
    let answer = quay.site.report("watched", &json!({"kind": "rate_limit", "subscription": "a"})).await;
    assert_eq!((&answer.body["outcome"], &answer.body["subscription"]), (&json!("recorded"), &json!("a")));
}
