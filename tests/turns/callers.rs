//! Callers that share an agent: what they ask of the daemon, and what they hold.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::http::{self, Answered};
use crate::program::eventually;
use crate::site::Site;

/// A turn that a caller was given.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) token: String,
    /// As it was given.
    pub(crate) turn: Value,
}

impl Held {
    pub(crate) fn of(answered: &Answered) -> Self {
        assert_eq!(answered.status, 201, "{}", answered.text);
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{}", answered.text)).to_owned();
        let turn = answered.body["turn"].clone();
        Self { id: text(&turn["id"]), token: text(&answered.body["lease_token"]), turn }
    }

    /// Turns of an agent are numbered.
    pub(crate) fn number(&self) -> u64 {
        number(&self.id)
    }
}

pub(crate) fn number(id: &str) -> u64 {
    id.rsplit_once("-t").unwrap().1.parse().unwrap()
}

/// What somebody asks for who does not wait.
pub(crate) fn now(session: impl Into<Value>, holder: &str) -> Value {
    json!({"session": session.into(), "holder": holder, "class": "interactive", "on_busy": "reject"})
}

/// What somebody asks for who waits.
pub(crate) fn waiting(session: impl Into<Value>, holder: &str) -> Value {
    with(now(session, holder), &json!({"on_busy": "queue", "wait_s": 60}))
}

/// The same as a worker in the background asks for it.
pub(crate) fn in_background(begin: Value) -> Value {
    with(begin, &json!({"class": "background"}))
}

/// The same with these members.
pub(crate) fn with(mut begin: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        begin[name] = value.clone();
    }
    begin
}

/// A caller that has asked and waits.
#[derive(Debug)]
pub(crate) struct Queued(JoinHandle<std::io::Result<Answered>>);

impl Queued {
    pub(crate) async fn answered(self) -> Answered {
        self.0.await.unwrap().expect("an answer")
    }

    /// The turn that it has waited for.
    pub(crate) async fn served(self) -> Held {
        Held::of(&self.answered().await)
    }

    pub(crate) fn still_waits(&self) -> bool {
        !self.0.is_finished()
    }

    /// Goes away without an answer.
    pub(crate) async fn leave(self) {
        self.0.abort();
        assert!(self.0.await.unwrap_err().is_cancelled(), "it was answered before it could leave");
    }
}

impl Site {
    pub(crate) async fn begin(&self, agent: &str, begin: &Value) -> Answered {
        self.call("POST", &format!("/v1/agents/{agent}/turns"), Some(begin)).await
    }

    /// Begins a turn that is there to be had, and takes it: work is under way.
    pub(crate) async fn taken(&self, agent: &str, begin: &Value) -> Held {
        let held = Held::of(&self.begin(agent, begin).await);
        self.beat(&held).await;
        held
    }

    /// Asks in a task of its own.
    pub(crate) fn asks(&self, agent: &str, begin: &Value) -> Queued {
        let (socket, path, begin) = (self.folder.socket(), format!("/v1/agents/{agent}/turns"), begin.clone());
        Queued(tokio::spawn(async move { http::call(&socket, "POST", &path, &[], Some(&begin)).await }))
    }

    /// Puts a caller in line; resolves when it stands there.
    pub(crate) async fn queue(&self, agent: &str, begin: &Value) -> Queued {
        let before = self.agent(agent).await["turns"]["queued"].as_u64().unwrap();
        let queued = self.asks(agent, begin);
        self.are_queued(agent, before + 1).await;
        queued
    }

    /// Waits until so many stand in line.
    pub(crate) async fn are_queued(&self, agent: &str, count: u64) {
        eventually(&format!("{count} wait for {agent}"), async || {
            (self.agent(agent).await["turns"]["queued"] == count).then_some(())
        })
        .await;
    }

    /// Something that only the holder may do, with its token.
    pub(crate) async fn act(&self, held: &Held, what: &str, body: Option<&Value>) -> Answered {
        self.act_as(&held.token, &held.id, what, body).await
    }

    /// The same with any token.
    pub(crate) async fn act_as(&self, token: &str, id: &str, what: &str, body: Option<&Value>) -> Answered {
        let (path, headers) = (format!("/v1/turns/{id}/{what}"), [format!("Authorization: Lease {token}")]);
        let answered = self.try_call_with("POST", &path, &headers, body).await;
        answered.unwrap_or_else(|| panic!("the daemon does not answer {path}"))
    }

    /// A heartbeat that is in order; what it was answered.
    pub(crate) async fn beat(&self, held: &Held) -> Value {
        done(&self.act(held, "heartbeat", None).await)
    }

    /// The holder is done, and says how it went.
    pub(crate) async fn complete(&self, held: &Held, result: &str) -> Value {
        done(&self.act(held, "complete", Some(&json!({"result": result}))).await)
    }

    /// Somebody asks for a stop; the id of the request.
    pub(crate) async fn cancel(&self, held: &Held) -> String {
        let asked = self.call("POST", &format!("/v1/turns/{}/cancel", held.id), None).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        asked.body["turn"]["cancel_requested"]["id"].as_str().unwrap_or_else(|| panic!("{}", asked.text)).to_owned()
    }

    /// The turns of an agent that have not ended.
    pub(crate) async fn turns(&self, agent: &str) -> Vec<Value> {
        self.get(&format!("/v1/turns?agent={agent}")).await["turns"].as_array().unwrap().clone()
    }

    /// The events of this name of an agent in all lives of the daemon, with all that is older than this call.
    pub(crate) async fn told(&self, agent: &str, name: &str) -> Vec<Value> {
        self.all_is_told(agent).await;
        self.events(name).into_iter().filter(|event| event["agent"] == agent).collect()
    }

    /// Waits until the log has everything of an agent that is older than this call: somebody asks for what nobody gets, and
    /// that is told after it.
    pub(crate) async fn all_is_told(&self, agent: &str) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let holder = format!("marker {}", COUNT.fetch_add(1, Ordering::Relaxed));
        let begin = with(now("marker", &holder), &json!({"after": format!("{agent}-t0")}));
        refused(&self.begin(agent, &begin).await, 409, "out_of_step");
        self.event("turn.refused", |event| event["agent"] == agent && event["holder"] == holder).await;
    }

    /// Everything in the history of an agent that was no start of the daemon's, oldest first, as `kind`.
    pub(crate) async fn history(&self, agent: &str) -> Vec<Value> {
        let listed = self.get(&format!("/v1/switches?agent={agent}&limit=500")).await;
        let all = listed["switches"].as_array().unwrap().iter().rev();
        all.filter(|entry| entry["kind"] != "recover").cloned().collect()
    }
}

/// The body of what went well.
pub(crate) fn done(answered: &Answered) -> Value {
    assert_eq!(answered.status, 200, "{}", answered.text);
    answered.body.clone()
}

/// Asserts that it was refused with this problem, as a problem document; the document.
#[track_caller]
pub(crate) fn refused(answered: &Answered, status: u16, code: &str) -> Value {
    assert_eq!((answered.status, &answered.body["code"]), (status, &json!(code)), "{}", answered.text);
    assert_eq!(answered.body["status"], status, "{}", answered.text);
    let head = answered.text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(answered.body["detail"].is_string() && answered.body["title"].is_string(), "{}", answered.text);
    answered.body.clone()
}

/// Seconds after which it is worth trying again, as the header says and the document repeats.
#[track_caller]
pub(crate) fn retry_after(answered: &Answered) -> Option<u64> {
    let head = answered.text.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    let seconds = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).map(|text| text.parse().unwrap());
    assert_eq!(answered.body["retry_after_s"].as_u64(), seconds, "{}", answered.text);
    seconds
}
