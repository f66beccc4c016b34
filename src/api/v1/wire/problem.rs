//! A refusal, as RFC 9457 has it.

use serde::{Deserialize, Serialize};

use super::Word;
use crate::api::v1::time::Time;

/// A problem document. It never shows what the request contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}
