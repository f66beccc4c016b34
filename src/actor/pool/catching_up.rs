//! The pool and the store: rows of its own, and what it was not told.
//!
//! An agent whose commit was not answered reads back what is true; the pool has to as well, or it would pick what
//! cools already.

use std::time::Duration;

use super::Pool;
use crate::domain::Change;
use crate::ports::store::StoreError;
use crate::telemetry::events;

/// How long the store may take. Everyone who asks the pool waits for as long.
const STORE_TIMEOUT: Duration = Duration::from_secs(4);

/// How soon the store is asked again about agents whose commits were not answered.
const CATCH_UP_AGAIN: Duration = Duration::from_secs(1);

impl Pool {
    /// Takes over from the store what is true of agents whose commits were not answered; one read serves all of
    /// them. Rows that are known already change nothing.
    pub(super) async fn catch_up(&mut self) {
        let now = self.now();
        if self.doubtful.is_empty() || self.catch_up_from.is_some_and(|due| !due.is_past(now)) {
            return;
        }
        let load = self.parts.store.load_pool(now.wall);
        let loaded = tokio::time::timeout(STORE_TIMEOUT, load).await.unwrap_or_else(|_| Err(no_answer()));
        let record = match loaded {
            Ok(record) => record,
            Err(error) => {
                self.catch_up_from = Some(self.now().due_after(CATCH_UP_AGAIN));
                return self.store_failed("load", &error);
            }
        };
        let doubtful = std::mem::take(&mut self.doubtful);
        self.state.cool_exactly(record.cooldowns);
        for (agent, subscription) in record.assignments.into_iter().filter(|(agent, _)| doubtful.contains(agent)) {
            self.state.assign(agent, subscription);
        }
        for (agent, subscription) in record.reservations.into_iter().filter(|(agent, _)| doubtful.contains(agent)) {
            self.state.promise(agent, subscription);
        }
        self.tell_everyone();
    }

    /// Writes rows of the pool's own. Everyone waits meanwhile, so it has a deadline.
    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let commit = self.parts.store.commit(changes);
        tokio::time::timeout(STORE_TIMEOUT, commit).await.unwrap_or_else(|_| Err(no_answer()))
    }

    pub(super) fn store_failed(&self, call: &str, error: &StoreError) {
        let (disposition, reason) = (error.disposition(), error.to_string());
        self.parts.telemetry.emit(events::StoreFailed { call, agent: None, disposition, reason: &reason });
    }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable("no answer in time".to_owned())
}
