//! `reading`: what somebody read off the provider about a window of a subscription.
//!
//! Tests: `tests/cli.rs`.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::client::{Call, Daemon, read_all};
use super::{Output, moments, views};
use crate::api::v1::time::Time;
use crate::api::v1::wire::{ReadingRequest, Spelled, Subscription};
use crate::domain::{Utilisation, Window};
use crate::error::Failure;

/// Options of `reading`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The subscription.
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    subscription: String,
    /// Which window: `five_hour`, `weekly`, `model`, or `unknown` for the subscription as a whole.
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    window: Window,
    /// How far it is used up, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    used: Option<f64>,
    /// The provider refused.
    #[arg(long)]
    refused: bool,
    /// The one model that the window counts.
    #[arg(long, value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    model: Option<String>,
    /// When the window begins anew: 2026-11-21T15:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moments::time)]
    reset_at: Option<Time>,
}

fn window(text: &str) -> Result<Window, String> {
    let known = [Window::FiveHour, Window::Weekly, Window::Model, Window::Unknown];
    let found = known.into_iter().find(|window| window.as_str() == text);
    found.ok_or_else(|| format!("one of {}", known.map(Window::as_str).join(", ")))
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok();
    percent.filter(|percent| Utilisation::from_percent(*percent).is_some()).ok_or("percent, from 0 to 1000".to_owned())
}

/// Hands the reading in and says how the subscription stands then.
pub(super) async fn run(arguments: &Arguments, daemon: &Daemon, output: &mut Output) -> Result<(), Failure> {
    let request = json!(ReadingRequest {
        window: Spelled(arguments.window),
        model: arguments.model.clone(),
        utilisation: arguments.used,
        serves: arguments.refused.then_some(false),
        reset_at: arguments.reset_at,
        at: None,
    });
    let path = ["v1", "subscriptions", &arguments.subscription, "readings"];
    let answer = daemon.call(Call::post(&path, request)).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let subscription: Subscription = read_all(&answer)?;
    output.line(&views::standing(&subscription, daemon.clock().now().wall))
}
