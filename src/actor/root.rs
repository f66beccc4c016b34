//! The supervisor: spawns the pool and one actor per agent, starts them again when they fail, and ends everything
//! in order within one deadline.
//!
//! | what ends | what happens |
//! |---|---|
//! | an agent's actor fails | the next life takes over its seat: nothing queued is lost, the state comes from the store |
//! | it fails too often | the agent is parked `crashed`, all others go on |
//! | the pool's actor fails | a new one folds the store's rows again; agents ask again by themselves |
//! | an agent is not in the config any more | its open intent may end, then its actor, its reader, its child |
//! | the daemon is asked to stop | no report is taken any more, open intents may end, then actors, then children |
//!
//! What ends and comes back while the daemon runs: `root/reconfiguring.rs`; crashes: `root/supervisor.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ractor::{Actor, ActorRef};
use secrecy::SecretBox;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

mod reconfiguring;
mod supervisor;

use self::reconfiguring::Keeping;
pub use self::reconfiguring::{Places, Reconfiguration, ReconfigureError, Reconfigured};
use self::supervisor::{RootActor, RootMsg, RootParts};
use super::effects::World;
use super::engine_notices;
use super::handle::{Seats, Shared, Switchman};
use super::leases::Leases;
use super::outbox;
use super::overheard::{self, Overheard};
use super::pace::Pace;
use super::pool::{PoolHandle, PoolParts};
use super::probes::Probing;
use super::seat::Seat;
use super::tasks::{TaskName, Tasks};
use super::watchers;
use crate::classify::Classifier;
use crate::domain::AgentName;
pub use crate::machine::policy::Policy;
use crate::machine::policy::{PoolSettings, SubscriptionPolicy};
use crate::ports::clock::Clock;
use crate::ports::credentials::CredentialSource;
use crate::ports::delivery::Delivery;
use crate::ports::logs::LogSource;
use crate::ports::runtime::Runtime;
use crate::ports::store::{Retention, Store, StoreError};
use crate::telemetry::{Telemetry, events};

/// How long the first read of all credentials may hold up the start.
const FIRST_READ: Duration = Duration::from_secs(15);

/// For so long a notification is kept for a target that has not taken it: twice the time after which it is given up. A
/// target that is told no more must not keep them for ever.
const UNDELIVERED_FOR: Duration = Duration::from_secs(48 * 3600);

/// How often the store is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Everything the actors are wired with. Drivers and actors do not know each other; whoever builds this does.
pub struct Wiring {
    /// The agents and what the user decided about each.
    pub agents: Vec<(AgentName, Arc<Policy>)>,
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionPolicy>,
    /// How they are picked.
    pub pool: PoolSettings,
    /// What runs agents.
    pub runtime: Arc<dyn Runtime>,
    /// Where the logs of containers are read; `None` without containers.
    pub logs: Option<Arc<dyn LogSource>>,
    /// What gets credentials to them.
    pub delivery: Arc<dyn Delivery>,
    /// Where credentials come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// What survives the process.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The log and the counters.
    pub telemetry: Telemetry,
    /// How failures are recognised.
    pub classifier: Arc<Classifier>,
    /// How the holders of turns prove themselves.
    pub lease_key: SecretBox<[u8; 32]>,
    /// Whom to tell.
    pub notifiers: Vec<outbox::Target>,
    /// Which providers are asked, and by whom.
    pub probing: Probing,
    /// Restarts that may run at the same time.
    pub restarts_in_parallel: usize,
    /// The pause between two restarts that begin.
    pub splay: Duration,
    /// How long history is kept.
    pub keep: Duration,
    /// The most that the store may take, in bytes.
    pub keep_bytes: u64,
}

/// Why the actors could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// An actor did not start.
    #[error("an actor did not start: {0}")]
    Spawn(String),
}

/// The running actors.
pub struct Root {
    switchman: Switchman,
    reconfigurer: Reconfigurer,
    supervision: JoinHandle<()>,
    watchers: Vec<JoinHandle<()>>,
    tasks: Arc<Tasks>,
    runtime: Arc<dyn Runtime>,
}

/// How the running actors are given another config. Cheap to clone.
#[derive(Clone)]
pub struct Reconfigurer {
    supervisor: ActorRef<RootMsg>,
    pool: PoolHandle,
    credentials: Arc<dyn CredentialSource>,
    clock: Arc<dyn Clock>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Root {
    /// Starts the pool, then every agent from what the store says, then the watchers.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn start(wiring: Wiring) -> Result<Self, StartError> {
        let Wiring { agents, subscriptions, runtime, delivery, credentials, store, clock, telemetry, .. } = &wiring;
        let seats: BTreeMap<AgentName, Arc<Seat>> = agents
            .iter()
            .map(|(name, policy)| (name.clone(), Arc::new(Seat::new(name.clone(), Arc::clone(policy)))))
            .collect();
        let pool = PoolHandle::default();
        let outbox = Arc::new(Notify::new());
        let (publish, known) = watch::channel(Vec::new());
        let (engine, _) = watch::channel(None);
        let (halt, _) = watch::channel(None);
        let switchman = Switchman(Arc::new(Shared {
            seats: RwLock::new(Arc::new(Seats::new(seats.clone()))),
            pool: pool.clone(),
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            telemetry: telemetry.clone(),
            leases: Leases::new(&wiring.lease_key),
            engine,
            halt: halt.clone(),
            config: watch::channel(None).0,
            notifiers: RwLock::default(),
            classifier: RwLock::new(Arc::clone(&wiring.classifier)),
            containers: watch::channel(Arc::default()).0,
            overheard: Overheard::default(),
        }));
        let (names, heard) = watch::channel(subscriptions.iter().map(|policy| policy.name.clone()).collect());
        let (keeping, kept) = watch::channel(Keeping { keep: wiring.keep, keep_bytes: wiring.keep_bytes });
        let tasks = Arc::new(Tasks::default());
        let told_by = Arc::clone(&outbox);
        let parts = RootParts {
            switchman: switchman.clone(),
            pool: PoolParts {
                subscriptions: subscriptions.clone(),
                settings: wiring.pool.clone(),
                seats: seats.values().cloned().collect(),
                store: Arc::clone(store),
                clock: Arc::clone(clock),
                telemetry: telemetry.clone(),
                known: publish,
                halt: halt.clone(),
                outbox: Arc::clone(&outbox),
            },
            handle: pool.clone(),
            world: Arc::new(World {
                runtime: Arc::clone(runtime),
                delivery: Arc::clone(delivery),
                credentials: Arc::clone(credentials),
                pool: pool.clone(),
                restarts: Arc::new(Pace::new(wiring.restarts_in_parallel, wiring.splay, Arc::clone(clock))),
                known,
            }),
            credentials: Arc::clone(credentials),
            names,
            keeping,
            outbox,
            logs: wiring.logs.clone(),
            read_to: Some(store.log_positions().await?.into_iter().collect()),
            notifiers: wiring.notifiers.clone(),
            probing: wiring.probing.clone(),
            attempts: Arc::default(),
            tasks: Arc::clone(&tasks),
        };
        let (supervisor, supervision) =
            Actor::spawn(None, RootActor, parts).await.map_err(|error| StartError::Spawn(error.to_string()))?;
        let watchers = vec![
            tokio::spawn(watchers::runtime_events(switchman.clone(), Arc::clone(runtime))),
            tokio::spawn(watchers::credentials(heard, Arc::clone(credentials), pool.clone(), Arc::clone(clock))),
            tokio::spawn(overheard::run(switchman.clone())),
            tokio::spawn(sweep(switchman.clone(), kept)),
        ];
        tasks.begin(TaskName::EngineNotices, |stop| engine_notices::run(switchman.clone(), told_by, stop));
        let reconfigurer = Reconfigurer {
            supervisor,
            pool: pool.clone(),
            credentials: Arc::clone(credentials),
            clock: Arc::clone(clock),
            turn: Arc::default(),
        };
        Ok(Self { switchman, reconfigurer, supervision, watchers, tasks, runtime: Arc::clone(runtime) })
    }

    /// The way in.
    #[must_use]
    pub fn switchman(&self) -> Switchman {
        self.switchman.clone()
    }

    /// How the actors are given another config while they run.
    #[must_use]
    pub fn reconfigurer(&self) -> Reconfigurer {
        self.reconfigurer.clone()
    }

    /// Resolves when the supervisor has ended by itself: there are no actors any more, and nothing brings them back.
    pub async fn failed(&mut self) {
        if let Err(error) = (&mut self.supervision).await {
            tracing::error!(%error, "the supervisor has failed");
        }
    }

    /// Ends everything in order, at most within `deadline`: nothing new is taken, open intents may end, the actors
    /// stop after what they hold, children are ended. What does not make it in time is taken up at the next start.
    pub async fn stop(self, deadline: Duration) {
        let Self { switchman, reconfigurer, supervision, watchers, tasks, runtime } = self;
        switchman.close();
        let clock = switchman.clock();
        // A third for open intents, and what is left for the rest.
        tokio::select! {
            () = switchman.quiet() => {}
            () = clock.sleep(deadline / 3) => {}
        }
        tasks.end_all();
        reconfigurer.supervisor.stop(Some("the daemon stops".to_owned()));
        tokio::select! {
            ended = supervision => if ended.is_err() {
                tracing::warn!("the supervisor has failed while it stopped");
            },
            () = clock.sleep(deadline / 3) => tracing::warn!("actors did not stop in time"),
        }
        runtime.shut_down(deadline / 4).await;
        for watcher in watchers {
            watcher.abort();
        }
        tasks.abort_all();
    }
}

async fn sweep(switchman: Switchman, kept: watch::Receiver<Keeping>) {
    loop {
        let now = switchman.now().wall;
        let Keeping { keep, keep_bytes } = *kept.borrow();
        let retention = Retention {
            keep_since: now.minus(keep),
            undelivered_since: now.minus(UNDELIVERED_FOR),
            answers_since: now.minus(super::intake::IDS_FOR),
            answers_max: u32::try_from(super::intake::IDS_MAX).unwrap_or(u32::MAX),
            bytes_max: keep_bytes,
        };
        if let Err(error) = switchman.store().sweep(retention).await {
            let (disposition, reason) = (error.disposition(), error.to_string());
            switchman.telemetry().emit(events::StoreFailed {
                call: "sweep",
                agent: None,
                disposition,
                reason: &reason,
            });
        }
        switchman.clock().sleep(SWEEP_EVERY).await;
    }
}
