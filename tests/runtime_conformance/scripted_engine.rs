//! An engine made of a script: it speaks just enough HTTP to answer each call as it is told, or not at all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchman::domain::Instance;
use switchman::drivers::docker::{DockerHost, DockerRuntime};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::runtime::RuntimeError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::one;

pub(crate) const CALL: Duration = Duration::from_millis(300);
pub(crate) const RUNS: &str =
    r#"{"Id":"c1","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:00.1Z"},"Config":{}}"#;
pub(crate) const STANDS: &str =
    r#"{"Id":"c1","Name":"/box","State":{"Running":false,"StartedAt":"2026-11-01T10:00:00.1Z"},"Config":{}}"#;

/// What the engine does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer(u16, &'static str),
    /// Reads the request and closes the connection.
    Drop,
    /// Reads the request and says nothing.
    Hang,
    /// Sends a head and half a body, and says nothing more.
    HalfABody,
    /// Sends this much of a stream, and then nothing until it is closed.
    Stream(&'static str),
}

type Script = Arc<Mutex<BTreeMap<&'static str, Reply>>>;

/// Answers by the path, or else by its last part: `/exec/e1/json`, `json`, `start`, `restart`, `_ping`, `events`.
pub(crate) struct Engine {
    folder: tempfile::TempDir,
    script: Script,
    seen: Arc<Mutex<Vec<String>>>,
    serving: Option<tokio::task::JoinHandle<()>>,
}

impl Engine {
    pub(crate) fn absent() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), script: Script::default(), seen: Arc::default(), serving: None }
    }

    pub(crate) fn new(script: &[(&'static str, Reply)]) -> Self {
        let mut engine = Self::absent();
        engine.script.lock().unwrap().extend(script.iter().cloned());
        engine.come_up();
        engine
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    pub(crate) fn come_up(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (script, seen) = (self.script.clone(), self.seen.clone());
        self.serving = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, script.clone(), seen.clone()));
            }
        }));
    }

    /// Closes every connection and takes the socket away.
    pub(crate) async fn go_down(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        std::fs::remove_file(self.socket()).unwrap();
    }

    pub(crate) fn runtime(&self) -> DockerRuntime {
        let names = BTreeMap::from([(one(), "box".to_owned())]);
        let host = DockerHost::Unix(self.socket().display().to_string());
        DockerRuntime::new(host, names, CALL, Arc::new(SystemClock::new()))
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: UnixStream, script: Script, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let path = line.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    let call = path.rsplit('/').next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(line);
    let reply = {
        let script = script.lock().unwrap();
        script.get(path.as_str()).or_else(|| script.get(call.as_str())).cloned()
    };
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    let text = match reply.unwrap_or(Reply::Answer(404, r#"{"message":"page not found"}"#)) {
        Reply::Answer(304, _) => "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        Reply::Answer(204, _) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        Reply::Answer(status, body) => head(status, body.len()) + body,
        Reply::Drop => return,
        Reply::Hang => String::new(),
        Reply::HalfABody => head(200, 500) + r#"{"Id":"#,
        Reply::Stream(body) => {
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())
        }
    };
    let ends = text.contains("Content-Length") && !text.ends_with(r#"{"Id":"#) || text.starts_with("HTTP/1.1 304 ");
    let _gone = stream.write_all(text.as_bytes()).await.is_err();
    if !ends && !text.starts_with("HTTP/1.1 204 ") {
        std::future::pending::<()>().await;
    }
}

impl Engine {
    /// From now on it answers this call so.
    pub(crate) fn answers(&self, call: &'static str, reply: Reply) {
        self.script.lock().unwrap().insert(call, reply);
    }
}

pub(crate) fn before() -> Instance {
    Instance { id: "c1".to_owned(), started_at: "2026-11-01T10:00:00.1Z".to_owned() }
}

/// What a failed call is called, to compare by.
pub(crate) fn sort(error: &RuntimeError) -> &'static str {
    match error {
        RuntimeError::Unreachable(_) => "unreachable",
        RuntimeError::Timeout { .. } => "timeout",
        RuntimeError::Unknown { .. } => "unknown",
        RuntimeError::Missing(_) => "missing",
        RuntimeError::Foreign { .. } => "foreign",
        RuntimeError::Refused { .. } => "refused",
    }
}

pub(crate) fn outcome<T>(result: Result<T, RuntimeError>) -> &'static str {
    result.map_or_else(|error| sort(&error), |_| "ok")
}
