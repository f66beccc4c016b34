//! Where the credentials of subscriptions come from.

use secrecy::SecretString;

use super::{Disposition, Pending};
use crate::domain::{Fingerprint, SubscriptionName};

/// A credential and what identifies its content without revealing it.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The credential itself. It goes nowhere but into the agent.
    pub secret: SecretString,
    /// Of the content that is delivered.
    pub fingerprint: Fingerprint,
}

/// Why a credential could not be had. Never contains a byte of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The config names no such subscription.
    #[error("subscription \"{0}\" is not in the config")]
    NoSuchSubscription(SubscriptionName),
    /// The reference could not be read.
    #[error("credential of \"{subscription}\" is not readable: {place}: {why}")]
    Unreadable {
        /// Whose credential.
        subscription: SubscriptionName,
        /// The reference: a path, a variable's name, a command's name.
        place: String,
        /// The cause in words.
        why: String,
    },
    /// It was read and cannot be a credential: empty, not text, too large, or a file that others may read.
    #[error("credential of \"{subscription}\" is not usable: {place}: {why}")]
    Implausible {
        /// Whose credential.
        subscription: SubscriptionName,
        /// The reference.
        place: String,
        /// The cause in words.
        why: String,
    },
}

impl CredentialError {
    /// What it means for a decision: none of these goes away by itself at once.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NoSuchSubscription(_) | Self::Unreadable { .. } | Self::Implausible { .. } => Disposition::Permanent,
        }
    }
}

/// Reads credentials.
pub trait CredentialSource: Send + Sync + 'static {
    /// Reads the credential afresh; remembers nothing.
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>>;
}
