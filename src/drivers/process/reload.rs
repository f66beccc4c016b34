//! Telling a running child to read its credential again.
//!
//! It must not start or end a life. A signal goes to the child alone, not to its group. A command runs beside it:
//! where the agent runs, with its configured variables, but without its credential, and neither its input nor what
//! it prints is anybody's; it is run as it is given, by no shell. One that does not end in time is killed with its
//! group, so its outcome is in doubt. If the daemon is killed meanwhile, the next one finds it as a left-over.
//!
//! | order finds | does |
//! |---|---|
//! | the life it names, running | the signal, or the command |
//! | another life | nothing: it has read the credential at its start |
//! | the life it names, ended, or none | refuses |
//!
//! A POST is not for a child's parent: `drivers/runtimes.rs` makes it.
//!
//! Tests: `tests/runtime_conformance/process_reload.rs`.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal};

use super::life::Stage;
use super::{NO_COMMAND, ProcessRuntime, Slot};
use crate::domain::Reload;
use crate::ports::runtime::{ReloadOrder, RuntimeError};

const CALL: &str = "reload";

impl ProcessRuntime {
    pub(super) async fn tell(&self, order: ReloadOrder<'_>) -> Result<(), RuntimeError> {
        let slot = self.slot(order.agent)?;
        let Some(life) = slot.life() else { return refused("the process was never started") };
        if life.instance != *order.life {
            return Ok(());
        }
        if life.stage() != Stage::Running {
            return refused("the process is not running");
        }
        match order.by {
            Reload::Signal(name) => match signal_named(name) {
                Some(signal) => life.signal(signal).or_else(|error| refused(&error.to_string())),
                None => refused(&format!("\"{name}\" is not the name of a signal")),
            },
            Reload::Exec(command) => self.run_beside(&order, &slot, command).await,
            Reload::Http(_) => refused("a parent posts nothing"),
        }
    }

    async fn run_beside(&self, order: &ReloadOrder<'_>, slot: &Slot, command: &[String]) -> Result<(), RuntimeError> {
        let Some(mut command) = self.bare_command(order.agent, &slot.spec, command) else {
            return refused(NO_COMMAND);
        };
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = tokio::process::Command::from(command).spawn();
        let mut beside = Beside(child.or_else(|error| refused(&format!("the command cannot be run: {error}")))?);
        match tokio::time::timeout(order.call_timeout, beside.0.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => refused(&in_words(status)),
            Ok(Err(error)) => Err(RuntimeError::Unknown { call: CALL, why: error.to_string() }),
            Err(_) => Err(RuntimeError::Timeout { call: CALL, after: order.call_timeout }),
        }
    }
}

/// A command under way. Dropped before it has ended, it is killed with its group.
struct Beside(tokio::process::Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // The id is there until the child is reaped, so it is nobody else's.
        if let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _nobody_left = rustix::process::kill_process_group(group, Signal::KILL).is_err();
        }
    }
}

fn refused<T>(why: &str) -> Result<T, RuntimeError> {
    Err(RuntimeError::Refused { call: CALL, why: why.to_owned() })
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit code {code}"),
        (None, Some(signal)) => format!("the command was ended by signal {signal}"),
        (None, None) => "the command ended without success".to_owned(),
    }
}

/// The signals of POSIX and of Linux that have one number everywhere.
fn signal_named(name: &str) -> Option<Signal> {
    Some(match name {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "ABRT" => Signal::ABORT,
        "KILL" => Signal::KILL,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "PIPE" => Signal::PIPE,
        "ALRM" => Signal::ALARM,
        "TERM" => Signal::TERM,
        "CHLD" => Signal::CHILD,
        "CONT" => Signal::CONT,
        "STOP" => Signal::STOP,
        "TSTP" => Signal::TSTP,
        "TTIN" => Signal::TTIN,
        "TTOU" => Signal::TTOU,
        "URG" => Signal::URG,
        "VTALRM" => Signal::VTALARM,
        "PROF" => Signal::PROF,
        "WINCH" => Signal::WINCH,
        "IO" => Signal::IO,
        _ => return None,
    })
}
