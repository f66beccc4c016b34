//! What cools, and for whom (rules E1, E3, E7).
//!
//! A trusted word holds for everyone, an agent's own word for that agent; where two agents say the same of one limit it
//! holds for everyone for as long as both say so.
//!
//! Tests: `tests/pool_rules.rs`.

use std::collections::BTreeMap;

use super::{AgentView, PoolState};
use crate::domain::{AgentName, Cooldown, Model, QuotaIdentity, Reach, SubscriptionName, Wall};

impl PoolState {
    /// Every cooldown row that speaks of this subscription and has not ended.
    pub fn rows_about<'a>(
        &'a self,
        subscription: &'a SubscriptionName,
        now: Wall,
    ) -> impl Iterator<Item = &'a Cooldown> {
        let quota = self.subscriptions.get(subscription).map(|policy| policy.quota.clone());
        self.rows().filter(move |row| row.is_cooling(now) && is_about(row, subscription, quota.as_ref()))
    }

    /// The cooldown that holds for everyone: a trusted word, or the same word from two agents (E7).
    #[must_use]
    pub fn cooling_for_all<'a>(&'a self, subscription: &'a SubscriptionName, now: Wall) -> Option<&'a Cooldown> {
        holds_for_all(self.rows_about(subscription, now))
    }

    /// Until when a subscription cannot serve an agent that needs these models, by others' word; `None` if it can. An
    /// end that is not known is the end of time.
    #[must_use]
    pub fn shuns(&self, models: &[Model], subscription: &SubscriptionName, now: Wall) -> Option<Wall> {
        let cools = holds_for_all(self.rows_about(subscription, now).filter(|row| concerns(row, models))).map(ends);
        let refused = self.refused_for_all(subscription, now).and_then(|refused| refused.ends_at());
        cools.max(refused)
    }

    /// The same from committed rows alone: what was told to people before.
    #[must_use]
    pub fn known_for_all<'a>(&'a self, subscription: &'a SubscriptionName, now: Wall) -> Option<&'a Cooldown> {
        let quota = self.subscriptions.get(subscription).map(|policy| &policy.quota);
        let rows = self.cooldowns.values().filter(|row| row.is_cooling(now) && is_about(row, subscription, quota));
        holds_for_all(rows)
    }

    /// Whether a subscription is kept from an agent that needs these models by what cools.
    #[must_use]
    pub fn cools_for(&self, agent: &AgentName, models: &[Model], subscription: &SubscriptionName, now: Wall) -> bool {
        let concerns_it = |row: &&Cooldown| match &row.key.reach {
            Reach::All => true,
            Reach::Agent(teller) => teller == agent,
        };
        let is_kept =
            self.rows_about(subscription, now).filter(|row| concerns(row, models)).any(|row| concerns_it(&row));
        is_kept || self.shuns(models, subscription, now).is_some()
    }

    /// The cooldown that keeps this agent off a subscription the longest: a word for everyone, its own word, or
    /// the word of two agents.
    pub(super) fn cooling<'a>(
        &'a self,
        view: &'a AgentView,
        subscription: &'a SubscriptionName,
        now: Wall,
    ) -> Option<&'a Cooldown> {
        let quota = self.subscriptions.get(subscription).map(|policy| &policy.quota);
        let uncommitted = view
            .failing
            .as_ref()
            .and_then(|(_, cooldown)| cooldown.as_ref())
            .filter(|row| row.is_cooling(now) && is_about(row, subscription, quota));
        let rows: Vec<&Cooldown> = self.rows_about(subscription, now).chain(uncommitted).collect();
        let own = rows.iter().copied().filter(|row| match &row.key.reach {
            Reach::All => true,
            Reach::Agent(agent) => agent == &view.agent,
        });
        own.chain(corroborated(&rows)).filter(|row| concerns(row, &view.models)).max_by_key(|row| ends(row))
    }

    /// Whether another agent alone says that it has run out.
    pub(super) fn is_suspect(&self, view: &AgentView, subscription: &SubscriptionName, now: Wall) -> bool {
        self.rows_about(subscription, now).any(|row| match &row.key.reach {
            Reach::Agent(other) => other != &view.agent,
            Reach::All => false,
        })
    }

    fn rows(&self) -> impl Iterator<Item = &Cooldown> {
        self.cooldowns.values().chain(self.evidence.rows())
    }
}

/// Quarantines end last.
pub(super) fn ends(row: &Cooldown) -> Wall {
    row.until.unwrap_or(Wall(i64::MAX))
}

/// Whether it matters to an agent that needs these models; none named means all.
fn concerns(row: &Cooldown, models: &[Model]) -> bool {
    row.key.model.as_ref().is_none_or(|model| models.is_empty() || models.contains(model))
}

fn is_about(row: &Cooldown, subscription: &SubscriptionName, quota: Option<&QuotaIdentity>) -> bool {
    match &row.key.credential {
        Some(credential) => credential == subscription,
        None => Some(&row.key.quota) == quota,
    }
}

/// Of these rows the one that holds for everyone and ends last.
pub(super) fn holds_for_all<'a>(rows: impl Iterator<Item = &'a Cooldown>) -> Option<&'a Cooldown> {
    let rows: Vec<&Cooldown> = rows.collect();
    let trusted = rows.iter().copied().filter(|row| row.key.reach == Reach::All);
    trusted.chain(corroborated(&rows)).max_by_key(|row| ends(row))
}

/// Of the words of single agents, those that a second agent says as well: each limit for as long as two agree.
/// A refused login is left out: two agents may share a trouble of their own (E7: never quarantined by it).
fn corroborated<'a>(rows: &[&'a Cooldown]) -> Vec<&'a Cooldown> {
    let mut by_limit: BTreeMap<_, Vec<&'a Cooldown>> = BTreeMap::new();
    for row in rows.iter().copied().filter(|row| matches!(row.key.reach, Reach::Agent(_)) && !row.is_quarantine()) {
        by_limit.entry((&row.key.quota, row.key.window, &row.key.model)).or_default().push(row);
    }
    by_limit
        .into_values()
        .filter_map(|mut words| {
            words.sort_by_key(|row| std::cmp::Reverse(ends(row)));
            words.iter().copied().skip(1).find(|row| row.key.reach != words[0].key.reach)
        })
        .collect()
}
