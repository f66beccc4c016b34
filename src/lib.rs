//! switchman keeps containerised AI coding agents working.

pub mod actor;
pub mod api;
pub mod classify;
pub mod config;
pub mod domain;
pub mod drivers;
pub mod machine;
pub mod ports;
pub mod shutdown;
pub mod systemd;
pub mod telemetry;
