//! What a store makes of an agent's changes: the record that the agent is restored from.
//!
//! It shows whether the changes are complete: a state that is restored from it must decide as the state itself does.

use crate::domain::{
    AgentName, AgentRecord, CauseBy, Change, Generation, IntentRecord, Issued, KeyRecord, Moment, OpenIntent, Plan,
    Stamp, Trust, TurnEnd, TurnsRecord,
};
use crate::machine::agent::AgentState;

/// The rows about one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFold {
    /// What would be loaded now.
    pub record: AgentRecord,
}

impl RecordFold {
    /// The rows about an agent that was never seen.
    #[must_use]
    pub fn new(name: AgentName, now: Moment) -> Self {
        let record = AgentRecord {
            attributes: AgentState::new(name).attributes(now),
            assignment: None,
            issued: Vec::new(),
            open: None,
            budget: Vec::new(),
            deferred: Vec::new(),
            last: None,
            turns: TurnsRecord::default(),
        };
        Self { record }
    }

    /// Writes the rows of one step.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_one(change);
        }
    }

    fn apply_one(&mut self, change: &Change) {
        let record = &mut self.record;
        match change {
            Change::FailureRecorded(failure) => {
                record.deferred.extend(failure.outcome.is_deferred().then(|| failure.clone().deferred()));
            }
            Change::FailureJudged { id, outcome, generation, .. } if outcome.is_deferred() => {
                if let Some(deferred) = record.deferred.iter_mut().find(|deferred| &deferred.failure == id) {
                    deferred.outcome = *outcome;
                    deferred.stamp = generation.map_or(Stamp::Unsettled, Stamp::Generation);
                    deferred.report.trust = Trust::Structured;
                }
            }
            Change::FailureJudged { id, .. } => record.deferred.retain(|deferred| &deferred.failure != id),
            Change::IntentOpened(intent) => {
                if record.issued.last().is_none_or(|newest| newest.generation < intent.generation) {
                    let (generation, subscription) = (intent.generation, intent.to.clone());
                    record.issued.push(Issued { generation, subscription, is_used: false });
                    keep_newest(&mut record.issued, AgentRecord::ISSUED_MAX);
                }
                let budget = match (intent.plan, intent.cause.by) {
                    (Plan::Fence, CauseBy::Turn) => Some(&mut record.turns.fences),
                    (Plan::Switch, by) if by.is_budgeted() => Some(&mut record.budget),
                    _ => None,
                };
                if let Some(budget) = budget {
                    budget.push(intent.started_at);
                    keep_newest(budget, AgentRecord::BUDGET_MAX);
                }
                record.open = Some(OpenIntent { intent: intent.clone(), delivered: None, cut_off: 0 });
            }
            Change::IntentDelivered { at, before, .. } => {
                if let Some(open) = &mut record.open {
                    open.delivered = Some((*at, before.clone()));
                }
            }
            Change::IntentClosed(end) => {
                if let Some(open) = record.open.take() {
                    record.last = Some(IntentRecord { intent: open.intent, end: Some(end.clone()) });
                }
            }
            Change::Assigned { assignment, replaces, .. } => {
                let current = record.assignment.as_ref().map_or(Generation::NONE, |current| current.generation);
                assert_eq!(*replaces, current, "an assignment must follow the stored one");
                match record.issued.iter_mut().find(|issued| issued.generation == assignment.generation) {
                    Some(issued) => issued.is_used = true,
                    None => record.issued.push(Issued {
                        generation: assignment.generation,
                        subscription: assignment.subscription.clone(),
                        is_used: true,
                    }),
                }
                record.assignment = Some(assignment.clone());
            }
            Change::AgentSaved(_, attributes) => record.attributes = (**attributes).clone(),
            Change::TurnBegun { turn, .. } => {
                record.turns.issued = record.turns.issued.max(turn.id.number);
                if let Some((key, digest)) = turn.key.clone() {
                    record.turns.keys.push(KeyRecord { key, digest, turn: turn.id.number });
                    keep_newest(&mut record.turns.keys, TurnsRecord::KEYS_MAX);
                }
                record.turns.active.push((**turn).clone());
            }
            Change::TurnChanged(turn) => {
                if let Some(known) = record.turns.active.iter_mut().find(|known| known.id == turn.id) {
                    *known = (**turn).clone();
                }
            }
            Change::TurnEnded { turn, ended } => {
                if let Some(open) = record.open.as_mut().filter(|open| Some(&open.intent.id) == ended.by.as_ref()) {
                    open.cut_off += 1;
                }
                record.turns.active.retain(|known| known.id != turn.id);
                if ended.end == TurnEnd::Lapsed {
                    // As if it had never been asked for: the same request may begin another one.
                    record.turns.keys.retain(|known| known.turn != turn.id.number);
                }
            }
            Change::SessionSaved(_, saved) => {
                record.turns.sessions.retain(|known| known.session != saved.session);
                record.turns.sessions.push(saved.clone());
                keep_newest(&mut record.turns.sessions, TurnsRecord::SESSIONS_MAX);
            }
            Change::FailureCounted { .. }
            | Change::CooldownSet(_)
            | Change::CooldownLifted(_)
            | Change::Notified(_)
            | Change::CredentialSeen(..)
            | Change::ReadingTaken(_)
            | Change::Halted(_)
            | Change::HaltLifted(_)
            | Change::LogRead(..) => {}
        }
    }
}

fn keep_newest<T>(rows: &mut Vec<T>, most: usize) {
    let over = rows.len().saturating_sub(most);
    rows.drain(..over);
}
