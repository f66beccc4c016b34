//! `resume`: act again.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Output;
use super::client::{Call, Daemon};
use super::every::{Whom, command};
use crate::error::Failure;

/// Options of `resume`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent [default: all of them].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// All agents, said in so many words.
    #[arg(long, conflicts_with = "agent")]
    all: bool,
}

/// Resumes one agent or all.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let whom = arguments.agent.as_deref().map_or(Whom::Each(|_| true), Whom::One);
    let call = |agent: &str| Call::post(&["v1", "agents", agent, "resume"], json!({}));
    command(whom, call, |name, _| format!("{name} is not paused any more"), daemon, output).await
}
