//! What can happen in the world, and how much of it.

use std::time::Duration;

use switchman::domain::{Disposition, RuntimeState, SubscriptionName};
use switchman::machine::agent::testing::START;
use switchman::machine::agent::{About, Action, Command};

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
}

pub(super) fn misfortunes(action: &Action) -> &'static [Fate] {
    const BUSY: Fate = Fate::Refused(Disposition::Transient, About::Runtime);
    const BROKEN: Fate = Fate::Refused(Disposition::Permanent, About::Agent);
    match action {
        Action::Look { .. } | Action::Reload { .. } => &[BUSY],
        Action::Preflight { .. } => &[BUSY, BROKEN, Fate::Refused(Disposition::Permanent, About::Target)],
        Action::Deliver { .. } => &[Fate::DoneUnanswered, Fate::Lost, BROKEN],
        Action::Restart(_) => &[Fate::DoneUnanswered, Fate::Lost, Fate::Late, Fate::Half, BUSY],
        Action::Start(_) => &[Fate::DoneUnanswered, Fate::Lost, BUSY],
        Action::AwaitReady { .. } => &[BUSY, Fate::Unhealthy],
    }
}

pub(super) fn commands() -> Vec<Command> {
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
