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
    let mut filters = Vec::new();
    filters.extend(arguments.agent.clone().map(|agent| ("agent", agent)));
    let since = arguments.since.map(|since| Time(since.wall(daemon.clock().now().wall)));
    filters.extend(since.map(|since| ("since", since.to_string())));
    let (switches, next) = pages("switches", &filters, arguments.limit, daemon).await?;
    if output.is_json() {
        let members = [("switches".to_owned(), Value::Array(switches)), ("next".to_owned(), next)];
        return output.document(&Map::from_iter(members));
    }
    let switches: Vec<_> = read(&Value::Array(switches))?;
    output.text(&views::switches(&switches, output.look()))
}

/// So many rows of a history, page by page, and where it goes on.
pub(super) async fn pages(
    name: &str,
    filters: &[(&str, String)],
    limit: u32,
    daemon: &Daemon,
) -> Result<(Vec<Value>, Value), Failure> {
    let (mut rows, mut next) = (Vec::new(), Value::Null);
    loop {
        let missing = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok((rows, next));
        }
        let call = Call::get(&["v1", name]).with("limit", &missing.min(PAGE).to_string());
        let mut page = filters.iter().fold(call, |call, (name, value)| call.with(name, value));
        if let Some(before) = cursor(&next) {
            page = page.with("before", &before);
        }
        let mut answer = daemon.call(page).await?;
        next = answer.remove("next").unwrap_or(Value::Null);
        let page = list(answer, name)?;
        let is_last = page.is_empty() || next.is_null();
        rows.extend(page);
        if is_last {
            return Ok((rows, next));
        }
    }
}

/// The place where the next page begins, as the query has it.
fn cursor(next: &Value) -> Option<String> {
    match next {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
