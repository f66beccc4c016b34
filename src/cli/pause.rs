//! `pause`: observe and record, but do not act.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::client::{Call, Daemon};
use super::every::{Whom, command};
use super::{Output, moments, views};
use crate::api::v1::wire::PauseRequest;
use crate::domain::duration;
use crate::error::Failure;

/// Options of `pause`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent [default: all of them].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// How long [default: until resumed].
    #[arg(long = "for", value_name = "DURATION", value_parser = moments::duration)]
    for_: Option<Duration>,
}

/// Pauses one agent or all.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let whom = arguments.agent.as_deref().map_or(Whom::Each(|_| true), Whom::One);
    let request = json!(PauseRequest { until: None, for_: arguments.for_.map(duration::format) });
    let call = |agent: &str| Call::post(&["v1", "agents", agent, "pause"], request.clone());
    let now = daemon.clock().now().wall;
    let line = |name: &str, agent: Option<&_>| match agent {
        Some(agent) => format!("{name} is paused {}", views::pause_end(agent, now)),
        None => format!("{name} is paused"),
    };
    command(whom, call, line, daemon, output).await
}
