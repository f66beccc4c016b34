//! `resume`: act again, for one agent or for all of them; the latter also ends a halt after several bans.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Output;
use super::client::{Call, Daemon};
use crate::error::Failure;

/// Options of `resume`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent [default: all of them].
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// All agents, said in so many words; switching that was halted after several bans goes on.
    #[arg(long, conflicts_with = "agent")]
    all: bool,
}

/// Resumes one agent, or whatever is paused or halted.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let (call, line) = match &arguments.agent {
        Some(agent) => {
            (Call::post(&["v1", "agents", agent, "resume"], json!({})), format!("{agent} is not paused any more"))
        }
        None => (
            Call::post(&["v1", "resume"], json!({})),
            "no agent is paused any more, and switching is not halted".to_owned(),
        ),
    };
    let answer = daemon.call(call).await?;
    if output.is_json() { output.document(&answer) } else { output.line(&line) }
}
