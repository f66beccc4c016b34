//! Another config for actors that run: agents come, go and get another policy; subscriptions and targets of notifications
//! as well.
//!
//! ```text
//!   pool: the subscriptions ──► credentials of new ones are read ──► agents, each that is another one than before
//!
//!   an agent that goes: no way in ──► its intent ends ──► its actor ends ──► the places are told ──► forgotten,
//!                                                                               or begun again under the same name
//! ```
//!
//! An agent whose policy is the same is told nothing. One that goes keeps its rows, so when it comes back it is the same
//! agent. Where an agent runs belongs to the drivers: what the config says of that changes for them only while nobody
//! acts for the agent, and [`Places`] is how they hear of it.
//!
//! It must not wait for an agent: one that goes may have a restart to finish, and the others do not wait for that.
//!
//! Tests: `tests/shell/reconfiguring.rs`, `tests/reload.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};

use super::supervisor::{RootMsg, Supervised};
use super::{FIRST_READ, Reconfigurer};
use crate::actor::outbox;
use crate::actor::pool::PoolMsg;
use crate::actor::probes::Asking;
use crate::actor::readers::Reader;
use crate::actor::readers::progress::Progress;
use crate::actor::seat::Seat;
use crate::actor::tasks::TaskName;
use crate::actor::watchers;
use crate::domain::{AgentName, LogPosition, ProbePlan, SourceId, SubscriptionName};
use crate::machine::policy::{Policy, PoolSettings, RuntimeKind, SubscriptionPolicy};
use crate::machine::pool::Configured;
use crate::ports::Pending;
use crate::ports::logs::LogSource;

/// How soon a store that could not say how far a source was read is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where agents run, as far as the actors have to tell somebody about it.
pub trait Places: Send + Sync {
    /// Nobody acts for this agent: what the newest config says of where it runs holds from now on. If it says nothing, the
    /// agent is forgotten; a child process of it is ended.
    fn settle<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, ()>;
}

/// What is to hold from now on. Everything that is not in it is gone.
pub struct Reconfiguration {
    /// The agents and what the user decided about each.
    pub agents: Vec<(AgentName, Arc<Policy>)>,
    /// Those of them that run somewhere else than before: each is a new agent in the place of the old one.
    pub moved: BTreeSet<AgentName>,
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionPolicy>,
    /// How they are picked.
    pub pool: PoolSettings,
    /// Those of them whose credential comes from somewhere else than before.
    pub reread: Vec<SubscriptionName>,
    /// Whom to tell. One that was there before is the same `Arc`.
    pub notifiers: Vec<outbox::Target>,
    /// Which providers are asked about which subscription.
    pub probes: Vec<ProbePlan>,
    /// Restarts that may run at the same time.
    pub restarts_in_parallel: usize,
    /// The pause between two restarts that begin.
    pub splay: Duration,
    /// How long history is kept.
    pub keep: Duration,
    /// The most that the store may take, in bytes.
    pub keep_bytes: u64,
    /// Where agents run.
    pub places: Arc<dyn Places>,
}

/// What is different from before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconfigured {
    /// Agents that were not there before.
    pub added: Vec<AgentName>,
    /// Agents with another policy.
    pub changed: Vec<AgentName>,
    /// Agents that run somewhere else.
    pub moved: Vec<AgentName>,
    /// Agents that are there no more.
    pub removed: Vec<AgentName>,
    /// The same of subscriptions.
    pub subscriptions: Configured,
}

impl Reconfigured {
    /// Whether everything is as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let agents = [&self.added, &self.changed, &self.moved, &self.removed];
        agents.iter().all(|agents| agents.is_empty()) && self.subscriptions.is_nothing()
    }
}

/// The config was not taken over, or only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReconfigureError {
    /// The pool of subscriptions does not answer.
    #[error("the owner of the subscriptions does not answer")]
    Pool,
    /// The supervisor has ended.
    #[error("the supervisor of the agents has ended")]
    Ended,
}

/// For how long, and in how much room, history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::actor) struct Keeping {
    pub(super) keep: Duration,
    pub(super) keep_bytes: u64,
}

/// An agent that goes, comes, or both, one after the other.
pub(super) struct Leaver {
    /// Who begins under the name afterwards.
    then: Option<Arc<Policy>>,
    /// The config has changed since the places were told.
    is_outdated: bool,
    /// Its old actor still acts.
    is_seated: bool,
    places: Arc<dyn Places>,
}

impl Reconfigurer {
    /// Makes everything as the config says it is to be. It returns when all have been told; an agent that goes may still
    /// be finishing what it had begun, and one that comes is looked at soon.
    ///
    /// # Errors
    /// If an actor that has to be told is gone; what was told holds.
    pub async fn reconfigure(&self, new: Reconfiguration) -> Result<Reconfigured, ReconfigureError> {
        // One after the other: each is held against what the one before has left.
        let _turn = self.turn.lock().await;
        let (subscriptions, settings) = (new.subscriptions.clone(), new.pool.clone());
        let configured = self.pool.ask(|reply| PoolMsg::Configure { subscriptions, settings, reply }).await;
        let configured = configured.map_err(|_| ReconfigureError::Pool)?;
        let unread: Vec<SubscriptionName> = configured.added.iter().chain(&new.reread).cloned().collect();
        if !unread.is_empty() {
            // Whoever has to move finds the new ones ready to be picked.
            tokio::select! {
                () = watchers::read_credentials(&unread, &*self.credentials, &self.pool) => {}
                () = self.clock.sleep(FIRST_READ) => tracing::warn!("credentials are still being read"),
            }
            if self.pool.ask(PoolMsg::Subscriptions).await.is_err() {
                return Err(ReconfigureError::Pool);
            }
        }
        let told = self.supervisor.call(|reply| RootMsg::Reconfigure(Box::new(new), reply), None).await;
        match told {
            Ok(ractor::rpc::CallResult::Success(agents)) => Ok(Reconfigured { subscriptions: configured, ..agents }),
            Ok(ractor::rpc::CallResult::Timeout | ractor::rpc::CallResult::SenderError) | Err(_) => {
                Err(ReconfigureError::Ended)
            }
        }
    }
}

impl Supervised {
    pub(super) fn reconfigure(
        &mut self,
        new: Reconfiguration,
        reply: RpcReplyPort<Reconfigured>,
        myself: &ActorRef<RootMsg>,
    ) {
        self.parts.pool.subscriptions.clone_from(&new.subscriptions);
        self.parts.names.send_replace(new.subscriptions.iter().map(|policy| policy.name.clone()).collect());
        self.parts.keeping.send_replace(Keeping { keep: new.keep, keep_bytes: new.keep_bytes });
        self.parts.pool.settings.clone_from(&new.pool);
        self.parts.world.restarts.configure(new.restarts_in_parallel, new.splay);
        self.notify_these(new.notifiers);
        self.probe_these(new.probes);
        let wanted: BTreeMap<AgentName, Arc<Policy>> = new.agents.into_iter().collect();
        let mut reconfigured = Reconfigured::default();
        let seats: BTreeMap<AgentName, Arc<Seat>> =
            self.parts.switchman.0.seats().all.iter().map(|(name, seat)| (name.clone(), Arc::clone(seat))).collect();
        for (name, seat) in &seats {
            match wanted.get(name) {
                None => {
                    self.leave(seat, None, &new.places);
                    reconfigured.removed.push(name.clone());
                }
                Some(policy) if new.moved.contains(name) => {
                    self.leave(seat, Some(Arc::clone(policy)), &new.places);
                    reconfigured.moved.push(name.clone());
                }
                Some(policy) => {
                    let before = seat.policy();
                    let decides_otherwise = !policy.decides_like(&before);
                    if decides_otherwise {
                        seat.configure(Arc::clone(policy));
                    } else {
                        seat.note_policy(Arc::clone(policy));
                    }
                    let reads_elsewhere = self.read_elsewhere(seat, &before.sources);
                    if decides_otherwise || reads_elsewhere {
                        reconfigured.changed.push(name.clone());
                    }
                }
            }
        }
        for (name, policy) in wanted {
            if seats.contains_key(&name) {
                continue;
            }
            if let Some(leaver) = self.leaving.get_mut(&name) {
                // It has not gone yet, and comes back when it has.
                (leaver.then, leaver.is_outdated) = (Some(policy), true);
                leaver.places = Arc::clone(&new.places);
            } else {
                let places = Arc::clone(&new.places);
                let leaver = Leaver { then: Some(policy), is_outdated: false, is_seated: false, places };
                self.leaving.insert(name.clone(), leaver);
                self.settle(&name, None, myself);
            }
            reconfigured.added.push(name);
        }
        // Who was on its way and is not wanted any more.
        for (name, leaver) in &mut self.leaving {
            let is_wanted = reconfigured.added.contains(name) || reconfigured.moved.contains(name);
            if !is_wanted && leaver.then.take().is_some() {
                leaver.is_outdated = true;
                leaver.places = Arc::clone(&new.places);
                reconfigured.removed.push(name.clone());
            }
        }
        self.publish();
        if reply.send(reconfigured).is_err() {
            tracing::debug!("whoever has changed the config has gone");
        }
    }

    /// Takes an agent's seat away.
    fn leave(&mut self, seat: &Arc<Seat>, then: Option<Arc<Policy>>, places: &Arc<dyn Places>) {
        let name = seat.agent.clone();
        for source in &seat.policy().sources {
            self.parts.tasks.end(&TaskName::Reader(name.as_str().to_owned(), source.clone()));
        }
        seat.retire();
        let leaver = Leaver { then, is_outdated: false, is_seated: true, places: Arc::clone(places) };
        self.leaving.insert(name, leaver);
    }

    /// An agent's actor has ended in good order. If that is because it goes, the places are told.
    pub(super) fn has_ended(&mut self, name: &AgentName, myself: &ActorRef<RootMsg>) {
        let Some(leaver) = self.leaving.get_mut(name) else { return };
        leaver.is_seated = false;
        let seat = self.parts.pool.seats.iter().find(|seat| &seat.agent == name).cloned();
        self.settle(name, seat, myself);
    }

    /// Has the places settled, after what is still being done to the agent.
    fn settle(&mut self, name: &AgentName, seat: Option<Arc<Seat>>, myself: &ActorRef<RootMsg>) {
        let Some(leaver) = self.leaving.get_mut(name) else { return };
        leaver.is_outdated = false;
        let (places, name, myself) = (Arc::clone(&leaver.places), name.clone(), myself.clone());
        tokio::spawn(async move {
            if let Some(effect) = seat.and_then(|seat| seat.take_effect())
                && effect.await.is_err()
            {
                tracing::debug!("an effect has failed while its agent went");
            }
            places.settle(&name).await;
            if myself.cast(RootMsg::Settled(name)).is_err() {
                tracing::debug!("the daemon ended while an agent went");
            }
        });
    }

    /// The places hold what the config says of this agent: whoever comes under its name begins.
    pub(super) async fn settled(
        &mut self,
        name: &AgentName,
        myself: &ActorRef<RootMsg>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(leaver) = self.leaving.get(name).filter(|leaver| !leaver.is_seated) else { return Ok(()) };
        if leaver.is_outdated {
            self.settle(name, None, myself);
            return Ok(());
        }
        let then = self.leaving.remove(name).and_then(|leaver| leaver.then);
        self.parts.pool.seats.retain(|seat| &seat.agent != name);
        let seat = then.map(|policy| Arc::new(Seat::new(name.clone(), policy)));
        self.parts.pool.seats.extend(seat.clone());
        self.parts.pool.seats.sort_by(|a, b| a.agent.cmp(&b.agent));
        self.publish();
        if let Some(seat) = seat {
            // Where it was when it was last one of ours.
            if !self.parts.handle.tell(PoolMsg::CatchUp(name.clone())) {
                tracing::debug!("an agent for a pool that has ended");
            }
            self.seat(&seat, myself).await?;
            self.follow_sources(&seat, &seat.policy().sources);
        }
        Ok(())
    }

    /// Says who is there: to those who ask, and to the pool.
    fn publish(&self) {
        let is_gone = |seat: &&Arc<Seat>| !seat.is_retired();
        let present = self.parts.pool.seats.iter().filter(is_gone);
        self.parts.switchman.0.set_seats(present.map(|seat| (seat.agent.clone(), Arc::clone(seat))).collect());
        if !self.parts.handle.tell(PoolMsg::Seats(self.parts.pool.seats.clone())) {
            // A new life of the pool begins with them.
            tracing::debug!("seats for a pool that has ended");
        }
    }

    /// Begins to read what was not read before, and ends what is to be read no more; says whether there was any of it.
    fn read_elsewhere(&mut self, seat: &Arc<Seat>, before: &[SourceId]) -> bool {
        let now = seat.policy();
        for source in before.iter().filter(|source| !now.sources.contains(source)) {
            self.parts.tasks.end(&TaskName::Reader(seat.agent.as_str().to_owned(), source.clone()));
        }
        let new: Vec<SourceId> = now.sources.iter().filter(|source| !before.contains(source)).cloned().collect();
        self.follow_sources(seat, &new);
        !new.is_empty() || before.iter().any(|source| !now.sources.contains(source))
    }

    /// Reads these sources of an agent.
    pub(super) fn follow_sources(&mut self, seat: &Arc<Seat>, sources: &[SourceId]) {
        let Some(logs) = self.parts.logs.clone() else { return };
        let is_container = seat.policy().runtime == RuntimeKind::Container;
        let mut known = self.parts.read_to.as_mut().map(|all| all.remove(&seat.agent).unwrap_or_default());
        for source in sources.iter().filter(|source| is_container || **source != SourceId::Container) {
            let known = known.as_mut().map(|known| known.extract_if(.., |at| at.source() == source).collect());
            self.follow(seat, source.clone(), Arc::clone(&logs), known);
        }
    }

    fn follow(&self, seat: &Arc<Seat>, source: SourceId, logs: Arc<dyn LogSource>, known: Option<Vec<LogPosition>>) {
        let (switchman, seat, asked_at) =
            (self.parts.switchman.clone(), Arc::clone(seat), self.parts.pool.clock.now().wall);
        let name = TaskName::Reader(seat.agent.as_str().to_owned(), source.clone());
        self.parts.tasks.begin(name, |stop| async move {
            let is_of_it = |agent: &AgentName, at: &LogPosition| *agent == seat.agent && *at.source() == source;
            let read_to = match known {
                Some(known) => known,
                None => loop {
                    match switchman.store().log_positions().await {
                        Ok(all) => {
                            let own = all.into_iter().filter(|(agent, at)| is_of_it(agent, at));
                            break own.map(|(_, at)| at).collect();
                        }
                        Err(error) => tracing::debug!(agent = %seat.agent, %error, "how far a source was read"),
                    }
                    if *stop.borrow() {
                        return;
                    }
                    switchman.clock().sleep(ASK_AGAIN).await;
                },
            };
            let progress = Progress::written(read_to);
            Reader { switchman, seat, logs, source, progress, asked_at, stop }.run().await;
        });
    }

    /// Hands notifications to these from now on. One that goes leaves its place in the store behind, and goes on from
    /// there should it come back.
    pub(super) fn notify_these(&mut self, notifiers: Vec<outbox::Target>) {
        let is_in = |one: &outbox::Target, all: &[outbox::Target]| all.iter().any(|other| one.is_same(other));
        let before = std::mem::take(&mut self.notified);
        for old in before.iter().filter(|old| !is_in(old, &notifiers)) {
            self.parts.tasks.end(&TaskName::Outbox(old.notifier.target().to_owned()));
        }
        for new in notifiers.iter().filter(|new| !is_in(new, &before)) {
            let (store, clock) = (Arc::clone(&self.parts.pool.store), Arc::clone(&self.parts.pool.clock));
            let (wake, telemetry) = (Arc::clone(&self.parts.outbox), self.parts.pool.telemetry.clone());
            let target = new.clone();
            self.parts.tasks.begin(TaskName::Outbox(new.notifier.target().to_owned()), |stop| {
                outbox::run(store, target, clock, wake, telemetry, stop)
            });
        }
        self.parts.switchman.0.set_notifiers(notifiers.iter().map(|target| Arc::clone(&target.notifier)).collect());
        self.notified = notifiers;
    }

    /// Asks these providers from now on. A plan that is the same goes on as it was; every other one waits for its minute.
    pub(super) fn probe_these(&mut self, plans: Vec<ProbePlan>) {
        let Some(prober) = self.parts.probing.prober.clone() else { return };
        let name = |plan: &ProbePlan| TaskName::Prober(plan.subscription.as_str().to_owned());
        let before = std::mem::take(&mut self.probed);
        for old in before.iter().filter(|old| !plans.contains(old)) {
            self.parts.tasks.end(&name(old));
        }
        for plan in plans.iter().filter(|plan| !before.contains(plan)) {
            let (switchman, credentials) = (self.parts.switchman.clone(), Arc::clone(&self.parts.credentials));
            let (attempts, prober, plan) = (Arc::clone(&self.parts.attempts), Arc::clone(&prober), plan.clone());
            self.parts
                .tasks
                .begin(name(&plan), |stop| Asking { switchman, prober, credentials, attempts, plan, stop }.run());
        }
        self.probed = plans;
    }
}
