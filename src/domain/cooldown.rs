//! For whom, of what and until when a subscription is not to be used.

use std::time::Duration;

use super::words::words;
use super::{AgentName, FailureId, FailureKind, Model, QuotaIdentity, SubscriptionName, Wall, Window};

/// A stated reset that lies at most this far in the past means: the window has just reopened.
pub const JUST_PAST: Duration = Duration::from_secs(10 * 60);

/// For whom a cooldown holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// For one agent: it was its own word only. Everyone else is merely suspicious.
    Agent(AgentName),
    /// For everyone: a trusted reporter, an operator or a second agent said so.
    All,
}

/// What one cooldown is about; a newer statement about the same key replaces the older one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CooldownKey {
    /// For whom it holds.
    pub reach: Reach,
    /// What the provider counts against.
    pub quota: QuotaIdentity,
    /// Set where it is about one credential and not about the quota behind it (a refused login).
    pub credential: Option<SubscriptionName>,
    /// The window that is used up.
    pub window: Window,
    /// The one model it is about; `None` means all models.
    pub model: Option<Model>,
}

words! {
    /// Where the knowledge of a cooldown comes from.
    pub enum CooldownSource ("cooldown source") {
        /// The agent itself said so.
        Agent = "agent",
        /// A trusted reporter said so.
        Reporter = "reporter",
        /// An operator set it.
        Operator = "operator",
    }
}

/// One cooldown, with its reason, source and end. The stored row is the cooldown; the pool is a fold over
/// the rows that have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// What it is about.
    pub key: CooldownKey,
    /// The subscription whose failure it was.
    pub subscription: SubscriptionName,
    /// What went wrong.
    pub kind: FailureKind,
    /// Who said so.
    pub source: CooldownSource,
    /// When it was learned.
    pub since: Wall,
    /// When it ends. `None` is a quarantine: it ends when the credential changes (auth) or an operator acts.
    pub until: Option<Wall>,
    /// The failure behind it, if it was one.
    pub failure: Option<FailureId>,
}

impl Cooldown {
    /// Whether it still holds.
    #[must_use]
    pub fn is_cooling(&self, now: Wall) -> bool {
        self.until.is_none_or(|until| until > now)
    }

    /// Whether it takes the place of the known row of the same key. A later end does, and an operator's word; an earlier
    /// one does not shorten what is known: that takes positive evidence (rule E4).
    #[must_use]
    pub fn supersedes(&self, known: &Self) -> bool {
        let ends_later = match (self.until, known.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(known)) => end >= known,
        };
        // A banned account refuses logins, too. That says nothing new, and would end with the next credential (E1).
        let is_weaker = known.kind == FailureKind::Banned && self.kind == FailureKind::Auth;
        self.source == CooldownSource::Operator || !is_weaker && (ends_later || !known.is_cooling(self.since))
    }

    /// Whether it has no end of its own.
    #[must_use]
    pub fn is_quarantine(&self) -> bool {
        self.until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_does_not_soften_a_ban() {
        let row = |kind| Cooldown {
            key: CooldownKey {
                reach: Reach::All,
                quota: QuotaIdentity::from("a"),
                credential: Some(SubscriptionName::from("a")),
                window: Window::Unknown,
                model: None,
            },
            subscription: SubscriptionName::from("a"),
            kind,
            source: CooldownSource::Reporter,
            since: Wall(0),
            until: None,
            failure: None,
        };
        let (auth, banned) = (row(FailureKind::Auth), row(FailureKind::Banned));
        assert!(banned.supersedes(&auth));
        assert!(!auth.supersedes(&banned));
    }
}
