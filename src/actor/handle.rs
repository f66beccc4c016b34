//! The way in: everything that the API, the command line and the watchers can ask for.
//!
//! Cheap to clone. It stamps a report at the door, waits for its answer, and never lets an `ActorRef` out. Reading a
//! status asks nobody: it looks at what was last published.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::intake::{Admission, Answered, Hints, IDS_FOR, IDS_MAX, Intake, Waited};
use super::leases::Leases;
use super::overheard::Overheard;
use super::pool::{PoolHandle, PoolMsg};
use super::seat::Seat;
use crate::classify::Classifier;
use crate::domain::{
    AgentName, Answer, CauseBy, ContainerProblem, Generation, Halt, IntentId, IntentRecord, Moment, Outcome, Reading,
    Report, ReportId, RuntimeState, SubscriptionName, TurnClass, TurnId, Wall,
};
use crate::machine::agent::{AgentState, Command, Phase, Refusal, Reply};
use crate::machine::attribution::{self, StampError};
use crate::machine::policy::{Policy, RuntimeKind};
use crate::machine::pool::{AgentView, Ranking, Wanted};
use crate::machine::turns::TurnRequest;
use crate::ports::clock::Clock;
use crate::ports::notifier::Notifier;
use crate::ports::store::{Store, StoreError};
use crate::telemetry::{Snapshot, SubscriptionSnapshot, Telemetry};

pub use super::pool::{PoolUnavailable, SubscriptionStatus};

/// The longest that a report waits to be handled. A decision takes a commit; more is a fault.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How soon a reporter that was shed may try again.
pub const SHED_RETRY: Duration = Duration::from_secs(1);

/// Everything that can be asked of the running daemon.
#[derive(Clone)]
pub struct Switchman(pub(super) Arc<Shared>);

pub(super) struct Shared {
    /// They come and go with the config; whoever looks at several keeps what it has.
    pub(super) seats: RwLock<Arc<Seats>>,
    pub(super) pool: PoolHandle,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) telemetry: Telemetry,
    /// How the holders of turns prove themselves.
    pub(super) leases: Leases,
    /// Why the engine cannot be reached; `None` while it can, or where none is needed.
    pub(super) engine: watch::Sender<Option<String>>,
    /// Why nothing is switched by itself; `None` while it is.
    pub(super) halt: watch::Sender<Option<Halt>>,
    /// Why what runs is not what the config file says; `None` while it is.
    pub(super) config: watch::Sender<Option<String>>,
    /// Whom to tell.
    pub(super) notifiers: RwLock<Vec<Arc<dyn Notifier>>>,
    /// How failures are recognised.
    pub(super) classifier: RwLock<Arc<Classifier>>,
    /// What is wrong with containers that would be agents.
    pub(super) containers: watch::Sender<Arc<[ContainerProblem]>>,
    /// What agents' output says of windows.
    pub(super) overheard: Overheard,
}

/// The agents that there are.
#[derive(Default)]
pub(super) struct Seats {
    pub(super) all: BTreeMap<AgentName, Arc<Seat>>,
    /// Those of agents that are processes of ours.
    processes: Vec<Arc<Seat>>,
}

impl Seats {
    /// These agents.
    pub(super) fn new(all: BTreeMap<AgentName, Arc<Seat>>) -> Self {
        let processes = all.values().filter(|seat| seat.policy().runtime == RuntimeKind::Process).cloned().collect();
        Self { all, processes }
    }
}

impl Shared {
    pub(super) fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn seat(&self, agent: &str) -> Option<Arc<Seat>> {
        self.seats().all.get(agent).cloned()
    }

    /// Whom to tell.
    pub(super) fn notifiers(&self) -> Vec<Arc<dyn Notifier>> {
        self.notifiers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these are told.
    pub(super) fn set_notifiers(&self, notifiers: Vec<Arc<dyn Notifier>>) {
        *self.notifiers.write().unwrap_or_else(PoisonError::into_inner) = notifiers;
    }

    /// From now on these are the agents that there are.
    pub(super) fn set_seats(&self, all: BTreeMap<AgentName, Arc<Seat>>) {
        *self.seats.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Seats::new(all));
    }
}

/// Why a report was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The config has no such agent.
    #[error("no agent named \"{0}\"")]
    NoSuchAgent(String),
    /// It is about something that never was.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// It names a turn and another generation than that ran in.
    #[error("turn {turn} ran in generation {ran_in}, not in {given}")]
    TurnMismatch {
        /// The turn.
        turn: TurnId,
        /// Where it ran.
        ran_in: Generation,
        /// What the report says.
        given: Generation,
    },
    /// Its id was used before, for another body.
    #[error("the id \"{0}\" was used before with another body")]
    IdReused(ReportId),
    /// Too many reports wait.
    #[error("too many reports of this agent wait to be handled")]
    Shed,
    /// It could not be written down, and nothing was done.
    #[error("the report could not be recorded")]
    NotRecorded,
    /// The first answer to its id could not be read.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The config has no such agent.
    #[error("no agent named \"{0}\"")]
    NoSuchAgent(String),
    /// The machine refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many commands wait.
    #[error("too many commands of this agent wait")]
    Busy,
    /// It could not be written down, and nothing was done.
    #[error("the command could not be recorded")]
    NotRecorded,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commanded {
    /// It is done.
    Done,
    /// A switch has begun.
    Switching(IntentId),
}

/// An agent as it stands.
#[derive(Debug, Clone)]
pub struct AgentStatus {
    /// Its state, as last committed.
    pub state: Arc<AgentState>,
    /// What the user decided about it.
    pub policy: Arc<Policy>,
    /// Why its log cannot be read.
    pub log_trouble: Option<String>,
    /// Why nothing is switched by itself, for anybody.
    pub halt: Option<Halt>,
    /// The moment of the question.
    pub now: Moment,
}

/// Whether the daemon does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is missing although the daemon runs: an engine, for example.
    pub degraded: Vec<String>,
}

impl Switchman {
    /// Every agent, by name.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentStatus> {
        self.0.seats().all.values().map(|seat| self.status(seat)).collect()
    }

    /// One agent.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<AgentStatus> {
        self.0.seat(name).map(|seat| self.status(&seat))
    }

    fn status(&self, seat: &Seat) -> AgentStatus {
        AgentStatus {
            state: seat.state(),
            policy: seat.policy(),
            log_trouble: seat.log_trouble(),
            halt: self.halt(),
            now: self.0.clock.now(),
        }
    }

    /// The process agent that the asked-for process group belongs to. Nobody is asked where no agent is a process.
    #[must_use]
    pub fn agent_of_group(&self, group: impl FnOnce() -> Option<i32>) -> Option<AgentName> {
        let seats = self.0.seats();
        let processes = &seats.processes;
        let group = if processes.is_empty() { None } else { group() }?;
        let leads = |seat: &&Arc<Seat>| {
            let state = seat.state();
            let instance = state.sighting.as_ref().and_then(|seen| seen.instance.as_ref());
            instance.is_some_and(|instance| instance.id.parse() == Ok(group))
        };
        processes.iter().find(leads).map(|seat| seat.agent.clone())
    }

    /// The moment, for whoever needs to compute with it.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.clock.now()
    }

    /// The clock that everything waits by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.0.clock)
    }

    /// How failures are recognised, as of now.
    #[must_use]
    pub fn classifier(&self) -> Arc<Classifier> {
        Arc::clone(&self.0.classifier.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on failures are recognised like this.
    pub fn recognise_with(&self, classifier: Arc<Classifier>) {
        *self.0.classifier.write().unwrap_or_else(PoisonError::into_inner) = classifier;
    }

    /// The counters and the log.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// The history.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// Takes a report and waits for its answer, which comes after it was written down. `digest` identifies the body,
    /// for reports with an id.
    ///
    /// # Errors
    /// If it cannot be taken; nothing was recorded or moved then, unless the store's answer was lost.
    pub async fn report(&self, agent: &str, report: Report, digest: u64) -> Result<Answer, ReportError> {
        let seat = self.0.seat(agent).ok_or_else(|| ReportError::NoSuchAgent(agent.to_owned()))?;
        self.post(&seat, report, digest, None).await.map(|(answer, _)| answer)
    }

    /// The same, together with the end of the turn that it is about.
    pub(super) async fn report_and_ask(
        &self,
        seat: &Arc<Seat>,
        report: Report,
        digest: u64,
        request: TurnRequest,
    ) -> Result<(Answer, Option<Waited>), ReportError> {
        self.post(seat, report, digest, Some(request)).await
    }

    async fn post(
        &self,
        seat: &Arc<Seat>,
        report: Report,
        digest: u64,
        request: Option<TurnRequest>,
    ) -> Result<(Answer, Option<Waited>), ReportError> {
        let (kind, id, now) = (report.kind, report.id.clone(), self.0.clock.now());
        let stamp = attribution::stamp(&report, &seat.state(), &seat.policy(), now.wall)?;
        if id.is_some() && !seat.desk(|intake| intake.has_ids()) {
            self.load_ids(seat, now.wall).await?;
        }
        let reused = || ReportError::IdReused(id.clone().unwrap_or_else(|| ReportId::from("")));
        // Only a report with an id can be known already, and only such a one is kept for another try.
        let again = id.as_ref().map(|_| (report.clone(), stamp.clone()));
        let post = |report, stamp| match request.clone() {
            None => (seat.post(report, digest, stamp, now.steady), None),
            Some(request) => seat.post_and_ask(report, digest, stamp, now.steady, request),
        };
        let (mut admission, mut waited) = post(report, stamp);
        if let (Admission::Known, Some(id), Some((report, stamp))) = (&admission, &id, again) {
            if let Some(stored) = self.0.store.answer(&seat.agent, id).await? {
                if stored.digest != digest {
                    return Err(reused());
                }
                return Ok((
                    Answer { duplicate: true, ..stored.answer },
                    request.and_then(|request| seat.ask(request)),
                ));
            }
            // The store has forgotten the answer, by its age or by the number of them: the id is free again.
            seat.desk(|intake| intake.forget_id(id));
            (admission, waited) = post(report, stamp);
        }
        let answer = match admission {
            Admission::Queued(answer) => settled(answer).await,
            Admission::Coalesced { answer, is_duplicate } => {
                let mut answer = settled(answer).await?;
                answer.duplicate = is_duplicate;
                if !is_duplicate {
                    answer.outcome = answer.outcome.for_repeat();
                }
                Ok(answer)
            }
            Admission::Settled(answer) => {
                self.0.telemetry.metrics().failures_counted(kind, answer.outcome, 1);
                Ok(*answer)
            }
            Admission::IdReused => Err(reused()),
            // The ids were loaded above; only a close in between can lose them. Known again is only what somebody else
            // has just sent as well.
            Admission::IdsNeeded | Admission::Known => Err(ReportError::NotRecorded),
            Admission::Shed => {
                self.0.telemetry.report_shed(&seat.agent, kind, now);
                Err(ReportError::Shed)
            }
        }?;
        Ok((answer, waited))
    }

    async fn load_ids(&self, seat: &Seat, now: Wall) -> Result<(), StoreError> {
        let most = u32::try_from(IDS_MAX).unwrap_or(u32::MAX);
        let ids = self.0.store.report_ids(&seat.agent, now.minus(IDS_FOR), most).await?;
        seat.desk(|intake| intake.install_ids(&ids, now));
        Ok(())
    }

    /// Waits until an intent has ended, at most `timeout`; `None` if it has not.
    pub async fn ended(&self, agent: &str, id: &IntentId, timeout: Duration) -> Option<IntentRecord> {
        let seat = self.0.seat(agent)?;
        let mut states = seat.watch();
        let is_open = |state: &AgentState| state.phase.intent().is_some_and(|intent| &intent.id == id);
        let ended = states.wait_for(|state| !is_open(state));
        let waited = tokio::select! {
            state = ended => state.ok().map(|state| Arc::clone(&state)),
            () = self.0.clock.sleep(timeout) => None,
        }?;
        match waited.last.clone().filter(|last| &last.intent.id == id) {
            Some(last) => Some(last),
            // Another one followed at once: this one is in the history.
            None => self.0.store.intent(id).await.ok().flatten().filter(|record| record.end.is_some()),
        }
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    /// If it is refused, or could not be written down.
    pub async fn command(&self, agent: &str, command: Command) -> Result<Commanded, CommandError> {
        let seat = self.0.seat(agent).ok_or_else(|| CommandError::NoSuchAgent(agent.to_owned()))?;
        let reply = seat.order(command).ok_or(CommandError::Busy)?;
        let reply = tokio::time::timeout(ANSWER_TIMEOUT, reply).await;
        match reply {
            Ok(Ok(Some(Reply::Done))) => Ok(Commanded::Done),
            Ok(Ok(Some(Reply::Switching(id)))) => Ok(Commanded::Switching(id)),
            Ok(Ok(Some(Reply::Refused(refusal)))) => Err(refusal.into()),
            Ok(Ok(Some(Reply::Report(_) | Reply::Turn(_)) | None) | Err(_)) | Err(_) => Err(CommandError::NotRecorded),
        }
    }

    /// The verdict on every subscription for an agent, and the view it was made from; nothing is marked. `by` is who
    /// would ask: what stands in the way of a failure's switch need not stand in that of an operator's.
    ///
    /// # Errors
    /// If the pool does not answer.
    pub async fn explain(&self, agent: &AgentStatus, wanted: Wanted, by: CauseBy) -> Result<Ranking, PoolUnavailable> {
        let state = &agent.state;
        let view = AgentView {
            agent: state.name.clone(),
            allowed: agent.policy.subscriptions.clone(),
            models: agent.policy.models.clone(),
            current: state.subscription().cloned(),
            failing: None,
            exclusions: state.exclusions.clone(),
            wanted,
            by,
        };
        self.0.pool.ask(|reply| PoolMsg::Explain { view: Box::new(view), reply }).await
    }

    /// Every subscription as it stands.
    ///
    /// # Errors
    /// If the pool does not answer.
    pub async fn subscriptions(&self) -> Result<Vec<SubscriptionStatus>, PoolUnavailable> {
        self.0.pool.ask(PoolMsg::Subscriptions).await
    }

    /// An operator's cooldown of a subscription.
    ///
    /// # Errors
    /// If it could not be written down, or the pool does not answer.
    pub async fn set_cooldown(&self, subscription: SubscriptionName, until: Wall) -> Result<(), CooldownError> {
        Ok(self.0.pool.ask(|reply| PoolMsg::SetCooldown { subscription, until, reply }).await??)
    }

    /// Lifts every cooldown of a subscription; says how many there were.
    ///
    /// # Errors
    /// If it could not be written down, or the pool does not answer.
    pub async fn clear_cooldown(&self, subscription: SubscriptionName) -> Result<usize, CooldownError> {
        Ok(self.0.pool.ask(|reply| PoolMsg::ClearCooldown { subscription, reply }).await??)
    }

    /// Takes in what somebody read of a window.
    ///
    /// # Errors
    /// If it could not be written down, or the pool does not answer.
    pub async fn read(&self, reading: Reading) -> Result<(), CooldownError> {
        Ok(self.0.pool.ask(|reply| PoolMsg::Read { reading, reply }).await??)
    }

    /// Lets automatic switching go on after a halt; says whether it was halted.
    ///
    /// # Errors
    /// If it could not be written down, or the pool does not answer.
    pub async fn lift_halt(&self) -> Result<bool, CooldownError> {
        Ok(self.0.pool.ask(|reply| PoolMsg::Resume { reply }).await??)
    }

    /// Why nothing is switched by itself; `None` while it is.
    #[must_use]
    pub fn halt(&self) -> Option<Halt> {
        self.0.halt.borrow().clone()
    }

    /// Hints that an agent's container or process has changed.
    pub fn runtime_changed(&self, agent: &AgentName) {
        if let Some(seat) = self.0.seat(agent.as_str()) {
            seat.hint(Hints { runtime_changed: true, ..Hints::default() });
        }
    }

    /// Takes note of why what runs is not what the config file says; `None` if it is.
    pub fn config_differs(&self, why: Option<String>) {
        self.0.config.send_replace(why);
    }

    /// Takes note of what is wrong with containers that would be agents, in place of what was.
    pub fn containers_differ(&self, problems: Arc<[ContainerProblem]>) {
        self.0.containers.send_replace(problems);
    }

    /// What is wrong with containers that would be agents.
    #[must_use]
    pub fn container_problems(&self) -> Arc<[ContainerProblem]> {
        Arc::clone(&self.0.containers.borrow())
    }

    /// Whether the daemon does its work.
    #[must_use]
    pub fn health(&self) -> Health {
        let (engine, config) = (self.0.engine.borrow().clone(), self.0.config.borrow().clone());
        let engine = engine.map(|why| format!("engine: {why}"));
        let halt = self.halt().map(|halt| format!("switching is halted: {halt}"));
        let config = config.map(|why| format!("config: {why}"));
        Health { degraded: engine.into_iter().chain(halt).chain(config).collect() }
    }

    /// What the gauges show, gathered now.
    ///
    /// # Errors
    /// If the pool does not answer.
    pub async fn snapshot(&self) -> Result<Snapshot, PoolUnavailable> {
        let now = self.0.clock.now().wall;
        let states: Vec<_> = self.0.seats().all.values().map(|seat| seat.state()).collect();
        let mut agents = Phase::WORDS.map(|phase| (phase, 0)).to_vec();
        for state in &states {
            if let Some((_, count)) = agents.iter_mut().find(|(phase, _)| *phase == state.phase.as_str()) {
                *count += 1;
            }
        }
        let of_class = |class| states.iter().map(|state| state.turns.count(class) as u64).sum();
        let turns = TurnClass::ALL.iter().map(|class| (*class, of_class(*class))).collect();
        let subscriptions = self.subscriptions().await?.into_iter().map(|status| SubscriptionSnapshot {
            name: status.policy.name.clone(),
            is_cooling: status.cooldown.is_some(),
            reset_in: status.cooldown.as_ref().and_then(|row| row.until).map(|until| until.since(now)),
            agents: u64::try_from(status.agents.len()).unwrap_or(u64::MAX),
            utilisation: status.used().into_iter().collect(),
        });
        let is_halted = self.halt().is_some();
        Ok(Snapshot { agents, subscriptions: subscriptions.collect(), turns, is_halted })
    }

    /// Takes no report and no command any more; what waits is still served.
    pub(super) fn close(&self) {
        for seat in self.0.seats().all.values() {
            seat.desk(Intake::close);
        }
    }

    /// Waits until no intent is open.
    pub(super) async fn quiet(&self) {
        for seat in self.0.seats().all.values() {
            // The sender lives in the seat, which lives in us: it cannot be gone.
            let _ = seat.watch().wait_for(|state| !state.phase.is_switching() || state.phase.is_draining_turns()).await;
        }
    }
}

/// Why an operator's cooldown was not set or lifted.
#[derive(Debug, thiserror::Error)]
pub enum CooldownError {
    /// The pool does not answer.
    #[error(transparent)]
    Pool(#[from] PoolUnavailable),
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AgentStatus {
    /// Whether the agent's container or process runs, as last seen.
    #[must_use]
    pub fn runtime_state(&self) -> RuntimeState {
        self.state.sighting.as_ref().map_or(RuntimeState::Unknown, |seen| seen.state)
    }
}

async fn settled(mut answer: watch::Receiver<Answered>) -> Result<Answer, ReportError> {
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, answer.wait_for(Option::is_some)).await;
    match answered {
        Ok(Ok(answered)) => match &*answered {
            Some(Ok(answer)) if answer.outcome == Outcome::Shed => Err(ReportError::Shed),
            Some(Ok(answer)) => Ok(answer.clone()),
            Some(Err(_)) | None => Err(ReportError::NotRecorded),
        },
        Ok(Err(_)) | Err(_) => Err(ReportError::NotRecorded),
    }
}
