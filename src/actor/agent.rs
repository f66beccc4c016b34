//! The owner of one agent: folds what comes in through the machine, commits, then lets the world know.
//!
//! One turn of the handler:
//!
//! 1. take what waits (a bounded number), fold it through `transition`;
//! 2. if the pool was asked, stop there: nothing is committed until it has answered;
//! 3. one commit with a deadline, the only await;
//! 4. publish the state, answer the callers, write the log, start the effect, arm the one sleep.
//!
//! If the commit fails nothing was decided: callers are told so, what was in memory is dropped, and the state is read
//! back from the store. An effect that is under way then is waited for before anything new is done.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::announce;
use super::effects::World;
use super::intake::{Batch, FLUSH_AFTER, NotRecorded, Posted};
use super::pool::{PoolHandle, PoolMsg};
use super::seat::Seat;
use crate::domain::{Change, Due, Moment};
use crate::machine::agent::{
    Action, AgentState, Effect, EffectOutcome, Event, Phase, Pick, Reply, Ticket, Verdict, transition,
};
use crate::machine::invariant;
use crate::ports::clock::Clock;
use crate::ports::store::Store;
use crate::telemetry::{Telemetry, events};

/// Reports that are folded in one turn, at most.
const FOLD_MAX: usize = 64;

/// How long a commit may take before its outcome counts as unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the pool may take to answer.
const PICK_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest sleep: the clock may be set, the machine suspended (F6).
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// How soon a store that failed is asked again.
const RELOAD_AFTER: Duration = Duration::from_secs(1);

/// What an agent's mailbox carries: wake tokens, and answers to what it asked for itself.
pub(super) enum AgentMsg {
    /// Something waits in the intake.
    Wake,
    /// Effects of an earlier life have ended: begin.
    Begin { life: u64 },
    /// The pool has answered.
    Picked { selection: u64, pick: Pick },
    /// An effect has ended.
    Outcome { life: u64, attempt: u32, outcome: EffectOutcome },
    /// The sleep is over.
    Tick { sleep: u64 },
}

/// What an agent's actor is made of.
#[derive(Clone)]
pub(super) struct AgentParts {
    pub(super) seat: Arc<Seat>,
    pub(super) pool: PoolHandle,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) world: Arc<World>,
    pub(super) telemetry: Telemetry,
    pub(super) outbox: Arc<tokio::sync::Notify>,
}

/// The actor of one agent.
pub(super) struct AgentActor;

/// Who waits for an answer.
enum Caller {
    Reporter(Posted),
    Operator(oneshot::Sender<Option<Reply>>),
}

/// One life of the actor.
pub(super) struct Life {
    parts: AgentParts,
    /// `None` while the store cannot be read: nothing is known, so nothing is decided.
    state: Option<AgentState>,
    /// Number of the life: outcomes of effects of an earlier one are not this one's.
    number: u64,
    /// Whether `Began` was folded in: until then an effect of an earlier life may be under way.
    has_begun: bool,
    callers: HashMap<Ticket, Caller>,
    /// Events that are not folded yet: while the pool is asked, everything but its answer waits.
    queue: VecDeque<Event>,
    /// A wake token came while the pool was asked: the intake is seen to after the pick.
    owes_take: bool,
    /// Rows of the decision in the making, written when the pool has answered.
    changes: Vec<Change>,
    replies: Vec<(Ticket, Reply)>,
    acts: Vec<(u32, Action)>,
    /// The state before the decision in the making.
    before: Option<Box<AgentState>>,
    asked_at: Option<Moment>,
    flush_at: Option<Due>,
    reload_at: Option<Due>,
    sleep: Option<Sleep>,
    sleeps: u64,
}

struct Sleep {
    number: u64,
    due: Due,
    task: tokio::task::JoinHandle<()>,
}

impl Actor for AgentActor {
    type Msg = AgentMsg;
    type State = Life;
    type Arguments = AgentParts;

    async fn pre_start(&self, _: ActorRef<AgentMsg>, parts: AgentParts) -> Result<Life, ActorProcessingErr> {
        let mut life = Life {
            parts,
            state: None,
            number: 0,
            has_begun: false,
            callers: HashMap::new(),
            queue: VecDeque::new(),
            owes_take: false,
            changes: Vec::new(),
            replies: Vec::new(),
            acts: Vec::new(),
            before: None,
            asked_at: None,
            flush_at: None,
            reload_at: None,
            sleep: None,
            sleeps: 0,
        };
        life.load().await;
        Ok(life)
    }

    async fn post_start(&self, myself: ActorRef<AgentMsg>, life: &mut Life) -> Result<(), ActorProcessingErr> {
        life.parts.seat.attach(myself.clone());
        life.begin_when_free(&myself);
        life.arm(&myself);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<AgentMsg>,
        message: AgentMsg,
        life: &mut Life,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            AgentMsg::Wake => life.take(),
            AgentMsg::Begin { life: number } if number == life.number => {
                life.has_begun = true;
                life.queue.push_back(Event::Began);
                // What came in before is judged after the first look was ordered.
                life.take();
            }
            // The answer that everything waits for goes before everything.
            AgentMsg::Picked { selection, pick } => life.queue.push_front(Event::Picked { selection, pick }),
            AgentMsg::Outcome { life: number, attempt, outcome } if number == life.number => {
                life.queue.push_back(Event::Outcome { attempt, outcome });
            }
            AgentMsg::Begin { .. } | AgentMsg::Outcome { .. } => {
                life.parts.telemetry.metrics().transition_ignored("earlier_life");
            }
            AgentMsg::Tick { sleep } => life.tick(sleep, &myself).await,
        }
        life.turn(&myself).await;
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<AgentMsg>, life: &mut Life) -> Result<(), ActorProcessingErr> {
        let counts = life.parts.seat.desk(super::intake::Intake::counts);
        let changes: Vec<Change> = counts.into_iter().map(|(id, count)| Change::FailureCounted { id, count }).collect();
        if !changes.is_empty() {
            life.parts.store.commit(changes).await?;
        }
        Ok(())
    }
}

impl Drop for Life {
    /// Whoever waits is told, however the life ends.
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            sleep.task.abort();
        }
        self.fail_callers();
    }
}

impl Life {
    fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// Reads the state from the store; without one, nothing is decided and everything refused.
    async fn load(&mut self) {
        let (seat, now) = (Arc::clone(&self.parts.seat), self.now());
        let loaded = tokio::time::timeout(COMMIT_TIMEOUT, self.parts.store.load_agent(&seat.agent)).await;
        self.number += 1;
        self.has_begun = false;
        self.state = match loaded {
            Ok(Ok(Some(record))) => Some(AgentState::restore(seat.agent.clone(), record, now, &seat.policy)),
            Ok(Ok(None)) => Some(AgentState::new(seat.agent.clone())),
            Ok(Err(error)) => {
                let disposition = error.disposition();
                self.store_failed("load", disposition, &error.to_string());
                None
            }
            Err(_) => {
                self.store_failed("load", crate::domain::Disposition::Transient, "no answer in time");
                None
            }
        };
        self.reload_at = self.state.is_none().then(|| now.due_after(RELOAD_AFTER));
        if let Some(state) = &self.state {
            if let Some(intent) = state.phase.intent() {
                self.parts.telemetry.emit(events::SwitchRecovered {
                    agent: &seat.agent,
                    switch: &intent.id,
                    plan: intent.plan,
                    from: intent.from.as_ref(),
                    to: &intent.to,
                    generation: intent.generation,
                    reason: Some(if matches!(state.phase, Phase::Applying(_)) { "delivered" } else { "not delivered" }),
                });
            }
            seat.publish(state.clone());
        }
    }

    /// An effect of an earlier life may still be doing something to the agent: its end comes first.
    fn begin_when_free(&self, myself: &ActorRef<AgentMsg>) {
        if self.state.is_none() {
            return;
        }
        let (under_way, myself, life) = (self.parts.seat.take_effect(), myself.clone(), self.number);
        let begin = move || {
            if myself.cast(AgentMsg::Begin { life }).is_err() {
                tracing::debug!("an agent ended before it began");
            }
        };
        match under_way.filter(|effect| !effect.is_finished()) {
            None => begin(),
            Some(effect) => {
                tokio::spawn(async move {
                    if effect.await.is_err() {
                        tracing::debug!("an effect of an earlier life has failed");
                    }
                    begin();
                });
            }
        }
    }

    /// Takes what waits in the intake, unless the pool's answer is waited for or nothing was begun yet: then the
    /// intake holds it, bounded.
    fn take(&mut self) {
        self.owes_take = self.is_selecting() || (self.state.is_some() && !self.has_begun);
        if self.owes_take {
            return;
        }
        let Batch { commands, reports, hints, has_more } = self.parts.seat.desk(|intake| intake.take(FOLD_MAX));
        if has_more {
            self.parts.seat.wake();
        }
        for ordered in commands {
            self.callers.insert(ordered.ticket, Caller::Operator(ordered.reply));
            self.queue.push_back(Event::Operator { ticket: ordered.ticket, command: ordered.command });
        }
        for posted in reports {
            let event = Event::Report {
                ticket: posted.ticket,
                report: posted.report.clone(),
                digest: posted.digest,
                stamp: posted.stamp.clone(),
                count: posted.count,
            };
            self.callers.insert(posted.ticket, Caller::Reporter(posted));
            self.queue.push_back(event);
        }
        if hints.pool_changed {
            self.queue.push_back(Event::PoolChanged { lifted: hints.lifted });
        }
        if hints.runtime_changed {
            self.queue.push_back(Event::RuntimeChanged);
        }
        if self.flush_at.is_none() && self.parts.seat.desk(|intake| intake.has_counts()) {
            self.flush_at = Some(self.now().due_after(FLUSH_AFTER));
        }
    }

    async fn tick(&mut self, sleep: u64, myself: &ActorRef<AgentMsg>) {
        if self.sleep.as_ref().is_some_and(|armed| armed.number == sleep) {
            self.sleep = None;
        }
        let now = self.now();
        if self.reload_at.is_some_and(|due| due.is_past(now)) {
            self.load().await;
            self.begin_when_free(myself);
        }
        if self.flush_at.is_some_and(|due| due.is_past(now)) {
            self.flush_at = None;
            let counts = self.parts.seat.desk(super::intake::Intake::counts);
            self.queue.extend(counts.into_iter().map(|(failure, count)| Event::Counted { failure, count }));
        }
        if self.asked_at.is_some_and(|at| at.due_after(PICK_TIMEOUT).is_past(now)) {
            let selection = self.state.as_ref().map_or(0, |state| state.selection);
            self.queue.push_front(Event::Picked { selection, pick: Pick::Unavailable });
        }
        if self.state.as_ref().is_some_and(|state| state.timers.next(now).is_some_and(|next| next.is_zero())) {
            self.queue.push_back(Event::Tick);
        }
    }

    /// One turn: fold, commit, tell, act.
    async fn turn(&mut self, myself: &ActorRef<AgentMsg>) {
        if self.state.is_none() {
            // Nothing is known, so nothing can be recorded: everyone who asked is told at once.
            self.queue.clear();
            self.fail_callers();
            return self.arm(myself);
        }
        while let Some(event) = self.next_event() {
            self.fold(event, myself);
            self.asked_at = self.is_selecting().then(|| self.asked_at.unwrap_or_else(|| self.now()));
        }
        if !self.is_selecting() {
            self.settle(myself).await;
            if std::mem::take(&mut self.owes_take) && myself.cast(AgentMsg::Wake).is_err() {
                tracing::debug!("an agent ended with its intake unseen");
            }
        }
        self.arm(myself);
    }

    fn next_event(&mut self) -> Option<Event> {
        let is_pick = |event: &Event| matches!(event, Event::Picked { .. });
        if self.is_selecting() && !self.queue.front().is_some_and(is_pick) {
            return None;
        }
        self.queue.pop_front()
    }

    fn is_selecting(&self) -> bool {
        matches!(self.state.as_ref().map(|state| &state.phase), Some(Phase::Selecting(_)))
    }

    fn fold(&mut self, event: Event, myself: &ActorRef<AgentMsg>) {
        let (Some(state), now) = (self.state.take(), self.now()) else { return };
        if self.before.is_none() {
            self.before = Some(Box::new(state.clone()));
        }
        let step = transition(state, event, now, &self.parts.seat.policy);
        if let Verdict::Ignored(reason) = step.verdict {
            self.parts.telemetry.metrics().transition_ignored(reason.as_str());
        }
        self.changes.extend(step.changes);
        self.replies.extend(step.replies);
        self.state = Some(step.state);
        for effect in step.effects {
            match effect {
                Effect::Reserve { selection, view } => {
                    let told = self.parts.pool.tell(PoolMsg::Reserve { selection, view, agent: myself.clone() });
                    if !told && myself.cast(AgentMsg::Picked { selection, pick: Pick::Unavailable }).is_err() {
                        tracing::debug!("an agent ended while it was selecting");
                    }
                }
                Effect::Release => {
                    if !self.parts.pool.tell(PoolMsg::Release(self.parts.seat.agent.clone())) {
                        tracing::debug!("a mark in a pool that has ended");
                    }
                }
                Effect::Act { attempt, action } => self.acts.push((attempt, action)),
            }
        }
    }

    /// Writes the decision down, then lets it have its consequences.
    async fn settle(&mut self, myself: &ActorRef<AgentMsg>) {
        let changes = std::mem::take(&mut self.changes);
        let Some(before) = self.before.take() else { return };
        if !changes.is_empty() {
            let commit = self.parts.store.commit(changes.clone());
            let failed = match tokio::time::timeout(COMMIT_TIMEOUT, commit).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((error.disposition(), error.to_string())),
                Err(_) => Some((crate::domain::Disposition::InDoubt, "no answer in time".to_owned())),
            };
            if let Some((disposition, reason)) = failed {
                self.store_failed("commit", disposition, &reason);
                return self.start_over(myself).await;
            }
        }
        let Some(state) = &self.state else { return };
        for invariant in invariant::broken(state, &self.parts.seat.policy) {
            self.parts.telemetry.metrics().invariant_violated(invariant.id());
            debug_assert!(false, "{} broken: {state:#?}", invariant.id());
        }
        announce::say(&self.parts.telemetry, &before, state, &changes);
        let answers_differ = announce::answers_differ(&before, state);
        if *before != *state {
            self.parts.seat.publish(state.clone());
        }
        self.tell_pool(&changes);
        if changes.iter().any(|change| matches!(change, Change::Notified(_))) {
            self.parts.outbox.notify_waiters();
            self.parts.outbox.notify_one();
        }
        if answers_differ {
            self.unsettle();
        }
        self.reply();
        self.act(myself);
    }

    fn tell_pool(&self, changes: &[Change]) {
        let relevant: Vec<Change> = changes
            .iter()
            .filter(|change| {
                matches!(
                    change,
                    Change::CooldownSet(_)
                        | Change::CooldownLifted(_)
                        | Change::Assigned { .. }
                        | Change::IntentOpened(_)
                        | Change::IntentClosed(_)
                )
            })
            .cloned()
            .collect();
        if !relevant.is_empty() && !self.parts.pool.tell(PoolMsg::Committed(relevant)) {
            // A new life of the pool reads these rows from the store.
            tracing::debug!("committed rows for a pool that has ended");
        }
    }

    /// What was answered before no longer serves repeats; what was counted is written down with the next commit.
    fn unsettle(&mut self) {
        let counts = self.parts.seat.desk(super::intake::Intake::unsettle);
        self.queue.extend(counts.into_iter().map(|(failure, count)| Event::Counted { failure, count }));
        if !self.queue.is_empty() && self.flush_at.is_none() {
            self.flush_at = Some(self.now().due_after(FLUSH_AFTER));
        }
    }

    fn reply(&mut self) {
        let now = self.now();
        for (ticket, reply) in std::mem::take(&mut self.replies) {
            match (self.callers.remove(&ticket), reply) {
                (Some(Caller::Reporter(posted)), Reply::Report(answer)) => {
                    self.parts.seat.desk(|intake| intake.answer(posted, Ok(*answer), now.steady, now.wall));
                }
                (Some(Caller::Operator(caller)), reply) => {
                    if caller.send(Some(reply)).is_err() {
                        tracing::debug!("an operator has gone before the answer");
                    }
                }
                (Some(Caller::Reporter(posted)), Reply::Done | Reply::Switching(_) | Reply::Refused(_)) => {
                    self.parts.seat.desk(|intake| intake.answer(posted, Err(NotRecorded), now.steady, now.wall));
                }
                (None, _) => tracing::debug!("an answer for nobody"),
            }
        }
    }

    /// Only the newest effect counts: the machine has superseded the others.
    fn act(&mut self, myself: &ActorRef<AgentMsg>) {
        let Some((attempt, action)) = std::mem::take(&mut self.acts).pop() else { return };
        let (world, agent, myself, life) =
            (Arc::clone(&self.parts.world), self.parts.seat.agent.clone(), myself.clone(), self.number);
        let lost = World::lost(&action);
        let effect = tokio::spawn(async move {
            // In a task of its own, so that a panic in a driver still has an outcome.
            let work = tokio::spawn(async move { world.perform(&agent, action).await });
            let outcome = work.await.unwrap_or(lost);
            if myself.cast(AgentMsg::Outcome { life, attempt, outcome }).is_err() {
                tracing::debug!("an outcome for an agent that has ended");
            }
        });
        self.parts.seat.set_effect(effect);
    }

    /// Nothing was decided: what is true is what the store says.
    async fn start_over(&mut self, myself: &ActorRef<AgentMsg>) {
        self.fail_callers();
        self.replies.clear();
        self.acts.clear();
        self.queue.clear();
        self.changes.clear();
        self.before = None;
        self.asked_at = None;
        if !self.parts.pool.tell(PoolMsg::Release(self.parts.seat.agent.clone())) {
            tracing::debug!("a mark in a pool that has ended");
        }
        self.load().await;
        self.begin_when_free(myself);
    }

    fn fail_callers(&mut self) {
        let now = self.now();
        for (_, caller) in self.callers.drain() {
            match caller {
                Caller::Reporter(posted) => {
                    self.parts.seat.desk(|intake| intake.answer(posted, Err(NotRecorded), now.steady, now.wall));
                }
                Caller::Operator(caller) => {
                    if caller.send(None).is_err() {
                        tracing::debug!("an operator has gone before the answer");
                    }
                }
            }
        }
    }

    /// One sleep at a time, until the nearest of all deadlines.
    fn arm(&mut self, myself: &ActorRef<AgentMsg>) {
        let now = self.now();
        let deadlines = [
            self.state.as_ref().and_then(|state| state.timers.next(now)),
            self.flush_at.map(|due| due.remaining(now)),
            self.reload_at.map(|due| due.remaining(now)),
            self.asked_at.map(|at| at.due_after(PICK_TIMEOUT).remaining(now)),
        ];
        let Some(wait) = deadlines.into_iter().flatten().min().map(|wait| wait.min(SLEEP_MAX)) else {
            if let Some(sleep) = self.sleep.take() {
                sleep.task.abort();
            }
            return;
        };
        let due = now.due_after(wait);
        if self.sleep.as_ref().is_some_and(|armed| armed.due.remaining(now) <= wait) {
            return;
        }
        if let Some(sleep) = self.sleep.take() {
            sleep.task.abort();
        }
        self.sleeps += 1;
        let (number, clock, myself) = (self.sleeps, Arc::clone(&self.parts.clock), myself.clone());
        let task = tokio::spawn(async move {
            clock.sleep(wait).await;
            if myself.cast(AgentMsg::Tick { sleep: number }).is_err() {
                tracing::debug!("a tick for an agent that has ended");
            }
        });
        self.sleep = Some(Sleep { number, due, task });
    }

    fn store_failed(&self, call: &str, disposition: crate::domain::Disposition, reason: &str) {
        self.parts.telemetry.emit(events::StoreFailed {
            call,
            agent: Some(&self.parts.seat.agent),
            disposition,
            reason,
        });
    }
}
