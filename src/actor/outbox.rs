//! Hands notifications over to one target, in order, each at least once.
//!
//! One task per target: a slow or dead target delays only itself, and never a switch. What is to be told was
//! written in the same transaction as what happened; how far a target got, and what it remembers of what it was told, are
//! kept by the store under the target's name. What is told, merged or gathered is decided by `machine::notices`. A
//! notification that the target refuses for good, or that has become old news, is given up, counted and logged.
//!
//! It sends first and writes afterwards: a crash in between sends one message again, with the same id.
//!
//! It must not touch agents or make notifications.
//!
//! Tests: below.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::domain::{Disposition, Message, Notes, Notification, Wall};
use crate::machine::notices::{self, Fate, Step, Taste};
use crate::ports::clock::Clock;
use crate::ports::notifier::Notifier;
use crate::ports::store::{Outgoing, Store, StoreError};
use crate::telemetry::{Telemetry, events};

/// How many are read from the store at once.
const BATCH: u32 = 32;
/// The first wait after a failure; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);
/// Older than this is old news.
const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What waits for a time of the calendar looks at it this often: the calendar can be set.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Whom to tell, and what that one wants to be told.
#[derive(Clone)]
pub struct Target {
    /// How it is told.
    pub notifier: Arc<dyn Notifier>,
    /// What it wants.
    pub taste: Taste,
}

/// There is something to tell: wakes every target that waits, and the one that is just about to.
pub(super) fn wake(outbox: &Notify) {
    outbox.notify_waiters();
    outbox.notify_one();
}

impl Target {
    /// Whether it is the very same target.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.notifier, &other.notifier)
    }
}

/// Runs until `stop` turns true or its sender is gone. `wake` says that there may be something new; both of its
/// ways to notify will do.
pub async fn run(
    store: Arc<dyn Store>,
    target: Target,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
    telemetry: Telemetry,
    stop: watch::Receiver<bool>,
) {
    let Target { notifier, taste } = target;
    let mut outbox = Outbox { store, notifier, taste, clock, telemetry, stop, notes: Notes::default(), position: 0 };
    // An error is the request to stop: there is nothing else that ends it.
    let _ = outbox.work(&wake).await;
}

/// The daemon stops.
struct Stopped;

struct Outbox {
    store: Arc<dyn Store>,
    notifier: Arc<dyn Notifier>,
    taste: Taste,
    clock: Arc<dyn Clock>,
    telemetry: Telemetry,
    stop: watch::Receiver<bool>,
    /// As they are written.
    notes: Notes,
    /// The newest that was taken in this life.
    position: i64,
}

impl Outbox {
    async fn work(&mut self, wake: &Notify) -> Result<(), Stopped> {
        self.notes = self.remember().await?;
        loop {
            // Listening begins before looking, so that nothing slips in between.
            let mut woken = std::pin::pin!(wake.notified());
            woken.as_mut().enable();
            let batch = self.read().await?;
            let has_more = batch.len() >= BATCH as usize;
            self.take(batch).await?;
            if has_more {
                continue;
            }
            // Only now: what is read might have ended what waits.
            while let Some(step) = notices::due(&self.notes, &self.taste, self.now()) {
                self.carry_out(step, self.position).await?;
            }
            let due = notices::next_due(&self.notes, &self.taste, self.now());
            let wait = due.map(|at| at.since(self.now()).min(SLEEP_MAX));
            tokio::select! {
                () = stopped(&mut self.stop) => return Err(Stopped),
                () = woken => {}
                () = self.clock.sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    async fn take(&mut self, batch: Vec<Outgoing>) -> Result<(), Stopped> {
        let mut skipped = None;
        for outgoing in batch {
            let notification = &outgoing.notification;
            let step = notices::take(&self.notes, &self.taste, notification, self.now());
            self.held_back(notification, step.fate);
            self.position = outgoing.position;
            if step.message.is_some() || step.fate == Fate::Gathered || step.notes.troubles != self.notes.troubles {
                self.carry_out(step, outgoing.position).await?;
                skipped = None;
            } else {
                skipped = Some(outgoing.position);
            }
        }
        match skipped {
            Some(position) => self.mark(position).await,
            None => Ok(()),
        }
    }

    async fn carry_out(&mut self, step: Step, position: i64) -> Result<(), Stopped> {
        if let Some(message) = &step.message {
            self.hand_over(message).await?;
        }
        self.note(position, step.notes).await
    }

    fn now(&self) -> Wall {
        self.clock.now().wall
    }

    async fn remember(&mut self) -> Result<Notes, Stopped> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.store.notes(self.notifier.target()).await {
                Ok(notes) => return Ok(notes),
                Err(error) => error,
            };
            self.store_failed("notes", &error);
            if error.disposition() == Disposition::Permanent {
                // What it was told of is lost, and better told twice than never again.
                return Ok(Notes::default());
            }
            self.wait(backoff.next()).await?;
        }
    }

    async fn read(&mut self) -> Result<Vec<Outgoing>, Stopped> {
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

    /// Returns when the target has taken the message or it is given up.
    async fn hand_over(&mut self, message: &Message) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        let mut last_reason = "never tried: the daemon did not run".to_owned();
        for count in 0.. {
            if self.now().since(message.at) > AGE_MAX {
                self.failed(message, "given_up", count, None, &last_reason);
                return Ok(());
            }
            let sent = tokio::select! {
                () = stopped(&mut self.stop) => return Err(Stopped),
                sent = self.notifier.send(message) => sent,
            };
            let count = count + 1;
            match sent {
                Ok(_) => {
                    self.telemetry.emit(events::NotificationSent {
                        notification: &message.id,
                        target: self.notifier.target(),
                        topic: message.event,
                        agent: message.agent.as_ref(),
                        count,
                    });
                    return Ok(());
                }
                Err(error) if error.is_final => {
                    self.failed(message, "refused", count, None, &error.why);
                    return Ok(());
                }
                Err(error) => {
                    let wait = backoff.next().max(error.retry_after.unwrap_or_default());
                    self.failed(message, "retried", count, Some(wait), &error.why);
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

    /// The same with what the target remembers from now on.
    async fn note(&mut self, position: i64, notes: Notes) -> Result<(), Stopped> {
        let mut backoff = Backoff::default();
        while let Err(error) = self.store.noted(self.notifier.target(), position, notes.clone()).await {
            self.store_failed("noted", &error);
            self.wait(backoff.next()).await?;
        }
        self.notes = notes;
        Ok(())
    }

    async fn wait(&mut self, duration: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = stopped(&mut self.stop) => Err(Stopped),
            () = self.clock.sleep(duration) => Ok(()),
        }
    }

    fn held_back(&self, notification: &Notification, fate: Fate) {
        let outcome = match fate {
            Fate::Told | Fate::Unwanted => return,
            Fate::Gathered => "gathered",
            Fate::Waits => "waits",
            Fate::Merged => "merged",
        };
        self.telemetry.emit(events::NotificationHeldBack {
            notification: &notification.id,
            target: self.notifier.target(),
            topic: notification.event.as_str(),
            agent: notification.agent.as_ref(),
            outcome,
        });
    }

    fn failed(&self, message: &Message, outcome: &str, count: u32, wait: Option<Duration>, reason: &str) {
        self.telemetry.emit(events::NotificationFailed {
            notification: &message.id,
            target: self.notifier.target(),
            topic: message.event,
            agent: message.agent.as_ref(),
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
