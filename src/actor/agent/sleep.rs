//! The one sleep of an actor: until the nearest of all its deadlines.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tokio::task::JoinHandle;

use super::AgentMsg;
use crate::domain::{Due, Moment};
use crate::ports::clock::Clock;

/// The longest sleep: the clock may be set, the machine suspended (F6).
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// At most one sleep at a time; the end of an older one is recognised by its number.
#[derive(Default)]
pub(super) struct Sleep {
    number: u64,
    armed: Option<(Due, JoinHandle<()>)>,
}

impl Sleep {
    /// Takes note that a sleep is over.
    pub(super) fn over(&mut self, number: u64) {
        if number == self.number {
            self.armed = None;
        }
    }

    /// Sleeps for so long, unless a shorter sleep is under way; not at all if there is nothing to wait for.
    pub(super) fn arm(
        &mut self,
        wait: Option<Duration>,
        now: Moment,
        clock: &Arc<dyn Clock>,
        actor: &ActorRef<AgentMsg>,
    ) {
        let Some(wait) = wait.map(|wait| wait.min(SLEEP_MAX)) else { return self.end() };
        if self.armed.as_ref().is_some_and(|(due, _)| due.remaining(now) <= wait) {
            return;
        }
        self.end();
        self.number += 1;
        let (number, clock, actor) = (self.number, Arc::clone(clock), actor.clone());
        let task = tokio::spawn(async move {
            clock.sleep(wait).await;
            if actor.cast(AgentMsg::Tick { sleep: number }).is_err() {
                tracing::debug!("a tick for an agent that has ended");
            }
        });
        self.armed = Some((now.due_after(wait), task));
    }

    fn end(&mut self) {
        if let Some((_, task)) = self.armed.take() {
            task.abort();
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.end();
    }
}
