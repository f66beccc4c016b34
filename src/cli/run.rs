//! `run`: the daemon, in the foreground.

use std::path::Path;

use super::Environment;
use crate::error::{Exit, Failure};

/// Runs the daemon until it is asked to stop.
///
/// # Errors
/// If it cannot start, or ends by a fault.
pub fn run(_config: &Path, _environment: &Environment) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not_built", "this build has no daemon"))
}
