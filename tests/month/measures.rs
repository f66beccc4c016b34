//! What a month came to, counted from what really happened.

use std::collections::{BTreeMap, VecDeque};

use switchman::domain::FailureKind;

use crate::provider::{DAY, MINUTE, Ms};
use crate::scenario::{AGENTS, DAYS};

/// Arrivals within so long are one burst.
const BURST: Ms = 5 * MINUTE;

/// A stretch of time of one agent or subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from: Ms,
    pub(crate) until: Ms,
    /// The subscription.
    pub(crate) on: usize,
}

/// The measures of one policy. Times are milliseconds, summed over agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    pub(crate) switches: u64,
    pub(crate) restarts: u64,
    moves: BTreeMap<(usize, u64), u64>,
    pub(crate) wanted: Ms,
    pub(crate) worked: Ms,
    pub(crate) lost: Ms,
    /// Lost although another subscription could have served: because the agent was being restarted.
    pub(crate) restarting: Ms,
    /// The same, because it was kept waiting or on one that refuses.
    pub(crate) waiting: Ms,
    refused: BTreeMap<&'static str, u64>,
    /// Back to where it came from, which was really used up or banned.
    pub(crate) ping_pongs: u64,
    /// Weekly limits that were said to last longer than a week.
    pub(crate) beyond: u64,
    /// Moved to a subscription that could not serve.
    pub(crate) in_vain: u64,
    pub(crate) burst: usize,
    /// The longest, of which subscription, and when it ended.
    pub(crate) kept_out: (Ms, usize, Ms),
    pub(crate) agents_most: usize,
    /// What each agent ran on.
    pub(crate) stays: BTreeMap<usize, Vec<Stretch>>,
    /// When each subscription could not serve anybody.
    pub(crate) droughts: Vec<Stretch>,
    /// When each agent wanted to work and could not.
    pub(crate) losses: BTreeMap<usize, Vec<(Ms, Ms)>>,
    arrivals: BTreeMap<usize, VecDeque<(Ms, bool)>>,
}

impl Measures {
    pub(crate) fn refused(&mut self, kind: FailureKind) {
        *self.refused.entry(kind.as_str()).or_default() += 1;
    }

    /// An agent wanted to work and did not.
    pub(crate) fn lost(&mut self, from: Ms, until: Ms, agent: usize) {
        self.lost += until - from;
        let losses = self.losses.entry(agent).or_default();
        match losses.last_mut() {
            Some(last) if last.1 == from => last.1 = until,
            Some(_) | None => losses.push((from, until)),
        }
    }

    /// What could have been avoided.
    pub(crate) fn avoidable(&self) -> Ms {
        self.restarting + self.waiting
    }

    /// Requests that were refused for these kinds.
    pub(crate) fn refusals(&self, kinds: &[FailureKind]) -> u64 {
        kinds.iter().filter_map(|kind| self.refused.get(kind.as_str())).sum()
    }

    pub(crate) fn runs_on(&mut self, now: Ms, agent: usize, on: usize) {
        let stays = self.stays.entry(agent).or_default();
        if let Some(last) = stays.last_mut() {
            last.until = now;
        }
        stays.push(Stretch { from: now, until: now, on });
    }

    pub(crate) fn switched(&mut self, now: Ms, agent: usize, to: usize, serves: bool, is_fresh: bool) {
        self.switches += 1;
        *self.moves.entry((agent, now / DAY)).or_default() += 1;
        let stays = &self.stays[&agent];
        let before = stays.len().checked_sub(2).map(|at| stays[at].on);
        self.in_vain += u64::from(!serves);
        self.ping_pongs += u64::from(!serves && before == Some(to));
        self.runs_on(now, agent, to);
        let arrivals = self.arrivals.entry(to).or_default();
        arrivals.push_back((now, is_fresh));
        while arrivals.front().is_some_and(|(at, _)| at + BURST < now) {
            arrivals.pop_front();
        }
        if arrivals.iter().any(|(_, is_fresh)| *is_fresh) {
            self.burst = self.burst.max(arrivals.len());
        }
        let on = |subscription: usize| {
            self.stays.values().filter(|stays| stays.last().is_some_and(|stay| stay.on == subscription)).count()
        };
        self.agents_most = self.agents_most.max(on(to));
    }

    pub(crate) fn quota(&mut self, now: Ms, subscription: usize, serves: bool) {
        if serves {
            let open = self.droughts.iter_mut().rev().find(|drought| drought.on == subscription);
            if let Some(open) = open {
                open.until = now;
            }
        } else {
            self.droughts.push(Stretch { from: now, until: Ms::MAX, on: subscription });
        }
    }

    pub(crate) fn close(&mut self, end: Ms) {
        for drought in &mut self.droughts {
            drought.until = drought.until.min(end);
        }
        for stays in self.stays.values_mut() {
            if let Some(last) = stays.last_mut() {
                last.until = end;
            }
        }
    }

    /// Moves of one agent on one day: the median over all agents and days, and the most.
    pub(crate) fn moves_a_day(&self) -> (u64, u64) {
        let days = AGENTS * usize::try_from(DAYS).unwrap();
        let mut moves: Vec<u64> = self.moves.values().copied().collect();
        moves.resize(days, 0);
        moves.sort_unstable();
        (moves[days / 2], moves[days - 1])
    }
}
