//! All subscriptions: who may use which now, and which one is picked.
//!
//! One predicate, two directions: [`evaluate`] gives a verdict on every subscription; *reserve* takes its first
//! and marks it, *explain* shows all of it. They cannot disagree. The state is a fold over durable rows that
//! others committed ([`PoolState::apply`]), plus reservations, which live in memory only: their durable form
//! is the open intent.
//!
//! Invariants: a reservation belongs to one agent at most (INV-8); nothing cooling is ever picked unforced
//! (INV-9, checked again in the model). Tests: `tests/pool_rules.rs`, `tests/machine_properties.rs`, `tests/model.rs`.

mod evidence;
mod verdict;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use evidence::Evidence;
pub use verdict::{AgentView, Candidate, Ineligible, Ranking, Wanted};

use super::policy::SubscriptionPolicy;
use crate::domain::{
    AgentName, Change, Cooldown, CooldownKey, Fingerprint, QuotaIdentity, Reach, SubscriptionName, SubscriptionType,
    Wall,
};

/// What is known of a subscription's credential, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialFact {
    /// Its fingerprint if it can be read, else why not.
    pub state: Result<Fingerprint, String>,
    /// When that was found out.
    pub at: Wall,
}

/// The pool: a fold over durable rows, and the reservations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolState {
    subscriptions: BTreeMap<SubscriptionName, SubscriptionPolicy>,
    credentials: BTreeMap<SubscriptionName, CredentialFact>,
    cooldowns: BTreeMap<CooldownKey, Cooldown>,
    assignments: BTreeMap<AgentName, SubscriptionName>,
    /// Places that agents have been promised.
    reservations: BTreeMap<AgentName, SubscriptionName>,
    /// The failures behind promises, known here before they are committed.
    evidence: Evidence,
    /// Agents on each subscription or on their way to it: what the two maps above say, counted.
    heading: BTreeMap<SubscriptionName, u32>,
}

/// The verdict on every subscription for this agent (rules D1, D2, E7). Same inputs, same ranking.
#[must_use]
pub fn evaluate(view: &AgentView, pool: &PoolState, now: Wall) -> Ranking {
    let mut candidates: Vec<Candidate> =
        pool.subscriptions.values().map(|subscription| pool.judge(view, subscription, now)).collect();
    let is_kept =
        |candidate: &Candidate| view.wanted == Wanted::Any && view.current.as_ref() == Some(&candidate.subscription);
    candidates.sort_by(|a, b| {
        let key = |candidate: &Candidate| {
            (candidate.ineligible.is_some(), !is_kept(candidate), candidate.is_suspect, candidate.agents)
        };
        key(a).cmp(&key(b)).then_with(|| a.subscription.cmp(&b.subscription))
    });
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
    Ranking { candidates, earliest }
}

impl PoolState {
    /// A pool of these subscriptions, with nothing known about them yet.
    #[must_use]
    pub fn new(subscriptions: impl IntoIterator<Item = SubscriptionPolicy>) -> Self {
        Self {
            subscriptions: subscriptions.into_iter().map(|policy| (policy.name.clone(), policy)).collect(),
            ..Self::default()
        }
    }

    /// Folds in a row that somebody committed.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::CooldownSet(cooldown) => {
                if self.cooldowns.get(&cooldown.key).is_none_or(|known| cooldown.supersedes(known)) {
                    self.cooldowns.insert(cooldown.key.clone(), cooldown.clone());
                }
            }
            Change::CooldownLifted(key) => {
                self.cooldowns.remove(key);
            }
            Change::Assigned { agent, assignment, .. } => {
                self.assign(agent.clone(), assignment.subscription.clone());
            }
            Change::IntentOpened(intent) => self.promise(intent.id.agent.clone(), intent.to.clone()),
            Change::IntentClosed(end) => self.release(&end.id.agent),
            Change::FailureRecorded(_)
            | Change::FailureCounted { .. }
            | Change::FailureJudged { .. }
            | Change::IntentDelivered { .. }
            | Change::AgentSaved(..)
            | Change::Notified(_)
            | Change::CredentialSeen(..)
            | Change::LogRead(..) => {}
        }
    }

    /// Takes note of where an agent is, from the store.
    pub fn assign(&mut self, agent: AgentName, subscription: SubscriptionName) {
        self.move_agent(&agent.clone(), |pool| {
            pool.assignments.insert(agent, subscription);
        });
    }

    /// Takes note of where an open intent goes to, from the store.
    pub fn promise(&mut self, agent: AgentName, subscription: SubscriptionName) {
        self.move_agent(&agent.clone(), |pool| {
            pool.evidence.forget(&agent);
            pool.reservations.insert(agent, subscription);
        });
    }

    /// Takes note of whether a subscription's credential can be read.
    pub fn note_credential(&mut self, subscription: SubscriptionName, fact: CredentialFact) {
        self.credentials.insert(subscription, fact);
    }

    /// Picks for an agent and marks the pick, so that the next pick counts it. An earlier mark of the same agent
    /// is replaced; where the agent stays where it is, nothing is marked.
    pub fn reserve(&mut self, view: &AgentView, now: Wall) -> Ranking {
        let ranking = evaluate(view, self, now);
        self.release(&view.agent);
        if let Some(subscription) = ranking.first().filter(|pick| Some(*pick) != view.current.as_ref()) {
            self.promise(view.agent.clone(), subscription.clone());
            if let Some((_, Some(cooldown))) = &view.failing {
                self.evidence.note(view.agent.clone(), cooldown.clone());
            }
        }
        ranking
    }

    /// Takes a mark back.
    pub fn release(&mut self, agent: &AgentName) {
        self.move_agent(agent, |pool| {
            pool.evidence.forget(agent);
            pool.reservations.remove(agent);
        });
    }

    /// Changes where an agent is or goes, and counts it again.
    fn move_agent(&mut self, agent: &AgentName, change: impl FnOnce(&mut Self)) {
        for subscription in self.places(agent).into_iter().flatten() {
            if let Entry::Occupied(mut agents) = self.heading.entry(subscription) {
                *agents.get_mut() -= 1;
                if *agents.get() == 0 {
                    agents.remove();
                }
            }
        }
        change(self);
        for subscription in self.places(agent).into_iter().flatten() {
            *self.heading.entry(subscription).or_default() += 1;
        }
    }

    /// Where the agent is and, if that is another one, where it goes.
    fn places(&self, agent: &AgentName) -> [Option<SubscriptionName>; 2] {
        let on = self.assignments.get(agent);
        let to = self.reservations.get(agent).filter(|to| Some(*to) != on);
        [on.cloned(), to.cloned()]
    }

    /// Whether the agent's mark is still good: its credential readable and nothing learned against it since.
    #[must_use]
    pub fn confirm(&self, view: &AgentView, now: Wall) -> Option<Ineligible> {
        let Wanted::This { to, .. } = &view.wanted else { return None };
        evaluate(view, self, now).verdict(to).map_or(Some(Ineligible::NotAllowed), |verdict| verdict.ineligible.clone())
    }

    /// Removes cooldowns that have ended and returns them.
    pub fn expire(&mut self, now: Wall) -> Vec<Cooldown> {
        let (kept, ended) = std::mem::take(&mut self.cooldowns).into_iter().partition(|(_, row)| row.is_cooling(now));
        self.cooldowns = kept;
        let ended: BTreeMap<CooldownKey, Cooldown> = ended;
        ended.into_values().collect()
    }

    /// When the next cooldown ends by itself.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Wall> {
        self.cooldowns.values().filter_map(|row| row.until).min()
    }

    /// The subscriptions, by name.
    pub fn subscriptions(&self) -> impl Iterator<Item = &SubscriptionPolicy> {
        self.subscriptions.values()
    }

    /// What is known of a subscription's credential.
    #[must_use]
    pub fn credential(&self, subscription: &SubscriptionName) -> Option<&CredentialFact> {
        self.credentials.get(subscription)
    }

    /// The subscription whose credential has this fingerprint.
    #[must_use]
    pub fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&SubscriptionName> {
        self.credentials.iter().find(|(_, fact)| fact.state.as_ref() == Ok(fingerprint)).map(|(name, _)| name)
    }

    /// The agents on a subscription, not those on their way to it.
    #[must_use]
    pub fn agents_on(&self, subscription: &SubscriptionName) -> Vec<AgentName> {
        self.assignments.iter().filter(|(_, on)| *on == subscription).map(|(agent, _)| agent.clone()).collect()
    }

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

    /// The same from committed rows alone: what was told to people before.
    #[must_use]
    pub fn known_for_all<'a>(&'a self, subscription: &'a SubscriptionName, now: Wall) -> Option<&'a Cooldown> {
        let quota = self.subscriptions.get(subscription).map(|policy| &policy.quota);
        let rows = self.cooldowns.values().filter(|row| row.is_cooling(now) && is_about(row, subscription, quota));
        holds_for_all(rows)
    }

    fn rows(&self) -> impl Iterator<Item = &Cooldown> {
        self.cooldowns.values().chain(self.evidence.rows())
    }

    fn judge(&self, view: &AgentView, subscription: &SubscriptionPolicy, now: Wall) -> Candidate {
        let name = &subscription.name;
        let agents = self.agents_heading_for(name, &view.agent);
        let forced = matches!(&view.wanted, Wanted::This { to, force: true } if to == name);
        let is_full = agents >= subscription.agents_max && view.current.as_ref() != Some(name);
        let full = is_full.then_some(Ineligible::Full { agents, agents_max: subscription.agents_max });
        let ineligible = if !view.allowed.contains(name) {
            Some(Ineligible::NotAllowed)
        } else if matches!(&view.wanted, Wanted::This { to, .. } if to != name) {
            Some(Ineligible::NotWanted)
        } else if view.wanted != Wanted::Any && !forced && view.current.as_ref() == Some(name) && view.failing.is_none()
        {
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
        } else {
            full
        };
        let is_suspect = self.rows_about(name, now).any(|row| match &row.key.reach {
            Reach::Agent(other) => other != &view.agent,
            Reach::All => false,
        });
        Candidate { subscription: name.clone(), is_suspect, agents, ineligible }
    }

    fn readable(&self, subscription: &SubscriptionName) -> Result<(), String> {
        match self.credentials.get(subscription) {
            Some(fact) => fact.state.as_ref().map(|_| ()).map_err(Clone::clone),
            None => Err("not read yet".to_owned()),
        }
    }

    /// The cooldown that keeps this agent off a subscription the longest: a word for everyone, its own word, or
    /// the word of two agents.
    fn cooling<'a>(
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
        own.chain(corroborated(&rows))
            .filter(|row| match &row.key.model {
                None => true,
                Some(model) => view.models.is_empty() || view.models.contains(model),
            })
            .max_by_key(|row| ends(row))
    }

    fn agents_heading_for(&self, subscription: &SubscriptionName, except: &AgentName) -> u32 {
        let agents = self.heading.get(subscription).copied().unwrap_or_default();
        let is_counted = self.places(except).iter().flatten().any(|place| place == subscription);
        agents.saturating_sub(u32::from(is_counted))
    }
}

/// Quarantines end last.
fn ends(row: &Cooldown) -> Wall {
    row.until.unwrap_or(Wall(i64::MAX))
}

fn is_about(row: &Cooldown, subscription: &SubscriptionName, quota: Option<&QuotaIdentity>) -> bool {
    match &row.key.credential {
        Some(credential) => credential == subscription,
        None => Some(&row.key.quota) == quota,
    }
}

/// Of these rows the one that holds for everyone and ends last.
fn holds_for_all<'a>(rows: impl Iterator<Item = &'a Cooldown>) -> Option<&'a Cooldown> {
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
