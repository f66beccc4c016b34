//! The books of the world: what really happened, and what is wrong with what the machine made of it.

use std::time::Duration;

use switchman::domain::{Change, Moment, Plan, Reach, Report, RuntimeState, Turn, TurnsRecord};
use switchman::machine::agent::{AgentState, Phase, Step};
use switchman::machine::invariant;
use switchman::machine::timer::Timer;

use super::callers::ANSWERED;
use super::{Agent, World};
use crate::mutation::is_forced;

pub(crate) const ONE_RESTART: &str = "at most one effective restart per intent";
pub(crate) const STALE: &str = "a stale report is acted on by nobody";
pub(crate) const COOLING: &str = "no switch to a cooling subscription";
pub(crate) const FORGOTTEN: &str = "nobody is forgotten";
pub(crate) const ENDS: &str = "every intent ends once";
pub(crate) const DRAINS: &str = "a drain ends by its deadline";
pub(crate) const CREDENTIAL: &str = "an idle agent runs on its assignment";

impl World {
    /// Holds the rows of a step against what really happened.
    pub(super) fn audit(&mut self, number: usize, changes: &[Change]) {
        let agent = &mut self.agents[number];
        for change in changes {
            match change {
                Change::CooldownSet(row) => {
                    let truth = row.failure.as_ref().and_then(|failure| agent.truths.get(&failure.number));
                    if truth.is_some_and(|letter| is_named(&letter.report) && letter.truth.0 != row.subscription) {
                        self.wrongs.insert(STALE);
                    }
                    self.rows.insert(row.key.clone(), row.clone());
                }
                Change::IntentOpened(intent) => {
                    if agent.opened.len() != agent.closed.len() || !agent.opened.insert(intent.id.number) {
                        self.wrongs.insert(ENDS);
                    }
                    let truth = intent.cause.failure.as_ref().and_then(|failure| agent.truths.get(&failure.number));
                    if truth
                        .is_some_and(|letter| is_named(&letter.report) && letter.truth.1 != agent.state.generation())
                    {
                        self.wrongs.insert(STALE);
                    }
                    if !is_forced(intent.cause.by) {
                        agent.switches.push(self.now.wall);
                        let is_own = |reach: &Reach| match reach {
                            Reach::All => true,
                            Reach::Agent(name) => *name == agent.state.name,
                        };
                        let is_cooling = self.rows.values().any(|row| {
                            row.subscription == intent.to && row.is_cooling(self.now.wall) && is_own(&row.key.reach)
                        });
                        if is_cooling {
                            self.wrongs.insert(COOLING);
                        }
                    }
                    if intent.plan == Plan::Switch && intent.from.as_ref() == Some(&intent.to) {
                        self.wrongs.insert("a switch goes nowhere");
                    }
                }
                Change::IntentClosed(end) => {
                    let is_first_end = agent.opened.contains(&end.id.number) && agent.closed.insert(end.id.number);
                    self.wrongs.extend((!is_first_end).then_some(ENDS));
                }
                _ => {}
            }
        }
    }

    /// What must hold whenever nothing is half decided.
    pub(super) fn check(&mut self) {
        for agent in &self.agents {
            if agent.begun.values().any(|lives| *lives > 1) {
                self.wrongs.insert(ONE_RESTART);
            }
            for broken in invariant::broken(&agent.state, &agent.policy) {
                self.wrongs.insert(broken.id());
            }
            let is_waited_for = agent.question.is_some() || agent.in_flight.is_some();
            let is_armed =
                [Timer::Retry, Timer::Drain].into_iter().any(|timer| agent.state.timers.get(timer).is_some());
            self.wrongs.extend(drains_on(agent, self.now).then_some(DRAINS));
            self.wrongs.extend(agent.callers.has_waited_too_long(self.now.steady).then_some(ANSWERED));
            if agent.state.phase.is_switching() && !is_waited_for && !is_armed {
                self.wrongs.insert(FORGOTTEN);
            }
            let rests = [Timer::Wake, Timer::Brake, Timer::Retry];
            let wakes = rests.into_iter().any(|timer| agent.state.timers.get(timer).is_some()) || is_waited_for;
            let is_held = agent.state.pause.is_some() || agent.state.pin.is_some();
            let is_parked = matches!(agent.state.phase, Phase::Parked { .. });
            if agent.state.trouble.is_some() && !agent.state.phase.is_switching() && !wakes && !is_held && !is_parked {
                self.wrongs.insert(FORGOTTEN);
            }
            let span = agent.policy.budget.per;
            let recent = agent.switches.iter().filter(|at| at.plus(span) > self.now.wall).count();
            if recent > agent.policy.budget.switches as usize {
                self.wrongs.insert("the budget was overdrawn");
            }
            if matches!(agent.state.phase, Phase::Selecting(_)) {
                continue;
            }
            self.wrongs.extend(unlike_its_record(agent, self.now));
            let is_idle = agent.in_flight.is_none() && agent.late.is_empty();
            let rests = matches!(agent.state.phase, Phase::Serving | Phase::Exhausted { .. });
            if let (true, true, Some(has)) = (is_idle, rests, agent.state.subscription()) {
                let runs = agent.container.state == RuntimeState::Running;
                if agent.container.file.0 != *has || (runs && agent.container.runs_on.0 != *has) {
                    self.wrongs.insert(CREDENTIAL);
                }
            }
        }
    }
}

/// Whether turns are waited for although the time for that is over.
fn drains_on(agent: &Agent, now: Moment) -> bool {
    let late = Duration::from_secs(1);
    match &agent.state.phase {
        Phase::Draining(draining) if draining.waits => {
            draining.intent.started_at.plus(agent.policy.drain).plus(late) < now.wall
        }
        Phase::Applying(applying) if applying.step == Step::Emptying => {
            let left = agent.state.timers.get(Timer::Drain).map(|due| due.remaining(now));
            left.is_none_or(|left| left > agent.policy.drain)
        }
        Phase::Serving
        | Phase::Selecting(_)
        | Phase::Draining(_)
        | Phase::Applying(_)
        | Phase::Exhausted { .. }
        | Phase::Parked { .. } => false,
    }
}

fn is_named(report: &Report) -> bool {
    report.generation.is_some() || report.subscription.is_some()
}

/// Whether the rows that were committed stand for another state than the one that was reached: then something that
/// decides was not written.
fn unlike_its_record(agent: &Agent, now: Moment) -> Option<&'static str> {
    let (name, record) = (agent.state.name.clone(), agent.fold.record.clone());
    let (is, was) = (&agent.state, &AgentState::restore(name, record, now, &agent.policy));
    let budget = |state: &AgentState| {
        let span = agent.policy.budget.per;
        state.budget.iter().copied().filter(|at| at.plus(span) > now.wall).collect::<Vec<_>>()
    };
    let deferred = |state: &AgentState| {
        let of = |it: &switchman::domain::Deferred| (it.failure.number, it.stamp.clone(), it.outcome);
        state.deferred.iter().map(of).collect::<Vec<_>>()
    };
    let before = |state: &AgentState| match &state.phase {
        Phase::Applying(applying) => applying.delivered.as_ref().map(|delivered| delivered.before.clone()),
        _ => None,
    };
    // A heartbeat renews a lease in memory alone.
    let turns = |state: &AgentState| {
        let durable = |turn: &Turn| Turn { until: now.wall, ..turn.clone() };
        (state.turns.issued(), state.turns.turns().map(durable).collect::<Vec<_>>())
    };
    let sessions = |state: &AgentState| {
        let known = record_of(agent).sessions.iter().map(|saved| state.turns.remembered(&saved.session));
        known.collect::<Vec<_>>()
    };
    let fences = |state: &AgentState| {
        let span = agent.policy.budget.per;
        state.turns.fences.iter().copied().filter(|at| at.plus(span) > now.wall).collect::<Vec<_>>()
    };
    let checks = [
        (turns(is) == turns(was), "the turns are not written"),
        (sessions(is) == sessions(was), "a session is not written"),
        (fences(is) == fences(was), "the budget of fences is not written"),
        (is.assignment == was.assignment, "the assignment is not written"),
        (is.issued == was.issued && is.recent == was.recent, "the generations are not written"),
        (is.failures == was.failures && is.intents == was.intents, "the numbers are not written"),
        (is.trouble == was.trouble, "the trouble is not written"),
        (is.pause == was.pause && is.pin == was.pin, "the pause or the pin is not written"),
        (is.apply_failures == was.apply_failures && is.exclusions == was.exclusions, "failed tries are not written"),
        (is.switched_at == was.switched_at && is.last == was.last, "the last switch is not written"),
        (budget(is) == budget(was), "the budget is not written"),
        (deferred(is) == deferred(was), "deferred reports are not written"),
        (is.phase.rest() == was.phase.rest(), "where it rests is not written"),
        (is.phase.intent() == was.phase.intent(), "the intent is not written"),
        (before(is) == before(was), "the life that must end is not written"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map(|(_, wrong)| wrong)
}

fn record_of(agent: &Agent) -> &TurnsRecord {
    &agent.fold.record.turns
}
