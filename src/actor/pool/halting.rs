//! Nothing is switched by itself after several bans, until a person says so (E6).

use super::Pool;
use crate::actor::outbox;
use crate::domain::{Change, Cooldown, Notification, NotifyEvent, SubscriptionName, Wall};
use crate::ports::store::StoreError;
use crate::telemetry::events;

/// A person has settled it with the provider: whoever was told of the ban is told that it is over.
pub(super) fn ban_is_over(subscription: &SubscriptionName, now: Wall) -> Notification {
    let text = format!("subscription {subscription} may be used again, as an operator said");
    Notification {
        subscription: Some(subscription.clone()),
        is_over: true,
        ..Notification::new(NotifyEvent::Banned, format!("unbanned-{subscription}-{}", now.0), now, text)
    }
}

impl Pool {
    /// Halts automatic switching if what is known by now, `row` included, demands it.
    pub(super) async fn halt_if_need_be(&mut self, row: Option<&Cooldown>) {
        let now = self.now().wall;
        let Some(halt) = self.state.must_halt(row, now) else { return };
        let reason = halt.to_string();
        let text = format!("automatic switching is halted: {reason}");
        let notification = Notification {
            subscription: halt.subscriptions.first().cloned(),
            action: Some(
                "find out what the provider objects to, then let switching go on with `switchman resume --all`"
                    .to_owned(),
            ),
            ..Notification::new(NotifyEvent::Halted, format!("halted-{}", now.0), now, text)
        };
        // A halt that could not be written holds all the same.
        self.unwritten = vec![Change::Halted(halt.clone()), Change::Notified(notification)];
        self.write_halt().await;
        self.state.apply(&Change::Halted(halt.clone()));
        let names: Vec<&str> = halt.subscriptions.iter().map(SubscriptionName::as_str).collect();
        self.parts.telemetry.emit(events::SwitchingHalted { subscriptions: &names.join(", "), reason: &reason });
        self.parts.halt.send_replace(Some(halt));
    }

    /// Writes down what could not be written so far.
    pub(super) async fn write_halt(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        if let Err(error) = self.commit(self.unwritten.clone()).await {
            return self.store_failed("commit", &error);
        }
        self.unwritten.clear();
        outbox::wake(&self.parts.outbox);
    }

    /// A person has seen it: agents look again at what they could not do.
    pub(super) async fn resume(&mut self) -> Result<bool, StoreError> {
        if self.state.halt().is_none() {
            return Ok(false);
        }
        let now = self.now().wall;
        let text = "automatic switching goes on, as an operator said".to_owned();
        let notification = Notification::new(NotifyEvent::Resumed, format!("resumed-{}", now.0), now, text);
        self.commit(vec![Change::HaltLifted(now), Change::Notified(notification)]).await?;
        self.unwritten.clear();
        outbox::wake(&self.parts.outbox);
        self.state.apply(&Change::HaltLifted(now));
        self.parts.telemetry.emit(events::SwitchingResumed { reason: "an operator said so" });
        self.parts.halt.send_replace(None);
        self.wake_waiting(None);
        Ok(true)
    }
}
