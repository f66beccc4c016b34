//! What was read of a window of a subscription: trusted, for whoever may open the daemon's socket.
//!
//! It checks what cannot be and hands the rest on: what a reading proves is the pool's business.
//! Tests: `tests/api/readings.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::Named;
use super::reports::model_of;
use super::wire::{READING_WINDOWS, ReadingRequest};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::peer::Peer;
use crate::api::problem::{Code, Refusal};
use crate::domain::{Reading, SubscriptionName, Teller, Utilisation, Wall};

const READING: Members = &[
    ("window", "one of five_hour, weekly, model, unknown"),
    ("model", "a name of at most 100 letters, digits and . _ : / @ -"),
    ("utilisation", "a number of percent, from 0 to 1000"),
    ("serves", "true or false"),
    ("reset_at", "a time such as \"2026-11-18T11:06:40Z\", later than the reading and at most 40 days from now"),
    ("at", "a time such as \"2026-11-18T11:06:40Z\", not in the future and not more than a day ago"),
];

/// An older reading says nothing under any config.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A reset further ahead is not one.
const RESET_AHEAD: Duration = Duration::from_secs(40 * 24 * 3600);

/// Clocks of those who read may be ahead of ours by so much.
const AHEAD_MAX: Duration = Duration::from_secs(5);

pub(in crate::api) async fn take(
    State(app): State<Arc<App>>,
    Named(name): Named,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    let name = app.subscription_in_path(&name)?;
    // What a process of an agent reads is that agent's own word, and there is no way in for it here.
    if let Some(own) = app.agent_of(&peer) {
        let detail = format!("a process of agent \"{own}\" may report and hold turns for that agent only");
        return Err(Refusal::new(Code::NotThisAgent, detail));
    }
    let asked: ReadingRequest = body::parse(&body, READING)?;
    drop(body);
    let reading = reading(name.clone(), asked, app.switchman.now().wall)?;
    app.switchman.read(reading).await?;
    app.subscription_document(&name).await
}

fn reading(subscription: SubscriptionName, asked: ReadingRequest, now: Wall) -> Result<Reading, Refusal> {
    let ReadingRequest { window, model, utilisation, serves, reset_at, at } = asked;
    if !READING_WINDOWS.contains(&window.0) {
        return Err(invalid("window"));
    }
    let model = model.map(model_of).transpose()?;
    let utilisation =
        utilisation.map(|percent| Utilisation::from_percent(percent).ok_or_else(|| invalid("utilisation")));
    let utilisation = utilisation.transpose()?;
    let at = at.map_or(now, Wall::from);
    if at > now.plus(AHEAD_MAX) || at < now.minus(AGE_MAX) {
        return Err(invalid("at"));
    }
    let reset_at = reset_at.map(Wall::from);
    if reset_at.is_some_and(|reset| reset <= at || reset > now.plus(RESET_AHEAD)) {
        return Err(invalid("reset_at"));
    }
    let serves = serves.unwrap_or(true);
    // A clock that is a little ahead of ours must not make it count from later than now.
    let at = at.min(now);
    Ok(Reading { subscription, window: window.0, model, utilisation, serves, reset_at, at, told_by: Teller::Reporter })
}

/// A value that has the right type and cannot be right.
fn invalid(member: &str) -> Refusal {
    let form = READING.iter().find(|(name, _)| *name == member).map_or("valid", |(_, form)| form);
    Refusal::member(member, format!("`{member}` must be {form}"))
}
