//! Turns over the API: begun, held, ended, looked at.

use serde_json::{Value, json};
use switchman::machine::policy::TurnPolicy;

use super::rig::Rig;

const BEGIN: &str = r#"{"session":"chat","holder":"front end"}"#;

fn members(document: &Value) -> Vec<&str> {
    document.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// The states of the turns under way.
async fn states(rig: &Rig) -> Vec<(String, String)> {
    let list = rig.get("/v1/turns?agent=one").await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list["turns"].as_array().unwrap().iter().map(|turn| (text(&turn["id"]), text(&turn["state"]))).collect()
}

#[tokio::test]
async fn a_turn_has_the_members_of_the_contract_wherever_it_is_shown() {
    let rig = Rig::one().await;
    let begun = rig.post("/v1/agents/one/turns", BEGIN).await;
    assert_eq!((begun.status, begun.header("cache-control")), (201, Some("no-store")));
    let document = begun.json();
    assert_eq!(members(&document), ["lease_token", "turn"]);
    let turn = &document["turn"];
    let mut expected = [
        "id",
        "agent",
        "session",
        "class",
        "holder",
        "subscription",
        "generation",
        "started_at",
        "lease_s",
        "state",
        "cancel_requested",
        "failure_reported",
        "expires_at",
        "ended_at",
        "switch",
        "reason",
    ];
    expected.sort_unstable();
    assert_eq!(members(turn), expected);
    assert_eq!((&turn["id"], &turn["agent"], &turn["session"]), (&"one-t1".into(), &"one".into(), &"chat".into()));
    assert_eq!((&turn["class"], &turn["holder"]), (&"interactive".into(), &"front end".into()));
    assert_eq!((&turn["subscription"], &turn["generation"]), (&"a".into(), &1.into()));
    assert_eq!((&turn["lease_s"], &turn["state"]), (&60.into(), &"granted".into()));
    for place in ["/v1/turns", "/v1/turns?agent=one", "/v1/turns?ended=false"] {
        let list = rig.get(place).await.json();
        assert_eq!(members(&list), ["next", "turns", "waiting"], "{place}");
        assert_eq!(&list["turns"], &json!([turn]), "{place}");
    }
    assert_eq!(&rig.get("/v1/turns/one-t1").await.json(), turn);
    assert_eq!(rig.get("/v1/agents/one").await.json()["turns"], json!({"active": [turn], "queued": 0}));
}

#[tokio::test]
async fn a_turn_is_taken_by_its_first_heartbeat_and_ends_once() {
    let rig = Rig::one().await;
    let (id, token) = rig.begin(BEGIN).await;
    let beaten = rig.held("/v1/turns/one-t1/heartbeat", &token, "").await;
    assert_eq!((beaten.status, beaten.json()), (200, json!({"cancel_requested": null, "lease_s": 60})));
    assert_eq!(states(&rig).await, [(id, "taken".to_owned())]);
    let ended = rig.held("/v1/turns/one-t1/complete", &token, r#"{"result":"ok"}"#).await;
    assert_eq!(members(&ended.json()), ["failure", "turn"]);
    let turn = ended.json()["turn"].clone();
    assert_eq!(
        (&turn["state"], &turn["lease_s"], &turn["expires_at"]),
        (&"complete".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(ended.json()["failure"], Value::Null);
    assert_eq!(rig.get("/v1/turns/one-t1").await.json(), turn, "what was answered is what is kept");
    assert!(states(&rig).await.is_empty());
    let (second, token) = rig.take(BEGIN).await;
    let failed = rig.held(&format!("/v1/turns/{second}/complete"), &token, r#"{"result":"failed"}"#).await;
    assert_eq!(failed.json()["turn"]["state"], "failed");
    let ended = rig.get("/v1/turns?ended=true&agent=one").await.json();
    let shown: Vec<_> = ended["turns"].as_array().unwrap().iter().map(|turn| &turn["id"]).collect();
    assert_eq!(shown, ["one-t2", "one-t1"], "newest first");
}

#[tokio::test]
async fn what_failed_in_a_turn_is_reported_with_its_end() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let body = r#"{"result":"failed","failure":{"kind":"rate_limit","id":"r1"}}"#;
    let ended = rig.held(&format!("/v1/turns/{id}/complete"), &token, body).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let failure = ended.json()["failure"].clone();
    assert_eq!(
        (&failure["outcome"], &failure["generation"]),
        (&"switching".into(), &1.into()),
        "the turn's generation"
    );
    rig.settled("one", 2).await;
    let recorded = rig.get("/v1/failures?agent=one").await.json()["failures"][0].clone();
    assert_eq!((&recorded["turn"], &recorded["report_id"]), (&id.clone().into(), &"r1".into()));
    let switch = rig.get("/v1/switches?agent=one").await.json()["switches"][0].clone();
    assert_eq!((&switch["turns_cut_off"], &switch["turn"]), (&0.into(), &Value::Null), "nobody was cut off");

    // One that came off all the same, and one that is told beside its turn.
    let (id, token) = rig.take(BEGIN).await;
    let body = r#"{"result":"ok","failure":{"kind":"network","turn":"one-t2"}}"#;
    let ended = rig.held(&format!("/v1/turns/{id}/complete"), &token, body).await;
    assert_eq!(
        (&ended.json()["turn"]["state"], &ended.json()["failure"]["outcome"]),
        (&"complete".into(), &"ignored".into())
    );
    let stale = rig.report(r#"{"kind":"rate_limit","turn":"one-t1"}"#).await;
    assert_eq!(stale.outcome(), (200, "stale".to_owned()), "the turn knows its generation");
}

#[tokio::test]
async fn a_pair_is_one_session_whatever_its_order_and_none_of_its_names() {
    let rig = Rig::one().await;
    let pair = rig.post("/v1/agents/one/turns", r#"{"session":["y","x"]}"#).await;
    assert_eq!((pair.status, &pair.json()["turn"]["session"]), (201, &json!(["x", "y"])));
    let other_way = rig.post("/v1/agents/one/turns", r#"{"session":["x","y"]}"#).await;
    assert_eq!(other_way.problem(), (409, "turn_in_progress".to_owned()));
    assert_eq!(other_way.json()["session"], json!(["x", "y"]));
    assert_eq!(rig.post("/v1/agents/one/turns", r#"{"session":"x"}"#).await.status, 201);
    let closed = rig.post("/v1/agents/one/sessions/y,x/close", "").await;
    assert_eq!(closed.json(), json!({"agent": "one", "session": ["x", "y"], "last_completed": null}));
    let still_open = rig.post("/v1/agents/one/turns", r#"{"session":"y"}"#).await;
    assert_eq!(still_open.status, 201);
}

#[tokio::test]
async fn a_key_gets_the_same_turn_and_the_same_token_again() {
    let rig = Rig::one().await;
    let body = r#"{"session":"chat","key":"k"}"#;
    let (one, two, three) = tokio::join!(rig.post("/v1/agents/one/turns", body), rig.begin(body), rig.begin(body));
    let first =
        (one.json()["turn"]["id"].as_str().unwrap().to_owned(), one.json()["lease_token"].as_str().unwrap().to_owned());
    assert_eq!((&first, &first), (&two, &three));
    let (uid, pid) = (rustix::process::getuid().as_raw(), std::process::id());
    assert_eq!(one.json()["turn"]["holder"], format!("uid {uid} pid {pid}"), "who says no name has the kernel's");
    let other = rig.post("/v1/agents/one/turns", &format!("{body} ")).await;
    assert_eq!((other.problem(), &other.json()["member"]), ((422, "key_reused".to_owned()), &"key".into()));
    rig.held("/v1/turns/one-t1/complete", &first.1, r#"{"result":"ok"}"#).await;
    let late = rig.post("/v1/agents/one/turns", body).await;
    assert_eq!(late.problem(), (409, "turn_already_complete".to_owned()));
}

#[tokio::test]
async fn a_double_click_does_not_answer_the_next_question() {
    let rig = Rig::one().await;
    let (first, token) = rig.take(r#"{"session":"chat"}"#).await;
    rig.held(&format!("/v1/turns/{first}/complete"), &token, r#"{"result":"ok"}"#).await;
    let click = format!(r#"{{"session":"chat","after":"{first}"}}"#);
    let (second, token) = rig.take(&click).await;
    rig.held(&format!("/v1/turns/{second}/complete"), &token, r#"{"result":"ok"}"#).await;
    let late = rig.post("/v1/agents/one/turns", &click).await;
    assert_eq!(late.problem(), (409, "out_of_step".to_owned()));
    assert_eq!(late.json()["last_completed"], second.as_str());

    let closed = rig.post("/v1/agents/one/sessions/chat/close", "").await.json();
    assert_eq!(closed["last_completed"], second.as_str());
    let over = rig.post("/v1/agents/one/turns", r#"{"session":"chat"}"#).await;
    assert_eq!(over.problem(), (409, "session_complete".to_owned()));
    assert_eq!(rig.post("/v1/agents/one/sessions/chat/close", "").await.status, 200, "closing again is no fault");
}

#[tokio::test]
async fn anybody_asks_to_stop_and_the_holder_says_when_it_has() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let path = format!("/v1/turns/{id}/cancelled");
    assert_eq!(rig.held(&path, &token, "").await.problem(), (409, "no_cancel_requested".to_owned()));
    let body = r#"{"by":"the boss","reason":"lunch"}"#;
    let asked = rig.post(&format!("/v1/turns/{id}/cancel"), body).await;
    let request = json!({"id": "one-t1-c1", "by": "the boss: lunch"});
    assert_eq!((asked.status, &asked.json()["turn"]["cancel_requested"]), (202, &request));
    assert_eq!(asked.json()["turn"]["state"], "cancelling");
    let again = rig.post(&format!("/v1/turns/{id}/cancel"), "").await;
    assert_eq!((again.status, &again.json()["turn"]["cancel_requested"]), (202, &request), "it is the same request");
    let beaten = rig.held(&format!("/v1/turns/{id}/heartbeat?wait=600"), &token, "").await;
    assert_eq!(beaten.json()["cancel_requested"], request);
    let ended = rig.held(&path, &token, "").await;
    assert_eq!((ended.status, &ended.json()["turn"]["state"]), (200, &"cancelled".into()));
    let gone = rig.post(&format!("/v1/turns/{id}/cancel"), "").await;
    assert_eq!(
        (gone.problem(), &gone.json()["state"]),
        ((409, "turn_already_complete".to_owned()), &"cancelled".into())
    );
}

#[tokio::test]
async fn an_operator_ends_the_work_of_a_turn() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let fenced = rig.post(&format!("/v1/turns/{id}/fence"), "").await;
    assert_eq!((fenced.status, &fenced.json()["turn"]["state"]), (202, &"lost".into()));
    assert_eq!(fenced.json()["turn"]["reason"], "an operator ends it");
    rig.until("one", |state| state.turns.turn(1).is_none() && !state.phase.is_switching()).await;
    let switches = rig.get("/v1/switches?agent=one").await.json();
    let fence = &switches["switches"][0];
    assert_eq!(
        (&fence["kind"], &fence["turn"], &fence["outcome"]),
        (&"fence".into(), &id.clone().into(), &"ready".into())
    );
    assert_eq!((&fence["turns_cut_off"], &fence["cause"]["by"]), (&1.into(), &"operator".into()));
    let late = rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await;
    assert_eq!(late.problem(), (409, "turn_cut_off".to_owned()));
    let document = late.json();
    assert_eq!((&document["switch"], &document["state"]), (&fence["id"], &"cut_off".into()));
    assert!(document["ended_at"].is_string(), "{document}");
    let turn = rig.get(&format!("/v1/turns/{id}")).await.json();
    assert_eq!((&turn["switch"], &turn["ended_at"]), (&fence["id"], &document["ended_at"]));
}

#[tokio::test]
async fn a_turn_that_nobody_has_taken_is_ended_without_a_fence() {
    let rig = Rig::one().await;
    let (id, _) = rig.begin(BEGIN).await;
    let ended = rig.post(&format!("/v1/turns/{id}/fence"), "").await;
    assert_eq!((ended.status, &ended.json()["turn"]["state"]), (202, &"cancelled".into()));
    assert_eq!(ended.json()["turn"], rig.get(&format!("/v1/turns/{id}")).await.json());
    assert_eq!(rig.get("/v1/switches?agent=one").await.json()["switches"], json!([]));
}

#[tokio::test]
async fn turns_that_have_ended_come_in_pages() {
    let rig = Rig::one().await;
    for _ in 0..3 {
        let (id, token) = rig.begin(BEGIN).await;
        rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await;
    }
    // One under way takes no room on a page.
    rig.take(BEGIN).await;
    let first = rig.get("/v1/turns?ended=true&agent=one&limit=1").await.json();
    assert_eq!(first["turns"][0]["id"], "one-t3");
    let (mut path, mut ids) = ("/v1/turns?ended=true&agent=one&limit=2".to_owned(), Vec::new());
    loop {
        let page = rig.get(&path).await.json();
        ids.extend(page["turns"].as_array().unwrap().iter().map(|turn| turn["id"].as_str().unwrap().to_owned()));
        match page["next"].as_i64() {
            Some(next) => path = format!("/v1/turns?ended=true&agent=one&limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["one-t3", "one-t2", "one-t1"]);
    assert!(
        rig.get("/v1/turns?ended=true&since=2199-01-01T00:00:00Z").await.json()["turns"].as_array().unwrap().is_empty()
    );
}

#[tokio::test]
async fn a_lease_of_a_fraction_of_a_second_is_told_as_it_is() {
    let lease = std::time::Duration::from_millis(1_500);
    let rig =
        Rig::new().agent("one", |policy| policy.turns = TurnPolicy { lease, ..TurnPolicy::default() }).start().await;
    let begun = rig.post("/v1/agents/one/turns", BEGIN).await;
    assert_eq!(begun.json()["turn"]["lease_s"], 1.5);
}
