//! The store in memory, with faults on demand.
//!
//! It must not be kinder than the real one: it refuses the same changes, writes a batch whole or not at
//! all, and answers in order. It outlives whoever uses it, so a "restart" is a second user of the same value.
//!
//! ```text
//!   commit ──► held? ──yes──► queue ──release──┐
//!                └───no────────────────────────┴──► fault scripted? ──► refused, or written and not told
//!                                                        └──no──► written, recorded, answered
//! ```
//!
//! Tests: `tests/store_conformance.rs` (with the real one); the faults in this file.

mod ledger;
mod turn_rows;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use ledger::Ledger;

use crate::domain::{
    AgentName, AgentRecord, Change, FailureRecord, IntentId, IntentRecord, LogPosition, Notes, ReportId, TurnId,
    TurnRecord, Wall,
};
use crate::ports::Pending;
use crate::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, Store, StoreError, StoredAnswer};

/// A store in memory.
#[derive(Debug)]
pub struct FakeStore {
    inner: Mutex<Inner>,
    held: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    ledger: Ledger,
    commit_faults: VecDeque<Fault>,
    read_faults: VecDeque<StoreError>,
    is_holding: bool,
    queue: Vec<Waiting>,
    commits: Vec<Vec<Change>>,
}

#[derive(Debug)]
enum Fault {
    /// Nothing is written.
    Refused(StoreError),
    /// It is written, and the caller is told that it was not.
    AnswerLost(StoreError),
}

#[derive(Debug)]
enum Waiting {
    Commit(Vec<Change>, oneshot::Sender<Result<(), StoreError>>),
    /// A load: it waits for the commits before it.
    Load(oneshot::Sender<()>),
}

impl Default for FakeStore {
    fn default() -> Self {
        Self { inner: Mutex::default(), held: watch::Sender::new(0) }
    }
}

impl FakeStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next so many commits are refused; nothing of them is written.
    pub fn fail_commits(&self, count: usize, err: &StoreError) {
        self.lock().commit_faults.extend((0..count).map(|_| Fault::Refused(err.clone())));
    }

    /// The next so many commits are written, and answered as if they had failed.
    pub fn lose_answers(&self, count: usize, err: &StoreError) {
        self.lock().commit_faults.extend((0..count).map(|_| Fault::AnswerLost(err.clone())));
    }

    /// The next so many reads fail, loads included.
    pub fn fail_reads(&self, count: usize, err: &StoreError) {
        self.lock().read_faults.extend((0..count).map(|_| err.clone()));
    }

    /// From now on commits wait, and loads behind them.
    pub fn hold_commits(&self) {
        self.lock().is_holding = true;
    }

    /// Carries out what waits, in the order in which it came, and lets the following through.
    pub fn release_commits(&self) {
        let mut inner = self.lock();
        inner.is_holding = false;
        for waiting in std::mem::take(&mut inner.queue) {
            inner.carry_out(waiting);
        }
        drop(inner);
        self.held.send_replace(0);
    }

    /// Waits until so many commits and loads are held.
    pub async fn wait_held(&self, count: usize) {
        let mut held = self.held.subscribe();
        // The sender lives as long as this store.
        drop(held.wait_for(|held| *held >= count).await);
    }

    /// What was written, batch by batch, in the order of writing.
    #[must_use]
    pub fn commits(&self) -> Vec<Vec<Change>> {
        self.lock().commits.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A test that panicked while it held the lock has failed already.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries it out now, or when commits are released.
    fn enter(&self, waiting: Waiting) {
        let mut inner = self.lock();
        if inner.is_holding {
            inner.queue.push(waiting);
            self.held.send_replace(inner.queue.len());
        } else {
            inner.carry_out(waiting);
        }
    }

    fn read<T>(&self, read: impl FnOnce(&mut Ledger) -> T) -> Result<T, StoreError> {
        let mut inner = self.lock();
        match inner.read_faults.pop_front() {
            Some(err) => Err(err),
            None => Ok(read(&mut inner.ledger)),
        }
    }

    async fn load<T>(&self, read: impl FnOnce(&mut Ledger) -> T) -> Result<T, StoreError> {
        let (go, turn) = oneshot::channel();
        self.enter(Waiting::Load(go));
        turn.await.map_err(|_| StoreError::Closed)?;
        self.read(read)
    }
}

impl Inner {
    fn carry_out(&mut self, waiting: Waiting) {
        match waiting {
            // A caller that has given up before its turn does not get its batch written.
            Waiting::Commit(_, reply) if reply.is_closed() => {}
            Waiting::Commit(changes, reply) => drop(reply.send(self.commit(changes))),
            Waiting::Load(go) => drop(go.send(())),
        }
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let fault = self.commit_faults.pop_front();
        if let Some(Fault::Refused(err)) = fault {
            return Err(err);
        }
        self.ledger.apply(&changes)?;
        self.commits.push(changes);
        match fault {
            Some(Fault::AnswerLost(err)) => Err(err),
            Some(Fault::Refused(_)) | None => Ok(()),
        }
    }
}

impl Store for FakeStore {
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.enter(Waiting::Commit(changes, reply));
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        Box::pin(self.load(|ledger| ledger.agent(agent)))
    }

    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        Box::pin(self.load(move |ledger| ledger.pool(now)))
    }

    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        Box::pin(self.load(|ledger| ledger.log_positions()))
    }

    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        Box::pin(self.load(move |ledger| ledger.report_ids(agent, since, limit)))
    }

    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.answer(agent, id)) })
    }

    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.intents(&query)) })
    }

    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.intent(id)) })
    }

    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.turn(id)) })
    }

    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.turns(&query)) })
    }

    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.failures(&query)) })
    }

    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.outgoing(target, limit)) })
    }

    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().ledger.delivered(target, position);
            Ok(())
        })
    }

    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        Box::pin(async move { self.read(|ledger| ledger.notes(target)) })
    }

    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().ledger.noted(target, position, notes);
            Ok(())
        })
    }

    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.lock().ledger.sweep(&retention);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::domain::{Fingerprint, SubscriptionName};

    fn seen(subscription: &str) -> Vec<Change> {
        vec![Change::CredentialSeen(SubscriptionName::from(subscription), Fingerprint("00".to_owned()))]
    }

    fn poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn held_commits_are_written_in_the_order_they_came_and_loads_wait_behind_them() {
        let store = FakeStore::new();
        store.hold_commits();
        let (mut first, mut second) = (pin!(store.commit(seen("a"))), pin!(store.commit(seen("b"))));
        let mut load = pin!(store.load_pool(Wall(0)));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(load.as_mut()).is_pending());
        assert!(poll(pin!(store.wait_held(3))).is_ready());
        assert!(store.commits().is_empty());
        store.release_commits();
        let Poll::Ready(Ok(pool)) = poll(load) else { panic!("the load waits on") };
        assert_eq!(pool.credentials.len(), 2);
        assert!(matches!(poll(second), Poll::Ready(Ok(()))));
        assert!(matches!(poll(first), Poll::Ready(Ok(()))));
        assert_eq!(store.commits(), [seen("a"), seen("b")]);
    }

    #[test]
    fn a_batch_whose_caller_has_gone_is_not_written() {
        let store = FakeStore::new();
        store.hold_commits();
        {
            let mut given_up = pin!(store.commit(seen("a")));
            assert!(poll(given_up.as_mut()).is_pending());
        }
        store.release_commits();
        assert!(store.commits().is_empty());
    }

    #[test]
    fn a_refused_commit_leaves_nothing_and_a_lost_answer_leaves_everything() {
        let store = FakeStore::new();
        let err = StoreError::Unavailable("scripted".to_owned());
        store.fail_commits(1, &err);
        store.lose_answers(1, &err);
        assert!(matches!(poll(pin!(store.commit(seen("a")))), Poll::Ready(Err(StoreError::Unavailable(_)))));
        assert!(matches!(poll(pin!(store.commit(seen("b")))), Poll::Ready(Err(StoreError::Unavailable(_)))));
        assert!(matches!(poll(pin!(store.commit(seen("c")))), Poll::Ready(Ok(()))));
        assert_eq!(store.commits(), [seen("b"), seen("c")]);
        store.fail_reads(1, &StoreError::Closed);
        assert!(matches!(poll(store.load_pool(Wall(0)).as_mut()), Poll::Ready(Err(StoreError::Closed))));
        assert!(matches!(poll(store.load_pool(Wall(0)).as_mut()), Poll::Ready(Ok(_))));
    }
}
