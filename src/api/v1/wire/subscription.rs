//! A subscription as it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Word;
use crate::actor::handle::SubscriptionStatus;
use crate::api::v1::time::Time;
use crate::domain;
use crate::domain::{Reach, Wall};

/// A paid account that agents run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Who sells it.
    pub provider: String,
    /// What sort of credential it has.
    #[serde(rename = "type")]
    pub type_: Word,
    /// Its tier: lower ones first under the strategy `priority`.
    pub priority: Option<u32>,
    /// Its use costs money: picked last, and unasked only within the budget for that.
    #[serde(default)]
    pub metered: bool,
    /// Picked only where none that is not in reserve can be.
    #[serde(default)]
    pub reserve: bool,
    /// What the provider counts against.
    pub quota_identity: String,
    /// The agents that run on it.
    pub agents: Vec<String>,
    /// The most that may.
    pub agents_max: u32,
    /// Whether an agent could be moved to it now, as far as that does not depend on the agent.
    pub eligible: bool,
    /// Why not, in words.
    pub reason: Option<String>,
    /// The cooldown that holds for everyone.
    pub cooldown: Option<Cooldown>,
    /// The cooldowns that hold for one agent, by its name.
    pub cooling_for: BTreeMap<String, Cooldown>,
    /// Whether an agent alone says that it has run out.
    pub suspect: bool,
    /// Set while it is out of use until somebody acts, for everyone.
    pub quarantined: Option<Cooldown>,
    /// Whether its credential can be read.
    pub credential: Credential,
    /// What failed on it.
    pub failures: Failures,
    /// What the provider says about its limits: of each window the newest word of each teller, fresh or not.
    pub readings: Vec<Reading>,
    /// Of its windows the one that is used up the furthest, as freshly read; `null` where that is not known.
    #[serde(default)]
    pub nearest_wall: Option<Reading>,
}

/// Why and until when a subscription is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cooldown {
    /// What went wrong.
    pub kind: Word,
    /// The window that is used up.
    pub scope: Word,
    /// The model it is about; `null` is all of them.
    pub model: Option<String>,
    /// Who said so: `agent`, `reporter`, `operator`.
    pub source: Word,
    /// The failure behind it.
    pub failure: Option<String>,
    /// When it was learned.
    pub since: Time,
    /// When it ends; `null` is when somebody acts.
    pub until: Option<Time>,
}

/// Whether a credential can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    /// True if it was read at the last try; `null` before the first one.
    pub readable: Option<bool>,
    /// Identifies its content without showing it.
    pub fingerprint: Option<String>,
    /// When that was found out.
    pub at: Option<Time>,
}

/// What failed on a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failures {
    /// The cooldowns in force that come from a failure.
    pub recent: u64,
    /// When the newest of them was learned.
    pub last_at: Option<Time>,
}

/// How far a window was used up at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reading {
    /// Which window.
    pub window: Word,
    /// The one model that it counts; `null` is all of them.
    pub model: Option<String>,
    /// In percent; `null` where that was not said.
    pub utilisation: Option<f64>,
    /// Whether the provider served.
    pub serves: bool,
    /// When the window begins anew.
    pub reset_at: Option<Time>,
    /// When it was read.
    pub at: Time,
    /// Whose word it is: `agent`, `reporter`, `probe` (the provider's, to a question of the daemon).
    pub source: Word,
    /// The agent whose own word it is.
    pub agent: Option<String>,
}

impl From<&domain::Reading> for Reading {
    fn from(reading: &domain::Reading) -> Self {
        Self {
            window: reading.window.as_str().into(),
            model: reading.model.as_ref().map(|model| model.as_str().to_owned()),
            utilisation: reading.utilisation.map(domain::Utilisation::percent),
            serves: reading.serves,
            reset_at: reading.reset_at.map(Time),
            at: reading.at.into(),
            source: reading.source().as_str().into(),
            agent: reading.told_by.agent().map(|agent| agent.as_str().to_owned()),
        }
    }
}

/// `GET /v1/subscriptions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionList {
    /// All of them, by name.
    pub subscriptions: Vec<Subscription>,
}

impl From<&domain::Cooldown> for Cooldown {
    fn from(row: &domain::Cooldown) -> Self {
        Self {
            kind: row.kind.as_str().into(),
            scope: row.key.window.as_str().into(),
            model: row.key.model.as_ref().map(|model| model.as_str().to_owned()),
            source: row.source.as_str().into(),
            failure: row.failure.as_ref().map(ToString::to_string),
            since: row.since.into(),
            until: row.until.map(Time),
        }
    }
}

impl From<&SubscriptionStatus> for Subscription {
    fn from(status: &SubscriptionStatus) -> Self {
        let SubscriptionStatus { policy, agents, credential, cooldown, rows, readings, nearest_wall, .. } = status;
        let reason = reason(status);
        let quarantine = cooldown.as_ref().filter(|row| row.is_quarantine());
        let mut cooling_for: BTreeMap<String, Cooldown> = BTreeMap::new();
        let mut ends: BTreeMap<&str, Wall> = BTreeMap::new();
        for row in rows {
            let Reach::Agent(agent) = &row.key.reach else { continue };
            let end = row.until.unwrap_or(Wall(i64::MAX));
            if ends.get(agent.as_str()).is_none_or(|known| *known < end) {
                ends.insert(agent.as_str(), end);
                cooling_for.insert(agent.as_str().to_owned(), row.into());
            }
        }
        let failed = || rows.iter().filter(|row| row.failure.is_some());
        Self {
            name: policy.name.as_str().to_owned(),
            provider: policy.provider.as_str().to_owned(),
            type_: policy.kind.as_str().into(),
            priority: Some(policy.terms.priority),
            metered: policy.terms.is_metered,
            reserve: policy.terms.is_reserve,
            quota_identity: policy.quota.as_str().to_owned(),
            agents: agents.iter().map(|agent| agent.as_str().to_owned()).collect(),
            agents_max: policy.agents_max,
            eligible: reason.is_none(),
            reason,
            cooldown: cooldown.as_ref().map(Into::into),
            suspect: cooldown.is_none() && !cooling_for.is_empty(),
            cooling_for,
            quarantined: quarantine.map(Into::into),
            credential: Credential {
                readable: credential.as_ref().map(|fact| fact.state.is_ok()),
                fingerprint: credential.as_ref().and_then(|fact| fact.state.as_ref().ok()).map(ToString::to_string),
                at: credential.as_ref().map(|fact| fact.at.into()),
            },
            failures: Failures {
                recent: u64::try_from(failed().count()).unwrap_or(u64::MAX),
                last_at: failed().map(|row| row.since).max().map(Time),
            },
            readings: readings.iter().map(Into::into).collect(),
            nearest_wall: nearest_wall.as_ref().map(Into::into),
        }
    }
}

/// Why no agent could be moved to it now.
fn reason(status: &SubscriptionStatus) -> Option<String> {
    match &status.credential {
        None => return Some("credential not readable: not read yet".to_owned()),
        Some(fact) => {
            if let Err(why) = &fact.state {
                return Some(format!("credential not readable: {why}"));
            }
        }
    }
    if let Some(row) = &status.cooldown {
        let verb = if row.is_quarantine() { "quarantined" } else { "cooling" };
        return Some(format!("{verb} after {} (by {})", row.kind, row.source));
    }
    if let Some(refused) = &status.refused {
        return Some(refused.to_string());
    }
    let agents = u32::try_from(status.agents.len()).unwrap_or(u32::MAX);
    let agents_max = status.policy.agents_max;
    (agents >= agents_max).then(|| format!("full: {agents} of {agents_max} agents"))
}
