//! Callers that share an agent, from the outside: the real binary, over its socket, with agents that are children and, where
//! the work of a turn is ended, agents that are containers. Each test runs a daemon of its own.
//!
//! | what went wrong elsewhere | here |
//! |---|---|
//! | a lock was released that somebody held | `held` |
//! | a question was skipped, and nobody was told | `order`, `library` |
//! | a pair was begun twice, and told twice | `pairs` |
//! | a worker overtook a webhook; a cancel was half done | `queue`, `cancels` |
//!
//! The containers need a Docker Engine; `scripts/test` starts one where there is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of the runtimes use more of it")]
#[path = "rig/engine.rs"]
mod engine;
#[expect(dead_code, reason = "the tests of the shell use more of it")]
#[path = "shell/rig.rs"]
mod fakes;
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[path = "rig/image.rs"]
mod image;
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
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/stage.rs"]
mod stage;

#[path = "turns/callers.rs"]
mod callers;

#[path = "turns/admission.rs"]
mod admission;
#[path = "turns/bad_input.rs"]
mod bad_input;
#[path = "turns/cancels.rs"]
mod cancels;
#[path = "turns/command_line.rs"]
mod command_line;
#[path = "turns/drains.rs"]
mod drains;
#[path = "turns/ends.rs"]
mod ends;
#[path = "turns/examples.rs"]
mod examples;
#[path = "turns/fences.rs"]
mod fences;
#[path = "turns/held.rs"]
mod held;
#[path = "turns/library.rs"]
mod library;
#[path = "turns/lives.rs"]
mod lives;
#[path = "turns/order.rs"]
mod order;
#[path = "turns/pairs.rs"]
mod pairs;
#[path = "turns/queue.rs"]
mod queue;
