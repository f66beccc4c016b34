//! Callers of the agents in the world: what they wish for, what they hold, and which of their work really runs.
//!
//! A holder that is heard of no more has died, so there is no act for that. Work runs from the first heartbeat that is
//! answered until its holder stops it, a command ends it, or the life ends that it began in; whatever the machine
//! believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchman::domain::{Change, Reload, RuntimeState, SessionName, Steady, TurnClass};
use switchman::machine::agent::{Action, AgentState, Decision, Event, Ticket};
use switchman::machine::turns::{Begin, Ledger, TurnReply, TurnRequest};

use super::{Agent, World};
use crate::container::Container;
use crate::ledger::Book;

pub(crate) const HANDED_OVER: &str = "no session is handed over while its work may run";
pub(crate) const ORDER: &str = "callers are served in order, once, and as the other ledger says";
pub(crate) const REVIVED: &str = "nobody comes back whose work is being ended";
pub(crate) const LEASES: &str = "a restart of the daemon loses no lease";
pub(crate) const ANSWERED: &str = "nobody waits for longer than it wanted to";

/// So much later than it should be something may be found to be late.
const SLACK: Duration = Duration::from_secs(1);

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) session: &'static str,
    pub(crate) class: TurnClass,
    /// For so many seconds it waits.
    pub(crate) wait: Option<u64>,
    pub(crate) preempt: bool,
}

/// How much callers may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    /// What they want; without any there are no callers.
    pub(crate) wishes: &'static [Wish],
    /// Each of them is wished for once.
    pub(crate) is_once: bool,
    pub(crate) begins: u32,
    /// Heartbeats beside the first of each turn.
    pub(crate) beats: u32,
    pub(crate) cancels: u32,
    pub(crate) leaves: u32,
    pub(crate) fences: u32,
    pub(crate) shuns: u32,
    /// Words of holders whose turns have ended: they come late, or again.
    pub(crate) late: u32,
}

/// What tells one from another in the same search.
impl std::fmt::Debug for Calls {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wishes: _, is_once: _, begins, beats, cancels, leaves, fences, shuns, late } = self;
        write!(out, "{begins} {beats} {cancels} {leaves} {fences} {shuns} {late}")
    }
}

impl Calls {
    pub(crate) const NONE: Self =
        Self { wishes: &[], is_once: true, begins: 0, beats: 0, cancels: 0, leaves: 0, fences: 0, shuns: 0, late: 0 };

    pub(crate) const fn are_made(&self) -> bool {
        !self.wishes.is_empty()
    }
}

/// What a caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// The n-th wish.
    Begin(usize),
    Beat(u64),
    Complete(u64),
    Cancel(u64),
    Acknowledge(u64),
    Fence(u64),
    Leave(Ticket),
    /// The pool tells that the subscription cannot serve, or that it can.
    Shun(bool),
}

/// What the holder of a turn knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    ticket: Ticket,
    has_beaten: bool,
}

/// Work that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Work {
    turn: u64,
    session: SessionName,
    life: u32,
}

impl Work {
    fn runs(&self, container: &Container) -> bool {
        container.state == RuntimeState::Running && container.lives == self.life
    }
}

/// The callers of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Callers {
    wished: BTreeSet<usize>,
    /// Whoever waits, and until when at most.
    pub(super) in_line: BTreeMap<Ticket, Steady>,
    told: BTreeMap<u64, Told>,
    works: Vec<Work>,
    /// What the ledger should be; it follows from the rest.
    pub(super) book: Book,
}

impl Callers {
    /// What tells one from another. The ledger is told by its contents: its trees may have another shape for the same.
    pub(super) fn identity(&self, ledger: &Ledger, out: &mut impl std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?}{:?}{:?}{:?}", self.wished, self.in_line, self.told, self.works)?;
        for active in ledger.active() {
            write!(out, "{active:?}")?;
        }
        for waiter in ledger.waiters() {
            write!(out, "{waiter:?}")?;
        }
        write!(out, "{}{:?}{:?}{:?}", ledger.issued(), ledger.fences, ledger.fence_from, ledger.ask_from)
    }

    /// A command has ended the work of one turn.
    pub(super) fn command_runs(&mut self, action: &Action) {
        if let Action::Reload { by: Reload::Exec(argv), .. } = action {
            self.works.retain(|work| argv.iter().all(|arg| !arg.ends_with(&format!("-t{}", work.turn))));
        }
    }

    /// What is wrong with a step by what really runs.
    pub(super) fn audit(
        &mut self,
        before: &AgentState,
        event: &Event,
        decision: &Decision,
        container: &Container,
    ) -> Vec<&'static str> {
        let mut wrongs = Vec::new();
        for change in &decision.changes {
            let is_early = match change {
                Change::TurnEnded { turn, .. } => {
                    self.works.iter().any(|work| work.turn == turn.id.number && work.runs(container))
                }
                Change::TurnBegun { turn, .. } => {
                    self.works.iter().any(|work| work.session == turn.session && work.runs(container))
                }
                _ => false,
            };
            wrongs.extend(is_early.then_some(HANDED_OVER));
        }
        self.works.retain(|work| work.runs(container));
        let is_past_return = |turn: &u64| {
            let fence = before.phase.applying().is_some_and(|it| it.intent.plan == switchman::domain::Plan::Fence);
            fence && before.turns.turn(*turn).is_some_and(|turn| turn.lost.is_some())
        };
        if let Event::Turn { request: TurnRequest::Beat { turn }, .. } = event
            && is_past_return(turn)
            && decision.state.turns.turn(*turn).is_some_and(|turn| turn.lost.is_none())
        {
            wrongs.push(REVIVED);
        }
        for (ticket, reply) in decision.about_turns() {
            if let TurnReply::Begun(turn) = reply {
                self.told.insert(turn.id.number, Told { ticket, has_beaten: false });
            }
        }
        wrongs
    }

    /// The daemon was killed: connections are gone, holders are not.
    pub(super) fn are_cut_off_from_the_daemon(&mut self) {
        self.in_line.clear();
    }

    /// The pool has been asked: whatever time that takes counts for nobody.
    pub(super) fn are_kept(&mut self, time: Duration) {
        for until in self.in_line.values_mut() {
            *until = until.plus(time);
        }
    }

    pub(super) fn has_waited_too_long(&self, now: Steady) -> bool {
        self.in_line.values().any(|until| until.plus(SLACK) < now)
    }
}

pub(super) fn calls(agent: &Agent, left: &Calls) -> Vec<Call> {
    let (callers, turns) = (&agent.callers, &agent.state.turns);
    let mut calls = Vec::new();
    if left.begins > 0 {
        let is_open = |wish: &usize| !left.is_once || !callers.wished.contains(wish);
        calls.extend((0..left.wishes.len()).filter(is_open).map(Call::Begin));
    }
    for (number, told) in &callers.told {
        let Some(turn) = turns.turn(*number) else {
            // Whatever is said of it now comes late, or again.
            calls.extend([Call::Beat, Call::Complete, Call::Acknowledge].map(|call| call(*number)));
            continue;
        };
        if !told.has_beaten || left.beats > 0 {
            calls.push(Call::Beat(*number));
        }
        calls.push(Call::Complete(*number));
        calls.extend(turn.cancel.is_some().then_some(Call::Acknowledge(*number)));
        if !told.has_beaten && left.leaves > 0 {
            calls.push(Call::Leave(told.ticket));
        }
    }
    for turn in turns.turns() {
        calls.extend((left.cancels > 0 && turn.cancel.is_none()).then_some(Call::Cancel(turn.id.number)));
        calls.extend((left.fences > 0).then_some(Call::Fence(turn.id.number)));
    }
    if left.leaves > 0 {
        calls.extend(callers.in_line.keys().map(|ticket| Call::Leave(*ticket)));
    }
    if left.shuns > 0 && agent.state.subscription().is_some() {
        calls.extend([Call::Shun(true), Call::Shun(false)]);
    }
    calls
}

impl World {
    /// A caller does something.
    pub(super) fn call(&mut self, number: usize, call: Call) {
        let left = &mut self.left.calls;
        let Agent { callers, state, .. } = &mut self.agents[number];
        let is_over = |turn: u64| state.turns.turn(turn).is_none();
        let request = match call {
            Call::Begin(wish) => return self.wish(number, wish),
            Call::Leave(ticket) => {
                left.leaves -= 1;
                callers.in_line.remove(&ticket);
                callers.told.retain(|_, told| told.ticket != ticket || told.has_beaten);
                return self.step(number, Event::Withdrawn { ticket });
            }
            Call::Shun(is_shunned) => {
                left.shuns -= 1;
                let until = is_shunned.then(|| self.now.wall.plus(Duration::from_secs(600)));
                let Some(subscription) = self.agents[number].state.subscription().cloned() else { return };
                return self.step(number, Event::Shunned { subscription, until });
            }
            Call::Beat(turn) => {
                let is_first = callers.told.get(&turn).is_some_and(|told| !told.has_beaten);
                left.late -= u32::from(is_over(turn));
                left.beats -= u32::from(!is_over(turn) && !is_first);
                TurnRequest::Beat { turn }
            }
            Call::Complete(turn) | Call::Acknowledge(turn) => {
                // It has stopped before it says so.
                callers.works.retain(|work| work.turn != turn);
                left.late -= u32::from(is_over(turn));
                match call {
                    Call::Acknowledge(_) => TurnRequest::Cancelled { turn },
                    _ => TurnRequest::Complete { turn, is_ok: true },
                }
            }
            Call::Cancel(turn) => {
                left.cancels -= 1;
                TurnRequest::Cancel { turn, by: "somebody".to_owned() }
            }
            Call::Fence(turn) => {
                left.fences -= 1;
                TurnRequest::Fence { turn }
            }
        };
        let ticket = self.ticket(number);
        self.step(number, Event::Turn { ticket, request });
        if let Call::Beat(turn) = call {
            self.work_begins(number, turn);
        }
    }

    /// Holders of turns that have ended are forgotten, if nothing comes late.
    pub(super) fn forget_the_done(&mut self) {
        for agent in &mut self.agents {
            let turns = &agent.state.turns;
            agent.callers.told.retain(|number, _| self.left.calls.late > 0 || turns.turn(*number).is_some());
        }
    }

    fn wish(&mut self, number: usize, wish: usize) {
        self.left.calls.begins -= 1;
        let Wish { session, class, wait, preempt } = self.left.calls.wishes[wish];
        let begin = Begin {
            session: session.into(),
            class,
            holder: format!("caller {wish}"),
            wait: wait.map(Duration::from_secs),
            preempt,
            after: None,
            key: None,
        };
        let ticket = self.ticket(number);
        let agent = &mut self.agents[number];
        agent.callers.wished.insert(wish);
        if let Some(wait) = begin.wait {
            agent.owed.remove(&ticket);
            agent.callers.in_line.insert(ticket, self.now.steady.plus(wait));
        }
        self.step(number, Event::Turn { ticket, request: TurnRequest::Begin(Box::new(begin)) });
    }

    /// The first heartbeat of a turn that has not ended is the word to begin.
    fn work_begins(&mut self, number: usize, turn: u64) {
        let Agent { callers, container, state, .. } = &mut self.agents[number];
        let Some(told) = callers.told.get_mut(&turn) else { return };
        let is_first = !std::mem::replace(&mut told.has_beaten, true);
        let Some(session) = state.turns.turn(turn).map(|turn| turn.session.clone()) else { return };
        if is_first && container.state == RuntimeState::Running {
            if callers.works.iter().any(|work| work.session == session && work.runs(container)) {
                self.wrongs.insert(HANDED_OVER);
            }
            callers.works.push(Work { turn, session, life: container.lives });
        }
    }
}
