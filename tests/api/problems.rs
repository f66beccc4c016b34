//! Every code of the table, and every member of a report that can be wrong.

use std::collections::BTreeSet;

use switchman::api::Code;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::ports::store::StoreError;

use super::client::{connect, request, send};
use super::rig::{Rig, reached};

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn every_member_of_a_report_that_is_wrong_is_named_and_nothing_is_recorded() {
    let rig = Rig::one().await;
    let long = "x".repeat(201);
    let cases = [
        (String::new(), "kind"),
        ("{}".to_owned(), "kind"),
        (r#"{"kind":null}"#.to_owned(), "kind"),
        (r#"{"kind":"ratelimit"}"#.to_owned(), "kind"),
        (r#"{"kind":7}"#.to_owned(), "kind"),
        (r#"{"kind":"auth","kind":"auth"}"#.to_owned(), "kind"),
        (r#"{"id":"","kind":"auth"}"#.to_owned(), "id"),
        (format!(r#"{{"id":"{long}","kind":"auth"}}"#), "id"),
        (r#"{"id":7,"kind":"auth"}"#.to_owned(), "id"),
        (r#"{"evidence":"text"}"#.to_owned(), "evidence"),
        (r#"{"evidence":[429]}"#.to_owned(), "evidence"),
        (r#"{"evidence":{"status":42}}"#.to_owned(), "evidence.status"),
        (r#"{"evidence":{"status":"429"}}"#.to_owned(), "evidence.status"),
        (r#"{"evidence":{"headers":{"a":"1","a":"2"}}}"#.to_owned(), "evidence.headers"),
        (r#"{"evidence":{"headers":[]}}"#.to_owned(), "evidence.headers"),
        (r#"{"evidence":{"exit_code":1.5}}"#.to_owned(), "evidence.exit_code"),
        (r#"{"evidence":{"signal":[]}}"#.to_owned(), "evidence.signal"),
        (r#"{"evidence":{"signal":"SIGNAL"}}"#.to_owned(), "evidence.signal"),
        (r#"{"evidence":{"signal":65}}"#.to_owned(), "evidence.signal"),
        (r#"{"evidence":{"oom":"yes"}}"#.to_owned(), "evidence.oom"),
        (r#"{"evidence":{"stdout":"x"}}"#.to_owned(), "evidence.stdout"),
        (r#"{"kind":"auth","generation":-1}"#.to_owned(), "generation"),
        (r#"{"kind":"auth","generation":1.5}"#.to_owned(), "generation"),
        (r#"{"kind":"auth","generation":18446744073709551615}"#.to_owned(), "generation"),
        (r#"{"kind":"auth","model":"two words"}"#.to_owned(), "model"),
        (r#"{"kind":"auth","model":""}"#.to_owned(), "model"),
        (r#"{"kind":"auth","scope":"daily"}"#.to_owned(), "scope"),
        (r#"{"kind":"auth","reset_at":"tomorrow"}"#.to_owned(), "reset_at"),
        (r#"{"kind":"auth","reset_at":1800000000}"#.to_owned(), "reset_at"),
        (r#"{"kind":"auth","reset_at":"2020-01-01T00:00:00Z"}"#.to_owned(), "reset_at"),
        (r#"{"kind":"auth","reset_at":"2199-01-01T00:00:00Z"}"#.to_owned(), "reset_at"),
        (r#"{"kind":"auth","retry_after_s":-1}"#.to_owned(), "retry_after_s"),
        (r#"{"kind":"auth","retry_after_s":1e300}"#.to_owned(), "retry_after_s"),
        (r#"{"kind":"auth","retry_after_s":"90"}"#.to_owned(), "retry_after_s"),
        (r#"{"kind":"auth","observed_at":"yesterday"}"#.to_owned(), "observed_at"),
        (r#"{"kind":"auth","reporter":"operator"}"#.to_owned(), "reporter"),
        (r#"{"kind":"auth","genration":1}"#.to_owned(), "genration"),
    ];
    for (body, member) in cases {
        let reply = rig.report(&body).await;
        assert_eq!(reply.problem(), code(422, "invalid_body"), "{body}: {reply:?}");
        assert_eq!(reply.json()["member"], member, "{body}: {reply:?}");
    }
    let hint = rig.report(r#"{"kind":"auth","genration":1}"#).await.json();
    assert!(hint["detail"].as_str().unwrap().ends_with("did you mean `generation`?"), "{hint}");
    assert!(rig.get("/v1/failures").await.json()["failures"].as_array().unwrap().is_empty());
    assert_eq!(rig.state("one").failures, 0);
}

#[tokio::test]
async fn what_a_report_is_about_must_exist() {
    let rig = Rig::one().await;
    let cases = [
        (r#"{"kind":"auth","subscription":"nobody"}"#, 422, "subscription_not_found", "subscription"),
        (r#"{"kind":"auth","generation":2}"#, 422, "generation_unknown", "generation"),
        (r#"{"kind":"auth","generation":0}"#, 422, "generation_unknown", "generation"),
        (r#"{"kind":"auth","generation":1,"subscription":"b"}"#, 422, "generation_mismatch", "generation"),
        (r#"{"kind":"auth","turn":"t1"}"#, 404, "turn_not_found", "turn"),
    ];
    for (body, status, word, member) in cases {
        let reply = rig.report(body).await;
        assert_eq!(reply.problem(), code(status, word), "{body}");
        assert_eq!(reply.json()["member"], member, "{body}");
    }
    let nobody = rig.post("/v1/agents/nobody/failures", r#"{"kind":"auth"}"#).await;
    assert_eq!(nobody.problem(), code(404, "agent_not_found"));
    assert_eq!(rig.state("one").failures, 0, "nothing is recorded or moved");
}

#[tokio::test]
async fn commands_are_refused_with_their_reason() {
    let rig = Rig::one().await;
    let problem = async |method: &str, path: &str, body: &str| {
        let reply = super::client::call(&rig.socket(), method, path, body).await;
        reply.problem()
    };
    assert_eq!(problem("DELETE", "/v1/agents/one/switch", "").await, code(409, "no_switch"));
    assert_eq!(problem("POST", "/v1/agents/one/unpark", "").await, code(409, "not_parked"));
    assert_eq!(problem("POST", "/v1/agents/one/switch", r#"{"to":"z"}"#).await, code(422, "subscription_not_found"));
    assert_eq!(problem("POST", "/v1/agents/one/switch", r#"{"to":7}"#).await, code(422, "invalid_body"));
    assert_eq!(
        problem("POST", "/v1/agents/one/switch", &format!(r#"{{"reason":"{}"}}"#, "x".repeat(501))).await,
        code(422, "invalid_body")
    );
    assert_eq!(problem("PUT", "/v1/agents/one/pin", "").await, code(422, "invalid_body"));
    for span in [r#"{"for":"soon"}"#, r#"{"for":"0s"}"#, r#"{"for":"9999w"}"#, r#"{"until":"2020-01-01T00:00:00Z"}"#] {
        assert_eq!(problem("POST", "/v1/agents/one/pause", span).await, code(422, "invalid_body"), "{span}");
        assert_eq!(problem("PUT", "/v1/subscriptions/a/cooldown", span).await, code(422, "invalid_body"), "{span}");
    }
    let both = r#"{"for":"1h","until":"2199-01-01T00:00:00Z"}"#;
    assert_eq!(problem("POST", "/v1/agents/one/pause", both).await, code(422, "invalid_body"));
    assert_eq!(problem("PUT", "/v1/subscriptions/a/cooldown", "{}").await, code(422, "invalid_body"));
    assert_eq!(problem("PUT", "/v1/subscriptions/z/cooldown", "{}").await, code(404, "subscription_not_found"));
    assert_eq!(problem("DELETE", "/v1/subscriptions/z/cooldown", "").await, code(404, "subscription_not_found"));
    assert_eq!(problem("GET", "/v1/switches/one-s9", "").await, code(404, "switch_not_found"));
    assert_eq!(problem("GET", "/v1/switches/nonsense", "").await, code(404, "switch_not_found"));

    assert_eq!(rig.put("/v1/subscriptions/b/cooldown", r#"{"for":"2h"}"#).await.status, 200);
    let cooling = rig.post("/v1/agents/one/switch", r#"{"to":"b"}"#).await;
    assert_eq!(cooling.problem(), code(422, "subscription_not_eligible"));
    assert!(cooling.json()["detail"].as_str().unwrap().contains("cooling"), "{cooling:?}");
    assert!(cooling.json()["earliest_reset"].is_string(), "{cooling:?}");

    let gate = Gate::closed();
    rig.world.on_delivery(&"one".into(), Call::Preflight, Fault::Held(gate.clone()));
    assert_eq!(rig.post("/v1/agents/one/switch", r#"{"to":"c"}"#).await.status, 202);
    reached(&gate).await;
    assert_eq!(problem("POST", "/v1/agents/one/switch", "").await, code(409, "switch_in_progress"));
    gate.open();
    rig.settled("one", 2).await;

    let late = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(late.clone()));
    assert_eq!(rig.post("/v1/agents/one/switch", r#"{"to":"a"}"#).await.status, 202);
    reached(&late).await;
    assert_eq!(problem("DELETE", "/v1/agents/one/switch", "").await, code(409, "too_late"));
    late.open();
    rig.settled("one", 3).await;

    assert_eq!(rig.put("/v1/agents/one/pin", r#"{"subscription":"a"}"#).await.status, 200);
    assert_eq!(problem("POST", "/v1/agents/one/switch", r#"{"to":"c"}"#).await, code(409, "pinned"));
}

#[tokio::test]
async fn paths_methods_and_parameters_are_checked() {
    let rig = Rig::one().await;
    assert_eq!(rig.get("/v2/agents").await.problem(), code(404, "not_found"));
    assert_eq!(rig.get("/").await.problem(), code(404, "not_found"));
    let method = rig.delete("/v1/agents/one").await;
    assert_eq!(method.problem(), code(405, "method_not_allowed"));
    assert_eq!(method.header("allow"), Some("GET,HEAD"));
    assert_eq!(rig.get("/v1/agents/nobody").await.problem(), code(404, "agent_not_found"));
    assert_eq!(rig.get("/v1/agents/%F0%9F/explain").await.problem(), code(404, "not_found"), "what is no text");
    for path in [
        "/v1/switches?limit=0",
        "/v1/switches?limit=501",
        "/v1/switches?limit=x",
        "/v1/switches?since=yesterday",
        "/v1/switches?before=x",
        "/v1/switches?agnet=one",
        "/v1/switches?limit=1&limit=2",
        "/v1/failures?limit=-1",
    ] {
        assert_eq!(rig.get(path).await.problem(), code(400, "invalid_query"), "{path}");
    }
    for path in ["/v1/agents/one/failures?wait=601", "/v1/agents/one/failures?wait=-1", "/v1/agents/one/failures?w=1"] {
        assert_eq!(rig.post(path, r#"{"kind":"network"}"#).await.problem(), code(400, "invalid_query"), "{path}");
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_nothing_is_acted_on() {
    let rig = Rig::one().await;
    rig.store.fail_commits(1, &StoreError::Unavailable("no space".to_owned()));
    let reply = rig.report(r#"{"kind":"rate_limit","generation":1}"#).await;
    assert_eq!(reply.problem(), code(503, "store_unavailable"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    rig.until("one", |state| state.assignment.is_some() && !state.phase.is_switching()).await;
    assert_eq!(rig.state("one").generation().0, 1);
    assert_eq!(rig.world.starts_ordered(&"one".into()), 0);
    rig.store.fail_reads(1, &StoreError::Unavailable("locked".to_owned()));
    assert_eq!(rig.get("/v1/switches").await.problem(), code(503, "store_unavailable"));
}

#[tokio::test]
async fn malformed_and_huge_requests_are_refused_at_once() {
    let rig = Rig::one().await;
    let socket = rig.socket();
    let path = "/v1/agents/one/failures";
    let huge = rig.post(path, &format!("{{\"id\":\"{}\"}}", "x".repeat(3 << 20))).await;
    assert_eq!(huge.problem(), code(413, "body_too_large"));
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        300 * 1024,
        "x".repeat(300 * 1024)
    );
    assert_eq!(send(&socket, chunked.as_bytes()).await.problem(), code(413, "body_too_large"));
    let largest = format!(r#"{{"kind":"network","evidence":{{"text":"{}"}}}}"#, "x".repeat(256 * 1024 - 44));
    assert!(largest.len() <= 256 * 1024 && largest.len() > 256 * 1024 - 16);
    assert_eq!(rig.post(path, &largest).await.status, 200);

    let header = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    assert_eq!(send(&socket, header.as_bytes()).await.status, 431);
    let headers = "x: y\r\n".repeat(200);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    assert_eq!(send(&socket, many.as_bytes()).await.status, 431);

    let deep = format!(r#"{{"evidence":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(rig.post(path, &deep).await.problem().0, 422);
    for deep in [format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), r#"{"kind":"#.repeat(40_000)] {
        let status = rig.post(path, &deep).await.problem().0;
        assert!((400..500).contains(&status), "{status}");
    }
    let mut bad_text = request("POST", path, r#"{"id":"__"}"#).into_bytes();
    let at = bad_text.len() - 4;
    bad_text[at..at + 2].copy_from_slice(b"\xff\xfe");
    assert_eq!(send(&socket, &bad_text).await.problem(), code(400, "malformed_json"));
    let located = rig.post(path, "{\"kind\":\n  nonsense}").await;
    assert_eq!(located.problem(), code(400, "malformed_json"));
    assert!(located.json()["detail"].as_str().unwrap().contains("line 2, column"), "{located:?}");
    assert_eq!(send(&socket, b"NONSENSE\r\n\r\n").await.status, 400);
    assert_eq!(rig.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn every_command_that_waits_has_a_bound() {
    let rig = Rig::one().await;
    rig.store.hold_commits();
    // The first is taken by the actor, which waits for its commit; the others wait for the actor.
    let pauses = (0..40).map(|_| rig.post("/v1/agents/one/pause", ""));
    let pauses = futures_util::future::join_all(pauses);
    let release = async {
        while !rig.get("/metrics").await.text.contains("code=\"busy\"") {}
        rig.store.release_commits();
    };
    let (replies, ()) = tokio::join!(pauses, release);
    let busy: Vec<_> = replies.iter().filter(|reply| reply.status == 503).collect();
    assert!(!busy.is_empty());
    for reply in busy {
        assert_eq!(reply.problem(), code(503, "busy"));
    }
}

#[tokio::test]
async fn refusals_are_counted_by_code() {
    let rig = Rig::one().await;
    rig.get("/nowhere").await.problem();
    let text = rig.get("/metrics").await.text;
    assert!(text.lines().any(|line| line.contains("code=\"not_found\"") && line.ends_with(" 1")), "{text}");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal() {
    let rig = Rig::one().await;
    let mut stream = connect(&rig.socket()).await;
    for _ in 0..3 {
        let refused = super::client::ask(&mut stream, &request("POST", "/v1/agents/one/failures", "{}")).await;
        assert_eq!(refused.problem(), code(422, "invalid_body"));
        assert_eq!(super::client::ask(&mut stream, &request("GET", "/healthz", "")).await.status, 200);
    }
}

/// `docs/api.md` has one row for each code: no more, no less, and in the same words.
#[test]
fn the_table_of_the_docs_is_the_table_of_the_code() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    let table = docs.split("## Problem codes").nth(1).expect("the chapter").split("\n## ").next().unwrap();
    let written: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |code: &Code| format!("| `{}` | {} | {} |", code.as_str(), code.status(), code.title());
    let expected: Vec<String> = Code::ALL.iter().map(row).collect();
    assert_eq!(written, expected, "the rows should be:\n{}", expected.join("\n"));
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), Code::ALL.len());
}
