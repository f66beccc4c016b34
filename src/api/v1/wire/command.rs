//! What an operator asks for. A body that is absent is an empty one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::v1::time::Time;

/// `POST /v1/agents/{agent}/switch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// The subscription to move to; the best one if absent.
    pub to: Option<String>,
    /// Why, for the history.
    pub reason: Option<String>,
    /// True: only say what would be picked.
    pub dry_run: Option<bool>,
    /// True: even to one that is cooling, suspect or full.
    pub force: Option<bool>,
}

/// `POST /v1/agents/{agent}/pause`. At most one of the members; none is "until somebody resumes".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// When it ends by itself.
    pub until: Option<Time>,
    /// For how long: `"90s"`, `"2h"`.
    #[serde(rename = "for")]
    pub for_: Option<String>,
}

/// `PUT /v1/agents/{agent}/pin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// The subscription to stay on.
    pub subscription: String,
}

/// `PUT /v1/subscriptions/{subscription}/cooldown`. Exactly one of the members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CooldownRequest {
    /// When it ends.
    pub until: Option<Time>,
    /// For how long: `"90s"`, `"2h"`.
    #[serde(rename = "for")]
    pub for_: Option<String>,
}
