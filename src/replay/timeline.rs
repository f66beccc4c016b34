//! What happened in a replay, in order.
//!
//! Lines that say the same one after the other, with the same end, are one entry: a flood stays readable, and needs no
//! memory.

use crate::classify::Verdict;
use crate::domain::{
    Answer, CauseBy, Generation, Intent, IntentOutcome, Notification, NotifyEvent, Outcome, SubscriptionName, Wall,
};

use super::Told;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Wall,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A line told of a failure.
    Reported {
        /// The first of such lines.
        line: u64,
        /// The last of them, if nothing else came in between.
        last_line: u64,
        /// How many there were.
        lines: u64,
        /// What the first one means.
        verdict: Box<Verdict>,
        /// What became of it; `None` for one that is only a repetition of what somebody said, which is not reported.
        outcome: Option<Outcome>,
        /// What it was held against.
        subscription: Option<SubscriptionName>,
        /// Its limit has moved the agent before: it is told by the life before.
        is_known: bool,
        /// The reason, where the outcome does not say it all.
        reason: Option<String>,
    },
    /// What had waited for a judgement got one.
    Judged {
        /// Its line.
        line: u64,
        /// What it came to.
        outcome: Outcome,
    },
    /// A switch began.
    Began {
        /// From where.
        from: Option<SubscriptionName>,
        /// Where to.
        to: SubscriptionName,
        /// The number that it took.
        generation: Generation,
        /// Why.
        cause: CauseBy,
    },
    /// It ended.
    Ended {
        /// How.
        outcome: IntentOutcome,
    },
    /// People would have been told.
    Said {
        /// Of what.
        event: NotifyEvent,
        /// In these words.
        text: String,
    },
}

impl What {
    pub(super) fn hearsay(told: &Told) -> Self {
        Self::Reported {
            line: told.line,
            last_line: told.line,
            lines: 1,
            verdict: Box::new(told.verdict.clone()),
            outcome: None,
            subscription: None,
            is_known: false,
            reason: None,
        }
    }

    pub(super) fn reported(told: &Told, answer: &Answer, is_known: bool) -> Self {
        // Where the answer has no reason of its own it gives back the classifier's.
        let own = format!("{}: {}", told.verdict.rule, told.verdict.reason);
        Self::Reported {
            line: told.line,
            last_line: told.line,
            lines: 1,
            verdict: Box::new(told.verdict.clone()),
            outcome: Some(answer.outcome),
            subscription: answer.subscription.clone(),
            is_known,
            reason: answer.reason.clone().filter(|reason| *reason != own),
        }
    }

    pub(super) fn began(intent: &Intent) -> Self {
        Self::Began {
            from: intent.from.clone(),
            to: intent.to.clone(),
            generation: intent.generation,
            cause: intent.cause.by,
        }
    }

    /// Of what people are told all but what is an entry of its own.
    pub(super) fn said(notification: &Notification) -> Option<Self> {
        let is_told = notification.event != NotifyEvent::Switch;
        is_told.then(|| Self::Said { event: notification.event, text: notification.text.clone() })
    }
}

/// Adds an entry, or counts it with the one before.
pub(super) fn add(timeline: &mut Vec<Entry>, entry: Entry) {
    if let Some(last) = timeline.last_mut()
        && let (
            What::Reported { last_line, lines, verdict, outcome, subscription, is_known, reason, .. },
            What::Reported {
                line: next_line,
                verdict: next,
                outcome: next_outcome,
                subscription: next_subscription,
                is_known: next_is_known,
                reason: next_reason,
                ..
            },
        ) = (&mut last.what, &entry.what)
        && (&*outcome, &*subscription, &*is_known, &*reason)
            == (next_outcome, next_subscription, next_is_known, next_reason)
        && are_alike(verdict, next)
    {
        *last_line = *next_line;
        *lines += 1;
        return;
    }
    timeline.push(entry);
}

fn are_alike(one: &Verdict, other: &Verdict) -> bool {
    (one.kind, one.window, &one.model, one.reset_at, &one.rule)
        == (other.kind, other.window, &other.model, other.reset_at, &other.rule)
}
