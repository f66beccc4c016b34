//! Where an agent stands: the data of a phase lives in the phase.

use std::time::Duration;

use crate::domain::{Cause, Due, FailureRecord, Fingerprint, Instance, Intent, IntentMarks, Plan, Rest, Stamp, Wall};
use crate::machine::pool::Wanted;

/// Where an agent stands. The data of a phase lives in the phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It works on its assignment, or waits until it may be moved.
    Serving,
    /// The pool has been asked for a subscription. Never committed: it lasts for one question.
    Selecting(Box<Selecting>),
    /// An intent is open and nothing has been touched yet: turns end, the preflight looks.
    Draining(Box<Draining>),
    /// The credential is being delivered and the agent started on it.
    Applying(Box<Applying>),
    /// Nobody to move to. It wakes by itself.
    Exhausted {
        /// Since when.
        since: Wall,
        /// When the first subscription comes back, if that is known.
        earliest: Option<Wall>,
    },
    /// It waits for a person.
    Parked {
        /// Why.
        reason: crate::domain::ParkReason,
        /// Since when.
        since: Wall,
    },
}

/// A reporter that waits for the pick before it can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whom to answer.
    pub ticket: Ticket,
    /// What will be recorded, except for its outcome.
    pub record: FailureRecord,
    /// How the report was stamped.
    pub stamp: Stamp,
}

/// Identifies a caller who waits for an answer; given out by whoever runs the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The question that is with the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selecting {
    /// Its number, so that an answer to an older question is recognised.
    pub selection: u64,
    /// What is asked for.
    pub wanted: Wanted,
    /// Why.
    pub cause: Cause,
    /// When the trouble behind it was observed.
    pub observed_at: Wall,
    /// Where the agent rests if nothing comes of it.
    pub rest: Rest,
    /// Reports that are answered by what comes of it, the one that caused it first.
    pub waiting: Vec<Waiting>,
    /// The operator who asked for it.
    pub operator: Option<Ticket>,
}

/// Which assignment a life belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RanOn {
    /// The one before the current.
    Before,
    /// The current one.
    Current,
    /// The one that is being applied.
    Pending,
}

/// An open intent before the point of no return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draining {
    /// The intent.
    pub intent: Intent,
    /// Where the agent rests if it comes to nothing.
    pub rest: Rest,
    /// How often the preflight was put off.
    pub retries: u32,
    /// True after a restart of the daemon, until a look has shown how far the intent had got.
    pub is_resumed: bool,
    /// Running turns may end until then.
    pub until: Due,
    /// It can be done, and waits for turns to end.
    pub waits: bool,
    /// Turns that were cut off so far.
    pub cut_off: u32,
}

/// What was seen right after the credential was put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// When it was in place.
    pub at: Wall,
    /// The life of the agent that has to end; absent if it did not run.
    pub before: Option<Instance>,
}

/// What an applying agent waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The credential is being written.
    Delivering,
    /// The agent is being looked at: to learn which life must end, or what became of a restart.
    Looking,
    /// The restart (or start) has been ordered.
    Restarting,
    /// It was told to read its credential again.
    Reloading,
    /// Told to read it again it did not: it will be restarted once running turns have had time to end.
    Emptying,
    /// It was started; it is not known to be ready yet.
    Verifying,
}

/// An open intent from the point of no return on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applying {
    /// The intent.
    pub intent: Intent,
    /// Where the agent rested before it.
    pub rest: Rest,
    /// What it waits for.
    pub step: Step,
    /// Present once the credential is in place.
    pub delivered: Option<Delivered>,
    /// When its steps ended.
    pub marks: IntentMarks,
    /// Orders to restart or start that were given.
    pub orders: u32,
    /// Effective restarts that were seen: 0 or 1.
    pub restarts: u32,
    /// How often a step was put off because the runtime did not answer.
    pub retries: u32,
    /// How many of them were orders to start what stands still.
    pub starts: u32,
    /// A pause was made before the next order.
    pub has_waited: bool,
    /// The look under way is one beside that pause.
    pub is_glancing: bool,
    /// How long the container itself is given to end, as far as that was seen.
    pub stop_timeout: Option<Duration>,
    /// Reading it again did not come off: it is restarted.
    pub must_restart: bool,
    /// Turns that were cut off so far.
    pub cut_off: u32,
    /// The life that was seen after the delivery, whether it ran or not: what it wrote is about the one before.
    pub last_life: Option<Instance>,
    /// What the delivered credential is known by; `None` if the delivery was an earlier life's of the daemon.
    pub credential: Option<Fingerprint>,
    /// The answer to the newest delivery or order was lost. A delivery is looked for; an order is not given again
    /// before one more look, for the first one may still be under way.
    pub is_doubtful: bool,
}

impl Phase {
    /// Every word of [`Phase::as_str`].
    pub const WORDS: [&'static str; 6] = ["serving", "selecting", "draining", "applying", "exhausted", "parked"];

    /// The word that the API and the logs use.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Selecting(_) => "selecting",
            Self::Draining(_) => "draining",
            Self::Applying(_) => "applying",
            Self::Exhausted { .. } => "exhausted",
            Self::Parked { .. } => "parked",
        }
    }

    /// The open intent.
    #[must_use]
    pub const fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Draining(draining) => Some(&draining.intent),
            Self::Applying(applying) => Some(&applying.intent),
            Self::Serving | Self::Selecting(_) | Self::Exhausted { .. } | Self::Parked { .. } => None,
        }
    }

    /// The open intent from the point of no return on.
    #[must_use]
    pub fn applying(&self) -> Option<&Applying> {
        match self {
            Self::Applying(applying) => Some(applying),
            Self::Serving | Self::Selecting(_) | Self::Draining(_) | Self::Exhausted { .. } | Self::Parked { .. } => {
                None
            }
        }
    }

    /// Whether the agent is on its way to another subscription, or being started on its own.
    #[must_use]
    pub const fn is_switching(&self) -> bool {
        match self {
            Self::Selecting(_) | Self::Draining(_) | Self::Applying(_) => true,
            Self::Serving | Self::Exhausted { .. } | Self::Parked { .. } => false,
        }
    }

    /// Whether the agent is on its way to another assignment: what fails meanwhile fails on the one that it leaves. A
    /// fence keeps the assignment.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.is_switching() && self.intent().is_none_or(|intent| intent.plan != Plan::Fence)
    }

    /// Whether what is under way waits for nothing but turns to end.
    #[must_use]
    pub fn is_draining_turns(&self) -> bool {
        match self {
            Self::Draining(draining) => draining.waits,
            Self::Applying(applying) => applying.step == Step::Emptying,
            Self::Serving | Self::Selecting(_) | Self::Exhausted { .. } | Self::Parked { .. } => false,
        }
    }

    /// Counts turns that were cut off for what is under way.
    pub(super) fn note_cut_off(&mut self, count: u32) {
        match self {
            Self::Draining(draining) => draining.cut_off += count,
            Self::Applying(applying) => applying.cut_off += count,
            Self::Serving | Self::Selecting(_) | Self::Exhausted { .. } | Self::Parked { .. } => {}
        }
    }

    /// Where the agent rests, or will rest if what is under way comes to nothing.
    #[must_use]
    pub const fn rest(&self) -> Rest {
        match self {
            Self::Serving => Rest::Serving,
            Self::Selecting(selecting) => selecting.rest,
            Self::Draining(draining) => draining.rest,
            Self::Applying(applying) => applying.rest,
            Self::Exhausted { since, earliest } => Rest::Exhausted { since: *since, earliest: *earliest },
            Self::Parked { reason, since } => Rest::Parked { reason: *reason, since: *since },
        }
    }
}

impl From<Rest> for Phase {
    fn from(rest: Rest) -> Self {
        match rest {
            Rest::Serving => Self::Serving,
            Rest::Exhausted { since, earliest } => Self::Exhausted { since, earliest },
            Rest::Parked { reason, since } => Self::Parked { reason, since },
        }
    }
}

impl Applying {
    /// Right after the point of no return, or as far as that is known.
    #[must_use]
    pub fn begun(intent: Intent, rest: Rest, step: Step) -> Self {
        Self {
            intent,
            rest,
            step,
            delivered: None,
            marks: IntentMarks::default(),
            orders: 0,
            starts: 0,
            has_waited: false,
            is_glancing: false,
            restarts: 0,
            retries: 0,
            stop_timeout: None,
            must_restart: false,
            cut_off: 0,
            last_life: None,
            credential: None,
            is_doubtful: false,
        }
    }
}
