//! `[api]`: where the daemon listens.

use std::path::{Path, PathBuf};

use super::path::{self, Expansion};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};
use crate::domain::AgentName;

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket. Whoever may open it is trusted.
    pub socket: PathBuf,
    /// Its mode.
    pub socket_mode: u32,
    /// Whether each agent has a socket of its own, to be mounted into its container.
    pub agent_sockets: bool,
}

impl Api {
    /// Where an agent finds its own socket; `None` if agents have none. It stands in a folder of its own, beside the
    /// socket for everyone, so that a container can mount that folder and see nothing else.
    #[must_use]
    pub fn agent_socket(&self, agent: &AgentName) -> Option<PathBuf> {
        self.agent_sockets.then(|| self.place_of(agent.as_str()))
    }

    /// The length of the path of this agent's own socket, if that is too long for one.
    pub(super) fn too_long_for(&self, agent: &str) -> Option<usize> {
        let bytes = self.place_of(agent).as_os_str().len();
        (self.agent_sockets && bytes > SOCKET_BYTES_MAX).then_some(bytes)
    }

    fn place_of(&self, agent: &str) -> PathBuf {
        let folder = self.socket.parent().unwrap_or(Path::new("/"));
        folder.join(FOLDER).join(agent).join("report.sock")
    }
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/switchman/switchman.sock"), socket_mode: 0o660, agent_sockets: false }
    }
}

pub(super) const LATER: &[&str] = &["listen", "token"];
/// The folder that holds one folder for each agent, beside the socket for everyone.
const FOLDER: &str = "agents";
/// Room for the path in a socket address, without the final NUL.
const SOCKET_BYTES_MAX: usize = 107;

pub(super) fn read(section: Field<Section<'_>>, with: Expansion<'_>) -> Api {
    let default = Api::default();
    let Some(mut section) = section.good() else { return default };
    let findings = section.findings();
    let socket = section.text("socket", "\"/run/switchman/switchman.sock\"").and_then(|text| {
        let path = path::read_file(&text, "socket", with, findings)?;
        if path.as_os_str().len() > SOCKET_BYTES_MAX {
            let what = format!("`socket` is {} bytes long, a socket's path has at most 107", path.as_os_str().len());
            findings.error(&text.at, what, "choose a shorter path");
            return None;
        }
        Some(path)
    });
    let socket_mode = section.text("socket_mode", "\"0660\"").and_then(|text| {
        let mode = u32::from_str_radix(&text.value, 8).ok().filter(|mode| *mode <= 0o777 && text.value.len() >= 3);
        let Some(mode) = mode else {
            findings.error(&text.at, "`socket_mode` is not a file mode", "write three or four octal digits: \"0660\"");
            return None;
        };
        if mode & 0o600 != 0o600 {
            findings.error(&text.at, "`socket_mode` keeps the owner out", "let it begin with 6, for example \"0660\"");
            return None;
        }
        if mode & 0o002 != 0 {
            let what = "`socket_mode` lets everybody on this machine in, and whoever may open the socket is trusted";
            findings.warning(&text.at, what, "\"0660\" and a group are enough for most uses");
        }
        Some(mode)
    });
    let agent_sockets = section.flag("agent_sockets").and_then(|flag| {
        let is_in_the_way = matches!(&socket, Field::Good(socket) if socket.value.ends_with(FOLDER));
        if flag.value && is_in_the_way {
            let what = "`agent_sockets` needs a folder where `socket` stands: both are called \"agents\"";
            findings.error(&flag.at, what, "give `socket` another name");
            return None;
        }
        Some(flag.value)
    });
    section.finish(false);
    Api {
        socket: socket.unwrap_or(default.socket),
        socket_mode: socket_mode.unwrap_or(default.socket_mode),
        agent_sockets: agent_sockets.unwrap_or(default.agent_sockets),
    }
}

/// Complains about agents whose own socket could not be bound. Names are unique, so no two agents share a place.
pub(super) fn check_agents<'a>(api: &Api, names: impl Iterator<Item = &'a Placed<String>>, findings: &Findings) {
    for name in names {
        if let Some(bytes) = api.too_long_for(&name.value) {
            let what = format!(
                "the socket of agent \"{}\" would have a path of {bytes} bytes, and a socket's path has at most \
                 {SOCKET_BYTES_MAX}",
                name.value
            );
            findings.error(&name.at, what, "choose a shorter name, or a `socket` in a folder with a shorter path");
        }
    }
}
