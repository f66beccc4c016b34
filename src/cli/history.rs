//! `history`: past switches, newest first.

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value};

use super::client::{Call, Daemon, list, read};
use super::moments::{self, Since};
use super::{Output, views};
use crate::api::v1::time::Time;
use crate::error::Failure;

/// The most that is asked for at once.
const PAGE: u32 = 100;

/// Options of `history`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only of this agent.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    agent: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only those that began since then: an RFC 3339 time, or how long ago ("2h").
    #[arg(long, value_name = "TIME", value_parser = moments::since)]
    since: Option<Since>,
}

/// Asks page by page and shows all of it.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let since = arguments.since.map(|since| Time(since.wall(daemon.clock().now().wall)));
    let mut switches: Vec<Value> = Vec::new();
    let mut next = Value::Null;
    loop {
        let missing = arguments.limit.saturating_sub(u32::try_from(switches.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            break;
        }
        let mut call = Call::get(&["v1", "switches"]).with("limit", &missing.min(PAGE).to_string());
        if let Some(agent) = &arguments.agent {
            call = call.with("agent", agent);
        }
        if let Some(since) = since {
            call = call.with("since", &since.to_string());
        }
        if let Some(before) = cursor(&next) {
            call = call.with("before", &before);
        }
        let mut answer = daemon.call(call).await?;
        next = answer.remove("next").unwrap_or(Value::Null);
        let page = list(answer, "switches")?;
        let is_last = page.is_empty() || next.is_null();
        switches.extend(page);
        if is_last {
            break;
        }
    }
    if output.is_json() {
        let members = [("switches".to_owned(), Value::Array(switches)), ("next".to_owned(), next)];
        return output.document(&Map::from_iter(members));
    }
    let switches: Vec<_> = read(&Value::Array(switches))?;
    output.text(&views::switches(&switches, output.look()))
}

/// The place where the next page begins, as the query has it.
fn cursor(next: &Value) -> Option<String> {
    match next {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
