//! The daemon's HTTP API from the other side: one request, one connection, one answer in time.
//!
//! It must not know what the verbs ask for. Whatever goes wrong becomes a [`Failure`]: no daemon, no answer and an
//! answer in no known form are *not reachable*; a problem document is passed on with the exit that its code has.
//!
//! Tests: below and `tests/cli.rs`.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::net::UnixStream;

use super::output::to_stderr;
use crate::error::{Exit, Failure};
use crate::ports::clock::Clock;

/// How long to try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon to try again while the daemon's queue of connections is full.
const CONNECT_AGAIN: Duration = Duration::from_millis(20);
/// How long an answer may take, on top of what was asked to be waited for. The daemon gives up after 15 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer of more bytes than this is none of the daemon's.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The daemon behind a socket.
pub(super) struct Daemon {
    socket: PathBuf,
    /// Where the name of the socket comes from, for the person who has to mend it.
    origin: String,
    clock: Arc<dyn Clock>,
    is_verbose: bool,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    method: Method,
    target: String,
    body: Option<Value>,
    patience: Duration,
    /// How the holder of a turn proves itself.
    token: Option<SecretString>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Map<String, Value>,
}

impl Call {
    /// A request for a path given by its segments, which need no escaping.
    pub(super) fn new(method: Method, segments: &[&str]) -> Self {
        let target = segments.iter().flat_map(|segment| ["/".to_owned(), escaped(segment)]).collect();
        Self { method, target, body: None, patience: ANSWER_TIMEOUT, token: None }
    }

    pub(super) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(super) fn post(segments: &[&str], body: Value) -> Self {
        Self { body: Some(spare(body)), ..Self::new(Method::POST, segments) }
    }

    pub(super) fn put(segments: &[&str], body: Value) -> Self {
        Self { body: Some(spare(body)), ..Self::new(Method::PUT, segments) }
    }

    pub(super) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    /// Adds a parameter of the query.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{mark}{name}={}", self.target, escaped(value));
        self
    }

    /// As the holder of a turn.
    pub(super) fn proved(self, token: &SecretString) -> Self {
        Self { token: Some(token.clone()), ..self }
    }

    /// The answer may take so much longer.
    pub(super) fn patient(self, longer: Duration) -> Self {
        Self { patience: self.patience.saturating_add(longer), ..self }
    }

    /// Asks the daemon to hold the answer back until the matter is settled, at most so long.
    pub(super) fn waiting(self, at_most: Duration) -> Self {
        let seconds = at_most.as_millis().div_ceil(1_000);
        self.patient(at_most).with("wait", &seconds.to_string())
    }
}

/// Without members that say nothing: a request shows what was asked for.
fn spare(body: Value) -> Value {
    match body {
        Value::Object(members) => {
            let said = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(name, value)| (name, spare(value))).collect())
        }
        other => other,
    }
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

impl Daemon {
    pub(super) fn new(socket: PathBuf, origin: String, clock: Arc<dyn Clock>, is_verbose: bool) -> Self {
        Self { socket, origin, clock, is_verbose }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Sends a request; an answer that is no success is a failure.
    pub(super) async fn call(&self, call: Call) -> Result<Map<String, Value>, Failure> {
        let answer = self.ask(call).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refusal(answer)) }
    }

    /// Sends a request; gives the answer, whatever it says.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, Failure> {
        if self.is_verbose {
            to_stderr(&format!("> {} {} ({})\n", call.method, call.target, self.socket.display()));
        }
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .unwrap_or_else(|_| Err(self.unreachable("it takes no connections", "look at what it logs")))?;
        let patience = call.patience;
        let answer = tokio::time::timeout(patience, self.exchange(stream, call)).await.unwrap_or_else(|_| {
            Err(self.unreachable(&format!("no answer within {} s", patience.as_secs()), "look at what it logs"))
        })?;
        if self.is_verbose {
            to_stderr(&format!("< {}\n", answer.status));
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<UnixStream, Failure> {
        loop {
            let err = match UnixStream::connect(&self.socket).await {
                Ok(stream) => return Ok(stream),
                Err(err) => err,
            };
            let hint = match err.kind() {
                // Its queue is full: others were faster.
                ErrorKind::WouldBlock => {
                    self.clock.sleep(CONNECT_AGAIN).await;
                    continue;
                }
                ErrorKind::PermissionDenied => {
                    "the daemon's socket is for its user and group: join that group, or use sudo"
                }
                _ => "start it with `systemctl start switchman` or `switchman run`, or name its socket with --socket",
            };
            return Err(self.unreachable(&err.to_string(), hint));
        }
    }

    async fn exchange(&self, stream: UnixStream, call: Call) -> Result<Answer, Failure> {
        let lost = |err: hyper::Error| self.lost(&err);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let body = call.body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(call.method)
            .uri(call.target)
            .header(header::HOST, "switchman")
            .header(header::USER_AGENT, concat!("switchman/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close");
        let request = if body.is_empty() { request } else { request.header(header::CONTENT_TYPE, "application/json") };
        let request = match &call.token {
            Some(token) => {
                let proof = HeaderValue::try_from(format!("Lease {}", token.expose_secret()));
                let mut proof = proof
                    .map_err(|_| Failure::new(Exit::Failed, "bad_request", "cannot make the request: no such token"))?;
                proof.set_sensitive(true);
                request.header(header::AUTHORIZATION, proof)
            }
            None => request,
        };
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|err| Failure::new(Exit::Failed, "bad_request", format!("cannot make the request: {err}")))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(lost)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            Ok((status, body.map_err(|err| self.lost(&*err))?.to_bytes()))
        };
        tokio::pin!(answer);
        tokio::pin!(connection);
        let (status, body) = tokio::select! {
            // The connection has to be driven; when it ends first, the answer says why.
            ended = &mut connection => match ended {
                Ok(()) => answer.await,
                Err(err) => Err(self.lost(&err)),
            },
            answer = &mut answer => answer,
        }?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(body)) => Ok(Answer { status, body }),
            Ok(_) | Err(_) if !status.is_success() => Ok(Answer { status, body: Map::new() }),
            Ok(_) | Err(_) => Err(self.unreachable("its answer is no JSON object", "is it switchman that listens?")),
        }
    }

    fn lost(&self, err: &(dyn std::error::Error + 'static)) -> Failure {
        self.unreachable(
            &format!("the connection was lost before the answer: {err}"),
            "what was asked for may have been done all the same: look at `switchman status`",
        )
    }

    fn unreachable(&self, why: &str, hint: &str) -> Failure {
        let socket = self.socket.display();
        let detail = format!("the daemon is not reachable at {socket}: {why}");
        Failure::new(Exit::Unreachable, "daemon_unreachable", detail)
            .with_hint(format!("{hint} (the socket is {})", self.origin))
            .with_member("socket", json!(socket.to_string()))
    }
}

/// An answer, or a part of one, as what it should be.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|err| strange(&err.to_string()))
}

/// As [`read`], of a whole answer.
pub(super) fn read_all<T: DeserializeOwned>(answer: &Map<String, Value>) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|err| strange(&err.to_string()))
}

/// The list that an answer wraps.
pub(super) fn list(mut answer: Map<String, Value>, name: &str) -> Result<Vec<Value>, Failure> {
    match answer.remove(name) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(strange(&format!("it has no list `{name}`"))),
    }
}

fn strange(why: &str) -> Failure {
    Failure::new(Exit::Failed, "answer_unreadable", format!("cannot read the daemon's answer: {why}"))
        .with_hint("the daemon may be of another version: switchman --version")
}

/// A failure from an answer that is no success.
fn refusal(answer: Answer) -> Failure {
    let Answer { status, mut body } = answer;
    if !body.contains_key("code") {
        body.insert("code".to_owned(), json!(format!("http_{}", status.as_u16())));
    }
    if !body.contains_key("detail") && !body.contains_key("title") {
        body.insert("detail".to_owned(), json!(format!("the daemon answered {status}")));
    }
    let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
    Failure::from_document(exit_of(status, code), body)
}

/// Refused (3) is what may well be granted at another time, to somebody else or with `--force`, and what comes of a turn
/// that is over; the rest has failed (1).
fn exit_of(status: StatusCode, code: &str) -> Exit {
    const REFUSED: &[&str] = &[
        "subscription_not_eligible",
        "turn_not_found",
        "not_the_holder",
        "not_this_agent",
        "agent_exhausted",
        "agent_parked",
        "agent_paused",
        "agent_braked",
        "agent_not_running",
        "agent_unassigned",
        "busy",
        "stopping",
        "too_many_connections",
    ];
    let is_refused =
        status == StatusCode::CONFLICT || status == StatusCode::TOO_MANY_REQUESTS || REFUSED.contains(&code);
    if is_refused { Exit::Refused } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_segments() {
        let call =
            Call::get(&["v1", "agents", "a/b c%ü?"]).with("since", "2026-01-01T00:00:00+01:00").with("limit", "3");
        assert_eq!(call.target, "/v1/agents/a%2Fb%20c%25%C3%BC%3F?since=2026-01-01T00%3A00%3A00%2B01%3A00&limit=3");
    }

    #[test]
    fn what_may_be_granted_later_is_refused_and_the_rest_has_failed() {
        let cases = [
            (409, "switch_in_progress", Exit::Refused),
            (409, "pinned", Exit::Refused),
            (422, "subscription_not_eligible", Exit::Refused),
            (429, "shed", Exit::Refused),
            (503, "busy", Exit::Refused),
            (409, "turn_in_progress", Exit::Refused),
            (409, "turn_cut_off", Exit::Refused),
            (404, "turn_not_found", Exit::Refused),
            (403, "not_the_holder", Exit::Refused),
            (503, "agent_exhausted", Exit::Refused),
            (422, "key_reused", Exit::Failed),
            (503, "store_unavailable", Exit::Failed),
            (404, "agent_not_found", Exit::Failed),
            (422, "invalid_body", Exit::Failed),
            (500, "", Exit::Failed),
        ];
        for (status, code, exit) in cases {
            assert_eq!(exit_of(StatusCode::from_u16(status).unwrap(), code), exit, "{status} {code}");
        }
    }

    #[test]
    fn an_answer_without_a_document_is_told_by_its_status() {
        let failure = refusal(Answer { status: StatusCode::BAD_GATEWAY, body: Map::new() });
        assert_eq!(failure.to_string(), "switchman: the daemon answered 502 Bad Gateway (http_502)\n");
    }
}
