//! The one place that reads the machine's clocks and sleeps on them.
//!
//! Steady time is `CLOCK_BOOTTIME`, which counts through suspend; the runtime's own timers do not, so a long
//! sleep is cut into pieces and measured again after each.
//!
//! Tests: below.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Moment, Steady, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;

/// A sleep is measured again after at most this long.
const PIECE_MAX: Duration = Duration::from_secs(30);

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The clocks of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

fn millis(id: ClockId) -> i64 {
    let time = clock_gettime(id);
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let steady = u64::try_from(millis(ClockId::Boottime)).unwrap_or(0);
        Moment { wall: Wall(millis(ClockId::Realtime)), steady: Steady(steady) }
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let due = self.now().due_after(duration);
            let mut piece = duration.min(PIECE_MAX);
            while !piece.is_zero() {
                #[expect(clippy::disallowed_methods, reason = "this is the clock driver")]
                tokio::time::sleep(piece).await;
                piece = due.remaining(self.now()).min(PIECE_MAX);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_is_never_shorter_than_asked() {
        let clock = SystemClock::new();
        let before = clock.now();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(before.due_after(Duration::from_millis(19)).is_past(clock.now()));
    }
}
