//! Whether refused logins are the agent's own trouble (E5).
//!
//! An agent that has a key of its own, in its environment or files, is refused on every subscription it is given. Two
//! refusals on different subscriptions within ten minutes that no other agent shares mean that: no third one is tried,
//! and what it said of both is taken back, so that nobody else has to do without them.
//!
//! Tests: `tests/pool_life/troubles.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::AgentView;
use crate::domain::{AgentName, Cooldown, CooldownKey, FailureKind, Reach, SubscriptionName, Wall};

/// Two refusals so close to each other have one reason.
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// Who was refused where: at most one word for each agent and subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    words: BTreeMap<SubscriptionName, BTreeMap<AgentName, (Wall, CooldownKey)>>,
}

impl Refusals {
    /// Takes note of a refused login; other cooldowns are none of its business.
    pub(super) fn note(&mut self, row: &Cooldown) {
        if let Some((subscription, agent, word)) = word_of(row) {
            self.words.entry(subscription).or_default().insert(agent, word);
        }
    }

    /// A row was taken back, or its credential has changed.
    pub(super) fn lift(&mut self, key: &CooldownKey) {
        let Some(subscription) = &key.credential else { return };
        if let Some(words) = self.words.get_mut(subscription) {
            words.retain(|_, (_, of)| of != key);
        }
        self.words.retain(|_, words| !words.is_empty());
    }

    /// A row for everyone has room for one teller: who else said the same is not in it.
    pub(super) fn forget_trusted(&mut self) {
        for words in self.words.values_mut() {
            words.retain(|_, (_, key)| key.reach != Reach::All);
        }
        self.words.retain(|_, words| !words.is_empty());
    }

    /// The rows to take back, if the agent's refusals are its own trouble.
    pub(super) fn are_its_own(&self, view: &AgentView, now: Wall) -> Option<Vec<CooldownKey>> {
        let failing = view.failing.as_ref().and_then(|(_, row)| row.as_ref()).and_then(word_of);
        let mut own: BTreeMap<&SubscriptionName, &(Wall, CooldownKey)> = BTreeMap::new();
        for (subscription, words) in &self.words {
            if let Some(word) = words.get(&view.agent) {
                own.insert(subscription, word);
            }
        }
        if let Some((subscription, _, word)) = &failing {
            own.insert(subscription, word);
        }
        let is_shared = |subscription: &SubscriptionName| {
            self.words.get(subscription).is_some_and(|words| words.keys().any(|teller| teller != &view.agent))
        };
        let lately = own
            .into_iter()
            .filter(|(subscription, (at, _))| *at <= now && at.plus(WITHIN) > now && !is_shared(subscription));
        let keys: BTreeSet<CooldownKey> = lately.map(|(_, (_, key))| key.clone()).collect();
        let subscriptions: BTreeSet<_> = keys.iter().filter_map(|key| key.credential.as_ref()).collect();
        (subscriptions.len() >= 2).then(|| keys.iter().cloned().collect())
    }
}

/// Of which subscription, by which agent, when, and in which row.
fn word_of(row: &Cooldown) -> Option<(SubscriptionName, AgentName, (Wall, CooldownKey))> {
    let (credential, failure) = (row.key.credential.clone()?, row.failure.as_ref()?);
    (row.kind == FailureKind::Auth).then(|| (credential, failure.agent.clone(), (row.since, row.key.clone())))
}
