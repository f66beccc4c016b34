//! The tables, and how an older file becomes a newer one.
//!
//! Steps only go forward, are never edited once released, and run one per transaction; `PRAGMA
//! user_version` says how many have run. `tests/fixtures/` keeps one database per version as SQL text.
//!
//! Tests: `tests/store_conformance/sqlite_only.rs`.

use rusqlite::{Connection, TransactionBehavior};

/// "SWMN": tells a database of ours from anybody else's.
pub(super) const APPLICATION_ID: i64 = 0x5357_4d4e;

/// The newest version.
pub(super) const VERSION: i64 = 2;

/// Tables whose size depends on how many agents and subscriptions there are, not on how long they run.
pub(super) const SMALL_TABLES: &[&str] =
    &["meta", "agents", "assignments", "generations", "cooldowns", "subscriptions", "targets", "notifications", "logs"];

const STEPS: [&str; 2] = [V1, V2];

/// Brings the schema up to [`VERSION`].
pub(super) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    loop {
        let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let Some(step) = usize::try_from(version).ok().and_then(|done| STEPS.get(done)) else { return Ok(()) };
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

/// Logs that are followed, and what tells a changed credential and an ended life.
const V2: &str = "
ALTER TABLE agents ADD COLUMN credential TEXT;          -- fingerprint of what it was given with its assignment
ALTER TABLE agents ADD COLUMN replaced_id TEXT;         -- the life that ran on the assignment before
ALTER TABLE agents ADD COLUMN replaced_started_at TEXT;

CREATE TABLE logs (
    agent        TEXT NOT NULL PRIMARY KEY,
    container    TEXT NOT NULL,       -- its id
    at_ns        INTEGER NOT NULL,    -- nanoseconds since 1970-01-01 UTC of the last line read, by the engine's clock
    seen         INTEGER NOT NULL     -- lines read that carry exactly this time
) STRICT, WITHOUT ROWID;
";

const V1: &str = "
CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES
    ('times', 'integer milliseconds since 1970-01-01 UTC; shown by: datetime(started_at / 1000, ''unixepoch'')'),
    ('numbers', '64 bits, unsigned; those of 2^63 and more are shown as negative');

CREATE TABLE agents (
    agent          TEXT NOT NULL PRIMARY KEY,
    rest           TEXT NOT NULL,     -- where it rests while no intent is open: serving, exhausted, parked
    rest_since     INTEGER,
    earliest_reset INTEGER,           -- exhausted: when the first subscription comes back, if known
    park_reason    TEXT,
    trouble_kind   TEXT,              -- the trouble with its present subscription, if any
    trouble_failure TEXT,
    trouble_observed_at INTEGER,
    trouble_until  INTEGER,
    wake_at        INTEGER,
    paused         INTEGER NOT NULL,  -- 0 or 1
    pause_until    INTEGER,           -- NULL: until someone resumes
    pin            TEXT,
    issued         INTEGER NOT NULL,  -- the highest generation ever issued
    failures       INTEGER NOT NULL,  -- the highest failure number
    intents        INTEGER NOT NULL,  -- the highest intent number
    apply_failures INTEGER NOT NULL,
    exclusions     TEXT NOT NULL,     -- JSON: subscription -> not to be picked until
    switched_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE generations (
    agent        TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    subscription TEXT NOT NULL,
    issued_at    INTEGER NOT NULL,
    used_at      INTEGER,             -- when it became current; NULL: it never did
    PRIMARY KEY (agent, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE assignments (
    agent        TEXT NOT NULL PRIMARY KEY,
    subscription TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    FOREIGN KEY (agent, generation) REFERENCES generations (agent, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    position     INTEGER PRIMARY KEY,
    agent        TEXT NOT NULL,
    number       INTEGER NOT NULL,
    plan         TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    from_subscription TEXT,
    to_subscription   TEXT NOT NULL,
    cause        TEXT NOT NULL,
    cause_kind   TEXT,
    cause_failure TEXT,
    cause_reason TEXT,
    observed_at  INTEGER NOT NULL,
    started_at   INTEGER NOT NULL,
    before_id    TEXT,                -- the life of the agent that must end: container or process id
    before_started_at TEXT,           -- as the engine or kernel says it
    drained_at   INTEGER,
    delivered_at INTEGER,
    applied_at   INTEGER,
    finished_at  INTEGER,             -- NULL: still open
    outcome      TEXT NOT NULL,
    turns_cut_off INTEGER,
    restarts     INTEGER,
    reason       TEXT,
    UNIQUE (agent, number)
) STRICT;
CREATE UNIQUE INDEX intents_open ON intents (agent) WHERE finished_at IS NULL;

CREATE TABLE failures (
    position     INTEGER PRIMARY KEY,
    agent        TEXT NOT NULL,
    number       INTEGER NOT NULL,
    report_id    TEXT,                -- NULL again once its answer is forgotten
    report_digest INTEGER,
    recorded_at  INTEGER NOT NULL,
    observed_at  INTEGER,
    kind         TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    subscription TEXT,
    generation   INTEGER,
    model        TEXT,
    scope        TEXT NOT NULL,
    reset_at     INTEGER,
    reporter     TEXT NOT NULL,
    sender       TEXT NOT NULL,
    reason       TEXT,
    count        INTEGER NOT NULL,
    answer       TEXT,                -- JSON: the first answer to the report id
    UNIQUE (agent, number)
) STRICT;
CREATE UNIQUE INDEX failures_by_report ON failures (agent, report_id) WHERE report_id IS NOT NULL;
CREATE INDEX failures_deferred ON failures (agent, number) WHERE outcome IN ('held', 'ambiguous');

CREATE TABLE cooldowns (
    agent        TEXT NOT NULL,       -- for whom it holds; '' = everyone
    quota        TEXT NOT NULL,       -- what the provider counts against
    credential   TEXT NOT NULL,       -- the one subscription it is about; '' = the whole quota
    scope        TEXT NOT NULL,
    model        TEXT NOT NULL,       -- '' = all models
    subscription TEXT NOT NULL,
    kind         TEXT NOT NULL,
    source       TEXT NOT NULL,
    since        INTEGER NOT NULL,
    until        INTEGER,             -- NULL: quarantined
    failure      TEXT,
    PRIMARY KEY (agent, quota, credential, scope, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
    subscription TEXT NOT NULL PRIMARY KEY,
    fingerprint  TEXT NOT NULL        -- of the credential that was last seen
) STRICT, WITHOUT ROWID;

CREATE TABLE notifications (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    event        TEXT NOT NULL,
    at           INTEGER NOT NULL,
    agent        TEXT NOT NULL,
    subscription TEXT,
    generation   INTEGER,
    intent       TEXT,
    text         TEXT NOT NULL
) STRICT;

CREATE TABLE targets (
    target       TEXT NOT NULL PRIMARY KEY,
    position     INTEGER NOT NULL     -- it has taken every notification up to here
) STRICT, WITHOUT ROWID;
";
