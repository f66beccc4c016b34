//! What an idle agent costs in memory, beside a task with a channel and a plain actor.
//! Aim: at most 12 KiB for each agent up to 10,000.
//!
//! The store is the real one; the runtime is a fake that keeps nothing. The figure is the difference between many
//! agents and ten, each in a process of its own, divided by the difference of their number: what is needed once
//! does not count, what the start needed and did not give back does.

#![expect(clippy::print_stdout, reason = "a program of its own that prints what it measured")]

#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/disk.rs"]
mod disk;
#[path = "rig/resident.rs"]
mod resident;
#[path = "rig/results.rs"]
mod results;

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock as _;

use daemon::start;
use disk::{disk, sqlite};
use resident::{asked, in_a_child, resident_kib};
use results::row;

const FEW: usize = 10;
const MANY: usize = 10_000;

fn main() {
    match asked() {
        Some(what) => {
            let (kind, count) = what.split_once(' ').expect("a kind and a number");
            let count = count.parse().expect("a number");
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            println!("{}", runtime.block_on(measure(kind, count)));
        }
        None => compare(),
    }
}

fn compare() {
    let task = per_piece("task");
    let actor = per_piece("actor");
    let yardstick = format!("{task:.1} KiB for a task with a channel, {actor:.1} KiB for a plain actor");
    let agent = per_piece("agent");
    let what = format!("memory per idle agent, {FEW} to {MANY}");
    row(&what, &format!("{agent:.1} KiB"), &yardstick, agent, " KiB", ..=12.0);
}

/// KiB that each one more takes.
fn per_piece(kind: &str) -> f64 {
    let grown = in_a_child(&format!("{kind} {MANY}")) - in_a_child(&format!("{kind} {FEW}"));
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let more = (MANY - FEW) as f64;
    grown / more
}

async fn measure(kind: &str, count: usize) -> f64 {
    match kind {
        "agent" => agents(count).await,
        "task" => tasks(count).await,
        "actor" => actors(count).await,
        other => panic!("nothing named {other}"),
    }
}

async fn agents(count: usize) -> f64 {
    let dir = disk();
    let root = start(count, sqlite(dir.path()), true).await;
    SystemClock::new().sleep(Duration::from_secs(1)).await;
    let resident = resident_kib();
    drop(root);
    resident
}

async fn tasks(count: usize) -> f64 {
    let mut senders = Vec::with_capacity(count);
    for _ in 0..count {
        let (sender, mut messages) = tokio::sync::mpsc::unbounded_channel::<u64>();
        tokio::spawn(async move { while messages.recv().await.is_some() {} });
        senders.push(sender);
    }
    for sender in &senders {
        sender.send(1).expect("it lives");
    }
    tokio::task::yield_now().await;
    resident_kib()
}

/// An actor that does nothing.
struct Idle;

impl Actor for Idle {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<u64>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

async fn actors(count: usize) -> f64 {
    let mut actors = Vec::with_capacity(count);
    for _ in 0..count {
        let (actor, _) = Actor::spawn(None, Idle, ()).await.expect("an actor");
        actor.cast(1).expect("it lives");
        actors.push(actor);
    }
    resident_kib()
}
