//! Replay: what would have been done about failures that were recorded, without doing any of it.
//!
//! One agent alone in its pool, on a calendar that goes as the records say. The decisions are those of production
//! ([`crate::machine`]); what they ask of the world is answered with success at once, except that a restart takes a
//! moment, in which the old life is still the one that writes. It must not have any effect, and reads no clock: whoever
//! has a recorded log brings its lines with their times.
//!
//! ```text
//!   line, time ──► the calendar goes on ──► report, stamped ──► transition ⇄ pool, world ──► timeline
//!                  timers, ends of restarts,
//!                  ends of cooldowns
//! ```
//!
//! What a record cannot tell: an agent that was not moved when it was recorded goes on telling of its limit. A limit that
//! names the reset of one that has moved the agent is taken for the same limit, told by the life before. One that names
//! none is taken for what the agent runs on by then.
//!
//! Tests: `replay/tests.rs`; the binary in `tests/cli/replay.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[cfg(test)]
mod tests;
mod timeline;
mod world;

pub use timeline::{Entry, What};

use crate::classify::Verdict;
use crate::domain::{
    AgentName, Change, FailureId, FailureKind, Generation, Model, Moment, Origin, Outcome, Plan, Report, Reporter,
    Steady, SubscriptionName, Wall, Window,
};
use crate::machine::agent::{Action, AgentState, Effect, Event, Phase, Reply, Ticket, transition};
use crate::machine::attribution::stamp;
use crate::machine::policy::{Policy, PoolSettings, RuntimeKind, SubscriptionPolicy};
use world::World;

/// How long a restart is taken to last.
pub const RESTART_TAKES: Duration = Duration::from_secs(5);

/// Two statements of one reset differ by so much at most.
const SAME_RESET: Duration = Duration::from_secs(60);

/// How long work that is under way after the last line is followed.
const FINISH_WITHIN: Duration = Duration::from_secs(3_600);

/// Between two lines so much happens at most: a bound, should something be due for ever.
const STEPS_MAX: u32 = 100_000;

/// Where a replay begins.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Whose log it is.
    pub agent: AgentName,
    /// What is decided by.
    pub policy: Policy,
    /// The pool.
    pub subscriptions: Vec<SubscriptionPolicy>,
    /// What is decided by in the pool.
    pub pool: PoolSettings,
    /// What it runs on at first.
    pub on: SubscriptionName,
}

/// A recorded failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The number of its line.
    pub line: u64,
    /// When it was written.
    pub at: Wall,
    /// What it means.
    pub verdict: Verdict,
}

/// Where an agent is at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Its phase.
    pub phase: &'static str,
    /// What it runs on.
    pub subscription: Option<SubscriptionName>,
    /// The number of that assignment.
    pub generation: Generation,
    /// When it looks into its trouble again by itself.
    pub wake_at: Option<Wall>,
}

/// What a stated limit is known by again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stated {
    kind: FailureKind,
    window: Window,
    model: Option<Model>,
    reset_at: Wall,
}

impl Stated {
    fn of(verdict: &Verdict) -> Option<Self> {
        let Verdict { kind, window, model, reset_at, .. } = verdict;
        Some(Self { kind: *kind, window: *window, model: model.clone(), reset_at: (*reset_at)? })
    }

    fn is(&self, other: &Self) -> bool {
        let apart = self.reset_at.since(other.reset_at).max(other.reset_at.since(self.reset_at));
        (self.kind, self.window, &self.model) == (other.kind, other.window, &other.model) && apart <= SAME_RESET
    }
}

/// An agent that lives through a record.
#[derive(Debug)]
pub struct Replay {
    policy: Policy,
    state: AgentState,
    world: World,
    now: Moment,
    tickets: u64,
    /// The limits that have moved it, with the generation that they are about.
    left: Vec<(Stated, Generation)>,
    /// Lines whose judgement waits.
    deferred: BTreeMap<FailureId, u64>,
    timeline: Vec<Entry>,
    switches: u32,
}

impl Replay {
    /// The agent as it runs at `at`, when nothing has failed yet.
    #[must_use]
    pub fn new(setting: Setting, at: Wall) -> Self {
        let Setting { agent, policy, subscriptions, pool, on } = setting;
        // A child process would have to be brought up first, which is no switch: it is taken as running.
        let policy = Policy { runtime: RuntimeKind::Container, ..policy };
        let mut replay = Self {
            policy,
            state: AgentState::new(agent),
            world: World::new(subscriptions, pool, on, at),
            now: Moment { wall: at, steady: Steady(0) },
            tickets: 0,
            left: Vec::new(),
            deferred: BTreeMap::new(),
            timeline: Vec::new(),
            switches: 0,
        };
        replay.happen(Event::Began);
        replay
    }

    /// What would have been made of a line. The calendar goes on to its time; it never goes back.
    pub fn tell(&mut self, told: &Told) {
        self.advance(told.at);
        if told.verdict.is_hearsay {
            return self.note(What::hearsay(told));
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let stated = Stated::of(&told.verdict);
        let ran_in = stated.as_ref().and_then(|stated| self.left.iter().find(|(left, _)| left.is(stated)));
        let ran_in = ran_in.map(|(_, generation)| *generation).filter(|past| *past < self.state.generation());
        let report = self.report(told, ran_in);
        let Ok(stamp) = stamp(&report, &self.state, &self.policy, self.now.wall) else { return };
        let (before, noted) = (self.state.generation(), self.timeline.len());
        let event = Event::Report { ticket, report: Box::new(report), digest: 0, stamp, count: 1 };
        let replies = self.happen(event);
        let answer = replies.into_iter().find_map(|(to, reply)| match reply {
            Reply::Report(answer) if to == ticket => Some(answer),
            Reply::Report(_) | Reply::Turn(_) | Reply::Done | Reply::Switching(_) | Reply::Refused(_) => None,
        });
        let Some(answer) = answer else { return };
        if answer.outcome == Outcome::Switching
            && let Some(stated) = stated
        {
            self.left.push((stated, before));
        }
        if answer.outcome.is_deferred()
            && let Some(failure) = answer.failure.clone()
        {
            self.deferred.insert(failure, told.line);
        }
        // What the answer has led to was noted before the answer was known.
        let led_to = self.timeline.split_off(noted);
        self.note(What::reported(told, &answer, ran_in.is_some()));
        self.timeline.extend(led_to);
    }

    /// Lets what is under way end. Says where the agent is then.
    pub fn finish(&mut self) -> Rest {
        let until = self.now.wall.plus(FINISH_WITHIN);
        for _ in 0..STEPS_MAX {
            let Some(due) = self.world.due().filter(|due| *due <= until) else { break };
            self.advance(due);
        }
        let state = &self.state;
        Rest {
            phase: state.phase.as_str(),
            subscription: state.subscription().cloned(),
            generation: state.generation(),
            wake_at: state.wake_at(self.now),
        }
    }

    /// What happened, in order.
    #[must_use]
    pub fn timeline(&self) -> &[Entry] {
        &self.timeline
    }

    /// How often it would have been moved.
    #[must_use]
    pub fn switches(&self) -> u32 {
        self.switches
    }

    /// How often it would have been restarted.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.world.restarts()
    }

    fn report(&self, told: &Told, ran_in: Option<Generation>) -> Report {
        let Verdict { kind, window, model, reset_at, trust, is_hearsay, rule, reason } = told.verdict.clone();
        Report {
            id: None,
            kind,
            subscription: None,
            generation: ran_in,
            turn: None,
            model,
            window,
            reset_at,
            trust,
            is_hearsay,
            observed_at: Some(self.now.wall),
            origin: Origin::Life(self.world.life()),
            read_to: None,
            reporter: Reporter::Agent,
            sender: "log".to_owned(),
            reason: Some(format!("{rule}: {reason}")),
        }
    }

    /// Lets time pass, and all that is due by then happen.
    fn advance(&mut self, to: Wall) {
        for _ in 0..STEPS_MAX {
            let timer = self.state.timers.next(self.now).map(|wait| self.now.wall.plus(wait));
            let Some(next) = [timer, self.world.due()].into_iter().flatten().min().filter(|next| *next <= to) else {
                break;
            };
            self.set_time(next);
            match self.world.outcome(next) {
                Some(outcome) => self.happen(outcome),
                None => self.happen(Event::Tick),
            };
        }
        self.set_time(to);
        self.world.expire(self.now.wall);
    }

    fn set_time(&mut self, to: Wall) {
        let passed = to.since(self.now.wall);
        self.now = Moment { wall: self.now.wall.max(to), steady: self.now.steady.plus(passed) };
    }

    /// Lets an event happen, and everything that follows from it at once.
    fn happen(&mut self, event: Event) -> Vec<(Ticket, Reply)> {
        let (mut due, mut replies, mut changes) = (VecDeque::from([event]), Vec::new(), Vec::new());
        while let Some(event) = due.pop_front() {
            let empty = AgentState::new(self.state.name.clone());
            let step = transition(std::mem::replace(&mut self.state, empty), event, self.now, &self.policy);
            changes.extend(step.changes);
            replies.extend(step.replies);
            // While the pool is asked, nothing is written: the pick completes the decision.
            let is_selecting = matches!(step.state.phase, Phase::Selecting(_));
            self.state = step.state;
            let mut acts = Vec::new();
            for effect in step.effects {
                match effect {
                    Effect::Reserve { selection, view } => {
                        let pick = self.world.pick(&view, self.now.wall);
                        due.push_front(Event::Picked { selection, pick });
                    }
                    Effect::Release => self.world.release(&self.state.name),
                    Effect::Act { attempt, action } => acts.push((attempt, action)),
                }
            }
            if !is_selecting {
                let written = std::mem::take(&mut changes);
                self.note_changes(&written);
                due.extend(self.world.fold(&written, self.now.wall));
            }
            for (attempt, action) in acts {
                due.extend(self.act(attempt, action));
            }
        }
        replies
    }

    fn act(&mut self, attempt: u32, action: Action) -> Option<Event> {
        let takes = match &action {
            Action::Restart(_) | Action::Start(_) => RESTART_TAKES,
            Action::Look { .. }
            | Action::Preflight { .. }
            | Action::Deliver { .. }
            | Action::Reload { .. }
            | Action::AwaitReady { .. } => Duration::ZERO,
        };
        self.world.begin(attempt, action, self.now.wall.plus(takes));
        if takes.is_zero() { self.world.outcome(self.now.wall) } else { None }
    }

    fn note_changes(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::IntentOpened(intent) if intent.plan == Plan::Switch => self.note(What::began(intent)),
                Change::IntentClosed(end) => {
                    self.switches += u32::from(end.outcome.is_delivered());
                    self.note(What::Ended { outcome: end.outcome });
                }
                Change::FailureJudged { id, outcome, .. } => {
                    if let Some(line) = self.deferred.remove(id) {
                        self.note(What::Judged { line, outcome: *outcome });
                    }
                }
                Change::Notified(notification) => {
                    if let Some(said) = What::said(notification) {
                        self.note(said);
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, what: What) {
        timeline::add(&mut self.timeline, Entry { at: self.now.wall, what });
    }
}
