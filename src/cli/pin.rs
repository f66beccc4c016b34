//! `pin` and `unpin`: an operator's choice of subscription, above the policy.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Output;
use super::client::{Call, Daemon};
use super::every::{Whom, command};
use crate::api::v1::wire::{Agent, PinRequest};
use crate::error::Failure;

/// Options of `pin`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
    /// The subscription to stay on; another one than now is a switch.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    subscription: String,
}

/// Options of `unpin`.
#[derive(Debug, clap::Args)]
pub(super) struct UnpinArguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
}

/// Pins; a pin to another subscription begins a switch.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let request = json!(PinRequest { subscription: arguments.subscription.clone() });
    let call = |agent: &str| Call::put(&["v1", "agents", agent, "pin"], request.clone());
    let line = |name: &str, agent: Option<&Agent>| {
        let to = &arguments.subscription;
        match agent.and_then(|agent| agent.pending.as_ref()).filter(|pending| &pending.subscription == to) {
            Some(pending) => format!("{name} is pinned to {to} and moves there (generation {})", pending.generation),
            None => format!("{name} is pinned to {to}"),
        }
    };
    command(Whom::One(&arguments.agent), call, line, daemon, output).await
}

/// Ends a pin.
pub(super) async fn run_unpin(arguments: &UnpinArguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let call = |agent: &str| Call::delete(&["v1", "agents", agent, "pin"]);
    let line = |name: &str, _: Option<&Agent>| format!("{name} is not pinned any more");
    command(Whom::One(&arguments.agent), call, line, daemon, output).await
}
