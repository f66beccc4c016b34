//! The supervisor: spawns the pool and one actor per agent, starts them again when they fail, and ends everything
//! in order within one deadline.
//!
//! | what ends | what happens |
//! |---|---|
//! | an agent's actor fails | the next life takes over its seat: nothing queued is lost, the state comes from the store |
//! | it fails too often | the agent is parked `crashed`, all others go on |
//! | the pool's actor fails | a new one folds the store's rows again; agents ask again by themselves |
//! | the daemon is asked to stop | no report is taken any more, open intents may end, then actors, then children |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use super::agent::{AgentActor, AgentParts};
use super::effects::World;
use super::handle::{Shared, Switchman};
use super::outbox;
use super::pool::{PoolActor, PoolHandle, PoolParts};
use super::readers::Reader;
use super::seat::Seat;
use super::watchers::{self, Intensity};
use crate::domain::{AgentName, Change, LogPosition, Notification, NotifyEvent, ParkReason, Rest, SubscriptionName};
use crate::machine::policy::{Policy, RuntimeKind, SubscriptionPolicy};
use crate::ports::clock::Clock;
use crate::ports::credentials::CredentialSource;
use crate::ports::delivery::Delivery;
use crate::ports::logs::LogSource;
use crate::ports::notifier::Notifier;
use crate::ports::runtime::Runtime;
use crate::ports::store::{Retention, Store, StoreError};
use crate::telemetry::{Telemetry, events};

/// How long the first read of all credentials may hold up the start.
const FIRST_READ: Duration = Duration::from_secs(15);

/// How often the store is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Everything the actors are wired with. Drivers and actors do not know each other; whoever builds this does.
pub struct Wiring {
    /// The agents and what the user decided about each.
    pub agents: Vec<(AgentName, Arc<Policy>)>,
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionPolicy>,
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
    /// Whom to tell.
    pub notifiers: Vec<Arc<dyn Notifier>>,
    /// Restarts that may run at the same time.
    pub restarts_in_parallel: usize,
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
    supervisor: ActorRef<RootMsg>,
    supervision: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    runtime: Arc<dyn Runtime>,
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
        let (publish, known) = watch::channel(Vec::new());
        let (engine, _) = watch::channel(None);
        let switchman = Switchman(Arc::new(Shared {
            seats: seats.clone(),
            processes: seats.values().filter(|seat| seat.policy.runtime == RuntimeKind::Process).cloned().collect(),
            pool: pool.clone(),
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            telemetry: telemetry.clone(),
            engine,
        }));
        let names: Vec<SubscriptionName> = subscriptions.iter().map(|policy| policy.name.clone()).collect();
        let outbox = Arc::new(Notify::new());
        let parts = RootParts {
            pool: PoolParts {
                subscriptions: subscriptions.clone(),
                seats: seats.values().cloned().collect(),
                store: Arc::clone(store),
                clock: Arc::clone(clock),
                telemetry: telemetry.clone(),
                known: publish,
            },
            handle: pool.clone(),
            world: Arc::new(World {
                runtime: Arc::clone(runtime),
                delivery: Arc::clone(delivery),
                credentials: Arc::clone(credentials),
                pool: pool.clone(),
                restarts: Arc::new(Semaphore::new(wiring.restarts_in_parallel.max(1))),
                known,
            }),
            credentials: Arc::clone(credentials),
            names: names.clone(),
            outbox: Arc::clone(&outbox),
        };
        let (supervisor, supervision) =
            Actor::spawn(None, RootActor, parts).await.map_err(|error| StartError::Spawn(error.to_string()))?;
        let (stop, stopped) = watch::channel(false);
        let mut tasks = vec![
            tokio::spawn(watchers::runtime_events(switchman.clone(), Arc::clone(runtime))),
            tokio::spawn(watchers::credentials(names, Arc::clone(credentials), pool, Arc::clone(clock))),
            tokio::spawn(sweep(switchman.clone(), wiring.keep, wiring.keep_bytes)),
        ];
        if let Some(source) = &wiring.logs {
            let mut read_to: BTreeMap<AgentName, LogPosition> = store.log_positions().await?.into_iter().collect();
            for seat in seats.values().filter(|seat| seat.policy.runtime == RuntimeKind::Container) {
                let read_to = read_to.remove(&seat.agent);
                let reader = Reader {
                    switchman: switchman.clone(),
                    seat: Arc::clone(seat),
                    source: Arc::clone(source),
                    is_written: read_to.is_some(),
                    read_to,
                    asked_at: clock.now().wall,
                    stop: stopped.clone(),
                };
                tasks.push(tokio::spawn(reader.run()));
            }
        }
        for notifier in &wiring.notifiers {
            tasks.push(tokio::spawn(outbox::run(
                Arc::clone(store),
                Arc::clone(notifier),
                Arc::clone(clock),
                Arc::clone(&outbox),
                telemetry.clone(),
                stopped.clone(),
            )));
        }
        Ok(Self { switchman, supervisor, supervision, tasks, stop, runtime: Arc::clone(runtime) })
    }

    /// The way in.
    #[must_use]
    pub fn switchman(&self) -> Switchman {
        self.switchman.clone()
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
        let Self { switchman, supervisor, supervision, tasks, stop, runtime } = self;
        switchman.close();
        let clock = switchman.clock();
        // A third for open intents, and what is left for the rest.
        tokio::select! {
            () = switchman.quiet() => {}
            () = clock.sleep(deadline / 3) => {}
        }
        stop.send_replace(true);
        supervisor.stop(Some("the daemon stops".to_owned()));
        tokio::select! {
            ended = supervision => if ended.is_err() {
                tracing::warn!("the supervisor has failed while it stopped");
            },
            () = clock.sleep(deadline / 3) => tracing::warn!("actors did not stop in time"),
        }
        runtime.shut_down(deadline / 4).await;
        for task in tasks {
            task.abort();
        }
    }
}

async fn sweep(switchman: Switchman, keep: Duration, bytes_max: u64) {
    loop {
        let now = switchman.now().wall;
        let retention = Retention {
            keep_since: now.minus(keep),
            answers_since: now.minus(super::intake::IDS_FOR),
            answers_max: u32::try_from(super::intake::IDS_MAX).unwrap_or(u32::MAX),
            bytes_max,
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

/// The supervisor has no messages of its own: it hears of its children.
pub(super) enum RootMsg {}

struct RootActor;

struct RootParts {
    pool: PoolParts,
    handle: PoolHandle,
    world: Arc<World>,
    credentials: Arc<dyn CredentialSource>,
    names: Vec<SubscriptionName>,
    outbox: Arc<Notify>,
}

struct Supervised {
    parts: RootParts,
    pool: ActorRef<super::pool::PoolMsg>,
    agents: BTreeMap<ractor::ActorId, AgentName>,
    intensity: Intensity,
}

impl Actor for RootActor {
    type Msg = RootMsg;
    type State = Supervised;
    type Arguments = RootParts;

    async fn pre_start(&self, myself: ActorRef<RootMsg>, parts: RootParts) -> Result<Supervised, ActorProcessingErr> {
        let (pool, _) = Actor::spawn_linked(None, PoolActor, parts.pool.clone(), myself.get_cell()).await?;
        parts.handle.set(pool.clone());
        // Who runs on what is told by the credential that was delivered: so these are read first.
        let read = watchers::read_credentials(&parts.names, &*parts.credentials, &parts.handle);
        tokio::select! {
            () = read => {}
            () = parts.pool.clock.sleep(FIRST_READ) => tracing::warn!("credentials are still being read"),
        }
        // The pool handles what it was told before it answers this: then the facts are in.
        if parts.handle.ask(super::pool::PoolMsg::Subscriptions).await.is_err() {
            tracing::warn!("the pool does not answer at the start");
        }
        let mut supervised = Supervised { parts, pool, agents: BTreeMap::new(), intensity: Intensity::default() };
        for seat in supervised.parts.pool.seats.clone() {
            supervised.seat(&seat, &myself).await?;
        }
        Ok(supervised)
    }

    async fn handle(
        &self,
        _: ActorRef<RootMsg>,
        message: RootMsg,
        _: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        match message {}
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMsg>,
        event: SupervisionEvent,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, error) => {
                if child.get_id() == supervised.pool.get_id() {
                    supervised.new_pool(&myself, &error.to_string()).await?;
                } else if let Some(agent) = supervised.agents.remove(&child.get_id()) {
                    supervised.new_life(&agent, &myself, &error.to_string()).await?;
                }
            }
            SupervisionEvent::ActorTerminated(child, _, _) => {
                supervised.agents.remove(&child.get_id());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<RootMsg>,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        // Agents first: what they commit last is told to a pool that still listens.
        myself.drain_children_and_wait(Some(Duration::from_secs(5))).await;
        supervised.agents.clear();
        Ok(())
    }
}

impl Supervised {
    async fn seat(&mut self, seat: &Arc<Seat>, myself: &ActorRef<RootMsg>) -> Result<(), ActorProcessingErr> {
        let parts = AgentParts {
            seat: Arc::clone(seat),
            pool: self.parts.handle.clone(),
            store: Arc::clone(&self.parts.pool.store),
            clock: Arc::clone(&self.parts.pool.clock),
            world: Arc::clone(&self.parts.world),
            telemetry: self.parts.pool.telemetry.clone(),
            outbox: Arc::clone(&self.parts.outbox),
        };
        let (actor, _) = Actor::spawn_linked(None, AgentActor, parts, myself.get_cell()).await?;
        self.agents.insert(actor.get_id(), seat.agent.clone());
        Ok(())
    }

    async fn new_life(
        &mut self,
        agent: &AgentName,
        myself: &ActorRef<RootMsg>,
        reason: &str,
    ) -> Result<(), ActorProcessingErr> {
        let (crashes, is_too_often) = self.intensity.note(Some(agent.clone()), self.parts.pool.clock.now().steady);
        let count = u64::try_from(crashes).unwrap_or(u64::MAX);
        self.parts.pool.telemetry.emit(events::AgentCrashed { actor: "agent", agent: Some(agent), count, reason });
        let Some(seat) = self.parts.pool.seats.iter().find(|seat| &seat.agent == agent).cloned() else { return Ok(()) };
        if is_too_often {
            self.park(agent).await;
        }
        self.seat(&seat, myself).await
    }

    /// Parked by its record: the next life rests there and does nothing that could fail again.
    async fn park(&self, agent: &AgentName) {
        let (store, now) = (&self.parts.pool.store, self.parts.pool.clock.now().wall);
        let parked = match store.load_agent(agent).await {
            Ok(Some(record)) => {
                let mut attributes = record.attributes;
                if matches!(attributes.rest, Rest::Parked { .. }) {
                    return;
                }
                attributes.rest = Rest::Parked { reason: ParkReason::Crashed, since: now };
                attributes.wake_at = None;
                let notification = Notification {
                    id: format!("{agent}-parked-{}", now.0),
                    event: NotifyEvent::Parked,
                    at: now,
                    agent: agent.clone(),
                    subscription: record.assignment.as_ref().map(|current| current.subscription.clone()),
                    generation: record.assignment.as_ref().map(|current| current.generation),
                    intent: None,
                    text: format!("{agent} waits for a person: its actor failed too often"),
                };
                let changes =
                    vec![Change::AgentSaved(agent.clone(), Box::new(attributes)), Change::Notified(notification)];
                store.commit(changes).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match parked {
            Ok(()) => {
                self.parts.pool.telemetry.emit(events::AgentParked {
                    agent,
                    reason: ParkReason::Crashed,
                    switch: None,
                });
            }
            Err(error) => tracing::error!(agent = agent.as_str(), %error, "an agent could not be parked"),
        }
    }

    async fn new_pool(&mut self, myself: &ActorRef<RootMsg>, reason: &str) -> Result<(), ActorProcessingErr> {
        let (crashes, is_too_often) = self.intensity.note(None, self.parts.pool.clock.now().steady);
        let count = u64::try_from(crashes).unwrap_or(u64::MAX);
        self.parts.pool.telemetry.emit(events::AgentCrashed { actor: "pool", agent: None, count, reason });
        if is_too_often {
            // Without a pool nothing can be decided; whoever runs the daemon starts it again.
            return Err("the pool's actor failed too often".into());
        }
        let (pool, _) = Actor::spawn_linked(None, PoolActor, self.parts.pool.clone(), myself.get_cell()).await?;
        self.parts.handle.set(pool.clone());
        self.pool = pool;
        watchers::read_credentials(&self.parts.names, &*self.parts.credentials, &self.parts.handle).await;
        Ok(())
    }
}
