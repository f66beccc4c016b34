//! What is known about one agent, and where it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    AgentName, AgentRecord, Assignment, Attributes, Cause, CooldownKey, Deferred, Due, FailureId, FailureRecord,
    Fingerprint, Generation, Instance, Intent, IntentId, IntentMarks, IntentRecord, Issued, Moment, Pause, Rest,
    Sighting, Stamp, SubscriptionName, Trouble, Wall,
};
use crate::machine::policy::{Policy, RuntimeKind};
use crate::machine::pool::Wanted;
use crate::machine::timer::{Timer, TimerTable};

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
    /// The life that was seen after the delivery, whether it ran or not: what it wrote is about the one before.
    pub last_life: Option<Instance>,
    /// What the delivered credential is known by; `None` if the delivery was an earlier life's of the daemon.
    pub credential: Option<Fingerprint>,
    /// The answer to the newest delivery or order was lost. A delivery is looked for; an order is not given again
    /// before one more look, for the first one may still be under way.
    pub is_doubtful: bool,
}

/// Everything that a decision about an agent depends on, besides policy and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentState {
    /// Its name.
    pub name: AgentName,
    /// Where it stands.
    pub phase: Phase,
    /// What it runs on.
    pub assignment: Option<Assignment>,
    /// The highest generation ever issued.
    pub issued: Generation,
    /// The newest generations, oldest first.
    pub recent: Vec<Issued>,
    /// How many failures were recorded.
    pub failures: u64,
    /// How many intents were opened.
    pub intents: u64,
    /// The trouble with the subscription it runs on.
    pub trouble: Option<Trouble>,
    /// What the last cooldown was about that this agent's reports caused; only to recognise an echo of it.
    pub noted: Option<CooldownKey>,
    /// Observe and record, but do not act.
    pub pause: Option<Pause>,
    /// The subscription that an operator pinned it to.
    pub pin: Option<SubscriptionName>,
    /// The budget is used up until then.
    pub braked_until: Option<Wall>,
    /// When the switches began that nobody asked for, oldest first.
    pub budget: Vec<Wall>,
    /// Switches in a row that could not be applied.
    pub apply_failures: u32,
    /// Targets that could not be applied lately, and until when they are left out.
    pub exclusions: BTreeMap<SubscriptionName, Wall>,
    /// Reports whose judgement waits.
    pub deferred: Vec<Deferred>,
    /// When the last switch completed.
    pub switched_at: Option<Wall>,
    /// What the credential is known by that it was given with its assignment.
    pub credential: Option<Fingerprint>,
    /// The life that ran on the assignment before, as it was last seen: whatever it wrote is about that.
    pub replaced: Option<Instance>,
    /// What was last seen of the container or process.
    pub sighting: Option<Sighting>,
    /// What would keep it from using a delivered credential, as last seen.
    pub hindrances: Vec<String>,
    /// Why it could not be looked at, or what stands in the way of a switch.
    pub obstacle: Option<String>,
    /// Consecutive looks that failed.
    pub looks_failed: u32,
    /// A process agent was brought up by this daemon; always true for containers that were seen.
    pub is_up: bool,
    /// The number of the effect that is under way; outcomes of older ones are stale.
    pub attempt: u32,
    /// The number of the newest question to the pool.
    pub selection: u64,
    /// The deadlines.
    pub timers: TimerTable,
    /// The newest intent that has ended.
    pub last: Option<IntentRecord>,
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

    /// Whether the agent is on its way to another subscription, or being started on its own.
    #[must_use]
    pub const fn is_switching(&self) -> bool {
        match self {
            Self::Selecting(_) | Self::Draining(_) | Self::Applying(_) => true,
            Self::Serving | Self::Exhausted { .. } | Self::Parked { .. } => false,
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

impl AgentState {
    /// An agent that was never seen before.
    #[must_use]
    pub fn new(name: AgentName) -> Self {
        Self {
            name,
            phase: Phase::Serving,
            assignment: None,
            issued: Generation::NONE,
            recent: Vec::new(),
            failures: 0,
            intents: 0,
            trouble: None,
            noted: None,
            pause: None,
            pin: None,
            braked_until: None,
            budget: Vec::new(),
            apply_failures: 0,
            exclusions: BTreeMap::new(),
            deferred: Vec::new(),
            switched_at: None,
            credential: None,
            replaced: None,
            sighting: None,
            hindrances: Vec::new(),
            obstacle: None,
            looks_failed: 0,
            is_up: false,
            attempt: 0,
            selection: 0,
            timers: TimerTable::default(),
            last: None,
        }
    }

    /// The state that a stored record stands for. Deadlines that were stored are armed again; everything that was
    /// only seen is to be seen anew, which [`super::Event::Began`] starts.
    #[must_use]
    pub fn restore(name: AgentName, record: AgentRecord, now: Moment, policy: &Policy) -> Self {
        let AgentRecord { attributes, assignment, issued, open, budget, deferred, last } = record;
        let mut state = Self {
            assignment,
            issued: attributes.issued,
            recent: issued,
            failures: attributes.failures,
            intents: attributes.intents,
            trouble: attributes.trouble,
            pause: attributes.pause,
            pin: attributes.pin,
            budget,
            apply_failures: attributes.apply_failures,
            exclusions: attributes.exclusions,
            deferred,
            switched_at: attributes.switched_at,
            credential: attributes.credential,
            replaced: attributes.replaced,
            last,
            ..Self::new(name)
        };
        state.phase = match open {
            None => attributes.rest.into(),
            Some(open) => match open.delivered {
                None => Phase::Draining(Box::new(Draining {
                    intent: open.intent,
                    rest: attributes.rest,
                    retries: 0,
                    is_resumed: true,
                })),
                Some((at, before)) => Phase::Applying(Box::new(Applying {
                    intent: open.intent,
                    rest: attributes.rest,
                    step: Step::Looking,
                    delivered: Some(Delivered { at, before }),
                    marks: IntentMarks { drained_at: None, delivered_at: Some(at), applied_at: None },
                    starts: 0,
                    has_waited: false,
                    is_glancing: false,
                    stop_timeout: None,
                    must_restart: false,
                    last_life: None,
                    credential: None,
                    orders: 0,
                    restarts: 0,
                    retries: 0,
                    // An engine may still be carrying out an order that was given before the daemon ended.
                    is_doubtful: policy.runtime == RuntimeKind::Container,
                })),
            },
        };
        if let Some(until) = state.pause.and_then(|pause| pause.until) {
            state.timers.set(Timer::Pause, Due::At(until));
        }
        if let Some(wake_at) = attributes.wake_at {
            state.timers.set(Timer::Wake, Due::At(wake_at));
        } else if matches!(state.phase, Phase::Exhausted { .. }) {
            state.timers.set(Timer::Wake, Due::At(now.wall));
        }
        if let Some(switched_at) = state.switched_at {
            let left = switched_at.plus(policy.settle).since(now.wall).min(policy.settle);
            state.timers.set(Timer::Settle, now.due_after(left));
        }
        state
    }

    /// The row that is written when one of these facts changes.
    #[must_use]
    pub fn attributes(&self, now: Moment) -> Attributes {
        Attributes {
            rest: self.phase.rest(),
            trouble: self.trouble.clone(),
            wake_at: self.timers.get(Timer::Wake).map(|due| due.to_wall(now)),
            pause: self.pause,
            pin: self.pin.clone(),
            issued: self.issued,
            failures: self.failures,
            intents: self.intents,
            apply_failures: self.apply_failures,
            exclusions: self.exclusions.clone(),
            switched_at: self.switched_at,
            credential: self.credential.clone(),
            replaced: self.replaced.clone(),
        }
    }

    /// The current subscription.
    #[must_use]
    pub fn subscription(&self) -> Option<&SubscriptionName> {
        self.assignment.as_ref().map(|assignment| &assignment.subscription)
    }

    /// The current generation; `NONE` without an assignment.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.assignment.as_ref().map_or(Generation::NONE, |assignment| assignment.generation)
    }

    /// The assignment before the current one: the newest generation that was really run in, older than the current.
    /// `NONE` if there was none.
    #[must_use]
    pub fn generation_before(&self) -> Generation {
        let current = self.generation();
        let used = self.recent.iter().rev().find(|issued| issued.is_used && issued.generation < current);
        used.map_or(Generation::NONE, |issued| issued.generation)
    }

    /// Which assignment a life of the agent runs or ran on (A6). A life that nobody has seen yet began since the last
    /// look.
    #[must_use]
    pub fn ran_on(&self, life: &Instance) -> RanOn {
        match &self.phase {
            Phase::Applying(applying) => {
                let old = match &applying.delivered {
                    Some(delivered) => delivered.before.as_ref(),
                    // Not in place, as far as is known: what was running then runs on the old one.
                    None => self.sighting.as_ref().and_then(|seen| seen.instance.as_ref()),
                };
                if old == Some(life) { RanOn::Current } else { RanOn::Pending }
            }
            Phase::Serving
            | Phase::Selecting(_)
            | Phase::Draining(_)
            | Phase::Exhausted { .. }
            | Phase::Parked { .. } => {
                if self.replaced.as_ref() == Some(life) {
                    RanOn::Before
                } else {
                    RanOn::Current
                }
            }
        }
    }

    /// The subscription that a generation was issued for, if it is among the newest.
    #[must_use]
    pub fn subscription_of(&self, generation: Generation) -> Option<&SubscriptionName> {
        self.recent.iter().rev().find(|issued| issued.generation == generation).map(|issued| &issued.subscription)
    }

    /// The newest generation that the agent really ran in on a subscription.
    #[must_use]
    pub fn last_generation_on(&self, subscription: &SubscriptionName) -> Option<Generation> {
        self.recent
            .iter()
            .rev()
            .find(|issued| issued.is_used && &issued.subscription == subscription)
            .map(|issued| issued.generation)
    }

    /// When the agent will look into its trouble by itself.
    #[must_use]
    pub fn wake_at(&self, now: Moment) -> Option<Wall> {
        [Timer::Wake, Timer::Brake, Timer::Retry]
            .into_iter()
            .filter_map(|timer| self.timers.get(timer))
            .map(|due| due.to_wall(now))
            .min()
    }

    pub(super) fn next_failure(&mut self) -> FailureId {
        self.failures += 1;
        FailureId { agent: self.name.clone(), number: self.failures }
    }

    pub(super) fn next_intent(&mut self) -> IntentId {
        self.intents += 1;
        IntentId { agent: self.name.clone(), number: self.intents }
    }
}
