//! The threaded mode: one thread that writes and two that read, each with its own connection.
//!
//! It must not know what is written. The queues are bounded: whoever asks more than they hold waits.
//!
//! Invariants: orders of the writer are carried out as they were queued; a batch whose caller has given up
//! before its turn is not written; what was queued is carried out before the threads end.
//!
//! Tests: `tests/store_conformance.rs`, `tests/store_conformance/sqlite_only.rs`.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Lane, write};
use crate::domain::Change;
use crate::ports::store::StoreError;

/// Orders waiting at one thread; more than that wait at their caller.
const QUEUE_MAX: usize = 1024;
/// Batches in one transaction: enough to make the sync cheap, few enough to answer soon.
const GROUP_MAX: usize = 512;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;
type Reply = oneshot::Sender<Result<(), StoreError>>;

enum Order {
    Commit(Vec<Change>, Reply),
    Job(Job),
}

/// The three threads and the way to them. They end in this order: the last connection to close folds the
/// write-ahead log into the file, and only the writer's may write.
#[derive(Debug)]
pub(super) struct Threads {
    door: Worker,
    history: Worker,
    writer: Worker,
}

/// A thread and its queue. Dropping it lets the thread finish what was queued, and waits for it.
#[derive(Debug)]
struct Worker {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn start(writer: Connection, door: Connection, history: Connection) -> std::io::Result<Self> {
        Ok(Self {
            door: Worker::start("store-door", door)?,
            history: Worker::start("store-history", history)?,
            writer: Worker::start("store-writer", writer)?,
        })
    }

    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(Order::Commit(changes, reply)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn run<T, F>(&self, lane: Lane, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let worker = match lane {
            Lane::InOrder => &self.writer,
            Lane::Door => &self.door,
            Lane::History => &self.history,
        };
        let (reply, answer) = oneshot::channel();
        let job = move |conn: &mut Connection| {
            if !reply.is_closed() {
                // Nobody may be waiting any more by now, and then there is nobody to tell.
                drop(reply.send(job(conn)));
            }
        };
        worker.send(Order::Job(Box::new(job))).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Worker {
    fn start(name: &str, mut conn: Connection) -> std::io::Result<Self> {
        let (orders, mut queue) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut orders = Vec::with_capacity(GROUP_MAX);
            while queue.blocking_recv_many(&mut orders, GROUP_MAX) > 0 {
                carry_out(&mut conn, &mut orders);
            }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    async fn send(&self, order: Order) -> Result<(), StoreError> {
        let orders = self.orders.as_ref().ok_or(StoreError::Closed)?;
        orders.send(order).await.map_err(|_| StoreError::Closed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already closed its queue; whoever waited was told `Closed`.
            drop(thread.join());
        }
    }
}

/// Carries out orders as they came; commits that follow one another share a transaction.
fn carry_out(conn: &mut Connection, orders: &mut Vec<Order>) {
    let mut group: Vec<(Vec<Change>, Reply)> = Vec::with_capacity(orders.len());
    for order in orders.drain(..) {
        match order {
            Order::Commit(_, reply) if reply.is_closed() => {}
            Order::Commit(changes, reply) => group.push((changes, reply)),
            Order::Job(job) => {
                commit(conn, &mut group);
                job(conn);
            }
        }
    }
    commit(conn, &mut group);
}

fn commit(conn: &mut Connection, group: &mut Vec<(Vec<Change>, Reply)>) {
    if group.is_empty() {
        return;
    }
    let batches: Vec<&[Change]> = group.iter().map(|(changes, _)| changes.as_slice()).collect();
    let results = write::commit_group(conn, &batches);
    for ((_, reply), result) in group.drain(..).zip(results) {
        // A caller that has given up meanwhile learns the outcome when it loads.
        drop(reply.send(result));
    }
}
