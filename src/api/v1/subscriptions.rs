//! Subscriptions as they stand, and operators' cooldowns.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::commands::until;
use super::wire::{CooldownRequest, Subscription, SubscriptionList};
use super::{Named, json};
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::problem::Refusal;
use crate::domain::SubscriptionName;

const COOLDOWN: Members = &[("until", "a time such as \"2026-11-18T11:06:40Z\""), ("for", "a duration such as \"2h\"")];

impl App {
    pub(super) fn subscription_in_path(&self, name: &str) -> Result<SubscriptionName, Refusal> {
        self.known_subscription(name).ok_or_else(|| Refusal::no_such_subscription(name))
    }

    pub(super) async fn subscription_document(&self, name: &SubscriptionName) -> Result<Response, Refusal> {
        let all = self.switchman.subscriptions().await?;
        let found = all.iter().find(|status| &status.policy.name == name);
        let found = found.ok_or_else(|| Refusal::no_such_subscription(name.as_str()))?;
        Ok(json(StatusCode::OK, &Subscription::from(found)))
    }
}

pub(in crate::api) async fn all(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let subscriptions = app.switchman.subscriptions().await?;
    let list = SubscriptionList { subscriptions: subscriptions.iter().map(Into::into).collect() };
    Ok(json(StatusCode::OK, &list))
}

pub(in crate::api) async fn cool(
    State(app): State<Arc<App>>,
    Named(name): Named,
    request: Request,
) -> Result<Response, Refusal> {
    let body = app.bodies.read(request.into_body()).await?;
    let name = app.subscription_in_path(&name)?;
    let asked: CooldownRequest = body::parse(&body, COOLDOWN)?;
    let end = until(asked.until, asked.for_.as_deref(), app.switchman.now().wall)?;
    let end = end.ok_or_else(|| Refusal::member("until", "`until` or `for` is missing"))?;
    app.switchman.set_cooldown(name.clone(), end).await?;
    app.subscription_document(&name).await
}

pub(in crate::api) async fn clear(State(app): State<Arc<App>>, Named(name): Named) -> Result<Response, Refusal> {
    let name = app.subscription_in_path(&name)?;
    app.switchman.clear_cooldown(name.clone()).await?;
    app.subscription_document(&name).await
}
