//! The real binary, to which nobody has named a container: they come and go on a real engine, and become agents by a
//! pattern of the config or by what their labels say.
//!
//! Labels are seen by whoever looks at an engine, so each test runs one of its own (`rig/private_engine.rs`), behind a
//! proxy that can be away. They need root and the programs of the package `docker.io`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of the runtimes use more of it")]
#[path = "rig/engine.rs"]
mod engine;
#[expect(dead_code, reason = "the tests of faults use more of it")]
#[path = "rig/engine_proxy.rs"]
mod engine_proxy;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[path = "rig/image.rs"]
mod image;
#[expect(dead_code, reason = "the tests of faults use more of it")]
#[path = "rig/private_engine.rs"]
mod private_engine;
#[expect(dead_code, reason = "these agents are no children of the daemon")]
#[path = "rig/processes.rs"]
mod processes;
#[path = "rig/program.rs"]
mod program;
#[expect(dead_code, reason = "these agents are no children of the daemon")]
#[path = "rig/setup.rs"]
mod setup;
#[expect(dead_code, reason = "the scenarios use more of it")]
#[path = "rig/site.rs"]
mod site;

#[path = "discovery/quay.rs"]
mod quay;

#[path = "discovery/absent.rs"]
mod absent;
#[path = "discovery/coming_and_going.rs"]
mod coming_and_going;
#[path = "discovery/labels.rs"]
mod labels;
#[path = "discovery/observed.rs"]
mod observed;
