//! In which order eligible subscriptions are preferred (D2): what costs money last, what is suspect late, what is in
//! reserve after that, then the strategy; ties by the fewest agents, then by name. Same inputs, same order.
//!
//! Tests: `tests/pool_life/strategies.rs`.

use std::collections::BTreeSet;

use super::readings::{expires_at, nearest_wall, used};
use super::{AgentView, PoolState};
use crate::domain::{AgentName, Reading, Utilisation, Wall, Window};
use crate::machine::policy::{Strategy, SubscriptionPolicy};

/// A window that is used up further than this is nearly used up, unless the config says otherwise.
pub(super) const NEARLY: Utilisation = Utilisation(900);

/// What an agent that came after a reading is expected to use of the window, in thousandths, until the next reading says it.
const AN_AGENT: u16 = 50;

/// The place of a subscription in the order: the lowest is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Preference {
    is_metered: bool,
    is_suspect: bool,
    is_reserve: bool,
    by_strategy: (u8, i64),
}

impl PoolState {
    /// The fresh readings of a subscription that rank it for an agent, whoever told them.
    pub(super) fn ranking_readings(
        &self,
        view: &AgentView,
        subscription: &SubscriptionPolicy,
        now: Wall,
    ) -> Vec<&Reading> {
        self.readings.for_agent(view, &subscription.quota, now, self.settings.reading_max_age, true)
    }

    /// Where a subscription stands in the order of preference.
    pub(super) fn preference(
        &self,
        subscription: &SubscriptionPolicy,
        readings: &[&Reading],
        is_suspect: bool,
    ) -> Preference {
        let by_strategy = match self.settings.strategy {
            Strategy::LeastAssigned => (0, 0),
            Strategy::Priority => (0, i64::from(subscription.terms.priority)),
            Strategy::Headroom => match nearest_wall(readings).and_then(|wall| self.expected(subscription, wall)) {
                // Bands of ten points: a difference that no agent would notice decides nothing.
                Some(used) => (0, i64::from((1000 - used.headroom()) / 100)),
                None => (1, 0),
            },
            Strategy::SoonestReset => {
                let is_over = |reading: &Reading| {
                    let used = self.expected(subscription, reading);
                    used.is_some_and(|used| used >= landing_ceiling(subscription, reading.window))
                };
                match (readings.iter().any(|reading| is_over(reading)), expires_at(readings)) {
                    (true, _) => (2, 0),
                    (false, Some(reset)) => (0, reset.0),
                    (false, None) => (1, 0),
                }
            }
        };
        let terms = &subscription.terms;
        Preference { is_metered: terms.is_metered, is_suspect, is_reserve: terms.is_reserve, by_strategy }
    }

    /// How far a window will be used up soon: a reading knows nothing of the agents that were sent there since. Without
    /// that a whole fleet lands on the one account that was read to be empty.
    fn expected(&self, subscription: &SubscriptionPolicy, reading: &Reading) -> Option<Utilisation> {
        let used = used(reading)?;
        let on_it = self.assignments.iter().chain(&self.reservations).filter(|(_, on)| **on == subscription.name);
        let agents: BTreeSet<&AgentName> = on_it.map(|(agent, _)| agent).collect();
        let since =
            agents.into_iter().filter(|agent| self.arrivals.get(*agent).is_some_and(|at| *at > reading.at)).count();
        let more = u16::try_from(since).unwrap_or(u16::MAX).saturating_mul(AN_AGENT);
        Some(Utilisation(used.0.saturating_add(more)))
    }

    /// Whether the one is on better terms than the other, whatever is known of their windows: what failing back is for.
    pub(super) fn is_preferred(&self, one: &SubscriptionPolicy, to: &SubscriptionPolicy) -> bool {
        let class = |policy: &SubscriptionPolicy| {
            let tier = match self.settings.strategy {
                Strategy::Priority => policy.terms.priority,
                Strategy::LeastAssigned | Strategy::Headroom | Strategy::SoonestReset => 0,
            };
            (policy.terms.is_metered, policy.terms.is_reserve, tier)
        };
        class(one) < class(to)
    }

    /// Whether the one has so much more room than the other, which is nearly used up, that a move pays (F5). Both have
    /// to be known from fresh readings that count for this agent.
    pub(super) fn is_roomier(
        &self,
        view: &AgentView,
        one: &SubscriptionPolicy,
        than: &SubscriptionPolicy,
        now: Wall,
    ) -> bool {
        let wall = |policy: &SubscriptionPolicy| {
            let known = self.readings.for_agent(view, &policy.quota, now, self.settings.reading_max_age, false);
            nearest_wall(&known).and_then(|reading| used(reading).map(|used| (reading.window, used)))
        };
        let (Some((window, here)), Some((_, there))) = (wall(than), wall(one)) else { return false };
        here >= landing_ceiling(than, window)
            && there.headroom() >= here.headroom().saturating_add(self.settings.better_by)
    }
}

/// Up to where a window may be used when an agent lands on it.
fn landing_ceiling(subscription: &SubscriptionPolicy, window: Window) -> Utilisation {
    subscription.terms.ceilings.get(&window).copied().unwrap_or(NEARLY)
}
