//! Two clocks for tests: one that follows the runtime's own (pausable) time, one that moves only by hand.
//!
//! Both let the calendar step on its own, as it does when somebody sets the clock.
//!
//! Tests: below.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::{Moment, Steady, Wall};
use crate::ports::Pending;
use crate::ports::clock::Clock;

/// Follows tokio's time: under a paused runtime an hour passes in no time.
#[derive(Debug)]
pub struct TestClock {
    base: Wall,
    stepped_ms: AtomicI64,
    origin: tokio::time::Instant,
}

impl TestClock {
    /// A clock that shows `base` now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a clock driver")]
    pub fn new(base: Wall) -> Self {
        Self { base, stepped_ms: AtomicI64::new(0), origin: tokio::time::Instant::now() }
    }

    /// Sets the calendar forward (or back) by so many milliseconds.
    pub fn step_wall(&self, by_ms: i64) {
        self.stepped_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "a clock driver")]
    fn now(&self) -> Moment {
        let elapsed = tokio::time::Instant::now().duration_since(self.origin);
        let wall = self.base.plus(elapsed).0.saturating_add(self.stepped_ms.load(Ordering::SeqCst));
        Moment { wall: Wall(wall), steady: Steady(0).plus(elapsed) }
    }

    #[expect(clippy::disallowed_methods, reason = "a clock driver")]
    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Stands still until it is moved. Needs no runtime, except for those who sleep on it.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Moment>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(watch::Sender::new(now))
    }

    /// Lets time pass, on both scales.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = Moment { wall: now.wall.plus(by), steady: now.steady.plus(by) });
    }

    /// Sets the calendar forward (or back) by so many milliseconds; no time passes.
    pub fn step_wall(&self, by_ms: i64) {
        self.0.send_modify(|now| now.wall.0 = now.wall.0.saturating_add(by_ms));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
        let mut moves = self.0.subscribe();
        let end = self.now().steady.plus(duration);
        Box::pin(async move {
            // The sender lives in `self`, which this future borrows: it cannot be gone.
            let _ = moves.wait_for(|now| now.steady >= end).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_test_clock_follows_the_paused_runtime_and_steps_on_its_own() {
        let clock = TestClock::new(Wall(1_000));
        clock.sleep(Duration::from_secs(3600)).await;
        let later = clock.now();
        assert_eq!((later.wall, later.steady), (Wall(3_601_000), Steady(3_600_000)));
        clock.step_wall(-7_200_000);
        let stepped = clock.now();
        assert_eq!((stepped.wall, stepped.steady), (Wall(-3_599_000), Steady(3_600_000)));
    }

    #[tokio::test]
    async fn the_manual_clock_wakes_sleepers_only_when_moved_far_enough() {
        let clock = ManualClock::new(Moment { wall: Wall(0), steady: Steady(0) });
        let mut sleep = clock.sleep(Duration::from_secs(10));
        clock.advance(Duration::from_secs(9));
        clock.step_wall(100_000);
        assert!(poll_once(sleep.as_mut()).await.is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(poll_once(sleep.as_mut()).await.is_ready());
        assert_eq!(clock.now(), Moment { wall: Wall(110_000), steady: Steady(10_000) });
    }
}
