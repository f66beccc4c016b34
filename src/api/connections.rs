//! Who is connected, and who has to go: caps, and the time that a client may take.
//!
//! ```text
//!            first byte            head complete            answer ready
//!   waiting ───────────► reading ───────────────► served ───────────────► waiting
//!      │ silent too long    │ head too slow          │ (the handler has limits of its own)
//!      └────────────────────┴──► closed
//! ```
//!
//! One sweeper looks at all deadlines, so that a request costs two stores and no timer. Where a cap is reached, the
//! client that has been slow for the longest makes room; one that is being served never does. If nobody is slow, the
//! newcomer is a guest: it may look (a health check comes through whatever else goes on), and what it wants done waits a
//! little for a place.
//!
//! Invariants: never more than [`Limits::connections_max`] places taken, never more than [`Limits::of_one_user`] by one
//! user, never more than [`Limits::guests_max`] guests; who is not being served has a deadline. Tests: below, and
//! `tests/api.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::places::{MAY_FINISH, MUST_GO, Places, READING, SERVED, STAYS, Seat, WAITING};
use crate::domain::Steady;
use crate::ports::clock::Clock;

mod files;
mod places;

/// What clients may take up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a request until its head is complete; and until the first byte of a new connection.
    pub head: Duration,
    /// Until the body of a request is complete.
    pub body: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For requests under way when the daemon stops.
    pub stop: Duration,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Connections of one user at the same time.
    pub of_one_user: usize,
    /// A client is not called slow before this.
    pub grace: Duration,
    /// How long what a guest wants done waits for a place before it is turned away.
    pub patience: Duration,
    /// Connections beyond the caps, which may only look.
    pub guests_max: usize,
}

/// Connections at the same time, where the process may open files enough: thousands of callers that wait for a turn, each
/// on a connection of its own.
const CONNECTIONS_MAX: usize = 16_384;

impl Limits {
    /// What this process has room for: half of the files that it may open. It is let open as many as are needed, if the
    /// system allows it.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self::within(files::raise_limit(2 * CONNECTIONS_MAX))
    }

    /// What those who come in by the sockets of agents may take up: each agent by itself counts as one user.
    pub(super) fn of_agents(&self) -> Self {
        let (connections_max, of_one_user) = (self.connections_max / 4, (self.connections_max / 16).min(128));
        Self { connections_max: connections_max.max(1), of_one_user: of_one_user.max(1), ..self.clone() }
    }

    fn within(files: usize) -> Self {
        let connections_max = (files / 2).min(CONNECTIONS_MAX);
        // Usually one user asks for turns on behalf of everybody; the others still find a place.
        Self { connections_max, of_one_user: connections_max * 3 / 4, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stop: Duration::from_secs(5),
            connections_max: 512,
            of_one_user: 128,
            grace: Duration::from_millis(100),
            patience: Duration::from_secs(1),
            guests_max: 128,
        }
    }
}

/// Everyone who is connected.
pub(super) struct Connections {
    pub(super) limits: Limits,
    clock: Arc<dyn Clock>,
    /// The time of the last sweep: exact enough for deadlines, and free to read.
    now: AtomicU64,
    places: Mutex<Places>,
    numbers: AtomicU64,
    left: Notify,
    entered: Notify,
}

/// A connection's place; it is free again when this is dropped.
pub(super) struct Place {
    number: u64,
    seat: Arc<Seat>,
    connections: Arc<Connections>,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Answer what is under way, then close.
    Finish,
    /// Close.
    Go,
}

impl Connections {
    pub(super) fn new(limits: Limits, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(clock.now().steady.0),
            limits,
            clock,
            places: Mutex::default(),
            numbers: AtomicU64::new(0),
            left: Notify::new(),
            entered: Notify::new(),
        })
    }

    /// Takes a place, or is let in as a guest; `None` if there is no room for guests either. `uid` is whom it is counted
    /// for.
    pub(super) fn enter(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let now = self.read_clock();
        let mut places = self.places();
        let is_guest = !self.has_room(&mut places, uid, now);
        if is_guest && places.guests() >= self.limits.guests_max {
            places.make_room(now, self.limits.grace, Seat::is_guest).then_some(())?;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat::new(uid, is_guest, now, self.limits.head));
        places.add(number, Arc::clone(&seat));
        self.entered.notify_one();
        Some(Place { number, seat, connections: Arc::clone(self) })
    }

    /// Whether there is room for one more of this user, made if need be.
    fn has_room(&self, places: &mut Places, uid: u32, now: Steady) -> bool {
        if places.of_user(uid) >= self.limits.of_one_user {
            places.make_room(now, self.limits.grace, |seat| !seat.is_guest() && seat.uid == uid)
        } else if places.regular() >= self.limits.connections_max {
            places.make_room(now, self.limits.grace, |seat| !seat.is_guest())
        } else {
            true
        }
    }

    /// Closes whoever has overstepped a limit, again and again; runs for ever.
    pub(super) async fn sweep(&self) {
        let shortest = self.limits.head.min(self.limits.idle);
        let every = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_millis(500));
        loop {
            let entered = self.entered.notified();
            if self.places().is_empty() {
                entered.await;
            }
            self.clock.sleep(every).await;
            let now = self.read_clock();
            for seat in self.places().seats() {
                if seat.deadline.load(Ordering::Relaxed) <= now.0 {
                    seat.tell(MUST_GO);
                }
            }
        }
    }

    /// Lets everyone finish what is under way, for as long as the limits say; then closes the rest.
    pub(super) async fn close(&self) {
        self.tell_all(MAY_FINISH);
        let give_up = self.clock.sleep(self.limits.stop);
        tokio::pin!(give_up);
        loop {
            let left = self.left.notified();
            if self.places().is_empty() {
                return;
            }
            tokio::select! {
                () = left => {}
                () = &mut give_up => return self.tell_all(MUST_GO),
            }
        }
    }

    fn tell_all(&self, fate: u8) {
        for seat in self.places().seats() {
            seat.tell(fate);
        }
    }

    fn read_clock(&self) -> Steady {
        let now = self.clock.now().steady;
        self.now.store(now.0, Ordering::Relaxed);
        now
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether it may only look.
    pub(super) fn is_guest(&self) -> bool {
        self.seat.is_guest()
    }

    /// Makes a guest one who may do things, as soon as there is room; `false` if there is none for too long.
    pub(super) async fn settle(&self) -> bool {
        let connections = &self.connections;
        let mut give_up = connections.clock.sleep(connections.limits.patience);
        loop {
            let left = connections.left.notified();
            let now = connections.read_clock();
            let has_room = {
                // Taken under the lock that it was found under: two guests must not take the same place.
                let mut places = connections.places();
                let has_room = connections.has_room(&mut places, self.seat.uid, now);
                if has_room {
                    places.settle(self.number);
                }
                has_room
            };
            if has_room {
                return true;
            }
            tokio::select! {
                () = left => {}
                // Somebody may have become slow meanwhile.
                () = connections.clock.sleep(connections.limits.grace / 4) => {}
                () = &mut give_up => return false,
            }
        }
    }

    /// Bytes have come in.
    pub(super) fn heard(&self) {
        if self.seat.stage.load(Ordering::Relaxed) == WAITING {
            self.enter_stage(READING, self.connections.limits.head);
        }
    }

    /// A request's head is complete: from here on the handler keeps the time.
    pub(super) fn serving(&self) {
        self.seat.stage.store(SERVED, Ordering::Relaxed);
        self.seat.deadline.store(u64::MAX, Ordering::Relaxed);
    }

    /// The answer is ready: the client has to take it, and may ask again.
    pub(super) fn served(&self) {
        self.enter_stage(WAITING, self.connections.limits.idle);
    }

    fn enter_stage(&self, stage: u8, limit: Duration) {
        let now = Steady(self.connections.now.load(Ordering::Relaxed));
        self.seat.since.store(now.0, Ordering::Relaxed);
        self.seat.deadline.store(now.plus(limit).0, Ordering::Relaxed);
        self.seat.stage.store(stage, Ordering::Relaxed);
    }

    /// Resolves when the connection is to be ended, each time it is told more strictly.
    pub(super) async fn told(&self) -> Word {
        loop {
            self.seat.told.notified().await;
            match self.seat.fate.load(Ordering::Relaxed) {
                STAYS => {}
                MAY_FINISH => return Word::Finish,
                _ => return Word::Go,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.places().remove(self.number);
        self.connections.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Moment, Wall};
    use crate::drivers::fake::clock::ManualClock;

    fn connections(limits: Limits) -> (Arc<Connections>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Moment { wall: Wall(0), steady: Steady(0) }));
        (Connections::new(limits, Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn is_told(place: &Place) -> bool {
        place.seat.fate.load(Ordering::Relaxed) == MUST_GO
    }

    #[test]
    fn the_slowest_makes_room_and_who_is_served_never_does() {
        let limits = Limits { of_one_user: 3, guests_max: 0, ..Limits::default() };
        let (connections, clock) = connections(limits);
        let served = connections.enter(1).unwrap();
        served.serving();
        let quiet = connections.enter(1).unwrap();
        let halting = connections.enter(1).unwrap();
        halting.heard();
        assert!(connections.enter(1).is_none(), "nobody is slow yet");
        clock.advance(Duration::from_millis(100));
        let third = connections.enter(1).unwrap();
        assert!(is_told(&halting), "a head that does not get on goes first");
        let fourth = connections.enter(1).unwrap();
        assert!(is_told(&quiet));
        assert!(!is_told(&served));
        assert!(connections.enter(1).is_none(), "the new ones have their grace");
        assert!(connections.enter(2).is_some(), "another user has a cap of its own");
        drop((third, fourth, halting, quiet));
        assert_eq!(connections.places().len(), 1);
    }

    #[test]
    fn the_cap_over_all_users_holds_and_so_does_that_of_guests() {
        let limits = Limits { connections_max: 2, guests_max: 1, ..Limits::default() };
        let (connections, _) = connections(limits);
        let places = [connections.enter(1).unwrap(), connections.enter(2).unwrap()];
        assert!(places.iter().all(|place| !place.is_guest()));
        let guest = connections.enter(3).unwrap();
        assert!(guest.is_guest());
        assert!(connections.enter(4).is_none());
        drop(places);
        assert!(!connections.enter(4).unwrap().is_guest());
    }

    #[test]
    fn there_are_as_many_places_as_the_process_may_open_files_for() {
        for (files, all, of_one) in [(1_024, 512, 384), (20_000, 10_000, 7_500), (1 << 20, 16_384, 12_288)] {
            let limits = Limits::within(files);
            assert_eq!((limits.connections_max, limits.of_one_user), (all, of_one), "{files}");
        }
    }

    #[tokio::test]
    async fn a_guest_gets_the_place_that_becomes_free() {
        let limits = Limits { of_one_user: 1, ..Limits::default() };
        let (connections, _) = connections(limits);
        let place = connections.enter(1).unwrap();
        place.serving();
        let guest = connections.enter(1).unwrap();
        let mut settle = Box::pin(guest.settle());
        assert!(futures_util::poll!(&mut settle).is_pending());
        drop(place);
        assert!(settle.await);
        assert!(!guest.is_guest());
    }

    #[tokio::test]
    async fn a_guest_does_not_wait_for_ever() {
        let limits = Limits { of_one_user: 1, ..Limits::default() };
        let (connections, clock) = connections(limits);
        let place = connections.enter(1).unwrap();
        place.serving();
        let guest = connections.enter(1).unwrap();
        let mut settle = Box::pin(guest.settle());
        assert!(futures_util::poll!(&mut settle).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(!settle.await);
        assert!(guest.is_guest());
    }
}
