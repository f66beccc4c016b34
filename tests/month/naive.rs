//! Two policies as they are usually written, for comparison. Both restart an agent as switchman does, and both hold a
//! lock for each agent, so that what is reported during a restart is dropped; neither knows generations, quotas behind
//! subscriptions, or what a provider says about resets.

use crate::provider::{HOUR, MINUTE, Ms};
use crate::scenario::{AGENTS, Incident, SUBSCRIPTIONS};
use crate::stage::{Failure, Policy, Stage, Wake};

/// How long a subscription is skipped after it failed, whatever the reason.
const SKIPPED_FOR: Ms = 2 * HOUR;

/// After it has tried all of them in vain, round-robin waits so long.
const ROUND_PAUSE: Ms = 5 * MINUTE;

/// What is common to both.
#[derive(Debug, Clone, Default)]
struct Member {
    on: usize,
    is_restarting: bool,
    restarts: u32,
    /// Failed, and nowhere to go before then.
    waits_until: Option<Ms>,
    /// Failures since the last success.
    in_a_row: usize,
}

fn begin(members: &mut [Member], world: &mut Stage) {
    for (agent, member) in members.iter_mut().enumerate() {
        member.on = first(world, agent);
        world.start(agent, member.on, (1, 1));
    }
}

/// Where an agent is when the month begins: the same in every policy.
pub(crate) fn first(world: &Stage, agent: usize) -> usize {
    let allowed = world.scenario.workers[agent].allowed;
    let all = SUBSCRIPTIONS.len();
    (0..all).map(|step| (agent + step) % all).find(|number| allowed >> number & 1 == 1).unwrap()
}

fn go(member: &mut Member, world: &mut Stage, agent: usize, to: usize) {
    world.switched(agent, to);
    let takes = world.restart_takes(agent);
    world.down(agent);
    world.wake(world.now + takes, Wake::Effect { agent, attempt: 0 });
    (member.on, member.is_restarting, member.waits_until) = (to, true, None);
}

fn has_started(member: &mut Member, world: &mut Stage, agent: usize) {
    member.is_restarting = false;
    member.restarts += 1;
    world.up(agent, member.on, (1, member.restarts));
}

/// Skips what failed for two hours, whoever it failed under, and picks the least assigned of the others.
pub(crate) struct SkipList {
    members: Vec<Member>,
    /// Since when and until when each is skipped.
    skipped: Vec<(Ms, Ms)>,
}

impl SkipList {
    pub(crate) fn new() -> Self {
        Self { members: vec![Member::default(); AGENTS], skipped: vec![(0, 0); SUBSCRIPTIONS.len()] }
    }

    fn move_on(&mut self, world: &mut Stage, agent: usize) {
        let allowed = world.scenario.workers[agent].allowed;
        let fits = |number: &usize| allowed >> number & 1 == 1 && self.skipped[*number].1 <= world.now;
        let agents = |number: usize| self.members.iter().filter(|member| member.on == number).count();
        let free = (0..SUBSCRIPTIONS.len()).filter(fits);
        match free.min_by_key(|number| (agents(*number), *number)) {
            Some(to) if to == self.members[agent].on => {
                self.members[agent].waits_until = None;
                world.poke(agent);
            }
            Some(to) => go(&mut self.members[agent], world, agent, to),
            None => {
                let usable = (0..SUBSCRIPTIONS.len()).filter(|number| allowed >> number & 1 == 1);
                let until = usable.map(|number| self.skipped[number].1).min().unwrap();
                self.members[agent].waits_until = Some(until);
                world.wake(until, Wake::Timer { agent, version: until });
            }
        }
    }
}

impl Policy for SkipList {
    fn begin(&mut self, world: &mut Stage) {
        begin(&mut self.members, world);
    }

    fn failed(&mut self, world: &mut Stage, failure: &Failure) {
        let member = &self.members[failure.agent];
        if !failure.refusal.kind.moves() || member.is_restarting {
            return;
        }
        let until = world.now + SKIPPED_FOR;
        let since = if self.skipped[member.on].1 > world.now { self.skipped[member.on].0 } else { world.now };
        self.skipped[member.on] = (since, until);
        world.wake(until, Wake::Pool);
        if member.waits_until.is_none() {
            self.move_on(world, failure.agent);
        }
    }

    fn succeeded(&mut self, _: &mut Stage, _: usize) {}

    fn woken(&mut self, world: &mut Stage, wake: Wake) {
        match wake {
            Wake::Effect { agent, .. } => has_started(&mut self.members[agent], world, agent),
            Wake::Timer { agent, version } if self.members[agent].waits_until == Some(version) => {
                self.move_on(world, agent);
            }
            Wake::Pool => {
                for number in 0..SUBSCRIPTIONS.len() {
                    if self.skipped[number].1 == world.now {
                        world.kept_out(number, self.skipped[number].0);
                    }
                }
            }
            Wake::Timer { .. } | Wake::Check { .. } | Wake::Resume => {}
        }
    }

    fn operator(&mut self, world: &mut Stage, incident: Incident) {
        if let Incident::Replaced(number) = incident {
            self.skipped[number].1 = self.skipped[number].1.min(world.now);
        }
    }

    fn may_work(&self, agent: usize) -> bool {
        self.members[agent].waits_until.is_none()
    }
}

/// Goes to the next one on every failure.
pub(crate) struct RoundRobin {
    members: Vec<Member>,
}

impl RoundRobin {
    pub(crate) fn new() -> Self {
        Self { members: vec![Member::default(); AGENTS] }
    }

    fn move_on(&mut self, world: &mut Stage, agent: usize) {
        let (all, allowed) = (SUBSCRIPTIONS.len(), world.scenario.workers[agent].allowed);
        let on = self.members[agent].on;
        let next = (1..=all).map(|step| (on + step) % all).find(|number| allowed >> number & 1 == 1).unwrap();
        go(&mut self.members[agent], world, agent, next);
    }
}

impl Policy for RoundRobin {
    fn begin(&mut self, world: &mut Stage) {
        begin(&mut self.members, world);
    }

    fn failed(&mut self, world: &mut Stage, failure: &Failure) {
        let usable = world.scenario.workers[failure.agent].allowed.count_ones() as usize;
        let member = &mut self.members[failure.agent];
        if member.is_restarting || member.waits_until.is_some() {
            return;
        }
        member.in_a_row += 1;
        if member.in_a_row >= usable {
            let until = world.now + ROUND_PAUSE;
            (member.in_a_row, member.waits_until) = (0, Some(until));
            return world.wake(until, Wake::Timer { agent: failure.agent, version: until });
        }
        self.move_on(world, failure.agent);
    }

    fn succeeded(&mut self, _: &mut Stage, agent: usize) {
        self.members[agent].in_a_row = 0;
    }

    fn woken(&mut self, world: &mut Stage, wake: Wake) {
        match wake {
            Wake::Effect { agent, .. } => has_started(&mut self.members[agent], world, agent),
            Wake::Timer { agent, version } if self.members[agent].waits_until == Some(version) => {
                self.move_on(world, agent);
            }
            Wake::Timer { .. } | Wake::Pool | Wake::Check { .. } | Wake::Resume => {}
        }
    }

    fn operator(&mut self, _: &mut Stage, _: Incident) {}

    fn may_work(&self, agent: usize) -> bool {
        self.members[agent].waits_until.is_none()
    }
}
