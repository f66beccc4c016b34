//! The daemon in a process of its own, asked over its socket. It is killed when this is dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::containers::{Containers, credential, secret};

/// A daemon, and what it is started with.
pub(crate) struct Service {
    child: Option<Child>,
    work: PathBuf,
    socket: PathBuf,
    _sockets: tempfile::TempDir,
}

impl Service {
    /// For these containers, each an agent on subscription `a` that can go to `b`. It does not run yet.
    pub(crate) fn of(containers: &Containers, parallel: usize) -> Self {
        // A socket's path must be short, and that of a checkout may not be.
        let sockets = tempfile::tempdir().expect("a directory");
        let (socket, work) = (sockets.path().join("switchman.sock"), containers.work().to_owned());
        let config = config(&work, &socket, &containers.names, parallel);
        std::fs::write(work.join("config.toml"), config).expect("a config");
        Self { child: None, work, socket, _sockets: sockets }
    }

    /// Starts it; it may take a moment until it listens.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.work.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_switchman"))
            .arg("--config")
            .arg(self.work.join("config.toml"))
            .arg("run")
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.expect("a daemon"));
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it can be killed");
        }
    }

    /// What it has written into its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.work.join("log")).unwrap_or_default()
    }

    /// Whether it listens.
    pub(crate) async fn listens(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    /// One request; the body of the answer, which must not be a refusal.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = UnixStream::connect(&self.socket).await.expect("the daemon listens");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).expect("a document")
    }

    /// Every agent, as the API shows it; none while the daemon is not there.
    pub(crate) async fn agents(&self) -> Vec<Value> {
        if !self.listens().await {
            return Vec::new();
        }
        let mut agents = self.ask("GET", "/v1/agents", "").await;
        agents["agents"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }
}

fn config(work: &Path, socket: &Path, names: &[String], parallel: usize) -> String {
    let (dir, socket, agents) = (work.display(), socket.display(), names.len());
    let common = format!(
        r#"state_dir = "{dir}/state"
[api]
socket = "{socket}"
[log]
format = "json"
filter = "warn"
[switching]
budget = {{ switches = 100, per = "1h" }}
restarts_in_parallel = {parallel}
"#
    );
    let subscription = |name: &str| {
        secret(&work.join(name), &credential(name));
        format!(
            r#"[[subscription]]
name = "{name}"
provider = "anthropic"
type = "setup-token"
credential = {{ file = "{dir}/{name}" }}
agents_max = {agents}
"#
        )
    };
    let agent = |name: &String| {
        format!(
            r#"[[agent]]
name = "{name}"
tool = "claude-code"
container = "{name}"
delivery = {{ file = "{dir}/{name}/token" }}
"#
        )
    };
    std::iter::once(common).chain(["a", "b"].map(subscription)).chain(names.iter().map(agent)).collect()
}
