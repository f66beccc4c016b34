//! The failures behind promises, known to the pool before they are committed.
//!
//! When many agents leave one subscription at once, all of them say the same. Of those the one that ends last speaks:
//! it decides whatever the others could, so that a pick costs the same in a burst as alone.
//!
//! It must not judge what a failure means. Invariant: an agent has at most one row here. Tests: `tests/pool_rules.rs`,
//! `tests/machine_properties.rs`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::cooling::ends;
use crate::domain::{AgentName, Cooldown, CooldownKey, Wall};

/// At most one uncommitted cooldown per agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    rows: BTreeMap<CooldownKey, BTreeMap<(Wall, AgentName), Cooldown>>,
    places: BTreeMap<AgentName, (CooldownKey, Wall)>,
}

impl Evidence {
    /// Takes note of the failure behind an agent's promise; an earlier one of the same agent is replaced.
    pub(super) fn note(&mut self, agent: AgentName, cooldown: Cooldown) {
        self.forget(&agent);
        let end = ends(&cooldown);
        self.places.insert(agent.clone(), (cooldown.key.clone(), end));
        self.rows.entry(cooldown.key.clone()).or_default().insert((end, agent), cooldown);
    }

    /// The promise is committed or taken back.
    pub(super) fn forget(&mut self, agent: &AgentName) {
        let Some((key, end)) = self.places.remove(agent) else { return };
        if let Entry::Occupied(mut same) = self.rows.entry(key) {
            same.get_mut().remove(&(end, agent.clone()));
            if same.get().is_empty() {
                same.remove();
            }
        }
    }

    /// What is known, each limit once.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Cooldown> {
        self.rows.values().filter_map(|same| same.last_key_value()).map(|(_, row)| row)
    }
}
