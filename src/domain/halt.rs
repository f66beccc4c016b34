//! That nothing is switched by itself any more, until a person says so.

use super::{SubscriptionName, Wall};

/// All automatic switching has been halted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Since when.
    pub since: Wall,
    /// The subscriptions whose accounts were disabled.
    pub subscriptions: Vec<SubscriptionName>,
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.subscriptions.iter().map(SubscriptionName::as_str).collect();
        write!(f, "the provider has disabled several accounts within an hour: {}", names.join(", "))
    }
}
