//! What the holder of a turn says: it is alive, done, or has stopped.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::lease::Lease;
use crate::api::v1::time::Time;
use crate::api::v1::wire::{AboutTurn, Beaten, CompleteTurn, CompletedTurn, FailureReport, Spelled, TurnResult};
use crate::cli::client::{Call, Daemon, read_all};
use crate::cli::{Output, moments, report};
use crate::domain::FailureKind;
use crate::error::Failure;
use crate::telemetry::escape::Escaped;

type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The longest that one request waits.
const HELD_MAX: Duration = Duration::from_secs(600);

/// Options of `turn heartbeat`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct HeartbeatArguments {
    /// The turn.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    turn: String,
    /// Go on giving heartbeats for so long, or until somebody asks to stop.
    #[arg(long, value_name = "DURATION", value_parser = moments::duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    lease: Lease,
}

/// One heartbeat, or as many as keep the turn for as long as was said.
pub(super) async fn beat(
    arguments: &HeartbeatArguments,
    variables: Variables<'_>,
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    let (turn, token) = (&arguments.turn, arguments.lease.read(variables)?);
    let since = daemon.clock().now();
    let until = since.due_after(arguments.wait.unwrap_or_default());
    loop {
        let call = Call::post(&["v1", "turns", turn, "heartbeat"], json!({})).proved(&token);
        // The daemon answers before the lease is over, however long it was asked to wait.
        let left = until.remaining(daemon.clock().now());
        let call = if left.is_zero() { call } else { call.waiting(left.min(HELD_MAX)) };
        let answer = daemon.call(call).await?;
        let beaten: Beaten = read_all(&answer)?;
        if beaten.cancel_requested.is_none() && !until.is_past(daemon.clock().now()) {
            continue;
        }
        if output.is_json() {
            return output.document(&answer);
        }
        return output.line(&match &beaten.cancel_requested {
            Some(cancel) => format!("cancel: {} asks to stop ({})", Escaped(&cancel.by), cancel.id),
            None => format!("held: the next heartbeat is due within {}", moments::length(beaten.lease_s.0)),
        });
    }
}

/// Options of `turn complete`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompleteArguments {
    /// The turn.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    turn: String,
    /// It did not come off.
    #[arg(long)]
    failed: bool,
    /// What the failure means; it did not come off then.
    #[arg(long, value_parser = report::kinds(), conflicts_with = "evidence")]
    kind: Option<FailureKind>,
    /// Output of the tool, to be classified, as for `report`; it did not come off then.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    evidence: Option<String>,
    /// When the limit ends (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = moments::time)]
    reset_at: Option<Time>,
    #[command(flatten)]
    lease: Lease,
}

/// Ends it, and shows what became of the failure that was reported with it.
pub(super) async fn complete(
    arguments: &CompleteArguments,
    variables: Variables<'_>,
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    let token = arguments.lease.read(variables)?;
    let has_failure = arguments.kind.is_some() || arguments.evidence.is_some();
    let failure = if has_failure {
        Some(FailureReport {
            kind: arguments.kind.map(Spelled),
            evidence: arguments.evidence.as_deref().map(report::seen).transpose()?,
            reset_at: arguments.reset_at,
            ..FailureReport::default()
        })
    } else {
        None
    };
    let result = if arguments.failed || has_failure { TurnResult::Failed } else { TurnResult::Ok };
    let body = CompleteTurn { result: Spelled(result), failure };
    let call = Call::post(&["v1", "turns", &arguments.turn, "complete"], json!(body)).proved(&token);
    let answer = daemon.call(call).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let CompletedTurn { turn, failure } = read_all(&answer)?;
    output.line(&format!("{}: {}", turn.state, turn.id))?;
    match &failure {
        Some(failure) => output.line(&report::line(failure, daemon.clock().now().wall)),
        None => Ok(()),
    }
}

/// Options of `turn cancelled`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CancelledArguments {
    /// The turn.
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    turn: String,
    #[command(flatten)]
    lease: Lease,
}

/// The holder's answer to a request to stop.
pub(super) async fn cancelled(
    arguments: &CancelledArguments,
    variables: Variables<'_>,
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    let token = arguments.lease.read(variables)?;
    let call = Call::post(&["v1", "turns", &arguments.turn, "cancelled"], json!({})).proved(&token);
    let answer = daemon.call(call).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let AboutTurn { turn } = read_all(&answer)?;
    output.line(&format!("{}: {}", turn.state, turn.id))
}
