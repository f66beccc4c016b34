//! What can be asked about turns, and what is answered.

use std::time::Duration;

use crate::domain::{Cancel, SessionName, Turn, TurnClass, TurnId, TurnKey, TurnRecord, Wall};

/// A caller wants the agent for one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// In which session.
    pub session: SessionName,
    /// Who goes first.
    pub class: TurnClass,
    /// Who asks, in its own words.
    pub holder: String,
    /// How long it waits for its turn; `None` if it wants to be refused rather than wait.
    pub wait: Option<Duration>,
    /// Ask a holder in the background to stop, if one is in the way.
    pub preempt: bool,
    /// The turn that must be the last one completed in the session.
    pub after: Option<TurnId>,
    /// Its idempotency key, and what identifies the request.
    pub key: Option<(TurnKey, u64)>,
}

/// Something asked about a turn. Whoever speaks for the holder has proved it before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnRequest {
    /// Begin one.
    Begin(Box<Begin>),
    /// Its holder is alive; the first time it takes the turn with that.
    Beat {
        /// The number of the turn.
        turn: u64,
    },
    /// Its holder is done.
    Complete {
        /// The number of the turn.
        turn: u64,
        /// Whether it came off.
        is_ok: bool,
    },
    /// Somebody asks the holder to stop.
    Cancel {
        /// The number of the turn.
        turn: u64,
        /// Who asks.
        by: String,
    },
    /// Its holder has stopped, as it was asked to.
    Cancelled {
        /// The number of the turn.
        turn: u64,
    },
    /// An operator wants its work ended.
    Fence {
        /// The number of the turn.
        turn: u64,
    },
    /// No turn may begin in the session any more.
    Close {
        /// The session.
        session: SessionName,
    },
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnReply {
    /// The turn is the caller's.
    Begun(Turn),
    /// The lease goes on; the holder may have been asked to stop.
    Beaten(Turn),
    /// The turn has ended, like this.
    Ended(TurnRecord),
    /// The holder is asked to stop.
    CancelAsked(Turn, Cancel),
    /// Its work will be ended.
    Fencing(Turn),
    /// No turn begins in the session any more.
    Closed {
        /// The last turn in it that came off.
        last_completed: Option<TurnId>,
    },
    /// No.
    Refused(TurnRefusal),
}

/// Why a request about a turn is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TurnRefusal {
    /// The session has a turn.
    #[error("session \"{}\" has a turn of {}, begun as {}", .turn.session, .turn.holder, .turn.id)]
    InProgress {
        /// The turn that is in the way.
        turn: Box<Turn>,
    },
    /// As many sessions have a turn as may.
    #[error("{of} sessions have a turn, and no more may")]
    SessionsFull {
        /// So many may.
        of: u32,
    },
    /// It has waited as long as it wanted to.
    #[error("not served within the time given{}", .because.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    WaitExpired {
        /// What was in the way at the end.
        because: Option<String>,
    },
    /// Another turn has completed in the session since, or the one named has not.
    #[error("the last turn completed in the session is {}", .last.as_ref().map_or("none".to_owned(), ToString::to_string))]
    OutOfStep {
        /// The last turn completed in the session.
        last: Option<TurnId>,
    },
    /// The session is closed.
    #[error("the session is complete: no turn begins in it any more")]
    SessionComplete,
    /// The agent is being moved, started or fenced.
    #[error("the agent is being {what}")]
    Switching {
        /// What is being done to it.
        what: &'static str,
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The agent's subscription cannot serve, and there is no other.
    #[error("no subscription can serve the agent now: {reason}")]
    Exhausted {
        /// When one comes back, if that is known.
        until: Option<Wall>,
        /// Why, in words.
        reason: String,
    },
    /// The agent waits for a person.
    #[error("the agent waits for a person: {reason}")]
    Parked {
        /// Why, in words.
        reason: String,
    },
    /// The subscription cannot serve, and the agent may not be moved: it is paused.
    #[error("the agent's subscription cannot serve, and the agent is paused")]
    Paused {
        /// When the pause ends, if it does by itself.
        until: Option<Wall>,
    },
    /// The subscription cannot serve, and the agent has used up its switches.
    #[error("the agent's subscription cannot serve, and the agent has used up its switches")]
    Braked {
        /// When it may be moved again.
        until: Wall,
    },
    /// The agent's container or process does not run.
    #[error("the agent does not run")]
    NotRunning,
    /// It is not known what the agent runs on.
    #[error("it is not known which subscription the agent runs on; a switch gives it one")]
    Unassigned,
    /// The agent is only observed, so nothing ends its work.
    #[error("the agent is monitor-only: it is observed and never touched")]
    MonitorOnly,
    /// Too many callers wait.
    #[error("too many callers wait for a turn")]
    QueueFull,
    /// The key has begun a turn with another request.
    #[error("the key was used before with another body")]
    KeyReused,
    /// There never was such a turn.
    #[error("there never was a turn {0}")]
    NotFound(TurnId),
    /// It has ended; how is in the history.
    #[error("turn {0} has ended")]
    Over(TurnId),
    /// Nobody has asked the holder to stop.
    #[error("nobody has asked {0} to stop")]
    NoCancel(TurnId),
}
