//! What was read of windows: written down, and what it proves (E4).

use super::Pool;
use crate::actor::intake::Hints;
use crate::domain::{Change, CooldownKey, Reading};
use crate::ports::store::StoreError;
use crate::telemetry::events;

impl Pool {
    /// Takes a reading in. One that serves ends the cooldowns it disproves, and whoever waited for them is woken.
    pub(super) async fn read(&mut self, reading: Reading) -> Result<(), StoreError> {
        let now = self.now().wall;
        let was_refused = self.state.refused_for_all(&reading.subscription, now).is_some();
        let was_over = self.state.is_over_ceiling_for_all(&reading.subscription, now);
        let lifted = self.state.ended_by(&reading);
        let mut changes = vec![Change::ReadingTaken(reading.clone())];
        changes.extend(lifted.iter().cloned().map(Change::CooldownLifted));
        self.commit(changes.clone()).await?;
        for change in &changes {
            self.state.apply(change);
        }
        self.tell_of(&reading);
        let refused = self.state.refused_for_all(&reading.subscription, now);
        if let Some(refused) = refused.as_ref().filter(|_| !was_refused) {
            self.parts.telemetry.emit(events::SubscriptionRefused {
                subscription: &reading.subscription,
                scope: reading.window,
                reset_at: reading.reset_at,
                until: refused.ends_at(),
            });
        }
        let is_refused_no_more = was_refused && refused.is_none();
        let has_come_down = was_over && !self.state.is_over_ceiling_for_all(&reading.subscription, now);
        if !lifted.is_empty() || is_refused_no_more {
            self.parts.telemetry.emit(events::SubscriptionAvailable {
                subscription: &reading.subscription,
                agent: reading.told_by.agent(),
                reason: Some("the provider serves, as was read"),
            });
        }
        if !lifted.is_empty() || was_refused != refused.is_some() {
            self.tell_those_on(&reading.subscription);
        }
        if !lifted.is_empty() {
            self.wake_waiting(None);
            self.wake_freed(&lifted);
        } else if self.state.take_opened() || is_refused_no_more || has_come_down {
            self.wake_waiting(None);
        }
        Ok(())
    }

    /// Wakes those on a subscription of these quotas that nothing keeps from it any more. Whoever has another trouble
    /// with it keeps that.
    fn wake_freed(&self, lifted: &[CooldownKey]) {
        let now = self.now().wall;
        for policy in self.state.subscriptions().filter(|policy| lifted.iter().any(|key| key.quota == policy.quota)) {
            let on_it = self.state.agents_on(&policy.name);
            for seat in self.parts.seats.iter().filter(|seat| on_it.contains(&seat.agent)) {
                if !self.state.cools_for(&seat.agent, &seat.policy().models, &policy.name, now) {
                    let lifted = Some(policy.name.clone());
                    seat.hint(Hints { pool_changed: true, lifted, ..Hints::default() });
                }
            }
        }
    }

    fn tell_of(&self, reading: &Reading) {
        self.parts.telemetry.emit(events::SubscriptionReading {
            subscription: &reading.subscription,
            agent: reading.told_by.agent(),
            scope: reading.window,
            model: reading.model.as_ref(),
            utilisation: reading.utilisation,
            serves: reading.serves,
            reset_at: reading.reset_at,
            source: reading.source(),
        });
    }
}
