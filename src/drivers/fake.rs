//! Stand-ins for the outside world, in memory, with faults on demand: for tests, models and simulation.
//!
//! A fake must not be kinder than the real thing: each passes the conformance suite of its port.

pub mod clock;
mod delivered;
pub mod discovery;
pub mod fault;
pub mod logs;
pub mod prober;
pub mod runtime;
pub mod store;
