//! Waiting until a container is ready.
//!
//! A container without a health check is ready when one look finds it running. With one, it is looked at again
//! and again, soon at first and then once a second, until the check says healthy. An engine that does not answer
//! meanwhile does not end the wait: it is the last thing said if nothing better was seen by the end.
//!
//! A container that is paused, or that its restart policy is about to start again, runs and is not ready.
//!
//! Tests: `tests/runtime_conformance.rs`.

use std::time::Duration;

use bollard::models::HealthStatusEnum;

use super::DockerRuntime;
use super::container::Container;
use crate::domain::AgentName;
use crate::ports::runtime::{Readiness, RuntimeError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl DockerRuntime {
    pub(super) async fn wait_until_ready(
        &self,
        agent: &AgentName,
        timeout: Duration,
    ) -> Result<Readiness, RuntimeError> {
        let due = self.clock.now().due_after(timeout);
        let mut pause = FIRST_PAUSE;
        let mut was_seen_running = false;
        loop {
            let left = due.remaining(self.clock.now());
            let look = self.inspect(agent, self.call_timeout.min(left.max(FIRST_PAUSE))).await;
            let trouble = match look {
                Ok(container) if container.is_ready() => return Ok(Readiness::Ready),
                Ok(container) if !container.running => return Ok(Readiness::NotRunning),
                Ok(_) => {
                    was_seen_running = true;
                    None
                }
                Err(RuntimeError::Missing(_)) => return Ok(Readiness::Missing),
                Err(error @ (RuntimeError::Foreign { .. } | RuntimeError::Refused { .. })) => return Err(error),
                Err(error) => Some(error),
            };
            let left = due.remaining(self.clock.now());
            if left.is_zero() {
                return match trouble {
                    Some(error) if !was_seen_running => Err(error),
                    Some(_) | None => Ok(Readiness::NotReady),
                };
            }
            self.clock.sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }
}

impl Container {
    fn is_ready(&self) -> bool {
        let settled = self.running && !self.restarting && !self.paused;
        settled
            && match self.health {
                None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE | HealthStatusEnum::HEALTHY) => true,
                Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => false,
            }
    }
}
