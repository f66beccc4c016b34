//! Tells people that the engine is lost, and that it is back.
//!
//! Not for every blip: an engine that is restarted is back within seconds, so it is told when it has been gone for
//! [`LOST_FOR`]. That it is back is told if its loss was, also by an earlier life of the daemon.
//!
//! It must not decide anything about agents: whoever needs the engine finds out by itself.
//!
//! Tests: `tests/notices.rs`; below.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::handle::Switchman;
use super::outbox::wake;
use crate::domain::{Change, Notification, NotifyEvent, TroubleKey};
use crate::machine::policy::RuntimeKind;
use crate::telemetry::events;

/// An engine that is gone for longer is told.
const LOST_FOR: Duration = Duration::from_secs(30);
/// How soon a commit is tried again that the store did not take.
const COMMIT_AGAIN: Duration = Duration::from_secs(5);

/// Watches until the daemon stops. `outbox` is woken when there is something to tell.
pub(super) async fn run(switchman: Switchman, outbox: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        // A sender that is gone can never ask again: that is a request to stop, too.
        _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        () = watch(&switchman, &outbox) => {}
    }
}

async fn watch(switchman: &Switchman, outbox: &Notify) {
    let mut engine = switchman.0.engine.subscribe();
    let mut is_told = was_told(switchman).await;
    loop {
        if is_told {
            // An engine that is there is not told by an event at the start; so it gets the time to be found missing.
            if !is_lost_for(switchman, &mut engine).await {
                tell(switchman, outbox, back(switchman)).await;
                is_told = false;
            }
            continue;
        }
        if engine.wait_for(Option::is_some).await.is_err() {
            return;
        }
        if is_lost_for(switchman, &mut engine).await {
            let why = engine.borrow().clone().unwrap_or_default();
            tell(switchman, outbox, lost(switchman, &why)).await;
            is_told = true;
        }
    }
}

/// Waits for the engine to be back, at most as long as a blip takes, and says whether it is still lost.
async fn is_lost_for(switchman: &Switchman, engine: &mut watch::Receiver<Option<String>>) -> bool {
    let is_lost = engine.borrow().is_some();
    let clock = switchman.clock();
    tokio::select! {
        _ = engine.wait_for(Option::is_none), if is_lost => {}
        () = clock.sleep(LOST_FOR) => {}
    }
    engine.borrow().is_some()
}

/// Whether a target was told that the engine is lost, and not that it is back.
async fn was_told(switchman: &Switchman) -> bool {
    let key = TroubleKey { event: NotifyEvent::Engine, agent: None, subscription: None };
    for notifier in &switchman.0.notifiers() {
        let notes = switchman.store().notes(notifier.target()).await;
        if notes.is_ok_and(|notes| notes.troubles.get(&key).is_some_and(|known| !known.is_over)) {
            return true;
        }
    }
    false
}

fn lost(switchman: &Switchman, why: &str) -> Notification {
    let now = switchman.now().wall;
    let seats = switchman.0.seats();
    let count = seats.all.values().filter(|seat| seat.policy().runtime == RuntimeKind::Container).count();
    let text = format!(
        "the engine has been out of reach for {} s ({why}); {count} agents in containers cannot be moved until it is back",
        LOST_FOR.as_secs()
    );
    let action = Some("look at the engine: `docker info`, `systemctl status docker`".to_owned());
    Notification { action, ..Notification::new(NotifyEvent::Engine, format!("engine-lost-{}", now.0), now, text) }
}

fn back(switchman: &Switchman) -> Notification {
    let now = switchman.now().wall;
    let text = "the engine is back; what was left undone is taken up again".to_owned();
    let told = Notification::new(NotifyEvent::Engine, format!("engine-back-{}", now.0), now, text);
    Notification { is_over: true, ..told }
}

/// Tried until it is written down: what is about no agent is in nobody else's commit.
async fn tell(switchman: &Switchman, outbox: &Notify, notification: Notification) {
    while let Err(error) = switchman.store().commit(vec![Change::Notified(notification.clone())]).await {
        let (disposition, reason) = (error.disposition(), error.to_string());
        switchman.telemetry().emit(events::StoreFailed { call: "commit", agent: None, disposition, reason: &reason });
        switchman.clock().sleep(COMMIT_AGAIN).await;
    }
    wake(outbox);
}
