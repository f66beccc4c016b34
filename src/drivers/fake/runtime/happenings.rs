//! What happens to the containers in memory without any order, and is told as a real engine tells it.
//!
//! Tests: `tests/runtime_conformance/fake_faults.rs`.

use super::FakeWorld;
use crate::domain::AgentName;
use crate::ports::runtime::{Ended, RuntimeEvent, Surroundings};

impl FakeWorld {
    /// What a look shows around the container from now on. Does nothing if there is none.
    pub fn set_surroundings(&self, agent: &AgentName, surroundings: Surroundings) {
        if let Ok(container) = self.state().container(agent) {
            container.surroundings = Some(surroundings);
        }
    }

    /// The container ends, and its end is told with this code. Does nothing if it does not run.
    pub fn end_by_itself(&self, agent: &AgentName, exit_code: i32, was_oom: bool) {
        let mut state = self.state();
        let Ok(container) = state.container(agent) else { return };
        if !std::mem::take(&mut container.is_running) {
            return;
        }
        let id = container.id.clone();
        let ended = Ended { agent: agent.clone(), id, exit_code: Some(exit_code), was_oom, was_told: false, at: None };
        state.events.push_back(RuntimeEvent::Ended(ended));
        drop(state);
        self.wake.notify_one();
    }

    /// The health check of the container tells this now. It is not how `await_ready` will find it.
    pub fn tell_health(&self, agent: &AgentName, is_healthy: bool) {
        self.state().events.push_back(RuntimeEvent::Health { agent: agent.clone(), is_healthy });
        self.wake.notify_one();
    }
}
