//! What an idle follower of a log costs in memory, beside a log stream of the engine client's own library.
//! Aim: no more than that.
//!
//! The engine is a thread that answers on a Unix socket, in this process of a parent, so that its memory is nobody's
//! figure. Every log has one line, which has been read; then nothing comes. The figure is the difference between
//! many followers and few, each in a process of its own, divided by the difference of their number.

#![expect(clippy::print_stdout, reason = "a program of its own that prints what it measured")]

#[path = "rig/resident.rs"]
mod resident;
#[path = "rig/results.rs"]
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use switchman::domain::{AgentName, SourceId};
use switchman::drivers::docker::DockerHost;
use switchman::drivers::docker::logs::DockerLogs;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;
use switchman::ports::logs::{LogBatch, LogSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use resident::{asked, in_a_child, resident_kib};
use results::row;

const FEW: usize = 10;
const MANY: usize = 500;
const RUNS: usize = 5;

const LOOK: &str = r#"{"Id":"4c01db0b339c7c2f1a0f6c1f8d6f0b0d1c9a2f1e5d7b8a6c3e2f1d0c9b8a7f6e","Name":"NAME","State":{"StartedAt":"2026-11-21T10:00:00.5Z","FinishedAt":"0001-01-01T00:00:00Z"},"Config":{"Tty":false},"HostConfig":{"LogConfig":{"Type":"json-file"}}}"#;

fn main() {
    if let Some(what) = asked() {
        let mut words = what.split(' ');
        let (kind, socket, count) = (words.next().unwrap_or_default(), words.next(), words.next());
        let count = count.and_then(|count| count.parse().ok()).expect("a number");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        println!("{}", runtime.expect("a runtime").block_on(measure(kind, socket.expect("a socket"), count)));
    } else {
        compare();
    }
}

fn compare() {
    let folder = tempfile::tempdir().expect("a directory");
    let socket = folder.path().join("engine.sock");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(async { UnixListener::bind(&socket) }).expect("a socket");
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let per_piece = |kind: &str| {
        let figure = |count: usize| in_a_child(&format!("{kind} {} {count}", socket.display()));
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let more = (MANY - FEW) as f64;
        let mut runs: Vec<f64> = (0..RUNS).map(|_| (figure(MANY) - figure(FEW)) / more).collect();
        runs.sort_by(f64::total_cmp);
        (runs[0], runs[RUNS / 2], runs[RUNS - 1])
    };
    let (least, library, most) = per_piece("library");
    let yardstick = format!("{least:.1} / {library:.1} / {most:.1} KiB for a stream of the client library");
    let (least, follower, most) = per_piece("follower");
    let figure = format!("{least:.1} / {follower:.1} / {most:.1} KiB");
    row(&format!("memory per idle follower, {FEW} to {MANY}"), &figure, &yardstick, follower / library, "x", ..=1.0);
}

/// Answers one request.
async fn serve(mut stream: UnixStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let is_log = line.contains("/logs?");
    let answer = if is_log {
        let text = "2026-11-21T10:00:01.000000000Z hello\n";
        let head = [1, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).expect("a short line")];
        let mut answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        answer.extend(format!("{:x}\r\n", head.len() + text.len()).into_bytes());
        answer.extend(head);
        answer.extend(text.as_bytes());
        answer.extend(b"\r\n");
        answer
    } else {
        let name = line.split('/').nth(2).unwrap_or_default();
        let look = LOOK.replace("NAME", &format!("/{name}"));
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{look}", look.len()).into_bytes()
    };
    if stream.write_all(&answer).await.is_ok() && is_log {
        // Open until the other side goes.
        let _gone = stream.read(&mut [0]).await.is_ok();
    }
}

/// Resident memory with so many streams that each wait in a task of their own.
async fn measure(kind: &str, socket: &str, count: usize) -> f64 {
    let (ready_in, mut ready) = tokio::sync::mpsc::channel(1);
    match kind {
        "follower" => {
            let names: BTreeMap<_, _> =
                (0..count).map(|number| (AgentName::new(format!("agent-{number}")), format!("box-{number}"))).collect();
            let agents: Vec<AgentName> = names.keys().cloned().collect();
            let host = DockerHost::Unix(socket.to_owned());
            let logs = Arc::new(DockerLogs::new(host, names, Duration::from_secs(60), Arc::new(SystemClock::new())));
            for agent in agents {
                let (logs, ready_in) = (Arc::clone(&logs), ready_in.clone());
                tokio::spawn(async move {
                    let mut stream = logs.open(&agent, &SourceId::Container, &[], true).await.expect("a log");
                    loop {
                        // A reader that waits keeps no room: a batch per read.
                        let mut batch = LogBatch::default();
                        stream.next(&mut batch).await.expect("a line");
                        assert_eq!(batch.len(), 1);
                        ready_in.send(()).await.expect("somebody counts");
                    }
                });
                ready.recv().await.expect("it is read");
            }
        }
        "library" => {
            let client = Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION).expect("a client");
            for number in 0..count {
                let (client, ready_in) = (client.clone(), ready_in.clone());
                tokio::spawn(async move {
                    let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).timestamps(true);
                    let mut lines = client.logs(&format!("box-{number}"), Some(options.build()));
                    while let Some(line) = lines.next().await {
                        line.expect("a line");
                        ready_in.send(()).await.expect("somebody counts");
                    }
                });
                ready.recv().await.expect("it is read");
            }
        }
        other => panic!("nothing named {other}"),
    }
    SystemClock::new().sleep(Duration::from_millis(500)).await;
    resident_kib()
}
