//! Every way in which a request can be refused: one enum, one table in `docs/api.md`, held together by a test.
//!
//! A refusal says what happened, where, and how to mend it. It never shows a value of the request: a body can hold
//! tokens. Members are named only if they are known, or if they look like a name.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::v1::time::Time;
use super::v1::wire::Problem;
use super::v1::wire::seconds_up;
use crate::actor::handle::{CommandError, CooldownError, PoolUnavailable, ReportError, SHED_RETRY};
use crate::domain::Wall;
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
    NotThisAgent = "not_this_agent", 403, "A process of an agent may report for this agent only";
    NotFound = "not_found", 404, "There is nothing at this path";
    AgentNotFound = "agent_not_found", 404, "The config has no such agent";
    SwitchNotFound = "switch_not_found", 404, "There is no such switch, or it is no longer kept";
    TurnNotFound = "turn_not_found", 404, "No such turn was ever begun";
    MethodNotAllowed = "method_not_allowed", 405, "The path exists and does not know this method";
    RequestTimeout = "request_timeout", 408, "The body did not arrive in time";
    SwitchInProgress = "switch_in_progress", 409, "A switch of this agent is already under way";
    NoSwitch = "no_switch", 409, "No switch of this agent is under way";
    TooLate = "too_late", 409, "The switch is past the point of no return and will be finished";
    Pinned = "pinned", 409, "The agent is pinned to a subscription; unpin it first";
    NotParked = "not_parked", 409, "The agent is not parked";
    BodyTooLarge = "body_too_large", 413, "The body is larger than 256 KiB";
    InvalidBody = "invalid_body", 422, "A member of the body is missing, not known or has no such value; `member` names it";
    SubscriptionNotFound = "subscription_not_found", 422, "The config has no such subscription; 404 where the path names it, 422 where the body does";
    GenerationUnknown = "generation_unknown", 422, "The generation was never issued for this agent";
    GenerationMismatch = "generation_mismatch", 422, "The generation ran on another subscription than the one named beside it";
    IdReused = "id_reused", 422, "The id was used before for another body";
    SubscriptionNotEligible = "subscription_not_eligible", 422, "The agent cannot be moved there now, or there is nobody to move to";
    Shed = "shed", 429, "Too many reports of this agent wait; nothing was recorded";
    StoreUnavailable = "store_unavailable", 503, "The store cannot take or tell anything now; nothing was acted on";
    PoolUnavailable = "pool_unavailable", 503, "The owner of the subscriptions does not answer now";
    Busy = "busy", 503, "Too many commands of this agent wait";
    TooManyConnections = "too_many_connections", 503, "Too many connections are open";
}

/// How soon it is worth trying again where nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    status: u16,
    detail: String,
    member: Option<String>,
    retry_after: Option<Duration>,
    earliest: Option<Wall>,
}

impl Refusal {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, status: code.status(), detail: detail.into(), member: None, retry_after: None, earliest: None }
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
