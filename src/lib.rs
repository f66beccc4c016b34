//! switchman keeps containerised AI coding agents working: when the subscription that an agent runs on fails, it moves
//! the agent to another one and restarts its container once.
//!
//! The shape: all decisions are pure functions in [`machine`]; [`actor`] gives each agent one owner that folds events
//! through them, commits, and only then acts; [`ports`] say what is needed of the world and [`drivers`] provide it;
//! [`api`] and [`cli`] are the way in; [`daemon`] wires everything together. The long form, with the rule of who may
//! import whom, is `docs/ARCHITECTURE.md`; `tests/layering.rs` holds it.
//!
//! This is the library half of one binary. It has no stable interface of its own.

pub mod actor;
pub mod api;
pub mod classify;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod drivers;
pub mod error;
pub mod machine;
pub mod ports;
pub mod replay;
pub mod shutdown;
pub mod systemd;
pub mod telemetry;
