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
//! Whoever may open the socket is trusted, except a process that runs inside an agent of ours and whoever comes in by an
//! agent's own socket: they may report and hold turns for that agent, and their word counts as the agent's own.
//!
//! Tests: in each file; `tests/api.rs` over a real socket; `docs/api.md` is held against the code there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::actor::Switchman;
use crate::actor::handle::AgentStatus;
use crate::domain::{AgentName, SubscriptionName, Tool};

mod body;
mod connections;
mod handover;
mod health;
mod listener;
mod openapi;
mod own_socket;
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
    /// The sockets of agents that have one of their own.
    pub agent_sockets: BTreeMap<AgentName, PathBuf>,
    /// Every subscription of the config.
    pub subscriptions: BTreeSet<SubscriptionName>,
    /// What clients may take up.
    pub limits: Limits,
}

/// Makes the place of the socket free, if what is there is left of a daemon that is gone. To be asked before anything is
/// decided: two daemons on one socket would both begin.
///
/// # Errors
/// If another daemon answers there, or something else is in the way.
pub fn make_way(socket: &Path) -> Result<(), ListenError> {
    listener::clear(socket)
}

/// The API of a daemon that runs.
#[derive(Debug)]
pub struct ApiServer {
    serving: JoinHandle<()>,
    live: Live,
}

/// What of the door changes with the config. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    subscriptions: Arc<RwLock<BTreeSet<SubscriptionName>>>,
    sockets: Arc<Mutex<BTreeMap<AgentName, PathBuf>>>,
    turnover: mpsc::UnboundedSender<server::Turnover>,
}

impl ApiServer {
    /// Resolves when everything has ended after the stop: the socket is gone, and what was under way is answered.
    pub async fn stopped(self) {
        if self.serving.await.is_err() {
            tracing::warn!("the API has failed while it stopped");
        }
    }

    /// What of it changes with the config.
    #[must_use]
    pub fn live(&self) -> Live {
        self.live.clone()
    }
}

impl Live {
    /// From now on there are these subscriptions, and these agents have sockets of their own. A socket that cannot be
    /// bound is told in the log, as at the start.
    pub fn change(&self, subscriptions: BTreeSet<SubscriptionName>, sockets: BTreeMap<AgentName, PathBuf>) {
        *self.subscriptions.write().unwrap_or_else(PoisonError::into_inner) = subscriptions;
        let mut known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = |turnover| {
            if self.turnover.send(turnover).is_err() {
                tracing::debug!("a socket for an API that has ended");
            }
        };
        for agent in known.iter().filter(|(agent, path)| sockets.get(*agent) != Some(*path)).map(|(agent, _)| agent) {
            tell(server::Turnover::Close(agent.clone()));
        }
        let new = sockets.iter().filter(|(agent, path)| known.get(*agent) != Some(*path));
        match bind_own(new) {
            Ok(gates) => {
                for gate in gates {
                    tell(server::Turnover::Open(gate));
                }
            }
            Err(error) => tracing::warn!(%error, "agents that were added have no sockets of their own"),
        }
        *known = sockets;
    }
}

/// Listens from now on, until the stop is asked for.
///
/// # Errors
/// If the socket cannot be bound; [`ListenError::is_already_served`] tells whether another daemon is the reason.
pub fn serve(switchman: Switchman, door: Door, stop: watch::Receiver<bool>) -> Result<ApiServer, ListenError> {
    let bound = listener::bind(&door.socket, door.socket_mode)?;
    let own = bind_own(door.agent_sockets.iter())?;
    // What comes in by the sockets of agents takes up nothing of what is set aside for everybody else.
    let (of_agents, of_main) = (door.limits.of_agents(), door.limits);
    let (turnover, turned_over) = mpsc::unbounded_channel();
    let live = Live {
        subscriptions: Arc::new(RwLock::new(door.subscriptions)),
        sockets: Arc::new(Mutex::new(door.agent_sockets)),
        turnover,
    };
    let at_once = of_main.body;
    let bodies = || body::Bodies::new(at_once);
    let agents = desk(App::new(switchman.clone(), bodies(), live.clone(), stop.clone()), of_agents);
    let main = desk(App::new(switchman, bodies(), live.clone(), stop.clone()), of_main);
    let main = server::Entrance { desk: main, gates: vec![server::Gate { bound, whose: None }] };
    let agents = server::Entrance { desk: agents, gates: own };
    Ok(ApiServer { serving: tokio::spawn(server::run([main, agents], turned_over, stop)), live })
}

/// Where those are served who come in by the same sort of socket.
fn desk(app: App, limits: Limits) -> server::Desk {
    let (clock, telemetry) = (app.switchman.clock(), app.switchman.telemetry().clone());
    let connections = connections::Connections::new(limits, Arc::clone(&clock));
    server::Desk { router: router::router(Arc::new(app)), connections, clock, telemetry }
}

/// The sockets of agents, as far as they can be bound: what an agent does to its own folder is its own loss.
fn bind_own<'a>(sockets: impl Iterator<Item = (&'a AgentName, &'a PathBuf)>) -> Result<Vec<server::Gate>, ListenError> {
    let mut gates = Vec::new();
    for (agent, path) in sockets {
        if let Some(all) = path.parent().and_then(Path::parent).filter(|_| gates.is_empty()) {
            own_socket::prepare(all)?;
        }
        match own_socket::bind(path) {
            Ok(bound) => gates.push(server::Gate { bound, whose: Some(agent.clone()) }),
            Err(error) => tracing::warn!(agent = agent.as_str(), %error, "an agent has no socket of its own"),
        }
    }
    Ok(gates)
}
/// What handlers work with.
struct App {
    switchman: Switchman,
    live: Live,
    bodies: body::Bodies,
    stop: watch::Receiver<bool>,
}

impl App {
    fn new(switchman: Switchman, bodies: body::Bodies, live: Live, stop: watch::Receiver<bool>) -> Self {
        Self { switchman, live, bodies, stop }
    }

    fn agent(&self, name: &str) -> Result<AgentStatus, Refusal> {
        self.switchman.agent(name).ok_or_else(|| Refusal::no_such_agent(name))
    }

    /// What the config says runs in an agent.
    fn tool(&self, agent: &AgentName) -> Tool {
        self.switchman.agent(agent.as_str()).map_or(Tool::Custom, |agent| agent.policy.tool)
    }

    /// A subscription of the config.
    fn known_subscription(&self, name: &str) -> Option<SubscriptionName> {
        self.live.subscriptions.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// A subscription that the body names.
    fn subscription(&self, name: &str, member: &str) -> Result<SubscriptionName, Refusal> {
        self.known_subscription(name).ok_or_else(|| {
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
