//! How a credential gets to an agent whose work reads it from a file.

use super::{Disposition, Pending};
use crate::domain::{AgentName, Fingerprint, Generation, Mount, Mounted, SubscriptionName};
use crate::ports::credentials::{Credential, Login};

/// What is written for an agent.
#[derive(Debug)]
pub struct Consignment<'a> {
    /// For whom.
    pub agent: &'a AgentName,
    /// Whose credential it is.
    pub subscription: &'a SubscriptionName,
    /// The number of the assignment it begins.
    pub generation: Generation,
    /// The credential.
    pub credential: &'a Credential,
}

/// What an agent has been given, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is no file yet.
    Nothing,
    /// A file with a credential.
    Credential(FoundCredential),
    /// This agent gets its credential with its environment; there is nothing to read back.
    NotAFile,
}

/// A credential that lies in an agent's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredential {
    /// Of the credential in it, whatever the format around it.
    pub content: Fingerprint,
    /// Whose login it is, if it is one.
    pub account: Account,
    /// The subscription that the sidecar beside it names, if the sidecar is ours.
    pub named: Option<SubscriptionName>,
}

impl FoundCredential {
    /// One that is no login and lies there without a sidecar of ours.
    #[must_use]
    pub fn of_static(content: Fingerprint) -> Self {
        Self { content, account: Account::NotALogin, named: None }
    }
}

/// Whether a document is a login, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// It is no login.
    NotALogin,
    /// A login that does not say whose it is.
    Unnamed,
    /// Of this account.
    Of(Fingerprint),
}

/// Why a credential could not be delivered. Before the rename nothing has changed; what goes wrong after it is
/// [`DeliveryError::Incomplete`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum DeliveryError {
    /// The place is not fit to be written to, and stays so until a person acts: no such directory, no
    /// right, a symbolic link, a FIFO, a directory in its place.
    #[error("cannot deliver to {path}: {why}")]
    Unfit {
        /// The file that should have been written.
        path: String,
        /// The cause in words.
        why: String,
    },
    /// Writing failed for a reason that may pass: no space, an I/O error.
    #[error("cannot write {path}: {why}")]
    Failed {
        /// The file that should have been written.
        path: String,
        /// The cause in words.
        why: String,
    },
    /// The credential was put in its place, and what belongs to that did not come off: the folder synced, the
    /// sidecar written. Whoever starts now may read the new credential.
    #[error("{path} is replaced, but not all is done: {why}")]
    Incomplete {
        /// The file that was replaced.
        path: String,
        /// The cause in words.
        why: String,
    },
}

impl DeliveryError {
    /// The same trouble, met when the credential was in its place already.
    #[must_use]
    pub fn after_the_rename(self) -> Self {
        match self {
            Self::Unfit { path, why } | Self::Failed { path, why } | Self::Incomplete { path, why } => {
                Self::Incomplete { path, why }
            }
        }
    }

    /// What it means for a decision.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unfit { .. } => Disposition::Permanent,
            Self::Failed { .. } => Disposition::Transient,
            Self::Incomplete { .. } => Disposition::InDoubt,
        }
    }
}

/// Writes and reads back delivered credentials.
pub trait Delivery: Send + Sync + 'static {
    /// Whether a delivery to this agent could succeed, found out without changing anything.
    fn preflight<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<(), DeliveryError>>;
    /// Puts the credential in place: a temporary file, synced, renamed over the old one, the directory
    /// synced, then the sidecar that tells the generation. For an agent whose credential travels with its
    /// environment there is nothing to do.
    fn deliver<'a>(&'a self, consignment: Consignment<'a>) -> Pending<'a, Result<(), DeliveryError>>;
    /// How the agent's file is seen through these mounts of its container.
    fn mounted<'a>(&'a self, agent: &'a AgentName, mounts: &'a [Mount]) -> Pending<'a, Result<Mounted, DeliveryError>>;
    /// The login in an agent's file, to be taken back before the file is overwritten; `None` if there is none.
    fn login<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<Login>, DeliveryError>>;
    /// What is in place now.
    fn found<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Found, DeliveryError>>;
}
