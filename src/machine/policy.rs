//! What the user decided, resolved for one agent or one subscription: plain values, no files, no defaults
//! filled in later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::words::words;
use crate::domain::{
    Apply, Fence, Format, Model, Provider, QuotaIdentity, SourceId, SubscriptionName, SubscriptionType, Tool,
    Utilisation, Wall, Window,
};

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

impl Budget {
    /// When one more may be made, given when the others began, oldest first; `None` if one may be made now.
    #[must_use]
    pub fn refills_at(self, began: impl IntoIterator<Item = Wall>, now: Wall) -> Option<Wall> {
        let ends: Vec<Wall> = began.into_iter().map(|at| at.plus(self.per)).filter(|end| *end > now).collect();
        // The one that has to age out before there is room.
        let over = ends.len().checked_sub(self.switches as usize)?;
        Some(ends.get(over).copied().unwrap_or_else(|| now.plus(self.per)))
    }
}

/// How callers share an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnPolicy {
    /// Sessions that may have a turn at the same time, at most.
    pub sessions_max: u32,
    /// Without a heartbeat for so long the holder of a turn counts as lost.
    pub lease: Duration,
    /// How long a holder that was asked to stop may take.
    pub cancel_ack: Duration,
    /// How the work of a turn is ended whose holder is lost or does not stop.
    pub fence: Fence,
    /// Whether people are told of every turn that begins.
    pub are_told: bool,
}

impl Default for TurnPolicy {
    fn default() -> Self {
        Self {
            sessions_max: 3,
            lease: Duration::from_secs(60),
            cancel_ack: Duration::from_secs(10),
            fence: Fence::Restart,
            are_told: false,
        }
    }
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

/// Moves that no failure asks for (F5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoluntaryMoves {
    /// Away from a subscription that is nearly used up.
    pub are_proactive: bool,
    /// Back to a subscription that is preferred, while nobody works on the agent.
    pub fail_back: bool,
    /// Not before an agent has been for so long where it is.
    pub dwell: Duration,
}

impl Default for VoluntaryMoves {
    fn default() -> Self {
        Self { are_proactive: false, fail_back: false, dwell: Duration::from_secs(45 * 60) }
    }
}

impl VoluntaryMoves {
    /// Whether there are any.
    #[must_use]
    pub const fn are_wanted(&self) -> bool {
        self.are_proactive || self.fail_back
    }
}

words! {
    /// What text of an agent's own may do (the `text` of an agent).
    pub enum TextPolicy ("text") {
        /// It moves the agent once a second sign of another kind agrees with it.
        Corroborated = "corroborated",
        /// It moves the agent at once.
        Trusted = "trusted",
        /// It says nothing.
        Off = "off",
    }
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
    /// What text of its own may do.
    pub text: TextPolicy,
    /// Where lines of it are read. No decision depends on it.
    pub sources: Vec<SourceId>,
    /// False: record and report, never act.
    pub switching: bool,
    /// True: nothing is ever done to the agent, whoever asks for it. `switching` is false then.
    pub is_monitor_only: bool,
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
    /// How turns share it.
    pub turns: TurnPolicy,
    /// Moves that no failure asks for.
    pub voluntary: VoluntaryMoves,
}

impl Policy {
    /// What the provider counts a subscription against: its own name unless the config says otherwise.
    #[must_use]
    pub fn quota(&self, subscription: &SubscriptionName) -> QuotaIdentity {
        self.quotas.get(subscription).cloned().unwrap_or_else(|| QuotaIdentity::new(subscription.as_str()))
    }

    /// Whether it makes no difference to the agent which of the two holds: what is said of subscriptions that it may not
    /// use is none of its business.
    #[must_use]
    pub fn decides_like(&self, other: &Self) -> bool {
        let own = |policy: &Self| {
            let mut own = policy.clone();
            own.kinds.retain(|name, _| policy.subscriptions.contains(name));
            own.quotas.retain(|name, _| policy.subscriptions.contains(name));
            own.sources.clear();
            own
        };
        self == other || own(self) == own(other)
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
    /// On what terms it is picked.
    pub terms: Terms,
}

/// On what terms a subscription is picked, where several could be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Its tier under [`Strategy::Priority`]: lower first.
    pub priority: u32,
    /// Its use costs money: last of all, only where that is allowed, and within a budget.
    pub is_metered: bool,
    /// Picked only where none that is not in reserve can be.
    pub is_reserve: bool,
    /// Not picked while a window is used up further than this.
    pub ceilings: BTreeMap<Window, Utilisation>,
    /// Only for agents that need no other models than these; empty means that it serves all.
    pub models: Vec<Model>,
}

words! {
    /// How one of several eligible subscriptions is chosen.
    pub enum Strategy ("strategy") {
        /// The one with the fewest agents.
        LeastAssigned = "least_assigned",
        /// The one of the lowest tier.
        Priority = "priority",
        /// The one that is furthest from its nearest limit.
        Headroom = "headroom",
        /// The one whose quota would expire next unused.
        SoonestReset = "soonest_reset",
    }
}

/// What the user decided about the pool as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// How one of several eligible subscriptions is chosen.
    pub strategy: Strategy,
    /// After a cooldown one agent is let in, the others so far apart from each other until one has had success.
    pub ramp: Duration,
    /// An older reading says nothing.
    pub reading_max_age: Duration,
    /// A move that no failure asks for must gain as much headroom, in thousandths of a window.
    pub better_by: u16,
    /// Moves onto metered subscriptions that may be made unasked, all agents together; `None` allows none.
    pub metered: Option<Budget>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            strategy: Strategy::LeastAssigned,
            ramp: Duration::from_secs(5),
            reading_max_age: Duration::from_secs(30 * 60),
            better_by: 150,
            metered: None,
        }
    }
}
