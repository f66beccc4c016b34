//! One life of an agent's actor: what it holds between two messages, and how one turn of it goes.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ractor::ActorRef;

use super::callers::Callers;
use super::sleep::Sleep;
use super::{AgentMsg, AgentParts};
use crate::actor::announce;
use crate::actor::effects::World;
use crate::actor::intake::{Batch, FLUSH_AFTER, Hints};
use crate::actor::outbox;
use crate::actor::pool::PoolMsg;
use crate::domain::{Change, Disposition, Due, FailureId, FailureRecord, LogPosition, Moment, Outcome};
use crate::machine::agent::{Action, AgentState, Effect, Event, Phase, Pick, Reply, Ticket, Verdict, transition};
use crate::machine::invariant;
use crate::machine::policy::Policy;
use crate::telemetry::events;

/// Reports that are folded in one turn, at most.
const FOLD_MAX: usize = 64;

/// How long a commit may take before its outcome counts as unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the pool may take to answer.
const PICK_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a store that failed is asked again.
const RELOAD_AFTER: Duration = Duration::from_secs(1);

/// One life of the actor.
pub(in crate::actor) struct Life {
    pub(super) parts: AgentParts,
    /// What every step goes by until the next one is told that it has changed.
    policy: Arc<Policy>,
    /// `None` while the store cannot be read: nothing is known, so nothing is decided. Between two decisions it is
    /// the very value that is published.
    pub(super) state: Option<Arc<AgentState>>,
    /// Number of the life: outcomes of effects of an earlier one are not this one's.
    pub(super) number: u64,
    /// Whether `Began` was folded in: until then an effect of an earlier life may be under way.
    pub(super) has_begun: bool,
    callers: Callers,
    /// Events that are not folded yet: while the pool is asked, everything but its answer waits.
    pub(super) queue: VecDeque<Event>,
    /// A wake token came while the pool was asked: the intake is seen to after the pick.
    owes_take: bool,
    /// Rows of the decision in the making, written when the pool has answered.
    changes: Vec<Change>,
    replies: Vec<(Ticket, Reply)>,
    acts: Vec<(u32, Action)>,
    /// The state before the decision in the making.
    before: Option<Arc<AgentState>>,
    asked_at: Option<Moment>,
    /// Some step of the decision in the making was accepted.
    is_changed: bool,
    /// The policy has changed since the last commit.
    is_reconfigured: bool,
    flush_at: Option<Due>,
    reload_at: Option<Due>,
    /// Commits that failed in a row.
    pub(super) commits_failed: u32,
    sleep: Sleep,
}

impl Drop for Life {
    /// Whoever waits is told, however the life ends.
    fn drop(&mut self) {
        self.callers.fail(&self.parts.seat, self.parts.clock.now());
    }
}

impl Life {
    pub(super) fn new(parts: AgentParts) -> Self {
        Self {
            policy: parts.seat.policy(),
            parts,
            state: None,
            number: 0,
            has_begun: false,
            callers: Callers::default(),
            queue: VecDeque::new(),
            owes_take: false,
            changes: Vec::new(),
            replies: Vec::new(),
            acts: Vec::new(),
            before: None,
            asked_at: None,
            is_changed: false,
            is_reconfigured: false,
            flush_at: None,
            reload_at: None,
            commits_failed: 0,
            sleep: Sleep::default(),
        }
    }

    fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// Reads the state from the store; without one, nothing is decided and everything refused.
    pub(super) async fn load(&mut self) {
        let (seat, now) = (Arc::clone(&self.parts.seat), self.now());
        let loaded = tokio::time::timeout(COMMIT_TIMEOUT, self.parts.store.load_agent(&seat.agent)).await;
        self.number += 1;
        self.has_begun = false;
        self.policy = seat.policy();
        // The pool was told nothing of a commit that was not answered, and still holds a mark of the life before.
        let is_first = self.number == 1 && !seat.is_attached();
        if !is_first && !self.parts.pool.tell(PoolMsg::CatchUp(seat.agent.clone())) {
            tracing::debug!("a mark in a pool that has ended");
        }
        self.state = match loaded {
            Ok(Ok(Some(record))) => Some(Arc::new(AgentState::restore(seat.agent.clone(), record, now, &self.policy))),
            Ok(Ok(None)) => Some(Arc::new(AgentState::new(seat.agent.clone()))),
            Ok(Err(error)) => {
                let disposition = error.disposition();
                self.store_failed("load", disposition, &error.to_string());
                None
            }
            Err(_) => {
                self.store_failed("load", Disposition::Transient, "no answer in time");
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
            seat.publish(Arc::clone(state));
        }
    }

    /// The machine's timers; none before `Began`, which is the first event of every life, and none while the pool is asked,
    /// for nothing but its answer is folded then.
    fn next_timer(&self, now: Moment) -> Option<Duration> {
        self.state.as_ref().filter(|_| self.has_begun && !self.is_selecting())?.timers.next(now)
    }

    /// Takes what waits in the intake, unless the pool's answer is waited for or nothing was begun yet: then the
    /// intake holds it, bounded.
    pub(super) fn take(&mut self) {
        self.owes_take = self.is_selecting() || (self.state.is_some() && !self.has_begun);
        if self.owes_take {
            return;
        }
        let Batch { commands, reports, turns, gone, hints, has_more } =
            self.parts.seat.desk(|intake| intake.take(FOLD_MAX));
        if has_more {
            self.parts.seat.wake();
        }
        for ordered in commands {
            self.queue.push_back(Event::Operator { ticket: ordered.ticket, command: ordered.command.clone() });
            self.callers.operator(ordered);
        }
        for posted in reports {
            let event = Event::Report {
                ticket: posted.ticket,
                report: posted.report.clone(),
                digest: posted.digest,
                stamp: posted.stamp.clone(),
                count: posted.count,
            };
            self.callers.reporter(posted);
            self.queue.push_back(event);
        }
        if let Some((subscription, until)) = hints.shunned {
            self.queue.push_back(Event::Shunned { subscription, until });
        }
        // After the reports: what they say is to be there when something agrees with it.
        self.queue.extend(hints.ended.into_iter().map(|(at, was_killed)| Event::Ended { at, was_killed }));
        let agreed = hints.agreed.into_iter();
        self.queue.extend(agreed.map(|(subscription, kind)| Event::Agreed { subscription, kind }));
        for asked in turns {
            self.queue.push_back(Event::Turn { ticket: asked.ticket, request: asked.request.clone() });
            self.callers.turn(asked);
        }
        for ticket in gone {
            self.callers.forget(ticket);
            self.queue.push_back(Event::Withdrawn { ticket });
        }
        if hints.pool_changed {
            self.queue.push_back(Event::PoolChanged { lifted: hints.lifted });
        }
        if hints.runtime_changed {
            self.queue.push_back(Event::RuntimeChanged);
        }
        if hints.reconfigured {
            self.queue.push_back(Event::Reconfigured);
        }
        if self.flush_at.is_none() && self.parts.seat.desk(|intake| intake.has_counts()) {
            self.flush_at = Some(self.now().due_after(FLUSH_AFTER));
        }
    }

    pub(super) async fn tick(&mut self, sleep: u64, myself: &ActorRef<AgentMsg>) {
        self.sleep.over(sleep);
        let now = self.now();
        if self.reload_at.is_some_and(|due| due.is_past(now)) {
            // Rare and large: an idle agent keeps no room for it.
            Box::pin(self.load()).await;
            self.begin_when_free(myself);
        }
        if self.flush_at.is_some_and(|due| due.is_past(now)) {
            self.flush_at = None;
            let counted = self.parts.seat.desk(|intake| (intake.counts(), intake.counted_to()));
            self.count(counted);
        }
        if self.asked_at.is_some_and(|at| at.due_after(PICK_TIMEOUT).is_past(now)) {
            let selection = self.state.as_ref().map_or(0, |state| state.selection);
            self.queue.push_front(Event::Picked { selection, pick: Pick::Unavailable });
        }
        if self.next_timer(now).is_some_and(|next| next.is_zero()) {
            // A heartbeat that has come by now is in time.
            self.take();
            self.queue.push_back(Event::Tick);
        }
    }

    /// The newest effect has ended: nobody has to wait for it any more, and its task goes.
    pub(super) fn end_effect(&self, attempt: u32) {
        if self.state.as_ref().is_some_and(|state| state.attempt == attempt) {
            drop(self.parts.seat.take_effect());
        }
    }

    /// One turn: fold, commit, tell, act.
    pub(super) async fn turn(&mut self, myself: &ActorRef<AgentMsg>) {
        if self.state.is_none() {
            // Nothing is known, so nothing can be recorded: everyone who asked is told at once.
            self.queue.clear();
            self.callers.fail(&self.parts.seat, self.parts.clock.now());
            self.depart(myself);
            return self.arm(myself);
        }
        loop {
            if self.must_settle_first() {
                self.settle(myself).await;
            }
            let Some(event) = self.next_event() else { break };
            self.fold(event, myself);
            self.asked_at = self.is_selecting().then(|| self.asked_at.unwrap_or_else(|| self.now()));
        }
        if !self.is_selecting() {
            self.settle(myself).await;
            self.depart(myself);
            // Before the beginning there is nothing to take for: the beginning takes by itself.
            if self.has_begun && std::mem::take(&mut self.owes_take) && myself.cast(AgentMsg::Wake).is_err() {
                tracing::debug!("an agent ended with its intake unseen");
            }
        }
        if self.queue.is_empty() {
            // Most agents are idle most of the time: they keep no room for events.
            self.queue = VecDeque::new();
        }
        self.arm(myself);
    }

    /// What was decided about the pool is told to it before anything follows that may ask it again: an agent that was
    /// just woken would be offered the subscription that it has just failed on.
    fn must_settle_first(&self) -> bool {
        let may_ask = |event: &Event| !matches!(event, Event::Report { .. } | Event::Counted { .. });
        !self.is_selecting() && self.queue.front().is_some_and(may_ask) && self.changes.iter().any(is_about_the_pool)
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
            self.before = Some(Arc::clone(&state));
        }
        if event == Event::Reconfigured {
            self.policy = self.parts.seat.policy();
            self.is_reconfigured = true;
        }
        let step = transition(Arc::unwrap_or_clone(state), event, now, &self.policy);
        match step.verdict {
            Verdict::Ignored(reason) => self.parts.telemetry.metrics().transition_ignored(reason.as_str()),
            Verdict::Accepted => self.is_changed = true,
        }
        if step.changes.iter().any(|change| matches!(change, Change::AgentSaved(..))) {
            // The row is replaced as a whole: of several in one commit only the last counts.
            self.changes.retain(|change| !matches!(change, Change::AgentSaved(..)));
        }
        self.changes.extend(step.changes);
        self.replies.extend(step.replies);
        self.state = Some(Arc::new(step.state));
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
            let (commit, began) = (self.parts.store.commit(changes.clone()), self.now().steady.0);
            let failed = match tokio::time::timeout(COMMIT_TIMEOUT, commit).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((error.disposition(), error.to_string())),
                Err(_) => Some((Disposition::InDoubt, "no answer in time".to_owned())),
            };
            if let Some((disposition, reason)) = failed {
                self.store_failed("commit", disposition, &reason);
                self.commits_failed = self.commits_failed.saturating_add(1);
                return Box::pin(self.start_over(myself)).await;
            }
            self.commits_failed = 0;
            let took = Duration::from_millis(self.now().steady.0.saturating_sub(began));
            self.parts.telemetry.metrics().store_committed(took);
        }
        let Some(state) = &self.state else { return };
        for invariant in invariant::broken(state, &self.policy) {
            self.parts.telemetry.metrics().invariant_violated(invariant.id());
            debug_assert!(false, "{} broken: {state:#?}", invariant.id());
        }
        let (was, is) = (Arc::clone(&before), Arc::clone(state));
        let answers_differ = announce::answers_differ(&before, state);
        let has_ended = before.phase.intent().is_some() && state.phase.intent().is_none();
        // Comparing takes as long as there is to compare: it is for steps that say they changed nothing.
        if !std::mem::take(&mut self.is_changed) && before == *state {
            self.state = Some(before);
        } else {
            self.parts.seat.publish(Arc::clone(state));
        }
        self.tell_pool(&changes);
        if changes.iter().any(|change| matches!(change, Change::Notified(_))) {
            outbox::wake(&self.parts.outbox);
        }
        if has_ended {
            // News of the pool that came while the intent was open was not followed: this stands for it.
            self.parts.seat.hint(Hints { pool_changed: true, ..Hints::default() });
        }
        if answers_differ {
            self.unsettle();
        }
        // Whoever reads it in the log finds it so everywhere else: the state is published by now.
        let sender = if std::mem::take(&mut self.is_reconfigured) { "config" } else { "operator" };
        announce::say(&self.parts.telemetry, &was, &is, &changes, sender);
        drop((was, is));
        self.reply();
        self.act(myself);
    }

    fn tell_pool(&self, changes: &[Change]) {
        let relevant: Vec<Change> = changes.iter().filter(|change| is_about_the_pool(change)).cloned().collect();
        if !relevant.is_empty() && !self.parts.pool.tell(PoolMsg::Committed(relevant)) {
            // A new life of the pool reads these rows from the store.
            tracing::debug!("committed rows for a pool that has ended");
        }
    }

    /// What was answered before no longer serves repeats; what was counted is written down with the next commit.
    fn unsettle(&mut self) {
        let counted = self.parts.seat.desk(|intake| (intake.unsettle(), intake.counted_to()));
        self.count(counted);
        if !self.queue.is_empty() && self.flush_at.is_none() {
            self.flush_at = Some(self.now().due_after(FLUSH_AFTER));
        }
    }

    fn count(&mut self, (counts, mut read_to): (Vec<(FailureId, u64)>, Option<LogPosition>)) {
        let event = |(failure, count)| Event::Counted { failure, count, read_to: read_to.take() };
        self.queue.extend(counts.into_iter().map(event));
    }

    fn reply(&mut self) {
        let now = self.now();
        for (ticket, reply) in std::mem::take(&mut self.replies) {
            self.callers.answer(ticket, reply, &self.parts.seat, now);
        }
    }

    /// Only the newest effect counts: the machine has superseded the others.
    fn act(&mut self, myself: &ActorRef<AgentMsg>) {
        let Some((attempt, action)) = std::mem::take(&mut self.acts).pop() else { return };
        let (world, agent, myself, life) =
            (Arc::clone(&self.parts.world), self.parts.seat.agent.clone(), myself.clone(), self.number);
        let lost = World::lost(&action);
        let effect = tokio::spawn(async move {
            // A panic in a driver still has an outcome; what it left half done is looked for in the world.
            let outcome = AssertUnwindSafe(world.perform(&agent, action)).catch_unwind().await.unwrap_or(lost);
            let outcome = Box::new(outcome);
            if myself.cast(AgentMsg::Outcome { life, attempt, outcome }).is_err() {
                tracing::debug!("an outcome for an agent that has ended");
            }
        });
        self.parts.seat.set_effect(effect);
    }

    /// Nothing was decided: what is true is what the store says.
    async fn start_over(&mut self, myself: &ActorRef<AgentMsg>) {
        self.callers.fail(&self.parts.seat, self.parts.clock.now());
        self.replies.clear();
        self.acts.clear();
        self.queue.clear();
        self.changes.clear();
        self.before = None;
        self.asked_at = None;
        self.load().await;
        self.begin_when_free(myself);
    }

    /// Sleeps until the nearest deadline.
    pub(super) fn arm(&mut self, myself: &ActorRef<AgentMsg>) {
        let now = self.now();
        let deadlines = [
            self.next_timer(now),
            self.flush_at.map(|due| due.remaining(now)),
            self.reload_at.map(|due| due.remaining(now)),
            self.asked_at.map(|at| at.due_after(PICK_TIMEOUT).remaining(now)),
        ];
        self.sleep.arm(deadlines.into_iter().flatten().min(), now, &self.parts.clock, myself);
    }

    fn store_failed(&self, call: &str, disposition: Disposition, reason: &str) {
        self.parts.telemetry.emit(events::StoreFailed {
            call,
            agent: Some(&self.parts.seat.agent),
            disposition,
            reason,
        });
    }
}

/// Whether the pool folds it.
fn is_about_the_pool(change: &Change) -> bool {
    matches!(
        change,
        Change::CooldownSet(_)
            | Change::CooldownLifted(_)
            | Change::Assigned { .. }
            | Change::IntentOpened(_)
            | Change::IntentClosed(_)
            | Change::FailureJudged { .. }
            | Change::FailureRecorded(FailureRecord { outcome: Outcome::Uncorroborated, .. })
    )
}
