//! How people are told.

use super::Pending;
use crate::domain::Notification;

/// Why a notification could not be handed over. It stays in the outbox.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{target} did not take the notification: {why}")]
pub struct NotifyError {
    /// The target as it may be shown: no path, no query, no user info.
    pub target: String,
    /// The cause in words.
    pub why: String,
    /// True if this notification will never be taken (the target says it is malformed).
    pub is_final: bool,
}

/// One place that notifications go to.
pub trait Notifier: Send + Sync + 'static {
    /// A stable name of the target, under which the outbox remembers how far it got. Shows no secret.
    fn target(&self) -> &str;
    /// Whether this target wants it.
    fn wants(&self, notification: &Notification) -> bool;
    /// Hands it over. The same id may come twice; another id never carries the same event.
    fn send<'a>(&'a self, notification: &'a Notification) -> Pending<'a, Result<(), NotifyError>>;
}
