//! A store that says of turns that they are kept and keeps nothing of them: what is left is everything but the store.
//! The rest goes to the store inside it.

use std::sync::Arc;

use switchman::domain::{
    AgentName, AgentRecord, Change, FailureRecord, IntentId, IntentRecord, LogPosition, Notes, ReportId, TurnId,
    TurnRecord, Wall,
};
use switchman::ports::Pending;
use switchman::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, Store, StoreError, StoredAnswer};

/// The store.
pub(crate) struct Unkept(pub(crate) Arc<dyn Store>);

fn is_of_turns(change: &Change) -> bool {
    matches!(
        change,
        Change::TurnBegun { .. } | Change::TurnChanged(_) | Change::TurnEnded { .. } | Change::SessionSaved(..)
    )
}

impl Store for Unkept {
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        if changes.iter().all(is_of_turns) { Box::pin(std::future::ready(Ok(()))) } else { self.0.commit(changes) }
    }

    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        self.0.load_agent(agent)
    }

    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        self.0.load_pool(now)
    }

    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        self.0.log_positions()
    }

    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        self.0.report_ids(agent, since, limit)
    }

    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        self.0.answer(agent, id)
    }

    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        self.0.intents(query)
    }

    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        self.0.intent(id)
    }

    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        self.0.turn(id)
    }

    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        self.0.turns(query)
    }

    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        self.0.failures(query)
    }

    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        self.0.outgoing(target, limit)
    }

    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        self.0.delivered(target, position)
    }

    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        self.0.notes(target)
    }

    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        self.0.noted(target, position, notes)
    }

    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>> {
        self.0.sweep(retention)
    }
}
