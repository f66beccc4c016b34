//! What the ports are in the real world, and fakes of them: one folder per driver.
//!
//! A driver must not decide anything: what it is asked to do is complete. Drivers know the ports and the
//! domain, not each other and not the actors.

pub mod fake;
pub mod sqlite;
pub mod state_dir;
