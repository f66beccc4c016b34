//! How people are told.

use std::time::Duration;

use super::Pending;
use crate::domain::Message;

/// Why a message could not be handed over. It stays in the outbox.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{target} did not take the notification: {why}")]
pub struct NotifyError {
    /// The target as it may be shown: no path, no query, no user info, no argument.
    pub target: String,
    /// The cause in words.
    pub why: String,
    /// True if this message will never be taken (the target says it is malformed).
    pub is_final: bool,
    /// The target asks not to be asked again sooner.
    pub retry_after: Option<Duration>,
}

/// One place that messages go to.
pub trait Notifier: Send + Sync + 'static {
    /// A stable name of the target, under which the outbox remembers how far it got. Shows no secret.
    fn target(&self) -> &str;
    /// Hands it over, within seconds; says in words what came back. The same id may come twice; another id never carries
    /// the same event.
    fn send<'a>(&'a self, message: &'a Message) -> Pending<'a, Result<String, NotifyError>>;
}
