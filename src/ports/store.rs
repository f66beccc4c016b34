//! What must survive the process.

use super::{Disposition, Pending};
use crate::domain::{
    AgentName, AgentRecord, Answer, Change, Cooldown, FailureRecord, Fingerprint, Halt, IntentId, IntentRecord,
    LogPosition, Notes, Notification, Reading, ReportId, SubscriptionName, TurnId, TurnRecord, Wall,
};

/// Why the store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot take anything at the moment: no space, locked by another process, too slow.
    #[error("store cannot commit: {0}")]
    Unavailable(String),
    /// A row that should only move on was about to move back: someone else writes to this store.
    #[error("store refused an assignment of \"{agent}\" that does not follow the stored one")]
    Conflict {
        /// Whose assignment.
        agent: AgentName,
    },
    /// The data cannot be read or does not make sense. Nothing was changed.
    #[error("store is damaged: {0}")]
    Damaged(String),
    /// The writer has ended.
    #[error("store is closed")]
    Closed,
}

impl StoreError {
    /// What it means for a decision.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable(_) => Disposition::Transient,
            Self::Conflict { .. } | Self::Damaged(_) | Self::Closed => Disposition::Permanent,
        }
    }
}

/// What the pool is rebuilt from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolRecord {
    /// Every cooldown that has not ended.
    pub cooldowns: Vec<Cooldown>,
    /// Who runs on what.
    pub assignments: Vec<(AgentName, SubscriptionName)>,
    /// Where open intents go to.
    pub reservations: Vec<(AgentName, SubscriptionName)>,
    /// The credential that was last seen of each subscription.
    pub credentials: Vec<(SubscriptionName, Fingerprint)>,
    /// The newest reading of each window by each teller.
    pub readings: Vec<Reading>,
    /// Why nothing is switched by itself, if that is so.
    pub halt: Option<Halt>,
    /// When a person last let switching go on.
    pub seen_until: Option<Wall>,
    /// Where agents were moved in the last seven days that nobody asked for, oldest first; at most the newest thousand.
    pub moves: Vec<(SubscriptionName, Wall)>,
}

/// The first answer to a report id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// What it was answered.
    pub answer: Answer,
    /// Identifies the body that was answered.
    pub digest: u64,
}

/// A part of a history, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only this agent.
    pub agent: Option<AgentName>,
    /// Only what began at or after this time.
    pub since: Option<Wall>,
    /// Only rows before this one, as the last page of the same query said.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// One page of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<i64>,
}

/// Something waiting to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in the outbox, ever growing.
    pub position: i64,
    /// What is to be told.
    pub notification: Notification,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Failures, ended intents, ended turns and delivered notifications that ended before this time go.
    pub keep_since: Wall,
    /// Notifications older than this, and than `keep_since`, go although a target has not taken them.
    pub undelivered_since: Wall,
    /// Answers by report id older than this go, and ended turns that were begun with a key earlier than this.
    pub answers_since: Wall,
    /// And all but so many answers of each agent.
    pub answers_max: u32,
    /// The oldest history goes while the database is larger than this many bytes.
    pub bytes_max: u64,
}

/// Keeps what must survive the process. `Ok` from [`Store::commit`] means it is on disk.
///
/// A commit whose future is dropped may still be written, or not. A load answers after every commit that was
/// queued before it, such a one included: what it says stays true until the next commit.
pub trait Store: Send + Sync + 'static {
    /// Writes all of the changes or none.
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>>;
    /// Everything durable about an agent; `None` if it was never seen.
    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>>;
    /// Everything durable about the pool.
    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>>;
    /// How far the sources of each agent have been read, in the order of the agents. Ordered like a load.
    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>>;
    /// The newest ids of this agent's reports since a time, newest last, at most `limit`. Ordered like a load.
    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>>;
    /// The first answer to a report id.
    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>>;
    /// Intents, newest first, open ones included.
    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>>;
    /// One intent.
    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>>;
    /// One turn, ended or not; `None` if there never was one of this number, or it is kept no longer. What has ended
    /// stays as it is.
    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>>;
    /// Turns, newest first, those under way included.
    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>>;
    /// Failures, newest first.
    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>>;
    /// What the target has not taken yet, oldest first. A target never heard of begins at the present end.
    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>>;
    /// The target has taken (or will never take) everything up to this position.
    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>>;
    /// What the target remembers of what it was told; empty for one that was never heard of.
    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>>;
    /// Like [`Store::delivered`], together with what the target remembers from now on.
    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>>;
    /// Removes what is older than it need be. Open intents, current assignments, running cooldowns, turns under way and
    /// the newest turn of each agent stay.
    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>>;
}
