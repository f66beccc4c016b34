//! `unpark`: frees agents that wait for a person.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Output;
use super::client::{Call, Daemon};
use super::every::{Whom, command};
use crate::error::Failure;

/// Options of `unpark`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["agent", "all"]))]
pub(super) struct Arguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// Every agent that is parked.
    #[arg(long)]
    all: bool,
}

/// Frees one agent or all.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let whom = arguments.agent.as_deref().map_or(Whom::Each(|agent| agent.phase == "parked"), Whom::One);
    let call = |agent: &str| Call::post(&["v1", "agents", agent, "unpark"], json!({}));
    command(whom, call, |name, _| format!("{name} is free again"), daemon, output).await
}
