//! What belongs to an agent and outlives any one life of its actor.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ractor::ActorRef;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::agent::AgentMsg;
use super::intake::{Admission, Hints, Intake, Waited};
use super::shapes::{Noted, Shapes};
use crate::classify::{Shape, Zone};
use crate::domain::{AgentName, Report, SourceId, Stamp, Steady, Tool};
use crate::machine::agent::{AgentState, Command, Reply, Ticket};
use crate::machine::policy::Policy;
use crate::machine::turns::TurnRequest;

/// The place of one agent: whoever acts for it sits here.
pub struct Seat {
    /// Its name.
    pub agent: AgentName,
    policy: RwLock<Arc<Policy>>,
    /// Its policy was another one before.
    was_reconfigured: AtomicBool,
    /// Its agent is none of ours any more, or becomes another one of the same name.
    is_retired: AtomicBool,
    intake: Mutex<Desk>,
    state: watch::Sender<Arc<AgentState>>,
    is_known: AtomicBool,
    effect: Mutex<Option<JoinHandle<()>>>,
    /// Why sources of its lines cannot be read.
    unread: Mutex<BTreeMap<SourceId, String>>,
    /// The time zone that its container keeps.
    zone: Mutex<Zone>,
    /// Wordings of its output that nobody knows.
    shapes: Mutex<Shapes>,
}

/// The intake, and where its wake token goes.
#[derive(Default)]
struct Desk {
    intake: Intake,
    actor: Option<ActorRef<AgentMsg>>,
}

impl Seat {
    /// An empty seat.
    #[must_use]
    pub fn new(agent: AgentName, policy: Arc<Policy>) -> Self {
        let (state, _) = watch::channel(Arc::new(AgentState::new(agent.clone())));
        Self {
            agent,
            policy: RwLock::new(policy),
            was_reconfigured: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            intake: Mutex::default(),
            state,
            is_known: AtomicBool::new(false),
            effect: Mutex::default(),
            unread: Mutex::default(),
            zone: Mutex::new(Zone::UTC),
            shapes: Mutex::default(),
        }
    }

    /// The state as it was last published, after its commit.
    #[must_use]
    pub fn state(&self) -> Arc<AgentState> {
        Arc::clone(&self.state.borrow())
    }

    /// Follows the published state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<AgentState>> {
        self.state.subscribe()
    }

    /// Whether anything is known of the agent yet: the store may not have been readable so far.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    pub(super) fn publish(&self, state: Arc<AgentState>) {
        self.state.send_replace(state);
        self.is_known.store(true, Ordering::Release);
    }

    /// What the user decided about it. Each look may find another one: whoever does several things by it keeps it.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What runs in the agent.
    #[must_use]
    pub fn tool(&self) -> Tool {
        self.policy().tool
    }

    /// Takes note of a policy that makes no difference; nobody is told.
    pub(super) fn note_policy(&self, policy: Arc<Policy>) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Gives the agent another policy; its actor is told.
    pub(super) fn configure(&self, policy: Arc<Policy>) {
        self.note_policy(policy);
        self.was_reconfigured.store(true, Ordering::Release);
        self.hint(Hints { reconfigured: true, ..Hints::default() });
    }

    /// Whether the policy was another one before.
    pub(super) fn was_reconfigured(&self) -> bool {
        self.was_reconfigured.load(Ordering::Acquire)
    }

    /// Nothing more is taken in; the actor ends once nothing is under way.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        self.close();
        self.wake();
    }

    /// Whether nobody is to sit here any more.
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Why the agent's log, or another source of its lines, cannot be read; `None` if all can, or there is none.
    #[must_use]
    pub fn log_trouble(&self) -> Option<String> {
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let said = unread.iter().map(|(source, why)| match source {
            SourceId::Container => why.clone(),
            SourceId::Files(_) | SourceId::Journal(_) | SourceId::Stdin => format!("{source}: {why}"),
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Takes note of why a source cannot be read; says whether that is news.
    pub(super) fn source_is_read(&self, source: &SourceId, trouble: Option<String>) -> bool {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = unread.get(source) != trouble.as_ref();
        match trouble {
            Some(trouble) => unread.insert(source.clone(), trouble),
            None => unread.remove(source),
        };
        is_news
    }

    /// Where clocks without a zone are read, in what the agent says: as its container has it, else UTC.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of the zone of its container, by its name.
    pub(super) fn keeps_zone(&self, name: Option<&str>) {
        let zone = name.and_then(Zone::named).unwrap_or(Zone::UTC);
        *self.zone.lock().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// Takes note of a wording that nobody knows, wherever its agent used it.
    pub(super) fn notes_shape(&self, shape: &Shape, now: Steady) -> Noted {
        self.shapes.lock().unwrap_or_else(PoisonError::into_inner).note(shape, now)
    }

    /// Takes a report in.
    pub fn post(&self, report: Report, digest: u64, stamp: Stamp, now: Steady) -> Admission {
        self.with(|intake| intake.post(report, digest, stamp, now))
    }

    /// Takes a command in; `None` if too many wait.
    pub fn order(&self, command: Command) -> Option<oneshot::Receiver<Option<Reply>>> {
        self.with(|intake| intake.order(command))
    }

    /// Takes a request about a turn in; `None` if too many wait.
    pub fn ask(&self, request: TurnRequest) -> Option<Waited> {
        self.with(|intake| intake.ask(request))
    }

    /// Whoever has this ticket has gone.
    pub fn withdraw(&self, ticket: Ticket) {
        self.with(|intake| ((), intake.withdraw(ticket)));
    }

    /// Takes a report in and, if it is taken, after it the end of the turn that it is about: no effect of the report can
    /// come between the two.
    pub fn post_and_ask(
        &self,
        report: Report,
        digest: u64,
        stamp: Stamp,
        now: Steady,
        request: TurnRequest,
    ) -> (Admission, Option<Waited>) {
        self.with(|intake| {
            let (admission, must_wake) = intake.post(report, digest, stamp, now);
            // What is not taken ends nothing.
            let (waited, must_wake_too) = match admission {
                Admission::Queued(_) | Admission::Coalesced { .. } | Admission::Settled(_) => intake.ask(request),
                Admission::Known | Admission::IdsNeeded | Admission::IdReused | Admission::Shed => (None, false),
            };
            ((admission, waited), must_wake || must_wake_too)
        })
    }

    /// Takes a hint in.
    pub fn hint(&self, hint: Hints) {
        self.with(|intake| ((), intake.hint(hint)));
    }

    /// Takes nothing in any more.
    pub fn close(&self) {
        self.desk(super::intake::Intake::close);
    }

    /// Does something with the intake that needs no wake token.
    pub fn desk<T>(&self, work: impl FnOnce(&mut Intake) -> T) -> T {
        work(&mut self.lock().intake)
    }

    /// A life of the actor begins: it gets the wake tokens from now on, and one to begin with.
    pub(super) fn attach(&self, actor: ActorRef<AgentMsg>) {
        let mut desk = self.lock();
        desk.intake.attach();
        cast_wake(&actor);
        desk.actor = Some(actor);
    }

    /// Whether a life of the actor has begun here before.
    pub(super) fn is_attached(&self) -> bool {
        self.lock().actor.is_some()
    }

    /// Casts a wake token if none is under way.
    pub(super) fn wake(&self) {
        self.with(|intake| ((), intake.wake()));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Intake) -> (T, bool)) -> T {
        let mut desk = self.lock();
        let (result, must_wake) = work(&mut desk.intake);
        if must_wake && let Some(actor) = &desk.actor {
            cast_wake(actor);
        }
        result
    }

    /// A panic elsewhere cannot leave the intake half-changed: its methods do not panic between two writes.
    fn lock(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_effect(&self, effect: JoinHandle<()>) {
        *self.effect.lock().unwrap_or_else(PoisonError::into_inner) = Some(effect);
    }

    /// The effect under way, which is kept here no longer. What a dead life of the actor left is waited for by the
    /// next one before it looks.
    pub(super) fn take_effect(&self) -> Option<JoinHandle<()>> {
        self.effect.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A dead actor takes no token; the next one gets its own when it attaches.
fn cast_wake(actor: &ActorRef<AgentMsg>) {
    if actor.cast(AgentMsg::Wake).is_err() {
        tracing::debug!("wake token for an actor that has ended");
    }
}
