//! The real binary, from the outside: over its socket and its command line, with agents that are children and agents
//! that are containers. Each test runs a daemon of its own.
//!
//! The containers need a Docker Engine; `scripts/test` starts one where there is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of the runtimes use more of it")]
#[path = "rig/engine.rs"]
mod engine;
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
#[path = "rig/setup.rs"]
mod setup;
#[path = "rig/site.rs"]
mod site;
#[path = "rig/stage.rs"]
mod stage;

#[path = "scenarios/agents_apart.rs"]
mod agents_apart;
#[path = "scenarios/bursts.rs"]
mod bursts;
#[path = "scenarios/command_line.rs"]
mod command_line;
#[path = "scenarios/engine_comes.rs"]
mod engine_comes;
#[path = "scenarios/lives.rs"]
mod lives;
#[path = "scenarios/nobody_left.rs"]
mod nobody_left;
#[path = "scenarios/pool.rs"]
mod pool;
#[path = "scenarios/reach.rs"]
mod reach;
#[path = "scenarios/repeats.rs"]
mod repeats;
