//! Whatever somebody sends: an answer that says what is wrong with it, in one document, and nothing is begun, ended or
//! lost by it.

use serde_json::{Value, json};

use crate::callers::{Held, done, now, refused, waiting, with};
use crate::setup::Setup;
use crate::stage::{Ground, Stage};

/// The member of a begin that is at fault, whatever else is right.
fn wrong_begins() -> Vec<(Value, &'static str)> {
    let mut cases = Vec::new();
    let long = "x".repeat(129);
    for session in [
        json!(""),
        json!("a,b"),
        json!("a\nb"),
        json!("\u{0}"),
        json!(long),
        json!(7),
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!(["x"]),
        json!(["x", "y", "z"]),
        json!(["x", "x"]),
        json!(["x", ""]),
        json!(["x", 1]),
        json!(["x", ["y"]]),
        json!(["x,y", "z"]),
        json!([long, "x"]),
    ] {
        cases.push((with(now("chat", "x"), &json!({"session": session})), "session"));
    }
    let of = |member: &'static str, values: Vec<Value>| {
        values.into_iter().map(move |value| (with(waiting("chat", "x"), &json!({member: value})), member))
    };
    let huge = json!("x".repeat(300));
    cases.extend(of("class", vec![json!("urgent"), json!(""), json!(1), json!(["interactive"])]));
    cases.extend(of("holder", vec![json!(""), huge.clone(), json!("a\u{1b}[31m"), json!(7), json!({})]));
    cases.extend(of("on_busy", vec![json!("steal"), json!(false), json!(0)]));
    cases.extend(of(
        "wait_s",
        vec![json!(-1), json!(3601), json!(1e300), json!(-1e300), json!(u64::MAX), json!("60"), json!([60])],
    ));
    cases.extend(of("preempt", vec![json!("yes"), json!(1)]));
    cases.extend(of(
        "after",
        vec![json!(""), json!("t1"), json!("two-t1"), json!("one-s1"), json!("one-t-1"), json!(1), json!("one-t1 ")],
    ));
    cases.extend(of("key", vec![json!(""), huge, json!(1)]));
    // What goes with something else only.
    cases.push((with(now("chat", "x"), &json!({"wait_s": 5})), "wait_s"));
    cases.push((with(now("chat", "x"), &json!({"preempt": true})), "preempt"));
    cases
}

#[tokio::test]
async fn a_begin_that_makes_no_sense_is_told_which_member_and_begins_nothing() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one"])).await;
    let site = &stage.site;
    for (begin, member) in wrong_begins() {
        let problem = refused(&site.begin("one", &begin).await, 422, "invalid_body");
        assert_eq!(problem["member"], member, "{begin:#} {problem:#}");
    }
    let mut without = now("chat", "x");
    without.as_object_mut().unwrap().remove("session");
    let problem = refused(&site.begin("one", &without).await, 422, "invalid_body");
    assert_eq!(problem["member"], "session", "{problem:#}");
    for (member, value) in [("lease", json!("1h")), ("force", json!(true)), ("id", json!("one-t1"))] {
        refused(&site.begin("one", &with(now("chat", "x"), &json!({member: value}))).await, 422, "invalid_body");
    }
    for body in [json!([]), json!("chat"), json!(1), json!(null)] {
        refused(&site.begin("one", &body).await, 422, "invalid_body");
    }
    let flood = with(now("chat", "x"), &json!({"holder": "x".repeat(300 * 1024)}));
    refused(&site.begin("one", &flood).await, 413, "body_too_large");
    assert_eq!(site.get("/v1/turns").await["turns"], json!([]));
    assert_eq!(site.told("one", "turn.begun").await, Vec::<Value>::new());
    // The widest that is allowed is allowed.
    let wide = json!({"session": ["x".repeat(128), "ü".repeat(128)], "holder": "h".repeat(256), "class": "background",
        "on_busy": "queue", "wait_s": 3600, "preempt": false, "key": "k".repeat(200)});
    let held = site.taken("one", &wide).await;
    site.complete(&held, "ok").await;
    // Half a second is a time.
    site.taken("one", &now("busy", "x")).await;
    refused(&site.begin("one", &with(waiting("busy", "x"), &json!({"wait_s": 0.5}))).await, 409, "wait_expired");
}

#[tokio::test]
async fn what_names_nothing_that_is_there_is_not_found() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one", "gone"])).await;
    let held = stage.site.taken("gone", &now("chat", "x")).await;
    refused(&stage.site.begin("nobody", &now("chat", "x")).await, 404, "agent_not_found");
    refused(&stage.site.call("GET", "/v1/turns?agent=nobody", None).await, 404, "agent_not_found");
    refused(&stage.site.call("GET", "/v1/turns/one-t7", None).await, 404, "turn_not_found");
    refused(&stage.site.call("POST", "/v1/agents/nobody/sessions/chat/close", None).await, 404, "agent_not_found");
    for name in ["a,b,c", &"x".repeat(129), "%00", "x%0Ay", ","] {
        let answer = stage.site.call("POST", &format!("/v1/agents/one/sessions/{name}/close"), None).await;
        refused(&answer, 404, "not_found");
    }
    for (method, path) in
        [("GET", "/v1/agents/one/turns"), ("DELETE", "/v1/turns/one-t1"), ("GET", "/v1/turns/x/fence")]
    {
        refused(&stage.site.call(method, path, None).await, 405, "method_not_allowed");
    }

    // The agent is taken out of the config: its turns are nobody's.
    assert!(stage.site.stop().await.success());
    stage.site.folder.lay_out(&Setup::new(&["a"], &["one"]), &stage.site.hook.url());
    stage.site.start().await;
    stage.site.serving("one").await;
    let site = &stage.site;
    refused(&site.begin("gone", &now("chat", "x")).await, 404, "agent_not_found");
    for (what, body) in [("heartbeat", None), ("complete", Some(json!({"result": "ok"}))), ("cancel", None)] {
        refused(&site.act(&held, what, body.as_ref()).await, 404, "turn_not_found");
    }
    assert_eq!(site.get("/v1/turns").await["turns"], json!([]));
}

#[tokio::test]
async fn what_a_holder_says_wrongly_ends_nothing() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one"])).await;
    let site = &stage.site;
    let held = site.taken("one", &now("chat", "x")).await;
    let bodies = [
        json!({}),
        json!({"result": "maybe"}),
        json!({"result": 1}),
        json!({"result": null}),
        json!({"result": "ok", "failure": 7}),
        json!({"result": "ok", "reason": "x"}),
        json!(["ok"]),
    ];
    for body in &bodies {
        refused(&site.act(&held, "complete", Some(body)).await, 422, "invalid_body");
    }
    for query in ["wait=-1", "wait=601", "wait=x", "wait=1&wait=1", "waits=1", "wait=1e3", "wait=99999999999999999999"]
    {
        refused(&site.act(&held, &format!("heartbeat?{query}"), None).await, 400, "invalid_query");
    }
    let path = format!("/v1/turns/{}/cancel", held.id);
    for body in [
        json!({"by": 7}),
        json!({"by": ""}),
        json!({"by": "x".repeat(257)}),
        json!({"by": "a\nb"}),
        json!({"force": 1}),
    ] {
        refused(&site.call("POST", &path, Some(&body)).await, 422, "invalid_body");
    }
    let twice = format!("Authorization: Lease {}", held.token);
    for headers in [
        vec![twice.clone(), twice],
        vec!["Authorization: Lease".to_owned()],
        vec![format!("Authorization: {}", held.token)],
        vec![format!("Authorization: Lease {}", "x".repeat(4_000))],
        vec!["Authorization: Lease \u{e9}".to_owned()],
        vec!["Authorization: Basic eDp5".to_owned()],
    ] {
        for what in ["heartbeat", "complete", "cancelled"] {
            let path = format!("/v1/turns/{}/{what}", held.id);
            let body = (what == "complete").then(|| json!({"result": "ok"}));
            let answer = site.try_call_with("POST", &path, &headers, body.as_ref()).await.unwrap();
            refused(&answer, 403, "not_the_holder");
        }
    }
    // It is as it was: taken, by this holder, not asked to stop.
    let listed = site.get("/v1/turns").await;
    let turn = &listed["turns"][0];
    assert_eq!((&turn["id"], &turn["state"]), (&json!(held.id), &json!("taken")), "{listed:#}");
    assert_eq!((&turn["cancel_requested"], &listed["waiting"]), (&Value::Null, &json!([])), "{listed:#}");
    let ended = done(&site.act(&held, "complete", Some(&json!({"result": "ok"}))).await);
    assert_eq!(ended["turn"]["id"], held.id);
}

/// How a holder proves itself is in its answer and nowhere else.
#[tokio::test]
async fn a_lease_token_is_told_to_its_holder_alone() {
    let mut stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one"])).await;
    let site = &stage.site;
    let begin = with(now("chat", "x"), &json!({"key": "k"}));
    let held = site.taken("one", &begin).await;
    let mut seen = String::new();
    for path in ["/v1/turns", "/v1/agents", "/v1/agents/one", &format!("/v1/turns/{}", held.id), "/metrics"] {
        seen.push_str(&site.call("GET", path, None).await.text);
    }
    seen.push_str(&site.begin("one", &now("chat", "y")).await.text);
    seen.push_str(&site.act_as("wrong", &held.id, "heartbeat", None).await.text);
    site.complete(&held, "ok").await;
    seen.push_str(&site.act(&held, "heartbeat", None).await.text);
    seen.push_str(&site.begin("one", &begin).await.text);
    seen.push_str(&site.call("GET", "/v1/turns?ended=true", None).await.text);
    assert!(stage.site.stop().await.success());
    seen.push_str(&stage.site.log().text());
    for entry in std::fs::read_dir(stage.site.folder.path("state")).unwrap().flatten() {
        if entry.path().is_file() {
            seen.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()));
        }
    }
    assert!(seen.contains(&held.id) && !seen.contains(&held.token));
    assert!(held.token.len() >= 20, "nobody guesses it");
}

/// A turn of another agent is another turn, be the number and the name of its session the same.
#[tokio::test]
async fn turns_of_two_agents_have_nothing_to_do_with_each_other() {
    let stage = Stage::set(Ground::Children, Setup::new(&["a"], &["one", "two"])).await;
    let site = &stage.site;
    let begin = with(now("chat", "x"), &json!({"key": "k"}));
    let one = site.taken("one", &begin).await;
    let two = site.taken("two", &begin).await;
    assert_eq!(one.number(), two.number());
    let crossed = Held { token: two.token.clone(), ..one.clone() };
    refused(&site.act(&crossed, "complete", Some(&json!({"result": "ok"}))).await, 403, "not_the_holder");
    let foreign = with(now("mail", "x"), &json!({"after": two.id}));
    refused(&site.begin("one", &foreign).await, 422, "invalid_body");
    let report = site.report("one", &json!({"kind": "rate_limit", "turn": two.id})).await;
    refused(&report, 404, "turn_not_found");
    for held in [&one, &two] {
        site.complete(held, "ok").await;
    }
}
