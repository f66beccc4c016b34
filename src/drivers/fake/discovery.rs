//! A listing of containers that a test writes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::{FoundContainer, Sought};
use crate::ports::Pending;
use crate::ports::discovery::{Discovery, ListError};

/// Containers that are there because a test says so.
#[derive(Debug, Default)]
pub struct FakeDiscovery {
    listed: Mutex<Listed>,
    hints: Notify,
}

#[derive(Debug, Default)]
struct Listed {
    containers: BTreeMap<String, FoundContainer>,
    refusal: Option<String>,
}

impl FakeDiscovery {
    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is made, or made anew.
    pub fn put(&self, container: FoundContainer) {
        self.listed().containers.insert(container.name.clone(), container);
        self.hints.notify_one();
    }

    /// A container is removed.
    pub fn remove(&self, name: &str) {
        self.listed().containers.remove(name);
        self.hints.notify_one();
    }

    /// A container gets another name.
    pub fn rename(&self, from: &str, to: &str) {
        let mut listed = self.listed();
        if let Some(container) = listed.containers.remove(from) {
            listed.containers.insert(to.to_owned(), FoundContainer { name: to.to_owned(), ..container });
        }
        drop(listed);
        self.hints.notify_one();
    }

    /// From now on no listing comes off, for this reason; with `None` they do again.
    pub fn refuse(&self, why: Option<&str>) {
        self.listed().refusal = why.map(str::to_owned);
        self.hints.notify_one();
    }
}

impl Discovery for FakeDiscovery {
    fn list<'a>(&'a self, sought: &'a Sought) -> Pending<'a, Result<Vec<FoundContainer>, ListError>> {
        Box::pin(async move {
            let listed = self.listed();
            if let Some(why) = &listed.refusal {
                return Err(ListError(why.clone()));
            }
            Ok(listed.containers.values().filter(|container| sought.is_met_by(container)).cloned().collect())
        })
    }

    fn next_hint(&self) -> Pending<'_, ()> {
        Box::pin(self.hints.notified())
    }
}
