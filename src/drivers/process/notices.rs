//! Who is to be looked at, and whose child has ended by itself.
//!
//! Each agent waits here at most once, so it is bounded by their number: of two ends that nobody has heard of,
//! the later one is told. An end is also a change, so it takes the place of one.
//!
//! Tests: below.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::AgentName;
use crate::ports::runtime::{Ended, RuntimeEvent};

#[derive(Default)]
pub(super) struct Notices {
    waiting: Mutex<BTreeMap<AgentName, Option<Ended>>>,
    wake: Notify,
}

impl Notices {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<AgentName, Option<Ended>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(&self, agent: &AgentName) {
        self.waiting().entry(agent.clone()).or_default();
        self.wake.notify_one();
    }

    pub(super) fn post_end(&self, ended: Ended) {
        self.waiting().insert(ended.agent.clone(), Some(ended));
        self.wake.notify_one();
    }

    pub(super) async fn next(&self) -> RuntimeEvent {
        loop {
            if let Some((agent, ended)) = self.waiting().pop_first() {
                return ended.map_or(RuntimeEvent::Changed(agent), RuntimeEvent::Ended);
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_outlasts_the_changes_around_it() {
        let (notices, one) = (Notices::default(), AgentName::new("one"));
        let ended = |id: &str| Ended {
            agent: one.clone(),
            id: id.to_owned(),
            exit_code: Some(3),
            was_oom: false,
            was_told: false,
            at: None,
        };
        notices.post(&one);
        notices.post_end(ended("1"));
        notices.post_end(ended("2"));
        notices.post(&one);
        notices.post(&AgentName::new("two"));
        assert_eq!(notices.next().await, RuntimeEvent::Ended(ended("2")));
        assert_eq!(notices.next().await, RuntimeEvent::Changed(AgentName::new("two")));
    }
}
