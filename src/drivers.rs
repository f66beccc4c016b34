//! The world outside, behind the ports: each file is one driver.
//!
//! A driver carries out exactly what it is told, says what came of it, and chooses nothing. Drivers do not know
//! each other or the actors, except that a router may combine two of one port; whoever starts the daemon wires
//! them together.
//!
//! Tests: one conformance suite per port, run on the fake and on the real thing.

pub mod credentials;
pub mod delivery;
pub mod docker;
pub mod fake;
pub mod fingerprint;
mod folder;
pub mod login;
pub mod notify;
pub mod probe;
pub mod process;
mod reload_http;
pub mod runtimes;
pub mod sqlite;
pub mod state_dir;
pub mod system_clock;
