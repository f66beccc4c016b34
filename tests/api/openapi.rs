//! The document at `GET /openapi.json`: that it is whole, that it is the committed one, and that it says what the router
//! does. That answers are as it says is held wherever a test asks for one: see `conformity`.
//!
//! `UPDATE_DOCS=1 cargo test --test api the_committed_document` writes `docs/openapi.json`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use switchman::api::Code;

use super::client::{Reply, call};
use super::conformity::{DOCUMENT, committed, complaints, operation};
use super::rig::Rig;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

/// Every call of the document: method and path.
fn calls(document: &Value) -> BTreeSet<(String, String)> {
    let item = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    document["paths"].as_object().unwrap().iter().flat_map(item).collect()
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write the document")]
async fn the_committed_document_is_the_one_that_is_served() {
    let served = Rig::one().await.get("/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, &served.text).unwrap();
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    let differs = found.lines().zip(served.text.lines()).find(|(found, served)| found != served);
    assert!(
        found == served.text,
        "docs/openapi.json is out of date; run `UPDATE_DOCS=1 cargo test --test api the_committed_document` and commit \
         it\nfirst difference (found, served): {differs:#?}"
    );
}

/// The routes as they stand in the source: the router tells nobody what it knows.
fn routes() -> BTreeSet<(String, String)> {
    let source = include_str!("../../src/api/router.rs");
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).expect("a path");
        let handlers = route.split('"').nth(2).expect("handlers");
        let methods = METHODS.into_iter().filter(|method| handlers.contains(&format!("{}(", method.to_lowercase())));
        routes.extend(methods.map(|method| (method.to_owned(), path.to_owned())));
    }
    routes
}

#[test]
fn every_route_of_the_router_is_in_the_document_and_the_other_way_round() {
    let routes = routes();
    assert!(routes.len() > 20, "{routes:?}");
    assert_eq!(routes, calls(committed()));
}

#[tokio::test]
async fn what_the_document_has_is_answered_and_what_it_has_not_is_refused() {
    let rig = Rig::one().await;
    for (_, path) in calls(committed()) {
        for method in METHODS {
            let target = path
                .replace("{agent}", "one")
                .replace("{subscription}", "b")
                .replace("{id}", "one-s1")
                .replace("{session}", "s");
            let reply = call(&rig.socket(), method, &target, "").await;
            let is_known = operation(committed(), method, &target).is_some();
            let is_refused = reply.status == 405 && reply.problem().1 == "method_not_allowed";
            assert_eq!(is_refused, !is_known, "{method} {path}: {reply:?}");
            assert!(reply.status != 404 || reply.problem().1 != "not_found", "{method} {path}");
        }
    }
}

/// Calls `with` for every value in a document.
fn each(value: &Value, with: &mut impl FnMut(&Value)) {
    with(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, with)),
        Value::Object(members) => members.values().for_each(|member| each(member, with)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = committed();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut named = BTreeSet::new();
    each(document, &mut |value| {
        if let Some(name) = value.get("$ref") {
            let pointer = name.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{name} leads nowhere");
            named.insert(pointer.rsplit('/').next().unwrap().to_owned());
        }
    });
    let shapes: BTreeSet<_> = document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    assert!(shapes.is_subset(&named), "unused: {:?}", shapes.difference(&named));

    let mut ids = BTreeSet::new();
    for (method, path) in calls(document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is the name of two calls");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_path: Vec<_> = parameters.filter(|one| one["in"] == "path").map(|one| one["name"].clone()).collect();
        let expected: Vec<_> = path.split('{').skip(1).map(|rest| json!(rest.split('}').next())).collect();
        assert_eq!(in_path, expected, "{method} {path}");
        assert_eq!(operation["responses"]["default"], json!({"$ref": "#/components/responses/Other"}));
        assert!(operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')));
    }
}

#[test]
fn every_code_stands_under_its_status_and_every_call_in_the_words_of_the_docs() {
    let text = committed().to_string();
    for code in Code::ALL {
        let line = format!("- `{}`: {}", code.as_str(), code.title());
        assert!(text.contains(&line), "{line}");
    }
    let mut wrong = Vec::new();
    for (method, path) in calls(committed()) {
        for (status, answer) in committed()["paths"][&path][method.to_lowercase()]["responses"].as_object().unwrap() {
            let codes = Code::ALL.iter().filter(|code| {
                answer["description"].as_str().is_some_and(|text| text.contains(&format!("- `{}`: ", code.as_str())))
            });
            // Where the path names the subscription it is the thing that is not found.
            let is_right = |code: &Code| {
                status == &code.status().to_string() || (*code == Code::SubscriptionNotFound && status == "404")
            };
            wrong.extend(codes.filter(|code| !is_right(code)).map(|code| (method.clone(), path.clone(), *code)));
        }
    }
    assert_eq!(wrong, []);
    let docs = include_str!("../../docs/api.md");
    for (method, path) in calls(committed()) {
        assert!(docs.contains(&format!("`{method} {path}")), "docs/api.md does not tell of {method} {path}");
    }
}

fn reply(status: u16, media: &str, document: &Value) -> Reply {
    let head = format!("HTTP/1.1 {status} \r\ncontent-type: {media}\r\n\r\n");
    Reply { status, head, text: document.to_string() }
}

#[tokio::test]
async fn an_answer_that_is_not_as_the_document_says_is_found() {
    let document = committed();
    let path = "/v1/agents/one";
    let right = Rig::one().await.get(path).await.json();
    let said = |status, media: &str, answer: &Value| {
        complaints(document, "GET", path, "", &reply(status, media, answer)).join("; ")
    };
    assert_eq!(said(200, "application/json", &right), "");
    let changed = |name: &str, value: Value| {
        let mut changed = right.clone();
        changed[name] = value;
        said(200, "application/json", &changed)
    };
    assert!(changed("name", json!(7)).contains("the answer.name is no \"string\": 7"));
    assert!(changed("assignment", json!({"subscription": "a"})).contains("the answer.assignment is not exactly one"));
    assert!(changed("wake_at", json!("tomorrow")).contains("the answer.wake_at is not exactly one"));
    assert!(changed("mood", json!(null)).contains("the answer.mood is not described"));
    assert!(changed("hindrances", json!(["x", 7])).contains("the answer.hindrances[1] is no \"string\""));
    let mut less = right.clone();
    less.as_object_mut().unwrap().remove("pinned");
    assert!(said(200, "application/json", &less).contains("the answer has no member \"pinned\""));
    assert!(said(202, "application/json", &right).contains("has no answer 202"));
    assert!(said(200, "text/plain", &right).contains("with no text/plain"));
    assert!(
        complaints(document, "GET", "/v1/nobody", "", &reply(200, "application/json", &right))[0]
            .contains("no document")
    );

    let problem = |code: &str| {
        let (type_, title) = (format!("urn:switchman:problem:{code}"), "t");
        json!({"type": type_, "title": title, "status": 404, "detail": "d", "code": code})
    };
    let problem = |code: &str| said(404, "application/problem+json", &problem(code));
    assert_eq!(problem("agent_not_found"), "");
    assert!(problem("turn_not_found").contains("is not refused as 404 turn_not_found"));

    let report = |body: &str, query: &str| {
        let answer = json!({"outcome": "ignored", "duplicate": false, "failure": null, "kind": "auth", "agent": "one",
            "subscription": null, "generation": null, "switch": null, "retry_after_s": null, "earliest_reset": null,
            "reason": null});
        let path = format!("/v1/agents/one/failures{query}");
        complaints(document, "POST", &path, body, &reply(200, "application/json", &answer)).join("; ")
    };
    assert_eq!(report(r#"{"kind": "auth", "evidence": {"signal": 9, "headers": {"a": "b"}}}"#, "?wait=3"), "");
    assert!(report(r#"{"kind": "autsch"}"#, "").contains("the request.kind is none of"));
    assert!(report(r#"{"mood": 1}"#, "").contains("the request.mood is not described"));
    assert!(report(r#"{"generation": -1}"#, "").contains("the request.generation is out of its bounds"));
    assert!(report("", "?weight=3").contains("has no parameter weight"));
}
