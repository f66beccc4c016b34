//! What the pool is asked, and what it answers: a verdict on every subscription, in the order of preference.
//!
//! Tests: `tests/pool_rules.rs`.

use std::collections::BTreeMap;

use crate::domain::{
    AgentName, CauseBy, Cooldown, CooldownKey, CooldownSource, FailureKind, Halt, Model, Reading, SubscriptionName,
    Utilisation, Wall, Window,
};
use crate::machine::policy::Strategy;

/// What the agent wants of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Any but the one it runs on.
    Another,
    /// The one it runs on if that serves again, else another.
    Any,
    /// One on better terms than the one it runs on (failback).
    Preferred,
    /// One with much more room than the one it runs on, which is nearly used up.
    Roomier,
    /// This one.
    This {
        /// Which.
        to: SubscriptionName,
        /// Even if it is cooling, suspect or full.
        force: bool,
    },
}

impl Wanted {
    /// Whether the agent stays where it is unless there is something better.
    #[must_use]
    pub const fn is_voluntary(&self) -> bool {
        match self {
            Self::Preferred | Self::Roomier => true,
            Self::Another | Self::Any | Self::This { .. } => false,
        }
    }
}

/// The pool's answer to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one it runs on serves again, or is as good as any.
    Keep,
    /// This one; it is reserved.
    To(SubscriptionName),
    /// None.
    None {
        /// When the first one comes back, if that is known.
        earliest: Option<Wall>,
        /// It is this agent's own turn then: it need not be spread any more.
        is_own_turn: bool,
        /// Why not, in words.
        reason: String,
    },
    /// The agent's refused logins are its own trouble: what it said of them is to be taken back (E5).
    Shadowed {
        /// The rows.
        rows: Vec<CooldownKey>,
    },
    /// Nothing is switched by itself until a person says so (E6).
    Halted {
        /// Why, in words.
        reason: String,
    },
    /// The pool could not be asked.
    Unavailable,
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
    /// Who or what asks for it.
    pub by: CauseBy,
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
    /// Its cooldown has ended; the agents come back one by one, and others come first.
    Reopening {
        /// When it is this agent's turn, if nothing goes wrong before.
        until: Wall,
    },
    /// The provider refused it, as somebody read lately.
    Refused {
        /// The window that is used up.
        window: Window,
        /// When that is worth another look.
        until: Wall,
    },
    /// A window is used up further than the config allows for those who come new.
    OverCeiling {
        /// Which window.
        window: Window,
        /// How far.
        used: Utilisation,
        /// The most.
        ceiling: Utilisation,
        /// When that is worth another look.
        until: Wall,
    },
    /// Its use costs money, and nobody has allowed that unasked.
    Metered,
    /// Its use costs money, and what may be done unasked is used up.
    MeteredSpent {
        /// When one more may be.
        until: Wall,
    },
    /// The config keeps it for other models than this agent may need.
    OtherModels,
    /// It is no better than the one that the agent runs on.
    NoBetter,
    /// Nothing is switched by itself until a person says so.
    Halted,
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
            Self::Reopening { .. } => "reopening",
            Self::Refused { .. } => "refused",
            Self::OverCeiling { .. } => "over_ceiling",
            Self::Metered => "metered",
            Self::MeteredSpent { .. } => "metered_spent",
            Self::OtherModels => "other_models",
            Self::NoBetter => "no_better",
            Self::Halted => "halted",
            Self::NotWanted => "not_wanted",
        }
    }

    /// When this reason ends by itself, if it does.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Wall> {
        match self {
            Self::Cooling { until, .. }
            | Self::Excluded { until }
            | Self::Reopening { until }
            | Self::Refused { until, .. }
            | Self::OverCeiling { until, .. }
            | Self::MeteredSpent { until } => Some(*until),
            Self::NotAllowed
            | Self::Current
            | Self::JustFailed
            | Self::CredentialUnreadable(_)
            | Self::Quarantined { .. }
            | Self::Full { .. }
            | Self::Metered
            | Self::OtherModels
            | Self::NoBetter
            | Self::Halted
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
            Self::Reopening { .. } => f.write_str("its cooldown has just ended: agents come back one by one"),
            Self::Refused { window, .. } => write!(f, "refused by the provider as last read (window {window})"),
            Self::OverCeiling { window, used, ceiling, .. } => {
                write!(f, "its {window} window is used to {used}, its ceiling is {ceiling}")
            }
            Self::Metered => f.write_str("metered, and [switching] metered allows no automatic move onto it"),
            Self::MeteredSpent { .. } => f.write_str("metered, and the budget of [switching] metered is used up"),
            Self::OtherModels => f.write_str("kept for other models than this agent may need"),
            Self::Halted => f.write_str("automatic switching is halted"),
            Self::NoBetter => f.write_str("no better than the one that the agent runs on"),
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
    /// Of its windows the one that is used up the furthest, as freshly read.
    pub reading: Option<Reading>,
    /// Why it cannot be picked; `None` if it can.
    pub ineligible: Option<Ineligible>,
}

/// Every subscription with its verdict: the eligible ones first, the best at the head, then the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    /// The verdicts.
    pub candidates: Vec<Candidate>,
    /// When the first one that is left out for a time comes back.
    pub earliest: Option<Wall>,
    /// Nothing is switched by itself: then none is picked that nobody asked for.
    pub halt: Option<Halt>,
    /// How one of several eligible ones was put before the others.
    pub strategy: Strategy,
}

impl Ranking {
    /// The one to pick.
    #[must_use]
    pub fn first(&self) -> Option<&SubscriptionName> {
        if self.halt.is_some() {
            return None;
        }
        self.candidates.first().filter(|best| best.ineligible.is_none()).map(|best| &best.subscription)
    }

    /// The verdict on one subscription.
    #[must_use]
    pub fn verdict(&self, subscription: &SubscriptionName) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| &candidate.subscription == subscription)
    }
}
