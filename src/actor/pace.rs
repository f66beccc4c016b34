//! How many restarts run at the same time, and how far apart they begin: a fleet that loses its subscription at once must
//! not bring its machine down as well.
//!
//! Tests: `tests/shell/pacing.rs`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Steady;
use crate::ports::clock::Clock;

/// Lets restarts begin.
pub(super) struct Pace {
    places: Arc<Semaphore>,
    rules: Mutex<Rules>,
    clock: Arc<dyn Clock>,
}

struct Rules {
    /// At most so many at once.
    places: usize,
    /// At least so far apart.
    splay: Duration,
    /// The next one may begin then.
    next: Steady,
}

impl Pace {
    /// At most so many at once, at least `splay` from one beginning to the next.
    pub(super) fn new(places: usize, splay: Duration, clock: Arc<dyn Clock>) -> Self {
        let places = places.max(1);
        let rules = Mutex::new(Rules { places, splay, next: Steady(0) });
        Self { places: Arc::new(Semaphore::new(places)), rules, clock }
    }

    /// Takes over other limits. Restarts that run are not cut off: places that there are too many of are taken away as
    /// they become free.
    pub(super) fn configure(&self, places: usize, splay: Duration) {
        let places = places.max(1);
        let before = {
            let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
            rules.splay = splay;
            std::mem::replace(&mut rules.places, places)
        };
        if let Some(more) = places.checked_sub(before) {
            return self.places.add_permits(more);
        }
        let (free, fewer) = (Arc::clone(&self.places), before - places);
        tokio::spawn(async move {
            for _ in 0..fewer {
                // One after the other: whoever waits for a place does not wait for all of them. It is never closed.
                if let Ok(taken) = free.acquire().await {
                    taken.forget();
                }
            }
        });
    }

    /// Waits for a place and for the turn. The place is given back by dropping what this returns.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed: the daemon ends by dropping its tasks.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let wait = self.turn();
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        place
    }

    /// How long until the turn that this call takes.
    fn turn(&self) -> Duration {
        let now = self.clock.now().steady;
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let own = now.max(rules.next);
        rules.next = own.plus(rules.splay);
        Duration::from_millis(own.0.saturating_sub(now.0))
    }
}
