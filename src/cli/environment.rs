//! What surrounds a run of the binary: variables, the clock, and what the global options said.
//!
//! The one place that reads the process's environment; everything below it gets values.

use std::path::PathBuf;
use std::sync::Arc;

use crate::drivers::credentials;
use crate::drivers::system_clock::SystemClock;
use crate::ports::clock::Clock;

/// What surrounds a run.
#[derive(Clone)]
pub struct Environment {
    /// The variables of the process; one that is not UTF-8 counts as absent.
    pub variables: credentials::Environment,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How often `-v` was given.
    pub verbosity: u8,
    /// The socket that `--socket` or `SWITCHMAN_SOCKET` named.
    pub socket: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the process begins here")]
        let variable = |name: &str| std::env::var(name).ok();
        Self { variables: Arc::new(variable), clock: Arc::new(SystemClock::new()), verbosity: 0, socket: None }
    }
}

impl std::fmt::Debug for Environment {
    /// Without the variables: they may hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("verbosity", &self.verbosity)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
