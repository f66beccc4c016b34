//! Where the engine is, and the client that speaks to it.
//!
//! The client is made at the first call that finds the socket there: an engine that is absent when the daemon
//! starts is normal. It keeps no connection between calls. Requests carry no version prefix, so an engine
//! answers in the newest version it knows: that is the negotiation, and it costs no round trip. Everything read
//! here has been in the API since 1.41.
//!
//! Tests: below, and `tests/runtime_conformance/docker_faults.rs`.

use std::sync::OnceLock;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::ports::runtime::RuntimeError;

/// The client's own limit, far beyond every deadline of ours: it covers only the wait for an answer's head.
const CLIENT_TIMEOUT_S: u64 = 24 * 60 * 60;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerHost {
    /// The path of a Unix socket.
    Unix(String),
    /// `host:port`, plain HTTP.
    Http(String),
}

/// A text that names no engine we can speak to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is no address of an engine: {why}; use unix:///var/run/docker.sock or tcp://127.0.0.1:2375")]
pub struct DockerHostError {
    given: String,
    why: &'static str,
}

impl DockerHost {
    /// The usual socket.
    #[must_use]
    pub fn usual() -> Self {
        Self::Unix("/var/run/docker.sock".to_owned())
    }

    /// Reads the form of `DOCKER_HOST`: `unix:///path`, `/path`, `tcp://host:port`, `http://host:port`.
    pub fn parse(text: &str) -> Result<Self, DockerHostError> {
        let refuse = |why| Err(DockerHostError { given: text.to_owned(), why });
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.to_owned()))
            } else {
                refuse("the path of a socket is absolute")
            };
        }
        if text.starts_with('/') {
            return Ok(Self::Unix(text.to_owned()));
        }
        let Some(address) = text.strip_prefix("tcp://").or_else(|| text.strip_prefix("http://")) else {
            return refuse("only unix:// and tcp:// (http://) are understood");
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        match address.rsplit_once(':') {
            Some((host, port))
                if !host.is_empty() && !address.contains(['/', '@', '?']) && port.parse::<u16>().is_ok() =>
            {
                Ok(Self::Http(address.to_owned()))
            }
            _ => refuse("host and port are needed, and nothing else"),
        }
    }
}

impl std::fmt::Display for DockerHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Http(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// The engine, whether it is there or not.
#[derive(Debug)]
pub(super) struct Engine {
    host: DockerHost,
    client: OnceLock<Docker>,
}

impl Engine {
    pub(super) fn new(host: DockerHost) -> Self {
        Self { host, client: OnceLock::new() }
    }

    /// A client to make a call with; fails only while there is no socket.
    pub(super) fn client(&self) -> Result<&Docker, RuntimeError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = match &self.host {
            DockerHost::Unix(path) => Docker::connect_with_unix(path, CLIENT_TIMEOUT_S, API_DEFAULT_VERSION),
            DockerHost::Http(address) => Docker::connect_with_http(address, CLIENT_TIMEOUT_S, API_DEFAULT_VERSION),
        };
        match made {
            Ok(client) => Ok(self.client.get_or_init(|| client)),
            Err(error) => Err(RuntimeError::Unreachable(format!("{}: {error}", self.host))),
        }
    }

    pub(super) fn host(&self) -> &DockerHost {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_form_of_an_address_is_read_and_others_are_refused_with_a_reason() {
        let unix = |path: &str| Ok(DockerHost::Unix(path.to_owned()));
        let http = |address: &str| Ok(DockerHost::Http(address.to_owned()));
        assert_eq!(DockerHost::parse("unix:///run/user/1000/docker.sock"), unix("/run/user/1000/docker.sock"));
        assert_eq!(DockerHost::parse("/var/run/docker.sock"), unix("/var/run/docker.sock"));
        assert_eq!(DockerHost::parse("tcp://127.0.0.1:2375"), http("127.0.0.1:2375"));
        assert_eq!(DockerHost::parse("http://[::1]:2375/"), http("[::1]:2375"));
        for bad in [
            "",
            "unix://docker.sock",
            "ssh://host",
            "tcp://host",
            "tcp://host:port",
            "tcp://user@host:1",
            "npipe:////./pipe/x",
        ] {
            let error = DockerHost::parse(bad).unwrap_err().to_string();
            assert!(error.contains("use unix://"), "{bad}: {error}");
        }
    }

    #[test]
    fn an_absent_socket_is_an_engine_that_is_not_reachable() {
        let engine = Engine::new(DockerHost::Unix("/nonexistent/docker.sock".to_owned()));
        assert!(
            matches!(engine.client(), Err(RuntimeError::Unreachable(why)) if why.contains("/nonexistent/docker.sock"))
        );
    }
}
