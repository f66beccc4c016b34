//! A test message to the targets, through the real drivers: what `notify test` asks for.
//!
//! It goes past the outbox, so that an answer comes at once and nothing is marked as told.
//!
//! Tests: `tests/notices.rs`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::handle::Switchman;
use crate::machine::notices;

/// What came back from a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The target, as it may be shown.
    pub target: String,
    /// What it answered, or why it was not told; in words, without secrets.
    pub answer: Result<String, String>,
    /// How long that took.
    pub took: Duration,
}

impl Switchman {
    /// Sends a test message to every target, or to those whose name begins so; all at the same time.
    pub async fn try_targets(&self, named: Option<&str>) -> Vec<Tried> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let notifiers = self.0.notifiers();
        let tries = notifiers.iter().filter(|one| named.is_none_or(|name| one.target().starts_with(name)));
        let tries = tries.map(|notifier| async move {
            let began = self.now();
            let message = notices::test_message(NUMBER.fetch_add(1, Ordering::Relaxed), began.wall);
            let answer = notifier.send(&message).await.map_err(|error| error.why);
            let took = Duration::from_millis(self.now().steady.0.saturating_sub(began.steady.0));
            Tried { target: notifier.target().to_owned(), answer, took }
        });
        futures_util::future::join_all(tries).await
    }
}
