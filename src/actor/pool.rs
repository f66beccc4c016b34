//! The owner of the pool: the fold over what others committed, the reservations, and the operators' own cooldowns.
//!
//! It answers at once: the only await is the commit of an operator's row. What becomes free wakes the agents that
//! found nobody; what ends by its time does not, for they have wake-ups of their own, spread by jitter.

mod catching_up;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::watch;

use super::agent::AgentMsg;
use super::intake::Hints;
use super::recognition::Known;
use super::seat::Seat;
use crate::domain::{
    AgentName, Change, Cooldown, CooldownKey, CooldownSource, Due, FailureKind, Fingerprint, Moment, Reach,
    SubscriptionName, Wall, Window,
};
use crate::machine::agent::Pick;
use crate::machine::policy::SubscriptionPolicy;
use crate::machine::pool::{AgentView, CredentialFact, Ineligible, PoolState, Ranking, Wanted, evaluate};
use crate::ports::clock::Clock;
use crate::ports::store::{Store, StoreError};
use crate::telemetry::{Telemetry, events};

/// The longest that the pool sleeps before it looks for cooldowns that have ended (F6).
const TICK_MAX: Duration = Duration::from_secs(30);

/// A cooldown that ends so little later than the known one is no news.
const NEWS_AFTER: Duration = Duration::from_secs(60);

/// What the pool is told and asked.
pub(super) enum PoolMsg {
    /// Pick and mark.
    Reserve { selection: u64, view: Box<AgentView>, agent: ActorRef<AgentMsg> },
    /// A mark is not needed.
    Release(AgentName),
    /// What this agent last committed may have been written without anybody being told.
    CatchUp(AgentName),
    /// Is the mark still good?
    Confirm { view: Box<AgentView>, reply: RpcReplyPort<Option<Ineligible>> },
    /// Rows that were committed.
    Committed(Vec<Change>),
    /// Whether a credential can be read.
    Credential { subscription: SubscriptionName, state: Result<Known, String> },
    /// The verdicts for an agent, without a mark.
    Explain { view: Box<AgentView>, reply: RpcReplyPort<Ranking> },
    /// Every subscription as it stands.
    Subscriptions(RpcReplyPort<Vec<SubscriptionStatus>>),
    /// An operator's cooldown.
    SetCooldown { subscription: SubscriptionName, until: Wall, reply: RpcReplyPort<Result<(), StoreError>> },
    /// An operator lifts every cooldown of a subscription.
    ClearCooldown { subscription: SubscriptionName, reply: RpcReplyPort<Result<usize, StoreError>> },
    /// Time has passed.
    Tick,
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// From the config.
    pub policy: SubscriptionPolicy,
    /// The agents that run on it.
    pub agents: Vec<AgentName>,
    /// Whether its credential can be read; `None` before the first try.
    pub credential: Option<CredentialFact>,
    /// The cooldown that holds for everyone.
    pub cooldown: Option<Cooldown>,
    /// Every row about it that has not ended.
    pub rows: Vec<Cooldown>,
}

/// The way to the pool: survives its actor.
#[derive(Clone, Default)]
pub(super) struct PoolHandle(Arc<RwLock<Option<ActorRef<PoolMsg>>>>);

/// The pool does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pool does not answer")]
pub struct PoolUnavailable;

impl PoolHandle {
    pub(super) fn set(&self, actor: ActorRef<PoolMsg>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    fn actor(&self) -> Option<ActorRef<PoolMsg>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the pool something; `false` if there is none to tell.
    pub(super) fn tell(&self, message: PoolMsg) -> bool {
        self.actor().is_some_and(|actor| actor.cast(message).is_ok())
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<T>) -> PoolMsg,
    ) -> Result<T, PoolUnavailable> {
        let actor = self.actor().ok_or(PoolUnavailable)?;
        match actor.call(question, Some(Duration::from_secs(5))).await {
            Ok(ractor::rpc::CallResult::Success(answer)) => Ok(answer),
            Ok(ractor::rpc::CallResult::Timeout | ractor::rpc::CallResult::SenderError) | Err(_) => {
                Err(PoolUnavailable)
            }
        }
    }
}

/// The pool's actor.
pub(super) struct PoolActor;

/// What it is made of.
#[derive(Clone)]
pub(super) struct PoolParts {
    pub(super) subscriptions: Vec<SubscriptionPolicy>,
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    /// Which fingerprint belongs to which subscription, for those who read back what was delivered.
    pub(super) known: watch::Sender<Vec<Known>>,
}

pub(super) struct Pool {
    parts: PoolParts,
    state: PoolState,
    /// Agents whose last question found nobody.
    waiting: BTreeSet<AgentName>,
    /// The credential that was last written down for each subscription.
    seen: Vec<(SubscriptionName, Fingerprint)>,
    /// Agents whose last commit may have been written without us being told.
    doubtful: BTreeSet<AgentName>,
    /// Not before then is the store asked about them again.
    catch_up_from: Option<Due>,
    is_tick_armed: bool,
}

impl Actor for PoolActor {
    type Msg = PoolMsg;
    type State = Pool;
    type Arguments = PoolParts;

    async fn pre_start(&self, _: ActorRef<PoolMsg>, parts: PoolParts) -> Result<Pool, ActorProcessingErr> {
        let record = parts.store.load_pool(parts.clock.now().wall).await?;
        let mut state = PoolState::new(parts.subscriptions.iter().cloned());
        for cooldown in record.cooldowns {
            state.apply(&Change::CooldownSet(cooldown));
        }
        for (agent, subscription) in record.assignments {
            state.assign(agent, subscription);
        }
        for (agent, subscription) in record.reservations {
            state.promise(agent, subscription);
        }
        // Who found nobody before this life is not known here: the first news is for everyone.
        let waiting = parts.seats.iter().map(|seat| seat.agent.clone()).collect();
        let seen = record.credentials;
        Ok(Pool { parts, state, waiting, seen, doubtful: BTreeSet::new(), catch_up_from: None, is_tick_armed: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<PoolMsg>,
        message: PoolMsg,
        pool: &mut Pool,
    ) -> Result<(), ActorProcessingErr> {
        if !matches!(message, PoolMsg::CatchUp(_)) {
            pool.catch_up().await;
        }
        match message {
            PoolMsg::Reserve { selection, view, agent } => pool.reserve(selection, &view, &agent),
            PoolMsg::Release(agent) => pool.state.release(&agent),
            PoolMsg::CatchUp(agent) => {
                pool.state.release(&agent);
                pool.doubtful.insert(agent);
            }
            PoolMsg::Confirm { view, reply } => answer(reply, pool.state.confirm(&view, pool.now().wall)),
            PoolMsg::Committed(changes) => pool.fold(&changes),
            PoolMsg::Credential { subscription, state } => pool.note_credential(subscription, state).await,
            PoolMsg::Explain { view, reply } => answer(reply, evaluate(&view, &pool.state, pool.now().wall)),
            PoolMsg::Subscriptions(reply) => answer(reply, pool.statuses()),
            PoolMsg::SetCooldown { subscription, until, reply } => answer(reply, pool.set(subscription, until).await),
            PoolMsg::ClearCooldown { subscription, reply } => answer(reply, pool.clear(&subscription).await),
            PoolMsg::Tick => {
                pool.is_tick_armed = false;
                pool.expire();
            }
        }
        pool.arm(&myself);
        Ok(())
    }
}

/// A caller that has gone needs no answer.
fn answer<T>(reply: RpcReplyPort<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("a caller of the pool has gone");
    }
}

impl Pool {
    fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    fn reserve(&mut self, selection: u64, view: &AgentView, agent: &ActorRef<AgentMsg>) {
        let ranking = self.state.reserve(view, self.now().wall);
        let pick = match ranking.first() {
            Some(best) if Some(best) == view.current.as_ref() && view.wanted == Wanted::Any => Pick::Keep,
            Some(best) => Pick::To(best.clone()),
            None => {
                self.waiting.insert(view.agent.clone());
                Pick::None { earliest: ranking.earliest, reason: why_nobody(view, &ranking) }
            }
        };
        if agent.cast(AgentMsg::Picked { selection, pick }).is_err() {
            self.state.release(&view.agent);
        }
    }

    /// Folds in what an agent committed, says what that means for subscriptions, and wakes who waits for it.
    fn fold(&mut self, changes: &[Change]) {
        let mut frees = false;
        for change in changes {
            let known = if let Change::CooldownSet(cooldown) = change {
                self.state.known_for_all(&cooldown.subscription, self.now().wall).cloned()
            } else {
                None
            };
            self.state.apply(change);
            match change {
                Change::CooldownSet(cooldown) => self.announce(cooldown, known.as_ref()),
                Change::Assigned { .. } | Change::IntentClosed(_) | Change::CooldownLifted(_) => frees = true,
                Change::FailureRecorded(_)
                | Change::FailureCounted { .. }
                | Change::FailureJudged { .. }
                | Change::IntentOpened(_)
                | Change::IntentDelivered { .. }
                | Change::AgentSaved(..)
                | Change::Notified(_)
                | Change::CredentialSeen(..)
                | Change::LogRead(..) => {}
            }
        }
        if frees {
            self.wake_waiting(None);
        }
    }

    /// Says what a new row means; `known` is what held for everyone before it. Many agents that say the same within
    /// moments are one piece of news.
    fn announce(&self, cooldown: &Cooldown, known: Option<&Cooldown>) {
        let now = self.now().wall;
        let is_known = |row: &Cooldown| {
            known.is_some_and(|known| match (known.until, row.until) {
                (None, None) => true,
                (Some(known), Some(until)) => until <= known.plus(NEWS_AFTER),
                (None, Some(_)) | (Some(_), None) => false,
            })
        };
        if cooldown.is_quarantine() && cooldown.key.reach == Reach::All {
            self.parts.telemetry.emit(events::SubscriptionQuarantined {
                subscription: &cooldown.subscription,
                agent: None,
                reach: "all",
                kind: cooldown.kind,
                source: cooldown.source,
                failure: cooldown.failure.as_ref(),
            });
        } else if let Some(row) = self.state.cooling_for_all(&cooldown.subscription, now) {
            if is_known(row) {
                return;
            }
            self.parts.telemetry.emit(events::SubscriptionCooling {
                subscription: &cooldown.subscription,
                agent: None,
                reach: "all",
                kind: row.kind,
                scope: row.key.window,
                model: row.key.model.as_ref(),
                source: row.source,
                until: row.until,
                failure: row.failure.as_ref(),
            });
        } else if let Reach::Agent(agent) = &cooldown.key.reach {
            self.parts.telemetry.emit(events::SubscriptionSuspect {
                subscription: &cooldown.subscription,
                agent,
                kind: cooldown.kind,
                until: cooldown.until,
                failure: cooldown.failure.as_ref(),
            });
        }
    }

    async fn note_credential(&mut self, subscription: SubscriptionName, read: Result<Known, String>) {
        self.publish(&subscription, read.as_ref().ok());
        let state = read.map(|known| known.fingerprint);
        let known = self.state.credential(&subscription).map(|fact| fact.state.clone());
        let is_news = known.as_ref() != Some(&state);
        let fact = CredentialFact { state: state.clone(), at: self.now().wall };
        self.state.note_credential(subscription.clone(), fact);
        if !is_news {
            return;
        }
        match state {
            Err(why) => {
                self.parts.telemetry.emit(events::CredentialUnreadable { subscription: &subscription, reason: &why });
            }
            Ok(fingerprint) => {
                self.credential_is(subscription.clone(), fingerprint).await;
                self.tell_who_runs_on(&subscription);
            }
        }
    }

    /// Lets those who read back what was delivered know what the source has.
    fn publish(&self, subscription: &SubscriptionName, read: Option<&Known>) {
        self.parts.known.send_if_modified(|all| {
            let has = all.iter().position(|known| &known.subscription == subscription);
            match (has, read) {
                (None, None) => return false,
                (None, Some(read)) => all.push(read.clone()),
                // Not readable for a moment: what is delivered is still known by what it was.
                (Some(_), None) => return false,
                (Some(at), Some(read)) if all[at] == *read => return false,
                (Some(at), Some(read)) => all[at] = read.clone(),
            }
            true
        });
    }

    /// Whoever runs on a credential that is another one now sees so by a look.
    fn tell_who_runs_on(&self, subscription: &SubscriptionName) {
        for seat in self.parts.seats.iter().filter(|seat| seat.state().subscription() == Some(subscription)) {
            seat.hint(Hints { runtime_changed: true, ..Hints::default() });
        }
    }

    /// A readable credential wakes who waits; a changed one ends the quarantine of the old one (E1).
    async fn credential_is(&mut self, subscription: SubscriptionName, fingerprint: Fingerprint) {
        let name = subscription.clone();
        let written = self.seen.iter().find(|(name, _)| name == &subscription).map(|(_, seen)| seen.clone());
        if written.as_ref() != Some(&fingerprint) {
            let mut changes = vec![Change::CredentialSeen(subscription.clone(), fingerprint.clone())];
            if written.is_some() {
                self.parts
                    .telemetry
                    .emit(events::CredentialChanged { subscription: &subscription, fingerprint: &fingerprint });
                changes.extend(self.rows_of_credential(&subscription).into_iter().map(Change::CooldownLifted));
            }
            if let Err(error) = self.commit(changes.clone()).await {
                // It is found again at the next start.
                self.store_failed("commit", &error);
            } else {
                self.seen.retain(|(name, _)| name != &subscription);
                self.seen.push((subscription.clone(), fingerprint));
            }
            self.fold(&changes);
            if changes.len() > 1 {
                let reason = Some("its credential has changed");
                self.parts.telemetry.emit(events::SubscriptionAvailable { subscription: &name, agent: None, reason });
            }
        }
        self.wake_waiting(None);
    }

    fn rows_of_credential(&self, subscription: &SubscriptionName) -> Vec<CooldownKey> {
        let rows = self.state.rows_about(subscription, self.now().wall);
        rows.filter(|row| row.kind == FailureKind::Auth && row.key.credential.is_some())
            .map(|row| row.key.clone())
            .collect()
    }

    fn statuses(&self) -> Vec<SubscriptionStatus> {
        let now = self.now().wall;
        let status = |policy: &SubscriptionPolicy| SubscriptionStatus {
            policy: policy.clone(),
            agents: self.state.agents_on(&policy.name),
            credential: self.state.credential(&policy.name).cloned(),
            cooldown: self.state.cooling_for_all(&policy.name, now).cloned(),
            rows: self.state.rows_about(&policy.name, now).cloned().collect(),
        };
        self.state.subscriptions().map(status).collect()
    }

    async fn set(&mut self, subscription: SubscriptionName, until: Wall) -> Result<(), StoreError> {
        let quota =
            self.state.subscriptions().find(|policy| policy.name == subscription).map(|policy| policy.quota.clone());
        let Some(quota) = quota else { return Ok(()) };
        let cooldown = Cooldown {
            key: CooldownKey { reach: Reach::All, quota, credential: None, window: Window::Unknown, model: None },
            subscription,
            kind: FailureKind::RateLimit,
            source: CooldownSource::Operator,
            since: self.now().wall,
            until: Some(until),
            failure: None,
        };
        let changes = vec![Change::CooldownSet(cooldown)];
        self.commit(changes.clone()).await?;
        self.fold(&changes);
        Ok(())
    }

    async fn clear(&mut self, subscription: &SubscriptionName) -> Result<usize, StoreError> {
        let keys: Vec<CooldownKey> =
            self.state.rows_about(subscription, self.now().wall).map(|row| row.key.clone()).collect();
        let changes: Vec<Change> = keys.iter().cloned().map(Change::CooldownLifted).collect();
        if !changes.is_empty() {
            self.commit(changes.clone()).await?;
            for change in &changes {
                self.state.apply(change);
            }
            self.parts.telemetry.emit(events::SubscriptionAvailable {
                subscription,
                agent: None,
                reason: Some("lifted by an operator"),
            });
        }
        self.wake_waiting(Some(subscription));
        Ok(keys.len())
    }

    fn expire(&mut self) {
        let now = self.now().wall;
        let ended: BTreeSet<SubscriptionName> =
            self.state.expire(now).into_iter().map(|row| row.subscription).collect();
        for subscription in ended {
            if self.state.rows_about(&subscription, now).next().is_none() {
                self.parts.telemetry.emit(events::SubscriptionAvailable {
                    subscription: &subscription,
                    agent: None,
                    reason: Some("its cooldown has ended"),
                });
            }
        }
    }

    /// Wakes the agents that found nobody, and those on a subscription whose cooldown was lifted.
    fn wake_waiting(&mut self, lifted: Option<&SubscriptionName>) {
        let waiting = std::mem::take(&mut self.waiting);
        let on_it = lifted.map(|subscription| self.state.agents_on(subscription)).unwrap_or_default();
        if waiting.is_empty() && on_it.is_empty() {
            return;
        }
        for seat in &self.parts.seats {
            if waiting.contains(&seat.agent) || on_it.contains(&seat.agent) {
                seat.hint(Hints { pool_changed: true, lifted: lifted.cloned(), ..Hints::default() });
            }
        }
    }

    fn arm(&mut self, myself: &ActorRef<PoolMsg>) {
        let Some(next) = self.state.next_expiry().filter(|_| !self.is_tick_armed) else { return };
        self.is_tick_armed = true;
        let wait = next.since(self.now().wall).clamp(Duration::from_millis(10), TICK_MAX);
        let (clock, myself) = (Arc::clone(&self.parts.clock), myself.clone());
        tokio::spawn(async move {
            clock.sleep(wait).await;
            if myself.cast(PoolMsg::Tick).is_err() {
                tracing::debug!("tick for a pool that has ended");
            }
        });
    }
}

/// Why nobody can be picked, in words: the named one's reason, or all of them.
fn why_nobody(view: &AgentView, ranking: &Ranking) -> String {
    if let Wanted::This { to, .. } = &view.wanted {
        return match ranking.verdict(to).and_then(|verdict| verdict.ineligible.as_ref()) {
            Some(reason) => format!("{to}: {reason}"),
            None => format!("{to}: no such subscription"),
        };
    }
    let reasons: Vec<String> = ranking
        .candidates
        .iter()
        .filter(|candidate| view.allowed.contains(&candidate.subscription))
        .filter_map(|candidate| candidate.ineligible.as_ref().map(|why| format!("{}: {why}", candidate.subscription)))
        .collect();
    reasons.join("; ")
}
