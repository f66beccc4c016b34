//! `[api]`: where the daemon listens.

use std::path::PathBuf;

use super::path::{self, Expansion};
use super::reader::{Field, Section};

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// The Unix socket. Whoever may open it is trusted.
    pub socket: PathBuf,
    /// Its mode.
    pub socket_mode: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/switchman/switchman.sock"), socket_mode: 0o660 }
    }
}

pub(super) const LATER: &[&str] = &["agent_sockets", "listen", "token"];
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
    section.finish(false);
    Api { socket: socket.unwrap_or(default.socket), socket_mode: socket_mode.unwrap_or(default.socket_mode) }
}
