//! Who waits for a turn, and whose turn it is.
//!
//! Interactive callers before those in the background, first come first served within a class (H3). A caller is *ready*
//! when its session is free and nobody waits for that session before it; where places are few, the first ready one
//! gets the next. So somebody who waits for a busy session keeps nobody from a free one.
//!
//! Every step costs the logarithm of how many wait, a copy next to nothing.

use std::sync::Arc;

use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::domain::{Due, Moment, SessionName, Steady, TurnClass, TurnKey};
use crate::machine::agent::Ticket;

/// The place in line: the class first, then the order of arrival.
type Place = (TurnClass, u64);

/// A caller that waits for a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// Whom to answer: one, or several that came with the same key.
    pub callers: Vec<Ticket>,
    /// What for.
    pub session: SessionName,
    /// Who goes first.
    pub class: TurnClass,
    /// Who it is, in its own words.
    pub holder: String,
    /// The turn that must be the last one completed in the session.
    pub after: Option<u64>,
    /// Its idempotency key, and what identifies the request.
    pub key: Option<(TurnKey, u64)>,
    /// Since when.
    pub since: Moment,
    /// Until when; `None` if it does not want to wait at all.
    pub until: Option<Steady>,
}

/// The line in front of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Line {
    places: RedBlackTreeSetSync<Place>,
    is_blocked: bool,
}

/// Everybody who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    arrivals: u64,
    callers: RedBlackTreeMapSync<Place, Arc<Waiter>>,
    lines: RedBlackTreeMapSync<SessionName, Line>,
    ready: RedBlackTreeSetSync<Place>,
    until: RedBlackTreeSetSync<(Steady, Place)>,
    impatient: RedBlackTreeSetSync<Place>,
    by_ticket: RedBlackTreeMapSync<Ticket, Place>,
    by_key: RedBlackTreeMapSync<TurnKey, Place>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.callers.size()
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = &Waiter> {
        self.callers.values().map(|waiter| &**waiter)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next_due(&self) -> Option<Due> {
        self.until.first().map(|(until, _)| Due::After(*until))
    }

    pub(super) fn with_key(&self, key: &TurnKey) -> Option<&Waiter> {
        self.by_key.get(key).and_then(|place| self.callers.get(place)).map(|waiter| &**waiter)
    }

    pub(super) fn add(&mut self, waiter: Waiter, is_free: bool) {
        self.arrivals += 1;
        let place = (waiter.class, self.arrivals);
        match waiter.until {
            Some(until) => self.until.insert_mut((until, place)),
            None => self.impatient.insert_mut(place),
        }
        for ticket in &waiter.callers {
            self.by_ticket.insert_mut(*ticket, place);
        }
        if let Some((key, _)) = &waiter.key {
            self.by_key.insert_mut(key.clone(), place);
        }
        let session = waiter.session.clone();
        self.callers.insert_mut(place, Arc::new(waiter));
        self.change_line(&session, |line| {
            line.is_blocked = !is_free;
            line.places.insert_mut(place);
        });
    }

    /// The session has a turn now.
    pub(super) fn block(&mut self, session: &SessionName) {
        if self.lines.contains_key(session) {
            self.change_line(session, |line| line.is_blocked = true);
        }
    }

    /// The session is free.
    pub(super) fn unblock(&mut self, session: &SessionName) {
        if self.lines.contains_key(session) {
            self.change_line(session, |line| line.is_blocked = false);
        }
    }

    pub(super) fn take_ready(&mut self) -> Option<Waiter> {
        let place = *self.ready.first()?;
        self.remove(place)
    }

    pub(super) fn take_impatient(&mut self) -> Vec<Waiter> {
        let places: Vec<Place> = self.impatient.iter().copied().collect();
        places.into_iter().filter_map(|place| self.remove(place)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Waiter> {
        let all = std::mem::take(self);
        self.arrivals = all.arrivals;
        all.callers.values().map(|waiter| (**waiter).clone()).collect()
    }

    pub(super) fn take_expired(&mut self, now: Moment) -> Option<Waiter> {
        let (until, place) = *self.until.first()?;
        if until > now.steady { None } else { self.remove(place) }
    }

    pub(super) fn take_for(&mut self, session: &SessionName) -> Vec<Waiter> {
        let places: Vec<Place> =
            self.lines.get(session).map(|line| line.places.iter().copied().collect()).unwrap_or_default();
        places.into_iter().filter_map(|place| self.remove(place)).collect()
    }

    pub(super) fn join(&mut self, key: &TurnKey, ticket: Ticket) {
        let Some(place) = self.by_key.get(key).copied() else { return };
        if let Some(waiter) = self.callers.get_mut(&place) {
            Arc::make_mut(waiter).callers.push(ticket);
            self.by_ticket.insert_mut(ticket, place);
        }
    }

    /// Whether the caller was waiting. Its place goes with the last one who wanted it.
    pub(super) fn withdraw(&mut self, ticket: Ticket) -> bool {
        let Some(place) = self.by_ticket.get(&ticket).copied() else { return false };
        self.by_ticket.remove_mut(&ticket);
        let mut is_nobodys = false;
        if let Some(waiter) = self.callers.get_mut(&place) {
            let waiter = Arc::make_mut(waiter);
            waiter.callers.retain(|caller| *caller != ticket);
            is_nobodys = waiter.callers.is_empty();
        }
        if is_nobodys {
            self.remove(place);
        }
        true
    }

    fn remove(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.callers.get(&place).cloned()?;
        self.callers.remove_mut(&place);
        match waiter.until {
            Some(until) => self.until.remove_mut(&(until, place)),
            None => self.impatient.remove_mut(&place),
        };
        for ticket in &waiter.callers {
            self.by_ticket.remove_mut(ticket);
        }
        if let Some((key, _)) = &waiter.key {
            self.by_key.remove_mut(key);
        }
        self.change_line(&waiter.session, |line| {
            line.places.remove_mut(&place);
        });
        Some(Arc::unwrap_or_clone(waiter))
    }

    /// Changes a line, and who of it is ready.
    fn change_line(&mut self, session: &SessionName, change: impl FnOnce(&mut Line)) {
        let mut line = self.lines.get(session).cloned().unwrap_or_default();
        if let Some(head) = line.places.first() {
            self.ready.remove_mut(head);
        }
        change(&mut line);
        match line.places.first() {
            Some(head) if !line.is_blocked => self.ready.insert_mut(*head),
            Some(_) => {}
            None => {
                self.lines.remove_mut(session);
                return;
            }
        }
        self.lines.insert_mut(session.clone(), line);
    }
}
