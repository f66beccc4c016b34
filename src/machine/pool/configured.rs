//! The pool takes over a changed config.
//!
//! Rows about a subscription that has gone do no harm and stay: when it comes back, what was known of it is known again.
//! Marks are left alone: whoever is on its way finds out by [`PoolState::confirm`].
//!
//! It must not tell anybody. Tests: below.

use std::collections::BTreeSet;

use super::PoolState;
use crate::domain::{AgentName, SubscriptionName};
use crate::machine::policy::{PoolSettings, SubscriptionPolicy};

/// What is different from before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// Subscriptions that were not there before.
    pub added: Vec<SubscriptionName>,
    /// Subscriptions that are there no more.
    pub removed: Vec<SubscriptionName>,
    /// Subscriptions of which the config says something else.
    pub changed: Vec<SubscriptionName>,
}

impl Configured {
    /// Whether everything is as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl PoolState {
    /// Takes over these subscriptions in place of those it has. What is known of the credential of one that has gone is
    /// forgotten: it is read again when it comes back.
    pub fn configure(&mut self, subscriptions: impl IntoIterator<Item = SubscriptionPolicy>) -> Configured {
        let before = std::mem::take(&mut self.subscriptions);
        self.subscriptions = subscriptions.into_iter().map(|policy| (policy.name.clone(), policy)).collect();
        let mut configured = Configured::default();
        for (name, policy) in &self.subscriptions {
            match before.get(name) {
                None => configured.added.push(name.clone()),
                Some(known) if known != policy => configured.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        configured.removed = before.into_keys().filter(|name| !self.subscriptions.contains_key(name)).collect();
        for name in &configured.removed {
            self.credentials.remove(name);
        }
        configured
    }

    /// Takes over other settings; says whether they are others.
    pub fn set(&mut self, settings: &PoolSettings) -> bool {
        let is_another = self.settings != *settings;
        self.settings.clone_from(settings);
        is_another
    }

    /// Takes note that these are all the agents there are: what others have is nobody's place any more.
    pub fn keep_agents(&mut self, agents: &BTreeSet<AgentName>) {
        let gone = |agent: &&AgentName| !agents.contains(*agent);
        let all = self.assignments.keys().chain(self.reservations.keys());
        let gone: BTreeSet<AgentName> = all.filter(gone).cloned().collect();
        for agent in gone {
            self.move_agent(&agent, |pool| {
                pool.evidence.forget(&agent);
                pool.reopenings.forget(&agent);
                pool.arrivals.remove(&agent);
                pool.reservations.remove(&agent);
                pool.assignments.remove(&agent);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Change, Provider, QuotaIdentity, SubscriptionType, Wall};
    use crate::machine::pool::{AgentView, CredentialFact, Ineligible, Wanted, evaluate};

    fn policy(name: &str, agents_max: u32) -> SubscriptionPolicy {
        SubscriptionPolicy {
            name: name.into(),
            provider: Provider::from("anthropic"),
            kind: SubscriptionType::SetupToken,
            quota: QuotaIdentity::from(name),
            agents_max,
            terms: crate::machine::policy::Terms::default(),
        }
    }

    fn names(names: &[&str]) -> Vec<SubscriptionName> {
        names.iter().map(|name| SubscriptionName::from(*name)).collect()
    }

    fn read(pool: &mut PoolState, name: &str) {
        let state = Ok(crate::domain::Fingerprint(name.to_owned()));
        pool.note_credential(name.into(), CredentialFact { state, at: Wall(0) });
    }

    fn verdict(pool: &PoolState, on: &str) -> Option<Ineligible> {
        let view = AgentView {
            agent: "worker".into(),
            allowed: names(&["a", "b", "c"]),
            models: Vec::new(),
            current: None,
            failing: None,
            exclusions: std::collections::BTreeMap::new(),
            wanted: Wanted::Any,
            by: crate::domain::CauseBy::Failure,
        };
        evaluate(&view, pool, Wall(0)).verdict(&on.into()).and_then(|verdict| verdict.ineligible.clone())
    }

    #[test]
    fn what_is_different_is_said_and_holds_at_once() {
        let mut pool = PoolState::new([policy("a", 1), policy("b", 1)]);
        for name in ["a", "b", "c"] {
            read(&mut pool, name);
        }
        pool.assign("other".into(), "a".into());
        assert_eq!(verdict(&pool, "a"), Some(Ineligible::Full { agents: 1, agents_max: 1 }));
        let configured = pool.configure([policy("a", 2), policy("c", 1)]);
        let (added, removed, changed) = (names(&["c"]), names(&["b"]), names(&["a"]));
        assert_eq!(configured, Configured { added, removed, changed });
        assert_eq!(verdict(&pool, "a"), None, "there is room now");
        assert!(pool.configure([policy("a", 2), policy("c", 1)]).is_nothing());
    }

    #[test]
    fn what_was_known_of_a_subscription_is_known_again_when_it_comes_back_but_its_credential_is_read_anew() {
        let mut pool = PoolState::new([policy("a", 2)]);
        read(&mut pool, "a");
        pool.assign("other".into(), "a".into());
        let cooldown = crate::domain::Cooldown {
            key: crate::domain::CooldownKey {
                reach: crate::domain::Reach::All,
                quota: QuotaIdentity::from("a"),
                credential: None,
                window: crate::domain::Window::Unknown,
                model: None,
            },
            subscription: "a".into(),
            kind: crate::domain::FailureKind::RateLimit,
            source: crate::domain::CooldownSource::Operator,
            since: Wall(0),
            until: Some(Wall(1_000)),
            failure: None,
        };
        pool.apply(&Change::CooldownSet(cooldown));
        pool.configure([]);
        assert_eq!(verdict(&pool, "a"), None, "nobody asks for it");
        pool.configure([policy("a", 2)]);
        assert!(matches!(verdict(&pool, "a"), Some(Ineligible::CredentialUnreadable(_))));
        read(&mut pool, "a");
        assert!(matches!(verdict(&pool, "a"), Some(Ineligible::Cooling { until: Wall(1_000), .. })));
        assert_eq!(pool.agents_on(&"a".into()), [AgentName::from("other")]);
    }

    #[test]
    fn an_agent_that_is_none_of_ours_takes_up_no_place() {
        let mut pool = PoolState::new([policy("a", 1)]);
        read(&mut pool, "a");
        pool.assign("gone".into(), "a".into());
        pool.keep_agents(&BTreeSet::from(["worker".into()]));
        assert_eq!(verdict(&pool, "a"), None);
        pool.promise("gone".into(), "a".into());
        pool.keep_agents(&BTreeSet::from(["gone".into()]));
        assert_eq!(verdict(&pool, "a"), Some(Ineligible::Full { agents: 1, agents_max: 1 }));
    }
}
