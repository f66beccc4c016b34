//! Shows what the daemon logs as it comes, one line per event that matters to the story.

use std::future::Future;
use std::time::Duration;

use serde_json::{Map, Value};

use super::failed;
use super::stage::Stage;
use crate::cli::Output;
use crate::cli::client::{Call, Daemon};
use crate::domain::Steady;
use crate::error::Failure;
use crate::ports::clock::Clock;

/// Events that are told, and which members with them.
const TOLD: &[(&str, &[&str])] = &[
    ("daemon.ready", &["agents", "subscriptions"]),
    ("agent.adopted", &["agent", "subscription", "generation"]),
    ("failure.recorded", &["agent", "outcome", "subscription", "generation", "count"]),
    ("failure.stale", &["agent", "subscription", "generation"]),
    ("subscription.cooling", &["subscription", "kind", "until"]),
    ("switch.started", &["agent", "plan", "from", "to", "generation", "cause"]),
    ("switch.drained", &["agent", "drain_ms"]),
    ("switch.applied", &["agent", "subscription", "apply_ms", "restarts"]),
    ("switch.completed", &["agent", "plan", "to", "outcome", "total_ms", "restarts"]),
    ("switch.failed", &["agent", "to", "outcome", "reason"]),
    ("agent.exhausted", &["agent"]),
    ("agent.parked", &["agent", "reason"]),
];

/// How often the daemon is asked whether the scene is over.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(50);

/// The teller.
pub(super) struct Story<'a> {
    clock: &'a dyn Clock,
    began: Steady,
    is_silent: bool,
}

impl<'a> Story<'a> {
    pub(super) fn begin(clock: &'a dyn Clock, is_silent: bool) -> Self {
        Self { clock, began: clock.now().steady, is_silent }
    }

    /// Tells until the agents are as asked.
    pub(super) async fn follow(
        &mut self,
        stage: &mut Stage,
        output: &mut Output,
        daemon: &Daemon,
        is_over: impl Fn(&Map<String, Value>) -> bool,
    ) -> Result<(), Failure> {
        let clock = self.clock;
        let over = async {
            loop {
                // The socket is not there yet, or the agents are not: both pass.
                match daemon.call(Call::get(&["v1", "agents"])).await {
                    Ok(agents) if is_over(&agents) => return,
                    Ok(_) | Err(_) => clock.sleep(ASK_EVERY).await,
                }
            }
        };
        self.meanwhile(stage, output, over).await
    }

    /// Tells until something else is done.
    pub(super) async fn meanwhile<T>(
        &mut self,
        stage: &mut Stage,
        output: &mut Output,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                line = stage.next_line() => match line {
                    Ok(Some(line)) => self.tell(&line, output)?,
                    Ok(None) => return Err(failed("the daemon has ended")),
                    Err(why) => return Err(failed(format!("the daemon's log cannot be read: {why}"))),
                },
            }
        }
    }

    fn tell(&self, line: &str, output: &mut Output) -> Result<(), Failure> {
        let Ok(event) = serde_json::from_str::<Map<String, Value>>(line) else {
            // Not an event: it is about why the daemon does not run.
            return if self.is_silent { Ok(()) } else { output.line(line) };
        };
        let name = event.get("event").and_then(Value::as_str).unwrap_or_default();
        let told = TOLD.iter().find(|(told, _)| *told == name).filter(|_| !self.is_silent);
        let Some((_, members)) = told else { return Ok(()) };
        let after = Duration::from_millis(self.clock.now().steady.0.saturating_sub(self.began.0));
        let mut text = format!("{:>7.3} s  {name:<20}", after.as_secs_f64());
        for (member, value) in members.iter().filter_map(|member| Some((member, event.get(*member)?))) {
            text.push_str("  ");
            text.push_str(member);
            text.push('=');
            match value {
                Value::String(value) => text.push_str(value),
                other => text.push_str(&other.to_string()),
            }
        }
        output.line(text.trim_end())
    }
}
