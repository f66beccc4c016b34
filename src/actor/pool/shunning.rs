//! Who runs on a subscription that cannot serve, as others found.
//!
//! Nobody is moved for that (E7): the agent is told, and its next turn asks for another subscription first (H9). What an
//! agent said itself it knows already. The end of a cooldown needs no telling, for the time of it was told.

use std::time::Duration;

use super::Pool;
use crate::actor::intake::Hints;
use crate::domain::{AgentName, SubscriptionName, Wall};

/// Many agents that say the same within moments are one piece of news: an end so little later than what was told is told
/// with the next one.
const NEWS_AFTER: Duration = Duration::from_secs(60);

impl Pool {
    /// Tells those who run on a subscription, if it cannot serve until another time than was told. Costs no more than a
    /// look at its rows otherwise, for a whole fleet may fail within moments.
    pub(super) fn tell_news_of(&mut self, subscription: &SubscriptionName) {
        let until = self.state.shuns(&[], subscription, self.now().wall);
        let is_news = match (self.told_of.get(subscription).copied().flatten(), until) {
            (None, None) => false,
            (Some(told), Some(until)) => until < told || until > told.plus(NEWS_AFTER),
            (None, Some(_)) | (Some(_), None) => true,
        };
        if is_news {
            self.tell_those_on(subscription);
        }
    }

    /// Tells those who run on a subscription, or on one that counts against the same quota, whether it can serve them.
    pub(super) fn tell_those_on(&mut self, subscription: &SubscriptionName) {
        let quota = |name: &SubscriptionName| {
            self.state.subscriptions().find(|policy| &policy.name == name).map(|policy| policy.quota.clone())
        };
        let of_it = quota(subscription);
        let same: Vec<SubscriptionName> = self
            .state
            .subscriptions()
            .filter(|policy| Some(&policy.quota) == of_it.as_ref())
            .map(|policy| policy.name.clone())
            .collect();
        self.tell_on(&same);
    }

    /// Tells everyone.
    pub(super) fn tell_everyone(&mut self) {
        let names: Vec<SubscriptionName> = self.state.subscriptions().map(|policy| policy.name.clone()).collect();
        self.tell_on(&names);
    }

    fn tell_on(&mut self, subscriptions: &[SubscriptionName]) {
        let now = self.now().wall;
        for name in subscriptions {
            self.told_of.insert(name.clone(), self.state.shuns(&[], name, now));
            for agent in self.state.agents_on(name) {
                self.tell(&agent, name);
            }
        }
    }

    /// Tells an agent whose new life has heard nothing.
    pub(super) fn tell_again(&mut self, agent: &AgentName) {
        if let Some((on, _)) = self.told.remove(agent) {
            self.tell(agent, &on);
        }
    }

    /// Tells one agent, unless it was told the same.
    pub(super) fn tell(&mut self, agent: &AgentName, on: &SubscriptionName) {
        let now = self.now().wall;
        // In the order of their names, as the config gives them.
        let Ok(at) = self.parts.seats.binary_search_by(|seat| seat.agent.cmp(agent)) else { return };
        let seat = &self.parts.seats[at];
        let until: Option<Wall> = self.state.shuns(&seat.policy().models, on, now);
        let news = (on.clone(), until);
        if self.told.get(agent) == Some(&news) {
            return;
        }
        seat.hint(Hints { shunned: Some(news.clone()), ..Hints::default() });
        self.told.insert(agent.clone(), news);
    }
}
