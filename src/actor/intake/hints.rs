//! What an agent is to know of without anybody waiting for an answer: bounded, the same said twice is said once.
//!
//! Tests: `tests/shell.rs`.

use crate::domain::{FailureKind, SubscriptionName, Wall};

/// Hints of one sort that wait for the actor, at most: the newest.
const KEPT: usize = 8;

/// Hints that need no queue: each is at most once pending.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hints {
    /// The runtime noticed something.
    pub runtime_changed: bool,
    /// The pool has something new.
    pub pool_changed: bool,
    /// The policy is another one.
    pub reconfigured: bool,
    /// The cooldown of this subscription was lifted.
    pub lifted: Option<SubscriptionName>,
    /// Until when this subscription, if the agent runs on it, cannot serve it.
    pub shunned: Option<(SubscriptionName, Option<Wall>)>,
    /// Lives of it that have ended: when, and whether they were killed.
    pub ended: Vec<(Wall, bool)>,
    /// What another agent says of a subscription as this one does.
    pub agreed: Vec<(SubscriptionName, FailureKind)>,
}

impl Hints {
    /// Takes more of them in.
    pub(super) fn merge(&mut self, new: Self) {
        let Self { runtime_changed, pool_changed, reconfigured, lifted, shunned, ended, agreed } = new;
        self.runtime_changed |= runtime_changed;
        self.pool_changed |= pool_changed;
        self.reconfigured |= reconfigured;
        self.lifted = lifted.or(self.lifted.take());
        self.shunned = shunned.or(self.shunned.take());
        keep(&mut self.ended, ended);
        keep(&mut self.agreed, agreed);
    }
}

fn keep<T: PartialEq>(known: &mut Vec<T>, new: Vec<T>) {
    known.retain(|old| !new.contains(old));
    known.extend(new);
    known.drain(..known.len().saturating_sub(KEPT));
}
