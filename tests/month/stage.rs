//! The month going by: agents that want to work, the provider that serves them or not, and one policy that decides what
//! each agent runs on. It jumps from one event to the next; nothing ticks.
//!
//! The world treats every policy alike: the same wishes, the same incidents, the same length of the n-th restart of an
//! agent. It keeps the measures about what really happened, and never what a policy believes.

use std::collections::BTreeMap;

use switchman::domain::FailureKind;

use crate::chance::Chance;
use crate::measures::Measures;
use crate::provider::{DAY, MINUTE, Ms, Provider, Refusal, SECOND};
use crate::scenario::{AGENTS, Incident, QUOTAS, SIZES, SUBSCRIPTIONS, Scenario};

/// A request that was not served.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) agent: usize,
    /// What it ran on.
    pub(crate) on: usize,
    /// The generation and the life that it ran in, as the policy counts them.
    pub(crate) ran_in: (u64, u32),
    pub(crate) at: Ms,
    pub(crate) refusal: Refusal,
}

/// Who decides what each agent runs on.
pub(crate) trait Policy {
    /// Agents run and have been given something each, as `Stage::start` tells.
    fn begin(&mut self, world: &mut Stage);
    /// Somebody reports a failure.
    fn failed(&mut self, world: &mut Stage, failure: &Failure);
    /// An agent's work was served.
    fn succeeded(&mut self, world: &mut Stage, agent: usize);
    /// A wake-up that the policy asked for.
    fn woken(&mut self, world: &mut Stage, wake: Wake);
    /// An operator has seen to something.
    fn operator(&mut self, world: &mut Stage, incident: Incident);
    /// Whether work may begin on an agent.
    fn may_work(&self, agent: usize) -> bool;
    /// The month is over.
    fn end(&mut self, _: &mut Stage) {}
}

/// What a policy can be woken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    Timer {
        agent: usize,
        version: u64,
    },
    Effect {
        agent: usize,
        attempt: u32,
    },
    Pool,
    Check {
        agent: usize,
    },
    /// An operator has read that everything is halted.
    Resume,
}

#[derive(Debug, Clone)]
enum Happening {
    Wants {
        agent: usize,
        nth: usize,
    },
    Stops {
        agent: usize,
    },
    TurnEnds {
        agent: usize,
    },
    Resumed {
        agent: usize,
        restart: u64,
    },
    Again {
        agent: usize,
        nth: u64,
    },
    Told(Failure),
    Outside(Incident),
    /// A window reopens: nothing to do but account for it.
    Reopens,
    Wakes(Wake),
}

/// An agent as it really is.
#[derive(Debug, Clone, Default)]
struct Working {
    wants: bool,
    is_up: bool,
    is_shadowed: bool,
    is_in_turn: bool,
    /// The provider was busy or down for everybody: it asks again in a moment.
    is_backing_off: bool,
    /// It was refused and asks again by itself; the newest of these counts.
    asks_again: Option<u64>,
    runs_on: usize,
    ran_in: (u64, u32),
    requests: u64,
    restarts: u64,
}

/// The world.
pub(crate) struct Stage {
    pub(crate) now: Ms,
    pub(crate) provider: Provider,
    pub(crate) measures: Measures,
    pub(crate) scenario: Scenario,
    agents: Vec<Working>,
    due: BTreeMap<(Ms, u64), Happening>,
    planned: u64,
    with_quota: u32,
    /// Since when each subscription has been able to serve.
    serving_since: Vec<Option<Ms>>,
    /// Who may go on.
    poked: Vec<usize>,
}

/// How long a turn may take.
const TURN: (Ms, Ms) = (3 * MINUTE, 9 * MINUTE);

/// An agent that was refused and not restarted asks again after so long.
const ASKS_AGAIN: Ms = 15 * MINUTE;

/// A restarted agent reads its context again before it goes on.
const RESUMES_IN: Ms = MINUTE;

/// Lets a month go by under a policy.
pub(crate) fn run(scenario: &Scenario, policy: &mut dyn Policy) -> Measures {
    let mut world = Stage::new(scenario.clone());
    policy.begin(&mut world);
    while let Some(((at, _), happening)) = world.due.pop_first() {
        if at > world.scenario.until {
            break;
        }
        world.pass(at);
        world.happen(happening, policy);
        while let Some(agent) = world.poked.pop() {
            world.work(agent, policy, false);
        }
        world.look();
    }
    world.pass(scenario.until);
    policy.end(&mut world);
    world.measures.close(scenario.until);
    world.measures
}

impl Stage {
    fn new(scenario: Scenario) -> Self {
        let provider = Provider::new(scenario.seed, &SIZES, &QUOTAS);
        let mut world = Self {
            now: 0,
            with_quota: provider.with_quota(0),
            provider,
            measures: Measures::default(),
            agents: vec![Working::default(); AGENTS],
            due: BTreeMap::new(),
            planned: 0,
            serving_since: vec![Some(0); SUBSCRIPTIONS.len()],
            poked: Vec::new(),
            scenario,
        };
        for agent in 0..AGENTS {
            for (nth, (at, until)) in world.scenario.workers[agent].wants.clone().into_iter().enumerate() {
                world.plan(at, Happening::Wants { agent, nth });
                world.plan(until, Happening::Stops { agent });
            }
        }
        for (at, incident) in world.scenario.incidents.clone() {
            world.plan(at, Happening::Outside(incident));
        }
        world
    }

    fn plan(&mut self, at: Ms, happening: Happening) {
        self.planned += 1;
        self.due.insert((at, self.planned), happening);
    }

    /// Time goes by: whoever wanted to work and could not has lost it.
    fn pass(&mut self, to: Ms) {
        let took = to - self.now;
        if took > 0 {
            for (agent, worker) in self.agents.iter().enumerate().filter(|(_, worker)| worker.wants) {
                if worker.is_in_turn {
                    self.measures.worked += took;
                    continue;
                }
                self.measures.lost(self.now, to, agent);
                let could = self.with_quota & self.scenario.workers[agent].allowed != 0;
                if !could || self.provider.is_down || worker.is_shadowed {
                    continue;
                }
                if !worker.is_up {
                    self.measures.restarting += took;
                } else if !worker.is_backing_off {
                    self.measures.waiting += took;
                }
            }
        }
        self.now = to;
    }

    /// Sees who has quota left now.
    fn look(&mut self) {
        let has = self.provider.with_quota(self.now);
        let changed = has ^ self.with_quota;
        if changed == 0 {
            return;
        }
        for subscription in (0..SUBSCRIPTIONS.len()).filter(|number| changed >> number & 1 == 1) {
            let serves = has >> subscription & 1 == 1;
            self.serving_since[subscription] = serves.then_some(self.now);
            self.measures.quota(self.now, subscription, serves);
        }
        self.with_quota = has;
    }

    fn happen(&mut self, happening: Happening, policy: &mut dyn Policy) {
        match happening {
            Happening::Wants { agent, nth } => {
                let (from, until) = self.scenario.workers[agent].wants[nth];
                self.measures.wanted += until - from;
                self.agents[agent].wants = true;
                self.work(agent, policy, false);
            }
            Happening::Stops { agent } => self.agents[agent].wants = false,
            Happening::TurnEnds { agent } => {
                self.agents[agent].is_in_turn = false;
                self.work(agent, policy, false);
            }
            Happening::Resumed { agent, restart } if self.agents[agent].restarts == restart => {
                self.agents[agent].is_up = true;
                self.work(agent, policy, false);
            }
            Happening::Resumed { .. } => {}
            Happening::Again { agent, nth } if self.agents[agent].asks_again == Some(nth) => {
                (self.agents[agent].asks_again, self.agents[agent].is_backing_off) = (None, false);
                self.work(agent, policy, self.scenario.workers[agent].is_stubborn);
            }
            Happening::Again { .. } => {}
            Happening::Told(failure) => policy.failed(self, &failure),
            Happening::Outside(incident) => self.incident(incident, policy),
            Happening::Reopens => {}
            Happening::Wakes(wake) => policy.woken(self, wake),
        }
    }

    fn incident(&mut self, incident: Incident, policy: &mut dyn Policy) {
        match incident {
            Incident::Down(is_down) => self.provider.is_down = is_down,
            Incident::Banned(subscription) => self.provider.ban(subscription, true),
            Incident::Replaced(subscription) => self.provider.ban(subscription, false),
            Incident::Shadowed(agent) => self.agents[agent].is_shadowed = true,
            Incident::Mended(agent) => self.agents[agent].is_shadowed = false,
        }
        self.look();
        match incident {
            Incident::Replaced(_) | Incident::Mended(_) => policy.operator(self, incident),
            Incident::Down(_) | Incident::Banned(_) | Incident::Shadowed(_) => {}
        }
        (0..AGENTS).for_each(|agent| self.work(agent, policy, false));
    }

    /// The agent asks for the next piece of work, if it wants to and may.
    fn work(&mut self, agent: usize, policy: &mut dyn Policy, insists: bool) {
        let worker = &self.agents[agent];
        if !worker.wants || !worker.is_up || worker.is_in_turn || worker.asks_again.is_some() {
            return;
        }
        if !insists && !policy.may_work(agent) {
            if self.scenario.workers[agent].is_stubborn {
                self.ask_again(agent, ASKS_AGAIN);
            }
            return;
        }
        let worker = &mut self.agents[agent];
        worker.requests += 1;
        let (on, ran_in, is_shadowed) = (worker.runs_on, worker.ran_in, worker.is_shadowed);
        let mut chance = Chance::of(self.scenario.seed, "request", &[agent as u64, worker.requests]);
        let length = chance.between(TURN.0, TURN.1);
        let served = if is_shadowed {
            Err(Refusal::of(FailureKind::Auth))
        } else if chance.percent(1) {
            // Busy for a moment: nobody's limit.
            Err(Refusal::of(FailureKind::Overload))
        } else {
            self.provider.request(on, length, self.now)
        };
        match served {
            Ok(used_up_until) => {
                self.agents[agent].is_in_turn = true;
                self.plan(self.now + length, Happening::TurnEnds { agent });
                if let Some(until) = used_up_until {
                    self.plan(until, Happening::Reopens);
                }
                self.look();
                policy.succeeded(self, agent);
            }
            Err(refusal) => {
                self.measures.refused(refusal.kind);
                let is_beyond = refusal.reset_at.is_some_and(|reset| reset > self.now + 8 * DAY);
                self.measures.beyond += u64::from(is_beyond);
                let again = if refusal.kind.moves() { ASKS_AGAIN } else { chance.between(20 * SECOND, 90 * SECOND) };
                self.ask_again(agent, again);
                self.agents[agent].is_backing_off = !refusal.kind.moves();
                let failure = Failure { agent, on, ran_in, at: self.now, refusal };
                // The tool says it once, or several times within moments.
                let mut at = self.now + chance.between(100, 2 * SECOND);
                for _ in 0..chance.between(1, 3) {
                    self.plan(at, Happening::Told(failure.clone()));
                    at += chance.between(50, 6 * SECOND);
                }
            }
        }
    }

    fn ask_again(&mut self, agent: usize, after: Ms) {
        let nth = self.planned;
        self.agents[agent].asks_again = Some(nth);
        self.plan(self.now + after, Happening::Again { agent, nth });
    }

    /// A policy wants to be woken.
    pub(crate) fn wake(&mut self, at: Ms, wake: Wake) {
        self.plan(at.max(self.now), Happening::Wakes(wake));
    }

    /// An agent is found running on a subscription when the month begins.
    pub(crate) fn start(&mut self, agent: usize, on: usize, ran_in: (u64, u32)) {
        let worker = &mut self.agents[agent];
        (worker.is_up, worker.runs_on, worker.ran_in) = (true, on, ran_in);
        self.measures.runs_on(0, agent, on);
    }

    /// How long the next restart of an agent takes: the stop and the start.
    pub(crate) fn restart_takes(&self, agent: usize) -> Ms {
        let restarts = self.agents[agent].restarts;
        Chance::of(self.scenario.seed, "restart", &[agent as u64, restarts]).between(4 * SECOND, 12 * SECOND)
    }

    /// An agent is being restarted: nothing works until it is up.
    pub(crate) fn down(&mut self, agent: usize) {
        let worker = &mut self.agents[agent];
        worker.is_up = false;
        worker.restarts += 1;
        self.measures.restarts += 1;
    }

    /// An agent has started and read this subscription's credential. It needs a moment to find its way back into what it
    /// was doing; then it asks at once, whatever it was told before.
    pub(crate) fn up(&mut self, agent: usize, on: usize, ran_in: (u64, u32)) {
        let worker = &mut self.agents[agent];
        (worker.runs_on, worker.ran_in) = (on, ran_in);
        (worker.asks_again, worker.is_backing_off) = (None, false);
        let restart = worker.restarts;
        self.plan(self.now + RESUMES_IN, Happening::Resumed { agent, restart });
    }

    /// A policy has decided to move an agent.
    pub(crate) fn switched(&mut self, agent: usize, to: usize) {
        let (serves, is_fresh) = (self.provider.has_quota(to, self.now), self.provider.is_fresh(to, self.now));
        self.measures.switched(self.now, agent, to, serves, is_fresh);
    }

    /// Who was told to wait is told to go on.
    pub(crate) fn poke(&mut self, agent: usize) {
        (self.agents[agent].asks_again, self.agents[agent].is_backing_off) = (None, false);
        self.poked.push(agent);
    }

    /// Something kept a subscription out of use since then; that has just ended.
    pub(crate) fn kept_out(&mut self, subscription: usize, since: Ms) {
        if let Some(serving) = self.serving_since[subscription] {
            let over = self.now.saturating_sub(serving.max(since));
            if over > self.measures.kept_out.0 {
                self.measures.kept_out = (over, subscription, self.now);
            }
        }
    }
}
