//! One command for one agent or for many of them: pause, unpark, and pin for one.

use serde_json::{Map, Value};

use super::Output;
use super::client::{Call, Daemon, list, read};
use crate::api::v1::wire::Agent;
use crate::error::{Exit, Failure};

/// Whom a command is for.
pub(super) enum Whom<'a> {
    /// This agent.
    One(&'a str),
    /// Every agent for which this holds.
    Each(fn(&Agent) -> bool),
}

/// Sends the command for each agent and tells each answer in a line. An agent that refuses does not keep it from
/// the others; the first refusal is the failure.
pub(super) async fn command(
    whom: Whom<'_>,
    call: impl Fn(&str) -> Call,
    line: impl Fn(&str, Option<&Agent>) -> String,
    daemon: &Daemon,
    output: &mut Output,
) -> Result<(), Failure> {
    let names = match whom {
        Whom::One(name) => {
            let answer = daemon.call(call(name)).await?;
            if output.is_json() {
                return output.document(&answer);
            }
            return output.line(&line(name, agent(&answer).as_ref()));
        }
        Whom::Each(is_meant) => {
            let agents = list(daemon.call(Call::get(&["v1", "agents"])).await?, "agents")?;
            let agents: Vec<Agent> = read(&Value::Array(agents))?;
            agents.into_iter().filter(is_meant).map(|agent| agent.name).collect::<Vec<_>>()
        }
    };
    let mut answers = Vec::new();
    let mut refused = None;
    for name in &names {
        match daemon.call(call(name)).await {
            Ok(answer) => {
                if !output.is_json() {
                    output.line(&line(name, agent(&answer).as_ref()))?;
                }
                answers.push(Value::Object(answer));
            }
            // Nobody else would be reached either.
            Err(failure) if failure.exit() == Exit::Unreachable => return Err(failure),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    if output.is_json() {
        output.document(&Map::from_iter([("agents".to_owned(), Value::Array(answers))]))?;
    } else if names.is_empty() {
        output.line("no agent to do it to")?;
    }
    refused.map_or(Ok(()), Err)
}

/// The answer to a command is the agent as it stands now.
fn agent(answer: &Map<String, Value>) -> Option<Agent> {
    super::client::read_all(answer).ok()
}
