//! `status`: agents and subscriptions as they stand.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value};

use super::client::{Call, Daemon, list, read};
use super::{Output, views};
use crate::api::v1::wire::{Agent, ContainerProblem, Subscription};
use crate::error::{Exit, Failure};

/// How often `--watch` draws.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Homes the cursor and clears what is below: less flicker than clearing first.
const REDRAW: &str = "\u{1b}[H\u{1b}[J";

/// Options of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show only this agent, in detail.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// Draw again every second, until interrupted.
    #[arg(long)]
    watch: bool,
}

/// Shows it once, or again and again.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let agent = arguments.agent.as_deref();
    if !arguments.watch {
        let document = ask(agent, daemon).await?;
        return if output.is_json() {
            output.document(&document)
        } else {
            output.text(&drawn(agent, &document, daemon, output)?)
        };
    }
    if output.is_json() {
        let detail = "--watch draws for people, --json prints one document";
        return Err(Failure::new(Exit::Usage, "usage", detail).with_hint("leave one of them out"));
    }
    // A daemon that was never there is a failure; one that goes away meanwhile is something to watch.
    let mut frame = drawn(agent, &ask(agent, daemon).await?, daemon, output)?;
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let start = if output.is_terminal() { REDRAW } else { "" };
        output.text(&format!("{start}{frame}"))?;
        if output.is_closed() {
            return Ok(());
        }
        tokio::select! {
            _ = &mut interrupt => return Ok(()),
            () = daemon.clock().sleep(WATCH_EVERY) => {}
        }
        frame = match ask(agent, daemon).await {
            Ok(document) => drawn(agent, &document, daemon, output)?,
            Err(failure) => failure.to_string(),
        };
    }
}

/// The document: agents, subscriptions, and how the daemon itself does.
async fn ask(agent: Option<&str>, daemon: &Daemon) -> Result<Map<String, Value>, Failure> {
    let mut document = Map::new();
    let (agents, problems) = if let Some(name) = agent {
        (vec![Value::Object(daemon.call(Call::get(&["v1", "agents", name])).await?)], None)
    } else {
        let mut answer = daemon.call(Call::get(&["v1", "agents"])).await?;
        let problems = answer.remove("container_problems");
        (list(answer, "agents")?, problems)
    };
    let mut subscriptions = list(daemon.call(Call::get(&["v1", "subscriptions"])).await?, "subscriptions")?;
    if let (Some(_), Some(agent)) = (agent, agents.first()) {
        let agent: Agent = read(agent)?;
        let ours = [
            agent.assignment.as_ref().map(|current| &*current.subscription),
            agent.pending.as_ref().map(|pending| &*pending.subscription),
            agent.pinned.as_deref(),
        ];
        subscriptions
            .retain(|row| row.get("name").and_then(Value::as_str).is_some_and(|name| ours.contains(&Some(name))));
    }
    // Not ready is an answer as well, and says why; none at all is no reason to hide the rest.
    let health = daemon.ask(Call::get(&["readyz"])).await.map(|answer| answer.body).unwrap_or_default();
    document.insert("agents".to_owned(), Value::Array(agents));
    document.insert("subscriptions".to_owned(), Value::Array(subscriptions));
    if agent.is_none() {
        document.insert("container_problems".to_owned(), problems.unwrap_or_else(|| Value::Array(Vec::new())));
    }
    document.insert("daemon".to_owned(), Value::Object(health));
    Ok(document)
}

fn drawn(
    agent: Option<&str>,
    document: &Map<String, Value>,
    daemon: &Daemon,
    output: &Output,
) -> Result<String, Failure> {
    let now = daemon.clock().now().wall;
    let agents: Vec<Agent> = read(&document["agents"])?;
    let subscriptions: Vec<Subscription> = read(&document["subscriptions"])?;
    let mut text = match (agent, agents.as_slice()) {
        (Some(_), [agent]) => views::agent(agent, output.look(), now),
        _ => views::agents(&agents, output.look(), now),
    };
    if agent.is_none() || !subscriptions.is_empty() {
        text.push('\n');
        text.push_str(&views::subscriptions(&subscriptions, output.look(), now));
    }
    let problems: Vec<ContainerProblem> = match document.get("container_problems") {
        Some(problems) => read(problems)?,
        None => Vec::new(),
    };
    if !problems.is_empty() {
        text.push('\n');
        text.push_str(&views::containers(&problems));
    }
    let trouble = views::trouble(document["daemon"].as_object());
    if !trouble.is_empty() {
        text.push('\n');
        text.push_str(&trouble);
    }
    Ok(text)
}
