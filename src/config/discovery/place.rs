//! Where a label may have a credential delivered to.
//!
//! A delivery replaces a file, as the user that the daemon runs as. So a label that names the file is held to what its
//! container reaches anyway, and never to a place of the system or of the daemon.
//!
//! Tests: `the_file_of_a_label_is_bounded` in `tests/discovery.rs`.

use std::path::{Path, PathBuf};

use super::super::path;
use crate::config::Config;
use crate::domain::FoundContainer;

/// Where the system keeps what it runs on. Below none of these is anything delivered because a label says so, unless
/// the operator named a folder in it.
const OF_THE_SYSTEM: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
    "/var/run",
];
/// How the name of what lies beside a credential ends.
const SIDECAR: &str = ".switchman.json";

/// Why the file that a label names is not delivered to, and what to do; `None` if it may be.
pub(super) fn objection(file: &Path, found: &FoundContainer, config: &Config) -> Option<(String, String)> {
    let below = config.docker.discover.as_ref().map_or(&[][..], |discover| &discover.delivery_below);
    let refuse = |what: &str, hint: &str| Some((format!("{} {what}", file.display()), hint.to_owned()));
    let is_below = |folders: &[PathBuf]| folders.iter().any(|folder| file.starts_with(folder) && file != folder);
    if !path::is_straight(file) {
        return refuse("goes up with `..`", "write the path without it");
    }
    if file.to_string_lossy().ends_with(SIDECAR) {
        return refuse("is named as what lies beside a credential", "give it another name");
    }
    let sockets = config.api.socket.parent().map(|folder| folder.join("agents"));
    if file.starts_with(&config.state_dir)
        || file == config.api.socket
        || sockets.is_some_and(|folder| file.starts_with(folder))
        || file == Path::new(&*config.source.file)
    {
        return refuse("belongs to the daemon", "name a file in a folder of the agent's own");
    }
    if !below.is_empty() && !is_below(below) {
        let folders: Vec<_> = below.iter().map(|folder| folder.display().to_string()).collect();
        let hint = format!("name a file below {}, or let [agent_defaults] say where", folders.join(" or "));
        return refuse("is in no folder of `delivery_below`", &hint);
    }
    if below.is_empty() && OF_THE_SYSTEM.iter().any(|folder| file.starts_with(folder)) {
        let hint = "name a file elsewhere, or write discover = { delivery_below = [\"…\"] } in [docker]";
        return refuse("is a place of the system", hint);
    }
    if !found.mounts.iter().any(|source| *source != Path::new("/") && file.starts_with(source)) {
        return refuse(
            "is not in a folder that the container mounts",
            "mount the folder, or name the file that is mounted",
        );
    }
    None
}
