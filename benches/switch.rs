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

#[path = "rig/containers.rs"]
mod containers;
#[path = "../tests/rig/image.rs"]
mod image;
#[path = "rig/results.rs"]
mod results;
#[path = "rig/service.rs"]
mod service;

use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::iter;
use serde_json::Value;

use containers::{Containers, with_containers};
use results::row;
use service::Service;

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
        with_containers(&client, AGENTS, async |containers| measure(&client, containers).await).await;
    });
}

async fn measure(client: &Docker, containers: &Containers) {
    let mut daemon = Service::of(containers, PARALLEL);
    daemon.start();
    let began = Instant::now();
    while !are_adopted(&daemon.agents().await) {
        assert!(began.elapsed() < Duration::from_secs(60), "not all are adopted: {}", daemon.log());
        tokio::time::sleep(CALM / 4).await;
    }
    single(client, &daemon, &containers.names[0]).await;
    all_at_once(client, &daemon, &containers.names).await;
    daemon.kill().await;
}

fn are_adopted(agents: &[Value]) -> bool {
    !agents.is_empty() && agents.iter().all(|agent| agent["assignment"]["subscription"] == "a")
}

async fn single(client: &Docker, daemon: &Service, name: &str) {
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

async fn all_at_once(client: &Docker, daemon: &Service, names: &[String]) {
    let (mut restarts, mut switches) = (Vec::new(), Vec::new());
    // The one that was moved alone is brought back to the others.
    let first = daemon.ask("GET", &format!("/v1/agents/{}", names[0]), "").await;
    if first["assignment"]["subscription"] != "a" {
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
