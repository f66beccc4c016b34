//! Stand-ins for the outside world that tests and simulations can steer.
//!
//! They keep the contract of their port, pass its conformance suite, and fail on request.

pub mod clock;
