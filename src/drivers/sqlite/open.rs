//! Opens the database: looks at it before touching it, makes it if it is not there, sets its modes.
//!
//! It must not repair, move or overwrite anything: a file that is damaged, newer or not ours stays as it is.
//!
//! Tests: below and `tests/store_conformance/sqlite_only.rs`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;

/// Databases larger than this are checked only in the tables that do not grow with the history: a start
/// must not take minutes.
const CHECK_WHOLE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// How the database is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a write waits for another process that holds the database locked.
    pub busy_timeout: Duration,
    /// The file may not grow beyond so many pages of 4 KiB; commits that would make it are refused as if
    /// the disk were full. `None` leaves it to the disk.
    pub pages_max: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(2), pages_max: None }
    }
}

/// Why the database was not opened. The file is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Its content is not what was written.
    #[error(
        "open database {}: it is damaged ({why}); it was left as it is: copy it and the files beside it \
         ({}-wal) to a safe place, then either put a backup in its place, or rescue what can be read with \
         `sqlite3 DAMAGED .recover | sqlite3 NEW`, or move it away to begin with an empty history",
        path.display(), path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was noticed; no content.
        why: String,
    },
    /// It was written by a newer program.
    #[error(
        "open database {}: its schema is version {found} and this program knows versions up to {known}; \
         install the program that wrote it, or a newer one", path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// It is the database of something else.
    #[error(
        "open database {}: it was not made by switchman; choose another `state_dir`, or move the file away",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened now: rights, space, another process that holds it locked.
    #[error("open database {}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The cause in words.
        why: String,
    },
}

impl OpenError {
    fn of(path: &Path, err: &rusqlite::Error) -> Self {
        let why = super::columns::describe(err);
        match err.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path: path.to_owned(), why },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Unusable { path: path.to_owned(), why: format!("{why}: another process holds it locked") }
            }
            _ => Self::Unusable { path: path.to_owned(), why },
        }
    }
}

/// The one connection that writes, with the newest schema.
pub(super) fn writer(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let is_new = create(path).map_err(|err| OpenError::Unusable { path: path.to_owned(), why: err.to_string() })?;
    if !is_new {
        inspect(path, options)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(|err| OpenError::of(path, &err))?;
    prepare(&mut conn, options).map_err(|err| OpenError::of(path, &err))?;
    Ok(conn)
}

/// A connection that cannot write.
pub(super) fn reader(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|conn| {
            conn.busy_timeout(options.busy_timeout)?;
            conn.set_prepared_statement_cache_capacity(32);
            plan_once(&conn)?;
            Ok(conn)
        })
        .map_err(|err| OpenError::of(path, &err))
}

/// A database without a file.
pub(super) fn memory() -> Result<Connection, OpenError> {
    let path = Path::new(":memory:");
    let mut conn = Connection::open_in_memory().map_err(|err| OpenError::of(path, &err))?;
    prepare(&mut conn, &Options::default()).map_err(|err| OpenError::of(path, &err))?;
    Ok(conn)
}

/// Makes an empty file that only its owner can read; SQLite gives the files beside it the same mode.
fn create(path: &Path) -> std::io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            // The name of the file must survive a power cut as well.
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(dir)?.sync_all()?;
            Ok(true)
        }
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(err) => Err(err),
    }
}

/// Looks at an existing file through a connection that cannot change it.
fn inspect(path: &Path, options: &Options) -> Result<(), OpenError> {
    let conn = reader(path, options)?;
    let look = || -> rusqlite::Result<_> {
        // Closing must not fold the write-ahead log into a file that is about to be refused.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((version, application, tables))
    };
    let (version, application, tables) = look().map_err(|err| OpenError::of(path, &err))?;
    if tables > 0 && application != schema::APPLICATION_ID {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    if version > schema::VERSION {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found: version, known: schema::VERSION });
    }
    match check(&conn, CHECK_WHOLE_BYTES_MAX).map_err(|err| OpenError::of(path, &err))? {
        None => Ok(()),
        Some(why) => Err(OpenError::Damaged { path: path.to_owned(), why }),
    }
}

/// The first thing that is wrong with the database, if anything is.
fn check(conn: &Connection, whole_bytes_max: u64) -> rusqlite::Result<Option<String>> {
    let bytes: i64 =
        conn.query_row("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()", [], |row| {
            row.get(0)
        })?;
    let checks = if bytes.cast_unsigned() <= whole_bytes_max {
        vec!["PRAGMA quick_check(1)".to_owned()]
    } else {
        schema::SMALL_TABLES.iter().map(|table| format!("PRAGMA quick_check({table})")).collect()
    };
    for check in checks {
        let found: String = conn.query_row(&check, [], |row| row.get(0))?;
        if found != "ok" {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn prepare(conn: &mut Connection, options: &Options) -> rusqlite::Result<()> {
    conn.busy_timeout(options.busy_timeout)?;
    // Takes effect on an empty file only, and must come before the first table.
    conn.pragma_update(None, "auto_vacuum", "incremental")?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.pragma_update(None, "cache_size", -8192)?;
    conn.pragma_update_and_check(None, "journal_size_limit", 16 * 1024 * 1024, |_| Ok(()))?;
    conn.set_prepared_statement_cache_capacity(64);
    plan_once(conn)?;
    schema::migrate(conn)?;
    if let Some(pages) = options.pages_max {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(())
}

/// Without this, every new value of a parameter makes SQLite prepare the statement again, in case another plan
/// suits it better: dearer than what the statements here do.
fn plan_once(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writing_connection_syncs_every_commit_and_the_others_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switchman.db");
        let writer = writer(&path, &Options::default()).unwrap();
        let pragma = |name: &str| -> i64 { writer.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap() };
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (2, 1));
        let reader = reader(&path, &Options::default()).unwrap();
        let refused = reader.execute("DELETE FROM agents", []).unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    }

    #[test]
    fn a_large_database_is_checked_in_the_tables_that_stay_small() {
        let conn = memory().unwrap();
        assert_eq!(check(&conn, u64::MAX).unwrap(), None);
        assert_eq!(check(&conn, 0).unwrap(), None);
        for table in schema::SMALL_TABLES {
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
        }
    }
}
