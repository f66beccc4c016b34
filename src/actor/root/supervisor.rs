//! The supervisor's actor: it begins the pool and the agents, and begins them again when they fail.
//!
//! It must not decide anything about an agent, except that one whose actor fails too often is parked.
//!
//! Tests: `tests/shell.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::{Notify, watch};

use super::FIRST_READ;
use super::reconfiguring::{Keeping, Leaver, Reconfiguration, Reconfigured};
use crate::actor::agent::{AgentActor, AgentParts};
use crate::actor::effects::World;
use crate::actor::handle::Switchman;
use crate::actor::outbox;
use crate::actor::pool::{PoolActor, PoolHandle, PoolMsg, PoolParts};
use crate::actor::probes::{Attempts, Probing};
use crate::actor::seat::Seat;
use crate::actor::tasks::Tasks;
use crate::actor::watchers::{self, Intensity};
use crate::domain::{
    AgentName, Change, LogPosition, Notification, NotifyEvent, ParkReason, ProbePlan, Rest, SubscriptionName,
};
use crate::ports::credentials::CredentialSource;
use crate::ports::logs::LogSource;
use crate::telemetry::events;

/// What the supervisor is told besides what it hears of its children.
pub(in crate::actor) enum RootMsg {
    /// The config is another one.
    Reconfigure(Box<Reconfiguration>, RpcReplyPort<Reconfigured>),
    /// The places hold what the newest config says of an agent that nobody acts for.
    Settled(AgentName),
}

pub(super) struct RootActor;

pub(super) struct RootParts {
    pub(super) switchman: Switchman,
    pub(super) pool: PoolParts,
    pub(super) handle: PoolHandle,
    pub(super) world: Arc<World>,
    pub(super) credentials: Arc<dyn CredentialSource>,
    pub(super) names: watch::Sender<Vec<SubscriptionName>>,
    pub(super) keeping: watch::Sender<Keeping>,
    pub(super) outbox: Arc<Notify>,
    pub(super) logs: Option<Arc<dyn LogSource>>,
    /// How far logs were read, as of the start.
    pub(super) read_to: Option<BTreeMap<AgentName, LogPosition>>,
    pub(super) notifiers: Vec<outbox::Target>,
    pub(super) probing: Probing,
    pub(super) attempts: Arc<Attempts>,
    pub(super) tasks: Arc<Tasks>,
}

pub(super) struct Supervised {
    pub(super) parts: RootParts,
    pool: ActorRef<PoolMsg>,
    agents: BTreeMap<ActorId, AgentName>,
    intensity: Intensity,
    /// Agents that go, and those that come once nobody acts under their names any more.
    pub(super) leaving: BTreeMap<AgentName, Leaver>,
    /// Whom notifications are handed to.
    pub(super) notified: Vec<outbox::Target>,
    /// What providers are asked about.
    pub(super) probed: Vec<ProbePlan>,
}

impl Actor for RootActor {
    type Msg = RootMsg;
    type State = Supervised;
    type Arguments = RootParts;

    async fn pre_start(&self, myself: ActorRef<RootMsg>, parts: RootParts) -> Result<Supervised, ActorProcessingErr> {
        let (pool, _) = Actor::spawn_linked(None, PoolActor, parts.pool.clone(), myself.get_cell()).await?;
        parts.handle.set(pool.clone());
        // Who runs on what is told by the credential that was delivered: so these are read first.
        let names = parts.names.borrow().clone();
        let read = watchers::read_credentials(&names, &*parts.credentials, &parts.handle);
        tokio::select! {
            () = read => {}
            () = parts.pool.clock.sleep(FIRST_READ) => tracing::warn!("credentials are still being read"),
        }
        // The pool handles what it was told before it answers this: then the facts are in.
        if parts.handle.ask(PoolMsg::Subscriptions).await.is_err() {
            tracing::warn!("the pool does not answer at the start");
        }
        let mut supervised = Supervised {
            parts,
            pool,
            agents: BTreeMap::new(),
            intensity: Intensity::default(),
            leaving: BTreeMap::new(),
            notified: Vec::new(),
            probed: Vec::new(),
        };
        for seat in supervised.parts.pool.seats.clone() {
            supervised.seat(&seat, &myself).await?;
            supervised.follow_log(&seat);
        }
        // From now on the store is asked how far a log was read.
        supervised.parts.read_to = None;
        let notifiers = std::mem::take(&mut supervised.parts.notifiers);
        supervised.notify_these(notifiers);
        let plans = std::mem::take(&mut supervised.parts.probing.plans);
        supervised.probe_these(plans);
        Ok(supervised)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMsg>,
        message: RootMsg,
        supervised: &mut Supervised,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMsg::Reconfigure(new, reply) => supervised.reconfigure(*new, reply, &myself),
            RootMsg::Settled(agent) => supervised.settled(&agent, &myself).await?,
        }
        Ok(())
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
                if let Some(agent) = supervised.agents.remove(&child.get_id()) {
                    supervised.has_ended(&agent, &myself);
                }
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
    pub(super) async fn seat(
        &mut self,
        seat: &Arc<Seat>,
        myself: &ActorRef<RootMsg>,
    ) -> Result<(), ActorProcessingErr> {
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
                    agent: Some(agent.clone()),
                    subscription: record.assignment.as_ref().map(|current| current.subscription.clone()),
                    generation: record.assignment.as_ref().map(|current| current.generation),
                    intent: None,
                    text: format!("{agent} waits for a person: its actor failed too often"),
                    action: Some("see the log, then `switchman unpark`".to_owned()),
                    is_over: false,
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
        let names = self.parts.names.borrow().clone();
        watchers::read_credentials(&names, &*self.parts.credentials, &self.parts.handle).await;
        Ok(())
    }
}
