//! The shell around the machine: one owner per agent, one for the pool, and a supervisor.
//!
//! ```text
//!   API · CLI · events · logs                    ┌──────── root (supervision, restart intensity)
//!        │ [`handle::Switchman`]                  │ spawns, respawns
//!        ▼                                        ▼
//!   intake (bounded, coalescing) ──wake──► agent actor ──reserve──► pool actor
//!        ▲                                  │  1. fold events through `transition`
//!        │ answers, after the commit        │  2. one commit
//!        └──────────────────────────────────┤  3. replies, effects
//!                                           └─► effects ──outcome──► agent actor
//! ```
//!
//! What outlives an actor's crash lives in its [`seat`]: the intake, the published state, the effect under way. Nobody
//! outside this module holds an `ActorRef`; a mailbox carries at most one wake token, plus what the actor asked for
//! itself (a pick, an outcome, a tick). The only await in an agent's handler is its commit, which has a deadline.
//!
//! Nothing is decided here: if it is a decision, it belongs into `machine`. Tests: `tests/shell.rs`,
//! `tests/intake_schedules.rs`, and the black-box suites.

mod agent;
mod announce;
mod effects;
mod engine_notices;
pub mod handle;
pub mod intake;
pub mod leases;
pub mod outbox;
mod overheard;
mod pace;
mod pool;
pub mod probes;
mod readers;
mod recognition;
pub mod root;
pub mod seat;
mod shapes;
mod tasks;
pub mod trial;
pub mod turns;
mod watchers;

pub use handle::Switchman;
pub use root::{Root, Wiring};
