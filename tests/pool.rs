//! The pool over hours and days: the real binary with agents that are children, and a calendar that the test sets.
//!
//! What is told here of rules D, E and F needs hours to pass; what does not stands in `tests/scenarios.rs`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/calendar.rs"]
mod calendar;
#[path = "rig/daemon.rs"]
mod daemon;
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/processes.rs"]
mod processes;
#[path = "rig/program.rs"]
mod program;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

#[path = "pool/days.rs"]
mod days;
#[path = "pool/fleet.rs"]
mod fleet;
#[path = "pool/resets.rs"]
mod resets;
#[path = "pool/stage.rs"]
mod stage;
