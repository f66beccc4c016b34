//! Opens each kind of store, and opens it again.

use std::sync::Arc;
use std::time::Duration;

use switchman::drivers::fake::store::FakeStore;
use switchman::drivers::sqlite::{Options, SqliteStore};
use switchman::ports::store::Store;
use tempfile::TempDir;

/// Which store a case runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fake,
    Threaded,
    Inline,
    Memory,
}

/// Where the rows are while the store that keeps them is opened and closed.
pub(crate) struct Rig {
    kind: Kind,
    dir: TempDir,
    kept: Option<Arc<dyn Store>>,
}

impl Rig {
    pub(crate) fn new(kind: Kind) -> Self {
        let kept: Option<Arc<dyn Store>> = match kind {
            Kind::Fake => Some(Arc::new(FakeStore::new())),
            Kind::Memory => Some(Arc::new(SqliteStore::in_memory().unwrap())),
            Kind::Threaded | Kind::Inline => None,
        };
        Self { kind, dir: tempfile::tempdir().unwrap(), kept }
    }

    /// Opens the store, with the rows that earlier ones left.
    pub(crate) fn open(&self) -> Arc<dyn Store> {
        if let Some(kept) = &self.kept {
            return Arc::clone(kept);
        }
        let path = self.dir.path().join("switchman.db");
        let options = Options { busy_timeout: Duration::from_millis(50), ..Options::default() };
        if self.kind == Kind::Inline {
            Arc::new(SqliteStore::open_inline(&path, &options).unwrap())
        } else {
            Arc::new(SqliteStore::open(&path, &options).unwrap())
        }
    }
}
