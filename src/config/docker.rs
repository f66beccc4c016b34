//! `[docker]`: the engine that runs containers.

use std::time::Duration;

use super::path::{self, Expansion};
use super::problem::Findings;
use super::reader::{Field, Placed, Section};

/// The engine that runs containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    /// Its address: `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub host: String,
    /// How long one call may take, on top of a stop's own grace.
    pub timeout: Duration,
}

pub(super) const LATER: &[&str] = &["discover"];
const HOST: &str = "unix:///var/run/docker.sock";
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn read(section: Field<Section<'_>>, with: Expansion<'_>, findings: &Findings) -> Docker {
    let (host, timeout) = match section.good() {
        None => (Field::Absent, Field::Absent),
        Some(mut section) => {
            let host = section.text("host", &format!("\"{HOST}\"")).and_then(|text| address(&text, with, findings));
            let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(600));
            section.finish(false);
            (host, timeout)
        }
    };
    let host = match host {
        Field::Good(host) => host.value,
        Field::Absent => (with.env)("DOCKER_HOST").filter(|host| !host.is_empty()).unwrap_or_else(|| HOST.to_owned()),
        Field::Bad => HOST.to_owned(),
    };
    Docker { host, timeout: timeout.unwrap_or(TIMEOUT) }
}

fn address(text: &Placed<String>, with: Expansion<'_>, findings: &Findings) -> Option<String> {
    if let Some(socket) = text.value.strip_prefix("unix://") {
        let socket = Placed { value: socket.to_owned(), at: text.at.clone() };
        let path = path::read_file(&socket, "host", with, findings)?;
        return Some(format!("unix://{}", path.display()));
    }
    let is_network = ["tcp://", "http://"]
        .iter()
        .any(|scheme| text.value.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')));
    if is_network {
        return Some(text.value.clone());
    }
    let hint = if text.value.starts_with("ssh://") || text.value.starts_with("https://") {
        "ssh and TLS are not in this version: forward the socket, or use unix:// or tcp://".to_owned()
    } else if text.value.starts_with('/') {
        format!("write \"unix://{}\"", text.value)
    } else {
        format!("write \"{HOST}\" or \"tcp://127.0.0.1:2375\"")
    };
    findings.error(&text.at, "`host` in [docker] is not an address of an engine", hint);
    None
}
