//! Whatever is asked for: paths and parameters, and orders of requests that nobody would give.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use switchman::api::v1::wire;
use tokio::runtime::Builder;

use super::client::call;
use super::fuzz::{Scene, check_refusal};
use super::fuzz_documents::{Json, change};
use super::fuzz_requests::{Request, names, whole};

/// Numbers as they may stand in an id.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "01",
    "+1",
    "-1",
    "1 ",
    " 1",
    "1.0",
    "0x1",
    "1_0",
    "١",
    "１",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "",
];

const NAMES: &[&str] = &[
    "one",
    "two",
    "ONE",
    "one ",
    "",
    "-t1",
    "one-t1",
    "..",
    ".",
    "*",
    "one/../one",
    "one%00",
    "one\u{0}",
    "é",
    "a,b",
    "held",
    "x,held",
    ",",
    "a,b,c",
    "b",
    "one-s1",
];

/// A part of a path, not encoded yet.
fn part() -> BoxedStrategy<String> {
    let id = (select(NAMES), select(&["-t", "-s", "-f", "-T", "-"][..]), select(NUMBERS));
    prop_oneof![
        3 => id.prop_map(|(name, kind, number)| format!("{name}{kind}{number}")),
        2 => select(NUMBERS).prop_map(|number| format!("one-t{number}")),
        2 => select(NAMES).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (1_usize..5000).prop_map(|length| "x".repeat(length)),
    ]
    .boxed()
}

/// As a path or a parameter has it: everything but letters and digits in percents.
fn encoded(text: &str) -> String {
    encoded_bytes(text.as_bytes())
}

fn encoded_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~+".contains(byte);
        if is_plain {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

/// Parts that are no text, or not encoded as they should be.
fn broken() -> BoxedStrategy<String> {
    let bytes = prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| encoded_bytes(&bytes));
    prop_oneof![bytes, select(&["%", "%z1", "%ff", "%c0%80", "a%2", "%2e%2e", "a%2Fb"][..]).prop_map(str::to_owned)]
        .boxed()
}

fn runs<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_is_one_only_in_its_one_spelling(parts in prop::collection::vec(part(), 4)) {
        runs(async {
            let scene = Scene::new().await;
            for part in parts {
                let path = format!("/v1/turns/{}", encoded(&part));
                let reply = scene.rig.get(&path).await;
                if reply.status == 200 {
                    assert_eq!(whole::<wire::Turn>(&reply).id, part);
                } else {
                    check_refusal(&reply);
                    assert_eq!(reply.status, 404, "{part:?}: {reply:?}");
                }
                for verb in ["heartbeat", "cancelled", "complete", "cancel"] {
                    let reply = call(&scene.rig.socket(), "POST", &format!("{path}/{verb}"), r#"{"result":"ok"}"#).await;
                    let is_it = part == "one-t1";
                    assert!(is_it || [404, 422].contains(&reply.status), "{verb} of {part:?}: {reply:?}");
                    check_refusal(&reply);
                }
            }
        });
    }

    #[test]
    fn a_session_of_a_path_is_the_one_that_it_names(parts in prop::collection::vec(part(), 4)) {
        runs(async {
            let scene = Scene::new().await;
            for part in parts {
                let path = format!("/v1/agents/one/sessions/{}/close", encoded(&part));
                let reply = scene.rig.post(&path, "").await;
                let parts: Vec<&str> = part.split(',').collect();
                let session = if let [one] = parts[..] { json!(one) } else { json!(parts) };
                let named = names(&session);
                if reply.status == 200 {
                    let closed: wire::ClosedSession = whole(&reply);
                    assert_eq!(names(&serde_json::to_value(&closed.session).unwrap()), named);
                    let begin = json!({"session": session}).to_string();
                    let refused = scene.rig.post("/v1/agents/one/turns", &begin).await;
                    assert_eq!(refused.problem().1, "session_complete", "{part:?}");
                } else {
                    check_refusal(&reply);
                    assert!(named.is_none() && reply.status == 404, "{part:?}: {reply:?}");
                }
            }
        });
    }

    #[test]
    fn whatever_the_path_there_is_an_answer(
        parts in prop::collection::vec((prop_oneof![part().prop_map(|part| encoded(&part)), broken()], 0_usize..13), 4),
        method in select(&["GET", "POST", "PUT", "DELETE", "PATCH", "HEADER"][..]),
    ) {
        runs(async {
            let scene = Scene::new().await;
            for (part, route) in parts {
                let path = match route {
                    0 => format!("/v1/agents/{part}"),
                    1 => format!("/v1/agents/{part}/turns"),
                    2 => format!("/v1/agents/{part}/sessions/{part}/close"),
                    3 => format!("/v1/agents/{part}/failures"),
                    4 => format!("/v1/agents/{part}/pin"),
                    5 => format!("/v1/switches/{part}"),
                    6 => format!("/v1/subscriptions/{part}/cooldown"),
                    7 => format!("/v1/turns/{part}/{part}"),
                    8 => format!("/v1/{part}"),
                    9 => format!("/{part}"),
                    10 => format!("/v1/turns/{part}/"),
                    11 => format!("/v1/subscriptions/{part}/readings"),
                    _ => format!("/v1/turns//{part}"),
                };
                let reply = call(&scene.rig.socket(), method, &path, "").await;
                assert!(reply.status < 500, "{method} {path}: {reply:?}");
                if reply.status >= 300 {
                    check_refusal(&reply);
                }
            }
        });
    }

    #[test]
    fn whatever_the_parameters_there_is_a_page_or_a_refusal(
        route in select(&["/v1/turns", "/v1/failures", "/v1/switches", "/v1/turns/one-t9/heartbeat"][..]),
        parameters in prop::collection::vec(parameter(), 0..4),
    ) {
        runs(async {
            let scene = Scene::new().await;
            let method = if route.ends_with("heartbeat") { "POST" } else { "GET" };
            let path = format!("{route}?{}", parameters.join("&"));
            let reply = call(&scene.rig.socket(), method, &path, "").await;
            let is_unknown = |parameter: &&String| ["Agent=", "limit[]="].iter().any(|name| parameter.starts_with(name));
            assert!(parameters.iter().find(is_unknown).is_none() || reply.status == 400, "{path}: {reply:?}");
            match reply.status {
                200 if route == "/v1/turns" => assert!(whole::<wire::TurnList>(&reply).turns.len() <= 1),
                200 if route == "/v1/failures" => assert_eq!(whole::<wire::FailureList>(&reply).failures, []),
                200 => assert_eq!(whole::<wire::SwitchList>(&reply).switches, []),
                400 | 404 => check_refusal(&reply),
                _ => panic!("{path}: {reply:?}"),
            }
        });
    }

    /// One daemon, many requests, whatever they are and whatever state they leave it in.
    #[test]
    fn whatever_the_order_of_requests_the_daemon_goes_on(storm in prop::collection::vec(gust(), 1..8)) {
        runs(async {
            let scene = Scene::new().await;
            for (request, body) in storm {
                let reply = scene.send(request, body.as_bytes()).await;
                if reply.status >= 300 {
                    check_refusal(&reply);
                }
                let is_documented = reply.status < 500 || (reply.status == 503 && MAY_BE_SO.contains(&reply.problem().1.as_str()));
                assert!(is_documented, "{request:?} {body}: {reply:?}");
            }
            assert_eq!(scene.rig.get("/healthz").await.status, 200);
            whole::<wire::Agent>(&scene.rig.get("/v1/agents/one").await);
            whole::<wire::SubscriptionList>(&scene.rig.get("/v1/subscriptions").await);
            whole::<wire::Explanation>(&scene.rig.get("/v1/agents/one/explain").await);
            whole::<wire::FailureList>(&scene.rig.get("/v1/failures").await);
            whole::<wire::SwitchList>(&scene.rig.get("/v1/switches").await);
            whole::<wire::TurnList>(&scene.rig.get("/v1/turns").await);
            whole::<wire::TurnList>(&scene.rig.get("/v1/turns?ended=true").await);
        });
    }
}

/// States of an agent in which the documentation says 503.
const MAY_BE_SO: &[&str] = &["agent_exhausted", "agent_parked", "agent_paused", "agent_braked", "agent_not_running"];

fn parameter() -> BoxedStrategy<String> {
    const VALUES: &[&str] = &[
        "0",
        "1",
        "500",
        "501",
        "-1",
        "+5",
        "true",
        "false",
        "TRUE",
        "one",
        "two",
        "",
        "1e3",
        "NaN",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551616",
        "2026-11-18T11:06:40Z",
        "9999-12-30T22:00:00Z",
        "-009999-01-02T01:59:59Z",
        "null",
    ];
    let name = select(&["agent", "ended", "limit", "since", "before", "wait", "Agent", "limit[]", ""][..]);
    let value = prop_oneof![4 => select(VALUES).prop_map(encoded), 1 => any::<String>().prop_map(|text| encoded(&text)), 1 => broken()];
    prop_oneof![
        8 => (name, value).prop_map(|(name, value)| format!("{name}={value}")),
        1 => broken(),
        1 => Just("&&=&=".to_owned()),
    ]
    .boxed()
}

/// A request: valid, or with something done to it. Nobody waits for a turn: the state may be one in which it never comes.
fn gust() -> BoxedStrategy<(Request, String)> {
    let request = select(&Request::ALL[..]);
    request
        .prop_flat_map(|request| {
            let change = prop::option::weighted(0.4, (change(request.names()), any::<u16>()));
            (request.valid(), change).prop_map(move |(mut document, change)| {
                if let Some((change, which)) = change {
                    change.apply(&mut document, which);
                }
                document.replace("on_busy", &Json::text("reject"));
                document.replace("wait_s", &Json::Raw("null".to_owned()));
                document.replace("preempt", &Json::Raw("null".to_owned()));
                (request, document.write())
            })
        })
        .boxed()
}
