//! The places that are taken, and by whom: counted, so that a newcomer costs no look at everybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::Steady;

/// Nothing of a request has come yet.
pub(super) const WAITING: u8 = 0;
/// Its head comes in.
pub(super) const READING: u8 = 1;
/// It is being served.
pub(super) const SERVED: u8 = 2;

/// The connection goes on.
pub(super) const STAYS: u8 = 0;
/// It ends with what is under way.
pub(super) const MAY_FINISH: u8 = 1;
/// It ends now.
pub(super) const MUST_GO: u8 = 2;

/// What is known about one connection.
pub(super) struct Seat {
    pub(super) uid: u32,
    is_guest: AtomicBool,
    pub(super) stage: AtomicU8,
    pub(super) deadline: AtomicU64,
    pub(super) since: AtomicU64,
    pub(super) fate: AtomicU8,
    pub(super) told: Notify,
}

impl Seat {
    pub(super) fn new(uid: u32, is_guest: bool, now: Steady, first_byte_within: Duration) -> Self {
        Self {
            uid,
            is_guest: AtomicBool::new(is_guest),
            stage: AtomicU8::new(WAITING),
            deadline: AtomicU64::new(now.plus(first_byte_within).0),
            since: AtomicU64::new(now.0),
            fate: AtomicU8::new(STAYS),
            told: Notify::new(),
        }
    }

    pub(super) fn is_guest(&self) -> bool {
        self.is_guest.load(Ordering::Relaxed)
    }

    pub(super) fn tell(&self, fate: u8) {
        if self.fate.fetch_max(fate, Ordering::Relaxed) < fate {
            self.told.notify_one();
        }
    }
}

/// Everybody's seat by number, and how many there are of each sort.
#[derive(Default)]
pub(super) struct Places {
    seats: HashMap<u64, Arc<Seat>>,
    guests: usize,
    of_user: HashMap<u32, usize>,
}

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.seats.values()
    }

    pub(super) fn guests(&self) -> usize {
        self.guests
    }

    /// All that are no guests.
    pub(super) fn regular(&self) -> usize {
        self.seats.len() - self.guests
    }

    /// Those of one user that are no guests.
    pub(super) fn of_user(&self, uid: u32) -> usize {
        self.of_user.get(&uid).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, number: u64, seat: Arc<Seat>) {
        if seat.is_guest() {
            self.guests += 1;
        } else {
            *self.of_user.entry(seat.uid).or_default() += 1;
        }
        self.seats.insert(number, seat);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Arc<Seat>> {
        let seat = self.seats.remove(&number)?;
        if seat.is_guest() {
            self.guests -= 1;
        } else if let Some(count) = self.of_user.get_mut(&seat.uid) {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(&seat.uid);
            }
        }
        Some(seat)
    }

    /// A guest becomes one who may do things. One that has been told to go is counted no longer.
    pub(super) fn settle(&mut self, number: u64) {
        let Some(seat) = self.seats.get(&number) else { return };
        if seat.is_guest.swap(false, Ordering::Relaxed) {
            self.guests -= 1;
            *self.of_user.entry(seat.uid).or_default() += 1;
        }
    }

    /// Closes the one that has been slow for the longest, half-sent heads before quiet connections; says whether
    /// anybody is.
    pub(super) fn make_room(&mut self, now: Steady, grace: Duration, counts: impl Fn(&Seat) -> bool) -> bool {
        let slow = self.seats.iter().filter(|(_, seat)| counts(seat)).filter_map(|(number, seat)| {
            let (stage, since) = (seat.stage.load(Ordering::Relaxed), seat.since.load(Ordering::Relaxed));
            (stage != SERVED && Steady(since).plus(grace) <= now).then_some((stage != READING, since, *number))
        });
        let Some((_, _, number)) = slow.min() else { return false };
        if let Some(seat) = self.remove(number) {
            seat.tell(MUST_GO);
        }
        true
    }
}
