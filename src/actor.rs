//! The shell around the machine.

pub mod outbox;
