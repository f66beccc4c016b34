//! The living config: what the file says is made to hold while the daemon runs, or is turned away as a whole. The real
//! binary, over children of its own and over containers of a real engine.
//!
//! The containers need a Docker Engine; `scripts/test` starts one where there is none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "rig/daemon.rs"]
mod daemon;
#[expect(dead_code, reason = "the tests of the runtimes use more of it")]
#[path = "rig/engine.rs"]
mod engine;
#[expect(dead_code, reason = "the fleet uses more of it")]
#[path = "fleet/harbour.rs"]
mod harbour;
#[path = "rig/hook.rs"]
mod hook;
#[path = "rig/http.rs"]
mod http;
#[path = "rig/image.rs"]
mod image;
#[expect(dead_code, reason = "the fleet uses more of it")]
#[path = "fleet/lines.rs"]
mod lines;
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

#[path = "reload/children.rs"]
mod children;
#[path = "reload/docker.rs"]
mod docker;
#[path = "reload/rules.rs"]
mod rules;
#[path = "reload/turned_away.rs"]
mod turned_away;

use rustix::process::Signal;
use serde_json::Value;

use program::eventually;
use setup::Setup;
use site::Site;

/// Puts a config in place as most editors do: it is written beside the old one and renamed over it.
pub(crate) fn put(site: &Site, text: &str) {
    let beside = site.folder.path("config.toml.new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, site.folder.config()).unwrap();
}

/// The config of a setup, with the site's receiver of notifications.
pub(crate) fn text(site: &Site, setup: &Setup) -> String {
    site.folder.text(setup, &site.hook.url())
}

/// So many of these events were told so far.
pub(crate) fn told(site: &Site, event: &str) -> usize {
    site.events(event).len()
}

/// Puts a config in place, asks for it to be read and waits until it holds; what has changed.
pub(crate) async fn holds(site: &Site, text: &str) -> Value {
    let before = told(site, "daemon.reloaded");
    put(site, text);
    site.daemon().signal(Signal::HUP);
    eventually("the config is taken over", async || site.events("daemon.reloaded").get(before).cloned()).await
}

/// The same for the config of a setup.
pub(crate) async fn changed(site: &Site, setup: &Setup) -> Value {
    holds(site, &text(site, setup)).await
}
