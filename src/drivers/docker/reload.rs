//! Telling a running container to read its credential again.
//!
//! It must not tell a container other than the one the order names, and never a standing or paused one: that
//! one reads nothing. A command is run as it is given, by no shell, and what it prints goes nowhere: it may
//! print the credential.
//!
//! | order finds | does |
//! |---|---|
//! | the life it names, running | the engine's kill with the signal, or its exec |
//! | another life of the same container | nothing: it has read the credential at its start |
//! | the life it names, standing, paused or about to be started again | refuses |
//! | another container under the name | refuses (`Foreign`) |
//!
//! An exec has no owner in the engine: one that does not end in time goes on, and its outcome is in doubt.
//! A restart by somebody else between the look and the call makes the new life hear the signal too.
//!
//! A POST is not for the engine: `drivers/runtimes.rs` makes it.
//!
//! Tests: `tests/runtime_conformance/docker_reload.rs`.

use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::query_parameters::KillContainerOptionsBuilder;

use super::DockerRuntime;
use super::container::Container;
use crate::domain::{Due, Reload};
use crate::ports::runtime::{ReloadOrder, RuntimeError};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

const CALL: &str = "reload";

impl DockerRuntime {
    pub(super) async fn tell(&self, order: ReloadOrder<'_>) -> Result<(), RuntimeError> {
        let due = self.clock.now().due_after(order.call_timeout);
        let container = self.subject_of(order.agent, Some(order.life), order.call_timeout).await?;
        if container.is_another_life_than(order.life) {
            return Ok(());
        }
        if let Some(why) = container.why_it_reads_nothing() {
            return refused(why);
        }
        match order.by {
            Reload::Signal(name) => self.signal(&order, name, &container, due).await,
            Reload::Exec(command) => self.exec(&order, command, &container, due).await,
            Reload::Http(_) => refused("an engine posts nothing"),
        }
    }

    async fn signal(
        &self,
        order: &ReloadOrder<'_>,
        name: &str,
        container: &Container,
        due: Due,
    ) -> Result<(), RuntimeError> {
        let client = self.engine.client()?;
        let options = KillContainerOptionsBuilder::default().signal(&format!("SIG{name}")).build();
        let work = client.kill_container(&container.id, Some(options));
        self.call("kill", order.agent, due.remaining(self.clock.now()), work).await
    }

    async fn exec(
        &self,
        order: &ReloadOrder<'_>,
        command: &[String],
        container: &Container,
        due: Due,
    ) -> Result<(), RuntimeError> {
        let client = self.engine.client()?;
        let left = || due.remaining(self.clock.now());
        let what = CreateExecOptions { cmd: Some(command.to_vec()), ..CreateExecOptions::default() };
        let made = self.call("exec_create", order.agent, left(), client.create_exec(&container.id, what)).await?;
        let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
        let begun = self.call("exec_start", order.agent, left(), client.start_exec(&made.id, Some(detached))).await;
        begun.map_err(of_a_command)?;
        let mut pause = FIRST_PAUSE;
        while !left().is_zero() {
            let found = self.call("exec_inspect", order.agent, left(), client.inspect_exec(&made.id)).await;
            let found = match found {
                Err(RuntimeError::Timeout { .. }) => break,
                found => found.map_err(of_a_command)?,
            };
            match (found.running, found.exit_code) {
                (Some(false), Some(0)) => return Ok(()),
                (Some(false), Some(code)) => return refused(&format!("the command ended with exit code {code}")),
                _ => self.clock.sleep(pause.min(left())).await,
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
        Err(RuntimeError::Timeout { call: CALL, after: order.call_timeout })
    }
}

impl Container {
    fn why_it_reads_nothing(&self) -> Option<&'static str> {
        match (self.running, self.restarting, self.paused) {
            (false, _, _) => Some("the container is not running"),
            (_, true, _) => Some("the container has ended and is about to be started again"),
            (_, _, true) => Some("the container is paused"),
            (true, false, false) => None,
        }
    }
}

fn refused(why: &str) -> Result<(), RuntimeError> {
    Err(RuntimeError::Refused { call: CALL, why: why.to_owned() })
}

/// A command that the engine knows no more says nothing of its container, and nothing of its end.
fn of_a_command(error: RuntimeError) -> RuntimeError {
    match error {
        RuntimeError::Missing(_) => {
            RuntimeError::Unknown { call: CALL, why: "the engine knows nothing of the command any more".to_owned() }
        }
        error => error,
    }
}
