//! Clients that are slow, many, or gone; the socket itself; and what must never come out.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::api;
use switchman::drivers::fake::fault::{Fault, Gate};
use switchman::drivers::fake::runtime::Call;
use switchman::drivers::system_clock::SystemClock;
use switchman::telemetry::lines::{LineStyle, Lines};
use tokio::io::AsyncWriteExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::client::{Reply, ask, connect, request, until_closed};
use super::rig::{PATIENCE, Rig, reached};

const SHORT: Duration = Duration::from_millis(200);

async fn impatient() -> Rig {
    let rig = Rig::new().agent("one", |_| {}).limits(|limits| {
        limits.head = SHORT;
        limits.body = SHORT;
        limits.idle = SHORT;
    });
    rig.start().await
}

#[tokio::test]
async fn slow_clients_are_closed_each_within_its_limit() {
    let rig = impatient().await;
    let socket = rig.socket();
    let silent = async {
        let mut stream = connect(&socket).await;
        assert_eq!(until_closed(&mut stream).await, "");
    };
    let partial_head = async {
        let mut stream = connect(&socket).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
        assert_eq!(until_closed(&mut stream).await, "");
    };
    let dribbled_head = async {
        let mut stream = connect(&socket).await;
        let mut sent = 0;
        // Each byte comes soon after the one before, the whole never does. A health check between two sets the pace.
        while stream.write_all(b"x").await.is_ok() {
            assert_eq!(rig.get("/healthz").await.status, 200);
            sent += 1;
            assert!(sent < 32 * 1024, "a head of that size is refused for its size");
        }
        assert!(sent > 1);
        assert_eq!(until_closed(&mut stream).await, "");
    };
    let slow_body = async {
        let mut stream = connect(&socket).await;
        stream
            .write_all(b"POST /v1/agents/one/failures HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
            .await
            .unwrap();
        let reply = Reply::read(&mut stream).await.expect("told why");
        assert_eq!(reply.problem(), (408, "request_timeout".to_owned()));
        until_closed(&mut stream).await;
    };
    let idle = async {
        let mut stream = connect(&socket).await;
        assert_eq!(ask(&mut stream, &request("GET", "/healthz", "")).await.status, 200);
        assert_eq!(until_closed(&mut stream).await, "");
    };
    let does_not_read = async {
        let mut stream = connect(&socket).await;
        let asks = request("GET", "/metrics", "");
        // Until nothing more goes in: the server cannot get rid of its answers.
        let stuck = tokio::time::timeout(PATIENCE, async { while stream.write_all(asks.as_bytes()).await.is_ok() {} });
        stuck.await.expect("it is closed");
    };
    tokio::join!(silent, partial_head, dribbled_head, slow_body, idle, does_not_read);
    assert_eq!(rig.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_request_under_way_is_not_cut_off_by_the_limits() {
    let rig = impatient().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    let waiting = rig.post("/v1/agents/one/failures?wait=2", r#"{"kind":"rate_limit","generation":1}"#);
    let reply = waiting.await;
    assert_eq!(reply.outcome(), (202, "switching".to_owned()), "ten times the limit has passed");
    gate.open();
}

#[tokio::test]
async fn many_slow_clients_do_not_delay_a_health_check() {
    let rig = Rig::one().await;
    let socket = rig.socket();
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = connect(&socket).await;
        if number % 2 == 0 {
            // Whoever is turned away hears it, and is not listened to.
            let _turned_away = stream.write_all(b"GET /healthz HTTP/1.1\r\nx-slow:").await;
        }
        slow.push(stream);
    }
    let clock = SystemClock::new();
    let mut longest = 0;
    for _ in 0..20 {
        let before = switchman::ports::clock::Clock::now(&clock).steady.0;
        assert_eq!(rig.get("/healthz").await.status, 200);
        longest = longest.max(switchman::ports::clock::Clock::now(&clock).steady.0 - before);
    }
    assert!(longest < 1000, "a health check took {longest} ms");
    drop(slow);
}

#[tokio::test]
async fn where_everybody_is_being_served_a_newcomer_is_turned_away_with_a_reason() {
    let rig = Rig::new().agent("one", |_| {}).limits(|limits| {
        limits.of_one_user = 1;
        limits.patience = Duration::from_millis(50);
    });
    let rig = rig.start().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    let mut waiting = connect(&rig.socket()).await;
    let long = request("POST", "/v1/agents/one/failures?wait=15", r#"{"kind":"rate_limit","generation":1}"#);
    waiting.write_all(long.as_bytes()).await.unwrap();
    reached(&gate).await;
    assert_eq!(rig.get("/healthz").await.status, 200, "a guest may look");
    let turned_away = rig.report(r#"{"kind":"network"}"#).await;
    assert_eq!(turned_away.problem(), (503, "too_many_connections".to_owned()));
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    gate.open();
    assert_eq!(Reply::read(&mut waiting).await.unwrap().outcome(), (200, "switched".to_owned()));
}

#[tokio::test]
async fn the_door_closes_in_good_order() {
    let mut rig = Rig::one().await;
    let gate = Gate::closed();
    rig.world.on_runtime(&"one".into(), Call::Restart, Fault::Held(gate.clone()));
    let mut idle = connect(&rig.socket()).await;
    assert_eq!(ask(&mut idle, &request("GET", "/healthz", "")).await.status, 200);
    let mut waiting = connect(&rig.socket()).await;
    let long = request("POST", "/v1/agents/one/failures?wait=600", r#"{"kind":"rate_limit","generation":1}"#);
    waiting.write_all(long.as_bytes()).await.unwrap();
    reached(&gate).await;
    assert!(rig.socket().exists());
    rig.ask_to_stop();
    // Whoever waits gets the answer of the moment, whoever is idle is let go.
    assert_eq!(Reply::read(&mut waiting).await.unwrap().outcome(), (202, "switching".to_owned()));
    assert_eq!(until_closed(&mut idle).await, "");
    gate.open();
    rig.close().await;
    assert!(!rig.socket().exists());
}

#[tokio::test]
async fn a_second_daemon_does_not_take_the_socket_away() {
    let rig = Rig::one().await;
    let mode = std::fs::metadata(rig.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = api::serve(rig.switchman(), rig.door(), rig.stopping()).expect_err("refused");
    assert!(error.is_already_served(), "{error}");
    assert_eq!(rig.get("/healthz").await.status, 200);
}

/// Everything that is written while the test runs on this thread.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_token_in_a_body_comes_out_nowhere() {
    const CANARY: &str = "sk-ant-oat01-CANARY";
    let page = Page::default();
    let writer = page.clone();
    let lines = Lines::new(LineStyle::Json, move || writer.clone(), Arc::new(SystemClock::new()));
    let _logged = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    let rig = Rig::one().await;
    let bodies = [
        format!(r#"{{"evidence":{{"text":"{CANARY}","body":"{CANARY}","headers":{{"authorization":"{CANARY}"}}}}}}"#),
        format!(r#"{{"kind":"auth","evidence":{{"status":401,"body":"{CANARY}"}}}}"#),
        format!(r#"{{"evidence":{{"signal":"{CANARY}"}}}}"#),
        format!(r#"{{"kind":"{CANARY}"}}"#),
        format!(r#"{{"kind":"auth","subscription":"{CANARY}"}}"#),
        format!(r#"{{"kind":"auth","generation":"{CANARY}"}}"#),
        format!(r#"{{"kind":"auth","reset_at":"{CANARY}"}}"#),
        format!(r#"{{"kind":"auth","turn":"{CANARY}"}}"#),
        format!(r#"{{"{CANARY}":1}}"#),
        format!(r#"{{"evidence":{{"{CANARY}":1}}}}"#),
        format!(r#"{{"evidence":{{"headers":{{"x":["{CANARY}"]}}}}}}"#),
        format!(r#"{{"kind":"auth" {CANARY}"#),
        format!("\"{CANARY}\""),
        format!(r#"{{"window":"{CANARY}"}}"#),
        format!(r#"{{"window":"weekly","at":"{CANARY}"}}"#),
    ];
    for body in &bodies {
        for (method, path) in [
            ("POST", "/v1/agents/one/failures"),
            ("POST", "/v1/agents/one/pause"),
            ("PUT", "/v1/agents/one/pin"),
            ("PUT", "/v1/subscriptions/a/cooldown"),
            ("POST", "/v1/subscriptions/a/readings"),
        ] {
            let reply = super::client::call(&rig.socket(), method, path, body).await;
            assert!(!reply.text.contains("CANARY"), "{body}: {reply:?}");
        }
    }
    for path in
        ["/v1/agents", "/v1/agents/one/explain", "/v1/subscriptions", "/v1/failures", "/v1/switches", "/metrics"]
    {
        let reply = rig.get(path).await;
        assert!(!reply.text.contains("CANARY"), "{path}: {reply:?}");
    }
    let log = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("failure."), "the log was listened to");
    assert!(!log.contains("CANARY"), "{log}");
}

#[tokio::test]
async fn the_token_of_a_lease_comes_out_nowhere_but_in_its_answer() {
    let page = Page::default();
    let writer = page.clone();
    let lines = Lines::new(LineStyle::Json, move || writer.clone(), Arc::new(SystemClock::new()));
    let _logged = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines));
    let rig = Rig::one().await;
    let (id, token) = rig.begin(r#"{"session":"chat","key":"k"}"#).await;
    let (_, other) = rig.begin(r#"{"session":"other"}"#).await;
    let replies = [
        rig.held(&format!("/v1/turns/{id}/heartbeat"), &token, "").await,
        rig.held(&format!("/v1/turns/{id}/heartbeat"), &other, "").await,
        rig.held(&format!("/v1/turns/{id}/heartbeat"), &format!("{token}{token}"), "").await,
        rig.held(&format!("/v1/turns/{id}/cancelled"), &token, "").await,
        rig.held(&format!("/v1/turns/{token}/heartbeat"), &token, "").await,
        rig.held(&format!("/v1/turns/{id}/heartbeat?{token}"), &token, "").await,
        rig.held(&format!("/v1/turns/{id}/complete"), &token, &format!(r#"{{"result":"{token}"}}"#)).await,
        rig.held(&format!("/v1/turns/{id}/complete"), &token, r#"{"result":"ok"}"#).await,
        rig.post("/v1/agents/one/turns", r#"{"session":"other"}"#).await,
        rig.get("/v1/turns").await,
        rig.get("/v1/turns?ended=true").await,
        rig.get(&format!("/v1/turns/{id}")).await,
        rig.get("/v1/agents/one").await,
        rig.get("/metrics").await,
    ];
    for reply in &replies {
        assert!(!reply.text.contains(&token) && !reply.text.contains(&other), "{reply:?}");
    }
    let log = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("turn.begun") && log.contains("turn.completed"), "the log was listened to");
    assert!(!log.contains(&token) && !log.contains(&other), "{log}");
}
