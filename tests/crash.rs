//! S11: the daemon is killed at every step of a switch, and at random moments within one. Whatever the moment, the
//! next life of the daemon finishes what was begun, once.
//!
//! The random moments follow from a seed, which is printed; `SWITCHMAN_TEST_SEED` repeats a run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a run is repeated by its seed")]

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
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/stage.rs"]
mod stage;

#[path = "crash/moments.rs"]
mod moments;
#[path = "crash/round.rs"]
mod round;
