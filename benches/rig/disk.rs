//! The real store on the disk of the checkout: a commit to memory would cost nothing.

use std::path::Path;
use std::sync::Arc;

use switchman::drivers::sqlite::{Options, SqliteStore};
use switchman::ports::store::Store;

/// A directory that goes when it is dropped.
pub(crate) fn disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a real disk")
}

/// The store in this directory.
pub(crate) fn sqlite(dir: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&dir.join("switchman.db"), &Options::default()).expect("a store"))
}
