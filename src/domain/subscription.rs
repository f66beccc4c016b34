//! Facts about a subscription that need no decision.

use super::words::words;

words! {
    /// What sort of credential a subscription has.
    pub enum SubscriptionType ("subscription type") {
        /// A long-lived token made for unattended use.
        SetupToken = "setup-token",
        /// A key that is billed by use.
        ApiKey = "api-key",
        /// A document that the tool itself renews, with a refresh token that is good once.
        Login = "login",
    }
}

/// Identifies the content of a credential without revealing it: the first 16 hex digits of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub String);

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}
