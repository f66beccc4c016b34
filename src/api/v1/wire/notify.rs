//! A test of the targets of notifications, and what came back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::actor::trial::Tried;

/// `POST /v1/notify/test`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyTest {
    /// Only targets whose name begins so; all if absent.
    pub target: Option<String>,
}

/// What came of it. Without a target there is nobody to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotifyTested {
    /// Every target that was tried, in the order of the config.
    pub targets: Vec<TestedTarget>,
}

/// A target that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestedTarget {
    /// Its name: scheme and host, or the program, and some digits that tell two of them apart.
    pub target: String,
    /// Whether it took the message.
    pub ok: bool,
    /// What it answered, or why it was not told.
    pub answer: String,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
}

impl From<Vec<Tried>> for NotifyTested {
    fn from(tried: Vec<Tried>) -> Self {
        let target = |Tried { target, answer, took }: Tried| TestedTarget {
            target,
            ok: answer.is_ok(),
            answer: answer.unwrap_or_else(|why| why),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        Self { targets: tried.into_iter().map(target).collect() }
    }
}
