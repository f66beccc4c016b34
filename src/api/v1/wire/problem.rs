//! A refusal, as RFC 9457 has it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Session, Word};
use crate::api::v1::time::Time;

/// A problem document. It never shows what the request contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI that stands for the code.
    #[serde(rename = "type")]
    pub type_: String,
    /// What the code means, in words.
    pub title: Word,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and how to mend it.
    pub detail: String,
    /// Stable: what programs look at.
    pub code: Word,
    /// The member of the request that is at fault: `evidence.status`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub member: Option<String>,
    /// When it is worth trying again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_s: Option<u64>,
    /// When the first subscription comes back, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub earliest_reset: Option<Time>,
    /// `shed`, where a report was refused for that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<Word>,
    /// The turn that is in the way, or that has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub turn: Option<String>,
    /// The session of the turn that is in the way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Session>,
    /// Who holds that turn, in the holder's own words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holder: Option<String>,
    /// Its class.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<Word>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Time>,
    /// The last turn that came off in the session; absent if none did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_completed: Option<String>,
    /// How the turn ended: `complete`, `failed`, `cancelled`, `cut_off`, `lapsed`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<Word>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Time>,
    /// The switch or the fence that cut it off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub switch: Option<String>,
}
