//! A turn: one exchange with the agent, held by one caller as a lease, in a session that has one at a time.

use super::words::words;
use super::{Generation, Instance, IntentId, SessionName, SubscriptionName, TurnId, TurnKey, Wall};

words! {
    /// Who goes first where several wait.
    pub enum TurnClass ("class") {
        /// Somebody sits in front of it: before everything in the background.
        Interactive = "interactive",
        /// Work that can wait, and may starve.
        Background = "background",
    }
}

words! {
    /// How a turn ended.
    pub enum TurnEnd ("end of a turn") {
        /// Its holder says that it came off.
        Complete = "complete",
        /// Its holder says that it did not.
        Failed = "failed",
        /// Its holder stopped when it was asked to.
        Cancelled = "cancelled",
        /// What was working on it has been ended under its holder.
        CutOff = "cut_off",
        /// It was granted and never taken: no work had begun.
        Lapsed = "lapsed",
    }
}

words! {
    /// Why the work of a turn has to be ended before its session can go on.
    pub enum Lost ("reason of a fence") {
        /// Its holder gave no heartbeat for a lease.
        Silent = "silent",
        /// Its holder did not stop within `cancel_ack`.
        Unacknowledged = "unacknowledged",
        /// An operator says so.
        Operator = "operator",
    }
}

/// How the work of a turn is ended whose holder is lost or does not stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fence {
    /// The agent is restarted, after the turns of other sessions had time to end.
    #[default]
    Restart,
    /// This command is run in the container, or beside the process; exit code 0 means that the work of the session has
    /// ended. An argument that is just `{session}`, `{turn}` or `{agent}` is replaced by the name. If it fails, the
    /// agent is restarted.
    Exec(Vec<String>),
    /// Not by us: the session waits for an operator.
    None,
}

impl SessionName {
    /// The session of two parties, whatever their order.
    #[must_use]
    pub fn pair(one: &str, other: &str) -> Self {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        Self::new(format!("{first}{}{second}", Self::BETWEEN))
    }

    /// Stands between the two parties of a pair, and in no name.
    pub const BETWEEN: char = ',';

    /// The parties: one, or two in their order.
    pub fn parties(&self) -> impl Iterator<Item = &str> {
        self.as_str().split(Self::BETWEEN)
    }
}

/// A request to stop. The holder answers it when the work has really stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Who asked.
    pub by: String,
    /// When the holder has had time enough.
    pub until: Wall,
}

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its identity.
    pub id: TurnId,
    /// What at most one turn at a time may run in.
    pub session: SessionName,
    /// Who goes first.
    pub class: TurnClass,
    /// Who holds it, in the holder's own words.
    pub holder: String,
    /// The subscription that it was dispatched on.
    pub subscription: SubscriptionName,
    /// The generation that it was dispatched in.
    pub generation: Generation,
    /// When it was granted.
    pub begun_at: Wall,
    /// The caller's idempotency key, and what identifies the request that it came with.
    pub key: Option<(TurnKey, u64)>,
    /// The life of the agent that works on it since it was taken, as far as that was seen.
    pub life: Option<Instance>,
    /// Whether its holder has taken it: from its first heartbeat on work may be under way.
    pub is_taken: bool,
    /// When it lapses, or its holder counts as lost; as stored it may be older than it is.
    pub until: Wall,
    /// The request to stop.
    pub cancel: Option<Cancel>,
    /// Whether its failure was reported: no switch waits for it.
    pub has_failed: bool,
    /// Why its work has to be ended.
    pub lost: Option<Lost>,
}

impl Turn {
    /// What a request to stop it is known by. There is one at most.
    #[must_use]
    pub fn cancel_id(&self) -> String {
        format!("{}-c1", self.id)
    }
}

/// How and when a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnEnded {
    /// How.
    pub end: TurnEnd,
    /// When.
    pub at: Wall,
    /// The switch or the fence that cut it off, if it was one.
    pub by: Option<IntentId>,
    /// Why, where the end does not say it all.
    pub reason: Option<String>,
}

/// A turn as the history shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRecord {
    /// The turn.
    pub turn: Turn,
    /// How it ended; `None` while it is under way.
    pub ended: Option<TurnEnded>,
}

/// What is remembered of a session beside its turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its name.
    pub session: SessionName,
    /// The number of the last turn in it that came off.
    pub last_completed: Option<u64>,
    /// Whether no turn may begin in it any more.
    pub is_closed: bool,
}

/// A key that a turn was begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key.
    pub key: TurnKey,
    /// What identifies the request that it came with.
    pub digest: u64,
    /// The number of the turn.
    pub turn: u64,
}

/// Everything durable about the turns of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnsRecord {
    /// The highest number of a turn that was ever given out.
    pub issued: u64,
    /// Turns that have not ended, by number.
    pub active: Vec<Turn>,
    /// Sessions to remember, the longest untouched first, at most [`TurnsRecord::SESSIONS_MAX`].
    pub sessions: Vec<SessionRecord>,
    /// Keys of the newest turns that have one, oldest first, at most [`TurnsRecord::KEYS_MAX`].
    pub keys: Vec<KeyRecord>,
    /// When the newest fences began that nobody asked for, oldest first, at most
    /// [`super::AgentRecord::BUDGET_MAX`].
    pub fences: Vec<Wall>,
}

impl TurnsRecord {
    /// So many sessions are remembered of an agent; the longest untouched one is forgotten first.
    pub const SESSIONS_MAX: usize = 10_000;
    /// So many keys are remembered of an agent; the oldest is forgotten first.
    pub const KEYS_MAX: usize = 10_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_one_session_whatever_the_order_and_none_of_its_parties() {
        assert_eq!(SessionName::pair("x", "y"), SessionName::pair("y", "x"));
        assert_ne!(SessionName::pair("x", "y"), SessionName::from("x"));
        assert_eq!(SessionName::pair("y", "x").parties().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(SessionName::from("x").parties().collect::<Vec<_>>(), ["x"]);
    }
}
