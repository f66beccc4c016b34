//! Tells a container what to print.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use super::containers::Containers;

/// The control of one container.
pub(crate) struct Voice(File);

impl Voice {
    /// That of the container with this name.
    pub(crate) fn of(containers: &Containers, name: &str) -> Self {
        let control = containers.work().join(name).join("control");
        Self(OpenOptions::new().read(true).write(true).open(control).expect("the control of a container"))
    }

    /// One command of the agent program.
    pub(crate) fn say(&mut self, command: &str) {
        self.0.write_all(format!("{command}\n").as_bytes()).expect("a command");
    }
}
