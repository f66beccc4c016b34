//! The pool under another config.
//!
//! Whoever found nobody asks again, for there may be somebody now (B9). Who runs on what has gone is told by its own policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Pool;
use crate::actor::seat::Seat;
use crate::domain::AgentName;
use crate::machine::policy::{PoolSettings, SubscriptionPolicy};
use crate::machine::pool::Configured;

impl Pool {
    /// Takes over other subscriptions.
    pub(super) fn configure(&mut self, subscriptions: Vec<SubscriptionPolicy>, settings: &PoolSettings) -> Configured {
        self.parts.settings.clone_from(settings);
        let is_picked_otherwise = self.state.set(settings);
        self.parts.subscriptions.clone_from(&subscriptions);
        let configured = self.state.configure(subscriptions);
        if configured.is_nothing() {
            if is_picked_otherwise {
                self.wake_waiting(None);
            }
            return configured;
        }
        self.parts.known.send_if_modified(|known| {
            let before = known.len();
            known.retain(|known| !configured.removed.contains(&known.subscription));
            known.len() != before
        });
        self.told_of.retain(|name, _| !configured.removed.contains(name));
        // What counts against what may have changed, and with it who is cooling.
        self.tell_everyone();
        self.wake_waiting(None);
        configured
    }

    /// Takes over other agents. What those who have gone had is nobody's place any more.
    pub(super) fn seat(&mut self, seats: Vec<Arc<Seat>>) {
        let agents: BTreeSet<AgentName> = seats.iter().map(|seat| seat.agent.clone()).collect();
        self.parts.seats = seats;
        self.state.keep_agents(&agents);
        self.told.retain(|agent, _| agents.contains(agent));
        self.waiting.retain(|agent| agents.contains(agent));
        self.doubtful.retain(|agent| agents.contains(agent));
        // Places may have become free.
        self.wake_waiting(None);
    }
}
