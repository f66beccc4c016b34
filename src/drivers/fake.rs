//! Drivers that live in memory and fail on request, for the simulation and for tests of everything above.

pub mod fault;
pub mod runtime;
