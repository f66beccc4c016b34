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
pub(super) const VERSION: i64 = 5;

/// Tables whose size depends on how many agents and subscriptions there are, not on how long they run.
pub(super) const SMALL_TABLES: &[&str] = &[
    "meta",
    "agents",
    "assignments",
    "generations",
    "cooldowns",
    "subscriptions",
    "targets",
    "notifications",
    "logs",
    "sessions",
    "readings",
    "halts",
];

const STEPS: [&str; 5] = [V1, V2, V3, V4, V5];

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

/// Which of the trusted readings the provider gave to a probe.
const V5: &str = "
ALTER TABLE readings ADD COLUMN probed INTEGER NOT NULL DEFAULT 0;  -- 0 or 1
";

/// Notifications about no single agent, what a target remembers of what it told, what was read of windows, and halts.
///
/// A column cannot lose its NOT NULL, so the table is made anew. Positions must go on where they were, also if all rows
/// have been swept: a target would never be told of one that is given out again.
const V4: &str = "
CREATE TABLE notifications_new (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    event        TEXT NOT NULL,
    at           INTEGER NOT NULL,
    agent        TEXT,                -- NULL: about no single agent
    subscription TEXT,
    generation   INTEGER,
    intent       TEXT,
    text         TEXT NOT NULL,
    action       TEXT,                -- what a person should do
    over         INTEGER NOT NULL     -- 0 or 1: whether the trouble that it names is over
) STRICT;
INSERT INTO notifications_new
    SELECT position, id, event, at, agent, subscription, generation, intent, text, NULL, 0 FROM notifications;
DELETE FROM sqlite_sequence WHERE name = 'notifications_new';
INSERT INTO sqlite_sequence SELECT 'notifications_new', seq FROM sqlite_sequence WHERE name = 'notifications';
DROP TABLE notifications;
ALTER TABLE notifications_new RENAME TO notifications;

ALTER TABLE targets ADD COLUMN notes TEXT;              -- JSON: what it was told of, and what waits to be told in one

CREATE TABLE readings (
    subscription TEXT NOT NULL,
    scope        TEXT NOT NULL,       -- the window
    model        TEXT NOT NULL,       -- '' = all models
    agent        TEXT NOT NULL,       -- whose own word it is; '' = somebody trusted
    utilisation  INTEGER,             -- in thousandths of the window; NULL: not said
    serves       INTEGER NOT NULL,    -- 0 or 1
    reset_at     INTEGER,
    at           INTEGER NOT NULL,
    PRIMARY KEY (subscription, scope, model, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE halts (
    position     INTEGER PRIMARY KEY,
    since        INTEGER NOT NULL,
    subscriptions TEXT NOT NULL,      -- those that were banned, with commas between them
    lifted_at    INTEGER              -- when a person had seen it; NULL: nothing is switched by itself
) STRICT;
CREATE UNIQUE INDEX halts_open ON halts (lifted_at IS NULL) WHERE lifted_at IS NULL;
";

/// Turns, their sessions, and what names a turn.
const V3: &str = "
ALTER TABLE intents ADD COLUMN turn TEXT;               -- the turn whose work it ends, if it is a fence
ALTER TABLE failures ADD COLUMN turn TEXT;              -- the turn that it names
CREATE INDEX intents_fences ON intents (agent, number) WHERE plan = 'fence';

CREATE TABLE turns (
    position     INTEGER PRIMARY KEY,
    agent        TEXT NOT NULL,
    number       INTEGER NOT NULL,
    session      TEXT NOT NULL,       -- one name, or two with a comma between them
    class        TEXT NOT NULL,
    holder       TEXT NOT NULL,       -- in its own words
    subscription TEXT NOT NULL,
    generation   INTEGER NOT NULL,
    begun_at     INTEGER NOT NULL,
    key          TEXT,                -- the idempotency key that it was begun with
    key_digest   INTEGER,             -- of the request that the key came with
    life_id      TEXT,                -- the life of the agent that works on it: container or process id
    life_started_at TEXT,             -- as the engine or kernel says it
    taken        INTEGER NOT NULL,    -- 0 or 1: whether its holder has ever given a heartbeat
    until        INTEGER NOT NULL,    -- when it lapses or its holder counts as lost; later ones are not all written
    cancel_by    TEXT,                -- who asked its holder to stop; NULL: nobody
    cancel_until INTEGER,             -- until when it may take to stop
    failed       INTEGER NOT NULL,    -- 0 or 1: whether its failure was reported
    lost         TEXT,                -- why its work has to be ended, if it has
    ended_at     INTEGER,             -- NULL: under way
    outcome      TEXT,
    ended_by     TEXT,                -- the switch or the fence that cut it off
    reason       TEXT,
    UNIQUE (agent, number)
) STRICT;
CREATE UNIQUE INDEX turns_active ON turns (agent, session) WHERE ended_at IS NULL;
CREATE INDEX turns_keyed ON turns (agent, number) WHERE key IS NOT NULL;
CREATE INDEX turns_by_time ON turns (begun_at, agent, number);

CREATE TABLE sessions (
    agent        TEXT NOT NULL,
    session      TEXT NOT NULL,
    position     INTEGER NOT NULL,    -- grows within the agent: the lowest is untouched for the longest
    last_completed INTEGER,           -- the number of the last turn in it that came off
    closed       INTEGER NOT NULL,    -- 0 or 1: whether no turn may begin in it any more
    PRIMARY KEY (agent, session)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_by_position ON sessions (agent, position);
";

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
