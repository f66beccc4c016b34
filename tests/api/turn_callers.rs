//! Callers of turns: thousands that wait, some that go away, and all of them when the daemon stops.

use std::time::Duration;

use serde_json::json;
use switchman::api::Limits;
use switchman::domain::TurnEnd;
use switchman::drivers::system_clock::SystemClock;
use switchman::machine::policy::TurnPolicy;
use switchman::ports::clock::Clock as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::client::{Reply, connect, request};
use super::rig::{PATIENCE, Rig};

const TURNS: &str = "/v1/agents/one/turns";
const BEGIN: &str = r#"{"session":"chat","holder":"h"}"#;
const QUEUE: &str = r#"{"session":"chat","on_busy":"queue","wait_s":3600}"#;

/// Asks on a connection of its own, and does not read the answer.
async fn asks(rig: &Rig, body: &str) -> UnixStream {
    let mut stream = connect(&rig.socket()).await;
    stream.write_all(request("POST", TURNS, body).as_bytes()).await.unwrap();
    stream
}

async fn queued(rig: &Rig, count: usize) {
    rig.until("one", |state| state.turns.queued() == count).await;
}

/// How and why a turn ended.
async fn end(rig: &Rig, number: u64) -> (TurnEnd, Option<String>) {
    rig.until("one", |state| state.turns.issued() >= number && state.turns.turn(number).is_none()).await;
    let id = switchman::domain::TurnId { agent: "one".into(), number };
    let ended = rig.switchman().turn(&id).await.unwrap().ended.unwrap();
    (ended.end, ended.reason)
}

#[tokio::test]
async fn who_waits_is_listed_in_the_order_of_service() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let mut streams = Vec::new();
    for (number, (holder, class)) in
        [("c", "background"), ("b", "interactive"), ("d", "interactive")].iter().enumerate()
    {
        let body = format!(r#"{{"session":"chat","holder":"{holder}","class":"{class}","on_busy":"queue"}}"#);
        streams.push(asks(&rig, &body).await);
        queued(&rig, number + 1).await;
    }
    let list = rig.get("/v1/turns?agent=one").await.json();
    let holders: Vec<_> = list["waiting"].as_array().unwrap().iter().map(|caller| caller["holder"].clone()).collect();
    assert_eq!(holders, ["b", "d", "c"]);
    let first = &list["waiting"][0];
    assert_eq!(
        (&first["agent"], &first["session"], &first["class"]),
        (&"one".into(), &"chat".into(), &"interactive".into())
    );
    assert!(first["since"].is_string(), "{first}");
    assert_eq!(rig.get("/v1/agents/one").await.json()["turns"]["queued"], 3);
    rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await;
    let served = Reply::read(&mut streams[1]).await.unwrap();
    assert_eq!((served.status, &served.json()["turn"]["holder"]), (201, &"b".into()));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_line() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let first = asks(&rig, QUEUE).await;
    queued(&rig, 1).await;
    let mut second = asks(&rig, QUEUE).await;
    let mut half = asks(&rig, QUEUE).await;
    queued(&rig, 3).await;
    drop(first);
    queued(&rig, 2).await;
    // Whoever says that nothing more comes reads nothing either, as far as can be told.
    half.shutdown().await.unwrap();
    queued(&rig, 1).await;
    rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await;
    assert_eq!(Reply::read(&mut second).await.unwrap().json()["turn"]["id"], "one-t2");
}

#[tokio::test]
async fn a_turn_whose_caller_has_gone_is_given_back_at_once() {
    let rig = Rig::one().await;
    rig.store.hold_commits();
    let gone = asks(&rig, BEGIN).await;
    rig.store.wait_held(1).await;
    drop(gone);
    // Its answer is not ready yet; by the time it is, there is nobody to give it to.
    let waits = async { rig.post(TURNS, r#"{"session":"chat","holder":"next","on_busy":"queue"}"#).await };
    let release = async { rig.store.release_commits() };
    let (next, ()) = tokio::join!(waits, release);
    assert_eq!((next.status, &next.json()["turn"]["holder"]), (201, &"next".into()));
    assert_eq!(end(&rig, 1).await, (TurnEnd::Lapsed, Some("its caller has gone".to_owned())));
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_gives_its_turn_back() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let mut caller = connect(&rig.socket()).await;
    // With a second request behind the first its end is not seen until there is something to write.
    let both = request("POST", TURNS, QUEUE) + "GET /healthz HTTP/1.1\r\n";
    caller.write_all(both.as_bytes()).await.unwrap();
    queued(&rig, 1).await;
    drop(caller);
    rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await;
    assert_eq!(end(&rig, 2).await, (TurnEnd::Lapsed, Some("its caller has gone".to_owned())));
}

#[tokio::test]
async fn a_turn_whose_answer_was_read_stays_when_the_connection_ends() {
    let rig = Rig::one().await;
    let (id, token) = rig.begin(BEGIN).await;
    // Each request has a connection of its own, which has ended by now; a request by another one is proof of it.
    assert_eq!(rig.get("/healthz").await.status, 200);
    let beaten = rig.held(&format!("/v1/turns/{id}/heartbeat"), &token, "").await;
    assert_eq!((beaten.status, beaten.json()), (200, json!({"cancel_requested": null, "lease_s": 60})));
}

#[tokio::test]
async fn a_heartbeat_that_waits_is_answered_when_somebody_asks_to_stop() {
    let rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let path = format!("/v1/turns/{id}/heartbeat?wait=600");
    let due = rig.state("one").turns.active().next().unwrap().due;
    let taken_at = rig.switchman().now().steady;
    while rig.switchman().now().steady == taken_at {
        tokio::task::yield_now().await;
    }
    let waits = rig.held(&path, &token, "");
    let asks = async {
        // The heartbeat is under way once the deadline has moved, and the clock has since the last one.
        rig.until("one", |state| state.turns.active().next().unwrap().due != due).await;
        rig.post(&format!("/v1/turns/{id}/cancel"), r#"{"by":"me"}"#).await
    };
    let (beaten, asked) = tokio::join!(waits, asks);
    assert_eq!(asked.status, 202);
    assert_eq!(beaten.json()["cancel_requested"], json!({"id": "one-t1-c1", "by": "me"}));
}

#[tokio::test]
async fn a_heartbeat_that_waits_keeps_its_own_lease() {
    let lease = Duration::from_millis(600);
    let rig =
        Rig::new().agent("one", |policy| policy.turns = TurnPolicy { lease, ..TurnPolicy::default() }).start().await;
    let (id, token) = rig.take(BEGIN).await;
    for _ in 0..4 {
        let beaten = rig.held(&format!("/v1/turns/{id}/heartbeat?wait=600"), &token, "").await;
        assert_eq!((beaten.status, &beaten.json()["cancel_requested"]), (200, &serde_json::Value::Null), "{beaten:?}");
    }
    assert_eq!(rig.get(&format!("/v1/turns/{id}")).await.json()["state"], "taken");
}

#[tokio::test]
async fn when_the_daemon_stops_everybody_is_answered() {
    let mut rig = Rig::one().await;
    let (id, token) = rig.take(BEGIN).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(asks(&rig, QUEUE).await);
    }
    queued(&rig, 20).await;
    let mut beats = connect(&rig.socket()).await;
    let due = rig.state("one").turns.active().next().unwrap().due;
    let head =
        format!("POST /v1/turns/{id}/heartbeat?wait=600 HTTP/1.1\r\nhost: x\r\nauthorization: Lease {token}\r\n");
    beats.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    rig.until("one", |state| state.turns.active().next().unwrap().due != due).await;
    rig.ask_to_stop();
    for stream in &mut waiting {
        let reply = Reply::read(stream).await.expect("an answer");
        assert_eq!(reply.problem(), (503, "stopping".to_owned()));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(Reply::read(&mut beats).await.unwrap().status, 200);
    rig.close().await;
}

#[tokio::test]
async fn thousands_wait_and_a_health_check_comes_through() {
    const WAITING: usize = 4_000;
    let rig = Rig::new().agent("one", |_| {}).limits(|limits| *limits = Limits::of_this_process()).start().await;
    rig.take(BEGIN).await;
    let mut waiting = Vec::with_capacity(WAITING);
    for _ in 0..WAITING {
        waiting.push(asks(&rig, QUEUE).await);
    }
    queued(&rig, WAITING).await;
    let (clock, mut longest) = (SystemClock::new(), 0);
    for _ in 0..20 {
        let before = clock.now().steady.0;
        assert_eq!(rig.get("/healthz").await.status, 200);
        longest = longest.max(clock.now().steady.0 - before);
    }
    assert!(longest < 1000, "a health check took {longest} ms");
    assert_eq!(
        rig.post("/v1/agents/one/turns", r#"{"session":"other"}"#).await.status,
        201,
        "nor does a turn elsewhere wait"
    );
    assert_eq!(rig.post("/v1/agents/one/sessions/chat/close", "").await.status, 200);
    let answers = async {
        for stream in &mut waiting {
            assert_eq!(Reply::read(stream).await.unwrap().problem(), (409, "session_complete".to_owned()));
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("everybody is answered");
}
