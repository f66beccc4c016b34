//! What the user decided, resolved for one agent or one subscription: plain values, no files, no defaults
//! filled in later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Apply, Format, Model, Provider, QuotaIdentity, SubscriptionName, SubscriptionType, Tool, Window};

/// How the agent is run, as far as a decision depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A container of an engine: it lives on without the daemon and is adopted, never started unasked.
    Container,
    /// A child process: it lives and dies with the daemon, which starts it.
    Process,
}

/// The longest that a cooldown may last, by what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CooldownMax {
    /// For a five-hour window.
    pub five_hour: Duration,
    /// For a weekly window.
    pub weekly: Duration,
    /// For everything else, and the length of a billing or entitlement cooldown.
    pub other: Duration,
}

/// How many switches an agent may make on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// At most so many.
    pub switches: u32,
    /// In any span of this length.
    pub per: Duration,
}

/// How an agent gets its credential through a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePolicy {
    /// The file, on this machine.
    pub path: PathBuf,
    /// What it looks like.
    pub format: Format,
    /// What is done once it is in place.
    pub apply: Apply,
}

/// Everything that the decisions about one agent depend on, besides its state and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How the agent is run.
    pub runtime: RuntimeKind,
    /// What runs inside.
    pub tool: Tool,
    /// Where its credential is written, and how; `None` if it gets it with its environment.
    pub file: Option<FilePolicy>,
    /// The subscriptions it may use, in the order of the config.
    pub subscriptions: Vec<SubscriptionName>,
    /// What sort of credential each of them has.
    pub kinds: BTreeMap<SubscriptionName, SubscriptionType>,
    /// What the provider counts each of them against.
    pub quotas: BTreeMap<SubscriptionName, QuotaIdentity>,
    /// The models it needs; empty means any.
    pub models: Vec<Model>,
    /// False: record and report, never act.
    pub switching: bool,
    /// The cooldown of a limit that states no reset.
    pub cooldown: Duration,
    /// The clamp on stated resets.
    pub cooldown_max: CooldownMax,
    /// A reset nearer than this is waited for.
    pub wait_out: Duration,
    /// For so long after a switch a report that names nothing is ambiguous.
    pub settle: Duration,
    /// Switches that the agent may make on its own.
    pub budget: Budget,
    /// The most that a wake-up is spread by.
    pub jitter: Duration,
    /// For how long running turns may hold up a switch.
    pub drain: Duration,
    /// How long a stop waits for the agent to end by itself; `None` is the container's own setting.
    pub stop_grace: Option<Duration>,
    /// How long a restarted agent may take to become ready.
    pub ready_timeout: Duration,
    /// How long one call of the runtime may take, on top of a stop's own grace.
    pub call_timeout: Duration,
}

impl Policy {
    /// What the provider counts a subscription against: its own name unless the config says otherwise.
    #[must_use]
    pub fn quota(&self, subscription: &SubscriptionName) -> QuotaIdentity {
        self.quotas.get(subscription).cloned().unwrap_or_else(|| QuotaIdentity::new(subscription.as_str()))
    }

    /// The longest a stated reset in this window is believed.
    #[must_use]
    pub fn cooldown_max(&self, window: Window) -> Duration {
        match window {
            Window::FiveHour => self.cooldown_max.five_hour,
            Window::Weekly | Window::Model => self.cooldown_max.weekly,
            Window::Requests => self.cooldown_max.other,
            // A limit that does not say which window it is about may be the longest one.
            Window::Unknown => self.cooldown_max.weekly.max(self.cooldown_max.other),
        }
    }
}

/// What the pool knows of a subscription from the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionPolicy {
    /// Its name.
    pub name: SubscriptionName,
    /// Who sells it.
    pub provider: Provider,
    /// What sort of credential it has.
    pub kind: SubscriptionType,
    /// What the provider counts against.
    pub quota: QuotaIdentity,
    /// At most so many agents at once.
    pub agents_max: u32,
}
