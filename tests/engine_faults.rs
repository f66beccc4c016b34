//! The real binary with agents in containers of an engine that fails: calls that go wrong in every way, an engine that
//! ends and comes back, containers that others meddle with, and a daemon that is killed around every call.
//!
//! Each test runs a Docker Engine of its own (`rig/private_engine.rs`) and, where single calls are disturbed, a proxy
//! before it (`rig/engine_proxy.rs`). They need root and the programs of the package `docker.io`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of the runtimes use more of it")]
#[path = "rig/engine.rs"]
mod engine;
#[path = "rig/engine_proxy.rs"]
mod engine_proxy;
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[path = "rig/image.rs"]
mod image;
#[path = "rig/private_engine.rs"]
mod private_engine;
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

#[path = "engine_faults/dock.rs"]
mod dock;

#[path = "engine_faults/as_found.rs"]
mod as_found;
#[path = "engine_faults/calls_fail.rs"]
mod calls_fail;
#[path = "engine_faults/engine_ends.rs"]
mod engine_ends;
#[path = "engine_faults/for_a_while.rs"]
mod for_a_while;
#[path = "engine_faults/kills.rs"]
mod kills;
#[path = "engine_faults/meddling.rs"]
mod meddling;
#[path = "engine_faults/no_start.rs"]
mod no_start;
#[path = "engine_faults/outages.rs"]
mod outages;
#[path = "engine_faults/told_twice.rs"]
mod told_twice;
#[path = "engine_faults/torn.rs"]
mod torn;
