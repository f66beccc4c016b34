//! A store that tells when a failure was on disk, and otherwise does what the one inside it does.

#![expect(clippy::disallowed_methods, reason = "it says when something happened")]

use std::sync::Arc;
use std::time::Instant;

use switchman::domain::{
    AgentName, AgentRecord, Change, FailureRecord, IntentId, IntentRecord, LogPosition, Notes, Outcome, ReportId,
    TurnId, TurnRecord, Wall,
};
use switchman::ports::Pending;
use switchman::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, Store, StoreError, StoredAnswer};
use tokio::sync::mpsc::UnboundedSender;

/// What a commit was about.
#[derive(Debug)]
pub(crate) enum Told {
    /// This agent's log is followed: how far it has been read is on disk.
    Followed(AgentName),
    /// A line of this agent's log has been decided to be worth a switch; that is on disk since then.
    Decided(AgentName, Instant),
}

/// The store, and whom it tells.
pub(crate) struct Witness {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) told: UnboundedSender<Told>,
}

fn about(changes: &[Change]) -> Option<(AgentName, bool)> {
    let agent = changes.iter().find_map(|change| match change {
        Change::LogRead(agent, _) => Some(agent.clone()),
        _ => None,
    })?;
    let decides =
        |change: &Change| matches!(change, Change::FailureRecorded(failure) if failure.outcome == Outcome::Switching);
    Some((agent, changes.iter().any(decides)))
}

impl Store for Witness {
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        let about = about(&changes);
        Box::pin(async move {
            let done = self.store.commit(changes).await;
            let at = Instant::now();
            if let (Ok(()), Some((agent, decides))) = (&done, about) {
                let told = if decides { Told::Decided(agent, at) } else { Told::Followed(agent) };
                // Nobody listens any more when everything has been measured.
                let _nobody_listens = self.told.send(told).is_err();
            }
            done
        })
    }

    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        self.store.load_agent(agent)
    }

    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        self.store.load_pool(now)
    }

    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        self.store.log_positions()
    }

    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        self.store.report_ids(agent, since, limit)
    }

    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        self.store.answer(agent, id)
    }

    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        self.store.intents(query)
    }

    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        self.store.intent(id)
    }

    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        self.store.turn(id)
    }

    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        self.store.turns(query)
    }

    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        self.store.failures(query)
    }

    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        self.store.outgoing(target, limit)
    }

    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        self.store.delivered(target, position)
    }

    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        self.store.notes(target)
    }

    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        self.store.noted(target, position, notes)
    }

    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>> {
        self.store.sweep(retention)
    }
}
