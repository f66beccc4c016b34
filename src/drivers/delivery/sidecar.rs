//! What the file beside a credential says: whose it is, under which number. Programs inside the container read
//! it to name the generation in their reports.
//!
//! Tests: below.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::{AgentName, Generation, SubscriptionName, Wall};

const SCHEMA_VERSION: u64 = 1;

/// The content of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// The agent it was delivered to.
    pub agent: AgentName,
    /// Whose credential lies beside it.
    pub subscription: SubscriptionName,
    /// The number of that assignment.
    pub generation: Generation,
    /// The state directory of the daemon that delivered it.
    pub owner: String,
    /// When.
    pub written_at: Wall,
}

impl Sidecar {
    pub(super) fn to_text(&self) -> String {
        let written_at = Timestamp::from_millisecond(self.written_at.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let document = json!({
            "schema_version": SCHEMA_VERSION,
            "agent": self.agent.as_str(),
            "subscription": self.subscription.as_str(),
            "generation": self.generation.0,
            "owner": self.owner,
            "written_at": written_at.to_string(),
        });
        format!("{document}\n")
    }

    /// `None` if it is none of ours, or of a version that is not known.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let document: Value = serde_json::from_slice(text).ok()?;
        (document.get("schema_version")?.as_u64()? == SCHEMA_VERSION).then_some(())?;
        let text = |member: &str| document.get(member)?.as_str();
        Some(Self {
            agent: AgentName::new(text("agent")?),
            subscription: SubscriptionName::new(text("subscription")?),
            generation: Generation(document.get("generation")?.as_u64()?),
            owner: text("owner")?.to_owned(),
            written_at: Wall(text("written_at")?.parse::<Timestamp>().ok()?.as_millisecond()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_what_it_wrote_and_shows_the_time_to_people() {
        let sidecar = Sidecar {
            agent: AgentName::new("reviewer"),
            subscription: SubscriptionName::new("max-a"),
            generation: Generation(7),
            owner: "/var/lib/switchman".to_owned(),
            written_at: Wall(1_794_000_000_123),
        };
        let text = sidecar.to_text();
        assert_eq!(Sidecar::read(text.as_bytes()), Some(sidecar));
        assert!(text.contains("\"written_at\":\"2026-11-06T"), "{text}");
    }

    #[test]
    fn anything_else_beside_a_credential_says_nothing() {
        for other in ["", "{}", "[]", "null", r#"{"schema_version":2,"agent":"a"}"#, r#"{"schema_version":1}"#] {
            assert_eq!(Sidecar::read(other.as_bytes()), None, "{other}");
        }
    }
}
