//! The verdict on every subscription for one agent: the one predicate of the pool (D1).
//!
//! *Reserve* takes the first of the ranking and marks it, *explain* shows all of it.
//! Tests: `tests/pool_rules.rs`, `tests/pool_life/strategies.rs`, `tests/pool_life/explained.rs`.

use super::preference::Preference;
use super::readings::{nearest_wall, used};
use super::{AgentView, Candidate, Ineligible, PoolState, Ranking, Wanted};
use crate::domain::{Model, SubscriptionName, SubscriptionType, Wall};
use crate::machine::policy::SubscriptionPolicy;

/// The verdict on every subscription for this agent (rules D1, D2, E7). Same inputs, same ranking.
#[must_use]
pub fn evaluate(view: &AgentView, pool: &PoolState, now: Wall) -> Ranking {
    let mut judged: Vec<(Candidate, Preference)> =
        pool.subscriptions.values().map(|subscription| pool.judge(view, subscription, now)).collect();
    let is_kept =
        |candidate: &Candidate| view.wanted == Wanted::Any && view.current.as_ref() == Some(&candidate.subscription);
    judged.sort_by(|(a, a_preference), (b, b_preference)| {
        let key = |candidate: &Candidate| (candidate.ineligible.is_some(), !is_kept(candidate));
        key(a)
            .cmp(&key(b))
            .then_with(|| a_preference.cmp(b_preference))
            .then_with(|| a.agents.cmp(&b.agents))
            .then_with(|| a.subscription.cmp(&b.subscription))
    });
    let candidates: Vec<Candidate> = judged.into_iter().map(|(candidate, _)| candidate).collect();
    let earliest = candidates
        .iter()
        .filter(|candidate| view.allowed.contains(&candidate.subscription))
        .filter_map(|candidate| match &candidate.ineligible {
            // What has just failed comes back as well, when its cooldown ends.
            Some(Ineligible::JustFailed) => pool.cooling(view, &candidate.subscription, now).and_then(|row| row.until),
            Some(reason) => reason.ends_at(),
            None => None,
        })
        .min();
    let halt = pool.halt.clone().filter(|_| view.by.is_automatic());
    Ranking { candidates, earliest, halt, strategy: pool.settings.strategy }
}

impl PoolState {
    fn judge(&self, view: &AgentView, subscription: &SubscriptionPolicy, now: Wall) -> (Candidate, Preference) {
        let name = &subscription.name;
        let agents = self.agents_heading_for(name, &view.agent);
        let is_suspect = self.is_suspect(view, name, now);
        let readings = self.ranking_readings(view, subscription, now);
        let preference = self.preference(subscription, &readings, is_suspect);
        let ineligible = self.why_not(view, subscription, agents, now);
        let reading = nearest_wall(&readings).cloned();
        (Candidate { subscription: name.clone(), is_suspect, agents, reading, ineligible }, preference)
    }

    /// The first reason that holds, the weightiest first.
    fn why_not(
        &self,
        view: &AgentView,
        subscription: &SubscriptionPolicy,
        agents: u32,
        now: Wall,
    ) -> Option<Ineligible> {
        let name = &subscription.name;
        let is_current = view.current.as_ref() == Some(name);
        let is_full = agents >= subscription.agents_max && !is_current;
        let full = is_full.then_some(Ineligible::Full { agents, agents_max: subscription.agents_max });
        let (is_another, forced) = match &view.wanted {
            Wanted::This { to, force } => (to != name, *force && to == name),
            Wanted::Another | Wanted::Any | Wanted::Preferred | Wanted::Roomier => (false, false),
        };
        if !view.allowed.contains(name) {
            Some(Ineligible::NotAllowed)
        } else if is_another {
            Some(Ineligible::NotWanted)
        } else if view.wanted != Wanted::Any && !forced && is_current && view.failing.is_none() {
            Some(Ineligible::Current)
        } else if let Err(why) = self.readable(name) {
            Some(Ineligible::CredentialUnreadable(why))
        } else if view.failing.as_ref().is_some_and(|(failing, _)| failing == name) {
            Some(Ineligible::JustFailed)
        } else if forced {
            // Two tools that renew one login take it from each other: nobody can want that (G13).
            full.filter(|_| subscription.kind == SubscriptionType::Login)
        } else if let Some(row) = self.cooling(view, name, now) {
            Some(match row.until {
                Some(until) => Ineligible::Cooling { kind: row.kind, source: row.source, until },
                None => Ineligible::Quarantined { kind: row.kind, source: row.source },
            })
        } else if let Some(until) = view.exclusions.get(name).filter(|until| **until > now) {
            Some(Ineligible::Excluded { until: *until })
        } else if !serves(&subscription.terms.models, &view.models) && !is_current {
            Some(Ineligible::OtherModels)
        } else {
            self.as_read(view, subscription, is_current, now)
                .or_else(|| full.clone())
                .or_else(|| self.unasked(view, subscription, is_current, now))
        }
    }

    /// What fresh readings say against it. An operator who names it knows better than a ceiling.
    fn as_read(
        &self,
        view: &AgentView,
        subscription: &SubscriptionPolicy,
        is_current: bool,
        now: Wall,
    ) -> Option<Ineligible> {
        let age_max = self.settings.reading_max_age;
        let readings = self.readings.for_agent(view, &subscription.quota, now, age_max, false);
        if let Some(refusing) = readings.iter().find(|reading| !reading.serves) {
            return Some(Ineligible::Refused { window: refusing.window, until: refusing.counts_until(age_max) });
        }
        if is_current || is_named_by_operator(view) {
            return None;
        }
        readings.iter().find_map(|reading| {
            let ceiling = *subscription.terms.ceilings.get(&reading.window)?;
            let used = used(reading).filter(|used| *used >= ceiling)?;
            let until = reading.counts_until(age_max);
            Some(Ineligible::OverCeiling { window: reading.window, used, ceiling, until })
        })
    }

    /// What holds only where nobody asked for the move.
    fn unasked(
        &self,
        view: &AgentView,
        subscription: &SubscriptionPolicy,
        is_current: bool,
        now: Wall,
    ) -> Option<Ineligible> {
        if is_named_by_operator(view) {
            return None;
        }
        let is_promised = self.reservations.get(&view.agent) == Some(&subscription.name);
        if subscription.terms.is_metered
            && !is_current
            && !is_promised
            && let Some(no) = self.metered(now)
        {
            return Some(no);
        }
        if let Some(until) = self.reopenings.opens_for(view, &subscription.quota, now, self.settings.ramp)
            && view.by.is_automatic()
        {
            return Some(Ineligible::Reopening { until });
        }
        self.is_no_better(view, subscription, now).then_some(Ineligible::NoBetter)
    }

    fn metered(&self, now: Wall) -> Option<Ineligible> {
        let Some(budget) = self.settings.metered else { return Some(Ineligible::Metered) };
        // What is promised and not written yet counts as well, or a burst would spend the budget many times over.
        let promised = self.metered_promises.iter().map(|_| now);
        let until = budget.refills_at(self.metered_moves.iter().copied().chain(promised), now)?;
        Some(Ineligible::MeteredSpent { until })
    }

    fn is_no_better(&self, view: &AgentView, subscription: &SubscriptionPolicy, now: Wall) -> bool {
        let Some(current) = view.current.as_ref().and_then(|name| self.subscriptions.get(name)) else {
            return view.wanted.is_voluntary();
        };
        match &view.wanted {
            Wanted::Preferred => {
                !self.is_preferred(subscription, current) || self.is_suspect(view, &subscription.name, now)
            }
            Wanted::Roomier => {
                !self.is_roomier(view, subscription, current, now) || self.is_suspect(view, &subscription.name, now)
            }
            Wanted::Another | Wanted::Any | Wanted::This { .. } => false,
        }
    }

    fn readable(&self, subscription: &SubscriptionName) -> Result<(), String> {
        match self.credentials.get(subscription) {
            Some(fact) => fact.state.as_ref().map(|_| ()).map_err(Clone::clone),
            None => Err("not read yet".to_owned()),
        }
    }
}

/// Whether a person wants this very subscription: then ceilings and the price are that person's business. Who only wants
/// the agent moved gets what anybody would get.
fn is_named_by_operator(view: &AgentView) -> bool {
    view.by.is_by_operator() && matches!(view.wanted, Wanted::This { .. })
}

/// Whether a subscription that is kept for these models serves an agent that needs those. One that names none may need
/// any.
#[must_use]
pub fn serves(kept_for: &[Model], needed: &[Model]) -> bool {
    kept_for.is_empty() || !needed.is_empty() && needed.iter().all(|model| kept_for.contains(model))
}

impl Ranking {
    /// Whether the first one that comes back does so for this agent alone.
    pub(super) fn is_own_turn(&self) -> bool {
        self.candidates.iter().any(|candidate| {
            matches!(candidate.ineligible, Some(Ineligible::Reopening { until }) if Some(until) == self.earliest)
        })
    }

    /// Why nobody can be picked, in words: the named one's reason, or all of them.
    pub(super) fn why_nobody(&self, view: &AgentView) -> String {
        if let Wanted::This { to, .. } = &view.wanted {
            return match self.verdict(to).and_then(|verdict| verdict.ineligible.as_ref()) {
                Some(reason) => format!("{to}: {reason}"),
                None => format!("{to}: no such subscription"),
            };
        }
        let reasons = self.candidates.iter().filter(|candidate| view.allowed.contains(&candidate.subscription));
        let reasons = reasons.filter_map(|candidate| {
            candidate.ineligible.as_ref().map(|why| format!("{}: {why}", candidate.subscription))
        });
        reasons.collect::<Vec<String>>().join("; ")
    }
}
