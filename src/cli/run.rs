//! `run`: the daemon, in the foreground.

use std::io::IsTerminal;
use std::path::Path;

use super::Environment;
use crate::config;
use crate::daemon::{self, DaemonError};
use crate::drivers::sqlite::OpenError;
use crate::drivers::state_dir::StateDirError;
use crate::error::{Exit, Failure};

/// Runs the daemon until it is asked to stop.
///
/// # Errors
/// If it cannot start, or ends by a fault.
pub fn run(config: &Path, environment: &Environment) -> Result<(), Failure> {
    let surroundings = daemon::Environment {
        // One that is not UTF-8 cannot be a credential or an address, and is not passed on.
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        is_terminal: std::io::stderr().is_terminal(),
        socket: environment.socket.clone(),
    };
    daemon::run(config, &surroundings).map_err(|error| failure(config, &error))
}

/// The exit code that a service manager acts on: the unit file does not restart what a restart cannot mend.
fn failure(config: &Path, error: &DaemonError) -> Failure {
    match error {
        DaemonError::Config(problems) => {
            let detail = format!("{} is not valid: {} problems", config.display(), problems.len());
            Failure::new(Exit::ConfigInvalid, "config_invalid", detail)
                .with_text(config::render(problems, std::io::stderr().is_terminal()))
        }
        DaemonError::StateDir(held @ StateDirError::Held { .. }) => {
            Failure::new(Exit::StateHeld, "state_held", format!("failed to {held}"))
        }
        DaemonError::StateDir(other) => Failure::new(Exit::Failed, "state_dir", format!("failed to {other}")),
        DaemonError::Store(
            damaged @ (OpenError::Damaged { .. } | OpenError::NewerSchema { .. } | OpenError::NotOurs { .. }),
        ) => Failure::new(Exit::StoreDamaged, "store_damaged", format!("failed to {damaged}")),
        DaemonError::Listen(error) if error.is_already_served() => {
            Failure::new(Exit::StateHeld, "socket_held", format!("cannot listen: {error}"))
        }
        DaemonError::Log(_) | DaemonError::DockerHost(_) | DaemonError::Webhook(_) => {
            Failure::new(Exit::ConfigInvalid, "config_invalid", error.to_string())
        }
        DaemonError::Store(_) | DaemonError::Start(_) | DaemonError::Listen(_) | DaemonError::Platform { .. } => {
            Failure::new(Exit::Failed, "start_failed", error.to_string())
        }
        DaemonError::Failed => Failure::new(Exit::Failed, "daemon_failed", error.to_string()),
    }
}
