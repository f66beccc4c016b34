//! What containers there are, for those that become agents by their names or labels.

use super::{Disposition, Pending};
use crate::domain::{FoundContainer, Sought};

/// The engine could not say what containers there are. Says nothing about any of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("list the containers: {0}")]
pub struct ListError(pub String);

impl ListError {
    /// Another try may come off: nothing was done.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        Disposition::Transient
    }
}

/// Tells what containers there are.
pub trait Discovery: Send + Sync {
    /// All that are asked for, running or not, in no order. More than was asked for may be among them.
    ///
    /// # Errors
    /// If the engine does not answer, or not in time. A listing is whole or there is none.
    fn list<'a>(&'a self, sought: &'a Sought) -> Pending<'a, Result<Vec<FoundContainer>, ListError>>;

    /// Resolves when it is worth listing again: a container was made, removed or renamed, or the engine was out of
    /// sight for a moment. A hint and no more; a caller may drop the future at any time and misses nothing.
    fn next_hint(&self) -> Pending<'_, ()>;
}
