//! Subscriptions as they stand, for whoever asks: a copy of what the pool knows, which decides nothing.
//!
//! Tests: `tests/api/readings.rs`, `tests/api/documents.rs`.

use std::collections::BTreeMap;

use super::Pool;
use crate::domain::{AgentName, Cooldown, Reading, Utilisation, Window};
use crate::machine::policy::SubscriptionPolicy;
use crate::machine::pool::{CredentialFact, Ineligible};

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct SubscriptionStatus {
    /// From the config.
    pub policy: SubscriptionPolicy,
    /// The agents that run on it.
    pub agents: Vec<AgentName>,
    /// Whether its credential can be read; `None` before the first try.
    pub credential: Option<CredentialFact>,
    /// The cooldown that holds for everyone.
    pub cooldown: Option<Cooldown>,
    /// Every row about it that has not ended.
    pub rows: Vec<Cooldown>,
    /// What was read of its windows, fresh or not.
    pub readings: Vec<Reading>,
    /// Of each window the newest of them that still says something.
    pub fresh: Vec<Reading>,
    /// Of those the window that is used up the furthest.
    pub nearest_wall: Option<Reading>,
    /// What the provider said that keeps everybody off it.
    pub refused: Option<Ineligible>,
}

impl SubscriptionStatus {
    /// How far each of its windows is used up, as freshly read; where models have windows of their own, the fullest.
    #[must_use]
    pub fn used(&self) -> BTreeMap<Window, Utilisation> {
        let mut used = BTreeMap::new();
        for reading in &self.fresh {
            if let Some(this) = reading.used() {
                let most = used.entry(reading.window).or_insert(this);
                *most = this.max(*most);
            }
        }
        used
    }
}

impl Pool {
    /// All of them, by name.
    pub(super) fn statuses(&self) -> Vec<SubscriptionStatus> {
        let now = self.now().wall;
        let status = |policy: &SubscriptionPolicy| SubscriptionStatus {
            policy: policy.clone(),
            agents: self.state.agents_on(&policy.name),
            credential: self.state.credential(&policy.name).cloned(),
            cooldown: self.state.cooling_for_all(&policy.name, now).cloned(),
            rows: self.state.rows_about(&policy.name, now).cloned().collect(),
            readings: self.state.readings(&policy.name),
            fresh: self.state.fresh_readings(&policy.name, now),
            nearest_wall: self.state.nearest_wall(&policy.name, now),
            refused: self.state.refused_for_all(&policy.name, now),
        };
        self.state.subscriptions().map(status).collect()
    }
}
