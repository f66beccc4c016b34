//! How a subscription stands whoever asks: what no agent's own word, list or models can change.
//!
//! It must agree with the verdicts of `judging`: what is refused here is refused there to every agent that has not read
//! something newer itself. Tests: `tests/pool_life/standing.rs`.

use super::readings::{nearest_wall, newest, used};
use super::{Ineligible, PoolState};
use crate::domain::{Reading, SubscriptionName, Wall};

impl PoolState {
    /// What the provider said to somebody trusted, if that keeps every agent off it that has not read otherwise itself.
    #[must_use]
    pub fn refused_for_all(&self, subscription: &SubscriptionName, now: Wall) -> Option<Ineligible> {
        let age_max = self.settings.reading_max_age;
        let trusted =
            self.fresh(subscription, now, |reading| reading.told_by.agent().is_none() && reading.model.is_none());
        let refusing = trusted.into_iter().find(|reading| !reading.serves)?;
        Some(Ineligible::Refused { window: refusing.window, until: refusing.counts_until(age_max) })
    }

    /// Whether what somebody trusted read keeps those who come new off it: a window is over its ceiling.
    #[must_use]
    pub fn is_over_ceiling_for_all(&self, subscription: &SubscriptionName, now: Wall) -> bool {
        let Some(policy) = self.subscriptions.get(subscription) else { return false };
        let trusted = self.fresh(subscription, now, |reading| reading.told_by.agent().is_none());
        trusted.into_iter().any(|reading| {
            let ceiling = policy.terms.ceilings.get(&reading.window);
            ceiling.zip(used(reading)).is_some_and(|(ceiling, used)| used >= *ceiling)
        })
    }

    /// Of each window the newest reading that still says something, whoever told it.
    #[must_use]
    pub fn fresh_readings(&self, subscription: &SubscriptionName, now: Wall) -> Vec<Reading> {
        self.fresh(subscription, now, |_| true).into_iter().cloned().collect()
    }

    /// Of its windows the one that is used up the furthest, as freshly read.
    #[must_use]
    pub fn nearest_wall(&self, subscription: &SubscriptionName, now: Wall) -> Option<Reading> {
        nearest_wall(&self.fresh(subscription, now, |_| true)).cloned()
    }

    fn fresh(&self, subscription: &SubscriptionName, now: Wall, is_meant: impl Fn(&Reading) -> bool) -> Vec<&Reading> {
        let Some(policy) = self.subscriptions.get(subscription) else { return Vec::new() };
        let age_max = self.settings.reading_max_age;
        newest(self.readings.of(&policy.quota).filter(|reading| reading.is_fresh(now, age_max) && is_meant(reading)))
    }
}
