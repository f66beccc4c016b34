//! Every way in which a request can be refused: one enum, one table in `docs/api.md`, held together by a test.
//!
//! A refusal says what happened, where, and how to mend it. It never shows a value of the request: a body can hold
//! tokens. Members are named only if they are known, or if they look like a name.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::v1::time::Time;
use super::v1::wire::{Problem, Session, seconds_up};
use crate::actor::handle::{CommandError, CooldownError, PoolUnavailable, ReportError, SHED_RETRY};
use crate::domain::{TurnClass, TurnEnd, Wall};
use crate::machine::agent::Refusal as Refused;
use crate::machine::attribution::StampError;
use crate::ports::store::StoreError;

macro_rules! codes {
    ($( $code:ident = $word:literal, $status:literal, $title:literal; )+) => {
        /// What programs look at to tell one refusal from another. Stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $( #[doc = $title] $code, )+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[ $( Self::$code, )+ ];
            /// The spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $( Self::$code => $word, )+ } }
            /// The HTTP status that goes with it, unless the place of the fault says otherwise.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $( Self::$code => $status, )+ } }
            /// What it means.
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $( Self::$code => $title, )+ } }
        }
    };
}

codes! {
    MalformedJson = "malformed_json", 400, "The body is not JSON; nothing was recorded or done";
    InvalidQuery = "invalid_query", 400, "A parameter behind the `?` is not known or has no such value";
    NotThisAgent = "not_this_agent", 403, "Who comes from within an agent, or by its own socket, reports and holds turns for this agent only";
    NotTheHolder = "not_the_holder", 403, "Only the holder of the turn may do that: send its token as `Authorization: Lease TOKEN`";
    NotFound = "not_found", 404, "There is nothing at this path";
    AgentNotFound = "agent_not_found", 404, "The config has no such agent";
    SwitchNotFound = "switch_not_found", 404, "There is no such switch, or it is no longer kept";
    TurnNotFound = "turn_not_found", 404, "No such turn was ever begun, or it is no longer kept";
    MethodNotAllowed = "method_not_allowed", 405, "The path exists and does not know this method";
    RequestTimeout = "request_timeout", 408, "The body did not arrive in time";
    SwitchInProgress = "switch_in_progress", 409, "A switch of this agent is already under way";
    NoSwitch = "no_switch", 409, "No switch of this agent is under way";
    TooLate = "too_late", 409, "The switch is past the point of no return and will be finished";
    Pinned = "pinned", 409, "The agent is pinned to a subscription; unpin it first";
    NotParked = "not_parked", 409, "The agent is not parked";
    AgentMonitorOnly = "agent_monitor_only", 409, "The agent is only observed: nothing is done to it, whoever asks";
    TurnInProgress = "turn_in_progress", 409, "The session has a turn; `turn`, `session`, `holder`, `class` and `since` tell which";
    WaitExpired = "wait_expired", 409, "The turn could not begin within `wait_s`";
    SessionsFull = "sessions_full", 409, "As many sessions of this agent have a turn as may";
    OutOfStep = "out_of_step", 409, "The turn named as `after` is not the last one completed in the session; `last_completed` is";
    SessionComplete = "session_complete", 409, "The session is closed: no turn begins in it any more";
    AgentSwitching = "agent_switching", 409, "The agent is being moved, started or fenced";
    TurnAlreadyComplete = "turn_already_complete", 409, "The turn has ended; `state` and `ended_at` tell how and when";
    TurnCutOff = "turn_cut_off", 409, "The work of the turn was ended under its holder; `switch` names the switch or the fence";
    NoCancelRequested = "no_cancel_requested", 409, "Nobody has asked the holder to stop";
    BodyTooLarge = "body_too_large", 413, "The body is larger than 256 KiB";
    InvalidBody = "invalid_body", 422, "A member of the body is missing, not known or has no such value; `member` names it";
    SubscriptionNotFound = "subscription_not_found", 422, "The config has no such subscription; 404 where the path names it, 422 where the body does";
    GenerationUnknown = "generation_unknown", 422, "The generation was never issued for this agent";
    GenerationMismatch = "generation_mismatch", 422, "The generation ran on another subscription than the one named beside it, or is not that of the turn named";
    IdReused = "id_reused", 422, "The id was used before for another body";
    KeyReused = "key_reused", 422, "The key was used before for another body";
    SubscriptionNotEligible = "subscription_not_eligible", 422, "The agent cannot be moved there now, or there is nobody to move to";
    Shed = "shed", 429, "Too many reports of this agent wait; nothing was recorded";
    QueueFull = "queue_full", 429, "Too many callers wait for a turn of this agent";
    AgentExhausted = "agent_exhausted", 503, "No subscription can serve the agent now; `earliest_reset` says until when, if that is known";
    AgentParked = "agent_parked", 503, "The agent waits for a person";
    AgentPaused = "agent_paused", 503, "The agent's subscription cannot serve, and the agent is paused";
    AgentBraked = "agent_braked", 503, "The agent's subscription cannot serve, and its switches are used up";
    AgentNotRunning = "agent_not_running", 503, "The agent's container or process does not run";
    AgentUnassigned = "agent_unassigned", 503, "It is not known which subscription the agent runs on; a switch gives it one";
    StoreUnavailable = "store_unavailable", 503, "The store cannot take or tell anything now; nothing was acted on";
    PoolUnavailable = "pool_unavailable", 503, "The owner of the subscriptions does not answer now";
    Busy = "busy", 503, "Too many commands of this agent, or requests about its turns, wait";
    Stopping = "stopping", 503, "The daemon stops; nothing was begun";
    TooManyConnections = "too_many_connections", 503, "Too many connections are open";
}

/// How soon it is worth trying again where nothing better is known.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    status: u16,
    detail: String,
    member: Option<String>,
    retry_after: Option<Duration>,
    earliest: Option<Wall>,
    facts: Option<Box<Facts>>,
}

/// What is in the way of a turn, or what has become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) turn: Option<String>,
    pub(super) session: Option<Session>,
    pub(super) holder: Option<String>,
    pub(super) class: Option<TurnClass>,
    pub(super) since: Option<Wall>,
    pub(super) last_completed: Option<String>,
    pub(super) end: Option<TurnEnd>,
    pub(super) ended_at: Option<Wall>,
    pub(super) switch: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            status: code.status(),
            detail: detail.into(),
            member: None,
            retry_after: None,
            earliest: None,
            facts: None,
        }
    }

    /// The body is at fault, in this member.
    pub(super) fn member(member: &str, detail: impl Into<String>) -> Self {
        Self { member: Some(member.to_owned()), ..Self::new(Code::InvalidBody, detail) }
    }

    pub(super) fn at(self, member: &str) -> Self {
        Self { member: Some(member.to_owned()), ..self }
    }

    pub(super) fn retry(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// When the first subscription comes back.
    pub(super) fn until(self, earliest: Option<Wall>) -> Self {
        Self { earliest, ..self }
    }

    pub(super) fn with(self, facts: Facts) -> Self {
        Self { facts: Some(Box::new(facts)), ..self }
    }

    /// The same of a document that stands inside another one, as this member of it.
    pub(super) fn inside(mut self, member: &str) -> Self {
        if let Some(own) = &mut self.member {
            let whole = format!("{member}.{own}");
            self.detail = self.detail.replacen(&format!("`{own}`"), &format!("`{whole}`"), 1);
            *own = whole;
        }
        self
    }

    pub(super) fn no_such_agent(name: &str) -> Self {
        Self::new(Code::AgentNotFound, format!("the config has no agent {}", shown(name)))
    }

    pub(super) fn no_such_subscription(name: &str) -> Self {
        let detail = format!("the config has no subscription {}", shown(name));
        Self { status: 404, ..Self::new(Code::SubscriptionNotFound, detail) }
    }

    /// The document.
    #[must_use]
    pub(super) fn document(&self) -> Problem {
        let facts = self.facts.as_deref().cloned().unwrap_or_default();
        Problem {
            type_: format!("urn:switchman:problem:{}", self.code.as_str()),
            title: self.code.title().into(),
            status: self.status,
            detail: self.detail.clone(),
            code: self.code.as_str().into(),
            member: self.member.clone(),
            retry_after_s: self.retry_after.map(seconds_up),
            earliest_reset: self.earliest.map(Time),
            outcome: (self.code == Code::Shed).then(|| "shed".into()),
            turn: facts.turn,
            session: facts.session,
            holder: facts.holder,
            class: facts.class.map(|class| class.as_str().into()),
            since: facts.since.map(Time),
            last_completed: facts.last_completed,
            state: facts.end.map(|end| end.as_str().into()),
            ended_at: facts.ended_at.map(Time),
            switch: facts.switch,
        }
    }
}

/// A name from a path as an answer may show it.
fn shown(name: &str) -> String {
    let is_plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if is_plain { format!("named \"{name}\"") } else { "of that name".to_owned() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let document = self.document();
        let status = StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Response::new(Body::from(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = status;
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(seconds) = document.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}

impl From<ReportError> for Refusal {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::NoSuchAgent(name) => Self::no_such_agent(&name),
            ReportError::Stamp(error @ StampError::NeverIssued { .. }) => {
                Self::new(Code::GenerationUnknown, error.to_string()).at("generation")
            }
            ReportError::Stamp(StampError::Mismatch { generation, ran_on, .. }) => {
                let detail = format!("generation {generation} ran on \"{ran_on}\", not on the subscription named");
                Self::new(Code::GenerationMismatch, detail).at("generation")
            }
            ReportError::TurnMismatch { .. } => Self::new(Code::GenerationMismatch, error.to_string()).at("generation"),
            ReportError::IdReused(_) => {
                let detail = "the id was used before for another body: give each report an id of its own";
                Self::new(Code::IdReused, detail).at("id")
            }
            ReportError::Shed => Self::new(Code::Shed, error.to_string()).retry(SHED_RETRY),
            ReportError::NotRecorded => Self::new(Code::StoreUnavailable, error.to_string()).retry(RETRY),
            ReportError::Store(error) => error.into(),
        }
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NoSuchAgent(name) => Self::no_such_agent(&name),
            CommandError::Refused(refused) => refused.into(),
            CommandError::Busy => Self::new(Code::Busy, error.to_string()).retry(RETRY),
            CommandError::NotRecorded => Self::new(Code::StoreUnavailable, error.to_string()).retry(RETRY),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::SwitchInProgress => Self::new(Code::SwitchInProgress, detail),
            Refused::NoSwitch => Self::new(Code::NoSwitch, detail),
            Refused::TooLate => Self::new(Code::TooLate, detail),
            Refused::Pinned(_) => Self::new(Code::Pinned, detail),
            Refused::MonitorOnly => Self::new(Code::AgentMonitorOnly, detail),
            Refused::NotEligible { earliest, .. } => {
                Self { earliest, ..Self::new(Code::SubscriptionNotEligible, detail) }
            }
            Refused::NotParked => Self::new(Code::NotParked, detail),
            Refused::Unavailable => Self::new(Code::PoolUnavailable, detail).retry(RETRY),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(Code::StoreUnavailable, error.to_string()).retry(RETRY)
    }
}

impl From<PoolUnavailable> for Refusal {
    fn from(error: PoolUnavailable) -> Self {
        Self::new(Code::PoolUnavailable, error.to_string()).retry(RETRY)
    }
}

impl From<CooldownError> for Refusal {
    fn from(error: CooldownError) -> Self {
        match error {
            CooldownError::Pool(error) => error.into(),
            CooldownError::Store(error) => error.into(),
        }
    }
}
