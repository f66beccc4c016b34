//! How soon a daemon that was killed knows all of its agents again, beside looking at each of them once.
//!
//! | measured | yardstick, in turns with it | aim |
//! |---|---|---|
//! | from the start of the process until every agent is known to serve and its container was seen | as many inspect calls of the client library, one after the other | ≤ 1 × |
//! | the same, when the kill has cut off switches: until these have ended as well | the inspect calls, and as many restart calls as there are switches, as many at a time | none |
//!
//! The daemon is the real one, in a process of its own, killed with SIGKILL each time. On its disk are a failure of every
//! agent, the position in every log, pauses, pins and a cooldown. The containers run the agent program of
//! `examples/agent.rs` (`cargo build --release --example agent` first) and are removed at the end.
//! `cargo bench --bench reconcile -- 50` takes 50 containers instead of 200.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "rig/containers.rs"]
mod containers;
#[path = "../tests/rig/image.rs"]
mod image;
#[path = "rig/results.rs"]
mod results;
#[path = "rig/service.rs"]
mod service;
#[path = "rig/times.rs"]
mod times;

use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::Value;

use containers::{Containers, with_containers};
use results::row;
use service::Service;
use times::{at, ms, shown};

const CONTAINERS: usize = 200;
/// Kills, and as many rounds of the yardstick.
const ROUNDS: usize = 9;
/// Switches that are cut off by the kill.
const CUT_OFF: usize = 8;
/// Kills that cut off switches.
const CUTS: usize = 3;
/// From one measurement to the next.
const CALM: Duration = Duration::from_secs(2);
/// How often it is asked: what is measured is that much too long at most.
const ASK_EVERY: Duration = Duration::from_millis(5);
const WITHIN: Duration = Duration::from_secs(120);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = Docker::connect_with_defaults().expect("an engine's address");
        let count = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
        with_containers(&client, count.unwrap_or(CONTAINERS), async |containers| measure(&client, containers).await)
            .await;
    });
}

async fn measure(client: &Docker, containers: &Containers) {
    let mut service = Service::of(containers, CUT_OFF);
    service.start();
    until(&service, containers, is_known).await;
    leave_traces(&service, containers).await;
    let (mut inspects, mut known) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        tokio::time::sleep(CALM).await;
        inspects.push(inspect_all(client, containers).await);
        tokio::time::sleep(CALM).await;
        service.kill().await;
        let began = Instant::now();
        service.start();
        until(&service, containers, is_known).await;
        known.push(began.elapsed());
    }
    let ratios: Vec<String> =
        known.iter().zip(&inspects).map(|(ours, theirs)| format!("{:.2}", ms(*ours) / ms(*theirs))).collect();
    let (ours, theirs) = (at(&known, 50), at(&inspects, 50));
    row(
        &format!(
            "killed and started with {} containers, until all are known to serve, median of {ROUNDS}",
            containers.names.len()
        ),
        &format!("{} (pairs: {})", shown(ours), ratios.join(", ")),
        &format!("{} for an inspect call of each, one after the other", shown(theirs)),
        ms(ours) / ms(theirs),
        " ×",
        ..=1.0,
    );
    cut_off(client, containers, &mut service).await;
}

/// Every agent has failed once, some are paused or pinned, and a subscription cools down.
async fn leave_traces(service: &Service, containers: &Containers) {
    for (number, name) in containers.names.iter().enumerate() {
        service.ask("POST", &format!("/v1/agents/{name}/failures"), r#"{"kind":"overload"}"#).await;
        match number % 10 {
            8 => drop(service.ask("POST", &format!("/v1/agents/{name}/pause"), "").await),
            9 => drop(service.ask("PUT", &format!("/v1/agents/{name}/pin"), r#"{"subscription":"a"}"#).await),
            _ => {}
        }
    }
    service.ask("PUT", "/v1/subscriptions/b/cooldown", r#"{"for":"1h"}"#).await;
}

/// Switches are on disk and under way when the daemon is killed.
async fn cut_off(client: &Docker, containers: &Containers, service: &mut Service) {
    let names = &containers.names[..CUT_OFF];
    let (mut yardstick, mut ended) = (Vec::new(), Vec::new());
    for round in 0..CUTS {
        let to = if round % 2 == 0 { "b" } else { "a" };
        tokio::time::sleep(CALM).await;
        let began = Instant::now();
        inspect_all(client, containers).await;
        let calls = names.iter().map(|name| client.restart_container(name, None));
        let done: Vec<_> = iter(calls).buffer_unordered(CUT_OFF).collect().await;
        yardstick.push(began.elapsed());
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        tokio::time::sleep(CALM).await;
        for name in names {
            let body = format!(r#"{{"to":"{to}","force":true}}"#);
            service.ask("POST", &format!("/v1/agents/{name}/switch"), &body).await;
        }
        service.kill().await;
        let began = Instant::now();
        service.start();
        let has_moved = |agent: &Value| {
            let is_one = names.iter().any(|name| agent["name"] == **name);
            is_known(agent) && (!is_one || agent["assignment"]["subscription"] == to)
        };
        until(service, containers, has_moved).await;
        ended.push(began.elapsed());
    }
    let (ours, theirs) = (at(&ended, 50), at(&yardstick, 50));
    row(
        &format!("the same with {CUT_OFF} switches cut off, until they have ended too, median of {CUTS}"),
        &shown(ours),
        &format!("{} for the inspect calls and {CUT_OFF} restart calls at once", shown(theirs)),
        ms(ours) / ms(theirs),
        " ×",
        ..,
    );
}

async fn inspect_all(client: &Docker, containers: &Containers) -> Duration {
    let began = Instant::now();
    for name in &containers.names {
        client.inspect_container(name, None).await.expect("a container");
    }
    began.elapsed()
}

fn is_known(agent: &Value) -> bool {
    agent["phase"] == "serving" && agent["runtime"]["state"] == "running" && agent["assignment"].is_object()
}

async fn until(service: &Service, containers: &Containers, is_so: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    loop {
        let agents = service.agents().await;
        if agents.len() == containers.names.len() && agents.iter().all(&is_so) {
            return;
        }
        if began.elapsed() > WITHIN {
            let odd = agents.iter().find(|agent| !is_so(agent));
            panic!("not in time: {odd:?}; {}", service.log());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
