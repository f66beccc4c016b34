//! switchman keeps containerised AI coding agents working.

pub mod actor;
pub mod api;
pub mod classify;
pub mod cli;
pub mod config;
pub mod domain;
pub mod drivers;
pub mod error;
pub mod machine;
pub mod ports;
pub mod shutdown;
pub mod systemd;
pub mod telemetry;
