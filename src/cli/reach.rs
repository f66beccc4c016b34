//! Which socket the daemon is behind: the one that was named, else the config's, else the default.

use std::sync::Arc;

use super::arguments::Global;
use super::client::Daemon;
use super::environment::Environment;
use crate::config::{self, Api};

/// The daemon that the global options mean.
pub(super) fn daemon(global: &Global, environment: &Environment) -> Daemon {
    let config = global.config.display();
    let (socket, origin) = match &global.socket {
        Some(socket) => (socket.clone(), "that of --socket or SWITCHMAN_SOCKET".to_owned()),
        None => match config::socket(&global.config, &*environment.variables) {
            Ok(socket) => (socket, format!("that of {config}")),
            Err(err) => (Api::default().socket, format!("the default, for {config} cannot be read: {err}")),
        },
    };
    Daemon::new(socket, origin, Arc::clone(&environment.clock), environment.verbosity > 0)
}
