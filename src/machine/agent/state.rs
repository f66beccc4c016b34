//! What is known about one agent.

use std::collections::BTreeMap;

use super::corroborating;
use super::phase::{Applying, Delivered, Draining, Phase, RanOn, Step};
use super::signs::Signs;
use crate::domain::{
    AgentName, AgentRecord, Assignment, Attributes, CooldownKey, Deferred, Due, FailureId, Fingerprint, Generation,
    Instance, IntentId, IntentMarks, IntentRecord, Issued, Moment, Outcome, Pause, Sighting, SubscriptionName, Trouble,
    Wall,
};
use crate::machine::policy::{Policy, RuntimeKind};
use crate::machine::timer::{Timer, TimerTable};
use crate::machine::turns::Ledger;

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
    /// Who holds a turn of it, and who waits for one.
    pub turns: Ledger,
    /// Until when the subscription it runs on cannot serve it, by others' word.
    pub shunned_until: Option<Wall>,
    /// What it ran on, or was on its way to, was not allowed to it any more when its policy last changed.
    pub is_misplaced: bool,
    /// Another life may have begun than was last seen: by a switch, a fence, or as the runtime hints.
    pub is_sighting_old: bool,
    /// The last question was answered with: nothing is switched by itself.
    pub is_halted: bool,
    /// Running turns have until then, of a switch that lost its target and is made again.
    pub drain_until: Option<Due>,
    /// What happened to it lately that may agree with a line of text which is read late.
    pub signs: Signs,
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
            turns: Ledger::default(),
            shunned_until: None,
            is_misplaced: false,
            is_sighting_old: false,
            is_halted: false,
            drain_until: None,
            signs: Signs::default(),
        }
    }

    /// The state that a stored record stands for. Deadlines that were stored are armed again; everything that was
    /// only seen is to be seen anew, which [`super::Event::Began`] starts.
    #[must_use]
    pub fn restore(name: AgentName, record: AgentRecord, now: Moment, policy: &Policy) -> Self {
        let AgentRecord { attributes, assignment, issued, open, budget, deferred, last, turns } = record;
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
            turns: Ledger::restore(turns, policy.turns.lease, now),
            ..Self::new(name)
        };
        corroborating::restore(&mut state, now);
        state.phase = match open {
            None => attributes.rest.into(),
            Some(open) => match (open.delivered, open.intent.started_at.plus(policy.drain)) {
                (None, open_until) => Phase::Draining(Box::new(Draining {
                    intent: open.intent,
                    rest: attributes.rest,
                    retries: 0,
                    is_resumed: true,
                    // The time that turns had goes on where it was.
                    until: now.due_after(open_until.since(now.wall).min(policy.drain)),
                    waits: false,
                    cut_off: open.cut_off,
                })),
                (Some((at, before)), _) => Phase::Applying(Box::new(Applying {
                    delivered: Some(Delivered { at, before }),
                    cut_off: open.cut_off,
                    marks: IntentMarks { drained_at: None, delivered_at: Some(at), applied_at: None },
                    // An engine may still be carrying out an order that was given before the daemon ended.
                    is_doubtful: policy.runtime == RuntimeKind::Container,
                    ..Applying::begun(open.intent, attributes.rest, Step::Looking)
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
        if let Some(due) = state.turns.next_due(now) {
            state.timers.set(Timer::Turns, due);
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

    /// The lines of text that nothing agrees with yet, oldest first.
    pub fn claims(&self) -> impl Iterator<Item = &Deferred> {
        self.deferred.iter().filter(|deferred| deferred.outcome == Outcome::Uncorroborated)
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
