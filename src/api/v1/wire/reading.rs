//! What somebody read of a window of a subscription.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::Spelled;
use crate::api::v1::time::Time;
use crate::domain::Window;

/// The windows that can be read: a limit on requests of a minute is over before anybody could use it.
pub(in crate::api) const WINDOWS: [Window; 4] = [Window::FiveHour, Window::Weekly, Window::Model, Window::Unknown];

/// `POST /v1/subscriptions/{subscription}/readings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadingRequest {
    /// Which window; `unknown` speaks of the subscription as a whole.
    #[schema(schema_with = windows)]
    pub window: Spelled<Window>,
    /// The one model that it counts; all of them if absent.
    #[serde(default)]
    pub model: Option<String>,
    /// In percent, up to 1000: a window can be overdrawn.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000)]
    pub utilisation: Option<f64>,
    /// Whether the provider serves; `true` if absent.
    #[serde(default)]
    pub serves: Option<bool>,
    /// When the window begins anew, at most 40 days from now.
    #[serde(default)]
    pub reset_at: Option<Time>,
    /// When it was read; now if absent. Not in the future, and not more than a day ago.
    #[serde(default)]
    pub at: Option<Time>,
}

fn windows() -> Object {
    let words = WINDOWS.map(Window::as_str);
    let what = "Which window; `unknown` speaks of the subscription as a whole.";
    Object::builder().schema_type(Type::String).description(Some(what)).enum_values(Some(words)).build()
}
