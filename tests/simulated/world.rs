//! The world that the machine is tried in: agents with containers, one pool, a wire that delays and repeats, effects
//! whose answers get lost, crashes. Everything that can happen next is an [`Act`]; whoever explores chooses.
//!
//! It uses the production `transition`, `PoolState`, `stamp` and `restore`, and keeps books of its own about what
//! really happened, against which every step is held. Used by `model.rs` (all orders of few acts) and
//! `machine_properties.rs` (random orders of many).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchman::domain::{
    AgentName, Change, Cooldown, CooldownKey, Disposition, FailureKind, Generation, Moment, Report, Reporter,
    RuntimeState, Stamp, Steady, Wall,
};
use switchman::machine::agent::testing::{RecordFold, START, given, report};
use switchman::machine::agent::{
    About, Action, AgentState, Effect, EffectOutcome, Event, Obstacle, Phase, Readiness, Signs, Start, Ticket,
};
use switchman::machine::attribution::stamp;
use switchman::machine::policy::{Policy, RuntimeKind};
use switchman::machine::pool::{AgentView, PoolState};

#[path = "acts.rs"]
mod acts;
#[path = "books.rs"]
pub(crate) mod books;
#[path = "callers.rs"]
pub(crate) mod callers;

pub(crate) use acts::{Act, Budget, Fate, Names};

use books::STALE;
use callers::{Callers, LEASES, ORDER};

use crate::container::{Container, Login};
use crate::mutation::Mutation;

/// A report on the wire, and what it is really about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    agent: usize,
    report: Report,
    truth: Login,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) state: AgentState,
    pub(crate) policy: Policy,
    pub(crate) container: Container,
    fold: RecordFold,
    uncommitted: Vec<Change>,
    held: Vec<Effect>,
    question: Option<(u64, Box<AgentView>)>,
    in_flight: Option<(u32, Action)>,
    /// Orders that an engine still has, and until when it may carry them out.
    late: Vec<(Start, Steady)>,
    intake: Vec<(Letter, Stamp)>,
    owed: BTreeSet<Ticket>,
    /// What each recorded failure is really about, and whether that could be told.
    truths: BTreeMap<u64, Letter>,
    /// Lives that each intent has begun.
    begun: BTreeMap<u64, u32>,
    opened: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    switches: Vec<Wall>,
    pub(crate) callers: Callers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) now: Moment,
    pub(crate) agents: Vec<Agent>,
    pub(crate) pool: PoolState,
    pub(crate) left: Budget,
    pub(crate) mutation: Mutation,
    wire: Vec<Letter>,
    rows: BTreeMap<CooldownKey, Cooldown>,
    tickets: u64,
    /// What was found wrong.
    pub(crate) wrongs: BTreeSet<&'static str>,
    /// What the other ledger has against the first step that it did not expect.
    pub(crate) objection: Option<String>,
    /// Every event with its time, if it is to be replayed.
    pub(crate) trace: Option<Vec<(usize, Event, Moment)>>,
}

impl World {
    /// Containers that serve on `a`, found running, or process agents that are about to be started.
    pub(crate) fn new(agents: usize, policy: &Policy, pool: PoolState, left: Budget) -> Self {
        let mut world = Self {
            now: START,
            agents: Vec::new(),
            pool,
            left,
            mutation: Mutation::None,
            wire: Vec::new(),
            rows: BTreeMap::new(),
            tickets: 0,
            wrongs: BTreeSet::new(),
            objection: None,
            trace: None,
        };
        for number in 0..agents {
            let name = AgentName::from(format!("w{number}"));
            world.agents.push(Agent {
                state: AgentState::new(name.clone()),
                policy: policy.clone(),
                container: match policy.runtime {
                    RuntimeKind::Container => Container::running(("a".into(), Generation(1))),
                    RuntimeKind::Process => Container::never_started(),
                },
                fold: RecordFold::new(name, START),
                uncommitted: Vec::new(),
                held: Vec::new(),
                question: None,
                in_flight: None,
                late: Vec::new(),
                intake: Vec::new(),
                owed: BTreeSet::new(),
                truths: BTreeMap::new(),
                begun: BTreeMap::new(),
                opened: BTreeSet::new(),
                closed: BTreeSet::new(),
                switches: Vec::new(),
                callers: Callers::default(),
            });
            world.step(number, Event::Began);
            world.end(number, Fate::Done);
        }
        world
    }

    /// Everything that tells this world from another one that began alike; what follows from it is left out.
    pub(crate) fn identity(&self, out: &mut impl std::fmt::Write) -> std::fmt::Result {
        write!(out, "{:?}{:?}{:?}{:?}{:?}", self.now, self.left, self.wire, self.rows, self.wrongs)?;
        for agent in &self.agents {
            let mut state = agent.state.clone();
            agent.callers.identity(&std::mem::take(&mut state.turns), out)?;
            // Nothing in this world is only text, so nothing asks for them.
            state.signs = Signs::default();
            write!(out, "{:?}{:?}{:?}{:?}", state, agent.container, agent.question, agent.in_flight)?;
            write!(out, "{:?}{:?}{:?}{:?}", agent.intake, agent.late, agent.owed, agent.begun)?;
            write!(out, "{:?}{:?}{:?}{:?}", agent.held, agent.truths, agent.opened, agent.closed)?;
            let record = &agent.fold.record;
            write!(out, "{:?}{:?}", record.attributes.wake_at, record.open)?;
            if !agent.uncommitted.is_empty() {
                write!(out, "{:?}{record:?}", agent.uncommitted)?;
            }
        }
        Ok(())
    }

    /// Lets it happen.
    pub(crate) fn act(&mut self, act: &Act) {
        match act {
            Act::Fail(number, names) => self.fail(*number, *names),
            Act::Arrive { letter, again } => self.arrive(*letter, *again),
            Act::Handle(number, letter) => self.handle(*number, *letter),
            Act::Answer(number) => self.answer(*number),
            Act::End(number, fate) => self.end(*number, *fate),
            Act::Late { agent, happens } => {
                let (order, _) = self.agents[*agent].late.remove(0);
                if *happens {
                    self.restart(*agent, &order);
                }
            }
            Act::Tick => self.tick(),
            Act::Crash(number, fate) => self.crash(*number, *fate),
            Act::Operator(number, command) => {
                self.left.commands -= 1;
                let ticket = self.ticket(*number);
                self.step(*number, Event::Operator { ticket, command: command.clone() });
            }
            Act::Outside(number, state) => self.outside(*number, *state),
            Act::Call(number, call) => self.call(*number, *call),
        }
        self.forget_the_done();
        self.check();
    }

    fn pass(&mut self, time: Duration) {
        self.now = Moment { wall: self.now.wall.plus(time), steady: self.now.steady.plus(time) };
    }

    fn ticket(&mut self, number: usize) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.agents[number].owed.insert(ticket);
        ticket
    }

    fn fail(&mut self, number: usize, names: Names) {
        self.left.fails -= 1;
        self.pass(Duration::from_millis(1));
        let truth = self.agents[number].container.runs_on.clone();
        let reporter = if self.agents.len() > 1 { Reporter::Agent } else { Reporter::Trusted };
        let base = Report { reporter, observed_at: Some(self.now.wall), ..report(FailureKind::RateLimit) };
        let report = match names {
            Names::Generation => Report { generation: Some(truth.1), ..base },
            Names::Subscription => Report { subscription: Some(truth.0.clone()), ..base },
            Names::Nothing => base,
            Names::Turn => {
                let turn = self.agents[number].state.turns.turns().next().map(|turn| turn.id.clone());
                Report { turn, generation: Some(truth.1), ..base }
            }
        };
        self.wire.push(Letter { agent: number, report, truth });
    }

    fn arrive(&mut self, letter: usize, again: bool) {
        let letter = if again {
            self.left.repeats -= 1;
            self.wire[letter].clone()
        } else {
            self.wire.remove(letter)
        };
        let agent = &mut self.agents[letter.agent];
        match stamp(&letter.report, &agent.state, &agent.policy, self.now.wall) {
            Ok(stamp) => agent.intake.push((letter, stamp)),
            Err(_) => {
                self.wrongs.insert("a true report was refused at the door");
            }
        }
    }

    fn handle(&mut self, number: usize, letter: usize) {
        let (letter, stamp) = self.agents[number].intake.remove(letter);
        let before = self.agents[number].clone();
        let (ticket, failure) = (self.ticket(number), before.state.failures + 1);
        self.agents[number].truths.insert(failure, letter.clone());
        let report = Box::new(letter.report.clone());
        self.step(number, Event::Report { ticket, report, digest: 0, stamp: stamp.clone(), count: 1 });
        let is_stale = letter.truth.1 < before.state.generation() && letter.report.generation.is_some();
        if is_stale && self.agents[number].state.phase != before.state.phase {
            self.wrongs.insert(STALE);
        }
    }

    fn answer(&mut self, number: usize) {
        let Some((selection, view)) = self.agents[number].question.take() else { return };
        let pick = self.pool.pick(&view, self.now.wall);
        self.step(number, Event::Picked { selection, pick });
    }

    fn end(&mut self, number: usize, fate: Fate) {
        let Some((attempt, action)) = self.agents[number].in_flight.take() else { return };
        if fate != Fate::Done {
            self.left.losses -= 1;
        }
        self.pass(Duration::from_millis(1));
        self.carry_out(number, &action, fate);
        let answered = match fate {
            Fate::Done | Fate::Unhealthy => Ok(()),
            Fate::DoneUnanswered | Fate::Lost | Fate::Late | Fate::Half => Err((Disposition::InDoubt, About::Runtime)),
            Fate::Refused(disposition, about) => Err((disposition, about)),
        };
        let answered =
            answered.map_err(|(disposition, about)| Obstacle { disposition, about, text: "refused".to_owned() });
        let container = &self.agents[number].container;
        let outcome = match &action {
            Action::Look { .. } => EffectOutcome::Seen(answered.map(|()| container.look())),
            Action::Preflight { view, .. } => {
                EffectOutcome::Preflight(answered.and_then(|()| match self.pool.confirm(view, self.now.wall) {
                    None => Ok(container.look()),
                    Some(lost) => Err(Obstacle {
                        disposition: Disposition::Permanent,
                        about: About::Target,
                        text: lost.to_string(),
                    }),
                }))
            }
            Action::Deliver { .. } => EffectOutcome::Delivered(answered.map(|()| given())),
            Action::Reload { .. } => EffectOutcome::Reloaded(answered),
            Action::Restart(_) | Action::Start(_) => EffectOutcome::Restarted(answered),
            Action::AwaitReady { .. } => EffectOutcome::Ready(
                answered.map(|()| if fate == Fate::Unhealthy { Readiness::NotReady } else { container.readiness() }),
            ),
        };
        self.step(number, Event::Outcome { attempt, outcome });
    }

    fn carry_out(&mut self, number: usize, action: &Action, fate: Fate) {
        let agent = &mut self.agents[number];
        match (action, fate) {
            (Action::Deliver { to, generation, .. }, Fate::Done | Fate::DoneUnanswered) => {
                agent.container.file = (to.clone(), *generation);
            }
            (Action::Reload { .. }, Fate::Done | Fate::DoneUnanswered) => agent.callers.command_runs(action),
            (Action::Restart(order), Fate::Done | Fate::DoneUnanswered) => {
                let order = order.clone();
                if self.agents[number].container.is_meant_by(&order) {
                    self.restart(number, &order);
                }
            }
            (Action::Restart(order), Fate::Late) if agent.container.is_meant_by(order) => {
                let until = self.now.steady.plus(agent.policy.call_timeout);
                agent.late.push((order.clone(), until));
            }
            (Action::Restart(order), Fate::Half) if agent.container.is_meant_by(order) => agent.container.stop(),
            (Action::Start(order), Fate::Done | Fate::DoneUnanswered) => {
                let is_restart = !agent.container.is_stopped_by_others;
                if agent.container.start() && is_restart {
                    *agent.begun.entry(order.intent.number).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// The engine restarts what there is, without another thought.
    fn restart(&mut self, number: usize, order: &Start) {
        let agent = &mut self.agents[number];
        agent.container.stop();
        if agent.container.start() {
            *agent.begun.entry(order.intent.number).or_default() += 1;
        }
    }

    fn tick(&mut self) {
        self.left.ticks -= 1;
        let wait = self.next_tick().unwrap_or_default();
        self.pass(wait);
        for agent in self.agents.iter_mut().filter(|agent| agent.question.is_some()) {
            agent.callers.are_kept(wait);
        }
        for number in 0..self.agents.len() {
            if self.agents[number].state.timers.next(self.now) == Some(Duration::ZERO) {
                self.step(number, Event::Tick);
                // A timer that is due again at once would keep a processor busy for nothing.
                if self.agents[number].state.timers.next(self.now) == Some(Duration::ZERO)
                    && self.agents[number].question.is_none()
                {
                    self.step(number, Event::Tick);
                    if self.agents[number].state.timers.next(self.now) == Some(Duration::ZERO) {
                        self.wrongs.insert("a timer spins");
                    }
                }
            }
        }
    }

    fn crash(&mut self, number: usize, fate: Fate) {
        self.left.crashes -= 1;
        if let Some((_, action)) = self.agents[number].in_flight.take() {
            self.carry_out(number, &action, fate);
        }
        let agent = &mut self.agents[number];
        if agent.policy.runtime == RuntimeKind::Process {
            // It dies with the daemon; that its intent begins another life is as it should be.
            agent.container.stop();
            agent.late.clear();
            agent.begun.clear();
        }
        agent.uncommitted.clear();
        agent.held.clear();
        agent.question = None;
        agent.intake.clear();
        agent.owed.clear();
        agent.callers.are_cut_off_from_the_daemon();
        let name = agent.state.name.clone();
        let record = self.mutation.loaded(agent.fold.record.clone());
        agent.state = AgentState::restore(name.clone(), record, self.now, &agent.policy);
        let stored = &agent.fold.record.turns;
        if agent.state.turns.turns().map(|turn| &turn.id).ne(stored.active.iter().map(|turn| &turn.id)) {
            self.wrongs.insert(LEASES);
        }
        self.wrongs.extend(agent.callers.book.restart(stored, agent.policy.turns.lease, self.now));
        let open = agent.fold.record.open.clone();
        self.pool.release(&name);
        if let Some(open) = open {
            self.pool.apply(&Change::IntentOpened(open.intent));
        }
        // A killed daemon leaves no events of its own behind: what is replayed begins anew.
        if let Some(trace) = &mut self.trace {
            trace.retain(|(whose, ..)| *whose != number);
        }
        self.step(number, Event::Began);
    }

    fn outside(&mut self, number: usize, state: RuntimeState) {
        self.left.outside -= 1;
        let container = &mut self.agents[number].container;
        match state {
            RuntimeState::Running => {
                container.stop();
                if container.state == RuntimeState::Missing {
                    container.state = RuntimeState::Stopped;
                }
                container.start();
            }
            RuntimeState::Stopped => {
                container.stop();
                container.is_stopped_by_others = true;
            }
            RuntimeState::Missing | RuntimeState::Unknown => container.state = RuntimeState::Missing,
        }
        self.step(number, Event::RuntimeChanged);
    }

    /// One step of the production machine, carried on as the shell does: nothing is committed, answered or carried
    /// out while the pool is being asked.
    fn step(&mut self, number: usize, event: Event) {
        if let Some(trace) = &mut self.trace {
            trace.push((number, event.clone(), self.now));
        }
        let now = self.now;
        let agent = &mut self.agents[number];
        let decision = if self.left.calls.are_made() {
            let (before, of) = (agent.state.clone(), event.clone());
            let decision = self.mutation.transition(agent.state.clone(), event, now, &agent.policy);
            self.wrongs.extend(agent.callers.audit(&before, &of, &decision, &agent.container));
            let objection = agent.callers.book.follow(&before, &of, &decision, now, &agent.policy);
            self.wrongs.extend(objection.is_some().then_some(ORDER));
            self.objection = self.objection.take().or(objection);
            decision
        } else {
            self.mutation.transition(agent.state.clone(), event, now, &agent.policy)
        };
        agent.state = decision.state;
        for (ticket, _) in decision.replies {
            if !agent.owed.remove(&ticket) && agent.callers.in_line.remove(&ticket).is_none() {
                self.wrongs.insert("somebody was answered twice");
            }
        }
        for effect in decision.effects {
            match effect {
                Effect::Reserve { selection, view } => agent.question = Some((selection, view)),
                Effect::Release => self.pool.release(&agent.state.name),
                Effect::Act { .. } => agent.held.push(effect),
            }
        }
        agent.uncommitted.extend(decision.changes);
        if matches!(agent.state.phase, Phase::Selecting(_)) {
            return;
        }
        let changes = std::mem::take(&mut agent.uncommitted);
        self.audit(number, &changes);
        let agent = &mut self.agents[number];
        agent.fold.apply(&changes);
        for change in &changes {
            self.pool.apply(change);
        }
        for effect in std::mem::take(&mut agent.held) {
            if let Effect::Act { attempt, action } = effect {
                if let Some((_, Action::Deliver { .. } | Action::Restart(_) | Action::Start(_))) = agent.in_flight {
                    self.wrongs.insert("something else was begun before an order was answered");
                }
                agent.in_flight = Some((attempt, action));
            }
        }
        if !agent.owed.is_empty() {
            self.wrongs.insert("somebody was not answered");
        }
    }
}
