//! Sockets of agents: one for each, to be mounted into its container. The identity is the socket.
//!
//! ```text
//!   /run/switchman                          the daemon's
//!     ├── switchman.sock                    for everyone who is trusted
//!     └── agents             0700           nobody on the host passes
//!           └── reviewer     0755  ─────►   mounted into the container
//!                 └── report.sock  0666
//! ```
//!
//! Whoever comes in here speaks for this one agent and is not trusted: it reports and holds turns for it, and looks at
//! it. Everything else is refused before anything is looked up, so that nothing can be learned of others either.
//!
//! The folder may be writable for whoever is in the container. So what stands where the socket goes is removed, and a
//! socket that cannot be bound all the same keeps the daemon from nothing else. Folders stay when the daemon stops: a
//! container goes on seeing the one that it has mounted.
//!
//! Tests: below, and `tests/agent_sockets.rs`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use axum::http::Method;

use super::listener::{self, Bound, ListenError};
use crate::domain::{AgentName, TurnId};

/// Who may enter the folder may connect.
const MODE: u32 = 0o666;

/// Makes the folder that the folders of agents are in, and keeps others on this host out of it.
pub(super) fn prepare(folder: &Path) -> Result<(), ListenError> {
    let failed = |call| move |source| ListenError::System { call, path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed("cannot make the directory"))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed("cannot set the mode of"))
}

/// Binds the socket of one agent.
pub(super) fn bind(path: &Path) -> Result<Bound, ListenError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let failed = |call, at: &Path| {
        let path = at.to_owned();
        move |source| ListenError::System { call, path, source }
    };
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("cannot make the directory", folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    // Whatever the daemon's umask: its owner in the container need not be its owner here.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(failed("cannot set the mode of", folder))?;
    clear(path).map_err(failed("cannot make room for", path))?;
    listener::bind(path, MODE)
}

/// The place is ours, whatever stands there.
fn clear(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
}

/// Whether whoever speaks for this agent may make this call. Names of agents need no escaping, so one that is escaped
/// is somebody else's.
pub(super) fn permits(own: &AgentName, method: &Method, path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let is_own_turn = |id: &str| TurnId::parse(id).is_some_and(|id| &id.agent == own);
    let (looks, does) = (method == Method::GET || method == Method::HEAD, method == Method::POST);
    match segments.as_slice() {
        ["healthz"] => looks,
        // The listing is of its own turns only.
        ["v1", "turns"] => looks,
        ["v1", "turns", id] => looks && is_own_turn(id),
        ["v1", "turns", id, "heartbeat" | "complete" | "cancel" | "cancelled"] => does && is_own_turn(id),
        ["v1", "agents", agent] => looks && *agent == own.as_str(),
        ["v1", "agents", agent, "failures" | "turns"] => does && *agent == own.as_str(),
        ["v1", "agents", agent, "sessions", _, "close"] => does && *agent == own.as_str(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_reports_and_holds_turns_for_itself_and_nothing_else() {
        let own = AgentName::from("one");
        let may = |method: &str, path: &str| permits(&own, &method.parse().unwrap(), path);
        for (method, path) in [
            ("GET", "/healthz"),
            ("HEAD", "/healthz"),
            ("GET", "/v1/agents/one"),
            ("POST", "/v1/agents/one/failures"),
            ("POST", "/v1/agents/one/turns"),
            ("POST", "/v1/agents/one/sessions/x,y/close"),
            ("GET", "/v1/turns"),
            ("GET", "/v1/turns/one-t1"),
            ("POST", "/v1/turns/one-t1/heartbeat"),
            ("POST", "/v1/turns/one-t1/complete"),
            ("POST", "/v1/turns/one-t1/cancel"),
            ("POST", "/v1/turns/one-t1/cancelled"),
        ] {
            assert!(may(method, path), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/readyz"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/v1/agents"),
            ("GET", "/v1/agents/two"),
            ("GET", "/v1/agents/one/"),
            ("GET", "/v1/agents/%6fne"),
            ("GET", "/v1/agents/one/explain"),
            ("DELETE", "/v1/agents/one"),
            ("GET", "/v1/agents/one/failures"),
            ("POST", "/v1/agents/two/failures"),
            ("POST", "/v1/agents/one/switch"),
            ("DELETE", "/v1/agents/one/switch"),
            ("POST", "/v1/agents/one/pause"),
            ("POST", "/v1/agents/one/resume"),
            ("POST", "/v1/agents/one/unpark"),
            ("PUT", "/v1/agents/one/pin"),
            ("POST", "/v1/agents/two/turns"),
            ("POST", "/v1/agents/two/sessions/s/close"),
            ("POST", "/v1/agents/one/sessions/s/open"),
            ("POST", "/v1/resume"),
            ("GET", "/v1/turns/two-t1"),
            ("GET", "/v1/turns/one"),
            ("POST", "/v1/turns/two-t1/heartbeat"),
            ("POST", "/v1/turns/one-t1/fence"),
            ("GET", "/v1/turns/one-t1/heartbeat"),
            ("GET", "/v1/subscriptions"),
            ("PUT", "/v1/subscriptions/a/cooldown"),
            ("GET", "/v1/switches"),
            ("GET", "/v1/failures"),
        ] {
            assert!(!may(method, path), "{method} {path}");
        }
    }

    #[tokio::test]
    async fn what_stands_in_its_place_is_removed_and_others_on_the_host_stay_out() {
        let dir = tempfile::tempdir().unwrap();
        let (all, path) = (dir.path().join("agents"), dir.path().join("agents/one/report.sock"));
        prepare(&all).unwrap();
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        drop(bind(&path).unwrap());
        assert!(!path.exists() && path.parent().unwrap().exists(), "the folder stays for those who have mounted it");
        let target = dir.path().join("target");
        let plants: [&dyn Fn(); 4] = [
            &|| fs::write(&path, "x").unwrap(),
            &|| std::os::unix::fs::symlink(&target, &path).unwrap(),
            &|| fs::create_dir(&path).unwrap(),
            &|| std::mem::forget(std::os::unix::net::UnixListener::bind(&path).unwrap()),
        ];
        for plant in plants {
            plant();
            let bound = bind(&path).unwrap();
            assert_eq!((mode(&all), mode(path.parent().unwrap()), mode(&path)), (0o700, 0o755, 0o666));
            drop(bound);
        }
        assert!(!target.exists());
        fs::create_dir_all(path.join("full")).unwrap();
        assert!(bind(&path).is_err(), "what cannot be removed is told");
    }
}
