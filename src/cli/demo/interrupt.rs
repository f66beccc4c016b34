//! Ctrl-C and its kin, for a demo that cleans up after itself.
//!
//! From its making on the signals end nothing by themselves. The first one is answered by striking the stage; what
//! is being made in an engine at that moment is waited for, because a call that is given up goes on there.
//!
//! Tests: `tests/demo.rs`.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Exit, Failure};

/// The signals that ask to stop.
pub(super) struct Interrupt([Signal; 3]);

impl Interrupt {
    pub(super) fn take() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn heard(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }

    /// Gives the work up at the first signal.
    pub(super) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            () = self.heard() => Err(interrupted()),
        }
    }

    /// Lets the work end after a first signal, and gives it up at the second.
    pub(super) async fn after<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = self.heard() => {}
        }
        tokio::select! {
            done = &mut work => done.and_then(|_| Err(interrupted())),
            () = self.heard() => Err(interrupted()),
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(Exit::Failed, "interrupted", "interrupted")
}
