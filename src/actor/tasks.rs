//! Tasks that can be told to end, each under a name: readers of logs, deliverers of notifications.
//!
//! A task is told by its flag and ends by itself; only at the end of the daemon are those cut off that did not. It must
//! not know what a task does.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a task is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TaskName {
    /// The reader of this agent's log.
    Reader(String),
    /// Watches whether the engine is there, for people.
    EngineNotices,
    /// Hands notifications to this target.
    Outbox(String),
    /// Asks a provider about this subscription.
    Prober(String),
}

struct Task {
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// The tasks that run.
#[derive(Default)]
pub(super) struct Tasks(Mutex<BTreeMap<TaskName, Task>>);

impl Tasks {
    /// Begins a task; one of the same name is told to end.
    pub(super) fn begin<F>(&self, name: TaskName, work: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let handle = tokio::spawn(work(stopped));
        if let Some(old) = self.lock().insert(name, Task { stop, handle }) {
            old.stop.send_replace(true);
        }
    }

    /// Tells a task to end, if there is one of that name.
    pub(super) fn end(&self, name: &TaskName) {
        if let Some(task) = self.lock().remove(name) {
            task.stop.send_replace(true);
        }
    }

    /// Tells all of them to end.
    pub(super) fn end_all(&self) {
        for task in self.lock().values() {
            task.stop.send_replace(true);
        }
    }

    /// Cuts off those that did not end by themselves.
    pub(super) fn abort_all(&self) {
        for (_, task) in std::mem::take(&mut *self.lock()) {
            task.handle.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TaskName, Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
