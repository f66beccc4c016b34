//! What others ask of a turn or a session.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use crate::api::v1::wire::{AboutTurn, CancelTurn, ClosedSession};
use crate::cli::Output;
use crate::cli::client::{Call, Daemon, read_all};
use crate::cli::views::session;
use crate::error::Failure;
use crate::telemetry::escape::Escaped;

/// Options of `turn cancel`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CancelArguments {
    /// The turn.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    turn: String,
    /// Who asks, in words of your own [default: user and process].
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    by: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

/// Asks the holder to stop.
pub(super) async fn cancel(arguments: &CancelArguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let body = CancelTurn { by: arguments.by.clone(), reason: arguments.reason.clone() };
    let answer = daemon.call(Call::post(&["v1", "turns", &arguments.turn, "cancel"], json!(body))).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let AboutTurn { turn } = read_all(&answer)?;
    let id = turn.cancel_requested.map(|cancel| format!(" ({})", cancel.id)).unwrap_or_default();
    output.line(&format!("{} is asked to stop {}{id}", Escaped(&turn.holder), turn.id))
}

/// Has the work of a turn ended.
pub(super) async fn fence(turn: &str, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let answer = daemon.call(Call::post(&["v1", "turns", turn, "fence"], json!({}))).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let AboutTurn { turn } = read_all(&answer)?;
    output.line(&format!("the work of {} will be ended, which {} holds", turn.id, Escaped(&turn.holder)))
}

/// Closes a session.
pub(super) async fn close(agent: &str, name: &str, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let answer = daemon.call(Call::post(&["v1", "agents", agent, "sessions", name, "close"], json!({}))).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let closed: ClosedSession = read_all(&answer)?;
    let last = closed.last_completed.map(|last| format!("; the last turn that came off is {last}")).unwrap_or_default();
    output.line(&format!("session {} of {} is closed{last}", Escaped(&session(&closed.session)), closed.agent))
}
