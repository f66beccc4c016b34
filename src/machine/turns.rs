//! The turn ledger: who holds what, who waits for it, and what is remembered of sessions and keys.
//!
//! ```text
//!   asked ──► waiting ──► granted ──first heartbeat──► taken ──► complete · failed · cancelled
//!               │            │                           │
//!               ▼            ▼                           ▼ no heartbeat for a lease, or asked to stop in vain
//!            refused       lapsed                      lost ──fence or switch──► cut_off
//! ```
//!
//! Plain data with the deadlines in it: what an event means for it is decided in [`super::agent`], which also owns the
//! agent's phase, so that granting, draining, fencing and restarting have one owner. A copy is cheap whatever waits:
//! what can be large is shared between copies.
//!
//! It must not hand a session over: only `Ledger::end` frees one, and that is for whoever knows that the work in it
//! has ended. Invariants: `super::invariant`. Tests: `tests/turn_rules.rs`, `tests/turn_properties.rs`, `tests/model.rs`.

mod memory;
mod request;
mod waiting;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::memory::{Keyed, Remembered};
pub use self::request::{Begin, TurnRefusal, TurnReply, TurnRequest};
pub use self::waiting::Waiter;

use self::memory::{Keys, Sessions};
use self::waiting::Waiting;
use super::agent::Ticket;
use crate::domain::{
    AgentRecord, Due, KeyRecord, Moment, SessionName, SessionRecord, Turn, TurnClass, TurnKey, TurnsRecord, Wall,
};

/// A stored deadline further away than this is not believed: the clock was set.
const DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// A turn that has not ended, with its deadlines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The turn.
    pub turn: Turn,
    /// When it lapses, or its holder counts as lost.
    pub due: Due,
    /// When a holder that was asked to stop has had time enough.
    pub cancel_due: Option<Due>,
    /// Who was told of the grant in this life of the actor and has not gone since.
    pub callers: Vec<Ticket>,
}

/// Everything about the turns of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    issued: u64,
    active: BTreeMap<u64, Arc<Active>>,
    held: BTreeMap<SessionName, u64>,
    sessions: Sessions,
    keys: Keys,
    waiting: Waiting,
    /// When the fences began that nobody asked for, oldest first.
    pub fences: Vec<Wall>,
    /// No fence before then: the last one did not come off, or the budget is used up.
    pub fence_from: Option<Due>,
    /// The pool is not asked before then whether the agent can serve: it did not answer.
    pub ask_from: Option<Due>,
}

impl Ledger {
    /// Callers that may wait at one agent.
    pub const WAITING_MAX: usize = 10_000;

    /// What a stored ledger stands for. Nobody could give a heartbeat while the daemon was away, so every deadline is a
    /// lease from now at the earliest (H10). Those who waited have gone with their connections.
    #[must_use]
    pub fn restore(record: TurnsRecord, lease: Duration, now: Moment) -> Self {
        let mut ledger = Self { issued: record.issued, fences: record.fences, ..Self::default() };
        for SessionRecord { session, last_completed, is_closed } in record.sessions {
            ledger.sessions.save(session, Remembered { last_completed, is_closed });
        }
        for KeyRecord { key, digest, turn } in record.keys {
            ledger.keys.remember(key, Keyed { digest, turn });
        }
        let later = |stored: Wall| now.due_after(stored.since(now.wall).min(DEADLINE_MAX).max(lease));
        for turn in record.active {
            let (due, cancel_due) = (later(turn.until), turn.cancel.as_ref().map(|cancel| later(cancel.until)));
            ledger.hold(Active { turn, due, cancel_due, callers: Vec::new() });
        }
        ledger
    }

    /// The highest number of a turn that was ever given out.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// A turn that has not ended.
    #[must_use]
    pub fn turn(&self, number: u64) -> Option<&Turn> {
        self.active.get(&number).map(|active| &active.turn)
    }

    /// The turn that a session has.
    #[must_use]
    pub fn turn_in(&self, session: &SessionName) -> Option<&Turn> {
        self.held.get(session).and_then(|number| self.turn(*number))
    }

    /// Every turn that has not ended, the oldest first.
    pub fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.active.values().map(|active| &active.turn)
    }

    /// The same with their deadlines.
    pub fn active(&self) -> impl Iterator<Item = &Active> {
        self.active.values().map(|active| &**active)
    }

    /// Whether there is neither a turn nor anybody who waits for one.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// Callers that wait, first come first, interactive ones before those in the background.
    pub fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.waiting.in_order()
    }

    /// How many callers wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// What is remembered of a session.
    #[must_use]
    pub fn remembered(&self, session: &SessionName) -> Remembered {
        self.sessions.get(session)
    }

    /// The turn that was begun with a key.
    #[must_use]
    pub fn keyed(&self, key: &TurnKey) -> Option<Keyed> {
        self.keys.get(key)
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    /// Takes note of a turn that was granted.
    pub(super) fn hold(&mut self, active: Active) {
        let number = active.turn.id.number;
        if let Some((key, digest)) = active.turn.key.clone() {
            self.keys.remember(key, Keyed { digest, turn: number });
        }
        self.held.insert(active.turn.session.clone(), number);
        self.waiting.block(&active.turn.session);
        self.active.insert(number, Arc::new(active));
    }

    pub(super) fn active_mut(&mut self, number: u64) -> Option<&mut Active> {
        self.active.get_mut(&number).map(Arc::make_mut)
    }

    /// Ends a turn: its session is free from now on.
    pub(super) fn end(&mut self, number: u64) -> Option<Turn> {
        let Active { turn, .. } = Arc::unwrap_or_clone(self.active.remove(&number)?);
        self.held.remove(&turn.session);
        self.waiting.unblock(&turn.session);
        Some(turn)
    }

    /// The same request may begin another turn.
    pub(super) fn forget_key(&mut self, key: &TurnKey) {
        self.keys.forget(key);
    }

    /// Remembers something of a session; the longest untouched one makes room.
    pub(super) fn save(&mut self, session: SessionName, remembered: Remembered) {
        self.sessions.save(session, remembered);
    }

    /// Puts a caller in line.
    pub(super) fn wait(&mut self, waiter: Waiter) {
        let is_free = !self.held.contains_key(&waiter.session);
        self.waiting.add(waiter, is_free);
    }

    /// The caller whose turn it is, if there is a place: the first interactive one whose session is free, else the first
    /// one in the background. Taken out of the line.
    pub(super) fn next(&mut self, sessions_max: u32) -> Option<Waiter> {
        if self.active.len() >= sessions_max as usize { None } else { self.waiting.take_ready() }
    }

    /// Whether somebody waits for what is free: never between two decisions while turns may begin.
    #[must_use]
    pub fn has_ready(&self, sessions_max: u32) -> bool {
        self.active.len() < sessions_max as usize && self.waiting.has_ready()
    }

    /// Callers that do not want to wait and still do.
    pub(super) fn take_impatient(&mut self) -> Vec<Waiter> {
        self.waiting.take_impatient()
    }

    /// Everybody who waits.
    pub(super) fn take_all_waiting(&mut self) -> Vec<Waiter> {
        self.waiting.take_all()
    }

    /// A caller whose time is over.
    pub(super) fn take_expired(&mut self, now: Moment) -> Option<Waiter> {
        self.waiting.take_expired(now)
    }

    /// Everybody who waits for a session.
    pub(super) fn take_waiting_for(&mut self, session: &SessionName) -> Vec<Waiter> {
        self.waiting.take_for(session)
    }

    /// The request with this key that waits.
    pub(super) fn waiting_with(&self, key: &TurnKey) -> Option<&Waiter> {
        self.waiting.with_key(key)
    }

    /// Somebody else asks for the same.
    pub(super) fn join(&mut self, key: &TurnKey, ticket: Ticket) {
        self.waiting.join(key, ticket);
    }

    /// A caller has gone before it was answered, or before it could read the answer. The number of the turn that was
    /// granted to nobody, if it was the last who knew of it.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> Withdrawn {
        if self.waiting.withdraw(ticket) {
            return Withdrawn::Waiting;
        }
        let granted =
            self.active.iter().find(|(_, active)| active.callers.contains(&ticket)).map(|(number, _)| *number);
        let Some(number) = granted else { return Withdrawn::Unknown };
        let Some(active) = self.active_mut(number) else { return Withdrawn::Unknown };
        active.callers.retain(|caller| *caller != ticket);
        let is_nobodys = active.callers.is_empty() && !active.turn.is_taken;
        if is_nobodys { Withdrawn::Untaken(number) } else { Withdrawn::Unknown }
    }

    /// The nearest deadline of all.
    #[must_use]
    pub fn next_due(&self, now: Moment) -> Option<Due> {
        let leases = self.active().filter(|active| active.turn.lost.is_none());
        let leases = leases.flat_map(|active| [Some(active.due), active.cancel_due]).flatten();
        let is_lost = self.turns().any(|turn| turn.lost.is_some());
        let fence = self.fence_from.filter(|from| is_lost && !from.is_past(now));
        let ask = self.ask_from.filter(|from| !self.waiting.is_empty() && !from.is_past(now));
        leases.chain(self.waiting.next_due()).chain(fence).chain(ask).min_by_key(|due| due.remaining(now))
    }

    /// Forgets starts of fences that count no more; the newest are kept.
    pub(super) fn note_fence(&mut self, at: Wall) {
        self.fences.push(at);
        let over = self.fences.len().saturating_sub(AgentRecord::BUDGET_MAX);
        self.fences.drain(..over);
    }

    /// Whether no session has two turns, and every turn has its session.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.held.len() == self.active.len()
            && self.active.iter().all(|(number, active)| self.held.get(&active.turn.session) == Some(number))
            && self.active.last_key_value().is_none_or(|(newest, _)| *newest <= self.issued)
    }

    /// Whether nothing has grown beyond its bound.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.waiting.len() <= Self::WAITING_MAX
            && self.sessions.len() <= TurnsRecord::SESSIONS_MAX
            && self.keys.len() <= TurnsRecord::KEYS_MAX
            && self.fences.len() <= AgentRecord::BUDGET_MAX
    }

    /// How many turns there are of a class.
    #[must_use]
    pub fn count(&self, class: TurnClass) -> usize {
        self.turns().filter(|turn| turn.class == class).count()
    }
}

/// What a caller had that has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// A place in line.
    Waiting,
    /// The turn of this number, which nobody knows of now.
    Untaken(u64),
    /// Nothing that matters any more.
    Unknown,
}
