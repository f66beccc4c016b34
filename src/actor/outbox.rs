//! Hands notifications over to one target, in order, each at least once.
//!
//! One task per target: a slow or dead target delays only itself, and never a switch. What is to be told was
//! written in the same transaction as what happened; how far a target got is remembered by the store under the
//! target's name. A notification that the target refuses for good, or that has become old news, is given up,
//! counted and logged.
//!
//! It must not touch agents or make notifications.
//!
//! Tests: below.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::Notification;
use crate::ports::clock::Clock;
use crate::ports::notifier::Notifier;
use crate::ports::store::{Store, StoreError};
use crate::telemetry::{Telemetry, events};

/// How many are read from the store at once.
const BATCH: u32 = 32;
/// The first wait after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);
/// Older than this is old news.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until `stop` turns true or its sender is gone. `wake` says that there may be something new; both of its
/// ways to notify will do.
pub async fn run(
    store: Arc<dyn Store>,
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    telemetry: Telemetry,
    stop: watch::Receiver<bool>,
) {
    let mut outbox = Outbox { store, notifier, clock, telemetry, stop };
    // An error is the request to stop: there is nothing else that ends it.
    let _ = outbox.work(&wake).await;
}

/// The daemon stops.
struct Stopped;

struct Outbox {
    store: Arc<dyn Store>,
    notifier: Arc<dyn Notifier>,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    stop: watch::Receiver<bool>,
}

impl Outbox {
    async fn work(&mut self, wake: &Notify) -> Result<(), Stopped> {
        loop {
            // Listening begins before looking, so that nothing slips in between.
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            let batch = self.read().await?;
            if batch.is_empty() {
                tokio::select! {
                    () = stopped(&mut self.stop) => return Err(Stopped),
                    () = woken => {}
                }
                continue;
            }
            let mut skipped = None;
            for outgoing in batch {
                if self.notifier.wants(&outgoing.notification) {
                    self.hand_over(&outgoing.notification).await?;
                    self.mark(outgoing.position).await?;
                    skipped = None;
                } else {
                    skipped = Some(outgoing.position);
                }
            }
            if let Some(position) = skipped {
                self.mark(position).await?;
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<crate::ports::store::Outgoing>, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.store.outgoing(self.notifier.target(), BATCH).await {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            self.store_failed("outgoing", &error);
            self.wait(backoff.next()).await?;
        }
    }

    /// Returns when the target has taken the notification or it is given up.
    async fn hand_over(&mut self, notification: &Notification) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        let mut last_reason = "never tried: the daemon did not run".to_owned();
        for count in 0.. {
            if self.clock.now().wall.since(notification.at) > AGE_MAX {
                self.failed(notification, "given_up", count, None, &last_reason);
                return Ok(());
            }
            let sent = tokio::select! {
                () = stopped(&mut self.stop) => return Err(Stopped),
                sent = self.notifier.send(notification) => sent,
            };
            let count = count + 1;
            match sent {
                Ok(()) => {
                    self.telemetry.emit(events::NotificationSent {
                        notification: &notification.id,
                        target: self.notifier.target(),
                        topic: notification.event,
                        agent: &notification.agent,
                        count,
                    });
                    return Ok(());
                }
                Err(error) if error.is_final => {
                    self.failed(notification, "refused", count, None, &error.why);
                    return Ok(());
                }
                Err(error) => {
                    let wait = backoff.next();
                    self.failed(notification, "retried", count, Some(wait), &error.why);
                    last_reason = error.why;
                    self.wait(wait).await?;
                }
            }
        }
        Ok(())
    }

    /// Remembers how far the target got. Tried until it works: to go on without would tell everything again.
    async fn mark(&mut self, position: i64) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        while let Err(error) = self.store.delivered(self.notifier.target(), position).await {
            self.store_failed("delivered", &error);
            self.wait(backoff.next()).await?;
        }
        Ok(())
    }

    async fn wait(&mut self, duration: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = stopped(&mut self.stop) => Err(Stopped),
            () = self.clock.sleep(duration) => Ok(()),
        }
    }

    fn failed(&self, notification: &Notification, outcome: &str, count: u32, wait: Option<Duration>, reason: &str) {
        self.telemetry.emit(events::NotificationFailed {
            notification: &notification.id,
            target: self.notifier.target(),
            topic: notification.event,
            agent: &notification.agent,
            outcome,
            count,
            wait_ms: wait,
            reason,
        });
    }

    fn store_failed(&self, call: &str, error: &StoreError) {
        let (disposition, reason) = (error.disposition(), error.to_string());
        self.telemetry.emit(events::StoreFailed { call, agent: None, disposition, reason: &reason });
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone can never ask again: that is a request to stop, too.
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

/// The waits after failures in a row.
#[derive(Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn next(&mut self) -> Duration {
        let next = self.0.map_or(BACKOFF_MIN, |last| (last * 2).min(BACKOFF_MAX));
        self.0 = Some(next);
        next
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
