//! Telling an agent by an HTTP POST, whatever runs it: only the life that the order names is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use switchman::domain::{Instance, Reload};
use switchman::drivers::runtimes::Runtimes;
use switchman::ports::runtime::{Runtime, RuntimeError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::process_children::Children;
use super::scripted_engine::{Engine, RUNS, Reply, STANDS, before, outcome};
use super::{Orders, one, tell};

/// An agent's own small server, which counts how often it was told.
struct Server {
    by: Reload,
    told: Arc<AtomicU32>,
}

impl Server {
    async fn new(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let by = Reload::Http(format!("http://{}/reload", listener.local_addr().unwrap()));
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                assert!(head.starts_with(b"POST /reload HTTP/1.1\r\n"));
                count.fetch_add(1, Ordering::SeqCst);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { by, told }
    }

    fn told(&self) -> u32 {
        self.told.load(Ordering::SeqCst)
    }
}

async fn post(runtimes: &Runtimes, life: &Instance, server: &Server) -> &'static str {
    outcome(runtimes.reload(tell(&one(), life, &server.by)).await)
}

#[tokio::test]
async fn a_child_is_told_while_the_life_that_is_meant_runs() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "trap 'exit 0' TERM; while :; do sleep 0.02; done");
    let first = children.start().await;
    let (server, refusing) = (Server::new(204).await, Server::new(503).await);
    let runtimes = Runtimes::new(None, Some(children.runtime));
    assert_eq!(post(&runtimes, &first, &server).await, "ok");
    assert_eq!(post(&runtimes, &first, &refusing).await, "refused");
    assert_eq!((server.told(), refusing.told()), (1, 1));
    runtimes.restart(Orders::new().about(&one(), Some(&first))).await.unwrap();
    assert_eq!(post(&runtimes, &first, &server).await, "ok", "it has read the credential at its start");
    assert_eq!(server.told(), 1);
}

#[tokio::test]
async fn a_child_that_was_never_started_or_has_ended_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let children = Children::of_script(folder.path(), "exit 0");
    let life = before();
    let server = Server::new(204).await;
    let runtimes = Runtimes::new(None, Some(children.runtime));
    assert_eq!(post(&runtimes, &life, &server).await, "refused");
    assert_eq!(server.told(), 0);
}

#[tokio::test]
async fn a_container_is_told_while_the_life_that_is_meant_runs() {
    const SECOND: &str =
        r#"{"Id":"c1","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:07Z"},"Config":{}}"#;
    const OTHER: &str =
        r#"{"Id":"c2","Name":"/box","State":{"Running":true,"StartedAt":"2026-11-01T10:00:07Z"},"Config":{}}"#;
    for (look, expected, told) in [
        (Reply::Answer(200, RUNS), "ok", 1),
        (Reply::Answer(200, SECOND), "ok", 0),
        (Reply::Answer(200, STANDS), "refused", 0),
        (Reply::Answer(200, OTHER), "foreign", 0),
        (Reply::Answer(404, r#"{"message":"gone"}"#), "missing", 0),
        (Reply::Answer(500, r#"{"message":"oh"}"#), "unknown", 0),
    ] {
        let engine = Engine::new(&[("json", look.clone())]);
        let (server, runtimes) = (Server::new(200).await, Runtimes::new(Some(engine.runtime()), None));
        assert_eq!(post(&runtimes, &before(), &server).await, expected, "{look:?}");
        assert_eq!(server.told(), told, "{look:?}");
    }
}

#[tokio::test]
async fn an_agent_that_nobody_runs_is_missing() {
    let server = Server::new(204).await;
    let told = Runtimes::new(None, None).reload(tell(&one(), &before(), &server.by)).await;
    assert!(matches!(told, Err(RuntimeError::Missing(_))));
}
