//! The real things behind the ports, and their fakes.
//!
//! A driver does what it is told and says what became of it. It must not decide, retry an effect by itself,
//! or know the actors; drivers do not know each other, except that a router may combine two of one port.
//!
//! Tests: in each file; `tests/runtime_conformance.rs` and `tests/delivery_conformance.rs` hold the fakes and
//! the real ones to the same promises.

pub mod delivery;
pub mod docker;
pub mod fake;
pub mod fingerprint;
pub mod process;
pub mod runtimes;
pub mod system_clock;
