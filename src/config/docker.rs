//! `[docker]`: the engine that runs containers.

use std::path::PathBuf;
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
    /// How containers become agents by their labels; `None`: no label is looked at.
    pub discover: Option<Discover>,
}

/// How containers become agents by their labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discover {
    /// A label may name a file to deliver to only below one of these; empty: wherever its own container mounts a
    /// folder, but for what belongs to the system.
    pub delivery_below: Vec<PathBuf>,
}

const DISCOVER_EXAMPLE: &str = "true, or { delivery_below = [\"/srv/agents\"] }";
const HOST: &str = "unix:///var/run/docker.sock";
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn read(section: Field<Section<'_>>, with: Expansion<'_>, findings: &Findings) -> Docker {
    let (host, timeout, discover) = match section.good() {
        None => (Field::Absent, Field::Absent, None),
        Some(mut section) => {
            let host = section.text("host", &format!("\"{HOST}\"")).and_then(|text| address(&text, with, findings));
            let timeout = section.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(600));
            let discover = read_discover(&mut section, with);
            section.finish(false);
            (host, timeout, discover)
        }
    };
    let host = match host {
        Field::Good(host) => host.value,
        Field::Absent => (with.env)("DOCKER_HOST").filter(|host| !host.is_empty()).unwrap_or_else(|| HOST.to_owned()),
        Field::Bad => HOST.to_owned(),
    };
    Docker { host, timeout: timeout.unwrap_or(TIMEOUT), discover }
}

fn read_discover(section: &mut Section<'_>, with: Expansion<'_>) -> Option<Discover> {
    if !section.is_table("discover") {
        return section.flag("discover").unwrap_or(false).then(Discover::default);
    }
    let mut table = section.section("discover", &[], DISCOVER_EXAMPLE, false).good()?;
    let findings = table.findings();
    let below = table.texts("delivery_below", "[\"/srv/agents\"]").good().unwrap_or_default();
    let folders = below.iter().filter_map(|text| {
        let path = path::read(text, "delivery_below", with, findings)?;
        if !path::is_straight(&path) {
            findings.error(&text.at, "`delivery_below` goes up with `..`", "write the path without it");
            return None;
        }
        Some(path)
    });
    let delivery_below = folders.collect();
    table.finish(false);
    Some(Discover { delivery_below })
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
