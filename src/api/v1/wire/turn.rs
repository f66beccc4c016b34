//! A turn: asked for, held, and as it stands or ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::report::object;
use super::session::Session;
use super::{FailureReport, ReportAnswer, Seconds, Spelled, Word, one_of};
use crate::api::v1::time::Time;
use crate::domain::words::words;
use crate::domain::{self, Lost, Moment, TurnClass, TurnEnded, TurnRecord, Wall};
use crate::machine::turns::{Active, Waiter};

/// `POST /v1/agents/{agent}/turns`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginTurn {
    /// What at most one turn at a time may run in.
    pub session: Session,
    /// Who goes first; `interactive` if absent.
    #[schema(schema_with = classes)]
    pub class: Option<Spelled<TurnClass>>,
    /// Who asks, in its own words; who the kernel says it is if absent.
    pub holder: Option<String>,
    /// What to do if it cannot begin at once; `reject` if absent.
    #[schema(schema_with = ways)]
    pub on_busy: Option<Spelled<OnBusy>>,
    /// How long to wait for it, in seconds; 60 if absent.
    pub wait_s: Option<f64>,
    /// Ask a holder in the background to stop, if one is in the way.
    pub preempt: Option<bool>,
    /// The turn that must be the last one completed in the session.
    pub after: Option<String>,
    /// Idempotency key: the same one with the same body gets the same turn.
    pub key: Option<String>,
}

words! {
    /// What to do with a caller whose turn cannot begin at once.
    pub enum OnBusy ("way to deal with a busy agent") {
        /// Refuse it.
        Reject = "reject",
        /// Let it wait.
        Queue = "queue",
    }
}

fn classes() -> Object {
    let words = TurnClass::ALL.iter().map(|word| word.as_str());
    one_of("Who goes first; `interactive` if absent.", words)
}

fn ways() -> Object {
    let words = OnBusy::ALL.iter().map(|word| word.as_str());
    one_of("What to do if it cannot begin at once; `reject` if absent.", words)
}

fn results() -> Object {
    let words = TurnResult::ALL.iter().map(|word| Some(word.as_str()));
    let object = Object::builder().schema_type(Type::String);
    object.description(Some("Whether it came off.")).enum_values(Some(words)).build()
}

/// The answer to the beginning of a turn: the one document with a secret in it.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BegunTurn {
    /// The turn.
    pub turn: Turn,
    /// How its holder proves itself: `Authorization: Lease TOKEN`.
    pub lease_token: String,
}

/// A turn as it stands, or as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Turn {
    /// Its identity.
    pub id: String,
    /// The agent that is talked to.
    pub agent: String,
    /// What it runs in.
    pub session: Session,
    /// Who went first: `interactive`, `background`.
    pub class: Word,
    /// Who holds it, in the holder's own words.
    pub holder: String,
    /// The subscription that it was dispatched on.
    pub subscription: String,
    /// The generation that it was dispatched in.
    pub generation: u64,
    /// When it was granted.
    pub started_at: Time,
    /// The next heartbeat is due within this time; `null` once it has ended.
    pub lease_s: Option<Seconds>,
    /// How it stands (`granted`, `taken`, `cancelling`, `lost`) or ended (`complete`, `failed`, `cancelled`, `cut_off`,
    /// `lapsed`).
    pub state: Word,
    /// The request to stop.
    pub cancel_requested: Option<CancelRequest>,
    /// Whether its failure was reported: no switch waits for it.
    pub failure_reported: bool,
    /// When it lapses or its holder counts as lost, unless a heartbeat comes; `null` once that has happened.
    pub expires_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// The switch or the fence that cut it off.
    pub switch: Option<String>,
    /// Why it ended so, or why it is lost, where the state does not say it all.
    pub reason: Option<String>,
}

/// A request to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelRequest {
    /// Its identity.
    pub id: String,
    /// Who asked.
    pub by: String,
}

/// An answer about one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AboutTurn {
    /// The turn.
    pub turn: Turn,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Beaten {
    /// The request to stop, if there is one.
    pub cancel_requested: Option<CancelRequest>,
    /// The next heartbeat is due within this time.
    pub lease_s: Seconds,
}

/// `POST /v1/turns/{id}/complete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteTurn {
    /// Whether it came off.
    #[schema(schema_with = results)]
    pub result: Spelled<TurnResult>,
    /// What failed in it, be it that it came off all the same.
    #[serde(default, deserialize_with = "object")]
    pub failure: Option<FailureReport>,
}

words! {
    /// What its holder says of a turn.
    pub enum TurnResult ("result of a turn") {
        /// It came off.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}

/// The answer to the end of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CompletedTurn {
    /// The turn, ended.
    pub turn: Turn,
    /// The answer to the report that came with it.
    pub failure: Option<ReportAnswer>,
}

/// `POST /v1/turns/{id}/cancel`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelTurn {
    /// Who asks; who the kernel says it is if absent.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// The answer to the closing of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClosedSession {
    /// The agent.
    pub agent: String,
    /// The session, in which no turn begins any more.
    pub session: Session,
    /// The last turn in it that came off.
    pub last_completed: Option<String>,
}

/// A caller that waits for a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WaitingCaller {
    /// The agent that it wants.
    pub agent: String,
    /// In which session.
    pub session: Session,
    /// Who goes first.
    pub class: Word,
    /// Who it is, in its own words.
    pub holder: String,
    /// Since when it waits.
    pub since: Time,
}

/// `GET /v1/turns`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TurnList {
    /// Those under way, by agent, the oldest first; or a page of those that have ended, newest first.
    pub turns: Vec<Turn>,
    /// Who waits, by agent and in the order in which they will be served as far as their sessions become free.
    pub waiting: Vec<WaitingCaller>,
    /// Where the next page begins (`before=`); `null` on the last one, and where there are no pages.
    pub next: Option<i64>,
}

impl From<&domain::Turn> for CancelRequest {
    /// Of a turn that is asked to stop.
    fn from(turn: &domain::Turn) -> Self {
        let by = turn.cancel.as_ref().map_or_else(String::new, |cancel| cancel.by.clone());
        Self { id: turn.cancel_id(), by }
    }
}

impl Turn {
    /// One that is under way.
    #[must_use]
    pub fn active(active: &Active, lease: Duration, now: Moment) -> Self {
        let Active { turn, due, .. } = active;
        let expires_at = turn.lost.is_none().then(|| {
            // A deadline runs on a clock of its own. Where it has not gone its own way, which is after a restart of the
            // daemon or when the calendar was set, it is shown as it was set: to the millisecond the same each time.
            let (at, set) = (due.to_wall(now), turn.until);
            if at.since(set).max(set.since(at)) < Duration::from_secs(1) { set } else { at }
        });
        Self { lease_s: Some(Seconds(lease)), expires_at: expires_at.map(Time), ..Self::under_way(turn) }
    }

    /// One that was just granted: its lease counts from the first heartbeat, which has to come before it lapses.
    #[must_use]
    pub fn granted(turn: &domain::Turn, lease: Duration) -> Self {
        Self { lease_s: Some(Seconds(lease)), expires_at: Some(turn.until.into()), ..Self::under_way(turn) }
    }

    /// One that has ended.
    #[must_use]
    pub fn ended(turn: &domain::Turn, ended: &TurnEnded) -> Self {
        Self {
            state: ended.end.as_str().into(),
            ended_at: Some(ended.at.into()),
            switch: ended.by.as_ref().map(ToString::to_string),
            reason: ended.reason.clone(),
            ..Self::under_way(turn)
        }
    }

    fn under_way(turn: &domain::Turn) -> Self {
        let state = if turn.lost.is_some() {
            "lost"
        } else if turn.cancel.is_some() {
            "cancelling"
        } else if turn.is_taken {
            "taken"
        } else {
            "granted"
        };
        let reason = turn.lost.map(|lost| match lost {
            Lost::Silent => "no heartbeat came for a lease",
            Lost::Unacknowledged => "it did not stop when it was asked to",
            Lost::Operator => "an operator ends it",
        });
        Self {
            id: turn.id.to_string(),
            agent: turn.id.agent.as_str().to_owned(),
            session: (&turn.session).into(),
            class: turn.class.as_str().into(),
            holder: turn.holder.clone(),
            subscription: turn.subscription.as_str().to_owned(),
            generation: turn.generation.0,
            started_at: turn.begun_at.into(),
            lease_s: None,
            state: state.into(),
            cancel_requested: turn.cancel.as_ref().map(|_| turn.into()),
            failure_reported: turn.has_failed,
            expires_at: None,
            ended_at: None,
            switch: None,
            reason: reason.map(str::to_owned),
        }
    }
}

impl From<&TurnRecord> for Turn {
    fn from(record: &TurnRecord) -> Self {
        match &record.ended {
            Some(ended) => Self::ended(&record.turn, ended),
            None => Self::under_way(&record.turn),
        }
    }
}

impl WaitingCaller {
    /// A caller as the ledger of an agent knows it.
    #[must_use]
    pub fn new(agent: &domain::AgentName, waiter: &Waiter) -> Self {
        let since: Wall = waiter.since.wall;
        Self {
            agent: agent.as_str().to_owned(),
            session: (&waiter.session).into(),
            class: waiter.class.as_str().into(),
            holder: waiter.holder.clone(),
            since: since.into(),
        }
    }
}
