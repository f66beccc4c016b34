//! The owner of the pool: the fold over what others committed, the reservations, and the operators' own cooldowns.
//!
//! It answers at once: the only await is the commit of an operator's row. What becomes free wakes the agents that
//! found nobody; what ends by its time does not, for they have wake-ups of their own, spread by jitter.

mod catching_up;
mod configured;
mod credentials;
mod halting;
mod reading;
mod shunning;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{Notify, watch};

use super::agent::AgentMsg;
use super::intake::Hints;
use super::outbox;
use super::recognition::Known;
use super::seat::Seat;
use crate::domain::{
    AgentName, Change, Cooldown, CooldownKey, CooldownSource, Due, FailureKind, Fingerprint, Halt, Moment, Reach,
    Reading, SubscriptionName, Wall, Window,
};
use crate::machine::policy::{PoolSettings, SubscriptionPolicy};
use crate::machine::pool::{AgentView, Agreed, Configured, Ineligible, Pick, PoolState, Ranking, evaluate};
use crate::ports::clock::Clock;
use crate::ports::store::{Store, StoreError};
use crate::telemetry::{Telemetry, events};
pub use standing::SubscriptionStatus;

/// The longest that the pool sleeps before it looks for cooldowns that have ended (F6).
const TICK_MAX: Duration = Duration::from_secs(30);

/// A cooldown that ends so little later than the known one is no news.
const NEWS_AFTER: Duration = Duration::from_secs(60);

/// How soon a halt that the store did not take is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// A cooldown that ended earlier than this before a start has been tried out since.
const REOPENING_SINCE: Duration = Duration::from_secs(3600);

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
    /// What somebody read of a window.
    Read { reading: Reading, reply: RpcReplyPort<Result<(), StoreError>> },
    /// A person lets automatic switching go on; says whether it was halted.
    Resume { reply: RpcReplyPort<Result<bool, StoreError>> },
    /// The config has these subscriptions now.
    Configure { subscriptions: Vec<SubscriptionPolicy>, settings: PoolSettings, reply: RpcReplyPort<Configured> },
    /// These are the agents that there are now.
    Seats(Vec<Arc<Seat>>),
    /// Time has passed.
    Tick,
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
    pub(super) settings: PoolSettings,
    pub(super) seats: Vec<Arc<Seat>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    /// Which fingerprint belongs to which subscription, for those who read back what was delivered.
    pub(super) known: watch::Sender<Vec<Known>>,
    /// Why nothing is switched by itself; `None` while it is.
    pub(super) halt: watch::Sender<Option<Halt>>,
    /// There is something to tell people.
    pub(super) outbox: Arc<Notify>,
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
    /// A halt and its message, as long as the store has not taken them.
    unwritten: Vec<Change>,
    /// Until when the subscription of an agent cannot serve it, as it was told.
    told: BTreeMap<AgentName, (SubscriptionName, Option<Wall>)>,
    /// Until when a subscription cannot serve anybody, as it was last told.
    told_of: BTreeMap<SubscriptionName, Option<Wall>>,
}

impl Actor for PoolActor {
    type Msg = PoolMsg;
    type State = Pool;
    type Arguments = PoolParts;

    async fn pre_start(&self, _: ActorRef<PoolMsg>, parts: PoolParts) -> Result<Pool, ActorProcessingErr> {
        let now = parts.clock.now().wall;
        // What has ended lately is let in one by one, as it would be without the restart.
        let record = parts.store.load_pool(now.minus(REOPENING_SINCE)).await?;
        let mut state = PoolState::new(parts.subscriptions.iter().cloned()).with_settings(parts.settings.clone());
        if let Some(at) = record.seen_until {
            state.apply(&Change::HaltLifted(at));
        }
        if let Some(halt) = record.halt {
            state.apply(&Change::Halted(halt));
        }
        for cooldown in record.cooldowns {
            state.apply(&Change::CooldownSet(cooldown));
        }
        for reading in record.readings {
            state.apply(&Change::ReadingTaken(reading));
        }
        for (subscription, at) in record.moves {
            state.note_move(&subscription, at);
        }
        state.forget_who_was_refused();
        state.expire(now);
        let _ended_before = state.take_ended();
        parts.halt.send_replace(state.halt().cloned());
        for (agent, subscription) in record.assignments {
            state.assign(agent, subscription);
        }
        for (agent, subscription) in record.reservations {
            state.promise(agent, subscription);
        }
        state.keep_agents(&parts.seats.iter().map(|seat| seat.agent.clone()).collect());
        // Who found nobody before this life is not known here: the first news is for everyone.
        let waiting = parts.seats.iter().map(|seat| seat.agent.clone()).collect();
        let seen = record.credentials;
        let mut pool = Pool {
            parts,
            state,
            waiting,
            seen,
            doubtful: BTreeSet::new(),
            catch_up_from: None,
            is_tick_armed: false,
            unwritten: Vec::new(),
            told: BTreeMap::new(),
            told_of: BTreeMap::new(),
        };
        // An earlier life of the pool may have told them something else.
        pool.tell_everyone();
        Ok(pool)
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
        // Whatever is asked is answered as of now.
        pool.expire();
        match message {
            PoolMsg::Reserve { selection, view, agent } => pool.reserve(selection, &view, &agent).await,
            PoolMsg::Release(agent) => pool.state.release(&agent),
            PoolMsg::CatchUp(agent) => {
                pool.state.release(&agent);
                // Its new life knows nothing of what it was told.
                pool.tell_again(&agent);
                pool.doubtful.insert(agent);
            }
            PoolMsg::Confirm { view, reply } => answer(reply, pool.state.confirm(&view, pool.now().wall)),
            PoolMsg::Committed(changes) => {
                pool.fold(&changes);
                pool.halt_if_need_be(None).await;
            }
            PoolMsg::Credential { subscription, state } => pool.note_credential(subscription, state).await,
            PoolMsg::Explain { view, reply } => answer(reply, evaluate(&view, &pool.state, pool.now().wall)),
            PoolMsg::Subscriptions(reply) => answer(reply, pool.statuses()),
            PoolMsg::SetCooldown { subscription, until, reply } => answer(reply, pool.set(subscription, until).await),
            PoolMsg::ClearCooldown { subscription, reply } => answer(reply, pool.clear(&subscription).await),
            PoolMsg::Read { reading, reply } => answer(reply, pool.read(reading).await),
            PoolMsg::Resume { reply } => answer(reply, pool.resume().await),
            PoolMsg::Configure { subscriptions, settings, reply } => {
                answer(reply, pool.configure(subscriptions, &settings));
            }
            PoolMsg::Seats(seats) => pool.seat(seats),
            PoolMsg::Tick => {
                pool.is_tick_armed = false;
                pool.write_halt().await;
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

    async fn reserve(&mut self, selection: u64, view: &AgentView, agent: &ActorRef<AgentMsg>) {
        self.halt_if_need_be(view.failing.as_ref().and_then(|(_, row)| row.as_ref())).await;
        let pick = self.state.pick(view, self.now().wall);
        match &pick {
            Pick::None { .. } | Pick::Halted { .. } => {
                self.waiting.insert(view.agent.clone());
            }
            Pick::Keep | Pick::To(_) | Pick::Shadowed { .. } | Pick::Unavailable => {}
        }
        if agent.cast(AgentMsg::Picked { selection, pick }).is_err() {
            self.state.release(&view.agent);
        }
    }

    /// Folds in what an agent committed, says what that means for subscriptions, and wakes who waits for it.
    fn fold(&mut self, changes: &[Change]) {
        let mut frees = false;
        for change in changes {
            // Said and taken back in one breath: nobody hears of it.
            if let Change::CooldownSet(cooldown) = change
                && changes.iter().any(|other| matches!(other, Change::CooldownLifted(key) if *key == cooldown.key))
            {
                continue;
            }
            let known = if let Change::CooldownSet(cooldown) = change {
                self.state.known_for_all(&cooldown.subscription, self.now().wall).cloned()
            } else {
                None
            };
            self.state.apply(change);
            match change {
                Change::CooldownSet(cooldown) => {
                    self.announce(cooldown, known.as_ref());
                    self.tell_news_of(&cooldown.subscription);
                }
                Change::Assigned { agent, assignment, .. } => {
                    self.tell(agent, &assignment.subscription);
                    frees = true;
                }
                Change::CooldownLifted(key) => {
                    self.announce_lifted(key);
                    frees = true;
                }
                Change::IntentClosed(_) => frees = true,
                Change::FailureRecorded(_)
                | Change::FailureCounted { .. }
                | Change::FailureJudged { .. }
                | Change::IntentOpened(_)
                | Change::IntentDelivered { .. }
                | Change::AgentSaved(..)
                | Change::Notified(_)
                | Change::CredentialSeen(..)
                | Change::LogRead(..)
                | Change::TurnBegun { .. }
                | Change::TurnChanged(_)
                | Change::TurnEnded { .. }
                | Change::ReadingTaken(_)
                | Change::Halted(_)
                | Change::HaltLifted(_)
                | Change::SessionSaved(..) => {}
            }
        }
        self.tell_who_agree();
        if self.state.take_opened() || frees {
            self.wake_waiting(None);
        }
    }

    /// Tells agents that another one says the same of a subscription as their text does.
    fn tell_who_agree(&mut self) {
        for Agreed { agent, subscription, kind } in self.state.take_agreed() {
            if let Ok(at) = self.parts.seats.binary_search_by(|seat| seat.agent.cmp(&agent)) {
                self.parts.seats[at].hint(Hints { agreed: vec![(subscription, kind)], ..Hints::default() });
            }
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

    /// An agent has taken back what it said of a login: nobody else has to do without it.
    fn announce_lifted(&mut self, key: &CooldownKey) {
        let Some(subscription) = &key.credential else { return };
        let agent = match &key.reach {
            Reach::All => None,
            Reach::Agent(agent) => Some(agent),
        };
        let reason = Some("what was said of its login is taken back");
        self.parts.telemetry.emit(events::SubscriptionAvailable { subscription, agent, reason });
        self.tell_those_on(subscription);
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
        let now = self.now().wall;
        let rows: Vec<Cooldown> = self.state.rows_about(subscription, now).cloned().collect();
        let keys: Vec<CooldownKey> = rows.iter().map(|row| row.key.clone()).collect();
        let mut changes: Vec<Change> = keys.iter().cloned().map(Change::CooldownLifted).collect();
        if rows.iter().any(|row| row.kind == FailureKind::Banned) {
            changes.push(Change::Notified(halting::ban_is_over(subscription, now)));
        }
        if !changes.is_empty() {
            self.commit(changes.clone()).await?;
            outbox::wake(&self.parts.outbox);
            for change in &changes {
                self.state.apply(change);
            }
            self.parts.telemetry.emit(events::SubscriptionAvailable {
                subscription,
                agent: None,
                reason: Some("lifted by an operator"),
            });
        }
        self.tell_those_on(subscription);
        self.wake_waiting(Some(subscription));
        Ok(keys.len())
    }

    /// Says of what has ended that it is over.
    fn expire(&mut self) {
        let now = self.now().wall;
        self.state.expire(now);
        let ended: BTreeSet<SubscriptionName> =
            self.state.take_ended().into_iter().map(|row| row.subscription).collect();
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
        let now = self.now().wall;
        let again = (!self.unwritten.is_empty()).then(|| now.plus(WRITE_AGAIN));
        let next = self.state.next_expiry().into_iter().chain(again).min();
        let Some(next) = next.filter(|_| !self.is_tick_armed) else { return };
        self.is_tick_armed = true;
        let wait = next.since(now).clamp(Duration::from_millis(10), TICK_MAX);
        let (clock, myself) = (Arc::clone(&self.parts.clock), myself.clone());
        tokio::spawn(async move {
            clock.sleep(wait).await;
            if myself.cast(PoolMsg::Tick).is_err() {
                tracing::debug!("tick for a pool that has ended");
            }
        });
    }
}
