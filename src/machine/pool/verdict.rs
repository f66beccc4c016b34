//! What the pool is asked, and what it answers: a verdict on every subscription, in the order of preference.
//!
//! Tests: `tests/pool_rules.rs`.

use std::collections::BTreeMap;

use crate::domain::{AgentName, Cooldown, CooldownSource, FailureKind, Model, SubscriptionName, Wall};

/// What the agent wants of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Any but the one it runs on.
    Another,
    /// The one it runs on if that serves again, else another.
    Any,
    /// This one.
    This {
        /// Which.
        to: SubscriptionName,
        /// Even if it is cooling, suspect or full.
        force: bool,
    },
}

/// The agent as far as a pick depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// Its name.
    pub agent: AgentName,
    /// What it may use, in the order of the config.
    pub allowed: Vec<SubscriptionName>,
    /// The models it needs; empty means any.
    pub models: Vec<Model>,
    /// What it runs on.
    pub current: Option<SubscriptionName>,
    /// What has just failed under it, and the cooldown that this causes, not committed yet.
    pub failing: Option<(SubscriptionName, Option<Cooldown>)>,
    /// Targets that recently could not be applied, and until when they are left out.
    pub exclusions: BTreeMap<SubscriptionName, Wall>,
    /// What it wants.
    pub wanted: Wanted,
}

/// Why a subscription cannot be picked for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// The config does not allow it to this agent.
    NotAllowed,
    /// The agent runs on it already.
    Current,
    /// It has just failed under this agent.
    JustFailed,
    /// Its credential has not been read yet, or cannot be.
    CredentialUnreadable(String),
    /// It is not to be used until then.
    Cooling {
        /// What went wrong.
        kind: FailureKind,
        /// Who said so.
        source: CooldownSource,
        /// Until when.
        until: Wall,
    },
    /// It is not to be used until somebody acts.
    Quarantined {
        /// What went wrong.
        kind: FailureKind,
        /// Who said so.
        source: CooldownSource,
    },
    /// As many agents run on it as may.
    Full {
        /// Agents on it or on their way to it.
        agents: u32,
        /// The most that may be.
        agents_max: u32,
    },
    /// It could not be applied to this agent lately.
    Excluded {
        /// Until when it is left out.
        until: Wall,
    },
    /// Another one was asked for.
    NotWanted,
}

impl Ineligible {
    /// A stable word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::Current => "current",
            Self::JustFailed => "just_failed",
            Self::CredentialUnreadable(_) => "credential_unreadable",
            Self::Cooling { .. } => "cooling",
            Self::Quarantined { .. } => "quarantined",
            Self::Full { .. } => "full",
            Self::Excluded { .. } => "excluded",
            Self::NotWanted => "not_wanted",
        }
    }

    /// When this reason ends by itself, if it does.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Wall> {
        match self {
            Self::Cooling { until, .. } | Self::Excluded { until } => Some(*until),
            Self::NotAllowed
            | Self::Current
            | Self::JustFailed
            | Self::CredentialUnreadable(_)
            | Self::Quarantined { .. }
            | Self::Full { .. }
            | Self::NotWanted => None,
        }
    }
}

impl std::fmt::Display for Ineligible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("not allowed for this agent"),
            Self::Current => f.write_str("the agent runs on it"),
            Self::JustFailed => f.write_str("has just failed under this agent"),
            Self::CredentialUnreadable(why) => write!(f, "credential not readable: {why}"),
            Self::Cooling { kind, source, .. } => write!(f, "cooling after {kind} (by {source})"),
            Self::Quarantined { kind, source } => write!(f, "quarantined after {kind} (by {source})"),
            Self::Full { agents, agents_max } => write!(f, "full: {agents} of {agents_max} agents"),
            Self::Excluded { .. } => f.write_str("could not be applied to this agent lately"),
            Self::NotWanted => f.write_str("another one was asked for"),
        }
    }
}

/// The verdict on one subscription for one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which subscription.
    pub subscription: SubscriptionName,
    /// Whether another agent alone says that it has run out.
    pub is_suspect: bool,
    /// Agents on it or on their way to it, this one not counted.
    pub agents: u32,
    /// Why it cannot be picked; `None` if it can.
    pub ineligible: Option<Ineligible>,
}

/// Every subscription with its verdict: the eligible ones first, the best at the head, then the others by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    /// The verdicts.
    pub candidates: Vec<Candidate>,
    /// When the first one that is left out for a time comes back.
    pub earliest: Option<Wall>,
}

impl Ranking {
    /// The one to pick.
    #[must_use]
    pub fn first(&self) -> Option<&SubscriptionName> {
        self.candidates.first().filter(|best| best.ineligible.is_none()).map(|best| &best.subscription)
    }

    /// The verdict on one subscription.
    #[must_use]
    pub fn verdict(&self, subscription: &SubscriptionName) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| &candidate.subscription == subscription)
    }
}
