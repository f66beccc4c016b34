//! `cooldown`: which subscriptions are out of use for a time, and an operator's word on it.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Map, Value, json};

use super::client::{Call, Daemon, list, read};
use super::{Output, moments, views};
use crate::api::v1::wire::{Cooldown, CooldownRequest, Subscription};
use crate::domain::duration;
use crate::error::Failure;

/// What can be asked about cooldowns.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show what is cooling, for whom and until when.
    List,
    /// Take a subscription out of use for a time.
    Set {
        /// The subscription.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        subscription: String,
        /// How long.
        #[arg(long = "for", value_name = "DURATION", value_parser = moments::duration)]
        for_: Duration,
    },
    /// End every cooldown of a subscription.
    Clear {
        /// The subscription.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        subscription: String,
    },
}

/// Shows, sets or clears.
pub(super) async fn run(verb: &Verb, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let (subscription, call, line) = match verb {
        Verb::List => return show(daemon, output).await,
        Verb::Set { subscription, for_ } => {
            let request = json!(CooldownRequest { until: None, for_: Some(duration::format(*for_)) });
            let path = ["v1", "subscriptions", subscription, "cooldown"];
            (subscription, Call::put(&path, request), format!("cools for {}", moments::length(*for_)))
        }
        Verb::Clear { subscription } => {
            let path = ["v1", "subscriptions", subscription, "cooldown"];
            (subscription, Call::delete(&path), "does not cool any more".to_owned())
        }
    };
    let answer = daemon.call(call).await?;
    if output.is_json() { output.document(&answer) } else { output.line(&format!("{subscription} {line}")) }
}

async fn show(daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let rows = list(daemon.call(Call::get(&["v1", "subscriptions"])).await?, "subscriptions")?;
    let subscriptions: Vec<Subscription> = read(&Value::Array(rows))?;
    let rows: Vec<_> = subscriptions.iter().flat_map(cooldowns).collect();
    if output.is_json() {
        let rows = rows.iter().map(|(subscription, agent, row)| {
            let mut document = json!(row);
            document["subscription"] = json!(subscription);
            document["agent"] = json!(agent);
            document
        });
        return output.document(&Map::from_iter([("cooldowns".to_owned(), rows.collect())]));
    }
    output.text(&views::cooldowns(&rows, output.look(), daemon.clock().now().wall))
}

/// What holds for everybody first, then what holds for one agent. A quarantine is the cooldown that holds for
/// everybody, told a second time.
fn cooldowns(subscription: &Subscription) -> impl Iterator<Item = (&str, Option<&str>, &Cooldown)> {
    let all = subscription.cooldown.as_ref().or(subscription.quarantined.as_ref()).into_iter();
    let own = subscription.cooling_for.iter();
    all.map(|row| (&*subscription.name, None, row))
        .chain(own.map(|(agent, row)| (&*subscription.name, Some(agent.as_str()), row)))
}
