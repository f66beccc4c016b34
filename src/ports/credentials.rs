//! Where the credentials of subscriptions come from.

use secrecy::SecretString;

use super::{Disposition, Pending};
use crate::domain::{Fingerprint, SubscriptionName, SubscriptionType, Wall};

/// A credential and what identifies its content without revealing it.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The credential itself. It goes nowhere but into the agent.
    pub secret: SecretString,
    /// What it is known by: of a static credential its content; of a login the account, however often its tokens are
    /// renewed.
    pub fingerprint: Fingerprint,
    /// Of the content as it is now. The same as the other one for a static credential.
    pub content: Fingerprint,
    /// What sort it is.
    pub kind: SubscriptionType,
}

impl Credential {
    /// One that only people change.
    #[must_use]
    pub fn of_static(secret: SecretString, fingerprint: Fingerprint, kind: SubscriptionType) -> Self {
        Self { secret, content: fingerprint.clone(), fingerprint, kind }
    }
}

/// A login as an agent has left it, perhaps with tokens that the tool has renewed.
#[derive(Debug, Clone)]
pub struct Login {
    /// The document.
    pub document: SecretString,
    /// When the agent's file was last written.
    pub written_at: Wall,
}

/// What became of a login that an agent has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenBack {
    /// The source has the same already.
    Same,
    /// It was newer, and is what the source has from now on.
    Newer,
    /// The source has a newer one, or it is of another account: left where it is.
    NotNewer,
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
    /// What an agent's tool has renewed could not be put back.
    #[error("login of \"{subscription}\" cannot be put back: {place}: {why}")]
    NotPutBack {
        /// Whose login.
        subscription: SubscriptionName,
        /// Where it is kept.
        place: String,
        /// The cause in words, and what to mend.
        why: String,
    },
}

impl CredentialError {
    /// What it means for a decision: none of these goes away by itself at once.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::NoSuchSubscription(_)
            | Self::Unreadable { .. }
            | Self::Implausible { .. }
            | Self::NotPutBack { .. } => Disposition::Permanent,
        }
    }
}

/// Reads credentials.
pub trait CredentialSource: Send + Sync + 'static {
    /// Reads the credential afresh; remembers nothing.
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>>;
    /// Puts an agent's login of the same account into the source, if it is newer than what is there: its refresh token
    /// is the only one that is still good. Doing it twice is doing it once.
    fn take_back<'a>(
        &'a self,
        subscription: &'a SubscriptionName,
        login: &'a Login,
    ) -> Pending<'a, Result<TakenBack, CredentialError>>;
}
