//! The world outside, behind the ports: each file is one driver.
//!
//! A driver carries out exactly what it is told and chooses nothing. Drivers do not know each other or the
//! actors; whoever starts the daemon wires them together.
//!
//! Tests: one conformance suite per port, run on the fake and on the real thing.

pub mod credentials;
pub mod fake;
pub mod fingerprint;
pub mod system_clock;
pub mod webhook;
