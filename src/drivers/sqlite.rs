//! The durable store: one SQLite file that an operator can open with `sqlite3`.
//!
//! It must not decide anything, read a clock, or put the content of a row into an error.
//!
//! ```text
//!   commit ──┐                                   ┌── BEGIN ─ batch ─ batch ─ … ─ COMMIT ─► answers
//!   load  ───┼──► bounded queue ──► writer thread┤   (one sync for all of them)
//!   sweep ───┘    (in its order)                 └── load or sweep step, after what was queued before it
//!   answer, intent, turn, outgoing ► door thread       read only
//!   histories, what to sweep ──────► history thread    read only, may take long
//! ```
//!
//! Two modes share all SQL: *threaded* as above, and *inline*, where the caller's thread does the work
//! within the first poll. A paused clock does not wait for a foreign thread, so simulations use the latter.
//!
//! Invariants:
//! - An answer is given after COMMIT has returned with `synchronous=FULL`.
//! - A batch is written whole or not at all, and a bad one fails alone.
//! - A load sees every commit that was queued before it, also one whose caller has given up.
//!
//! Tests: `tests/store_conformance.rs` (with the fake), `tests/store_conformance/sqlite_only.rs`; speed: `benches/store.rs`.

mod columns;
mod load;
mod notes;
mod open;
mod pool;
mod read;
mod retention;
mod schema;
mod sources;
mod texts;
mod threads;
mod turns;
mod write;

use std::path::Path;
use std::sync::Mutex;

use rusqlite::Connection;

pub use open::{OpenError, Options};
use retention::Chore;
use threads::Threads;

use crate::domain::{
    AgentName, AgentRecord, Change, FailureRecord, IntentId, IntentRecord, LogPosition, Notes, ReportId, TurnId,
    TurnRecord, Wall,
};
use crate::ports::Pending;
use crate::ports::store::{HistoryQuery, Outgoing, Page, PoolRecord, Retention, Store, StoreError, StoredAnswer};

/// The store on SQLite. Dropping it waits until what was queued is written and the file is closed.
#[derive(Debug)]
pub struct SqliteStore {
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Inline(Mutex<Connection>),
    Threaded(Threads),
}

/// Which connection a job runs on in threaded mode.
#[derive(Debug, Clone, Copy)]
enum Lane {
    /// The write connection, after everything that was queued before.
    InOrder,
    /// Short reads that somebody waits for.
    Door,
    /// Reads that may take long.
    History,
}

impl SqliteStore {
    /// Opens or creates the database and starts its three threads.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let writer = open::writer(path, options)?;
        let door = open::reader(path, options)?;
        let history = open::reader(path, options)?;
        let threads = Threads::start(writer, door, history)
            .map_err(|err| OpenError::Unusable { path: path.to_owned(), why: err.to_string() })?;
        Ok(Self { mode: Mode::Threaded(threads) })
    }

    /// Opens or creates the database; everything happens on the caller's thread.
    pub fn open_inline(path: &Path, options: &Options) -> Result<Self, OpenError> {
        Ok(Self { mode: Mode::Inline(Mutex::new(open::writer(path, options)?)) })
    }

    /// An inline store without a file: it ends with this value.
    pub fn in_memory() -> Result<Self, OpenError> {
        Ok(Self { mode: Mode::Inline(Mutex::new(open::memory()?)) })
    }

    async fn run<T, F>(&self, lane: Lane, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.mode {
            Mode::Inline(conn) => job(&mut *conn.lock().map_err(|_| StoreError::Closed)?),
            Mode::Threaded(threads) => threads.run(lane, job).await,
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, changes: Vec<Change>) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            match &self.mode {
                Mode::Inline(conn) => write::commit_one(&mut *conn.lock().map_err(|_| StoreError::Closed)?, &changes),
                Mode::Threaded(threads) => threads.commit(changes).await,
            }
        })
    }

    fn load_agent<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<AgentRecord>, StoreError>> {
        let agent = agent.clone();
        Box::pin(self.run(Lane::InOrder, move |conn| load::agent(conn, &agent)))
    }

    fn load_pool(&self, now: Wall) -> Pending<'_, Result<PoolRecord, StoreError>> {
        Box::pin(self.run(Lane::InOrder, move |conn| pool::load(conn, now)))
    }

    fn log_positions(&self) -> Pending<'_, Result<Vec<(AgentName, LogPosition)>, StoreError>> {
        Box::pin(self.run(Lane::InOrder, |conn| sources::log_positions(conn)))
    }

    fn report_ids<'a>(
        &'a self,
        agent: &'a AgentName,
        since: Wall,
        limit: u32,
    ) -> Pending<'a, Result<Vec<ReportId>, StoreError>> {
        let agent = agent.clone();
        Box::pin(self.run(Lane::InOrder, move |conn| read::report_ids(conn, &agent, since, limit)))
    }

    fn answer<'a>(
        &'a self,
        agent: &'a AgentName,
        id: &'a ReportId,
    ) -> Pending<'a, Result<Option<StoredAnswer>, StoreError>> {
        let (agent, id) = (agent.clone(), id.clone());
        Box::pin(self.run(Lane::Door, move |conn| read::answer(conn, &agent, &id)))
    }

    fn intents(&self, query: HistoryQuery) -> Pending<'_, Result<Page<IntentRecord>, StoreError>> {
        Box::pin(self.run(Lane::History, move |conn| read::intents(conn, &query)))
    }

    fn intent<'a>(&'a self, id: &'a IntentId) -> Pending<'a, Result<Option<IntentRecord>, StoreError>> {
        let id = id.clone();
        Box::pin(self.run(Lane::Door, move |conn| read::intent(conn, &id)))
    }

    fn turn<'a>(&'a self, id: &'a TurnId) -> Pending<'a, Result<Option<TurnRecord>, StoreError>> {
        let id = id.clone();
        Box::pin(self.run(Lane::Door, move |conn| turns::turn(conn, &id)))
    }

    fn turns(&self, query: HistoryQuery) -> Pending<'_, Result<Page<TurnRecord>, StoreError>> {
        Box::pin(self.run(Lane::History, move |conn| turns::turns(conn, &query)))
    }

    fn failures(&self, query: HistoryQuery) -> Pending<'_, Result<Page<FailureRecord>, StoreError>> {
        Box::pin(self.run(Lane::History, move |conn| read::failures(conn, &query)))
    }

    fn outgoing<'a>(&'a self, target: &'a str, limit: u32) -> Pending<'a, Result<Vec<Outgoing>, StoreError>> {
        let target = target.to_owned();
        Box::pin(async move {
            let known = target.clone();
            if let Some(waiting) = self.run(Lane::Door, move |conn| read::outgoing(conn, &known, limit)).await? {
                return Ok(waiting);
            }
            self.run(Lane::InOrder, move |conn| write::register_target(conn, &target)).await?;
            Ok(Vec::new())
        })
    }

    fn delivered<'a>(&'a self, target: &'a str, position: i64) -> Pending<'a, Result<(), StoreError>> {
        let target = target.to_owned();
        Box::pin(self.run(Lane::InOrder, move |conn| write::advance_target(conn, &target, position)))
    }

    fn notes<'a>(&'a self, target: &'a str) -> Pending<'a, Result<Notes, StoreError>> {
        let target = target.to_owned();
        Box::pin(self.run(Lane::InOrder, move |conn| notes::read(conn, &target)))
    }

    fn noted<'a>(&'a self, target: &'a str, position: i64, notes: Notes) -> Pending<'a, Result<(), StoreError>> {
        let target = target.to_owned();
        Box::pin(self.run(Lane::InOrder, move |conn| notes::write(conn, &target, position, &notes)))
    }

    fn sweep(&self, retention: Retention) -> Pending<'_, Result<(), StoreError>> {
        Box::pin(async move {
            // Looked up beside the writer and done in small steps, so that commits go on in between.
            for chore in self.run(Lane::History, move |conn| retention::plan(conn, &retention)).await? {
                self.run(Lane::InOrder, move |conn| retention::perform(conn, &chore)).await?;
            }
            while let Some(chore) = self.run(Lane::InOrder, move |conn| retention::oversize(conn, &retention)).await? {
                if self.run(Lane::InOrder, move |conn| retention::perform(conn, &chore)).await? == 0 {
                    break;
                }
            }
            while self.run(Lane::InOrder, |conn| retention::perform(conn, &Chore::Shrink)).await? > 0 {}
            Ok(())
        })
    }
}
