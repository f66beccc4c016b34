//! One way to stop: a signal becomes a request with one deadline, a second signal means "at once".
//!
//! ```text
//!   running ── SIGTERM, SIGINT or request() ──► stopping(reason, deadline) ── a second one ──► at once
//! ```
//!
//! SIGHUP asks for something else: that the config be read again.
//!
//! It only goes forward. It must not stop anything itself: who does the work listens and ends it.
//!
//! Tests: below.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::domain::Steady;
use crate::ports::clock::Clock;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopRequest {
    /// By what: `SIGTERM`, `SIGINT`, or the reason that was given.
    pub reason: &'static str,
    /// When everything has to be over.
    pub deadline: Steady,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping(StopRequest),
    AtOnce(StopRequest),
}

/// Asks for the stop.
#[derive(Debug)]
pub struct Stopper {
    stage: watch::Sender<Stage>,
    flag: watch::Sender<bool>,
    grace: Duration,
}

/// Hears of the stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    stage: watch::Receiver<Stage>,
    flag: watch::Receiver<bool>,
}

/// The two ends. From the first request on, everything has `grace` to end.
#[must_use]
pub fn stop(grace: Duration) -> (Stopper, Stop) {
    let (stage, heard) = watch::channel(Stage::Running);
    let (flag, flag_heard) = watch::channel(false);
    (Stopper { stage, flag, grace }, Stop { stage: heard, flag: flag_heard })
}

impl Stopper {
    /// Asks to stop; asked again, to stop at once. The first reason and deadline stay.
    pub fn request(&self, reason: &'static str, clock: &dyn Clock) {
        self.stage.send_modify(|stage| {
            *stage = match *stage {
                Stage::Running => {
                    Stage::Stopping(StopRequest { reason, deadline: clock.now().steady.plus(self.grace) })
                }
                Stage::Stopping(request) | Stage::AtOnce(request) => Stage::AtOnce(request),
            };
        });
        self.flag.send_replace(true);
    }

    /// Turns signals into requests; runs for ever.
    pub async fn obey(&self, signals: &mut Signals, clock: &dyn Clock) {
        loop {
            let reason = signals.next().await;
            self.request(reason, clock);
        }
    }
}

impl Stop {
    /// Resolves when the stop is asked for (at once, if it was already). Never, if nobody can ask any more.
    pub async fn requested(&mut self) -> StopRequest {
        self.reached(|stage| match stage {
            Stage::Running => None,
            Stage::Stopping(request) | Stage::AtOnce(request) => Some(request),
        })
        .await
    }

    /// Resolves when there is no more time to end in good order.
    pub async fn at_once(&mut self) -> StopRequest {
        self.reached(|stage| match stage {
            Stage::Running | Stage::Stopping(_) => None,
            Stage::AtOnce(request) => Some(request),
        })
        .await
    }

    /// Whether the stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.flag.borrow()
    }

    /// The bare fact, for those who need no reason and no deadline.
    #[must_use]
    pub fn flag(&self) -> watch::Receiver<bool> {
        self.flag.clone()
    }

    async fn reached(&mut self, wanted: impl Fn(Stage) -> Option<StopRequest>) -> StopRequest {
        let stage = self.stage.wait_for(|stage| wanted(*stage).is_some()).await.map(|stage| *stage);
        match stage.ok().and_then(wanted) {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

/// The signals that ask to stop. From its making on they do not end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reload: Arc<Notify>,
}

impl Signals {
    /// Takes the signals over; to be made before the first work begins, inside the runtime.
    pub fn take() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reload: Arc::default(),
        })
    }

    /// Is notified when somebody asks for the config to be read again. Any number of requests that nobody has heard yet is
    /// one.
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    async fn next(&mut self) -> &'static str {
        loop {
            return tokio::select! {
                Some(()) = self.terminate.recv() => "SIGTERM",
                Some(()) = self.interrupt.recv() => "SIGINT",
                // A terminal that closes says the same: to read an unchanged config again is nothing.
                Some(()) = self.hang_up.recv() => {
                    self.reload.notify_one();
                    continue;
                }
                else => std::future::pending().await,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;
    use crate::domain::{Moment, Wall};
    use crate::drivers::fake::clock::ManualClock;

    fn clock() -> ManualClock {
        ManualClock::new(Moment { wall: Wall(0), steady: Steady(1_000) })
    }

    #[tokio::test]
    async fn the_first_request_sets_the_deadline_and_the_second_ends_the_patience() {
        let (clock, (stopper, mut stop)) = (clock(), stop(Duration::from_secs(20)));
        assert!(!stop.is_requested());
        stopper.request("SIGTERM", &clock);
        let first = StopRequest { reason: "SIGTERM", deadline: Steady(21_000) };
        assert_eq!(stop.requested().await, first);
        assert!(stop.is_requested() && *stop.flag().borrow());
        let mut late = stop.clone();
        let at_once = tokio::spawn(async move { late.at_once().await });
        clock.advance(Duration::from_secs(5));
        stopper.request("SIGINT", &clock);
        assert_eq!(at_once.await.unwrap(), first, "the deadline stays the first one");
        assert_eq!(stop.requested().await, first);
    }

    #[tokio::test]
    async fn real_signals_are_requests_and_do_not_end_the_process() {
        let mut signals = Signals::take().unwrap();
        let (clock, (stopper, mut stop)) = (clock(), stop(Duration::from_secs(20)));
        let obey = tokio::spawn(async move { stopper.obey(&mut signals, &clock).await });
        kill_process(getpid(), Number::TERM).unwrap();
        assert_eq!(stop.requested().await.reason, "SIGTERM");
        kill_process(getpid(), Number::INT).unwrap();
        assert_eq!(stop.at_once().await.reason, "SIGTERM");
        obey.abort();
    }
}
