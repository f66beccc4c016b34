//! What is read of windows, and switching that is halted: as they are taken, shown and explained.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

use super::client::call;
use super::rig::Rig;

const OF_B: &str = "/v1/subscriptions/b/readings";

/// So many seconds from now.
fn at(seconds: i64) -> String {
    let now = Timestamp::from_millisecond(SystemClock::new().now().wall.0).unwrap();
    format!("{:.3}", now + SignedDuration::from_secs(seconds))
}

async fn subscription(rig: &Rig, name: &str) -> Value {
    let list = rig.get("/v1/subscriptions").await.json();
    list["subscriptions"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap().clone()
}

/// The verdict on a subscription for agent `one`.
async fn candidate(rig: &Rig, name: &str) -> Value {
    let explained = rig.get("/v1/agents/one/explain").await.json();
    explained["subscriptions"].as_array().unwrap().iter().find(|row| row["subscription"] == name).unwrap().clone()
}

#[tokio::test]
async fn a_reading_is_shown_with_the_subscription_and_in_explanations() {
    let rig = Rig::one().await;
    let before = subscription(&rig, "b").await;
    assert_eq!((&before["readings"], &before["nearest_wall"]), (&json!([]), &Value::Null));
    assert_eq!(
        (&before["priority"], &before["metered"], &before["reserve"]),
        (&0.into(), &false.into(), &false.into())
    );
    let reset = at(3600);
    let body = json!({"window": "five_hour", "utilisation": 42.04, "reset_at": reset});
    let answer = rig.post(OF_B, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let reading = &answer.json()["readings"][0];
    assert_eq!(answer.json()["readings"].as_array().unwrap().len(), 1);
    for (member, value) in [
        ("window", json!("five_hour")),
        ("model", Value::Null),
        ("utilisation", json!(42.0)),
        ("serves", json!(true)),
        ("reset_at", json!(reset)),
        ("source", json!("reporter")),
        ("agent", Value::Null),
    ] {
        assert_eq!(reading[member], value, "{member}: {reading}");
    }
    // Of several windows the fullest is the wall that is hit first.
    let later = rig.post(OF_B, r#"{"window":"weekly","utilisation":80}"#).await.json();
    assert_eq!((&later["nearest_wall"]["window"], &later["eligible"]), (&"weekly".into(), &true.into()));
    assert_eq!(subscription(&rig, "b").await, later);
    let b = candidate(&rig, "b").await;
    assert_eq!((&b["verdict"], &b["reading"]), (&"eligible".into(), &later["nearest_wall"]));
    assert_eq!((&b["priority"], &b["metered"], &b["reserve"]), (&0.into(), &false.into(), &false.into()));
    assert_eq!(candidate(&rig, "c").await["reading"], Value::Null);
    assert_eq!(rig.get("/v1/agents/one/explain").await.json()["strategy"], "least_assigned");
}

#[tokio::test]
async fn an_old_reading_is_shown_and_says_nothing() {
    let rig = Rig::one().await;
    let body = json!({"window": "weekly", "utilisation": 97, "at": at(-3600)});
    let answer = rig.post(OF_B, &body.to_string()).await.json();
    assert_eq!((&answer["readings"][0]["utilisation"], &answer["nearest_wall"]), (&97.0.into(), &Value::Null));
    assert_eq!(candidate(&rig, "b").await["reading"], Value::Null);
    let metrics = rig.get("/metrics").await.text;
    assert!(!metrics.contains("switchman_subscription_utilisation{"), "{metrics}");
    // A newer one of the same window takes its place.
    let answer = rig.post(OF_B, r#"{"window":"weekly","utilisation":40}"#).await.json();
    assert_eq!(answer["readings"].as_array().unwrap().len(), 1);
    let metrics = rig.get("/metrics").await.text;
    let line = "switchman_subscription_utilisation{subscription=\"b\",window=\"weekly\"} 0.4\n";
    assert!(metrics.contains(line) && metrics.contains("switchman_switching_halted 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_refusal_that_was_read_keeps_everybody_off_and_a_later_success_lets_them_in() {
    let rig = Rig::one().await;
    let body = json!({"window": "five_hour", "serves": false, "reset_at": at(3600)});
    let refused = rig.post(OF_B, &body.to_string()).await.json();
    let b = candidate(&rig, "b").await;
    assert_eq!((&b["verdict"], &b["until"]), (&"refused".into(), &refused["readings"][0]["reset_at"]), "{b}");
    // The list says of it what the pool says to an agent.
    assert_eq!((&refused["eligible"], &refused["reason"]), (&false.into(), &b["reason"]));
    let eligible = rig.post("/v1/agents/one/switch", r#"{"to":"b"}"#).await;
    assert_eq!(eligible.problem(), (422, "subscription_not_eligible".to_owned()));
    let serves = rig.post(OF_B, r#"{"window":"five_hour","utilisation":3}"#).await.json();
    assert_eq!((&serves["eligible"], &serves["reason"]), (&true.into(), &Value::Null));
    assert_eq!(candidate(&rig, "b").await["verdict"], "eligible");
}

#[tokio::test]
async fn a_reading_that_serves_ends_the_cooldown_of_a_limit() {
    let rig = Rig::one().await;
    let report = json!({"kind": "rate_limit", "generation": 1, "scope": "five_hour", "reset_at": at(3 * 3600)});
    let moved = rig.post("/v1/agents/one/failures?wait=15", &report.to_string()).await.json();
    assert_eq!(moved["outcome"], "switched", "{moved}");
    assert_eq!(subscription(&rig, "a").await["cooldown"]["kind"], "rate_limit");
    let other = rig.post("/v1/subscriptions/a/readings", r#"{"window":"weekly","utilisation":10}"#).await.json();
    assert_eq!(other["cooldown"]["kind"], "rate_limit", "another window proves nothing");
    // It has to be read after the limit was met.
    let cooled_at = SystemClock::new().now().wall;
    while SystemClock::new().now().wall <= cooled_at {}
    let same = rig.post("/v1/subscriptions/a/readings", r#"{"window":"five_hour","utilisation":2}"#).await.json();
    assert_eq!((&same["cooldown"], &same["eligible"]), (&Value::Null, &true.into()), "{same}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_member_and_nothing_is_taken() {
    let rig = Rig::one().await;
    for (body, member) in [
        (json!({}), "window"),
        (json!({"window": "monthly"}), "window"),
        (json!({"window": "requests"}), "window"),
        (json!({"window": "weekly", "utilisation": -1}), "utilisation"),
        (json!({"window": "weekly", "utilisation": 1001}), "utilisation"),
        (json!({"window": "weekly", "utilisation": "97 %"}), "utilisation"),
        (json!({"window": "weekly", "serves": "no"}), "serves"),
        (json!({"window": "weekly", "model": "o pus"}), "model"),
        (json!({"window": "weekly", "reset_at": "tomorrow"}), "reset_at"),
        (json!({"window": "weekly", "reset_at": at(-60)}), "reset_at"),
        (json!({"window": "weekly", "reset_at": at(41 * 86_400)}), "reset_at"),
        (json!({"window": "weekly", "at": at(60)}), "at"),
        (json!({"window": "weekly", "at": at(-25 * 3600)}), "at"),
        (json!({"window": "weekly", "used": 7}), "used"),
    ] {
        let reply = rig.post(OF_B, &body.to_string()).await;
        assert_eq!(reply.problem(), (422, "invalid_body".to_owned()), "{body}");
        assert_eq!(reply.json()["member"], member, "{body}: {reply:?}");
    }
    assert_eq!(rig.post(OF_B, "{").await.problem(), (400, "malformed_json".to_owned()));
    let nobody = rig.post("/v1/subscriptions/z/readings", r#"{"window":"weekly"}"#).await;
    assert_eq!(nobody.problem(), (404, "subscription_not_found".to_owned()));
    assert_eq!(subscription(&rig, "b").await["readings"], json!([]));
}

#[tokio::test]
async fn a_process_of_an_agent_has_no_say() {
    let rig = Rig::new().ourselves("one").start().await;
    let reply = call(&rig.socket(), "POST", OF_B, r#"{"window":"weekly","serves":false}"#).await;
    assert_eq!(reply.problem(), (403, "not_this_agent".to_owned()));
    assert_eq!(subscription(&rig, "b").await["readings"], json!([]));
}

#[tokio::test]
async fn switching_that_is_halted_says_so_everywhere_until_a_person_resumes_it() {
    let rig = Rig::one().await;
    let moved = rig.report(r#"{"kind":"banned","generation":1}"#).await;
    assert_eq!(moved.status, 202, "{moved:?}");
    rig.settled("one", 2).await;
    assert_eq!(rig.get("/v1/agents/one/explain").await.json()["gates"]["halted"], Value::Null);
    rig.report(r#"{"kind":"banned","generation":2}"#).await;
    let explained = rig.get("/v1/agents/one/explain").await.json();
    let why = "the provider has disabled several accounts within an hour: a, b";
    assert_eq!((&explained["gates"]["halted"], &explained["would_pick"]), (&why.into(), &Value::Null), "{explained:#}");
    let c = explained["subscriptions"].as_array().unwrap().iter().find(|row| row["subscription"] == "c").unwrap();
    assert_eq!(c["verdict"], "eligible", "it could be used, and nobody is moved to it");
    let ready = rig.get("/readyz").await;
    assert_eq!((ready.status, ready.json()["degraded"].clone()), (200, json!([format!("switching is halted: {why}")])));
    assert!(rig.get("/metrics").await.text.contains("switchman_switching_halted 1\n"));
    assert_eq!(rig.state("one").generation().0, 2);
    // An operator could move it, and the dry run says what the switch would do.
    let dry = rig.post("/v1/agents/one/switch", r#"{"dry_run":true}"#).await.json();
    assert_eq!(dry["would_pick"], "c", "{dry:#}");

    let resumed = rig.post("/v1/resume", "").await;
    assert_eq!(resumed.status, 200, "{resumed:?}");
    assert_eq!(rig.get("/readyz").await.json()["degraded"], json!([]));
    assert!(rig.get("/metrics").await.text.contains("switchman_switching_halted 0\n"));
    // Whoever could not be moved is, now.
    rig.settled("one", 3).await;
    let explained = rig.get("/v1/agents/one/explain").await.json();
    assert_eq!((&explained["gates"]["halted"], &explained["current"]), (&Value::Null, &"c".into()));
}

#[tokio::test]
async fn who_had_nobody_left_is_moved_when_a_refused_one_is_read_to_serve() {
    let rig = Rig::one().await;
    for name in ["b", "c"] {
        let path = format!("/v1/subscriptions/{name}/readings");
        let refused = rig.post(&path, r#"{"window":"unknown","serves":false}"#).await.json();
        assert_eq!(refused["eligible"], false);
    }
    let answer = rig.report(r#"{"kind":"rate_limit","generation":1,"retry_after_s":7200}"#).await.json();
    assert_eq!(answer["outcome"], "exhausted", "{answer}");
    assert_eq!(rig.post(OF_B, r#"{"window":"unknown"}"#).await.json()["eligible"], true);
    rig.settled("one", 2).await;
    assert_eq!(rig.get("/v1/agents/one").await.json()["assignment"]["subscription"], "b");
}
