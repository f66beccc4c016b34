//! What tests, models and benchmarks of the machine begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::SubscriptionName;
use crate::machine::policy::{Budget, CooldownMax, Policy, RuntimeKind};

/// The documented defaults, for a container agent that may use subscriptions `a`, `b` and `c`.
#[must_use]
pub fn policy() -> Policy {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    Policy {
        runtime: RuntimeKind::Container,
        subscriptions: ["a", "b", "c"].map(SubscriptionName::from).to_vec(),
        quotas: BTreeMap::new(),
        models: Vec::new(),
        switching: true,
        cooldown: hours(2),
        cooldown_max: CooldownMax {
            five_hour: Duration::from_secs(5 * 3600 + 1800),
            weekly: hours(7 * 24 + 12),
            other: hours(24),
        },
        wait_out: Duration::from_secs(120),
        settle: Duration::from_secs(60),
        budget: Budget { switches: 6, per: hours(1) },
        jitter: Duration::from_secs(30),
        drain: Duration::from_secs(30),
        stop_grace: None,
        ready_timeout: Duration::from_secs(60),
        call_timeout: Duration::from_secs(30),
    }
}
