//! The credentials of subscriptions, as far as the pool cares: whether they can be read, and that one has changed.

use super::Pool;
use crate::actor::intake::Hints;
use crate::actor::recognition::Known;
use crate::domain::{Change, CooldownKey, FailureKind, Fingerprint, SubscriptionName};
use crate::machine::pool::CredentialFact;
use crate::telemetry::events;

impl Pool {
    /// Takes note of what was read of a credential, or why it could not be.
    pub(super) async fn note_credential(&mut self, subscription: SubscriptionName, read: Result<Known, String>) {
        self.publish(&subscription, read.as_ref().ok());
        let state = read.map(|known| known.fingerprint);
        let known = self.state.credential(&subscription).map(|fact| fact.state.clone());
        let is_news = known.as_ref() != Some(&state);
        let fact = CredentialFact { state: state.clone(), at: self.now().wall };
        self.state.note_credential(subscription.clone(), fact);
        if !is_news {
            return;
        }
        match state {
            Err(why) => {
                self.parts.telemetry.emit(events::CredentialUnreadable { subscription: &subscription, reason: &why });
            }
            Ok(fingerprint) => {
                self.credential_is(subscription.clone(), fingerprint).await;
                self.tell_who_runs_on(&subscription);
            }
        }
    }

    /// Lets those who read back what was delivered know what the source has.
    fn publish(&self, subscription: &SubscriptionName, read: Option<&Known>) {
        self.parts.known.send_if_modified(|all| {
            let has = all.iter().position(|known| &known.subscription == subscription);
            match (has, read) {
                (None, None) => return false,
                (None, Some(read)) => all.push(read.clone()),
                // Not readable for a moment: what is delivered is still known by what it was.
                (Some(_), None) => return false,
                (Some(at), Some(read)) if all[at] == *read => return false,
                (Some(at), Some(read)) => all[at] = read.clone(),
            }
            true
        });
    }

    /// Whoever runs on a credential that is another one now sees so by a look.
    fn tell_who_runs_on(&self, subscription: &SubscriptionName) {
        for seat in self.parts.seats.iter().filter(|seat| seat.state().subscription() == Some(subscription)) {
            seat.hint(Hints { runtime_changed: true, ..Hints::default() });
        }
    }

    /// A readable credential wakes who waits; a changed one ends the quarantine of the old one (E1).
    async fn credential_is(&mut self, subscription: SubscriptionName, fingerprint: Fingerprint) {
        let name = subscription.clone();
        let written = self.seen.iter().find(|(name, _)| name == &subscription).map(|(_, seen)| seen.clone());
        if written.as_ref() != Some(&fingerprint) {
            let mut changes = vec![Change::CredentialSeen(subscription.clone(), fingerprint.clone())];
            if written.is_some() {
                self.parts
                    .telemetry
                    .emit(events::CredentialChanged { subscription: &subscription, fingerprint: &fingerprint });
                changes.extend(self.rows_of_credential(&subscription).into_iter().map(Change::CooldownLifted));
            }
            if let Err(error) = self.commit(changes.clone()).await {
                // It is found again at the next start.
                self.store_failed("commit", &error);
            } else {
                self.seen.retain(|(name, _)| name != &subscription);
                self.seen.push((subscription.clone(), fingerprint));
            }
            for change in &changes {
                self.state.apply(change);
            }
            if changes.len() > 1 {
                self.tell_those_on(&name);
                let reason = Some("its credential has changed");
                self.parts.telemetry.emit(events::SubscriptionAvailable { subscription: &name, agent: None, reason });
            }
        }
        self.wake_waiting(None);
    }

    fn rows_of_credential(&self, subscription: &SubscriptionName) -> Vec<CooldownKey> {
        let rows = self.state.rows_about(subscription, self.now().wall);
        rows.filter(|row| row.kind == FailureKind::Auth && row.key.credential.is_some())
            .map(|row| row.key.clone())
            .collect()
    }
}
