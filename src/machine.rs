//! The decisions.
pub mod policy;
pub mod timer;
