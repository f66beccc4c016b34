//! The decision in the making: the state as it changes, and everything that will come of it.

use super::event::{Action, Effect, IgnoreReason, Refusal, Reply, Step as Decision, Verdict};
use super::phase::{Phase, Selecting, Ticket};
use super::state::AgentState;
use crate::domain::{Cause, CauseBy, Change, Cooldown, Moment, Rest, SubscriptionName, Wall};
use crate::machine::policy::Policy;
use crate::machine::pool::{AgentView, Wanted};

/// A decision in the making.
pub(super) struct Deciding<'a> {
    pub(super) state: AgentState,
    pub(super) now: Moment,
    pub(super) policy: &'a Policy,
    changes: Vec<Change>,
    effects: Vec<Effect>,
    replies: Vec<(Ticket, Reply)>,
    verdict: Verdict,
    is_dirty: bool,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(state: AgentState, now: Moment, policy: &'a Policy) -> Self {
        Self {
            state,
            now,
            policy,
            changes: Vec::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            verdict: Verdict::Accepted,
            is_dirty: false,
        }
    }

    pub(super) fn finish(mut self) -> Decision {
        if self.is_dirty {
            let mut attributes = Box::new(self.state.attributes(self.now));
            if self.policy.is_monitor_only {
                // Nobody moves an agent that is only observed, and what it met must not move whatever is found under its
                // name later.
                attributes.trouble = None;
            }
            self.changes.push(Change::AgentSaved(self.state.name.clone(), attributes));
        }
        // Where several timers were due, one of them may have found nothing to do.
        let is_idle = self.changes.is_empty()
            && self.replies.is_empty()
            && self.effects.iter().all(|effect| matches!(effect, Effect::Release));
        let verdict = if is_idle { self.verdict } else { Verdict::Accepted };
        Decision { state: self.state, changes: self.changes, effects: self.effects, replies: self.replies, verdict }
    }

    pub(super) fn wall(&self) -> Wall {
        self.now.wall
    }

    /// The event had no effect.
    pub(super) fn ignore(&mut self, reason: IgnoreReason) {
        self.verdict = Verdict::Ignored(reason);
    }

    pub(super) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The attributes have changed: they are written once, at the end.
    pub(super) fn save(&mut self) {
        self.is_dirty = true;
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.replies.push((ticket, reply));
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.reply(ticket, Reply::Refused(refusal));
    }

    /// Starts an effect. What was under way before is superseded: its outcome will be stale.
    pub(super) fn act(&mut self, action: Action) {
        self.state.attempt = self.state.attempt.wrapping_add(1);
        self.effects.push(Effect::Act { attempt: self.state.attempt, action });
    }

    pub(super) fn release(&mut self) {
        self.effects.push(Effect::Release);
    }

    /// The agent as the pool needs to see it.
    pub(super) fn view(
        &self,
        wanted: Wanted,
        by: CauseBy,
        failing: Option<(SubscriptionName, Option<Cooldown>)>,
    ) -> Box<AgentView> {
        Box::new(AgentView {
            agent: self.state.name.clone(),
            allowed: self.policy.subscriptions.clone(),
            models: self.policy.models.clone(),
            current: self.state.subscription().cloned(),
            failing,
            exclusions: self.state.exclusions.clone(),
            wanted,
            by,
        })
    }

    /// Asks the pool.
    pub(super) fn select(
        &mut self,
        wanted: Wanted,
        cause: Cause,
        failing: Option<(SubscriptionName, Option<Cooldown>)>,
        operator: Option<Ticket>,
    ) {
        let observed_at = match (&cause.failure, &self.state.trouble) {
            (Some(_), Some(trouble)) => trouble.observed_at,
            (Some(_) | None, _) => self.wall(),
        };
        let rest: Rest = self.state.phase.rest();
        self.state.selection = self.state.selection.wrapping_add(1);
        let view = self.view(wanted.clone(), cause.by, failing);
        self.effects.push(Effect::Reserve { selection: self.state.selection, view });
        self.state.phase = Phase::Selecting(Box::new(Selecting {
            selection: self.state.selection,
            wanted,
            cause,
            observed_at,
            rest,
            waiting: Vec::new(),
            operator,
        }));
    }
}
