//! Turns over HTTP, beside an asyncio service with a lock per session (`scripts/peer_turns.py`), in the same run and
//! under the same callers.
//!
//! | part | measured | aim |
//! |---|---|---|
//! | `pairs` | beginnings with their ends per second: one session and one client, one session and 64 that queue, 1,000 agents with 10 sessions each | ≥ 3 × the yardstick that commits a row per step |
//! | `handover` | from the request that ends a turn to the answer of the next of 1,000 in line | |
//! | `waiting` | memory for each caller in line, threads, `/healthz` with 5,000 in line | no thread more; ≤ 50 ms |
//!
//! What is real and what is not: see `rig/turn_service.rs`. Services take turns in short slices, so that a machine that
//! is busy for a while is busy for all of them. One part alone: `cargo bench --bench turns -- pairs`.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own that measures time")]

#[path = "rig/caller.rs"]
mod caller;
#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/disk.rs"]
mod disk;
#[path = "turns/handover.rs"]
mod handover;
#[path = "turns/line.rs"]
mod line;
#[path = "turns/pairs.rs"]
mod pairs;
#[path = "rig/resident.rs"]
#[expect(dead_code, reason = "memory is looked at from outside here")]
mod resident;
#[path = "rig/results.rs"]
mod results;
#[path = "rig/times.rs"]
mod times;
#[path = "rig/turn_service.rs"]
mod turn_service;
#[path = "rig/unkept.rs"]
mod unkept;
#[path = "turns/waiting.rs"]
mod waiting;

use std::time::Duration;

use results::row;
use turn_service::{Form, Steps, allow_many_files, serve};

/// Whatever happens, it ends.
const WITHIN: Duration = Duration::from_secs(1200);

/// The yardsticks that commit each step; the better one counts.
const DURABLE_PEERS: [Form; 2] = [Form::Peer(Steps::Row), Form::Peer(Steps::RowInThread)];

fn main() {
    if let Some(what) = resident::asked() {
        // As many threads as the daemon has.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("a runtime").block_on(serve(&what));
    }
    allow_many_files(12_000);
    let parts: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let load = std::fs::read_to_string("/proc/loadavg").expect("a Linux /proc");
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).expect("a load");
    row("load of the machine in the minute before turns are measured", "", "", load, "", ..);
    // One thread for all callers: they share the machine with the service.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let all = async {
        if is_wanted("pairs") {
            pairs::measure().await;
        }
        if is_wanted("handover") {
            handover::measure().await;
        }
        if is_wanted("waiting") {
            waiting::measure().await;
        }
    };
    runtime.block_on(async { tokio::time::timeout(WITHIN, all).await.expect("everything ends in time") });
}
