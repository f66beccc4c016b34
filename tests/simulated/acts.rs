//! What can happen in the world, and how much of it.

use std::time::Duration;

use switchman::domain::{Disposition, RuntimeState, SubscriptionName};
use switchman::machine::agent::testing::START;
use switchman::machine::agent::{About, Action, Command};

use super::World;
use super::callers::{Call, Calls, calls};

/// How an effect ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it should.
    Done,
    /// It is done, and the answer is lost.
    DoneUnanswered,
    /// It is not done, and nobody says so.
    Lost,
    /// It is done later, and nobody says so.
    Late,
    /// Half of it: the container is stopped and not started.
    Half,
    /// It is refused.
    Refused(Disposition, About),
    /// It is done and the agent does not get well.
    Unhealthy,
}

/// What a report names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Generation,
    Subscription,
    Nothing,
    /// A turn that is under way, and the generation.
    Turn,
}

/// Something that can happen next. The number is the agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// A turn fails in the container; the report about it is on its way.
    Fail(usize, Names),
    /// The n-th letter arrives at the door and is stamped; it may arrive again.
    Arrive { letter: usize, again: bool },
    /// The n-th stamped report is handled.
    Handle(usize, usize),
    /// The pool answers.
    Answer(usize),
    /// The effect under way ends.
    End(usize, Fate),
    /// An order whose answer was lost long ago is carried out, or never.
    Late { agent: usize, happens: bool },
    /// Time passes until the next timer is due.
    Tick,
    /// The daemon is killed and started again; an effect under way may come off or not.
    Crash(usize, Fate),
    /// An operator speaks.
    Operator(usize, Command),
    /// Somebody else stops or starts the container, or removes it.
    Outside(usize, RuntimeState),
    /// A caller does something.
    Call(usize, Call),
}

/// How much may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) fails: u32,
    pub(crate) repeats: u32,
    pub(crate) losses: u32,
    pub(crate) crashes: u32,
    pub(crate) ticks: u32,
    pub(crate) commands: u32,
    pub(crate) outside: u32,
    /// What reports name.
    pub(crate) names: &'static [Names],
    /// What callers do.
    pub(crate) calls: Calls,
}

impl World {
    /// Everything that can happen next.
    pub(crate) fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for (letter, _) in self.wire.iter().enumerate() {
            acts.push(Act::Arrive { letter, again: false });
            if self.left.repeats > 0 {
                acts.push(Act::Arrive { letter, again: true });
            }
        }
        for (number, agent) in self.agents.iter().enumerate() {
            if self.left.fails > 0 && agent.container.state == RuntimeState::Running {
                acts.extend(self.left.names.iter().map(|names| Act::Fail(number, *names)));
            }
            acts.extend((0..agent.intake.len()).map(|letter| Act::Handle(number, letter)));
            if agent.question.is_some() {
                acts.push(Act::Answer(number));
            }
            if let Some((_, action)) = &agent.in_flight {
                acts.push(Act::End(number, Fate::Done));
                if self.left.losses > 0 {
                    acts.extend(misfortunes(action).iter().map(|fate| Act::End(number, *fate)));
                }
            }
            if !agent.late.is_empty() {
                acts.extend([true, false].map(|happens| Act::Late { agent: number, happens }));
            }
            if self.left.crashes > 0 {
                acts.push(Act::Crash(number, Fate::Lost));
                match agent.in_flight {
                    Some((_, Action::Deliver { .. })) => acts.push(Act::Crash(number, Fate::DoneUnanswered)),
                    Some((_, Action::Restart(_) | Action::Start(_))) => {
                        acts.extend([Fate::DoneUnanswered, Fate::Late].map(|fate| Act::Crash(number, fate)));
                    }
                    _ => {}
                }
            }
            if self.left.commands > 0 {
                acts.extend(commands().into_iter().map(|command| Act::Operator(number, command)));
            }
            // An engine does one thing at a time to a container: what others ask for waits for our late order.
            if self.left.outside > 0 && agent.late.is_empty() {
                let states = [RuntimeState::Running, RuntimeState::Stopped, RuntimeState::Missing];
                acts.extend(states.map(|state| Act::Outside(number, state)));
            }
            if self.left.calls.are_made() {
                acts.extend(calls(agent, &self.left.calls).into_iter().map(|call| Act::Call(number, call)));
            }
        }
        if self.left.ticks > 0 && self.next_tick().is_some() {
            acts.push(Act::Tick);
        }
        acts
    }

    /// How long until the next timer is due. An engine finishes a call in its time or never: no timer that waits
    /// for that is due before.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let wait = self.agents.iter().filter_map(|agent| agent.state.timers.next(self.now)).min()?;
        let at = self.now.steady.plus(wait);
        let is_first = self.agents.iter().flat_map(|agent| &agent.late).all(|(_, until)| at < *until);
        is_first.then_some(wait)
    }
}

fn misfortunes(action: &Action) -> &'static [Fate] {
    const BUSY: Fate = Fate::Refused(Disposition::Transient, About::Runtime);
    const BROKEN: Fate = Fate::Refused(Disposition::Permanent, About::Agent);
    match action {
        Action::Look { .. } => &[BUSY],
        Action::Reload { .. } => &[BUSY, Fate::DoneUnanswered],
        Action::Preflight { .. } => &[BUSY, BROKEN, Fate::Refused(Disposition::Permanent, About::Target)],
        Action::Deliver { .. } => &[Fate::DoneUnanswered, Fate::Lost, BROKEN],
        Action::Restart(_) => &[Fate::DoneUnanswered, Fate::Lost, Fate::Late, Fate::Half, BUSY],
        Action::Start(_) => &[Fate::DoneUnanswered, Fate::Lost, BUSY],
        Action::AwaitReady { .. } => &[BUSY, Fate::Unhealthy],
    }
}

fn commands() -> Vec<Command> {
    let to = |to: &str, force| Command::Switch { to: Some(SubscriptionName::from(to)), force, reason: None };
    vec![
        Command::Switch { to: None, force: false, reason: None },
        to("a", true),
        to("b", false),
        Command::CancelSwitch,
        Command::Pause { until: None },
        Command::Pause { until: Some(START.wall.plus(Duration::from_secs(90))) },
        Command::Resume,
        Command::Pin { to: "b".into() },
        Command::Unpin,
        Command::Unpark,
    ]
}
