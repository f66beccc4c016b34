//! `notify`: tries the targets of notifications.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::Output;
use super::client::{Call, Daemon, read};
use crate::api::v1::wire::{NotifyTest, NotifyTested};
use crate::error::{Exit, Failure};
use crate::telemetry::escape::Escaped;

/// A target is given up within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What can be asked about notifications.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Send a test message to every target, and show what came back.
    Test {
        /// Only targets whose name begins so, for example `https://ntfy.example.org`.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        target: Option<String>,
    },
}

/// Tries them; fails if one did not take the message.
pub(super) async fn run(verb: &Verb, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let Verb::Test { target } = verb;
    let request = json!(NotifyTest { target: target.clone() });
    let answer = daemon.call(Call::post(&["v1", "notify", "test"], request).patient(PATIENCE)).await?;
    let NotifyTested { targets } = read(&Value::Object(answer.clone()))?;
    if targets.is_empty() {
        let detail = match target {
            Some(target) => format!("no target of notifications has a name that begins with \"{target}\""),
            None => "the config has no [[notify]]: nobody is ever told".to_owned(),
        };
        return Err(Failure::new(Exit::Failed, "no_target", detail).with_hint("see [[notify]] in config.example.toml"));
    }
    if output.is_json() {
        output.document(&answer)?;
    } else {
        for one in &targets {
            let word = if one.ok { "ok" } else { "failed" };
            output.line(&format!("{word} {}: {} ({} ms)", Escaped(&one.target), Escaped(&one.answer), one.took_ms))?;
        }
    }
    match targets.iter().filter(|one| !one.ok).count() {
        0 => Ok(()),
        // All was said in the lines or the document above.
        count => {
            let detail = format!("{count} of {} targets did not take the message", targets.len());
            Err(Failure::new(Exit::Failed, "not_taken", detail))
        }
    }
}
