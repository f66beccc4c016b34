//! switchman: one production state machine for each agent, one production pool, and a shell that loses nothing.
//!
//! The shell does what the actors do, without their concurrency: what a step changes is told to the pool once the step
//! does not wait for the pool; effects take their time and come back as events; at most so many restarts run at once.

use std::collections::VecDeque;

use switchman::domain::{
    AgentName, CauseBy, Change, Cooldown, Disposition, FailureKind, Moment, ParkReason, Plan, Steady, SubscriptionName,
    Wall,
};
use switchman::machine::agent::testing::{START, given, policy};
use switchman::machine::agent::{
    About, Action, AgentState, Command, Effect, EffectOutcome, Event, Obstacle, Phase, Readiness, Ticket, transition,
};
use switchman::machine::attribution::stamp;
use switchman::machine::policy::{Policy as AgentPolicy, Strategy};
use switchman::machine::pool::{AgentView, Wanted};

use crate::container::Container;
use crate::naive::first;
use crate::pool::{Fault, Notice, Pool, quota};
use crate::provider::{MINUTE, Ms, SECOND};
use crate::rules::Rules;
use crate::scenario::{AGENTS, Incident, SUBSCRIPTIONS, Told};
use crate::stage::{Failure, Policy, Stage, Wake};
use crate::telling::{readings, report_of};

/// The default of `restarts_in_parallel`.
const RESTARTS_IN_PARALLEL: usize = 8;

/// An operator who is told that everything is halted lets it go on after so long.
const OPERATOR_TAKES: Ms = 90 * MINUTE;

struct Member {
    state: Option<AgentState>,
    policy: AgentPolicy,
    container: Container,
    told: Told,
    /// Not told to the pool yet: the agent waits for its answer.
    uncommitted: Vec<Change>,
    in_flight: Option<(u32, Action)>,
    is_restarting: bool,
    armed: Option<(Ms, u64)>,
    version: u64,
    had_trouble: bool,
}

/// The policy under test.
pub(crate) struct Ours {
    fault: Fault,
    members: Vec<Member>,
    pool: Pool,
    /// Restarts that wait for a place.
    queue: VecDeque<usize>,
    restarting: usize,
    tickets: u64,
    pool_armed: Option<Ms>,
    /// The pool has learned something in this event.
    has_pool_news: bool,
    halted: Option<Wall>,
    pub(crate) rules: Rules,
}

pub(crate) fn moment(now: Ms) -> Moment {
    Moment { wall: wall(now), steady: Steady(START.steady.0 + now) }
}

pub(crate) fn wall(at: Ms) -> Wall {
    Wall(START.wall.0 + i64::try_from(at).expect("a month fits"))
}

pub(crate) fn since_start(at: Wall) -> Ms {
    Ms::try_from(at.0 - START.wall.0).unwrap_or(0)
}

pub(crate) fn number_of(name: &SubscriptionName) -> usize {
    SUBSCRIPTIONS.iter().position(|known| *known == name.as_str()).expect("it is known")
}

fn agent_number(name: &AgentName) -> usize {
    name.as_str().trim_start_matches('w').parse().expect("a name of ours")
}

impl Ours {
    pub(crate) fn new(fault: Fault, strategy: Strategy) -> Self {
        Self {
            fault,
            members: Vec::new(),
            pool: Pool::new(fault, strategy),
            queue: VecDeque::new(),
            restarting: 0,
            tickets: 0,
            pool_armed: None,
            has_pool_news: false,
            halted: None,
            rules: Rules::under(strategy),
        }
    }

    fn state(&self, agent: usize) -> &AgentState {
        self.members[agent].state.as_ref().expect("there is a state between two steps")
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Lets an event happen to an agent, and everything that follows from it at once.
    fn happen(&mut self, world: &mut Stage, agent: usize, event: Event) {
        let mut due = VecDeque::from([(agent, event)]);
        while let Some((agent, event)) = due.pop_front() {
            self.step(world, agent, event, &mut due);
        }
        self.arm_pool(world);
        self.see_halt(world);
        if std::mem::take(&mut self.has_pool_news) {
            (0..AGENTS).for_each(|agent| self.check(world, agent));
        } else {
            self.check(world, agent);
        }
    }

    /// An operator reads the message and lets switching go on.
    fn see_halt(&mut self, world: &mut Stage) {
        if let (None, Some(halt)) = (&self.halted, self.pool.halt()) {
            self.rules.halts(world.now, halt);
            self.halted = Some(halt.since);
            world.wake(world.now + OPERATOR_TAKES, Wake::Resume);
        }
    }

    fn check(&mut self, world: &mut Stage, agent: usize) {
        let member = &self.members[agent];
        if let Some(state) = &member.state {
            self.rules.eligible(world, &self.pool, agent, state, &member.policy);
        }
    }

    fn step(&mut self, world: &mut Stage, agent: usize, event: Event, due: &mut VecDeque<(usize, Event)>) {
        let now = moment(world.now);
        let member = &mut self.members[agent];
        let state = member.state.take().expect("there is a state between two steps");
        let step = transition(state, event, now, &member.policy);
        member.uncommitted.extend(step.changes);
        let is_selecting = matches!(step.state.phase, Phase::Selecting(_));
        member.state = Some(step.state);
        let mut act = None;
        for effect in step.effects {
            match effect {
                Effect::Reserve { selection, view } => {
                    let (pick, ranking) = self.pool.pick(&view, now.wall);
                    self.rules.picked(world.now, &view, &ranking);
                    due.push_front((agent, Event::Picked { selection, pick }));
                }
                Effect::Release => self.pool.release(&AgentName::from(format!("w{agent}"))),
                Effect::Act { attempt, action } => act = Some((attempt, action)),
            }
        }
        if !is_selecting {
            self.commit(world, agent, due);
        }
        if let Some((attempt, action)) = act {
            self.act(world, agent, attempt, action);
        }
        self.arm(world, agent);
    }

    fn commit(&mut self, world: &mut Stage, agent: usize, due: &mut VecDeque<(usize, Event)>) {
        let changes = std::mem::take(&mut self.members[agent].uncommitted);
        for change in &changes {
            match change {
                Change::IntentOpened(intent) if intent.plan == Plan::Switch => {
                    let is_own = matches!(intent.cause.by, CauseBy::Failure | CauseBy::Wake | CauseBy::Turn);
                    self.rules.switches(world.now, agent, intent, is_own, &self.pool);
                }
                Change::CooldownSet(row) => {
                    let is_parked = self.members[agent].state.as_ref().is_some_and(is_shadowed);
                    let is_taken_back =
                        changes.iter().any(|other| matches!(other, Change::CooldownLifted(key) if *key == row.key));
                    self.rules.cools(world.now, row, is_parked && !is_taken_back);
                }
                Change::IntentClosed(_) => due.push_back((agent, Event::PoolChanged { lifted: None })),
                _ => {}
            }
        }
        self.has_pool_news |= changes.iter().any(is_about_the_pool);
        let notices = self.pool.fold(&changes, wall(world.now));
        due.extend(notices.into_iter().map(|(name, event)| (agent_number(&name), event)));
        let member = &mut self.members[agent];
        let state = member.state.as_ref().expect("there is a state between two steps");
        self.rules.rests(world.now, agent, state, &member.policy);
        let has_trouble = state.trouble.is_some() || !matches!(state.phase, Phase::Serving);
        if std::mem::replace(&mut member.had_trouble, has_trouble) && !has_trouble {
            world.poke(agent);
        }
    }

    /// Starts what was asked for; it takes its time.
    fn act(&mut self, world: &mut Stage, agent: usize, attempt: u32, action: Action) {
        let member = &mut self.members[agent];
        let takes = match &action {
            Action::Restart(_) | Action::Start(_) => {
                member.in_flight = Some((attempt, action));
                self.queue.push_back(agent);
                return self.restart_next(world);
            }
            Action::AwaitReady { .. } => SECOND,
            Action::Look { .. } | Action::Preflight { .. } | Action::Deliver { .. } | Action::Reload { .. } => 20,
        };
        member.in_flight = Some((attempt, action));
        world.wake(world.now + takes, Wake::Effect { agent, attempt });
    }

    fn restart_next(&mut self, world: &mut Stage) {
        while self.restarting < RESTARTS_IN_PARALLEL {
            let Some(agent) = self.queue.pop_front() else { return };
            let Some((attempt, Action::Restart(order) | Action::Start(order))) = &self.members[agent].in_flight else {
                continue;
            };
            let (attempt, to, is_move) =
                (*attempt, number_of(&order.to), order.to != self.members[agent].container.runs_on.0);
            if is_move {
                world.switched(agent, to);
            }
            self.restarting += 1;
            self.members[agent].is_restarting = true;
            let takes = world.restart_takes(agent);
            world.down(agent);
            world.wake(world.now + takes, Wake::Effect { agent, attempt });
        }
    }

    fn effect_ends(&mut self, world: &mut Stage, agent: usize, attempt: u32) {
        if self.members[agent].in_flight.as_ref().is_none_or(|(newest, _)| *newest != attempt) {
            return;
        }
        let Some((_, action)) = self.members[agent].in_flight.take() else { return };
        let now = wall(world.now);
        let container = &mut self.members[agent].container;
        let outcome = match &action {
            Action::Look { .. } => EffectOutcome::Seen(Ok(container.look())),
            Action::Preflight { view, .. } => EffectOutcome::Preflight(match self.pool.confirm(view, now) {
                None => Ok(container.look()),
                Some(lost) => Err(lost_target(lost.to_string())),
            }),
            Action::Deliver { to, generation, .. } => {
                container.file = (to.clone(), *generation);
                EffectOutcome::Delivered(Ok(given()))
            }
            Action::Reload { .. } => EffectOutcome::Reloaded(Ok(())),
            Action::Restart(order) | Action::Start(order) => {
                if container.is_meant_by(order) {
                    container.stop();
                    container.start();
                }
                let (on, generation) = container.runs_on.clone();
                let ran_in = (generation.0, container.lives);
                self.restarting -= 1;
                self.members[agent].is_restarting = false;
                world.up(agent, number_of(&on), ran_in);
                EffectOutcome::Restarted(Ok(()))
            }
            Action::AwaitReady { .. } => EffectOutcome::Ready(Ok(Readiness::Ready)),
        };
        self.restart_next(world);
        self.happen(world, agent, Event::Outcome { attempt, outcome });
    }

    /// One wake-up for the nearest deadline of an agent.
    fn arm(&mut self, world: &mut Stage, agent: usize) {
        let next = self.state(agent).timers.next(moment(world.now));
        let member = &mut self.members[agent];
        let Some(next) = next else {
            member.armed = None;
            return;
        };
        let late = if self.fault == Fault::Oversleeps { 600 * SECOND } else { 0 };
        let at = world.now + Ms::try_from(next.as_millis()).expect("within the month") + late;
        if member.armed.is_some_and(|(armed, _)| armed == at) {
            return;
        }
        member.version += 1;
        member.armed = Some((at, member.version));
        world.wake(at, Wake::Timer { agent, version: member.version });
    }

    fn arm_pool(&mut self, world: &mut Stage) {
        let Some(next) = self.pool.next_expiry().map(since_start) else { return };
        if self.pool_armed.is_none_or(|armed| armed > next || armed < world.now) {
            self.pool_armed = Some(next);
            world.wake(next, Wake::Pool);
        }
    }

    fn expire(&mut self, world: &mut Stage) {
        self.pool_armed = None;
        for row in self.pool.expire(wall(world.now)) {
            ended(world, &row);
        }
        self.arm_pool(world);
        (0..AGENTS).for_each(|agent| self.check(world, agent));
    }

    fn clear(&mut self, world: &mut Stage, number: usize) {
        let name = SubscriptionName::from(SUBSCRIPTIONS[number]);
        let (rows, notices) = self.pool.clear(&name, wall(world.now));
        for row in rows {
            ended(world, &row);
        }
        self.rules.cleared(number);
        self.tell(world, notices);
    }

    fn tell(&mut self, world: &mut Stage, notices: Vec<Notice>) {
        for (name, event) in notices {
            self.happen(world, agent_number(&name), event);
        }
    }
}

/// A cooldown has ended: for how long was it one over restored quota?
fn ended(world: &mut Stage, row: &Cooldown) {
    if row.kind == FailureKind::RateLimit {
        world.kept_out(number_of(&row.subscription), since_start(row.since));
    }
}

fn is_about_the_pool(change: &Change) -> bool {
    matches!(
        change,
        Change::CooldownSet(_)
            | Change::CooldownLifted(_)
            | Change::Assigned { .. }
            | Change::IntentOpened(_)
            | Change::IntentClosed(_)
    )
}

/// Whether an agent waits for a person because of a key of its own.
fn is_shadowed(state: &AgentState) -> bool {
    matches!(state.phase, Phase::Parked { reason: ParkReason::CredentialShadowed, .. })
}

fn lost_target(text: String) -> Obstacle {
    Obstacle { disposition: Disposition::Permanent, about: About::Target, text }
}

impl Policy for Ours {
    fn begin(&mut self, world: &mut Stage) {
        for agent in 0..AGENTS {
            let on = first(world, agent);
            let allowed = world.scenario.workers[agent].allowed;
            let names = || SUBSCRIPTIONS.iter().enumerate().filter(|(number, _)| allowed >> number & 1 == 1);
            let login = (SubscriptionName::from(SUBSCRIPTIONS[on]), switchman::domain::Generation(1));
            self.members.push(Member {
                state: Some(AgentState::new(AgentName::from(format!("w{agent}")))),
                policy: AgentPolicy {
                    subscriptions: names().map(|(_, name)| SubscriptionName::from(*name)).collect(),
                    quotas: names().map(|(number, name)| (SubscriptionName::from(*name), quota(number))).collect(),
                    ..policy()
                },
                container: Container::running(login),
                told: world.scenario.workers[agent].told,
                uncommitted: Vec::new(),
                in_flight: None,
                is_restarting: false,
                armed: None,
                version: 0,
                had_trouble: false,
            });
            world.start(agent, on, (1, 1));
        }
        for agent in 0..AGENTS {
            self.happen(world, agent, Event::Began);
        }
    }

    fn failed(&mut self, world: &mut Stage, failure: &Failure) {
        let agent = failure.agent;
        let member = &self.members[failure.agent];
        let report = report_of(failure, member.told, member.container.lives);
        let now = wall(world.now);
        let stamp = match stamp(&report, self.state(agent), &self.members[agent].policy, now) {
            Ok(stamp) => stamp,
            Err(error) => return self.rules.wrong(world.now, agent, format!("a true report was refused: {error}")),
        };
        self.rules.failed(world.now, failure);
        let event = Event::Report { ticket: self.ticket(), report: Box::new(report), digest: 0, stamp, count: 1 };
        self.happen(world, agent, event);
    }

    fn succeeded(&mut self, world: &mut Stage, agent: usize) {
        let on = number_of(&self.members[agent].container.runs_on.0);
        for reading in readings(world, agent, on, self.members[agent].told) {
            let (rows, notices) = self.pool.read(reading, wall(world.now));
            for row in rows {
                ended(world, &row);
                self.rules.proved(world.now, agent, on, &row);
            }
            self.tell(world, notices);
        }
    }

    fn woken(&mut self, world: &mut Stage, wake: Wake) {
        match wake {
            Wake::Timer { agent, version } => {
                if self.members[agent].armed.is_some_and(|(_, armed)| armed == version) {
                    self.members[agent].armed = None;
                    self.happen(world, agent, Event::Tick);
                }
            }
            Wake::Effect { agent, attempt } => self.effect_ends(world, agent, attempt),
            Wake::Pool => self.expire(world),
            Wake::Check { agent } => self.check(world, agent),
            Wake::Resume => {
                self.halted = None;
                let notices = self.pool.resume(wall(world.now));
                self.tell(world, notices);
            }
        }
    }

    fn operator(&mut self, world: &mut Stage, incident: Incident) {
        match incident {
            Incident::Replaced(number) => self.clear(world, number),
            Incident::Mended(agent) => {
                let ticket = self.ticket();
                // The only way to take back what it said of subscriptions is to lift everything there is.
                let name = AgentName::from(format!("w{agent}"));
                for about in self.pool.refused_logins(&name, wall(world.now)) {
                    self.clear(world, number_of(&about));
                }
                if matches!(self.state(agent).phase, Phase::Parked { .. }) {
                    self.happen(world, agent, Event::Operator { ticket, command: Command::Unpark });
                }
            }
            Incident::Down(_) | Incident::Banned(_) | Incident::Shadowed(_) => {}
        }
    }

    /// As a dispatcher is told: no turn begins while the agent is being moved, or waits.
    fn may_work(&self, agent: usize) -> bool {
        let state = self.state(agent);
        matches!(state.phase, Phase::Serving) && state.trouble.is_none()
    }

    fn end(&mut self, world: &mut Stage) {
        self.pool.expire(wall(world.now));
        self.rules.end(&self.pool.rows(wall(world.now)));
    }
}

/// The agent as the pool would see it, were it to ask whether it can go on.
pub(crate) fn view(state: &AgentState, policy: &AgentPolicy) -> AgentView {
    AgentView {
        agent: state.name.clone(),
        allowed: policy.subscriptions.clone(),
        models: policy.models.clone(),
        current: state.subscription().cloned(),
        failing: None,
        exclusions: state.exclusions.clone(),
        wanted: Wanted::Any,
        by: CauseBy::Wake,
    }
}
