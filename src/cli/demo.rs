//! `demo`: the whole job on this machine.

use super::{Environment, Output};
use crate::error::{Exit, Failure};

/// Shows one burst, one switch, one restart.
///
/// # Errors
/// If the daemon of the demo does not do its job.
pub fn demo(_environment: &Environment, _output: &mut Output) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not_built", "this build has no daemon"))
}
