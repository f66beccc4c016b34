//! The way in for people and programs: JSON over a Unix socket.
//!
//! ```text
//!   socket ─► connections (caps, deadlines) ─► router ─► body, members ─► Switchman (handles only)
//!                                                 └─► problem: every refusal, one table
//! ```
//!
//! It must not decide anything, hold an `ActorRef`, or show what a request contained: a body can hold tokens.
//! What travels ([`v1::wire`]) has types of its own, so that the domain can change without anybody noticing.
//!
//! Whoever may open the socket is trusted, except a process that runs inside an agent of ours: it may report for its own
//! agent, and its word counts as the agent's own.
//!
//! Tests: in each file; `tests/api.rs` over a real socket; `docs/api.md` is held against the code there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actor::Switchman;
use crate::actor::handle::AgentStatus;
use crate::domain::{AgentName, SubscriptionName, Tool};

mod body;
mod connections;
mod health;
mod listener;
mod peer;
mod problem;
mod query;
mod router;
mod server;
pub mod v1;

pub use body::BYTES_MAX;
pub use connections::Limits;
pub use listener::ListenError;
pub use peer::Peer;
pub use problem::Code;

use problem::Refusal;

/// Where to listen, and what the config says that the actors do not know.
#[derive(Debug, Clone)]
pub struct Door {
    /// The socket.
    pub socket: PathBuf,
    /// Its mode.
    pub socket_mode: u32,
    /// Every subscription of the config.
    pub subscriptions: BTreeSet<SubscriptionName>,
    /// What runs in each agent.
    pub tools: BTreeMap<AgentName, Tool>,
    /// What clients may take up.
    pub limits: Limits,
}

/// The API of a daemon that runs.
#[derive(Debug)]
pub struct ApiServer(JoinHandle<()>);

impl ApiServer {
    /// Resolves when everything has ended after the stop: the socket is gone, and what was under way is answered.
    pub async fn stopped(self) {
        if self.0.await.is_err() {
            tracing::warn!("the API has failed while it stopped");
        }
    }
}

/// Listens from now on, until the stop is asked for.
///
/// # Errors
/// If the socket cannot be bound; [`ListenError::is_already_served`] tells whether another daemon is the reason.
pub fn serve(switchman: Switchman, door: Door, stop: watch::Receiver<bool>) -> Result<ApiServer, ListenError> {
    let bound = listener::bind(&door.socket, door.socket_mode)?;
    let clock = switchman.clock();
    let connections = connections::Connections::new(door.limits.clone(), Arc::clone(&clock));
    let telemetry = switchman.telemetry().clone();
    let app = Arc::new(App { switchman, door, stop: stop.clone() });
    let desk = server::Desk { router: router::router(app), connections, clock, telemetry };
    Ok(ApiServer(tokio::spawn(server::run(bound, desk, stop))))
}

/// What handlers work with.
struct App {
    switchman: Switchman,
    door: Door,
    stop: watch::Receiver<bool>,
}

impl App {
    fn agent(&self, name: &str) -> Result<AgentStatus, Refusal> {
        self.switchman.agent(name).ok_or_else(|| Refusal::no_such_agent(name))
    }

    /// What the config says runs in an agent.
    fn tool(&self, agent: &AgentName) -> Tool {
        self.door.tools.get(agent).copied().unwrap_or(Tool::Custom)
    }

    /// A subscription that the body names.
    fn subscription(&self, name: &str, member: &str) -> Result<SubscriptionName, Refusal> {
        self.door.subscriptions.get(name).cloned().ok_or_else(|| {
            let detail = format!("`{member}` names a subscription that the config does not have");
            Refusal::new(Code::SubscriptionNotFound, detail).at(member)
        })
    }

    /// Resolves when the daemon is asked to stop.
    async fn stopping(&self) {
        // If nobody can ask any more, it ends with whoever could.
        let _ = self.stop.clone().wait_for(|is_asked| *is_asked).await;
    }
}
