//! `switch`: an operator's switch, a look at what it would do, or the end of one that has touched nothing yet.

use std::io::IsTerminal;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};

use super::client::{Call, Daemon, read_all};
use super::output::to_stderr;
use super::wait::Wait;
use super::{Output, explain, moments, views};
use crate::api::v1::wire::{Switch, SwitchRequest};
use crate::domain::{IntentOutcome, duration};
use crate::error::{Exit, Failure};

/// How often to look whether a switch has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
    let answer = daemon.call(Call::post(&path, json!(request))).await?;
    if arguments.dry_run {
        let look = output.look();
        return show(output, &answer, |answer| Ok(explain::text(&read_all(answer)?, look).trim_end().to_owned()));
    }
    let Some(at_most) = arguments.wait.at_most else {
        return show(output, &answer, |answer| {
            let switch: Switch = read_all(answer)?;
            Ok(format!("{} moves {}", switch.agent, moved(&switch)))
        });
    };
    let begun: Switch = read_all(&answer)?;
    if std::io::stderr().is_terminal() {
        to_stderr(&format!("{} moves {}; waiting for its end\n", begun.agent, moved(&begun)));
    }
    let answer = ended(&begun, answer, at_most, daemon).await?;
    let switch: Switch = read_all(&answer)?;
    show(output, &answer, |_| Ok(end(&switch)))?;
    verdict(&switch)
}

/// The switch as it stands when it has ended.
async fn ended(
    begun: &Switch,
    first: Map<String, Value>,
    at_most: Duration,
    daemon: &Daemon,
) -> Result<Map<String, Value>, Failure> {
    let deadline = daemon.clock().now().steady.plus(at_most);
    let mut answer = first;
    loop {
        let switch: Switch = read_all(&answer)?;
        if switch.outcome.parse() != Ok(IntentOutcome::UnderWay) {
            return Ok(answer);
        }
        if daemon.clock().now().steady >= deadline {
            let at_most = duration::format(at_most);
            let detail = format!("switch {} has not ended within {at_most}", switch.id);
            return Err(Failure::new(Exit::Failed, "wait_expired", detail)
                .with_hint("it goes on: see switchman status")
                .with_member("switch", Value::Object(answer)));
        }
        daemon.clock().sleep(LOOK_EVERY).await;
        answer = daemon.call(Call::get(&["v1", "switches", &begun.id])).await?;
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

fn moved(switch: &Switch) -> String {
    views::move_of(switch.from.as_deref(), &switch.to, switch.generation, &switch.id)
}

fn end(switch: &Switch) -> String {
    let took = switch.finished_at.map(|end| end.0.since(switch.started_at.0).as_millis());
    let took = took.map(|ms| format!(" after {}", moments::millis(u64::try_from(ms).unwrap_or(u64::MAX))));
    format!("{}: {} moved {}{}", switch.outcome, switch.agent, moved(switch), took.unwrap_or_default())
}

/// The answer as the document, or as a line.
fn show(
    output: &mut Output,
    answer: &Map<String, Value>,
    line: impl FnOnce(&Map<String, Value>) -> Result<String, Failure>,
) -> Result<(), Failure> {
    if output.is_json() { output.document(answer) } else { output.line(&line(answer)?) }
}
