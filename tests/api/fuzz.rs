//! Whatever is sent: every request with a body is taken as it reads, or refused in a document that says why, and then
//! nothing has changed.
//!
//! 256 documents for each request, some of any bytes, some of any JSON, most of them valid ones that were tampered with.
//! For longer: `PROPTEST_CASES=20000 cargo nextest run --test api fuzz`. What fails is made smaller and printed.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use switchman::api::v1::wire;
use switchman::api::{BYTES_MAX, Code};
use tokio::runtime::{Builder, Runtime};

use super::client::{Reply, send};
use super::fuzz_documents::{CANARY, Json, arbitrary, change, damage};
use super::fuzz_requests::{Request, whole};
use super::rig::Rig;

/// A daemon with one agent, on which somebody holds the turn `one-t1` in the session `held`.
pub(crate) struct Scene {
    pub(crate) rig: Rig,
    pub(crate) token: String,
    before: Vec<Value>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let rig = Rig::new().agent("one", |policy| policy.turns.sessions_max = 10).start().await;
        let begun = rig.post("/v1/agents/one/turns", r#"{"session":"held","holder":"somebody"}"#).await;
        let token = whole::<wire::BegunTurn>(&begun).lease_token;
        let beaten = of_holder(&rig, "/v1/turns/one-t1/heartbeat", &token, b"").await;
        assert_eq!(beaten.status, 200, "{beaten:?}");
        let mut scene = Self { rig, token, before: Vec::new() };
        scene.before = scene.seen().await;
        scene
    }

    /// As whoever holds the turn.
    pub(crate) async fn send(&self, request: Request, body: &[u8]) -> Reply {
        let (method, path) = request.line();
        exchange(&self.rig, method, path, &self.token, body).await
    }

    /// Everything that a request could have changed. What changes by itself is left out.
    async fn seen(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        for path in
            ["/v1/agents/one", "/v1/subscriptions", "/v1/switches", "/v1/failures", "/v1/turns", "/v1/turns?ended=true"]
        {
            let mut document = self.rig.get(path).await.json();
            leave_out(&mut document, &["credential", "expires_at"]);
            seen.push(document);
        }
        seen
    }
}

fn leave_out(document: &mut Value, names: &[&str]) {
    match document {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.as_str()));
            members.values_mut().for_each(|value| leave_out(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn exchange(rig: &Rig, method: &str, path: &str, token: &str, body: &[u8]) -> Reply {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Lease {token}\r\n");
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    send(&rig.socket(), &bytes).await
}

/// A request of a holder.
pub(crate) async fn of_holder(rig: &Rig, path: &str, token: &str, body: &[u8]) -> Reply {
    exchange(rig, "POST", path, token, body).await
}

/// What is sent, and what is known of it.
#[derive(Clone)]
struct Attempt {
    /// What it was made from; `None` if it is just bytes.
    made_from: Option<Json>,
    is_valid: bool,
    body: Vec<u8>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ({} bytes)", String::from_utf8_lossy(&self.body), self.body.len())
    }
}

fn tampered(request: Request) -> impl Strategy<Value = (Json, Vec<u8>)> {
    let changes = prop::collection::vec((change(request.names()), any::<u16>()), 1..3);
    (request.valid(), changes, damage()).prop_map(|(mut document, changes, damage)| {
        for (change, which) in changes {
            change.apply(&mut document, which);
        }
        let body = damage.apply(document.write().into_bytes());
        (document, body)
    })
}

fn attempt(request: Request) -> BoxedStrategy<Attempt> {
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    let of = |made_from: Json, is_valid: bool| {
        let body = made_from.write().into_bytes();
        Attempt { made_from: Some(made_from), is_valid, body }
    };
    prop_oneof![
        1 => bytes.prop_map(|body| Attempt { made_from: None, is_valid: false, body }),
        2 => arbitrary(request.names()).prop_map(move |document| of(document, false)),
        3 => request.valid().prop_map(move |document| of(document, true)),
        10 => tampered(request).prop_map(|(document, body)| {
            Attempt { made_from: Some(document), is_valid: false, body }
        }),
    ]
    .boxed()
}

/// A refusal is a problem document that shows nothing of the request.
pub(crate) fn check_refusal(reply: &Reply) {
    let (status, code) = reply.problem();
    let known = Code::ALL.iter().find(|known| known.as_str() == code).expect("a code of the documentation");
    // A subscription that does not exist is 404 in a path and 422 in a body.
    assert!(status == known.status() || *known == Code::SubscriptionNotFound, "{reply:?}");
    let problem: wire::Problem = whole(reply);
    assert_eq!(problem.title, known.title());
    let retry_after = problem.retry_after_s.map(|seconds| seconds.to_string());
    assert_eq!(reply.header("retry-after").map(str::to_owned), retry_after);
    assert!(!reply.text.contains(CANARY), "it shows what was sent: {reply:?}");
}

async fn try_it(scene: &Scene, request: Request, attempt: &Attempt) -> bool {
    let reply = scene.send(request, &attempt.body).await;
    assert!(reply.status < 500, "nothing is the matter with this agent: {reply:?}");
    if !(200..300).contains(&reply.status) {
        assert!(!attempt.is_valid, "it is valid: {reply:?}");
        assert!(attempt.body.len() <= BYTES_MAX || reply.problem() == (413, "body_too_large".to_owned()), "{reply:?}");
        check_refusal(&reply);
        assert_eq!(scene.seen().await, scene.before, "refused, and something has changed: {reply:?}");
        return false;
    }
    assert!(attempt.body.len() <= BYTES_MAX, "{reply:?}");
    if let Some(document) = &attempt.made_from
        && document.write().as_bytes() == attempt.body
    {
        assert!(!document.has_twins(), "a member came twice, and one of them was believed");
        let unknown = document.members().find(|name| !request.names().contains(name));
        assert_eq!(unknown, None, "a member that nobody knows was passed over");
    }
    request.check(scene, &attempt.body, &reply).await;
    true
}

/// Tries so many documents, each before a daemon at which nothing has been taken yet.
fn holds_for(request: Request) {
    let (stage, taken, refused) = (RefCell::new(None::<(Runtime, Scene)>), Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let result = runner.run(&attempt(request), |attempt| {
        let (runtime, scene) = stage.take().unwrap_or_else(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let scene = runtime.block_on(Scene::new());
            (runtime, scene)
        });
        if runtime.block_on(try_it(&scene, request, &attempt)) {
            // Whatever is under way there ends with the runtime.
            taken.set(taken.get() + 1);
        } else {
            refused.set(refused.get() + 1);
            stage.replace(Some((runtime, scene)));
        }
        Ok(())
    });
    result.unwrap_or_else(|failed| panic!("{request:?}: {failed}"));
    // If everything were refused, nothing would have been tried.
    assert!(taken.get() > 10 && refused.get() > 10, "{} taken, {} refused", taken.get(), refused.get());
}

macro_rules! fuzzed {
    ($( $name:ident: $request:ident, )+) => {
        $( #[test] fn $name() { holds_for(Request::$request); } )+
    };
}

fuzzed! {
    a_begin_is_taken_as_it_reads_or_refused: Begin,
    a_complete_is_taken_as_it_reads_or_refused: Complete,
    a_cancel_is_taken_as_it_reads_or_refused: Cancel,
    a_report_is_taken_as_it_reads_or_refused: Report,
    a_switch_is_taken_as_it_reads_or_refused: Switch,
    a_pause_is_taken_as_it_reads_or_refused: Pause,
    a_pin_is_taken_as_it_reads_or_refused: Pin,
    a_cooldown_is_taken_as_it_reads_or_refused: Cool,
    a_reading_is_taken_as_it_reads_or_refused: Read,
}
