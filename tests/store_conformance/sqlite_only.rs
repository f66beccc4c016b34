//! What only a file can go through: damage, other programs' files, newer and older schemas, a full disk, a
//! lock, its modes and its size.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;
use switchman::domain::{
    Attributes, Change, ContainerPosition, FailureRecord, IntentOutcome, LogPosition, Notification, Reading, ReportId,
    SourceId, SourcePlace, Teller, Turn, TurnEnd, TurnsRecord, Wall, Window,
};
use switchman::drivers::sqlite::{OpenError, Options, SqliteStore};
use switchman::ports::store::{HistoryQuery, Retention, Store as _, StoreError};

use crate::rows::*;

const OPTIONS: Options = Options { busy_timeout: Duration::from_millis(20), pages_max: None };

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, &OPTIONS)
}

fn refusal(path: &Path) -> OpenError {
    let threaded = open(path).unwrap_err();
    let inline = SqliteStore::open_inline(path, &OPTIONS).unwrap_err();
    assert_eq!(threaded.to_string(), inline.to_string());
    threaded
}

/// Enough rows for many pages, all of them in the main file.
async fn fill(path: &Path) {
    let store = open(path).unwrap();
    for number in 1..=200 {
        let failure =
            FailureRecord { reason: Some("x".repeat(400)), ..full_failure("web", number, &number.to_string()) };
        store.commit(vec![Change::FailureRecorded(failure)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_what_to_do_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    fill(&path).await;
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    for page in flipped.chunks_mut(4096).skip(5) {
        page[..64].fill(0xa5);
    }
    for (what, bytes) in [
        ("bytes flipped", flipped),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("no database", b"this has never been a database, and is long enough to be looked at closely".repeat(99)),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let refused = refusal(&path);
        assert!(matches!(refused, OpenError::Damaged { .. }), "{what}: {refused}");
        let said = refused.to_string();
        assert!(said.contains(path.to_str().unwrap()) && said.contains(".recover"), "{what}: {said}");
        assert!(!said.contains("xxx"), "{what}: no content: {said}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{what}: the file was touched");
    }
    std::fs::write(&path, &good).unwrap();
    open(&path).unwrap();
}

#[tokio::test]
async fn a_damaged_file_keeps_the_log_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("switchman.db"), dir.path().join("copy.db"));
    fill(&path).await;
    let store = open(&path).unwrap();
    store.commit(vec![saved("web", &full_attributes())]).await.unwrap();
    let beside = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    // As a power cut would leave it: the last commit is in the log only.
    std::fs::copy(beside(&path), beside(&copy)).unwrap();
    let log = std::fs::read(beside(&copy)).unwrap();
    assert!(!log.is_empty());
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(20) {
        page.fill(0);
    }
    std::fs::write(&copy, &bytes).unwrap();
    let refused = refusal(&copy);
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
    assert!(std::fs::read(&copy).unwrap() == bytes, "the file was touched");
    assert!(std::fs::read(beside(&copy)).unwrap() == log, "the log was touched");
}

#[tokio::test]
async fn damage_that_is_met_later_is_said_without_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    let reported = full_failure("web", 1, "r-1");
    store.commit(vec![saved("web", &full_attributes()), Change::FailureRecorded(reported)]).await.unwrap();
    let other = Connection::open(&path).unwrap();
    let mut met = Vec::new();
    for (sql, column) in [
        ("UPDATE agents SET rest = 'hunter2'", "agents.rest"),
        ("UPDATE agents SET rest = 'parked', park_reason = 'hunter2'", "agents.park_reason"),
        ("UPDATE agents SET rest = 'serving', exclusions = '{hunter2'", "agents.exclusions"),
        ("UPDATE agents SET exclusions = '{}', trouble_failure = 'hunter2'", "agents.trouble_failure"),
        ("UPDATE agents SET trouble_failure = NULL, trouble_observed_at = NULL", "agents.trouble_observed_at"),
        ("UPDATE agents SET trouble_kind = NULL, apply_failures = -1", "agents.apply_failures"),
    ] {
        other.execute(sql, []).unwrap();
        met.push((store.load_agent(&agent("web")).await.unwrap_err(), column));
    }
    other.execute("UPDATE failures SET answer = '{\"outcome\": \"hunter2\"}'", []).unwrap();
    met.push((store.answer(&agent("web"), &ReportId::from("r-1")).await.unwrap_err(), "failures.answer"));
    other.execute("UPDATE failures SET kind = 'hunter2', answer = NULL", []).unwrap();
    let query = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    met.push((store.failures(query).await.unwrap_err(), "failures.kind"));
    let held = full_turn("web", 1, "x");
    let mut fence = intent("web", 1, 1, "max-a");
    fence.turn = Some(held.id.clone());
    store.commit(vec![begun(&held), Change::IntentOpened(fence)]).await.unwrap();
    for (sql, column) in [
        ("UPDATE agents SET apply_failures = 0; UPDATE turns SET class = 'hunter2'", "turns.class"),
        ("UPDATE turns SET class = 'background', lost = 'hunter2'", "turns.lost"),
        ("UPDATE turns SET lost = NULL, cancel_until = NULL", "turns.cancel_until"),
        ("UPDATE turns SET cancel_by = NULL, key_digest = NULL", "turns.key_digest"),
        ("UPDATE turns SET key = NULL; UPDATE intents SET turn = 'hunter2'", "intents.turn"),
    ] {
        other.execute_batch(sql).unwrap();
        met.push((store.load_agent(&agent("web")).await.unwrap_err(), column));
    }
    for (sql, column) in [
        ("UPDATE turns SET ended_at = 1, outcome = 'hunter2'", "turns.outcome"),
        ("UPDATE turns SET outcome = NULL", "turns.outcome"),
        ("UPDATE turns SET outcome = 'cut_off', ended_by = 'hunter2'", "turns.ended_by"),
    ] {
        other.execute(sql, []).unwrap();
        met.push((store.turn(&held.id).await.unwrap_err(), column));
    }
    other.execute("UPDATE failures SET kind = 'rate_limit', turn = 'hunter2'", []).unwrap();
    let query = HistoryQuery { limit: 1, ..HistoryQuery::default() };
    met.push((store.failures(query).await.unwrap_err(), "failures.turn"));
    for (err, column) in met {
        assert!(matches!(err, StoreError::Damaged(_)), "{err}");
        assert!(err.to_string().contains(column), "{column}: {err}");
        assert!(!format!("{err:?}").contains("hunter2"), "{err:?}");
    }
}

#[tokio::test]
async fn a_newer_schema_and_a_foreign_database_are_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    drop(open(&path).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    conn.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, OpenError::NewerSchema { found: 7, known: 6, .. }), "{refused}");
    assert!(std::fs::read(&path).unwrap() == before);

    let path = dir.path().join("other.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    conn.close().unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, OpenError::NotOurs { .. }), "{refused}");
    assert!(std::fs::read(&path).unwrap() == before);

    assert!(matches!(refusal(&dir.path().join("missing/switchman.db")), OpenError::Unusable { .. }));
}

/// Every row of every table, but for columns that are not in `tables`.
fn rows(conn: &Connection, tables: &[(String, Vec<String>)]) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for (table, columns) in tables {
        let mut statement = conn.prepare(&format!("SELECT {} FROM {table} ORDER BY 1, 2", columns.join(", "))).unwrap();
        let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|place| row.get(place)).collect();
        rows.extend(statement.query_map([], row).unwrap().map(Result::unwrap));
    }
    rows
}

/// Opens a database of an older version, and looks whether everything that was in it still is.
fn migrated(path: &Path, older: &str) -> SqliteStore {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(older).unwrap();
    let names = |sql: &str| -> Vec<String> {
        conn.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'sqlite_sequence'");
    let columns = |table: &String| names(&format!("SELECT name FROM pragma_table_info('{table}')"));
    let tables: Vec<_> = tables.iter().map(|table| (table.clone(), columns(table))).collect();
    let before = rows(&conn, &tables);
    conn.close().unwrap();
    let store = open(path).unwrap();
    let conn = Connection::open(path).unwrap();
    assert!(before.len() > 12, "{before:?}");
    assert_eq!(rows(&conn, &tables), before);
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 6);
    store
}

#[tokio::test]
async fn a_database_of_schema_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = migrated(&path, include_str!("../fixtures/store_v1.sql"));
    let loaded = store.load_agent(&agent("web")).await.unwrap().unwrap();
    // What later versions know was not known then.
    assert_eq!(loaded.attributes, Attributes { credential: None, replaced: None, ..full_attributes() });
    assert_eq!(loaded.assignment, Some(assignment("max-b", 2, T0 + 20)));
    assert_eq!(loaded.last.unwrap().end, Some(end("web", 1, IntentOutcome::Ready, T0 + 30)));
    let open = loaded.open.unwrap();
    assert_eq!((open.intent, open.delivered), (intent("web", 2, 3, "max-c"), Some((Wall(T0 + 40), Some(instance())))));
    let answer_stored = store.answer(&agent("web"), &ReportId::from("r-1")).await.unwrap().unwrap();
    assert_eq!(answer_stored.answer, answer("web", 1));
    let pool = store.load_pool(Wall(T0)).await.unwrap();
    assert_eq!((pool.cooldowns.len(), pool.credentials.len()), (1, 1));
    let waiting = store.outgoing("ops", 10).await.unwrap();
    assert_eq!(waiting.iter().map(|out| &out.notification).collect::<Vec<_>>(), [&notification("n-2", T0 + 31)]);
}

#[tokio::test]
async fn a_database_of_schema_2_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = migrated(&path, include_str!("../fixtures/store_v2.sql"));
    let loaded = store.load_agent(&agent("web")).await.unwrap().unwrap();
    assert_eq!(loaded.attributes, full_attributes());
    assert_eq!(loaded.assignment, Some(assignment("max-b", 2, T0 + 20)));
    assert_eq!(loaded.last.unwrap().intent, intent("web", 1, 2, "max-b"));
    assert_eq!(loaded.open.unwrap().intent, intent("web", 2, 3, "max-c"));
    assert_eq!(loaded.budget, [Wall(T0 + 1), Wall(T0 + 2)]);
    assert_eq!(loaded.turns, TurnsRecord::default());
    let query = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    let failures = store.failures(query).await.unwrap().rows;
    assert_eq!(failures[1], FailureRecord { turn: None, ..full_failure("web", 1, "r-1") });
    assert_eq!(store.load_agent(&agent("db")).await.unwrap().unwrap().attributes, attributes());

    let held = full_turn("web", 1, "x");
    store.commit(vec![begun(&held)]).await.unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.load_agent(&agent("web")).await.unwrap().unwrap().turns.active, [held]);
}

#[tokio::test]
async fn a_database_of_schema_3_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = migrated(&path, include_str!("../fixtures/store_v3.sql"));
    let loaded = store.load_agent(&agent("web")).await.unwrap().unwrap();
    assert_eq!(loaded.attributes, full_attributes());
    assert_eq!(loaded.turns.active, [full_turn("web", 1, "x")]);
    let query = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    let failures = store.failures(query).await.unwrap().rows;
    assert!(failures.contains(&full_failure("web", 3, "r-3")), "{failures:?}");

    let waiting = store.outgoing("ops", 10).await.unwrap();
    assert_eq!(waiting.iter().map(|out| &out.notification).collect::<Vec<_>>(), [&notification("n-3", T0 + 60)]);
    let about_nobody = Notification { agent: None, ..notification("n-4", T0 + 70) };
    store
        .commit(vec![Change::Notified(notification("n-3", T0 + 70)), Change::Notified(about_nobody.clone())])
        .await
        .unwrap();
    let waiting = store.outgoing("ops", 10).await.unwrap();
    assert_eq!(waiting.len(), 2, "an id is told once, also one of before");
    assert_eq!(waiting[1].notification, about_nobody);
}

#[tokio::test]
async fn a_database_of_schema_4_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = migrated(&path, include_str!("../fixtures/store_v4.sql"));
    let read = store.load_pool(Wall(T0)).await.unwrap().readings;
    // Nobody had been probed then.
    let tellers: Vec<_> = read.iter().map(|reading| (reading.window, reading.told_by.clone())).collect();
    assert_eq!(tellers, [(Window::FiveHour, Teller::Reporter), (Window::Weekly, Teller::Agent("web".into()))]);
    let probed = Reading { told_by: Teller::Probe, at: Wall(T0 + 70), ..read[0].clone() };
    store.commit(vec![Change::ReadingTaken(probed.clone())]).await.unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.load_pool(Wall(T0)).await.unwrap().readings, [probed, read[1].clone()]);
    assert_eq!(store.load_agent(&agent("web")).await.unwrap().unwrap().attributes, full_attributes());
    let container = LogPosition::Container(ContainerPosition {
        container: "f00d".to_owned(),
        at_ns: 1_700_000_000_000_000_001,
        seen: 2,
    });
    assert_eq!(store.log_positions().await.unwrap(), [(agent("web"), container.clone())]);
    let source = SourceId::Journal("web.service".to_owned());
    let place = SourcePlace::Journal { cursor: "s=1;i=2".to_owned() };
    let position = LogPosition::Source { source, place, at: Wall(T0) };
    store.commit(vec![Change::LogRead(agent("web"), position.clone())]).await.unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.log_positions().await.unwrap(), [(agent("web"), container), (agent("web"), position)]);
}

#[tokio::test]
async fn places_in_the_outbox_go_on_where_they_were_in_schema_3_although_it_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(include_str!("../fixtures/store_v3.sql")).unwrap();
    conn.execute_batch("DELETE FROM notifications; UPDATE targets SET position = 3").unwrap();
    conn.close().unwrap();
    let store = open(&path).unwrap();
    store.commit(vec![Change::Notified(notification("n-4", T0 + 70))]).await.unwrap();
    let waiting = store.outgoing("ops", 10).await.unwrap();
    assert_eq!(waiting.iter().map(|out| out.position).collect::<Vec<_>>(), [4]);
}

#[tokio::test]
async fn a_full_disk_refuses_commits_until_there_is_space_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { pages_max: Some(80), ..OPTIONS };
    let path = dir.path().join("switchman.db");
    for is_threaded in [true, false] {
        let open = if is_threaded { SqliteStore::open } else { SqliteStore::open_inline };
        let store = open(&path, &options).unwrap();
        let row = |number| {
            Change::FailureRecorded(FailureRecord { reason: Some("x".repeat(2000)), ..failure("web", number) })
        };
        let mut written = 0;
        let refused = loop {
            match store.commit(vec![row(written + 1)]).await {
                Ok(()) => written += 1,
                Err(err) => break err,
            }
            assert!(written < 1000, "it never became full");
        };
        assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("full")), "{refused}");
        // A batch that is too large does not take the small ones of its group with it.
        let large = (1..50).map(|number| row(1000 + number)).collect();
        let small = vec![Change::FailureCounted { id: failure_id("web", 1), count: 9 }];
        let (large, small) = futures_util::join!(store.commit(large), store.commit(small));
        assert!(matches!(large, Err(StoreError::Unavailable(_))), "{large:?}");
        small.unwrap();
        let query = HistoryQuery { limit: 1000, ..HistoryQuery::default() };
        let rows = store.failures(query).await.unwrap().rows;
        assert_eq!(u64::try_from(rows.len()).unwrap(), written);
        assert_eq!(rows.last().unwrap().count, 9);

        let all = Wall(i64::MAX);
        let retention = Retention {
            undelivered_since: Wall(0),
            keep_since: all,
            answers_since: all,
            answers_max: 0,
            bytes_max: u64::MAX,
        };
        store.sweep(retention).await.unwrap();
        store.commit(vec![row(2000)]).await.unwrap();
        store.sweep(retention).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_of_another_process_refuses_commits_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    store.commit(vec![saved("web", &attributes())]).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.commit(vec![saved("web", &full_attributes())]).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("locked")), "{refused}");
    assert_eq!(store.load_agent(&agent("web")).await.unwrap().unwrap().attributes, attributes(), "reads go on");
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(vec![saved("web", &full_attributes())]).await.unwrap();
}

#[test]
fn what_a_refused_open_says_reads_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    drop(open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, OpenError::Unusable { .. }), "{refused}");
    assert!(refused.to_string().contains("another process holds it locked"), "{refused}");
    drop(other);
    for refused in [
        refused,
        OpenError::Damaged { path: path.clone(), why: "x".to_owned() },
        OpenError::NewerSchema { path: path.clone(), found: 2, known: 1 },
        OpenError::NotOurs { path },
    ] {
        let said = refused.to_string();
        assert!(!said.contains('\n') && !said.contains("  "), "{said:?}");
    }
}

#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    store.commit(vec![saved("web", &attributes())]).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and its index");
    drop(store);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "closing leaves one file");
}

#[tokio::test]
async fn the_file_is_in_wal_mode_and_can_shrink() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    drop(open(&path).unwrap());
    let conn = Connection::open(&path).unwrap();
    let pragma = |name: &str| {
        conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("auto_vacuum"), 2.into());
    assert_eq!(pragma("integrity_check"), "ok".to_owned().into());
}

#[tokio::test]
async fn the_oldest_history_goes_while_the_file_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    store
        .commit(vec![saved("web", &full_attributes()), assigned("web", &assignment("max-a", 1, T0), 0)])
        .await
        .unwrap();
    for number in 1..=3000_u64 {
        let at = Wall(T0 + number.cast_signed() * 1000);
        let mut changes = vec![Change::FailureRecorded(FailureRecord {
            at,
            reason: Some("x".repeat(300)),
            ..full_failure("web", number, &number.to_string())
        })];
        if number % 10 == 0 {
            changes.push(Change::IntentOpened(intent("web", number, number, "max-b")));
            changes.push(Change::IntentClosed(end("web", number, IntentOutcome::Failed, at.0)));
        }
        store.commit(changes).await.unwrap();
    }
    store.commit(vec![Change::IntentOpened(intent("web", 3001, 3001, "max-b"))]).await.unwrap();
    let bytes_max = 1_000_000;
    let retention = Retention {
        undelivered_since: Wall(0),
        keep_since: Wall(0),
        answers_since: Wall(0),
        answers_max: u32::MAX,
        bytes_max,
    };
    store.sweep(retention).await.unwrap();
    let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
    let failures = store.failures(query.clone()).await.unwrap().rows;
    assert!((500..=2500).contains(&failures.len()), "{}", failures.len());
    assert_eq!(failures[0].id.number, 3000);
    let oldest = failures.last().unwrap();
    assert_eq!(oldest.id.number, 3001 - u64::try_from(failures.len()).unwrap(), "the oldest went first");
    let intents = store.intents(query).await.unwrap().rows;
    assert_eq!(intents[0].end, None, "the open one stays");
    assert!(intents.len() > 50);
    assert!(intents[1..].iter().all(|row| row.end.as_ref().unwrap().finished_at >= oldest.at));
    let loaded = store.load_agent(&agent("web")).await.unwrap().unwrap();
    assert_eq!((loaded.attributes, loaded.assignment), (full_attributes(), Some(assignment("max-a", 1, T0))));
    drop(store);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size <= bytes_max, "{size}");
    // The impossible ends too.
    let store = open(&path).unwrap();
    store.sweep(Retention { bytes_max: 0, ..retention }).await.unwrap();
    assert!(store.load_agent(&agent("web")).await.unwrap().unwrap().open.is_some());
}

#[tokio::test]
async fn the_oldest_turns_go_with_the_failures_of_their_time_while_the_file_is_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    let under_way = turn("web", 1, "under way");
    // What an agent was given last is not given out again, and so it is never removed.
    let rested = turn("db", 1, "x");
    store.commit(vec![begun(&under_way), begun(&rested), over(&rested, TurnEnd::Complete, T0)]).await.unwrap();
    for hundred in 0..40 {
        let mut changes = Vec::new();
        for number in hundred * 100 + 2..hundred * 100 + 102 {
            let begun_at = Wall(T0 + i64::try_from(number).unwrap() * 1000);
            let held = Turn { begun_at, holder: "x".repeat(300), ..turn("web", number, "x") };
            changes.extend([begun(&held), over(&held, TurnEnd::Complete, begun_at.0)]);
            if number % 20 == 0 {
                changes.push(Change::FailureRecorded(FailureRecord { at: begun_at, ..failure("web", number) }));
            }
        }
        store.commit(changes).await.unwrap();
    }
    let bytes_max = 1_000_000;
    let retention = Retention {
        undelivered_since: Wall(0),
        keep_since: Wall(0),
        answers_since: Wall(0),
        answers_max: u32::MAX,
        bytes_max,
    };
    store.sweep(retention).await.unwrap();
    let query = HistoryQuery { limit: 10_000, ..HistoryQuery::default() };
    let turns = store.turns(query.clone()).await.unwrap().rows;
    let [kept @ .., rest, active] = turns.as_slice() else { panic!("{turns:?}") };
    assert_eq!((rest.turn.clone(), active.turn.clone()), (rested, under_way));
    assert!((500..=3500).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept[0].turn.id.number, 4001);
    let oldest = &kept.last().unwrap().turn;
    assert_eq!(oldest.id.number, 4002 - u64::try_from(kept.len()).unwrap(), "the oldest went first");
    let failures = store.failures(query).await.unwrap().rows;
    assert_eq!(failures.len(), (oldest.id.number..=4001).filter(|number| number % 20 == 0).count());
    assert!(failures.iter().all(|row| row.at >= oldest.begun_at));
    drop(store);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size <= bytes_max, "{size}");
    let store = open(&path).unwrap();
    store.sweep(Retention { bytes_max: 0, ..retention }).await.unwrap();
    let turns = store.load_agent(&agent("web")).await.unwrap().unwrap().turns;
    assert_eq!((turns.issued, turns.active.len()), (4001, 1));
}

#[tokio::test]
async fn sessions_that_are_remembered_no_longer_take_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchman.db");
    let store = open(&path).unwrap();
    let more = TurnsRecord::SESSIONS_MAX + 1_200;
    let saved = |name: &str, number| Change::SessionSaved(agent(name), session(&format!("s-{number}"), None, false));
    store.commit((0..more).map(|number| saved("web", number)).chain([saved("db", 0)]).collect()).await.unwrap();
    let before = store.load_agent(&agent("web")).await.unwrap();
    let all = Wall(i64::MAX);
    store
        .sweep(Retention {
            undelivered_since: Wall(0),
            keep_since: all,
            answers_since: all,
            answers_max: 0,
            bytes_max: u64::MAX,
        })
        .await
        .unwrap();
    let conn = Connection::open(&path).unwrap();
    let count = |name: &str| -> i64 {
        conn.query_row("SELECT count(*) FROM sessions WHERE agent = ?1", [name], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("web"), count("db")), (i64::try_from(TurnsRecord::SESSIONS_MAX).unwrap(), 1));
    assert!(store.load_agent(&agent("web")).await.unwrap() == before);
}
