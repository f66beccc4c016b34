//! The real things behind the ports, and their fakes.
//!
//! A driver does what it is told and says what became of it. It must not decide, retry an effect by itself,
//! or know the actors; drivers do not know each other.
//!
//! Tests: in each file.

pub mod credentials;
pub mod fingerprint;
