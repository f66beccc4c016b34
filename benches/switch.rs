//! How long a switch takes beside the engine's own restart of the same container.
//!
//! | measured | yardstick, in turns with it | aim |
//! |---|---|---|
//! | one switch without a drain, from the request to its end, median | one restart call, median | ≤ 1.10 × |
//! | all agents leave one subscription at once, from the first report to the last end | as many restart calls, as many at a time | ≤ 1.25 × |
//!
//! The daemon is the real one, in a process of its own, asked over its socket; the containers run the agent program
//! of `examples/agent.rs` (`cargo build --release --example agent` first) and are removed at the end.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "../tests/rig/image.rs"]
mod image;
#[path = "rig/results.rs"]
mod results;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::future::join_all;
use futures_util::stream::iter;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use results::row;

/// Agents that leave one subscription at once.
const AGENTS: usize = 40;
/// Restarts at the same time: what the daemon is configured to, and the yardstick does.
const PARALLEL: usize = 8;
/// Single switches, and as many single restarts.
const RUNS: usize = 21;
/// Departures of all agents, and as many rounds of restarts.
const ROUNDS: usize = 3;
/// Long enough for the daemon to look at what the yardstick has restarted.
const CALM: Duration = Duration::from_millis(400);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Docker::connect_with_defaults().expect("an engine's address");
        client.ping().await.expect("an engine that answers (DOCKER_HOST, else the usual socket)");
        let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let names: Vec<String> =
            (0..AGENTS).map(|number| format!("switchman-bench-{}-{number}", std::process::id())).collect();
        let measured = AssertUnwindSafe(measure(&client, work.path(), &names)).catch_unwind().await;
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let removed = names.iter().map(|name| client.remove_container(name, Some(options.clone())));
        let left = iter(removed)
            .buffer_unordered(PARALLEL)
            .filter(|removed| std::future::ready(removed.is_err()))
            .count()
            .await;
        if let Err(panic) = measured {
            std::panic::resume_unwind(panic);
        }
        assert_eq!(left, 0, "containers could not be removed");
    });
}

async fn measure(client: &Docker, work: &Path, names: &[String]) {
    let program = std::env::current_exe().expect("the path of this program");
    let program = program.parent().and_then(Path::parent).expect("a target directory").join("examples/agent");
    assert!(program.exists(), "{} is not there; run: cargo build --release --example agent", program.display());
    let image = image::image(client, &program).await;
    join_all(names.iter().map(|name| create(client, &image, work, name))).await;
    let daemon = Daemon::start(work, names).await;
    single(client, &daemon, &names[0]).await;
    all_at_once(client, &daemon, names).await;
    drop(daemon);
}

/// A container of the agent, running on subscription `a`.
async fn create(client: &Docker, image: &str, work: &Path, name: &str) {
    let dir = work.join(name);
    std::fs::create_dir(&dir).and_then(|()| std::fs::write(dir.join("token"), credential("a"))).expect("a credential");
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(["/agent", "--credential-file", "/credentials/token"].map(str::to_owned).to_vec()),
        labels: Some([(image::LABEL.to_owned(), "1".to_owned())].into()),
        network_disabled: Some(true),
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{}:/credentials", dir.display())]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    client.create_container(Some(options), body).await.expect("a container");
    client.start_container(name, None).await.expect("it starts");
}

fn credential(subscription: &str) -> String {
    format!("bench-{subscription}\n")
}

async fn single(client: &Docker, daemon: &Daemon, name: &str) {
    const PARTS: [&str; 3] = ["drain_ms", "apply_ms", "ready_ms"];
    let (mut restarts, mut switches, mut parts) = (Vec::new(), Vec::new(), [const { Vec::new() }; 3]);
    for _ in 0..RUNS {
        tokio::time::sleep(CALM).await;
        let began = Instant::now();
        client.restart_container(name, None).await.expect("a restart");
        restarts.push(began.elapsed());

        tokio::time::sleep(CALM).await;
        let began = Instant::now();
        let ended = daemon.ask("POST", &format!("/v1/agents/{name}/switch?wait=60"), "{}").await;
        switches.push(began.elapsed());
        assert_eq!(ended["outcome"], "ready", "{ended}");
        for (times, part) in parts.iter_mut().zip(PARTS) {
            times.push(Duration::from_millis(ended[part].as_u64().expect("how long it took")));
        }
    }
    let [before, applied, ready] = parts.map(median).map(shown);
    let (restart, switch) = (median(restarts), median(switches));
    row(
        "one switch without a drain, median",
        &format!("{} ({before} until it begins, {applied} until started, {ready} until ready)", shown(switch)),
        &format!("{} for the engine's restart call", shown(restart)),
        switch.as_secs_f64() / restart.as_secs_f64(),
        " ×",
        ..=1.10,
    );
}

async fn all_at_once(client: &Docker, daemon: &Daemon, names: &[String]) {
    let (mut restarts, mut switches) = (Vec::new(), Vec::new());
    // The one that was moved alone is brought back to the others.
    if daemon.subscription(&names[0]).await != "a" {
        daemon.ask("POST", &format!("/v1/agents/{}/switch?wait=60", names[0]), r#"{"to":"a"}"#).await;
    }
    for round in 0..ROUNDS {
        let (from, to) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        tokio::time::sleep(4 * CALM).await;
        let began = Instant::now();
        let calls = names.iter().map(|name| client.restart_container(name, None));
        let done: Vec<_> = iter(calls).buffer_unordered(PARALLEL).collect().await;
        restarts.push(began.elapsed());
        assert!(done.iter().all(Result::is_ok), "{done:?}");

        tokio::time::sleep(4 * CALM).await;
        daemon.ask("DELETE", &format!("/v1/subscriptions/{to}/cooldown"), "").await;
        let body = format!(r#"{{"kind":"rate_limit","subscription":"{from}"}}"#);
        let began = Instant::now();
        let reports = names.iter().map(async |name| {
            let answer = daemon.ask("POST", &format!("/v1/agents/{name}/failures?wait=60"), &body).await;
            assert_eq!(answer["outcome"], "switched", "{answer}");
        });
        join_all(reports).await;
        switches.push(began.elapsed());
    }
    let (restart, switch) = (median(restarts), median(switches));
    row(
        &format!("{AGENTS} agents leave one subscription at once, median of {ROUNDS}"),
        &shown(switch),
        &format!("{} for {AGENTS} restart calls, {PARALLEL} at a time", shown(restart)),
        switch.as_secs_f64() / restart.as_secs_f64(),
        " ×",
        ..=1.25,
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn shown(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

/// The daemon in a process of its own. It ends when this is dropped.
struct Daemon {
    _child: Child,
    socket: PathBuf,
    _sockets: tempfile::TempDir,
}

impl Daemon {
    /// Starts it and waits until every agent is known to run on subscription `a`.
    async fn start(work: &Path, names: &[String]) -> Self {
        // A socket's path must be short, and that of a checkout may not be.
        let sockets = tempfile::tempdir().expect("a directory");
        let socket = sockets.path().join("switchman.sock");
        let config = config(work, &socket, names);
        let file = work.join("config.toml");
        std::fs::write(&file, config).expect("a config");
        let log = std::fs::File::create(work.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_switchman"))
            .arg("--config")
            .arg(&file)
            .arg("run")
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("a daemon");
        let daemon = Self { _child: child, socket, _sockets: sockets };
        let began = Instant::now();
        for name in names {
            while daemon.subscription(name).await != "a" {
                let log = std::fs::read_to_string(work.join("log")).unwrap_or_default();
                assert!(began.elapsed() < Duration::from_secs(60), "{name} is not adopted: {log}");
                tokio::time::sleep(CALM / 4).await;
            }
        }
        daemon
    }

    /// The subscription that an agent is on; empty if none, or while the daemon is not there.
    async fn subscription(&self, name: &str) -> String {
        match UnixStream::connect(&self.socket).await {
            Ok(_) => {
                let agent = self.ask("GET", &format!("/v1/agents/{name}"), "").await;
                agent["assignment"]["subscription"].as_str().unwrap_or_default().to_owned()
            }
            Err(_) => String::new(),
        }
    }

    /// One request; the body of the answer, which must not be a refusal.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
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
}

fn config(work: &Path, socket: &Path, names: &[String]) -> String {
    let (dir, socket) = (work.display(), socket.display());
    let common = format!(
        r#"state_dir = "{dir}/state"
[api]
socket = "{socket}"
[log]
format = "json"
filter = "warn"
[switching]
budget = {{ switches = 100, per = "1h" }}
restarts_in_parallel = {PARALLEL}
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
agents_max = {AGENTS}
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

/// A file that nobody else may read.
fn secret(path: &Path, content: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).expect("a credential");
}
