//! How a life begins, and how it ends when its agent is none of ours any more.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;

use super::AgentMsg;
use super::life::Life;
use crate::machine::agent::{Event, Phase};

/// How long an agent whose decisions cannot be written down waits before it begins again: from the second failure in
/// a row on, doubling. Shorter than a reporter waits for its answer.
const BEGIN_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Life {
    /// An effect of an earlier life may still be doing something to the agent: its end comes first.
    pub(super) fn begin_when_free(&self, myself: &ActorRef<AgentMsg>) {
        if self.state.is_none() {
            return;
        }
        let (under_way, myself, life) = (self.parts.seat.take_effect(), myself.clone(), self.number);
        let (clock, wait) = (Arc::clone(&self.parts.clock), self.begin_again_after());
        let begin = move || {
            if myself.cast(AgentMsg::Begin { life }).is_err() {
                tracing::debug!("an agent ended before it began");
            }
        };
        let under_way = under_way.filter(|effect| !effect.is_finished());
        if under_way.is_none() && wait.is_zero() {
            return begin();
        }
        tokio::spawn(async move {
            clock.sleep(wait).await;
            if let Some(effect) = under_way
                && effect.await.is_err()
            {
                tracing::debug!("an effect of an earlier life has failed");
            }
            begin();
        });
    }

    /// What it decides next it would decide as fast again: a full disk must not be tried in a circle.
    fn begin_again_after(&self) -> Duration {
        let Some(doublings) = self.commits_failed.checked_sub(2) else { return Duration::ZERO };
        BEGIN_AGAIN.0.saturating_mul(1 << doublings.min(16)).min(BEGIN_AGAIN.1)
    }

    /// The first event of a life. What an earlier one learned of a changed policy it took with it.
    pub(super) fn begin(&mut self) {
        self.has_begun = true;
        self.queue.push_back(Event::Began);
        if self.parts.seat.was_reconfigured() {
            self.queue.push_back(Event::Reconfigured);
        }
    }

    /// Nobody is to sit here any more: what was not begun yet is called off, the rest is finished, and then this life ends.
    /// Whoever still waits is told when it does.
    pub(super) fn depart(&mut self, myself: &ActorRef<AgentMsg>) {
        if !self.parts.seat.is_retired() {
            return;
        }
        let is_over = match self.state.as_ref().map(|state| &state.phase) {
            // What is open is on disk, and taken up should the agent come back.
            None | Some(Phase::Serving | Phase::Exhausted { .. } | Phase::Parked { .. }) => true,
            Some(Phase::Draining(draining)) if self.has_begun && !draining.is_resumed => {
                self.queue.push_back(Event::Retired);
                if myself.cast(AgentMsg::Wake).is_err() {
                    tracing::debug!("an agent ended before it could depart");
                }
                false
            }
            Some(Phase::Selecting(_) | Phase::Draining(_) | Phase::Applying(_)) => false,
        };
        if is_over {
            self.queue.clear();
            myself.stop(None);
        }
    }
}
