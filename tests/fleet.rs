//! What the operator of a fleet relies on: the real binary over containers of a real engine, whose logs are all that it
//! is told. Nothing is reported over its socket here.
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

#[path = "fleet/harbour.rs"]
mod harbour;
#[path = "fleet/lines.rs"]
mod lines;

#[path = "fleet/adoption.rs"]
mod adoption;
#[path = "fleet/apart.rs"]
mod apart;
#[path = "fleet/bursts.rs"]
mod bursts;
#[path = "fleet/crashes.rs"]
mod crashes;
#[path = "fleet/forged.rs"]
mod forged;
#[path = "fleet/logins.rs"]
mod logins;
#[path = "fleet/logs.rs"]
mod logs;
#[path = "fleet/nobody_left.rs"]
mod nobody_left;
#[path = "fleet/own_socket.rs"]
mod own_socket;
#[path = "fleet/preflight.rs"]
mod preflight;
#[path = "fleet/reloads.rs"]
mod reloads;
#[path = "fleet/rollover.rs"]
mod rollover;
#[path = "fleet/text.rs"]
mod text;
