//! Every refusal of a turn, with its status, its code and what it tells; and every member that can be wrong.

use std::time::Duration;

use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::machine::policy::{Budget, TurnPolicy};
use switchman::ports::store::StoreError;

use super::client::{Reply, request, send};
use super::rig::{Rig, reached};

const BEGIN: &str = r#"{"session":"chat","holder":"h"}"#;
const TURNS: &str = "/v1/agents/one/turns";
const LIMIT: &str = r#"{"kind":"rate_limit","generation":1}"#;

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// What says when to try again has it in the head as well.
fn retry(reply: &Reply) -> u64 {
    let seconds = reply.json()["retry_after_s"].as_u64().unwrap_or_else(|| panic!("{reply:?}"));
    assert_eq!(reply.header("retry-after"), Some(seconds.to_string().as_str()));
    seconds
}

#[tokio::test]
async fn every_member_that_is_wrong_is_named_and_nothing_is_begun() {
    let rig = Rig::one().await;
    let (name, holder, key) = ("x".repeat(129), "x".repeat(257), "x".repeat(201));
    let cases = [
        (String::new(), "session"),
        (r#"{"session":null}"#.to_owned(), "session"),
        (r#"{"session":7}"#.to_owned(), "session"),
        (r#"{"session":""}"#.to_owned(), "session"),
        (r#"{"session":"a,b"}"#.to_owned(), "session"),
        (r#"{"session":"a\u0007"}"#.to_owned(), "session"),
        (format!(r#"{{"session":"{name}"}}"#), "session"),
        (r#"{"session":["x"]}"#.to_owned(), "session"),
        (r#"{"session":["x","x"]}"#.to_owned(), "session"),
        (r#"{"session":["x","y","z"]}"#.to_owned(), "session"),
        (r#"{"session":["x",""]}"#.to_owned(), "session"),
        (r#"{"session":["x","y,z"]}"#.to_owned(), "session"),
        (r#"{"session":["x",["y","z"]]}"#.to_owned(), "session"),
        (r#"{"session":{"x":"y"}}"#.to_owned(), "session"),
        (r#"{"session":"s","session":"s"}"#.to_owned(), "session"),
        (r#"{"session":"s","class":"urgent"}"#.to_owned(), "class"),
        (r#"{"session":"s","holder":""}"#.to_owned(), "holder"),
        (r#"{"session":"s","holder":"two\nlines"}"#.to_owned(), "holder"),
        (format!(r#"{{"session":"s","holder":"{holder}"}}"#), "holder"),
        (r#"{"session":"s","on_busy":"wait"}"#.to_owned(), "on_busy"),
        (r#"{"session":"s","on_busy":"queue","wait_s":-1}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","on_busy":"queue","wait_s":3601}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","on_busy":"queue","wait_s":1e300}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","on_busy":"queue","wait_s":"1"}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","wait_s":1}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","on_busy":"reject","wait_s":1}"#.to_owned(), "wait_s"),
        (r#"{"session":"s","preempt":true}"#.to_owned(), "preempt"),
        (r#"{"session":"s","on_busy":"queue","class":"background","preempt":true}"#.to_owned(), "preempt"),
        (r#"{"session":"s","preempt":1}"#.to_owned(), "preempt"),
        (r#"{"session":"s","after":"nonsense"}"#.to_owned(), "after"),
        (r#"{"session":"s","after":"two-t1"}"#.to_owned(), "after"),
        (r#"{"session":"s","key":""}"#.to_owned(), "key"),
        (format!(r#"{{"session":"s","key":"{key}"}}"#), "key"),
        (r#"{"session":"s","lease_s":1}"#.to_owned(), "lease_s"),
    ];
    for (body, member) in cases {
        let reply = rig.post(TURNS, &body).await;
        assert_eq!(reply.problem(), code(422, "invalid_body"), "{body}: {reply:?}");
        assert_eq!(reply.json()["member"], member, "{body}: {reply:?}");
    }
    assert_eq!(rig.state("one").turns.issued(), 0);
    for body in
        [r#"{"session":"s","preempt":false}"#, r#"{"session":"s2","on_busy":"queue","wait_s":0.25,"preempt":true}"#]
    {
        assert_eq!(rig.post(TURNS, body).await.status, 201, "{body}");
    }
}

#[tokio::test]
async fn what_a_holder_or_somebody_else_says_wrong_is_named_and_changes_nothing() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let path = format!("/v1/turns/{id}/complete");
    for (body, member) in [
        ("", "result"),
        (r#"{"result":"done"}"#, "result"),
        (r#"{"result":"ok","failure":[]}"#, "failure"),
        (r#"{"result":"failed","failure":{}}"#, "failure.kind"),
        (r#"{"result":"failed","failure":{"kind":"x"}}"#, "failure.kind"),
        (r#"{"result":"failed","failure":{"kind":"auth","turn":"one-t9"}}"#, "failure.turn"),
        (r#"{"result":"failed","failure":{"kind":"auth","id":""}}"#, "failure.id"),
        (r#"{"result":"failed","failure":{"evidence":{"status":42}}}"#, "failure.evidence.status"),
        (r#"{"result":"failed","failure":{"evidence":{"headers":[]}}}"#, "failure.evidence.headers"),
        (r#"{"result":"failed","failure":{"kidn":"auth"}}"#, "failure.kidn"),
        (r#"{"result":"ok","token":"x"}"#, "token"),
    ] {
        let reply = rig.held(&path, &token, body).await;
        assert_eq!(reply.problem(), code(422, "invalid_body"), "{body}: {reply:?}");
        assert_eq!(reply.json()["member"], member, "{body}: {reply:?}");
    }
    let hint = rig.held(&path, &token, r#"{"result":"failed","failure":{"kidn":"auth"}}"#).await.json();
    assert!(hint["detail"].as_str().unwrap().ends_with("did you mean `failure.kind`?"), "{hint}");
    for (body, status, word, member) in [
        (
            r#"{"result":"failed","failure":{"kind":"auth","generation":2}}"#,
            422,
            "generation_mismatch",
            "failure.generation",
        ),
        (
            r#"{"result":"failed","failure":{"kind":"auth","subscription":"z"}}"#,
            422,
            "subscription_not_found",
            "failure.subscription",
        ),
        (
            r#"{"result":"failed","failure":{"kind":"auth","subscription":"b"}}"#,
            422,
            "generation_mismatch",
            "failure.generation",
        ),
    ] {
        let reply = rig.held(&path, &token, body).await;
        assert_eq!(
            (reply.problem(), &reply.json()["member"]),
            (code(status, word), &member.into()),
            "{body}: {reply:?}"
        );
    }
    for (body, member) in [(r#"{"by":""}"#, "by"), (r#"{"reason":"a\nb"}"#, "reason"), (r#"{"who":"me"}"#, "who")] {
        let reply = rig.post(&format!("/v1/turns/{id}/cancel"), body).await;
        assert_eq!((reply.problem(), &reply.json()["member"]), (code(422, "invalid_body"), &member.into()), "{body}");
    }
    for path in
        ["/v1/turns/one-t1/heartbeat?wait=601", "/v1/turns/one-t1/heartbeat?wait=x", "/v1/turns/one-t1/heartbeat?x=1"]
    {
        assert_eq!(rig.held(path, &token, "").await.problem(), code(400, "invalid_query"), "{path}");
    }
    let turn = rig.get(&format!("/v1/turns/{id}")).await.json();
    assert_eq!((&turn["state"], &turn["cancel_requested"]), (&"taken".into(), &serde_json::Value::Null));
    assert_eq!(rig.state("one").failures, 0);
}

#[tokio::test]
async fn what_does_not_exist_is_told_apart_from_what_is_over() {
    let rig = Rig::one().await;
    assert_eq!(rig.post("/v1/agents/nobody/turns", BEGIN).await.problem(), code(404, "agent_not_found"));
    assert_eq!(rig.post("/v1/agents/nobody/sessions/s/close", "").await.problem(), code(404, "agent_not_found"));
    assert_eq!(rig.get("/v1/turns?agent=nobody").await.problem(), code(404, "agent_not_found"));
    assert_eq!(rig.get("/v1/turns?ended=true&agent=nobody").await.problem(), code(404, "agent_not_found"));
    for session in ["x,y,z", "x,x", ",", "%07", &"x".repeat(129)] {
        let path = format!("/v1/agents/one/sessions/{session}/close");
        assert_eq!(rig.post(&path, "").await.problem(), code(404, "not_found"), "{session}");
    }
    for id in ["one-t1", "one-t0", "nonsense", "-t1", "nobody-t1", "one-t99999999999999999999"] {
        assert_eq!(rig.get(&format!("/v1/turns/{id}")).await.problem(), code(404, "turn_not_found"), "{id}");
        for verb in ["heartbeat", "cancel", "cancelled", "fence"] {
            let reply = rig.held(&format!("/v1/turns/{id}/{verb}"), "x", "").await;
            assert_eq!(reply.problem(), code(404, "turn_not_found"), "{id} {verb}");
        }
        let reply = rig.held(&format!("/v1/turns/{id}/complete"), "x", r#"{"result":"ok"}"#).await;
        assert_eq!(reply.problem(), code(404, "turn_not_found"), "{id}");
    }
    for path in ["/v1/turns?ended=maybe", "/v1/turns?limit=3", "/v1/turns?ended=true&limit=0", "/v1/turns?session=s"] {
        assert_eq!(rig.get(path).await.problem(), code(400, "invalid_query"), "{path}");
    }
    let (id, token) = rig.take(BEGIN).await;
    rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"failed"}"#).await;
    for (verb, body) in
        [("heartbeat", ""), ("complete", r#"{"result":"ok"}"#), ("cancelled", ""), ("cancel", ""), ("fence", "")]
    {
        let reply = rig.held(&format!("/v1/turns/{id}/{verb}"), &token, body).await;
        assert_eq!(reply.problem(), code(409, "turn_already_complete"), "{verb}");
        let document = reply.json();
        assert_eq!((&document["turn"], &document["state"]), (&id.clone().into(), &"failed".into()), "{verb}");
        assert!(document["ended_at"].is_string(), "{verb}: {document}");
    }
    for (body, status, word, member) in [
        (r#"{"kind":"auth","turn":"one-t2"}"#, 404, "turn_not_found", "turn"),
        (r#"{"kind":"auth","turn":"two-t1"}"#, 404, "turn_not_found", "turn"),
        (r#"{"kind":"auth","turn":"one-t1","generation":2}"#, 422, "generation_mismatch", "generation"),
    ] {
        let reply = rig.report(body).await;
        assert_eq!((reply.problem(), &reply.json()["member"]), (code(status, word), &member.into()), "{body}");
    }
}

#[tokio::test]
async fn only_the_holder_acts_and_it_is_told_how() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let (_, other) = rig.take(r#"{"session":"other"}"#).await;
    for (verb, body) in [("heartbeat", ""), ("complete", r#"{"result":"ok"}"#), ("cancelled", "")] {
        let path = format!("/v1/turns/{id}/{verb}");
        for wrong in ["", "nonsense", &other, &token[1..]] {
            let reply = rig.held(&path, wrong, body).await;
            assert_eq!(
                (reply.problem(), &reply.json()["turn"]),
                (code(403, "not_the_holder"), &id.clone().into()),
                "{verb}"
            );
            assert!(wrong.is_empty() || !reply.text.contains(wrong), "{reply:?}");
        }
        let without = rig.post(&path, body).await;
        assert_eq!(without.problem(), code(403, "not_the_holder"), "{verb}");
        let hint = without.json()["detail"].as_str().unwrap().to_owned();
        assert!(hint.contains("there is no header `Authorization`"), "{hint}");
        let text =
            request("POST", &path, body).replacen("host: localhost", &format!("authorization: Bearer {token}"), 1);
        let bearer = send(&rig.socket(), text.as_bytes()).await;
        assert_eq!(bearer.problem(), code(403, "not_the_holder"));
        assert!(bearer.text.contains("`Lease TOKEN`") && !bearer.text.contains(&token), "{bearer:?}");
    }
    assert_eq!(rig.get(&format!("/v1/turns/{id}")).await.json()["state"], "taken");
}

#[tokio::test]
async fn who_is_in_the_way_is_named() {
    let turns = TurnPolicy { sessions_max: 2, ..TurnPolicy::default() };
    let rig = Rig::new().agent("one", |policy| policy.turns = turns).start().await;
    let (id, _) = rig.take(r#"{"session":"chat","holder":"worker","class":"background"}"#).await;
    let busy = rig.post(TURNS, BEGIN).await;
    assert_eq!(busy.problem(), code(409, "turn_in_progress"));
    let document = busy.json();
    let turn = rig.get(&format!("/v1/turns/{id}")).await.json();
    assert_eq!((&document["turn"], &document["session"]), (&turn["id"], &"chat".into()));
    assert_eq!((&document["holder"], &document["class"]), (&"worker".into(), &"background".into()));
    assert_eq!(document["since"], turn["started_at"]);
    let expired = rig.post(TURNS, r#"{"session":"chat","on_busy":"queue","wait_s":0}"#).await;
    assert_eq!(expired.problem(), code(409, "wait_expired"));
    assert!(expired.json()["detail"].as_str().unwrap().contains("worker"), "{expired:?}");
    rig.take(r#"{"session":"second"}"#).await;
    assert_eq!(rig.post(TURNS, r#"{"session":"third"}"#).await.problem(), code(409, "sessions_full"));
    let never = rig.post(TURNS, r#"{"session":"fourth","after":"one-t1"}"#).await;
    assert_eq!((never.problem(), never.json().get("last_completed")), (code(409, "out_of_step"), None));
}

#[tokio::test]
async fn an_agent_under_a_switch_says_when_to_try_again() {
    let rig = Rig::one().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    assert_eq!(rig.report(LIMIT).await.status, 202);
    reached(&gate).await;
    let refused = rig.post(TURNS, BEGIN).await;
    assert_eq!(refused.problem(), code(409, "agent_switching"));
    assert!(retry(&refused) > 0);
    gate.open();
    rig.settled("one", 2).await;
    assert_eq!(rig.post(TURNS, BEGIN).await.json()["turn"]["generation"], 2);
}

#[tokio::test]
async fn an_agent_that_cannot_serve_says_why_and_until_when() {
    let alone = Rig::new().agent("one", |policy| policy.subscriptions = vec!["a".into()]).start().await;
    alone.report(LIMIT).await;
    for body in [BEGIN, r#"{"session":"chat","on_busy":"queue"}"#] {
        let exhausted = alone.post(TURNS, body).await;
        assert_eq!(exhausted.problem(), code(503, "agent_exhausted"), "{body}");
        assert!((7190..=7200).contains(&retry(&exhausted)), "{exhausted:?}");
        assert!(exhausted.json()["earliest_reset"].is_string());
    }

    let rig = Rig::one().await;
    rig.post("/v1/agents/one/pause", r#"{"for":"1h"}"#).await;
    assert_eq!(rig.post(TURNS, BEGIN).await.status, 201, "a pause keeps nobody from what serves");
    rig.report(LIMIT).await;
    let paused = rig.post(TURNS, r#"{"session":"two"}"#).await;
    assert_eq!(paused.problem(), code(503, "agent_paused"));
    assert!((3590..=3600).contains(&retry(&paused)), "{paused:?}");

    let budget = Budget { switches: 1, per: Duration::from_secs(3600) };
    let braked = Rig::new().agent("one", |policy| policy.budget = budget).start().await;
    braked.post("/v1/agents/one/failures?wait=15", LIMIT).await;
    braked.report(r#"{"kind":"rate_limit","generation":2}"#).await;
    let refused = braked.post(TURNS, BEGIN).await;
    assert_eq!(refused.problem(), code(503, "agent_braked"));
    assert!((3590..=3600).contains(&retry(&refused)), "{refused:?}");

    let down = Rig::one().await;
    down.world.stop_by_hand(&"one".into());
    down.until("one", |state| state.sighting.as_ref().is_some_and(|seen| seen.state.as_str() == "stopped")).await;
    assert_eq!(down.post(TURNS, BEGIN).await.problem(), code(503, "agent_not_running"));

    let strange = Rig::new().agent("one", |_| {});
    strange.world.put_file(&"one".into(), "not one of ours");
    let strange = strange.start_without_assignments().await;
    strange.until("one", |state| state.sighting.is_some()).await;
    assert_eq!(strange.post(TURNS, BEGIN).await.problem(), code(503, "agent_unassigned"));
}

#[tokio::test]
async fn a_store_that_fails_begins_nothing() {
    let rig = Rig::one().await;
    rig.store.fail_commits(1, &StoreError::Unavailable("no space".to_owned()));
    let refused = rig.post(TURNS, BEGIN).await;
    assert_eq!((refused.problem(), retry(&refused)), (code(503, "store_unavailable"), 1));
    rig.until("one", |state| state.assignment.is_some() && state.sighting.is_some()).await;
    assert_eq!(rig.state("one").turns.active().count(), 0);
    rig.store.fail_reads(1, &StoreError::Unavailable("locked".to_owned()));
    assert_eq!(rig.get("/v1/turns?ended=true").await.problem(), code(503, "store_unavailable"));
}

#[tokio::test]
async fn a_process_of_an_agent_has_turns_of_that_agent_only_and_fences_none() {
    let rig = Rig::new().agent("one", |_| {}).ourselves("us").start().await;
    rig.until("us", |state| state.sighting.as_ref().is_some_and(|seen| seen.instance.is_some())).await;
    let not_ours = code(403, "not_this_agent");
    assert_eq!(rig.post(TURNS, BEGIN).await.problem(), not_ours);
    assert_eq!(rig.post("/v1/agents/one/sessions/s/close", "").await.problem(), not_ours);
    for verb in ["heartbeat", "cancel", "cancelled", "fence"] {
        assert_eq!(rig.held(&format!("/v1/turns/one-t1/{verb}"), "x", "").await.problem(), not_ours, "{verb}");
    }
    assert_eq!(rig.held("/v1/turns/one-t1/complete", "x", r#"{"result":"ok"}"#).await.problem(), not_ours);
    assert_eq!(rig.post("/v1/agents/us/sessions/s/close", "").await.status, 200, "its own are its own business");
    assert_eq!(rig.post("/v1/turns/us-t1/cancel", "").await.problem(), code(404, "turn_not_found"));
    assert_eq!(rig.post("/v1/turns/us-t1/fence", "").await.problem(), not_ours);
}
