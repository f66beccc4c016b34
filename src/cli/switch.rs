//! `switch`: an operator's switch, a look at what it would do, or the end of one that has touched nothing yet.

use std::io::IsTerminal;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};

use super::client::{Call, Daemon, read_all};
use super::output::to_stderr;
use super::wait::Wait;
use super::{Output, explain, moments, views};
use crate::api::v1::wire::{Switch, SwitchRequest};
use crate::domain::{IntentOutcome, duration};
use crate::error::{Exit, Failure};

/// Options of `switch`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: String,
    /// The subscription to move to [default: the best one].
    #[arg(long, value_name = "SUBSCRIPTION", value_parser = NonEmptyStringValueParser::new())]
    to: Option<String>,
    /// Only say what would be picked.
    #[arg(long, conflicts_with = "at_most")]
    dry_run: bool,
    /// Even to one that is cooling, suspect or full.
    #[arg(long)]
    force: bool,
    /// Give up a switch that has touched nothing yet.
    #[arg(long, conflicts_with_all = ["to", "dry_run", "force", "reason", "at_most"])]
    cancel: bool,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// Asks for it, and waits for its end if told to.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let path = ["v1", "agents", &arguments.agent, "switch"];
    if arguments.cancel {
        let answer = daemon.call(Call::delete(&path)).await?;
        return show(output, &answer, |_| Ok(format!("the switch of {} is given up", arguments.agent)));
    }
    let request = SwitchRequest {
        to: arguments.to.clone(),
        reason: arguments.reason.clone(),
        dry_run: arguments.dry_run.then_some(true),
        force: arguments.force.then_some(true),
    };
    let mut call = Call::post(&path, json!(request));
    if let Some(at_most) = arguments.wait.at_most {
        call = call.waiting(at_most);
        if std::io::stderr().is_terminal() {
            let at_most = duration::format(at_most);
            to_stderr(&format!("waiting at most {at_most} for {} to be ready\n", arguments.agent));
        }
    }
    let answer = daemon.call(call).await?;
    if arguments.dry_run {
        let look = output.look();
        return show(output, &answer, |answer| Ok(explain::text(&read_all(answer)?, look).trim_end().to_owned()));
    }
    // An agent that is there already is not moved: the answer is the agent.
    if !answer.contains_key("outcome") {
        return show(output, &answer, |_| Ok(format!("{} is there already", arguments.agent)));
    }
    let switch: Switch = read_all(&answer)?;
    let is_over = switch.outcome.parse() != Ok(IntentOutcome::UnderWay);
    show(output, &answer, |_| Ok(if is_over { end(&switch) } else { begin(&switch) }))?;
    match arguments.wait.at_most {
        None => Ok(()),
        Some(_) if is_over => verdict(&switch),
        Some(at_most) => {
            let detail = format!("switch {} has not ended within {}", switch.id, duration::format(at_most));
            let hint = "it goes on: see switchman status";
            Err(Failure::new(Exit::Failed, "wait_expired", detail).with_hint(hint))
        }
    }
}

/// Only a switch whose agent is ready on the new subscription has gone well.
fn verdict(switch: &Switch) -> Result<(), Failure> {
    if switch.outcome.parse() == Ok(IntentOutcome::Ready) {
        return Ok(());
    }
    let why = switch.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let detail = format!("switch {} ended {}{why}", switch.id, switch.outcome);
    Err(Failure::new(Exit::Failed, "switch_failed", detail).with_hint("see switchman history and switchman explain"))
}

fn begin(switch: &Switch) -> String {
    format!("{} moves {}", switch.agent, moved(switch))
}

fn moved(switch: &Switch) -> String {
    views::move_of(switch.from.as_deref(), &switch.to, switch.generation, &switch.id)
}

fn end(switch: &Switch) -> String {
    let took = switch.finished_at.map(|end| end.0.since(switch.started_at.0).as_millis());
    let took = took.map(|ms| format!(" after {}", moments::millis(u64::try_from(ms).unwrap_or(u64::MAX))));
    let moves = match switch.outcome.parse::<IntentOutcome>() {
        Ok(outcome) if outcome.is_delivered() => "moved",
        Ok(_) | Err(_) => "was to move",
    };
    format!("{}: {} {moves} {}{}", switch.outcome, switch.agent, moved(switch), took.unwrap_or_default())
}

/// The answer as the document, or as a line.
fn show(
    output: &mut Output,
    answer: &Map<String, Value>,
    line: impl FnOnce(&Map<String, Value>) -> Result<String, Failure>,
) -> Result<(), Failure> {
    if output.is_json() { output.document(answer) } else { output.line(&line(answer)?) }
}
