//! What a burst of reports at a stuck agent costs in memory, beside what the same burst costs in a plain mailbox.
//! Aim: at most 1 MiB for 10^6 reports.
//!
//! The agent is stuck because its store does not answer. The reporters are gone: what is measured is what the
//! daemon keeps of them. Every measurement runs in a process of its own.

#![expect(clippy::print_stdout, reason = "a program of its own that prints what it measured")]

#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/resident.rs"]
mod resident;
#[path = "rig/results.rs"]
mod results;

use std::sync::Arc;

use futures_util::FutureExt as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use switchman::actor::Switchman;
use switchman::domain::{AgentName, Attributes, Change, FailureKind, Generation, Report, Rest};
use switchman::drivers::fake::store::FakeStore;
use switchman::machine::agent::testing::report;
use switchman::ports::store::Store as _;

use daemon::{agent, start};
use resident::{asked, in_a_child, resident_kib};
use results::row;

const REPORTS: u64 = 1_000_000;

/// One variant of the burst.
type Nth = fn(u64) -> Report;

fn same(_: u64) -> Report {
    report(FailureKind::RateLimit)
}

/// All of them about the past, each about another part of it.
fn all_different(number: u64) -> Report {
    Report { generation: Some(Generation(number + 1)), ..report(FailureKind::RateLimit) }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match asked().as_deref() {
        Some("same") => println!("{}", runtime.block_on(growth_of_agent(same))),
        Some("different") => println!("{}", runtime.block_on(growth_of_agent(all_different))),
        Some("mailbox") => println!("{}", runtime.block_on(growth_of_mailbox())),
        Some(other) => panic!("no measurement named {other}"),
        None => compare(),
    }
}

fn compare() {
    let mailbox = in_a_child("mailbox") / 1024.0;
    for (what, variant) in [("identical", "same"), ("all different", "different")] {
        let grown = in_a_child(variant) / 1024.0;
        row(
            &format!("memory for 10^6 reports at a stuck agent, {what}"),
            &format!("{grown:.2} MiB"),
            &format!("{mailbox:.0} MiB in a plain mailbox"),
            grown,
            " MiB",
            ..=1.0,
        );
    }
}

/// KiB by which this process grows while the reports come in.
async fn growth_of_agent(nth: Nth) -> f64 {
    let store = Arc::new(FakeStore::new());
    store.commit(vec![long_past()]).await.expect("a commit");
    let root = start(1, Arc::clone(&store) as _, false).await;
    let switchman = root.switchman();
    store.hold_commits();
    // One that the agent is stuck with, and as many as fill what is allocated once.
    drop(post(&switchman, report(FailureKind::RateLimit)));
    store.wait_held(1).await;
    for number in 0..1000 {
        drop(post(&switchman, nth(number)));
    }
    let before = resident_kib();
    for number in 0..REPORTS {
        drop(post(&switchman, nth(number)));
    }
    resident_kib() - before
}

/// Reports, and goes away without waiting for the answer.
fn post(switchman: &Switchman, report: Report) -> Option<Result<switchman::domain::Answer, ReportError>> {
    switchman.report(&agent(0), report, 0).now_or_never()
}

type ReportError = switchman::actor::handle::ReportError;

/// The agent has had as many generations as there will be reports.
fn long_past() -> Change {
    let attributes = Attributes {
        rest: Rest::Serving,
        trouble: None,
        wake_at: None,
        pause: None,
        pin: None,
        issued: Generation(2 * REPORTS),
        failures: 0,
        intents: 0,
        apply_failures: 0,
        exclusions: std::collections::BTreeMap::new(),
        switched_at: None,
        credential: None,
        replaced: None,
    };
    Change::AgentSaved(AgentName::from(agent(0)), Box::new(attributes))
}

/// An actor that handles one message for ever.
struct Stuck;

/// As much as a report carries.
type Message = [u8; 256];

impl Actor for Stuck {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Message>, _: Message, (): &mut ()) -> Result<(), ActorProcessingErr> {
        std::future::pending().await
    }
}

async fn growth_of_mailbox() -> f64 {
    let (actor, _) = Actor::spawn(None, Stuck, ()).await.expect("an actor");
    let before = resident_kib();
    for number in 0..REPORTS {
        let mut message = [0; 256];
        message[..8].copy_from_slice(&number.to_le_bytes());
        actor.cast(message).expect("it lives");
    }
    resident_kib() - before
}
