//! Values of the domain as columns, and columns as values again.
//!
//! Nothing here may put the content of a column into an error: it names table and column only.
//!
//! Tests: by every round trip in `tests/store_conformance.rs`; damaged columns in `tests/store_conformance/sqlite_only.rs`.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::types::FromSql;
use rusqlite::{ErrorCode, Row, ffi};

use crate::domain::{FailureId, Generation, Instance, IntentId, TurnId, Wall};
use crate::ports::store::StoreError;

/// What SQLite says of an error, without anything out of a row.
pub(super) fn describe(err: &rusqlite::Error) -> String {
    match err {
        rusqlite::Error::SqliteFailure(failure, _) => ffi::code_to_str(failure.extended_code).to_owned(),
        rusqlite::Error::QueryReturnedNoRows => "a row is missing".to_owned(),
        _ => "a value or statement does not fit the schema".to_owned(),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(err: rusqlite::Error) -> Self {
        match err.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::Unavailable(describe(&err)),
            _ => Self::Damaged(describe(&err)),
        }
    }
}

/// Numbers that only grow are unsigned here and signed there: the bits stay.
pub(super) fn number(value: u64) -> i64 {
    value.cast_signed()
}

pub(super) fn generation(value: Generation) -> i64 {
    number(value.0)
}

pub(super) fn wall(value: Option<Wall>) -> Option<i64> {
    value.map(|wall| wall.0)
}

pub(super) fn shown<T: Display>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}

/// A row together with the name of its table.
pub(super) struct Cells<'r, 's> {
    row: &'r Row<'s>,
    table: &'static str,
}

impl<'r, 's> Cells<'r, 's> {
    pub(super) fn new(table: &'static str, row: &'r Row<'s>) -> Self {
        Self { row, table }
    }

    /// The error for a column that holds something that was never written.
    pub(super) fn fault(&self, column: &str) -> StoreError {
        StoreError::Damaged(format!("column {}.{column} holds a value that has no meaning", self.table))
    }

    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|err| match err {
            rusqlite::Error::SqliteFailure(..) => err.into(),
            _ => self.fault(column),
        })
    }

    pub(super) fn name<T: From<String>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.get::<String>(column).map(T::from)
    }

    pub(super) fn opt_name<T: From<String>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        Ok(self.get::<Option<String>>(column)?.map(T::from))
    }

    pub(super) fn word<T: FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.get::<String>(column)?.parse().map_err(|_| self.fault(column))
    }

    pub(super) fn opt_word<T: FromStr>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.get::<Option<String>>(column)?.map(|word| word.parse().map_err(|_| self.fault(column))).transpose()
    }

    pub(super) fn wall(&self, column: &'static str) -> Result<Wall, StoreError> {
        self.get(column).map(Wall)
    }

    pub(super) fn opt_wall(&self, column: &'static str) -> Result<Option<Wall>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(Wall))
    }

    pub(super) fn number(&self, column: &'static str) -> Result<u64, StoreError> {
        self.get::<i64>(column).map(i64::cast_unsigned)
    }

    pub(super) fn small(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|_| self.fault(column))
    }

    pub(super) fn generation(&self, column: &'static str) -> Result<Generation, StoreError> {
        self.number(column).map(Generation)
    }

    pub(super) fn opt_generation(&self, column: &'static str) -> Result<Option<Generation>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(|number| Generation(number.cast_unsigned())))
    }

    pub(super) fn opt_failure(&self, column: &'static str) -> Result<Option<FailureId>, StoreError> {
        self.get::<Option<String>>(column)?
            .map(|text| FailureId::parse(&text).ok_or_else(|| self.fault(column)))
            .transpose()
    }

    pub(super) fn opt_intent(&self, column: &'static str) -> Result<Option<IntentId>, StoreError> {
        self.get::<Option<String>>(column)?
            .map(|text| IntentId::parse(&text).ok_or_else(|| self.fault(column)))
            .transpose()
    }

    pub(super) fn opt_turn(&self, column: &'static str) -> Result<Option<TurnId>, StoreError> {
        self.get::<Option<String>>(column)?
            .map(|text| TurnId::parse(&text).ok_or_else(|| self.fault(column)))
            .transpose()
    }

    /// A life of an agent, which takes two columns.
    pub(super) fn opt_instance(
        &self,
        id: &'static str,
        started_at: &'static str,
    ) -> Result<Option<Instance>, StoreError> {
        Ok(match (self.get(id)?, self.get(started_at)?) {
            (Some(id), Some(started_at)) => Some(Instance { id, started_at }),
            _ => None,
        })
    }
}
