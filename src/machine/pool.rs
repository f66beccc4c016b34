//! All subscriptions: who may use which now, and which one is picked.
//!
//! One predicate, two directions: [`evaluate`] gives a verdict on every subscription; *reserve* takes its first
//! and marks it, *explain* shows all of it. They cannot disagree. The state is a fold over durable rows that
//! others committed ([`PoolState::apply`]), plus reservations, which live in memory only: their durable form
//! is the open intent.
//!
//! Invariants: a reservation belongs to one agent at most (INV-8); nothing cooling is ever picked unforced
//! (INV-9, checked again in the model). Tests: `tests/pool_rules.rs`, `tests/pool_life.rs`, `tests/machine_properties.rs`,
//! `tests/model.rs`.

mod bans;
mod claims;
mod configured;
mod cooling;
mod evidence;
mod judging;
mod preference;
mod readings;
mod reopening;
mod shadowing;
mod standing;
mod verdict;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bans::Bans;
pub use claims::Agreed;
use claims::Claims;
pub use configured::Configured;
use cooling::holds_for_all;
use evidence::Evidence;
pub use judging::{evaluate, serves};
use readings::Readings;
use reopening::Reopenings;
use shadowing::Refusals;
pub use verdict::{AgentView, Candidate, Ineligible, Pick, Ranking, Wanted};

use super::policy::{PoolSettings, SubscriptionPolicy};
use crate::domain::{
    AgentName, Change, Cooldown, CooldownKey, CooldownSource, FailureKind, Fingerprint, Halt, Intent, QuotaIdentity,
    Reach, Reading, SubscriptionName, Teller, TurnEnd, Wall, Window,
};

/// Moves onto metered subscriptions that are remembered, at most: no budget is larger.
const METERED_MOVES_MAX: usize = 1_000;

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
    /// When each agent came, or set out, to where it is or goes.
    arrivals: BTreeMap<AgentName, Wall>,
    settings: PoolSettings,
    readings: Readings,
    reopenings: Reopenings,
    refusals: Refusals,
    bans: Bans,
    halt: Option<Halt>,
    /// When agents were moved onto metered subscriptions unasked, oldest first.
    metered_moves: Vec<Wall>,
    /// Agents that were promised a metered subscription unasked, until their intent is written.
    metered_promises: BTreeSet<AgentName>,
    /// Cooldowns that have ended and were not told of yet.
    ended: Vec<Cooldown>,
    /// Text that nothing agrees with yet.
    claims: Claims,
    /// Something that was half open has opened, and those in line were not told of it yet.
    has_opened: bool,
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

    /// The same under these settings.
    #[must_use]
    pub fn with_settings(self, settings: PoolSettings) -> Self {
        Self { settings, ..self }
    }

    /// What the user decided about the pool as a whole.
    #[must_use]
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    /// Folds in a row that somebody committed.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::CooldownSet(cooldown) => self.cool(cooldown),
            Change::CooldownLifted(key) => {
                if self.cooldowns.remove(key).is_some_and(|row| row.kind == FailureKind::Banned) {
                    self.bans.lift(&key.quota);
                }
                self.refusals.lift(key);
            }
            Change::Assigned { agent, assignment, .. } => {
                self.reopenings.arrived(agent, assignment.since);
                self.arrivals.insert(agent.clone(), assignment.since);
                self.assign(agent.clone(), assignment.subscription.clone());
            }
            Change::IntentOpened(intent) => {
                self.metered_promises.remove(&intent.id.agent);
                self.note_metered(intent);
                self.promise(intent.id.agent.clone(), intent.to.clone());
            }
            Change::IntentClosed(end) => {
                if end.outcome.is_delivered() {
                    self.reopenings.arrived(&end.id.agent, end.finished_at);
                } else {
                    self.reopenings.left(&end.id.agent, None);
                }
                self.release(&end.id.agent);
            }
            Change::TurnEnded { turn, ended } if ended.end == TurnEnd::Complete => {
                if let Some(quota) = self.quota(&turn.subscription) {
                    self.has_opened |= self.reopenings.succeeded(&quota, turn.begun_at);
                }
            }
            Change::ReadingTaken(reading) => self.read(reading),
            Change::Halted(halt) => self.halt = Some(halt.clone()),
            Change::HaltLifted(at) => {
                self.halt = None;
                self.bans.have_been_seen(*at);
            }
            Change::FailureRecorded(record) => self.note_claim(record),
            Change::FailureJudged { id, .. } => self.claims.forget(id),
            Change::FailureCounted { .. }
            | Change::IntentDelivered { .. }
            | Change::AgentSaved(..)
            | Change::Notified(_)
            | Change::CredentialSeen(..)
            | Change::LogRead(..)
            | Change::TurnBegun { .. }
            | Change::TurnChanged(_)
            | Change::TurnEnded { .. }
            | Change::SessionSaved(..) => {}
        }
    }

    /// A subscription is not to be used.
    fn cool(&mut self, cooldown: &Cooldown) {
        self.claims.cooled(cooldown);
        self.refusals.note(cooldown);
        self.bans.note(cooldown);
        let key = &cooldown.key;
        if self.cooldowns.get(key).is_none_or(|known| cooldown.supersedes(known)) {
            self.cooldowns.insert(key.clone(), cooldown.clone());
        }
        match &key.reach {
            Reach::All => self.reopenings.end(&key.quota, key.model.as_ref()),
            // Whoever was let in has found that it does not serve: the next one may try.
            Reach::Agent(agent) => self.reopenings.left(agent, Some(&key.quota)),
        }
    }

    /// Takes note of what was read of a window. One that serves proves that a quota is open.
    fn read(&mut self, reading: &Reading) {
        let Some(quota) = self.quota(&reading.subscription) else { return };
        if reading.serves && reading.told_by.agent().is_none() {
            self.has_opened |= self.reopenings.succeeded(&quota, reading.at);
        }
        self.readings.take(quota, reading.clone());
    }

    /// The cooldowns that a reading ends (E4): what it says of a window was read after the limit was met, and the window
    /// serves. A trusted word ends what holds for everyone, an agent's own what it said itself; what an operator set
    /// stays, and so does what no window is about.
    #[must_use]
    pub fn ended_by(&self, reading: &Reading) -> Vec<CooldownKey> {
        let Some(quota) = self.quota(&reading.subscription).filter(|_| reading.serves) else { return Vec::new() };
        let is_word_enough = |reach: &Reach| match (reading.told_by.agent(), reach) {
            (None, _) => true,
            (Some(teller), Reach::Agent(agent)) => teller == agent,
            (Some(_), Reach::All) => false,
        };
        let is_about = |row: &Cooldown| {
            let is_same = row.key.window == reading.window && row.key.model == reading.model;
            // A limit that does not say which window it is about is over when the provider serves at all.
            let is_any = row.key.window == Window::Unknown && row.key.model.is_none();
            // A probe asked one model: what it says of the whole proves nothing of what another model counts.
            let is_of_all = reading.window == Window::Unknown
                && reading.model.is_none()
                && (reading.told_by != Teller::Probe || row.key.window != Window::Model);
            row.key.quota == quota && (is_same || is_any || is_of_all)
        };
        let rows = self.cooldowns.values().filter(|row| {
            row.kind == FailureKind::RateLimit && row.source != CooldownSource::Operator && row.since < reading.at
        });
        rows.filter(|row| is_about(row) && is_word_enough(&row.key.reach)).map(|row| row.key.clone()).collect()
    }

    fn note_metered(&mut self, intent: &Intent) {
        let moves = intent.from.as_ref() != Some(&intent.to);
        if self.is_metered(&intent.to) && moves && !intent.cause.by.is_by_operator() {
            self.note_metered_move(intent.started_at);
        }
    }

    /// Takes note of a move that nobody asked for, from the store.
    pub fn note_move(&mut self, to: &SubscriptionName, at: Wall) {
        if self.is_metered(to) {
            self.note_metered_move(at);
        }
    }

    fn is_metered(&self, subscription: &SubscriptionName) -> bool {
        self.subscriptions.get(subscription).is_some_and(|policy| policy.terms.is_metered)
    }

    fn note_metered_move(&mut self, at: Wall) {
        self.metered_moves.push(at);
        let over = self.metered_moves.len().saturating_sub(METERED_MOVES_MAX);
        self.metered_moves.drain(..over);
    }

    fn quota(&self, subscription: &SubscriptionName) -> Option<QuotaIdentity> {
        self.subscriptions.get(subscription).map(|policy| policy.quota.clone())
    }

    /// Why nothing is switched by itself, if that is so.
    #[must_use]
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Why automatic switching has to halt now, if it has to and does not yet; `row` is one that is not committed.
    #[must_use]
    pub fn must_halt(&self, row: Option<&Cooldown>, now: Wall) -> Option<Halt> {
        if self.halt.is_some() { None } else { self.bans.halt(row, now) }
    }

    /// The readings of a subscription, fresh or not.
    #[must_use]
    pub fn readings(&self, subscription: &SubscriptionName) -> Vec<Reading> {
        self.quota(subscription).map(|quota| self.readings.of(&quota).cloned().collect()).unwrap_or_default()
    }

    /// Takes over from the store what cools: also what was lifted without this being told.
    pub fn cool_exactly(&mut self, rows: Vec<Cooldown>) {
        let known: BTreeSet<CooldownKey> = rows.iter().map(|row| row.key.clone()).collect();
        let lifted: Vec<CooldownKey> = self.cooldowns.keys().filter(|key| !known.contains(key)).cloned().collect();
        for key in lifted {
            self.apply(&Change::CooldownLifted(key));
        }
        for row in rows {
            self.apply(&Change::CooldownSet(row));
        }
    }

    /// Of rows from before a start it is not known who else said the same: they are nobody's own trouble.
    pub fn forget_who_was_refused(&mut self) {
        self.refusals.forget_trusted();
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
        self.expire(now);
        self.reopenings.keep_within(now);
        let ranking = evaluate(view, self, now);
        self.release(&view.agent);
        let pick = ranking.first();
        if let Some(quota) = pick.and_then(|pick| self.quota(pick)) {
            self.reopenings.admit(view, &quota, pick == view.current.as_ref(), now);
        }
        if let Some(subscription) = pick.filter(|pick| Some(*pick) != view.current.as_ref()) {
            self.promise(view.agent.clone(), subscription.clone());
            self.arrivals.insert(view.agent.clone(), now);
            if self.is_metered(subscription) && !view.by.is_by_operator() {
                self.metered_promises.insert(view.agent.clone());
            }
            if let Some((_, Some(cooldown))) = &view.failing {
                self.evidence.note(view.agent.clone(), cooldown.clone());
            }
        }
        if pick.is_none() && !view.wanted.is_voluntary() {
            let is_in_line = |one: &&Candidate| matches!(one.ineligible, Some(Ineligible::Reopening { .. }));
            for refused in ranking.candidates.iter().filter(is_in_line) {
                if let Some(quota) = self.quota(&refused.subscription) {
                    self.reopenings.put_in_line(view, &quota);
                }
            }
        }
        ranking
    }

    /// Answers an agent: what it may do, with the pick marked.
    pub fn pick(&mut self, view: &AgentView, now: Wall) -> Pick {
        if view.by.is_automatic()
            && let Some(rows) = self.refusals.are_its_own(view, now)
        {
            self.release(&view.agent);
            return Pick::Shadowed { rows };
        }
        let ranking = self.reserve(view, now);
        match (ranking.first(), &ranking.halt) {
            (Some(best), _) if Some(best) == view.current.as_ref() && view.wanted == Wanted::Any => Pick::Keep,
            (Some(best), _) => Pick::To(best.clone()),
            (None, _) if view.wanted.is_voluntary() => Pick::Keep,
            (None, Some(halt)) => Pick::Halted { reason: halt.to_string() },
            (None, None) => Pick::None {
                earliest: ranking.earliest,
                is_own_turn: ranking.is_own_turn(),
                reason: ranking.why_nobody(view),
            },
        }
    }

    /// Takes a mark back.
    pub fn release(&mut self, agent: &AgentName) {
        self.metered_promises.remove(agent);
        // Whoever was let in and does not come must not hold up the line.
        self.reopenings.left(agent, None);
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
        let ranking = evaluate(view, self, now);
        if ranking.halt.is_some() {
            return Some(Ineligible::Halted);
        }
        ranking.verdict(to).map_or(Some(Ineligible::NotAllowed), |verdict| verdict.ineligible.clone())
    }

    /// Removes cooldowns that have ended. What nobody could use before is half open from then on.
    pub fn expire(&mut self, now: Wall) {
        if self.cooldowns.values().all(|row| row.is_cooling(now)) {
            return;
        }
        let (kept, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.cooldowns).into_iter().partition(|(_, row)| row.is_cooling(now));
        let ended: Vec<Cooldown> = ended.into_values().collect();
        for row in &ended {
            // One agent's word alone kept nobody else away, so there is nobody to be let in again.
            let same = ended.iter().chain(kept.values()).filter(|other| other.key.quota == row.key.quota);
            if let Some(until) = row.until
                && holds_for_all(same.filter(|other| other.is_cooling(Wall(until.0 - 1)))).is_some()
            {
                self.reopenings.begin(row.key.quota.clone(), row.key.model.clone(), until);
            }
        }
        self.cooldowns = kept;
        self.ended.extend(ended);
    }

    /// The cooldowns that have ended since this was last asked.
    pub fn take_ended(&mut self) -> Vec<Cooldown> {
        std::mem::take(&mut self.ended)
    }

    /// Whether something that was half open has opened since this was last asked: those in line may come.
    pub fn take_opened(&mut self) -> bool {
        std::mem::take(&mut self.has_opened)
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

    fn agents_heading_for(&self, subscription: &SubscriptionName, except: &AgentName) -> u32 {
        let agents = self.heading.get(subscription).copied().unwrap_or_default();
        let is_counted = self.places(except).iter().flatten().any(|place| place == subscription);
        agents.saturating_sub(u32::from(is_counted))
    }
}
