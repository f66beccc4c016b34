//! The machine's clocks. The only file of the daemon that reads one.
//!
//! The steady scale is `CLOCK_BOOTTIME`, which counts through suspend; the timers of the runtime do not, so that
//! a long sleep is taken in pieces and looked at again after each.
//!
//! Tests: below.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Moment, Steady, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;

/// The longest piece of a sleep: after a suspend nobody oversleeps by more.
const PIECE: Duration = Duration::from_secs(30);

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The clock.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

fn steady() -> Steady {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Steady(seconds.saturating_mul(1000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000))
}

/// Holds the calling thread up. Only for what is done before there is a runtime.
#[expect(clippy::disallowed_methods, reason = "this is the file that sleeps")]
pub(super) fn hold_up(duration: Duration) {
    std::thread::sleep(duration);
}

/// The time on `CLOCK_MONOTONIC` in microseconds, for the service manager, which counts by it.
#[must_use]
pub fn monotonic_usec() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let micros = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000;
    u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000_000).saturating_add(micros)
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    fn now(&self) -> Moment {
        let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        };
        Moment { wall: Wall(wall), steady: steady() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the file that sleeps")]
    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            if duration <= PIECE {
                return tokio::time::sleep(duration).await;
            }
            let end = steady().plus(duration);
            loop {
                let left = Duration::from_millis(end.0.saturating_sub(steady().0));
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(PIECE)).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_scales_go_on_while_it_sleeps() {
        let clock = SystemClock::new();
        let before = clock.now();
        clock.sleep(Duration::from_millis(20)).await;
        let after = clock.now();
        assert!(after.steady.0 - before.steady.0 >= 19, "{before:?} {after:?}");
        // 2026-01-01: a machine whose calendar is before that could not check a certificate either.
        assert!(before.wall > Wall(1_767_225_600_000), "{before:?}");
    }
}
